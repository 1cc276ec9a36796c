/* SPDX-License-Identifier: ISC */
/* forward - local ports: -L to one target, of TCP or UDP, -D as a SOCKS proxy. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/common/acceptor.h"
#include "cmd/common/udp_port.h"
#include "cmd/connect/connect.h"
#include "lib/net/f_sock.h"
#include "lib/net/listen.h"
#include "lib/net/sockopt.h"
#include "lib/conf/jobj.h"
#include "lib/base/mem.h"

#define UDP_PREFIX "udp:"
/* Flows of one local port of UDP. */
#define UDP_FLOWS 4096

struct forward {
	struct client *client;
	struct route *route;
	struct acceptor acceptor;
	/* Of a port of UDP; it has fd then. */
	struct udp_port *flows;
	int fd;
	bool socks, udp;
	/* Not for SOCKS. */
	struct ctl_open target;
	char spec[ADDR_TEXT + CTL_AGENT_MAX + CTL_HOST_MAX + 16];
	struct rlimit_reserve reserve;
	TAILQ_ENTRY(forward) link;
};

/* ---- connections ---- */

static void
on_done(void *arg, const struct pump_result *res)
{
	struct forward *fw = arg;

	if (res->code == CODE_OK || res->local)
		log_debug("%s: ended: %s %s", fw->spec, frame_code_str(res->code), res->text);
	else
		log_limited(&fw->client->log, loop_now_ms(fw->client->loop), LOG_LEVEL_WARN,
		    "%s: %s: %s", fw->spec, frame_code_str(res->code), res->text);
}

static void
serve(void *arg, int fd, const struct addr *from)
{
	struct forward *fw = arg;
	struct filter *f = f_sock_new(fw->client->loop, fd, false);

	(void)from;
	if (f == NULL) {
		log_warnx("%s: a connection is dropped: out of memory", fw->spec);
		sockopt_reset(fd, true);
		close(fd);
	} else if (fw->socks) {
		socks_start(fw->client, fw->route, f);
	} else if (conn_start(fw->route, f, &fw->target, NULL, on_done, fw) == NULL) {
		log_warnx("%s: a connection is dropped: out of memory", fw->spec);
	}
}

/* ---- datagrams ---- */

static struct stream *
on_flow(void *arg, struct udp_flow *f, const struct stream_user *u)
{
	struct forward *fw = arg;
	struct stream *s = route_stream(fw->route, &fw->target, u, f);

	if (s == NULL)
		log_limited(&fw->client->log, loop_now_ms(fw->client->loop), LOG_LEVEL_WARN,
		    "%s: a datagram is dropped: there is no connection to the relay, or no room",
		    fw->spec);
	return s;
}

static void
on_flow_closed(void *arg, struct udp_flow *f, uint32_t code, const char *text)
{
	struct forward *fw = arg;
	bool well = code == CODE_OK || code == CODE_CANCELLED;
	char from[ADDR_TEXT], counts[FLOW_COUNTS_TEXT];

	log_limited(&fw->client->log, loop_now_ms(fw->client->loop),
	    well ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "%s: flow of %s: %s%s%s, %s", fw->spec,
	    addr_text(&f->from, from), well ? "" : frame_code_str(code), well ? "" : ": ", text,
	    flow_counts_text(&f->n, counts));
}

static const struct udp_port_user flow_user = { .open = on_flow, .closed = on_flow_closed };

static int
forward_flows(struct forward *fw, struct errtext *e)
{
	struct udp_port_config cfg = {
		.fd = fw->fd,
		.batch = client_batch(fw->client),
		.max = UDP_FLOWS,
		.user = &flow_user,
		.arg = fw,
	};

	if (cfg.batch != NULL)
		fw->flows = udp_port_new(fw->client->loop, &cfg);
	return fw->flows != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- start ---- */

static void
forward_stop(struct forward *fw)
{
	acceptor_fini(&fw->acceptor);
	if (fw->flows != NULL)
		udp_port_free(fw->flows);
	else if (fw->fd >= 0)
		listen_close(fw->fd);
	fw->flows = NULL;
	fw->fd = -1;
}

static void
forward_free(struct forward *fw)
{
	forward_stop(fw);
	rlimit_reserve_fini(&fw->reserve);
	mem_free(fw);
}

/* "[BIND:]PORT": loopback unless it says otherwise. */
static int
forward_listen(struct forward *fw, const char *at, struct errtext *e)
{
	char spec[ADDR_TEXT + 16];
	struct errtext why = { "" };
	struct addr a;
	int r;

	if (strchr(at, ':') == NULL)
		snprintf(spec, sizeof spec, "127.0.0.1:%s", at);
	else
		snprintf(spec, sizeof spec, "%s", at[0] == '*' ? at + 1 : at); /* "*:80" is ":80" */
	if (!fw->udp)
		r = listen_open(spec, &fw->fd, &why);
	else if ((r = addr_parse(spec, &a, &why)) == 0 && a.u.sa.sa_family == AF_UNIX)
		r = err_set(&why, ERR_INVALID, "a Unix socket has no datagrams here");
	else if (r == 0)
		r = udp_open(&a, &fw->fd, &why);
	if (r != 0)
		return err_set(e, r, "%s: %s", fw->spec, why.s);
	if (addr_local(fw->fd, &a) == 0 && !addr_is_loopback(&a))
		log_warnx("%s: whoever reaches this port from another machine uses the tunnel too, "
			  "without a secret",
		    fw->spec);
	return 0;
}

static int
forward_watch(struct forward *fw, const char *agent, struct errtext *e)
{
	struct acceptor_config cfg = { fw->fd, fw->spec, &fw->reserve, serve, fw };
	int r;

	if (fw->udp) {
		if ((r = forward_flows(fw, e)) != 0)
			return r;
	} else if (rlimit_reserve_init(&fw->reserve) != 0 ||
		   acceptor_init(&fw->acceptor, fw->client->loop, &cfg) != 0) {
		return err_sys(e, "%s: cannot watch the socket", fw->spec);
	}
	fw->route = route_get(fw->client, agent);
	return fw->route != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int
forward_add(
    struct client *c, struct forward_list *list, const char *spec, bool socks, struct errtext *e)
{
	bool udp = !socks && strncmp(spec, UDP_PREFIX, strlen(UDP_PREFIX)) == 0;
	const char *flag = socks ? "-D" : "-L", *eq = strrchr(spec, '='), *colon;
	const char *local = udp ? spec + strlen(UDP_PREFIX) : spec;
	struct forward *fw = mem_must_zalloc(sizeof *fw);
	char at[ADDR_TEXT], agent[CTL_AGENT_MAX + 1];
	size_t n;
	int r;

	fw->client = c;
	fw->socks = socks;
	fw->udp = udp;
	fw->fd = fw->reserve.fd = -1;
	snprintf(fw->spec, sizeof fw->spec, "%s %s", flag, spec);
	TAILQ_INSERT_TAIL(list, fw, link);
	if (eq == NULL || eq < local || (size_t)(eq - local) >= sizeof at)
		return err_set(e, ERR_INVALID, "%s %s: not of the form [BIND:]PORT=AGENT%s", flag,
		    spec, socks ? "" : ":SERVICE or [BIND:]PORT=AGENT:HOST:PORT");
	snprintf(at, sizeof at, "%.*s", (int)(eq - local), local);
	colon = strchr(eq + 1, ':');
	n = colon != NULL ? (size_t)(colon - eq - 1) : strlen(eq + 1);
	snprintf(agent, sizeof agent, "%.*s", (int)(n < sizeof agent ? n : 0), eq + 1);
	if (!ctl_is_agent(agent) || (colon == NULL) != socks)
		return err_set(e, ERR_INVALID, "%s %s: not of the form [BIND:]PORT=AGENT%s", flag,
		    spec, socks ? "" : ":SERVICE or [BIND:]PORT=AGENT:HOST:PORT");
	if ((!socks && (r = conn_target(
			    &fw->target, udp ? CTL_UDP : CTL_TCP, colon + 1, fw->spec, e)) != 0) ||
	    (r = forward_listen(fw, at, e)) != 0)
		return r;
	return forward_watch(fw, agent, e);
}

int
forward_local(struct client *c, struct forward_list *list, const char *spec, struct errtext *e)
{
	return forward_add(c, list, spec, false, e);
}

int
forward_socks(struct client *c, struct forward_list *list, const char *spec, struct errtext *e)
{
	return forward_add(c, list, spec, true, e);
}

void
forwards_stop(struct forward_list *list)
{
	struct forward *fw;

	TAILQ_FOREACH (fw, list, link)
		forward_stop(fw);
}

void
forwards_free(struct forward_list *list)
{
	struct forward *fw;

	while ((fw = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, fw, link);
		forward_free(fw);
	}
}

static int
add_json(struct jobj *list, const struct forward *fw)
{
	struct jobj *one = jobj_new_obj();
	char host[ADDR_TEXT];
	struct addr a;
	int r = addr_local(fw->fd, &a);

	if (r == 0)
		r = jobj_set_str(one, "address", addr_host(&a, host));
	if (r == 0)
		r = jobj_set_int(one, "port", addr_port(&a));
	if (r == 0)
		return jobj_add_take(list, one);
	jobj_free(one);
	return r;
}

char *
forwards_json(const struct forward_list *list)
{
	struct jobj *o = jobj_new_obj(), *local = jobj_new_arr(), *socks = jobj_new_arr();
	struct jobj *udp = jobj_new_arr();
	const struct forward *fw;
	char *text = NULL;
	int r = jobj_set_int(o, "pid", getpid()), rl, rs, ru;

	TAILQ_FOREACH (fw, list, link)
		if (r == 0)
			r = add_json(fw->socks ? socks : fw->udp ? udp : local, fw);
	/* All are swallowed in every case. */
	rl = jobj_set_take(o, "local", local);
	rs = jobj_set_take(o, "socks", socks);
	ru = jobj_set_take(o, "udp", udp);
	if (r == 0 && rl == 0 && rs == 0 && ru == 0)
		text = jobj_dump(o, NULL);
	jobj_free(o);
	return text;
}
