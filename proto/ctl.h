/* SPDX-License-Identifier: ISC */
/*
 * ctl - the JSON bodies of HELLO, OPEN and OPEN_OK (PROTOCOL.md 4) and the structs they become;
 * request.h has CONTROL's.
 *
 * Parsing is strict: no duplicate members, bounded depth and size, known members of the right type
 * and length; unknown members are ignored, so that a later version may add some.  Texts are copied
 * into the structs, always terminated, and hold no control characters.
 */
#ifndef PROTO_CTL_H
#define PROTO_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct jobj;

#define CTL_VERSION 1
#define CTL_VERSION_MAX \
	255 /* HELLO says the highest version the sender speaks; both use the lower one */
#define CTL_BODY_MAX 8192 /* bytes of any JSON body; frame.c allows less for OPEN and OPEN_OK */
#define CTL_NAME_MAX 64   /* bytes of a service's name */
#define CTL_AGENT_MAX 255 /* bytes of an agent's name */
#define CTL_HOST_MAX 255  /* RFC 1035 2.3.4 */
#define CTL_SECRET_MAX 1024
#define CTL_TOKEN_LEN 16 /* bytes; 32 hex digits in JSON */
/* protocols of streams: bytes, datagrams, a session that is end to end (PROTOCOL.md 5.8) */
#define CTL_TCP "tcp"
#define CTL_UDP "udp"
#define CTL_E2E "e2e"
/* bytes of the first window that an OPEN may say */
#define CTL_WINDOW_MIN 8192
#define CTL_WINDOW_MAX INT32_MAX
#define CTL_WORDS_MAX 32 /* abilities in a HELLO, OPEN or OPEN_OK */
#define CTL_ADDR_MAX 64  /* "[v6]:port" */
#define CTL_KEEPALIVE_DEFAULT_MS 15000
#define CTL_KEEPALIVE_MAX_MS 3600000

/* What a session can do beside the least (PROTOCOL.md 4.1): answer requests to publish services. */
#define CTL_CAN_PUBLISH 1

enum ctl_role { CTL_AGENT, CTL_CONNECT, CTL_RELAY };

struct ctl_hello {
	int version;
	enum ctl_role role;
	/* agent: its own; connect: the agent to reach; relay: "" */
	char name[CTL_AGENT_MAX + 1];
	/* wipe after use with ctl_hello_wipe */
	char secret[CTL_SECRET_MAX + 1];
	char software[64];
	/* names the process: sessions of one instance are carriers of one peer */
	uint8_t instance[CTL_TOKEN_LEN];
	/* the sender's interval between pings */
	uint32_t keepalive_ms;
	/* set of CTL_CAN_* */
	unsigned abilities;
	/*
	 * borrowed; of dialects that say it: what ended the sender's last session; NULL: nothing
	 */
	const char *last_error;
};

struct ctl_open {
	/* names the stream across carriers and relays */
	uint8_t token[CTL_TOKEN_LEN];
	/* CTL_TCP, CTL_UDP, CTL_E2E, or another that nobody serves */
	char protocol[8];
	/* nothing of both with CTL_E2E; else either a service ... */
	char service[CTL_NAME_MAX + 1];
	/* ... or host and port; service is "" then */
	char host[CTL_HOST_MAX + 1];
	uint16_t port;
	/* who is being carried, "" when unknown */
	char source[CTL_ADDR_MAX];
	/* a relay's number for the client, so that its streams share; 0: none */
	uint32_t client;
	/* bytes the answering side may send at first; 0: the protocol's least */
	uint32_t window;
	/* the opener has all bytes before this offset */
	uint64_t received;
	/*
	 * all that the peer wrote, owned; NULL: nothing.  What a hop passes on beside what it
	 * overwrites.
	 */
	struct jobj *raw;
};

struct ctl_open_ok {
	uint64_t received;
	/* what was connected, for logs; may be "" */
	char target[CTL_HOST_MAX + 8];
	/* as in struct ctl_open */
	struct jobj *raw;
};

/*
 * ctl_*_parse - n bytes of JSON.  ERR_PROTO (why says which member, and never its value),
 * ERR_NOMEM; the struct is all zero then.  After success ctl_open_fini, ctl_open_ok_fini must
 * follow.  The protocol of an OPEN is any word: the user of the stream refuses those it does not
 * know.
 */
int ctl_hello_parse(struct ctl_hello *h, const void *p, size_t n, struct errtext *why) WARN_UNUSED;
int ctl_open_parse(struct ctl_open *o, const void *p, size_t n, struct errtext *why) WARN_UNUSED;
int ctl_open_ok_parse(
    struct ctl_open_ok *o, const void *p, size_t n, struct errtext *why) WARN_UNUSED;

/*
 * ctl_*_dump - a text of *n bytes, the caller's (mem_free); NULL when out of memory or for text
 * that is not UTF-8.  Of an OPEN or OPEN_OK with raw: everything in raw, with the members that the
 * struct has set put over it.
 */
char *ctl_hello_dump(const struct ctl_hello *h, size_t *n);
char *ctl_open_dump(const struct ctl_open *o, size_t *n);
char *ctl_open_ok_dump(const struct ctl_open_ok *o, size_t *n);

void ctl_hello_wipe(struct ctl_hello *h);

/* ctl_hello_may_log_in - is it an agent's or a client's, with a valid name? */
bool ctl_hello_may_log_in(const struct ctl_hello *h);

/* ctl_open_is_e2e - is it for a session end to end?  It names no target then. */
bool ctl_open_is_e2e(const struct ctl_open *o);

/* ctl_open_fini, ctl_open_ok_fini - free what parsing has kept. */
void ctl_open_fini(struct ctl_open *o);
void ctl_open_ok_fini(struct ctl_open_ok *o);

/* ctl_is_name - 1 to CTL_NAME_MAX letters, digits, '.', '-', '_'; not beginning with '-' or '.'. */
bool ctl_is_name(const char *s);

/*
 * ctl_is_agent - can this be an agent's name: 1 to CTL_AGENT_MAX bytes of ctl_is_text?  What is no
 * DNS label stands in no host name.
 */
bool ctl_is_agent(const char *s);

/*
 * ctl_is_text - UTF-8 without control characters: what a string of a body may hold, a secret too.
 */
bool ctl_is_text(const char *s);

/* ctl_is_host - 1 to CTL_HOST_MAX printable characters of ASCII, no spaces. */
bool ctl_is_host(const char *s);

const char *ctl_role_str(enum ctl_role role);

#endif
