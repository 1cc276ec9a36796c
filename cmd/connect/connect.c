/* SPDX-License-Identifier: ISC */
/* connect - the subcommand: reach services through an agent. */
#include "cmd/connect/connect.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ws/f_ws.h"

#define OFF(m) offsetof(struct connect_opts, m)

static const struct opt_row rows[] = {
	UPLINK_OPT_ROWS(struct connect_opts, uplink, "192m"),
	{ .name = "local",
	    .letter = 'L',
	    .kind = OPT_LIST,
	    .off = OFF(local),
	    .arg = "[BIND:]PORT=AGENT:TARGET",
	    .env = "TUNNEL_LOCAL",
	    .help =
		"listen on a local port, or on unix:PATH or udp:[BIND:]PORT in its place; TARGET "
		"is SERVICE or HOST:PORT at the agent" },
	{ .name = "socks",
	    .letter = 'D',
	    .kind = OPT_LIST,
	    .off = OFF(socks),
	    .arg = "[BIND:]PORT=AGENT",
	    .env = "TUNNEL_SOCKS",
	    .help = "a SOCKS5 proxy on a local port; names are resolved at the agent" },
	{ .name = "e2e",
	    .kind = OPT_FLAG,
	    .off = OFF(e2e.on),
	    .env = "TUNNEL_E2E",
	    .help = "talk to the agent itself, encrypted from end to end: the relay only carries" },
	{ .name = "agent-key",
	    .kind = OPT_LIST,
	    .off = OFF(e2e.agent_keys),
	    .arg = "KEY",
	    .env = "TUNNEL_AGENT_KEY",
	    .help = "with --e2e: the agent's public key, tunnel-pub-..." },
	{ .name = "known-agents",
	    .kind = OPT_STRING,
	    .off = OFF(e2e.known_agents),
	    .arg = "FILE",
	    .env = "TUNNEL_KNOWN_AGENTS",
	    .help = "with --e2e: the keys of agents, a line NAME KEY for each" },
	CMD_READY_ROW(
	    struct connect_opts, ready_file, "the process id and the ports", "-L and -D listen"),
	CMD_COMMON_ROWS(struct connect_opts, common, "warn"),
};

static const struct opt_spec spec = {
	.prog = "tunnel connect",
	.synopsis = "[OPTION...] AGENT SERVICE\n"
		    "[OPTION...] AGENT HOST PORT [tcp|udp]\n"
		    "[OPTION...] -L [BIND:]PORT=AGENT:TARGET... -D [BIND:]PORT=AGENT...",
	.about = "Reaches a service through an agent: with standard input and output (ssh's "
		 "ProxyCommand), local ports, or a SOCKS "
		 "proxy.",
	.rows = rows,
	.n_rows = sizeof rows / sizeof rows[0],
	.config_row = "config",
	.args_max = 4,
};

struct control {
	struct client *client;
	struct forward_list forwards;
	struct sig term, intr, hup;
	struct cmd_ready ready;
	/* A signal has ended it. */
	bool cut;
};

static void
on_signal(void *arg)
{
	struct control *ct = arg;

	ct->cut = true;
	/* Nothing new comes while what is there ends. */
	forwards_stop(&ct->forwards);
	if (ct->client->once && ct->client->state == CLIENT_RUNNING)
		log_errorx("the connection is cut off by a signal");
	client_end(ct->client);
}

/*
 * So ssh ends its ProxyCommand when it is done: that is no news, and the relay should not take the
 * session for a lost one.
 */
static void
on_hangup(void *arg)
{
	struct control *ct = arg;

	ct->cut = true;
	forwards_stop(&ct->forwards);
	client_end(ct->client);
}

static int
start_stdio(struct client *c, const struct opt_list *args, struct errtext *e)
{
	struct ctl_open o;
	char text[HOSTPORT_TEXT_MAX + 1];
	const char *host = args->n > 1 ? args->v[1] : "";
	bool bare_v6 = strchr(host, ':') != NULL && host[0] != '[';
	bool udp = args->n == 4 && strcmp(args->v[3], CTL_UDP) == 0;
	int r;

	if (c->dropin != NULL)
		return stdio_start(c, c->dropin->agent, &c->dropin->open, e);
	if (args->n < 2)
		return err_set(e, ERR_INVALID,
		    "usage: tunnel connect AGENT SERVICE, AGENT HOST PORT, -L or -D (see --help)");
	if (!ctl_is_agent(args->v[0]))
		return err_set(e, ERR_INVALID, "\"%s\": not an agent's name", args->v[0]);
	if (args->n == 4 && !udp && strcmp(args->v[3], CTL_TCP) != 0)
		return err_set(e, ERR_INVALID, "%s: the protocols are tcp and udp", args->v[3]);
	if (args->n == 2)
		snprintf(text, sizeof text, "%s", host);
	else if (snprintf(text, sizeof text, bare_v6 ? "[%s]:%s" : "%s:%s", host, args->v[2]) >=
		 (int)sizeof text)
		return err_set(e, ERR_INVALID, "%s: too long for a host", host);
	r = conn_target(&o, udp ? CTL_UDP : CTL_TCP, text, "target", e);
	if (r != 0)
		return r;
	return udp ? stdio_start_datagrams(c, args->v[0], &o, e)
		   : stdio_start(c, args->v[0], &o, e);
}

static int
start_forwards(struct client *c, struct control *ct, struct errtext *e)
{
	char *json;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->opts.local.n; i++)
		r = forward_local(c, &ct->forwards, c->opts.local.v[i], e);
	for (size_t i = 0; r == 0 && i < c->opts.socks.n; i++)
		r = forward_socks(c, &ct->forwards, c->opts.socks.v[i], e);
	if (r != 0 || c->opts.ready_file == NULL)
		return r;
	json = forwards_json(&ct->forwards);
	if (json == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = cmd_ready_write(&ct->ready, json, e);
	mem_free(json);
	return r;
}

static int
connect_init(struct client *c, struct control *ct, const struct opt_list *args, struct errtext *e)
{
	bool forwards = c->opts.local.n + c->opts.socks.n > 0;
	int r = uplink_config_init(&c->config, &c->opts.uplink, CTL_CONNECT, e);

	if (r != 0)
		return r;
	if (forwards && args->n > 0)
		return err_set(
		    e, ERR_INVALID, "%s: -L and -D take no further arguments", args->v[0]);
	c->loop = loop_new();
	if (c->loop == NULL)
		return err_sys(e, "cannot make the event loop");
	if (sig_init(&ct->term, c->loop, SIGTERM, on_signal, ct) != 0 ||
	    sig_init(&ct->intr, c->loop, SIGINT, on_signal, ct) != 0 ||
	    (cmd_hangup_ends() && sig_init(&ct->hup, c->loop, SIGHUP, on_hangup, ct) != 0) ||
	    client_init(c) != 0)
		return err_sys(e, "cannot set up the event loop");
	if ((r = e2e_init(&c->e2e, c->loop, &c->config, &c->opts.e2e, e)) != 0)
		return r;
	return forwards ? start_forwards(c, ct, e) : start_stdio(c, args, e);
}

static int
connect_run(struct client *c, const struct opt_list *args)
{
	struct control ct = { .client = c, .forwards = TAILQ_HEAD_INITIALIZER(ct.forwards) };
	struct errtext why = { "" };
	int r;

	cmd_ready_begin(&ct.ready, c->opts.ready_file);
	r = connect_init(c, &ct, args, &why);
	if (r == 0)
		r = loop_run(c->loop);
	else
		log_errorx("tunnel connect: %s", why.s);
	cmd_ready_end(&ct.ready);
	forwards_free(&ct.forwards);
	client_fini(c);
	socks_free_all(c);
	sig_fini(&ct.term);
	sig_fini(&ct.intr);
	sig_fini(&ct.hup);
	loop_free(c->loop);
	uplink_config_fini(&c->config);
	f_ws_thread_fini();
	buf_pool_free();
	if (stdio_end(ct.cut) != 0 && r == 0 && c->code == CMD_OK) {
		if (c->dropin != NULL)
			c->dropin->failed = true;
		return CMD_FAILED; /* all was carried, and the last of it could not be written */
	}
	if (r == 0)
		return c->code;
	return cmd_start_failed(r);
}

int
connect_command(int argc, char **argv, struct client_dropin *dropin)
{
	struct client c = { .dropin = dropin };
	struct opt_result res = { 0 };
	int code = cmd_options(&spec, argc, argv, &c.opts, &res);

	if (code == CMD_GO) {
		cmd_begin(&c.opts.common);
		code = connect_run(&c, &res.args);
	}
	opt_fini(&spec, &c.opts, &res);
	return code;
}

int
connect_main(int argc, char **argv)
{
	return connect_command(argc, argv, NULL);
}
