/* SPDX-License-Identifier: ISC */
/*
 * hnr_msg - the messages of http-network-relay: one JSON object in one WebSocket message, read
 * strictly and written as the reference writes it.
 *
 *     {"inner":{"kind":K, ...}}
 *
 * There are four tables of kinds, one for each way between an edge-agent, the relay and an
 * access-client.  Read strictly means: no member twice, bounded depth and size, each member that
 * the table names is there and of its type, the kind is in the table.  Unknown members are ignored.
 *
 * tcp_data in bulk is read and written without a tree: reading so takes only the reference's exact
 * spelling, with an id of letters, digits and '-'; whatever else a message may be goes through the
 * strict parser, with the same result.
 *
 * Copies of payload: 1 each way, which is base64.
 */
#ifndef PROTO_DIALECT_HNR_MSG_H
#define PROTO_DIALECT_HNR_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/buf.h"

struct jobj;

/*
 * The most bytes of a message that anybody of ours takes, and far more than it sends: an
 * access-client takes so many.
 */
#define HNR_MESSAGE_MAX (1024 * 1024)
/*
 * Raw bytes in one tcp_data that we send: a multiple of 3, and the message still fits a block of
 * BUF_LARGE.
 */
#define HNR_DATA_MAX 48000
/* Bytes of a connection_id: UUIDs have 36. */
#define HNR_ID_MAX 128

/*
 * What our own agents say in connection_reset when a target has ended in good order.  The reference
 * never says that; its text for a broken one is another.
 */
#define HNR_ENDED "Connection closed by target"

/* Who says it to whom. */
enum hnr_way {
	HNR_FROM_AGENT,
	HNR_TO_AGENT,
	HNR_FROM_CLIENT,
	HNR_TO_CLIENT,
};

enum hnr_kind {
	HNR_START,
	HNR_START_OK,
	HNR_ERROR,
	HNR_INITIATE,
	HNR_INITIATE_OK,
	HNR_INITIATE_ERROR,
	HNR_DATA,
	HNR_RESET,
	HNR_CLOSE,
	HNR_KEEP_ALIVE,
};

/*
 * What a kind does not have is zero.  Texts are borrowed: of a message that was read they live
 * until hnr_msg_fini.
 */
struct hnr_msg {
	enum hnr_kind kind;
	/* connection_id */
	char id[HNR_ID_MAX + 1];
	/* An agent's start: its name, and what ended its last session, NULL: nothing. */
	const char *name, *last_error;
	/* A client's start: the agent that it wants. */
	const char *agent;
	/* Of either; hnr_msg_fini wipes it. */
	const char *secret;
	/* Of an initiate and a client's start; the port is any integer. */
	const char *host, *protocol;
	int64_t port;
	/* Why: errors, resets, closes. */
	const char *message;
	/* Bytes of tcp_data. */
	struct bufq data;
	/* Private: what the texts of one that was read lie in. */
	struct jobj *raw;
};

/*
 * hnr_msg_read - in is one whole message that was said that way; it keeps its bytes.
 * Returns 0, and hnr_msg_fini must follow; ERR_PROTO, and why says which member is missing or
 * wrong, never its value; ERR_NOMEM.  After an error m is all zero.
 */
int hnr_msg_read(
    struct hnr_msg *m, enum hnr_way way, const struct bufq *in, struct errtext *why) WARN_UNUSED;
void hnr_msg_fini(struct hnr_msg *m);

/*
 * hnr_msg_write - append m as one message to out; not for HNR_DATA.  Members of its kind that are
 * NULL are empty, but for last_error.
 * ERR_INVALID: a text is no UTF-8; ERR_NOMEM: out is as it was.
 */
int hnr_msg_write(struct bufq *out, enum hnr_way way, const struct hnr_msg *m) WARN_UNUSED;

/*
 * hnr_data_write - append one tcp_data with the first n (at most HNR_DATA_MAX) bytes of src, which
 * are taken off it, to out.
 *   id  letters, digits and '-' (hnr_id_is_plain); NULL: between relay and client, where there is
 *       none
 * ERR_NOMEM: both are as they were.
 */
int hnr_data_write(struct bufq *out, const char *id, struct bufq *src, size_t n) WARN_UNUSED;

/*
 * hnr_id_is_plain - 1 to HNR_ID_MAX letters, digits and "-": what the ids of a relay are made of.
 */
bool hnr_id_is_plain(const char *id);

#endif
