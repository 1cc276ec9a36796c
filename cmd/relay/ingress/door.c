/* SPDX-License-Identifier: ISC */
/* door - who may come in to a published service. */
#include "cmd/relay/ingress/door.h"

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/publish.h"

static const char *const words[DOOR_ANSWERS] = {
	[DOOR_IN] = "let in",
	[DOOR_DENIED] = "not a network that the service admits",
	[DOOR_CONNECTIONS] = "the service has as many connections as it may have (max-connections)",
	[DOOR_RATE] = "too many new connections a second (max-rate)",
	[DOOR_ADDRESS] = ("this address has as many connections as it may have, or opens them too "
			  "fast (--identity-streams, --identity-opens)"),
	[DOOR_SHARE] = "this address has its share of the agent's streams",
	[DOOR_NO_MEMORY] = "out of memory",
};

const char *
door_words(enum door_answer a)
{
	return words[a];
}

bool
door_known(struct door_pass *pass, struct worker *w, const struct addr *from)
{
	static const struct creds_id nobody = { .kind = CREDS_NOBODY };
	uint8_t who[ADDR_IDENTITY_LEN];

	if (pass->account != NULL)
		return true;
	addr_identity(from, who);
	pass->account = accounts_get(w->relay->accounts, &nobody, who, NULL);
	return pass->account != NULL;
}

enum door_answer
door_enter(struct door_pass *pass, struct publication *pub, const struct addr *from)
{
	static const uint8_t one_for_all[RATELIMIT_KEY_LEN];
	uint64_t now_us = loop_now_us(pub->w->loop);

	if (!request_admits(&pub->rules, from))
		return DOOR_DENIED;
	if (pub->rules.max_connections != 0 && pub->n_visitors > pub->rules.max_connections)
		return DOOR_CONNECTIONS;
	if (pub->rate != NULL && !ratelimit_take(pub->rate, one_for_all, now_us / 1000))
		return DOOR_RATE;
	if (!door_known(pass, pub->w, from))
		return DOOR_NO_MEMORY;
	pass->entered = account_open(pass->account);
	return pass->entered ? DOOR_IN : DOOR_ADDRESS;
}

bool
door_may_open(struct account *a, struct worker *w)
{
	uint64_t now_us = loop_now_us(w->loop);

	account_opened(a, now_us);
	return account_wait_ms(a, now_us) == 0;
}

enum door_answer
door_stream(struct door_pass *pass, struct publication *pub)
{
	struct party *y;

	if (!door_may_open(pass->account, pub->w))
		return DOOR_ADDRESS;
	y = party_get(pub->w, pass->account, pub->group->name);
	if (y == NULL)
		return DOOR_NO_MEMORY;
	if (!group_leaves_room(pub->group, y, pub->w->relay->opts.max_streams)) {
		party_put(pub->w, y);
		return DOOR_SHARE;
	}
	y->streams++;
	pass->party = y;
	return DOOR_IN;
}

void
door_leave(struct door_pass *pass, struct worker *w)
{
	if (pass->party != NULL)
		pass->party->streams--;
	party_put(w, pass->party);
	pass->party = NULL;
	if (pass->account == NULL)
		return;
	if (pass->entered)
		account_close(pass->account);
	pass->entered = false;
	account_put(w->relay->accounts, pass->account, loop_now_ms(w->loop));
	pass->account = NULL;
}
