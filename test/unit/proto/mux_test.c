/* SPDX-License-Identifier: ISC */
/* mux_test - the session: greeting, dispatch, going away, limits, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "test/unit/muxpair.h"

static const struct mux_config acceptor = { .keepalive_ms = 1000 };
static struct end *
end_of(struct raw *r)
{
	return &r->net.end[0];
}

/* ---- greeting ---- */

static void
both_sides_learn_who_the_other_is(void **state)
{
	struct net *n = net_new(NULL, NULL);

	(void)state;
	assert_int_equal(net_client(n)->n_hello, 1);
	assert_int_equal(net_agent(n)->n_hello, 1);
	net_free(n);
}

static void
a_frame_before_hello_ends_the_session(void **state)
{
	static const uint8_t types[] = { FRAME_OPEN, FRAME_OPEN_OK, FRAME_DATA, FRAME_WINDOW,
		FRAME_EOF, FRAME_RESET, FRAME_DATAGRAM, FRAME_CONTROL, FRAME_PING, FRAME_PONG };
	static const size_t len[] = { 2, 2, 1, 16, 8, 4, 0, 2, 8, 8 };
	static const uint8_t body[16];

	(void)state;
	for (size_t i = 0; i < sizeof types; i++) {
		struct raw r;
		bool session = types[i] >= FRAME_CONTROL;

		raw_init(&r, &acceptor, false);
		assert_int_equal(
		    raw_put(&r, types[i], 0, session ? 0 : 1, body, len[i]), ERR_PROTO);
		assert_true(end_of(&r)->why.s[0] != '\0');
		raw_fini(&r);
	}
}

/* Its block goes back to the pool, where it is still to be read here. */
static void
the_secret_of_a_hello_is_wiped_where_it_came(void **state)
{
	static const char hello[] =
	    "{\"version\":1,\"role\":\"connect\",\"name\":\"pi\",\"secret\":\"hunter2\","
	    "\"instance\":\"000102030405060708090a0b0c0d0e0f\"}";
	const struct frame f = { FRAME_HELLO, 0, sizeof hello - 1, 0 };
	uint8_t hdr[FRAME_HDR_LEN];
	struct iovec iov;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, false);
	frame_pack(hdr, &f);
	assert_int_equal(bufq_copy(&end_of(&r)->in, hdr, sizeof hdr), 0);
	assert_int_equal(bufq_copy(&end_of(&r)->in, hello, sizeof hello - 1), 0);
	assert_int_equal(bufq_peek(&end_of(&r)->in, sizeof hdr, f.len, &iov, 1), 1);
	assert_non_null(memmem(iov.iov_base, iov.iov_len, "hunter2", 7));
	assert_int_equal(session_input(end_of(&r)->s, &end_of(&r)->in, 0, &end_of(&r)->why), 0);
	assert_int_equal(end_of(&r)->n_hello, 1);
	assert_null(memmem(iov.iov_base, iov.iov_len, "hunter2", 7));
	raw_fini(&r);
}

static void
a_second_hello_ends_the_session(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_hello(&r), ERR_PROTO);
	assert_string_equal(end_of(&r)->why.s, "a second HELLO");
	raw_fini(&r);
}

static void
an_unknown_type_ends_the_session(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_TYPES, 0, 0, "", 0), ERR_PROTO);
	raw_fini(&r);
}

static void
nothing_is_read_after_an_error(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_TYPES, 0, 0, "", 0), ERR_PROTO);
	bufq_fini(&end_of(&r)->in);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(end_of(&r)->n_opened, 0);
	assert_int_equal(end_of(&r)->in.len, 0);
	raw_fini(&r);
}

static void
a_held_peer_is_not_looked_at_until_it_is_let_in(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, false);
	end_of(&r)->verdict = SESSION_HOLD;
	/* HELLO and something else in one piece, as they come. */
	struct frame f = { FRAME_HELLO, 0, (uint16_t)strlen(raw_hello_text), 0 };
	uint8_t hdr[FRAME_HDR_LEN];
	struct end *e = end_of(&r);

	frame_pack(hdr, &f);
	assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
	assert_int_equal(bufq_copy(&e->in, raw_hello_text, (uint16_t)strlen(raw_hello_text)), 0);
	assert_int_equal(bufq_copy(&e->in,
			     "\13\0\0\10\0\0\0\0"
			     "12345678",
			     16),
	    0);
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
	assert_int_equal(e->n_hello, 1);
	assert_int_equal(e->in.len, 16);
	assert_false(session_has_output(e->s));
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
	assert_int_equal(e->in.len, 0);
	assert_true(raw_skip(&r, FRAME_PONG, &f, NULL));
	raw_fini(&r);
}

static void
a_refused_peer_is_not_read_any_more(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, false);
	end_of(&r)->verdict = SESSION_REFUSED;
	assert_int_equal(raw_hello(&r), 0);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(end_of(&r)->n_opened, 0);
	raw_fini(&r);
}

static void
a_dialer_may_be_refused_by_goaway_alone(void **state)
{
	static const struct mux_config dialer = { .dialer = true, .keepalive_ms = 1000 };
	struct raw r;

	(void)state;
	raw_init(&r, &dialer, false);
	assert_int_equal(raw_put(&r, FRAME_GOAWAY, 0, 0, "\0\0\0\6no", 6), 0);
	assert_int_equal(end_of(&r)->n_goaway, 1);
	assert_int_equal(end_of(&r)->away_code, CODE_DENIED);
	assert_string_equal(end_of(&r)->away_text, "no");
	raw_fini(&r);
}

/* ---- ids and limits ---- */

static void
ids_have_the_openers_parity_and_only_go_up(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 2), ERR_PROTO);
	raw_fini(&r);

	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 5), 0);
	assert_int_equal(raw_open(&r, 7), 0);
	assert_int_equal(raw_open(&r, 5), ERR_PROTO);
	raw_fini(&r);
}

static void
too_many_streams_are_reset_one_by_one(void **state)
{
	struct mux_config cfg = acceptor;
	struct side x = { 0 };
	struct frame f;
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;

	(void)state;
	cfg.streams_max = 2;
	raw_init(&r, &cfg, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_open(&r, 3), 0);
	assert_int_equal(raw_open(&r, 5), 0);
	assert_int_equal(end_of(&r)->n_opened, 2);
	assert_true(raw_skip(&r, FRAME_RESET, &f, body));
	assert_int_equal(f.id, 5);
	assert_int_equal(get_u32be(body), CODE_LIMIT);
	assert_int_equal(end_of(&r)->n_refused, 1);
	/* One that ends makes room. */
	assert_int_equal(raw_put(&r, FRAME_RESET, 0, 1, "\0\0\0\1", 4), 0);
	assert_int_equal(raw_open(&r, 7), 0);
	assert_int_equal(end_of(&r)->n_opened, 3);
	/* Ours are no different. */
	assert_false(side_open(&x, end_of(&r)));
	assert_int_equal(session_open_code(end_of(&r)->s), CODE_LIMIT);
	raw_fini(&r);
}

static void
frames_of_unknown_streams_are_skipped(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_data(&r, 99, 70000), 0);
	assert_int_equal(raw_eof(&r, 99, 70000), 0);
	assert_int_equal(raw_window(&r, 99, 5, 5, 0), 0);
	assert_int_equal(raw_put(&r, FRAME_RESET, 0, 99, "\0\0\0\1", 4), 0);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(end_of(&r)->n_opened, 1);
	raw_fini(&r);
}

static void
a_datagram_on_a_byte_stream_resets_that_stream(void **state)
{
	uint8_t body[FRAME_BODY_MAX];
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_open(&r, 3), 0);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 1, "x", 1), 0);
	assert_true(end_of(&r)->side[0].closed);
	assert_int_equal(end_of(&r)->side[0].code, CODE_PROTOCOL);
	assert_true(raw_skip(&r, FRAME_RESET, &f, body));
	assert_int_equal(f.id, 1);
	assert_int_equal(get_u32be(body), CODE_PROTOCOL);
	assert_false(end_of(&r)->side[1].closed);
	assert_int_equal(raw_data(&r, 3, 5), 0);
	assert_true(end_of(&r)->side[1].got.len == 5);
	/* Its bytes are none of the stream's, whose limit they are beyond. */
	end_of(&r)->hold_opened = true;
	assert_int_equal(raw_open(&r, 5), 0);
	assert_int_equal(raw_data(&r, 5, RAW_WINDOW), 0);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 5, "x", 1), 0);
	assert_true(end_of(&r)->side[2].closed);
	assert_true(end_of(&r)->side[2].got.len == RAW_WINDOW);
	raw_fini(&r);
}

static void
a_large_datagram_of_an_unknown_stream_is_skipped(void **state)
{
	static const uint8_t body[60000];
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 99, body, sizeof body), 0);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 99, body, 0), 0);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(end_of(&r)->n_opened, 1);
	raw_fini(&r);
}

static void
pings_that_are_not_read_back_end_the_session(void **state)
{
	struct raw r;
	int e = 0, n = 0;

	(void)state;
	raw_init(&r, &acceptor, true);
	while (e == 0 && ++n < 1000000)
		e = raw_put(&r, FRAME_PING, 0, 0, "12345678", 8);
	assert_int_equal(e, ERR_LIMIT);
	assert_true(n * 16 <= MUX_CONTROL_MAX + 32);
	/* It ends at once, not at the next ping. */
	assert_true(raw_deadline_ms(&r) <= r.net.now_ms);
	assert_int_equal(raw_tick(&r, 0), ERR_LIMIT);
	raw_fini(&r);
}

/* ---- going away ---- */

static void
goaway_refuses_new_streams_and_keeps_the_old(void **state)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { 0 }, b = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	session_goaway(net_agent(n)->s, CODE_OK, "bye");
	net_run(n);
	assert_int_equal(net_client(n)->n_goaway, 1);
	assert_false(side_open(&b, net_client(n)));
	assert_int_equal(session_open_code(net_client(n)->s), CODE_GONE);
	assert_int_equal(side_send(&a, 1000), 0);
	net_run(n);
	assert_true(side_check(&net_agent(n)->side[0], 1000));
	net_free(n);
	side_fini(&a);
}

static void
an_open_that_crosses_goaway_is_reset(void **state)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	session_goaway(net_agent(n)->s, CODE_OK, "bye");
	net_run(n);
	assert_true(a.closed);
	assert_int_equal(a.code, CODE_GONE);
	assert_int_equal(net_agent(n)->n_opened, 0);
	net_free(n);
}

static void
only_the_first_goaway_is_sent(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	session_goaway(end_of(&r)->s, CODE_OK, "a");
	session_goaway(end_of(&r)->s, CODE_INTERNAL, "b");
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_GOAWAY);
	assert_false(raw_get(&r, &f, NULL));
	raw_fini(&r);
}

static void
an_unknown_code_of_goaway_is_no_refusal(void **state)
{
	static const uint32_t codes[] = { CODE_LOST + 1, 77, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct raw r;
		uint8_t body[4];

		raw_init(&r, &acceptor, true);
		put_u32be(body, codes[i]);
		assert_int_equal(raw_put(&r, FRAME_GOAWAY, 0, 0, body, 4), 0);
		assert_int_equal(end_of(&r)->away_code, CODE_INTERNAL); /* PROTOCOL.md 3.8 */
		raw_fini(&r);
	}
}

static void
only_the_first_goaway_of_the_peer_counts(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_GOAWAY, 0, 0, "\0\0\0\14a", 5), 0);
	assert_int_equal(raw_put(&r, FRAME_GOAWAY, 0, 0, "\0\0\0\0b", 5), 0);
	assert_int_equal(end_of(&r)->n_goaway, 1);
	assert_int_equal(end_of(&r)->away_code, CODE_REPLACED);
	assert_string_equal(end_of(&r)->away_text, "a");
	raw_fini(&r);
}

static void
a_session_that_said_goaway_is_going(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_false(end_of(&r)->s->going);
	session_goaway(end_of(&r)->s, CODE_OK, "");
	assert_true(end_of(&r)->s->going);
	raw_fini(&r);
}

static void
a_long_text_is_cut_between_characters(void **state)
{
	char text[300] = "x";
	struct frame f;
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;

	(void)state;
	for (int i = 0; i < 140; i++)
		memcpy(text + 1 + 2 * i, "\303\244", 3);
	raw_init(&r, &acceptor, true);
	session_goaway(end_of(&r)->s, CODE_OK, text);
	assert_true(raw_get(&r, &f, body));
	assert_int_equal(f.len, 4 + 255);
	assert_memory_equal(body + 4, text, 255);
	raw_fini(&r);
}

static void
abandoned_streams_are_told_why(void **state)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	session_abandon(net_client(n)->s, CODE_GONE, "cut");
	assert_true(a.closed);
	assert_int_equal(a.code, CODE_GONE);
	assert_string_equal(a.text, "cut");
	net_free(n);
}

/* ---- the session ends inside its own callbacks ---- */

static const char *abandon_at;

static void
abandon_end(struct end *e, const char *call)
{
	if (strcmp(call, abandon_at) == 0)
		session_abandon(e->s, CODE_GONE, "in a callback");
}

static void
abandon_side(struct side *x, const char *call)
{
	abandon_end(x->end, call);
}

/*
 * What may happen to a stream, with the session ended in one of its callbacks; both carriers' ends
 * go on feeding it.
 */
static void
play_with_hook(const char *call)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { .hook = abandon_side };
	struct side b = { 0 };

	abandon_at = call;
	net_client(n)->hook = net_agent(n)->hook = abandon_end;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	if (net_agent(n)->n_opened > 0)
		net_agent(n)->side[0].hook = abandon_side;
	if (a.s != NULL && side_open(&b, net_client(n)))
		IGNORE_RESULT(side_send(&b, 300000));
	if (a.s != NULL && side_send(&a, 5000) == 0)
		stream_eof(a.s);
	net_run(n);
	if (net_agent(n)->side[0].s != NULL && side_send(&net_agent(n)->side[0], 5000) == 0)
		stream_eof(net_agent(n)->side[0].s);
	net_wait(n, 200);
	if (net_client(n)->err == 0)
		IGNORE_RESULT(session_control(net_client(n)->s, "{}", 2));
	net_run(n);
	session_goaway(net_agent(n)->s, CODE_OK, "");
	net_run(n);
	net_free(n);
	side_fini(&a);
	side_fini(&b);
}

static void
a_session_may_be_abandoned_in_any_callback(void **state)
{
	static const char *const calls[] = { "open", "opened", "data", "eof", "sent", "acked",
		"closed", "goaway", "idle", "control" };

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		play_with_hook(calls[i]);
}

static void
a_session_may_be_abandoned_in_hello(void **state)
{
	struct raw r;

	(void)state;
	abandon_at = "hello";
	raw_init(&r, &acceptor, false);
	end_of(&r)->hook = abandon_end;
	assert_int_equal(raw_hello(&r), 0);
	assert_int_equal(raw_put(&r, FRAME_GOAWAY, 0, 0, "\0\0\0\0", 4), 0);
	assert_int_equal(end_of(&r)->n_goaway, 0);
	raw_fini(&r);
}

/* ---- memory ---- */

static void
play_everything(struct net *n, struct side *a, struct side *b)
{
	if (!side_open(a, net_client(n)) || side_send(a, 40000) != 0)
		return;
	if (side_open(b, net_client(n)))
		IGNORE_RESULT(side_send(b, 200000));
	net_run(n);
	if (net_agent(n)->side[0].s != NULL)
		IGNORE_RESULT(side_send(&net_agent(n)->side[0], 3000));
	if (a->s != NULL)
		stream_eof(a->s);
	net_wait(n, 150);
	if (b->s != NULL)
		stream_reset(b->s, CODE_CANCELLED, "enough");
	b->s = NULL;
	if (net_agent(n)->side[0].s != NULL)
		stream_eof(net_agent(n)->side[0].s);
	net_wait(n, 1500);
}

static void
each_allocation_may_fail(void **state)
{
	long fail = 0;
	bool failed = true;

	(void)state;
	for (; failed; fail++) {
		struct side a = { 0 }, b = { 0 };

		buf_pool_free();
		uint64_t before = mem_count();

		mem_fail_after(fail);
		struct net *n = net_new_relay();

		if (n != NULL) {
			n->chunk = 3000;
			play_everything(n, &a, &b);
		}
		failed = mem_count() - before > (uint64_t)fail;
		mem_fail_after(MEM_NO_FAIL);
		net_free(n);
		side_fini(&a);
		side_fini(&b);
	}
	assert_true(fail > 100);
}

static void
an_open_without_memory_leaves_no_stream(void **state)
{
	struct net *n = net_new(&acceptor, &acceptor);
	struct end *e = net_client(n);
	struct side x = { 0 };
	long fail = 0;
	bool opened;

	(void)state;
	do {
		buf_pool_free();
		mem_fail_after(fail++);
		opened = side_open(&x, e);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(e->s->n_streams, opened);
		assert_int_equal(budget_streams(&e->budget), opened);
	} while (!opened);
	assert_true(fail > 3);
	net_free(n);
	side_fini(&x);
	buf_pool_free();
}

static void
say_goodbye(struct session *s)
{
	session_goaway(s, CODE_OK, "bye");
}

static void
a_frame_that_could_not_be_queued_ends_the_session(void **state)
{
	(void)state;
	raw_lacks_memory(&acceptor, say_goodbye);
}

static void
say_goodbye_without_memory(struct side *x, const char *call)
{
	if (strcmp(call, "sent") != 0)
		return;
	buf_pool_free();
	mem_fail_after(1);
	session_goaway(x->end->s, CODE_OK, "bye");
	mem_fail_after(MEM_NO_FAIL);
}

static void
a_frame_that_failed_while_bytes_left_does_so_too(void **state)
{
	struct bufq out = { 0 };
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(&end_of(&r)->side[0], 100), 0);
	end_of(&r)->side[0].hook = say_goodbye_without_memory;
	assert_int_equal(session_output(end_of(&r)->s, &out, 1000, r.net.now_ms), 0);
	assert_int_equal(raw_tick(&r, 1), ERR_NOMEM);
	bufq_fini(&out);
	raw_fini(&r);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_learn_who_the_other_is),
		cmocka_unit_test(a_frame_before_hello_ends_the_session),
		cmocka_unit_test(the_secret_of_a_hello_is_wiped_where_it_came),
		cmocka_unit_test(a_second_hello_ends_the_session),
		cmocka_unit_test(an_unknown_type_ends_the_session),
		cmocka_unit_test(nothing_is_read_after_an_error),
		cmocka_unit_test(a_held_peer_is_not_looked_at_until_it_is_let_in),
		cmocka_unit_test(a_refused_peer_is_not_read_any_more),
		cmocka_unit_test(a_dialer_may_be_refused_by_goaway_alone),
		cmocka_unit_test(ids_have_the_openers_parity_and_only_go_up),
		cmocka_unit_test(too_many_streams_are_reset_one_by_one),
		cmocka_unit_test(frames_of_unknown_streams_are_skipped),
		cmocka_unit_test(a_datagram_on_a_byte_stream_resets_that_stream),
		cmocka_unit_test(pings_that_are_not_read_back_end_the_session),
		cmocka_unit_test(goaway_refuses_new_streams_and_keeps_the_old),
		cmocka_unit_test(an_open_that_crosses_goaway_is_reset),
		cmocka_unit_test(only_the_first_goaway_is_sent),
		cmocka_unit_test(abandoned_streams_are_told_why),
		cmocka_unit_test(a_session_may_be_abandoned_in_any_callback),
		cmocka_unit_test(a_large_datagram_of_an_unknown_stream_is_skipped),
		cmocka_unit_test(an_unknown_code_of_goaway_is_no_refusal),
		cmocka_unit_test(only_the_first_goaway_of_the_peer_counts),
		cmocka_unit_test(a_session_that_said_goaway_is_going),
		cmocka_unit_test(a_long_text_is_cut_between_characters),
		cmocka_unit_test(a_session_may_be_abandoned_in_hello),
		cmocka_unit_test(a_frame_that_could_not_be_queued_ends_the_session),
		cmocka_unit_test(a_frame_that_failed_while_bytes_left_does_so_too),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(an_open_without_memory_leaves_no_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
