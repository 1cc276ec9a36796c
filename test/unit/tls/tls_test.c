/* SPDX-License-Identifier: ISC */
/*
 * tls - contexts: files and their mistakes, the choice by name, reload under open connections,
 * authorities.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/tls/cert.h"
#include "lib/tls/f_tls.h"
#include "lib/base/file.h"
#include "lib/base/rand.h"
#include "test/wire.h"

enum { N_CERTS = 5, N_NAMES = 3, PATH = 96 };

static char dir[] = "/tmp/tls_test.XXXXXX";
static struct cert certs[N_CERTS];
static char pem[N_CERTS][PATH], key[N_CERTS][PATH];
static const char *const names[N_CERTS][N_NAMES] = { { "first.test" }, { "*.wild.test" },
	{ "exact.wild.test" }, { "later.test" },
	{ "exact.wild.test", "*.more.test", "more.test" } };

static void
put(const char *path, const void *p, size_t n)
{
	struct errtext e;

	if (file_write_atomic(path, p, n, 0600, &e) != 0)
		fail_msg("%s", e.s);
}

static void
put_cert(int to, int from)
{
	put(pem[to], certs[from].pem, strlen(certs[from].pem));
}

static void
put_key(int to, int from)
{
	put(key[to], secret_bytes(certs[from].key_pem), secret_len(certs[from].key_pem));
}

static int
make_files(void **state)
{
	(void)state;
	for (int i = 0; i < N_CERTS; i++) {
		put_cert(i, i);
		put_key(i, i);
	}
	return 0;
}

static int
setup(void **state)
{
	struct errtext e;

	rand_init();
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < N_CERTS; i++) {
		size_t n = 0;

		while (n < N_NAMES && names[i][n] != NULL)
			n++;
		snprintf(pem[i], PATH, "%s/%d.pem", dir, i);
		snprintf(key[i], PATH, "%s/%d.key", dir, i);
		if (cert_self_signed(names[i], n, 30, &certs[i], &e) != 0)
			fail_msg("%s", e.s);
	}
	return make_files(state);
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < N_CERTS; i++) {
		cert_fini(&certs[i]);
		unlink(pem[i]);
		unlink(key[i]);
	}
	rmdir(dir);
	buf_pool_free();
	return 0;
}

static struct tls_server_ctx *
server(size_t n)
{
	struct tls_pair pairs[N_CERTS];
	struct tls_server_ctx *ctx;
	struct errtext e;

	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct tls_pair){ pem[i], key[i] };
	if (tls_server_new(pairs, n, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	return ctx;
}

/* ---- one connection in memory ---- */

struct end {
	struct filter *f;
	bool ready, closed;
	char text[ERR_TEXT_MAX];
};

struct uplink {
	struct loop *l;
	struct tls_client_ctx *ctx;
	struct end c, s;
};

static void
on_event(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct end *x = arg;

	(void)err;
	x->closed = true;
	snprintf(x->text, sizeof x->text, "%s", text);
}

static void
on_ready(void *arg)
{
	((struct end *)arg)->ready = true;
}

static const struct filter_user user = { on_event, on_event, on_closed };

static bool
settled(void *arg)
{
	struct uplink *k = arg;

	return (k->c.ready && k->s.ready) || k->c.closed;
}

static void
end_start(struct end *x, struct filter *f)
{
	assert_non_null(f);
	x->f = f;
	filter_set_user(f, &user, x);
	f_tls_set_ready(f, on_ready, x);
}

static void
uplink_open(
    struct uplink *k, struct tls_server_ctx *ctx, const char *host, const char *ca, const char *pin)
{
	struct wire *a, *b;
	struct errtext e;

	*k = (struct uplink){ .l = loop_new() };
	if (tls_client_new(&(struct tls_client_opts){ ca, pin }, &k->ctx, &e) != 0)
		fail_msg("%s", e.s);
	wire_pair(k->l, &a, &b);
	end_start(&k->c, f_tls_client(&a->f, k->l, k->ctx, host));
	end_start(&k->s, f_tls_server(&b->f, k->l, ctx));
	assert_true(wire_run(k->l, 10000, settled, k));
}

static void
uplink_close(struct uplink *k)
{
	filter_free(k->c.f);
	filter_free(k->s.f);
	tls_client_free(k->ctx);
	wire_turns(k->l, 2);
	loop_free(k->l);
}

/* The server shows certificate i to a client that asks for host. */
static void
expect_cert(struct tls_server_ctx *ctx, const char *host, int i)
{
	struct uplink k;

	uplink_open(&k, ctx, host, NULL, certs[i].pin);
	if (k.c.closed)
		fail_msg("%s: %s", host, k.c.text);
	uplink_close(&k);
}

static void
expect_refusal(struct tls_server_ctx *ctx, const char *host, const char *ca, const char *text)
{
	struct uplink k;

	uplink_open(&k, ctx, host, ca, NULL);
	assert_true(k.c.closed);
	if (strncmp(k.c.text, text, strlen(text)) != 0)
		fail_msg("%s", k.c.text);
	uplink_close(&k);
}

/* ---- server files ---- */

static void
expect_server_error(const char *cert, const char *k, int err, const char *text)
{
	struct tls_pair pair = { cert, k };
	struct tls_server_ctx *ctx;
	struct errtext e;

	assert_int_equal(tls_server_new(&pair, 1, &ctx, &e), err);
	if (strstr(e.s, text) == NULL)
		fail_msg("%s", e.s);
}

static void
mistakes_in_server_files_are_named(void **state)
{
	char none[PATH], text[2 * PATH + 64];
	struct tls_server_ctx *ctx;
	struct errtext e;

	(void)state;
	snprintf(none, sizeof none, "%s/none", dir);
	expect_server_error(none, key[0], ERR_NOTFOUND, none);
	expect_server_error(pem[0], none, ERR_NOTFOUND, none);
	snprintf(text, sizeof text, "%s: no certificate in PEM form", key[0]);
	expect_server_error(key[0], key[0], ERR_INVALID, text);
	snprintf(text, sizeof text, "%s: no private key in PEM form", pem[0]);
	expect_server_error(pem[0], pem[0], ERR_INVALID, text);
	snprintf(text, sizeof text, "%s: the key does not belong to the first certificate of %s",
	    key[1], pem[0]);
	expect_server_error(pem[0], key[1], ERR_INVALID, text);
	assert_int_equal(tls_server_new(NULL, 0, &ctx, &e), ERR_LIMIT);
}

static void
a_chain_with_a_broken_certificate_is_named(void **state)
{
	char chain[16384];

	(void)state;
	snprintf(chain, sizeof chain,
	    "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", certs[0].pem);
	put(pem[0], chain, strlen(chain));
	expect_server_error(pem[0], key[0], ERR_INVALID, "1 of its certificates cannot be read");
}

static void
so_many_pairs_and_no_more(void **state)
{
	static struct tls_pair pairs[TLS_PAIRS_MAX + 1];
	struct tls_server_ctx *ctx;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i <= TLS_PAIRS_MAX; i++)
		pairs[i] = (struct tls_pair){ pem[0], key[0] };
	assert_int_equal(tls_server_new(pairs, TLS_PAIRS_MAX + 1, &ctx, &e), ERR_LIMIT);
	/* The last one is read. */
	pairs[TLS_PAIRS_MAX - 1].cert_file = "/none";
	assert_int_equal(tls_server_new(pairs, TLS_PAIRS_MAX, &ctx, &e), ERR_NOTFOUND);
	/* Each is found by its name among hundreds. */
	pairs[299] = (struct tls_pair){ pem[3], key[3] };
	assert_int_equal(tls_server_new(pairs, 300, &ctx, &e), 0);
	expect_cert(ctx, "later.test", 3);
	expect_cert(ctx, "first.test", 0);
	tls_server_free(ctx);
}

static void
an_encrypted_key_is_named(void **state)
{
	static const char encrypted[] = "-----BEGIN EC PRIVATE KEY-----\n"
					"Proc-Type: 4,ENCRYPTED\n"
					"DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"
					"AAAAAAAAAAAAAAAAAAAAAA==\n"
					"-----END EC PRIVATE KEY-----\n";

	(void)state;
	put(key[3], encrypted, sizeof encrypted - 1);
	expect_server_error(pem[3], key[3], ERR_INVALID, key[3]);
}

/* keygen makes no such certificates. */
static void
make_for(const char *usage)
{
	char command[4 * PATH + 256];

	snprintf(command, sizeof command,
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
	    "-subj /CN=a.test -addext %s -keyout %s -out %s 2>/dev/null",
	    usage, key[3], pem[3]);
	assert_int_equal(system(command), 0);
}

static void
a_certificate_that_is_not_for_servers_is_refused(void **state)
{
	static const char *const others[] = { "extendedKeyUsage=clientAuth",
		"keyUsage=keyEncipherment,keyAgreement" };
	struct tls_pair pair = { pem[3], key[3] };
	struct tls_server_ctx *ctx;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		make_for(others[i]);
		expect_server_error(
		    pem[3], key[3], ERR_INVALID, "this certificate is not meant for a server");
	}
	make_for("extendedKeyUsage=clientAuth,serverAuth");
	assert_int_equal(tls_server_new(&pair, 1, &ctx, &e), 0);
	/* Nor is it taken when it comes later. */
	make_for(others[0]);
	assert_int_equal(tls_server_reload(ctx, &e), ERR_INVALID);
	tls_server_free(ctx);
}

static void
every_failed_allocation_is_reported(void **state)
{
	struct tls_pair pairs[2] = { { pem[0], key[0] }, { pem[1], key[1] } };
	struct tls_server_ctx *ctx;
	struct errtext e;
	int r = ERR_NOMEM;
	long n;

	(void)state;
	for (n = 0; r != 0; n++) {
		mem_fail_after(n);
		r = tls_server_new(pairs, 2, &ctx, &e);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
	}
	assert_true(n > 5);
	tls_server_free(ctx);
}

/* ---- choice by name ---- */

static void
the_name_chooses_exact_then_wildcard_then_first(void **state)
{
	struct tls_server_ctx *ctx = server(3);

	(void)state;
	expect_cert(ctx, "first.test", 0);
	expect_cert(ctx, "a.wild.test", 1);
	expect_cert(ctx, "exact.wild.test", 2);
	expect_cert(ctx, "EXACT.wild.TEST", 2);
	expect_refusal(
	    ctx, "unknown.test", pem[0], "certificate of unknown.test is for first.test");
	expect_refusal(
	    ctx, "a.b.wild.test", pem[0], "certificate of a.b.wild.test is for first.test");
	expect_refusal(ctx, "127.0.0.1", pem[0], "certificate of 127.0.0.1 is for first.test");
	tls_server_free(ctx);
}

/* Which of some hosts does the certificate cover that a client was shown who asked for host? */
static void
expect_covered(struct tls_server_ctx *ctx, const char *host, int cert, const char *asked,
    const char *const *hosts, const char *answers)
{
	struct uplink k;

	uplink_open(&k, ctx, host, NULL, certs[cert].pin);
	if (asked == NULL)
		assert_null(f_tls_asked(k.s.f));
	else
		assert_string_equal(f_tls_asked(k.s.f), asked);
	for (size_t i = 0; hosts[i] != NULL; i++)
		if (f_tls_covers(k.s.f, hosts[i]) != (answers[i] == '+'))
			fail_msg("%s, asked for %s: not %c", hosts[i], host, answers[i]);
	uplink_close(&k);
}

static void
a_host_is_covered_by_what_the_client_was_shown(void **state)
{
	static const char *const hosts[] = { "first.test", "wild.test", "a.wild.test",
		"b.wild.test", "a.b.wild.test", "exact.wild.test", ".wild.test", "", NULL };
	static const char *const others[] = { "exact.wild.test", "more.test", "a.more.test",
		"a.b.more.test", "first.test", NULL };
	struct tls_server_ctx *ctx = server(3);
	struct tls_pair both = { pem[4], key[4] };
	struct errtext e;

	(void)state;
	/* A certificate may be for other names than the one that was asked for. */
	expect_covered(ctx, "first.test", 0, "first.test", hosts, "+-------");
	expect_covered(ctx, "a.wild.test", 1, "a.wild.test", hosts, "--++-+--");
	/* The wildcard's was offered as well. */
	expect_covered(ctx, "EXACT.wild.test", 2, "exact.wild.test", hosts, "-----+--");
	tls_server_free(ctx);

	if (tls_server_new(&both, 1, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	expect_covered(ctx, "more.test", 4, "more.test", others, "+++--");
	expect_covered(ctx, "b.more.test", 4, "b.more.test", others, "+++--");
	tls_server_free(ctx);

	/* Of two for one name the client may have been shown either: what both cover counts. */
	if (tls_server_new(
		(struct tls_pair[]){ { pem[2], key[2] }, { pem[4], key[4] } }, 2, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	expect_covered(ctx, "exact.wild.test", 2, "exact.wild.test", others, "+----");
	expect_covered(ctx, "more.test", 4, "more.test", others, "+++--");
	tls_server_free(ctx);
}

/* A name that nobody asked for, or that no certificate is for: the first one is shown. */
static void
without_a_known_name_the_first_certificate_counts(void **state)
{
	static const char *const hosts[] = { "first.test", "unknown.test", "127.0.0.1", NULL };
	struct tls_server_ctx *ctx = server(3);
	struct uplink k;

	(void)state;
	for (int named = 0; named < 2; named++) {
		/* The client refuses what it is shown. */
		uplink_open(&k, ctx, named ? "unknown.test" : "127.0.0.1", pem[0], NULL);
		for (size_t i = 0; hosts[i] != NULL; i++)
			assert_int_equal(f_tls_covers(k.s.f, hosts[i]), i == 0);
		uplink_close(&k);
	}
	tls_server_free(ctx);
}

/* ---- reload ---- */

static void
a_reload_leaves_open_connections_alone(void **state)
{
	struct tls_server_ctx *ctx = server(1);
	struct errtext e;
	struct uplink k;

	(void)state;
	uplink_open(&k, ctx, "first.test", NULL, certs[0].pin);
	assert_false(tls_server_changed(ctx));
	put_cert(0, 3);
	put_key(0, 3);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), 0);
	assert_false(tls_server_changed(ctx));
	expect_cert(ctx, "later.test", 3);

	/* The old connection works on, even when the context is gone. */
	tls_server_free(ctx);
	assert_int_equal(filter_send(k.c.f, "hello", 5), 0);
	filter_flush(k.c.f);
	wire_turns(k.l, 4);
	assert_int_equal(k.s.f->in.len, 5);
	uplink_close(&k);
}

static void
a_broken_file_keeps_what_there_was(void **state)
{
	struct tls_server_ctx *ctx = server(1);
	struct errtext e;

	(void)state;
	put_cert(0, 3);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "does not belong"));
	/* It is told once, and tried again when the other file follows. */
	assert_false(tls_server_changed(ctx));
	expect_cert(ctx, "first.test", 0);
	put_key(0, 3);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), 0);
	expect_cert(ctx, "later.test", 3);
	unlink(pem[0]);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), ERR_NOTFOUND);
	expect_cert(ctx, "later.test", 3);
	tls_server_free(ctx);
}

/* One broken pair of hundreds must not hold up the renewal of the others. */
static void
others_are_renewed_beside_a_broken_file(void **state)
{
	struct tls_server_ctx *ctx = server(2);
	struct errtext e;

	(void)state;
	put_cert(0, 2);
	put_cert(1, 3);
	put_key(1, 3);
	assert_int_equal(tls_server_reload(ctx, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, key[0]));
	expect_cert(ctx, "first.test", 0);
	expect_cert(ctx, "later.test", 3);
	/* It is told again when somebody asks, and read when it is whole. */
	assert_false(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), ERR_INVALID);
	put_key(0, 2);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), 0);
	expect_cert(ctx, "exact.wild.test", 2);
	tls_server_free(ctx);
}

/* ---- directories ---- */

static char live[PATH], pairs_dir[PATH];

__attribute__((format(printf, 1, 2))) static void
run(const char *fmt, ...)
{
	char command[4 * PATH + 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* Copy pair i to DIR/NAME.crt and .key, or as certbot has them. */
static void
put_pair(int i, const char *name, bool certbot)
{
	char to[2 * PATH];

	if (certbot) {
		snprintf(to, sizeof to, "%s/%s", live, name);
		run("mkdir -p %s", to);
		snprintf(to, sizeof to, "%s/%s/fullchain.pem", live, name);
		put(to, certs[i].pem, strlen(certs[i].pem));
		snprintf(to, sizeof to, "%s/%s/privkey.pem", live, name);
	} else {
		snprintf(to, sizeof to, "%s/%s.crt", pairs_dir, name);
		put(to, certs[i].pem, strlen(certs[i].pem));
		snprintf(to, sizeof to, "%s/%s.key", pairs_dir, name);
	}
	put(to, secret_bytes(certs[i].key_pem), secret_len(certs[i].key_pem));
}

static int
make_dirs(void **state)
{
	snprintf(live, sizeof live, "%s/live", dir);
	snprintf(pairs_dir, sizeof pairs_dir, "%s/pairs", dir);
	run("mkdir %s %s", live, pairs_dir);
	return make_files(state);
}

static int
drop_dirs(void **state)
{
	(void)state;
	run("rm -r %s %s", live, pairs_dir);
	return 0;
}

static struct tls_server_ctx *
server_of_dirs(void)
{
	struct tls_pair both[] = { { live, NULL }, { pairs_dir, NULL } };
	struct tls_server_ctx *ctx;
	struct errtext e;

	if (tls_server_new(both, 2, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	return ctx;
}

static void
a_directory_is_its_pairs(void **state)
{
	struct tls_server_ctx *ctx;
	char path[2 * PATH];

	(void)state;
	put_pair(2, "b", true);
	put_pair(0, "a", true);
	put_pair(3, "later.test", false);
	/* What is no pair: a chain of lego's without a key, a README, a backup. */
	snprintf(path, sizeof path, "%s/later.test.issuer.crt", pairs_dir);
	put(path, "x", 1);
	snprintf(path, sizeof path, "%s/README", live);
	put(path, "x", 1);
	put_pair(1, ".old", false);
	snprintf(path, sizeof path, "%s/.old.crt", pairs_dir);
	put(path, "x", 1);
	ctx = server_of_dirs();
	expect_cert(ctx, "first.test", 0);
	expect_cert(ctx, "exact.wild.test", 2);
	expect_cert(ctx, "later.test", 3);
	/* The first is that of the first name. */
	expect_refusal(
	    ctx, "unknown.test", pem[0], "certificate of unknown.test is for first.test");
	tls_server_free(ctx);
}

static void
pairs_come_and_go_in_a_directory(void **state)
{
	struct tls_server_ctx *ctx;
	struct errtext e;

	(void)state;
	put_pair(0, "a", true);
	ctx = server_of_dirs();
	assert_false(tls_server_changed(ctx));
	put_pair(2, "b", true);
	put_pair(3, "0", true);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), 0);
	assert_false(tls_server_changed(ctx));
	expect_cert(ctx, "first.test", 0);
	expect_cert(ctx, "exact.wild.test", 2);
	expect_cert(ctx, "later.test", 3);
	run("rm -r %s/b", live);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), 0);
	expect_refusal(
	    ctx, "exact.wild.test", pem[2], "certificate of exact.wild.test is for later.test");
	/* Without any, and without the directory, all stays as it was; told once. */
	run("rm -r %s/*", live);
	assert_int_equal(tls_server_reload(ctx, &e), ERR_NOTFOUND);
	assert_false(tls_server_changed(ctx));
	expect_cert(ctx, "first.test", 0);
	run("rmdir %s", live);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), ERR_NOTFOUND);
	assert_non_null(strstr(e.s, "no directory that can be read"));
	assert_false(tls_server_changed(ctx));
	expect_cert(ctx, "first.test", 0);
	put_pair(2, "b", true);
	assert_true(tls_server_changed(ctx));
	assert_int_equal(tls_server_reload(ctx, &e), 0);
	expect_cert(ctx, "exact.wild.test", 2);
	tls_server_free(ctx);
}

static void
mistakes_in_a_directory_are_named(void **state)
{
	struct tls_pair none = { "/nonexistent", NULL }, empty = { pairs_dir, NULL };
	struct tls_server_ctx *ctx;
	struct errtext e;

	(void)state;
	assert_int_equal(tls_server_new(&none, 1, &ctx, &e), ERR_NOTFOUND);
	assert_non_null(strstr(e.s, "/nonexistent: no directory that can be read"));
	assert_int_equal(tls_server_new(&empty, 1, &ctx, &e), ERR_NOTFOUND);
	assert_non_null(strstr(e.s, pairs_dir));
	put_pair(0, "x", false);
	put_key(1, 1);
	run("cp %s %s/x.key", key[1], pairs_dir);
	assert_int_equal(tls_server_new(&empty, 1, &ctx, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "pairs/x.key: the key does not belong"));
}

/* ---- what a client trusts ---- */

static void
expect_client_error(const char *ca, const char *pins, int err, const char *text)
{
	struct tls_client_ctx *ctx;
	struct errtext e;

	assert_int_equal(tls_client_new(&(struct tls_client_opts){ ca, pins }, &ctx, &e), err);
	if (strstr(e.s, text) == NULL)
		fail_msg("%s", e.s);
}

static void
mistakes_in_client_options_are_named(void **state)
{
	(void)state;
	expect_client_error("/nonexistent/ca", NULL, ERR_NOTFOUND, "/nonexistent/ca");
	expect_client_error(key[0], NULL, ERR_INVALID, "no certificate in PEM form");
	expect_client_error(NULL, "sha256//short", ERR_INVALID, "pin sha256//short: not sha256//");
	expect_client_error(NULL, "", ERR_INVALID, "pin : not sha256//");
	expect_client_error(NULL, "sha1//AAAA", ERR_INVALID, "pin sha1//AAAA");
}

static void
the_systems_authorities_are_read_from_where_the_environment_says(void **state)
{
	struct tls_server_ctx *ctx = server(1);
	struct uplink k;

	(void)state;
	setenv("SSL_CERT_FILE", pem[0], 1);
	uplink_open(&k, ctx, "first.test", NULL, NULL);
	assert_false(k.c.closed);
	uplink_close(&k);
	setenv("SSL_CERT_FILE", "/nonexistent/roots", 1);
	expect_client_error(NULL, NULL, ERR_NOTFOUND, "give --ca FILE or --pin");
	/* Who gives a pin needs no authorities. */
	expect_cert(ctx, "first.test", 0);
	unsetenv("SSL_CERT_FILE");
	tls_server_free(ctx);
}

static void
a_ca_file_replaces_the_systems_authorities(void **state)
{
	struct tls_server_ctx *ctx = server(1);

	(void)state;
	setenv("SSL_CERT_FILE", pem[0], 1);
	expect_refusal(ctx, "first.test", pem[1], "certificate of first.test is self-signed");
	unsetenv("SSL_CERT_FILE");
	tls_server_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(mistakes_in_server_files_are_named, make_files),
		cmocka_unit_test_setup(a_chain_with_a_broken_certificate_is_named, make_files),
		cmocka_unit_test_setup(so_many_pairs_and_no_more, make_files),
		cmocka_unit_test_setup(an_encrypted_key_is_named, make_files),
		cmocka_unit_test_setup(
		    a_certificate_that_is_not_for_servers_is_refused, make_files),
		cmocka_unit_test_setup(every_failed_allocation_is_reported, make_files),
		cmocka_unit_test_setup(the_name_chooses_exact_then_wildcard_then_first, make_files),
		cmocka_unit_test_setup(a_host_is_covered_by_what_the_client_was_shown, make_files),
		cmocka_unit_test_setup(
		    without_a_known_name_the_first_certificate_counts, make_files),
		cmocka_unit_test_setup(a_reload_leaves_open_connections_alone, make_files),
		cmocka_unit_test_setup(a_broken_file_keeps_what_there_was, make_files),
		cmocka_unit_test_setup(others_are_renewed_beside_a_broken_file, make_files),
		cmocka_unit_test_setup_teardown(a_directory_is_its_pairs, make_dirs, drop_dirs),
		cmocka_unit_test_setup_teardown(
		    pairs_come_and_go_in_a_directory, make_dirs, drop_dirs),
		cmocka_unit_test_setup_teardown(
		    mistakes_in_a_directory_are_named, make_dirs, drop_dirs),
		cmocka_unit_test_setup(mistakes_in_client_options_are_named, make_files),
		cmocka_unit_test_setup(
		    the_systems_authorities_are_read_from_where_the_environment_says, make_files),
		cmocka_unit_test_setup(a_ca_file_replaces_the_systems_authorities, make_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
