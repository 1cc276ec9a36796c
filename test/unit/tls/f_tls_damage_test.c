/* SPDX-License-Identifier: ISC */
/*
 * f_tls_damage - handshakes and records that are cut off or changed on their way are refused, and
 * never deliver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "test/unit/tlstest.h"

/* ---- damage ---- */

/* How many bytes each end must receive for its handshake, as a rule. */
static void
handshake_sizes(uint64_t *to_server, uint64_t *to_client)
{
	struct tlstest p;

	tlstest_ready(&p);
	*to_server = p.s.ready_at;
	*to_client = p.c.ready_at;
	tlstest_close(&p);
}

/*
 * An ECDSA signature in DER is now and then some bytes shorter, and as records are padded to 16
 * bytes the handshake is so by as many: a cut behind its end cuts nothing.
 */
enum { SIGNATURE_SLACK = 32 };

static void
a_handshake_cut_anywhere_is_told(void **state)
{
	uint64_t n[2];
	struct tlstest p;

	(void)state;
	handshake_sizes(&n[0], &n[1]);
	for (int side = 0; side < 2; side++)
		for (uint64_t at = 0; at + SIGNATURE_SLACK < n[side]; at++) {
			struct tlstest_side *x = side == 0 ? &p.s : &p.c;

			tlstest_open(&p, "relay.test", tlstest_pem, NULL);
			x->wire->cut_at = at;
			wire_turns(p.l, 12);
			assert_int_equal(x->n_closed, 1);
			assert_int_equal(x->n_ready, 0);
			assert_int_equal(x->err, ERR_CLOSED);
			assert_true(x->text[0] != '\0');
			tlstest_close(&p);
		}
}

static void
a_changed_handshake_never_delivers(void **state)
{
	uint64_t n[2];
	struct tlstest p;

	(void)state;
	handshake_sizes(&n[0], &n[1]);
	for (int side = 0; side < 2; side++)
		for (uint64_t at = 0; at < n[side]; at += 3) {
			struct tlstest_side *x = side == 0 ? &p.s : &p.c;

			tlstest_open(&p, "relay.test", tlstest_pem, NULL);
			x->wire->flip_at = at;
			tlstest_write(&p.c, 10, 10);
			tlstest_write(&p.s, 10, 10);
			wire_turns(p.l, 16);
			/*
			 * Some bytes mean nothing (RFC 8446 5.1, legacy_record_version); what
			 * arrives is right.
			 */
			assert_true(p.c.n_closed + p.s.n_closed > 0 || p.s.got.len == 10 ||
				    (p.c.n_ready == 0 && p.s.n_ready == 0));
			tlstest_got(&p.c, p.c.got.len);
			tlstest_got(&p.s, p.s.got.len);
			tlstest_close(&p);
		}
}

static void
a_changed_record_is_refused(void **state)
{
	struct tlstest p;

	(void)state;
	for (uint64_t at = 3; at < 122; at++) {
		tlstest_ready(&p);
		wire_turns(p.l, 4);
		p.s.wire->flip_at = p.s.wire->passed + at;
		tlstest_write(&p.c, 100, 100);
		tlstest_write(&p.c, 20000, 1000);
		wire_turns(p.l, 10);
		assert_int_equal(p.s.got.len, 0);
		assert_int_equal(p.s.err, ERR_TLS);
		assert_int_equal(p.c.n_closed, 1);
		tlstest_close(&p);
	}
	assert_string_equal(p.s.text, "TLS: a record was changed on its way");
	assert_string_equal(
	    p.c.text, "TLS: the peer ended it with alert 20 (a record was changed on its way)");
}

static void
a_peer_without_tls_is_named(void **state)
{
	struct loop *l = loop_new();
	struct wire *a, *b;
	struct tlstest_side x = { 0 };

	(void)state;
	wire_pair(l, &a, &b);
	tlstest_side_start(&x, f_tls_server(&a->f, l, tlstest_server_ctx));
	assert_int_equal(filter_send(&b->f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27), 0);
	wire_turns(l, 5);
	assert_int_equal(x.err, ERR_TLS);
	assert_string_equal(x.text, "TLS handshake: the peer does not speak TLS");
	tlstest_side_free(&x);
	filter_free(&b->f);
	wire_turns(l, 2);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_cut_anywhere_is_told),
		cmocka_unit_test(a_changed_handshake_never_delivers),
		cmocka_unit_test(a_changed_record_is_refused),
		cmocka_unit_test(a_peer_without_tls_is_named),
	};

	const struct CMUnitTest tls12[] = {
		cmocka_unit_test(a_changed_record_is_refused),
	};
	int failed = cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);

	tlstest_tls12_only = true; /* mbedTLS's records */
	return failed + cmocka_run_group_tests(tls12, tlstest_setup, tlstest_teardown);
}
