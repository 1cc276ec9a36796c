/* SPDX-License-Identifier: ISC */
/*
 * socks - a SOCKS5 server (RFC 1928) for -D: no authentication, CONNECT only; names are resolved at
 * the agent.
 *
 *     GREETING ── method 0 ──> REQUEST ── target ──> ANSWER (the agent dials) ── reply ──> CARRIED
 *
 * each of them goes to OVER when the connection ends.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cmd/connect/connect.h"
#include "lib/net/f_sock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define SOCKS_HANDSHAKE_MS 30000

enum { SOCKS_VERSION = 5, METHOD_NONE = 0, METHOD_REFUSED = 0xff, CMD_CONNECT = 1 };
enum { ATYP_V4 = 1, ATYP_NAME = 3, ATYP_V6 = 4 };
/* Replies, RFC 1928 6. */
enum {
	REPLY_OK,
	REPLY_FAILURE,
	REPLY_DENIED,
	REPLY_NET_UNREACHABLE,
	REPLY_HOST_UNREACHABLE,
	REPLY_REFUSED,
	REPLY_EXPIRED,
	REPLY_COMMAND,
	REPLY_ADDRESS
};

enum socks_state { SOCKS_GREETING, SOCKS_REQUEST, SOCKS_ANSWER, SOCKS_CARRIED, SOCKS_OVER };

struct socks {
	struct client *client;
	struct route *route;
	/* The conn's, in ANSWER and CARRIED. */
	struct filter *f;
	enum socks_state state;
	struct timer deadline;
	TAILQ_ENTRY(socks) entry;
	struct grave grave;
};

static void
socks_set(struct socks *s, enum socks_state next)
{
	static const char *const names[] = { "greeting", "request", "answer", "carried", "over" };
	static const bool can[][5] = {
		[SOCKS_GREETING] = { [SOCKS_REQUEST] = true, [SOCKS_OVER] = true },
		[SOCKS_REQUEST] = { [SOCKS_ANSWER] = true, [SOCKS_OVER] = true },
		[SOCKS_ANSWER] = { [SOCKS_CARRIED] = true, [SOCKS_OVER] = true },
		[SOCKS_CARRIED] = { [SOCKS_OVER] = true },
		[SOCKS_OVER] = { false },
	};

	assert(can[s->state][next]);
	log_debug("socks: %s -> %s", names[s->state], names[next]);
	s->state = next;
}

static void
socks_release(struct socks *s)
{
	socks_set(s, SOCKS_OVER);
	TAILQ_REMOVE(&s->client->socks, s, entry);
	timer_fini(&s->deadline);
	loop_bury(s->client->loop, &s->grave, mem_free, s);
}

static void
socks_drop(struct socks *s)
{
	if (s->state == SOCKS_OVER)
		return;
	filter_free(s->f);
	socks_release(s);
}

static bool
send_bytes(struct socks *s, const uint8_t *p, size_t n)
{
	if (filter_send(s->f, p, n) != 0)
		return false;
	filter_flush(s->f);
	return true;
}

/* The bound address is the agent's business; RFC 1928 wants one, and clients ignore it. */
static bool
send_reply(struct socks *s, uint8_t code)
{
	const uint8_t p[] = { SOCKS_VERSION, code, 0, ATYP_V4, 0, 0, 0, 0, 0, 0 };

	return send_bytes(s, p, sizeof p);
}

static void
socks_refuse(struct socks *s, uint8_t code)
{
	send_reply(s, code);
	filter_shutdown(s->f);
	socks_drop(s);
}

/* ---- the stream's answer ---- */

static bool
on_answer(void *arg, uint32_t code, const char *text)
{
	static const uint8_t replies[] = {
		[CODE_OK] = REPLY_OK,
		[CODE_REFUSED] = REPLY_REFUSED,
		[CODE_UNREACHABLE] = REPLY_HOST_UNREACHABLE,
		[CODE_TIMEOUT] = REPLY_EXPIRED,
		[CODE_NOT_FOUND] = REPLY_NET_UNREACHABLE,
		[CODE_DENIED] = REPLY_DENIED,
	};
	struct socks *s = arg;
	uint8_t reply = code < sizeof replies && (code == CODE_OK || replies[code] != 0)
			    ? replies[code]
			    : REPLY_FAILURE;

	if (code == CODE_OK) {
		socks_set(s, SOCKS_CARRIED);
		return send_reply(s, REPLY_OK);
	}
	log_limited(&s->client->log, loop_now_ms(s->client->loop), LOG_LEVEL_WARN, "socks: %s: %s",
	    frame_code_str(code), text);
	socks_refuse(s, reply);
	return true;
}

static void
on_done(void *arg, const struct pump_result *res)
{
	log_debug("socks: ended: %s %s", frame_code_str(res->code), res->text);
	socks_release(arg);
}

static void
socks_carry(struct socks *s, const struct ctl_open *o)
{
	socks_set(s, SOCKS_ANSWER);
	timer_cancel(&s->deadline);
	filter_set_user(s->f, NULL, NULL);
	if (conn_start(s->route, s->f, o, on_answer, on_done, s) == NULL)
		socks_release(s);
}

/* ---- the client's messages ---- */

/*
 * RFC 1928 3: version, number of methods, methods.  Returns bytes used, 0 when more are needed, or
 * ERR_PROTO.
 */
static ssize_t
parse_greeting(struct socks *s, const uint8_t *p, size_t n)
{
	if (n >= 1 && p[0] != SOCKS_VERSION)
		return ERR_PROTO;
	if (n < 2 || n < 2 + (size_t)p[1])
		return 0;
	if (memchr(p + 2, METHOD_NONE, p[1]) == NULL) {
		const uint8_t no[] = { SOCKS_VERSION, METHOD_REFUSED };

		send_bytes(s, no, sizeof no);
		return ERR_PROTO;
	}
	const uint8_t yes[] = { SOCKS_VERSION, METHOD_NONE };

	socks_set(s, SOCKS_REQUEST);
	send_bytes(s, yes, sizeof yes);
	return 2 + p[1];
}

static bool
name_is_clean(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] >= 0x7f)
			return false;
	return n > 0;
}

/* RFC 1928 4: version, command, reserved, address, port. */
static ssize_t
parse_request(struct socks *s, const uint8_t *p, size_t n)
{
	struct ctl_open o = { .protocol = "tcp" };
	size_t len;

	if (n >= 1 && p[0] != SOCKS_VERSION)
		return ERR_PROTO;
	if (n < 5)
		return 0;
	len = p[3] == ATYP_V4 ? 4 : p[3] == ATYP_V6 ? 16 : p[3] == ATYP_NAME ? 1 + (size_t)p[4] : 0;
	if (len == 0 || p[1] != CMD_CONNECT) {
		send_reply(s, len == 0 ? REPLY_ADDRESS : REPLY_COMMAND);
		return ERR_PROTO;
	}
	if (n < 4 + len + 2)
		return 0;
	if (p[3] == ATYP_NAME && name_is_clean(p + 5, p[4]))
		snprintf(o.host, sizeof o.host, "%.*s", (int)p[4], (const char *)p + 5);
	else if (p[3] == ATYP_NAME || inet_ntop(p[3] == ATYP_V4 ? AF_INET : AF_INET6, p + 4, o.host,
					  sizeof o.host) == NULL) {
		send_reply(s, REPLY_ADDRESS);
		return ERR_PROTO;
	}
	o.port = get_u16be(p + 4 + len);
	if (o.port == 0) {
		send_reply(s, REPLY_FAILURE);
		return ERR_PROTO;
	}
	/* What follows belongs to the stream: take the request away before the pump looks. */
	bufq_drain(&s->f->in, 4 + len + 2);
	socks_carry(s, &o);
	return 0;
}

static void
on_readable(void *arg)
{
	struct socks *s = arg;
	uint8_t p[300];

	while (s->state == SOCKS_GREETING || s->state == SOCKS_REQUEST) {
		size_t n = bufq_read(&s->f->in, 0, p, sizeof p);
		ssize_t used =
		    s->state == SOCKS_GREETING ? parse_greeting(s, p, n) : parse_request(s, p, n);

		if (s->state == SOCKS_OVER) /* the connection broke when we answered */
			return;
		if (used < 0) {
			socks_drop(s);
			return;
		}
		if (used == 0)
			return;
		bufq_drain(&s->f->in, (size_t)used);
	}
}

static void
on_writable(void *arg)
{
	(void)arg; /* answers of a few bytes always fit */
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)err;
	(void)text;
	socks_drop(arg);
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static void
on_deadline(void *arg)
{
	socks_drop(arg);
}

void
socks_start(struct client *c, struct route *r, struct filter *f)
{
	struct socks *s = mem_zalloc(sizeof *s);

	if (s == NULL || timer_init(&s->deadline, c->loop, on_deadline, s) != 0) {
		mem_free(s);
		filter_free(f);
		return;
	}
	s->client = c;
	s->route = r;
	s->f = f;
	TAILQ_INSERT_TAIL(&c->socks, s, entry);
	timer_set(&s->deadline, SOCKS_HANDSHAKE_MS);
	filter_set_user(f, &user, s);
}

void
socks_free_all(struct client *c)
{
	struct socks *s;

	while ((s = TAILQ_FIRST(&c->socks)) != NULL) {
		if (s->state == SOCKS_ANSWER || s->state == SOCKS_CARRIED)
			socks_release(s); /* its filter was the conn's */
		else
			socks_drop(s);
	}
}
