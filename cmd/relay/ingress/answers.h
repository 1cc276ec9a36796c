/* SPDX-License-Identifier: ISC */
/*
 * answers - what the relay itself answers to a request: that it cannot be carried, and why.
 *
 * Plain text or the operator's own page (pages.h), or JSON for whoever asks for that:
 *
 *     502 Bad Gateway: the service refuses the connection
 *     {"status":502,"error":"the service refuses the connection","request_id":"9f3c..."}
 *
 * Nothing of the request is repeated, and nothing of what is behind the relay is told.
 */
#ifndef CMD_RELAY_INGRESS_ANSWERS_H
#define CMD_RELAY_INGRESS_ANSWERS_H

#include <stdint.h>

#include "lib/http/http.h"

struct filter;
struct pages;
struct relay;

struct answer {
	int status;
	/* one sentence without its end; static text */
	const char *text;
	/* the connection goes on after it */
	bool keep;
	/* "" before a request has one */
	const char *request_id;
	/* Of 308: the same target of this host by https; port 0: the usual one. */
	const char *host, *target;
	uint16_t port;
	/* Bytes in place of the sentence; NULL: none. */
	const char *body;
	size_t len;
};

/*
 * answer_build - append the whole answer to out.
 *   p  the operator's pages, or NULL
 *   h  the request's head; NULL, or not done, if there is none that could be read.  An answer to
 *      HEAD has no body.
 * ERR_NOMEM.
 */
int answer_build(struct bufq *out, const struct answer *a, const struct http_head *h,
    const struct pages *p) WARN_UNUSED;

/*
 * answer_send - with the relay's pages, to the visitor; flushed, so the connection's end may be
 * told meanwhile.  An error: nothing was written.
 */
int answer_send(struct relay *r, struct filter *f, const struct answer *a,
    const struct http_head *h) WARN_UNUSED;

#endif
