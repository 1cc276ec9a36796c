/* SPDX-License-Identifier: ISC */
/* frame_test - headers to the byte, and every rule of PROTOCOL.md 3.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "proto/frame.h"

/* PROTOCOL.md 3.2 once more, by hand. */
static const struct {
	uint8_t type, flags;
	bool stream;
	uint16_t min, max;
} table[] = {
	{ 1, 0, false, 2, 8192 },
	{ 2, 0, true, 2, 4096 },
	{ 3, 0, true, 2, 4096 },
	{ 4, 0, true, 1, 65535 },
	{ 5, 3, true, 16, 16 },
	{ 6, 0, true, 8, 8 },
	{ 7, 0, true, 4, 1024 },
	{ 8, 0, true, 0, 65507 },
	{ 9, 0, false, 2, 8192 },
	{ 10, 0, false, 4, 1024 },
	{ 11, 0, false, 8, 8 },
	{ 12, 0, false, 8, 8 },
	{ 13, 0, true, 8, 8 },
};

enum { N_TYPES = sizeof table / sizeof table[0] };

static ssize_t
unpack(uint8_t type, uint8_t flags, unsigned len, uint32_t id)
{
	uint8_t p[FRAME_HDR_LEN] = { type, flags, (uint8_t)(len >> 8), (uint8_t)len,
		(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	struct frame f = { 0 };
	ssize_t r = frame_unpack(&f, p, sizeof p);

	if (r > 0)
		assert_true(f.type == type && f.flags == flags && f.len == len && f.id == id);
	else
		assert_int_equal(f.type, 0); /* filled on success only */
	return r;
}

static void
headers_have_the_expected_bytes(void **state)
{
	static const uint8_t data[] = { 4, 0, 0xff, 0xf8, 0x12, 0x34, 0x56, 0x78 };
	static const uint8_t window[] = { 5, 1, 0, 16, 0xff, 0xff, 0xff, 0xff };
	uint8_t p[FRAME_HDR_LEN];

	(void)state;
	frame_pack(p, &(struct frame){ FRAME_DATA, 0, FRAME_DATA_MAX, 0x12345678 });
	assert_memory_equal(p, data, sizeof data);
	frame_pack(p, &(struct frame){ FRAME_WINDOW, FRAME_F_EOF_ACKED, 16, UINT32_MAX });
	assert_memory_equal(p, window, sizeof window);
}

static void
integers_are_big_endian(void **state)
{
	static const uint8_t want[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	uint8_t p[8];

	(void)state;
	put_u64be(p, 0x0123456789abcdef);
	assert_memory_equal(p, want, 8);
	assert_true(get_u64be(want) == 0x0123456789abcdef);
	assert_int_equal(get_u32be(want + 4), 0x89abcdef);
	assert_int_equal(get_u16be(want + 6), 0xcdef);
}

static void
a_short_header_asks_for_more(void **state)
{
	static const uint8_t p[] = { 4, 0, 0, 1, 0, 0, 0, 1 };
	struct frame f;

	(void)state;
	for (size_t n = 0; n < sizeof p; n++)
		assert_int_equal(frame_unpack(&f, p, n), 0);
	assert_int_equal(frame_unpack(&f, p, sizeof p), FRAME_HDR_LEN);
}

static void
lengths_are_bounded_by_the_type(void **state)
{
	(void)state;
	for (int i = 0; i < N_TYPES; i++)
		for (unsigned len = 0; len <= 65535; len++)
			assert_int_equal(unpack(table[i].type, 0, len, table[i].stream ? 1 : 0),
			    len >= table[i].min && len <= table[i].max ? FRAME_HDR_LEN : ERR_PROTO);
}

static void
flags_are_those_of_the_type(void **state)
{
	(void)state;
	for (int i = 0; i < N_TYPES; i++)
		for (unsigned flags = 0; flags < 256; flags++)
			assert_int_equal(unpack(table[i].type, (uint8_t)flags, table[i].min,
					     table[i].stream ? 1 : 0),
			    (flags & ~table[i].flags) == 0 ? FRAME_HDR_LEN : ERR_PROTO);
}

static void
an_id_stands_where_a_stream_is_meant_and_only_there(void **state)
{
	(void)state;
	for (int i = 0; i < N_TYPES; i++) {
		assert_int_equal(unpack(table[i].type, 0, table[i].min, 0),
		    table[i].stream ? ERR_PROTO : FRAME_HDR_LEN);
		assert_int_equal(unpack(table[i].type, 0, table[i].min, UINT32_MAX),
		    table[i].stream ? FRAME_HDR_LEN : ERR_PROTO);
	}
}

static void
unknown_types_are_refused(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		if (type == 0 || type > 13)
			for (uint32_t id = 0; id < 2; id++)
				assert_int_equal(unpack((uint8_t)type, 0, 8, id), ERR_PROTO);
}

static void
every_code_has_a_name(void **state)
{
	(void)state;
	for (uint32_t c = CODE_OK; c <= CODE_LOST; c++)
		assert_string_not_equal(frame_code_str(c), "unknown");
	assert_string_equal(frame_code_str(CODE_LOST + 1), "unknown");
	assert_string_equal(frame_code_str(UINT32_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_have_the_expected_bytes),
		cmocka_unit_test(integers_are_big_endian),
		cmocka_unit_test(a_short_header_asks_for_more),
		cmocka_unit_test(lengths_are_bounded_by_the_type),
		cmocka_unit_test(flags_are_those_of_the_type),
		cmocka_unit_test(an_id_stands_where_a_stream_is_meant_and_only_there),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(every_code_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
