/* SPDX-License-Identifier: ISC */
/*
 * f_tls - both ends of TLS joined in memory: every size, every cut, every refusal and its sentence.
 * link: -Wl,--wrap=time -Wl,--wrap=loop_now_ms
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/cert.h"
#include "lib/f_tls.h"
#include "lib/file.h"
#include "lib/rand.h"
#include "lib/tls_gen.h"
#include "test/wire.h"

/* ---- the clocks are turned by hand ---- */

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);
uint64_t __real_loop_now_ms(struct loop *l);
uint64_t __wrap_loop_now_ms(struct loop *l);

static time_t days_off;
static uint64_t ms_off;

time_t
__wrap_time(time_t *t)
{
	time_t now = __real_time(NULL) + days_off * 86400;

	if (t != NULL)
		*t = now;
	return now;
}

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	return __real_loop_now_ms(l) + ms_off;
}

/* ---- certificates for all tests ---- */

static char dir[] = "/tmp/f_tls_test.XXXXXX";
static char pem_file[64], key_file[64];
static struct cert cert;
static struct tls_server_ctx *server_ctx;
static bool client_knows_tls12_only;

static struct tls_client_ctx *
client_ctx(const char *ca, const char *pins)
{
	struct tls_client_ctx *ctx;
	struct errtext e;

	if (tls_client_new(&(struct tls_client_opts){ ca, pins }, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	return ctx;
}

static int
setup(void **state)
{
	const char *hosts[] = { "relay.test", "*.wild.test", "127.0.0.1", "::1" };
	struct errtext e = { "" };

	(void)state;
	rand_init();
	assert_non_null(mkdtemp(dir));
	snprintf(pem_file, sizeof pem_file, "%s/c.pem", dir);
	snprintf(key_file, sizeof key_file, "%s/k.pem", dir);
	if (cert_self_signed(hosts, 4, 30, &cert, &e) != 0 ||
	    file_write_atomic(pem_file, cert.pem, strlen(cert.pem), 0600, &e) != 0 ||
	    file_write_atomic(
		key_file, secret_bytes(cert.key_pem), secret_len(cert.key_pem), 0600, &e) != 0 ||
	    tls_server_new(&(struct tls_pair){ pem_file, key_file }, 1, &server_ctx, &e) != 0)
		fail_msg("%s", e.s);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tls_server_free(server_ctx);
	cert_fini(&cert);
	unlink(pem_file);
	unlink(key_file);
	rmdir(dir);
	buf_pool_free();
	return 0;
}

/* ---- two ends ---- */

struct side {
	struct filter *f;
	struct wire *wire; /* below f */
	struct bufq got;
	size_t want; /* loop stops when so much was got; or at the end */
	bool hold;   /* takes nothing and pauses */
	bool free_in_readable, free_in_closed, free_in_ready;
	unsigned n_ready, n_closed;
	uint64_t ready_at; /* bytes that had arrived by then */
	int err;
	char text[ERR_TEXT_MAX];
};

struct pair {
	struct loop *l;
	struct tls_client_ctx *ctx;
	struct side c, s;
};

static void
side_free(struct side *x)
{
	if (x->f != NULL)
		filter_free(x->f);
	x->f = NULL;
}

static void
on_readable(void *arg)
{
	struct side *x = arg;

	if (x->free_in_readable) {
		side_free(x);
		return;
	}
	if (x->hold) {
		filter_pause(x->f, true);
		return;
	}
	assert_int_equal(bufq_move(&x->got, &x->f->in, x->f->in.len), 0);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct side *x = arg;

	x->n_closed++;
	x->err = err;
	snprintf(x->text, sizeof x->text, "%s", text);
	if (x->free_in_closed)
		side_free(x);
}

static void
on_ready(void *arg)
{
	struct side *x = arg;

	x->n_ready++;
	x->ready_at = x->wire->passed;
	if (x->free_in_ready)
		side_free(x);
}

static const struct filter_user side_user = { on_readable, on_writable, on_closed };

static void
side_start(struct side *x, struct filter *f)
{
	assert_non_null(f);
	x->f = f;
	filter_set_user(f, &side_user, x);
	f_tls_set_ready(f, on_ready, x);
}

/* The client trusts the certificate of the tests unless opts says otherwise. */
static void
pair_open(struct pair *p, const char *host, const char *ca, const char *pins)
{
	*p = (struct pair){ .l = loop_new() };
	assert_non_null(p->l);
	p->ctx = client_ctx(ca, pins);
	if (client_knows_tls12_only) {
		struct tls_gen *g = tls_gen_client(p->ctx);

		mbedtls_ssl_conf_max_tls_version(&g->conf, MBEDTLS_SSL_VERSION_TLS1_2);
		tls_gen_drop(g);
	}
	wire_pair(p->l, &p->c.wire, &p->s.wire);
	side_start(&p->c, f_tls_client(&p->c.wire->f, p->l, p->ctx, host));
	side_start(&p->s, f_tls_server(&p->s.wire->f, p->l, server_ctx));
}

static void
pair_close(struct pair *p)
{
	side_free(&p->c);
	side_free(&p->s);
	bufq_fini(&p->c.got);
	bufq_fini(&p->s.got);
	tls_client_free(p->ctx);
	wire_turns(p->l, 2);
	loop_free(p->l);
}

static bool
both_ready(void *arg)
{
	struct pair *p = arg;

	return p->c.n_ready == 1 && p->s.n_ready == 1;
}

static bool
both_closed(void *arg)
{
	struct pair *p = arg;

	return p->c.n_closed > 0 && p->s.n_closed > 0;
}

static bool
both_got(void *arg)
{
	struct pair *p = arg;

	return p->c.got.len >= p->c.want && p->s.got.len >= p->s.want;
}

static void
pair_ready(struct pair *p)
{
	pair_open(p, "relay.test", pem_file, NULL);
	assert_true(wire_run(p->l, 10000, both_ready, p));
}

/* Byte i of every stream of the tests. */
static uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

/* Write n bytes as slices of piece bytes, one flush. */
static void
side_write(struct side *x, size_t n, size_t piece)
{
	struct bufq q = { 0 };
	uint8_t *p = test_malloc(piece);

	for (size_t off = 0; off < n; off += piece) {
		size_t k = n - off < piece ? n - off : piece;
		struct block *b = block_new(k < BUF_HUGE ? k : BUF_HUGE);

		assert_non_null(b);
		for (size_t i = 0; i < k; i++)
			b->data[i] = pattern(off + i);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(&q, b, b->data, k), 0);
		block_unref(b);
	}
	assert_int_equal(filter_write(x->f, &q), 0);
	assert_int_equal(q.len, 0);
	filter_flush(x->f);
	bufq_fini(&q);
	test_free(p);
}

static void
assert_got(const struct side *x, size_t n)
{
	uint8_t p[4096];

	assert_int_equal(x->got.len, n);
	for (size_t off = 0; off < n;) {
		size_t k = bufq_read(&x->got, off, p, sizeof p);

		for (size_t i = 0; i < k; i++)
			assert_int_equal(p[i], pattern(off + i));
		off += k;
	}
}

/* ---- bytes ---- */

static void
carries_every_size_both_ways(void **state)
{
	static const size_t sizes[] = { 1, 2, 100, 5000, 16383, 16384, 16385, 200000, 3000000 };
	static const size_t pieces[] = { 7, 1000, 16384, 200000 };
	struct pair p;

	(void)state;
	pair_ready(&p);
	assert_string_equal(f_tls_describe(p.c.f), f_tls_describe(p.s.f));
	assert_non_null(strstr(f_tls_describe(p.c.f), "TLSv1.3"));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
			if (sizes[i] / pieces[j] > 100000)
				continue;
			p.c.want = p.s.want = sizes[i];
			side_write(&p.c, sizes[i], pieces[j]);
			side_write(&p.s, sizes[i], pieces[j]);
			assert_true(wire_run(p.l, 10000, both_got, &p));
			assert_got(&p.c, sizes[i]);
			assert_got(&p.s, sizes[i]);
			bufq_fini(&p.c.got);
			bufq_fini(&p.s.got);
		}
	pair_close(&p);
}

static void
works_one_byte_at_a_time(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, "relay.test", pem_file, NULL);
	p.c.wire->chunk = p.s.wire->chunk = 1;
	p.c.want = p.s.want = 3000;
	side_write(&p.c, 3000, 100);
	side_write(&p.s, 3000, 3000);
	assert_true(wire_run(p.l, 20000, both_got, &p));
	assert_got(&p.c, 3000);
	assert_got(&p.s, 3000);
	pair_close(&p);
}

static void
many_small_slices_make_one_record(void **state)
{
	struct pair p;
	uint64_t before;

	(void)state;
	pair_ready(&p);
	wire_turns(p.l, 4);
	before = p.s.wire->passed;
	p.s.want = 1000;
	side_write(&p.c, 1000, 10);
	assert_true(wire_run(p.l, 10000, both_got, &p));
	/* One header, type and tag, and the padding of TLS 1.3 to 16 bytes. */
	assert_in_range(p.s.wire->passed - before, 1000 + 22, 1000 + 22 + 15);
	pair_close(&p);
}

static void
nothing_leaves_before_a_flush(void **state)
{
	struct pair p;
	uint64_t before;

	(void)state;
	pair_ready(&p);
	wire_turns(p.l, 4);
	before = p.s.wire->passed;
	assert_int_equal(filter_send(p.c.f, "abc", 3), 0);
	assert_true(filter_room(p.c.f) < WIRE_ROOM);
	wire_turns(p.l, 4);
	assert_int_equal(p.s.wire->passed, before);
	filter_flush(p.c.f);
	wire_turns(p.l, 4);
	assert_int_equal(p.s.got.len, 3);
	pair_close(&p);
}

static void
what_is_written_first_waits_for_the_handshake(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, "relay.test", pem_file, NULL);
	p.s.want = 5000;
	side_write(&p.c, 5000, 100);
	assert_int_equal(filter_room(p.c.f), F_TLS_EARLY - 5000);
	filter_shutdown(p.c.f);
	assert_true(wire_run(p.l, 10000, both_closed, &p));
	assert_got(&p.s, 5000);
	assert_int_equal(p.s.err, ERR_EOF);
	pair_close(&p);
}

static void
a_paused_reader_bounds_memory(void **state)
{
	struct pair p;
	size_t sent = 0;

	(void)state;
	pair_ready(&p);
	p.s.hold = true;
	for (int i = 0; i < 200; i++) {
		size_t room = filter_room(p.c.f);

		if (room > 0) {
			side_write(&p.c, room, 16384);
			sent += room;
		}
		wire_turns(p.l, 2);
	}
	assert_true(sent < FILTER_IN_MAX);
	assert_true(p.s.f->in.len + p.s.wire->f.in.len < FILTER_IN_MAX);
	p.s.hold = false;
	p.s.want = sent;
	filter_pause(p.s.f, false);
	assert_true(wire_run(p.l, 10000, both_got, &p));
	assert_int_equal(p.s.got.len, sent);
	pair_close(&p);
}

static void
a_burst_does_not_hold_the_loop(void **state)
{
	struct pair p;

	(void)state;
	pair_ready(&p);
	side_write(&p.c, 3 * F_TLS_TURN, F_TLS_TURN);
	for (int i = 0; i < 10 && p.s.got.len == 0; i++)
		wire_turns(p.l, 1);
	assert_true(p.s.got.len <= F_TLS_TURN);
	wire_turns(p.l, 10);
	assert_int_equal(p.s.got.len, 3 * F_TLS_TURN);
	pair_close(&p);
}

/* ---- the end ---- */

static void
shutdown_is_an_orderly_end_for_both(void **state)
{
	struct pair p;

	(void)state;
	pair_ready(&p);
	side_write(&p.s, 100, 100);
	filter_shutdown(p.s.f);
	assert_true(wire_run(p.l, 10000, both_closed, &p));
	assert_got(&p.c, 100);
	assert_int_equal(p.c.err, ERR_EOF);
	assert_int_equal(p.s.err, ERR_EOF);
	assert_int_equal(p.c.n_closed, 1);
	assert_int_equal(filter_send(p.c.f, "x", 1), ERR_CLOSED);
	pair_close(&p);
}

static void
the_end_waits_for_a_paused_reader(void **state)
{
	struct pair p;

	(void)state;
	pair_ready(&p);
	p.c.hold = true;
	side_write(&p.s, 100, 100);
	filter_shutdown(p.s.f);
	wire_turns(p.l, 10);
	assert_int_equal(p.c.n_closed, 0);
	p.c.hold = false;
	filter_pause(p.c.f, false);
	assert_true(wire_run(p.l, 10000, both_closed, &p));
	assert_got(&p.c, 100);
	assert_int_equal(p.c.err, ERR_EOF);
	pair_close(&p);
}

static void
an_end_without_close_notify_is_a_cut(void **state)
{
	struct pair p;

	(void)state;
	pair_ready(&p);
	side_write(&p.s, 100, 100);
	filter_shutdown(&p.s.wire->f);
	wire_turns(p.l, 10);
	assert_got(&p.c, 100);
	assert_int_equal(p.c.err, ERR_CLOSED);
	assert_string_equal(p.c.text, "TLS: the connection ended without close_notify");
	pair_close(&p);
}

static void
may_be_freed_in_every_callback(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, "relay.test", pem_file, NULL);
	p.c.free_in_ready = true;
	wire_turns(p.l, 20);
	assert_null(p.c.f);
	pair_close(&p);

	pair_ready(&p);
	p.c.free_in_readable = true;
	side_write(&p.s, 300000, 1000);
	wire_turns(p.l, 20);
	assert_null(p.c.f);
	pair_close(&p);

	pair_open(&p, "relay.test", NULL, "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	p.c.free_in_closed = p.s.free_in_closed = true;
	wire_turns(p.l, 20);
	assert_null(p.c.f);
	assert_null(p.s.f);
	pair_close(&p);
}

static void
a_socket_that_breaks_under_a_write_is_told_once(void **state)
{
	struct pair p;

	(void)state;
	for (int when = 0; when < 5; when++)
		for (int freeing = 0; freeing < 2; freeing++) {
			pair_open(&p, "relay.test", pem_file, NULL);
			p.s.free_in_closed = freeing == 1;
			if (when > 0)
				assert_true(wire_run(p.l, 10000, both_ready, &p));
			p.s.wire->broken = true;
			if (when == 0)
				wire_turns(p.l, 10);
			else if (when == 1)
				side_write(&p.s, 100000, 1000);
			else if (when == 2)
				filter_shutdown(p.s.f);
			else if (when == 3)
				filter_shutdown(p.c.f); /* its close_notify is answered */
			else
				p.s.wire->flip_at = p.s.wire->passed + 10; /* an alert is due */
			if (when == 4)
				side_write(&p.c, 100, 100);
			wire_turns(p.l, 10);
			assert_int_equal(p.s.n_closed, 1);
			assert_int_equal(p.s.err, when == 3 ? ERR_EOF : ERR_CLOSED);
			pair_close(&p);
		}
}

/* ---- damage ---- */

/* How many bytes each end must receive for its handshake, less the few by which signatures vary. */
static void
handshake_sizes(uint64_t *to_server, uint64_t *to_client)
{
	struct pair p;

	pair_ready(&p);
	*to_server = p.s.ready_at - 6;
	*to_client = p.c.ready_at - 6;
	pair_close(&p);
}

static void
a_handshake_cut_anywhere_is_told(void **state)
{
	uint64_t n[2];
	struct pair p;

	(void)state;
	handshake_sizes(&n[0], &n[1]);
	for (int side = 0; side < 2; side++)
		for (uint64_t at = 0; at < n[side]; at++) {
			struct side *x = side == 0 ? &p.s : &p.c;

			pair_open(&p, "relay.test", pem_file, NULL);
			x->wire->cut_at = at;
			wire_turns(p.l, 12);
			assert_int_equal(x->n_closed, 1);
			assert_int_equal(x->n_ready, 0);
			assert_int_equal(x->err, ERR_CLOSED);
			assert_true(x->text[0] != '\0');
			pair_close(&p);
		}
}

static void
a_changed_handshake_never_delivers(void **state)
{
	uint64_t n[2];
	struct pair p;

	(void)state;
	handshake_sizes(&n[0], &n[1]);
	for (int side = 0; side < 2; side++)
		for (uint64_t at = 0; at < n[side]; at += 3) {
			struct side *x = side == 0 ? &p.s : &p.c;

			pair_open(&p, "relay.test", pem_file, NULL);
			x->wire->flip_at = at;
			side_write(&p.c, 10, 10);
			side_write(&p.s, 10, 10);
			wire_turns(p.l, 16);
			/* Some bytes mean nothing (RFC 8446 5.1, legacy_record_version); what arrives is right. */
			assert_true(p.c.n_closed + p.s.n_closed > 0 || p.s.got.len == 10 ||
				    (p.c.n_ready == 0 && p.s.n_ready == 0));
			assert_got(&p.c, p.c.got.len);
			assert_got(&p.s, p.s.got.len);
			pair_close(&p);
		}
}

static void
a_changed_record_is_refused(void **state)
{
	struct pair p;

	(void)state;
	for (uint64_t at = 3; at < 122; at++) {
		pair_ready(&p);
		wire_turns(p.l, 4);
		p.s.wire->flip_at = p.s.wire->passed + at;
		side_write(&p.c, 100, 100);
		side_write(&p.c, 20000, 1000);
		wire_turns(p.l, 10);
		assert_int_equal(p.s.got.len, 0);
		assert_int_equal(p.s.err, ERR_TLS);
		assert_int_equal(p.c.n_closed, 1);
		pair_close(&p);
	}
	assert_string_equal(p.s.text, "TLS: a record was changed on its way");
	assert_string_equal(
	    p.c.text, "TLS: the peer ended it with alert 20 (a record was changed on its way)");
}

static void
a_peer_without_tls_is_named(void **state)
{
	struct loop *l = loop_new();
	struct wire *a, *b;
	struct side x = { 0 };

	(void)state;
	wire_pair(l, &a, &b);
	side_start(&x, f_tls_server(&a->f, l, server_ctx));
	assert_int_equal(filter_send(&b->f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27), 0);
	wire_turns(l, 5);
	assert_int_equal(x.err, ERR_TLS);
	assert_string_equal(x.text, "TLS handshake: the peer does not speak TLS");
	side_free(&x);
	filter_free(&b->f);
	wire_turns(l, 2);
	loop_free(l);
}

/* ---- versions ---- */

static void
speaks_tls12_when_the_peer_knows_no_other(void **state)
{
	struct pair p;

	(void)state;
	client_knows_tls12_only = true;
	pair_open(&p, "relay.test", pem_file, NULL);
	client_knows_tls12_only = false;
	p.c.want = p.s.want = 200000;
	side_write(&p.c, 200000, 50000);
	side_write(&p.s, 200000, 50);
	assert_true(wire_run(p.l, 10000, both_got, &p));
	assert_got(&p.c, 200000);
	assert_got(&p.s, 200000);
	assert_non_null(strstr(f_tls_describe(p.s.f), "TLSv1.2"));
	filter_shutdown(p.c.f);
	assert_true(wire_run(p.l, 10000, both_closed, &p));
	assert_int_equal(p.s.err, ERR_EOF);
	pair_close(&p);
}

/* ---- trust ---- */

/* The names of the certificate, in the order in which it has them. */
#define NAMES "::1, 127.0.0.1, *.wild.test, relay.test"

static void
expect(const char *host, const char *ca, const char *pins, const char *text)
{
	struct pair p;

	pair_open(&p, host, ca, pins);
	if (text == NULL) {
		bool ok = wire_run(p.l, 10000, both_ready, &p);

		if (!ok || p.c.n_closed > 0)
			fail_msg("%s: %s", host, p.c.text);
	} else {
		assert_true(wire_run(p.l, 10000, both_closed, &p));
		assert_int_equal(p.c.err, ERR_TLS);
		assert_string_equal(p.c.text, text);
		assert_int_equal(p.c.n_ready + p.s.n_ready, 0);
		assert_non_null(strstr(p.s.text, "a peer that does not accept our certificate"));
	}
	pair_close(&p);
}

static void
names_and_addresses_are_checked(void **state)
{
	static const char *const wrong[] = { "other.test", "wild.test", "a.b.wild.test",
		"127.0.0.2", "::2" };
	static const char *const right[] = { "relay.test", "RELAY.test", "a.wild.test", "127.0.0.1",
		"::1" };
	char text[ERR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
		expect(right[i], pem_file, NULL, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(text, sizeof text, "certificate of %s is for " NAMES, wrong[i]);
		expect(wrong[i], pem_file, NULL, text);
	}
}

static void
dates_are_checked(void **state)
{
	struct pair p;

	(void)state;
	days_off = 31;
	pair_open(&p, "relay.test", pem_file, NULL);
	assert_true(wire_run(p.l, 10000, both_closed, &p));
	assert_memory_equal(p.c.text, "certificate of relay.test expired on 20", 39);
	pair_close(&p);
	days_off = -3;
	pair_open(&p, "relay.test", pem_file, NULL);
	assert_true(wire_run(p.l, 10000, both_closed, &p));
	assert_memory_equal(p.c.text, "certificate of relay.test is not valid before 20", 48);
	pair_close(&p);
	days_off = 0;
}

static void
an_unknown_issuer_is_refused_with_the_pin_that_helps(void **state)
{
	char text[ERR_TEXT_MAX];

	(void)state;
	snprintf(text, sizeof text,
	    "certificate of relay.test is self-signed; if it is the right one, add --ca FILE with "
	    "it or "
	    "--pin %s",
	    cert.pin);
	expect("relay.test", NULL, NULL, text);
}

static void
a_pin_is_proof_enough_without_ca(void **state)
{
	static const char wrong[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	char text[ERR_TEXT_MAX], both[128];

	(void)state;
	snprintf(both, sizeof both, "%s;%s", wrong, cert.pin);
	expect("relay.test", NULL, cert.pin, NULL);
	expect("relay.test", NULL, both, NULL);
	expect("relay.test", pem_file, cert.pin, NULL);
	snprintf(text, sizeof text, "certificate of relay.test has another key than --pin says: %s",
	    cert.pin);
	expect("relay.test", NULL, wrong, text);
	expect("relay.test", pem_file, wrong, text);
	expect("other.test", NULL, cert.pin, "certificate of other.test is for " NAMES);
}

/* ---- moving, memory ---- */

static void
moves_to_another_loop(void **state)
{
	struct loop *other = loop_new();
	struct pair p;

	(void)state;
	pair_ready(&p);
	wire_turns(p.l, 4);
	side_write(&p.s, 500000, 50000);
	filter_detach(p.c.f);
	filter_detach(p.s.f);
	assert_int_equal(filter_attach(p.c.f, other), 0);
	assert_int_equal(filter_attach(p.s.f, other), 0);
	loop_free(p.l);
	p.l = other;
	p.c.want = 500000;
	assert_true(wire_run(p.l, 10000, both_got, &p));
	assert_got(&p.c, 500000);
	pair_close(&p);
}

static void
goes_on_after_its_buffers_were_given_back(void **state)
{
	struct pair p;

	(void)state;
	pair_ready(&p);
	for (size_t round = 1; round <= 3; round++) {
		ms_off += F_TLS_TRIM_MS + 1000;
		for (size_t i = 0; i < 3; i++) {
			p.c.want = p.s.want = 50;
			side_write(&p.c, 50, 50);
			side_write(&p.s, 50, 50);
			assert_true(wire_run(p.l, 10000, both_got, &p));
			assert_got(&p.c, 50);
			assert_got(&p.s, 50);
			bufq_fini(&p.c.got);
			bufq_fini(&p.s.got);
		}
		p.c.want = p.s.want = 100000;
		side_write(&p.c, 100000, 100000);
		side_write(&p.s, 100000, 100000);
		assert_true(wire_run(p.l, 10000, both_got, &p));
		assert_got(&p.c, 100000);
		assert_got(&p.s, 100000);
		bufq_fini(&p.c.got);
		bufq_fini(&p.s.got);
	}
	ms_off = 0;
	pair_close(&p);
}

static void
every_failed_allocation_ends_one_connection_only(void **state)
{
	struct filter *f;
	struct wire *a, *b;
	struct pair p;
	long n = 0;
	bool failed = true;

	(void)state;
	/* While it is made: refused, and what is below stays the caller's. */
	p.l = loop_new();
	wire_pair(p.l, &a, &b);
	for (n = 0; failed; n++) {
		mem_fail_after(n);
		f = f_tls_server(&a->f, p.l, server_ctx);
		mem_fail_after(MEM_NO_FAIL);
		failed = f == NULL;
	}
	assert_true(n > 1);
	filter_free(f);
	filter_free(&b->f);
	wire_turns(p.l, 2);
	loop_free(p.l);

	/* While it works: both ends are told, nothing leaks. */
	for (n = 0; n < 40; n++) {
		pair_ready(&p);
		wire_turns(p.l, 4);
		buf_pool_free();
		side_write(&p.c, 40000, 5000);
		mem_fail_after(n);
		wire_turns(p.l, 10);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(p.s.got.len == 40000 || p.s.err != 0);
		pair_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_every_size_both_ways),
		cmocka_unit_test(works_one_byte_at_a_time),
		cmocka_unit_test(many_small_slices_make_one_record),
		cmocka_unit_test(nothing_leaves_before_a_flush),
		cmocka_unit_test(what_is_written_first_waits_for_the_handshake),
		cmocka_unit_test(a_paused_reader_bounds_memory),
		cmocka_unit_test(a_burst_does_not_hold_the_loop),
		cmocka_unit_test(shutdown_is_an_orderly_end_for_both),
		cmocka_unit_test(the_end_waits_for_a_paused_reader),
		cmocka_unit_test(an_end_without_close_notify_is_a_cut),
		cmocka_unit_test(may_be_freed_in_every_callback),
		cmocka_unit_test(a_socket_that_breaks_under_a_write_is_told_once),
		cmocka_unit_test(a_handshake_cut_anywhere_is_told),
		cmocka_unit_test(a_changed_handshake_never_delivers),
		cmocka_unit_test(a_changed_record_is_refused),
		cmocka_unit_test(a_peer_without_tls_is_named),
		cmocka_unit_test(speaks_tls12_when_the_peer_knows_no_other),
		cmocka_unit_test(names_and_addresses_are_checked),
		cmocka_unit_test(dates_are_checked),
		cmocka_unit_test(an_unknown_issuer_is_refused_with_the_pin_that_helps),
		cmocka_unit_test(a_pin_is_proof_enough_without_ca),
		cmocka_unit_test(moves_to_another_loop),
		cmocka_unit_test(goes_on_after_its_buffers_were_given_back),
		cmocka_unit_test(every_failed_allocation_ends_one_connection_only),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
