/* SPDX-License-Identifier: ISC */
/*
 * creds - the credentials file: who may log in at a relay, and what each may reach.
 *
 *     { "edge-agents": {
 *             "pi":  "SECRET",
 *             "lab": "sha256:HEX",
 *             "nas": { "secret": ["sha256:HEX", "sha256:HEX"], "services": ["ssh", "web-*"],
 *                      "targets": ["127.0.0.1:8080"], "ports": [2222, "6000-6010"],
 *                      "hosts": ["nas", "*.acme.test"], "max-services": 20,
 *                      "expires": "2027-01-31T00:00:00Z" } },
 *       "access-client-secrets": ["SECRET", "sha256:HEX"],
 *       "clients": {
 *             "alice": { "secret": "sha256:HEX", "agents": ["pi", "lab-*"], "e2e": true,
 *                        "targets": ["ssh", "127.0.0.1:22", "10.0.0.0/8:*"] },
 *             "bob": { "key": "tunnel-pub-...", "agents": ["pi"], "targets": ["ssh"] } } }
 *
 * A superset of http-network-relay's file, whose two members keep their meaning: a secret in
 * access-client-secrets reaches every agent and every target.  A client's entry reaches what its
 * lists name; a list that is absent or empty admits nothing.  Both kinds of entry may have
 * "max-sessions", "max-streams", "max-memory" (bytes, or "64m") and "max-opens" (streams opened in
 * a second): what all who show its secrets may have together.  An agent's entry with "services" or
 * "targets" admits through it only the services and the hosts and ports that these name, so
 * "services" alone admits no host and port; an entry with neither admits everything.  "ports",
 * "hosts" and "max-services" say what an agent may publish, "publish" what is published without
 * being asked for (creds_publish.h).  "expires" (RFC 3339) is allowed in both kinds of entry, and
 * several secrets at once, so that one can be replaced without a gap.  In place of a secret, or
 * beside it, both may have a "key", or several: who proves the private half of one is let in.  A
 * public key is no secret, so it lets nobody in who says it.
 * A client with "e2e" may have sessions end to end with its agents.  What it reaches in them nobody
 * can see here, so no targets bind it then, neither its own nor an agent's: the agent judges.
 * An item of "targets" with a colon is a HOST:PORT pattern of lib/conf/match.h; without, a
 * service's name, in which '*' stands for any run of characters, as it does in "agents".  So "*" is
 * every service, "*:*" every host and port.
 *
 * Of each secret only its SHA-256 is kept.  Comparison always goes through every entry and takes
 * constant time for each, so that the time of a refusal tells nothing.  What is not understood is
 * refused at load: an unknown member of an entry, an empty secret, two clients who could not be
 * told apart.  What http-network-relay takes is taken, with a warning where it has no effect or
 * less than it seems: an unknown member of the file, two names of agents that differ in case only
 * (neither is a host name then), a secret with a control character (which our own programs cannot
 * show).
 *
 * struct creds never changes once loaded and is shared by threads; the count of its references is
 * atomic.  The time (seconds since 1970, for "expires") is an argument.
 */
#ifndef PROTO_CREDS_H
#define PROTO_CREDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/hash.h"
#include "lib/tls/keys.h"
#include "proto/ctl.h"

#define CREDS_FILE_MAX (4 * 1024 * 1024) /* bytes of the file */
#define CREDS_SECRETS_MAX 16             /* secrets of one entry */
#define CREDS_LIST_MAX 1024              /* items of agents, targets, services, ports */
#define CREDS_WARNINGS_MAX 16            /* kept of one file */
#define CREDS_LIMIT_MAX 1000000000 /* of a number in an entry; bytes may be 1000 times as many */
#define CREDS_SERVICES_DEFAULT 16  /* that an agent may publish; a range of ports counts each */
#define CREDS_SERVICES_MAX 1000    /* of "max-services" */

struct creds;
struct creds_published;

enum creds_kind {
	CREDS_NOBODY,
	CREDS_AGENT,
	/* a secret of access-client-secrets */
	CREDS_SHARED,
	/* an entry of clients */
	CREDS_CLIENT,
};

/* Who somebody has proved to be.  Plain data, copied freely; holds no secret. */
struct creds_id {
	enum creds_kind kind;
	/* of the entry; "" for CREDS_SHARED */
	char name[CTL_AGENT_MAX + 1];
	/* SHA-256 of the secret that was shown, or by_key of the point that was proved */
	uint8_t digest[HASH_SHA256_LEN];
	bool by_key;
};

/*
 * creds_load - read and check the file at path; NULL: there is none.
 *   agent_keys  n items NAME=tunnel-pub-...: agents without an entry in the file (--agent-key)
 * Returns 0 with one reference for the caller in *out; ERR_NOTFOUND, ERR_LIMIT, ERR_INVALID,
 * ERR_SYS, ERR_NOMEM with one sentence in e that names the entry and never a secret; *out is as it
 * was then, so that the old one stays.
 */
int creds_load(const char *path, char *const *agent_keys, size_t n, struct creds **out,
    struct errtext *e) WARN_UNUSED;

/* creds_parse - the same from n bytes of text, without such items. */
int creds_parse(const void *p, size_t n, struct creds **out, struct errtext *e) WARN_UNUSED;

/*
 * creds_ref - one more reference; returns c.  creds_unref - one less, the last frees; NULL is fine.
 * Any thread.
 */
struct creds *creds_ref(struct creds *c);
void creds_unref(struct creds *c);

/* creds_warning - sentence i of what the file's owner should know; NULL: there are no more. */
const char *creds_warning(const struct creds *c, size_t i);

/* creds_is_empty - is there nobody in it who could log in? */
bool creds_is_empty(const struct creds *c);
/* creds_has_keys - is there somebody who can log in by key? */
bool creds_has_keys(const struct creds *c);

/* How somebody proves who it is: by key, if there is one, else by secret. */
struct creds_proof {
	const char *secret;
	/* a point (KEYS_POINT_LEN bytes) whose private half it has proved to have, or NULL */
	const uint8_t *key;
};

/*
 * creds_agent - may somebody with this proof be the agent called name?  creds_client - who is a
 * client with it?
 *   now_s   wall clock
 * Return 0 with *id filled; ERR_DENIED (one answer for an unknown name and a wrong secret or key);
 * ERR_TIMEOUT when the proof is right and the entry has expired.  *id is CREDS_NOBODY on error.
 */
int creds_agent(const struct creds *c, const char *name, const struct creds_proof *proof,
    int64_t now_s, struct creds_id *id) WARN_UNUSED;
int creds_client(const struct creds *c, const struct creds_proof *proof, int64_t now_s,
    struct creds_id *id) WARN_UNUSED;

/*
 * creds_still_valid - would id, which an earlier struct creds gave out, be admitted by c too?
 * Asked for every session after a reload, and from time to time for the sake of "expires".
 */
bool creds_still_valid(const struct creds *c, const struct creds_id *id, int64_t now_s);

/* What an entry says of limits; 0: nothing. */
struct creds_limits {
	uint64_t sessions;
	uint64_t streams;
	/* bytes */
	uint64_t memory;
	/* a second */
	uint64_t opens;
};

/* creds_limits - of the entry that let id in; all 0 if there is none. */
void creds_limits(const struct creds *c, const struct creds_id *id, struct creds_limits *l);

/*
 * creds_agent_may_offer - do the "services" of id's entry, if they are limited, name this one?  c
 * NULL: any.
 */
bool creds_agent_may_offer(const struct creds *c, const struct creds_id *id, const char *service);

/*
 * creds_agent_may_publish - may id, an agent, have this port of the relay?  c NULL (the relay has
 * no credentials): any.  creds_agent_next_port - the first one from this port on that it may have;
 * 0: none.  creds_max_services - how many services it may have published at once;
 * CREDS_SERVICES_DEFAULT if c is NULL or has no entry for id.
 */
bool creds_agent_may_publish(const struct creds *c, const struct creds_id *id, uint16_t port);
uint16_t creds_agent_next_port(const struct creds *c, const struct creds_id *id, uint16_t port);
uint64_t creds_max_services(const struct creds *c, const struct creds_id *id);

/*
 * creds_agent_published - what is published for id, an agent, without being asked for: *n items,
 * which live as long as c; c NULL: none.
 */
const struct creds_published *creds_agent_published(
    const struct creds *c, const struct creds_id *id, size_t *n);

/*
 * creds_agent_may_host - may id, an agent, publish a web service under this host?
 *   label  what it is under a domain of the relay; "": no label
 * What its "hosts" name; without them its own name as the label, unless "services" or "targets" say
 * that it has nothing else to offer, or another's name differs in case only.  c NULL: any.
 * creds_agent_may_random - under a random name?
 */
bool creds_agent_may_host(
    const struct creds *c, const struct creds_id *id, const char *label, const char *host);
bool creds_agent_may_random(const struct creds *c, const struct creds_id *id);

/*
 * creds_agent_of_label - the agent whose name is this label, but for case; NULL: none, more than
 * one, or c is NULL.  It lives as long as c.
 */
const char *creds_agent_of_label(const struct creds *c, const char *label);

/*
 * creds_client_may - may id open this stream to the agent?  Asked for each stream: the identity is
 * looked up anew, and an agent's entry with "services" or "targets" must name what o asks for.
 * What is not allowed in so many words is denied.  Whether there is such an agent is another
 * question, which the table of sessions answers.
 */
bool creds_client_may(const struct creds *c, const struct creds_id *id, const char *agent,
    const struct ctl_open *o, int64_t now_s);

#endif
