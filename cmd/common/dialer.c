/* SPDX-License-Identifier: ISC */
/* dialer - from a relay's URL to an open WebSocket. */
#include "cmd/common/dialer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <stdarg.h>
#include <unistd.h>

#include "lib/net/f_sock.h"
#include "lib/tls/f_tls.h"
#include "cmd/common/carrier.h"
#include "proto/dialect/dialect.h"
#include "lib/ws/f_ws.h"
#include "lib/http/http.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/net/dial.h"
#include "lib/ws/handshake.h"

enum phase { PHASE_CONNECT, PHASE_PROXY, PHASE_TLS, PHASE_UPGRADE, PHASE_KEYS };

struct dialer {
	struct loop *loop;
	const struct dialer_target *t;
	dialer_fn *fn;
	void *arg;
	enum phase phase;
	struct dial *net;
	/* the stack so far */
	struct filter *f;
	struct http_head *head;
	struct timer deadline;
	char key[WS_KEY_LEN + 1];
	uint64_t wait_ms;
	int status;
	bool ours;
	struct grave grave;
	bool over;
};

static void read_head(struct dialer *d);

static void
dialer_dispose(void *arg)
{
	mem_free(arg);
}

static void
dialer_release(struct dialer *d)
{
	d->over = true;
	dial_cancel(d->net);
	timer_fini(&d->deadline);
	http_head_free(d->head);
	if (d->f != NULL)
		filter_free(d->f);
	loop_bury(d->loop, &d->grave, dialer_dispose, d);
}

static void
dialer_end(struct dialer *d, int err, const char *text)
{
	struct filter *f = NULL;

	if (d->over)
		return;
	if (err == 0) {
		f = d->f;
		d->f = NULL;
	}
	dialer_release(d);
	d->fn(d->arg, f, err, text);
}

static void __attribute__((format(printf, 3, 4)))
dialer_fail(struct dialer *d, int err, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dialer_end(d, err, text);
}

static void
set_phase(struct dialer *d, enum phase p)
{
	d->phase = p;
	timer_set(&d->deadline, DIALER_PHASE_MS);
}

/* Whom the phase is waiting for. */
static const char *
peer_text(const struct dialer *d, char *out, size_t n)
{
	return url_text(d->phase == PHASE_PROXY ? &d->t->proxy : &d->t->url, out, n);
}

static void
on_deadline(void *arg)
{
	static const char *const what[] = { "", "no answer to CONNECT", "no TLS handshake",
		"no answer to the WebSocket handshake", "no proof of the relay's key" };
	struct dialer *d = arg;
	char url[256];

	dialer_fail(d, ERR_TIMEOUT, "%s: %s within %d s", peer_text(d, url, sizeof url),
	    what[d->phase], DIALER_PHASE_MS / 1000);
}

/* ---- the filters' calls while the stack is being built ---- */

static void
on_readable(void *arg)
{
	struct dialer *d = arg;

	if (!d->over && (d->phase == PHASE_PROXY || d->phase == PHASE_UPGRADE))
		read_head(d);
}

static void
on_writable(void *arg)
{
	(void)arg; /* a request of a few hundred bytes always fits */
}

/* A relay without a key answers by our protocol's goodbye, or by the end of the WebSocket. */
static void
keys_failed(struct dialer *d, const char *url, int err, const char *text)
{
	if (err == ERR_DENIED)
		dialer_end(d, err, text);
	else
		dialer_fail(d, err == ERR_EOF ? ERR_CLOSED : err,
		    "%s: login by key: %s; does the relay have a key (--key-file)?", url,
		    text[0] != '\0' ? text : "the relay ended the connection");
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct dialer *d = arg;
	char url[256];
	bool said = text[0] != '\0';

	peer_text(d, url, sizeof url);
	if (d->phase == PHASE_PROXY)
		dialer_fail(d, ERR_CLOSED, "%s: the proxy ended the connection%s%s", url,
		    said ? ": " : "", text);
	else if (d->phase == PHASE_UPGRADE)
		dialer_fail(d, ERR_CLOSED,
		    "%s: the relay ended the connection before it answered%s%s%s", url,
		    said ? ": " : "", text,
		    d->t->tls == NULL ? "; if it speaks TLS on this port, use wss://" : "");
	else if (d->phase == PHASE_KEYS)
		keys_failed(d, url, err, text);
	else if (err == ERR_PROTO)
		dialer_fail(d, err, "%s: the relay speaks plain HTTP on this port: use ws://", url);
	else
		dialer_fail(d, err == ERR_EOF ? ERR_CLOSED : err, "%s: %s", url,
		    said ? text : "the relay ended the connection during the TLS handshake");
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static int
send_built(struct dialer *d, struct http_build *b)
{
	int r = http_build_end(b);

	if (r == 0)
		r = filter_send(d->f, b->s, b->len);
	mem_wipe(b, sizeof *b); /* may hold credentials */
	if (r != 0) {
		dialer_fail(d, r, "cannot send the request: %s", err_str(r));
		return r;
	}
	filter_flush(d->f);
	return 0;
}

/* ---- the WebSocket handshake ---- */

static void
send_upgrade(struct dialer *d)
{
	const struct url *u = &d->t->url;
	char host[HOSTPORT_TEXT_MAX + 1];
	struct http_build b;

	set_phase(d, PHASE_UPGRADE);
	if (ws_handshake_key_new(d->key) != 0) {
		dialer_fail(d, ERR_SYS, "the system gives no random bytes");
		return;
	}
	ws_handshake_request_begin(&b, url_host_header(u, host), u->target, d->key, NULL);
	for (size_t i = 0; d->t->headers != NULL && i < d->t->headers->n; i++) {
		char name[256];
		const char *line = d->t->headers->v[i], *colon = strchr(line, ':');

		/* dialer_check_headers has seen it. */
		snprintf(name, sizeof name, "%.*s", (int)(colon - line), line);
		http_build_header(&b, name, colon + 1 + strspn(colon + 1, " \t"));
	}
	IGNORE_RESULT(send_built(d, &b)); /* a failure has ended the dial */
}

/* ---- the keys ---- */

static void
on_keys_ready(void *arg)
{
	struct dialer *d = arg;

	if (d->over)
		return;
	f_tls_set_ready(d->f, NULL, NULL);
	filter_set_user(d->f, NULL, NULL);
	dialer_end(d, 0, "");
}

static int
judge_relay(void *arg, const uint8_t point[KEYS_POINT_LEN], struct errtext *e)
{
	const struct dialer *d = arg;
	const struct keys_list *l = &d->t->relay_keys;
	char url[256], has[KEYS_PUB_TEXT_LEN + 1], should[KEYS_PUB_TEXT_LEN + 1];

	if (keys_list_has(l, point))
		return 0;
	keys_point_text(point, has);
	keys_point_text(l->points[0], should);
	return err_set(e, ERR_DENIED,
	    "%s: the relay's key is %s, but --relay-key says %s%s: it was changed, or somebody "
	    "else answers in its place",
	    peer_text(d, url, sizeof url), has, should, l->n > 1 ? " or another" : "");
}

static void
prove_keys(struct dialer *d)
{
	struct filter *tls;

	set_phase(d, PHASE_KEYS);
	tls = f_tls_keyed(d->f, d->loop, d->t->keyed, (struct tls_judge){ judge_relay, d });
	if (tls == NULL) {
		dialer_fail(d, ERR_NOMEM, "out of memory");
		return;
	}
	d->f = tls;
	filter_set_user(tls, &user, d);
	f_tls_set_ready(tls, on_keys_ready, d);
}

static void
got_upgrade(struct dialer *d)
{
	const struct dialect *dialect = d->t->dialect;
	struct f_ws_config cfg = carrier_ws(dialect->carries, dialect->message_max);
	struct errtext why = { "" };
	struct filter *ws;
	char url[256];
	int r = ws_handshake_check_response(d->head, d->key, NULL, &why);

	if (r != 0) {
		d->wait_ms = ws_handshake_retry_after_s(d->head) * 1000ull;
		d->status = http_status(d->head);
		dialer_fail(d, r, "%s: %s", peer_text(d, url, sizeof url), why.s);
		return;
	}
	d->ours = http_header(d->head, WS_OURS_HEADER) != NULL;
	cfg.client = true;
	filter_set_user(d->f, NULL, NULL);
	ws = f_ws_new(d->f, d->loop, &cfg);
	if (ws == NULL) {
		dialer_fail(d, ERR_NOMEM, "out of memory");
		return;
	}
	d->f = ws;
	if (d->t->keyed != NULL)
		prove_keys(d);
	else
		dialer_end(d, 0, "");
}

/* ---- TLS ---- */

static void
on_tls_ready(void *arg)
{
	struct dialer *d = arg;

	if (!d->over)
		send_upgrade(d);
}

static void
start_link(struct dialer *d)
{
	struct filter *tls;

	if (d->t->tls == NULL) {
		send_upgrade(d);
		return;
	}
	set_phase(d, PHASE_TLS);
	filter_set_user(d->f, NULL, NULL);
	tls = f_tls_client(d->f, d->loop, d->t->tls, d->t->url.at.host);
	if (tls == NULL) {
		dialer_fail(d, ERR_NOMEM, "out of memory");
		return;
	}
	d->f = tls;
	filter_set_user(tls, &user, d);
	f_tls_set_ready(tls, on_tls_ready, d);
}

/* ---- the proxy (RFC 9110 9.3.6) ---- */

static void
send_connect(struct dialer *d)
{
	const struct url *p = &d->t->proxy;
	char at[HOSTPORT_TEXT_MAX + 1], basic[HTTP_BASIC_MAX];
	struct http_build b;

	set_phase(d, PHASE_PROXY);
	hostport_text(&d->t->url.at, at);
	http_build_request(&b, "CONNECT", at);
	http_build_header(&b, "Host", at);
	if (p->has_user) {
		if (http_basic(p->user, p->password, basic) != 0) {
			dialer_fail(
			    d, ERR_INVALID, "the proxy's user name has a colon or is too long");
			return;
		}
		http_build_header(&b, "Proxy-Authorization", basic);
		mem_wipe(basic, sizeof basic);
	}
	IGNORE_RESULT(send_built(d, &b)); /* a failure has ended the dial */
}

/*
 * The schemes a proxy offers, from all its Proxy-Authenticate headers.  Returns whether Basic is
 * among them.
 */
static bool
offered_schemes(const struct http_head *h, char *out, size_t room)
{
	const char *name, *value, *s;
	size_t n, len = 0;
	bool basic = false;

	out[0] = '\0';
	for (size_t i = 0; http_header_at(h, i, &name, &value); i++) {
		if (strcasecmp(name, "Proxy-Authenticate") != 0)
			continue;
		while ((s = http_next_scheme(&value, &n)) != NULL) {
			basic = basic || (n == 5 && strncasecmp(s, "Basic", n) == 0);
			if (n + 3 > room - len)
				continue;
			len += (size_t)snprintf(
			    out + len, room - len, "%s%.*s", len > 0 ? ", " : "", (int)n, s);
		}
	}
	return basic;
}

static void
want_authentication(struct dialer *d, const char *url)
{
	char schemes[128];
	bool basic = offered_schemes(d->head, schemes, sizeof schemes);

	dialer_fail(d, ERR_DENIED, "proxy %s: wants authentication (offers: %s); %s", url,
	    schemes[0] != '\0' ? schemes : "nothing",
	    !basic                 ? "Basic is the only kind that tunnel knows"
	    : d->t->proxy.has_user ? "the user name or password is wrong"
				   : "put user:password@ before the proxy's host (Basic)");
}

static void
got_connect(struct dialer *d)
{
	int status = http_status(d->head);
	char url[256];

	peer_text(d, url, sizeof url);
	if (status == 407) {
		want_authentication(d, url);
	} else if (status < 200 || status > 299) {
		dialer_fail(d, ERR_CLOSED, "proxy %s: answers %d %s to CONNECT", url, status,
		    http_reason(d->head));
	} else {
		http_head_reset(d->head);
		start_link(d);
	}
}

/* RFC 9110 15.2: what goes before the answer; 101 is the answer to our kind of request. */
static bool
is_interim(const struct http_head *h)
{
	return http_head_is_done(h) && http_status(h) < 200 && http_status(h) != 101;
}

/* An alert or a handshake of TLS (RFC 8446 5.1); no HTTP answer begins so. */
static bool
is_tls(const struct bufq *in)
{
	uint8_t p[2];

	return bufq_read(in, 0, p, sizeof p) == sizeof p && (p[0] == 0x15 || p[0] == 0x16) &&
	       p[1] == 0x03;
}

static void
read_head(struct dialer *d)
{
	struct errtext why = { "" };
	char url[256];
	int r;

	if (is_tls(&d->f->in)) {
		dialer_fail(d, ERR_PROTO, "%s: %s", peer_text(d, url, sizeof url),
		    d->phase == PHASE_PROXY ? "the proxy speaks TLS on this port; only proxies "
					      "without TLS can be used"
					    : "the relay speaks TLS on this port: use wss://");
		return;
	}
	while ((r = http_head_take(d->head, &d->f->in, &why)) == 0 && is_interim(d->head))
		http_head_reset(d->head);
	if (r != 0) {
		dialer_fail(
		    d, r, "%s: not an HTTP answer: %s", peer_text(d, url, sizeof url), why.s);
		return;
	}
	if (!http_head_is_done(d->head))
		return;
	if (d->phase == PHASE_PROXY)
		got_connect(d);
	else
		got_upgrade(d);
}

/* ---- life ---- */

static void
on_connected(void *arg, int fd, int err, const char *text)
{
	struct dialer *d = arg;

	d->net = NULL;
	if (fd < 0) {
		dialer_fail(d, err, "%s%s", d->t->has_proxy ? "proxy: " : "", text);
		return;
	}
	d->f = f_sock_new(d->loop, fd, true);
	if (d->f == NULL) {
		close(fd);
		dialer_fail(d, ERR_NOMEM, "out of memory");
		return;
	}
	filter_set_user(d->f, &user, d);
	if (d->t->has_proxy)
		send_connect(d);
	else
		start_link(d);
}

struct dialer *
dialer_start(struct loop *l, const struct dialer_target *t, dialer_fn *fn, void *arg)
{
	struct dialer *d = mem_zalloc(sizeof *d);
	const struct hostport *at = t->has_proxy ? &t->proxy.at : &t->url.at;

	if (d == NULL)
		return NULL;
	d->loop = l;
	d->t = t;
	d->fn = fn;
	d->arg = arg;
	d->head = http_head_new(HTTP_HEAD_RESPONSE);
	if (d->head == NULL || timer_init(&d->deadline, l, on_deadline, d) != 0)
		goto fail;
	/* No deadline of ours: dial has one, and knows better what it waited for. */
	d->phase = PHASE_CONNECT;
	d->net = dial_start(l, at->host, at->port, 0, DIALER_PHASE_MS, on_connected, d);
	if (d->net == NULL)
		goto fail;
	return d;
fail:
	timer_fini(&d->deadline);
	http_head_free(d->head);
	mem_free(d);
	return NULL;
}

uint64_t
dialer_wait_ms(const struct dialer *d)
{
	return d->wait_ms;
}

bool
dialer_is_ours(const struct dialer *d)
{
	return d->ours;
}

int
dialer_status(const struct dialer *d)
{
	return d->status;
}

void
dialer_cancel(struct dialer *d)
{
	if (d != NULL && !d->over)
		dialer_release(d);
}
