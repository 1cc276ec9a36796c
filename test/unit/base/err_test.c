/* SPDX-License-Identifier: ISC */
/* err_test - words for codes, and texts that keep errno. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "lib/base/err.h"

static void
every_code_has_its_own_words(void **state)
{
	char words[16][128];
	int code, other;

	(void)state;
	errno = ENOSPC;
	for (code = 0; code >= ERR_TLS; code--) {
		snprintf(words[-code], sizeof(words[0]), "%s", err_str(code));
		assert_true(strlen(words[-code]) > 0);
		for (other = 0; other > code; other--)
			assert_string_not_equal(words[-code], words[-other]);
	}
	assert_string_equal(words[1], strerror(ENOSPC));
	assert_string_equal(err_str(ERR_TLS - 1), "unknown error");
}

static void
a_text_is_set_and_the_code_returned(void **state)
{
	struct errtext e;

	(void)state;
	errno = EPERM;
	assert_int_equal(err_set(&e, ERR_LIMIT, "%d of %s", 3, "them"), ERR_LIMIT);
	assert_string_equal(e.s, "3 of them");
	assert_int_equal(err_set(NULL, ERR_EOF, "nobody reads this"), ERR_EOF);
	assert_int_equal(errno, EPERM);
	errtext_clear(&e);
	assert_string_equal(e.s, "");
}

static void
a_system_error_ends_with_errnos_words(void **state)
{
	struct errtext e;

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "cannot open %s", "x"), ERR_SYS);
	assert_string_equal(e.s, "cannot open x: No such file or directory");
	assert_int_equal(errno, ENOENT);
}

static void
a_long_text_is_cut(void **state)
{
	struct errtext e;
	char big[2 * ERR_TEXT_MAX];

	(void)state;
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(err_set(&e, ERR_PROTO, "%s", big), ERR_PROTO);
	assert_int_equal(strlen(e.s), ERR_TEXT_MAX - 1);
	assert_int_equal(err_sys(&e, "%s", big), ERR_SYS);
	assert_int_equal(strlen(e.s), ERR_TEXT_MAX - 1);
}

/* No character: snprintf(3) fails and leaves what it likes. */
static void
a_text_that_cannot_be_formatted_is_empty(void **state)
{
	struct errtext e;
	wint_t none = (wint_t)0x7fffffff;

	(void)state;
	assert_int_equal(err_set(&e, ERR_LIMIT, "abc"), ERR_LIMIT);
	assert_int_equal(err_set(&e, ERR_PROTO, "abc%lc", none), ERR_PROTO);
	assert_string_equal(e.s, "");
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "abc%lc", none), ERR_SYS);
	assert_string_equal(e.s, ": No such file or directory");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_its_own_words),
		cmocka_unit_test(a_text_is_set_and_the_code_returned),
		cmocka_unit_test(a_system_error_ends_with_errnos_words),
		cmocka_unit_test(a_long_text_is_cut),
		cmocka_unit_test(a_text_that_cannot_be_formatted_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
