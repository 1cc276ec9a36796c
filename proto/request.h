/* SPDX-License-Identifier: ISC */
/*
 * request - what a CONTROL frame carries (PROTOCOL.md 4.4): an agent asks its relay to publish one
 * of its services, or to withdraw it; the relay says yes, with the public address, or no, with the
 * rule that it breaks.
 *
 * Parsing is strict as ctl.h's is, and unknown members are ignored.
 */
#ifndef PROTO_REQUEST_H
#define PROTO_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/addr.h"
#include "proto/ctl.h"
#include "proto/request_web.h"

#define REQUEST_NETS_MAX 64 /* of allow, and of deny */
#define REQUEST_ERROR_MAX 255
#define REQUEST_PUBLIC_MAX 300 /* "HOST:PORT", or a URL */
/* connections at once, or new ones a second; 0 stands for no limit of the service's own */
#define REQUEST_LIMIT_MAX 1000000

enum request_verb {
	REQUEST_PUBLISH,
	REQUEST_WITHDRAW,
	/* an intact request that we do not know: answered so */
	REQUEST_UNKNOWN,
	/* no request: the answer to one */
	REQUEST_REPLY,
};

/* What visitors must keep to before they reach the agent. */
struct request_rules {
	/* Nobody else is admitted, if there are any; nobody of these is. */
	struct addr_net allow[REQUEST_NETS_MAX], deny[REQUEST_NETS_MAX];
	size_t n_allow, n_deny;
	/* connections at once; new ones a second */
	uint32_t max_connections, max_rate;
	/* 1 or 2: the version of the PROXY header that goes before a visitor's bytes; 0: none */
	int proxy;
};

struct request {
	/* chosen by who asks; the reply repeats it */
	int64_t id;
	enum request_verb verb;
	/* "tcp", "http", "tls" */
	char kind[8];
	/* what the relay's OPENs will name */
	char service[CTL_NAME_MAX + 1];
	/* of the relay; 0: any that is free */
	uint16_t port;
	/* the one that the service had before, if any will do; 0: none */
	uint16_t had;
	struct request_rules rules;
	/*
	 * http, tls: a label under the relay's domain, a name or a wildcard; "": the agent's own
	 * label, or a random one, in place of which the one it had before will do ("": none)
	 */
	char host[REQUEST_HOST_MAX + 1];
	bool random;
	char had_host[REQUEST_HOST_MAX + 1];
	/* http; a reference, NULL for other kinds */
	struct request_web *web;
};

struct request_reply {
	int64_t id;
	bool ok;
	/* yes: where people reach it, and the port of that */
	char public[REQUEST_PUBLIC_MAX + 1];
	uint16_t port;
	/* http, tls: the name of it */
	char host[REQUEST_HOST_MAX + 1];
	/* no: why, for people */
	char error[REQUEST_ERROR_MAX + 1];
};

/*
 * request_parse - n bytes of JSON: a request into *q, or a reply (verb REQUEST_REPLY) into *a.
 * ERR_PROTO with why; q->id is set then if it could be read and this is no reply, for the answer,
 * else 0.  ERR_NOMEM.
 * request_fini - after success, and of a zeroed one.
 */
int request_parse(struct request *q, struct request_reply *a, const void *p, size_t n,
    struct errtext *why) WARN_UNUSED;
void request_fini(struct request *q);

/*
 * request_dump, request_reply_dump - a text of *n bytes, the caller's (mem_free); NULL when out of
 * memory.
 */
char *request_dump(const struct request *q, size_t *n);
char *request_reply_dump(const struct request_reply *a, size_t *n);

/* request_admits - do allow and deny let this address in? */
bool request_admits(const struct request_rules *r, const struct addr *a);

#endif
