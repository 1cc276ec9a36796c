/* SPDX-License-Identifier: ISC */
/*
 * f_tls_trust - whom a client believes: names, addresses, dates, authorities, pins, and the
 * sentence for each refusal.
 * link: -Wl,--wrap=time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- certificates that keygen does not make ---- */

static char other_dir[32];
static char ca_pem[64], ca_key[64], leaf_pem[64], leaf_key[64];

static int
enter_dir(void **state)
{
	(void)state;
	snprintf(other_dir, sizeof other_dir, "/tmp/f_tls_trust.XXXXXX");
	if (mkdtemp(other_dir) == NULL)
		return -1;
	snprintf(ca_pem, sizeof ca_pem, "%s/ca.pem", other_dir);
	snprintf(ca_key, sizeof ca_key, "%s/ca.key", other_dir);
	snprintf(leaf_pem, sizeof leaf_pem, "%s/leaf.pem", other_dir);
	snprintf(leaf_key, sizeof leaf_key, "%s/leaf.key", other_dir);
	return 0;
}

static int
leave_dir(void **state)
{
	(void)state;
	return unlink(ca_pem) | unlink(ca_key) | unlink(leaf_pem) | unlink(leaf_key) |
	       rmdir(other_dir);
}

static void
make(const char *subject, const char *pem, const char *key, const char *more)
{
	char command[600];

	snprintf(command, sizeof command,
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
	    "-subj '%s' -out %s -keyout %s %s 2>/dev/null",
	    subject, pem, key, more);
	assert_int_equal(system(command), 0);
}

static bool
is_decided(void *arg)
{
	return tlstest_both_closed(arg) || tlstest_both_ready(arg);
}

/*
 * What a client of relay.test says of a certificate that this authority has made; "" if it is
 * content.
 */
static const char *
said(const char *authority, const char *subject, const char *san, bool trusted)
{
	static char text[ERR_TEXT_MAX];
	struct tls_server_ctx *usual = tlstest_server_ctx;
	char more[300];
	struct tlstest p;
	struct errtext e;

	make(authority, ca_pem, ca_key, "");
	snprintf(more, sizeof more, "-CA %s -CAkey %s %s%s", ca_pem, ca_key,
	    san[0] != '\0' ? "-addext subjectAltName=" : "", san);
	make(subject, leaf_pem, leaf_key, more);
	if (tls_server_new(&(struct tls_pair){ leaf_pem, leaf_key }, 1, &tlstest_server_ctx, &e) !=
	    0)
		fail_msg("%s", e.s);
	tlstest_open(&p, "relay.test", trusted ? ca_pem : tlstest_pem, NULL);
	assert_true(wire_run(p.l, 10000, is_decided, &p));
	snprintf(text, sizeof text, "%s", p.c.n_closed > 0 ? p.c.text : "");
	tlstest_close(&p);
	tls_server_free(tlstest_server_ctx);
	tlstest_server_ctx = usual;
	return text;
}

static void
assert_begins(const char *text, const char *want)
{
	if (strncmp(text, want, strlen(want)) != 0)
		fail_msg("%s", text);
}

static void
an_unknown_authority_is_named(void **state)
{
	(void)state;
	assert_begins(said("/CN=Test CA", "/CN=relay.test", "DNS:relay.test", false),
	    "certificate of relay.test issued by \"Test CA\", which is not trusted; add --ca FILE "
	    "with that authority or --pin sha256//");
	assert_begins(said("/O=Some Office", "/CN=relay.test", "DNS:relay.test", false),
	    "certificate of relay.test issued by \"O=Some Office\", which is not trusted; ");
	assert_string_equal(said("/CN=Test CA", "/CN=relay.test", "DNS:relay.test", true), "");
}

/* Some of its names, so that the line stays one; of an old one without such names the subject's. */
static void
whom_a_certificate_is_for_is_told(void **state)
{
	(void)state;
	assert_string_equal(said("/CN=Test CA", "/CN=relay.test",
				"DNS:a.test,IP:192.0.2.1,IP:2001:db8::1,DNS:b.test", true),
	    "certificate of relay.test is for a.test, 192.0.2.1, 2001:db8::1, b.test");
	assert_string_equal(
	    said("/CN=Test CA", "/CN=relay.test",
		"DNS:a.test,DNS:b.test,DNS:c.test,DNS:d.test,DNS:e.test,DNS:f.test", true),
	    "certificate of relay.test is for a.test, b.test, c.test, d.test, ...");
	assert_string_equal(said("/CN=Test CA", "/CN=relay.test", "email:a@b.test", true),
	    "certificate of relay.test is for no host at all");
	assert_string_equal(said("/CN=Test CA", "/O=x/CN=other.test", "", true),
	    "certificate of relay.test is for other.test");
	assert_string_equal(said("/CN=Test CA", "/O=x/CN=relay.test", "", true), "");
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
		cmocka_unit_test_setup_teardown(
		    an_unknown_authority_is_named, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    whom_a_certificate_is_for_is_told, enter_dir, leave_dir),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
