/* SPDX-License-Identifier: ISC */
/* relay - the subcommand: from options to running workers, reload, drain, end. */
#include "cmd/common/dropin.h"
#include "cmd/relay/relay.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/account.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/ingress/pages.h"
#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/listen.h"
#include "cmd/relay/origin.h"
#include "cmd/relay/peer.h"
#include "cmd/relay/registry.h"
#include "cmd/relay/reload.h"
#include "cmd/relay/who.h"
#include "cmd/relay/worker.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/tls/tls.h"
#include "lib/ws/f_ws.h"
#include "proto/mux.h"

#define DRAIN_STEP_MS 20
/* How often the credentials and certificate files are looked at. */
#define WATCH_MS 1000
/* Every so many looks the peers' credentials are checked for having expired. */
#define EXPIRY_WATCHES 10
#define OFF(m) offsetof(struct relay_opts, m)

static const char *const duplicate_words[] = { "replace", "refuse", NULL };

static const struct opt_row rows[] = {
	{ .name = "listen",
	    .letter = 'l',
	    .kind = OPT_LIST,
	    .off = OFF(listen),
	    .arg = "ADDR:PORT",
	    .env = "TUNNEL_LISTEN",
	    .help = "where to listen; unix:PATH; plain:ADDR:PORT for no TLS beside TLS listeners "
		    "(127.0.0.1:8080)" },
	{ .name = "http",
	    .kind = OPT_LIST,
	    .off = OFF(http),
	    .arg = "ADDR:PORT",
	    .env = "TUNNEL_LISTEN_HTTP",
	    .help = "where visitors of web services come in; may be a --listen, too" },
	{ .name = "https",
	    .kind = OPT_LIST,
	    .off = OFF(https),
	    .arg = "ADDR:PORT",
	    .env = "TUNNEL_LISTEN_HTTPS",
	    .help = "the same with TLS (--tls-cert)" },
	{ .name = "https-only",
	    .kind = OPT_FLAG,
	    .off = OFF(https_only),
	    .env = "TUNNEL_HTTPS_ONLY",
	    .help =
		"answer requests on --http by a redirection to https, for hosts that there are" },
	{ .name = "acme-dir",
	    .kind = OPT_STRING,
	    .off = OFF(acme_dir),
	    .arg = "DIR",
	    .env = "TUNNEL_ACME_DIR",
	    .help = "webroot where certbot or lego put what an authority looks for (HTTP-01)" },
	{ .name = "tls-cert",
	    .kind = OPT_LIST,
	    .off = OFF(tls_cert),
	    .arg = "FILE",
	    .env = "TUNNEL_TLS_CERT",
	    .help = "certificate chain (PEM), each with its --tls-key; chosen by the name the "
		    "client asks for" },
	{ .name = "tls-key",
	    .kind = OPT_LIST,
	    .off = OFF(tls_key),
	    .arg = "FILE",
	    .env = "TUNNEL_TLS_KEY",
	    .help = "private key (PEM) of the --tls-cert in the same place" },
	{ .name = "tls-dir",
	    .kind = OPT_LIST,
	    .off = OFF(tls_dir),
	    .arg = "DIR",
	    .env = "TUNNEL_TLS_DIR",
	    .help = "certificates of a directory: NAME.crt with NAME.key, or certbot's "
		    "NAME/fullchain.pem with privkey.pem" },
	{ .name = "credentials",
	    .letter = 'c',
	    .kind = OPT_STRING,
	    .off = OFF(credentials),
	    .arg = "FILE",
	    .env = "TUNNEL_CREDENTIALS",
	    .help = "who may log in (JSON); read again when it changes and on SIGHUP" },
	KEY_OPT_ROWS(struct relay_opts, key,
	    "the relay's own private key (tunnel keygen), for agents and clients that log in by "
	    "key"),
	{ .name = "agent-key",
	    .kind = OPT_LIST,
	    .off = OFF(agent_keys),
	    .arg = "NAME=tunnel-pub-...",
	    .env = "TUNNEL_AGENT_KEY",
	    .help = "the public key of an agent, in place of an entry in a credentials file" },
	{ .name = "insecure",
	    .kind = OPT_FLAG,
	    .off = OFF(insecure),
	    .env = "TUNNEL_INSECURE",
	    .help = "listen beyond loopback without --credentials: anybody may use the relay" },
	{ .name = "path",
	    .kind = OPT_LIST,
	    .off = OFF(path),
	    .arg = "PATH",
	    .env = "TUNNEL_PATH",
	    .help = "URL path of the tunnel endpoint (/ and /tunnel)" },
	{ .name = "error-pages",
	    .kind = OPT_STRING,
	    .off = OFF(error_pages),
	    .arg = "DIR",
	    .env = "TUNNEL_ERROR_PAGES",
	    .help = "own pages (404.html, 503.html ...) for what the relay answers to visitors; "
		    "read again on SIGHUP" },
	{ .name = "trusted-proxy",
	    .kind = OPT_LIST,
	    .off = OFF(trusted_proxy),
	    .arg = "CIDR",
	    .env = "TUNNEL_TRUSTED_PROXY",
	    .help = "believe what proxies in this network say of their clients (X-Forwarded-For)" },
	{ .name = "public",
	    .kind = OPT_STRING,
	    .off = OFF(public),
	    .arg = "ADDR",
	    .env = "TUNNEL_PUBLIC",
	    .def = "127.0.0.1",
	    .help = "where agents' public ports are opened; 0.0.0.0 or :: for everybody" },
	{ .name = "ports",
	    .kind = OPT_STRING,
	    .off = OFF(ports),
	    .arg = "FIRST-LAST",
	    .env = "TUNNEL_PORTS",
	    .help = "ports that agents may publish services on (none)" },
	{ .name = "domain",
	    .kind = OPT_LIST,
	    .off = OFF(domain),
	    .arg = "NAME",
	    .env = "TUNNEL_DOMAIN",
	    .help = "where agents' web addresses are: agent pi is pi.NAME; '*': pi is the first "
		    "label of any host" },
	{ .name = "relay-host",
	    .kind = OPT_LIST,
	    .off = OFF(relay_host),
	    .arg = "NAME",
	    .env = "TUNNEL_RELAY_HOST",
	    .help = "a host of the relay itself, which no agent can have (each --domain)" },
	{ .name = "public-url",
	    .kind = OPT_STRING,
	    .off = OFF(public_url),
	    .arg = "URL",
	    .env = "TUNNEL_PUBLIC_URL",
	    .help = "how people reach the web addresses behind another proxy, for what agents "
		    "print: https://t.example.com" },
	{ .name = "proxy-from",
	    .kind = OPT_LIST,
	    .off = OFF(proxy_from),
	    .arg = "CIDR",
	    .env = "TUNNEL_PROXY_FROM",
	    .help = "connections to public ports from this network must begin with a PROXY header, "
		    "and it is believed" },
	{ .name = "grace",
	    .kind = OPT_DURATION,
	    .off = OFF(grace_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_GRACE",
	    .def = "30s",
	    .min = 0,
	    .max = 86400000,
	    .help = "how long an agent that is away keeps its public ports and hosts" },
	{ .name = "state",
	    .kind = OPT_STRING,
	    .off = OFF(state),
	    .arg = "DIR",
	    .env = "TUNNEL_STATE",
	    .help = "directory to remember automatic ports and random names in, beyond a restart" },
	{ .name = "threads",
	    .letter = 't',
	    .kind = OPT_U64,
	    .off = OFF(threads),
	    .arg = "N",
	    .env = "TUNNEL_THREADS",
	    .def = "0",
	    .min = 0,
	    .max = RELAY_WORKERS_MAX,
	    .help = "worker threads; 0: one for each CPU" },
	{ .name = "on-duplicate",
	    .kind = OPT_ENUM,
	    .off = OFF(on_duplicate),
	    .arg = "replace|refuse",
	    .env = "TUNNEL_ON_DUPLICATE",
	    .def = "replace",
	    .words = duplicate_words,
	    .help =
		"a second agent under a name that is connected replaces the first, or is refused" },
	CMD_KEEPALIVE_ROW(struct relay_opts, keepalive_ms),
	{ .name = "handshake-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(handshake_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_HANDSHAKE_TIMEOUT",
	    .def = "10s",
	    .min = 100,
	    .max = 600000,
	    .help = "from the connection to the login" },
	CMD_DRAIN_ROW(struct relay_opts, drain_ms),
	{ .name = "head-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(head_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_HEAD_TIMEOUT",
	    .def = "10s",
	    .min = 100,
	    .max = 600000,
	    .help = "for the whole head of a web request" },
	{ .name = "body-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(body_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_BODY_TIMEOUT",
	    .def = "30s",
	    .min = 100,
	    .max = 86400000,
	    .help = "for some more of the body of a web request" },
	{ .name = "request-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(request_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_REQUEST_TIMEOUT",
	    .def = "60s",
	    .min = 100,
	    .max = 86400000,
	    .help = "for a web service to answer, from the last byte of the request on; services "
		    "may have their own (;timeout=)" },
	{ .name = "answer-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(answer_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_ANSWER_TIMEOUT",
	    .def = "60s",
	    .min = 100,
	    .max = 86400000,
	    .help = "for a visitor to take, or a service to send, some more of an answer" },
	{ .name = "idle-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(idle_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_IDLE_TIMEOUT",
	    .def = "60s",
	    .min = 100,
	    .max = 86400000,
	    .help = "from a web answer to the next request on the same connection" },
	{ .name = "upgrade-timeout",
	    .kind = OPT_DURATION,
	    .off = OFF(upgrade_ms),
	    .arg = "TIME",
	    .env = "TUNNEL_UPGRADE_TIMEOUT",
	    .def = "1h",
	    .min = 100,
	    .max = 604800000,
	    .help = "for a byte in either direction of a WebSocket" },
	{ .name = "max-idle",
	    .kind = OPT_U64,
	    .off = OFF(max_idle),
	    .arg = "N",
	    .env = "TUNNEL_MAX_IDLE",
	    .def = "16384",
	    .min = 1,
	    .max = 1000000,
	    .help = "visitors' connections that carry no request, a quarter of them from one "
		    "address" },
	{ .name = "max-agents",
	    .kind = OPT_U64,
	    .off = OFF(max_agents),
	    .arg = "N",
	    .env = "TUNNEL_MAX_AGENTS",
	    .def = "100000",
	    .min = 1,
	    .max = 10000000,
	    .help = "agents' sessions" },
	{ .name = "max-clients",
	    .kind = OPT_U64,
	    .off = OFF(max_clients),
	    .arg = "N",
	    .env = "TUNNEL_MAX_CLIENTS",
	    .def = "100000",
	    .min = 1,
	    .max = 10000000,
	    .help = "clients' sessions" },
	{ .name = "max-handshakes",
	    .kind = OPT_U64,
	    .off = OFF(max_handshakes),
	    .arg = "N",
	    .env = "TUNNEL_MAX_HANDSHAKES",
	    .def = "4096",
	    .min = 1,
	    .max = 1000000,
	    .help = "connections that are not logged in yet, a quarter of them from one address" },
	{ .name = "max-streams",
	    .kind = OPT_U64,
	    .off = OFF(max_streams),
	    .arg = "N",
	    .env = "TUNNEL_MAX_STREAMS",
	    .def = "4096",
	    .min = 1,
	    .max = 1000000,
	    .help = "streams of one session" },
	{ .name = "identity-sessions",
	    .kind = OPT_U64,
	    .off = OFF(identity.sessions),
	    .arg = "N",
	    .env = "TUNNEL_IDENTITY_SESSIONS",
	    .def = "1000",
	    .min = 1,
	    .max = CREDS_LIMIT_MAX,
	    .help = "sessions of one identity (an entry of the credentials, a shared secret)" },
	{ .name = "identity-streams",
	    .kind = OPT_U64,
	    .off = OFF(identity.streams),
	    .arg = "N",
	    .env = "TUNNEL_IDENTITY_STREAMS",
	    .def = "65536",
	    .min = 1,
	    .max = CREDS_LIMIT_MAX,
	    .help = "streams of one identity, of all its sessions together" },
	{ .name = "identity-memory",
	    .kind = OPT_SIZE,
	    .off = OFF(identity.memory),
	    .arg = "SIZE",
	    .env = "TUNNEL_IDENTITY_MEMORY",
	    .def = "64m",
	    .min = 1024 * 1024,
	    .max = 1ULL << 40,
	    .help = "bytes of one identity's streams that may wait in the relay" },
	{ .name = "identity-opens",
	    .kind = OPT_U64,
	    .off = OFF(identity.opens),
	    .arg = "N",
	    .env = "TUNNEL_IDENTITY_OPENS",
	    .def = "20000",
	    .min = 1,
	    .max = 1000000,
	    .help =
		"streams that one identity may open in a second; who is faster is slowed down" },
	{ .name = "max-window",
	    .kind = OPT_SIZE,
	    .off = OFF(max_window),
	    .arg = "SIZE",
	    .env = "TUNNEL_MAX_WINDOW",
	    .def = "16m",
	    .min = 64 * 1024,
	    .max = 1024 * 1024 * 1024,
	    .help = "bytes of one stream under way, at most" },
	{ .name = "max-memory",
	    .kind = OPT_SIZE,
	    .off = OFF(max_memory),
	    .arg = "SIZE",
	    .env = "TUNNEL_MAX_MEMORY",
	    .def = "1g",
	    .min = 1024 * 1024,
	    .max = 1ULL << 40,
	    .help = "bytes that all streams together may keep waiting" },
	{ .name = "connection-rate",
	    .kind = OPT_U64,
	    .off = OFF(connection_rate),
	    .arg = "N",
	    .env = "TUNNEL_CONNECTION_RATE",
	    .def = "0",
	    .min = 0,
	    .max = 1000000,
	    .help =
		"new connections a second from one address; 0: 100, and loopback without limit" },
	CMD_READY_ROW(
	    struct relay_opts, ready_file, "the process id and the ports", "everything listens"),
	CMD_COMMON_ROWS(struct relay_opts, common, "info"),
};

static const struct opt_spec spec = {
	.prog = "tunnel relay",
	.synopsis = "[--listen ADDR:PORT] [--tls-cert FILE --tls-key FILE] [--credentials FILE] "
		    "[OPTION...]",
	.about = "The public side: agents and clients dial it, and it joins their streams.",
	.rows = rows,
	.n_rows = sizeof rows / sizeof rows[0],
	.config_row = "config",
};

/* What only the main thread touches. */
struct control {
	struct relay *relay;
	struct listeners *listeners;
	struct sig hup, term, intr;
	struct timer watch, drain;
	struct reload reload;
	struct cmd_ready ready;
	unsigned n_watched;
	bool draining;
	uint64_t drain_until_ms;
};

struct creds *
relay_creds(struct relay *r)
{
	struct creds *c;

	pthread_mutex_lock(&r->creds_lock);
	c = r->creds != NULL ? creds_ref(r->creds) : NULL;
	pthread_mutex_unlock(&r->creds_lock);
	return c;
}

struct pages *
relay_pages(struct relay *r)
{
	struct pages *p;

	pthread_mutex_lock(&r->creds_lock);
	p = r->pages != NULL ? pages_ref(r->pages) : NULL;
	pthread_mutex_unlock(&r->creds_lock);
	return p;
}

/* ---- reload ---- */

static void
check_peers(void *worker)
{
	peers_check(worker);
	publish_check(worker);
}

static void
on_new_creds(void *arg)
{
	struct control *c = arg;

	workers_each(c->relay, check_peers);
}

static void
on_hup(void *arg)
{
	struct control *c = arg;

	reload_start(&c->reload, RELOAD_ALL);
}

/* Files that changed, and credentials that expired meanwhile. */
static void
on_watch(void *arg)
{
	struct control *c = arg;

	if (c->relay->opts.credentials != NULL && ++c->n_watched % EXPIRY_WATCHES == 0)
		workers_each(c->relay, check_peers);
	accounts_sweep(c->relay->accounts, loop_now_ms(c->relay->workers[0].loop));
	reload_watch(&c->reload);
	timer_set(&c->watch, WATCH_MS);
}

/* ---- the end ---- */

static void
drain_peers(void *worker)
{
	struct worker *w = worker;
	struct peer *p;

	publish_stop(w);
	pool_stop(&w->pool);
	fronts_drain(w);
	TAILQ_FOREACH (p, &w->peers, link)
		peer_drain(p);
}

static bool
all_gone(const struct relay *r)
{
	return atomic_load(&r->counts.agents) == 0 && atomic_load(&r->counts.clients) == 0 &&
	       atomic_load(&r->counts.visitors) == 0;
}

/*
 * The workers' counts are looked at from time to time: nobody needs to tell of the last stream
 * within microseconds.
 */
static void
on_drain(void *arg)
{
	struct control *c = arg;
	uint64_t now = loop_now_ms(c->relay->workers[0].loop);

	if (all_gone(c->relay) || now >= c->drain_until_ms) {
		loop_stop(c->relay->workers[0].loop);
		return;
	}
	timer_set(&c->drain,
	    c->drain_until_ms - now < DRAIN_STEP_MS ? c->drain_until_ms - now : DRAIN_STEP_MS);
}

static void
on_term(void *arg)
{
	struct control *c = arg;

	if (c->draining) {
		log_info("second signal: ending at once");
		loop_stop(c->relay->workers[0].loop);
		return;
	}
	c->draining = true;
	c->drain_until_ms = loop_now_ms(c->relay->workers[0].loop) + c->relay->opts.drain_ms;
	log_info("shutting down: no new connections, streams have %llu s to finish",
	    (unsigned long long)c->relay->opts.drain_ms / 1000);
	atomic_store(&c->relay->draining, true);
	listeners_stop(c->listeners);
	c->listeners = NULL;
	workers_each(c->relay, drain_peers);
	on_drain(c);
}

/* ---- start ---- */

static int
load_tls(struct relay *r, struct errtext *e)
{
	size_t n = r->opts.tls_cert.n, dirs = r->opts.tls_dir.n;
	struct tls_pair *pairs;
	int rc;

	if (n != r->opts.tls_key.n)
		return err_set(e, ERR_INVALID, "%zu --tls-cert but %zu --tls-key: they go in pairs",
		    n, r->opts.tls_key.n);
	if (n + dirs > TLS_PAIRS_MAX)
		return err_set(e, ERR_INVALID, "more than %d certificates", TLS_PAIRS_MAX);
	if (n + dirs == 0)
		return 0;
	if ((pairs = mem_array(n + dirs, sizeof *pairs)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct tls_pair){ r->opts.tls_cert.v[i], r->opts.tls_key.v[i] };
	for (size_t i = 0; i < dirs; i++)
		pairs[n + i] = (struct tls_pair){ .cert_file = r->opts.tls_dir.v[i] };
	rc = tls_server_new(pairs, n + dirs, &r->tls, e);
	mem_free(pairs);
	return rc;
}

static int
check_paths(const struct relay_opts *o, struct errtext *e)
{
	for (size_t i = 0; i < o->path.n; i++)
		if (o->path.v[i][0] != '/')
			return err_set(e, ERR_INVALID,
			    "--path %s: a path begins with a slash: no client could ask for it",
			    o->path.v[i]);
	return 0;
}

static int
default_listen(struct relay_opts *o)
{
	if (o->listen.n > 0)
		return 0;
	o->listen.v = mem_array(1, sizeof *o->listen.v);
	if (o->listen.v == NULL || (o->listen.v[0] = mem_strdup("127.0.0.1:8080")) == NULL)
		return ERR_NOMEM;
	o->listen.n = 1;
	return 0;
}

static int
relay_load(struct relay *r, struct control *c, struct errtext *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int n = r->opts.threads != 0 ? (int)r->opts.threads : (int)(cpus < 1 ? 1 : cpus), rc;

	if (n > RELAY_WORKERS_MAX)
		n = RELAY_WORKERS_MAX;
	if ((rc = check_paths(&r->opts, e)) != 0 ||
	    (rc = origin_nets(
		 "--trusted-proxy", &r->opts.trusted_proxy, &r->proxies, &r->n_proxies, e)) != 0)
		return rc;
	if (rand_bytes(r->instance, sizeof r->instance) != 0)
		return err_set(e, ERR_SYS, "the system gives no random bytes");
	if (r->opts.credentials != NULL)
		reload_seen(&c->reload);
	if ((rc = who_load(r, e)) != 0 || (rc = ingress_open(r, e)) != 0)
		return rc;
	if (r->opts.error_pages != NULL &&
	    (rc = pages_load(r->opts.error_pages, &r->pages, e)) != 0)
		return rc;
	budget_init(&r->memory, r->opts.max_memory, NULL);
	r->registry = registry_new(n);
	r->gate = guests_gate(r, n);
	r->fronts = fronts_gate(r, n);
	r->accounts = accounts_new(&r->opts.identity, &r->memory);
	if (r->registry == NULL || r->gate == NULL || r->fronts == NULL || r->accounts == NULL ||
	    default_listen(&r->opts) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	if ((rc = load_tls(r, e)) != 0 || (rc = workers_init(r, n, e)) != 0)
		return rc;
	if ((rc = listeners_open(r, &c->listeners, e)) != 0)
		return rc;
	r->ingress.http_port = listeners_web_port(c->listeners, false);
	r->ingress.https_port = listeners_web_port(c->listeners, true);
	r->ingress.https_public = names_https_port(&r->ingress.names, r->ingress.https_port);
	return 0;
}

static int
write_ready_file(struct control *c, struct errtext *e)
{
	char *json;
	int rc;

	if (c->ready.path == NULL)
		return 0;
	json = listeners_ready_json(c->listeners);
	if (json == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = cmd_ready_write(&c->ready, json, e);
	mem_free(json);
	return rc;
}

/*
 * While the files are being read for the first time a SIGHUP waits: it asks for no more than to
 * read them again.
 */
static void
hold_hup(bool on)
{
	sigset_t hup;

	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &hup, NULL);
}

static int
control_start(struct control *c, struct errtext *e)
{
	struct relay *r = c->relay;
	struct loop *l = r->workers[0].loop;
	int rc;

	if ((rc = sig_init(&c->hup, l, SIGHUP, on_hup, c)) != 0 ||
	    (rc = sig_init(&c->term, l, SIGTERM, on_term, c)) != 0 ||
	    (rc = sig_init(&c->intr, l, SIGINT, on_term, c)) != 0 ||
	    (rc = timer_init(&c->watch, l, on_watch, c)) != 0 ||
	    (rc = timer_init(&c->drain, l, on_drain, c)) != 0 ||
	    (rc = listeners_start(c->listeners, l)) != 0)
		return err_sys(e, "cannot set up the event loop");
	hold_hup(false);
	timer_set(&c->watch, WATCH_MS);
	if ((rc = workers_start(r, e)) != 0)
		return rc;
	return write_ready_file(c, e);
}

static void
control_stop(struct control *c)
{
	struct relay *r = c->relay;

	listeners_stop(c->listeners);
	sig_fini(&c->hup);
	sig_fini(&c->term);
	sig_fini(&c->intr);
	timer_fini(&c->watch);
	timer_fini(&c->drain);
	reload_fini(&c->reload);
	workers_stop(r);
	if (r->n_workers > 0 && r->workers[0].loop != NULL)
		worker_drop_all(&r->workers[0]);
}

static void
log_start(const struct relay *r, const struct listeners *ls)
{
	char *json = listeners_ready_json(ls);

	log_info("relay: %d workers, credentials: %s, %s", r->n_workers,
	    r->opts.credentials != NULL ? r->opts.credentials
	    : r->creds != NULL          ? "--agent-key"
					: "NONE, everybody who can connect is let in",
	    json != NULL ? json : "");
	mem_free(json);
}

static int
relay_run(struct relay *r)
{
	struct control c = { .relay = r };
	struct errtext why = { "" };
	int rc;

	cmd_ready_begin(&c.ready, r->opts.ready_file);
	reload_init(&c.reload, r, on_new_creds, &c);
	hold_hup(true);
	rc = relay_load(r, &c, &why);
	if (rc == 0)
		rc = control_start(&c, &why);
	if (rc == 0) {
		log_start(r, c.listeners);
		if (r->ready != NULL)
			dropin_say("%s", r->ready);
		rc = loop_run(r->workers[0].loop);
	} else {
		log_errorx("tunnel relay: %s", why.s);
	}
	cmd_ready_end(&c.ready);
	control_stop(&c);
	if (rc == 0)
		return CMD_OK;
	return cmd_start_failed(rc);
}

int
relay_command(int argc, char **argv, const char *ready)
{
	struct relay r = { .ready = ready,
		.dialects = dialects_all,
		.admitter = &admit_by_creds,
		.creds_lock = PTHREAD_MUTEX_INITIALIZER };
	struct opt_result res = { 0 };
	int code = cmd_options(&spec, argc, argv, &r.opts, &res);

	if (code == CMD_GO) {
		cmd_begin(&r.opts.common);
		code = relay_run(&r);
		ingress_stop(&r);
		workers_fini(&r);
		registry_free(r.registry);
		gate_free(r.gate);
		gate_free(r.fronts);
		accounts_free(r.accounts);
		mem_free(r.proxies);
		ingress_close(&r);
		tls_server_free(r.tls);
		tls_keyed_free(r.keyed);
		creds_unref(r.creds);
		pages_unref(r.pages);
		f_ws_thread_fini();
		buf_pool_free();
	}
	opt_fini(&spec, &r.opts, &res);
	return code;
}

int
relay_main(int argc, char **argv)
{
	return relay_command(argc, argv, NULL);
}
