/* SPDX-License-Identifier: ISC */
/*
 * hnr_agent_int - what the two files of a relay's session with an edge-agent share:
 * hnr_accept_agent.c (login, messages, time) and hnr_conn.c (its streams).
 *
 *      stream   ASKED: `initiate_connection` is said ── `..._ok` ──> OPEN ── our side ends ──> IDLE
 *               ASKED, OPEN, IDLE ── our side breaks it off ──> LEAVING
 *               LEAVING ── `connection_close` is said ──> GONE
 *               ASKED, OPEN, IDLE ── the agent says that it is over ──> GONE
 *
 * A stream that is GONE is freed when no callback can be on the stack any more.
 *
 * Private to proto/dialect.
 */
#ifndef PROTO_DIALECT_HNR_AGENT_INT_H
#define PROTO_DIALECT_HNR_AGENT_INT_H

#include <sys/queue.h>

#include "lib/base/hashtab.h"
#include "proto/dialect/alive.h"
#include "proto/dialect/hnr_accept.h"
#include "proto/dialect/hnr_msg.h"
#include "proto/dialect/inflow.h"

enum { HNR_UUID_LEN = 36 };

enum hnr_agent_state { AGENT_NEW, AGENT_ASKED, AGENT_IN, AGENT_OVER, N_AGENT };
enum hnr_conn_state { CONN_ASKED, CONN_OPEN, CONN_IDLE, CONN_LEAVING, CONN_GONE, N_CONN };

struct hnr_conn {
	struct stream s;
	enum hnr_conn_state state;
	char id[HNR_UUID_LEN + 1];
	/* Until `initiate_connection` is said. */
	struct ctl_open *target;
	/* To the agent; and what it said before its answer. */
	struct bufq out, early;
	/* Its user has ended our half before the answer. */
	bool shut;
	struct inflow_stream in;
	/* In turns: it has something to say. */
	bool has_turn;
	TAILQ_ENTRY(hnr_conn) turn;
	/*
	 * CONN_IDLE: what was said is on its way until this mark has passed (alive.h); when it is
	 * cut off.
	 */
	bool arriving;
	uint32_t mark;
	uint64_t idle_us;
	TAILQ_ENTRY(hnr_conn) idle_turn;
	TAILQ_ENTRY(hnr_conn) gone_link;
	UT_hash_handle hh;
};

TAILQ_HEAD(hnr_conn_list, hnr_conn);

struct hnr_agent {
	struct session s;
	struct mux_config cfg;
	enum hnr_agent_state state;
	struct alive alive;
	struct inflow inflow;
	uint64_t now_us;
	/* By id. */
	struct hnr_conn *conns;
	/* Who sends next; by when they are cut off; to be freed. */
	struct hnr_conn_list turns, idle, gone;
	/* Bytes of those that are leaving. */
	uint64_t leaving;
	/* UINT64_MAX: never. */
	uint64_t keep_alive_us;
	bool keep_alive_due, is_old;
};

static inline struct hnr_agent *
hnr_agent_of(const struct session *s)
{
	return (struct hnr_agent *)(uintptr_t)s;
}

static inline void
hnr_agent_want_output(struct hnr_agent *a)
{
	if (a->s.user != NULL)
		a->s.user->want_output(a->s.arg);
}

/* hnr_conn_new - one stream more, which charges charge.  NULL: out of memory, or random bytes. */
struct hnr_conn *hnr_conn_new(
    struct hnr_agent *a, const struct ctl_open *o, struct budget *charge) WARN_UNUSED;

/* hnr_conn_set_turn - it stands in turns exactly if it has something to say. */
void hnr_conn_set_turn(struct hnr_conn *c);
/* hnr_conn_say - what the first in turns has to say, as one message.  ERR_NOMEM. */
int hnr_conn_say(struct hnr_agent *a, struct bufq *out) WARN_UNUSED;

/* What the agent says of it; the user is told.  hnr_conn_data: ERR_NOMEM. */
void hnr_conn_opened(struct hnr_conn *c);
int hnr_conn_data(struct hnr_conn *c, struct bufq *data) WARN_UNUSED;
void hnr_conn_ended(struct hnr_conn *c, uint32_t code, const char *text);

/* hnr_conn_gone - it is over, and nobody is told. */
void hnr_conn_gone(struct hnr_conn *c);
/* hnr_conns_arrived - the agent has received more of what was said. */
void hnr_conns_arrived(struct hnr_agent *a);
/* hnr_conns_cut - those that have been idle for too long. */
void hnr_conns_cut(struct hnr_agent *a);
/* hnr_conns_free - those that are gone. */
void hnr_conns_free(struct hnr_agent *a);

#endif
