/* SPDX-License-Identifier: ISC */
/*
 * publish_test - who may publish what, and what becomes of it: agents that come, go, are replaced,
 * change their mind or lose their rights.
 *
 * link: -Wl,--wrap=timer_set
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/account.h"
#include "cmd/relay/group.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/publictest.h"
#include "test/unit/turns.h"

void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);

/* The last that was set with the grace period of this test. */
static int n_grace;

enum { GRACE_MS = 600000 };

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	n_grace += ms == GRACE_MS;
	__real_timer_set(t, ms);
}

static struct relay r;
static struct worker *w;
static struct fake_session *agent;

static int
setup(void **state)
{
	(void)state;
	n_grace = 0;
	publictest_init(&r, 1);
	r.opts.grace_ms = GRACE_MS;
	w = &r.workers[0];
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	publictest_fini(&r);
	return 0;
}

static uint16_t
publish(const char *service)
{
	return publictest_publish(agent, service, "");
}

static uint16_t
publish_at(struct fake_session *f, const char *service, uint16_t port)
{
	char more[32];

	snprintf(more, sizeof more, ",\"port\":%u", port);
	return publictest_publish(f, service, more);
}

static struct publication *
find(const char *service)
{
	return publictest_find(w, "pi", service);
}

/* Why the agent may not, in the words of the answer. */
static const char *
refusal(struct fake_session *f, const char *members)
{
	const struct request_reply *a = publictest_ask(f, members);

	assert_false(a->ok);
	assert_int_equal(a->port, 0);
	return a->error;
}

static void
assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void
leave(struct fake_session *f)
{
	relaytest_hang_up(f);
	relaytest_settle(&r);
}

/* ---- asking ---- */

static void
a_port_is_granted_and_open(void **state)
{
	uint16_t port = publish("ssh");
	const struct request_reply *a;
	char want[32];
	int fd;

	(void)state;
	assert_in_range(port, r.ingress.first, r.ingress.last);
	a = publictest_ask(agent, "\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\"");
	snprintf(want, sizeof want, "127.0.0.1:%u", port);
	assert_string_equal(a->public, want);
	fd = publictest_visit(port, NULL);
	assert_true(fd >= 0);
	close(fd);
	publictest_withdraw(agent, "ssh");
	assert_null(find("ssh"));
	assert_int_equal(publictest_visit(port, NULL), -1);
	/* There is nothing, and that is well. */
	publictest_withdraw(agent, "ssh");
	/* The one it had. */
	assert_int_equal(publish("ssh"), port);
}

static void
only_agents_publish(void **state)
{
	struct fake_session *client = relaytest_login(&r, 0, CTL_CONNECT, "pi");

	(void)state;
	assert_says(refusal(client, "\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\""),
	    "only agents");
	assert_says(refusal(client, "\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"s\""),
	    "only agents");
}

static void
what_is_not_understood_is_refused_or_ignored(void **state)
{
	static const char *const ignored[] = { "", "{}", "[", "{\"id\":0,\"request\":\"publish\"}",
		"{\"id\":7,\"ok\":true,\"public\":\"x\",\"port\":1}", "{\"id\":7,\"ok\":3}",
		"{\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		fake_control(agent, ignored[i]);
	assert_int_equal(agent->n_control, 0);
	assert_says(refusal(agent, "\"request\":\"dance\""), "no such request");
	assert_says(refusal(agent, "\"request\":\"publish\",\"kind\":\"sctp\",\"service\":\"s\""),
	    "publishes tcp,");
	refusal(agent, "\"request\":\"publish\",\"kind\":\"tcp\"");
	refusal(agent, "\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"s\",\"port\":65536");
	assert_true(TAILQ_EMPTY(&group_get(w, "pi")->published));
}

static void
a_relay_without_public_ports_says_so(void **state)
{
	struct ports *ports = r.ingress.ports;

	(void)state;
	r.ingress.ports = NULL;
	assert_says(refusal(agent, "\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\""),
	    "--ports");
	r.ingress.ports = ports;
}

static void
a_relay_that_ends_opens_no_port(void **state)
{
	(void)state;
	publish("ssh");
	atomic_store(&r.draining, true);
	publish_stop(w);
	assert_null(find("ssh"));
	assert_says(refusal(agent, "\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\""),
	    "shutting down");
	assert_null(find("ssh"));
}

static void
a_port_has_one_holder(void **state)
{
	struct fake_session *other = relaytest_login(&r, 0, CTL_AGENT, "lab");
	uint16_t port = publish("ssh");

	(void)state;
	assert_int_equal(publish_at(other, "ssh", port), 0);
	assert_says(other->control, "belongs to another service");
	assert_int_equal(publish_at(agent, "web", port), 0);
	assert_int_equal(publish_at(other, "ssh", (uint16_t)(r.ingress.last + 1)), 0);
	assert_says(other->control, "none of this relay's public ports");
	/* It is the holder's as long as its grace lasts. */
	leave(agent);
	assert_int_equal(publish_at(other, "ssh", port), 0);
	__real_timer_set(&find("ssh")->grace, 0);
	relaytest_settle(&r);
	while (find("ssh") != NULL)
		relaytest_settle(&r);
	assert_int_equal(publish_at(other, "ssh", port), port);
}

static void
a_port_of_another_program_is_not_granted(void **state)
{
	uint16_t port = publish("ssh");
	struct addr at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	publictest_withdraw(agent, "ssh");
	assert_true(addr_literal("127.0.0.1", port, &at));
	assert_int_equal(bind(fd, &at.u.sa, at.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(publish_at(agent, "ssh", port), 0);
	assert_says(agent->control, "another program listens there");
	assert_int_not_equal(publish("ssh"), 0);
	assert_int_not_equal(find("ssh")->port, port);
	close(fd);
}

static void
as_many_as_the_credentials_say(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < CREDS_SERVICES_DEFAULT; i++) {
		snprintf(name, sizeof name, "s%d", i);
		assert_int_not_equal(publish(name), 0);
	}
	assert_int_equal(publish("more"), 0);
	assert_says(agent->control, "may publish 16 services");
	/* What is there may be asked for again, and elsewhere. */
	assert_int_not_equal(publish("s3"), 0);
	assert_int_equal(publish_at(agent, "s3", r.ingress.last), r.ingress.last);
	publictest_withdraw(agent, "s0");
	assert_int_not_equal(publish("more"), 0);
}

static void
the_same_service_at_another_port_is_moved(void **state)
{
	uint16_t port = publish("ssh"), other = publish("web");
	int fd = publictest_visit(port, NULL);

	(void)state;
	publictest_withdraw(agent, "web");
	assert_true(publictest_streams(w, agent, 1));
	assert_int_equal(publish_at(agent, "ssh", other), other);
	assert_int_equal(publictest_visit(port, NULL), -1);
	/* Who is carried stays. */
	relaytest_settle(&r);
	assert_int_equal(publictest_look(fd), VISIT_OPEN);
	assert_false(agent->stream[0]->over);
	assert_int_equal(find("ssh")->port, other);
	assert_int_equal(find("ssh")->n_visitors, 0);
	close(fd);
	/* One that cannot be had changes nothing. */
	assert_int_equal(publish_at(agent, "ssh", (uint16_t)(r.ingress.last + 1)), 0);
	assert_int_equal(find("ssh")->port, other);
	assert_int_equal(publish("ssh"), other);
}

/* The relay's end of the visitor's connection; -1: there is none. */
static int
relays_end(int fd)
{
	struct addr us, peer;

	assert_int_equal(addr_local(fd, &us), 0);
	for (int i = 3; i < 256; i++)
		if (i != fd && addr_peer(i, &peer) == 0 && peer.u.sa.sa_family == AF_INET &&
		    addr_port(&peer) == addr_port(&us))
			return i;
	return -1;
}

static void
a_visitor_who_vanished_is_noticed(void **state)
{
	static const struct {
		int level, name, value;
	} want[] = { { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 60 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15 }, { IPPROTO_TCP, TCP_KEEPCNT, 4 } };
	int fd = publictest_visit(publish("ssh"), NULL), end, value;
	socklen_t len = sizeof value;

	(void)state;
	assert_true(publictest_streams(w, agent, 1));
	end = relays_end(fd);
	assert_true(end >= 0);
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		assert_int_equal(getsockopt(end, want[i].level, want[i].name, &value, &len), 0);
		assert_int_equal(value, want[i].value);
	}
	close(fd);
}

static void
a_port_of_udp_is_told_as_one_of_tcp(void **state)
{
	const struct request_reply *a =
	    publictest_ask(agent, "\"request\":\"publish\",\"kind\":\"udp\",\"service\":\"dns\"");
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_true(a->ok);
	assert_in_range(a->port, r.ingress.first, r.ingress.last);
	at.sin_port = htons(a->port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
}

/* ---- credentials ---- */

#define ENTRY(more) "{\"edge-agents\":{\"pi\":{\"secret\":\"s\"" more "}}}"

static void
log_in_with(const char *creds)
{
	leave(agent);
	relaytest_creds(&r, creds);
	agent = relaytest_peer(&r, 0, NULL);
	fake_hello(agent, CTL_AGENT, "pi", "s", 200);
	relaytest_settle(&r);
	assert_true(agent->greeted);
}

static void
the_credentials_say_which_ports_and_services(void **state)
{
	char json[256];

	(void)state;
	snprintf(
	    json, sizeof json, ENTRY(",\"services\":[\"ssh\"],\"ports\":[%u]"), r.ingress.last);
	log_in_with(json);
	assert_int_equal(publish_at(agent, "ssh", r.ingress.first), 0);
	assert_says(agent->control, "do not allow");
	assert_int_equal(publish("web"), 0);
	assert_says(agent->control, "do not name web");
	assert_int_equal(publish("ssh"), r.ingress.last);
	publictest_withdraw(agent, "ssh");
	relaytest_creds(&r, ENTRY(",\"ports\":[1]"));
	assert_int_equal(publish("ssh"), 0);
	assert_says(agent->control, "none of this relay's public ports is free for this agent");
}

static void
what_a_reload_forbids_ends(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	log_in_with(ENTRY(""));
	port = publish("ssh");
	publish("web");
	fd = publictest_visit(port, NULL);
	assert_true(publictest_streams(w, agent, 1));
	publish_check(w);
	assert_non_null(find("ssh"));
	relaytest_creds(&r, ENTRY(",\"services\":[\"web\"]"));
	publish_check(w);
	assert_null(find("ssh"));
	assert_non_null(find("web"));
	assert_int_equal(publictest_visit(port, NULL), -1);
	assert_int_equal(publictest_look(fd), VISIT_OPEN);
	relaytest_creds(&r, ENTRY(",\"ports\":[1]"));
	publish_check(w);
	assert_null(find("web"));
	close(fd);
}

static void
what_a_reload_ends_is_told_to_each_session(void **state)
{
	struct fake_session *second;

	(void)state;
	log_in_with(ENTRY(""));
	publish("ssh");
	publish("web");
	second = relaytest_peer(&r, 0, NULL);
	fake_hello(second, CTL_AGENT, "pi", "s", 200);
	relaytest_settle(&r);
	agent->control[0] = '\0';
	relaytest_creds(&r, ENTRY(",\"services\":[\"web\"]"));
	publish_check(w);
	assert_string_equal(agent->control,
	    "{\"id\":1,\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"ssh\"}");
	assert_string_equal(second->control, agent->control);
	relaytest_creds(&r, ENTRY(",\"ports\":[1]"));
	publish_check(w);
	assert_string_equal(agent->control,
	    "{\"id\":2,\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"web\"}");
}

static void
what_waits_for_its_agent_makes_way_for_others(void **state)
{
	(void)state;
	log_in_with(ENTRY(",\"max-services\":2"));
	publish("first");
	publish("second");
	log_in_with(ENTRY(",\"max-services\":2"));
	assert_int_equal(find("first")->state, PUBLICATION_AWAY);
	assert_true(publish("third") != 0);
	assert_non_null(find("first"));
	assert_null(find("second"));
	assert_true(publish("first") != 0);
	/* What it has asked for does not. */
	assert_int_equal(publish("fourth"), 0);
	assert_says(agent->control, "this agent may publish 2 services");
	assert_non_null(find("first"));
	assert_non_null(find("third"));
}

static void
an_agent_that_is_revoked_while_it_is_away_loses_its_ports(void **state)
{
	(void)state;
	log_in_with(ENTRY(""));
	publish("ssh");
	leave(agent);
	publish_check(w);
	assert_non_null(find("ssh"));
	relaytest_creds(&r, "{\"edge-agents\":{\"lab\":\"x\"}}");
	publish_check(w);
	assert_null(w->groups);
}

/* ---- away and back ---- */

static void
the_ports_stay_for_the_agent_that_comes_back(void **state)
{
	uint16_t port = publish("ssh"), old = publish("old");

	(void)state;
	leave(agent);
	assert_int_equal(n_grace, 2);
	assert_int_equal(find("ssh")->state, PUBLICATION_AWAY);
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	/* Until it has asked for it. */
	assert_int_equal(find("ssh")->state, PUBLICATION_AWAY);
	assert_true(timer_pending(&find("ssh")->grace));
	assert_int_equal(publish("ssh"), port);
	assert_int_equal(find("ssh")->state, PUBLICATION_LIVE);
	assert_false(timer_pending(&find("ssh")->grace));
	/* What it does not ask for ends. */
	__real_timer_set(&find("old")->grace, 0);
	while (find("old") != NULL)
		relaytest_settle(&r);
	assert_int_equal(publictest_visit(old, NULL), -1);
	assert_non_null(find("ssh"));
}

static void
another_instance_takes_over(void **state)
{
	uint16_t port = publish("ssh");
	struct fake_session *next = relaytest_login(&r, 0, CTL_AGENT, "pi");

	(void)state;
	assert_int_equal(agent->away_code, CODE_REPLACED);
	assert_int_equal(find("ssh")->state, PUBLICATION_AWAY);
	agent = next;
	assert_int_equal(publish("ssh"), port);
	assert_int_equal(find("ssh")->state, PUBLICATION_LIVE);
}

/* An agent that was restarted with another name for what stands at a port. */
static void
a_kept_port_is_its_agents_to_use_otherwise(void **state)
{
	uint16_t port = publish("ssh"), live;

	(void)state;
	leave(agent);
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	live = publish("web");
	assert_int_equal(publish_at(agent, "shell", port), port);
	assert_null(find("ssh"));
	/* One that is not kept, but in use, is not given up. */
	assert_int_equal(publish_at(agent, "other", live), 0);
	assert_int_equal(find("web")->port, live);
}

static void
without_grace_the_port_goes_with_the_agent(void **state)
{
	uint16_t port = publish("ssh");

	(void)state;
	r.opts.grace_ms = 0;
	leave(agent);
	while (w->groups != NULL)
		relaytest_settle(&r);
	assert_int_equal(publictest_visit(port, NULL), -1);
}

static void
each_carrier_may_ask_for_the_same(void **state)
{
	struct fake_session *second = relaytest_peer(&r, 0, NULL);
	uint16_t port = publish("ssh");

	(void)state;
	fake_hello(
	    second, CTL_AGENT, "pi", "", TAILQ_FIRST(&find("ssh")->group->agents)->instance[0]);
	relaytest_settle(&r);
	assert_int_equal(publictest_publish(second, "ssh", ",\"max_rate\":9"), port);
	assert_int_equal(find("ssh")->rules.max_rate, 9);
	leave(agent);
	assert_int_equal(find("ssh")->state, PUBLICATION_LIVE);
	leave(second);
	assert_int_equal(find("ssh")->state, PUBLICATION_AWAY);
}

static void
the_agent_comes_back_to_the_worker_of_its_ports(void **state)
{
	uint16_t port;

	(void)state;
	publictest_fini(&r);
	publictest_init(&r, 3);
	agent = relaytest_login(&r, 2, CTL_AGENT, "pi");
	port = publish("ssh");
	w = &r.workers[0];
	assert_non_null(find("ssh"));
	leave(agent);
	/* Others fill the worker, and the name keeps it. */
	for (int i = 0; i < 3; i++)
		relaytest_login(&r, 0, CTL_AGENT, i == 0 ? "a" : i == 1 ? "b" : "c");
	agent = relaytest_login(&r, 1, CTL_AGENT, "pi");
	assert_int_equal(publish("ssh"), port);
	assert_int_equal(find("ssh")->state, PUBLICATION_LIVE);
}

static void
two_workers_agents_want_one_port(void **state)
{
	struct fake_session *other;
	uint16_t port;

	(void)state;
	publictest_fini(&r);
	publictest_init(&r, 2);
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	other = relaytest_login(&r, 0, CTL_AGENT, "lab");
	port = publish("ssh");
	assert_non_null(publictest_find(&r.workers[0], "pi", "ssh"));
	assert_int_equal(publish_at(other, "ssh", port), 0);
	assert_int_not_equal(publictest_publish(other, "ssh", ""), 0);
	assert_non_null(publictest_find(&r.workers[1], "lab", "ssh"));
	publictest_withdraw(agent, "ssh");
	assert_int_equal(publish_at(other, "ssh", port), port);
}

/* ---- log ---- */

static void
the_log_is_not_the_agents_to_fill(void **state)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	size_t lines = 0;
	char c;

	(void)state;
	publish("ssh");
	relaytest_settle(&r);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, fd);
	for (int i = 0; i < 300; i++) {
		publictest_withdraw(agent, "ssh");
		assert_int_not_equal(publish("ssh"), 0);
	}
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	for (off_t at = 0; pread(fd, &c, 1, at) == 1; at++)
		lines += c == '\n';
	close(fd);
	/* Two of each round, as far as they go. */
	assert_in_range(lines, 100, ACCOUNT_LOG_LINES + 1);
}

/* ---- memory ---- */

static void
want_of_memory_is_an_answer_or_none(void **state)
{
	struct publication *pub;
	bool done = false;

	(void)state;
	for (long n = 0; !done; n++) {
		int before = agent->n_control;

		assert_true(n < 200);
		mem_fail_after(n);
		fake_control(agent,
		    "{\"id\":5,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\","
		    "\"max_rate\":7}");
		mem_fail_after(MEM_NO_FAIL);
		pub = find("ssh");
		if (agent->n_control > before)
			assert_int_equal(
			    pub != NULL, strstr(agent->control, "\"ok\":true") != NULL);
		done = pub != NULL && agent->n_control > before;
		if (pub != NULL)
			publictest_withdraw(agent, "ssh");
		relaytest_settle(&r);
		/* Nothing is held by what has failed. */
		assert_int_not_equal(publish_at(agent, "other", r.ingress.last), 0);
		publictest_withdraw(agent, "other");
		relaytest_settle(&r);
	}
}

static void
publish_once(void)
{
	publish("ssh");
	publictest_publish(agent, "ssh", ",\"max_rate\":7,\"max_connections\":3");
	publish_at(agent, "ssh", (uint16_t)(r.ingress.last + 1));
	publictest_withdraw(agent, "ssh");
	relaytest_settle(&r);
}

static void
what_is_withdrawn_leaves_nothing_behind(void **state)
{
	(void)state;
	heap_is_given_back(publish_once);
}

static void
no_descriptor_stays_open(void **state)
{
	int before, after;

	(void)state;
	publish_once();
	before = dup(0);
	close(before);
	for (int i = 0; i < 10; i++)
		publish_once();
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_port_is_granted_and_open),
		T(only_agents_publish),
		T(what_is_not_understood_is_refused_or_ignored),
		T(a_relay_without_public_ports_says_so),
		T(a_relay_that_ends_opens_no_port),
		T(a_port_has_one_holder),
		T(a_port_of_another_program_is_not_granted),
		T(as_many_as_the_credentials_say),
		T(the_same_service_at_another_port_is_moved),
		T(the_credentials_say_which_ports_and_services),
		T(a_port_of_udp_is_told_as_one_of_tcp),
		T(what_a_reload_forbids_ends),
		T(what_a_reload_ends_is_told_to_each_session),
		T(what_waits_for_its_agent_makes_way_for_others),
		T(an_agent_that_is_revoked_while_it_is_away_loses_its_ports),
		T(the_ports_stay_for_the_agent_that_comes_back),
		T(another_instance_takes_over),
		T(a_kept_port_is_its_agents_to_use_otherwise),
		T(a_visitor_who_vanished_is_noticed),
		T(without_grace_the_port_goes_with_the_agent),
		T(each_carrier_may_ask_for_the_same),
		T(the_agent_comes_back_to_the_worker_of_its_ports),
		T(two_workers_agents_want_one_port),
		T(the_log_is_not_the_agents_to_fill),
		T(want_of_memory_is_an_answer_or_none),
		T(what_is_withdrawn_leaves_nothing_behind),
		T(no_descriptor_stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
