/* SPDX-License-Identifier: ISC */
/* by_secret - what somebody shows who logs in by a secret, or by a key (a point). */
#ifndef TEST_BY_SECRET_H
#define TEST_BY_SECRET_H

#include "proto/creds.h"

#define BY_SECRET(s) (&(const struct creds_proof){ .secret = (s) })
#define BY_KEY(p) (&(const struct creds_proof){ .secret = "", .key = (p) })

#endif
