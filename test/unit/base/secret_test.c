/* SPDX-License-Identifier: ISC */
/* secret_test - secrets compared, read, taken from the environment and wiped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/b64.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"

static char path[] = "/tmp/secret_test.XXXXXX";

static int
make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd >= 0 ? close(fd) : -1;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void
a_secret_keeps_its_bytes_and_has_a_limit(void **state)
{
	static char big[SECRET_MAX + 1];
	struct secret *s = secret_new("a\0b", 3);

	(void)state;
	assert_int_equal(secret_len(s), 3);
	assert_memory_equal(secret_bytes(s), "a\0b\0", 4);
	secret_free(s);
	assert_null(secret_new(big, sizeof(big)));
	s = secret_new(big, SECRET_MAX);
	assert_non_null(s);
	secret_free(s);
	mem_fail_after(0);
	assert_null(secret_new("x", 1));
	mem_fail_after(MEM_NO_FAIL);
}

static void
a_file_loses_one_newline(void **state)
{
	static const struct {
		const char *file, *secret;
	} t[] = { { "s3cret", "s3cret" }, { "s3cret\n", "s3cret" }, { "s3cret\r\n", "s3cret" },
		{ "s3cret\n\n", "s3cret\n" }, { " s \n", " s " }, { "a\r", "a\r" } };
	struct errtext warning, e;
	struct secret *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(
		    file_write_atomic(path, t[i].file, strlen(t[i].file), 0600, NULL), 0);
		assert_int_equal(secret_from_file(path, &s, &warning, &e), 0);
		assert_int_equal(secret_len(s), strlen(t[i].secret));
		assert_memory_equal(secret_bytes(s), t[i].secret, strlen(t[i].secret));
		assert_string_equal(warning.s, "");
		secret_free(s);
	}
}

static void
an_open_file_is_warned_of_and_an_empty_one_refused(void **state)
{
	struct errtext warning, e;
	struct secret *s;

	(void)state;
	assert_int_equal(file_write_atomic(path, "x", 1, 0644, NULL), 0);
	assert_int_equal(secret_from_file(path, &s, &warning, &e), 0);
	assert_non_null(strstr(warning.s, "mode 0644"));
	secret_free(s);
	assert_int_equal(secret_from_file(path, &s, NULL, &e), 0);
	secret_free(s);
	for (size_t n = 0; n <= 2; n++) {
		assert_int_equal(file_write_atomic(path, &"\r\n"[2 - n], n, 0600, NULL), 0);
		assert_int_equal(secret_from_file(path, &s, &warning, &e), ERR_INVALID);
	}
	assert_int_equal(secret_from_file("/nonexistent/x", &s, &warning, &e), ERR_NOTFOUND);
}

static void
the_environment_forgets(void **state)
{
	struct secret *s;

	(void)state;
	assert_int_equal(setenv("SECRET_TEST", "hunter2", 1), 0);
	assert_int_equal(secret_from_env("SECRET_TEST", &s), 0);
	assert_string_equal(secret_bytes(s), "hunter2");
	assert_null(getenv("SECRET_TEST"));
	secret_free(s);
	assert_int_equal(secret_from_env("SECRET_TEST", &s), ERR_NOTFOUND);
	assert_int_equal(setenv("SECRET_TEST", "", 1), 0);
	assert_int_equal(secret_from_env("SECRET_TEST", &s), ERR_NOTFOUND);
	assert_null(getenv("SECRET_TEST"));
}

static void
random_secrets_are_text_and_differ(void **state)
{
	struct secret *a = secret_random(32), *b = secret_random(32);
	uint8_t raw[32];

	(void)state;
	assert_int_equal(secret_len(a), 43);
	assert_int_equal(b64_decode(raw, sizeof(raw), secret_bytes(a), 43, B64_URL), 32);
	assert_string_not_equal(secret_bytes(a), secret_bytes(b));
	secret_free(a);
	secret_free(b);
	assert_null(secret_random(5000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_keeps_its_bytes_and_has_a_limit),
		cmocka_unit_test(a_file_loses_one_newline),
		cmocka_unit_test(an_open_file_is_warned_of_and_an_empty_one_refused),
		cmocka_unit_test(the_environment_forgets),
		cmocka_unit_test(random_secrets_are_text_and_differ),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
