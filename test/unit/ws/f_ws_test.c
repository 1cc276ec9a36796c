/* SPDX-License-Identifier: ISC */
/*
 * f_ws_test - the WebSocket filter against a raw end: RFC 6455's own vectors, every rule of its
 * section 5, control frames, loss.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ws/f_ws.h"
#include "lib/base/mem.h"
#include "test/unit/memfilter.h"
#include "test/unit/ws_fix.h"

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
			struct ws_fix *x = ws_fix_messages(!vectors[i].masked);

			memfilter_set_chunk(x->raw, chunk);
			ws_fix_put(x, vectors[i].bytes, vectors[i].n);
			assert_string_equal(x->log, vectors[i].log);
			assert_int_equal(x->ws_sink.n_closed, 0);
			ws_fix_free(x);
		}
	}
}

static void
truncated_vectors_give_no_whole_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		for (size_t n = 0; n < vectors[i].n; n++) {
			struct ws_fix *x = ws_fix_messages(!vectors[i].masked);

			ws_fix_put(x, vectors[i].bytes, n);
			assert_true(x->log_len < strlen(vectors[i].log));
			filter_shutdown(x->raw);
			mem_settle(x->l);
			assert_int_equal(x->ws_sink.n_closed, 1);
			assert_int_equal(x->ws_sink.err, ERR_CLOSED);
			ws_fix_free(x);
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
		struct ws_fix *x = ws_fix_messages(false);

		ws_fix_put_frame(x, 0x82, true, data, sizes[i]);
		snprintf(want, sizeof want, "B%zu:x", sizes[i]);
		assert_memory_equal(x->log, want, strlen(want));
		assert_int_equal(x->n_messages, 1);
		ws_fix_free(x);
	}
	mem_free(data);
}

static void
rfc_ping_is_answered_with_the_same_bytes(void **state)
{
	struct ws_fix *x = ws_fix_messages(false);
	uint8_t p[16];

	(void)state;
	/* 5.7: the masked ping of "Hello"; an unmasked pong comes back. */
	ws_fix_put(x, "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
	assert_int_equal(ws_fix_sent(x, p, sizeof p), 7);
	assert_memory_equal(p, "\x8a\x05Hello", 7);
	ws_fix_free(x);
}

/* ---- violations ---- */

static const struct {
	const char *name;
	const char *bytes; /* to a server in F_WS_MESSAGES; the key is zero */
	size_t n;
	int code;
	int err;
} violations[] = {
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
			struct ws_fix *x = ws_fix_messages(false);

			memfilter_set_chunk(x->raw, chunk);
			ws_fix_put(x, violations[i].bytes, violations[i].n);
			if (ws_fix_close_code(x) != violations[i].code ||
			    x->ws_sink.err != violations[i].err)
				fail_msg("%s: code %d, error %d", violations[i].name,
				    ws_fix_close_code(x), x->ws_sink.err);
			assert_int_equal(x->ws_sink.n_closed, 1);
			assert_true(x->ws_sink.text[0] != 0);
			/* Our direction ends too, and what comes now counts for nothing. */
			assert_int_equal(x->raw_sink.err, ERR_EOF);
			ws_fix_put(x, "\x82\x81" Z "x", 7);
			assert_int_equal(x->ws_sink.n_closed, 1);
			ws_fix_free(x);
		}
	}
}

static void
a_client_refuses_masked_frames(void **state)
{
	struct ws_fix *x = ws_fix_messages(true);

	(void)state;
	ws_fix_put(x, "\x82\x80" Z, 6);
	assert_int_equal(x->ws_sink.err, ERR_PROTO);
	ws_fix_free(x);
}

static void
fragments_out_of_order_are_told_apart(void **state)
{
	struct ws_fix *x = ws_fix_messages(false);

	(void)state;
	ws_fix_put(x, "\x80\x80" Z, 6);
	assert_non_null(strstr(x->ws_sink.text, "continuation without a beginning"));
	ws_fix_free(x);

	x = ws_fix_messages(false);
	ws_fix_put(x, "\x02\x80" Z "\x82\x80" Z, 12);
	assert_non_null(strstr(x->ws_sink.text, "inside a fragmented one"));
	ws_fix_free(x);
}

static void
valid_close_codes_are_echoed(void **state)
{
	static const int codes[] = { 1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000,
		4999 };

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct ws_fix *x = ws_fix_messages(false);
		const uint8_t p[] = { (uint8_t)(codes[i] >> 8), (uint8_t)codes[i], 'b', 'y', 'e' };

		ws_fix_put_frame(x, 0x88, true, p, sizeof p);
		assert_int_equal(ws_fix_close_code(x), codes[i]);
		assert_int_equal(x->ws_sink.err, ERR_EOF);
		assert_int_equal(x->ws_sink.n_closed, 1);
		ws_fix_free(x);
	}
}

static void
an_empty_close_is_answered_by_an_empty_one(void **state)
{
	struct ws_fix *x = ws_fix_messages(false);
	uint8_t p[8];

	(void)state;
	ws_fix_put_frame(x, 0x88, true, "", 0);
	assert_int_equal(ws_fix_sent(x, p, sizeof p), 2);
	assert_memory_equal(p, "\x88\x00", 2);
	assert_int_equal(x->ws_sink.err, ERR_EOF);
	ws_fix_free(x);
}

static void
characters_may_be_cut_between_fragments(void **state)
{
	struct ws_fix *x = ws_fix_messages(false);
	const char *text = "\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80";

	(void)state;
	for (size_t i = 0; i < strlen(text); i++)
		ws_fix_put_frame(x, i == 0 ? 0x01 : 0x00, true, text + i, 1);
	ws_fix_put_frame(x, 0x80, true, "", 0);
	assert_string_equal(x->log, "T9:\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80");
	ws_fix_free(x);
}

/* ---- control frames ---- */

static void
a_flood_of_pings_takes_no_memory(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	uint8_t p[16];

	(void)state;
	memfilter_stall(x->ws->below, true);
	for (int i = 0; i < 1000; i++)
		ws_fix_put_frame(x, 0x89, true, i == 999 ? "last" : "some", 4);
	assert_int_equal(x->raw->in.len, 0);
	memfilter_stall(x->ws->below, false);
	mem_settle(x->l);
	assert_int_equal(ws_fix_sent(x, p, sizeof p), 6);
	assert_memory_equal(p, "\x8a\x04last", 6);
	ws_fix_free(x);
}

static void
each_ping_is_answered_while_there_is_room(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	uint8_t buf[200], p[100];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		n += ws_fix_frame(buf + n, 0x89, true, &(uint8_t){ (uint8_t)i }, 1);
	ws_fix_put(x, buf, n);
	assert_int_equal(ws_fix_sent(x, p, sizeof p), 30);
	assert_int_equal(p[29], 9);
	ws_fix_free(x);
}

static void
a_pong_for_which_there_is_no_memory_ends_the_connection(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	uint8_t p[16];

	(void)state;
	mem_settle(x->l);
	assert_int_equal(
	    bufq_copy(&x->ws->below->in, p, ws_fix_frame(p, 0x89, true, "ping", 4)), 0);
	buf_pool_free();
	mem_fail_after(0);
	filter_readable(x->ws->below);
	mem_fail_after(MEM_NO_FAIL);
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.n_closed, 1);
	assert_int_equal(x->ws_sink.err, ERR_NOMEM);
	assert_int_equal(ws_fix_close_code(x), F_WS_INTERNAL);
	ws_fix_free(x);
}

static void
close_goes_behind_what_was_written(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	uint8_t p[16];

	(void)state;
	assert_int_equal(filter_send(x->ws, "abc", 3), 0);
	f_ws_close(x->ws, 4000, "ok");
	f_ws_close(x->ws, 4001, "not again");
	mem_settle(x->l);
	assert_int_equal(ws_fix_sent(x, p, sizeof p), 11);
	assert_memory_equal(p,
	    "\x82\x03"
	    "abc\x88\x04\x0f\xa0ok",
	    11);
	assert_int_equal(filter_send(x->ws, "d", 1), ERR_CLOSED);
	assert_int_equal(f_ws_send_message(x->ws, F_WS_TEXT, &x->ws->in), ERR_CLOSED);
	assert_int_equal(filter_room(x->ws), 0);
	assert_int_equal(x->ws_sink.n_closed, 0);
	/* The peer may still send, and is not answered but by the end. */
	ws_fix_put(x, "\x82\x81" Z "z\x89\x80" Z, 13);
	assert_int_equal(x->ws->in.len, 1);
	ws_fix_put_frame(x, 0x88, true, "\x03\xe8", 2);
	assert_int_equal(x->ws_sink.err, ERR_EOF);
	assert_int_equal(ws_fix_sent(x, p, sizeof p), 11);
	ws_fix_free(x);
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
		struct ws_fix *x = ws_fix_stream(false);
		char reason[200];
		uint8_t p[200];
		size_t n = (size_t)snprintf(reason, sizeof reason, "%s", cases[i].first);

		for (int j = 0; j < 60; j++)
			n += (size_t)snprintf(reason + n, sizeof reason - n, "\xe2\x82\xac");
		f_ws_close(x->ws, 1000, reason);
		mem_settle(x->l);
		assert_int_equal(ws_fix_sent(x, p, sizeof p), 2 + 2 + cases[i].len);
		ws_fix_free(x);
	}
}

/* ---- loss ---- */

static void
a_lost_connection_is_told_from_a_close(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	uint8_t p;

	(void)state;
	ws_fix_put(x, "\x82\x81" Z "a", 7);
	filter_shutdown(x->raw);
	mem_settle(x->l);
	assert_int_equal(x->ws->in.len, 1);
	assert_int_equal(x->ws_sink.err, ERR_CLOSED);
	assert_string_equal(x->ws_sink.text, "connection lost without a WebSocket close");
	/* RFC 6455 7.1.7: there is no code to say, and nobody to answer. */
	assert_int_equal(ws_fix_sent(x, &p, 1), 0);
	ws_fix_free(x);

	x = ws_fix_stream(false);
	memfilter_cut(x->raw);
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.err, ERR_CLOSED);
	assert_non_null(strstr(x->ws_sink.text, "reset"));
	ws_fix_free(x);
}

/* What we have written is behind the peer's Close in time, and may be lost with the connection. */
static void
a_connection_that_breaks_after_close_is_told(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	memfilter_stall(x->ws->below, true);
	assert_int_equal(filter_send(x->ws, "abc", 3), 0);
	filter_flush(x->ws);
	ws_fix_put_frame(x, 0x88, true, "\x03\xe8", 2);
	assert_int_equal(x->ws_sink.n_closed, 1);
	assert_int_equal(x->ws_sink.err, ERR_EOF);
	memfilter_cut(x->raw);
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.n_closed, 2);
	assert_int_equal(x->ws_sink.err, ERR_CLOSED);
	ws_fix_free(x);
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

/*
 * As a peer that answers the upgrade and goes: who had it before has been told, and tells nobody
 * else.
 */
static void
a_connection_that_has_ended_before_is_told(void **state)
{
	(void)state;
	for (int cut = 0; cut < 2; cut++) {
		struct loop *l = loop_new();
		struct filter *ends[2], *ws;
		struct sink before = { 0 }, s = { 0 };
		const struct f_ws_config cfg = { .mode = F_WS_STREAM };

		assert_true(memfilter_pair(l, ends));
		filter_set_user(ends[0], &sink_user, &before);
		if (cut)
			memfilter_cut(ends[1]);
		else
			filter_shutdown(ends[1]);
		mem_settle(l);
		assert_int_equal(before.n_closed, 1);
		ws = f_ws_new(ends[0], l, &cfg);
		filter_set_user(ws, &sink_user, &s);
		mem_settle(l);
		assert_int_equal(s.n_closed, 1);
		assert_int_equal(s.err, ERR_CLOSED);
		filter_free(ws);
		filter_free(ends[1]);
		mem_settle(l);
		loop_free(l);
		buf_pool_free();
	}
}

/* The stack stays detached as a whole, with what it holds, and may be attached again. */
static void
an_attach_that_fails_below_changes_nothing(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	struct filter *below = x->ws->below;

	(void)state;
	ws_fix_put(x, "\x82\x81" Z "a", 7);
	filter_detach(x->ws);
	memfilter_refuse_attach(below);
	assert_int_not_equal(filter_attach(x->ws, x->l), 0);
	assert_null(x->ws->loop);
	assert_null(below->loop);
	x->ws_sink.n_readable = 0;
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.n_readable, 0);
	assert_int_equal(filter_attach(x->ws, x->l), 0);
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.n_readable, 1);
	ws_fix_put(x, "\x82\x81" Z "b", 7);
	assert_int_equal(x->ws->in.len, 2);
	ws_fix_free(x);
}

/* Its first turn waits already. */
static void
the_filter_may_be_freed_before_it_has_done_anything(void **state)
{
	struct ws_fix *x = ws_fix_messages(false);

	(void)state;
	filter_free(x->ws);
	x->ws = NULL;
	mem_settle(x->l);
	assert_int_equal(x->ws_sink.n_readable + x->ws_sink.n_writable + x->ws_sink.n_closed, 0);
	ws_fix_free(x);
}

static void
the_filter_may_be_freed_in_its_own_callback(void **state)
{
	struct ws_fix *x = ws_fix_messages(false);

	(void)state;
	x->free_in_message = true;
	ws_fix_put(x, "\x82\x81" Z "a\x82\x81" Z "b", 14);
	assert_string_equal(x->log, "B1:a");
	ws_fix_free(x);
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
		cmocka_unit_test(fragments_out_of_order_are_told_apart),
		cmocka_unit_test(valid_close_codes_are_echoed),
		cmocka_unit_test(an_empty_close_is_answered_by_an_empty_one),
		cmocka_unit_test(characters_may_be_cut_between_fragments),
		cmocka_unit_test(a_flood_of_pings_takes_no_memory),
		cmocka_unit_test(each_ping_is_answered_while_there_is_room),
		cmocka_unit_test(a_pong_for_which_there_is_no_memory_ends_the_connection),
		cmocka_unit_test(close_goes_behind_what_was_written),
		cmocka_unit_test(a_long_reason_is_cut_between_characters),
		cmocka_unit_test(a_lost_connection_is_told_from_a_close),
		cmocka_unit_test(a_connection_that_breaks_after_close_is_told),
		cmocka_unit_test(bytes_behind_the_handshake_are_read),
		cmocka_unit_test(a_connection_that_has_ended_before_is_told),
		cmocka_unit_test(an_attach_that_fails_below_changes_nothing),
		cmocka_unit_test(the_filter_may_be_freed_before_it_has_done_anything),
		cmocka_unit_test(the_filter_may_be_freed_in_its_own_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
