/* SPDX-License-Identifier: ISC */
/*
 * service_bounds_test - an agent's streams until their targets are connected: how many there are,
 * and what they keep.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/agent/service.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/net/buf.h"
#include "lib/net/listen.h"
#include "test/unit/fakesession.h"
#include "test/unit/memfilter.h"
#include "test/unit/offerwords.h"
#include "test/unit/turns.h"

/* More than the kernels take for a target with a small buffer. */
enum { UNREAD = 64 * 1024 };

struct fix {
	struct loop *loop;
	struct offers *offers;
	struct services *sv;
	struct fake_session *relay;
	int listener;
};

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct fix *x = arg;

	services_open(x->sv, s, o, NULL);
}

static void
nothing(void *arg)
{
	(void)arg;
}

static const struct session_user user = {
	.open = on_open, .want_output = nothing, .idle = nothing
};

/*
 * An agent with one service, whose target is there but has not been dialled as long as the loop
 * does not turn.
 */
static int
setup(void **state)
{
	static struct fix x;
	struct errtext why = { "" };
	struct addr at;
	char tcp[64];

	x.loop = loop_new();
	assert_int_equal(listen_open("127.0.0.1:0", &x.listener, &why), 0);
	assert_int_equal(addr_local(x.listener, &at), 0);
	snprintf(tcp, sizeof tcp, "ssh=127.0.0.1:%u", addr_port(&at));
	assert_int_equal(offers_of_words(&(struct offer_words){ .tcp = tcp }, &x.offers, &why), 0);
	x.sv = services_new(x.loop, x.offers, 3);
	assert_non_null(x.sv);
	x.relay = fake_new();
	session_set_user(&x.relay->s, &user, &x);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	services_free(x->sv);
	offers_free(x->offers);
	loop_settle(x->loop);
	loop_free(x->loop);
	close(x->listener);
	fake_free_all();
	buf_pool_free();
	return 0;
}

static void
streams_are_bounded_and_given_back(void **state)
{
	struct fix *x = *state;
	struct fake_stream *s[3], *more;

	for (int i = 0; i < 3; i++) {
		s[i] = fake_open(x->relay, "ssh");
		assert_false(s[i]->over);
	}
	more = fake_open(x->relay, "ssh");
	assert_true(more->reset);
	assert_int_equal(more->code, CODE_LIMIT);
	fake_end(s[1], CODE_CANCELLED, "");
	assert_false(fake_open(x->relay, "ssh")->over);
	assert_int_equal(fake_open(x->relay, "ssh")->code, CODE_LIMIT);
}

static void
what_is_refused_does_not_count(void **state)
{
	struct fix *x = *state;

	for (int i = 0; i < 5; i++)
		assert_int_equal(fake_open(x->relay, "other")->code, CODE_NOT_FOUND);
	assert_false(fake_open(x->relay, "ssh")->over);
}

/* What came before the target is connected must not pin the blocks that it came in. */
static void
early_bytes_keep_no_more_than_they_need(void **state)
{
	struct fix *x = *state;
	struct fake_stream *s = fake_open(x->relay, "ssh");
	struct block *b[50];

	for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
		struct bufq in = { 0 };

		b[i] = block_new(BUF_HUGE);
		assert_non_null(b[i]);
		b[i]->data[0] = 'x';
		b[i]->fill = 1;
		assert_int_equal(bufq_append(&in, b[i], b[i]->data, 1), 0);
		s->s.user->data(s->s.arg, &in);
		assert_int_equal(in.len, 0);
		bufq_fini(&in);
	}
	for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
		assert_int_equal(b[i]->refs, 1);
		block_unref(b[i]);
	}
}

/* Keeping them small takes a copy, for which there may be no memory. */
static void
early_bytes_without_memory_end_their_stream(void **state)
{
	struct fix *x = *state;
	struct fake_stream *s = fake_open(x->relay, "ssh"), *other = fake_open(x->relay, "ssh");
	struct block *b = block_new(BUF_HUGE);
	struct bufq in = { 0 };

	assert_non_null(b);
	b->fill = 1;
	assert_int_equal(bufq_append(&in, b, b->data, 1), 0);
	buf_pool_free();
	mem_fail_after(0);
	s->s.user->data(s->s.arg, &in);
	mem_fail_after(MEM_NO_FAIL);
	bufq_fini(&in);
	block_unref(b);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_INTERNAL);
	assert_false(other->over);
}

static bool
is_accepted(void *arg)
{
	return ((struct fake_stream *)arg)->accepted;
}

/* A stream whose bytes its target does not read, reset by the client. */
static void
leave_one(struct fix *x)
{
	struct fake_stream *s = fake_open(x->relay, "ssh");
	struct bufq in = { 0 };
	uint8_t *p = mem_must_zalloc(UNREAD);

	assert_false(s->over);
	assert_true(turns_until(x->loop, is_accepted, s));
	assert_int_equal(bufq_copy(&in, p, UNREAD), 0);
	mem_free(p);
	s->s.user->data(s->s.arg, &in);
	bufq_fini(&in);
	mem_settle(x->loop);
	fake_end(s, CODE_CANCELLED, "");
}

/* Without reading: that would let the rest come, and end well. */
static bool
is_broken(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

/* A target that does not read may have some time for it, but not others' places. */
static void
streams_that_linger_take_no_places(void **state)
{
	struct fix *x = *state;
	int small = 4096, oldest, others;

	assert_int_equal(setsockopt(x->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	x->relay->client = 7;
	leave_one(x);
	others = accept(x->listener, NULL, NULL);
	assert_true(others >= 0);
	x->relay->client = 8;
	leave_one(x);
	oldest = accept(x->listener, NULL, NULL);
	assert_true(oldest >= 0);
	for (int i = 1; i < (SERVICE_LINGER_MAX - 1) / 2; i++)
		leave_one(x);
	assert_false(is_broken(&oldest));
	leave_one(x);
	/* One too many of its own, which costs nobody else anything. */
	assert_true(is_broken(&oldest));
	for (int i = 0; i < 8; i++)
		leave_one(x);
	assert_false(is_broken(&others));
	/* Each has half of what is left, until there is nothing: then its time is over at once. */
	for (int n = SERVICE_LINGER_MAX / 4 + 2; n > 1; n = n / 2 + 1) {
		x->relay->client++;
		for (int i = 0; i < n; i++)
			leave_one(x);
		if (n == 2)
			break;
	}
	for (int i = 0; i < 3; i++) {
		x->relay->client++;
		leave_one(x);
	}
	assert_false(is_broken(&others));
	close(oldest);
	close(others);
}

static int first_free;

static bool
all_are_closed(void *arg)
{
	int fd = dup(0);

	(void)arg;
	close(fd);
	return fd == first_free;
}

/* Those whose targets have gone do not count for who lingers next. */
static void
who_lingered_leaves_the_place_to_the_next(void **state)
{
	enum { OWN = (SERVICE_LINGER_MAX - 1) / 2 };
	struct fix *x = *state;
	int small = 4096, target[OWN];

	assert_int_equal(setsockopt(x->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	first_free = dup(0);
	close(first_free);
	for (int round = 0; round < 3; round++) {
		x->relay->client++;
		for (int i = 0; i < OWN; i++) {
			leave_one(x);
			target[i] = accept(x->listener, NULL, NULL);
			assert_true(target[i] >= 0);
		}
		assert_false(is_broken(&target[0]));
		for (int i = 0; i < OWN; i++)
			close(target[i]);
		assert_true(turns_until(x->loop, all_are_closed, NULL));
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(streams_are_bounded_and_given_back),
		T(what_is_refused_does_not_count),
		T(early_bytes_keep_no_more_than_they_need),
		T(early_bytes_without_memory_end_their_stream),
		T(streams_that_linger_take_no_places),
		T(who_lingered_leaves_the_place_to_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
