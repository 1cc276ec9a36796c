/* SPDX-License-Identifier: ISC */
/*
 * relay - the process: its options, its counts, and what its threads share.
 *
 *     listen (worker 0) ── accept ──> guest (any worker): TLS, HTTP, WebSocket, HELLO
 *         guest ── let in ──> peer, on the worker that owns the agent's name ── streams ──> bridge
 *
 * Life cycle: relay_main (cmd/cmd.h) reads the options, loads credentials and certificates, opens
 * the listeners, starts the workers and runs worker 0 itself.  SIGTERM drains, SIGHUP reloads.
 *
 * Threads: all that belongs to a guest, a peer or a bridge happens on its worker's thread.  The
 * threads share only what stands in struct relay: options (constant once the workers run), counts
 * (atomic), the registry, the gate, the accounts, the credentials and the TLS contexts (each with a
 * lock of its own).
 */
#ifndef CMD_RELAY_RELAY_H
#define CMD_RELAY_RELAY_H

#include <pthread.h>
#include <stdatomic.h>

#include "cmd/cmd.h"
#include "cmd/common/key_option.h"
#include "cmd/relay/ingress/ingress.h"
#include "lib/conf/opt.h"
#include "lib/net/addr.h"
#include "proto/budget.h"
#include "proto/creds.h"

#define RELAY_WORKERS_MAX 64

struct accounts;
struct gate;
struct admitter;
struct dialect;
struct pages;
struct registry;
struct tls_keyed;
struct tls_server_ctx;
struct worker;

/* What a second agent under a connected name does (--on-duplicate). */
enum relay_duplicate { DUPLICATE_REPLACE, DUPLICATE_REFUSE };

/* The command line and the configuration file; the rows in relay.c say what each one means. */
struct relay_opts {
	struct opt_list listen, http, https;
	struct opt_list tls_cert, tls_key, tls_dir;
	bool https_only;
	char *acme_dir;
	struct opt_list path;
	struct opt_list trusted_proxy;
	char *public, *ports;
	struct opt_list domain, relay_host;
	char *public_url;
	struct opt_list proxy_from;
	char *state, *error_pages;
	uint64_t grace_ms;
	char *credentials;
	/* The relay's own, and those of agents. */
	struct key_opts key;
	struct opt_list agent_keys;
	char *ready_file;
	uint64_t threads;
	struct cmd_common common;
	int on_duplicate;
	bool insecure;
	uint64_t keepalive_ms, drain_ms, handshake_ms;
	/* How long a visitor of the web may take; and what it is answered by. */
	uint64_t head_ms, body_ms, answer_ms, idle_ms, request_ms, upgrade_ms;
	uint64_t max_idle;
	uint64_t max_agents, max_clients, max_handshakes, max_streams, connection_rate, max_window,
	    max_memory;
	/* of one identity */
	struct creds_limits identity;
};

/* A place is counted before the thing it is for exists, so that no race passes the limit. */
struct relay_counts {
	atomic_uint agents, clients;
	/* Those that are carried: without a limit, but the drain waits for their last bytes. */
	atomic_uint visitors;
};

struct relay {
	struct relay_opts opts;
	/* See relay_command. */
	const char *ready;
	/* NULL: no --tls-cert or --tls-dir. */
	struct tls_server_ctx *tls;
	/* Logins by key are made with it; NULL: no --key-file. */
	struct tls_keyed *keyed;
	struct registry *registry;
	/* --trusted-proxy; constant. */
	struct addr_net *proxies;
	size_t n_proxies;
	struct ingress ingress;
	/* Places of those that have not logged in, and of visitors without a request. */
	struct gate *gate, *fronts;
	/* What is served, and where; constant, NULL-terminated (proto/dialect/dialect.h). */
	const struct dialect *const *dialects;
	/* Who may log in; constant. */
	const struct admitter *admitter;
	/* Whom limits belong to. */
	struct accounts *accounts;
	struct relay_counts counts;
	/* What all streams together may make us hold (--max-memory). */
	struct budget memory;
	/* n_workers of them; the first is the main thread's. */
	struct worker *workers;
	int n_workers;
	/* Guards the pointers creds and pages.  Nothing else is taken while it is held. */
	pthread_mutex_t creds_lock;
	/* NULL: none were given, everybody is let in. */
	struct creds *creds;
	/* NULL: no --error-pages. */
	struct pages *pages;
	/* Set once, at the first SIGTERM: no login succeeds any more. */
	atomic_bool draining;
	/* Names this process in its HELLOs (PROTOCOL.md 4.1). */
	uint8_t instance[CTL_TOKEN_LEN];
};

/*
 * relay_command - run with these arguments to the end; returns the status.
 *   ready  a line for standard error when it listens; NULL: none
 */
int relay_command(int argc, char **argv, const char *ready);

/*
 * relay_creds - the credentials in force now.  Any thread.
 * Returns a reference that the caller gives back by creds_unref, or NULL: none are configured.
 */
struct creds *relay_creds(struct relay *r);

/* relay_pages - the same of --error-pages; pages_unref. */
struct pages *relay_pages(struct relay *r);

#endif
