/* SPDX-License-Identifier: ISC */
/* str_test - bounded text, printable forms, strict numbers, nearest words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static void
additions_follow_each_other(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1000);
	assert_string_equal(b.s, "");
	strbuf_adds(&b, "one");
	strbuf_addc(&b, ' ');
	strbuf_addf(&b, "%d %s", 2, "three");
	strbuf_add(&b, "\0x", 2);
	assert_int_equal(strbuf_status(&b), 0);
	assert_int_equal(b.len, 13);
	assert_memory_equal(b.s, "one 2 three\0x", 14);
	strbuf_fini(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.s, "");
}

static void
nothing_may_be_added(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 4);
	strbuf_addf(&b, "%s", "");
	assert_int_equal(strbuf_status(&b), 0);
	assert_int_equal(b.len, 0);
	strbuf_addf(&b, "%s", "abcd");
	strbuf_addf(&b, "%s", "");
	assert_int_equal(strbuf_status(&b), 0);
	assert_string_equal(b.s, "abcd");
	strbuf_fini(&b);
}

static void
the_limit_is_exact_and_sticks(void **state)
{
	struct strbuf b;
	size_t i;

	(void)state;
	for (i = 0; i < 300; i++) {
		strbuf_init(&b, i);
		while (b.len < i)
			strbuf_addc(&b, 'x');
		assert_int_equal(strbuf_status(&b), 0);
		assert_int_equal(strlen(b.s), i);
		strbuf_addf(&b, "%c", 'y');
		assert_int_equal(strbuf_status(&b), ERR_LIMIT);
		assert_int_equal(b.len, i);
		strbuf_adds(&b, "");
		strbuf_fini(&b);
		assert_int_equal(strbuf_status(&b), 0);
	}
}

static void
want_of_memory_sticks(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1000);
	mem_fail_after(0);
	strbuf_adds(&b, "lost");
	strbuf_adds(&b, "too late");
	assert_int_equal(strbuf_status(&b), ERR_NOMEM);
	assert_string_equal(b.s, "");
	strbuf_fini(&b);
}

static void
network_bytes_become_printable(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(str_escape(out, sizeof(out), "plain ~", 7), "plain ~");
	assert_string_equal(
	    str_escape(out, sizeof(out), "\x1b[2J\n\\\xff\0", 8), "\\x1b[2J\\x0a\\x5c\\xff\\x00");
	assert_string_equal(str_escape(out, 8, "1234567", 7), "1234567");
	assert_string_equal(str_escape(out, 8, "12345678", 8), "1234...");
	assert_string_equal(str_escape(out, 8, "\n\n\n", 3), "\\x0a...");
	assert_string_equal(str_escape(out, 4, "abcd", 4), "...");
	assert_string_equal(str_escape(out, 4, "\n", 1), "...");
	assert_string_equal(str_escape(out, 4, "", 0), "");
}

static void
an_escaped_text_fits_at_every_size(void **state)
{
	char in[40], out[64];
	size_t size, n;

	(void)state;
	for (n = 0; n < sizeof(in); n++)
		in[n] = n % 3 == 0 ? '\n' : 'a';
	for (size = 4; size < sizeof(out); size++)
		for (n = 0; n <= sizeof(in); n++) {
			memset(out, 'Z', sizeof(out));
			str_escape(out, size, in, n);
			assert_true(strlen(out) < size);
			assert_int_equal(out[size], 'Z');
		}
}

static void
names_are_plain_words(void **state)
{
	(void)state;
	assert_true(str_is_name("pi", 16));
	assert_true(str_is_name("Pi-4_b.local", 16));
	assert_true(str_is_name("0123456789abcdef", 16));
	assert_false(str_is_name("0123456789abcdefg", 16));
	assert_false(str_is_name("", 16));
	assert_false(str_is_name("-pi", 16));
	assert_false(str_is_name(".pi", 16));
	assert_false(str_is_name("a b", 16));
	assert_false(str_is_name("a/b", 16));
	assert_false(str_is_name("\xc3\xa4", 16));
}

static void
the_nearest_word_is_found(void **state)
{
	static const char *const words[] = { "listener", "listen", "listens", "relay", "log-level",
		"log-format", NULL };

	(void)state;
	assert_string_equal(str_nearest("lisen", words), "listen");
	assert_string_equal(str_nearest("relai", words), "relay");
	assert_string_equal(str_nearest("log-levle", words), "log-level");
	assert_string_equal(str_nearest("loglevel", words), "log-level");
	assert_null(str_nearest("zebra", words));
	assert_null(str_nearest("", words));
	assert_null(str_nearest("x", words));
}

static void
an_overlong_word_has_no_neighbour(void **state)
{
	char big[STR_NEAR_MAX + 2];
	const char *words[] = { big, "listen", NULL };

	(void)state;
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_null(str_nearest(big, words));
	big[STR_NEAR_MAX] = '\0';
	assert_ptr_equal(str_nearest(big, words), big);
}

static void
numbers_are_strict(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1k", "1.5", "a",
		"1\n" };
	uint64_t v = 7;
	size_t i;

	(void)state;
	assert_int_equal(str_parse_u64("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(str_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(str_parse_u64("18446744073709551616", 0, UINT64_MAX, &v), ERR_LIMIT);
	assert_int_equal(str_parse_u64("99999999999999999999999", 0, UINT64_MAX, &v), ERR_LIMIT);
	assert_int_equal(str_parse_u64("4", 5, 10, &v), ERR_LIMIT);
	assert_int_equal(str_parse_u64("11", 5, 10, &v), ERR_LIMIT);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(str_parse_u64(bad[i], 0, UINT64_MAX, &v), ERR_INVALID);
	assert_true(v == UINT64_MAX); /* untouched by failures */
}

static void
a_range_has_two_ends_in_order(void **state)
{
	static const struct {
		const char *s;
		int r;
		uint64_t lo, hi;
	} t[] = {
		{ "80", 0, 80, 80 },
		{ "80-90", 0, 80, 90 },
		{ "80-80", 0, 80, 80 },
		{ "1-65535", 0, 1, 65535 },
		{ "00000000000000000080-90", 0, 80, 90 },
		{ "90-80", ERR_LIMIT, 0, 0 },
		{ "0-80", ERR_LIMIT, 0, 0 },
		{ "80-65536", ERR_LIMIT, 0, 0 },
		{ "65536", ERR_LIMIT, 0, 0 },
		{ "", ERR_INVALID, 0, 0 },
		{ "-", ERR_INVALID, 0, 0 },
		{ "80-", ERR_INVALID, 0, 0 },
		{ "-80", ERR_INVALID, 0, 0 },
		{ "80--90", ERR_INVALID, 0, 0 },
		{ "80-90-100", ERR_INVALID, 0, 0 },
		{ "80 - 90", ERR_INVALID, 0, 0 },
		{ "80,90", ERR_INVALID, 0, 0 },
		{ "000000000000000000080-90", ERR_INVALID, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t lo = 0, hi = 0;

		assert_int_equal(str_parse_range(t[i].s, 1, 65535, &lo, &hi), t[i].r);
		assert_int_equal(lo, t[i].lo);
		assert_int_equal(hi, t[i].hi);
	}
}

static void
sizes_and_durations_have_units(void **state)
{
	static const struct {
		const char *s;
		uint64_t size, ms; /* UINT64_MAX: refused */
	} t[] = {
		{ "0", 0, 0 },
		{ "512", 512, UINT64_MAX },
		{ "64k", 65536, UINT64_MAX },
		{ "64K", 65536, UINT64_MAX },
		{ "4m", 4194304, 240000 },
		{ "1g", 1073741824, UINT64_MAX },
		{ "500ms", UINT64_MAX, 500 },
		{ "30s", UINT64_MAX, 30000 },
		{ "1h", UINT64_MAX, 3600000 },
		{ "7d", UINT64_MAX, 604800000 },
		{ "1h30m", UINT64_MAX, UINT64_MAX },
		{ "k", UINT64_MAX, UINT64_MAX },
		{ "1kb", UINT64_MAX, UINT64_MAX },
		{ "1 s", UINT64_MAX, UINT64_MAX },
		{ "99999999999999999g", UINT64_MAX, UINT64_MAX },
		{ "99999999999999999d", UINT64_MAX, UINT64_MAX },
	};
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (str_parse_size(t[i].s, 0, UINT64_MAX - 1, &v) != 0)
			v = UINT64_MAX;
		assert_true(v == t[i].size);
		if (str_parse_duration_ms(t[i].s, 0, UINT64_MAX - 1, &v) != 0)
			v = UINT64_MAX;
		assert_true(v == t[i].ms);
	}
}

/* How many edits lie between two words, and from how many on they are not near. */
static void
words_are_as_far_apart_as_edits_are_needed(void **state)
{
	static const struct {
		const char *a, *b;
		/* 0: not near, unless they are the same */
		size_t dist;
	} pairs[] = {
		{ "listen", "listen", 0 },
		{ "xlisten", "listen", 1 },
		{ "listenx", "listen", 1 },
		{ "lixsten", "listen", 1 },
		{ "xxxlisten", "listen", 3 },
		{ "kitten", "sitting", 3 },
		{ "flaw", "lawn", 2 },
		{ "abcd", "axxd", 2 },
		{ "abcd", "axxx", 0 },
		{ "abcdefg", "abcdxyz", 3 },
		{ "abcdefg", "abcwxyz", 0 },
		{ "abcdef", "xbcdef", 1 },
		{ "ab", "ax", 1 },
		{ "ab", "xy", 0 },
		{ "a", "b", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		const char *w[] = { pairs[i].a, pairs[i].b };

		for (int k = 0; k < 2; k++) {
			struct str_near n;
			bool same = strcmp(w[0], w[1]) == 0;

			str_near_start(&n, w[k]);
			str_near_offer(&n, w[1 - k]);
			assert_int_equal(str_near_best(&n) != NULL, same || pairs[i].dist > 0);
			if (str_near_best(&n) != NULL)
				assert_int_equal(n.dist, pairs[i].dist);
		}
	}
}

/* Of several that are as near, the first; a nearer one comes before it. */
static void
the_first_of_the_nearest_is_taken(void **state)
{
	static const char *const words[] = { "pat", "bat", "past", "cast", "cat", NULL };

	(void)state;
	assert_string_equal(str_nearest("hat", words), "pat");
	assert_string_equal(str_nearest("cat", words), "cat");
	assert_string_equal(str_nearest("mast", words), "past");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(additions_follow_each_other),
		cmocka_unit_test(nothing_may_be_added),
		cmocka_unit_test(the_limit_is_exact_and_sticks),
		cmocka_unit_test(want_of_memory_sticks),
		cmocka_unit_test(network_bytes_become_printable),
		cmocka_unit_test(an_escaped_text_fits_at_every_size),
		cmocka_unit_test(names_are_plain_words),
		cmocka_unit_test(the_nearest_word_is_found),
		cmocka_unit_test(an_overlong_word_has_no_neighbour),
		cmocka_unit_test(words_are_as_far_apart_as_edits_are_needed),
		cmocka_unit_test(the_first_of_the_nearest_is_taken),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(a_range_has_two_ends_in_order),
		cmocka_unit_test(sizes_and_durations_have_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
