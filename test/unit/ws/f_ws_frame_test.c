/* SPDX-License-Identifier: ISC */
/*
 * f_ws_frame_test - single frames: every header at every length against a plain reference, what is
 * wrong, what is written.
 *
 * link: -Wl,--wrap=wslay_frame_context_init
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <wslay/wslay.h>

#include "lib/ws/f_ws_frame.h"
#include "lib/ws/wsmask.h"

enum { FRAME_MAX = 70000 };

static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };

static unsigned n_contexts;
static bool no_context;

int __real_wslay_frame_context_init(
    wslay_frame_context_ptr *ctx, const struct wslay_frame_callbacks *cb, void *user_data);
int __wrap_wslay_frame_context_init(
    wslay_frame_context_ptr *ctx, const struct wslay_frame_callbacks *cb, void *user_data);

int
__wrap_wslay_frame_context_init(
    wslay_frame_context_ptr *ctx, const struct wslay_frame_callbacks *cb, void *user_data)
{
	n_contexts++;
	return no_context ? WSLAY_ERR_NOMEM : __real_wslay_frame_context_init(ctx, cb, user_data);
}

/* ---- received ---- */

struct result {
	ssize_t used;
	struct f_ws_frame fr;
	uint8_t control[F_WS_CONTROL_MAX];
	const char *why;
};

/* From memory of exactly that size, so that a sanitizer sees what reads on. */
static struct result
parse(const uint8_t *p, size_t n, bool client)
{
	struct result r = { .why = NULL };
	uint8_t *copy = test_malloc(n > 0 ? n : 1);

	memcpy(copy, p, n);
	r.used = f_ws_frame_parse(&r.fr, copy, n, client, r.control, &r.why);
	assert_memory_equal(copy, p, n);
	test_free(copy);
	return r;
}

/* A frame with its length in bits bits (7, 16, 64).  Returns the length of its header. */
static size_t
put(uint8_t *out, uint8_t first, uint64_t len, int bits, bool masked, size_t payload)
{
	size_t k = 2;

	out[0] = first;
	out[1] = (uint8_t)((masked ? 0x80 : 0) | (bits == 7 ? len : bits == 16 ? 126 : 127));
	for (int i = bits == 7 ? 0 : bits / 8; i > 0; i--)
		out[k++] = (uint8_t)(len >> (8 * (i - 1)));
	if (masked) {
		memcpy(out + k, key, sizeof key);
		k += sizeof key;
	}
	for (size_t i = 0; i < payload; i++)
		out[k + i] = (uint8_t)(masked ? i ^ key[i % 4] : i);
	return k;
}

static int
shortest(uint64_t len)
{
	return len < 126 ? 7 : len < 65536 ? 16 : 64;
}

/*
 * Every cut: too short says so and nothing else, the header alone is enough, payload behind it
 * changes nothing.
 */
static void
check_data_frame(uint8_t first, uint64_t len, bool client)
{
	uint8_t p[FRAME_MAX];
	size_t payload = len < 200 ? (size_t)len : 200;
	size_t head = put(p, first, len, shortest(len), !client, payload);

	for (size_t n = 0; n <= head + payload; n++) {
		struct result r = parse(p, n, client);

		assert_null(r.why);
		assert_int_equal(r.used, n < head ? 0 : head);
		if (n < head)
			continue;
		assert_int_equal(r.fr.opcode, first & 0x0f);
		assert_int_equal(r.fr.fin, first >> 7);
		assert_int_equal(r.fr.masked, !client);
		assert_true(r.fr.len == len && r.fr.done == 0);
		if (!client)
			assert_memory_equal(r.fr.key, key, sizeof key);
	}
}

static void
data_headers_of_every_length_are_read_at_every_cut(void **state)
{
	static const uint64_t lens[] = { 0, 1, 2, 3, 47, 48, 49, 50, 124, 125, 126, 127, 200, 16384,
		16385, 16386, 65535, 65536, 65537, 1 << 20, INT64_MAX };
	static const uint8_t firsts[] = { 0x82, 0x81, 0x80, 0x02, 0x01, 0x00 };

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
		for (size_t j = 0; j < sizeof firsts; j++)
			for (int client = 0; client < 2; client++)
				check_data_frame(firsts[j], lens[i], client);
}

static void
control_frames_are_read_whole(void **state)
{
	static const uint8_t firsts[] = { 0x88, 0x89, 0x8a };
	uint8_t p[F_WS_FRAME_LOOK + 3];

	(void)state;
	for (size_t len = 0; len <= F_WS_CONTROL_MAX; len++) {
		for (int client = 0; client < 2; client++) {
			uint8_t first = firsts[len % 3];
			size_t head = put(p, first, len, 7, !client, len);

			for (size_t n = 0; n <= head + len + 3; n++) {
				struct result r = parse(p, n, client);

				assert_null(r.why);
				assert_int_equal(r.used, n < head + len ? 0 : head + len);
				if (r.used == 0)
					continue;
				assert_int_equal(r.fr.opcode, first & 0x0f);
				assert_true(r.fr.len == len && r.fr.done == len);
				for (size_t i = 0; i < len; i++)
					assert_int_equal(r.control[i], i);
			}
		}
	}
}

static void
frames_behind_each_other_do_not_mix(void **state)
{
	static const size_t lens[] = { 1, 0, 5, 48, 49, 300, 0, 2, 17000, 3, 70000 - 14 };
	uint8_t p[FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		for (int client = 0; client < 2; client++) {
			size_t head = put(p, 0x82, lens[i], shortest(lens[i]), !client, lens[i]);
			struct result r = parse(p, head + lens[i], client);

			assert_int_equal(r.used, head);
			assert_true(r.fr.len == lens[i]);
			head = put(p, 0x89, 7, 7, !client, 7);
			r = parse(p, head + 7, client);
			assert_int_equal(r.used, head + 7);
			assert_int_equal(r.control[6], 6);
		}
	}
}

/* To a server: first byte, length and its bits, masked; part of what is said. */
static const struct {
	uint8_t first;
	uint64_t len;
	int bits;
	bool masked;
	const char *why;
} wrong[] = {
	{ 0xc2, 5, 7, true, "reserved bit" },
	{ 0xa2, 5, 7, true, "reserved bit" },
	{ 0x92, 5, 7, true, "reserved bit" },
	{ 0x99, 5, 7, true, "reserved bit" },
	{ 0x83, 5, 7, true, "unknown type" },
	{ 0x87, 5, 7, true, "unknown type" },
	{ 0x8b, 5, 7, true, "unknown type" },
	{ 0x8f, 5, 7, true, "unknown type" },
	{ 0x82, 5, 7, false, "unmasked" },
	{ 0x82, 300, 16, false, "unmasked" },
	{ 0x89, 0, 7, false, "unmasked" },
	{ 0x09, 0, 7, true, "control frame" },
	{ 0x08, 5, 7, true, "control frame" },
	{ 0x89, 126, 16, true, "control frame" },
	{ 0x89, 5, 16, true, "control frame" },
	{ 0x89, 5, 64, true, "control frame" },
	{ 0x82, 0, 16, true, "shortest" },
	{ 0x82, 125, 16, true, "shortest" },
	{ 0x82, 125, 64, true, "shortest" },
	{ 0x82, 126, 64, true, "shortest" },
	{ 0x82, 65535, 64, true, "shortest" },
	{ 0x82, 1ull << 63, 64, true, "shortest" },
	{ 0x82, UINT64_MAX, 64, true, "shortest" },
};

/* Once the header is whole at the latest, and never told as something else before. */
static void
what_is_wrong_is_told(void **state)
{
	uint8_t p[64];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		size_t head =
		    put(p, wrong[i].first, wrong[i].len, wrong[i].bits, wrong[i].masked, 5);
		bool told = false;

		for (size_t n = 0; n <= head + 5; n++) {
			struct result r = parse(p, n, false);

			told = told || n >= head;
			if (r.used == 0 && !told)
				continue;
			told = true;
			assert_int_equal(r.used, ERR_PROTO);
			if (strstr(r.why, wrong[i].why) == NULL)
				fail_msg("case %zu at %zu: %s", i, n, r.why);
		}
	}
}

static void
a_server_must_not_mask(void **state)
{
	uint8_t p[64];
	size_t head = put(p, 0x82, 5, 7, true, 5);

	(void)state;
	assert_int_equal(parse(p, head + 5, true).used, ERR_PROTO);
	assert_non_null(strstr(parse(p, head + 5, true).why, "from the server"));
	/* The next frame is not touched by that. */
	head = put(p, 0x82, 5, 7, false, 5);
	assert_int_equal(parse(p, head + 5, true).used, head);
}

/* ---- sent ---- */

/* A frame of the first n bytes of data, at out; returns its length. */
static size_t
build(bool client, enum f_ws_opcode opcode, const uint8_t *data, size_t n, uint8_t *out)
{
	struct bufq src = { 0 }, q = { 0 };
	size_t len;

	assert_int_equal(bufq_copy(&src, data, n), 0);
	assert_int_equal(bufq_copy(&src, "rest", 4), 0);
	assert_int_equal(f_ws_frame_put(client, opcode, &src, n, &q), 0);
	assert_int_equal(src.len, 4);
	len = bufq_read(&q, 0, out, FRAME_MAX);
	assert_int_equal(len, q.len);
	bufq_fini(&src);
	bufq_fini(&q);
	return len;
}

static void
check_built(bool client, enum f_ws_opcode opcode, size_t n)
{
	static uint8_t data[FRAME_MAX], got[FRAME_MAX], want[FRAME_MAX];
	uint8_t k[4] = { 0 };
	size_t len, head;

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 7);
	len = build(client, opcode, data, n, got);
	head = put(want, (uint8_t)(0x80 | opcode), n, shortest(n), client, 0);
	assert_int_equal(len, head + n);
	if (client) {
		memcpy(k, got + head - 4, 4);
		memcpy(want + head - 4, k, 4);
	}
	wsmask_plain(want + head, data, n, k, 0);
	assert_memory_equal(got, want, len);
}

static void
frames_of_every_length_are_written(void **state)
{
	static const size_t lens[] = { 0, 1, 2, 47, 48, 49, 50, 125, 126, 127, 1009, 1010, 65535,
		65536, 65537, 69000 };

	(void)state;
	/* All kinds in turn, so that a context which remembers the one before would show. */
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		check_built(false, F_WS_OP_BINARY, lens[i]);
		check_built(true, F_WS_OP_BINARY, lens[i]);
		check_built(false, F_WS_OP_TEXT, lens[i]);
		if (lens[i] <= F_WS_CONTROL_MAX) {
			check_built(false, F_WS_OP_PING, lens[i]);
			check_built(true, F_WS_OP_CLOSE, lens[i]);
		}
	}
}

static void
no_two_keys_are_alike(void **state)
{
	uint8_t a[FRAME_MAX] = { 0 }, b[FRAME_MAX] = { 0 };

	(void)state;
	for (size_t n = 1; n < 200; n += 66) {
		build(true, F_WS_OP_BINARY, a, n, a);
		build(true, F_WS_OP_BINARY, b, n, b);
		assert_memory_not_equal(a, b, n < 126 ? 6 : 8);
	}
}

/* ---- contexts ---- */

static void
clean_contexts_serve_again(void **state)
{
	uint8_t p[FRAME_MAX], data[FRAME_MAX];
	size_t head;

	(void)state;
	f_ws_thread_fini();
	n_contexts = 0;
	for (int i = 0; i < 10; i++) {
		head = put(p, 0x82, 6, 7, true, 6);
		assert_int_equal(parse(p, head + 6, false).used, head);
		head = put(p, 0x82, 16000, 16, false, 200);
		assert_int_equal(parse(p, head + 200, true).used, head);
		head = put(p, 0x89, 125, 7, true, 125);
		assert_int_equal(parse(p, head + 125, false).used, head + 125);
		build(false, F_WS_OP_BINARY, data, 69000, p);
		build(true, F_WS_OP_BINARY, data, 6, p);
	}
	assert_int_equal(n_contexts, 3);
	f_ws_thread_fini();
	head = put(p, 0x82, 6, 7, true, 6);
	assert_int_equal(parse(p, head + 6, false).used, head);
	assert_int_equal(n_contexts, 4);
}

static void
without_memory_for_a_context_that_is_said(void **state)
{
	struct bufq src = { 0 }, q = { 0 };
	uint8_t p[64];
	size_t head = put(p, 0x82, 5, 7, true, 5);

	(void)state;
	f_ws_thread_fini();
	no_context = true;
	assert_int_equal(bufq_copy(&src, "abc", 3), 0);
	assert_int_equal(parse(p, head + 5, false).used, ERR_NOMEM);
	assert_int_equal(parse(p, 0, false).used, 0);
	assert_int_equal(f_ws_frame_put(true, F_WS_OP_BINARY, &src, 3, &q), ERR_NOMEM);
	assert_int_equal(f_ws_frame_put(false, F_WS_OP_BINARY, &src, 3, &q), ERR_NOMEM);
	no_context = false;
	assert_int_equal(parse(p, head + 5, false).used, head);
	assert_int_equal(f_ws_frame_put(true, F_WS_OP_BINARY, &src, 3, &q), 0);
	assert_int_equal(q.len, 9);
	bufq_fini(&src);
	bufq_fini(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_headers_of_every_length_are_read_at_every_cut),
		cmocka_unit_test(control_frames_are_read_whole),
		cmocka_unit_test(frames_behind_each_other_do_not_mix),
		cmocka_unit_test(what_is_wrong_is_told),
		cmocka_unit_test(a_server_must_not_mask),
		cmocka_unit_test(frames_of_every_length_are_written),
		cmocka_unit_test(no_two_keys_are_alike),
		cmocka_unit_test(clean_contexts_serve_again),
		cmocka_unit_test(without_memory_for_a_context_that_is_said),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	f_ws_thread_fini();
	buf_pool_free();
	return failed;
}
