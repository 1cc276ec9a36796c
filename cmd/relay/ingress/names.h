/* SPDX-License-Identifier: ISC */
/*
 * names - the relay's host names: which domains its agents' labels stand under, what a published
 * host is called on the wire and for people, and which hosts are the relay's own.
 *
 *     --domain t.example.com    the label "pi" is pi.t.example.com
 *     --domain '*'              ... and every host whose first label is "pi"
 *     --relay-host NAME         hosts of the relay itself; without it the domains
 *     --public-url URL          how people reach the web listeners, through whatever is before them
 *
 * Constant once the workers run.
 */
#ifndef CMD_RELAY_INGRESS_NAMES_H
#define CMD_RELAY_INGRESS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/relay/ingress/state.h"
#include "lib/base/err.h"
#include "lib/http/host.h"
#include "proto/request.h"

struct relay_opts;

#define NAMES_DOMAINS_MAX 32
#define NAMES_LABEL_MAX 63
/* 130 bits as base32 */
#define NAMES_RANDOM_LEN 26

/* Embedded.  Members are private. */
struct names {
	/* --domain but '*', and --relay-host; normalised */
	char (*domains)[HTTP_HOST_MAX + 1], (*own)[HTTP_HOST_MAX + 1];
	size_t n_domains, n_own;
	/* --domain '*' */
	bool any_domain;
	/* of --public-url; "": none */
	char public_host[HTTP_HOST_MAX + 1];
	bool public_tls;
	uint16_t public_port;
	/* what random names are made from */
	uint8_t key[STATE_KEY_LEN];
	/* which outlives this process, and the names with it */
	bool has_key;
};

/* names_init - of the options, but for the key, which is random.  ERR_* with e. */
int names_init(struct names *n, const struct relay_opts *o, struct errtext *e) WARN_UNUSED;
/* names_fini - accepts a zeroed one. */
void names_fini(struct names *n);
/* names_set_key - the one that an earlier process had. */
void names_set_key(struct names *n, const uint8_t key[STATE_KEY_LEN]);

/* names_has_labels - is there a --domain, so that labels can be published? */
bool names_has_labels(const struct names *n);

/*
 * names_each - the hosts that one that is asked for (request_host_norm) stands for: a label under
 * every domain (with '*' by itself, too), anything else itself.  Returns the i-th in out, false
 * behind the last.
 */
bool names_each(const struct names *n, const char *asked, size_t i, char out[REQUEST_HOST_MAX + 1]);

/* names_label - the label of a host that is one under a domain; false: it is none. */
bool names_label(const struct names *n, const char *host, char out[NAMES_LABEL_MAX + 1]);
/* names_first_label - the same with '*': the first one of any host; false: there is no '*'. */
bool names_first_label(const struct names *n, const char *host, char out[NAMES_LABEL_MAX + 1]);

/* names_is_relay - is this host the relay's own? */
bool names_is_relay(const struct names *n, const char *host);

/* names_of_agent - an agent's label: its name in lower case; false if that is none. */
bool names_of_agent(const char *agent, char out[NAMES_LABEL_MAX + 1]);

/*
 * names_random - the random label of an agent's service: the same with the same key.  ERR_NOMEM.
 * names_is_random - does it look like one?
 */
int names_random(const struct names *n, const char *agent, const char *service,
    char out[NAMES_RANDOM_LEN + 1]) WARN_UNUSED;
bool names_is_random(const char *label);

/*
 * names_url - where people reach what was asked for.
 *   http, https  ports of the web listeners; 0: there is none
 *   tls          it must be reached by TLS
 * ERR_DENIED: nowhere.
 */
int names_url(const struct names *n, const char *asked, uint16_t http, uint16_t https, bool tls,
    char out[REQUEST_PUBLIC_MAX + 1]) WARN_UNUSED;
/*
 * names_https_port - of https URLs: --public-url's, or else that of the listener.  0: the usual
 * one.
 */
uint16_t names_https_port(const struct names *n, uint16_t https);
/* names_public - the host of that URL. */
void names_public(const struct names *n, const char *asked, char out[REQUEST_HOST_MAX + 1]);

#endif
