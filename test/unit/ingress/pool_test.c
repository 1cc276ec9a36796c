/* SPDX-License-Identifier: ISC */
/*
 * pool_test - streams to services that wait for the next request: which are kept, for whom, for how
 * long, and what of them can be asked again.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/unit/backendfix.h"
#include "test/unit/heap.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhe"

/* A GET of this address that was answered, and is over; its stream. */
static struct fake_stream *
get_by(const char *address)
{
	struct ask a = ask_by(address);
	struct fake_stream *s = ask_taken(&a);

	service_says(s, ANSWER);
	assert_true(a.ended);
	ask_close(&a);
	return s;
}

/* Does the address's next request come on this stream? */
static bool
is_used_again(const char *address, struct fake_stream *s)
{
	size_t before = s->sent.len, n = agent->n_streams;
	struct ask a = ask_by(address);
	bool again;

	ask_get(&a);
	again = s->sent.len > before;
	assert_int_equal(agent->n_streams, again ? n : n + 1);
	assert_int_equal(backend_was_used(a.b), again);
	if (again) {
		service_takes_all(s);
		service_says(s, ANSWER);
	}
	ask_close(&a);
	return again;
}

/* ---- for whom ---- */

static void
a_stream_is_used_again(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	assert_false(s->eof);
	for (int i = 0; i < 5; i++)
		assert_true(is_used_again("192.0.2.1", s));
}

static void
a_request_in_the_callback_of_the_end_may_use_it(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	a.close_in_end = true;
	s = ask_taken(&a);
	service_says(s, ANSWER);
	assert_null(a.b);
	assert_true(is_used_again("192.0.2.1", s));
}

static void
nobody_elses_stream_is_used(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	assert_false(is_used_again("192.0.2.2", s));
	assert_true(is_used_again("192.0.2.1", s));
}

static void
the_newest_is_used_first(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
	struct fake_stream *first, *second;

	(void)state;
	first = ask_taken(&a);
	second = ask_taken(&b);
	service_says(second, ANSWER);
	ask_close(&b);
	service_says(first, ANSWER);
	ask_close(&a);
	assert_true(is_used_again("192.0.2.1", first));
	assert_true(is_used_again("192.0.2.1", first));
}

static void
who_wants_a_fresh_one_gets_it(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	a.q.fresh = true;
	ask_get(&a);
	assert_ptr_not_equal(newest(), s);
	ask_close(&a);
	b.q.proxy = 2;
	ask_get(&b);
	assert_int_equal(agent->n_streams, 3);
	ask_close(&b);
}

static void
an_idle_one_is_none_of_the_addresss_streams(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct party *y;

	(void)state;
	get_by("192.0.2.1");
	y = party_get(w, a.q.payer, "pi");
	assert_int_equal(y->streams, 0);
	assert_int_equal(y->idle.n, 1);
	ask_get(&a);
	assert_int_equal(y->streams, 1);
	assert_int_equal(y->idle.n, 0);
	ask_close(&a);
	assert_int_equal(y->streams, 0);
	party_put(w, y);
}

static void
only_new_streams_count_as_opened(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	/* A million a second is its rate: it is some seconds ahead. */
	for (int i = 0; i < 5000000; i++)
		account_opened(a.q.payer, loop_now_us(w->loop));
	for (int i = 0; i < 5; i++)
		assert_true(is_used_again("192.0.2.1", s));
	a.q.fresh = true;
	assert_false(ask_open(&a));
	assert_int_equal(a.failure, BACKEND_LIMITED);
	assert_non_null(strstr(a.why.s, "--identity-opens"));
	assert_true(ask_open(&b));
	ask_close(&b);
}

/* ---- which are kept ---- */

static void
only_plain_ends_are_kept(void **state)
{
	static const char *const t[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhe",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhe",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhe",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhel",
		"HTTP/1.1 204 No Content\r\n\r\nx",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nhe",
		ANSWER ANSWER,
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: NTLM\r\n\r\n",
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"
		"WWW-Authenticate: Basic realm=\"a, b\"\r\nWWW-Authenticate: negotiate x\r\n\r\n",
		"HTTP/1.1 407 No\r\nContent-Length: 0\r\n"
		"Proxy-Authenticate: Basic realm=x, Negotiate\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");
		struct fake_stream *s = ask_taken(&a);

		service_says(s, t[i]);
		assert_true(a.ended);
		ask_close(&a);
		/* It sees a good end. */
		assert_true(s->eof && !s->over);
		assert_false(is_used_again("192.0.2.1", s));
	}
}

/* Its body may come all the same, and must not become the next answer. */
static void
an_answer_that_names_a_body_it_must_not_have_ends_it(void **state)
{
	static const struct {
		const char *head;
		bool is_head, kept;
	} t[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true, false },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, false },
		{ "HTTP/1.1 200 OK\r\n\r\n", true, false },
		{ "HTTP/1.1 204 No Content\r\n\r\n", false, true },
		{ "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, true },
		{ "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", false, false },
		{ "HTTP/1.1 304 Not Modified\r\n\r\n", false, true },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", false, false },
		{ "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");
		struct fake_stream *s;

		a.q.is_head = t[i].is_head;
		a.q.fresh = true;
		s = ask_taken(&a);
		service_says(s, t[i].head);
		assert_true(a.ended);
		ask_close(&a);
		assert_int_equal(!s->eof, t[i].kept);
	}
}

static void
requests_that_bind_the_connection_end_it(void **state)
{
	static const char *const t[] = { "NTLM TlRM", "Negotiate YII" };

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");
		struct http_build head;

		assert_true(ask_open(&a));
		http_build_request(&head, "GET", "/");
		http_build_header(&head, "Host", "a.test");
		http_build_header(&head, "AUTHORIZATION", t[i]);
		assert_int_equal(backend_begin(a.b, &head, HTTP_BODY_NONE, 0), 0);
		ask_end(&a);
		service_accepts(newest());
		service_takes_all(newest());
		service_says(newest(), ANSWER);
		ask_close(&a);
		assert_true(newest()->eof);
	}
}

static void
an_answer_before_the_requests_end_ends_it(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	assert_true(ask_open(&a));
	ask_say(&a, "POST", HTTP_BODY_LENGTH, 4);
	s = newest();
	service_accepts(s);
	service_takes_all(s);
	service_says(s, ANSWER);
	ask_payload(&a, "late");
	ask_end(&a);
	service_takes_all(s);
	ask_close(&a);
	assert_true(s->eof);
	/* It is whole, and has not left the relay. */
	ask_get(&b);
	s = newest();
	service_accepts(s);
	service_says(s, ANSWER);
	ask_close(&b);
	assert_true(s->eof);
}

static void
a_request_that_was_not_read_ends_it(void **state)
{
	static char body[BACKEND_UNACKED_MAX + 2];
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	memset(body, 'x', sizeof body - 1);
	assert_true(ask_open(&a));
	ask_say(&a, "POST", HTTP_BODY_LENGTH, sizeof body - 1);
	ask_payload(&a, body);
	ask_end(&a);
	s = newest();
	service_accepts(s);
	/* It has left, and stands at the agent. */
	s->s.user->sent(s->s.arg, s->sent.len);
	service_says(s, ANSWER);
	ask_close(&a);
	assert_true(s->eof);
}

static void
some_requests_are_for_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ask a = ask_by("192.0.2.1");
		struct fake_stream *s;

		a.q.once = i == 0;
		a.q.proxy = i == 1 ? 1 : 0;
		a.q.upgrade = i == 2 ? "websocket" : NULL;
		s = ask_taken(&a);
		service_says(s, ANSWER);
		ask_close(&a);
		assert_true(s->eof);
	}
}

static void
a_dialect_without_half_closes_keeps_none(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	agent->s.can &= ~(unsigned)SESSION_HALF_CLOSE;
	s = ask_taken(&a);
	service_says(s, ANSWER);
	ask_close(&a);
	assert_true(s->eof);
}

static void
an_agent_that_is_going_keeps_none(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *idle, *s;

	(void)state;
	idle = get_by("192.0.2.1");
	s = ask_taken(&a);
	assert_ptr_equal(s, idle);
	service_says(s, ANSWER);
	ask_close(&a);
	agent->s.going = true;
	agent->s.user->goaway(agent->s.arg, CODE_OK, "bye");
	assert_true(idle->eof);
}

static void
idle_ones_leave_half_of_the_agents_places(void **state)
{
	struct ask a[8];

	(void)state;
	r.opts.max_streams = 10;
	for (int i = 0; i < 5; i++) {
		a[i] = ask_by("192.0.2.1");
		ask_taken(&a[i]);
	}
	a[5] = ask_by("192.0.2.2");
	ask_taken(&a[5]);
	/* Six of ten are open: this one is not kept; then it is five. */
	service_says(stream_at(0), ANSWER);
	ask_close(&a[0]);
	assert_true(stream_at(0)->eof);
	service_closes(stream_at(0));
	fake_end(stream_at(0), CODE_OK, "");
	service_says(stream_at(1), ANSWER);
	ask_close(&a[1]);
	assert_false(stream_at(1)->eof);
	for (int i = 2; i < 6; i++)
		ask_close(&a[i]);
}

/* ---- how they end ---- */

static void
a_byte_on_an_idle_one_ends_it(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	service_says(s, "H");
	assert_true(s->aborted);
	assert_false(is_used_again("192.0.2.1", newest()));
}

static void
an_end_of_an_idle_one_ends_it(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	service_closes(s);
	assert_int_equal(w->pool.idle.n, 0);
	assert_true(s->eof && s->acked_eof && !s->over);
	s = get_by("192.0.2.1");
	fake_end(s, CODE_RESET, "reset");
	assert_int_equal(w->pool.idle.n, 0);
}

static void
they_leave_in_time(void **state)
{
	struct fake_stream *first, *second;

	(void)state;
	first = get_by("192.0.2.1");
	handclock_pass(POOL_IDLE_MS / 2);
	second = get_by("192.0.2.2");
	handclock_pass(POOL_IDLE_MS / 2 - 1);
	assert_false(first->eof);
	handclock_pass(1);
	assert_true(first->eof);
	assert_false(second->eof);
	/* What is used again is young. */
	assert_true(is_used_again("192.0.2.2", second));
	handclock_pass(POOL_IDLE_MS - 1);
	assert_false(second->eof);
	handclock_pass(1);
	assert_true(second->eof);
}

static void
they_leave_with_the_publication(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	publictest_withdraw(agent, "web");
	assert_true(s->eof);
	assert_int_equal(w->pool.idle.n, 0);
}

static void
they_leave_when_the_service_is_asked_for_anew(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	assert_true(publictest_publish(agent, "web", "") != 0);
	assert_true(s->eof);
}

static void
a_publication_that_is_over_keeps_none(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
	struct publication *pub = web();
	struct fake_stream *s;

	(void)state;
	publication_ref(pub);
	s = ask_taken(&a);
	publictest_withdraw(agent, "web");
	service_says(s, ANSWER);
	assert_true(a.ended);
	ask_close(&a);
	assert_true(s->eof);
	/* And takes no new requests. */
	assert_false(ask_open(&b));
	assert_int_equal(b.failure, BACKEND_LOST);
	publication_unref(pub);
}

static void
they_leave_with_the_session(void **state)
{
	(void)state;
	get_by("192.0.2.1");
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	assert_int_equal(w->pool.idle.n, 0);
}

static void
at_the_end_none_is_kept(void **state)
{
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	pool_stop(&w->pool);
	assert_true(s->eof);
	s = get_by("192.0.2.1");
	assert_true(s->eof);
}

/* ---- asking again ---- */

static void
an_old_stream_that_ends_without_an_answer_is_told_apart(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = get_by("192.0.2.1");
	ask_get(&a);
	service_closes(s);
	assert_int_equal(a.failure, BACKEND_CUT);
	assert_true(backend_was_used(a.b));
	/* What was acknowledged by then, the end does not tell. */
	assert_false(backend_is_untouched(a.b));
	ask_close(&a);
}

static void
a_reset_tells_whether_bytes_were_handed_over(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1"), c = ask_by("192.0.2.1");
	struct fake_stream *s;
	size_t before;

	(void)state;
	s = get_by("192.0.2.1");
	ask_get(&a);
	fake_end(s, CODE_RESET, "reset");
	assert_true(backend_was_used(a.b) && backend_is_untouched(a.b));
	ask_close(&a);

	s = get_by("192.0.2.1");
	before = s->sent.len;
	ask_get(&b);
	s->s.user->acked(s->s.arg, before + 1, false);
	fake_end(s, CODE_RESET, "reset");
	assert_true(backend_was_used(b.b) && !backend_is_untouched(b.b));
	ask_close(&b);

	s = get_by("192.0.2.1");
	ask_get(&c);
	fake_end(s, CODE_LOST, "the link was lost");
	assert_false(backend_is_untouched(c.b));
	ask_close(&c);
}

/* ---- bounds ---- */

static unsigned n_dropped;
static struct pooled *dropped;

static void
note_drop(struct pooled *x)
{
	n_dropped++;
	dropped = x;
}

static const struct session *
no_session(const struct pooled *x)
{
	(void)x;
	return NULL;
}

static const struct pooled_ops note_ops = { note_drop, no_session };

static void
beyond_each_bound_the_oldest_leaves(void **state)
{
	static struct pooled x[POOL_MAX + 1];
	static struct party y[POOL_MAX / POOL_OF_ONE + 1];
	static struct publication pub[POOL_MAX / POOL_OF_SERVICE + 1];
	struct pool p;
	unsigned n = 0;

	(void)state;
	n_dropped = 0;
	assert_int_equal(pool_init(&p, w->loop), 0);
	for (size_t i = 0; i < sizeof y / sizeof y[0]; i++)
		pool_list_init(&y[i].idle);
	for (size_t i = 0; i < sizeof pub / sizeof pub[0]; i++)
		pool_list_init(&pub[i].idle);
	while (n < POOL_OF_ONE) {
		assert_true(pool_put(&p, &x[n], &note_ops, &y[0], &pub[0]));
		n++;
	}
	assert_int_equal(n_dropped, 0);
	assert_true(pool_put(&p, &x[n++], &note_ops, &y[0], &pub[0]));
	assert_int_equal(n_dropped, 1);
	assert_ptr_equal(dropped, &x[0]);
	for (n = 1; n <= POOL_OF_ONE; n++)
		pool_remove(&x[n]);
	assert_int_equal(p.idle.n, 0);

	for (n = 0; n < POOL_OF_SERVICE; n++)
		assert_true(pool_put(&p, &x[n], &note_ops, &y[n / POOL_OF_ONE], &pub[0]));
	assert_int_equal(n_dropped, 1);
	assert_true(pool_put(&p, &x[n], &note_ops, &y[n / POOL_OF_ONE], &pub[0]));
	assert_int_equal(n_dropped, 2);
	assert_ptr_equal(dropped, &x[0]);
	while (n > 0)
		pool_remove(&x[n--]);

	for (n = 0; n < POOL_MAX; n++)
		assert_true(
		    pool_put(&p, &x[n], &note_ops, &y[n / POOL_OF_ONE], &pub[n / POOL_OF_SERVICE]));
	assert_int_equal(n_dropped, 2);
	assert_true(pool_put(&p, &x[n], &note_ops, &y[n / POOL_OF_ONE], &pub[n / POOL_OF_SERVICE]));
	assert_int_equal(n_dropped, 3);
	assert_ptr_equal(dropped, &x[0]);
	pool_stop(&p);
	assert_int_equal(n_dropped, 3 + POOL_MAX);
	assert_int_equal(p.idle.n, 0);
	pool_fini(&p);
}

/* ---- memory ---- */

static void
use_one_twice(void)
{
	struct fake_stream *s = get_by("192.0.2.1");

	assert_true(is_used_again("192.0.2.1", s));
	service_closes(s);
	bufq_fini(&s->sent);
	/* The test's own memory. */
	agent->n_streams--;
	if (!s->over)
		agent->s.n_streams--;
	free(s);
	relaytest_settle(&r);
}

static void
kept_streams_leave_nothing_behind(void **state)
{
	(void)state;
	heap_is_given_back(use_one_twice);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, backendfix_setup, backendfix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_is_used_again),
		TEST(a_request_in_the_callback_of_the_end_may_use_it),
		TEST(nobody_elses_stream_is_used),
		TEST(the_newest_is_used_first),
		TEST(who_wants_a_fresh_one_gets_it),
		TEST(an_idle_one_is_none_of_the_addresss_streams),
		TEST(only_new_streams_count_as_opened),
		TEST(only_plain_ends_are_kept),
		TEST(an_answer_that_names_a_body_it_must_not_have_ends_it),
		TEST(requests_that_bind_the_connection_end_it),
		TEST(an_answer_before_the_requests_end_ends_it),
		TEST(a_request_that_was_not_read_ends_it),
		TEST(some_requests_are_for_once),
		TEST(a_dialect_without_half_closes_keeps_none),
		TEST(an_agent_that_is_going_keeps_none),
		TEST(idle_ones_leave_half_of_the_agents_places),
		TEST(a_byte_on_an_idle_one_ends_it),
		TEST(an_end_of_an_idle_one_ends_it),
		TEST(they_leave_in_time),
		TEST(they_leave_with_the_publication),
		TEST(they_leave_when_the_service_is_asked_for_anew),
		TEST(a_publication_that_is_over_keeps_none),
		TEST(they_leave_with_the_session),
		TEST(at_the_end_none_is_kept),
		TEST(an_old_stream_that_ends_without_an_answer_is_told_apart),
		TEST(a_reset_tells_whether_bytes_were_handed_over),
		TEST(beyond_each_bound_the_oldest_leaves),
		TEST(kept_streams_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
