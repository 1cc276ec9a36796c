/* SPDX-License-Identifier: ISC */
/*
 * route_test - connections over a protocol that has one stream for each WebSocket: each has an
 * uplink of its own.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=uplink_is_up
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/connect/client.h"
#include "lib/net/f_sock.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

struct local {
	int app;
	int n_done;
	uint32_t code;
	char text[128];
};

static struct client c;
static struct route *r;
static struct ctl_open ssh;
static struct dialect single;

static void
on_done(void *arg, const struct pump_result *res)
{
	struct local *x = arg;

	x->n_done++;
	x->code = res->code;
	snprintf(x->text, sizeof x->text, "%s", res->text);
}

static int
setup(void **state)
{
	struct errtext e;

	(void)state;
	fake_uplinks_reset();
	single = dialect_fake;
	single.single = true;
	c = (struct client){ .loop = loop_new() };
	c.config.target.dialect = &single;
	c.opts.uplink.carriers = 1;
	assert_int_equal(client_init(&c), 0);
	assert_int_equal(conn_target(&ssh, CTL_TCP, "ssh", "target", &e), 0);
	r = route_get(&c, "pi");
	assert_non_null(r);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	client_fini(&c);
	loop_settle(c.loop);
	loop_free(c.loop);
	buf_pool_free();
	fake_uplinks_reset();
	return 0;
}

static void
begin(struct local *x)
{
	struct filter *f;
	int fd[2];

	*x = (struct local){ 0 };
	sockpair_tcp(fd, true);
	x->app = fd[1];
	f = f_sock_new(c.loop, fd[0], false);
	assert_non_null(f);
	assert_non_null(conn_start(r, f, &ssh, NULL, on_done, x));
}

static void
turn(void)
{
	turns_some(c.loop, 20);
}

/* Its session can do nothing beside carrying bytes. */
static void
stand(struct uplink *k)
{
	k->f->s.can = 0;
	fake_stand(k);
}

static void
each_connection_has_its_own_which_ends_with_it(void **state)
{
	struct local x[2];

	(void)state;
	assert_int_equal(fake_n_uplinks, 0);
	begin(&x[0]);
	begin(&x[1]);
	assert_int_equal(fake_n_uplinks, 2);
	/* The second stands first: it is the second connection's. */
	assert_int_equal(write(x[1].app, "two", 3), 3);
	stand(&fake_uplink[1]);
	turn();
	assert_int_equal(fake_uplink[0].f->n_streams, 0);
	assert_true(fake_got(fake_uplink[1].f->stream[0], "two"));
	stand(&fake_uplink[0]);
	assert_int_equal(fake_uplink[0].f->n_streams, 1);
	fake_end(fake_uplink[1].f->stream[0], CODE_OK, "");
	turn();
	assert_int_equal(x[1].n_done, 1);
	assert_int_equal(x[1].code, CODE_OK);
	assert_true(fake_uplink[1].finished);
	assert_false(fake_uplink[1].freed);
	fake_goodbye(&fake_uplink[1]);
	assert_true(fake_uplink[1].freed);
	assert_false(fake_uplink[0].finished);
	close(x[0].app);
	close(x[1].app);
}

static void
an_uplink_that_is_lost_is_not_dialled_again(void **state)
{
	struct local x;

	(void)state;
	begin(&x);
	/* Before the stream it is, for the connection waits. */
	fake_uplink[0].user->down(fake_uplink[0].arg, ERR_CLOSED, "nobody is there", 500);
	assert_false(fake_uplink[0].finished);
	stand(&fake_uplink[0]);
	fake_end(fake_uplink[0].f->stream[0], CODE_LOST, "cut");
	turn();
	assert_int_equal(x.code, CODE_LOST);
	assert_true(fake_uplink[0].finished);
	fake_uplink[0].user->down(fake_uplink[0].arg, ERR_EOF, "", 0);
	assert_true(fake_uplink[0].freed);
	close(x.app);
}

static void
a_shared_one_that_finds_a_single_relay_is_the_first_connections(void **state)
{
	struct local x[3];

	(void)state;
	c.config.target.dialect = &dialect_fake;
	r = route_get(&c, "lab");
	assert_int_equal(fake_n_uplinks, 1);
	begin(&x[0]);
	begin(&x[1]);
	assert_int_equal(fake_n_uplinks, 1);
	c.config.target.dialect = &single;
	stand(&fake_uplink[0]);
	assert_int_equal(fake_n_uplinks, 2);
	assert_int_equal(fake_uplink[0].f->n_streams, 1);
	stand(&fake_uplink[1]);
	assert_int_equal(fake_uplink[1].f->n_streams, 1);
	begin(&x[2]);
	assert_int_equal(fake_n_uplinks, 3);
	for (int i = 0; i < 3; i++)
		close(x[i].app);
}

static void
one_that_nobody_waits_for_is_left(void **state)
{
	struct local x;

	(void)state;
	c.config.target.dialect = &dialect_fake;
	r = route_get(&c, "lab");
	c.config.target.dialect = &single;
	stand(&fake_uplink[0]);
	assert_true(fake_uplink[0].finished);
	fake_goodbye(&fake_uplink[0]);
	assert_true(fake_uplink[0].freed);
	begin(&x);
	assert_int_equal(fake_n_uplinks, 2);
	close(x.app);
}

static void
the_local_end_is_kept_to_ourselves(void **state)
{
	struct local x;
	struct fake_stream *s;
	char got[8];

	(void)state;
	begin(&x);
	stand(&fake_uplink[0]);
	s = fake_uplink[0].f->stream[0];
	s->s.user->opened(s->s.arg, &(struct ctl_open_ok){ 0 });
	assert_int_equal(shutdown(x.app, SHUT_WR), 0);
	turn();
	assert_false(s->eof);
	assert_int_equal(x.n_done, 0);
	fake_data(s, "answer");
	turn();
	assert_int_equal(read(x.app, got, sizeof got), 6);
	fake_end(s, CODE_OK, "");
	turn();
	assert_int_equal(read(x.app, got, sizeof got), 0);
	assert_int_equal(x.code, CODE_OK);
	close(x.app);
}

static void
datagrams_are_refused_where_there_are_none(void **state)
{
	struct local x = { 0 };
	struct ctl_open o;
	struct errtext e;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(conn_target(&o, CTL_UDP, "dns", "target", &e), 0);
	assert_non_null(conn_start_datagrams(r, fd[0], &o, on_done, &x));
	stand(&fake_uplink[0]);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.code, CODE_NOT_FOUND);
	close(fd[1]);
}

static void
without_memory_for_an_uplink_the_connection_ends(void **state)
{
	struct local x;

	(void)state;
	fake_uplinks_max = 0;
	begin(&x);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.code, CODE_INTERNAL);
	assert_int_equal(c.n_conns, 0);
	close(x.app);
}

static void
the_client_ends_when_all_have_said_goodbye(void **state)
{
	struct local x[2];

	(void)state;
	begin(&x[0]);
	begin(&x[1]);
	stand(&fake_uplink[0]);
	client_cancel(&c, CMD_FAILED, "enough");
	assert_true(fake_uplink[0].finished && fake_uplink[1].finished);
	assert_int_equal(c.state, CLIENT_LEAVING);
	fake_goodbye(&fake_uplink[0]);
	assert_int_equal(c.state, CLIENT_LEAVING);
	fake_goodbye(&fake_uplink[1]);
	assert_int_equal(c.state, CLIENT_OVER);
	assert_int_equal(c.code, CMD_FAILED);
	close(x[0].app);
	close(x[1].app);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(each_connection_has_its_own_which_ends_with_it),
		T(an_uplink_that_is_lost_is_not_dialled_again),
		T(a_shared_one_that_finds_a_single_relay_is_the_first_connections),
		T(one_that_nobody_waits_for_is_left),
		T(the_local_end_is_kept_to_ourselves),
		T(datagrams_are_refused_where_there_are_none),
		T(without_memory_for_an_uplink_the_connection_ends),
		T(the_client_ends_when_all_have_said_goodbye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
