/* SPDX-License-Identifier: ISC */
/*
 * uplink - an agent's or a connect client's session with its relay: dialled, greeted, watched,
 * dialled again.
 *
 *     DIALLING ── WebSocket open ──> GREETING ── relay's HELLO ──> UP ── lost ──> WAITING
 *     WAITING ── back-off ──> DIALLING
 *
 * A relay that is shutting down says goodbye while streams are open.  Such a session leaves: it is
 * kept beside the uplink until its streams have ended, and the uplink dials again at once, since a
 * new relay may be there already.
 *
 * The back-off is exponential with full jitter, UPLINK_BACKOFF_MIN_MS to UPLINK_BACKOFF_MAX_MS, and
 * starts anew after a session that lasted UPLINK_LASTED_MS.  Every dial looks the relay's name up
 * anew.
 */
#ifndef CMD_UPLINK_H
#define CMD_UPLINK_H

#include "cmd/cmd.h"
#include "cmd/common/carrier.h"
#include "cmd/common/dialer.h"
#include "cmd/common/key_option.h"
#include "lib/conf/opt.h"
#include "lib/base/secret.h"

#define UPLINK_BACKOFF_MIN_MS 500
#define UPLINK_BACKOFF_MAX_MS 30000
#define UPLINK_LASTED_MS 10000 /* a session that stood this long was a success */
#define UPLINK_CARRIERS_MAX 8
/*
 * After the relay's goodbye its agents dial within this time, its clients in the same time after
 * that: spread, so that they do not all knock at once, and in this order, so that a client finds
 * its agent.
 */
#define UPLINK_LEAVE_SPREAD_MS 200
/* Sessions that leave, beside the one that counts; one more cuts off the oldest. */
#define UPLINK_LEAVING_MAX 4

/* ---- what the command line says of uplinks: rows for the tables of agent and connect ---- */

struct uplink_opts {
	char *relay;
	struct secret *secret;
	char *secret_file;
	struct key_opts key;
	struct opt_list relay_keys;
	char *join_file;
	char *ca;
	struct opt_list pins;
	struct opt_list headers;
	char *proxy;
	/* Index into uplink_dialects. */
	int dialect;
	uint64_t keepalive_ms, carriers, max_window, max_memory;
};

/* The words of --dialect; the first: as the URL's path has it, or as the relay answers. */
extern const char *const uplink_dialects[];

#define UPLINK_OPT_ROWS(S, m, DEF_MEMORY)                                                      \
	{ .name = "relay",                                                                     \
		.letter = 'r',                                                                 \
		.kind = OPT_STRING,                                                            \
		.off = offsetof(S, m.relay),                                                   \
		.arg = "URL",                                                                  \
		.env = "TUNNEL_RELAY",                                                         \
		.help = "the relay: ws://HOST[:PORT] or wss://HOST[:PORT]" },                  \
	    { .name = "secret-file",                                                           \
		    .kind = OPT_STRING,                                                        \
		    .off = offsetof(S, m.secret_file),                                         \
		    .arg = "FILE",                                                             \
		    .env = "TUNNEL_SECRET_FILE",                                               \
		    .rival = "secret",                                                         \
		    .help = "read the secret from FILE" },                                     \
	    { .name = "secret",                                                                \
		    .kind = OPT_SECRET,                                                        \
		    .off = offsetof(S, m.secret),                                              \
		    .arg = "SECRET",                                                           \
		    .env = "TUNNEL_SECRET",                                                    \
		    .key = OPT_NO_KEY,                                                         \
		    .rival = "secret-file",                                                    \
		    .help = "the secret itself; others may see it while the program starts: "  \
			    "prefer --secret-file" },                                          \
	    KEY_OPT_ROWS(S, m.key,                                                             \
		"log in by the private key in FILE (tunnel keygen), and by nothing else"),     \
	    { .name = "relay-key",                                                             \
		    .kind = OPT_LIST,                                                          \
		    .off = offsetof(S, m.relay_keys),                                          \
		    .arg = "tunnel-pub-...",                                                   \
		    .env = "TUNNEL_RELAY_KEY",                                                 \
		    .help = "the relay's public key, which a login by key needs; several "     \
			    "while it is changed" },                                           \
	    { .name = "join-file",                                                             \
		    .kind = OPT_STRING,                                                        \
		    .off = offsetof(S, m.join_file),                                           \
		    .arg = "FILE",                                                             \
		    .env = "TUNNEL_JOIN_FILE",                                                 \
		    .help = "log in as the string of tunnel keygen --join in FILE says: it "   \
			    "stands for --relay, --relay-key and --key-file" },                \
	    { .name = "ca",                                                                    \
		    .kind = OPT_STRING,                                                        \
		    .off = offsetof(S, m.ca),                                                  \
		    .arg = "FILE",                                                             \
		    .env = "TUNNEL_CA",                                                        \
		    .help = "trust the certificate authorities in FILE (PEM) instead of the "  \
			    "system's" },                                                      \
	    { .name = "pin",                                                                   \
		    .kind = OPT_LIST,                                                          \
		    .off = offsetof(S, m.pins),                                                \
		    .arg = "sha256//BASE64",                                                   \
		    .env = "TUNNEL_PIN",                                                       \
		    .help = "accept this public key of the relay only" },                      \
	    { .name = "header",                                                                \
		    .letter = 'H',                                                             \
		    .kind = OPT_LIST,                                                          \
		    .off = offsetof(S, m.headers),                                             \
		    .wipe = true,                                                              \
		    .arg = "'NAME: VALUE'",                                                    \
		    .help = "send this header with the handshake" },                           \
	    { .name = "proxy",                                                                 \
		    .kind = OPT_STRING,                                                        \
		    .off = offsetof(S, m.proxy),                                               \
		    .wipe = true,                                                              \
		    .arg = "URL",                                                              \
		    .env = "TUNNEL_PROXY",                                                     \
		    .help = "go through this HTTP proxy, or none, instead of the one in "      \
			    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY" },                            \
	    { .name = "dialect",                                                               \
		    .kind = OPT_ENUM,                                                          \
		    .off = offsetof(S, m.dialect),                                             \
		    .arg = "DIALECT",                                                          \
		    .env = "TUNNEL_DIALECT",                                                   \
		    .def = "auto",                                                             \
		    .words = uplink_dialects,                                                  \
		    .help = "what the relay speaks: native, http-network-relay, or auto: as "  \
			    "the URL's path has it, else native, and the other if the relay "  \
			    "does not know that" },                                            \
	    { .name = "max-window",                                                            \
		    .kind = OPT_SIZE,                                                          \
		    .off = offsetof(S, m.max_window),                                          \
		    .arg = "SIZE",                                                             \
		    .env = "TUNNEL_MAX_WINDOW",                                                \
		    .def = "16m",                                                              \
		    .min = 64 * 1024,                                                          \
		    .max = 1024 * 1024 * 1024,                                                 \
		    .help = "bytes of one stream under way, at most" },                        \
	    { .name = "max-memory",                                                            \
		    .kind = OPT_SIZE,                                                          \
		    .off = offsetof(S, m.max_memory),                                          \
		    .arg = "SIZE",                                                             \
		    .env = "TUNNEL_MAX_MEMORY",                                                \
		    .def = DEF_MEMORY,                                                         \
		    .min = 1024 * 1024,                                                        \
		    .max = 1ULL << 40,                                                         \
		    .help = "bytes that all streams together may keep waiting" },              \
	    { .name = "carriers",                                                              \
		    .kind = OPT_U64,                                                           \
		    .off = offsetof(S, m.carriers),                                            \
		    .arg = "N",                                                                \
		    .env = "TUNNEL_CARRIERS",                                                  \
		    .def = "1",                                                                \
		    .min = 1,                                                                  \
		    .max = UPLINK_CARRIERS_MAX,                                                \
		    .help = "WebSockets to the relay for one agent; each stream is on one of " \
			    "them" },                                                          \
	    CMD_KEEPALIVE_ROW(S, m.keepalive_ms)

/* What all uplinks of a process share; made once, borrowed by them. */
struct uplink_config {
	struct dialer_target target;
	/*
	 * What is dialled instead when the relay does not serve target.dialect, and its path; NULL:
	 * nothing.
	 */
	const struct dialect *other;
	char other_path[URL_TARGET_MAX + 1];
	/* owned; NULL: the login is by target.keyed, which is owned too */
	struct secret *secret;
	uint8_t instance[CTL_TOKEN_LEN];
	uint32_t keepalive_ms;
	uint64_t max_window;
	/*
	 * What streams may have coming, a third of --max-memory, and what they keep until it is
	 * acknowledged, which can stand at the relay and at the other end: two thirds.  client_max:
	 * the first of one client (0: as all).
	 */
	struct budget memory, keep;
	uint64_t client_max;
	/* the URL for messages */
	char relay[256];
};

/*
 * uplink_config_init - for an agent or a client: check the options, read the secret or key and the
 * trusted certificates.  ERR_INVALID and others with e.  opts must outlive the configuration; its
 * secret moves.
 * uplink_config_fini in every case.
 */
int uplink_config_init(struct uplink_config *c, struct uplink_opts *opts, enum ctl_role role,
    struct errtext *e) WARN_UNUSED;
/* uplink_config_switch - to the other dialect, which becomes the one to dial. */
void uplink_config_switch(struct uplink_config *c);
void uplink_config_fini(struct uplink_config *c);

/* ---- uplinks ---- */

struct uplink;

struct uplink_user {
	/*
	 * A WebSocket stands and we have said HELLO: streams may be opened, though the relay has
	 * not answered yet.
	 */
	void (*ready)(void *arg);
	/* The relay has let us in. */
	void (*up)(void *arg);
	/* The session is lost, or a dial failed; next_ms: when the next attempt comes. */
	void (*down)(void *arg, int err, const char *text, uint64_t next_ms);
	/*
	 * The relay takes no new streams and waits for those that are open to end.  Return true to
	 * have a new session dialled beside the old one, false to stay with the old one until it
	 * ends.
	 */
	bool (*away)(void *arg, const char *text);
	/*
	 * The relay will not have us (code: CODE_DENIED, CODE_REPLACED, ...).  Return true to try
	 * again with the longest back-off, false to stay away; the uplink is then idle until it is
	 * freed.
	 */
	bool (*refused)(void *arg, uint32_t code, const char *text);
	/* The relay opens a stream; see carrier_user. */
	void (*open)(void *arg, struct stream *s, const struct ctl_open *o);
	/* The last stream has gone. */
	void (*idle)(void *arg);
	/* See session.h; may be NULL. */
	void (*control)(void *arg, const void *body, size_t n);
};

/* uplink_new - begins to dial from the loop.  name: see struct ctl_hello.  NULL: out of memory. */
struct uplink *uplink_new(struct loop *l, struct uplink_config *cfg, enum ctl_role role,
    const char *name, const struct uplink_user *user, void *arg);

/* uplink_free - streams end with code and text; accepts NULL; safe in callbacks. */
void uplink_free(struct uplink *k, uint32_t code, const char *text);

/*
 * uplink_finish - say GOAWAY and go when the streams have ended, old sessions' too; user->down with
 * ERR_EOF then, and no new dial.
 */
void uplink_finish(struct uplink *k, const char *text);

/*
 * uplink_open - open a stream: on the session that is up, or on one whose greeting is under way
 * (nothing waits for a round trip). NULL, code and why when there is none.
 */
struct stream *uplink_open(struct uplink *k, const struct ctl_open *o,
    const struct stream_user *user, void *arg, uint32_t *code, struct errtext *why);

/*
 * uplink_control - ask the relay that is up (request.h).  ERR_CLOSED: none is, or it cannot answer.
 */
int uplink_control(struct uplink *k, const void *body, size_t n) WARN_UNUSED;

bool uplink_is_up(const struct uplink *k);
/*
 * uplink_has_session - may uplink_open be called: a WebSocket stands, even if the relay has not
 * answered yet, and neither side has said goodbye.
 */
bool uplink_has_session(const struct uplink *k);
/* uplink_streams - of the session that takes new ones. */
uint32_t uplink_streams(const struct uplink *k);

#endif
