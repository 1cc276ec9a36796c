/* SPDX-License-Identifier: ISC */
/* keygen_test - the whole subcommand: what it prints and saves, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mbedtls/pk.h>
#include <mbedtls/sha256.h>
#include <mbedtls/x509_crt.h>

#include <cmocka.h>

#include "cmd/cmd.h"
#include "lib/base/mem.h"
#include "proto/join.h"
#include "test/unit/subcommand.h"

/* The scalar 1, and the curve's generator, which belongs to it (SEC 2, 2.4.2). */
#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define ONE_PUB "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/keygen_test.XXXXXX");
	subcommand_in = subcommand_to = NULL;
	return mkdtemp(dir) == NULL || chdir(dir) != 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "k", "k.pub", "c", "tunnel-cert.pem",
		"tunnel-key.pem" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		unlink(names[i]);
	return chdir("/") != 0 || rmdir(dir) != 0;
}

static int
keygen(const char *arguments)
{
	char words[1024];

	snprintf(words, sizeof words, "keygen %s", arguments);
	return subcommand_heard(keygen_main, words);
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
has_mode(const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
}

/* There is a file of exactly this text. */
static void
holds(const char *name, const char *text)
{
	assert_non_null(subcommand_text(name));
	assert_string_equal(subcommand_text(name), text);
}

/* The line of what was printed, the first being 0; without its end. */
static const char *
line(int i)
{
	static char text[4][256];
	const char *p = subcommand_out;

	for (int n = 0; n < i; n++) {
		p = strchr(p, '\n');
		assert_non_null(p);
		p++;
	}
	snprintf(text[i], sizeof text[i], "%.*s", (int)strcspn(p, "\n"), p);
	return text[i];
}

static void
printed_lines(int n)
{
	int there = 0;

	for (const char *p = subcommand_out; *p != '\0'; p++)
		there += *p == '\n';
	assert_int_equal(there, n);
}

/* ---- arguments ---- */

static void
what_makes_no_sense_is_status_2(void **state)
{
	static const struct {
		const char *arguments, *says;
	} bad[] = {
		{ "--pub --secret", "exclude" },
		{ "--pub --self-signed h", "exclude" },
		{ "--secret --self-signed h", "exclude" },
		{ "--pub -o k", "-o does not go" },
		{ "--self-signed -o k h", "-o does not go" },
		{ "--self-signed", "for which host" },
		{ "--cert c", "--self-signed, which is not given" },
		{ "--key k", "--self-signed, which is not given" },
		{ "--days 826", "--self-signed, which is not given" },
		{ "--secret --days 1", "--self-signed, which is not given" },
		{ "k", "one argument too many" },
		{ "--secret k", "one argument too many" },
		{ "--pub k c", "one argument too many" },
		{ "--self-signed --days 0 h", "--days" },
		{ "--self-signed --days 36501 h", "--days" },
		{ "--self-signed a_b/c", "a_b/c" },
		{ "--bogus", "--bogus" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (keygen(bad[i].arguments) != CMD_USAGE ||
		    strncmp(subcommand_err, "tunnel keygen: ", 15) != 0 ||
		    strstr(subcommand_err, bad[i].says) == NULL || subcommand_out[0] != '\0')
			fail_msg(
			    "keygen %s: %s%s", bad[i].arguments, subcommand_err, subcommand_out);
	}
}

static void
help_is_no_mistake(void **state)
{
	(void)state;
	assert_int_equal(keygen("--help"), CMD_OK);
	assert_non_null(strstr(subcommand_out, "--self-signed"));
	assert_string_equal(subcommand_err, "");
}

/* ---- pairs ---- */

static void
a_pair_is_printed_and_belongs_together(void **state)
{
	char first[256], pub[256];

	(void)state;
	assert_int_equal(keygen(""), CMD_OK);
	printed_lines(2);
	snprintf(first, sizeof first, "%s", line(0));
	snprintf(pub, sizeof pub, "%s", line(1));
	assert_int_equal(strncmp(first, "tunnel-priv-", 12), 0);
	assert_int_equal(strlen(first), strlen(ONE_PRIV));
	subcommand_in = first;
	assert_int_equal(keygen("--pub"), CMD_OK);
	assert_string_equal(line(0), pub);
	/* The next one is another. */
	assert_int_equal(keygen(""), CMD_OK);
	assert_string_not_equal(line(0), first);
}

static void
a_pair_is_saved_the_private_half_for_its_owner_alone(void **state)
{
	static char text[sizeof subcommand_out];

	(void)state;
	assert_int_equal(keygen("-o k"), CMD_OK);
	printed_lines(1);
	has_mode("k", 0600);
	has_mode("k.pub", 0644);
	holds("k.pub", subcommand_out);
	strcpy(text, subcommand_out);
	assert_int_equal(keygen("--pub k"), CMD_OK);
	assert_string_equal(subcommand_out, text);
}

static void
no_file_of_a_pair_is_overwritten(void **state)
{
	(void)state;
	put("k.pub", "mine");
	assert_int_equal(keygen("-o k"), CMD_FAILED);
	assert_string_equal(subcommand_out, "");
	assert_non_null(strstr(subcommand_err, "k.pub"));
	holds("k.pub", "mine");
	assert_null(subcommand_text("k"));

	unlink("k.pub");
	put("k", "mine");
	assert_int_equal(keygen("-o k"), CMD_FAILED);
	holds("k", "mine");
	/* A public key alone would be of no use. */
	assert_null(subcommand_text("k.pub"));
}

static void
the_public_key_is_that_of_the_private_one(void **state)
{
	static const char *const texts[] = { ONE_PRIV, ONE_PRIV "\n", ONE_PRIV " \t\r\n\n" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		put("k", texts[i]);
		assert_int_equal(keygen("--pub k"), CMD_OK);
		assert_string_equal(subcommand_out, ONE_PUB "\n");
		subcommand_in = texts[i];
		assert_int_equal(keygen("--pub"), CMD_OK);
		assert_string_equal(subcommand_out, ONE_PUB "\n");
		assert_int_equal(keygen("--pub -"), CMD_OK);
		assert_string_equal(subcommand_out, ONE_PUB "\n");
	}
}

static void
what_is_no_private_key_is_refused_and_not_shown(void **state)
{
	static const char *const texts[] = { "", "\n", "hunter2", "tunnel-priv-hunter2",
		" " ONE_PRIV, ONE_PRIV "x", ONE_PUB };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		subcommand_in = texts[i];
		assert_int_equal(keygen("--pub"), CMD_USAGE);
		assert_string_equal(subcommand_out, "");
		assert_null(strstr(subcommand_err, "hunter2"));
	}
	assert_int_equal(keygen("--pub nowhere"), CMD_FAILED);
	assert_non_null(strstr(subcommand_err, "nowhere"));
}

static void
a_key_file_has_an_end(void **state)
{
	static char text[4096 + 2];

	(void)state;
	memset(text, '\n', sizeof text - 1);
	memcpy(text, ONE_PRIV, strlen(ONE_PRIV));
	put("k", text);
	assert_int_equal(keygen("--pub k"), CMD_FAILED);
	text[4096] = '\0';
	put("k", text);
	assert_int_equal(keygen("--pub k"), CMD_OK);
	assert_string_equal(subcommand_out, ONE_PUB "\n");
}

/* ---- secrets ---- */

/* What a credentials file stores of this secret. */
static const char *
stored(const char *secret)
{
	static char text[80] = "sha256:";
	unsigned char digest[32];

	assert_int_equal(
	    mbedtls_sha256((const unsigned char *)secret, strlen(secret), digest, 0), 0);
	for (int i = 0; i < 32; i++)
		snprintf(text + 7 + i * 2, 3, "%02x", digest[i]);
	return text;
}

static void
a_secret_comes_with_what_is_stored_of_it(void **state)
{
	char secret[256];

	(void)state;
	assert_int_equal(keygen("--secret"), CMD_OK);
	printed_lines(2);
	/* 256 bits in base64url. */
	assert_int_equal(strlen(line(0)), 43);
	assert_string_equal(line(1), stored(line(0)));

	assert_int_equal(keygen("--secret -o k"), CMD_OK);
	printed_lines(1);
	has_mode("k", 0600);
	snprintf(secret, sizeof secret, "%s", subcommand_text("k"));
	assert_int_equal(strlen(secret), 44);
	assert_int_equal(secret[43], '\n');
	secret[43] = '\0';
	assert_string_equal(line(0), stored(secret));

	assert_int_equal(keygen("--secret -o k"), CMD_FAILED);
	assert_string_equal(subcommand_out, "");
	assert_int_equal(strncmp(subcommand_text("k"), secret, 43), 0);
}

/* ---- certificates ---- */

static time_t
seconds(const mbedtls_x509_time *t)
{
	struct tm tm = { .tm_year = t->year - 1900,
		.tm_mon = t->mon - 1,
		.tm_mday = t->day,
		.tm_hour = t->hour,
		.tm_min = t->min,
		.tm_sec = t->sec };

	return timegm(&tm);
}

/* The certificate of these files is for the name, and lasts so many days from now. */
static void
certifies(const char *cert, const char *key, const char *name, int days)
{
	mbedtls_x509_crt crt;
	mbedtls_pk_context pk;
	uint32_t flags;
	time_t left;

	mbedtls_x509_crt_init(&crt);
	mbedtls_pk_init(&pk);
	assert_int_equal(mbedtls_x509_crt_parse_file(&crt, cert), 0);
	assert_int_equal(mbedtls_pk_parse_keyfile(&pk, key, NULL, NULL, NULL), 0);
	assert_int_equal(mbedtls_x509_crt_verify(&crt, &crt, NULL, name, &flags, NULL, NULL), 0);
	left = seconds(&crt.valid_to) - time(NULL);
	assert_in_range(left, (long)days * 86400 - 60, (long)days * 86400 + 60);
	mbedtls_pk_free(&pk);
	mbedtls_x509_crt_free(&crt);
}

static void
a_certificate_is_for_its_hosts_and_days(void **state)
{
	(void)state;
	assert_int_equal(keygen("--self-signed a.example 127.0.0.1"), CMD_OK);
	printed_lines(1);
	assert_int_equal(strncmp(line(0), "sha256//", 8), 0);
	assert_int_equal(strlen(line(0)), 8 + 44);
	has_mode("tunnel-cert.pem", 0644);
	has_mode("tunnel-key.pem", 0600);
	certifies("tunnel-cert.pem", "tunnel-key.pem", "a.example", 825);
	certifies("tunnel-cert.pem", "tunnel-key.pem", "127.0.0.1", 825);
	assert_int_equal(keygen("--self-signed --cert c --key k --days 36500 b.example"), CMD_OK);
	certifies("c", "k", "b.example", 36500);
}

static void
no_half_of_a_certificate_is_left_and_none_overwritten(void **state)
{
	(void)state;
	put("k", "mine");
	assert_int_equal(keygen("--self-signed --cert c --key k h"), CMD_FAILED);
	assert_string_equal(subcommand_out, "");
	holds("k", "mine");
	assert_null(subcommand_text("c"));

	unlink("k");
	put("c", "mine");
	assert_int_equal(keygen("--self-signed --cert c --key k h"), CMD_FAILED);
	holds("c", "mine");
	assert_null(subcommand_text("k"));
}

/* ---- what fails ---- */

static void
a_result_that_cannot_be_printed_is_status_1(void **state)
{
	static const char *const arguments[] = { "", "--secret", "--self-signed h", "--pub",
		"--help" };

	(void)state;
	subcommand_in = ONE_PRIV;
	subcommand_to = "/dev/full";
	for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
		if (keygen(arguments[i]) != CMD_FAILED)
			fail_msg("keygen %s", arguments[i]);
}

static void
without_memory_nothing_is_left(void **state)
{
	static const char *const arguments[] = { "-o k", "--secret -o k",
		"--self-signed --cert c --key k h", "--pub" };

	(void)state;
	subcommand_in = ONE_PRIV;
	for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
		int code = CMD_FAILED;
		long n = 0;

		for (; code == CMD_FAILED && n < 10000; n++) {
			mem_fail_after(n);
			code = keygen(arguments[i]);
			mem_fail_after(MEM_NO_FAIL);
			if (code == CMD_OK)
				break;
			assert_string_equal(subcommand_out, "");
			assert_int_equal(strncmp(subcommand_err, "tunnel keygen: ", 15), 0);
			assert_null(subcommand_text("k"));
			assert_null(subcommand_text("k.pub"));
			assert_null(subcommand_text("c"));
		}
		assert_int_equal(code, CMD_OK);
		assert_true(n > 0);
		unlink("k");
		unlink("k.pub");
		unlink("c");
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
a_join_string_has_its_own_key_and_the_relays(void **state)
{
	char word[2048];
	struct errtext e = { "" };
	char pub[KEYS_PUB_TEXT_LEN + 1];
	uint8_t relay[KEYS_POINT_LEN];
	struct join j;

	(void)state;
	assert_int_equal(keys_point(ONE_PUB, strlen(ONE_PUB), relay, &e), 0);
	assert_int_equal(keygen("--join ws://a.test --relay-key " ONE_PUB), CMD_OK);
	snprintf(word, sizeof word, "%.*s", (int)sizeof word - 1, subcommand_out);
	assert_ptr_equal(strchr(word, '\n'), word + strlen(word) - 1);
	if (join_parse(word, strlen(word) - 1, &j, &e) != 0)
		fail_msg("%s", e.s);
	assert_string_equal(j.url, "ws://a.test");
	assert_memory_equal(j.relay, relay, sizeof relay);
	assert_int_equal(keys_public(j.key, pub, &e), 0);
	assert_memory_equal(subcommand_err, pub, strlen(pub));
	join_fini(&j);
	assert_int_equal(keygen("--join ws://a.test --relay-key " ONE_PUB " -o k"), CMD_OK);
	assert_memory_equal(subcommand_out, KEYS_PUB_PREFIX, strlen(KEYS_PUB_PREFIX));
	assert_int_equal(keygen("--join ws://a.test --relay-key " ONE_PUB " -o k"), CMD_FAILED);
}

static void
a_join_string_is_not_made_of_what_makes_no_sense(void **state)
{
	static const char *const bad[] = { "--join ws://a.test", "--relay-key " ONE_PUB,
		"--join http://a.test --relay-key " ONE_PUB, "--join ws://a.test --relay-key x",
		"--join ws://a.test --pub --relay-key " ONE_PUB };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(keygen(bad[i]), CMD_USAGE);
		assert_string_equal(subcommand_out, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_makes_no_sense_is_status_2),
		T(help_is_no_mistake),
		T(a_pair_is_printed_and_belongs_together),
		T(a_pair_is_saved_the_private_half_for_its_owner_alone),
		T(no_file_of_a_pair_is_overwritten),
		T(the_public_key_is_that_of_the_private_one),
		T(what_is_no_private_key_is_refused_and_not_shown),
		T(a_key_file_has_an_end),
		T(a_secret_comes_with_what_is_stored_of_it),
		T(a_certificate_is_for_its_hosts_and_days),
		T(no_half_of_a_certificate_is_left_and_none_overwritten),
		T(a_result_that_cannot_be_printed_is_status_1),
		T(without_memory_nothing_is_left),
		T(a_join_string_has_its_own_key_and_the_relays),
		T(a_join_string_is_not_made_of_what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
