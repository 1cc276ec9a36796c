/* SPDX-License-Identifier: ISC */
/*
 * publisherfix - a publisher whose relay and clock are the test.  Header only; after cmocka.h.
 *
 * A test that uses it has in its head comment
 *
 *      * link: -Wl,--wrap=loop_now_ms,--wrap=timer_init,--wrap=timer_fini
 *      * link: -Wl,--wrap=timer_set,--wrap=timer_cancel
 */
#ifndef TEST_UNIT_PUBLISHERFIX_H
#define TEST_UNIT_PUBLISHERFIX_H

#include <stdio.h>
#include <string.h>

#include "cmd/agent/publisher.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "test/unit/heardlog.h"
#include "test/unit/offerwords.h"

enum { SAID_MAX = 64 };

static struct publisher *p;
static struct offers *offers;
static unsigned changes;

/* The relay, by carrier. */
static bool is_up[2];
static bool is_able;
/* We have no memory to look at what is said. */
static bool is_out_of_memory;
/* What was said to it, in order, and by which carrier. */
static struct {
	struct request q;
	struct request_reply a;
	unsigned carrier;
	char text[CTL_BODY_MAX + 1];
} said[SAID_MAX];
static unsigned n_said;

/* ---- the clock ---- */

static uint64_t now_ms, due_ms;
static void (*timer_fn)(void *arg);
static void *timer_arg;

uint64_t __wrap_loop_now_ms(struct loop *l);
int __wrap_timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg);
void __wrap_timer_fini(struct timer *t);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_cancel(struct timer *t);

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	(void)l;
	return now_ms;
}

int
__wrap_timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg)
{
	(void)t;
	(void)l;
	timer_fn = fn;
	timer_arg = arg;
	due_ms = UINT64_MAX;
	return 0;
}

void
__wrap_timer_fini(struct timer *t)
{
	(void)t;
	due_ms = UINT64_MAX;
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	(void)t;
	due_ms = now_ms + ms;
}

void
__wrap_timer_cancel(struct timer *t)
{
	(void)t;
	due_ms = UINT64_MAX;
}

static inline void
time_passes(uint64_t ms)
{
	uint64_t end = now_ms + ms;

	for (int i = 0; due_ms <= end; i++) {
		assert_true(i < 100);
		now_ms = due_ms > now_ms ? due_ms : now_ms;
		due_ms = UINT64_MAX;
		timer_fn(timer_arg);
	}
	now_ms = end;
}

/* ---- the relay ---- */

static inline int
on_send(void *arg, unsigned carrier, const void *body, size_t n)
{
	struct errtext why = { "" };

	(void)arg;
	if (!is_up[carrier] || !is_able)
		return ERR_CLOSED;
	assert_true(n_said < SAID_MAX && n <= CTL_BODY_MAX);
	memcpy(said[n_said].text, body, n);
	said[n_said].text[n] = '\0';
	said[n_said].carrier = carrier;
	if (!is_out_of_memory)
		assert_int_equal(request_parse(&said[n_said].q, &said[n_said].a, body, n, &why), 0);
	n_said++;
	return 0;
}

static inline void
on_changed(void *arg)
{
	(void)arg;
	changes++;
}

static const struct publisher_user user = { .send = on_send, .changed = on_changed };

static inline struct offers *
offers_of(const struct offer_words *words)
{
	struct errtext why = { "" };
	struct offers *o = NULL;

	if (offers_of_words(words, &o, &why) != 0)
		fail_msg("%s", why.s);
	return o;
}

static inline void
use_all(const struct offer_words *words)
{
	struct offers *o = offers_of(words);

	assert_int_equal(publisher_use(p, o), 0);
	/* Nothing of them is kept. */
	offers_free(o);
}

static inline void
use(const char *tcp)
{
	use_all(&(struct offer_words){ .tcp = tcp });
}

static inline int
setup(void **state)
{
	(void)state;
	now_ms = 1000000;
	n_said = changes = 0;
	is_able = true;
	is_up[0] = is_up[1] = false;
	p = publisher_new(NULL, 2, &user, NULL);
	assert_non_null(p);
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, STDERR_FILENO);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	publisher_free(p);
	offers_free(offers);
	offers = NULL;
	while (n_said > 0)
		request_fini(&said[--n_said].q);
	return 0;
}

static inline void
up(unsigned carrier)
{
	is_up[carrier] = true;
	publisher_up(p, carrier);
}

static inline void
down(unsigned carrier)
{
	is_up[carrier] = false;
	publisher_down(p, carrier);
}

/* rest: the members behind the id. */
static inline void
reply(unsigned carrier, int64_t id, const char *rest)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"id\":%lld%s}", (long long)id, rest);
	publisher_control(p, carrier, text, strlen(text));
}

/* To the i-th of all that was said. */
static inline void
answer(unsigned i, const char *rest)
{
	assert_true(i < n_said);
	reply(said[i].carrier, said[i].q.id, rest);
}

static inline void
grant(unsigned i, const char *host, unsigned port)
{
	char rest[200];

	snprintf(
	    rest, sizeof rest, ",\"ok\":true,\"public\":\"%s:%u\",\"port\":%u", host, port, port);
	answer(i, rest);
}

/* What publisher_list tells. */
static inline void
lists(const char *want)
{
	struct jobj *o = jobj_new_obj();
	char *text;

	assert_int_equal(publisher_list(p, o), 0);
	text = jobj_dump(o, NULL);
	jobj_free(o);
	assert_string_equal(text, want);
	mem_free(text);
}

#define TAKEN ",\"ok\":false,\"error\":\"port 2222 is another agent's\""
#define NOTHING "{\"services\":[],\"refused\":[]}"
#define SSH                                                                                 \
	"{\"services\":[{\"kind\":\"tcp\",\"service\":\"ssh\",\"target\":\"127.0.0.1:22\"," \
	"\"public\":\"203.0.113.7:2222\"}],\"refused\":[]}"

static inline void
says(const char *heard, const char *line)
{
	if (strstr(heard, line) == NULL)
		fail_msg("\"%s\" is not in: %s", line, heard);
}

#endif
