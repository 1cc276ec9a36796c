/* SPDX-License-Identifier: ISC */
/*
 * mux_control_test - requests that concern no stream (PROTOCOL.md 4.4): they arrive whole and in
 * order, from whom may speak, so many in a turn, and those that nobody reads are bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static int
say(struct end *e, const char *body)
{
	return session_control(e->s, body, strlen(body));
}

/* The next request is due: each has its number. */
static void
in_order(struct end *e, const char *call)
{
	char expected[32];

	if (strcmp(call, "control") != 0)
		return;
	snprintf(expected, sizeof expected, "{\"id\":%d}", e->n_control);
	assert_string_equal(e->control, expected);
}

static void
they_cross_both_ways_in_order(void **state)
{
	static const int chunks[] = { NET_WHOLE, NET_ONE, NET_RANDOM };

	(void)state;
	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		struct net *n = net_new(NULL, NULL);
		struct end *ends[] = { net_client(n), net_agent(n) };

		n->chunk = chunks[i];
		for (int k = 0; k < 2; k++) {
			ends[k]->hook = in_order;
			for (int id = 1; id <= 20; id++) {
				char body[32];

				snprintf(body, sizeof body, "{\"id\":%d}", id);
				assert_int_equal(say(ends[k], body), 0);
			}
		}
		net_run(n);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(ends[k]->n_control, 20);
			assert_int_equal(ends[k]->err, 0);
		}
		net_free(n);
	}
}

static void
the_longest_body_arrives_and_a_longer_one_ends_the_session(void **state)
{
	static char body[CTL_BODY_MAX + 1];
	struct net *n = net_new(NULL, NULL);
	struct raw r;

	(void)state;
	memset(body, 'x', sizeof body);
	assert_int_equal(session_control(net_client(n)->s, body, CTL_BODY_MAX), 0);
	net_run(n);
	assert_int_equal(net_agent(n)->n_control, 1);
	assert_int_equal(strlen(net_agent(n)->control), CTL_BODY_MAX);
	assert_memory_equal(net_agent(n)->control, body, CTL_BODY_MAX);
	net_free(n);
	for (int over = 0; over < 2; over++) {
		raw_init(&r, &acceptor, true);
		assert_int_equal(
		    raw_put(&r, FRAME_CONTROL, 0, 0, body, CTL_BODY_MAX + (size_t)over),
		    over ? ERR_PROTO : 0);
		assert_int_equal(end_of(&r)->n_control, over ? 0 : 1);
		raw_fini(&r);
	}
}

static void
it_belongs_to_no_stream_and_is_never_empty(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_CONTROL, 0, 1, "{}", 2), ERR_PROTO);
	assert_int_equal(end_of(&r)->n_control, 0);
	raw_fini(&r);
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_CONTROL, 0, 0, "7", 1), ERR_PROTO);
	assert_int_equal(end_of(&r)->n_control, 0);
	raw_fini(&r);
}

static void
where_nobody_listens_it_is_no_error(void **state)
{
	struct session_user deaf;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	deaf = *end_of(&r)->s->user;
	deaf.control = NULL;
	session_set_user(end_of(&r)->s, &deaf, end_of(&r));
	assert_int_equal(raw_put(&r, FRAME_CONTROL, 0, 0, "{}", 2), 0);
	assert_int_equal(end_of(&r)->n_control, 0);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(end_of(&r)->n_opened, 1);
	raw_fini(&r);
}

static void
put(struct end *e, uint8_t type, const char *body)
{
	const struct frame f = { type, 0, (uint16_t)strlen(body), 0 };
	uint8_t hdr[FRAME_HDR_LEN];

	frame_pack(hdr, &f);
	assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
	assert_int_equal(bufq_copy(&e->in, body, f.len), 0);
}

static void
nobody_is_heard_before_he_is_let_in(void **state)
{
	struct raw r;
	struct end *e = end_of(&r);

	(void)state;
	raw_init(&r, &acceptor, false);
	e->verdict = SESSION_HOLD;
	put(e, FRAME_HELLO, raw_hello_text);
	put(e, FRAME_CONTROL, "{\"id\":1}");
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), 0);
	assert_int_equal(e->n_control, 0);
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), 0);
	assert_int_equal(e->n_control, 1);
	assert_string_equal(e->control, "{\"id\":1}");
	raw_fini(&r);
	/* Who is refused never is. */
	raw_init(&r, &acceptor, false);
	e->verdict = SESSION_REFUSED;
	put(e, FRAME_HELLO, raw_hello_text);
	put(e, FRAME_CONTROL, "{\"id\":1}");
	IGNORE_RESULT(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why));
	IGNORE_RESULT(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why));
	assert_int_equal(e->n_control, 0);
	raw_fini(&r);
}

static void
a_turn_hands_over_so_many(void **state)
{
	struct raw r;
	struct end *e = end_of(&r);
	int turns = 1, got;

	(void)state;
	raw_init(&r, &acceptor, true);
	for (int i = 0; i < 1000; i++)
		put(e, FRAME_CONTROL, "{}");
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), SESSION_MORE);
	assert_in_range(e->n_control, 4, MUX_WORK_TURN / MUX_WORK_CONTROL);
	while ((got = session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why)) == SESSION_MORE)
		turns++;
	assert_int_equal(got, 0);
	assert_int_equal(e->n_control, 1000);
	/* And the one that was the last. */
	assert_true(turns + 1 >= 1000 * MUX_WORK_CONTROL / MUX_WORK_TURN);
	raw_fini(&r);
}

/* What is left needs more bytes, not another turn. */
static void
a_full_turn_that_ends_within_a_frame_is_over(void **state)
{
	const struct frame f = { FRAME_CONTROL, 0, 2, 0 };
	uint8_t hdr[FRAME_HDR_LEN];
	struct raw r;
	struct end *e = end_of(&r);

	(void)state;
	raw_init(&r, &acceptor, true);
	for (int i = 1; i < MUX_WORK_TURN; i++)
		put(e, FRAME_PING, "8 bytes.");
	frame_pack(hdr, &f);
	assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), 0);
	assert_int_equal(e->in.len, sizeof hdr);
	raw_fini(&r);
}

static void
answer(struct end *e, const char *call)
{
	if (strcmp(call, "control") == 0)
		assert_int_equal(say(e, "{\"ok\":true}"), 0);
}

static void
an_answer_may_be_given_at_once(void **state)
{
	struct net *n = net_new(NULL, NULL);

	(void)state;
	net_agent(n)->hook = answer;
	for (int i = 0; i < 3; i++)
		assert_int_equal(say(net_client(n), "{\"id\":1}"), 0);
	net_run(n);
	assert_int_equal(net_client(n)->n_control, 3);
	assert_string_equal(net_client(n)->control, "{\"ok\":true}");
	net_free(n);
}

/* Whoever asks and never reads the answers. */
static void
what_is_not_read_is_bounded(void **state)
{
	static char body[CTL_BODY_MAX];
	struct raw r;
	int n = 0;

	(void)state;
	memset(body, 'x', sizeof body);
	raw_init(&r, &acceptor, true);
	while (n < 1000000 && session_control(end_of(&r)->s, body, sizeof body) == 0)
		n++;
	assert_in_range(
	    (unsigned)n * sizeof body, MUX_CONTROL_MAX / 2, MUX_CONTROL_MAX + sizeof body);
	assert_int_equal(say(end_of(&r), "{}"), ERR_CLOSED);
	assert_true(raw_deadline_ms(&r) <= r.net.now_ms);
	assert_int_equal(raw_tick(&r, 0), ERR_LIMIT);
	raw_fini(&r);
}

static void
say_something(struct session *s)
{
	IGNORE_RESULT(session_control(s, "{\"id\":1}", 8));
}

static void
without_memory_the_session_ends(void **state)
{
	(void)state;
	raw_lacks_memory(&acceptor, say_something);
}

static void
a_session_that_is_over_says_nothing_more(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	while (raw_get(&r, &f, NULL))
		;
	assert_int_equal(raw_put(&r, FRAME_TYPES, 0, 0, "", 0), ERR_PROTO);
	assert_int_equal(say(end_of(&r), "{}"), ERR_CLOSED);
	assert_false(raw_get(&r, &f, NULL));
	raw_fini(&r);
	raw_init(&r, &acceptor, true);
	session_abandon(end_of(&r)->s, CODE_GONE, "cut");
	assert_int_equal(say(end_of(&r), "{}"), ERR_CLOSED);
	raw_fini(&r);
}

/* An agent that leaves still learns what became of its requests. */
static void
a_session_that_goes_still_answers(void **state)
{
	struct net *n = net_new(NULL, NULL);

	(void)state;
	session_goaway(net_client(n)->s, CODE_OK, "bye");
	session_goaway(net_agent(n)->s, CODE_OK, "bye");
	net_run(n);
	assert_int_equal(say(net_client(n), "{\"id\":1}"), 0);
	assert_int_equal(say(net_agent(n), "{\"id\":2}"), 0);
	net_run(n);
	assert_string_equal(net_agent(n)->control, "{\"id\":1}");
	assert_string_equal(net_client(n)->control, "{\"id\":2}");
	net_free(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_cross_both_ways_in_order),
		cmocka_unit_test(the_longest_body_arrives_and_a_longer_one_ends_the_session),
		cmocka_unit_test(it_belongs_to_no_stream_and_is_never_empty),
		cmocka_unit_test(where_nobody_listens_it_is_no_error),
		cmocka_unit_test(nobody_is_heard_before_he_is_let_in),
		cmocka_unit_test(a_turn_hands_over_so_many),
		cmocka_unit_test(a_full_turn_that_ends_within_a_frame_is_over),
		cmocka_unit_test(an_answer_may_be_given_at_once),
		cmocka_unit_test(what_is_not_read_is_bounded),
		cmocka_unit_test(without_memory_the_session_ends),
		cmocka_unit_test(a_session_that_is_over_says_nothing_more),
		cmocka_unit_test(a_session_that_goes_still_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
