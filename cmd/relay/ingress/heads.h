/* SPDX-License-Identifier: ISC */
/*
 * heads - the heads of a request and of its answer, built anew on their way through the relay: no
 * line is passed on as it came.
 */
#ifndef CMD_RELAY_INGRESS_HEADS_H
#define CMD_RELAY_INGRESS_HEADS_H

#include "lib/http/fields.h"
#include "lib/http/host.h"
#include "lib/http/http.h"

struct request_web;

/* What a request's head is made of. */
struct heads_request {
	const struct http_head *head;
	const struct http_site *site;
	const struct fields_origin *origin;
	const struct request_web *rules;
	const char *request_id;
};

/*
 * heads_request - without its end and what frames, for backend_begin, which also tells what went
 * wrong.
 */
void heads_request(struct http_build *b, const struct heads_request *q);

/* heads_upgrade - of the names that h asks to switch to, those that may be; false: none. */
#define HEADS_UPGRADE_MAX 128
bool heads_upgrade(
    const struct http_head *h, const struct request_web *rules, char out[HEADS_UPGRADE_MAX]);

/* How the end of an answer is found by the visitor. */
enum heads_framing {
	/* there is no body */
	HEADS_NOTHING,
	/* by what the head says: Content-Length */
	HEADS_LENGTH,
	HEADS_CHUNKED,
	/* by the end of the connection */
	HEADS_CLOSE,
};

/*
 * heads_framing - of the answer h to a visitor of HTTP/1.minor.
 *   is_head  it answers HEAD
 */
enum heads_framing heads_framing(const struct http_head *h, int minor, bool is_head);

/*
 * heads_answer - whole.
 *   keep  the connection goes on afterwards
 * ERR_LIMIT, ERR_INVALID: the answer cannot be passed on.
 */
int heads_answer(struct http_build *b, const struct http_head *h, int minor,
    enum heads_framing framing, bool keep) WARN_UNUSED;

/* heads_interim - a 1xx that is no switch; heads_switch - 101 to the protocol that it names. */
int heads_interim(struct http_build *b, const struct http_head *h) WARN_UNUSED;
int heads_switch(struct http_build *b, const struct http_head *h) WARN_UNUSED;

#endif
