/* SPDX-License-Identifier: ISC */
/* tls_words_test - what an alert means to the person who reads the log (RFC 8446 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/tls/tls_words.h"

static void
each_alert_that_somebody_can_act_on_has_its_words(void **state)
{
	static const struct {
		unsigned alert;
		const char *words;
	} t[] = {
		{ 20, "a record was changed on its way" },
		{ 40, "no cipher or key in common" },
		{ 42, "it does not accept our certificate" },
		{ 43, "it does not accept our certificate" },
		{ 44, "it does not accept our certificate" },
		{ 45, "our certificate has expired" },
		{ 46, "it does not accept our certificate" },
		{ 48, "it does not know who issued our certificate" },
		{ 49, "it does not accept our certificate" },
		{ 70, "no TLS version in common" },
		{ 112, "it does not serve that name" },
		{ 116, "it wants a certificate from us" },
		{ 120, "it speaks another protocol" },
	};
	struct errtext e;
	char want[ERR_TEXT_MAX];
	size_t k = 0;

	(void)state;
	for (unsigned alert = 0; alert < 256; alert++) {
		const char *words = "RFC 8446 6.2";

		if (k < sizeof t / sizeof *t && t[k].alert == alert)
			words = t[k++].words;
		snprintf(
		    want, sizeof want, "TLS: the peer ended it with alert %u (%s)", alert, words);
		assert_int_equal(
		    tls_words_alert(&e, "TLS", alert), alert == 49 ? ERR_DENIED : ERR_TLS);
		assert_string_equal(e.s, want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_alert_that_somebody_can_act_on_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
