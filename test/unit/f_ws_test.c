/* SPDX-License-Identifier: ISC */
/* f_ws_test - the WebSocket filter: RFC 6455's own vectors, every rule of its section 5, both modes, loss and failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/f_ws.h"
#include "lib/mem.h"
#include "test/unit/memfilter.h"

enum { MAX_MESSAGE = 100000, LOG_MAX = 1 << 20 };

/* One WebSocket end and, on the other side of the memory, a raw one. */
struct fix {
	struct loop *l;
	struct filter *ws, *raw;
	struct sink ws_sink, raw_sink;
	char *log; /* messages as "T5:Hello" one behind the other */
	size_t log_len;
	int n_messages, n_pongs;
	bool free_in_message;
};

static void
on_message(void *arg, enum f_ws_kind kind, struct bufq *payload)
{
	struct fix *x = arg;

	x->n_messages++;
	x->log_len += (size_t)snprintf(x->log + x->log_len, LOG_MAX - x->log_len,
	    "%c%zu:", kind == F_WS_TEXT ? 'T' : 'B', payload->len);
	x->log_len += bufq_read(payload, 0, x->log + x->log_len, LOG_MAX - x->log_len);
	x->log[x->log_len] = 0;
	if (x->free_in_message) {
		filter_free(x->ws);
		x->ws = NULL;
	}
}

static void
on_pong(void *arg, const uint8_t *p, size_t n)
{
	struct fix *x = arg;

	(void)p;
	(void)n;
	x->n_pongs++;
}

static struct fix *
fix_new(struct f_ws_config cfg)
{
	struct fix *x = mem_must_zalloc(sizeof *x);
	struct filter *ends[2];

	x->l = loop_new();
	x->log = mem_must_zalloc(LOG_MAX);
	assert_non_null(x->l);
	assert_true(memfilter_pair(x->l, ends));
	cfg.on_message = on_message;
	cfg.on_pong = on_pong;
	cfg.arg = x;
	x->ws = f_ws_new(ends[0], x->l, &cfg);
	assert_non_null(x->ws);
	x->raw = ends[1];
	filter_set_user(x->ws, &sink_user, &x->ws_sink);
	filter_set_user(x->raw, &sink_user, &x->raw_sink);
	return x;
}

static void
fix_free(struct fix *x)
{
	if (x->ws != NULL)
		filter_free(x->ws);
	filter_free(x->raw);
	mem_settle(x->l);
	loop_free(x->l);
	mem_free(x->log);
	mem_free(x);
	buf_pool_free();
}

static struct fix *
messages(bool client)
{
	return fix_new((struct f_ws_config){
	    .mode = F_WS_MESSAGES, .client = client, .max_message = MAX_MESSAGE });
}

static struct fix *
stream(bool client)
{
	return fix_new((struct f_ws_config){ .mode = F_WS_STREAM, .client = client });
}

static void
put(struct fix *x, const void *p, size_t n)
{
	assert_int_equal(filter_send(x->raw, p, n), 0);
	filter_flush(x->raw);
	mem_settle(x->l);
}

/* A frame with a fixed key; len in its shortest form. */
static size_t
frame(uint8_t *out, uint8_t first, bool masked, const void *payload, size_t n)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	const uint8_t *p = payload;
	size_t k = 0;

	out[k++] = first;
	if (n < 126) {
		out[k++] = (uint8_t)n;
	} else if (n < 65536) {
		out[k++] = 126;
		out[k++] = (uint8_t)(n >> 8);
		out[k++] = (uint8_t)n;
	} else {
		out[k++] = 127;
		for (int i = 7; i >= 0; i--)
			out[k++] = (uint8_t)((uint64_t)n >> (8 * i));
	}
	if (masked) {
		out[1] |= 0x80;
		memcpy(out + k, key, 4);
		k += 4;
	}
	for (size_t i = 0; i < n; i++)
		out[k++] = masked ? p[i] ^ key[i % 4] : p[i];
	return k;
}

static void
put_frame(struct fix *x, uint8_t first, bool masked, const void *payload, size_t n)
{
	uint8_t *buf = mem_must_zalloc(n + 14);

	put(x, buf, frame(buf, first, masked, payload, n));
	mem_free(buf);
}

/* What the WebSocket has sent so far, copied; returns how much. */
static size_t
sent(struct fix *x, uint8_t *p, size_t n)
{
	return bufq_read(&x->raw->in, 0, p, n);
}

/* The code of an unmasked Close at the front of what was sent; 0: there is none. */
static int
close_code(struct fix *x)
{
	uint8_t p[4] = { 0 };

	if (sent(x, p, sizeof p) < 4 || p[0] != 0x88)
		return 0;
	return p[2] << 8 | p[3];
}

/* ---- RFC 6455 5.7 ---- */

static const struct {
	const char *name;
	bool masked; /* so it is for a server */
	const char *bytes;
	size_t n;
	const char *log;
} vectors[] = {
	{ "unmasked text", false, "\x81\x05\x48\x65\x6c\x6c\x6f", 7, "T5:Hello" },
	{ "masked text", true, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, "T5:Hello" },
	{ "fragmented text", false, "\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", 9, "T5:Hello" },
	{ "ping between fragments", false, "\x01\x03\x48\x65\x6c\x89\x00\x80\x02\x6c\x6f", 11,
	    "T5:Hello" },
	{ "empty messages", false, "\x82\x00\x81\x00\x01\x00\x80\x00", 8, "B0:T0:T0:" },
};

static void
rfc_vectors_give_their_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		for (size_t chunk = 0; chunk < 3; chunk++) {
			struct fix *x = messages(!vectors[i].masked);

			memfilter_set_chunk(x->raw, chunk);
			put(x, vectors[i].bytes, vectors[i].n);
			assert_string_equal(x->log, vectors[i].log);
			assert_int_equal(x->ws_sink.n_closed, 0);
			fix_free(x);
		}
	}
}

static void
truncated_vectors_give_no_whole_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		for (size_t n = 0; n < vectors[i].n; n++) {
			struct fix *x = messages(!vectors[i].masked);

			put(x, vectors[i].bytes, n);
			assert_true(x->log_len < strlen(vectors[i].log));
			filter_shutdown(x->raw);
			mem_settle(x->l);
			assert_int_equal(x->ws_sink.n_closed, 1);
			assert_int_equal(x->ws_sink.err, ERR_CLOSED);
			fix_free(x);
		}
	}
}

static void
rfc_lengths_126_and_65536(void **state)
{
	static const size_t sizes[] = { 125, 126, 127, 255, 256, 65535, 65536, 65537 };
	uint8_t *data = mem_must_zalloc(70000);
	char want[32];

	(void)state;
	memset(data, 'x', 70000);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct fix *x = messages(false);

		put_frame(x, 0x82, true, data, sizes[i]);
		snprintf(want, sizeof want, "B%zu:x", sizes[i]);
		assert_memory_equal(x->log, want, strlen(want));
		assert_int_equal(x->n_messages, 1);
		fix_free(x);
	}
	mem_free(data);
}

static void
rfc_ping_is_answered_with_the_same_bytes(void **state)
{
	struct fix *x = messages(false);
	uint8_t p[16];

	(void)state;
	/* 5.7: the masked ping of "Hello"; an unmasked pong comes back. */
	put(x, "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
	assert_int_equal(sent(x, p, sizeof p), 7);
	assert_memory_equal(p, "\x8a\x05Hello", 7);
	fix_free(x);
}

/* ---- violations ---- */

static const struct {
	const char *name;
	const char *bytes; /* to a server in F_WS_MESSAGES; the key is zero */
	size_t n;
	int code;
	int err;
} violations[] = {
#define Z "\0\0\0\0"
	{ "reserved bit 1", "\xc2\x80" Z, 6, 1002, ERR_PROTO },
	{ "reserved bit 2", "\xa2\x80" Z, 6, 1002, ERR_PROTO },
	{ "reserved bit 3", "\x92\x80" Z, 6, 1002, ERR_PROTO },
	{ "reserved bit in a ping", "\xc9\x80" Z, 6, 1002, ERR_PROTO },
	{ "opcode 3", "\x83\x80" Z, 6, 1002, ERR_PROTO },
	{ "opcode 7", "\x87\x80" Z, 6, 1002, ERR_PROTO },
	{ "opcode 11", "\x8b\x80" Z, 6, 1002, ERR_PROTO },
	{ "opcode 15", "\x8f\x80" Z, 6, 1002, ERR_PROTO },
	{ "unmasked", "\x82\x00", 2, 1002, ERR_PROTO },
	{ "unmasked ping", "\x89\x00", 2, 1002, ERR_PROTO },
	{ "fragmented ping", "\x09\x80" Z, 6, 1002, ERR_PROTO },
	{ "fragmented close", "\x08\x80" Z, 6, 1002, ERR_PROTO },
	{ "ping of 126", "\x89\xfe\x00\x7e" Z, 8, 1002, ERR_PROTO },
	{ "continuation alone", "\x80\x80" Z, 6, 1002, ERR_PROTO },
	{ "unfinished continuation alone", "\x00\x80" Z, 6, 1002, ERR_PROTO },
	{ "text inside a message", "\x02\x80" Z "\x81\x80" Z, 12, 1002, ERR_PROTO },
	{ "binary inside a message", "\x01\x80" Z "\x02\x80" Z, 12, 1002, ERR_PROTO },
	{ "continuation after the end", "\x82\x80" Z "\x80\x80" Z, 12, 1002, ERR_PROTO },
	{ "16 bits for 125", "\x82\xfe\x00\x7d" Z, 8, 1002, ERR_PROTO },
	{ "64 bits for 65535", "\x82\xff\0\0\0\0\0\0\xff\xff" Z, 14, 1002, ERR_PROTO },
	{ "64 bits with the top one", "\x82\xff\x80\0\0\0\0\1\0\0" Z, 14, 1002, ERR_PROTO },
	{ "too long", "\x82\xff\0\0\0\0\1\0\0\0" Z, 14, 1009, ERR_LIMIT },
	{ "longest", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" Z, 14, 1009, ERR_LIMIT },
	{ "bad UTF-8", "\x81\x81" Z "\xff", 7, 1007, ERR_PROTO },
	{ "bad UTF-8 in an unfinished frame", "\x81\x85" Z "ab\xc0", 9, 1007, ERR_PROTO },
	{ "surrogate", "\x81\x83" Z "\xed\xa0\x80", 9, 1007, ERR_PROTO },
	{ "overlong", "\x81\x82" Z "\xc0\xaf", 8, 1007, ERR_PROTO },
	{ "beyond Unicode", "\x81\x84" Z "\xf4\x90\x80\x80", 10, 1007, ERR_PROTO },
	{ "half a character", "\x81\x82" Z "\xe2\x82", 8, 1007, ERR_PROTO },
	{ "half a character in two", "\x01\x81" Z "\xe2\x80\x81" Z "\x82", 14, 1007, ERR_PROTO },
	{ "close of 1 byte", "\x88\x81" Z "\x03", 7, 1002, ERR_PROTO },
	{ "close code 0", "\x88\x82" Z "\0\0", 8, 1002, ERR_PROTO },
	{ "close code 999", "\x88\x82" Z "\x03\xe7", 8, 1002, ERR_PROTO },
	{ "close code 1004", "\x88\x82" Z "\x03\xec", 8, 1002, ERR_PROTO },
	{ "close code 1005", "\x88\x82" Z "\x03\xed", 8, 1002, ERR_PROTO },
	{ "close code 1006", "\x88\x82" Z "\x03\xee", 8, 1002, ERR_PROTO },
	{ "close code 1015", "\x88\x82" Z "\x03\xf7", 8, 1002, ERR_PROTO },
	{ "close code 2999", "\x88\x82" Z "\x0b\xb7", 8, 1002, ERR_PROTO },
	{ "close code 5000", "\x88\x82" Z "\x13\x88", 8, 1002, ERR_PROTO },
	{ "close reason no UTF-8", "\x88\x83" Z "\x03\xe8\xff", 9, 1007, ERR_PROTO },
};

static void
violations_close_with_their_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof violations / sizeof violations[0]; i++) {
		for (size_t chunk = 0; chunk < 2; chunk++) {
			struct fix *x = messages(false);

			memfilter_set_chunk(x->raw, chunk);
			put(x, violations[i].bytes, violations[i].n);
			if (close_code(x) != violations[i].code ||
			    x->ws_sink.err != violations[i].err)
				fail_msg("%s: code %d, error %d", violations[i].name, close_code(x),
				    x->ws_sink.err);
			assert_int_equal(x->ws_sink.n_closed, 1);
			assert_true(x->ws_sink.text[0] != 0);
			/* Our direction ends too, and what comes now counts for nothing. */
			assert_int_equal(x->raw_sink.err, ERR_EOF);
			put(x, "\x82\x81" Z "x", 7);
			assert_int_equal(x->ws_sink.n_closed, 1);
			fix_free(x);
		}
	}
}

static void
a_client_refuses_masked_frames(void **state)
{
	struct fix *x = messages(true);

	(void)state;
	put(x, "\x82\x80" Z, 6);
	assert_int_equal(x->ws_sink.err, ERR_PROTO);
	fix_free(x);
}

static void
valid_close_codes_are_echoed(void **state)
{
	static const int codes[] = { 1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000,
		4999 };

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct fix *x = messages(false);
		const uint8_t p[] = { (uint8_t)(codes[i] >> 8), (uint8_t)codes[i], 'b', 'y', 'e' };

		put_frame(x, 0x88, true, p, sizeof p);
		assert_int_equal(close_code(x), codes[i]);
		assert_int_equal(f_ws_peer_code(x->ws), codes[i]);
		assert_int_equal(x->ws_sink.err, ERR_EOF);
		assert_int_equal(x->ws_sink.n_closed, 1);
		fix_free(x);
	}
}

static void
an_empty_close_is_answered_by_an_empty_one(void **state)
{
	struct fix *x = messages(false);
	uint8_t p[8];

	(void)state;
	put_frame(x, 0x88, true, "", 0);
	assert_int_equal(sent(x, p, sizeof p), 2);
	assert_memory_equal(p, "\x88\x00", 2);
	assert_int_equal(f_ws_peer_code(x->ws), F_WS_NO_CODE);
	assert_int_equal(x->ws_sink.err, ERR_EOF);
	fix_free(x);
}

static void
characters_may_be_cut_between_fragments(void **state)
{
	struct fix *x = messages(false);
	const char *text = "\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80";

	(void)state;
	for (size_t i = 0; i < strlen(text); i++)
		put_frame(x, i == 0 ? 0x01 : 0x00, true, text + i, 1);
	put_frame(x, 0x80, true, "", 0);
	assert_string_equal(x->log, "T9:\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80");
	fix_free(x);
}

/* ---- the stream ---- */

static void
fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* Two WebSockets, joined. */
struct duo {
	struct loop *l;
	struct filter *end[2]; /* client, server */
	struct filter *below[2];
	struct sink sink[2];
};

static bool
duo_init(struct duo *d)
{
	memset(d, 0, sizeof *d);
	d->l = loop_new();
	if (d->l == NULL || !memfilter_pair(d->l, d->below))
		return false;
	for (int i = 0; i < 2; i++) {
		const struct f_ws_config cfg = { .mode = F_WS_STREAM, .client = i == 0 };

		d->end[i] = f_ws_new(d->below[i], d->l, &cfg);
		if (d->end[i] == NULL)
			return false;
		filter_set_user(d->end[i], &sink_user, &d->sink[i]);
	}
	return true;
}

static void
duo_fini(struct duo *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->end[i] != NULL)
			filter_free(d->end[i]);
		else if (d->below[i] != NULL)
			filter_free(d->below[i]);
	}
	if (d->l != NULL)
		mem_settle(d->l);
	loop_free(d->l);
	buf_pool_free();
}

static void
a_stream_carries_every_size_both_ways(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 125, 126, 127, 1000, 5000, 65535, 65536, 200000,
		262130, 262144, 1048576, 1048577, 3000000 };
	enum { MOST = 3000000 };
	uint8_t *data = mem_must_zalloc(MOST), *got = mem_must_zalloc(MOST);

	(void)state;
	fill(data, MOST, 7);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (int from = 0; from < 2; from++) {
			struct duo d;

			assert_true(duo_init(&d));
			memfilter_set_chunk(d.below[from], sizes[i] / 3);
			/* In two writes, and small ones before: one message all the same. */
			assert_int_equal(filter_send(d.end[from], data, sizes[i] / 3), 0);
			assert_int_equal(
			    filter_send(d.end[from], data + sizes[i] / 3, sizes[i] - sizes[i] / 3),
			    0);
			filter_flush(d.end[from]);
			mem_settle(d.l);
			assert_int_equal(d.end[!from]->in.len, sizes[i]);
			assert_int_equal(bufq_read(&d.end[!from]->in, 0, got, MOST), sizes[i]);
			assert_memory_equal(got, data, sizes[i]);
			duo_fini(&d);
		}
	}
	mem_free(data);
	mem_free(got);
}

static void
one_flush_is_one_message_and_long_ones_are_split(void **state)
{
	struct fix *x = stream(false);
	uint8_t *p = mem_must_zalloc(F_WS_FRAME_MAX + 100), head[10];

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(filter_send(x->ws, "abcd", 4), 0);
	mem_settle(x->l);
	assert_int_equal(x->raw->in.len, 0);
	filter_flush(x->ws);
	mem_settle(x->l);
	assert_int_equal(sent(x, head, 4), 4);
	assert_memory_equal(head, "\x82\x7e\x00\xc8", 4);
	assert_int_equal(x->raw->in.len, 204);
	bufq_drain(&x->raw->in, 204);

	assert_int_equal(filter_send(x->ws, p, F_WS_FRAME_MAX + 100), 0);
	filter_flush(x->ws);
	mem_settle(x->l);
	assert_int_equal(x->raw->in.len, 10 + F_WS_FRAME_MAX + 2 + 100);
	assert_int_equal(sent(x, head, 10), 10);
	assert_memory_equal(head, "\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00", 10);
	mem_free(p);
	fix_free(x);
}

static void
a_client_masks_with_fresh_keys_and_leaves_what_it_was_given(void **state)
{
	struct fix *x = stream(true);
	struct bufq kept = { 0 }, q = { 0 };
	uint8_t p[2][9], back[3];

	(void)state;
	assert_int_equal(bufq_copy(&kept, "abc", 3), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bufq_share(&q, &kept, 0, 3), 0);
		assert_int_equal(filter_write(x->ws, &q), 0);
		filter_flush(x->ws);
		mem_settle(x->l);
		assert_int_equal(sent(x, p[i], 9), 9);
		bufq_drain(&x->raw->in, 9);
		assert_memory_equal(p[i], "\x82\x83", 2);
		for (int j = 0; j < 3; j++)
			assert_int_equal(p[i][6 + j] ^ p[i][2 + j], "abc"[j]);
	}
	assert_memory_not_equal(p[0] + 2, p[1] + 2, 4);
	assert_int_equal(bufq_read(&kept, 0, back, 3), 3);
	assert_memory_equal(back, "abc", 3);
	bufq_fini(&kept);
	fix_free(x);
}

static void
payload_arrives_before_its_frame_is_complete(void **state)
{
	struct fix *x = stream(false);

	(void)state;
	put(x, "\x82\xff\0\0\0\0\x7f\0\0\0" Z "abc", 17);
	assert_int_equal(x->ws->in.len, 3);
	assert_int_equal(x->ws_sink.n_readable, 1);
	fix_free(x);
}

static void
a_stream_refuses_text_unless_told(void **state)
{
	struct fix *x = stream(false);

	(void)state;
	put(x, "\x81\x81" Z "a", 7);
	assert_int_equal(close_code(x), F_WS_UNSUPPORTED);
	assert_int_equal(x->ws_sink.err, ERR_PROTO);
	fix_free(x);

	x = fix_new((struct f_ws_config){ .mode = F_WS_STREAM, .text_as_bytes = true });
	put(x, "\x01\x81" Z "a\x80\x81" Z "\xff", 14);
	assert_int_equal(x->ws->in.len, 2);
	assert_int_equal(x->ws_sink.n_closed, 0);
	fix_free(x);
}

static void
a_stream_with_a_limit_closes_1009(void **state)
{
	struct fix *x = fix_new((struct f_ws_config){ .mode = F_WS_STREAM, .max_message = 4 });

	(void)state;
	put(x, "\x82\x84" Z "abcd\x02\x83" Z "abc\x80\x82" Z "de", 27);
	assert_int_equal(x->ws->in.len, 7);
	assert_int_equal(close_code(x), F_WS_TOO_BIG);
	assert_int_equal(x->ws_sink.err, ERR_LIMIT);
	fix_free(x);
}

static void
tiny_frames_take_memory_in_proportion(void **state)
{
	struct fix *x = stream(false);
	enum { N = 20000 };
	uint8_t *p = mem_must_zalloc(N * 7);
	size_t n = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		n += frame(p + n, 0x82, true, "x", 1);
	put(x, p, n);
	assert_int_equal(x->ws->in.len, N);
	assert_true(x->ws->in.pinned < 2 * N + BUF_HUGE);
	assert_true(x->ws->in.n < 100);
	mem_free(p);
	fix_free(x);
}

static void
a_pause_stops_the_input_and_nothing_is_lost(void **state)
{
	struct fix *x = stream(false);

	(void)state;
	filter_pause(x->ws, true);
	put(x, "\x82\x81" Z "a", 7);
	assert_int_equal(x->ws->in.len, 0);
	filter_pause(x->ws, false);
	mem_settle(x->l);
	assert_int_equal(x->ws->in.len, 1);
	assert_int_equal(x->ws_sink.n_readable, 1);
	fix_free(x);
}

static void
pause_in_readable(void *arg)
{
	filter_pause(arg, true);
}

static void
ignore_writable(void *arg)
{
	(void)arg;
}

static int closed_in_pause;

static void
count_closed(void *arg, int err, const char *text)
{
	(void)arg;
	(void)err;
	(void)text;
	closed_in_pause++;
}

static void
close_waits_for_a_paused_reader(void **state)
{
	static const struct filter_user user = { pause_in_readable, ignore_writable, count_closed };
	struct fix *x = stream(false);

	(void)state;
	closed_in_pause = 0;
	filter_set_user(x->ws, &user, x->ws);
	put(x, "\x82\x81" Z "a\x88\x80" Z, 13);
	assert_int_equal(x->ws->in.len, 1);
	assert_int_equal(closed_in_pause, 0);
	bufq_drain(&x->ws->in, 1);
	filter_pause(x->ws, false);
	mem_settle(x->l);
	assert_int_equal(closed_in_pause, 1);
	fix_free(x);
}

static void
the_user_hears_of_room_that_no_event_tells(void **state)
{
	struct fix *x = stream(false);
	size_t room = filter_room(x->ws);
	uint8_t *p = mem_must_zalloc(room);

	(void)state;
	assert_true(room > 0);
	assert_int_equal(filter_send(x->ws, p, room), 0);
	assert_int_equal(filter_room(x->ws), 0);
	x->ws_sink.n_writable = 0;
	filter_flush(x->ws);
	mem_settle(x->l);
	assert_true(x->ws_sink.n_writable > 0);
	assert_int_equal(filter_room(x->ws), room);
	mem_free(p);
	fix_free(x);
}

/* ---- control frames ---- */

static void
a_flood_of_pings_takes_no_memory(void **state)
{
	struct fix *x = stream(false);
	uint8_t p[16];

	(void)state;
	memfilter_stall(x->ws->below, true);
	for (int i = 0; i < 1000; i++)
		put_frame(x, 0x89, true, i == 999 ? "last" : "some", 4);
	assert_int_equal(x->raw->in.len, 0);
	memfilter_stall(x->ws->below, false);
	mem_settle(x->l);
	assert_int_equal(sent(x, p, sizeof p), 6);
	assert_memory_equal(p, "\x8a\x04last", 6);
	fix_free(x);
}

static void
each_ping_is_answered_while_there_is_room(void **state)
{
	struct fix *x = stream(false);
	uint8_t buf[200], p[100];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		n += frame(buf + n, 0x89, true, &(uint8_t){ (uint8_t)i }, 1);
	put(x, buf, n);
	assert_int_equal(sent(x, p, sizeof p), 30);
	assert_int_equal(p[29], 9);
	fix_free(x);
}

static void
our_ping_is_sent_and_its_pong_is_told(void **state)
{
	struct fix *x = stream(false);
	uint8_t p[200];

	(void)state;
	assert_int_equal(f_ws_ping(x->ws, "abc", 3), 0);
	mem_settle(x->l);
	assert_int_equal(sent(x, p, sizeof p), 5);
	assert_memory_equal(p,
	    "\x89\x03"
	    "abc",
	    5);
	put_frame(x, 0x8a, true, "abc", 3);
	assert_int_equal(x->n_pongs, 1);
	memset(p, 0, sizeof p);
	assert_int_equal(f_ws_ping(x->ws, p, 126), ERR_LIMIT);
	fix_free(x);
}

static void
close_goes_behind_what_was_written(void **state)
{
	struct fix *x = stream(false);
	uint8_t p[16];

	(void)state;
	assert_int_equal(filter_send(x->ws, "abc", 3), 0);
	f_ws_close(x->ws, 4000, "ok");
	f_ws_close(x->ws, 4001, "not again");
	mem_settle(x->l);
	assert_int_equal(sent(x, p, sizeof p), 11);
	assert_memory_equal(p,
	    "\x82\x03"
	    "abc\x88\x04\x0f\xa0ok",
	    11);
	assert_int_equal(filter_send(x->ws, "d", 1), ERR_CLOSED);
	assert_int_equal(f_ws_ping(x->ws, "", 0), ERR_CLOSED);
	assert_int_equal(filter_room(x->ws), 0);
	assert_int_equal(x->ws_sink.n_closed, 0);
	/* The peer may still send, and is not answered but by the end. */
	put(x, "\x82\x81" Z "z\x89\x80" Z, 13);
	assert_int_equal(x->ws->in.len, 1);
	put_frame(x, 0x88, true, "\x03\xe8", 2);
	assert_int_equal(x->ws_sink.err, ERR_EOF);
	assert_int_equal(sent(x, p, sizeof p), 11);
	fix_free(x);
}

static void
a_long_reason_is_cut_between_characters(void **state)
{
	/* 123 bytes are 41 of these; behind two others 40 of them fit, and a byte is left over. */
	static const struct {
		const char *first;
		size_t len;
	} cases[] = { { "", 123 }, { "xy", 122 } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fix *x = stream(false);
		char reason[200];
		uint8_t p[200];
		size_t n = (size_t)snprintf(reason, sizeof reason, "%s", cases[i].first);

		for (int j = 0; j < 60; j++)
			n += (size_t)snprintf(reason + n, sizeof reason - n, "\xe2\x82\xac");
		f_ws_close(x->ws, 1000, reason);
		mem_settle(x->l);
		assert_int_equal(sent(x, p, sizeof p), 2 + 2 + cases[i].len);
		fix_free(x);
	}
}

/* ---- loss ---- */

static void
a_lost_connection_is_told_from_a_close(void **state)
{
	struct fix *x = stream(false);

	(void)state;
	put(x, "\x82\x81" Z "a", 7);
	filter_shutdown(x->raw);
	mem_settle(x->l);
	assert_int_equal(x->ws->in.len, 1);
	assert_int_equal(x->ws_sink.err, ERR_CLOSED);
	assert_string_equal(x->ws_sink.text, "connection lost without a WebSocket close");
	assert_int_equal(f_ws_peer_code(x->ws), F_WS_ABNORMAL);
	fix_free(x);

	x = stream(false);
	memfilter_cut(x->raw);
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.err, ERR_CLOSED);
	assert_non_null(strstr(x->ws_sink.text, "reset"));
	fix_free(x);
}

static void
two_ends_close_in_order(void **state)
{
	(void)state;
	for (int from = 0; from < 2; from++) {
		struct duo d;

		assert_true(duo_init(&d));
		assert_int_equal(filter_send(d.end[from], "bye", 3), 0);
		filter_shutdown(d.end[from]);
		mem_settle(d.l);
		assert_int_equal(d.end[!from]->in.len, 3);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(d.sink[i].n_closed, 1);
			assert_int_equal(d.sink[i].err, ERR_EOF);
		}
		duo_fini(&d);
	}
}

static void
both_ends_may_close_at_once(void **state)
{
	struct duo d;

	(void)state;
	assert_true(duo_init(&d));
	filter_shutdown(d.end[0]);
	filter_shutdown(d.end[1]);
	mem_settle(d.l);
	assert_int_equal(d.sink[0].err, ERR_EOF);
	assert_int_equal(d.sink[1].err, ERR_EOF);
	duo_fini(&d);
}

static void
bytes_behind_the_handshake_are_read(void **state)
{
	struct loop *l = loop_new();
	struct filter *ends[2], *ws;
	struct sink s = { 0 };
	const struct f_ws_config cfg = { .mode = F_WS_STREAM };

	(void)state;
	assert_true(memfilter_pair(l, ends));
	assert_int_equal(bufq_copy(&ends[0]->in, "\x82\x81" Z "a", 7), 0);
	ws = f_ws_new(ends[0], l, &cfg);
	assert_non_null(ws);
	filter_set_user(ws, &sink_user, &s);
	assert_int_equal(ws->in.len, 0);
	mem_settle(l);
	assert_int_equal(ws->in.len, 1);
	assert_int_equal(s.n_readable, 1);
	filter_free(ws);
	filter_free(ends[1]);
	mem_settle(l);
	loop_free(l);
	buf_pool_free();
}

static void
the_filter_may_be_freed_in_its_own_callback(void **state)
{
	struct fix *x = messages(false);

	(void)state;
	x->free_in_message = true;
	put(x, "\x82\x81" Z "a\x82\x81" Z "b", 14);
	assert_string_equal(x->log, "B1:a");
	fix_free(x);
}

static void
a_stack_moves_to_another_loop(void **state)
{
	struct duo d;
	struct loop *other = loop_new();

	(void)state;
	assert_true(duo_init(&d));
	mem_settle(d.l);
	for (int i = 0; i < 2; i++)
		filter_detach(d.end[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(filter_attach(d.end[i], other), 0);
	loop_free(d.l);
	d.l = other;
	assert_int_equal(filter_send(d.end[0], "abc", 3), 0);
	filter_flush(d.end[0]);
	mem_settle(d.l);
	assert_int_equal(d.end[1]->in.len, 3);
	duo_fini(&d);
}

/* ---- out of memory ---- */

static void
message_out_and_back(struct fix *x)
{
	struct bufq q = { 0 };

	if (bufq_copy(&q, "answer", 6) == 0 && f_ws_send_message(x->ws, F_WS_TEXT, &q) == 0)
		filter_flush(x->ws);
	bufq_fini(&q);
}

static void
every_failed_allocation_is_survived(void **state)
{
	static uint8_t data[50000];
	bool failed = true;

	(void)state;
	for (long n = 0; failed && n < 200; n++) {
		struct duo d;
		uint64_t before;

		assert_true(duo_init(&d));
		before = mem_count();
		mem_fail_after(n);
		for (int i = 0; i < 2; i++) {
			IGNORE_RESULT(filter_send(
			    d.end[i], data, sizeof data)); /* may fail: the test's point */
			filter_flush(d.end[i]);
			IGNORE_RESULT(f_ws_ping(d.end[i], "p", 1)); /* the same */
			filter_shutdown(d.end[i]);
		}
		mem_settle(d.l);
		failed = mem_count() - before > (uint64_t)n;
		mem_fail_after(MEM_NO_FAIL);
		if (!failed) {
			assert_int_equal(d.sink[0].err, ERR_EOF);
			assert_int_equal(d.end[0]->in.len, sizeof data);
		}
		duo_fini(&d);
	}
	assert_false(failed);
	for (long n = 0; n < 30; n++) {
		struct fix *x = messages(false);

		mem_fail_after(n);
		message_out_and_back(x);
		mem_fail_after(MEM_NO_FAIL);
		mem_settle(x->l);
		fix_free(x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_vectors_give_their_messages),
		cmocka_unit_test(truncated_vectors_give_no_whole_message),
		cmocka_unit_test(rfc_lengths_126_and_65536),
		cmocka_unit_test(rfc_ping_is_answered_with_the_same_bytes),
		cmocka_unit_test(violations_close_with_their_code),
		cmocka_unit_test(a_client_refuses_masked_frames),
		cmocka_unit_test(valid_close_codes_are_echoed),
		cmocka_unit_test(an_empty_close_is_answered_by_an_empty_one),
		cmocka_unit_test(characters_may_be_cut_between_fragments),
		cmocka_unit_test(a_stream_carries_every_size_both_ways),
		cmocka_unit_test(one_flush_is_one_message_and_long_ones_are_split),
		cmocka_unit_test(a_client_masks_with_fresh_keys_and_leaves_what_it_was_given),
		cmocka_unit_test(payload_arrives_before_its_frame_is_complete),
		cmocka_unit_test(a_stream_refuses_text_unless_told),
		cmocka_unit_test(a_stream_with_a_limit_closes_1009),
		cmocka_unit_test(tiny_frames_take_memory_in_proportion),
		cmocka_unit_test(a_pause_stops_the_input_and_nothing_is_lost),
		cmocka_unit_test(close_waits_for_a_paused_reader),
		cmocka_unit_test(the_user_hears_of_room_that_no_event_tells),
		cmocka_unit_test(a_flood_of_pings_takes_no_memory),
		cmocka_unit_test(each_ping_is_answered_while_there_is_room),
		cmocka_unit_test(our_ping_is_sent_and_its_pong_is_told),
		cmocka_unit_test(close_goes_behind_what_was_written),
		cmocka_unit_test(a_long_reason_is_cut_between_characters),
		cmocka_unit_test(a_lost_connection_is_told_from_a_close),
		cmocka_unit_test(two_ends_close_in_order),
		cmocka_unit_test(both_ends_may_close_at_once),
		cmocka_unit_test(bytes_behind_the_handshake_are_read),
		cmocka_unit_test(the_filter_may_be_freed_in_its_own_callback),
		cmocka_unit_test(a_stack_moves_to_another_loop),
		cmocka_unit_test(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
