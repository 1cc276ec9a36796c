/* SPDX-License-Identifier: ISC */
/*
 * visitor_proxy_test - visitors behind a proxy that is believed, and the header that the service is
 * sent.
 *
 * link: -Wl,--wrap=timer_set
 */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/ingress/proxied.h"
#include "lib/base/mem.h"
#include "lib/net/proxy_hdr.h"
#include "test/unit/visitorfix.h"

#define PROXY "127.0.0.50"
#define LINE "PROXY TCP4 198.51.100.7 203.0.113.9 40000 443\r\n"

static int
setup_proxied(void **state)
{
	if (setup(state) != 0 ||
	    (r.ingress.proxies = mem_array(1, sizeof *r.ingress.proxies)) == NULL)
		return -1;
	r.ingress.n_proxies = 1;
	return addr_net_parse(PROXY, r.ingress.proxies);
}

static int
come(void)
{
	int fd = publictest_visit(port, PROXY), on = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	return fd;
}

static void
say(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
}

/* ---- from a proxy ---- */

static void
the_header_says_who_it_is(void **state)
{
	int fd = come();
	struct fake_stream *s;

	(void)state;
	say(fd, LINE "hello", strlen(LINE "hello"));
	s = next_stream();
	assert_string_equal(s->open.source, "198.51.100.7:40000");
	/* What follows it is the service's. */
	assert_true(gets_bytes(s, "hello", 5));
	close(fd);
}

static void
the_header_may_come_byte_by_byte(void **state)
{
	int fd = come();
	struct fake_stream *s;

	(void)state;
	for (size_t i = 0; i + 1 < strlen(LINE); i++) {
		say(fd, &LINE[i], 1);
		relaytest_settle(&r);
		assert_int_equal(agent->n_streams, 0);
	}
	say(fd, "\nhello", 6);
	s = next_stream();
	assert_string_equal(s->open.source, "198.51.100.7:40000");
	assert_true(gets_bytes(s, "hello", 5));
	close(fd);
}

static void
both_versions_are_read(void **state)
{
	uint8_t h[PROXY_HDR_MAX];
	struct addr from, to;
	struct fake_stream *s;
	int fd = come();
	size_t n;

	(void)state;
	assert_true(addr_literal("2001:db8::7", 40000, &from));
	assert_true(addr_literal("2001:db8::9", 443, &to));
	n = proxy_hdr_build(h, 2, &from, &to);
	say(fd, h, n / 2);
	relaytest_settle(&r);
	say(fd, h + n / 2, n - n / 2);
	s = next_stream();
	assert_string_equal(s->open.source, "[2001:db8::7]:40000");
	close(fd);
}

static void
a_proxy_may_stand_for_itself(void **state)
{
	static const uint8_t local[16] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";
	int fd = come();

	(void)state;
	say(fd, local, sizeof local);
	assert_memory_equal(next_stream()->open.source, PROXY ":", strlen(PROXY ":"));
	close(fd);
	fd = come();
	say(fd, "PROXY UNKNOWN\r\n", 15);
	assert_memory_equal(next_stream()->open.source, PROXY ":", strlen(PROXY ":"));
	close(fd);
}

static void
what_is_no_header_is_a_reset(void **state)
{
	int fd = come();

	(void)state;
	say(fd, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	fd = come();
	shutdown(fd, SHUT_WR);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	assert_int_equal(agent->n_streams, 0);
	assert_int_equal(ssh()->n_visitors, 0);
}

static void
a_header_that_is_late_is_a_reset(void **state)
{
	int fd;

	(void)state;
	hurried_ms = PROXIED_MS;
	fd = come();
	say(fd, LINE, 10);
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	assert_int_equal(agent->n_streams, 0);
}

static void
others_are_never_searched_for_a_header(void **state)
{
	int fd = publictest_visit(port, NULL);
	struct fake_stream *s;

	(void)state;
	say(fd, LINE, strlen(LINE));
	s = next_stream();
	assert_memory_equal(s->open.source, "127.0.0.1:", 10);
	assert_true(gets_bytes(s, LINE, strlen(LINE)));
	close(fd);
}

static void
rules_and_limits_are_those_of_who_is_behind_it(void **state)
{
	char line[128];
	int fd;

	(void)state;
	publictest_publish(agent, "ssh", ",\"deny\":[\"198.51.100.7\"]");
	fd = come();
	say(fd, LINE, strlen(LINE));
	assert_int_equal(publictest_ends(w, fd), VISIT_RESET);
	/* The share of one address, over and over. */
	r.opts.max_streams = 10;
	for (int i = 0; i < 8; i++) {
		snprintf(line, sizeof line, "PROXY TCP4 198.51.100.%d 203.0.113.9 1 2\r\n", 8 + i);
		fd = come();
		say(fd, line, strlen(line));
		next_stream();
		/* Left open: the relay's end closes it. */
	}
}

static void
the_subscribers_of_one_network_are_one_account(void **state)
{
	static const char *const line[] = { "PROXY TCP6 2001:db8::1 2001:db8::9 1 2\r\n",
		"PROXY TCP6 2001:db8:0:ff::1 2001:db8::9 1 2\r\n",
		"PROXY TCP6 2001:db8:0:100::1 2001:db8::9 1 2\r\n" };
	uint32_t number[3];
	int fd[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		fd[i] = come();
		say(fd[i], line[i], strlen(line[i]));
		number[i] = next_stream()->open.client;
	}
	assert_int_equal(number[0], number[1]);
	assert_int_not_equal(number[0], number[2]);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* A proxy that is busy opens many connections at once, and then says whose each one is. */
static void
a_busy_proxy_is_served(void **state)
{
	enum { MANY = 90 };
	int fd[MANY];
	char line[128];

	(void)state;
	for (int i = 0; i < MANY; i++)
		fd[i] = come();
	assert_true(publictest_arrived(ssh(), MANY));
	for (int i = 0; i < MANY; i++) {
		snprintf(line, sizeof line, "PROXY TCP4 198.51.100.%d 203.0.113.9 1 2\r\n", i);
		say(fd[i], line, strlen(line));
	}
	assert_true(publictest_streams(w, agent, MANY));
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
}

static void
those_who_say_nothing_are_bounded_and_take_nobodys_place(void **state)
{
	static int fd[VISITOR_PROXIED_MAX];
	int other;

	(void)state;
	for (int i = 0; i < VISITOR_PROXIED_MAX; i += 64) {
		for (int k = 0; k < 64; k++)
			fd[i + k] = come();
		assert_true(publictest_arrived(ssh(), (unsigned)i + 64));
	}
	assert_int_equal(publictest_ends(w, come()), VISIT_RESET);
	/* Beside them the agent is waited for. */
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	other = publictest_visit(port, NULL);
	assert_true(publictest_arrived(ssh(), VISITOR_PROXIED_MAX + 1));
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	assert_int_equal(agent->n_streams, 1);
	close(other);
	for (int i = 0; i < VISITOR_PROXIED_MAX; i++)
		close(fd[i]);
}

static void
a_header_that_comes_while_the_agent_is_away_waits(void **state)
{
	int fd = come();

	(void)state;
	assert_true(publictest_arrived(ssh(), 1));
	relaytest_hang_up(agent);
	say(fd, LINE "x", strlen(LINE "x"));
	relaytest_settle(&r);
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	assert_int_equal(agent->n_streams, 1);
	assert_true(gets_bytes(agent->stream[0], "x", 1));
	close(fd);
}

/* ---- to the service ---- */

static void
the_service_is_told_before_the_first_byte(void **state)
{
	static const char *const rule[] = { ",\"proxy\":1", ",\"proxy\":2" };
	uint8_t want[PROXY_HDR_MAX + 5];
	struct addr from, to;
	size_t n;
	int fd;

	(void)state;
	assert_true(addr_literal("198.51.100.7", 40000, &from));
	assert_true(addr_literal("203.0.113.9", 443, &to));
	for (int i = 0; i < 2; i++) {
		publictest_publish(agent, "ssh", rule[i]);
		fd = come();
		say(fd, LINE "hello", strlen(LINE "hello"));
		n = proxy_hdr_build(want, i + 1, &from, &to);
		memcpy(want + n, "hello", 5);
		assert_true(gets_bytes(next_stream(), want, n + 5));
		close(fd);
	}
	/* Of one that comes by itself: its own address, and ours. */
	fd = publictest_visit(port, NULL);
	assert_int_equal(addr_local(fd, &from), 0);
	assert_int_equal(addr_peer(fd, &to), 0);
	n = proxy_hdr_build(want, 2, &from, &to);
	assert_true(gets_bytes(next_stream(), want, n));
	close(fd);
}

static void
want_of_memory_is_a_reset(void **state)
{
	enum visit how = VISIT_RESET;
	int fd = -1;

	(void)state;
	publictest_publish(agent, "ssh", ",\"proxy\":1");
	for (long n = 0; how == VISIT_RESET; n++) {
		assert_true(n < 100);
		fd = come();
		say(fd, LINE, strlen(LINE));
		mem_fail_after(n);
		relaytest_settle(&r);
		mem_fail_after(MEM_NO_FAIL);
		relaytest_settle(&r);
		how = publictest_look(fd);
		if (how != VISIT_OPEN) {
			assert_int_equal(how, VISIT_RESET);
			close(fd);
			assert_int_equal(ssh()->n_visitors, 0);
			assert_null(w->parties);
		}
	}
	assert_int_equal(ssh()->n_visitors, 1);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_proxied, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_header_says_who_it_is),
		T(the_header_may_come_byte_by_byte),
		T(both_versions_are_read),
		T(a_proxy_may_stand_for_itself),
		T(what_is_no_header_is_a_reset),
		T(a_header_that_is_late_is_a_reset),
		T(others_are_never_searched_for_a_header),
		T(rules_and_limits_are_those_of_who_is_behind_it),
		T(the_subscribers_of_one_network_are_one_account),
		T(a_busy_proxy_is_served),
		T(those_who_say_nothing_are_bounded_and_take_nobodys_place),
		T(a_header_that_comes_while_the_agent_is_away_waits),
		T(the_service_is_told_before_the_first_byte),
		T(want_of_memory_is_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
