/* SPDX-License-Identifier: ISC */
/*
 * f_tls_keyed - TLS by keys: who is let in, what counts of a certificate, and peers that leave out
 * what ours never does.
 *
 * Such a peer is one of ours whose configuration is changed behind its back.
 * link: -Wl,--wrap=time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/tls/tls_generation.h"
#include "test/unit/tlstest.h"

enum { BULK = 300000 };

/* ---- the clock is turned by hand ---- */

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);

static time_t days_off;

time_t
__wrap_time(time_t *t)
{
	time_t now = __real_time(NULL) + days_off * 86400;

	if (t != NULL)
		*t = now;
	return now;
}

/* ---- two ends with keys ---- */

/* An end: its context, whom it accepts, and how often it was asked. */
struct end {
	struct secret *priv;
	struct tls_keyed *ctx;
	uint8_t point[KEYS_POINT_LEN];
	struct keys_list allowed;
	unsigned asked;
};

struct ends {
	struct tlstest t;
	struct end c, s;
};

static void
end_open(struct end *x, enum tls_keyed_end which, const char *alpn)
{
	struct errtext e = { "" };

	*x = (struct end){ .priv = keys_generate() };
	assert_non_null(x->priv);
	if (tls_keyed_new(x->priv, which, alpn, &x->ctx, &e) != 0)
		fail_msg("%s", e.s);
	assert_int_equal(keys_point(tls_keyed_public(x->ctx), KEYS_PUB_TEXT_LEN, x->point, &e), 0);
}

static void
allow(struct end *x, const struct end *other)
{
	const char *pub = tls_keyed_public(other->ctx);

	assert_int_equal(keys_list_add(&x->allowed, pub, KEYS_PUB_TEXT_LEN, NULL), 0);
}

static int
count_and_judge(void *arg, const uint8_t point[KEYS_POINT_LEN], struct errtext *e)
{
	struct end *x = arg;
	struct tls_judge j = tls_judge_list(&x->allowed);

	x->asked++;
	return j.fn(j.arg, point, e);
}

/* Two that speak alpn and do not know each other yet. */
static void
ends_open(struct ends *p, const char *alpn)
{
	*p = (struct ends){ .t = { .l = loop_new() } };
	assert_non_null(p->t.l);
	end_open(&p->c, TLS_KEYED_CLIENT, alpn);
	end_open(&p->s, TLS_KEYED_SERVER, alpn);
}

static void
ends_start(struct ends *p)
{
	struct tlstest *t = &p->t;

	wire_pair(t->l, &t->c.wire, &t->s.wire);
	tlstest_side_start(&t->c, f_tls_keyed(&t->c.wire->f, t->l, p->c.ctx,
				      (struct tls_judge){ count_and_judge, &p->c }));
	tlstest_side_start(&t->s, f_tls_keyed(&t->s.wire->f, t->l, p->s.ctx,
				      (struct tls_judge){ count_and_judge, &p->s }));
}

static void
ends_close(struct ends *p)
{
	tls_keyed_free(p->c.ctx);
	tls_keyed_free(p->s.ctx);
	tlstest_close(&p->t);
	secret_free(p->c.priv);
	secret_free(p->s.priv);
}

/* Two that know each other. */
static void
friends_open(struct ends *p)
{
	ends_open(p, TLS_KEYED_LOGIN);
	allow(&p->c, &p->s);
	allow(&p->s, &p->c);
}

static mbedtls_ssl_config *
conf_of(const struct end *x)
{
	struct tls_generation *g = tls_generation_keyed(x->ctx);
	mbedtls_ssl_config *c = &g->conf;

	tls_generation_drop(g);
	return c;
}

static void
expect_both_ready(struct ends *p)
{
	bool ok = wire_run(p->t.l, 10000, tlstest_both_ready, &p->t);

	if (!ok || p->t.c.n_closed + p->t.s.n_closed > 0)
		fail_msg("client: %s, server: %s", p->t.c.text, p->t.s.text);
}

/* Both ends fail, and neither was ready. */
static void
expect_refused(struct ends *p, const char *client_says, const char *server_says)
{
	ends_start(p);
	assert_true(wire_run(p->t.l, 10000, tlstest_both_closed, &p->t));
	assert_int_equal(p->t.c.n_ready + p->t.s.n_ready, 0);
	assert_null(f_tls_peer(p->t.s.f));
	if (strstr(p->t.c.text, client_says) == NULL || strstr(p->t.s.text, server_says) == NULL)
		fail_msg("client: %s, server: %s", p->t.c.text, p->t.s.text);
	ends_close(p);
}

/* ---- who is let in ---- */

static void
ends_that_know_each_other_talk(void **state)
{
	struct ends p;

	(void)state;
	friends_open(&p);
	ends_start(&p);
	assert_null(f_tls_peer(p.t.c.f));
	expect_both_ready(&p);
	assert_memory_equal(f_tls_peer(p.t.c.f), p.s.point, KEYS_POINT_LEN);
	assert_memory_equal(f_tls_peer(p.t.s.f), p.c.point, KEYS_POINT_LEN);
	assert_int_equal(p.c.asked, 1);
	assert_int_equal(p.s.asked, 1);
	assert_non_null(strstr(f_tls_describe(p.t.s.f), "TLSv1.3"));
	tlstest_write(&p.t.c, BULK, 5000);
	tlstest_write(&p.t.s, BULK, BULK);
	p.t.c.want = p.t.s.want = BULK;
	assert_true(wire_run(p.t.l, 10000, tlstest_both_got, &p.t));
	tlstest_got(&p.t.c, BULK);
	tlstest_got(&p.t.s, BULK);
	ends_close(&p);
}

/* The same key for another protocol, when the first context has gone. */
static void
a_sibling_has_the_same_key(void **state)
{
	struct tls_keyed *k;
	struct ends p;

	(void)state;
	friends_open(&p);
	for (int server = 0; server <= 1; server++) {
		struct end *x = server ? &p.s : &p.c;

		assert_int_equal(
		    tls_keyed_sibling(x->ctx, server ? TLS_KEYED_SERVER : TLS_KEYED_CLIENT,
			TLS_KEYED_E2E, &k, NULL),
		    0);
		assert_string_equal(tls_keyed_public(k), tls_keyed_public(x->ctx));
		tls_keyed_free(x->ctx);
		x->ctx = k;
	}
	ends_start(&p);
	expect_both_ready(&p);
	ends_close(&p);
}

static void
one_of_several_keys_is_enough(void **state)
{
	struct ends p;
	struct end other;

	(void)state;
	ends_open(&p, TLS_KEYED_E2E);
	end_open(&other, TLS_KEYED_CLIENT, TLS_KEYED_E2E);
	allow(&p.c, &other);
	allow(&p.c, &p.s);
	allow(&p.s, &p.c);
	allow(&p.s, &other);
	ends_start(&p);
	expect_both_ready(&p);
	tls_keyed_free(other.ctx);
	secret_free(other.priv);
	ends_close(&p);
}

/* The sentence shows both keys; the server has not seen the client's. */
static void
a_client_refuses_another_server_and_stays_unknown(void **state)
{
	char text[ERR_TEXT_MAX];
	struct ends p;
	struct end other;

	(void)state;
	ends_open(&p, TLS_KEYED_LOGIN);
	end_open(&other, TLS_KEYED_SERVER, TLS_KEYED_LOGIN);
	allow(&p.c, &other);
	allow(&p.s, &p.c);
	ends_start(&p);
	assert_true(wire_run(p.t.l, 10000, tlstest_both_closed, &p.t));
	assert_int_equal(p.t.c.err, ERR_DENIED);
	snprintf(text, sizeof text, "the peer has the key %s, not %s", tls_keyed_public(p.s.ctx),
	    tls_keyed_public(other.ctx));
	assert_string_equal(p.t.c.text, text);
	assert_int_equal(p.s.asked, 0);
	assert_null(f_tls_peer(p.t.c.f));
	/* A ClientHello, the change of cipher and an alert: no room for a certificate. */
	assert_true(p.t.s.wire->passed < 512);
	tls_keyed_free(other.ctx);
	secret_free(other.priv);
	ends_close(&p);
}

/* In TLS 1.3 the client is done before the server has looked at its key. */
static void
a_server_refuses_a_key_that_it_does_not_know(void **state)
{
	struct ends p;

	(void)state;
	ends_open(&p, TLS_KEYED_LOGIN);
	allow(&p.c, &p.s);
	ends_start(&p);
	assert_true(wire_run(p.t.l, 10000, tlstest_both_closed, &p.t));
	assert_int_equal(p.t.s.err, ERR_DENIED);
	assert_int_equal(p.t.s.n_ready, 0);
	assert_int_equal(p.t.c.err, ERR_DENIED);
	assert_non_null(strstr(p.t.c.text, "it does not accept our certificate"));
	ends_close(&p);
}

static void
a_server_without_a_judge_lets_anybody_prove_a_key(void **state)
{
	struct tlstest *t;
	struct ends p;

	(void)state;
	ends_open(&p, TLS_KEYED_LOGIN);
	allow(&p.c, &p.s);
	t = &p.t;
	wire_pair(t->l, &t->c.wire, &t->s.wire);
	tlstest_side_start(
	    &t->c, f_tls_keyed(&t->c.wire->f, t->l, p.c.ctx, tls_judge_list(&p.c.allowed)));
	tlstest_side_start(
	    &t->s, f_tls_keyed(&t->s.wire->f, t->l, p.s.ctx, (struct tls_judge){ NULL, NULL }));
	expect_both_ready(&p);
	assert_memory_equal(f_tls_peer(t->s.f), p.c.point, KEYS_POINT_LEN);
	ends_close(&p);
}

/* ---- what must be the same ---- */

static void
both_must_speak_the_same_inside(void **state)
{
	struct ends p;

	(void)state;
	friends_open(&p);
	tls_keyed_free(p.s.ctx);
	assert_int_equal(
	    tls_keyed_new(p.s.priv, TLS_KEYED_SERVER, TLS_KEYED_E2E, &p.s.ctx, NULL), 0);
	expect_refused(&p, "it speaks another protocol", "TLS handshake");
}

/* A certificate with a key of another curve. */
static void
make_p384(struct tls_loaded *p)
{
	static unsigned char serial = 1;
	mbedtls_x509write_cert w;
	unsigned char der[1024];
	int n;

	assert_int_equal(mbedtls_pk_setup(&p->key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
	assert_int_equal(mbedtls_ecp_gen_key(
			     MBEDTLS_ECP_DP_SECP384R1, mbedtls_pk_ec(p->key), rand_callback, NULL),
	    0);
	mbedtls_x509write_crt_init(&w);
	mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA384);
	mbedtls_x509write_crt_set_subject_key(&w, &p->key);
	mbedtls_x509write_crt_set_issuer_key(&w, &p->key);
	assert_int_equal(mbedtls_x509write_crt_set_serial_raw(&w, &serial, 1), 0);
	assert_int_equal(
	    mbedtls_x509write_crt_set_validity(&w, "20000101000000", "99991231235959"), 0);
	assert_int_equal(mbedtls_x509write_crt_set_subject_name(&w, "CN=other"), 0);
	assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&w, "CN=other"), 0);
	n = mbedtls_x509write_crt_der(&w, der, sizeof der, rand_callback, NULL);
	assert_true(n > 0);
	mbedtls_x509write_crt_free(&w);
	assert_int_equal(mbedtls_x509_crt_parse_der(&p->chain, der + sizeof der - n, (size_t)n), 0);
}

/* A client that checks nothing of the server: it is an ordinary one; own and alpn may be NULL. */
static void
expect_stranger_refused(struct tls_loaded *own, const char **alpn, const char *server_says)
{
	struct tls_client_opts trust = { .pins = tlstest_cert.pin };
	struct tls_client_ctx *ctx;
	struct tls_generation *g;
	struct ends p;
	struct tlstest *t = &p.t;

	friends_open(&p);
	assert_int_equal(tls_client_new(&trust, &ctx, NULL), 0);
	g = tls_generation_client(ctx);
	mbedtls_ssl_conf_authmode(&g->conf, MBEDTLS_SSL_VERIFY_NONE);
	g->conf.MBEDTLS_PRIVATE(alpn_list) = alpn;
	if (own != NULL)
		assert_int_equal(mbedtls_ssl_conf_own_cert(&g->conf, &own->chain, &own->key), 0);
	tls_generation_drop(g);
	wire_pair(t->l, &t->c.wire, &t->s.wire);
	tlstest_side_start(&t->c, f_tls_client(&t->c.wire->f, t->l, ctx, "relay.test"));
	tlstest_side_start(&t->s,
	    f_tls_keyed(&t->s.wire->f, t->l, p.s.ctx, (struct tls_judge){ count_and_judge, &p.s }));
	assert_true(wire_run(t->l, 10000, tlstest_both_closed, t));
	assert_int_equal(t->s.n_ready + p.s.asked, 0);
	if (strstr(t->s.text, server_says) == NULL)
		fail_msg("%s", t->s.text);
	tls_client_free(ctx);
	ends_close(&p);
}

static const char *login_alpn[] = { TLS_KEYED_LOGIN, NULL };

static void
a_client_without_a_key_is_refused(void **state)
{
	(void)state;
	expect_stranger_refused(NULL, login_alpn, "No client certification received");
}

static void
a_peer_that_names_no_protocol_is_refused(void **state)
{
	struct tls_generation *g;
	struct ends p;

	(void)state;
	friends_open(&p);
	g = tls_generation_keyed(p.c.ctx);
	expect_stranger_refused(g->pairs[0], NULL, "does not say that it speaks our protocol");
	tls_generation_drop(g);
	conf_of(&p.s)->MBEDTLS_PRIVATE(alpn_list) = NULL;
	ends_start(&p);
	assert_true(wire_run(p.t.l, 10000, tlstest_both_closed, &p.t));
	assert_non_null(strstr(p.t.c.text, "does not say that it speaks our protocol"));
	assert_int_equal(p.c.asked + p.t.c.n_ready + p.s.asked, 0);
	ends_close(&p);
}

static void
a_client_with_another_kind_of_key_is_refused(void **state)
{
	struct tls_loaded *other = tls_loaded_new();

	(void)state;
	assert_non_null(other);
	make_p384(other);
	expect_stranger_refused(other, login_alpn, "TLS handshake");
	tls_loaded_unref(other);
}

static void
a_server_that_does_not_ask_for_our_key_is_refused(void **state)
{
	struct ends p;

	(void)state;
	friends_open(&p);
	mbedtls_ssl_conf_authmode(conf_of(&p.s), MBEDTLS_SSL_VERIFY_NONE);
	ends_start(&p);
	assert_true(wire_run(p.t.l, 10000, tlstest_both_closed, &p.t));
	assert_non_null(strstr(p.t.c.text, "does not ask for our key"));
	assert_int_equal(p.t.c.n_ready, 0);
	ends_close(&p);
}

static void
another_end_of_tls_is_refused(void **state)
{
	struct ends p;

	(void)state;
	friends_open(&p);
	mbedtls_ssl_conf_min_tls_version(conf_of(&p.c), MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(conf_of(&p.c), MBEDTLS_SSL_VERSION_TLS1_2);
	expect_refused(&p, "no TLS version in common", "the peer offers no TLS 1.3");

	friends_open(&p);
	mbedtls_ssl_conf_min_tls_version(conf_of(&p.s), MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(conf_of(&p.s), MBEDTLS_SSL_VERSION_TLS1_2);
	expect_refused(&p, "TLS handshake", "TLS handshake");
}

/* ---- what does not count ---- */

/* Another certificate than its own. */
static void
show(const struct end *x, struct tls_loaded *p)
{
	mbedtls_ssl_config *c = conf_of(x);

	assert_int_equal(mbedtls_ssl_conf_own_cert(c, NULL, NULL), 0);
	assert_int_equal(mbedtls_ssl_conf_own_cert(c, &p->chain, &p->key), 0);
}

/* It is for other names, expired, and for servers only. */
static void
nothing_counts_of_a_certificate_but_its_key(void **state)
{
	struct tls_pair files = { tlstest_pem, tlstest_key };
	struct tls_server_ctx *other;
	struct tls_generation *g;
	mbedtls_ecp_keypair *pair;
	uint8_t point[KEYS_POINT_LEN];
	char pub[KEYS_PUB_TEXT_LEN + 1];
	struct ends p;
	size_t n;

	(void)state;
	assert_int_equal(tls_server_new(&files, 1, &other, NULL), 0);
	g = tls_generation_server(other);
	pair = mbedtls_pk_ec(g->pairs[0]->key);
	assert_int_equal(
	    mbedtls_ecp_point_write_binary(&pair->MBEDTLS_PRIVATE(grp), &pair->MBEDTLS_PRIVATE(Q),
		MBEDTLS_ECP_PF_COMPRESSED, &n, point, sizeof point),
	    0);
	keys_point_text(point, pub);
	for (days_off = -400; days_off <= 400; days_off += 400)
		for (int server = 0; server <= 1; server++) {
			struct end *x, *y;

			ends_open(&p, TLS_KEYED_LOGIN);
			x = server ? &p.s : &p.c;
			y = server ? &p.c : &p.s;
			allow(x, y);
			assert_int_equal(keys_list_add(&y->allowed, pub, strlen(pub), NULL), 0);
			show(x, g->pairs[0]);
			ends_start(&p);
			expect_both_ready(&p);
			assert_memory_equal(
			    f_tls_peer(server ? p.t.c.f : p.t.s.f), point, sizeof point);
			ends_close(&p);
		}
	days_off = 0;
	tls_generation_drop(g);
	tls_server_free(other);
}

/* ---- bounds ---- */

/* A record that says it is long is read up to the bound. */
static void
a_peer_that_sends_too_much_in_its_handshake_is_refused(void **state)
{
	uint8_t long_hello[5 + TLS_KEYED_HANDSHAKE_MAX + 1] = { 22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f,
		0xfb };
	struct tlstest *t;
	struct ends p;

	(void)state;
	friends_open(&p);
	t = &p.t;
	wire_pair(t->l, &t->c.wire, &t->s.wire);
	tlstest_side_start(
	    &t->s, f_tls_keyed(&t->s.wire->f, t->l, p.s.ctx, tls_judge_list(&p.s.allowed)));
	assert_int_equal(filter_send(&t->c.wire->f, long_hello, TLS_KEYED_HANDSHAKE_MAX), 0);
	wire_turns(t->l, 4);
	assert_int_equal(t->s.n_closed, 0);
	assert_int_equal(filter_send(&t->c.wire->f, long_hello, 1), 0);
	wire_turns(t->l, 4);
	assert_int_equal(t->s.err, ERR_TLS);
	assert_non_null(strstr(t->s.text, "the peer sends more than 4096 bytes"));
	filter_free(&t->c.wire->f);
	ends_close(&p);
}

/* Nothing is read after the handshake but what was sent: no ticket, and no other record. */
static void
a_handshake_stays_far_below_the_bound(void **state)
{
	struct ends p;

	(void)state;
	friends_open(&p);
	ends_start(&p);
	expect_both_ready(&p);
	wire_turns(p.t.l, 4);
	/* The server has heard all of the client, and sends nothing more. */
	assert_true(p.t.s.wire->passed < 1536);
	assert_int_equal(p.t.c.wire->passed, p.t.c.ready_at);
	assert_true(p.t.c.wire->passed < 1536);
	ends_close(&p);
}

static void
a_damaged_handshake_lets_nobody_in(void **state)
{
	(void)state;
	for (int to_server = 0; to_server <= 1; to_server++) {
		uint64_t at = 9;
		bool hit = true;

		for (; hit; at += 79) {
			struct wire *w;
			struct ends p;

			friends_open(&p);
			ends_start(&p);
			w = to_server ? p.t.s.wire : p.t.c.wire;
			w->flip_at = at;
			/* A record that was made longer waits for more. */
			wire_turns(p.t.l, 30);
			hit = w->passed > at;
			assert_int_equal(p.t.s.n_ready, hit ? 0 : 1);
			ends_close(&p);
		}
		assert_true(at > 600);
	}
}

static void
without_memory_there_is_no_context(void **state)
{
	struct secret *priv = keys_generate();
	struct tls_keyed *k = NULL;
	struct errtext e;
	int r = ERR_NOMEM;

	(void)state;
	assert_non_null(priv);
	for (long n = 0; r == ERR_NOMEM && n < 100; n++) {
		mem_fail_after(n);
		r = tls_keyed_new(priv, TLS_KEYED_SERVER, TLS_KEYED_LOGIN, &k, &e);
		mem_fail_after(MEM_NO_FAIL);
	}
	assert_int_equal(r, 0);
	tls_keyed_free(k);
	tls_keyed_free(NULL);
	secret_free(priv);
}

static void
no_context_is_made_of_what_is_no_private_key(void **state)
{
	struct secret *bad = secret_new("tunnel-pub-x", 12);
	struct tls_keyed *k = NULL;
	struct errtext e;

	(void)state;
	assert_int_equal(
	    tls_keyed_new(bad, TLS_KEYED_CLIENT, TLS_KEYED_LOGIN, &k, &e), ERR_INVALID);
	assert_null(k);
	secret_free(bad);
}

/* ---- handshakes that take turns ---- */

enum { CROWD = 4 };

/* Pairs on one loop, whose servers take turns. */
struct crowd {
	struct ends p[CROWD];
	struct loop *l;
	struct tls_turns *turns;
};

static void
crowd_open(struct crowd *x)
{
	const struct tls_turns_who who = { .any_rate = true };

	for (int i = 0; i < CROWD; i++) {
		friends_open(&x->p[i]);
		if (i > 0) {
			loop_free(x->p[i].t.l);
			x->p[i].t.l = x->p[0].t.l;
		}
	}
	x->l = x->p[0].t.l;
	x->turns = tls_turns_new(x->l, 1, 1);
	for (int i = 0; i < CROWD; i++) {
		ends_start(&x->p[i]);
		f_tls_take_turns(x->p[i].t.s.f, x->turns, &who);
	}
}

static void
crowd_close(struct crowd *x)
{
	for (int i = CROWD - 1; i > 0; i--) {
		tlstest_side_free(&x->p[i].t.c);
		tlstest_side_free(&x->p[i].t.s);
		loop_settle(x->l);
		x->p[i].t.l = loop_new();
		ends_close(&x->p[i]);
	}
	tlstest_side_free(&x->p[0].t.s);
	tls_turns_free(x->turns);
	ends_close(&x->p[0]);
}

/* Servers that are ready, and clients, which a server's first step makes so. */
static unsigned
count_ready(const struct crowd *x, bool server)
{
	unsigned n = 0;

	for (int i = 0; i < CROWD; i++)
		n += server ? x->p[i].t.s.n_ready : x->p[i].t.c.n_ready;
	return n;
}

static void
one_step_of_all_handshakes_in_a_turn(void **state)
{
	static struct crowd x;
	unsigned were = 0, now;

	(void)state;
	crowd_open(&x);
	for (int turn = 0; turn < 200 && count_ready(&x, true) < CROWD; turn++) {
		loop_settle(x.l);
		now = count_ready(&x, false) + count_ready(&x, true);
		/* A client's turn may come in that of another's server. */
		assert_in_range(now, were, were + 2);
		were = now;
		assert_in_range(count_ready(&x, false), 0, turn);
	}
	assert_int_equal(count_ready(&x, true), CROWD);
	/* Then nobody waits for anybody. */
	tlstest_write(&x.p[3].t.c, BULK, 5000);
	x.p[3].t.s.want = BULK;
	assert_true(wire_run(x.l, 10000, tlstest_both_got, &x.p[3].t));
	tlstest_got(&x.p[3].t.s, BULK);
	crowd_close(&x);
}

static void
who_is_gone_has_no_turn(void **state)
{
	static struct crowd x;

	(void)state;
	crowd_open(&x);
	for (int turn = 0; turn < 4; turn++)
		loop_settle(x.l);
	assert_true(count_ready(&x, true) < CROWD);
	crowd_close(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_step_of_all_handshakes_in_a_turn),
		cmocka_unit_test(who_is_gone_has_no_turn),
		cmocka_unit_test(ends_that_know_each_other_talk),
		cmocka_unit_test(a_sibling_has_the_same_key),
		cmocka_unit_test(one_of_several_keys_is_enough),
		cmocka_unit_test(a_client_refuses_another_server_and_stays_unknown),
		cmocka_unit_test(a_server_refuses_a_key_that_it_does_not_know),
		cmocka_unit_test(a_server_without_a_judge_lets_anybody_prove_a_key),
		cmocka_unit_test(both_must_speak_the_same_inside),
		cmocka_unit_test(a_peer_that_names_no_protocol_is_refused),
		cmocka_unit_test(a_client_without_a_key_is_refused),
		cmocka_unit_test(a_client_with_another_kind_of_key_is_refused),
		cmocka_unit_test(a_server_that_does_not_ask_for_our_key_is_refused),
		cmocka_unit_test(another_end_of_tls_is_refused),
		cmocka_unit_test(nothing_counts_of_a_certificate_but_its_key),
		cmocka_unit_test(a_peer_that_sends_too_much_in_its_handshake_is_refused),
		cmocka_unit_test(a_handshake_stays_far_below_the_bound),
		cmocka_unit_test(a_damaged_handshake_lets_nobody_in),
		cmocka_unit_test(without_memory_there_is_no_context),
		cmocka_unit_test(no_context_is_made_of_what_is_no_private_key),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
