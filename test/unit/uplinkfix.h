/* SPDX-License-Identifier: ISC */
/*
 * uplinkfix - an uplink whose dials, chance, clock and relay are the test, for the tests of it.
 *
 * Header only, after cmocka.h, as it replaces functions: a test that uses it has in its head
 * comment
 *
 *      * link: -Wl,--wrap=dialer_start,--wrap=dialer_cancel,--wrap=dialer_wait_ms
 *      * link: -Wl,--wrap=dialer_status,--wrap=dialer_is_ours
 *      * link: -Wl,--wrap=rand_below,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel
 */
#ifndef TEST_UNIT_UPLINKFIX_H
#define TEST_UNIT_UPLINKFIX_H

#include <stdio.h>
#include <string.h>

#include "cmd/common/uplink.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/version.h"
#include "test/unit/fakesession.h"
#include "test/unit/memfilter.h"

struct dialer *__wrap_dialer_start(
    struct loop *l, const struct dialer_target *t, dialer_fn *fn, void *arg);
void __wrap_dialer_cancel(struct dialer *d);
uint64_t __wrap_dialer_wait_ms(const struct dialer *d);
int __wrap_dialer_status(const struct dialer *d);
bool __wrap_dialer_is_ours(const struct dialer *d);
int __wrap_rand_below(uint64_t n, uint64_t *out);
uint64_t __wrap_loop_now_ms(struct loop *l);
uint64_t __real_loop_now_ms(struct loop *l);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_cancel(struct timer *t);
void __real_timer_cancel(struct timer *t);

enum { SESSIONS = 8 };

static struct fix {
	struct loop *l;
	struct uplink_config cfg;
	struct uplink *k;
	/* The dial that is under way. */
	bool dialling;
	dialer_fn *dialled;
	void *dialled_arg;
	int n_dials, n_cancelled;
	/* Given by the test: dials cannot begin; what the relay asks for; chance; the clock. */
	bool no_dial, no_chance, ours;
	/* And how the relay refuses a dial. */
	int status;
	uint64_t asked_ms, chance, skew_ms;
	/* The next dial: when, by its timer, which the test fires. */
	struct timer *retry;
	bool making, due;
	uint64_t wait_ms, below;
	/* The relay's ends, and their sessions, in the order they were dialled. */
	struct filter *far[SESSIONS];
	struct fake_session *s[SESSIONS];
	int n;
	/* What the owner was told, and answers. */
	int n_ready, n_up, n_down, n_away, n_refused, n_open, n_idle, n_control;
	int err;
	char text[256];
	char control[64];
	uint64_t next_ms;
	uint32_t code;
	bool leave, again, finish_when_refused;
} x;

/* ---- what the uplink stands on ---- */

struct dialer *
__wrap_dialer_start(struct loop *l, const struct dialer_target *t, dialer_fn *fn, void *arg)
{
	assert_ptr_equal(l, x.l);
	assert_ptr_equal(t, &x.cfg.target);
	assert_false(x.dialling);
	x.n_dials++;
	x.dialled = fn;
	x.dialled_arg = arg;
	x.dialling = !x.no_dial;
	return x.no_dial ? NULL : (struct dialer *)&x;
}

void
__wrap_dialer_cancel(struct dialer *d)
{
	if (d == NULL)
		return;
	assert_true(x.dialling);
	x.dialling = false;
	x.n_cancelled++;
}

uint64_t
__wrap_dialer_wait_ms(const struct dialer *d)
{
	assert_ptr_equal(d, &x);
	return x.asked_ms;
}

int
__wrap_dialer_status(const struct dialer *d)
{
	assert_ptr_equal(d, &x);
	return x.status;
}

bool
__wrap_dialer_is_ours(const struct dialer *d)
{
	assert_ptr_equal(d, &x);
	return x.ours;
}

int
__wrap_rand_below(uint64_t n, uint64_t *out)
{
	x.below = n;
	*out = x.chance < n ? x.chance : n - 1;
	return x.no_chance ? ERR_SYS : 0;
}

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	return __real_loop_now_ms(l) + x.skew_ms;
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	if (x.making && x.retry == NULL)
		x.retry = t;
	if (t != x.retry) {
		__real_timer_set(t, ms);
		return;
	}
	x.due = true;
	x.wait_ms = ms;
}

void
__wrap_timer_cancel(struct timer *t)
{
	if (t == x.retry)
		x.due = false;
	__real_timer_cancel(t);
}

/* ---- its owner ---- */

static inline void
on_ready(void *arg)
{
	(void)arg;
	x.n_ready++;
}

static inline void
on_up(void *arg)
{
	(void)arg;
	x.n_up++;
}

static inline void
on_down(void *arg, int err, const char *text, uint64_t next_ms)
{
	(void)arg;
	x.n_down++;
	x.err = err;
	snprintf(x.text, sizeof x.text, "%s", text);
	x.next_ms = next_ms;
}

static inline bool
on_away(void *arg, const char *text)
{
	(void)arg;
	x.n_away++;
	snprintf(x.text, sizeof x.text, "%s", text);
	return x.leave;
}

static inline bool
on_refused(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	x.n_refused++;
	x.code = code;
	snprintf(x.text, sizeof x.text, "%s", text);
	if (x.finish_when_refused)
		uplink_finish(x.k, "refused");
	return x.again;
}

static inline void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	(void)s;
	assert_string_equal(o->service, "ssh");
	x.n_open++;
}

static inline void
on_idle(void *arg)
{
	(void)arg;
	x.n_idle++;
}

static inline void
on_control(void *arg, const void *body, size_t n)
{
	(void)arg;
	x.n_control++;
	snprintf(x.control, sizeof x.control, "%.*s", (int)n, (const char *)body);
}

static const struct uplink_user user = {
	.ready = on_ready,
	.up = on_up,
	.down = on_down,
	.away = on_away,
	.refused = on_refused,
	.open = on_open,
	.idle = on_idle,
	.control = on_control,
};

/* ---- the set-up ---- */

static inline void
make(enum ctl_role role)
{
	x.making = true;
	x.k = uplink_new(x.l, &x.cfg, role, "pi", &user, &x);
	x.making = false;
	assert_non_null(x.k);
}

static inline int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new(), .chance = UINT64_MAX, .leave = true };
	x.cfg.target.dialect = &dialect_fake;
	x.cfg.secret = secret_new("sesame", 6);
	x.cfg.keepalive_ms = 4321;
	x.cfg.max_window = 777777;
	x.cfg.client_max = 55;
	memset(x.cfg.instance, 7, sizeof x.cfg.instance);
	snprintf(x.cfg.relay, sizeof x.cfg.relay, "ws://relay.test");
	return 0;
}

static inline void
free_far(int i)
{
	if (x.far[i] != NULL)
		filter_free(x.far[i]);
	x.far[i] = NULL;
}

static inline int
teardown(void **state)
{
	(void)state;
	uplink_free(x.k, CODE_GONE, "the end");
	for (int i = 0; i < x.n; i++)
		free_far(i);
	mem_settle(x.l);
	loop_free(x.l);
	for (int i = 0; i < x.n; i++)
		assert_true(x.s[i] == NULL || x.s[i]->freed);
	secret_free(x.cfg.secret);
	fake_free_all();
	buf_pool_free();
	return 0;
}

/* ---- what happens to it ---- */

/* The time for the next dial has come. */
static inline void
fire(void)
{
	assert_true(x.due);
	x.due = false;
	x.retry->fn(x.retry->arg);
}

static inline void
dial_fails(void)
{
	fire();
	assert_true(x.dialling);
	x.dialling = false;
	x.dialled(x.dialled_arg, NULL, ERR_CLOSED, "nobody is there");
}

/* The WebSocket stands. */
static inline void
stand(void)
{
	struct filter *f[2];

	fire();
	assert_true(x.dialling);
	x.dialling = false;
	assert_true(memfilter_pair(x.l, f));
	assert_true(x.n < SESSIONS);
	x.far[x.n] = f[1];
	fake_last = NULL;
	x.dialled(x.dialled_arg, f[0], 0, "");
	x.s[x.n++] = fake_last;
}

/* And the relay has let us in. */
static inline struct fake_session *
come_up(void)
{
	struct fake_session *f;

	stand();
	f = x.s[x.n - 1];
	assert_int_equal(fake_hello(f, CTL_RELAY, "", "", 1), SESSION_GO_ON);
	return f;
}

static inline void
goodbye(struct fake_session *f, uint32_t code, const char *text)
{
	f->s.going = true;
	f->s.user->goaway(f->s.arg, code, text);
}

/* The connection of session i ends. */
static inline void
hang_up(int i)
{
	free_far(i);
	mem_settle(x.l);
}

static inline void
on_stream_closed(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static const struct stream_user nobody = { .closed = on_stream_closed };

static inline struct stream *
open_one(struct errtext *why)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };

	return uplink_open(x.k, &o, &nobody, NULL, &x.code, why);
}

#endif
