/* SPDX-License-Identifier: ISC */
/*
 * forward_test - what -L and -D may say, and where their connections go.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams
 * link: -Wl,--wrap=listen_accept,--wrap=timer_set,--wrap=io_init
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/connect/connect.h"
#include "lib/base/mem.h"
#include "lib/conf/jobj.h"
#include "lib/net/addr.h"
#include "test/unit/heap.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/listen_on.h"
#include "test/unit/turns.h"

enum { PAUSE_MS = 100, TURN_MAX = 64 };

int __wrap_listen_accept(int listener, int *fd, struct addr *peer);
int __real_listen_accept(int listener, int *fd, struct addr *peer);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);
int __wrap_io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg);
int __real_io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg);

static struct client c;
static struct forward_list list;
static struct errtext e;
/* What the next accept says, 0: what there is; how many were accepted, the most in one turn. */
static int accept_error, n_accepted, n_in_turn, most_in_turn;
static uint64_t turn;
/* The end of a pause, which the test brings about. */
static struct timer *pause_end;
/* Nothing can be watched. */
static bool no_io;

int
__wrap_listen_accept(int listener, int *fd, struct addr *peer)
{
	int r = accept_error;

	accept_error = 0;
	if (r == 0)
		r = __real_listen_accept(listener, fd, peer);
	if (r != 0)
		return r;
	n_in_turn = turn == loop_turn(c.loop) ? n_in_turn + 1 : 1;
	turn = loop_turn(c.loop);
	most_in_turn = n_in_turn > most_in_turn ? n_in_turn : most_in_turn;
	n_accepted++;
	return 0;
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	if (ms == PAUSE_MS)
		pause_end = t;
	else
		__real_timer_set(t, ms);
}

int
__wrap_io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg)
{
	return no_io ? ERR_NOMEM : __real_io_init(io, l, fd, edge, fn, arg);
}

static int
setup(void **state)
{
	(void)state;
	fake_uplinks_reset();
	c = (struct client){ .loop = loop_new() };
	c.config.target.dialect = &dialect_fake;
	c.opts.uplink.carriers = 1;
	assert_int_equal(client_init(&c), 0);
	TAILQ_INIT(&list);
	e.s[0] = '\0';
	accept_error = n_accepted = n_in_turn = most_in_turn = 0;
	turn = 0;
	pause_end = NULL;
	no_io = false;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	forwards_free(&list);
	client_fini(&c);
	socks_free_all(&c);
	loop_settle(c.loop);
	loop_free(c.loop);
	buf_pool_free();
	fake_uplinks_reset();
	return 0;
}

/* The port, or the address, of the n-th of "local" or "socks" in the ready file. */
static int
listens(const char *kind, size_t n, const char *address)
{
	char *json = forwards_json(&list);
	struct jobj *o = NULL;
	const struct jobj *one;
	int64_t port = 0;

	assert_non_null(json);
	assert_int_equal(jobj_parse(json, strlen(json), 4096, &o, &e), 0);
	assert_true(jobj_as_int(jobj_get(o, "pid"), &port));
	assert_int_equal(port, getpid());
	assert_true(jobj_count(jobj_get(o, kind)) > n);
	one = jobj_at(jobj_get(o, kind), n);
	assert_string_equal(jobj_as_str(jobj_get(one, "address")), address);
	assert_true(jobj_as_int(jobj_get(one, "port"), &port));
	jobj_free(o);
	mem_free(json);
	return (int)port;
}

static bool
has_streams(void *n)
{
	return fake_n_uplinks > 0 && fake_uplink[0].f->n_streams >= *(size_t *)n;
}

static void
a_local_port_leads_to_its_target(void **state)
{
	size_t n = 1;
	int fd;

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	assert_int_equal(forward_local(&c, &list, "127.0.0.1:0=pi:10.0.0.7:5432", &e), 0);
	assert_int_equal(fake_n_uplinks, 1);
	assert_string_equal(fake_uplink[0].name, "pi");
	fake_stand(&fake_uplink[0]);
	fd = listen_visit((uint16_t)listens("local", 0, "127.0.0.1"));
	assert_true(turns_until(c.loop, has_streams, &n));
	assert_string_equal(fake_uplink[0].f->stream[0]->open.service, "db");
	close(fd);
	n = 2;
	fd = listen_visit((uint16_t)listens("local", 1, "127.0.0.1"));
	assert_true(turns_until(c.loop, has_streams, &n));
	assert_string_equal(fake_uplink[0].f->stream[1]->open.host, "10.0.0.7");
	assert_int_equal(fake_uplink[0].f->stream[1]->open.port, 5432);
	close(fd);
}

static bool
has_conns(void *arg)
{
	return ((struct client *)arg)->n_conns > 0 || !TAILQ_EMPTY(&((struct client *)arg)->socks);
}

static void
a_socks_port_speaks_socks(void **state)
{
	size_t n = 1;
	int fd;

	(void)state;
	assert_int_equal(forward_socks(&c, &list, "[::1]:0=lab", &e), 0);
	listens("socks", 0, "::1");
	assert_int_equal(forward_socks(&c, &list, "0=lab", &e), 0);
	assert_int_equal(fake_n_uplinks, 1);
	fake_stand(&fake_uplink[0]);
	fd = listen_visit((uint16_t)listens("socks", 1, "127.0.0.1"));
	assert_int_equal(write(fd, "\5\1\0\5\1\0\3\1x\0\7", 11), 11);
	assert_true(turns_until(c.loop, has_streams, &n));
	assert_string_equal(fake_uplink[0].f->stream[0]->open.host, "x");
	assert_int_equal(fake_uplink[0].f->stream[0]->open.port, 7);
	close(fd);
}

static void
a_unix_socket_is_only_ours(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char spec[160];
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(a.sun_path, sizeof a.sun_path, "/tmp/forward_test.%d", (int)getpid());
	snprintf(spec, sizeof spec, "unix:%s=pi:db", a.sun_path);
	assert_int_equal(forward_local(&c, &list, spec, &e), 0);
	listens("local", 0, "unix");
	assert_int_equal(stat(a.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_true(turns_until(c.loop, has_conns, &c));
	forwards_stop(&list);
	assert_int_not_equal(stat(a.sun_path, &st), 0);
	close(fd);
}

static void
all_addresses_are_a_star(void **state)
{
	(void)state;
	assert_int_equal(forward_local(&c, &list, "*:0=pi:db", &e), 0);
	assert_true(listens("local", 0, "::") > 0);
}

static void
after_the_stop_nobody_listens_and_the_rest_goes_on(void **state)
{
	int fd, port;

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	port = listens("local", 0, "127.0.0.1");
	fd = listen_visit((uint16_t)port);
	assert_true(turns_until(c.loop, has_conns, &c));
	forwards_stop(&list);
	assert_int_equal(listen_visit((uint16_t)port), -1);
	assert_int_equal(c.n_conns, 1);
	forwards_stop(&list); /* twice is once */
	close(fd);
}

static void
what_makes_no_sense_is_refused_with_its_text(void **state)
{
	static const struct {
		bool socks;
		const char *spec, *says;
	} bad[] = {
		{ false, "5432", "-L 5432: not of the form" },
		{ false, "5432=pi", "-L 5432=pi: not of the form" },
		{ false, "0=:db", "not of the form" },
		{ false, "0=a\001b:db", "not of the form" },
		{ false, "0=pi:", "-L 0=pi:" },
		{ false, "0=pi:host:0", "-L 0=pi:host:0" },
		{ false, "=pi:db", "-L =pi:db" },
		{ false, "nonsense=pi:db", "-L nonsense=pi:db" },
		{ false, "70000=pi:db", "-L 70000=pi:db" },
		{ true, "0", "-D 0: not of the form [BIND:]PORT=AGENT" },
		{ true, "0=pi:db", "-D 0=pi:db: not of the form" },
		{ true, "0=", "not of the form" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int r = bad[i].socks ? forward_socks(&c, &list, bad[i].spec, &e)
				     : forward_local(&c, &list, bad[i].spec, &e);

		if (r != ERR_INVALID || strstr(e.s, bad[i].says) == NULL)
			fail_msg("%s: %d, %s", bad[i].spec, r, e.s);
	}
	assert_int_equal(fake_n_uplinks, 0);
}

static void
a_long_bind_is_not_cut_short(void **state)
{
	char spec[ADDR_TEXT + 16];

	(void)state;
	memset(spec, '1', sizeof spec);
	memcpy(spec + ADDR_TEXT, "=pi:db", 7);
	assert_int_equal(forward_local(&c, &list, spec, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "not of the form"));
}

static void
a_port_in_use_is_told(void **state)
{
	char spec[64];

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	snprintf(spec, sizeof spec, "%d=pi:db", listens("local", 0, "127.0.0.1"));
	assert_int_not_equal(forward_socks(&c, &list, "0=lab:x", &e), 0);
	assert_int_not_equal(forward_local(&c, &list, spec, &e), 0);
	assert_non_null(strstr(e.s, spec));
}

/* ---- accepting ---- */

static bool
has_accepted(void *n)
{
	return n_accepted >= *(int *)n;
}

static bool
is_paused(void *arg)
{
	(void)arg;
	return pause_end != NULL;
}

static void
wait_for(int n)
{
	assert_true(turns_until(c.loop, has_accepted, &n));
	assert_int_equal(n_accepted, n);
}

static void
a_turn_is_bounded(void **state)
{
	enum { N = TURN_MAX + 3 };
	int fd[N], port;

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	port = listens("local", 0, "127.0.0.1");
	for (int i = 0; i < N; i++)
		fd[i] = listen_visit((uint16_t)port);
	wait_for(N);
	assert_int_equal(most_in_turn, TURN_MAX);
	for (int i = 0; i < N; i++)
		close(fd[i]);
}

static void
an_accept_that_fails_is_not_the_last(void **state)
{
	static const int errors[] = { ERR_CLOSED, ERR_SYS };

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	for (int i = 0; i < 2; i++) {
		accept_error = errors[i];
		close(listen_visit((uint16_t)listens("local", 0, "127.0.0.1")));
		/* What is the listener's own trouble gets a rest, so that it is no busy loop. */
		if (errors[i] == ERR_SYS) {
			assert_true(turns_until(c.loop, is_paused, NULL));
			pause_end->fn(pause_end->arg);
		}
		wait_for(i + 1);
		assert_int_equal(pause_end != NULL, errors[i] == ERR_SYS);
	}
}

static void
without_descriptors_accepting_rests(void **state)
{
	int fd[2], port;

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	port = listens("local", 0, "127.0.0.1");
	for (int i = 0; i < 2; i++)
		fd[i] = listen_visit((uint16_t)port);
	/*
	 * The first one is closed with the descriptor in reserve, the second waits for the end of
	 * the pause.
	 */
	accept_error = ERR_LIMIT;
	assert_true(turns_until(c.loop, is_paused, NULL));
	for (int i = 0; i < 20; i++)
		loop_settle(c.loop);
	assert_int_equal(n_accepted, 0);
	pause_end->fn(pause_end->arg);
	wait_for(1);
	close(fd[0]);
	close(fd[1]);
	close(listen_visit((uint16_t)port));
	wait_for(2);
}

static void
without_memory_a_connection_is_dropped_and_the_next_is_not(void **state)
{
	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	for (long n = 0; n < 3; n++) {
		int before = n_accepted,
		    fd = listen_visit((uint16_t)listens("local", 0, "127.0.0.1"));
		char byte;

		mem_fail_after(n);
		wait_for(before + 1);
		mem_fail_after(MEM_NO_FAIL);
		loop_settle(c.loop);
		if (n == 0) {
			/* Without a filter it is reset: an end would look like an answer. */
			assert_int_equal(recv(fd, &byte, 1, 0), -1);
			assert_int_equal(errno, ECONNRESET);
			assert_int_equal(c.n_conns, 0);
		}
		close(fd);
	}
}

static void
what_cannot_be_watched_is_refused(void **state)
{
	(void)state;
	no_io = true;
	assert_int_not_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	assert_non_null(strstr(e.s, "-L 0=pi:db: cannot watch the socket"));
}

/* One that just fits, and what else may stand before the port. */
static void
an_agents_name_and_a_bind_have_their_bounds(void **state)
{
	char spec[CTL_AGENT_MAX + 16] = "0=";

	(void)state;
	memset(spec + 2, 'x', CTL_AGENT_MAX);
	strcpy(spec + 2 + CTL_AGENT_MAX, ":db");
	assert_int_equal(forward_local(&c, &list, spec, &e), 0);
	memset(spec + 2, 'x', CTL_AGENT_MAX + 1);
	strcpy(spec + 2 + CTL_AGENT_MAX + 1, ":db");
	assert_int_equal(forward_local(&c, &list, spec, &e), ERR_INVALID);
	assert_int_equal(forward_socks(&c, &list, "127.0.0.1:0=pi", &e), 0);
	assert_int_equal(forward_local(&c, &list, "=pi:db", &e), ERR_INVALID);
}

static void
without_memory_there_is_no_ready_file(void **state)
{
	char *text = NULL;
	long n = 0;

	(void)state;
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	assert_int_equal(forward_socks(&c, &list, "0=pi", &e), 0);
	for (; text == NULL && n < 1000; n++) {
		mem_fail_after(n);
		text = forwards_json(&list);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(text == NULL || (strstr(text, "\"local\":[{") != NULL &&
						strstr(text, "\"socks\":[{") != NULL));
	}
	assert_non_null(text);
	assert_true(n > 1);
	mem_free(text);
}

/* The number of a descriptor that was closed is soon another's. */
static void
a_stop_closes_each_listener_once(void **state)
{
	int before = dup(0), taken[2];

	(void)state;
	close(before);
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	assert_int_equal(forward_socks(&c, &list, "0=pi", &e), 0);
	forwards_stop(&list);
	for (int i = 0; i < 2; i++)
		assert_true((taken[i] = dup(0)) >= 0);
	forwards_stop(&list);
	forwards_free(&list);
	for (int i = 0; i < 2; i++)
		assert_int_equal(close(taken[i]), 0);
}

static void
round_trip(void)
{
	setup(NULL);
	assert_int_equal(forward_local(&c, &list, "0=pi:db", &e), 0);
	assert_int_equal(forward_socks(&c, &list, "0=lab", &e), 0);
	close(listen_visit((uint16_t)listens("local", 0, "127.0.0.1")));
	wait_for(1);
	teardown(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_local_port_leads_to_its_target),
		TEST(a_socks_port_speaks_socks),
		TEST(a_unix_socket_is_only_ours),
		TEST(all_addresses_are_a_star),
		TEST(after_the_stop_nobody_listens_and_the_rest_goes_on),
		TEST(what_makes_no_sense_is_refused_with_its_text),
		TEST(a_long_bind_is_not_cut_short),
		TEST(a_port_in_use_is_told),
		TEST(a_turn_is_bounded),
		TEST(an_accept_that_fails_is_not_the_last),
		TEST(a_stop_closes_each_listener_once),
		TEST(without_descriptors_accepting_rests),
		TEST(without_memory_a_connection_is_dropped_and_the_next_is_not),
		TEST(what_cannot_be_watched_is_refused),
		TEST(an_agents_name_and_a_bind_have_their_bounds),
		TEST(without_memory_there_is_no_ready_file),
		cmocka_unit_test(everything_is_given_back),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
