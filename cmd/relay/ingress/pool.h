/* SPDX-License-Identifier: ISC */
/*
 * pool - streams to services that wait, idle, for the next request.
 *
 * A stream is kept for whoever opened it: it charges that account, which stays so, and no two
 * visitors ever speak on one connection to a service.  It takes no place among the account's own
 * streams meanwhile.  The newest is used again first, so that those which a quiet moment does not
 * need grow old and leave after POOL_IDLE_MS; services keep a connection for 5 s or longer.
 *
 *     pool_put ──> idle ── pool_take, pool_remove ──> the owner's
 *                   └── too old, too many, pool_drop_* ──> ops->drop
 *
 * A pool belongs to a worker and holds nothing of its own: the nodes are their owners'.
 */
#ifndef CMD_RELAY_INGRESS_POOL_H
#define CMD_RELAY_INGRESS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "lib/net/loop.h"

#define POOL_IDLE_MS 4000
/* Of one account at an agent; of one publication; of one worker: beyond it the oldest leaves. */
#define POOL_OF_ONE 128
#define POOL_OF_SERVICE 512
#define POOL_MAX 2048

struct party;
struct publication;
struct session;

struct pooled;

struct pooled_ops {
	/* It leaves the pool, and is in no list any more: end it. */
	void (*drop)(struct pooled *x);
	/* Whose stream it is. */
	const struct session *(*session)(const struct pooled *x);
};

/* Embedded in a stream's owner.  Members are private. */
struct pooled {
	const struct pooled_ops *ops;
	/* NULL: in none. */
	struct pool *pool;
	struct party *party;
	struct publication *pub;
	uint64_t since_ms;
	TAILQ_ENTRY(pooled) by_age, by_party, by_service;
};

TAILQ_HEAD(pooled_head, pooled);

/* The newest first: of a worker, of a party, of a publication. */
struct pool_list {
	struct pooled_head all;
	unsigned n;
};

struct pool {
	struct loop *loop;
	struct pool_list idle;
	struct timer timer;
	/* Nothing is kept any more. */
	bool stopped;
};

/* pool_init - ERR_NOMEM.  pool_fini - after pool_stop; accepts a zeroed one. */
int pool_init(struct pool *p, struct loop *l) WARN_UNUSED;
void pool_fini(struct pool *p);

void pool_list_init(struct pool_list *list);

/*
 * pool_put - x waits from now on, for requests of y to pub; both stay until it leaves.
 * false: the pool is stopped, and x is its owner's alone.
 */
bool pool_put(struct pool *p, struct pooled *x, const struct pooled_ops *ops, struct party *y,
    struct publication *pub) WARN_UNUSED;

/* pool_take - the newest one of y's at pub, which leaves the pool; NULL: there is none. */
struct pooled *pool_take(struct party *y, const struct publication *pub);

/* pool_remove - x leaves without a drop; nothing if it is in no pool. */
void pool_remove(struct pooled *x);

/* pool_drop_service - those at pub leave; pool_drop_session - those of the session. */
void pool_drop_service(struct publication *pub);
void pool_drop_session(struct pool *p, const struct session *s);

/* pool_stop - all leave, and none is kept from now on. */
void pool_stop(struct pool *p);

#endif
