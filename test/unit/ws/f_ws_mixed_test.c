/* SPDX-License-Identifier: ISC */
/*
 * f_ws_mixed_test - frames with keys of zero, random keys and none, control frames and fragments
 * mixed, over real sockets.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/f_sock.h"
#include "lib/ws/f_ws.h"
#include "test/unit/sockpair.h"
#include "test/wire.h"

enum { WAIT_MS = 20000, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, FIN = 0x80 };

enum mask { NO_KEY, ZERO_KEY, RANDOM_KEY };

/* A WebSocket on a socket whose other end is the test. */
struct fixture {
	struct loop *l;
	struct filter *ws;
	int peer;
	struct bufq got;
	unsigned n_pongs, n_closed;
	int err;
	/* What the peer sends. */
	uint8_t *bytes;
	size_t n_bytes, sent, payload;
	unsigned seed;
};

static void
on_readable(void *arg)
{
	struct fixture *t = arg;

	assert_int_equal(bufq_move(&t->got, &t->ws->in, t->ws->in.len), 0);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct fixture *t = arg;

	(void)text;
	t->n_closed++;
	t->err = err;
}

static void
on_pong(void *arg, const uint8_t *p, size_t n)
{
	struct fixture *t = arg;

	t->n_pongs++;
	assert_int_equal(n, 5);
	assert_memory_equal(p, "hello", 5);
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static struct fixture *
start(bool client)
{
	struct fixture *t = mem_must_zalloc(sizeof *t);
	struct f_ws_config cfg = {
		.mode = F_WS_STREAM, .client = client, .on_pong = on_pong, .arg = t
	};
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	t->l = loop_new();
	t->seed = 42;
	t->peer = fd[1];
	t->ws = f_ws_new(f_sock_new(t->l, fd[0], true), t->l, &cfg);
	assert_non_null(t->ws);
	filter_set_user(t->ws, &user, t);
	return t;
}

static void
finish(struct fixture *t)
{
	filter_free(t->ws);
	close(t->peer);
	bufq_fini(&t->got);
	wire_turns(t->l, 2);
	loop_free(t->l);
	free(t->bytes);
	mem_free(t);
	buf_pool_free();
}

static void
add_bytes(struct fixture *t, const void *p, size_t n)
{
	t->bytes = realloc(t->bytes, t->n_bytes + n);
	assert_non_null(t->bytes);
	memcpy(t->bytes + t->n_bytes, p, n);
	t->n_bytes += n;
}

static void
add_frame(struct fixture *t, uint8_t first, enum mask mask, const uint8_t *p, size_t n)
{
	uint8_t head[14] = { first }, key[4] = { 0 };
	size_t len = 2;
	uint8_t *out = malloc(n + 1);

	assert_non_null(out);
	if (n < 126) {
		head[1] = (uint8_t)n;
	} else if (n < 65536) {
		head[1] = 126;
		head[2] = (uint8_t)(n >> 8);
		head[3] = (uint8_t)n;
		len = 4;
	} else {
		head[1] = 127;
		for (int i = 0; i < 8; i++)
			head[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
		len = 10;
	}
	for (int i = 0; mask == RANDOM_KEY && i < 4; i++)
		key[i] = (uint8_t)(1 + random_below(&t->seed, 255));
	if (mask != NO_KEY) {
		head[1] |= 0x80;
		memcpy(head + len, key, 4);
		len += 4;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = p[i] ^ key[i % 4];
	add_bytes(t, head, len);
	add_bytes(t, out, n);
	free(out);
}

static void
add_payload(struct fixture *t, enum mask mask, size_t n)
{
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(t->payload + i);
	t->payload += n;
	add_frame(t, FIN | OP_BINARY, mask, p, n);
	free(p);
}

static void
peer_write(struct fixture *t, size_t max)
{
	size_t n = t->n_bytes - t->sent;
	ssize_t k = n > 0 ? write(t->peer, t->bytes + t->sent, n < max ? n : max) : 0;

	if (k > 0)
		t->sent += (size_t)k;
}

static bool
has_all(void *arg)
{
	struct fixture *t = arg;
	uint8_t pongs[4096];

	peer_write(t, 1 + random_below(&t->seed, 150000));
	while (read(t->peer, pongs, sizeof pongs) > 0)
		;
	return t->got.len >= t->payload || t->n_closed > 0;
}

static bool
has_closed(void *arg)
{
	struct fixture *t = arg;

	peer_write(t, SIZE_MAX);
	return t->n_closed > 0;
}

static void
check_got(struct fixture *t, size_t n)
{
	uint8_t p[4096];

	assert_int_equal(t->got.len, n);
	for (size_t at = 0; at < n;) {
		size_t k = bufq_read(&t->got, 0, p, sizeof p);

		for (size_t i = 0; i < k; i++)
			if (p[i] != pattern(at + i))
				fail_msg("byte %zu is wrong", at + i);
		bufq_drain(&t->got, k);
		at += k;
	}
}

static void
frames_of_all_kinds_mixed(void **state)
{
	(void)state;
	for (int client = 0; client < 2; client++) {
		struct fixture *t = start(client == 1);
		unsigned pongs = 0;

		for (int i = 0; i < 200; i++) {
			enum mask m = client                          ? NO_KEY
				      : random_below(&t->seed, 3) > 0 ? ZERO_KEY
								      : RANDOM_KEY;

			add_payload(t, m,
			    random_below(&t->seed, 4) == 0 ? random_below(&t->seed, 300)
							   : random_below(&t->seed, 200000));
			m = client ? NO_KEY : random_below(&t->seed, 2) ? ZERO_KEY : RANDOM_KEY;
			if (random_below(&t->seed, 3) == 0)
				add_frame(t, FIN | OP_PING, m, (const uint8_t *)"are you?", 8);
			if (random_below(&t->seed, 3) == 0) {
				add_frame(t, FIN | OP_PONG, m, (const uint8_t *)"hello", 5);
				pongs++;
			}
		}
		add_payload(t, client ? NO_KEY : RANDOM_KEY, 10);
		assert_true(wire_run(t->l, WAIT_MS, has_all, t));
		assert_int_equal(t->n_pongs, pongs);
		assert_int_equal(t->n_closed, 0);
		check_got(t, t->payload);
		finish(t);
	}
}

/* A message in fragments, with control frames between and each with its own kind of key. */
static void
fragments_may_change_their_keys(void **state)
{
	struct fixture *t = start(false);
	static uint8_t p[80000];

	(void)state;
	for (int i = 0; i < 30; i++) {
		for (size_t k = 0; k < sizeof p; k++)
			p[k] = pattern(t->payload + k);
		t->payload += sizeof p;
		add_frame(t, (uint8_t)((i == 29 ? FIN : 0) | (i == 0 ? OP_BINARY : 0)),
		    i % 3 == 2 ? RANDOM_KEY : ZERO_KEY, p, sizeof p);
		add_frame(t, FIN | OP_PING, RANDOM_KEY, p, 125);
	}
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	check_got(t, t->payload);
	finish(t);
}

static void
text_and_close_are_seen_behind_bulk(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct fixture *t = start(false);

		for (int i = 0; i < 20; i++)
			add_payload(t, ZERO_KEY, 100000);
		if (how == 0)
			add_frame(t, FIN | 1, ZERO_KEY, (const uint8_t *)"text", 4);
		else if (how == 1)
			add_frame(t, FIN | OP_CLOSE, ZERO_KEY, (const uint8_t *)"\x03\xe8", 2);
		else
			add_bytes(t, "\xff\xff\xff\xff", 4); /* no frame at all */
		assert_true(wire_run(t->l, WAIT_MS, has_closed, t));
		assert_int_equal(t->err, how == 1 ? ERR_EOF : ERR_PROTO);
		check_got(t, t->payload);
		finish(t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_all_kinds_mixed),
		cmocka_unit_test(fragments_may_change_their_keys),
		cmocka_unit_test(text_and_close_are_seen_behind_bulk),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
