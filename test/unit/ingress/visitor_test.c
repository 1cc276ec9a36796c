/* SPDX-License-Identifier: ISC */
/*
 * visitor_test - a connection to a public port: who is let in, what the agent is asked, and what
 * the visitor's program sees.
 *
 * link: -Wl,--wrap=timer_set
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/account.h"
#include "lib/base/mem.h"
#include "lib/net/sockopt.h"
#include "test/unit/heap.h"
#include "test/unit/visitorfix.h"

/* A visitor whom the agent was asked for; its stream. */
static struct fake_stream *
carried(int *fd)
{
	*fd = publictest_visit(port, NULL);
	return next_stream();
}

static void
accept_stream(struct fake_stream *s)
{
	static const struct ctl_open_ok ok;

	s->s.user->opened(s->s.arg, &ok);
}

static bool
has_eof(void *arg)
{
	return ((struct fake_stream *)arg)->eof;
}

static bool
is_reset(void *arg)
{
	return ((struct fake_stream *)arg)->reset;
}

/* ---- carried ---- */

static void
the_agent_is_asked_for_the_service(void **state)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	char source[64];
	int fd;
	struct fake_stream *s = carried(&fd);

	(void)state;
	assert_string_equal(s->open.protocol, "tcp");
	assert_string_equal(s->open.service, "ssh");
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(source, sizeof source, "127.0.0.1:%u", ntohs(a.sin_port));
	assert_string_equal(s->open.source, source);
	assert_int_not_equal(s->open.client, 0);
	close(fd);
}

static void
bytes_go_before_the_answer_and_back_behind_it(void **state)
{
	char got[16] = "";
	int fd;
	struct fake_stream *s = carried(&fd);

	(void)state;
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_true(gets(s, "hello"));
	accept_stream(s);
	fake_data(s, "world");
	relaytest_settle(&r);
	assert_int_equal(recv(fd, got, sizeof got, 0), 5);
	assert_string_equal(got, "world");
	close(fd);
}

static void
each_half_ends_by_itself(void **state)
{
	char got[16] = "";
	int fd;
	struct fake_stream *s = carried(&fd);

	(void)state;
	accept_stream(s);
	assert_int_equal(atomic_load(&r.counts.visitors), 1);
	shutdown(fd, SHUT_WR);
	assert_true(turns_until(w->loop, has_eof, s));
	fake_data(s, "answer");
	relaytest_settle(&r);
	s->s.user->eof(s->s.arg);
	relaytest_settle(&r);
	fake_end(s, CODE_OK, "");
	assert_int_equal(recv(fd, got, sizeof got, 0), 6);
	assert_string_equal(got, "answer");
	assert_int_equal(publictest_ends(w, fd), VISIT_FIN);
	assert_true(TAILQ_EMPTY(&w->visitors));
	assert_null(w->parties);
	assert_int_equal(ssh()->n_visitors, 0);
	assert_int_equal(atomic_load(&r.counts.visitors), 0);
}

static void
a_stream_that_breaks_is_a_reset(void **state)
{
	char got[16] = "";
	int fd;
	struct fake_stream *s = carried(&fd);

	(void)state;
	accept_stream(s);
	fake_data(s, "half");
	relaytest_settle(&r);
	assert_int_equal(recv(fd, got, sizeof got, 0), 4);
	fake_end(s, CODE_LOST, "gone");
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	assert_int_equal(ssh()->n_visitors, 0);
}

static void
a_visitor_who_breaks_off_resets_the_stream(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	int fd;
	struct fake_stream *s = carried(&fd);

	(void)state;
	accept_stream(s);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	close(fd);
	assert_true(turns_until(w->loop, is_reset, s));
	assert_int_equal(s->code, CODE_RESET);
	assert_int_equal(ssh()->n_visitors, 0);
}

static void
what_the_agent_says_too_early_ends_both(void **state)
{
	int fd;
	struct fake_stream *s = carried(&fd);

	(void)state;
	fake_data(s, "forged");
	assert_int_equal(s->code, CODE_PROTOCOL);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
}

static void
an_agent_that_opens_nothing_is_a_reset(void **state)
{
	(void)state;
	agent->fail_open = ERR_LIMIT;
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	assert_null(w->parties);
	assert_int_equal(ssh()->n_visitors, 0);
}

static void
the_lost_session_ends_its_visitors(void **state)
{
	int fd[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		accept_stream(carried(&fd[i]));
	agent_leaves();
	for (int i = 0; i < 3; i++)
		assert_int_equal(publictest_ends(w, fd[i]), VISIT_RESET);
	assert_true(TAILQ_EMPTY(&w->visitors));
	assert_int_equal(ssh()->n_visitors, 0);
	assert_int_equal(ssh()->state, PUBLICATION_AWAY);
}

static void
the_session_with_the_fewest_streams_is_asked(void **state)
{
	struct fake_session *second = relaytest_peer(&r, 0, NULL);
	int fd[4];

	(void)state;
	/* The first one's instance, so that it is a second carrier of it. */
	fake_hello(second, CTL_AGENT, "pi", "", TAILQ_FIRST(&ssh()->group->agents)->instance[0]);
	relaytest_settle(&r);
	for (int i = 0; i < 4; i++) {
		fd[i] = publictest_visit(port, NULL);
		assert_true(publictest_arrived(ssh(), (unsigned)i + 1));
	}
	relaytest_settle(&r);
	assert_int_equal(agent->n_streams, 2);
	assert_int_equal(second->n_streams, 2);
	/* One carrier is lost: only its visitors end. */
	agent_leaves();
	assert_int_equal(ssh()->state, PUBLICATION_LIVE);
	assert_int_equal(ssh()->n_visitors, 2);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

static void
the_relays_end_is_a_reset(void **state)
{
	int fd;

	(void)state;
	accept_stream(carried(&fd));
	worker_drop_all(w);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
}

/* ---- rules ---- */

static void
networks_are_admitted_or_not(void **state)
{
	int fd;

	(void)state;
	use_rules(",\"deny\":[\"127.0.0.8/30\"]");
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.8")), VISIT_RESET);
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.11")), VISIT_RESET);
	fd = publictest_visit(port, "127.0.0.12");
	assert_true(publictest_streams(w, agent, 1));
	close(fd);
	use_rules(",\"allow\":[\"127.0.0.8/30\"],\"deny\":[\"127.0.0.9\"]");
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.7")), VISIT_RESET);
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.9")), VISIT_RESET);
	fd = publictest_visit(port, "127.0.0.8");
	assert_true(publictest_streams(w, agent, 2));
	close(fd);
}

/* A socket for every address says ::ffff:127.0.0.8 of an IPv4 visitor. */
static void
an_ipv4_visitor_is_one_on_every_address(void **state)
{
	struct fake_stream *s;
	int fd;

	(void)state;
	publictest_withdraw(agent, "ssh");
	assert_true(addr_literal("::", 0, &r.ingress.at));
	port = publictest_publish(agent, "ssh", ",\"deny\":[\"127.0.0.8/30\"],\"proxy\":1");
	assert_int_not_equal(port, 0);
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.8")), VISIT_RESET);
	s = carried(&fd);
	assert_memory_equal(s->open.source, "127.0.0.1:", 10);
	relaytest_settle(&r);
	assert_true(s->sent.len > 0);
	close(fd);
}

static void
connections_at_once_are_bounded(void **state)
{
	int a, b;
	struct fake_stream *first;

	(void)state;
	use_rules(",\"max_connections\":2");
	first = carried(&a);
	carried(&b);
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	assert_int_equal(ssh()->n_visitors, 2);
	/* A place that is given back is another's. */
	fake_end(first, CODE_GONE, "");
	assert_int_equal(publictest_ends(w, a), VISIT_RESET);
	carried(&a);
	close(a);
	close(b);
}

static void
new_connections_in_a_second_are_bounded(void **state)
{
	int fd[3];

	(void)state;
	use_rules(",\"max_rate\":3");
	for (int i = 0; i < 3; i++)
		carried(&fd[i]);
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	/* Those that are not admitted do not count. */
	use_rules(",\"max_rate\":1,\"deny\":[\"127.0.0.9\"]");
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.9")), VISIT_RESET);
	close(fd[0]);
	carried(&fd[0]);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* From now on an identity may have this much; the relay and its agent are new. */
static void
limit_identities(uint64_t streams, uint64_t opens)
{
	publictest_fini(&r);
	publictest_init(&r, 1);
	r.opts.identity.streams = streams;
	r.opts.identity.opens = opens;
	accounts_free(r.accounts);
	r.accounts = accounts_new(&r.opts.identity, &r.memory);
	w = &r.workers[0];
	agent_returns();
	port = publictest_publish(agent, "ssh", "");
	assert_int_not_equal(port, 0);
}

static void
the_streams_of_an_address_are_bounded_over_all_services(void **state)
{
	uint16_t second;
	int a, b, c;

	(void)state;
	/* As many of the agent's, which an address leaves half of. */
	limit_identities(2, 100000);
	r.opts.max_streams = 10;
	second = publictest_publish(agent, "web", "");
	agent_leaves();
	a = publictest_visit(port, NULL);
	b = publictest_visit(second, NULL);
	assert_true(publictest_arrived(publictest_find(w, "pi", "ssh"), 1));
	assert_true(publictest_arrived(publictest_find(w, "pi", "web"), 1));
	assert_int_equal(publictest_ends(w, publictest_visit(second, NULL)), VISIT_RESET);
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	/* Another one may have as many. */
	c = publictest_visit(port, "127.0.0.2");
	assert_true(publictest_arrived(ssh(), 2));
	close(a);
	close(b);
	close(c);
}

static void
an_address_leaves_streams_to_others(void **state)
{
	int fd[5], other;

	(void)state;
	r.opts.max_streams = 10;
	for (int i = 0; i < 5; i++)
		carried(&fd[i]);
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	other = publictest_visit(port, "127.0.0.2");
	assert_true(publictest_streams(w, agent, 6));
	close(other);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
}

static void
an_address_that_comes_too_fast_is_turned_away(void **state)
{
	int fd, other;

	(void)state;
	/* Half a second's worth may come at once, and one that passes it. */
	limit_identities(100, 2);
	carried(&fd);
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	other = publictest_visit(port, "127.0.0.2");
	assert_true(publictest_streams(w, agent, 2));
	close(fd);
	close(other);
}

/* ---- the agent is away ---- */

static void
those_who_wait_are_carried_when_the_agent_returns(void **state)
{
	int a, b;

	(void)state;
	agent_leaves();
	assert_int_equal(ssh()->state, PUBLICATION_AWAY);
	a = publictest_visit(port, NULL);
	b = publictest_visit(port, "127.0.0.2");
	assert_int_equal(write(a, "early", 5), 5);
	assert_true(publictest_arrived(ssh(), 2));
	assert_int_equal(publictest_look(a), VISIT_OPEN);
	agent_returns();
	assert_int_equal(agent->n_streams, 2);
	assert_true(TAILQ_EMPTY(&ssh()->arriving));
	assert_true(gets(agent->stream[0], "early"));
	close(a);
	close(b);
}

static void
those_who_wait_are_turned_away_in_time(void **state)
{
	(void)state;
	agent_leaves();
	hurried_ms = VISITOR_WAIT_MS;
	assert_int_equal(publictest_ends(w, publictest_visit(port, NULL)), VISIT_RESET);
	assert_int_equal(ssh()->n_visitors, 0);
	assert_true(TAILQ_EMPTY(&ssh()->arriving));
}

static void
those_who_have_gone_wait_no_more(void **state)
{
	int quiet, reset, half, fd;

	(void)state;
	agent_leaves();
	quiet = publictest_visit(port, NULL);
	reset = publictest_visit(port, NULL);
	half = publictest_visit(port, NULL);
	fd = publictest_visit(port, NULL);
	assert_int_equal(write(reset, "early", 5), 5);
	assert_int_equal(write(half, "early", 5), 5);
	assert_true(publictest_arrived(ssh(), 4));
	/* Who has said something may still read the answer. */
	shutdown(half, SHUT_WR);
	close(quiet);
	sockopt_reset(reset, true);
	close(reset);
	assert_true(publictest_arrived(ssh(), 2));
	agent_returns();
	assert_int_equal(agent->n_streams, 2);
	assert_true(gets(agent->stream[0], "early"));
	close(half);
	close(fd);
}

static void
as_many_wait_as_may(void **state)
{
	int fd[VISITOR_WAITING_MAX], n = 0;
	char from[16];

	(void)state;
	limit_identities(1000, 100000);
	agent_leaves();
	for (int who = 0; n < VISITOR_WAITING_MAX; who++) {
		snprintf(from, sizeof from, "127.0.1.%d", who + 1);
		for (int i = 0; i < VISITOR_WAITING_OF_ONE; i++)
			fd[n++] = publictest_visit(port, from);
		assert_true(publictest_arrived(ssh(), (unsigned)n));
		if (who > 0)
			continue;
		/* One more of the same. */
		assert_int_equal(publictest_ends(w, publictest_visit(port, from)), VISIT_RESET);
	}
	/* One more of another. */
	assert_int_equal(publictest_ends(w, publictest_visit(port, "127.0.0.9")), VISIT_RESET);
	assert_int_equal(ssh()->n_visitors, VISITOR_WAITING_MAX);
	agent_returns();
	assert_int_equal(agent->n_streams, VISITOR_WAITING_MAX);
	for (int i = 0; i < n; i++)
		close(fd[i]);
}

static void
the_end_of_the_grace_period_ends_the_waiting(void **state)
{
	int fd;

	(void)state;
	agent_leaves();
	fd = publictest_visit(port, NULL);
	assert_true(publictest_arrived(ssh(), 1));
	timer_set(&ssh()->grace, 0);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	assert_null(w->groups);
	assert_int_equal(publictest_visit(port, NULL), -1);
}

static void
a_withdrawn_service_turns_away_who_waits_and_goes_on_carrying(void **state)
{
	struct fake_session *client = relaytest_login(&r, 0, CTL_CONNECT, "pi");
	int a, b;
	struct fake_stream *s = carried(&a);

	(void)state;
	(void)client;
	/* It takes no new streams. */
	agent->s.going = true;
	b = publictest_visit(port, NULL);
	assert_true(publictest_arrived(ssh(), 2));
	publictest_withdraw(agent, "ssh");
	assert_int_equal(publictest_ends(w, b), VISIT_RESET);
	assert_int_equal(publictest_visit(port, NULL), -1);
	assert_int_equal(write(a, "on", 2), 2);
	assert_true(gets(s, "on"));
	accept_stream(s);
	/* It is logged without its publication. */
	fake_end(s, CODE_RESET, "later");
	assert_int_equal(publictest_ends(w, a), VISIT_RESET);
	assert_true(TAILQ_EMPTY(&w->visitors));
}

static void
the_relays_end_turns_away_who_waits(void **state)
{
	int fd;

	(void)state;
	agent_leaves();
	fd = publictest_visit(port, NULL);
	assert_true(publictest_arrived(ssh(), 1));
	publish_stop(w);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	assert_null(w->groups);
}

/* Much more than the kernel takes while nobody reads. */
#define LARGE (16 * 1024 * 1024)

/* An answer is cut, and its visitor does not read. */
static void
cut_an_answer(int *fd)
{
	struct fake_stream *s = carried(fd);
	char *text = mem_alloc(LARGE);

	assert_non_null(text);
	memset(text, 'x', LARGE - 1);
	text[LARGE - 1] = '\0';
	accept_stream(s);
	fake_data(s, text);
	mem_free(text);
	relaytest_settle(&r);
	fake_end(s, CODE_RESET, "cut");
	relaytest_settle(&r);
}

static bool
nobody_is_there(void *arg)
{
	(void)arg;
	return ssh()->n_visitors == 0;
}

static void
what_waits_behind_a_cut_is_paid_for(void **state)
{
	static const struct creds_id nobody = { .kind = CREDS_NOBODY };
	uint8_t who[ADDR_IDENTITY_LEN];
	struct account *account;
	struct budget *b;
	struct addr a;
	int fd[2];

	(void)state;
	assert_true(addr_literal("127.0.0.1", 0, &a));
	addr_identity(&a, who);
	account = accounts_get(r.accounts, &nobody, who, NULL);
	b = account_budget(account);
	cut_an_answer(&fd[0]);
	assert_int_equal(ssh()->n_visitors, 1);
	assert_true(atomic_load(&b->used) > LARGE / 2);
	assert_int_equal(atomic_load(&r.counts.visitors), 1);
	/* Another one would be more than all may make the relay hold. */
	atomic_store(&r.memory.max, LARGE);
	cut_an_answer(&fd[1]);
	assert_int_equal(ssh()->n_visitors, 1);
	assert_true(atomic_load(&b->used) < LARGE);
	/* Their programs go. */
	close(fd[0]);
	close(fd[1]);
	assert_true(turns_until(w->loop, nobody_is_there, NULL));
	assert_int_equal(atomic_load(&b->used), 0);
	account_put(r.accounts, account, 0);
}

/* ---- memory ---- */

static void
want_of_memory_is_a_reset(void **state)
{
	enum visit how = VISIT_RESET;
	int fd = -1;

	(void)state;
	for (long n = 0; how == VISIT_RESET; n++) {
		size_t before = agent->n_streams;

		assert_true(n < 100);
		fd = publictest_visit(port, NULL);
		mem_fail_after(n);
		relaytest_settle(&r);
		mem_fail_after(MEM_NO_FAIL);
		how = publictest_look(fd);
		if (how != VISIT_OPEN) {
			assert_int_equal(how, VISIT_RESET);
			close(fd);
			assert_int_equal(ssh()->n_visitors, 0);
			assert_true(TAILQ_EMPTY(&w->visitors));
			assert_null(w->parties);
			if (agent->n_streams > before)
				assert_true(agent->stream[before]->reset);
		}
	}
	assert_int_equal(ssh()->n_visitors, 1);
	close(fd);
}

static void
visit_once(void)
{
	int fd = publictest_visit(port, NULL);
	struct fake_stream *s;

	assert_true(publictest_arrived(ssh(), 1));
	relaytest_settle(&r);
	s = agent->stream[agent->n_streams - 1];
	fake_end(s, CODE_GONE, "");
	bufq_fini(&s->sent);
	/* The test's own memory. */
	agent->n_streams--;
	free(s);
	relaytest_settle(&r);
	close(fd);
}

static void
visitors_leave_nothing_behind(void **state)
{
	(void)state;
	heap_is_given_back(visit_once);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_agent_is_asked_for_the_service),
		T(bytes_go_before_the_answer_and_back_behind_it),
		T(each_half_ends_by_itself),
		T(a_stream_that_breaks_is_a_reset),
		T(a_visitor_who_breaks_off_resets_the_stream),
		T(what_the_agent_says_too_early_ends_both),
		T(an_agent_that_opens_nothing_is_a_reset),
		T(the_lost_session_ends_its_visitors),
		T(the_session_with_the_fewest_streams_is_asked),
		T(the_relays_end_is_a_reset),
		T(networks_are_admitted_or_not),
		T(an_ipv4_visitor_is_one_on_every_address),
		T(connections_at_once_are_bounded),
		T(new_connections_in_a_second_are_bounded),
		T(the_streams_of_an_address_are_bounded_over_all_services),
		T(an_address_leaves_streams_to_others),
		T(an_address_that_comes_too_fast_is_turned_away),
		T(those_who_wait_are_carried_when_the_agent_returns),
		T(those_who_wait_are_turned_away_in_time),
		T(those_who_have_gone_wait_no_more),
		T(as_many_wait_as_may),
		T(the_end_of_the_grace_period_ends_the_waiting),
		T(a_withdrawn_service_turns_away_who_waits_and_goes_on_carrying),
		T(the_relays_end_turns_away_who_waits),
		T(what_waits_behind_a_cut_is_paid_for),
		T(want_of_memory_is_a_reset),
		T(visitors_leave_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
