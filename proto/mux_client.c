/* SPDX-License-Identifier: ISC */
/*
 * mux_client - the streams of one client, which share one place in the session's rotation and one
 * budget.
 */
#include "lib/base/mem.h"
#include "proto/mux_int.h"

void
mux_client_init(struct mux *m, struct mux_client *c)
{
	turns_init(&c->streams);
	budget_init(&c->budget, m->cfg.client_max, m->cfg.budget);
	budget_init(&c->keep, 2 * m->cfg.client_max, m->cfg.keep);
}

struct mux_client *
mux_client_get(struct mux *m, uint32_t number)
{
	struct mux_client *c = &m->client0;

	if (number != 0)
		HASH_FIND(hh, m->clients, &number, sizeof number, c);
	if (c == NULL) {
		c = mem_zalloc(sizeof *c);
		if (c == NULL)
			return NULL;
		c->number = number;
		mux_client_init(m, c);
		HASH_ADD(hh, m->clients, number, sizeof c->number, c);
		if (!hashtab_has(c)) {
			mem_free(c);
			return NULL;
		}
	}
	c->n_streams++;
	return c;
}

void
mux_client_put(struct mux *m, struct mux_client *c)
{
	if (--c->n_streams > 0 || c == &m->client0)
		return;
	turns_leave(&m->turns, &c->turn);
	HASH_DEL(m->clients, c);
	mem_free(c);
}

struct budget *
mux_client_budget(struct mux *m, struct mux_client *c)
{
	return m->cfg.client_max > 0 ? &c->budget : m->s.budget;
}

struct budget *
mux_client_keep(struct mux *m, struct mux_client *c)
{
	return m->cfg.client_max > 0 ? &c->keep : m->cfg.keep;
}
