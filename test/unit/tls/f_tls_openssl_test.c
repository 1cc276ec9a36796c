/* SPDX-License-Identifier: ISC */
/*
 * f_tls_openssl - TLS 1.3 with OpenSSL at the other end (openssl s_server, s_client): every suite,
 * both roles, keys that change in both directions under load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/net/f_sock.h"
#include "test/unit/tlstest.h"

enum { WAIT_MS = 20000, BULK = 1000000 };

/* The program at the other end. */
struct openssl {
	pid_t pid;
	/* Its standard input and output. */
	int in, out;
	/* The beginning of its output. */
	char said[512];
	size_t n_said;
	/* Letters z in all of it. */
	size_t n_z;
	char messages[64];
};

/* A connection with it. */
struct talk {
	struct loop *l;
	struct tls_client_ctx *ctx;
	struct openssl o;
	struct tlstest_side x;
	size_t want;
	const char *word;
	unsigned n_word;
};

/* ---- the program ---- */

static void
openssl_start(struct openssl *o, char *const argv[])
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	o->pid = fork();
	assert_true(o->pid >= 0);
	if (o->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(open("/dev/null", O_WRONLY),
		    STDERR_FILENO); /* its remarks about our certificate */
		execvp("openssl", argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	o->in = in[1];
	o->out = out[0];
	assert_int_equal(fcntl(o->out, F_SETFL, O_NONBLOCK), 0);
}

static void
openssl_stop(struct openssl *o)
{
	close(o->in);
	close(o->out);
	kill(o->pid, SIGTERM);
	waitpid(o->pid, NULL, 0);
	unlink(o->messages);
}

static void
openssl_type(struct openssl *o, const char *line)
{
	assert_int_equal(write(o->in, line, strlen(line)), strlen(line));
}

/* Take what it has printed. */
static void
openssl_read(struct openssl *o)
{
	char p[65536];
	ssize_t n;

	while ((n = read(o->out, p, sizeof p)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			o->n_z += p[i] == 'z';
			if (o->n_said < sizeof o->said - 1)
				o->said[o->n_said++] = p[i];
		}
	}
}

/* How often do its messages name this word? */
static unsigned
openssl_count(const struct openssl *o, const char *word)
{
	FILE *f = fopen(o->messages, "r");
	char line[4096];
	unsigned n = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof line, f) != NULL)
		n += strstr(line, word) != NULL;
	fclose(f);
	return n;
}

/* ---- conditions ---- */

static bool
is_accepting(void *arg)
{
	struct talk *t = arg;

	openssl_read(&t->o);
	return strstr(t->o.said, "ACCEPT ") != NULL &&
	       strchr(strstr(t->o.said, "ACCEPT "), '\n') != NULL;
}

static bool
is_ready(void *arg)
{
	struct talk *t = arg;

	return t->x.n_ready == 1;
}

static bool
has_taken(void *arg)
{
	struct talk *t = arg;

	openssl_read(&t->o);
	return t->o.n_z >= t->want;
}

static bool
has_given(void *arg)
{
	struct talk *t = arg;

	return t->x.got.len >= t->want;
}

static bool
has_said(void *arg)
{
	struct talk *t = arg;

	return openssl_count(&t->o, t->word) >= t->n_word;
}

static bool
is_over(void *arg)
{
	struct talk *t = arg;

	return t->x.n_closed > 0;
}

static void
wait_for(struct talk *t, bool (*done)(void *arg))
{
	if (!wire_run(t->l, WAIT_MS, done, t))
		fail_msg("ready %u, closed %u %s, z %zu, got %zu, said %s", t->x.n_ready,
		    t->x.n_closed, t->x.text, t->o.n_z, t->x.got.len, t->o.said);
}

/* ---- connecting ---- */

static struct filter *
sock_filter(struct talk *t, int fd)
{
	struct filter *f;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	f = f_sock_new(t->l, fd, false);
	assert_non_null(f);
	return f;
}

static struct sockaddr_in
loopback(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void
talk_start(struct talk *t)
{
	int fd;

	*t = (struct talk){ .l = loop_new() };
	assert_non_null(t->l);
	snprintf(t->o.messages, sizeof t->o.messages, "/tmp/f_tls_openssl.XXXXXX");
	fd = mkstemp(t->o.messages);
	assert_true(fd >= 0);
	close(fd);
}

/* We are the client. */
static void
call_openssl(struct talk *t, char *suite)
{
	char *argv[] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_3",
		"-ciphersuites", suite, "-cert", tlstest_pem, "-key", tlstest_key, "-msg",
		"-msgfile", t->o.messages, NULL };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tls_client_opts opts = { .pins = tlstest_cert.pin };
	struct sockaddr_in to;
	struct errtext e;

	openssl_start(&t->o, argv);
	wait_for(t, is_accepting);
	to = loopback((unsigned)strtoul(strrchr(strstr(t->o.said, "ACCEPT "), ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(tls_client_new(&opts, &t->ctx, &e), 0);
	tlstest_side_start(&t->x, f_tls_client(sock_filter(t, fd), t->l, t->ctx, "relay.test"));
}

/* We are the server. */
static void
answer_openssl(struct talk *t, char *suite)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	struct sockaddr_in at = loopback(0);
	socklen_t len = sizeof at;
	char where[32];
	char *argv[] = { "openssl", "s_client", "-connect", where, "-tls1_3", "-ciphersuites",
		suite, "-msg", "-msgfile", t->o.messages, NULL };

	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	snprintf(where, sizeof where, "127.0.0.1:%u", ntohs(at.sin_port));
	openssl_start(&t->o, argv);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listener);
	tlstest_side_start(&t->x, f_tls_server(sock_filter(t, fd), t->l, tlstest_server_ctx));
}

static void
talk_stop(struct talk *t)
{
	tlstest_side_free(&t->x);
	openssl_stop(&t->o);
	bufq_fini(&t->x.got);
	tls_client_free(t->ctx);
	wire_turns(t->l, 2);
	loop_free(t->l);
}

/* ---- talking ---- */

static void
send_bulk(struct talk *t)
{
	struct bufq q = { 0 };

	for (size_t n = BULK; n > 0;) {
		size_t k = n < 30000 ? n : 30000;
		struct block *b = block_new(k);

		assert_non_null(b);
		memset(b->data, 'z', k);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(&q, b, b->data, k), 0);
		block_unref(b);
		n -= k;
	}
	assert_int_equal(filter_write(t->x.f, &q), 0);
	filter_flush(t->x.f);
}

/* A line of ours, a line of theirs, then keys change while we send. */
static void
talk(struct talk *t)
{
	size_t before;

	wait_for(t, is_ready);
	openssl_read(&t->o);
	before = t->o.n_z;
	send_bulk(t);
	t->want = before + BULK;
	wait_for(t, has_taken);
	openssl_type(&t->o, "one\n");
	t->want = 4;
	wait_for(t, has_given);
	for (unsigned i = 1; i <= 6; i++) {
		bool ask = i % 2 == 1;

		/* Theirs, and, when they ask, ours: OpenSSL's messages name both. */
		send_bulk(t);
		openssl_type(&t->o, ask ? "K\n" : "k\n");
		t->word = "KeyUpdate";
		t->n_word = i + (i + 1) / 2;
		t->want = before + (1 + i) * BULK;
		wait_for(t, has_taken);
		wait_for(t, has_said);
		openssl_type(&t->o, "two\n");
		t->want = 4 + 4 * i;
		wait_for(t, has_given);
	}
	filter_shutdown(t->x.f);
	wait_for(t, is_over);
	assert_int_equal(t->x.err, ERR_EOF);
}

static char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
	"TLS_CHACHA20_POLY1305_SHA256" };

static void
speaks_with_openssls_server(void **state)
{
	struct talk t;

	(void)state;
	for (int i = 0; i < 3; i++) {
		talk_start(&t);
		call_openssl(&t, suites[i]);
		talk(&t);
		talk_stop(&t);
	}
}

static void
speaks_with_openssls_client(void **state)
{
	struct talk t;

	(void)state;
	for (int i = 0; i < 3; i++) {
		talk_start(&t);
		answer_openssl(&t, suites[i]);
		talk(&t);
		talk_stop(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speaks_with_openssls_server),
		cmocka_unit_test(speaks_with_openssls_client),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
