/* SPDX-License-Identifier: ISC */
/*
 * ws_echo - a WebSocket echo server and client on the WebSocket filter alone, for conformance
 * suites.
 *
 *     ws_echo --listen ADDR:PORT          prints "listening ADDR:PORT" with the port that was
 *                                         chosen, then serves until SIGTERM
 *     ws_echo --connect URL [--ca FILE]   opens one WebSocket and echoes until the other side
 *                                         closes
 *
 * URL is ws:// or wss://; the server's certificate is checked as lib/tls/tls.h says, against the
 * authorities in FILE if it is given. Every message goes back as it came: kind and boundaries kept.
 * Exit codes: 0 done, 1 failed at run time, 2 wrong usage.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/net/f_sock.h"
#include "lib/tls/f_tls.h"
#include "lib/ws/f_ws.h"
#include "lib/http/http.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/net/listen.h"
#include "lib/net/dial.h"
#include "lib/base/rand.h"
#include "lib/net/url.h"
#include "lib/ws/handshake.h"

enum {
	MESSAGE_MAX = 32 * 1024 * 1024, /* suites go up to 16 MiB */
	HANDSHAKE_MS = 10000,
	LINGER_MS = 1000, /* for the peer to read our Close before the socket goes */
	DIAL_MS = 10000
};

/* One connection: a socket with half a handshake, then a WebSocket, then a lingering end. */
struct conn {
	TAILQ_ENTRY(conn) link;
	struct echo *echo;
	struct filter *f;
	struct http_head *head;
	struct timer timer;
	char key[WS_KEY_LEN + 1]; /* of the client */
	bool over;
	struct grave grave;
};

struct echo {
	struct loop *l;
	int listener;
	struct io io;
	struct sig term;
	TAILQ_HEAD(, conn) conns;
	bool client;
	struct url url;
	struct tls_client_ctx *tls; /* wss only */
	int exit_code;
};

static void
conn_dispose(void *arg)
{
	mem_free(arg);
}

static void
conn_free(struct conn *c)
{
	TAILQ_REMOVE(&c->echo->conns, c, link);
	timer_fini(&c->timer);
	http_head_free(c->head);
	if (c->f != NULL)
		filter_free(c->f);
	if (c->echo->client)
		loop_stop(c->echo->l);
	loop_bury(c->echo->l, &c->grave, conn_dispose, c);
}

static void
conn_fail(struct conn *c, const char *text)
{
	fprintf(stderr, "ws_echo: %s\n", text);
	if (c->echo->client)
		c->echo->exit_code = 1;
}

static void
on_timer(void *arg)
{
	struct conn *c = arg;

	if (!c->over)
		conn_fail(c, "the handshake took too long");
	conn_free(c);
}

static void
linger(struct conn *c)
{
	c->over = true;
	timer_set(&c->timer, LINGER_MS);
}

/* ---- the WebSocket ---- */

static void
on_message(void *arg, enum f_ws_kind kind, struct bufq *payload)
{
	struct conn *c = arg;

	if (f_ws_send_message(c->f, kind, payload) == ERR_NOMEM) {
		conn_fail(c, "out of memory");
		linger(c);
		return;
	}
	filter_flush(c->f);
	if (!c->over && filter_room(c->f) == 0)
		filter_pause(c->f, true);
}

static void
on_ws_readable(void *arg)
{
	(void)arg; /* messages come by on_message */
}

static void
on_ws_writable(void *arg)
{
	struct conn *c = arg;

	filter_pause(c->f, false);
}

static void
on_ws_closed(void *arg, int err, const char *text)
{
	struct conn *c = arg;

	if (err != ERR_EOF)
		conn_fail(c, text);
	linger(c);
}

static const struct filter_user ws_user = { on_ws_readable, on_ws_writable, on_ws_closed };

static void
start_ws(struct conn *c)
{
	const struct f_ws_config cfg = { .mode = F_WS_MESSAGES,
		.client = c->echo->client,
		.max_message = MESSAGE_MAX,
		.on_message = on_message,
		.arg = c };
	struct filter *ws = f_ws_new(c->f, c->echo->l, &cfg);

	if (ws == NULL) {
		conn_fail(c, "out of memory");
		conn_free(c);
		return;
	}
	c->f = ws;
	timer_cancel(&c->timer);
	filter_set_user(ws, &ws_user, c);
}

/* ---- the handshake ---- */

static bool
send_built(struct conn *c, const struct http_build *b)
{
	if (filter_send(c->f, b->s, b->len) != 0)
		return false;
	filter_flush(c->f);
	return true;
}

static void
serve(struct conn *c)
{
	struct http_build b;
	struct errtext e;
	int status;

	if (ws_handshake_check_request(c->head, &status, &e) != 0) {
		conn_fail(c, e.s);
		if (ws_handshake_refuse(&b, status) == 0 && send_built(c, &b))
			filter_shutdown(c->f);
		linger(c);
		return;
	}
	ws_handshake_response_begin(&b, c->head, NULL);
	if (http_build_end(&b) != 0 || !send_built(c, &b)) {
		conn_free(c);
		return;
	}
	start_ws(c);
}

static void
on_head_readable(void *arg)
{
	struct conn *c = arg;
	struct errtext e;
	int r;

	if (c->over) {
		bufq_drain(&c->f->in, c->f->in.len);
		return;
	}
	r = http_head_take(c->head, &c->f->in, &e);
	if (r == 0 && !http_head_is_done(c->head))
		return;
	if (r == 0 && c->echo->client)
		r = ws_handshake_check_response(c->head, c->key, NULL, &e);
	if (r != 0) {
		conn_fail(c, e.s);
		conn_free(c);
	} else if (c->echo->client) {
		start_ws(c);
	} else {
		serve(c);
	}
}

static void
on_head_writable(void *arg)
{
	(void)arg; /* what is sent is short */
}

static void
on_head_closed(void *arg, int err, const char *text)
{
	struct conn *c = arg;

	if (!c->over && c->echo->client)
		conn_fail(c, err == ERR_TLS
				 ? text
				 : "the server closed the connection during the handshake");
	conn_free(c);
}

static const struct filter_user head_user = { on_head_readable, on_head_writable, on_head_closed };

/* Takes fd. */
static struct conn *
conn_new(struct echo *x, int fd)
{
	struct conn *c = mem_zalloc(sizeof *c);

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->echo = x;
	TAILQ_INSERT_TAIL(&x->conns, c, link);
	c->f = f_sock_new(x->l, fd, false);
	c->head = http_head_new(x->client ? HTTP_HEAD_RESPONSE : HTTP_HEAD_REQUEST);
	if (c->f == NULL)
		close(fd);
	if (c->f == NULL || c->head == NULL || timer_init(&c->timer, x->l, on_timer, c) != 0) {
		conn_free(c);
		return NULL;
	}
	timer_set(&c->timer, HANDSHAKE_MS);
	filter_set_user(c->f, &head_user, c);
	return c;
}

/* ---- server ---- */

static void
on_accept(void *arg, int what)
{
	struct echo *x = arg;
	int fd, r;

	(void)what;
	while ((r = listen_accept(x->listener, &fd, NULL)) == 0 || r == ERR_CLOSED)
		if (r == 0)
			IGNORE_RESULT(
			    conn_new(x, fd) == NULL); /* without memory the peer sees the end */
}

static int
listen_on(struct echo *x, const char *spec)
{
	char text[ADDR_TEXT];
	struct addr a;
	struct errtext e;

	if (listen_open(spec, &x->listener, &e) != 0) {
		fprintf(stderr, "ws_echo: %s\n", e.s);
		return 1;
	}
	if (io_init(&x->io, x->l, x->listener, false, on_accept, x) != 0 ||
	    io_want(&x->io, IO_READ) != 0 || addr_local(x->listener, &a) != 0) {
		perror("ws_echo: listen");
		return 1;
	}
	printf("listening %s\n", addr_text(&a, text));
	fflush(stdout);
	return 0;
}

/* ---- client ---- */

/* What is written waits in it until the handshake is done. */
static bool
start_tls(struct conn *c)
{
	struct filter *tls;

	filter_set_user(c->f, NULL, NULL);
	tls = f_tls_client(c->f, c->echo->l, c->echo->tls, c->echo->url.at.host);
	if (tls == NULL)
		return false;
	c->f = tls;
	filter_set_user(tls, &head_user, c);
	return true;
}

static void
on_dialed(void *arg, int fd, int err, const char *text)
{
	struct echo *x = arg;
	char host[HOSTPORT_TEXT_MAX + 1];
	struct http_build b;
	struct conn *c;

	if (err != 0) {
		fprintf(stderr, "ws_echo: %s\n", text);
		x->exit_code = 1;
		loop_stop(x->l);
		return;
	}
	c = conn_new(x, fd);
	if (c == NULL || ws_handshake_key_new(c->key) != 0 || (x->tls != NULL && !start_tls(c))) {
		fprintf(stderr, "ws_echo: out of memory\n");
		x->exit_code = 1;
		loop_stop(x->l);
		return;
	}
	ws_handshake_request_begin(&b, url_host_header(&x->url, host), x->url.target, c->key, NULL);
	if (http_build_end(&b) != 0 || !send_built(c, &b)) {
		conn_fail(c, "cannot send the request");
		conn_free(c);
	}
}

static int
connect_to(struct echo *x, const char *s, const char *ca)
{
	const struct tls_client_opts trust = { .ca_file = ca };
	struct errtext e;

	x->client = true;
	if (url_parse(s, URL_WS | URL_WSS, "URL", &x->url, &e) != 0) {
		fprintf(stderr, "ws_echo: %s\n", e.s);
		return 2;
	}
	if (x->url.tls && tls_client_new(&trust, &x->tls, &e) != 0) {
		fprintf(stderr, "ws_echo: %s\n", e.s);
		return 1;
	}
	if (dial_start(x->l, x->url.at.host, x->url.at.port, 0, DIAL_MS, on_dialed, x) == NULL) {
		fprintf(stderr, "ws_echo: out of memory\n");
		return 1;
	}
	return 0;
}

static void
on_term(void *arg)
{
	struct echo *x = arg;

	loop_stop(x->l);
}

int
main(int argc, char **argv)
{
	static struct echo x = { .listener = -1 };
	struct conn *c;
	int r;

	bool listen = argc == 3 && strcmp(argv[1], "--listen") == 0;
	bool ca = argc == 5 && strcmp(argv[3], "--ca") == 0;

	if (!listen && ((argc != 3 && !ca) || strcmp(argv[1], "--connect") != 0)) {
		fprintf(stderr, "usage: ws_echo --listen ADDR:PORT | --connect URL [--ca FILE]\n");
		return 2;
	}
	rand_init();
	signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&x.conns);
	x.l = loop_new();
	if (x.l == NULL || sig_init(&x.term, x.l, SIGTERM, on_term, &x) != 0) {
		perror("ws_echo");
		return 1;
	}
	r = listen ? listen_on(&x, argv[2]) : connect_to(&x, argv[2], ca ? argv[4] : NULL);
	if (r == 0 && loop_run(x.l) != 0)
		x.exit_code = 1;
	while ((c = TAILQ_FIRST(&x.conns)) != NULL)
		conn_free(c);
	io_fini(&x.io);
	listen_close(x.listener);
	sig_fini(&x.term);
	tls_client_free(x.tls);
	loop_free(x.l);
	f_ws_thread_fini();
	buf_pool_free();
	return r != 0 ? r : x.exit_code;
}
