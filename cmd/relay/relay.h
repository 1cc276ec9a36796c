/* SPDX-License-Identifier: ISC */
/*
 * relay - what the relay's files share: the process, its workers, its peers.
 *
 *     listener (worker 0) ── accept ──> guest (any worker): TLS, HTTP, WebSocket, HELLO, credentials
 *           guest ── let in ──> peer, on the worker that owns the agent's name ── streams ──> bridge
 *
 * Everything of a peer happens on its worker's thread.  Shared by all threads are only: struct relay's constant part, the
 * registry (which worker owns a name), the current credentials and the TLS contexts, each with its own lock.
 */
#ifndef CMD_RELAY_RELAY_H
#define CMD_RELAY_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "cmd/common/carrier.h"
#include "cmd/cmd.h"
#include "cmd/relay/registry.h"
#include "lib/base/hashtab.h"
#include "lib/base/log.h"
#include "lib/net/net.h"
#include "lib/conf/opt.h"
#include "lib/base/rlimit.h"
#include "lib/tls/tls.h"
#include "proto/creds.h"
#include "proto/dialect/dialect.h"

#define RELAY_WORKERS_MAX 64
#define RELAY_CARRIERS_MAX 8 /* sessions of one agent instance */
/* Waits of the accepting loop when descriptors have run out. */
#define RELAY_ACCEPT_PAUSE_MS 100
/* How often the credentials and certificate files are looked at. */
#define RELAY_WATCH_MS 1000
/*
 * Bytes that the streams of one client may make us hold, both ways together: first windows are given to each of its streams and never
 * taken back, so the sum must be.  Beyond it those streams are reset that have stood still the longest.  Not less than all the windows
 * that grow (proto/mux.h), so that it takes more than MUX_WINDOW_SUM_MAX / MUX_WINDOW_FIRST streams to get there.
 */
#define RELAY_HELD_MAX MUX_WINDOW_SUM_MAX
/* Every so many looks the peers' credentials are checked for having expired. */
#define RELAY_EXPIRY_WATCHES 10

struct relay;
struct worker;
struct peer;
struct guest;

enum relay_duplicate { DUPLICATE_REPLACE, DUPLICATE_REFUSE };

struct relay_opts {
	struct opt_list listen;
	struct opt_list tls_cert, tls_key;
	struct opt_list path;
	char *credentials;
	char *ready_file;
	uint64_t threads;
	struct cmd_common common;
	int on_duplicate;
	bool insecure;
	uint64_t keepalive_ms, drain_ms, handshake_ms;
	uint64_t max_agents, max_clients, max_handshakes, max_streams, connection_rate, max_window;
};

/* Agents, clients, handshakes: reserved before the thing exists, so that no race passes the limit. */
struct relay_counts {
	atomic_uint agents, clients, guests;
};

struct relay {
	struct relay_opts opts;
	struct tls_server_ctx *tls; /* NULL: no --tls-cert */
	struct registry *registry;
	struct relay_counts counts;
	struct worker *workers; /* n_workers */
	int n_workers;
	pthread_mutex_t
	    creds_lock;      /* guards the pointer creds; nothing else is taken while it is held */
	struct creds *creds; /* NULL: none were given, everybody is let in */
	atomic_bool draining;
	uint8_t instance[CTL_TOKEN_LEN]; /* names this process in its HELLOs (PROTOCOL.md 4.1) */
};

TAILQ_HEAD(peer_list, peer);
TAILQ_HEAD(bridge_list, bridge);
TAILQ_HEAD(guest_list, guest);

/* The sessions that belong to one agent's name, all on one worker. */
struct group {
	char name[CTL_NAME_MAX + 1];
	struct peer_list agents, clients;
	UT_hash_handle hh;
};

struct worker {
	struct relay *relay;
	int index;
	char name[16];
	struct loop *loop;
	pthread_t thread;
	bool started;
	struct group *groups;
	struct peer_list peers;
	struct guest_list guests;
	struct log_limit refused_log;
};

struct peer {
	struct worker *w;
	struct carrier *carrier;
	enum ctl_role role;
	char name[CTL_NAME_MAX + 1]; /* agent: its own; client: the agent it is bound to */
	char from[NET_ADDR_TEXT];
	struct creds_id id;
	uint8_t instance[CTL_TOKEN_LEN];
	struct group *group; /* NULL until it has arrived, and once it was replaced */
	bool bound;          /* holds a reference in the registry */
	bool counted;        /* in relay_counts */
	bool listed, closing;
	uint64_t since_ms;
	uint64_t held;                /* client: bytes of its bridges that wait for the next hop */
	struct bridge_list held_by;   /* client: those bridges, by when they moved last */
	TAILQ_ENTRY(peer) link;       /* in the worker's list */
	TAILQ_ENTRY(peer) group_link; /* in the group's list of its role */
	struct grave grave;
};

/* ---- relay.c ---- */

/* relay_creds - the credentials of this moment, one reference for the caller; NULL: none are configured. */
struct creds *relay_creds(struct relay *r);

/* ---- listen.c: runs in worker 0 ---- */

struct listeners;
int listeners_open(struct relay *r, struct listeners **out, struct errtext *e) WARN_UNUSED;
/* listeners_start - begin to accept; listeners_stop - no longer, and close. */
int listeners_start(struct listeners *ls, struct loop *l) WARN_UNUSED;
void listeners_stop(struct listeners *ls);
/* listeners_ready_json - what --ready-file holds; malloc'd, NULL when out of memory. */
char *listeners_ready_json(const struct listeners *ls);

/* ---- guest.c: a connection until it is a peer ---- */

/* guest_start - take over fd, and its place among the guests, which is counted.  On failure fd is closed. */
void guest_start(struct worker *w, int fd, const struct net_addr *from, bool tls);
void guest_drop_all(struct worker *w);

/* ---- peer.c ---- */

/*
 * peer_new - a session of dialect d on f for a guest whose WebSocket stands; the guest's deadline watches it until it is let in, through
 * settled(arg), which is called once: let in, handed over, refused or lost.  NULL: out of memory, f still the caller's.
 */
struct peer *peer_new(struct worker *w, struct filter *f, const struct dialect *d, const char *from,
    void (*settled)(void *arg), void *arg);
/* peer_close - tell it why and end; its streams end. */
void peer_close(struct peer *p, uint32_t code, const char *text);
/* peer_drain - no new streams; closed when the last has gone. */
void peer_drain(struct peer *p);
void peer_drop_all(struct worker *w);
/* peer_deny - answer a client's OPEN with RESET, and say so in the log, as often as that bears. */
void peer_deny(
    struct peer *p, struct stream *s, const struct ctl_open *o, uint32_t code, const char *why);
/* peers_check - after a reload: whoever the credentials no longer know is disconnected. */
void peers_check(struct worker *w);

/* ---- bridge.c ---- */

#define RELAY_TARGET_TEXT (CTL_HOST_MAX + 8)
/* relay_target_text - the service, or host and port, for logs; returns out. */
const char *relay_target_text(const struct ctl_open *o, char out[RELAY_TARGET_TEXT]);

/* bridge_open - connect s, which client opened, with a new stream to agent; answers s in every case. */
void bridge_open(
    struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o);

#endif
