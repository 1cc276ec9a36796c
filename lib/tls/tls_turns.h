/* SPDX-License-Identifier: ISC */
/*
 * tls_turns - handshakes of strangers take turns: each step costs milliseconds of signatures, and
 * what else the loop carries must not wait for many of them at once.
 *
 * In each turn of the loop one of those that wait takes its step.  Those who wait are asked one
 * after the other, not their connections: however many handshakes somebody begins, another waits
 * for one of them, and no longer.  And each begins so many a second; the others wait.
 *
 * Life cycle: a struct tls_place is part of a handshake, set by tls_place_init; it waits before
 * each step, leaves when it is over, and does not outlive its tls_turns.  All of it in one thread.
 */
#ifndef LIB_TLS_TURNS_H
#define LIB_TLS_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/base/ratelimit.h"
#include "lib/net/loop.h"

/* How soon those that are over their rate are looked at again. */
#define TLS_TURNS_REST_MS 20

struct tls_turns;
struct tls_turns_group;

/* Whose handshake it is. */
struct tls_turns_who {
	uint8_t key[RATELIMIT_KEY_LEN];
	/* It may begin as many a second as it likes. */
	bool any_rate;
};

/* Members are private. */
struct tls_place {
	/* NULL: nobody waits for anybody. */
	struct tls_turns *turns;
	struct tls_turns_who who;
	/* NULL: it does not wait. */
	struct tls_turns_group *group;
	/* It has had a turn: its rate counts no more. */
	bool begun;
	void (*fn)(void *arg);
	void *arg;
	TAILQ_ENTRY(tls_place) link;
};

/*
 * tls_turns_new - each may begin rate handshakes a second, and burst at once.  NULL: out of memory.
 * tls_turns_free - nobody waits any more; accepts NULL.
 */
struct tls_turns *tls_turns_new(struct loop *l, uint64_t rate, uint64_t burst);
void tls_turns_free(struct tls_turns *t);

void tls_place_init(struct tls_place *p, struct tls_turns *t, const struct tls_turns_who *who,
    void (*fn)(void *arg), void *arg);
/*
 * tls_place_wait - for the next turn: fn(arg) is called, from the loop.  Nothing if it waits
 * already.  ERR_NOMEM.
 */
int tls_place_wait(struct tls_place *p) WARN_UNUSED;
/* tls_place_leave - it waits no more; accepts a zeroed one. */
void tls_place_leave(struct tls_place *p);

#endif
