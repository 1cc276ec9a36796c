/* SPDX-License-Identifier: ISC */
/* tls_rec - the traces of RFC 8448, every size, every cut and every change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "test/unit/rectest.h"

/* ---- RFC 8448 3, "Simple 1-RTT Handshake" ---- */

static const char c_data[] =
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a"
    "20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
static const char s_ticket[] =
    "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c7"
    "58db289a015940252f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1"
    "b6c0d4a3d03f75e09c30ba1e62972ac46f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc1"
    "81a77ca475840025db2f0a77f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f6"
    "50db4d023e70e952ca49fe5137121c74bc2697687e248746d6df353005f3bce18696129c8153556b3b6c6779"
    "b37bf15985684f";
static const char s_data[] =
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb"
    "501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
static const char c_close[] = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
static const char s_close[] = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";

static void
put_hex(struct bufq *q, const char *hex)
{
	uint8_t p[512];

	assert_true(hash_unhex(p, strlen(hex) / 2, hex));
	rectest_put(q, p, strlen(hex) / 2);
}

static void
assert_hex(struct bufq *q, const char *hex)
{
	uint8_t want[512], got[512];
	size_t n = strlen(hex) / 2;

	assert_true(hash_unhex(want, n, hex));
	assert_int_equal(q->len, n);
	assert_int_equal(bufq_read(q, 0, got, sizeof got), n);
	assert_memory_equal(want, got, n);
	bufq_fini(q);
}

/* ---- known answers ---- */

static void
makes_the_records_of_rfc8448(void **state)
{
	struct tls_rec *c = rectest_new(RECTEST_AES128, false, 0, 0),
		       *s = rectest_new(RECTEST_AES128, true, 0, 1);
	struct tls_writer out = { 0 };
	struct bufq plain = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (uint8_t b = 0; b < 50; b++)
			rectest_put(&plain, &b, 1);
		assert_int_equal(tls_rec_seal(i == 0 ? c : s, &plain, &out), 0);
		assert_hex(&out.q, i == 0 ? c_data : s_data);
		assert_int_equal(
		    tls_rec_send_alert(i == 0 ? c : s, TLS_ALERT_CLOSE_NOTIFY, &out), 0);
		assert_hex(&out.q, i == 0 ? c_close : s_close);
	}
	tls_writer_fini(&out);
	tls_rec_free(c);
	tls_rec_free(s);
}

static void
reads_the_records_of_rfc8448(void **state)
{
	struct tls_rec *c = rectest_new(RECTEST_AES128, false, 0, 0),
		       *s = rectest_new(RECTEST_AES128, true, 0, 1);
	struct bufq in = { 0 }, got = { 0 };
	struct errtext e;

	(void)state;
	put_hex(&in, s_ticket);
	put_hex(&in, s_data);
	put_hex(&in, s_close);
	assert_int_equal(tls_rec_open(c, &in, &got, RECTEST_PLENTY, &e), ERR_EOF);
	assert_int_equal(got.len, 50);
	put_hex(&in, c_data);
	put_hex(&in, c_close);
	assert_int_equal(tls_rec_open(s, &in, &got, RECTEST_PLENTY, &e), ERR_EOF);
	assert_int_equal(got.len, 100);
	for (size_t i = 0; i < 100; i++) {
		uint8_t b;

		assert_int_equal(bufq_read(&got, i, &b, 1), 1);
		assert_int_equal(b, i % 50);
	}
	bufq_fini(&got);
	tls_rec_free(c);
	tls_rec_free(s);
}

/* ---- bytes ---- */

static void
carries_every_size_in_every_suite(void **state)
{
	static const int suites[] = { RECTEST_AES128, RECTEST_AES256, RECTEST_CHACHA };
	static const size_t sizes[] = { 1, 2, 15, 16, 17, 511, 512, 513, 5000, 16383, 16384, 16385,
		131072, 400000 };
	static const size_t pieces[] = { 10, 1000, 16384, 100000 };
	struct errtext e;

	(void)state;
	for (size_t s = 0; s < 3; s++) {
		struct tls_rec *a = rectest_new(suites[s], false, 7, 9);
		struct tls_rec *b = rectest_new(suites[s], true, 9, 7);

		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
			for (size_t j = 0; j < 4; j++) {
				struct bufq wire = { 0 }, in = { 0 }, got = { 0 };
				size_t records = (sizes[i] + 16383) / 16384;

				rectest_seal(j % 2 ? a : b, sizes[i], pieces[j], &wire);
				assert_int_equal(wire.len, sizes[i] + records * TLS_REC_EXTRA);
				rectest_carry(&wire, pieces[3 - j], &in);
				assert_int_equal(
				    tls_rec_open(j % 2 ? b : a, &in, &got, RECTEST_PLENTY, &e), 0);
				rectest_pattern(&got, sizes[i]);
				assert_int_equal(in.len, 0);
				bufq_fini(&got);
			}
		tls_rec_free(a);
		tls_rec_free(b);
	}
}

static void
a_bulk_of_records_fills_whole_blocks(void **state)
{
	struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0);
	struct bufq wire = { 0 };

	(void)state;
	rectest_seal(a, 256 * 1024, BUF_HUGE, &wire);
	assert_true(wire.n <= 3);
	bufq_fini(&wire);
	tls_rec_free(a);
}

/*
 * 100 bytes and 3 more records, cut in two anywhere, and in so many pieces that it must be
 * gathered.
 */
static void
a_record_may_be_split_anywhere(void **state)
{
	static const int suites[] = { RECTEST_AES128, RECTEST_CHACHA };
	struct errtext e;

	(void)state;
	for (size_t s = 0; s < 2; s++)
		for (size_t cut = 1; cut < 122; cut++) {
			struct tls_rec *a = rectest_new(suites[s], false, 0, 0);
			struct tls_rec *b = rectest_new(suites[s], true, 0, 0);
			struct bufq wire = { 0 }, in = { 0 }, got = { 0 }, first = { 0 };

			rectest_seal(a, 100, 100, &wire);
			assert_int_equal(bufq_move(&first, &wire, cut), 0);
			rectest_carry(&first, cut, &in);
			assert_int_equal(tls_rec_open(b, &in, &got, RECTEST_PLENTY, &e), 0);
			assert_int_equal(got.len, 0);
			rectest_carry(&wire, 200, &in);
			assert_int_equal(tls_rec_open(b, &in, &got, RECTEST_PLENTY, &e), 0);
			rectest_pattern(&got, 100);
			bufq_fini(&got);
			rectest_seal(a, 5000, 100, &wire);
			rectest_carry(&wire, cut, &in);
			assert_int_equal(tls_rec_open(b, &in, &got, RECTEST_PLENTY, &e), 0);
			rectest_pattern(&got, 5000);
			bufq_fini(&got);
			tls_rec_free(a);
			tls_rec_free(b);
		}
}

/* Blocks of 5000 bytes, none of which holds a whole record. */
static void
a_gathered_record_pins_no_more_than_a_block_of_its_size(void **state)
{
	struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0),
		       *b = rectest_new(RECTEST_AES128, true, 0, 0);
	struct bufq wire = { 0 }, in = { 0 }, got = { 0 };
	struct errtext e;

	(void)state;
	rectest_seal(a, 10 * TLS_REC_PLAIN, BUF_HUGE, &wire);
	rectest_carry(&wire, 5000, &in);
	assert_int_equal(tls_rec_open(b, &in, &got, RECTEST_PLENTY, &e), 0);
	rectest_pattern(&got, 10 * TLS_REC_PLAIN);
	assert_true(bufq_weight(&got) < 11 * TLS_REC_PLAIN);
	bufq_fini(&got);
	tls_rec_free(a);
	tls_rec_free(b);
}

static void
a_budget_ends_a_turn(void **state)
{
	struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0),
		       *b = rectest_new(RECTEST_AES128, true, 0, 0);
	struct bufq wire = { 0 }, in = { 0 }, got = { 0 };
	unsigned turns = 0;
	struct errtext e;
	int r;

	(void)state;
	for (int i = 0; i < 5000; i++)
		rectest_seal(a, 1, 1, &wire);
	rectest_carry(&wire, BUF_HUGE, &in);
	while ((r = tls_rec_open(b, &in, &got, 256 * 1024, &e)) == ERR_AGAIN)
		turns++;
	assert_int_equal(r, 0);
	assert_int_equal(got.len, 5000);
	assert_in_range(turns, 4, 10);
	/* Of thousands of shreds one pins the block that they came in. */
	assert_true(bufq_weight(&got) < BUF_HUGE + 16 * 1024);
	bufq_fini(&got);
	tls_rec_free(a);
	tls_rec_free(b);
}

/* ---- damage ---- */

static void
a_truncated_record_waits(void **state)
{
	(void)state;
	for (size_t n = 0; n < 122; n++) {
		struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0);
		struct bufq wire = { 0 };
		struct rectest x;

		rectest_start(&x, true);
		rectest_seal(a, 100, 100, &wire);
		assert_int_equal(bufq_move(&x.in, &wire, n), 0);
		assert_int_equal(tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), 0);
		assert_int_equal(x.got.len, 0);
		bufq_fini(&wire);
		rectest_stop(&x);
		tls_rec_free(a);
	}
}

static void
a_changed_byte_delivers_nothing(void **state)
{
	static const int suites[] = { RECTEST_AES128, RECTEST_AES256, RECTEST_CHACHA };

	(void)state;
	for (size_t at = 0; at < 3 * 122; at++)
		for (size_t piece = 30; piece <= 200; piece += 170) {
			int suite = suites[at % 3];
			struct tls_rec *a = rectest_new(suite, false, 0, 0);
			struct rectest x = { .r = rectest_new(suite, true, 0, 0), .server = true };
			struct bufq wire = { 0 };
			struct iovec iov;
			int r;

			rectest_seal(a, 100, 100, &wire);
			rectest_carry(&wire, piece, &x.in);
			assert_int_equal(bufq_own(&x.in, at / 3, 1, &iov, 1), 1);
			*(uint8_t *)iov.iov_base ^= (uint8_t)(1 << at % 8);
			r = tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e);
			assert_int_equal(x.got.len, 0);
			/* A longer length waits for the rest, or is too long. */
			if (at / 3 == 3 || at / 3 == 4)
				assert_true(r == 0 || r == ERR_TLS);
			else
				assert_int_equal(r, ERR_TLS);
			if (at / 3 > 4 || at / 3 == 1 || at / 3 == 2)
				rectest_refused(&x, r, TLS_ALERT_BAD_RECORD_MAC);
			else if (at / 3 == 0)
				rectest_refused(&x, r, TLS_ALERT_UNEXPECTED_MESSAGE);
			else
				rectest_stop(&x);
			tls_rec_free(a);
		}
}

static void
a_repeated_or_lost_record_is_refused(void **state)
{
	struct bufq wire = { 0 }, again = { 0 };
	struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0);
	struct rectest x;

	(void)state;
	rectest_start(&x, true);
	rectest_seal(a, 100, 100, &wire);
	rectest_carry(&wire, 200, &again);
	for (int i = 0; i < 2; i++) {
		uint8_t p[200];
		size_t n = bufq_read(&again, 0, p, sizeof p);

		rectest_put(&x.in, p, n);
	}
	bufq_fini(&again);
	rectest_refused(
	    &x, tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), TLS_ALERT_BAD_RECORD_MAC);
	rectest_start(&x, true);
	rectest_seal(a, 100, 100, &x.in); /* the second of a's */
	rectest_refused(
	    &x, tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), TLS_ALERT_BAD_RECORD_MAC);
	tls_rec_free(a);
}

static void
headers_that_may_not_come_are_refused(void **state)
{
	static const struct {
		uint8_t head[6];
		enum tls_alert alert;
	} bad[] = {
		{ { 20, 3, 3, 0, 1, 1 }, TLS_ALERT_UNEXPECTED_MESSAGE }, /* change_cipher_spec */
		{ { 21, 3, 3, 0, 2, 2 }, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 22, 3, 3, 0, 2, 2 }, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 0x80, 3, 3, 0, 2, 2 }, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 23, 3, 3, 0x41, 0x01 }, TLS_ALERT_RECORD_OVERFLOW }, /* 2^14 + 257 */
		{ { 23, 3, 3, 0xff, 0xff }, TLS_ALERT_RECORD_OVERFLOW },
		{ { 23, 3, 3, 0, 0 }, TLS_ALERT_BAD_RECORD_MAC },
		{ { 23, 3, 3, 0, 15 }, TLS_ALERT_BAD_RECORD_MAC },
	};
	struct rectest x;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		rectest_start(&x, true);
		rectest_put(&x.in, bad[i].head, 6);
		rectest_refused(
		    &x, tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), bad[i].alert);
	}
	/* The longest that may come is waited for. */
	rectest_start(&x, true);
	rectest_put(&x.in, (const uint8_t[]){ 23, 3, 3, 0x41, 0 }, 5);
	assert_int_equal(tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), 0);
	rectest_stop(&x);
}

/* ---- the rest ---- */

static void
knows_its_suites(void **state)
{
	uint8_t secret[48] = { 0 };
	struct tls_rec_start s = { .suite = RECTEST_AES128,
		.client_secret = secret,
		.server_secret = secret,
		.secret_len = 48,
		.fragment = 1 };

	(void)state;
	assert_true(tls_rec_is_known(RECTEST_AES128) && tls_rec_is_known(RECTEST_AES256) &&
		    tls_rec_is_known(RECTEST_CHACHA));
	assert_false(tls_rec_is_known(0x1304) || tls_rec_is_known(0xc02f));
	assert_null(tls_rec_new(&s));
	s.suite = 0x1304;
	assert_null(tls_rec_new(&s));
	tls_rec_free(NULL);
}

static void
keeps_to_a_smaller_fragment(void **state)
{
	uint8_t secret[32] = { 0 };
	struct tls_rec *r = tls_rec_new(&(struct tls_rec_start){ .suite = RECTEST_AES128,
	    .client_secret = secret,
	    .server_secret = secret,
	    .secret_len = 32,
	    .fragment = 512 });
	struct bufq wire = { 0 };

	(void)state;
	rectest_seal(r, 1024, 1000, &wire);
	assert_int_equal(wire.len, 2 * (512 + TLS_REC_EXTRA));
	bufq_fini(&wire);
	tls_rec_free(r);
}

static void
every_failed_allocation_is_told(void **state)
{
	(void)state;
	for (long n = 0; n < 30; n++) {
		struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0);
		struct tls_rec *b = rectest_new(RECTEST_AES128, true, 0, 0);
		struct bufq plain = { 0 }, in = { 0 }, got = { 0 };
		struct tls_writer out = { 0 };
		struct errtext e;
		int r;

		rectest_fill(&plain, 150000, 3000);
		buf_pool_free();
		mem_fail_after(n);
		r = tls_rec_seal(a, &plain, &out);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == ERR_NOMEM || (r == 0 && plain.len == 0));
		tls_writer_end(&out);
		if (r == 0) {
			rectest_carry(&out.q, 1500, &in); /* each record is gathered */
			buf_pool_free();
			mem_fail_after(n);
			r = tls_rec_open(b, &in, &got, RECTEST_PLENTY, &e);
			mem_fail_after(MEM_NO_FAIL);
			assert_true(r == ERR_NOMEM || (r == 0 && got.len == 150000));
		}
		bufq_fini(&plain);
		bufq_fini(&in);
		bufq_fini(&got);
		tls_writer_fini(&out);
		tls_rec_free(a);
		tls_rec_free(b);
	}
	mem_fail_after(0);
	assert_null(tls_rec_new(&(struct tls_rec_start){ .suite = RECTEST_CHACHA,
	    .client_secret = (const uint8_t *)c_data,
	    .server_secret = (const uint8_t *)c_data,
	    .secret_len = 32,
	    .fragment = 1 }));
	mem_fail_after(MEM_NO_FAIL);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_the_records_of_rfc8448),
		cmocka_unit_test(reads_the_records_of_rfc8448),
		cmocka_unit_test(carries_every_size_in_every_suite),
		cmocka_unit_test(a_bulk_of_records_fills_whole_blocks),
		cmocka_unit_test(a_record_may_be_split_anywhere),
		cmocka_unit_test(a_gathered_record_pins_no_more_than_a_block_of_its_size),
		cmocka_unit_test(a_budget_ends_a_turn),
		cmocka_unit_test(a_truncated_record_waits),
		cmocka_unit_test(a_changed_byte_delivers_nothing),
		cmocka_unit_test(a_repeated_or_lost_record_is_refused),
		cmocka_unit_test(headers_that_may_not_come_are_refused),
		cmocka_unit_test(knows_its_suites),
		cmocka_unit_test(keeps_to_a_smaller_fragment),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
