/* SPDX-License-Identifier: ISC */
/*
 * f_tls_mbedtls - TLS 1.3 with mbedTLS alone at the other end: its padding, its counters, its
 * refusal of what it does not know.
 *
 * An end of f_tls never shows these to another, because both hand over to tls_rec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/tls/tls_generation.h"
#include "lib/tls/tls_session.h"
#include "test/unit/tlstest.h"

enum { BULK = 200000 };

/* mbedTLS on an end of the wire. */
struct plain {
	mbedtls_ssl_context ssl;
	struct wire *w;
	size_t got, sent, to_send;
	/* What it said last. */
	int ret;
};

static int
plain_send(void *arg, const unsigned char *p, size_t n)
{
	struct plain *x = arg;

	assert_int_equal(filter_send(&x->w->f, p, n), 0);
	filter_flush(&x->w->f);
	return (int)n;
}

static int
plain_recv(void *arg, unsigned char *p, size_t n)
{
	struct plain *x = arg;
	size_t got = bufq_read(&x->w->f.in, 0, p, n);

	bufq_drain(&x->w->f.in, got);
	return got > 0 ? (int)got : MBEDTLS_ERR_SSL_WANT_READ;
}

static void
plain_step(void *arg)
{
	struct plain *x = arg;
	uint8_t p[5000];

	if (x->ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ||
	    x->ret == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
		return; /* the end */
	if (!mbedtls_ssl_is_handshake_over(&x->ssl) &&
	    (x->ret = mbedtls_ssl_handshake(&x->ssl)) != 0)
		return;
	while (x->sent < x->to_send) {
		size_t n = x->to_send - x->sent < 3001 ? x->to_send - x->sent : 3001;

		memset(p, 'm', n);
		assert_int_equal(mbedtls_ssl_write(&x->ssl, p, n), n);
		x->sent += n;
	}
	while ((x->ret = mbedtls_ssl_read(&x->ssl, p, sizeof p)) > 0)
		x->got += (size_t)x->ret;
}

static void
plain_writable(void *arg)
{
	(void)arg;
}

static void
plain_closed(void *arg, int err, const char *text)
{
	(void)err;
	(void)text;
	plain_step(arg);
}

static const struct filter_user plain_user = { plain_step, plain_writable, plain_closed };

struct pair {
	struct loop *l;
	struct tls_client_ctx *ctx;
	/* Of mbedTLS's end. */
	struct tls_generation *gen;
	struct tls_asked asked;
	struct plain m;
	struct tlstest_side x;
};

static void
pair_open(struct pair *p, bool m_is_server)
{
	struct tls_client_opts opts = { .ca_file = tlstest_pem };
	struct wire *a, *b;
	struct errtext e;

	*p = (struct pair){ .l = loop_new() };
	assert_int_equal(tls_client_new(&opts, &p->ctx, &e), 0);
	wire_pair(p->l, &a, &b);
	p->m.w = a;
	p->x.wire = b;
	p->gen =
	    m_is_server ? tls_generation_server(tlstest_server_ctx) : tls_generation_client(p->ctx);
	if (tlstest_tls12_only)
		mbedtls_ssl_conf_max_tls_version(&p->gen->conf, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_init(&p->m.ssl);
	assert_int_equal(mbedtls_ssl_setup(&p->m.ssl, &p->gen->conf), 0);
	if (m_is_server)
		tls_generation_serve(&p->m.ssl, &p->asked);
	assert_int_equal(mbedtls_ssl_set_hostname(&p->m.ssl, "relay.test"), 0);
	mbedtls_ssl_set_bio(&p->m.ssl, &p->m, plain_send, plain_recv, NULL);
	filter_set_user(&a->f, &plain_user, &p->m);
	tlstest_side_start(&p->x, m_is_server ? f_tls_client(&b->f, p->l, p->ctx, "relay.test")
					      : f_tls_server(&b->f, p->l, tlstest_server_ctx));
	plain_step(&p->m);
}

static void
pair_close(struct pair *p)
{
	tlstest_side_free(&p->x);
	bufq_fini(&p->x.got);
	mbedtls_ssl_free(&p->m.ssl);
	filter_free(&p->m.w->f);
	tls_asked_fini(&p->asked);
	tls_generation_drop(p->gen);
	tls_client_free(p->ctx);
	wire_turns(p->l, 2);
	loop_free(p->l);
}

static bool
has_all(void *arg)
{
	struct pair *p = arg;

	return p->m.got == p->x.want && p->x.got.len == p->m.to_send;
}

static bool
has_ended(void *arg)
{
	struct pair *p = arg;

	return p->x.n_closed > 0;
}

static void
carries_bytes_both_ways(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct pair p;

		pair_open(&p, server == 1);
		for (size_t round = 1; round <= 3; round++) {
			p.m.to_send = p.x.want = round * BULK;
			tlstest_write(&p.x, BULK, 7001);
			wire_turns(p.l, 8);
			plain_step(&p.m);
			assert_true(wire_run(p.l, 10000, has_all, &p));
		}
		assert_string_equal(mbedtls_ssl_get_version(&p.m.ssl), "TLSv1.3");
		/* Its end is ours, too. */
		assert_int_equal(mbedtls_ssl_close_notify(&p.m.ssl), 0);
		assert_true(wire_run(p.l, 10000, has_ended, &p));
		assert_int_equal(p.x.err, ERR_EOF);
		wire_turns(p.l, 4);
		plain_step(&p.m);
		assert_int_equal(p.m.ret, MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
		pair_close(&p);
	}
}

/* RFC 5246 6.2.1 allows them; several arrive in one read. */
static void
empty_records_of_tls12_are_nothing(void **state)
{
	(void)state;
	tlstest_tls12_only = true;
	for (int empty = 1; empty <= 3; empty++) {
		struct pair p;

		pair_open(&p, false);
		p.m.to_send = p.x.want = 100;
		tlstest_write(&p.x, 100, 100);
		assert_true(wire_run(p.l, 10000, has_all, &p));
		assert_string_equal(mbedtls_ssl_get_version(&p.m.ssl), "TLSv1.2");
		filter_pause(p.x.f, true);
		for (int i = 0; i < empty; i++)
			assert_int_equal(
			    mbedtls_ssl_write(&p.m.ssl, (const unsigned char *)"", 0), 0);
		p.m.to_send = 200;
		plain_step(&p.m);
		wire_turns(p.l, 4);
		filter_pause(p.x.f, false);
		assert_true(wire_run(p.l, 10000, has_all, &p));
		assert_int_equal(p.x.n_closed, 0);
		pair_close(&p);
	}
	tlstest_tls12_only = false;
}

/* mbedTLS has no other call for what it would not send. */
int mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush);

static void
plain_handshake(struct plain *x, const void *message, size_t n)
{
	x->ssl.MBEDTLS_PRIVATE(out_msgtype) = MBEDTLS_SSL_MSG_HANDSHAKE;
	x->ssl.MBEDTLS_PRIVATE(out_msglen) = n;
	memcpy(x->ssl.MBEDTLS_PRIVATE(out_msg), message, n);
	assert_int_equal(mbedtls_ssl_write_record(&x->ssl, 1), 0);
}

static bool
has_refused(void *arg)
{
	struct pair *p = arg;

	return p->m.ret == MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
}

/* RFC 8446 4.6.3; mbedTLS knows no KeyUpdate, so that its refusal tells of ours. */
static void
an_answer_that_finds_no_room_goes_when_there_is_some(void **state)
{
	size_t waiting;
	struct pair p;

	(void)state;
	pair_open(&p, false);
	p.m.to_send = p.x.want = 100;
	tlstest_write(&p.x, 100, 100);
	assert_true(wire_run(p.l, 10000, has_all, &p));
	filter_pause(&p.m.w->f, true);
	tlstest_write(&p.x, 2 * WIRE_ROOM, 7001);
	wire_turns(p.l, 4);
	waiting = p.m.w->coming.len;
	plain_handshake(&p.m, "\30\0\0\1\1", 5);
	wire_turns(p.l, 4);
	assert_int_equal(p.m.w->coming.len, waiting);
	assert_int_equal(p.m.ret, MBEDTLS_ERR_SSL_WANT_READ);
	filter_pause(&p.m.w->f, false);
	assert_true(wire_run(p.l, 2000, has_refused, &p));
	assert_int_equal(p.m.got, 100 + 2 * WIRE_ROOM);
	pair_close(&p);
}

/* RFC 5246 7.4.1.2: a client that wants a new handshake. */
static void
plain_ask_anew(struct plain *x)
{
	plain_handshake(x, "\1\0\0\0", 4);
}

/* Each time the answer is a warning, which a peer that reads nothing makes us keep. */
static void
asks_for_a_new_handshake_are_counted(void **state)
{
	struct pair p;

	(void)state;
	tlstest_tls12_only = true;
	pair_open(&p, false);
	p.m.to_send = p.x.want = 100;
	tlstest_write(&p.x, 100, 100);
	assert_true(wire_run(p.l, 10000, has_all, &p));
	assert_string_equal(mbedtls_ssl_get_version(&p.m.ssl), "TLSv1.2");
	/* Some harm nobody, nor do they hide the data that has come with them. */
	filter_pause(p.x.f, true);
	for (int i = 0; i < 5; i++)
		plain_ask_anew(&p.m);
	p.m.to_send = 200;
	plain_step(&p.m);
	wire_turns(p.l, 4);
	filter_pause(p.x.f, false);
	assert_true(wire_run(p.l, 10000, has_all, &p));
	assert_int_equal(p.x.n_closed, 0);
	filter_pause(&p.m.w->f, true);
	for (int i = 0; i < 1000; i++)
		plain_ask_anew(&p.m);
	assert_true(wire_run(p.l, 1000, has_ended, &p));
	assert_int_equal(p.x.err, ERR_TLS);
	assert_string_equal(p.x.text, "TLS: the peer asks for a new handshake again and again");
	/* Header, nonce, alert and tag of each answer. */
	assert_int_equal(p.m.w->coming.len, (TLS_SESSION_ANSWERS_MAX - 5) * (5 + 8 + 2 + 16));
	pair_close(&p);
	tlstest_tls12_only = false;
}

/* RFC 5246 7.2.2: a warning ends nothing. */
static void
plain_warn(struct plain *x)
{
	assert_int_equal(mbedtls_ssl_send_alert_message(&x->ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
			     MBEDTLS_SSL_ALERT_MSG_USER_CANCELED),
	    0);
}

static void
warnings_without_end_are_refused(void **state)
{
	struct pair p;

	(void)state;
	tlstest_tls12_only = true;
	pair_open(&p, false);
	p.m.to_send = p.x.want = 100;
	tlstest_write(&p.x, 100, 100);
	assert_true(wire_run(p.l, 10000, has_all, &p));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < TLS_SESSION_IDLE_MAX - 1; i++)
			plain_warn(&p.m);
		p.m.to_send += 100;
		plain_step(&p.m);
		assert_true(wire_run(p.l, 10000, has_all, &p));
	}
	for (int i = 0; i < TLS_SESSION_IDLE_MAX + 1; i++)
		plain_warn(&p.m);
	assert_true(wire_run(p.l, 10000, has_ended, &p));
	assert_int_equal(p.x.err, ERR_TLS);
	assert_string_equal(p.x.text, "TLS: the peer sends records that bring nothing");
	plain_step(&p.m);
	assert_int_equal(p.m.ret, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE);
	pair_close(&p);
	tlstest_tls12_only = false;
}

/* RFC 8446 5.1, 5.4, 6.2: mbedTLS itself says nothing to these. */
static void
a_broken_record_in_a_handshake_is_answered_by_an_alert(void **state)
{
	static const struct {
		uint8_t p[12];
		size_t n;
		uint8_t alert;
	} broken[] = {
		{ { 21, 3, 3, 0, 0 }, 5, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 21, 3, 3, 0, 1, 2 }, 6, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 22, 3, 3, 0, 0 }, 5, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 23, 3, 3, 0, 0 }, 5, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 24, 3, 3, 0, 1, 0 }, 6, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 22, 3, 3, 0x41, 0x01, 1 }, 6, TLS_ALERT_RECORD_OVERFLOW },
		{ { 22, 3, 3, 0, 4, 2, 0, 0, 0 }, 9, TLS_ALERT_UNEXPECTED_MESSAGE },
		{ { 22, 3, 3, 0, 4, 1, 0, 0, 0 }, 9, TLS_ALERT_DECODE_ERROR },
		{ "GET / HTTP/1", 12, TLS_ALERT_UNEXPECTED_MESSAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		const uint8_t want[] = { 21, 3, 3, 0, 2, 2, broken[i].alert };
		uint8_t got[sizeof want + 1];
		struct tlstest_side x = { 0 };
		struct loop *l = loop_new();
		struct wire *a, *b;

		wire_pair(l, &a, &b);
		tlstest_side_start(&x, f_tls_server(&b->f, l, tlstest_server_ctx));
		assert_int_equal(filter_send(&a->f, broken[i].p, broken[i].n), 0);
		filter_flush(&a->f);
		wire_turns(l, 6);
		assert_int_equal(x.err, ERR_TLS);
		assert_int_equal(bufq_read(&a->f.in, 0, got, sizeof got), sizeof want);
		assert_memory_equal(got, want, sizeof want);
		tlstest_side_free(&x);
		filter_free(&a->f);
		wire_turns(l, 2);
		loop_free(l);
	}
}

/* Nothing follows our close_notify, and no alert is answered (RFC 8446 6.1, 6.2). */
static void
says_nothing_after_an_end(void **state)
{
	(void)state;
	for (int alert = 0; alert < 2; alert++) {
		size_t said;
		struct pair p;

		pair_open(&p, false);
		p.m.to_send = p.x.want = 100;
		tlstest_write(&p.x, 100, 100);
		assert_true(wire_run(p.l, 10000, has_all, &p));
		filter_pause(&p.m.w->f, true);
		if (alert == 0)
			filter_shutdown(p.x.f);
		wire_turns(p.l, 4);
		said = p.m.w->coming.len;
		if (alert == 0)
			p.x.wire->flip_at = p.x.wire->passed + 10;
		assert_int_equal(
		    mbedtls_ssl_send_alert_message(&p.m.ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
			MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR),
		    0);
		assert_true(wire_run(p.l, 10000, has_ended, &p));
		assert_int_equal(p.x.err, ERR_TLS);
		assert_int_equal(p.m.w->coming.len, said);
		pair_close(&p);
	}
}

static void
tells_it_of_a_changed_record(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct pair p;

		pair_open(&p, server == 1);
		p.m.to_send = p.x.want = 100;
		tlstest_write(&p.x, 100, 100);
		assert_true(wire_run(p.l, 10000, has_all, &p));
		p.x.wire->flip_at = p.x.wire->passed + 50;
		p.m.to_send = 200;
		plain_step(&p.m);
		assert_true(wire_run(p.l, 10000, has_ended, &p));
		assert_string_equal(p.x.text, "TLS: a record was changed on its way");
		wire_turns(p.l, 4);
		plain_step(&p.m);
		assert_int_equal(p.m.ret, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE);
		assert_int_equal(p.x.got.len, 100);
		pair_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_bytes_both_ways),
		cmocka_unit_test(empty_records_of_tls12_are_nothing),
		cmocka_unit_test(an_answer_that_finds_no_room_goes_when_there_is_some),
		cmocka_unit_test(asks_for_a_new_handshake_are_counted),
		cmocka_unit_test(warnings_without_end_are_refused),
		cmocka_unit_test(a_broken_record_in_a_handshake_is_answered_by_an_alert),
		cmocka_unit_test(says_nothing_after_an_end),
		cmocka_unit_test(tells_it_of_a_changed_record),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
