/* SPDX-License-Identifier: ISC */
/* service - what an agent offers, and the connections to it. */
#include "cmd/agent/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "cmd/common/dpump.h"
#include "cmd/common/pump.h"
#include "lib/net/f_sock.h"
#include "lib/net/sockopt.h"
#include "lib/base/hashtab.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/net/dial.h"
#include "proto/datagrams.h"

/* Lines a second about the streams of all clients. */
#define SERVICE_LOG_LINES 100

/* One stream and its connection: first dialled, then carried by a pump, or a dpump. */
struct serving {
	struct services *sv;
	/* While it is dialled. */
	struct stream *s;
	struct dial *dial;
	struct pump *pump;
	/* Of datagrams, those that came before the target's address was known; NULL: of bytes. */
	struct datagrams *datagrams;
	struct dpump *dpump;
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
	uint64_t client;
	/* NULL: known to the relay alone. */
	const struct service_client *whose;
	/* Its stream is over, its target has yet to take the last bytes. */
	bool lingers;
	/* In the list of those that are open, or of those that linger. */
	TAILQ_ENTRY(serving) link;
	struct grave grave;
};

TAILQ_HEAD(serving_list, serving);

struct services {
	struct loop *loop;
	/* Borrowed. */
	const struct offers *offers;
	struct serving_list open, lingering; /* the oldest first */
	uint64_t n_open, max_open;
	unsigned n_lingering;
	struct serving *tokens;
	/* Of this thread; made for the first stream of datagrams. */
	struct udp_batch *batch;
	/* What early datagrams may take. */
	struct budget early;
	/* Clients decide how often streams open and close. */
	struct log_limit log;
};

struct services *
services_new(struct loop *l, const struct offers *offers, uint64_t max_streams)
{
	struct services *sv = mem_zalloc(sizeof *sv);

	if (sv == NULL)
		return NULL;
	sv->loop = l;
	sv->offers = offers;
	sv->max_open = max_streams;
	TAILQ_INIT(&sv->open);
	TAILQ_INIT(&sv->lingering);
	budget_init(&sv->early, SERVICE_EARLY_MAX, NULL);
	log_limit_init(&sv->log, SERVICE_LOG_LINES, LOG_LIMIT_MS, "streams");
	return sv;
}

uint64_t
services_left(const struct services *sv)
{
	return sv->max_open > sv->n_open ? sv->max_open - sv->n_open : 0;
}

void
services_use(struct services *sv, const struct offers *offers)
{
	sv->offers = offers;
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
	if (sg->datagrams != NULL)
		datagrams_fini(sg->datagrams);
	mem_free(sg->datagrams);
	sg->datagrams = NULL;
	if (sg->whose != NULL)
		sg->whose->ended(sg->whose->arg);
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
		else if (sg->dpump != NULL)
			dpump_stop(sg->dpump, CODE_GONE, "the agent is shutting down");
		else
			stream_reset(sg->s, CODE_GONE, "the agent is shutting down");
		serving_free(sg);
	}
	log_limit_fini(&sv->log);
	udp_batch_free(sv->batch);
	mem_free(sv);
}

void
services_drain(struct services *sv)
{
	struct serving *sg;

	TAILQ_FOREACH (sg, &sv->open, link)
		if (sg->dpump != NULL)
			dpump_quiet(sg->dpump, SERVICE_DRAIN_QUIET_MS);
}

/* A line about a stream. */
__attribute__((format(printf, 3, 4))) static void
log_stream(struct serving *sg, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited_about(
	    &sg->sv->log, loop_now_ms(sg->sv->loop), level, "stream", sg->label, fmt, ap);
	va_end(ap);
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

/* ---- datagrams ---- */

static void
on_flow_done(void *arg, const struct pump_result *res, const struct flow_counts *n)
{
	struct serving *sg = arg;
	uint64_t ms = loop_now_ms(sg->sv->loop) - sg->since_ms;
	char counts[FLOW_COUNTS_TEXT];

	log_stream(sg, LOG_LEVEL_INFO, "closed by %s: %s%s%s, %s, %llu.%03llu s",
	    res->local ? "target" : "peer",
	    res->code == CODE_OK ? "ended" : frame_code_str(res->code),
	    res->text[0] != '\0' ? ": " : "", res->text, flow_counts_text(n, counts),
	    (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
	serving_free(sg);
}

/* Those that came early; the first that the target refuses ends it. */
static void
deliver_early(struct serving *sg)
{
	bool more = true;

	while (more && sg->datagrams != NULL && sg->datagrams->n > 0) {
		struct bufq q = { 0 };

		more = datagrams_take(sg->datagrams, &q) == 0;
		if (more)
			dpump_deliver(sg->dpump, &q);
		bufq_fini(&q);
	}
}

static void
carry_flow(struct serving *sg, int fd, const struct ctl_open_ok *ok)
{
	struct services *sv = sg->sv;

	if (sv->batch == NULL)
		sv->batch = udp_batch_new();
	if (sv->batch != NULL && stream_accept(sg->s, ok) == 0)
		sg->dpump = dpump_new(sv->loop, fd, sg->s, sv->batch, false, on_flow_done, sg);
	if (sg->dpump == NULL) {
		close(fd);
		refuse(sg, CODE_INTERNAL, "out of memory");
		return;
	}
	log_stream(sg, LOG_LEVEL_INFO, "opened");
	deliver_early(sg);
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
	if (sg->datagrams != NULL)
		carry_flow(sg, fd, &ok);
	else
		carry(sg, fd, &ok);
}

/* PROTOCOL.md: the agent's own list decides, on the address that is really dialled. */
static bool
may_dial(void *arg, const struct addr *a)
{
	const struct serving *sg = arg;

	if (sg->vetted)
		return true;
	return match_target(sg->sv->offers->allow, sg->host, a) &&
	       (sg->whose == NULL || sg->whose->may_dial(sg->whose->arg, sg->host, a));
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
on_datagram(void *arg, struct bufq *in)
{
	struct serving *sg = arg;
	unsigned dropped;

	/* Without memory it is lost, as others are without room. */
	IGNORE_RESULT(datagrams_put(sg->datagrams, in, &dropped));
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

static const struct stream_user early_user = {
	.opened = on_opened,
	.data = on_data,
	.datagram = on_datagram,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_closed,
};

/* ---- opening ---- */

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
	if (sg->dial == NULL) {
		refuse(sg, CODE_INTERNAL, "out of memory");
		return;
	}
	dial_set_vet(sg->dial, may_dial, sg);
	if (sg->datagrams != NULL)
		dial_set_datagrams(sg->dial);
}

/* The protocol of the stream.  False: none that is served here, or out of memory. */
static bool
set_protocol(struct serving *sg, const char *protocol)
{
	if (strcmp(protocol, CTL_UDP) != 0)
		return strcmp(protocol, CTL_TCP) == 0;
	sg->datagrams = mem_alloc(sizeof *sg->datagrams);
	if (sg->datagrams != NULL)
		datagrams_init(sg->datagrams, &sg->sv->early);
	return sg->datagrams != NULL;
}

static void
set_label(struct serving *sg, const struct ctl_open *o, const struct offer *named)
{
	char target[OFFER_TARGET_MAX];

	if (named != NULL)
		snprintf(sg->label, sizeof sg->label, "%s -> %s=%s", o->source, named->name,
		    offer_target(named, target));
	else
		snprintf(sg->label, sizeof sg->label, "%s -> %s%s:%u", o->source, o->service,
		    o->host, o->port);
}

void
services_open(struct services *sv, struct stream *s, const struct ctl_open *o,
    const struct service_client *whose)
{
	struct serving *sg = mem_zalloc(sizeof *sg);
	const struct offer *named = offers_find(sv->offers, o->protocol, o->service);
	uint16_t port = named != NULL ? named->port : o->port;

	if (sg == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		if (whose != NULL)
			whose->ended(whose->arg);
		return;
	}
	sg->sv = sv;
	sg->s = s;
	sg->since_ms = loop_now_ms(sv->loop);
	sg->vetted = named != NULL;
	sg->client = whose != NULL ? whose->number : o->client;
	sg->whose = whose;
	memcpy(sg->token, o->token, sizeof sg->token);
	snprintf(sg->host, sizeof sg->host, "%s", named != NULL ? named->host : o->host);
	set_label(sg, o, named);
	TAILQ_INSERT_TAIL(&sv->open, sg, link);
	sv->n_open++;
	stream_set_user(s, &early_user, sg);
	if (sv->n_open > sv->max_open)
		refuse(sg, CODE_LIMIT, "the agent has as many streams as it may have");
	else if (!set_protocol(sg, o->protocol))
		refuse(sg, CODE_NOT_FOUND, "only the protocols tcp and udp are served");
	else if (o->service[0] != '\0' && named == NULL)
		refuse(sg, CODE_NOT_FOUND, "no such service at this agent");
	else if (is_resumption(sv, o))
		refuse(sg, CODE_NOT_FOUND, "streams cannot be resumed here");
	else
		start_dial(sg, port);
}
