/* SPDX-License-Identifier: ISC */
/*
 * login_test - who is let in at a relay, on which worker, whom that displaces, and when somebody
 * has to go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/group.h"
#include "cmd/relay/registry.h"
#include "lib/base/err.h"
#include "test/unit/heardlog.h"
#include "test/unit/memfilter.h"
#include "test/unit/relaytest.h"

#define PI                                                                                  \
	"{\"edge-agents\":{\"pi\":\"secret\",\"b\":\"secret\"},\"access-client-secrets\":[" \
	"\"shared\"]}"

static int
setup_n(void **state, int n)
{
	static struct relay r;

	relaytest_init(&r, n);
	*state = &r;
	return 0;
}

static int
setup(void **state)
{
	return setup_n(state, 1);
}

/* Three workers; the names "w0", "w1" and "w2" belong to those. */
static int
setup_three(void **state)
{
	if (setup_n(state, 3) != 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof name, "w%d", i);
		relaytest_login(*state, 0, CTL_AGENT, name);
	}
	return 0;
}

static int
teardown(void **state)
{
	relaytest_fini(*state);
	return 0;
}

static bool
is_out(const struct fake_session *f, uint32_t code)
{
	return !f->greeted && f->n_away > 0 && f->away_code == code;
}

static bool
on_worker(struct relay *r, int w, const char *name, size_t agents, size_t clients)
{
	struct group *g;
	struct peer *p;

	HASH_FIND_STR(r->workers[w].groups, name, g);
	if (g == NULL)
		return agents + clients == 0;
	TAILQ_FOREACH (p, &g->agents, group_link)
		agents--;
	TAILQ_FOREACH (p, &g->clients, group_link)
		clients--;
	return agents == 0 && clients == 0;
}

/* ---- the way in ---- */

static size_t
count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
		n++;
	return n;
}

/* Whoever guesses secrets leaves the log to others, and is counted. */
static void
lines_about_refused_logins_are_limited_by_address(void **state)
{
	struct relay *r = *state;
	const char *text;

	relaytest_creds(r, "{\"edge-agents\":{\"pi\":\"good\"}}");
	heardlog_begin(LOG_LEVEL_INFO);
	relaytest_from("198.51.100.1");
	for (int i = 0; i < LOG_LIMIT_FEW + 3; i++)
		fake_hello(relaytest_peer(r, 0, NULL), CTL_AGENT, "pi", "bad", 1);
	relaytest_from("198.51.100.2");
	fake_hello(relaytest_peer(r, 0, NULL), CTL_AGENT, "pi", "bad", 1);
	relaytest_hang_up_all();
	relaytest_settle(r);
	accounts_sweep(r->accounts, loop_now_ms(r->workers[0].loop) + ACCOUNT_KEEP_MS);
	text = heardlog_end();
	assert_int_equal(count(text, "from 198.51.100.1:"), LOG_LIMIT_FEW);
	assert_int_equal(count(text, "from 198.51.100.2:"), 1);
	assert_int_equal(count(text, "refused logins of 198.51.100.1: 3 lines left out"), 1);
	assert_int_equal(count(text, "left out"), 1);
	relaytest_from("192.0.2.7");
}

static void
a_login_is_greeted(void **state)
{
	struct relay *r = *state;
	int settled = 0;
	struct fake_session *f = relaytest_peer(r, 0, &settled);

	assert_int_equal(settled, 0);
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "", 1), SESSION_GO_ON);
	assert_true(f->greeted);
	assert_int_equal(f->hello.role, CTL_RELAY);
	assert_int_equal(f->hello.keepalive_ms, 60000);
	assert_memory_equal(f->hello.instance, r->instance, CTL_TOKEN_LEN);
	assert_int_equal(settled, 1);
	assert_true(on_worker(r, 0, "pi", 1, 0));
	assert_int_equal(atomic_load(&r->counts.agents), 1);
	relaytest_hang_up(f);
	relaytest_settle(r);
	assert_int_equal(settled, 1);
	assert_true(f->freed);
	assert_true(on_worker(r, 0, "pi", 0, 0));
	assert_int_equal(atomic_load(&r->counts.agents), 0);
}

static void
names_and_roles_must_make_sense(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	assert_int_equal(fake_hello(f, CTL_RELAY, "pi", "", 1), SESSION_REFUSED);
	assert_true(is_out(f, CODE_PROTOCOL));
	f = relaytest_peer(r, 0, NULL);
	assert_int_equal(fake_hello(f, CTL_AGENT, "-pi", "", 1), SESSION_REFUSED);
	assert_true(is_out(f, CODE_PROTOCOL));
}

static void
the_secret_decides(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	relaytest_creds(r, PI);
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "wrong", 1), SESSION_REFUSED);
	assert_true(is_out(f, CODE_DENIED));
	assert_string_equal(f->away_text, "wrong name or secret");
	f = relaytest_peer(r, 0, NULL);
	assert_int_equal(fake_hello(f, CTL_CONNECT, "pi", "secret", 1), SESSION_REFUSED);
	assert_true(is_out(f, CODE_DENIED));
	f = relaytest_peer(r, 0, NULL);
	assert_int_equal(fake_hello(f, CTL_CONNECT, "pi", "shared", 1), SESSION_GO_ON);
	f = relaytest_peer(r, 0, NULL);
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "secret", 1), SESSION_GO_ON);
	assert_true(f->greeted);
	assert_int_equal(atomic_load(&r->counts.agents), 1);
	assert_int_equal(atomic_load(&r->counts.clients), 1);
}

static void
an_expired_entry_is_told_apart(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	relaytest_creds(r,
	    "{\"edge-agents\":{\"pi\":{\"secret\":\"s\",\"expires\":\"2001-01-01T00:00:00Z\"}}}");
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "s", 1), SESSION_REFUSED);
	assert_string_equal(f->away_text, "the credentials have expired");
}

static void
a_full_relay_refuses_and_has_room_again(void **state)
{
	struct relay *r = *state;
	struct fake_session *f, *first;

	r->opts.max_clients = 1;
	r->opts.max_agents = 1;
	first = relaytest_login(r, 0, CTL_CONNECT, "pi");
	assert_true(first->greeted);
	f = relaytest_login(r, 0, CTL_CONNECT, "pi");
	assert_true(is_out(f, CODE_LIMIT));
	assert_true(relaytest_login(r, 0, CTL_AGENT, "a")->greeted);
	assert_true(is_out(relaytest_login(r, 0, CTL_AGENT, "b"), CODE_LIMIT));
	assert_true(on_worker(r, 0, "b", 0, 0));
	relaytest_hang_up(first);
	relaytest_settle(r);
	assert_true(relaytest_login(r, 0, CTL_CONNECT, "pi")->greeted);
	/* An agent may come back although all places are taken: one of them is its own. */
	assert_true(relaytest_login(r, 0, CTL_AGENT, "a")->greeted);
	assert_int_equal(atomic_load(&r->counts.agents), 1);
	assert_int_equal(atomic_load(&r->counts.clients), 1);
}

static void
a_greeting_without_memory_leaves_nothing(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	f->fail_greet = ERR_NOMEM;
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "", 1), SESSION_REFUSED);
	assert_true(is_out(f, CODE_INTERNAL));
	assert_true(on_worker(r, 0, "pi", 0, 0));
}

static void
nobody_comes_in_while_the_relay_drains(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	atomic_store(&r->draining, true);
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "", 1), SESSION_REFUSED);
	assert_true(is_out(f, CODE_OK));
}

/* ---- two agents of one name ---- */

static void
the_newest_agent_replaces_the_others(void **state)
{
	struct relay *r = *state;
	struct fake_session *old = relaytest_login(r, 0, CTL_AGENT, "pi");
	struct fake_session *client = relaytest_login(r, 0, CTL_CONNECT, "pi");
	struct fake_stream *s = fake_open(client, "ssh");
	struct fake_session *f = relaytest_login(r, 0, CTL_AGENT, "pi");

	assert_true(f->greeted);
	assert_int_equal(old->away_code, CODE_REPLACED);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_REPLACED);
	assert_true(on_worker(r, 0, "pi", 1, 1));
	fake_open(client, "ssh");
	assert_int_equal(f->n_streams, 1);
}

static void
or_is_refused_where_the_operator_wants_that(void **state)
{
	struct relay *r = *state;
	struct fake_session *old = relaytest_login(r, 0, CTL_AGENT, "pi");

	r->opts.on_duplicate = DUPLICATE_REFUSE;
	heardlog_begin(LOG_LEVEL_INFO);
	assert_true(is_out(relaytest_login(r, 0, CTL_AGENT, "pi"), CODE_LIMIT));
	assert_non_null(strstr(heardlog_end(),
	    "warn: agent pi from 192.0.2.7:5022 refused: another agent is connected under this "
	    "name\n"));
	assert_int_equal(old->n_away, 0);
	/* Who has said goodbye is in nobody's way. */
	old->s.going = true;
	assert_true(relaytest_login(r, 0, CTL_AGENT, "pi")->greeted);
}

static void
one_agent_may_have_several_carriers(void **state)
{
	struct relay *r = *state;

	for (int i = 0; i < RELAY_CARRIERS_MAX; i++) {
		struct fake_session *f = relaytest_peer(r, 0, NULL);

		assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "", 9), SESSION_GO_ON);
	}
	assert_true(on_worker(r, 0, "pi", RELAY_CARRIERS_MAX, 0));
	assert_int_equal(
	    fake_hello(relaytest_peer(r, 0, NULL), CTL_AGENT, "pi", "", 9), SESSION_REFUSED);
	assert_true(is_out(fake_last, CODE_LIMIT));
}

/* ---- streams ---- */

static void
streams_go_to_the_session_with_the_fewest(void **state)
{
	struct relay *r = *state;
	struct fake_session *a[3], *client;

	for (int i = 0; i < 3; i++) {
		a[i] = relaytest_peer(r, 0, NULL);
		fake_hello(a[i], CTL_AGENT, "pi", "", 9);
	}
	client = relaytest_login(r, 0, CTL_CONNECT, "pi");
	a[1]->s.going = true;
	for (int i = 0; i < 4; i++)
		fake_open(client, "ssh");
	assert_int_equal(a[0]->n_streams, 2);
	assert_int_equal(a[1]->n_streams, 0);
	assert_int_equal(a[2]->n_streams, 2);
}

static void
streams_are_refused_with_the_reason(void **state)
{
	struct relay *r = *state;
	struct fake_session *client = relaytest_login(r, 0, CTL_CONNECT, "pi");
	struct fake_session *agent;
	struct fake_stream *s = fake_open(client, "ssh");

	assert_int_equal(s->code, CODE_NOT_FOUND);
	assert_string_equal(s->text, "agent pi is not connected");
	agent = relaytest_login(r, 0, CTL_AGENT, "pi");
	s = fake_open(agent, "ssh");
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_DENIED);
	assert_int_equal(agent->n_streams, 1);
}

static void
rights_are_asked_for_each_stream(void **state)
{
	struct relay *r = *state;
	struct fake_session *agent, *client;

	relaytest_creds(r,
	    "{\"edge-agents\":{\"pi\":\"a\"},\"clients\":{\"alice\":{\"secret\":\"c\","
	    "\"agents\":[\"pi\"],\"targets\":[\"ssh\"]}}}");
	agent = relaytest_peer(r, 0, NULL);
	fake_hello(agent, CTL_AGENT, "pi", "a", 1);
	client = relaytest_peer(r, 0, NULL);
	fake_hello(client, CTL_CONNECT, "pi", "c", 1);
	assert_false(fake_open(client, "ssh")->over);
	assert_int_equal(fake_open(client, "web")->code, CODE_DENIED);
	assert_int_equal(agent->n_streams, 1);
}

/* ---- the way out ---- */

static void
who_is_revoked_has_to_go(void **state)
{
	struct relay *r = *state;
	struct fake_session *pi = relaytest_peer(r, 0, NULL), *b = relaytest_peer(r, 0, NULL);

	relaytest_creds(r, PI);
	fake_hello(pi, CTL_AGENT, "pi", "secret", 1);
	fake_hello(b, CTL_AGENT, "b", "secret", 1);
	peers_check(&r->workers[0]);
	assert_int_equal(pi->n_away + b->n_away, 0);
	relaytest_creds(r, "{\"edge-agents\":{\"b\":\"secret\"}}");
	peers_check(&r->workers[0]);
	assert_int_equal(pi->away_code, CODE_REVOKED);
	assert_int_equal(b->n_away, 0);
	assert_true(on_worker(r, 0, "pi", 0, 0));
}

static void
a_drain_waits_for_streams(void **state)
{
	struct relay *r = *state;
	struct fake_session *agent = relaytest_login(r, 0, CTL_AGENT, "pi");
	struct fake_session *client = relaytest_login(r, 0, CTL_CONNECT, "pi");
	struct fake_stream *s = fake_open(client, "ssh");
	struct fake_session *idle = relaytest_login(r, 0, CTL_CONNECT, "pi");
	struct peer *p;

	atomic_store(&r->draining, true);
	TAILQ_FOREACH (p, &r->workers[0].peers, link)
		peer_drain(p);
	assert_int_equal(agent->n_away, 1);
	assert_int_equal(client->n_away, 1);
	assert_int_equal(idle->n_away, 1);
	relaytest_settle(r);
	assert_false(s->over);
	assert_true(relaytest_is_ended(idle));
	assert_false(relaytest_is_ended(client));
	assert_false(relaytest_is_ended(agent));
	fake_end(s, CODE_GONE, "");
	client->s.user->idle(client->s.arg);
	relaytest_hang_up(client);
	relaytest_settle(r);
	assert_true(client->freed);
}

/* ---- more than one worker ---- */

static void
a_login_goes_to_the_worker_of_its_name(void **state)
{
	struct relay *r = *state;
	int settled = 0;
	struct fake_session *f = relaytest_peer(r, 0, &settled), *client;

	assert_int_equal(fake_hello(f, CTL_AGENT, "w2", "", 1), SESSION_HOLD);
	assert_false(f->greeted);
	assert_int_equal(settled, 0);
	relaytest_settle(r);
	assert_int_equal(settled, 1);
	assert_true(f->greeted);
	assert_true(on_worker(r, 2, "w2", 1, 0));
	client = relaytest_login(r, 1, CTL_CONNECT, "w2");
	assert_true(client->greeted);
	fake_open(client, "ssh");
	assert_int_equal(f->n_streams, 1);
	assert_true(TAILQ_EMPTY(&r->workers[1].peers) == false);
}

static void
who_is_lost_on_the_way_leaves_nothing(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_CONNECT, "w1", "", 1);
	relaytest_hang_up(f);
	relaytest_settle(r);
	assert_true(f->freed);
	assert_true(on_worker(r, 1, "w1", 1, 0));
	assert_int_equal(atomic_load(&r->counts.clients), 0);
}

static void
a_drain_finds_who_is_on_the_way(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_CONNECT, "w1", "", 1);
	mem_settle(r->workers[0].loop);
	atomic_store(&r->draining, true);
	mem_settle(r->workers[1].loop);
	assert_int_equal(f->n_away, 1);
	assert_int_equal(f->away_code, CODE_OK);
}

static void
a_revocation_finds_who_is_on_the_way(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	relaytest_creds(r, "{\"edge-agents\":{\"w1\":\"secret\"}}");
	assert_int_equal(fake_hello(f, CTL_AGENT, "w1", "secret", 1), SESSION_HOLD);
	mem_settle(r->workers[0].loop);
	/* Between two workers: in the list of neither. */
	relaytest_creds(r, "{\"edge-agents\":{\"b\":\"secret\"}}");
	for (int i = 0; i < r->n_workers; i++)
		peers_check(&r->workers[i]);
	assert_int_equal(f->n_away, 0);
	relaytest_settle(r);
	assert_true(is_out(f, CODE_REVOKED));
	assert_true(on_worker(r, 1, "w1", 0, 0));
}

static void
who_is_dropped_on_the_way_is_freed(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_CONNECT, "w1", "", 1);
	mem_settle(r->workers[0].loop);
	/* The message was not read yet when the relay ends: teardown frees the loops. */
	assert_false(f->freed);
}

/*
 * It is in the list of no worker any more: that of the one it left is whole, whoever leaves
 * meanwhile.
 */
static void
who_is_lost_on_the_way_is_in_no_list(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL), *next = relaytest_peer(r, 0, NULL);
	struct peer *stays = TAILQ_FIRST(&r->workers[0].peers);

	assert_int_equal(fake_hello(f, CTL_CONNECT, "w1", "", 1), SESSION_HOLD);
	mem_settle(r->workers[0].loop);
	relaytest_hang_up(next);
	mem_settle(r->workers[0].loop);
	assert_true(next->freed);
	worker_drop_all(&r->workers[1]);
	loop_free(r->workers[1].loop);
	r->workers[1].loop = loop_new();
	assert_true(f->freed);
	assert_ptr_equal(TAILQ_FIRST(&r->workers[0].peers), stays);
	assert_null(TAILQ_NEXT(stays, link));
	assert_true(TAILQ_EMPTY(&r->workers[1].peers));
}

/* ---- answers that come later ---- */

/* Whoever asks who may log in waits until the test answers. */
static struct admit *asked;
static int n_cancelled;

static void
late_ask(struct relay *r, struct admit *a, const struct ctl_hello *h)
{
	(void)r;
	assert_string_equal(h->secret, "s");
	asked = a;
}

static void
late_cancel(struct relay *r, struct admit *a)
{
	(void)r;
	assert_ptr_equal(a, asked);
	asked = NULL;
	n_cancelled++;
}

static const struct admitter late = { late_ask, late_cancel };

static void
answer(int err)
{
	struct creds_id id = { .kind = CREDS_AGENT, .name = "pi" };
	struct admit *a = asked;

	asked = NULL;
	a->done(a->arg, err, &id);
}

/* A registry that answers when the test says so. */
static struct late_registry {
	struct registry r;
	struct registry *table;
	struct registry_ask *q;
	char name[CTL_AGENT_MAX + 1];
	int n_cancelled, n_held;
} far;

static void
far_bind(struct registry *r, struct registry_ask *q, const char *name)
{
	(void)r;
	far.q = q;
	snprintf(far.name, sizeof far.name, "%s", name);
}

static void
far_cancel(struct registry *r, struct registry_ask *q)
{
	(void)r;
	assert_ptr_equal(q, far.q);
	far.q = NULL;
	far.n_cancelled++;
}

static void
far_release(struct registry *r, const char *name)
{
	(void)r;
	assert_string_equal(name, far.name);
	far.n_held--;
}

static void
far_free(struct registry *r)
{
	(void)r;
	registry_free(far.table);
}

static const struct registry_ops far_ops = { far_bind, far_cancel, far_release, far_free };

static void
far_answer(int worker)
{
	struct registry_ask *q = far.q;

	far.q = NULL;
	far.n_held += worker >= 0;
	q->answer(q->arg, worker);
}

static int
setup_late(void **state)
{
	struct relay *r;

	if (setup_n(state, 2) != 0)
		return -1;
	r = *state;
	far = (struct late_registry){ .r.ops = &far_ops, .table = r->registry };
	r->registry = &far.r;
	r->admitter = &late;
	n_cancelled = 0;
	asked = NULL;
	return 0;
}

static void
late_answers_let_in_as_well(void **state)
{
	struct relay *r = *state;
	int settled = 0;
	struct fake_session *f = relaytest_peer(r, 0, &settled);

	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "s", 1), SESSION_HOLD);
	assert_null(far.q);
	answer(0);
	assert_string_equal(far.name, "pi");
	assert_int_equal(atomic_load(&r->counts.agents), 1);
	assert_false(f->greeted);
	assert_int_equal(settled, 0);
	far_answer(0);
	assert_true(f->greeted);
	assert_int_equal(settled, 1);
	assert_true(on_worker(r, 0, "pi", 1, 0));
	relaytest_hang_up(f);
	relaytest_settle(r);
	assert_true(f->freed);
	assert_int_equal(far.n_held, 0);
	assert_int_equal(n_cancelled + far.n_cancelled, 0);
}

static void
a_late_answer_may_name_another_worker(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_AGENT, "pi", "s", 1);
	answer(0);
	far_answer(1);
	relaytest_settle(r);
	assert_true(f->greeted);
	assert_true(on_worker(r, 1, "pi", 1, 0));
}

static void
late_refusals_say_why(void **state)
{
	static const struct {
		int err;
		uint32_t code;
	} v[] = { { ERR_DENIED, CODE_DENIED }, { ERR_TIMEOUT, CODE_DENIED },
		{ ERR_AGAIN, CODE_INTERNAL } };
	struct relay *r = *state;

	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		struct fake_session *f = relaytest_peer(r, 0, NULL);

		fake_hello(f, CTL_AGENT, "pi", "s", 1);
		answer(v[i].err);
		assert_true(is_out(f, v[i].code));
		assert_null(far.q);
		/* Its goodbye is read, although its input was kept. */
		relaytest_hang_up(f);
		relaytest_settle(r);
		assert_true(f->freed);
	}
}

static void
who_is_lost_meanwhile_wants_no_answer(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_AGENT, "pi", "s", 1);
	peer_drop_all(&r->workers[0]);
	relaytest_settle(r);
	assert_true(f->freed);
	assert_int_equal(n_cancelled, 1);
	f = relaytest_peer(r, 0, NULL);
	fake_hello(f, CTL_CONNECT, "pi", "s", 1);
	answer(0);
	peer_drop_all(&r->workers[0]);
	relaytest_settle(r);
	assert_true(f->freed);
	assert_int_equal(n_cancelled, 1);
	assert_int_equal(far.n_cancelled, 1);
	assert_int_equal(far.n_held, 0);
	assert_int_equal(atomic_load(&r->counts.clients), 0);
}

static void
a_deadline_ends_the_waiting(void **state)
{
	struct relay *r = *state;
	int settled = 0;
	struct fake_session *f = relaytest_peer(r, 0, &settled);

	fake_hello(f, CTL_AGENT, "pi", "s", 1);
	peer_close(TAILQ_FIRST(&r->workers[0].peers), CODE_TIMEOUT, "too late");
	peer_close(TAILQ_FIRST(&r->workers[0].peers), CODE_TIMEOUT, "too late");
	assert_int_equal(n_cancelled, 1);
	assert_true(is_out(f, CODE_TIMEOUT));
	relaytest_hang_up(f);
	relaytest_settle(r);
	assert_int_equal(settled, 1);
	assert_true(f->freed);
}

static void
what_happened_meanwhile_is_looked_at(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_AGENT, "pi", "s", 1);
	answer(0);
	relaytest_creds(r, PI);
	far_answer(0);
	assert_true(is_out(f, CODE_REVOKED));
	f = relaytest_peer(r, 0, NULL);
	fake_hello(f, CTL_AGENT, "pi", "s", 1);
	atomic_store(&r->draining, true);
	answer(0);
	assert_true(is_out(f, CODE_OK));
}

static void
a_name_that_cannot_be_bound_is_refused(void **state)
{
	struct relay *r = *state;
	struct fake_session *f = relaytest_peer(r, 0, NULL);

	fake_hello(f, CTL_AGENT, "pi", "s", 1);
	answer(0);
	far_answer(ERR_NOMEM);
	assert_true(is_out(f, CODE_INTERNAL));
	assert_int_equal(atomic_load(&r->counts.agents), 0);
	assert_int_equal(far.n_held, 0);
}

#define LATE(name) cmocka_unit_test_setup_teardown(name, setup_late, teardown)
#define ONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define THREE(name) cmocka_unit_test_setup_teardown(name, setup_three, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(lines_about_refused_logins_are_limited_by_address),
		ONE(a_login_is_greeted),
		ONE(names_and_roles_must_make_sense),
		ONE(the_secret_decides),
		ONE(an_expired_entry_is_told_apart),
		ONE(a_full_relay_refuses_and_has_room_again),
		ONE(a_greeting_without_memory_leaves_nothing),
		ONE(nobody_comes_in_while_the_relay_drains),
		ONE(the_newest_agent_replaces_the_others),
		ONE(or_is_refused_where_the_operator_wants_that),
		ONE(one_agent_may_have_several_carriers),
		ONE(streams_go_to_the_session_with_the_fewest),
		ONE(streams_are_refused_with_the_reason),
		ONE(rights_are_asked_for_each_stream),
		ONE(who_is_revoked_has_to_go),
		ONE(a_drain_waits_for_streams),
		THREE(a_login_goes_to_the_worker_of_its_name),
		THREE(who_is_lost_on_the_way_leaves_nothing),
		THREE(a_drain_finds_who_is_on_the_way),
		THREE(a_revocation_finds_who_is_on_the_way),
		THREE(who_is_dropped_on_the_way_is_freed),
		THREE(who_is_lost_on_the_way_is_in_no_list),
		LATE(late_answers_let_in_as_well),
		LATE(a_late_answer_may_name_another_worker),
		LATE(late_refusals_say_why),
		LATE(who_is_lost_meanwhile_wants_no_answer),
		LATE(a_deadline_ends_the_waiting),
		LATE(what_happened_meanwhile_is_looked_at),
		LATE(a_name_that_cannot_be_bound_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
