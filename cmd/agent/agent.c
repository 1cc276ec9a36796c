/* SPDX-License-Identifier: ISC */
/*
 * agent - the subcommand: uplinks to the relay, kept alive; streams from it, carried to private
 * services.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/agent/agent.h"
#include "cmd/agent/clients.h"
#include "cmd/agent/publisher.h"
#include "cmd/agent/ready_file.h"
#include "cmd/agent/reread.h"
#include "cmd/agent/service.h"
#include "cmd/cmd.h"
#include "cmd/common/dropin.h"
#include "cmd/common/uplink.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ws/f_ws.h"

struct agent_opts {
	struct uplink_opts uplink;
	char *name;
	struct opt_list tcp, udp, http, tls, allow;
	char *clients;
	bool require_e2e;
	uint64_t drain_ms, max_streams;
	char *ready_file;
	struct cmd_common common;
};

#define OFF(m) offsetof(struct agent_opts, m)

static const struct opt_row rows[] = {
	UPLINK_OPT_ROWS(struct agent_opts, uplink, "384m"),
	{ .name = "name",
	    .letter = 'n',
	    .kind = OPT_STRING,
	    .off = OFF(name),
	    .arg = "NAME",
	    .env = "TUNNEL_NAME",
	    .help = "this agent's name at the relay" },
	{ .name = "tcp",
	    .kind = OPT_LIST,
	    .off = OFF(tcp),
	    .arg = "NAME=TARGET",
	    .env = "TUNNEL_TCP",
	    .help = "offer a service at PORT, HOST:PORT or unix:PATH; with ;public=PORT or "
		    ";public=auto, or as PORT=TARGET or auto=TARGET, the relay publishes it" },
	{ .name = "udp",
	    .kind = OPT_LIST,
	    .off = OFF(udp),
	    .arg = "NAME=TARGET",
	    .env = "TUNNEL_UDP",
	    .help = "the same for a service of UDP, at PORT or HOST:PORT" },
	{ .name = "http",
	    .kind = OPT_LIST,
	    .off = OFF(http),
	    .arg = "[HOST=]TARGET",
	    .env = "TUNNEL_HTTP",
	    .help = "publish a web service: under the agent's own name, a label (shop=3000), a "
		    "name, a wildcard or a random one (random=3000)" },
	{ .name = "tls",
	    .kind = OPT_LIST,
	    .off = OFF(tls),
	    .arg = "[HOST=]TARGET",
	    .env = "TUNNEL_TLS",
	    .help = "publish a service that speaks TLS itself, by the name its visitors ask for" },
	{ .name = "allow",
	    .letter = 'a',
	    .kind = OPT_LIST,
	    .off = OFF(allow),
	    .arg = "HOST:PORT",
	    .env = "TUNNEL_ALLOW",
	    .help = "targets that clients may name: 10.0.0.0/8:443, *.lan:*, [::1]:80-90 (loopback "
		    "only)" },
	{ .name = "clients",
	    .kind = OPT_STRING,
	    .off = OFF(clients),
	    .arg = "FILE",
	    .env = "TUNNEL_CLIENTS",
	    .help = "serve clients end to end (connect --e2e) whose keys and targets are in FILE" },
	{ .name = "require-e2e",
	    .kind = OPT_FLAG,
	    .off = OFF(require_e2e),
	    .env = "TUNNEL_REQUIRE_E2E",
	    .help = "serve nothing that the relay could read" },
	{ .name = "max-streams",
	    .kind = OPT_U64,
	    .off = OFF(max_streams),
	    .arg = "N",
	    .env = "TUNNEL_MAX_STREAMS",
	    .def = "16384",
	    .min = 1,
	    .max = 1000000,
	    .help = "streams at once, of all carriers together" },
	CMD_DRAIN_ROW(struct agent_opts, drain_ms),
	CMD_READY_ROW(struct agent_opts, ready_file, "process id and public ports", "they stand"),
	CMD_COMMON_ROWS(struct agent_opts, common, "info"),
};

static const struct opt_spec spec = {
	.prog = "tunnel agent",
	.synopsis = "--relay URL --name NAME --secret-file FILE [--tcp NAME=TARGET] [OPTION...]",
	.about = "The private side: dials the relay and reaches services for its clients.",
	.rows = rows,
	.n_rows = sizeof rows / sizeof rows[0],
	.config_row = "config",
};

struct agent;

/* One of --carriers uplinks. */
struct agent_uplink {
	struct agent *agent;
	struct uplink *uplink;
	bool been_up;
};

struct agent {
	struct agent_opts opts;
	/* Where they come from. */
	struct opt_result from;
	struct loop *loop;
	struct uplink_config config;
	struct offers *offers;
	struct services *services;
	/* NULL: none end to end. */
	struct clients *clients;
	struct publisher *publisher;
	struct agent_uplink uplinks[UPLINK_CARRIERS_MAX];
	unsigned n_uplinks, n_ended;
	struct sig term, intr, hup;
	struct timer drain;
	/* --config once more: what it says, and how it is read. */
	struct agent_opts fresh;
	struct offers *fresh_offers;
	struct reread reread;
	struct ready_file ready;
	/* Looks, at the end of a turn, whether the ready file is to be written. */
	struct task look;
	bool draining;
	/* See agent_command. */
	bool dropin;
	int code;
};

static void
agent_stop(struct agent *a, int code)
{
	a->code = code;
	loop_stop(a->loop);
}

/* ---- the ready file ---- */

/* NULL: out of memory. */
static char *
ready_text(const struct agent *a)
{
	struct jobj *o = jobj_new_obj();
	char *json = NULL;

	if (jobj_set_int(o, "pid", getpid()) == 0 && jobj_set_str(o, "name", a->opts.name) == 0 &&
	    jobj_set_int(o, "carriers", a->n_uplinks) == 0 && publisher_list(a->publisher, o) == 0)
		json = jobj_dump(o, NULL);
	jobj_free(o);
	return json;
}

static bool
is_ready(const struct agent *a)
{
	for (unsigned i = 0; !ready_file_is_said(&a->ready) && i < a->n_uplinks; i++)
		if (!uplink_is_up(a->uplinks[i].uplink))
			return false;
	return publisher_is_answered(a->publisher);
}

/* Once we are ready, and when it is to say something else. */
static void
on_look(void *arg)
{
	struct agent *a = arg;

	if (ready_file_is_wanted(&a->ready) && is_ready(a))
		ready_file_say(&a->ready, ready_text(a));
}

static void
on_ready_failed(void *arg)
{
	agent_stop(arg, CMD_FAILED);
}

static void
look(void *arg)
{
	struct agent *a = arg;

	task_soon(a->loop, &a->look);
}

/* ---- publishing ---- */

static int
on_say(void *arg, unsigned carrier, const void *body, size_t n)
{
	struct agent *a = arg;

	return uplink_control(a->uplinks[carrier].uplink, body, n);
}

static const struct publisher_user publisher_user = { .send = on_say, .changed = look };

static unsigned
carrier_of(const struct agent_uplink *k)
{
	return (unsigned)(k - k->agent->uplinks);
}

/* ---- the uplinks' calls ---- */

static void
on_ready(void *arg)
{
	(void)arg; /* an agent waits for the relay's streams */
}

static void
on_up(void *arg)
{
	struct agent_uplink *k = arg;

	k->been_up = true;
	log_info("connected to %s as %s", k->agent->config.relay, k->agent->opts.name);
	if (k->agent->dropin)
		dropin_say("Sent start message");
	publisher_up(k->agent->publisher, carrier_of(k));
	look(k->agent);
}

static void
on_down(void *arg, int err, const char *text, uint64_t next_ms)
{
	struct agent_uplink *k = arg;
	struct agent *a = k->agent;

	publisher_down(a->publisher, carrier_of(k));
	if (err == ERR_EOF && a->draining) {
		if (++a->n_ended == a->n_uplinks)
			agent_stop(a, CMD_OK);
		return;
	}
	log_warnx("%s: next attempt in %llu.%llu s", text, (unsigned long long)next_ms / 1000,
	    (unsigned long long)next_ms % 1000 / 100);
	if (a->dropin)
		dropin_say("Connection closed, reconnecting in %llu seconds",
		    (unsigned long long)(next_ms + 999) / 1000);
}

static bool
on_away(void *arg, const char *text)
{
	struct agent_uplink *k = arg;

	publisher_down(k->agent->publisher, carrier_of(k));
	log_info("%s: %s: dialling again; open streams go on", k->agent->config.relay, text);
	return true;
}

static bool
on_refused(void *arg, uint32_t code, const char *text)
{
	struct agent_uplink *k = arg;
	struct agent *a = k->agent;

	publisher_down(a->publisher, carrier_of(k));
	log_errorx("%s: refused: %s%s", a->config.relay, text,
	    code == CODE_REPLACED ? "; give each agent a --name of its own" : "");
	/*
	 * A full relay may have room later, and revoked credentials may come back; a wrong secret
	 * stays wrong.
	 */
	if (a->dropin || code == CODE_LIMIT ||
	    (code != CODE_REPLACED && k->been_up && !a->draining))
		return true;
	agent_stop(a, CMD_REFUSED);
	return false;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct agent_uplink *k = arg;
	struct agent *a = k->agent;

	if (ctl_open_is_e2e(o) && a->clients != NULL)
		clients_take(a->clients, s, o);
	else if (ctl_open_is_e2e(o))
		stream_reset(s, CODE_DENIED, "this agent has no clients end to end (--clients)");
	else if (a->opts.require_e2e)
		stream_reset(s, CODE_DENIED, "this agent is reached end to end only (--e2e)");
	else
		services_open(a->services, s, o, NULL);
}

static void
on_control(void *arg, const void *body, size_t n)
{
	struct agent_uplink *k = arg;

	publisher_control(k->agent->publisher, carrier_of(k), body, n);
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static const struct uplink_user uplink_user = {
	.ready = on_ready,
	.up = on_up,
	.down = on_down,
	.away = on_away,
	.refused = on_refused,
	.open = on_open,
	.idle = on_idle,
	.control = on_control,
};

/* ---- the end ---- */

static void
on_drained(void *arg)
{
	struct agent *a = arg;

	log_warnx("streams that have not finished are cut off");
	agent_stop(a, CMD_OK);
}

static void
on_term(void *arg)
{
	struct agent *a = arg;

	if (a->draining) {
		agent_stop(a, CMD_OK);
		return;
	}
	a->draining = true;
	log_info("shutting down: streams have %llu s to finish",
	    (unsigned long long)a->opts.drain_ms / 1000);
	publisher_stop(a->publisher);
	services_drain(a->services);
	if (a->clients != NULL)
		clients_drain(a->clients);
	timer_set(&a->drain, a->opts.drain_ms);
	for (unsigned i = 0; i < a->n_uplinks; i++)
		uplink_finish(a->uplinks[i].uplink, "the agent is shutting down");
}

/* ---- SIGHUP: the configuration file once more ---- */

/* What is published reaches the agent by streams that the relay can read. */
static int
check_offers(const struct agent *a, const struct offers *o, struct errtext *e)
{
	for (size_t i = 0; a->opts.require_e2e && i < o->n; i++)
		if (o->v[i].published)
			return err_set(e, ERR_INVALID,
			    "--require-e2e: the visitors of %s would not come end to end: it "
			    "cannot be published",
			    o->v[i].name);
	return 0;
}

/* In the thread that has read the file, since there are more files to be read. */
static int
read_offers(void *arg, const struct opt_result *now, struct errtext *e)
{
	struct agent *a = arg;
	struct agent_opts *old = &a->opts, *new = &a->fresh;
	const struct offer_lists lists = {
		.tcp = opt_is_files(&spec, now, "tcp") ? &new->tcp : &old->tcp,
		.udp = opt_is_files(&spec, now, "udp") ? &new->udp : &old->udp,
		.http = opt_is_files(&spec, now, "http") ? &new->http : &old->http,
		.tls = opt_is_files(&spec, now, "tls") ? &new->tls : &old->tls,
		.allow = opt_is_files(&spec, now, "allow") ? &new->allow : &old->allow,
		.open = a->dropin,
	};
	struct errtext why = { "" };
	int r;

	/* Of one that could not tell that it had ended. */
	offers_free(a->fresh_offers);
	r = offers_new(&lists, &a->fresh_offers, &why);
	if (r == 0)
		r = check_offers(a, a->fresh_offers, &why);
	return r != 0 ? err_set(e, r, "%s: %s", old->common.config, why.s) : 0;
}

static void
use_offers(struct agent *a)
{
	log_info("%s: read again", a->opts.common.config);
	services_use(a->services, a->fresh_offers);
	offers_free(a->offers);
	a->offers = a->fresh_offers;
	a->fresh_offers = NULL;
	if (publisher_use(a->publisher, a->offers) != 0)
		log_errorx("out of memory: not all services are published");
}

static void
tell_of_others(const struct agent *a, const struct opt_result *now)
{
	static const char *const taken[] = { "tcp", "udp", "http", "tls", "allow", NULL };
	struct strbuf names;

	strbuf_init(&names, LOG_LINE_MAX / 2);
	opt_changed(&spec, &a->from, now, taken, &names);
	if (names.len > 0)
		log_warnx("%s: of what has changed this needs a restart: %s", a->opts.common.config,
		    names.s);
	strbuf_fini(&names);
}

static void
on_reread(void *arg, const struct opt_result *now, int r, const char *text)
{
	struct agent *a = arg;

	if (r != 0 && !a->draining)
		log_errorx("%s; the configuration in use stays", text);
	if (r != 0 || a->draining) {
		offers_free(a->fresh_offers);
		a->fresh_offers = NULL;
		return;
	}
	use_offers(a);
	tell_of_others(a, now);
}

static void
on_hangup(void *arg)
{
	struct agent *a = arg;

	if (a->opts.common.config != NULL)
		reread_start(&a->reread);
	if (a->clients != NULL)
		clients_reread(a->clients);
}

/* Without a file to read again it is the end, as for other programs. */
static int
init_hangup(struct agent *a)
{
	struct reread_user user = {
		.spec = &spec,
		.before = &a->from,
		.path = a->opts.common.config,
		.fresh = &a->fresh,
		.size = sizeof a->fresh,
		.prepare = read_offers,
		.done = on_reread,
		.arg = a,
	};

	if (user.path == NULL && a->clients == NULL)
		return cmd_hangup_ends() ? sig_init(&a->hup, a->loop, SIGHUP, on_term, a) : 0;
	if (user.path != NULL)
		reread_init(&a->reread, a->loop, &user);
	return sig_init(&a->hup, a->loop, SIGHUP, on_hangup, a);
}

/* ---- start ---- */

/* Those whom the agent knows itself. */
static int
init_clients(struct agent *a, struct errtext *e)
{
	const struct clients_config cfg = {
		.loop = a->loop,
		.name = a->opts.name,
		.path = a->opts.clients,
		.uplink = &a->config,
		.services = a->services,
		.max_sessions = a->opts.max_streams,
	};

	if (a->opts.clients != NULL)
		return clients_new(&cfg, &a->clients, e);
	if (a->opts.require_e2e)
		return err_set(e, ERR_INVALID,
		    "--require-e2e would serve nobody: --clients FILE says who comes end to end");
	return 0;
}

static int
agent_init(struct agent *a, struct errtext *e)
{
	const struct offer_lists lists = {
		.tcp = &a->opts.tcp,
		.udp = &a->opts.udp,
		.http = &a->opts.http,
		.tls = &a->opts.tls,
		.allow = &a->opts.allow,
		.open = a->dropin,
	};
	int r;

	if (a->opts.name == NULL || !ctl_is_agent(a->opts.name))
		return err_set(e, ERR_INVALID,
		    "--name NAME: 1 to %d bytes without control characters", CTL_AGENT_MAX);
	if ((r = uplink_config_init(&a->config, &a->opts.uplink, CTL_AGENT, e)) != 0)
		return r;
	/* One client, as the relay numbers them, leaves memory to the others. */
	a->config.client_max = BUDGET_DEFAULT;
	a->loop = loop_new();
	if (a->loop == NULL)
		return err_sys(e, "cannot make the event loop");
	task_init(&a->look, on_look, a);
	ready_file_init(&a->ready, a->loop, on_ready_failed, a);
	if ((r = offers_new(&lists, &a->offers, e)) != 0 ||
	    (r = check_offers(a, a->offers, e)) != 0)
		return r;
	if ((a->services = services_new(a->loop, a->offers, a->opts.max_streams)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if ((r = init_clients(a, e)) != 0)
		return r;
	a->publisher =
	    publisher_new(a->loop, (unsigned)a->opts.uplink.carriers, &publisher_user, a);
	if (a->publisher == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	publisher_host(a->publisher, a->config.target.url.at.host);
	if (sig_init(&a->term, a->loop, SIGTERM, on_term, a) != 0 ||
	    sig_init(&a->intr, a->loop, SIGINT, on_term, a) != 0 || init_hangup(a) != 0 ||
	    timer_init(&a->drain, a->loop, on_drained, a) != 0)
		return err_sys(e, "cannot set up the event loop");
	for (; a->n_uplinks < a->opts.uplink.carriers; a->n_uplinks++) {
		struct agent_uplink *k = &a->uplinks[a->n_uplinks];

		k->agent = a;
		k->uplink =
		    uplink_new(a->loop, &a->config, CTL_AGENT, a->opts.name, &uplink_user, k);
		if (k->uplink == NULL)
			return err_set(e, ERR_NOMEM, "out of memory");
	}
	if (publisher_use(a->publisher, a->offers) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

static void
agent_fini(struct agent *a)
{
	for (unsigned i = 0; i < a->n_uplinks; i++)
		uplink_free(a->uplinks[i].uplink, CODE_GONE, "the agent is shutting down");
	reread_fini(&a->reread);
	services_free(a->services);
	clients_free(a->clients);
	publisher_free(a->publisher);
	offers_free(a->offers);
	offers_free(a->fresh_offers);
	sig_fini(&a->term);
	sig_fini(&a->intr);
	sig_fini(&a->hup);
	timer_fini(&a->drain);
	loop_free(a->loop);
	uplink_config_fini(&a->config);
	f_ws_thread_fini();
	buf_pool_free();
}

static int
agent_run(struct agent *a)
{
	struct errtext why = { "" };
	int r;

	ready_file_begin(&a->ready, a->opts.ready_file);
	r = agent_init(a, &why);
	if (r == 0)
		r = loop_run(a->loop);
	else
		log_errorx("tunnel agent: %s", why.s);
	ready_file_end(&a->ready);
	agent_fini(a);
	if (r == 0)
		return a->code;
	return cmd_start_failed(r);
}

static void
say_hello(const struct agent *a)
{
	dropin_say("Connecting to server...");
	if (a->opts.allow.n == 0)
		log_info(
		    "every target is allowed, as in the reference: TUNNEL_ALLOW=HOST:PORT,... in "
		    "the environment narrows that");
}

int
agent_command(int argc, char **argv, bool dropin)
{
	struct agent a = { .dropin = dropin };
	int code = cmd_options(&spec, argc, argv, &a.opts, &a.from);

	if (code == CMD_GO) {
		cmd_begin(&a.opts.common);
		if (dropin)
			say_hello(&a);
		code = agent_run(&a);
	}
	opt_fini(&spec, &a.opts, &a.from);
	return code;
}

int
agent_main(int argc, char **argv)
{
	return agent_command(argc, argv, false);
}
