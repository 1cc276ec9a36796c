/* SPDX-License-Identifier: ISC */
/*
 * reload_test - files read again beside the loop: what is taken, what stays, and what is asked for
 * meanwhile.
 *
 * link: -Wl,--wrap=pthread_create
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/ingress/pages.h"
#include "cmd/relay/reload.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/tls/cert.h"
#include "lib/tls/tls.h"
#include "test/unit/heardlog.h"
#include "test/unit/memfilter.h"
#include "test/unit/nothread.h"
#include "test/unit/relaytest.h"
#include "test/unit/turns.h"
#include "test/by_secret.h"

#define A "{\"edge-agents\":{\"a\":\"secret\"}}"
#define B "{\"edge-agents\":{\"b\":\"secret\"}}"

struct fix {
	struct relay r;
	struct reload rl;
	struct loop *l;
	char dir[64], creds[96], cert[96], key[96];
	int n_done, wanted;
};

static void
on_done(void *arg)
{
	((struct fix *)arg)->n_done++;
}

static void
put(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static int
setup(void **state)
{
	static struct fix x;

	x = (struct fix){ .dir = "/tmp/reload_test.XXXXXX" };
	relaytest_init(&x.r, 1);
	x.l = x.r.workers[0].loop;
	if (mkdtemp(x.dir) == NULL)
		return -1;
	snprintf(x.creds, sizeof x.creds, "%s/creds", x.dir);
	snprintf(x.cert, sizeof x.cert, "%s/cert", x.dir);
	snprintf(x.key, sizeof x.key, "%s/key", x.dir);
	x.r.opts.credentials = x.creds;
	reload_init(&x.rl, &x.r, on_done, &x);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	reload_fini(&x->rl);
	tls_server_free(x->r.tls);
	pages_unref(x->r.pages);
	relaytest_fini(&x->r);
	unlink(x->creds);
	unlink(x->cert);
	unlink(x->key);
	return rmdir(x->dir);
}

/* The credentials are text now, and were read. */
static void
begin_with(struct fix *x, const char *text)
{
	put(x->creds, text);
	reload_seen(&x->rl);
	relaytest_creds(&x->r, text);
}

static bool
is_idle(void *arg)
{
	return !((struct fix *)arg)->rl.reading.busy;
}

static bool
is_done(void *arg)
{
	struct fix *x = arg;

	return x->n_done >= x->wanted && is_idle(x);
}

/* It says so a few times; what it has left out it tells at the end, and is in no list then. */
static void
what_was_left_out_of_the_log_is_told_at_the_end(void **state)
{
	struct fix *x = *state;
	const char *text;

	begin_with(x, A);
	put(x->creds, B);
	heardlog_begin(LOG_LEVEL_INFO);
	no_thread = true;
	reload_start(&x->rl, RELOAD_CREDS);
	for (int i = 0; i < LOG_LIMIT_FEW; i++)
		reload_watch(&x->rl);
	no_thread = false;
	assert_false(x->rl.reading.busy);
	x->wanted = 1;
	reload_watch(&x->rl);
	assert_true(turns_until(x->l, is_done, x));
	assert_true(log_limits_waiting());
	reload_fini(&x->rl);
	assert_false(log_limits_waiting());
	text = heardlog_end();
	assert_non_null(strstr(text, "reload: no thread, nothing is read again: "));
	assert_non_null(strstr(text, "reload: 1 lines left out"));
}

static bool
lets_in(struct fix *x, const char *name)
{
	struct creds *c = relay_creds(&x->r);
	struct creds_id id;
	bool yes = c != NULL && creds_agent(c, name, BY_SECRET("secret"), 0, &id) == 0;

	creds_unref(c);
	return yes;
}

static void
settle(struct fix *x)
{
	assert_true(turns_until(x->l, is_idle, x));
}

static void
a_changed_file_is_in_force(void **state)
{
	struct fix *x = *state;

	begin_with(x, A);
	reload_watch(&x->rl);
	settle(x);
	assert_int_equal(x->n_done, 0);
	put(x->creds, B);
	reload_watch(&x->rl);
	settle(x);
	assert_int_equal(x->n_done, 1);
	assert_true(lets_in(x, "b") && !lets_in(x, "a"));
	/* Once is enough. */
	reload_watch(&x->rl);
	settle(x);
	assert_int_equal(x->n_done, 1);
}

static void
a_broken_file_changes_nothing(void **state)
{
	struct fix *x = *state;

	begin_with(x, A);
	put(x->creds, "{\"edge-agents\":");
	reload_watch(&x->rl);
	settle(x);
	assert_int_equal(x->n_done, 0);
	assert_true(lets_in(x, "a"));
	assert_int_equal(unlink(x->creds), 0);
	reload_watch(&x->rl);
	settle(x);
	assert_true(lets_in(x, "a"));
	put(x->creds, B);
	reload_watch(&x->rl);
	settle(x);
	assert_true(lets_in(x, "b"));
}

static void
on_demand_a_file_is_read_changed_or_not(void **state)
{
	struct fix *x = *state;

	begin_with(x, A);
	reload_start(&x->rl, RELOAD_CREDS | RELOAD_TLS);
	settle(x);
	assert_int_equal(x->n_done, 1);
	reload_start(&x->rl, RELOAD_TLS);
	settle(x);
	assert_int_equal(x->n_done, 1);
}

static void
without_files_there_is_nothing_to_read(void **state)
{
	struct fix *x = *state;

	x->r.opts.credentials = NULL;
	reload_start(&x->rl, RELOAD_CREDS | RELOAD_TLS);
	assert_false(x->rl.reading.busy);
	reload_watch(&x->rl);
	assert_false(x->rl.reading.busy);
	x->r.opts.credentials = x->creds;
}

/* A reading that waits, as the credentials are a FIFO that nobody has written to yet. */
static void
begin_slowly(struct fix *x)
{
	assert_int_equal(mkfifo(x->creds, 0600), 0);
	reload_start(&x->rl, RELOAD_CREDS);
	assert_true(x->rl.reading.busy);
}

static void
write_fifo(struct fix *x, const char *text)
{
	FILE *f = fopen(x->creds, "w");

	assert_true(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void
what_is_asked_for_meanwhile_is_done_once_more(void **state)
{
	struct fix *x = *state;

	begin_slowly(x);
	reload_start(&x->rl, RELOAD_CREDS);
	reload_start(&x->rl, RELOAD_CREDS);
	/* A look at the clock asks for nothing. */
	reload_watch(&x->rl);
	write_fifo(x, A);
	x->wanted = 1;
	assert_false(is_done(x));
	while (x->n_done == 0)
		mem_settle(x->l);
	assert_true(lets_in(x, "a") && x->rl.reading.busy);
	write_fifo(x, B);
	x->wanted = 2;
	assert_true(turns_until(x->l, is_done, x));
	assert_true(lets_in(x, "b"));
	assert_int_equal(x->n_done, 2);
}

static void
a_reading_that_waits_can_be_ended(void **state)
{
	struct fix *x = *state;

	begin_slowly(x);
	reload_fini(&x->rl);
	assert_false(x->rl.reading.busy);
	assert_int_equal(x->n_done, 0);
}

/* ---- certificates ---- */

static void
put_pair(struct fix *x)
{
	const char *const hosts[] = { "relay.test" };
	struct cert c = { 0 };

	assert_int_equal(cert_self_signed(hosts, 1, 1, &c, NULL), 0);
	put(x->cert, c.pem);
	assert_int_equal(
	    file_write_atomic(x->key, secret_bytes(c.key_pem), secret_len(c.key_pem), 0600, NULL),
	    0);
	cert_fini(&c);
}

static void
certificates_are_looked_at_too(void **state)
{
	struct fix *x = *state;
	struct tls_pair pair = { x->cert, x->key };

	x->r.opts.credentials = NULL;
	put_pair(x);
	assert_int_equal(tls_server_new(&pair, 1, &x->r.tls, NULL), 0);
	reload_watch(&x->rl);
	settle(x);
	assert_int_equal(x->rl.with & RELOAD_TLS, 0);
	put_pair(x);
	reload_watch(&x->rl);
	settle(x);
	assert_int_not_equal(x->rl.with & RELOAD_TLS, 0);
	assert_int_equal(x->rl.tls_rc, 0);
	assert_false(tls_server_changed(x->r.tls));
	put(x->cert, "not a certificate");
	reload_watch(&x->rl);
	settle(x);
	assert_int_not_equal(x->rl.with & RELOAD_TLS, 0);
	assert_int_equal(x->rl.tls_rc, ERR_INVALID);
	assert_int_equal(x->n_done, 0);
	x->r.opts.credentials = x->creds;
}

/* Credentials and certificates that were read, and pages. */
static void
begin_with_all(struct fix *x)
{
	struct tls_pair pair = { x->cert, x->key };

	begin_with(x, A);
	put_pair(x);
	assert_int_equal(tls_server_new(&pair, 1, &x->r.tls, NULL), 0);
	x->r.opts.error_pages = x->dir;
}

static void
pages_are_read_again_and_a_wrong_one_leaves_those_in_use(void **state)
{
	struct fix *x = *state;
	char path[128];
	size_t n;

	begin_with_all(x);
	snprintf(path, sizeof path, "%s/404.html", x->dir);
	put(path, "first");
	reload_start(&x->rl, RELOAD_PAGES);
	settle(x);
	assert_memory_equal(pages_find(x->r.pages, 404, &n), "first", 5);
	assert_int_equal(n, 5);
	assert_null(pages_find(x->r.pages, 503, &n));
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	reload_start(&x->rl, RELOAD_PAGES);
	settle(x);
	assert_int_not_equal(x->rl.pages_rc, 0);
	assert_memory_equal(pages_find(x->r.pages, 404, &n), "first", 5);
	assert_int_equal(rmdir(path), 0);
	reload_start(&x->rl, RELOAD_PAGES);
	settle(x);
	assert_null(pages_find(x->r.pages, 404, &n));
}

static void
without_a_thread_what_was_asked_for_is_done_at_the_next_look(void **state)
{
	struct fix *x = *state;

	begin_with_all(x);
	for (unsigned ask = 1; ask <= RELOAD_ALL; ask++) {
		int before = x->n_done;

		no_thread = true;
		reload_start(&x->rl, ask);
		assert_false(x->rl.reading.busy);
		no_thread = false;
		reload_watch(&x->rl);
		assert_true(x->rl.reading.busy);
		settle(x);
		assert_int_equal(x->rl.with, ask);
		assert_int_equal(x->n_done - before, (ask & RELOAD_CREDS) != 0);
		/* And then no more. */
		reload_watch(&x->rl);
		settle(x);
		assert_int_equal(x->rl.with, 0);
	}
	/* What a look has found, the next one finds by itself. */
	put(x->creds, B);
	no_thread = true;
	reload_watch(&x->rl);
	assert_false(x->rl.reading.busy);
	assert_int_equal(x->rl.wanted, 0);
	no_thread = false;
	reload_watch(&x->rl);
	settle(x);
	assert_true(lets_in(x, "b"));
	assert_int_equal(x->rl.with & RELOAD_TLS, 0);
}

/* The second round reads what was asked for meanwhile, not what the first has read. */
static void
certificates_asked_for_meanwhile_are_read_alone(void **state)
{
	struct fix *x = *state;

	begin_with_all(x);
	assert_int_equal(unlink(x->creds), 0);
	begin_slowly(x);
	reload_start(&x->rl, RELOAD_TLS);
	write_fifo(x, A);
	settle(x);
	assert_int_equal(x->n_done, 1);
	assert_int_equal(x->rl.with & RELOAD_CREDS, 0);
	assert_int_not_equal(x->rl.with & RELOAD_TLS, 0);
}

/* What is said in one reading on demand. */
static void
log_of(struct fix *x, char *said, size_t room)
{
	int p[2];
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, p[1]);
	reload_start(&x->rl, RELOAD_CREDS | RELOAD_TLS);
	settle(x);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	close(p[1]);
	n = read(p[0], said, room - 1);
	said[n > 0 ? n : 0] = '\0';
	close(p[0]);
}

static void
it_says_what_was_read_and_what_stays(void **state)
{
	struct fix *x = *state;
	char said[2048];

	begin_with_all(x);
	log_of(x, said, sizeof said);
	assert_non_null(strstr(said, "/creds: read again"));
	assert_non_null(strstr(said, "certificates read again"));
	assert_null(strstr(said, "stay"));
	put(x->cert, "no certificate");
	log_of(x, said, sizeof said);
	assert_non_null(strstr(said, "/creds: read again"));
	assert_non_null(strstr(said, "this certificate stays as it was"));
	assert_null(strstr(said, "certificates read again"));
	put(x->creds, "no credentials");
	put_pair(x);
	log_of(x, said, sizeof said);
	assert_non_null(strstr(said, "the credentials in use stay"));
	assert_null(strstr(said, "/creds: read again"));
	assert_non_null(strstr(said, "certificates read again"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_changed_file_is_in_force),
		T(what_was_left_out_of_the_log_is_told_at_the_end),
		T(a_broken_file_changes_nothing),
		T(on_demand_a_file_is_read_changed_or_not),
		T(without_files_there_is_nothing_to_read),
		T(what_is_asked_for_meanwhile_is_done_once_more),
		T(a_reading_that_waits_can_be_ended),
		T(certificates_are_looked_at_too),
		T(pages_are_read_again_and_a_wrong_one_leaves_those_in_use),
		T(without_a_thread_what_was_asked_for_is_done_at_the_next_look),
		T(certificates_asked_for_meanwhile_are_read_alone),
		T(it_says_what_was_read_and_what_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
