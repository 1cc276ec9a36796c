/* SPDX-License-Identifier: ISC */
/* tls_turns - one step of one handshake in each turn of the loop. */
#include "lib/tls/tls_turns.h"

#include <string.h>

#include "lib/base/hashtab.h"

TAILQ_HEAD(place_list, tls_place);
TAILQ_HEAD(group_list, tls_turns_group);

/* Those that wait of one whose handshakes they are; there while there are any. */
struct tls_turns_group {
	uint8_t key[RATELIMIT_KEY_LEN];
	/* That have had a turn and want another; that have not. */
	struct place_list begun, fresh;
	/* It has only fresh ones, and is over its rate. */
	bool rests;
	TAILQ_ENTRY(tls_turns_group) link;
	UT_hash_handle hh;
};

struct tls_turns {
	struct loop *loop;
	struct ratelimit *rate;
	struct tls_turns_group *groups;
	/* Who has had a turn goes to the end. */
	struct group_list waiting, resting;
	struct task next;
	struct timer rest;
};

/* ---- groups ---- */

static void
group_place(struct tls_turns *t, struct tls_turns_group *g, bool rests)
{
	TAILQ_REMOVE(g->rests ? &t->resting : &t->waiting, g, link);
	g->rests = rests;
	TAILQ_INSERT_TAIL(rests ? &t->resting : &t->waiting, g, link);
}

static struct tls_turns_group *
group_get(struct tls_turns *t, const uint8_t key[RATELIMIT_KEY_LEN])
{
	struct tls_turns_group *g;

	HASH_FIND(hh, t->groups, key, RATELIMIT_KEY_LEN, g);
	if (g != NULL || (g = mem_zalloc(sizeof *g)) == NULL)
		return g;
	memcpy(g->key, key, sizeof g->key);
	TAILQ_INIT(&g->begun);
	TAILQ_INIT(&g->fresh);
	HASH_ADD(hh, t->groups, key, RATELIMIT_KEY_LEN, g);
	if (!hashtab_has(g)) {
		mem_free(g);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&t->waiting, g, link);
	return g;
}

static void
group_free(struct tls_turns *t, struct tls_turns_group *g)
{
	TAILQ_REMOVE(g->rests ? &t->resting : &t->waiting, g, link);
	HASH_DEL(t->groups, g);
	mem_free(g);
}

/* Who of it has the next turn; NULL: nobody now. */
static struct tls_place *
group_next(struct tls_turns *t, struct tls_turns_group *g)
{
	struct tls_place *p = TAILQ_FIRST(&g->begun);

	if (p != NULL)
		return p;
	p = TAILQ_FIRST(&g->fresh);
	return p->who.any_rate || ratelimit_take(t->rate, g->key, loop_now_ms(t->loop)) ? p : NULL;
}

/* ---- turns ---- */

static struct tls_place *
next_place(struct tls_turns *t)
{
	struct tls_turns_group *g;
	struct tls_place *p;

	while ((g = TAILQ_FIRST(&t->waiting)) != NULL) {
		p = group_next(t, g);
		group_place(t, g, p == NULL);
		if (p != NULL)
			return p;
	}
	return NULL;
}

static void
ask_again(struct tls_turns *t)
{
	if (!TAILQ_EMPTY(&t->waiting))
		task_later(t->loop, &t->next);
	if (!TAILQ_EMPTY(&t->resting) && !timer_pending(&t->rest))
		timer_set(&t->rest, TLS_TURNS_REST_MS);
}

static void
on_next(void *arg)
{
	struct tls_turns *t = arg;
	struct tls_place *p = next_place(t);

	if (p != NULL) {
		tls_place_leave(p);
		p->begun = true;
		/* It may be gone afterwards. */
		p->fn(p->arg);
	}
	ask_again(t);
}

static void
on_rest_over(void *arg)
{
	struct tls_turns *t = arg;
	struct tls_turns_group *g;

	while ((g = TAILQ_FIRST(&t->resting)) != NULL)
		group_place(t, g, false);
	ask_again(t);
}

struct tls_turns *
tls_turns_new(struct loop *l, uint64_t rate, uint64_t burst)
{
	struct tls_turns *t = mem_zalloc(sizeof *t);

	if (t == NULL)
		return NULL;
	t->loop = l;
	TAILQ_INIT(&t->waiting);
	TAILQ_INIT(&t->resting);
	task_init(&t->next, on_next, t);
	t->rate = ratelimit_new(rate, burst);
	if (t->rate != NULL && timer_init(&t->rest, l, on_rest_over, t) == 0)
		return t;
	ratelimit_free(t->rate);
	mem_free(t);
	return NULL;
}

void
tls_turns_free(struct tls_turns *t)
{
	if (t == NULL)
		return;
	task_cancel(t->loop, &t->next);
	timer_fini(&t->rest);
	ratelimit_free(t->rate);
	mem_free(t);
}

/* ---- places ---- */

void
tls_place_init(struct tls_place *p, struct tls_turns *t, const struct tls_turns_who *who,
    void (*fn)(void *arg), void *arg)
{
	*p = (struct tls_place){ .turns = t, .who = *who, .fn = fn, .arg = arg };
}

int
tls_place_wait(struct tls_place *p)
{
	struct tls_turns *t = p->turns;
	struct tls_turns_group *g;

	if (p->group != NULL)
		return 0;
	g = group_get(t, p->who.key);
	if (g == NULL)
		return ERR_NOMEM;
	p->group = g;
	if (p->begun)
		TAILQ_INSERT_TAIL(&g->begun, p, link);
	else
		TAILQ_INSERT_TAIL(&g->fresh, p, link);
	if (g->rests && p->begun)
		group_place(t, g, false);
	ask_again(t);
	return 0;
}

void
tls_place_leave(struct tls_place *p)
{
	struct tls_turns_group *g = p->group;

	if (g == NULL)
		return;
	if (p->begun)
		TAILQ_REMOVE(&g->begun, p, link);
	else
		TAILQ_REMOVE(&g->fresh, p, link);
	p->group = NULL;
	if (TAILQ_EMPTY(&g->begun) && TAILQ_EMPTY(&g->fresh))
		group_free(p->turns, g);
}
