/* SPDX-License-Identifier: ISC */
/* party - what one identity has open at one agent. */
#include "cmd/relay/party.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

struct party *
party_get(struct worker *w, struct account *a, const char *agent)
{
	struct party_key k;
	struct party *y;

	memset(&k, 0, sizeof k);
	k.account = a;
	snprintf(k.agent, sizeof k.agent, "%s", agent);
	HASH_FIND(hh, w->parties, &k, sizeof k, y);
	if (y != NULL)
		return party_ref(y);
	y = mem_zalloc(sizeof *y);
	if (y == NULL)
		return NULL;
	memcpy(&y->key, &k, sizeof k);
	TAILQ_INIT(&y->held_by);
	pool_list_init(&y->idle);
	HASH_ADD(hh, w->parties, key, sizeof k, y);
	if (!hashtab_has(y)) {
		mem_free(y);
		return NULL;
	}
	account_ref(w->relay->accounts, a);
	return party_ref(y);
}

struct party *
party_ref(struct party *y)
{
	y->refs++;
	return y;
}

void
party_put(struct worker *w, struct party *y)
{
	if (y == NULL || --y->refs > 0)
		return;
	assert(y->streams == 0 && TAILQ_EMPTY(&y->held_by));
	HASH_DEL(w->parties, y);
	account_put(w->relay->accounts, y->key.account, loop_now_ms(w->loop));
	mem_free(y);
}
