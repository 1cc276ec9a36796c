/* SPDX-License-Identifier: ISC */
/* ctl_int - what ctl.c and request.c share: checked members of control bodies. */
#ifndef PROTO_CTL_INT_H
#define PROTO_CTL_INT_H

#include "proto/ctl.h"

/* ctl_parse_body - the object of a frame's body, the caller's.  ERR_PROTO or ERR_NOMEM. */
int ctl_parse_body(const void *p, size_t n, struct jobj **out, struct errtext *why) WARN_UNUSED;

/*
 * ctl_get_text - a member of at most outsz - 1 bytes into out; absent leaves it as it was, unless
 * it must be there.  ERR_PROTO.
 */
int ctl_get_text(const struct jobj *o, const char *name, bool must, char *out, size_t outsz,
    struct errtext *why) WARN_UNUSED;

/* ctl_get_int - a member within min..max; absent leaves *out as it was.  ERR_PROTO. */
int ctl_get_int(const struct jobj *o, const char *name, int64_t min, int64_t max, int64_t *out,
    struct errtext *why) WARN_UNUSED;

/*
 * ctl_each_text - an array of up to max texts, if it is there, each through take.
 *   thing  what one is: "word"
 *   take   0, or ERR_* and why it is none, where there is more to say
 * ERR_PROTO for a mistake of the peer's, ERR_NOMEM.
 */
int ctl_each_text(const struct jobj *o, const char *name, size_t max, const char *thing,
    int (*take)(void *arg, const char *s, struct errtext *why), void *arg,
    struct errtext *why) WARN_UNUSED;

/* ctl_set_text - nothing for "": absent and empty mean the same. */
int ctl_set_text(struct jobj *o, const char *name, const char *s) WARN_UNUSED;

/* ctl_dump_take - o as text if r is 0; o is freed in every case. */
char *ctl_dump_take(struct jobj *o, int r, size_t *n);

#endif
