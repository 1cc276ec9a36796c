/* SPDX-License-Identifier: ISC */
/*
 * f_tls_fuzz - the TLS filter fed by a stranger: it never becomes ready, delivers nothing, ends
 * once, and answers little.
 *
 * The first byte: bit 0 client in place of server, bit 1 byte by byte, bit 2 after a good handshake
 * (then nothing that the stranger adds is delivered either), bit 3 TLS 1.2 only, bit 4 the stream
 * ends after the input, bit 5 TLS by keys: what a carrier begins with whose first byte is 22.
 *
 * The certificate, and what mbedTLS's PSA layer draws, differ from run to run; nothing that is
 * checked here depends on them.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/tls/cert.h"
#include "lib/tls/f_tls.h"
#include "lib/base/file.h"
#include "lib/base/rand.h"
#include "lib/tls/tls_generation.h"
#include "test/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENT = 1, BYTEWISE = 2, LATE = 4, OLD = 8, END = 16, KEYED = 32 };

static struct tls_server_ctx *server_ctx;
static struct tls_client_ctx *client_ctx, *old_client_ctx;
static struct tls_keyed *keyed_server, *keyed_client;
static struct keys_list known;

struct side {
	struct filter *f;
	unsigned n_ready, n_closed;
	size_t got;
};

static void
must(bool ok, const struct errtext *e)
{
	if (ok)
		return;
	fprintf(stderr, "f_tls_fuzz: %s\n", e->s);
	abort();
}

/* One key for both ends. */
static void
make_keyed(void)
{
	struct secret *key = keys_generate();
	struct errtext e = { "no key" };
	const char *pub;

	must(key != NULL, &e);
	must(tls_keyed_new(key, TLS_KEYED_SERVER, TLS_KEYED_LOGIN, &keyed_server, &e) == 0, &e);
	must(tls_keyed_new(key, TLS_KEYED_CLIENT, TLS_KEYED_LOGIN, &keyed_client, &e) == 0, &e);
	pub = tls_keyed_public(keyed_server);
	must(keys_list_add(&known, pub, strlen(pub), &e) == 0, &e);
	secret_free(key);
}

static void
make_contexts(void)
{
	const char *hosts[] = { "relay.test" };
	char dir[] = "/tmp/f_tls_fuzz.XXXXXX", pem[64], key[64];
	struct tls_client_opts opts = { 0 };
	struct tls_generation *g;
	struct errtext e = { "no temporary directory" };
	struct cert c;

	rand_init();
	must(mkdtemp(dir) != NULL, &e);
	snprintf(pem, sizeof pem, "%s/c", dir);
	snprintf(key, sizeof key, "%s/k", dir);
	must(cert_self_signed(hosts, 1, 30, &c, &e) == 0, &e);
	must(file_write_atomic(pem, c.pem, strlen(c.pem), 0600, &e) == 0, &e);
	must(file_write_atomic(key, secret_bytes(c.key_pem), secret_len(c.key_pem), 0600, &e) == 0,
	    &e);
	must(tls_server_new(&(struct tls_pair){ pem, key }, 1, &server_ctx, &e) == 0, &e);
	opts.pins = c.pin;
	must(tls_client_new(&opts, &client_ctx, &e) == 0, &e);
	must(tls_client_new(&opts, &old_client_ctx, &e) == 0, &e);
	g = tls_generation_client(old_client_ctx);
	mbedtls_ssl_conf_max_tls_version(&g->conf, MBEDTLS_SSL_VERSION_TLS1_2);
	tls_generation_drop(g);
	make_keyed();
	unlink(pem);
	unlink(key);
	rmdir(dir);
	cert_fini(&c);
}

static void
on_readable(void *arg)
{
	struct side *x = arg;

	x->got += x->f->in.len;
	bufq_drain(&x->f->in, x->f->in.len);
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

	assert(err < 0 && text != NULL);
	x->n_closed++;
}

static void
on_ready(void *arg)
{
	((struct side *)arg)->n_ready++;
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static void
start(struct side *x, struct filter *f)
{
	assert(f != NULL);
	*x = (struct side){ .f = f };
	filter_set_user(f, &user, x);
	f_tls_set_ready(f, on_ready, x);
}

/* What the stranger says arrives at w, whatever the other end of the wire has written. */
static void
say(struct loop *l, struct wire *w, const uint8_t *p, size_t n, unsigned how)
{
	bufq_fini(&w->coming);
	w->chunk = how & BYTEWISE ? 1 : 0;
	assert(bufq_copy(&w->coming, p, n) == 0);
	w->fin = (how & END) != 0;
	task_soon(l, &w->deliver);
	wire_turns(l, how & BYTEWISE ? (unsigned)n + 8 : 8);
}

static struct filter *
new_client(struct loop *l, struct wire *w, unsigned how)
{
	if (how & KEYED)
		return f_tls_keyed(&w->f, l, keyed_client, tls_judge_list(&known));
	return f_tls_client(&w->f, l, how & OLD ? old_client_ctx : client_ctx, "relay.test");
}

static struct filter *
new_server(struct loop *l, struct wire *w, unsigned how)
{
	static const struct tls_judge anybody = { NULL, NULL };

	return how & KEYED ? f_tls_keyed(&w->f, l, keyed_server, anybody)
			   : f_tls_server(&w->f, l, server_ctx);
}

static void
to_a_beginner(struct loop *l, const uint8_t *p, size_t n, unsigned how)
{
	struct wire *near, *far;
	struct side x;

	wire_pair(l, &near, &far);
	start(&x, how & CLIENT ? new_client(l, near, how) : new_server(l, near, how));
	wire_turns(l, 2);
	say(l, near, p, n, how);
	assert(x.n_ready == 0 && x.got == 0 && x.n_closed <= 1);
	assert(!(how & END) || x.n_closed == 1);
	assert(far->passed + far->coming.len < 16384);
	filter_free(x.f);
	filter_free(&far->f);
}

static void
to_one_with_a_session(struct loop *l, const uint8_t *p, size_t n, unsigned how)
{
	struct wire *a, *b;
	struct side c, s, *x = how & CLIENT ? &c : &s;

	wire_pair(l, &a, &b);
	start(&c, new_client(l, a, how));
	start(&s, new_server(l, b, how));
	wire_turns(l, 10);
	assert(c.n_ready == 1 && s.n_ready == 1);
	say(l, how & CLIENT ? a : b, p, n, how);
	assert(x->got == 0 && x->n_closed <= 1);
	assert(!(how & END) || x->n_closed == 1);
	filter_free(c.f);
	filter_free(s.f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop *l;

	if (size == 0 || size > 8192)
		return 0;
	if (server_ctx == NULL)
		make_contexts();
	l = loop_new();
	assert(l != NULL);
	if (data[0] & LATE)
		to_one_with_a_session(l, data + 1, size - 1, data[0]);
	else
		to_a_beginner(l, data + 1, size - 1, data[0]);
	wire_turns(l, 3);
	loop_free(l);
	return 0;
}
