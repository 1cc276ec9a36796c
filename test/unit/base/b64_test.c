/* SPDX-License-Identifier: ISC */
/* b64_test - the vectors of RFC 4648, and texts that are almost base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/b64.h"

static const struct {
	const char *bytes, *std, *url;
} vectors[] = {
	/* RFC 4648 10 */
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+", "-__-" },
};

static void
vectors_are_encoded(void **state)
{
	char out[32];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		n = strlen(vectors[i].bytes);
		assert_int_equal(b64_encode(out, sizeof(out), vectors[i].bytes, n, B64_STD),
		    strlen(vectors[i].std));
		assert_string_equal(out, vectors[i].std);
		assert_int_equal(b64_encode(out, sizeof(out), vectors[i].bytes, n, B64_URL),
		    strlen(vectors[i].url));
		assert_string_equal(out, vectors[i].url);
		assert_true(strlen(vectors[i].std) <= B64_ENC_LEN(n));
	}
}

static void
vectors_are_decoded(void **state)
{
	char out[32];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		n = strlen(vectors[i].bytes);
		assert_int_equal(
		    b64_decode(out, n, vectors[i].std, strlen(vectors[i].std), B64_STD), n);
		assert_memory_equal(out, vectors[i].bytes, n);
		assert_int_equal(
		    b64_decode(out, n, vectors[i].url, strlen(vectors[i].url), B64_URL), n);
		assert_memory_equal(out, vectors[i].bytes, n);
	}
}

static void
every_length_comes_back(void **state)
{
	uint8_t in[100], back[100];
	char text[B64_ENC_LEN(100) + 1];
	size_t n;
	ssize_t len;
	int form;

	(void)state;
	for (n = 0; n < sizeof(in); n++)
		in[n] = (uint8_t)(n * 37);
	for (form = B64_STD; form <= B64_URL; form++)
		for (n = 0; n <= sizeof(in); n++) {
			len = b64_encode(text, sizeof(text), in, n, (enum b64_form)form);
			assert_true(len >= 0);
			assert_true(n <= B64_DEC_LEN((size_t)len));
			assert_int_equal(
			    b64_decode(back, sizeof(back), text, (size_t)len, (enum b64_form)form),
			    n);
			assert_memory_equal(in, back, n);
		}
}

static void
what_is_not_canonical_is_refused(void **state)
{
	static const char *const std[] = { "Zg",
		"Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==", "Zm-v", "Zm9v\n",
		" Zm9", "Zm=v", "=", "==" };
	static const char *const url[] = { "Z", "Zg==", "Zh", "Zm9vZ", "Zm+v", "Zm/v", "Zm9v ",
		"Zm9" };
	char out[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(std) / sizeof(std[0]); i++)
		assert_int_equal(
		    b64_decode(out, sizeof(out), std[i], strlen(std[i]), B64_STD), ERR_INVALID);
	for (i = 0; i < sizeof(url) / sizeof(url[0]); i++)
		assert_int_equal(
		    b64_decode(out, sizeof(out), url[i], strlen(url[i]), B64_URL), ERR_INVALID);
	assert_int_equal(b64_decode(out, sizeof(out), "Zm\0v", 4, B64_STD), ERR_INVALID);
}

static void
each_byte_is_a_digit_or_refused(void **state)
{
	static const char *const digits[] = {
		[B64_STD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
		[B64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
	};
	char text[4] = "AAA";
	uint8_t out[3];

	(void)state;
	for (int form = B64_STD; form <= B64_URL; form++)
		for (int c = 1; c < 256; c++) {
			const char *at = strchr(digits[form], c);

			text[3] = (char)c;
			if (c == '=' && form == B64_STD)
				continue; /* two bytes and no third */
			assert_int_equal(b64_decode(out, sizeof out, text, 4, (enum b64_form)form),
			    at != NULL ? 3 : ERR_INVALID);
			if (at != NULL)
				assert_int_equal(out[2], at - digits[form]);
		}
}

static void
too_little_room_is_an_error(void **state)
{
	char out[8] = "unused";

	(void)state;
	assert_int_equal(b64_encode(out, 4, "foo", 3, B64_STD), ERR_LIMIT);
	assert_int_equal(b64_encode(out, 0, "", 0, B64_STD), ERR_LIMIT);
	assert_string_equal(out, "unused");
	assert_int_equal(b64_encode(out, 5, "foo", 3, B64_STD), 4);
	assert_int_equal(b64_decode(out, 2, "Zm9v", 4, B64_STD), ERR_LIMIT);
	assert_int_equal(b64_decode(out, 3, "Zm9v", 4, B64_STD), 3);
	assert_int_equal(b64_encode(out, SIZE_MAX, "", SIZE_MAX / 2 + 1, B64_STD), ERR_LIMIT);
}

/* Each length fits where its text and the zero byte do, and not in one byte less. */
static void
the_room_is_used_to_the_last_byte(void **state)
{
	uint8_t in[13], back[13];
	char text[B64_ENC_LEN(sizeof in) + 1];

	(void)state;
	memset(in, 0xb7, sizeof in);
	for (int form = B64_STD; form <= B64_URL; form++) {
		for (size_t n = 0; n <= sizeof in; n++) {
			enum b64_form f = (enum b64_form)form;
			ssize_t len = b64_encode(text, sizeof text, in, n, f);

			assert_int_equal(len, strlen(text));
			assert_int_equal(b64_encode(text, (size_t)len, in, n, f), ERR_LIMIT);
			assert_int_equal(b64_encode(text, (size_t)len + 1, in, n, f), len);
			assert_int_equal(b64_decode(back, n, text, (size_t)len, f), n);
			if (n > 0)
				assert_int_equal(
				    b64_decode(back, n - 1, text, (size_t)len, f), ERR_LIMIT);
		}
	}
}

/* The table and the comparisons say the same of each length, and write nothing behind it. */
static void
groups_are_what_single_bytes_are(void **state)
{
	uint8_t in[99], back[sizeof in + 1];
	char text[B64_ENC_LEN(sizeof in) + 1], bulk[sizeof text];

	(void)state;
	for (size_t n = 0; n < sizeof in; n++)
		in[n] = (uint8_t)(n * 89 + 7);
	for (size_t n = 0; n <= sizeof in; n += 3) {
		size_t len = n / 3 * 4;

		assert_int_equal(b64_encode(text, sizeof text, in, n, B64_STD), len);
		memset(bulk, '!', sizeof bulk);
		b64_encode_groups(bulk, in, n);
		assert_memory_equal(bulk, text, len);
		assert_int_equal(bulk[len], '!');
		memset(back, 0xee, sizeof back);
		assert_true(b64_decode_groups(back, text, len));
		assert_memory_equal(back, in, n);
		assert_int_equal(back[n], 0xee);
	}
}

static void
groups_know_their_digits(void **state)
{
	uint8_t out[6], one[6];
	char text[8];

	(void)state;
	for (int at = 0; at < 8; at++)
		for (int c = 0; c < 256; c++) {
			memcpy(text, "Zm9vYmFy", 8);
			text[at] = (char)c;
			/* Padding is no digit. */
			assert_int_equal(b64_decode_groups(out, text, 8),
			    c != '=' &&
				b64_decode(one, sizeof one, text, 8, B64_STD) == (ssize_t)6);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_are_encoded),
		cmocka_unit_test(vectors_are_decoded),
		cmocka_unit_test(every_length_comes_back),
		cmocka_unit_test(what_is_not_canonical_is_refused),
		cmocka_unit_test(each_byte_is_a_digit_or_refused),
		cmocka_unit_test(too_little_room_is_an_error),
		cmocka_unit_test(the_room_is_used_to_the_last_byte),
		cmocka_unit_test(groups_are_what_single_bytes_are),
		cmocka_unit_test(groups_know_their_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
