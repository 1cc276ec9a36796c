/* SPDX-License-Identifier: ISC */
/* keys_test - pairs that belong together, a known pair, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/tls/keys.h"
#include "lib/base/mem.h"

/* NIST P-256 with scalar 1: the public point is the generator (SEC 2 2.4.2). */
#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define ONE_PUB "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"

static void
a_new_key_has_a_public_half(void **state)
{
	struct secret *a = keys_generate(), *b = keys_generate();
	char pub[KEYS_PUB_TEXT_LEN + 1], again[KEYS_PUB_TEXT_LEN + 1];

	(void)state;
	assert_non_null(a);
	assert_int_equal(secret_len(a), KEYS_PRIV_TEXT_LEN);
	assert_string_not_equal(secret_bytes(a), secret_bytes(b));
	assert_int_equal(keys_public(a, pub, NULL), 0);
	assert_int_equal(strlen(pub), KEYS_PUB_TEXT_LEN);
	/* "Ag..." and "Aw...": a compressed point. */
	assert_memory_equal(pub, KEYS_PUB_PREFIX "A", sizeof KEYS_PUB_PREFIX);
	assert_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", pub[sizeof KEYS_PUB_PREFIX]));
	assert_int_equal(keys_public(b, again, NULL), 0);
	assert_string_not_equal(pub, again);
	secret_free(a);
	secret_free(b);
}

static void
the_scalar_one_gives_the_generator(void **state)
{
	struct secret *s = secret_new(ONE_PRIV, strlen(ONE_PRIV));
	char pub[KEYS_PUB_TEXT_LEN + 1];

	(void)state;
	assert_int_equal(keys_public(s, pub, NULL), 0);
	assert_string_equal(pub, ONE_PUB);
	secret_free(s);
}

static void
damaged_private_keys_are_refused_and_not_quoted(void **state)
{
	static const char *const bad[] = {
		"",
		"tunnel-priv-",
		"tunnel-priv",
		ONE_PUB,
		ONE_PRIV "A",
		ONE_PRIV "\n",
		"tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* zero */
		"tunnel-priv-_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE", /* the order itself */
		"tunnel-priv-__________________________________________8", /* beyond it */
		"tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF", /* stray bits */
		"tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
	};
	char pub[KEYS_PUB_TEXT_LEN + 1];
	struct errtext e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct secret *s = secret_new(bad[i], strlen(bad[i]));

		errtext_clear(&e);
		assert_int_equal(keys_public(s, pub, &e), ERR_INVALID);
		secret_free(s);
		assert_true(strlen(e.s) > 10);
		assert_null(strstr(e.s, "AAAA"));
	}
}

static void
a_public_key_is_read_and_written_back(void **state)
{
	uint8_t point[KEYS_POINT_LEN], scalar[KEYS_SCALAR_LEN], one[KEYS_SCALAR_LEN] = { 0 };
	struct secret *s = secret_new(ONE_PRIV, strlen(ONE_PRIV));
	char text[KEYS_PUB_TEXT_LEN + 1];

	(void)state;
	one[KEYS_SCALAR_LEN - 1] = 1;
	assert_int_equal(keys_point(ONE_PUB, strlen(ONE_PUB), point, NULL), 0);
	keys_point_text(point, text);
	assert_string_equal(text, ONE_PUB);
	assert_int_equal(keys_scalar(s, scalar, NULL), 0);
	assert_memory_equal(scalar, one, sizeof one);
	secret_free(s);
}

static void
damaged_public_keys_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "tunnel-pub-", ONE_PRIV, ONE_PUB "A", ONE_PUB "\n",
		"Tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW",
		"tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMK",  /* cut off */
		"tunnel-pub-BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW", /* not compressed */
		"tunnel-pub-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* infinity */
		"tunnel-pub-AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", /* not on the curve */
		"tunnel-pub-Av____8AAAABAAAAAAAAAAAAAAAA________________", /* x is the prime */
		"tunnel-pub-A_____8AAAABAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAE", /* x beyond it */
	};
	uint8_t point[KEYS_POINT_LEN];
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errtext_clear(&e);
		if (keys_point(bad[i], strlen(bad[i]), point, &e) != ERR_INVALID)
			fail_msg("%s was taken", bad[i]);
		assert_true(strlen(e.s) > 10);
	}
}

static void
a_list_has_what_was_added_and_has_an_end(void **state)
{
	uint8_t point[KEYS_POINT_LEN], other[KEYS_POINT_LEN];
	struct keys_list l = { .n = 0 };

	(void)state;
	assert_int_equal(keys_point(ONE_PUB, strlen(ONE_PUB), point, NULL), 0);
	assert_false(keys_list_has(&l, point));
	for (size_t i = 0; i < KEYS_LIST_MAX; i++) {
		assert_int_equal(keys_list_add(&l, ONE_PUB, strlen(ONE_PUB), NULL), 0);
		assert_true(keys_list_has(&l, point));
	}
	assert_int_equal(keys_list_add(&l, ONE_PUB, strlen(ONE_PUB), NULL), ERR_LIMIT);
	memcpy(other, point, sizeof other);
	/* The other point with this x. */
	other[0] ^= 1;
	assert_false(keys_list_has(&l, other));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_has_a_public_half),
		cmocka_unit_test(the_scalar_one_gives_the_generator),
		cmocka_unit_test(damaged_private_keys_are_refused_and_not_quoted),
		cmocka_unit_test(a_public_key_is_read_and_written_back),
		cmocka_unit_test(damaged_public_keys_are_refused),
		cmocka_unit_test(a_list_has_what_was_added_and_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
