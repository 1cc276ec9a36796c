/* SPDX-License-Identifier: ISC */
/*
 * tls_rec_peer - what a peer may put into records of TLS 1.3: padding, alerts, handshake messages;
 * right, wrong, or too often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "test/unit/rectest.h"

/* ---- the inner record ---- */

static void
padding_is_taken_off(void **state)
{
	uint8_t p[16385] = { 0 };
	struct rectest x;

	(void)state;
	rectest_start(&x, true);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, "abc", 3, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, "def", 3, 1), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, "ghi", 3, 16381), 0); /* the most */
	assert_int_equal(x.got.len, 9);
	/* Zeros in front of the type are payload. */
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, p, 100, 50), 0);
	assert_int_equal(x.got.len, 109);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, p, 16384, 0), 0);
	assert_int_equal(x.got.len, 109 + 16384);
	rectest_refused(&x, rectest_hear(&x, RECTEST_DATA, p, 16385, 0), TLS_ALERT_RECORD_OVERFLOW);

	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, RECTEST_DATA, p, 0, 16385), TLS_ALERT_RECORD_OVERFLOW);
	/* Nothing but zeros has no type (RFC 8446 5.4), nor has nothing. */
	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, 0, p, 100, 0), TLS_ALERT_UNEXPECTED_MESSAGE);
	rectest_start(&x, true);
	rectest_craft(&x.in, false, 0, p, 0);
	rectest_refused(&x, tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void
padding_may_reach_over_blocks(void **state)
{
	struct rectest x;

	(void)state;
	for (size_t piece = 1; piece < 60; piece++) {
		struct bufq wire = { 0 };
		uint8_t inner[60] = "abcdefghij\x17";

		rectest_start(&x, true);
		rectest_craft(&wire, false, 0, inner, sizeof inner);
		rectest_carry(&wire, piece, &x.in);
		assert_int_equal(tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), 0);
		assert_int_equal(x.got.len, 10);
		assert_int_equal(x.in.len, 0);
		rectest_stop(&x);
	}
}

/*
 * The work does not depend on the payload: its pages cannot be read, so a look at one byte of it
 * ends the test.  The type is the first byte of the only page that can be read, with padding behind
 * it.
 */
static void
the_type_is_found_without_a_look_at_the_payload(void **state)
{
	static const size_t paddings[] = { 0, 1, 7, 8, 100, 4095 };
	const size_t page = 4096;
	uint8_t *map =
	    mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(map != MAP_FAILED);
	assert_int_equal(sysconf(_SC_PAGESIZE), page);
	assert_int_equal(mprotect(map, 3 * page, PROT_NONE), 0);
	map[3 * page] = RECTEST_DATA;
	for (size_t i = 0; i < sizeof paddings / sizeof paddings[0]; i++) {
		size_t payload = SIZE_MAX;
		uint8_t type = 0;

		assert_true(tls_rec_find_type(map, 3 * page + 1 + paddings[i], &type, &payload));
		assert_int_equal(type, RECTEST_DATA);
		assert_int_equal(payload, 3 * page);
	}
	munmap(map, 4 * page);
}

/* RFC 8446 5.3: the number of a record is of 64 bits, and none is used twice. */
static void
records_are_numbered_up_to_the_last(void **state)
{
	static const uint64_t numbers[] = { 255, 256, UINT32_MAX, 1ull << 32, 1ull << 56,
		UINT64_MAX - 1 };
	const uint8_t inner[] = { 'a', RECTEST_DATA };

	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		struct rectest x = { .r = rectest_new(RECTEST_AES128, true, numbers[i], 0) };
		int r;

		rectest_craft(&x.in, false, numbers[i], inner, sizeof inner);
		assert_int_equal(tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e), 0);
		assert_int_equal(x.got.len, 1);
		rectest_craft(&x.in, false, numbers[i] + 1, inner, sizeof inner);
		r = tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e);
		if (numbers[i] + 1 == UINT64_MAX) {
			rectest_refused(&x, r, TLS_ALERT_UNEXPECTED_MESSAGE);
			continue;
		}
		assert_int_equal(r, 0);
		rectest_stop(&x);
	}
}

static void
unknown_contents_are_refused(void **state)
{
	static const uint8_t types[] = { 1, 20, 24, 25, 255 };
	struct rectest x;

	(void)state;
	for (size_t i = 0; i < sizeof types; i++) {
		rectest_start(&x, true);
		rectest_refused(
		    &x, rectest_hear(&x, types[i], "\1", 1, 0), TLS_ALERT_UNEXPECTED_MESSAGE);
	}
}

static void
empty_records_are_counted(void **state)
{
	struct rectest x;

	(void)state;
	rectest_start(&x, true);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < TLS_REC_IDLE_MAX; i++)
			assert_int_equal(rectest_hear(&x, RECTEST_DATA, "", 0, 20), 0);
		assert_int_equal(rectest_hear(&x, RECTEST_DATA, "a", 1, 0), 0);
	}
	for (int i = 0; i < TLS_REC_IDLE_MAX; i++)
		assert_int_equal(rectest_hear(&x, i % 2 ? RECTEST_DATA : RECTEST_ALERT, "\1\x5a",
				     i % 2 ? 0 : 2, 0),
		    0);
	assert_int_equal(x.got.len, 3);
	rectest_refused(&x, rectest_hear(&x, RECTEST_DATA, "", 0, 0), TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void
alerts_end_the_connection(void **state)
{
	struct rectest x;

	(void)state;
	for (int level = 0; level < 3; level++) {
		uint8_t p[] = { (uint8_t)level, 0 };

		rectest_start(&x, false);
		assert_int_equal(rectest_hear(&x, RECTEST_DATA, "a", 1, 0), 0);
		assert_int_equal(rectest_hear(&x, RECTEST_ALERT, p, 2, 0), ERR_EOF);
		assert_int_equal(x.got.len, 1);
		rectest_stop(&x);
		rectest_start(&x, false);
		p[1] = 20; /* RFC 8446 6: whatever the level */
		rectest_refused(
		    &x, rectest_hear(&x, RECTEST_ALERT, p, 2, 0), TLS_ALERT_CLOSE_NOTIFY);
		assert_string_equal(x.e.s,
		    "TLS: the peer ended it with alert 20 (a record was changed on its way)");
	}
	rectest_start(&x, false);
	rectest_refused(&x, rectest_hear(&x, RECTEST_ALERT, "\2", 1, 0), TLS_ALERT_DECODE_ERROR);
	rectest_start(&x, false);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_ALERT, "\1\0\1\0", 4, 0), TLS_ALERT_DECODE_ERROR);
	rectest_start(&x, false);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_ALERT, "", 0, 0), TLS_ALERT_UNEXPECTED_MESSAGE);
	rectest_start(&x, true);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_ALERT, "", 0, 100), TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* ---- handshake messages ---- */

static void
a_client_passes_over_tickets(void **state)
{
	uint8_t p[16384] = { 4, 0, 0x7f, 0xff };
	struct rectest x;

	(void)state;
	rectest_start(&x, false);
	/* Two in one record, one in three, one byte by byte. */
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\1a\4\0\0\2ab", 11, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, p, 16384, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, p + 4, 16380, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, p + 4, 7, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, "a", 1, 0), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, &"\4\0\0\2ab"[i], 1, 3), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, "b", 1, 0), 0);
	assert_int_equal(x.got.len, 2);
	/* Nothing comes between the parts of a message (RFC 8446 5.1). */
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\2a", 5, 0), 0);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_DATA, "c", 1, 0), TLS_ALERT_UNEXPECTED_MESSAGE);

	/* The longest that is passed over, and one byte more. */
	rectest_start(&x, false);
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\4\4\0\0", 4, 0), 0);
	rectest_stop(&x);
	rectest_start(&x, false);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_HANDSHAKE, "\4\4\0\1", 4, 0), TLS_ALERT_DECODE_ERROR);
	rectest_start(&x, false);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\0", 4, 0), TLS_ALERT_DECODE_ERROR);
	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\1a", 5, 0),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
	/* CertificateRequest, ClientHello; and no message at all. */
	rectest_start(&x, false);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\15\0\0\1a", 5, 0),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\1\0\0\1a", 5, 0),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
	rectest_start(&x, true);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_HANDSHAKE, "", 0, 0), TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* However many there are in a record. */
static void
tickets_without_end_are_refused(void **state)
{
	struct rectest x;

	(void)state;
	rectest_start(&x, false);
	for (int i = 0; i < TLS_REC_IDLE_MAX / 2; i++)
		assert_int_equal(
		    rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\1a\4\0\0\2ab", 11, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_DATA, "a", 1, 0), 0);
	for (int i = 0; i < TLS_REC_IDLE_MAX; i++)
		assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\1a", 5, 0), 0);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\4\0\0\1a", 5, 0),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* What a has sent is heard by b, and how. */
static int
pass(struct tls_writer *out, struct tls_rec *b, struct bufq *got)
{
	struct bufq in = { 0 };
	struct errtext e;
	int r;

	tls_writer_end(out);
	rectest_carry(&out->q, 1000, &in);
	r = tls_rec_open(b, &in, got, RECTEST_PLENTY, &e);
	bufq_fini(&in);
	return r;
}

static void
keys_change_in_both_directions(void **state)
{
	static const int suites[] = { RECTEST_AES128, RECTEST_AES256, RECTEST_CHACHA };
	struct bufq got = { 0 }, plain = { 0 };
	struct tls_writer out = { 0 };

	(void)state;
	for (int i = 0; i < 3 * 50; i++) {
		struct tls_rec *a = rectest_new(suites[i % 3], false, 0, 0);
		struct tls_rec *b = rectest_new(suites[i % 3], true, 0, 0);

		for (int k = 0; k < 4; k++) {
			bool ask = (i + k) % 2 == 0;

			assert_int_equal(tls_rec_send_update(k < 2 ? a : b, ask, &out), 0);
			rectest_fill(&plain, 20000, 700);
			assert_int_equal(tls_rec_seal(k < 2 ? a : b, &plain, &out), 0);
			assert_int_equal(pass(&out, k < 2 ? b : a, &got), 0);
			rectest_pattern(&got, 20000);
			bufq_fini(&got);
			assert_int_equal(tls_rec_owes_update(k < 2 ? b : a), ask);
			/* It is answered before the next byte. */
			rectest_fill(&plain, 100, 100);
			assert_int_equal(tls_rec_seal(k < 2 ? b : a, &plain, &out), 0);
			assert_int_equal(
			    out.q.len, 100 + TLS_REC_EXTRA + (ask ? 5 + TLS_REC_EXTRA : 0));
			assert_false(tls_rec_owes_update(k < 2 ? b : a));
			assert_int_equal(pass(&out, k < 2 ? a : b, &got), 0);
			rectest_pattern(&got, 100);
			bufq_fini(&got);
		}
		tls_rec_free(a);
		tls_rec_free(b);
	}
	tls_writer_fini(&out);
}

static void
an_answer_is_owed_until_it_is_given(void **state)
{
	struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0);
	struct tls_rec *b = rectest_new(RECTEST_AES128, true, 0, 0);
	struct tls_writer out = { 0 };
	struct bufq got = { 0 };

	(void)state;
	assert_int_equal(tls_rec_send_update(a, true, &out), 0);
	assert_int_equal(tls_rec_send_update(a, false, &out), 0);
	assert_int_equal(pass(&out, b, &got), 0);
	assert_true(tls_rec_owes_update(b));
	tls_writer_fini(&out);
	tls_rec_free(a);
	tls_rec_free(b);
}

static void
a_key_protects_no_more_than_its_limit(void **state)
{
	struct tls_rec *a = rectest_new(RECTEST_AES256, false, 0, TLS_REC_GCM_RECORDS - 2);
	struct tls_rec *b = rectest_new(RECTEST_AES256, true, TLS_REC_GCM_RECORDS - 2, 0);
	struct bufq got = { 0 }, plain = { 0 };
	const size_t update = 5 + TLS_REC_EXTRA - TLS_REC_HEADER;
	struct tls_writer out = { 0 };
	uint8_t len[2];

	(void)state;
	rectest_fill(&plain, 5 * TLS_REC_PLAIN, 5000);
	assert_int_equal(tls_rec_seal(a, &plain, &out), 0);
	assert_int_equal(out.q.len, 5 * TLS_REC_PLAIN + 6 * TLS_REC_EXTRA + 5);
	/* Two records of data, then the update. */
	assert_int_equal(bufq_read(&out.q, 2 * (TLS_REC_PLAIN + TLS_REC_EXTRA) + 3, len, 2), 2);
	assert_int_equal(len[0] << 8 | len[1], update);
	assert_int_equal(pass(&out, b, &got), 0);
	rectest_pattern(&got, 5 * TLS_REC_PLAIN);
	assert_false(tls_rec_owes_update(b));
	bufq_fini(&got);
	tls_writer_fini(&out);
	tls_rec_free(a);
	tls_rec_free(b);
}

static void
a_malformed_update_is_refused(void **state)
{
	struct rectest x;

	(void)state;
	rectest_start(&x, true);
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\x18\0", 2, 0), 0);
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\0\1", 2, 5), 0);
	assert_false(tls_rec_owes_update(x.r));
	assert_int_equal(rectest_hear(&x, RECTEST_HANDSHAKE, "\1", 1, 0), 0);
	assert_true(tls_rec_owes_update(x.r));
	/* The old key is no longer known. */
	rectest_refused(&x, rectest_hear(&x, RECTEST_DATA, "a", 1, 0), TLS_ALERT_BAD_RECORD_MAC);

	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\x18\0\0\1\2", 5, 0),
	    TLS_ALERT_ILLEGAL_PARAMETER);
	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\x18\0\0\2\0\0", 6, 0),
	    TLS_ALERT_DECODE_ERROR);
	rectest_start(&x, true);
	rectest_refused(
	    &x, rectest_hear(&x, RECTEST_HANDSHAKE, "\x18\0\0\0", 4, 0), TLS_ALERT_DECODE_ERROR);
	/* RFC 8446 5.1: a message does not span a change of keys. */
	rectest_start(&x, true);
	rectest_refused(&x, rectest_hear(&x, RECTEST_HANDSHAKE, "\x18\0\0\1\0\x18", 6, 0),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void
a_flood_of_updates_is_refused(void **state)
{
	struct tls_rec *a = rectest_new(RECTEST_AES128, false, 0, 0);
	struct tls_writer out = { 0 };
	struct rectest x;

	(void)state;
	rectest_start(&x, true);
	for (int i = 0; i <= TLS_REC_IDLE_MAX; i++)
		assert_int_equal(tls_rec_send_update(a, true, &out), 0);
	tls_writer_end(&out);
	rectest_carry(&out.q, 1000, &x.in);
	/* Each costs as much of a turn as a large record. */
	assert_int_equal(tls_rec_open(x.r, &x.in, &x.got, 4 * TLS_REC_KEY_COST, &x.e), ERR_AGAIN);
	rectest_refused(&x, tls_rec_open(x.r, &x.in, &x.got, RECTEST_PLENTY, &x.e),
	    TLS_ALERT_UNEXPECTED_MESSAGE);
	tls_writer_fini(&out);
	tls_rec_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(padding_is_taken_off),
		cmocka_unit_test(padding_may_reach_over_blocks),
		cmocka_unit_test(the_type_is_found_without_a_look_at_the_payload),
		cmocka_unit_test(records_are_numbered_up_to_the_last),
		cmocka_unit_test(unknown_contents_are_refused),
		cmocka_unit_test(empty_records_are_counted),
		cmocka_unit_test(alerts_end_the_connection),
		cmocka_unit_test(a_client_passes_over_tickets),
		cmocka_unit_test(tickets_without_end_are_refused),
		cmocka_unit_test(keys_change_in_both_directions),
		cmocka_unit_test(an_answer_is_owed_until_it_is_given),
		cmocka_unit_test(a_key_protects_no_more_than_its_limit),
		cmocka_unit_test(a_malformed_update_is_refused),
		cmocka_unit_test(a_flood_of_updates_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
