/* SPDX-License-Identifier: ISC */
/* forward - local ports: -L to one target, -D as a SOCKS proxy. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/common/acceptor.h"
#include "cmd/connect/connect.h"
#include "lib/net/f_sock.h"
#include "lib/net/listen.h"
#include "lib/net/sockopt.h"
#include "lib/conf/jobj.h"
#include "lib/base/mem.h"

struct forward {
	struct client *client;
	struct route *route;
	struct acceptor acceptor;
	int fd;
	bool socks;
	/* Not for SOCKS. */
	struct ctl_open target;
	char spec[ADDR_TEXT + CTL_NAME_MAX + CTL_HOST_MAX + 16];
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

/* ---- start ---- */

static void
forward_stop(struct forward *fw)
{
	acceptor_fini(&fw->acceptor);
	if (fw->fd >= 0)
		listen_close(fw->fd);
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
	r = listen_open(spec, &fw->fd, &why);
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

	if (rlimit_reserve_init(&fw->reserve) != 0 ||
	    acceptor_init(&fw->acceptor, fw->client->loop, &cfg) != 0)
		return err_sys(e, "%s: cannot watch the socket", fw->spec);
	fw->route = route_get(fw->client, agent);
	return fw->route != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int
forward_add(
    struct client *c, struct forward_list *list, const char *spec, bool socks, struct errtext *e)
{
	const char *flag = socks ? "-D" : "-L", *eq = strrchr(spec, '='), *colon;
	struct forward *fw = mem_must_zalloc(sizeof *fw);
	char at[ADDR_TEXT], agent[CTL_NAME_MAX + 1];
	size_t n;
	int r;

	fw->client = c;
	fw->socks = socks;
	fw->fd = fw->reserve.fd = -1;
	snprintf(fw->spec, sizeof fw->spec, "%s %s", flag, spec);
	TAILQ_INSERT_TAIL(list, fw, link);
	if (eq == NULL || (size_t)(eq - spec) >= sizeof at)
		return err_set(e, ERR_INVALID, "%s %s: not of the form [BIND:]PORT=AGENT%s", flag,
		    spec, socks ? "" : ":SERVICE or [BIND:]PORT=AGENT:HOST:PORT");
	snprintf(at, sizeof at, "%.*s", (int)(eq - spec), spec);
	colon = strchr(eq + 1, ':');
	n = colon != NULL ? (size_t)(colon - eq - 1) : strlen(eq + 1);
	snprintf(agent, sizeof agent, "%.*s", (int)(n < sizeof agent ? n : 0), eq + 1);
	if (!ctl_is_name(agent) || (colon == NULL) != socks)
		return err_set(e, ERR_INVALID, "%s %s: not of the form [BIND:]PORT=AGENT%s", flag,
		    spec, socks ? "" : ":SERVICE or [BIND:]PORT=AGENT:HOST:PORT");
	if ((!socks && (r = conn_target(&fw->target, colon + 1, fw->spec, e)) != 0) ||
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
	const struct forward *fw;
	char *text = NULL;
	int r = jobj_set_int(o, "pid", getpid()), rl, rs;

	TAILQ_FOREACH (fw, list, link)
		if (r == 0)
			r = add_json(fw->socks ? socks : local, fw);
	/* Both are swallowed in every case. */
	rl = jobj_set_take(o, "local", local);
	rs = jobj_set_take(o, "socks", socks);
	if (r == 0 && rl == 0 && rs == 0)
		text = jobj_dump(o, NULL);
	jobj_free(o);
	return text;
}
