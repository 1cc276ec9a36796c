/* SPDX-License-Identifier: ISC */
/*
 * exchange_int - for exchange*.c only: one exchange, in three files.
 *
 *     exchange.c       its life, its end, its times, and what the connection tells
 *     exchange_ask.c   whose it is, who may ask, and asking
 *     exchange_pass.c  the request's body and the answer on their way
 */
#ifndef CMD_RELAY_INGRESS_EXCHANGE_INT_H
#define CMD_RELAY_INGRESS_EXCHANGE_INT_H

#include "cmd/relay/ingress/backend.h"
#include "cmd/relay/ingress/door.h"
#include "cmd/relay/ingress/exchange.h"
#include "cmd/relay/ingress/heads.h"
#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/ingress/routes.h"
#include "cmd/relay/ingress/splice.h"

/* Of an id that the visitor brings; ours have 16 digits. */
#define EXCHANGE_ID_MAX 64
#define EXCHANGE_WHY_MAX 160

enum exchange_state {
	/* It is known whose it is. */
	EXCHANGE_ROUTED,
	/* Let in, and the agent is away. */
	EXCHANGE_WAITING,
	/* The backend has the head, or part of the request. */
	EXCHANGE_ASKED,
	/* The answer's head has gone to the visitor. */
	EXCHANGE_ANSWERED,
	/* Another protocol is spoken. */
	EXCHANGE_TUNNEL,
	EXCHANGE_OVER,
	EXCHANGE_STATES
};

/* What the relay answers by itself. */
struct refusal {
	int status;
	/* for the visitor; static */
	const char *text;
};

struct exchange {
	struct worker *w;
	enum exchange_state state;
	struct filter *f;
	struct http_head *head;
	const struct addr *peer, *to;
	/* Who asks, told by trusted proxies or the same as peer. */
	struct addr visitor;
	bool tls, trusted, is_head;
	const struct exchange_user *user;
	void *arg;
	struct http_site site;
	struct route route;
	/* It is known already that it will not be carried; status 0: it is not. */
	struct refusal refusal;
	/* What --acme-dir has for it is being looked up. */
	struct acme_ask *challenge;
	char id[EXCHANGE_ID_MAX + 1];
	struct door_pass pass;
	/* A reference, NULL: not found yet; and it is counted there. */
	struct publication *pub;
	/* As they were when it began; a reference. */
	struct request_web *rules;
	/* Counted among the relay's visitors. */
	bool counted;
	struct backend *b;
	/* Of EXCHANGE_TUNNEL. */
	struct splice *splice;
	char upgrade[HEADS_UPGRADE_MAX];

	/* The request's body: all has come; it waits for 100; the backend takes no more now. */
	struct body_reader body;
	bool body_done, holding, blocked;
	/* The visitor sends no more. */
	bool ended;
	/* What was handed to a used stream, for another one; not: it is too much. */
	struct bufq again;
	bool may_again, was_again;
	uint64_t handed;

	/* The answer: its end was written; the backend pauses; to be reset if we end now. */
	enum heads_framing framing;
	bool keep, whole, paused, reset;
	struct task flush;

	/* When it began, and until when it waits: for a file, for the agent, or for 100. */
	uint64_t since_ms, until_ms;
	/* When payload came last; when the visitor took something, what it had to take then. */
	uint64_t body_ms, moved_ms;
	/* When the visitor ended, or was given something since. */
	uint64_t ended_ms;
	size_t backlog;
	/* For the line in the log. */
	uint64_t first_ms, up, down;
	int status;
	char why[EXCHANGE_WHY_MAX];
	TAILQ_ENTRY(exchange) waiting;
	struct grave grave;
};

extern const struct refusal exchange_no_memory;
extern const struct backend_user exchange_backend_user;

/* ---- exchange.c ---- */

void exchange_set_state(struct exchange *x, enum exchange_state next);
uint64_t exchange_now_ms(const struct exchange *x);
const struct relay_opts *exchange_opts(const struct exchange *x);
/* exchange_log - the line of a request whose answer has begun or is over. */
void exchange_log(const struct exchange *x);
/* exchange_set_why - for the line in the log. */
void exchange_set_why(struct exchange *x, const char *why);
void exchange_close_backend(struct exchange *x);
/* exchange_set_reset - does the connection break off if it ends now? */
void exchange_set_reset(struct exchange *x, bool on);
/* exchange_finish - over, and the connection is told. */
void exchange_finish(struct exchange *x, enum exchange_end end);
/* exchange_answered - over behind a whole answer. */
void exchange_answered(struct exchange *x, bool keep);
/* exchange_cut - the answer that has begun must not be taken for a whole one. */
void exchange_cut(struct exchange *x, const char *why);
/* exchange_refuse - answer in the service's place; what has begun is cut. */
void exchange_refuse(struct exchange *x, struct refusal no, const char *why);
/* exchange_answer_text - 200 and n bytes, which the relay has by itself. */
void exchange_answer_text(struct exchange *x, const char *text, size_t n);
/* exchange_awaits_body - is it the visitor's turn to send? */
bool exchange_awaits_body(const struct exchange *x);
/* exchange_note_given - something was written to the visitor. */
void exchange_note_given(struct exchange *x);
/* exchange_arrange - tell the connection what is due. */
void exchange_arrange(struct exchange *x);

/* ---- exchange_ask.c ---- */

/* exchange_route - whose is it?  Sets route or refusal. */
void exchange_route(struct exchange *x);
/* exchange_failed - of the backend: ask once more, or answer. */
void exchange_failed(void *arg, enum backend_failure f, const char *why);
/* exchange_leave_publication - counted there no more. */
void exchange_leave_publication(struct exchange *x);
/* exchange_away - the agent has not come back in time. */
void exchange_away(struct exchange *x);

/* ---- exchange_pass.c ---- */

/* exchange_move_body - as far as the backend takes it. */
void exchange_move_body(struct exchange *x);
/* exchange_stop_holding - the body goes, with or without 100. */
void exchange_stop_holding(struct exchange *x);
/* exchange_watch_visitor - read it while somebody wants what it sends. */
void exchange_watch_visitor(struct exchange *x);
/* exchange_note_backlog - has the visitor taken something since it was looked at last? */
void exchange_note_backlog(struct exchange *x);
/* exchange_flush - let what was written go; the end of the answer's way. */
void exchange_flush(void *arg);

#endif
