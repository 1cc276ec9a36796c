/* SPDX-License-Identifier: ISC */
/*
 * backend_int - what backend_stream.c and backend_answer.c share.  Private to them.
 */
#ifndef CMD_RELAY_INGRESS_BACKEND_INT_H
#define CMD_RELAY_INGRESS_BACKEND_INT_H

#include "cmd/relay/ingress/backend.h"
#include "cmd/relay/ingress/pool.h"
#include "cmd/relay/worker.h"

enum ask { ASK_UNSAID, ASK_BODY, ASK_WHOLE, N_ASK };
enum answer { ANSWER_AWAITED, ANSWER_BODY, ANSWER_WHOLE, N_ANSWER };
enum life { LIFE_USED, LIFE_IDLE, LIFE_FAILED, LIFE_SWITCHED, LIFE_LEAVING, LIFE_OVER, N_LIFE };

struct backend {
	struct loop *loop;
	struct worker *w;
	/* Of the request; not looked at while it is idle. */
	const struct backend_user *user;
	void *arg;
	enum ask ask;
	enum answer answer;
	enum life life;
	/* The stream; NULL once it has failed, or is the user's. */
	struct filter *f;
	/* For whom it is, to which service, and what it has of the agent's streams; references. */
	struct account *payer;
	struct party *party;
	struct publication *pub;
	/* It is one of the party's streams. */
	bool counted;
	struct pooled pooled;
	/* Requests before this one. */
	unsigned n_before;
	/* Of the request. */
	enum http_body framing;
	bool is_head;
	/* Not to be kept. */
	bool once;
	/* The agent's protocol does not tell of the service's end. */
	bool endless;
	char *upgrade;
	uint64_t connect_ms, timeout_ms, stall_ms;
	/* Of the answer. */
	struct http_head *head;
	struct body_reader body;
	unsigned n_interim;
	/* It began before the request had left. */
	bool early;
	/* Bytes came behind it. */
	bool followed;
	bool paused;
	/* The stream has ended, and what stands in it may be yet to be delivered. */
	bool ended, broken;
	char why[128];
	enum backend_failure failure;
	/* Bytes of the stream: before the request, and acknowledged when it failed. */
	uint64_t before, acked;
	/* Since when it is waited for what comes next. */
	uint64_t since_ms;
	struct timer timer;
	uint64_t fires_ms;
	struct task resume;
	struct grave grave;
};

/* backend_set_life - a move of its life, which must be allowed. */
void backend_set_life(struct backend *b, enum life next);

/* backend_fail - it is over, and the user is told. */
void backend_fail(struct backend *b, enum backend_failure f, const char *why);

/* backend_is_awaited - is there more of the answer to come?  _is_reading: and not paused. */
bool backend_is_awaited(const struct backend *b);
bool backend_is_reading(const struct backend *b);

/*
 * backend_take - what has come, or that the stream has ended, while it is read: tell the user.  b
 * may be another's request, or gone, afterwards.
 */
void backend_take(struct backend *b);

/* backend_pass_over - bytes behind the answer. */
void backend_pass_over(struct backend *b);

#endif
