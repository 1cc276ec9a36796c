/* SPDX-License-Identifier: ISC */
/*
 * hnr_link - what both of our sessions with a relay of http-network-relay have in common: messages
 * that wait to be said, signs of life, and input that comes faster than it is taken (inflow.h).
 */
#ifndef PROTO_DIALECT_HNR_LINK_H
#define PROTO_DIALECT_HNR_LINK_H

#include <sys/queue.h>

#include "proto/dialect/alive.h"
#include "proto/dialect/hnr_msg.h"
#include "proto/dialect/inflow.h"
#include "proto/mux.h"

/* Bytes of answers that wait for a relay that does not read; more ends the session. */
#define HNR_SAID_MAX (1024 * 1024)

struct hnr_said;
TAILQ_HEAD(hnr_said_list, hnr_said);

struct hnr_link {
	struct session s;
	struct alive alive;
	struct inflow inflow;
	/* Rendered messages, in order. */
	struct hnr_said_list said;
	size_t said_bytes;
	/* ERR_*: something could not be said, so the session is over at its next call; 0. */
	int broken;
};

void hnr_link_init(struct hnr_link *k, const struct session_ops *ops, const struct mux_config *cfg,
    uint64_t now_us);
void hnr_link_fini(struct hnr_link *k);

/* hnr_link_say - queue a message.  ERR_NOMEM; ERR_LIMIT: too much waits; ERR_INVALID: no UTF-8. */
int hnr_link_say(struct hnr_link *k, enum hnr_way way, const struct hnr_msg *m) WARN_UNUSED;
/* hnr_link_take - the oldest that waits, into out; false: there is none. */
bool hnr_link_take(struct hnr_link *k, struct bufq *out);
static inline bool
hnr_link_has(const struct hnr_link *k)
{
	return !TAILQ_EMPTY(&k->said);
}

/* hnr_link_broken - k->broken, and why. */
int hnr_link_broken(const struct hnr_link *k, struct errtext *why) WARN_UNUSED;

/* hnr_link_heard - something came from the relay. */
static inline void
hnr_link_heard(struct hnr_link *k, uint64_t now_us)
{
	k->s.heard_us = now_us;
}

/* hnr_link_tick, hnr_link_deadline_us - see session_tick. */
int hnr_link_tick(struct hnr_link *k, uint64_t now_us, struct errtext *why) WARN_UNUSED;
uint64_t hnr_link_deadline_us(const struct hnr_link *k);

static inline void
hnr_link_want_output(struct hnr_link *k)
{
	if (k->s.user != NULL)
		k->s.user->want_output(k->s.arg);
}

#endif
