/* SPDX-License-Identifier: ISC */
/*
 * f_tls_bench - what the TLS filter costs: GB and handshakes for each second of processor time,
 * both ends in memory, and the memory of an idle connection.
 *
 *     f_tls_bench [bytes of one write, default 262144] [idle connections, default 1000] [12]
 *
 * The third argument: TLS 1.2, whose records are mbedTLS's, and what is left of its buffers when a
 * connection was idle for long.
 */
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/tls/cert.h"
#include "lib/tls/f_tls.h"
#include "lib/base/file.h"
#include "lib/base/rand.h"
#include "lib/tls/tls_generation.h"
#include "test/wire.h"

enum { SECONDS = 2, MIB = 1024 * 1024 };

static struct tls_server_ctx *server_ctx;
static struct tls_client_ctx *client_ctx;

struct side {
	struct filter *f;
	size_t got;
	bool ready;
};

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
	(void)arg;
	fprintf(stderr, "closed: %s %s\n", err_str(err), text);
	exit(1);
}

static void
on_ready(void *arg)
{
	((struct side *)arg)->ready = true;
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

/* Processor time, so that what else runs on the machine counts little. */
static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
make_contexts(void)
{
	const char *hosts[] = { "relay.test" };
	char dir[] = "/tmp/f_tls_bench.XXXXXX", pem[64], key[64];
	struct cert c;
	struct errtext e;

	rand_init();
	if (mkdtemp(dir) == NULL)
		exit(1);
	snprintf(pem, sizeof pem, "%s/c", dir);
	snprintf(key, sizeof key, "%s/k", dir);
	if (cert_self_signed(hosts, 1, 30, &c, &e) != 0 ||
	    file_write_atomic(pem, c.pem, strlen(c.pem), 0600, &e) != 0 ||
	    file_write_atomic(key, secret_bytes(c.key_pem), secret_len(c.key_pem), 0600, &e) != 0 ||
	    tls_server_new(&(struct tls_pair){ pem, key }, 1, &server_ctx, &e) != 0 ||
	    tls_client_new(&(struct tls_client_opts){ .pins = c.pin }, &client_ctx, &e) != 0) {
		fprintf(stderr, "%s\n", e.s);
		exit(1);
	}
	unlink(pem);
	unlink(key);
	rmdir(dir);
	cert_fini(&c);
}

static bool
are_ready(void *arg)
{
	struct side *x = arg;

	return x[0].ready && x[1].ready;
}

/* x[0] the client, x[1] the server; joined and ready. */
static void
connect_pair(struct loop *l, struct side x[2])
{
	struct wire *a, *b;

	wire_pair(l, &a, &b);
	x[0] = (struct side){ .f = f_tls_client(&a->f, l, client_ctx, "relay.test") };
	x[1] = (struct side){ .f = f_tls_server(&b->f, l, server_ctx) };
	for (int i = 0; i < 2; i++) {
		filter_set_user(x[i].f, &user, &x[i]);
		f_tls_set_ready(x[i].f, on_ready, &x[i]);
	}
	if (!wire_run(l, 10000, are_ready, x))
		exit(1);
}

static void
bench_bytes(struct loop *l, size_t n)
{
	struct side x[2];
	double start, spent;

	connect_pair(l, x);
	start = cpu_s();
	do {
		for (int i = 0; i < 16; i++) {
			struct bufq q = { 0 };

			for (size_t off = 0; off < n; off += BUF_HUGE) {
				struct block *b = block_new(BUF_HUGE);

				if (b == NULL || bufq_append(&q, b, b->data,
						     n - off < BUF_HUGE ? n - off : BUF_HUGE))
					exit(1);
				block_unref(b);
			}
			if (filter_write(x[0].f, &q) != 0)
				exit(1);
			filter_flush(x[0].f);
			wire_turns(l, 3);
		}
		spent = cpu_s() - start;
	} while (spent < SECONDS);
	printf("%s, writes of %zu bytes: %.2f GB/s through both ends\n", f_tls_describe(x[0].f), n,
	    (double)x[1].got / spent / 1e9);
	filter_free(x[0].f);
	filter_free(x[1].f);
	wire_turns(l, 2);
}

static void
bench_handshakes(struct loop *l)
{
	struct side x[2];
	double start = cpu_s(), spent;
	unsigned n = 0;

	do {
		connect_pair(l, x);
		filter_free(x[0].f);
		filter_free(x[1].f);
		wire_turns(l, 2);
		n++;
		spent = cpu_s() - start;
	} while (spent < SECONDS);
	printf("handshakes: %.0f a second, both ends on one core\n", n / spent);
}

static long
resident_kib(void)
{
	long pages = 0, total;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%ld %ld", &total, &pages) != 2)
		exit(1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
say_resident(const char *what, long before, size_t n)
{
	malloc_trim(0);
	printf("%s: %.1f KiB for each pair of ends\n", what,
	    (double)(resident_kib() - before) / (double)n);
}

/* One byte each way: what a keepalive is. */
static void
ping(struct loop *l, struct side (*x)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int j = 0; j < 2; j++) {
			if (filter_send(x[i][j].f, "p", 1) != 0)
				exit(1);
			filter_flush(x[i][j].f);
		}
	wire_turns(l, 3);
}

static void
use_tls12(void)
{
	struct tls_generation *g = tls_generation_client(client_ctx);

	mbedtls_ssl_conf_max_tls_version(&g->conf, MBEDTLS_SSL_VERSION_TLS1_2);
	tls_generation_drop(g);
}

static void
bench_idle(struct loop *l, size_t n, bool tls12)
{
	struct side(*x)[2] = calloc(n, sizeof *x);
	long before;

	if (x == NULL)
		exit(1);
	connect_pair(l, x[0]);
	filter_free(x[0][0].f);
	filter_free(x[0][1].f);
	wire_turns(l, 2);
	buf_pool_free();
	before = resident_kib();
	for (size_t i = 0; i < n; i++)
		connect_pair(l, x[i]);
	buf_pool_free();
	say_resident("idle after the handshake", before, n);
	if (tls12)
		usleep((F_TLS_TRIM_MS + 1000) * 1000);
	ping(l, x, n);
	buf_pool_free();
	say_resident("idle after a later ping", before, n);
	free(x);
}

int
main(int argc, char **argv)
{
	struct loop *l = loop_new();
	bool tls12 = argc > 3 && strcmp(argv[3], "12") == 0;

	if (l == NULL)
		return 1;
	make_contexts();
	if (tls12)
		use_tls12();
	bench_bytes(l, argc > 1 ? strtoul(argv[1], NULL, 10) : 256 * 1024);
	bench_handshakes(l);
	bench_idle(l, argc > 2 ? strtoul(argv[2], NULL, 10) : 1000, tls12);
	return 0;
}
