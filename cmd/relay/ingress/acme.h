/* SPDX-License-Identifier: ISC */
/*
 * acme - answers to HTTP-01 challenges (RFC 8555 8.3) out of files that certbot, lego and others
 * write (--acme-dir DIR).
 *
 *     DIR/.well-known/acme-challenge/TOKEN     certbot --webroot -w DIR, lego --http.webroot DIR
 *     DIR/TOKEN                                who is told where tokens go
 *
 * A thread of its own reads, so that no loop waits for a disk, one file after the other.
 *
 * Threads: any may ask; the answer comes in the loop that asked.
 */
#ifndef CMD_RELAY_INGRESS_ACME_H
#define CMD_RELAY_INGRESS_ACME_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/net/loop.h"

#define ACME_PATH "/.well-known/acme-challenge/"
/* Characters of a token; authorities use 43. */
#define ACME_TOKEN_MAX 128
/* Bytes of a file; a token and the hash of a key are in it. */
#define ACME_FILE_MAX 4096
/* How long a visitor waits for the disk. */
#define ACME_WAIT_MS 5000
/* Questions that wait for the thread. */
#define ACME_ASKS_MAX 64

struct acme;
struct acme_ask;

/*
 * acme_open - ERR_INVALID with e: no directory that can be read; ERR_NOMEM, ERR_SYS.
 * acme_close - when nobody asks any more, and before the loops are freed that did.  Accepts NULL.
 */
int acme_open(const char *dir, struct acme **out, struct errtext *e) WARN_UNUSED;
void acme_close(struct acme *a);

/*
 * acme_token - the token that a request's target (in origin form) asks for: one of letters, digits,
 * '-' and '_'.  NULL: it is no challenge.
 */
const char *acme_token(const char *target);

/*
 * acme_ask - what is in the token's file?  The answer comes later, in l, whose thread this is.
 *   fn  text: n bytes, borrowed for the call; NULL: there is no such file
 * NULL: too many ask, or out of memory.
 */
struct acme_ask *acme_ask(struct acme *a, struct loop *l, const char *token,
    void (*fn)(void *arg, const char *text, size_t n), void *arg);

/* acme_cancel - fn is not called any more.  In the thread that asked; accepts NULL. */
void acme_cancel(struct acme_ask *q);

#endif
