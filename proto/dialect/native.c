/* SPDX-License-Identifier: ISC */
/* native - our own mux as a dialect: binary messages whose boundaries mean nothing (PROTOCOL.md 2). */
#include "proto/dialect/dialect.h"

static const char *const paths[] = { "/", "/tunnel", NULL };

const struct dialect dialect_native = { .name = "native", .paths = paths, .accept = mux_new };
