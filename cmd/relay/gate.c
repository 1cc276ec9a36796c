/* SPDX-License-Identifier: ISC */
/* gate - places before the login, counted by address. */
#include "cmd/relay/gate.h"

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/hashtab.h"
#include "lib/base/mem.h"
#include "lib/base/ratelimit.h"

/*
 * When more than this part of the places is still to go, newcomers from the busy addresses (half as
 * many places as the busiest has) are turned away until some are gone.  When it is all of them,
 * everybody is.
 */
#define GOING_PART 4
#define NOBODY (-1)

_Static_assert(ADDR_IDENTITY_LEN == RATELIMIT_KEY_LEN, "an identity is a key of the rate");

TAILQ_HEAD(place_list, gate_place);
TAILQ_HEAD(address_list, address);

/* An address with places. */
struct address {
	uint8_t key[ADDR_IDENTITY_LEN];
	/* oldest first */
	struct place_list places;
	uint64_t n;
	/* among those with as many places */
	TAILQ_ENTRY(address) rank_turn;
	UT_hash_handle hh;
};

struct gate_place {
	/* NULL: it is to go */
	struct address *at;
	int worker;
	/* NULL: not claimed yet */
	struct gate_owner *owner;
	/* it is to go, and its worker has not asked yet */
	bool evicted;
	/* in its address's list, or in its worker's of those that are evicted */
	TAILQ_ENTRY(gate_place) turn;
};

struct gate {
	/* guards all but the constants; nothing else is taken while it is held */
	pthread_mutex_t lock;
	/* constant */
	struct gate_limits limits;
	bool (*evict)(void *arg, int worker);
	void *arg;
	int n_workers;
	struct ratelimit *rate;
	struct address *addresses;
	/*
	 * addresses by the number of their places, 1 to limits.places; the highest that is not
	 * empty
	 */
	struct address_list *rank;
	uint64_t busiest;
	/* places, and of them those that are to go */
	uint64_t n, going;
	/* for each worker: those of its places that are to go; and it has been told of them */
	struct place_list *evicted;
	bool *told;
};

/* ---- life ---- */

struct gate *
gate_new(const struct gate_limits *limits, int n_workers, bool (*evict)(void *arg, int worker),
    void *arg)
{
	struct gate *g = mem_zalloc(sizeof *g);

	if (g == NULL)
		return NULL;
	if (pthread_mutex_init(&g->lock, NULL) != 0) {
		mem_free(g);
		return NULL;
	}
	g->limits = *limits;
	g->n_workers = n_workers;
	g->evict = evict;
	g->arg = arg;
	g->rate = ratelimit_new(limits->rate, limits->rate);
	g->rank = mem_array(limits->places + 1, sizeof *g->rank);
	g->evicted = mem_array((size_t)n_workers, sizeof *g->evicted);
	g->told = mem_array((size_t)n_workers, sizeof *g->told);
	if (g->rate == NULL || g->rank == NULL || g->evicted == NULL || g->told == NULL) {
		gate_free(g);
		return NULL;
	}
	for (uint64_t i = 0; i <= limits->places; i++)
		TAILQ_INIT(&g->rank[i]);
	for (int i = 0; i < n_workers; i++)
		TAILQ_INIT(&g->evicted[i]);
	return g;
}

void
gate_free(struct gate *g)
{
	if (g == NULL)
		return;
	pthread_mutex_destroy(&g->lock);
	ratelimit_free(g->rate);
	mem_free(g->rank);
	mem_free(g->evicted);
	mem_free(g->told);
	mem_free(g);
}

/* ---- addresses and their places ---- */

/* Its number of places has become n. */
static void
address_rank(struct gate *g, struct address *a, uint64_t n)
{
	if (a->n > 0)
		TAILQ_REMOVE(&g->rank[a->n], a, rank_turn);
	a->n = n;
	if (n > 0)
		TAILQ_INSERT_TAIL(&g->rank[n], a, rank_turn);
	if (n > g->busiest)
		g->busiest = n;
	while (g->busiest > 0 && TAILQ_EMPTY(&g->rank[g->busiest]))
		g->busiest--;
}

static struct address *
address_find(const struct gate *g, const uint8_t key[ADDR_IDENTITY_LEN])
{
	struct address *a;

	HASH_FIND(hh, g->addresses, key, ADDR_IDENTITY_LEN, a);
	return a;
}

static struct address *
address_get(struct gate *g, const uint8_t key[ADDR_IDENTITY_LEN])
{
	struct address *a = address_find(g, key);

	if (a != NULL)
		return a;
	a = mem_zalloc(sizeof *a);
	if (a == NULL)
		return NULL;
	memcpy(a->key, key, sizeof a->key);
	TAILQ_INIT(&a->places);
	HASH_ADD(hh, g->addresses, key, ADDR_IDENTITY_LEN, a);
	if (hashtab_has(a))
		return a;
	mem_free(a);
	return NULL;
}

static void
place_take(struct gate *g, struct gate_place *p, struct address *a)
{
	p->at = a;
	TAILQ_INSERT_TAIL(&a->places, p, turn);
	address_rank(g, a, a->n + 1);
}

/* Frees the address with its last place. */
static void
place_give_up(struct gate *g, struct gate_place *p)
{
	struct address *a = p->at;

	p->at = NULL;
	TAILQ_REMOVE(&a->places, p, turn);
	address_rank(g, a, a->n - 1);
	if (a->n > 0)
		return;
	HASH_DEL(g->addresses, a);
	mem_free(a);
}

/* ---- who has to go ---- */

static struct gate_place *
oldest_of(const struct address *a)
{
	return TAILQ_FIRST(&a->places);
}

/* Returns the worker that is to be told, or NOBODY: it has been told and has not looked yet. */
static int
place_evict(struct gate *g, struct gate_place *p)
{
	int worker = g->told[p->worker] ? NOBODY : p->worker;

	place_give_up(g, p);
	p->evicted = true;
	g->going++;
	TAILQ_INSERT_TAIL(&g->evicted[p->worker], p, turn);
	g->told[p->worker] = true;
	return worker;
}

/* So that an address may have one place more. */
static int
make_room_at(struct gate *g, const struct gate_who *who)
{
	const struct address *a = address_find(g, who->key);

	if (who->any_places || a == NULL || a->n < g->limits.places_of_one)
		return NOBODY;
	return place_evict(g, oldest_of(a));
}

/* So that there may be one place more. */
static int
make_room(struct gate *g, const struct gate_who *who)
{
	int worker = make_room_at(g, who);

	if (g->n - g->going < g->limits.places)
		return worker;
	return place_evict(g, oldest_of(TAILQ_FIRST(&g->rank[g->busiest])));
}

/* A worker that could not be told is told of all when the next of its places is to go. */
static void
tell(struct gate *g, int worker)
{
	if (worker == NOBODY || g->evict(g->arg, worker))
		return;
	pthread_mutex_lock(&g->lock);
	g->told[worker] = false;
	pthread_mutex_unlock(&g->lock);
}

/* ---- entering and leaving ---- */

static bool
too_often(struct gate *g, const struct gate_who *who, uint64_t now_ms)
{
	return !who->any_rate && !ratelimit_take(g->rate, who->key, now_ms);
}

static bool
must_wait(const struct gate *g, const struct gate_who *who)
{
	const struct address *a = address_find(g, who->key);

	if (g->going <= g->limits.places / GOING_PART)
		return false;
	return g->going > g->limits.places || (a != NULL && a->n >= (g->busiest + 1) / 2);
}

static struct gate_place *
place_new(struct gate *g, const uint8_t key[ADDR_IDENTITY_LEN], int worker)
{
	struct gate_place *p = mem_zalloc(sizeof *p);
	struct address *a = p != NULL ? address_get(g, key) : NULL;

	if (a == NULL) {
		mem_free(p);
		return NULL;
	}
	p->worker = worker;
	g->n++;
	place_take(g, p, a);
	return p;
}

enum gate_answer
gate_enter(struct gate *g, const struct gate_who *who, int worker, uint64_t now_ms,
    struct gate_place **place)
{
	enum gate_answer r = GATE_IN;
	int told = NOBODY;

	*place = NULL;
	pthread_mutex_lock(&g->lock);
	if (too_often(g, who, now_ms))
		r = GATE_OFTEN;
	else if (must_wait(g, who))
		r = GATE_FULL;
	else {
		told = make_room(g, who);
		*place = place_new(g, who->key, worker);
		if (*place == NULL)
			r = GATE_FULL;
	}
	pthread_mutex_unlock(&g->lock);
	tell(g, told);
	return r;
}

/* Its worker has been told. */
static void
evicted_no_more(struct gate *g, struct gate_place *p)
{
	if (p->evicted)
		TAILQ_REMOVE(&g->evicted[p->worker], p, turn);
	p->evicted = false;
}

bool
gate_claim(struct gate *g, struct gate_place *p, struct gate_owner *owner)
{
	bool stays;

	pthread_mutex_lock(&g->lock);
	p->owner = owner;
	stays = p->at != NULL;
	evicted_no_more(g, p);
	pthread_mutex_unlock(&g->lock);
	return stays;
}

static enum gate_answer
place_move(struct gate *g, struct gate_place *p, const struct gate_who *who, int *told)
{
	struct address *a;

	*told = make_room_at(g, who);
	a = address_get(g, who->key);
	if (a == NULL)
		return GATE_FULL;
	place_give_up(g, p);
	place_take(g, p, a);
	return GATE_IN;
}

enum gate_answer
gate_move(struct gate *g, struct gate_place *p, const struct gate_who *who, uint64_t now_ms)
{
	enum gate_answer r = GATE_IN;
	int told = NOBODY;

	pthread_mutex_lock(&g->lock);
	/* Not if it is to go, or is there already. */
	if (p->at != NULL && p->at != address_find(g, who->key)) {
		if (too_often(g, who, now_ms))
			r = GATE_OFTEN;
		else
			r = place_move(g, p, who, &told);
	}
	pthread_mutex_unlock(&g->lock);
	tell(g, told);
	return r;
}

void
gate_leave(struct gate *g, struct gate_place *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&g->lock);
	if (p->at != NULL)
		place_give_up(g, p);
	else
		g->going--;
	evicted_no_more(g, p);
	g->n--;
	pthread_mutex_unlock(&g->lock);
	mem_free(p);
}

struct gate_owner *
gate_evicted(struct gate *g, int worker)
{
	struct gate_place *p;
	struct gate_owner *owner = NULL;

	pthread_mutex_lock(&g->lock);
	/*
	 * One without an owner is still on its way to the worker, and learns it when it is claimed.
	 */
	while (owner == NULL && (p = TAILQ_FIRST(&g->evicted[worker])) != NULL) {
		owner = p->owner;
		evicted_no_more(g, p);
	}
	if (owner == NULL)
		g->told[worker] = false;
	pthread_mutex_unlock(&g->lock);
	return owner;
}

uint64_t
gate_count(struct gate *g)
{
	uint64_t n;

	pthread_mutex_lock(&g->lock);
	n = g->n;
	pthread_mutex_unlock(&g->lock);
	return n;
}
