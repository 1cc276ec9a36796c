/* SPDX-License-Identifier: ISC */
/*
 * state - what the relay remembers beyond its own end (--state DIR): whose each public port was,
 * and what random names are made from.
 *
 *     DIR/ports.json    { "30000": "pi/tcp/ssh", "30000/udp": "pi/udp/dns" }
 *     DIR/names.key     64 hexadecimal digits
 *
 * A thread of its own writes, so that no loop waits for a disk; the file is replaced by rename.
 * Changes that come while it writes are written together.  A disk that does not take it is told of
 * in the log, and tried again at the next change.
 */
#ifndef CMD_RELAY_INGRESS_STATE_H
#define CMD_RELAY_INGRESS_STATE_H

#include <stdint.h>

#include "lib/base/err.h"

struct ports;
struct state;

/*
 * state_open - read what is in dir into ports (borrowed), and write their changes from now on.  A
 * directory without a file is a beginning.  Errors with e: no directory that can be written, or a
 * file in it that cannot be read or is none of ours, which is not overwritten.
 */
int state_open(
    const char *dir, struct ports *ports, struct state **out, struct errtext *e) WARN_UNUSED;

#define STATE_KEY_LEN 32

/*
 * state_key - the key in dir, made if there is none.  Errors with e: no directory that can be
 * written, or a file that is no key.
 */
int state_key(const char *dir, uint8_t key[STATE_KEY_LEN], struct errtext *e) WARN_UNUSED;

/* state_changed - write soon.  Any thread; accepts NULL. */
void state_changed(struct state *st);

/* state_close - after the last change was written; accepts NULL. */
void state_close(struct state *st);

#endif
