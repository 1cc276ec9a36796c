/* SPDX-License-Identifier: ISC */
/* service - what an agent offers, and the connections to it. */
#include "cmd/agent/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "cmd/common/pump.h"
#include "lib/net/f_sock.h"
#include "lib/net/hostport.h"
#include "lib/net/sockopt.h"
#include "lib/base/hashtab.h"
#include "lib/base/log_limit.h"
#include "lib/conf/match.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/net/dial.h"

/* Lines a second about the streams of all clients. */
#define SERVICE_LOG_LINES 100

struct service {
	char name[CTL_NAME_MAX + 1];
	struct hostport at;
};

/* One stream and its connection: first dialled, then carried by a pump. */
struct serving {
	struct services *sv;
	/* While it is dialled. */
	struct stream *s;
	struct dial *dial;
	struct pump *pump;
	/* A declared service needs no --allow. */
	bool vetted;
	/*
	 * What came before the target was connected; at most the first window, since none of it is
	 * consumed.
	 */
	struct bufq early;
	bool early_eof;
	char host[CTL_HOST_MAX + 1];
	char label[CTL_ADDR_MAX + CTL_NAME_MAX + CTL_HOST_MAX + 16];
	uint64_t since_ms;
	/* What the opener calls the stream; no other one that is open has the same. */
	uint8_t token[CTL_TOKEN_LEN];
	UT_hash_handle hh;
	/* The number of the client whose stream it is. */
	uint32_t client;
	/* Its stream is over, its target has yet to take the last bytes. */
	bool lingers;
	/* In the list of those that are open, or of those that linger. */
	TAILQ_ENTRY(serving) link;
	struct grave grave;
};

TAILQ_HEAD(serving_list, serving);

struct services {
	struct loop *loop;
	struct service v[SERVICE_MAX];
	size_t n;
	struct match *allow;
	struct serving_list open, lingering; /* the oldest first */
	uint64_t n_open, max_open;
	unsigned n_lingering;
	struct serving *tokens;
	/* Clients decide how often streams open and close. */
	struct log_limit log;
};

/* ---- configuration ---- */

static int
add_service(struct services *sv, const char *arg, struct errtext *e)
{
	struct service *s = &sv->v[sv->n];
	const char *eq = strchr(arg, '=');
	struct errtext why = { "" };

	if (sv->n == SERVICE_MAX)
		return err_set(e, ERR_INVALID, "more than %d services", SERVICE_MAX);
	if (eq == NULL || (size_t)(eq - arg) > CTL_NAME_MAX)
		return err_set(e, ERR_INVALID, "--tcp %s: not of the form NAME=HOST:PORT", arg);
	memcpy(s->name, arg, (size_t)(eq - arg));
	s->name[eq - arg] = '\0';
	if (!ctl_is_name(s->name))
		return err_set(
		    e, ERR_INVALID, "--tcp %s: a name has letters, digits, '.', '-' and '_'", arg);
	for (size_t i = 0; i < sv->n; i++)
		if (strcmp(sv->v[i].name, s->name) == 0)
			return err_set(
			    e, ERR_INVALID, "--tcp %s: there are two services of that name", arg);
	/* ":80" and "80" are this machine's. */
	if (strchr(eq + 1, ':') == NULL) {
		char text[HOSTPORT_TEXT_MAX];

		snprintf(text, sizeof text, "127.0.0.1:%s", eq + 1);
		if (hostport_parse(text, 0, &s->at, &why) != 0)
			return err_set(e, ERR_INVALID, "--tcp %s: %s", arg, why.s);
	} else if (hostport_parse(eq + 1, HOSTPORT_ANY_HOST, &s->at, &why) != 0) {
		return err_set(e, ERR_INVALID, "--tcp %s: %s", arg, why.s);
	}
	if (s->at.host[0] == '\0')
		snprintf(s->at.host, sizeof s->at.host, "127.0.0.1");
	sv->n++;
	return 0;
}

int
services_new(struct loop *l, const struct opt_list *tcp, const struct opt_list *allow,
    uint64_t max_streams, struct services **out, struct errtext *e)
{
	struct services *sv = mem_must_zalloc(sizeof *sv);
	struct errtext why = { "" };
	int r = 0;

	sv->loop = l;
	sv->max_open = max_streams;
	TAILQ_INIT(&sv->open);
	TAILQ_INIT(&sv->lingering);
	log_limit_init(&sv->log, SERVICE_LOG_LINES, LOG_LIMIT_MS, "streams");
	sv->allow = match_new();
	if (sv->allow == NULL)
		r = err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < tcp->n; i++)
		r = add_service(sv, tcp->v[i], e);
	for (size_t i = 0; r == 0 && i < allow->n; i++)
		if ((r = match_add(sv->allow, allow->v[i], &why)) != 0)
			err_set(e, r, "--allow: %s", why.s);
	if (r == 0 && allow->n == 0 && match_add_loopback(sv->allow) != 0)
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (r == 0)
		*out = sv;
	else
		services_free(sv);
	return r;
}

/* ---- one stream ---- */

static void
serving_dispose(void *arg)
{
	mem_free(arg);
}

/* It is in no list, and does not count. */
static void
serving_leave(struct serving *sg)
{
	struct services *sv = sg->sv;

	TAILQ_REMOVE(sg->lingers ? &sv->lingering : &sv->open, sg, link);
	if (sg->lingers)
		sv->n_lingering--;
	else
		sv->n_open--;
}

static void
serving_free(struct serving *sg)
{
	serving_leave(sg);
	if (hashtab_has(sg))
		HASH_DEL(sg->sv->tokens, sg);
	dial_cancel(sg->dial);
	sg->dial = NULL;
	bufq_fini(&sg->early);
	loop_bury(sg->sv->loop, &sg->grave, serving_dispose, sg);
}

void
services_free(struct services *sv)
{
	struct serving *sg;

	if (sv == NULL)
		return;
	while (
	    (sg = TAILQ_FIRST(&sv->lingering)) != NULL || (sg = TAILQ_FIRST(&sv->open)) != NULL) {
		if (sg->pump != NULL)
			pump_stop(sg->pump, CODE_GONE, "the agent is shutting down");
		else
			stream_reset(sg->s, CODE_GONE, "the agent is shutting down");
		serving_free(sg);
	}
	log_limit_fini(&sv->log);
	match_free(sv->allow);
	mem_free(sv);
}

/* A line about a stream. */
__attribute__((format(printf, 3, 4))) static void
log_stream(struct serving *sg, enum log_level level, const char *fmt, ...)
{
	char text[LOG_LINE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_limited(
	    &sg->sv->log, loop_now_ms(sg->sv->loop), level, "stream %s: %s", sg->label, text);
}

static void
refuse(struct serving *sg, uint32_t code, const char *why)
{
	log_stream(sg, LOG_LEVEL_WARN, "refused: %s", why);
	stream_reset(sg->s, code, why);
	serving_free(sg);
}

static void
on_done(void *arg, const struct pump_result *res)
{
	struct serving *sg = arg;
	uint64_t ms = loop_now_ms(sg->sv->loop) - sg->since_ms;

	log_stream(sg, LOG_LEVEL_INFO,
	    "closed by %s: %s%s%s, %llu bytes up, %llu down, %llu.%03llu s",
	    res->local ? "target" : "peer",
	    res->code == CODE_OK ? "ended" : frame_code_str(res->code),
	    res->text[0] != '\0' ? ": " : "", res->text, (unsigned long long)res->from_stream,
	    (unsigned long long)res->to_stream, (unsigned long long)ms / 1000,
	    (unsigned long long)ms % 1000);
	serving_free(sg);
}

/*
 * Whoever opens and resets streams to a target that does not read must not take the others' places,
 * nor the time that the others' last bytes have.
 */
static void
on_linger(void *arg)
{
	struct serving *sg = arg, *oldest = NULL, *other;
	struct services *sv = sg->sv;
	unsigned own = 0;

	serving_leave(sg);
	sg->lingers = true;
	TAILQ_INSERT_TAIL(&sv->lingering, sg, link);
	sv->n_lingering++;
	TAILQ_FOREACH (other, &sv->lingering, link) {
		if (other->client != sg->client)
			continue;
		if (own++ == 0)
			oldest = other;
	}
	if (own > (SERVICE_LINGER_MAX - (sv->n_lingering - own)) / 2)
		pump_hurry(oldest->pump);
}

static void
carry(struct serving *sg, int fd, const struct ctl_open_ok *ok)
{
	struct filter *f = f_sock_new(sg->sv->loop, fd, false);

	/*
	 * A target that was connected in vain must not take it for a short connection that ended
	 * well.
	 */
	if (f == NULL) {
		sockopt_reset(fd, true);
		close(fd);
		refuse(sg, CODE_INTERNAL, "out of memory");
		return;
	}
	filter_reset(f, true);
	if (stream_accept(sg->s, ok) == 0)
		sg->pump = pump_new(sg->sv->loop, f, sg->s, on_done, sg);
	if (sg->pump == NULL) {
		filter_free(f);
		refuse(sg, CODE_INTERNAL, "out of memory");
		return;
	}
	pump_on_linger(sg->pump, on_linger);
	log_stream(sg, LOG_LEVEL_INFO, "opened");
	pump_deliver(sg->pump, &sg->early, sg->early_eof);
	pump_start(sg->pump);
}

static void
on_dialled(void *arg, int fd, int err, const char *text)
{
	struct serving *sg = arg;
	struct ctl_open_ok ok = { 0 };
	struct addr at;
	char text_at[ADDR_TEXT];

	sg->dial = NULL;
	if (fd < 0) {
		refuse(sg,
		    err == ERR_TIMEOUT                     ? CODE_TIMEOUT
		    : err == ERR_DENIED                    ? CODE_DENIED
		    : err == ERR_CLOSED                    ? CODE_REFUSED
		    : err == ERR_LIMIT || err == ERR_NOMEM ? CODE_INTERNAL
							   : CODE_UNREACHABLE,
		    text);
		return;
	}
	/*
	 * Where a declared service is, is the agent's business; who named an address may know which
	 * one it became.
	 */
	if (!sg->vetted && addr_peer(fd, &at) == 0)
		snprintf(ok.target, sizeof ok.target, "%s", addr_text(&at, text_at));
	carry(sg, fd, &ok);
}

/* PROTOCOL.md: the agent's own list decides, on the address that is really dialled. */
static bool
may_dial(void *arg, const struct addr *a)
{
	const struct serving *sg = arg;

	return sg->vetted || match_target(sg->sv->allow, sg->host, a);
}

/* ---- the stream while its target is being dialled ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)arg; /* never: the relay opened it */
	(void)ok;
}

static void
on_data(void *arg, struct bufq *in)
{
	struct serving *sg = arg;

	/* It may stand here until the dial has failed. */
	if (bufq_keep(&sg->early, in, in->len) != 0)
		refuse(sg, CODE_INTERNAL, "out of memory");
}

static void
on_eof(void *arg)
{
	struct serving *sg = arg;

	sg->early_eof = true;
}

static void
on_sent(void *arg, size_t n)
{
	(void)arg; /* nothing is sent before the target stands */
	(void)n;
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg; /* the same */
	(void)off;
	(void)eof;
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct serving *sg = arg;

	log_stream(sg, LOG_LEVEL_INFO, "gone before the target was connected: %s %s",
	    frame_code_str(code), text);
	serving_free(sg);
}

static const struct stream_user early_user = { on_opened, on_data, on_eof, on_sent, on_acked,
	on_closed };

/* ---- opening ---- */

static const struct service *
find_service(const struct services *sv, const char *name)
{
	for (size_t i = 0; i < sv->n; i++)
		if (strcmp(sv->v[i].name, name) == 0)
			return &sv->v[i];
	return NULL;
}

/* PROTOCOL.md 8: who cannot resume says so, and does not begin anew in the middle of a stream. */
static bool
is_resumption(const struct services *sv, const struct ctl_open *o)
{
	struct serving *other;

	HASH_FIND(hh, sv->tokens, o->token, CTL_TOKEN_LEN, other);
	return other != NULL || o->received > 0;
}

static void
start_dial(struct serving *sg, uint16_t port)
{
	struct services *sv = sg->sv;

	HASH_ADD(hh, sv->tokens, token, CTL_TOKEN_LEN, sg);
	if (hashtab_has(sg))
		sg->dial = dial_start(
		    sv->loop, sg->host, port, sg->client + 1ULL, SERVICE_DIAL_MS, on_dialled, sg);
	if (sg->dial == NULL)
		refuse(sg, CODE_INTERNAL, "out of memory");
	else
		dial_set_vet(sg->dial, may_dial, sg);
}

void
services_open(struct services *sv, struct stream *s, const struct ctl_open *o)
{
	struct serving *sg = mem_zalloc(sizeof *sg);
	const struct service *named = find_service(sv, o->service);
	uint16_t port = named != NULL ? named->at.port : o->port;

	if (sg == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return;
	}
	sg->sv = sv;
	sg->s = s;
	sg->since_ms = loop_now_ms(sv->loop);
	sg->vetted = named != NULL;
	sg->client = o->client;
	memcpy(sg->token, o->token, sizeof sg->token);
	snprintf(sg->host, sizeof sg->host, "%s", named != NULL ? named->at.host : o->host);
	snprintf(sg->label, sizeof sg->label, "%s -> %s%s%s:%u", o->source, o->service,
	    named != NULL ? "=" : "", sg->host, port);
	TAILQ_INSERT_TAIL(&sv->open, sg, link);
	sv->n_open++;
	stream_set_user(s, &early_user, sg);
	if (sv->n_open > sv->max_open)
		refuse(sg, CODE_LIMIT, "the agent has as many streams as it may have");
	else if (strcmp(o->protocol, "tcp") != 0)
		refuse(sg, CODE_NOT_FOUND, "only protocol tcp is served");
	else if (o->service[0] != '\0' && named == NULL)
		refuse(sg, CODE_NOT_FOUND, "no such service at this agent");
	else if (is_resumption(sv, o))
		refuse(sg, CODE_NOT_FOUND, "streams cannot be resumed here");
	else
		start_dial(sg, port);
}
