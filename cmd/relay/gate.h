/* SPDX-License-Identifier: ISC */
/*
 * gate - who may stand before the login: so many connections in all, so many of one address, and so
 * many new ones a second of one address.
 *
 *     gate_enter ── place ──> claimed by its worker ──> left: logged in, or gone
 *                               └── told to go (evict): the table was full and others came
 *
 * A newcomer is never turned away because the table is full: the oldest connection of the address
 * that has the most places loses its own.  So whoever fills the table drops his own connections,
 * and an agent gets in.
 *
 * Threads: shared by all workers, one lock.  A place belongs to the worker that was named when it
 * was entered, from then on; only that worker claims, moves, leaves and evicts it.
 */
#ifndef CMD_RELAY_GATE_H
#define CMD_RELAY_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/addr.h"

struct gate;
struct gate_place;

/* Who holds a place, embedded in it: evict is called in the place's worker, when it is to go. */
struct gate_owner {
	void (*evict)(struct gate_owner *o);
};

struct gate_limits {
	/* places in all, and of one address */
	uint64_t places, places_of_one;
	/* new connections a second of one address */
	uint64_t rate;
};

/* Where a connection comes from. */
struct gate_who {
	/* the address's identity */
	uint8_t key[ADDR_IDENTITY_LEN];
	/*
	 * its rate, and its part of the places, are not limited: a proxy, whose clients are told
	 * apart later; this machine
	 */
	bool any_rate, any_places;
};

enum gate_answer {
	GATE_IN,
	/* too many new connections a second */
	GATE_OFTEN,
	/* too many of those who were told to go are still there; or out of memory */
	GATE_FULL,
};

/*
 * gate_new - evict(arg, worker) is called, without the lock, when places of that worker are to go;
 * the worker then calls gate_evicted until it gets NULL.  false: the worker could not be told;
 * evict is called again when one more of its places is to go.  NULL: out of memory.
 */
struct gate *gate_new(const struct gate_limits *limits, int n_workers,
    bool (*evict)(void *arg, int worker), void *arg);
void gate_free(struct gate *g);

/*
 * gate_enter - a connection for a worker.
 *   *place  the caller's on GATE_IN, until gate_leave; NULL otherwise
 */
enum gate_answer gate_enter(struct gate *g, const struct gate_who *who, int worker, uint64_t now_ms,
    struct gate_place **place);

/*
 * gate_claim - the connection has its owner.  false: it was told to go meanwhile, and is not told
 * again.
 */
bool gate_claim(struct gate *g, struct gate_place *place, struct gate_owner *owner);

/*
 * gate_move - it turned out to be from another address, whose limits count from now on.
 * GATE_OFTEN: the place stays where it was.  GATE_FULL: out of memory, the same.
 */
enum gate_answer gate_move(
    struct gate *g, struct gate_place *place, const struct gate_who *who, uint64_t now_ms);

/* gate_leave - the place is free; it is freed.  Accepts NULL. */
void gate_leave(struct gate *g, struct gate_place *place);

/*
 * gate_evicted - the owner of the next place of this worker that is to go, told once; NULL: no
 * more.  The owner leaves.
 */
struct gate_owner *gate_evicted(struct gate *g, int worker);

/* gate_count - places that are taken.  For tests: that one was given back shows nowhere else. */
uint64_t gate_count(struct gate *g);

#endif
