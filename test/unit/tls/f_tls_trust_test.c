/* SPDX-License-Identifier: ISC */
/*
 * f_tls_trust - whom a client believes: names, addresses, dates, authorities, pins, and the
 * sentence for each refusal.
 * link: -Wl,--wrap=time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include <unistd.h>

#include "lib/base/file.h"
#include "test/unit/tlstest.h"

/* ---- the clock is turned by hand ---- */

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);

static time_t days_off;

time_t
__wrap_time(time_t *t)
{
	time_t now = __real_time(NULL) + days_off * 86400;

	if (t != NULL)
		*t = now;
	return now;
}

/* ---- trust ---- */

/* The names of the certificate, in the order in which it has them. */
#define NAMES "::1, 127.0.0.1, *.wild.test, relay.test"

static void
expect(const char *host, const char *ca, const char *pins, const char *text)
{
	struct tlstest p;

	tlstest_open(&p, host, ca, pins);
	if (text == NULL) {
		bool ok = wire_run(p.l, 10000, tlstest_both_ready, &p);

		if (!ok || p.c.n_closed > 0)
			fail_msg("%s: %s", host, p.c.text);
	} else {
		assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
		assert_int_equal(p.c.err, ERR_TLS);
		assert_string_equal(p.c.text, text);
		assert_int_equal(p.c.n_ready + p.s.n_ready, 0);
		assert_non_null(strstr(p.s.text, "a peer that does not accept our certificate"));
	}
	tlstest_close(&p);
}

static void
names_and_addresses_are_checked(void **state)
{
	static const char *const wrong[] = { "other.test", "wild.test", "a.b.wild.test",
		"127.0.0.2", "::2" };
	static const char *const right[] = { "relay.test", "RELAY.test", "a.wild.test", "127.0.0.1",
		"::1", "relay.test.", "a.wild.test.", "::1%lo" };
	char text[ERR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
		expect(right[i], tlstest_pem, NULL, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(text, sizeof text, "certificate of %s is for " NAMES, wrong[i]);
		expect(wrong[i], tlstest_pem, NULL, text);
	}
	expect("other.test.", tlstest_pem, NULL, "certificate of other.test is for " NAMES);
	expect("::2%lo", tlstest_pem, NULL, "certificate of ::2%lo is for " NAMES);
}

static void
dates_are_checked(void **state)
{
	struct tlstest p;

	(void)state;
	days_off = 31;
	tlstest_open(&p, "relay.test", tlstest_pem, NULL);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	assert_memory_equal(p.c.text, "certificate of relay.test expired on 20", 39);
	tlstest_close(&p);
	days_off = -3;
	tlstest_open(&p, "relay.test", tlstest_pem, NULL);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	assert_memory_equal(p.c.text, "certificate of relay.test is not valid before 20", 48);
	tlstest_close(&p);
	days_off = 0;
}

static void
an_unknown_issuer_is_refused_with_the_pin_that_helps(void **state)
{
	char text[ERR_TEXT_MAX];

	(void)state;
	snprintf(text, sizeof text,
	    "certificate of relay.test is self-signed; if it is the right one, add --ca FILE with "
	    "it or "
	    "--pin %s",
	    tlstest_cert.pin);
	expect("relay.test", NULL, NULL, text);
}

static void
a_pin_is_proof_enough_without_ca(void **state)
{
	static const char wrong[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	char text[ERR_TEXT_MAX], both[128];

	(void)state;
	snprintf(both, sizeof both, "%s;%s", wrong, tlstest_cert.pin);
	expect("relay.test", NULL, tlstest_cert.pin, NULL);
	expect("relay.test", NULL, both, NULL);
	expect("relay.test", tlstest_pem, tlstest_cert.pin, NULL);
	snprintf(text, sizeof text, "certificate of relay.test has another key than --pin says: %s",
	    tlstest_cert.pin);
	expect("relay.test", NULL, wrong, text);
	expect("relay.test", tlstest_pem, wrong, text);
	expect("other.test", NULL, tlstest_cert.pin, "certificate of other.test is for " NAMES);
}

/* With --ca the authority must be right, too. */
static void
a_pin_does_not_replace_the_authority_that_was_given(void **state)
{
	static const char *const hosts[] = { "relay.test" };
	char path[] = "/tmp/f_tls_trust.XXXXXX";
	struct cert other;
	struct tlstest p;
	struct errtext e;

	(void)state;
	assert_int_equal(cert_self_signed(hosts, 1, 30, &other, &e), 0);
	close(mkstemp(path));
	assert_int_equal(file_write_atomic(path, other.pem, strlen(other.pem), 0600, &e), 0);
	tlstest_open(&p, "relay.test", path, tlstest_cert.pin);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	assert_int_equal(p.c.err, ERR_TLS);
	assert_int_equal(p.c.n_ready, 0);
	tlstest_close(&p);
	unlink(path);
	cert_fini(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_addresses_are_checked),
		cmocka_unit_test(dates_are_checked),
		cmocka_unit_test(an_unknown_issuer_is_refused_with_the_pin_that_helps),
		cmocka_unit_test(a_pin_is_proof_enough_without_ca),
		cmocka_unit_test(a_pin_does_not_replace_the_authority_that_was_given),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
