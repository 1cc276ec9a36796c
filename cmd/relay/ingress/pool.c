/* SPDX-License-Identifier: ISC */
/* pool - streams to services that wait for the next request. */
#include "cmd/relay/ingress/pool.h"

#include "cmd/relay/ingress/publication.h"
#include "cmd/relay/party.h"
#include "proto/session.h"

void
pool_list_init(struct pool_list *list)
{
	TAILQ_INIT(&list->all);
	list->n = 0;
}

static void
drop(struct pooled *x)
{
	pool_remove(x);
	x->ops->drop(x);
}

/* Those that came last are at the head. */
static struct pooled *
oldest(const struct pool_list *list)
{
	return TAILQ_LAST(&list->all, pooled_head);
}

/* ---- time ---- */

static void
watch(struct pool *p)
{
	struct pooled *x = oldest(&p->idle);
	uint64_t now = loop_now_ms(p->loop);

	if (x != NULL && !timer_pending(&p->timer))
		timer_set(&p->timer, x->since_ms + POOL_IDLE_MS - now);
}

static void
on_timer(void *arg)
{
	struct pool *p = arg;
	struct pooled *x;

	while ((x = oldest(&p->idle)) != NULL && x->since_ms + POOL_IDLE_MS <= loop_now_ms(p->loop))
		drop(x);
	watch(p);
}

/* ---- life ---- */

int
pool_init(struct pool *p, struct loop *l)
{
	*p = (struct pool){ .loop = l };
	pool_list_init(&p->idle);
	return timer_init(&p->timer, l, on_timer, p);
}

void
pool_fini(struct pool *p)
{
	timer_fini(&p->timer);
}

void
pool_stop(struct pool *p)
{
	struct pooled *x;

	p->stopped = true;
	while ((x = oldest(&p->idle)) != NULL)
		drop(x);
}

/* ---- coming and going ---- */

/* In the list there is room for one more. */
static void
make_room(struct pool_list *list, unsigned most)
{
	if (list->n >= most)
		drop(oldest(list));
}

bool
pool_put(struct pool *p, struct pooled *x, const struct pooled_ops *ops, struct party *y,
    struct publication *pub)
{
	if (p->stopped)
		return false;
	make_room(&y->idle, POOL_OF_ONE);
	make_room(&pub->idle, POOL_OF_SERVICE);
	make_room(&p->idle, POOL_MAX);
	*x = (struct pooled){
		.ops = ops, .pool = p, .party = y, .pub = pub, .since_ms = loop_now_ms(p->loop)
	};
	TAILQ_INSERT_HEAD(&p->idle.all, x, by_age);
	TAILQ_INSERT_HEAD(&y->idle.all, x, by_party);
	TAILQ_INSERT_HEAD(&pub->idle.all, x, by_service);
	p->idle.n++;
	y->idle.n++;
	pub->idle.n++;
	watch(p);
	return true;
}

void
pool_remove(struct pooled *x)
{
	struct pool *p = x->pool;

	if (p == NULL)
		return;
	TAILQ_REMOVE(&p->idle.all, x, by_age);
	TAILQ_REMOVE(&x->party->idle.all, x, by_party);
	TAILQ_REMOVE(&x->pub->idle.all, x, by_service);
	p->idle.n--;
	x->party->idle.n--;
	x->pub->idle.n--;
	x->pool = NULL;
}

struct pooled *
pool_take(struct party *y, const struct publication *pub)
{
	struct pooled *x;

	TAILQ_FOREACH (x, &y->idle.all, by_party)
		if (x->pub == pub && !x->ops->session(x)->going) {
			pool_remove(x);
			return x;
		}
	return NULL;
}

void
pool_drop_service(struct publication *pub)
{
	struct pooled *x;

	while ((x = oldest(&pub->idle)) != NULL)
		drop(x);
}

void
pool_drop_session(struct pool *p, const struct session *s)
{
	struct pooled *x, *next;

	for (x = TAILQ_FIRST(&p->idle.all); x != NULL; x = next) {
		next = TAILQ_NEXT(x, by_age);
		if (x->ops->session(x) == s)
			drop(x);
	}
}
