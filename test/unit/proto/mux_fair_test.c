/* SPDX-License-Identifier: ISC */
/* mux_fair_test - one stream, one client, one flood does not pay for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/conf/jobj.h"
#include "proto/mux_int.h"
#include "test/unit/muxpair.h"

static const struct mux_config endpoint = { .endpoint = true, .keepalive_ms = 1000 };
static const struct mux_config hop = { .keepalive_ms = 1000 };

static struct side *
side(struct raw *r, int i)
{
	return &r->net.end[0].side[i];
}

/* An OPEN with these members beside the usual ones. */
static int
open_with(struct raw *r, uint32_t id, const char *more)
{
	char json[512];
	int n = snprintf(json, sizeof json,
	    "{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"service\":"
	    "\"ssh\"%s}",
	    more);

	return raw_put(r, FRAME_OPEN, 0, id, json, (size_t)n);
}

static void
drain(struct raw *r)
{
	struct frame f;

	while (raw_get(r, &f, NULL))
		;
}

/* ---- whose turn ---- */

static void
many_streams_of_one_client_weigh_as_one_of_another(void **state)
{
	const struct mux_config agent = {
		.endpoint = true, .keepalive_ms = 1000, .client_max = BUDGET_DEFAULT
	};
	size_t one = 0, many = 0;
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &agent, true);
	for (int i = 0; i < 41; i++)
		assert_int_equal(open_with(&r, (uint32_t)(2 * i + 1),
				     i == 0 ? ",\"client\":7,\"window\":10000000"
					    : ",\"client\":8,\"window\":10000000"),
		    0);
	drain(&r);
	for (int i = 0; i < 41; i++)
		assert_int_equal(side_send(side(&r, i), i == 0 ? 2000000 : 100000), 0);
	for (size_t sum = 0; sum < 2000000; sum += f.len) {
		assert_true(raw_get(&r, &f, NULL));
		*(f.id == 1 ? &one : &many) += f.len;
	}
	assert_in_range(one, 950000, 1050000);
	assert_in_range(many, 950000, 1050000);
	raw_fini(&r);
}

static void
a_keystroke_waits_for_two_kilobytes_of_each_burst(void **state)
{
	struct frame f;
	struct raw r;
	size_t before = 0;

	(void)state;
	raw_init(&r, &endpoint, true);
	for (uint32_t i = 0; i < NET_STREAMS; i++)
		assert_int_equal(raw_open(&r, 2 * i + 1), 0);
	drain(&r);
	for (int i = 0; i < NET_STREAMS - 1; i++)
		assert_int_equal(side_send(side(&r, i), 31 * 1024), 0);
	assert_int_equal(side_send(side(&r, NET_STREAMS - 1), 1), 0);
	while (raw_get(&r, &f, NULL) && f.id != 2 * NET_STREAMS - 1)
		before += f.len;
	assert_int_equal(f.len, 1);
	assert_true(
	    before <= NET_STREAMS * 2048 + NET_STREAMS * 2048 / (64 * 1024) * 16384 + 16384);
	raw_fini(&r);
}

static void
clients_are_told_apart_only_where_the_configuration_says_so(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &hop, true);
	assert_int_equal(open_with(&r, 1, ",\"client\":7"), 0);
	assert_null(((struct mux *)r.net.end[0].s)->clients);
	raw_fini(&r);
}

static void
a_client_is_forgotten_with_its_last_stream(void **state)
{
	static const uint8_t reset[] = { 0, 0, 0, CODE_RESET };
	const struct mux_config agent = {
		.endpoint = true, .keepalive_ms = 1000, .client_max = BUDGET_DEFAULT
	};
	struct raw r;

	(void)state;
	raw_init(&r, &agent, true);
	for (uint32_t id = 1; id <= 3; id += 2)
		assert_int_equal(open_with(&r, id, ",\"client\":7"), 0);
	for (uint32_t id = 1; id <= 3; id += 2) {
		assert_int_equal(HASH_COUNT(((struct mux *)r.net.end[0].s)->clients), 1);
		assert_int_equal(raw_put(&r, FRAME_RESET, 0, id, reset, sizeof reset), 0);
	}
	assert_null(((struct mux *)r.net.end[0].s)->clients);
	raw_fini(&r);
}

static void
one_client_leaves_memory_to_another(void **state)
{
	struct budget process;
	struct mux_config agent = { .endpoint = true,
		.keepalive_ms = 1000,
		.budget = &process,
		.client_max = 1024 * 1024 };
	struct raw r;

	(void)state;
	budget_init(&process, 64 * 1024 * 1024, NULL);
	raw_init(&r, &agent, true);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(open_with(&r, 2 * i + 1, ",\"client\":7,\"window\":10000000"), 0);
	for (int i = 0; i < 20; i++)
		while (stream_room(side(&r, i)->s) > 0) {
			assert_int_equal(side_send(side(&r, i), 16 * 1024), 0);
			drain(&r);
		}
	/* A part for what may come, twice as much for what is kept. */
	assert_true(process.used <= 3 * 1024 * 1024);
	assert_int_equal(open_with(&r, 99, ",\"client\":8,\"window\":10000000"), 0);
	drain(&r);
	assert_int_equal(mux_stream_find((struct mux *)r.net.end[0].s, 99)->from.window,
	    FLOW_FLOOR + 1024 * 1024 / 10 / 2);
	raw_fini(&r);
}

/* ---- OPEN, OPEN_OK and RESET take their stream's turn ---- */

static void
an_id_is_given_when_the_open_leaves(void **state)
{
	struct raw r;
	struct frame f;
	struct side a = { 0 }, b = { 0 };

	(void)state;
	raw_init(&r, &endpoint, true);
	assert_true(side_open(&a, &r.net.end[0]));
	assert_true(side_open(&b, &r.net.end[0]));
	assert_int_equal(side_send(&a, 10), 0);
	/* Nobody has heard of it: nothing of it is sent, and its number goes to the next one. */
	stream_reset(a.s, CODE_CANCELLED, "");
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_OPEN);
	assert_int_equal(f.id, 2);
	assert_false(raw_get(&r, &f, NULL));
	assert_int_equal(r.net.end[0].s->n_streams, 1);
	raw_fini(&r);
}

static void
the_answer_goes_before_bytes_and_the_reset_behind_them(void **state)
{
	static const uint8_t want[] = { FRAME_OPEN_OK, FRAME_DATA, FRAME_RESET };
	struct raw r;
	struct frame f;

	(void)state;
	raw_init(&r, &endpoint, true);
	assert_int_equal(open_with(&r, 1, ""), 0);
	assert_int_equal(side_send(side(&r, 0), 5), 0);
	stream_reset(side(&r, 0)->s, CODE_RESET, "broken");
	for (size_t i = 0; i < sizeof want; i++) {
		assert_true(raw_get(&r, &f, NULL));
		assert_int_equal(f.type, want[i]);
	}
	assert_int_equal(r.net.end[0].s->n_streams, 0);
	raw_fini(&r);
}

/* ---- faults of one stream ---- */

static void
a_malformed_open_resets_that_stream_only(void **state)
{
	static const char *const bad[] = {
		"{x",
		"[]",
		"{\"token\":\"x\",\"protocol\":\"tcp\",\"service\":\"ssh\"}",
		"{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"host\":"
		"\"m\xc3\xbcller\",\"port\":1}",
		"{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"service\":"
		"\"ssh\",\"client\":0}",
		"{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"service\":"
		"\"ssh\",\"window\":8191}",
		"{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"service\":"
		"\"ssh\",\"abilities\":\"x\"}",
		"{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"service\":"
		"\"ssh\",\"abilities\":[\"a b\"]}",
	};
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;
	struct frame f;

	(void)state;
	raw_init(&r, &endpoint, true);
	for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(raw_put(&r, FRAME_OPEN, 0, 2 * i + 1, bad[i], strlen(bad[i])), 0);
		assert_true(raw_get(&r, &f, body));
		assert_int_equal(f.type, FRAME_RESET);
		assert_int_equal(f.id, 2 * i + 1);
		assert_int_equal(get_u32be(body), CODE_PROTOCOL);
		assert_true(f.len > 4);
		/* What was under way for it is skipped. */
		assert_int_equal(raw_data(&r, 2 * i + 1, 100), 0);
		/* Its user learns that there was one more. */
		assert_int_equal(r.net.end[0].n_refused, i + 1);
	}
	assert_int_equal(open_with(&r, 99, ""), 0);
	assert_int_equal(r.net.end[0].n_opened, 1);
	assert_int_equal(r.net.end[0].n_refused, sizeof bad / sizeof bad[0]);
	raw_fini(&r);
}

static void
nothing_of_the_answering_side_precedes_its_answer(void **state)
{
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;
	struct frame f;

	(void)state;
	for (int eof = 0; eof < 2; eof++) {
		struct side a = { 0 };

		raw_init(&r, &endpoint, true);
		assert_true(side_open(&a, &r.net.end[0]));
		assert_true(raw_skip(&r, FRAME_OPEN, &f, NULL));
		/* A WINDOW may. */
		assert_int_equal(raw_window(&r, f.id, 0, 100000, 0), 0);
		assert_int_equal(eof ? raw_eof(&r, f.id, 0) : raw_data(&r, f.id, 10), 0);
		assert_true(a.closed);
		assert_int_equal(a.code, CODE_PROTOCOL);
		assert_int_equal(a.got.len, 0);
		assert_true(raw_skip(&r, FRAME_RESET, &f, body));
		assert_int_equal(get_u32be(body), CODE_PROTOCOL);
		raw_fini(&r);
	}
}

static void
a_malformed_answer_resets_that_stream_only(void **state)
{
	struct raw r;
	struct frame f;
	struct side a = { 0 };

	(void)state;
	raw_init(&r, &endpoint, true);
	assert_true(side_open(&a, &r.net.end[0]));
	assert_true(raw_skip(&r, FRAME_OPEN, &f, NULL));
	assert_int_equal(raw_put(&r, FRAME_OPEN_OK, 0, f.id, "{\"target\":1}", 12), 0);
	assert_true(a.closed);
	assert_int_equal(a.code, CODE_PROTOCOL);
	assert_true(raw_skip(&r, FRAME_RESET, &f, NULL));
	raw_fini(&r);
}

/* ---- a hop ---- */

static char text_of[2][FRAME_OPEN_MAX + 1];

/* What a hop makes of an OPEN and its answer; both texts in text_of. */
static void
pass(const char *more, const char *answer)
{
	struct raw in, out;
	struct frame f;
	struct ctl_open o;
	struct ctl_open_ok ok;
	struct errtext why;
	struct side a = { 0 };
	char json[512];
	int n = snprintf(json, sizeof json,
	    "{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\",\"service\":"
	    "\"ssh\"%s}",
	    more);

	assert_int_equal(ctl_open_parse(&o, json, (size_t)n, &why), 0);
	assert_int_equal(ctl_open_ok_parse(&ok, answer, strlen(answer), &why), 0);
	raw_init(&out, &hop, true);
	snprintf(o.source, sizeof o.source, "1.2.3.4:5");
	o.client = 3;
	a.s = session_open(out.net.end[0].s, &o, NULL, NULL, NULL, &why);
	assert_non_null(a.s);
	memset(text_of, 0, sizeof text_of);
	assert_true(raw_skip(&out, FRAME_OPEN, &f, (uint8_t *)text_of[0]));
	text_of[0][f.len] = '\0';
	raw_init(&in, &hop, true);
	in.net.end[0].hold_opened = true;
	assert_int_equal(raw_put(&in, FRAME_OPEN, 0, 1, json, (size_t)n), 0);
	/* The pair's end has answered by itself; a hop's answer is what it was told. */
	struct mux_stream *ms = mux_stream_find((struct mux *)in.net.end[0].s, 1);
	mem_free(ms->head);
	ms->head = NULL;
	assert_int_equal(stream_accept(&ms->s, &ok), 0);
	assert_true(raw_skip(&in, FRAME_OPEN_OK, &f, (uint8_t *)text_of[1]));
	text_of[1][f.len] = '\0';
	ctl_open_fini(&o);
	ctl_open_ok_fini(&ok);
	raw_fini(&in);
	raw_fini(&out);
}

static void
a_hop_passes_on_what_it_does_not_know_and_writes_its_own(void **state)
{
	(void)state;
	pass(",\"source\":\"6.6.6.6:6\",\"client\":9,\"window\":9000,\"received\":77,"
	     "\"abilities\":[\"resume\"],\"later\":{\"a\":[1,true,\"x\"]}",
	    "{\"received\":5,\"target\":\"10.0.0.1:22\",\"new\":\"y\"}");
	assert_non_null(strstr(text_of[0], "\"received\":77"));
	assert_non_null(strstr(text_of[0], "\"abilities\":[\"resume\"]"));
	assert_non_null(strstr(text_of[0], "\"later\":{\"a\":[1,true,\"x\"]}"));
	assert_non_null(strstr(text_of[0], "\"source\":\"1.2.3.4:5\""));
	assert_non_null(strstr(text_of[0], "\"client\":3"));
	assert_non_null(strstr(text_of[0], "\"window\":131072"));
	assert_null(strstr(text_of[0], "6.6.6.6"));
	assert_non_null(strstr(text_of[1], "\"received\":5"));
	assert_non_null(strstr(text_of[1], "\"target\":\"10.0.0.1:22\""));
	assert_non_null(strstr(text_of[1], "\"new\":\"y\""));
}

/* ---- work of one turn ---- */

static void
a_turn_looks_at_so_many_frames(void **state)
{
	struct raw r;
	struct end *e;
	uint8_t hdr[FRAME_HDR_LEN];
	int turns = 1, got;

	(void)state;
	raw_init(&r, &endpoint, true);
	e = &r.net.end[0];
	assert_int_equal(raw_open(&r, 1), 0);
	frame_pack(hdr, &(struct frame){ FRAME_DATA, 0, 1, 1 });
	for (int i = 0; i < 5 * MUX_WORK_TURN / 2; i++)
		assert_true(
		    bufq_copy(&e->in, hdr, sizeof hdr) == 0 && bufq_copy(&e->in, "x", 1) == 0);
	while ((got = session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why)) == SESSION_MORE)
		turns++;
	assert_int_equal(got, 0);
	assert_int_equal(turns, 3);
	assert_int_equal(side(&r, 0)->got.len, 5 * MUX_WORK_TURN / 2);
	raw_fini(&r);
}

static void
a_turn_opens_so_many_streams(void **state)
{
	static const char json[] =
	    "{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\","
	    "\"service\":\"ssh\"}";
	struct raw r;
	struct end *e;
	uint8_t hdr[FRAME_HDR_LEN];

	(void)state;
	raw_init(&r, &endpoint, true);
	e = &r.net.end[0];
	e->deny_opened = true;
	for (uint32_t i = 0; i < 1000; i++) {
		frame_pack(hdr, &(struct frame){ FRAME_OPEN, 0, sizeof json - 1, 2 * i + 1 });
		assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
		assert_int_equal(bufq_copy(&e->in, json, sizeof json - 1), 0);
	}
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), SESSION_MORE);
	assert_in_range(
	    ((struct mux *)e->s)->peer_last_id / 2 + 1, 32, MUX_WORK_TURN / MUX_WORK_OPEN);
	raw_fini(&r);
}

static void
of_a_flood_of_pings_some_and_the_last_are_answered(void **state)
{
	uint8_t hdr[FRAME_HDR_LEN], body[FRAME_BODY_MAX];
	struct raw r;
	struct end *e;
	struct frame f;
	int n = 0;

	(void)state;
	raw_init(&r, &endpoint, true);
	e = &r.net.end[0];
	frame_pack(hdr, &(struct frame){ FRAME_PING, 0, 8, 0 });
	for (uint64_t i = 1; i <= 1000; i++) {
		put_u64be(body, i);
		assert_true(
		    bufq_copy(&e->in, hdr, sizeof hdr) == 0 && bufq_copy(&e->in, body, 8) == 0);
	}
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), 0);
	while (raw_get(&r, &f, body)) {
		assert_int_equal(f.type, FRAME_PONG);
		n++;
	}
	assert_int_equal(n, MUX_PONGS_TURN + 1);
	assert_int_equal(get_u64be(body), 1000);
	raw_fini(&r);
}

/* ---- credit ---- */

static void
unused_credit_is_given_back_after_a_second(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };
	uint64_t used;

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 100000), 0);
	net_run(n);
	used = n->end[1].budget.used + n->end[2].budget.used + net_agent(n)->budget.used;
	assert_true(used > 0);
	net_wait(n, 2500);
	for (int i = 0; i < n->n; i++) {
		assert_int_equal(n->end[i].err, 0);
		assert_int_equal(n->end[i].budget.used, 0);
	}
	/* It goes on as before. */
	assert_int_equal(side_send(&a, 1000000), 0);
	net_run(n);
	assert_true(side_check(&net_agent(n)->side[0], 1100000));
	net_free(n);
	side_fini(&a);
}

static void
a_return_of_what_is_not_there_ends_the_session(void **state)
{
	static const uint64_t bad[] = { 9, 8193, UINT64_MAX };
	uint8_t body[8];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct raw r;

		raw_init(&r, &endpoint, true);
		r.net.end[0].hold_opened = true;
		assert_int_equal(open_with(&r, 1, ""), 0); /* nothing is sent: the limit is 8192 */
		assert_int_equal(raw_data(&r, 1, 10), 0);
		put_u64be(body, bad[i]);
		assert_int_equal(raw_put(&r, FRAME_RETURN, 0, 1, body, 8), ERR_PROTO);
		raw_fini(&r);
	}
}

/*
 * ---- the table of ../shared/FLOW.md at the edge: everybody has used up the budget, and does
 * nothing more ----
 */

static void
a_download_goes_on_beside_streams_that_hold_all_there_is(void **state)
{
	struct net *n = net_new_relay();
	struct side stalled[40] = { 0 }, fast = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		n->end[i].budget.max = 4 * 1024 * 1024;
	net_agent(n)->hold_opened = true;
	for (int i = 0; i < 40; i++) {
		assert_true(side_open(&stalled[i], net_client(n)));
		net_run(n);
		for (int k = 0; k < 64 && stream_room(stalled[i].s) > 0; k++) {
			assert_int_equal(side_send(&stalled[i], 32 * 1024), 0);
			net_run(n);
		}
	}
	net_agent(n)->hold_opened = false;
	assert_true(side_open(&fast, net_client(n)));
	/* Without turning the clock: no timer may be needed. */
	for (int sent = 0; sent < 8000000;) {
		size_t room = stream_room(fast.s);

		assert_true(room > 0);
		room = room < 64 * 1024 ? room : 64 * 1024;
		assert_int_equal(side_send(&fast, room), 0);
		sent += (int)room;
		net_run(n);
		/* All that was taken has arrived. */
		assert_int_equal(net_agent(n)->side[40].got.len, (size_t)sent);
	}
	for (int i = 0; i < 4; i++)
		assert_true(n->end[i].budget.used <= n->end[i].budget.max);
	net_free(n);
	side_fini(&fast);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_streams_of_one_client_weigh_as_one_of_another),
		cmocka_unit_test(a_keystroke_waits_for_two_kilobytes_of_each_burst),
		cmocka_unit_test(clients_are_told_apart_only_where_the_configuration_says_so),
		cmocka_unit_test(a_client_is_forgotten_with_its_last_stream),
		cmocka_unit_test(one_client_leaves_memory_to_another),
		cmocka_unit_test(an_id_is_given_when_the_open_leaves),
		cmocka_unit_test(the_answer_goes_before_bytes_and_the_reset_behind_them),
		cmocka_unit_test(a_malformed_open_resets_that_stream_only),
		cmocka_unit_test(nothing_of_the_answering_side_precedes_its_answer),
		cmocka_unit_test(a_malformed_answer_resets_that_stream_only),
		cmocka_unit_test(a_hop_passes_on_what_it_does_not_know_and_writes_its_own),
		cmocka_unit_test(a_turn_looks_at_so_many_frames),
		cmocka_unit_test(a_turn_opens_so_many_streams),
		cmocka_unit_test(of_a_flood_of_pings_some_and_the_last_are_answered),
		cmocka_unit_test(unused_credit_is_given_back_after_a_second),
		cmocka_unit_test(a_return_of_what_is_not_there_ends_the_session),
		cmocka_unit_test(a_download_goes_on_beside_streams_that_hold_all_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
