/* SPDX-License-Identifier: ISC */
/* b64q_test - base64 between queues, whatever the pieces they are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/b64.h"
#include "lib/base/mem.h"
#include "lib/net/b64q.h"

enum { LARGE = 3 * BUF_HUGE + 5 };

/* n bytes in pieces of at most piece bytes, each in a block of its own. */
static void
fill(struct bufq *q, const void *p, size_t n, size_t piece)
{
	for (size_t off = 0; off < n; off += piece) {
		size_t k = n - off < piece ? n - off : piece;
		struct block *b = block_new(k);

		assert_non_null(b);
		memcpy(b->data, (const char *)p + off, k);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(q, b, b->data, k), 0);
		block_unref(b);
	}
}

static void
assert_holds(const struct bufq *q, const void *p, size_t n)
{
	uint8_t *got = mem_alloc(n);

	assert_int_equal(q->len, n);
	assert_int_equal(bufq_read(q, 0, got, n), n);
	assert_memory_equal(got, p, n);
	mem_free(got);
}

static void
pieces_do_not_show(void **state)
{
	uint8_t bytes[40];
	char text[B64_ENC_LEN(sizeof bytes) + 1];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 71 + 3);
	for (size_t n = 0; n <= sizeof bytes; n++)
		for (size_t piece = 1; piece <= 9; piece++) {
			struct bufq in = { 0 }, out = { 0 };
			struct block *b = block_new(sizeof text + 1);
			ssize_t len = b64_encode(text, sizeof text, bytes, n, B64_STD);

			assert_true(len >= 0);
			fill(&in, bytes, n, piece);
			b->data[0] = '<';
			b->fill = 1;
			b64q_encode(b, &in, n);
			assert_int_equal(b->fill, len + 1);
			assert_memory_equal(b->data, "<", 1);
			assert_memory_equal(b->data + 1, text, (size_t)len);
			assert_int_equal(in.len, n);
			bufq_fini(&in);
			block_unref(b);

			fill(&in, text, (size_t)len, piece);
			assert_int_equal(bufq_copy(&out, "<", 1), 0);
			assert_int_equal(b64q_decode(&out, &in, 0, (size_t)len), 0);
			assert_int_equal(out.len, n + 1);
			bufq_drain(&out, 1);
			assert_holds(&out, bytes, n);
			bufq_fini(&in);
			bufq_fini(&out);
		}
}

static void
a_part_of_the_queue_is_taken(void **state)
{
	struct bufq in = { 0 }, out = { 0 };
	struct block *b = block_new(100);

	(void)state;
	fill(&in, "[[Zm9vYg==]]", 12, 5);
	assert_int_equal(b64q_decode(&out, &in, 2, 8), 0);
	assert_holds(&out, "foob", 4);
	b64q_encode(b, &out, 3);
	assert_int_equal(b->fill, 4);
	assert_memory_equal(b->data, "Zm9v", 4);
	block_unref(b);
	bufq_fini(&in);
	bufq_fini(&out);
}

static void
more_than_a_block_comes_back(void **state)
{
	uint8_t *bytes = mem_alloc(LARGE);
	char *text = mem_alloc(B64_ENC_LEN(LARGE) + 1);
	struct bufq in = { 0 }, out = { 0 };

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	assert_int_equal(
	    b64_encode(text, B64_ENC_LEN(LARGE) + 1, bytes, LARGE, B64_STD), B64_ENC_LEN(LARGE));
	fill(&in, text, B64_ENC_LEN(LARGE), 1000);
	assert_int_equal(b64q_decode(&out, &in, 0, in.len), 0);
	assert_holds(&out, bytes, LARGE);
	bufq_fini(&in);
	bufq_fini(&out);
	mem_free(bytes);
	mem_free(text);
}

static void
what_is_not_canonical_is_refused(void **state)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Zm-v",
		"Zm9vZm9\n", "Zm9v====", "Zm9v=m9v", "=m9vZm9v" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		for (size_t piece = 1; piece <= 8; piece++) {
			struct bufq in = { 0 }, out = { 0 };

			fill(&in, bad[i], strlen(bad[i]), piece);
			assert_int_equal(bufq_copy(&out, "as it was", 9), 0);
			assert_int_equal(b64q_decode(&out, &in, 0, in.len), ERR_INVALID);
			assert_holds(&out, "as it was", 9);
			bufq_fini(&in);
			bufq_fini(&out);
		}
}

static void
want_of_memory_leaves_the_queue_as_it_was(void **state)
{
	struct bufq in = { 0 }, out = { 0 };
	char text[8000];
	bool failed = true;

	(void)state;
	memset(text, 'A', sizeof text);
	fill(&in, text, sizeof text, 1000);
	buf_pool_free();
	for (long n = 0; failed; n++) {
		int r;

		mem_fail_after(n);
		r = b64q_decode(&out, &in, 0, in.len);
		mem_fail_after(MEM_NO_FAIL);
		failed = r == ERR_NOMEM;
		assert_int_equal(out.len, failed ? 0 : sizeof text / 4 * 3);
		assert_true(failed || n > 0);
		bufq_fini(&out);
		buf_pool_free();
	}
	bufq_fini(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_do_not_show),
		cmocka_unit_test(a_part_of_the_queue_is_taken),
		cmocka_unit_test(more_than_a_block_comes_back),
		cmocka_unit_test(what_is_not_canonical_is_refused),
		cmocka_unit_test(want_of_memory_leaves_the_queue_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
