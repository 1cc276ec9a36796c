/* SPDX-License-Identifier: ISC */
/*
 * filter_test - what all filters share: what is told once and in which order, what is no longer
 * called, counting what was written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/net/filter.h"

/* ---- a filter that does what the test says, and notes what it was asked for ---- */

struct fake {
	struct filter f;
	size_t pending, unacked;
	bool refuse;
	char asked[64];
};

static void
note(struct filter *f, char c)
{
	struct fake *k = (struct fake *)f;
	size_t n = strlen(k->asked);

	assert_true(n + 1 < sizeof k->asked);
	k->asked[n] = c;
}

static int
fake_write(struct filter *f, struct bufq *src)
{
	((struct fake *)f)->pending += src->len;
	bufq_drain(src, src->len);
	note(f, 'w');
	return 0;
}

static void
fake_flush(struct filter *f)
{
	note(f, 'f');
}

static size_t
fake_room(struct filter *f)
{
	(void)f;
	return 100;
}

static void
fake_shutdown(struct filter *f)
{
	note(f, 's');
}

static char *fini_order;

static void
fake_fini(struct filter *f)
{
	if (fini_order != NULL)
		strcat(fini_order, f->below != NULL ? "top " : "below ");
}

static void
fake_pause(struct filter *f, bool paused)
{
	note(f, paused ? 'P' : 'p');
}

static void
fake_detach(struct filter *f)
{
	note(f, 'd');
}

static int
fake_attach(struct filter *f, struct loop *l)
{
	assert_ptr_equal(f->loop, l);
	if (((struct fake *)f)->refuse)
		return ERR_NOMEM;
	note(f, 'a');
	return 0;
}

static size_t
fake_pending(const struct filter *f)
{
	return ((const struct fake *)f)->pending;
}

static size_t
fake_unacked(const struct filter *f)
{
	return ((const struct fake *)f)->unacked;
}

static void
fake_reset(struct filter *f, bool on)
{
	note(f, on ? 'R' : 'r');
}

static const struct filter_ops fake_ops = { "fake", fake_write, fake_flush, fake_room,
	fake_shutdown, fake_fini, fake_pause, fake_detach, fake_attach, fake_pending, fake_unacked,
	fake_reset };

/* ---- a stack of two, and its user ---- */

struct fix {
	struct loop *l;
	struct fake *top, *below;
	char told[128];
	int n_drained;
};

static void
tell(struct fix *x, const char *what)
{
	size_t n = strlen(x->told);

	snprintf(x->told + n, sizeof x->told - n, "%s ", what);
}

static void
on_readable(void *arg)
{
	tell(arg, "readable");
}

static void
on_writable(void *arg)
{
	tell(arg, "writable");
}

static void
on_closed(void *arg, int err, const char *text)
{
	tell(arg, err == ERR_EOF ? "eof" : err == ERR_CLOSED ? text : "?");
}

static void
on_drained(void *arg)
{
	((struct fix *)arg)->n_drained++;
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static struct fake *
fake_new(struct filter *below, struct loop *l)
{
	struct fake *k = mem_must_zalloc(sizeof *k);

	filter_init(&k->f, &fake_ops, below, l);
	return k;
}

static int
setup(void **state)
{
	struct fix *x = mem_must_zalloc(sizeof *x);

	x->l = loop_new();
	x->below = fake_new(NULL, x->l);
	x->top = fake_new(&x->below->f, x->l);
	filter_set_user(&x->top->f, &user, x);
	*state = x;
	return x->l != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	filter_free(x->top != NULL ? &x->top->f : NULL);
	loop_free(x->l);
	mem_free(x);
	buf_pool_free();
	return 0;
}

static void
arrives(struct fix *x, const char *bytes)
{
	assert_int_equal(bufq_copy(&x->top->f.in, bytes, strlen(bytes)), 0);
	filter_readable(&x->top->f);
}

/* ---- what the user is told ---- */

static void
an_end_is_told_once_and_an_error_may_follow(void **state)
{
	struct fix *x = *state;

	filter_close(&x->top->f, ERR_EOF, "");
	filter_close(&x->top->f, ERR_EOF, "");
	assert_string_equal(x->told, "eof ");
	filter_writable(&x->top->f);
	filter_close(&x->top->f, ERR_CLOSED, "broken");
	filter_close(&x->top->f, ERR_CLOSED, "again");
	filter_close(&x->top->f, ERR_EOF, "");
	filter_writable(&x->top->f);
	filter_readable(&x->top->f);
	assert_string_equal(x->told, "eof writable broken ");
}

static void
an_end_waits_for_who_pauses_with_bytes_left_and_an_error_does_not(void **state)
{
	struct fix *x = *state;

	filter_pause(&x->top->f, true);
	arrives(x, "abc");
	filter_close(&x->top->f, ERR_EOF, "");
	loop_settle(x->l);
	assert_string_equal(x->told, "");
	filter_pause(&x->top->f, false);
	/* From the loop, not from inside the user's own call. */
	assert_string_equal(x->told, "");
	loop_settle(x->l);
	assert_string_equal(x->told, "readable eof ");
	loop_settle(x->l);
	assert_string_equal(x->told, "readable eof ");
	filter_pause(&x->top->f, true);
	filter_close(&x->top->f, ERR_CLOSED, "broken");
	assert_string_equal(x->told, "readable eof broken ");
}

static void
an_end_that_waits_is_forgotten_after_an_error(void **state)
{
	struct fix *x = *state;

	filter_pause(&x->top->f, true);
	arrives(x, "abc");
	filter_close(&x->top->f, ERR_EOF, "");
	filter_close(&x->top->f, ERR_CLOSED, "broken");
	bufq_drain(&x->top->f.in, 3); /* the user's all the same */
	filter_set_user(&x->top->f, &user, x);
	loop_settle(x->l);
	assert_string_equal(x->told, "broken ");
}

static void
who_comes_later_is_told_what_came_before(void **state)
{
	struct fix *x = *state;

	filter_set_user(&x->top->f, NULL, NULL);
	arrives(x, "abc");
	filter_writable(&x->top->f);
	filter_close(&x->top->f, ERR_EOF, "");
	loop_settle(x->l);
	filter_set_user(&x->top->f, &user, x);
	loop_settle(x->l);
	assert_string_equal(x->told, "readable eof ");
	/* Nothing new, nothing told. */
	bufq_drain(&x->top->f.in, 3);
	filter_set_user(&x->top->f, &user, x);
	loop_settle(x->l);
	assert_string_equal(x->told, "readable eof ");
}

static void
an_end_is_told_to_each_user(void **state)
{
	struct fix *x = *state;

	filter_close(&x->top->f, ERR_EOF, "");
	assert_string_equal(x->told, "eof ");
	filter_set_user(&x->top->f, NULL, NULL);
	filter_set_user(&x->top->f, &user, x);
	loop_settle(x->l);
	assert_string_equal(x->told, "eof eof ");
}

/* An error that came before there was somebody to tell is told with its text. */
static void
the_text_of_an_error_waits_with_it(void **state)
{
	struct fix *x = *state;

	filter_set_user(&x->top->f, NULL, NULL);
	filter_close(&x->top->f, ERR_CLOSED, "its-text");
	filter_close(&x->top->f, ERR_NOMEM, "another");
	filter_set_user(&x->top->f, &user, x);
	loop_settle(x->l);
	assert_string_equal(x->told, "its-text ");
}

static void
bytes_that_are_left_are_told_of_again_after_a_pause(void **state)
{
	struct fix *x = *state;

	arrives(x, "abc");
	filter_pause(&x->top->f, true);
	filter_pause(&x->top->f, true);
	arrives(x, "d");
	filter_pause(&x->top->f, false);
	loop_settle(x->l);
	assert_string_equal(x->told, "readable readable ");
	assert_string_equal(x->top->asked, "Pp");
	bufq_drain(&x->top->f.in, 4);
	filter_pause(&x->top->f, true);
	filter_pause(&x->top->f, false);
	loop_settle(x->l);
	assert_string_equal(x->told, "readable readable ");
}

/* ---- what an implementation is asked for ---- */

static void
nothing_is_asked_of_what_is_closed(void **state)
{
	struct fix *x = *state;

	assert_int_equal(filter_room(&x->top->f), 100);
	filter_close(&x->top->f, ERR_CLOSED, "broken");
	assert_int_equal(filter_send(&x->top->f, "abc", 3), ERR_CLOSED);
	filter_flush(&x->top->f);
	filter_shutdown(&x->top->f);
	filter_pause(&x->top->f, true);
	assert_int_equal(filter_room(&x->top->f), 0);
	assert_string_equal(x->top->asked, "");
	assert_int_equal(x->top->f.taken, 0);
}

static void
no_bytes_wanted_is_a_pause(void **state)
{
	struct fix *x = *state;

	filter_want(&x->top->f, 0);
	assert_true(x->top->f.paused);
	filter_want(&x->top->f, 1);
	assert_false(x->top->f.paused);
	assert_int_equal(x->top->f.want, 1);
	filter_want(&x->top->f, 0);
	assert_int_equal(x->top->f.want, 1);
	assert_string_equal(x->top->asked, "PpP");
}

static void
a_reset_and_what_has_not_arrived_concern_the_whole_stack(void **state)
{
	struct fix *x = *state;

	x->top->pending = 1;
	x->top->unacked = 20;
	x->below->pending = 300;
	x->below->unacked = 4000;
	assert_int_equal(filter_pending(&x->top->f), 1);
	assert_int_equal(filter_unacked(&x->top->f), 4321);
	filter_reset(&x->top->f, true);
	filter_reset(&x->top->f, false);
	assert_string_equal(x->top->asked, "Rr");
	assert_string_equal(x->below->asked, "Rr");
}

static void
a_stack_is_freed_from_the_top_and_says_nothing_more(void **state)
{
	struct fix *x = *state;
	char order[32] = "";

	filter_pause(&x->top->f, true);
	arrives(x, "abc");
	filter_pause(&x->top->f, false);
	fini_order = order;
	filter_free(&x->top->f);
	x->top = NULL;
	fini_order = NULL;
	assert_string_equal(order, "top below ");
	loop_settle(x->l);
	assert_string_equal(x->told, "");
}

static void
an_attach_that_fails_undoes_those_above(void **state)
{
	struct fix *x = *state;

	filter_pause(&x->top->f, true);
	arrives(x, "abc");
	filter_pause(&x->top->f, false);
	filter_detach(&x->top->f);
	loop_settle(x->l);
	assert_string_equal(x->told, "");
	x->below->refuse = true;
	assert_int_equal(filter_attach(&x->top->f, x->l), ERR_NOMEM);
	assert_null(x->top->f.loop);
	assert_null(x->below->f.loop);
	assert_string_equal(x->top->asked, "Ppdad");
	assert_string_equal(x->below->asked, "d");
	loop_settle(x->l);
	assert_string_equal(x->told, "");
	x->below->refuse = false;
	assert_int_equal(filter_attach(&x->top->f, x->l), 0);
	loop_settle(x->l);
	assert_string_equal(x->told, "readable ");
}

/* ---- counting what was written ---- */

/* The top one hands on n bytes, which have become so many. */
static void
hand_on(struct fix *x, size_t n, size_t encoded)
{
	char bytes[64] = "";

	assert_true(n <= x->top->pending);
	x->top->pending -= n;
	assert_int_equal(filter_send(&x->below->f, bytes, encoded), 0);
}

static void
bytes_count_when_all_they_have_become_is_gone(void **state)
{
	struct fix *x = *state;

	assert_int_equal(filter_send(&x->top->f, "before", 6), 0);
	hand_on(x, 6, 9);
	assert_int_equal(filter_follow(&x->top->f, on_drained, x), 0);
	assert_int_equal(filter_written(&x->top->f), 0);
	assert_int_equal(filter_send(&x->top->f, "0123456789", 10), 0);
	assert_int_equal(filter_written(&x->top->f), 0);
	/* Handed on without a flush, as when there is room again. */
	hand_on(x, 10, 14);
	x->below->pending = 1;
	assert_int_equal(filter_written(&x->top->f), 0);
	x->below->pending = 0;
	assert_int_equal(filter_written(&x->top->f), 10);
	/* More flushes than are told apart: late, never early. */
	for (int i = 0; i < 8; i++) {
		assert_int_equal(filter_send(&x->top->f, "x", 1), 0);
		hand_on(x, 1, 3);
		filter_flush(&x->top->f);
	}
	for (size_t left = 24; left > 0; left--) {
		x->below->pending = left;
		assert_true(filter_written(&x->top->f) <= 10 + (24 - left) / 3);
	}
	x->below->pending = 0;
	assert_int_equal(filter_written(&x->top->f), 18);
}

static void
who_follows_is_told_until_the_end(void **state)
{
	struct fix *x = *state;

	filter_drained(&x->below->f);
	assert_int_equal(filter_follow(&x->top->f, on_drained, x), 0);
	filter_drained(&x->below->f);
	filter_drained(&x->below->f);
	assert_int_equal(x->n_drained, 2);
	filter_close(&x->top->f, ERR_CLOSED, "broken");
	filter_drained(&x->below->f);
	assert_int_equal(x->n_drained, 2);
}

static void
following_may_lack_memory(void **state)
{
	struct fix *x = *state;

	mem_fail_after(0);
	assert_int_equal(filter_follow(&x->top->f, on_drained, x), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	filter_drained(&x->below->f);
	assert_int_equal(x->n_drained, 0);
	assert_int_equal(filter_follow(&x->top->f, on_drained, x), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_end_is_told_once_and_an_error_may_follow),
		TEST(an_end_waits_for_who_pauses_with_bytes_left_and_an_error_does_not),
		TEST(an_end_that_waits_is_forgotten_after_an_error),
		TEST(who_comes_later_is_told_what_came_before),
		TEST(an_end_is_told_to_each_user),
		TEST(the_text_of_an_error_waits_with_it),
		TEST(bytes_that_are_left_are_told_of_again_after_a_pause),
		TEST(nothing_is_asked_of_what_is_closed),
		TEST(no_bytes_wanted_is_a_pause),
		TEST(a_reset_and_what_has_not_arrived_concern_the_whole_stack),
		TEST(a_stack_is_freed_from_the_top_and_says_nothing_more),
		TEST(an_attach_that_fails_undoes_those_above),
		TEST(bytes_count_when_all_they_have_become_is_gone),
		TEST(who_follows_is_told_until_the_end),
		TEST(following_may_lack_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
