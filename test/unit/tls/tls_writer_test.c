/* SPDX-License-Identifier: ISC */
/* tls_writer_test - blocks are filled to their end, and are as large as what is expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/tls/tls_writer.h"

static void
pieces_follow_each_other_in_one_block(void **state)
{
	struct tls_writer o = { .expected = 100 };
	struct block *first;
	char got[9];
	size_t n;

	(void)state;
	assert_int_equal(tls_writer_put(&o, "abc", 3), 0);
	first = o.last;
	assert_int_equal(o.expected, 97);
	assert_non_null(tls_writer_room(&o, &n));
	assert_int_equal(n, block_room(first));
	assert_int_equal(tls_writer_put(&o, "defgh", 5), 0);
	assert_ptr_equal(o.last, first);
	assert_int_equal(first->fill, 8);
	assert_int_equal(o.q.len, 8);
	assert_int_equal(bufq_read(&o.q, 0, got, 8), 8);
	assert_memory_equal(got, "abcdefgh", 8);
	tls_writer_end(&o);
	assert_null(o.last);
	assert_int_equal(o.expected, 0);
	assert_int_equal(o.q.len, 8);
	tls_writer_fini(&o);
	assert_int_equal(o.q.len, 0);
}

/* A piece may begin in one block and end in the next. */
static void
a_full_block_is_followed_by_another(void **state)
{
	static uint8_t bytes[BUF_HUGE + 10], got[sizeof bytes];
	struct tls_writer o = { 0 };
	struct block *first;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 8));
	assert_int_equal(tls_writer_put(&o, bytes, BUF_HUGE - 1), 0);
	first = o.last;
	while (block_room(first) > 0)
		assert_int_equal(tls_writer_put(&o, bytes + o.q.len, 1), 0);
	assert_ptr_equal(o.last, first);
	assert_int_equal(tls_writer_put(&o, bytes + o.q.len, sizeof bytes - o.q.len), 0);
	assert_ptr_not_equal(o.last, first);
	assert_int_equal(bufq_read(&o.q, 0, got, sizeof got), sizeof got);
	assert_memory_equal(got, bytes, sizeof got);
	tls_writer_fini(&o);
}

static void
without_memory_what_was_written_stays(void **state)
{
	struct tls_writer o = { 0 };
	bool failed = true;
	long n = 0;

	(void)state;
	for (; failed; n++) {
		buf_pool_free();
		mem_fail_after(n);
		failed = tls_writer_put(&o, "abc", 3) == ERR_NOMEM;
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(o.q.len, failed ? 0 : 3);
		tls_writer_fini(&o);
	}
	assert_true(n > 1);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_follow_each_other_in_one_block),
		cmocka_unit_test(a_full_block_is_followed_by_another),
		cmocka_unit_test(without_memory_what_was_written_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
