/* SPDX-License-Identifier: ISC */
/* join_test - the word of keygen --join: made, taken apart, and damaged in each place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/join.h"

/* Of the private keys 1 and 2. */
#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define TWO_PUB "tunnel-pub-A3zyexiNA09-ilI4AwS1GsPAiWnid_IbNaYLSPxHZpl4"
#define URL "wss://t.example.com/x"
/* By another implementation: relay key 2, own key 1, the sum, the URL. */
#define WORD                                                                                       \
	"tunnel-join-A3zyexiNA09-ilI4AwS1GsPAiWnid_"                                               \
	"IbNaYLSPxHZpl4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF8Ogy2d3NzOi8vdC5leGFtcGxlLmNvbS" \
	"94"

static uint8_t relay[KEYS_POINT_LEN];
static struct secret *one;

static int
setup(void **state)
{
	(void)state;
	one = secret_new(ONE_PRIV, strlen(ONE_PRIV));
	assert_int_equal(keys_point(TWO_PUB, strlen(TWO_PUB), relay, NULL), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	secret_free(one);
	return 0;
}

static void
a_word_has_all_that_was_put_in(void **state)
{
	struct errtext e = { "" };
	struct secret *word;
	struct join j;

	(void)state;
	if (join_make(URL, relay, one, &word, &e) != 0)
		fail_msg("%s", e.s);
	assert_string_equal(secret_bytes(word), WORD);
	if (join_parse(secret_bytes(word), secret_len(word), &j, &e) != 0)
		fail_msg("%s", e.s);
	assert_string_equal(j.url, URL);
	assert_memory_equal(j.relay, relay, sizeof relay);
	assert_string_equal(secret_bytes(j.key), ONE_PRIV);
	join_fini(&j);
	secret_free(word);
}

static void
refused(const char *text, size_t n)
{
	struct errtext e = { "" };
	struct join j;

	if (join_parse(text, n, &j, &e) != ERR_INVALID)
		fail_msg("%.*s was taken", (int)n, text);
	assert_true(strlen(e.s) > 10);
	assert_null(strstr(e.s, "AAAAAA"));
	join_fini(&j);
}

static void
a_damaged_word_is_refused(void **state)
{
	char text[sizeof WORD + 1];

	(void)state;
	for (size_t n = 0; n < strlen(WORD); n++)
		refused(WORD, n);
	for (size_t i = 0; i < strlen(WORD); i++) {
		memcpy(text, WORD, sizeof WORD);
		text[i] = text[i] == 'B' ? 'C' : 'B';
		refused(text, strlen(WORD));
	}
	refused(WORD "A", strlen(WORD) + 1);
	refused(WORD "\n", strlen(WORD) + 1);
	refused(" " WORD, strlen(WORD) + 1);
	refused(ONE_PRIV, strlen(ONE_PRIV));
}

static void
no_word_is_made_of_what_makes_no_sense(void **state)
{
	struct secret *bad = secret_new(TWO_PUB, strlen(TWO_PUB)), *word = NULL;
	char long_url[JOIN_URL_MAX + 2] = "ws://a/";
	struct errtext e;

	(void)state;
	memset(long_url + 7, 'x', sizeof long_url - 8);
	assert_int_equal(join_make(long_url, relay, one, &word, &e), ERR_INVALID);
	long_url[JOIN_URL_MAX] = '\0';
	assert_int_equal(join_make(long_url, relay, one, &word, &e), 0);
	secret_free(word);
	word = NULL;
	assert_int_equal(join_make("https://t.example.com", relay, one, &word, &e), ERR_INVALID);
	assert_int_equal(join_make("", relay, one, &word, &e), ERR_INVALID);
	assert_int_equal(join_make(URL, relay, bad, &word, &e), ERR_INVALID);
	assert_null(word);
	secret_free(bad);
}

static void
running_out_of_memory_is_survived(void **state)
{
	struct errtext e;
	struct join j;
	int r = ERR_NOMEM;

	(void)state;
	for (long i = 0; r == ERR_NOMEM && i < 50; i++) {
		mem_fail_after(i);
		r = join_parse(WORD, strlen(WORD), &j, &e);
		mem_fail_after(MEM_NO_FAIL);
		join_fini(&j);
	}
	assert_int_equal(r, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_has_all_that_was_put_in),
		cmocka_unit_test(a_damaged_word_is_refused),
		cmocka_unit_test(no_word_is_made_of_what_makes_no_sense),
		cmocka_unit_test(running_out_of_memory_is_survived),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
