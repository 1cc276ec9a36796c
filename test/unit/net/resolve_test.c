/* SPDX-License-Identifier: ISC */
/*
 * resolve_test - look-ups against name servers of the test's own, and dials that must choose among
 * what they answer.
 *
 * c-ares calls the C library's fopen() and connect(); this program's are in their place:
 * /etc/resolv.conf and /etc/hosts are files of the test, port 53 is the test's.
 *
 * link: -Wl,--wrap=file_stamp_take
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/net/dial.h"
#include "lib/net/listen.h"
#include "lib/net/resolve.h"
#include "test/unit/dns_server.h"
#include "test/unit/heap.h"

enum { DIAL_MS = 10000 };

/* ---- in the place of the C library ---- */

static char conf_path[] = "/tmp/resolve_test.conf.XXXXXX";
static char hosts_path[] = "/tmp/resolve_test.hosts.XXXXXX";
/* The errors of the next calls of connect(2) to other ports; 0 is the kernel's own answer. */
static int connect_errors[4];

static const char *
redirected(const char *path)
{
	if (strcmp(path, "/etc/resolv.conf") == 0)
		return conf_path;
	return strcmp(path, "/etc/hosts") == 0 ? hosts_path : path;
}

/* As a file that this user may not read. */
static bool conf_unreadable;
static int n_conf_read;

FILE *
fopen(const char *path, const char *mode)
{
	if (strcmp(path, "/etc/resolv.conf") == 0)
		n_conf_read++;
	if (conf_unreadable && strcmp(path, "/etc/resolv.conf") == 0) {
		errno = EACCES;
		return NULL;
	}
	return fopen64(redirected(path), mode);
}

int
connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct addr a = { .len = len };
	int error = 0;

	memcpy(&a.u, sa, len);
	if (addr_port(&a) == 53) {
		addr_set_port(&a, dns_port(fd, &a));
	} else if (sa->sa_family != AF_UNSPEC && addr_port(&a) != 0) {
		error = connect_errors[0];
		memmove(connect_errors, connect_errors + 1,
		    sizeof connect_errors - sizeof *connect_errors);
	}
	if (error == 0)
		return (int)syscall(SYS_connect, fd, &a.u, len);
	errno = error;
	return -1;
}

void __real_file_stamp_take(struct file_stamp *st, const char *path);
void __wrap_file_stamp_take(struct file_stamp *st, const char *path);

void
__wrap_file_stamp_take(struct file_stamp *st, const char *path)
{
	__real_file_stamp_take(st, redirected(path));
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* ---- look-ups ---- */

struct fix {
	struct loop *l;
	struct dns_server s;
	int fds;
};

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
setup(void **state)
{
	static struct fix x;

	x = (struct fix){ .fds = open_fds() };
	x.l = loop_new();
	assert_non_null(x.l);
	dns_forget();
	write_file(conf_path, "nameserver 127.0.0.1\n");
	write_file(hosts_path, "127.0.0.7 hosts.test\nno.address hosts.test\n"
			       "127.0.0.8\tHOSTS.test # ::9\n::1 hosts.test\n"
			       "127.0.0.6  first.test other.test\n");
	dns_start(&x.s, x.l, "127.0.0.1");
	*state = &x;
	return 0;
}

/* What a loop's resolver has opened goes with the loop; what it has allocated, ASan's run says. */
static int
teardown(void **state)
{
	struct fix *x = *state;

	dns_stop(&x->s);
	loop_free(x->l);
	assert_int_equal(open_fds(), x->fds);
	return 0;
}

struct result {
	/* stopped by the result; NULL: it turns on, for another one */
	struct loop *l;
	int n, err;
	/* "A B C" */
	char list[512];
	char text[ERR_TEXT_MAX];
};

static void
on_resolved(void *arg, const struct addr *a, size_t n, int err, const char *text)
{
	struct result *r = arg;
	char one[ADDR_TEXT];
	size_t len = 0;

	r->n++;
	r->err = err;
	assert_int_equal(err == 0, n > 0);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(r->list + len, sizeof r->list - len, "%s%s", i ? " " : "",
		    addr_text(&a[i], one));
	snprintf(r->text, sizeof r->text, "%s", text);
	if (r->l != NULL)
		loop_stop(r->l);
}

static struct result
look_up(struct fix *x, const char *name)
{
	struct result r = { .l = x->l };

	assert_non_null(resolve_start(x->l, name, 7, 0, on_resolved, &r));
	assert_int_equal(r.n, 0);
	assert_int_equal(loop_run(x->l), 0);
	assert_int_equal(r.n, 1);
	return r;
}

static void
families_take_turns(void **state)
{
	struct fix *x = *state;

	x->s.v6[0] = "::1";
	x->s.v4[0] = "127.0.0.1";
	x->s.v4[1] = "127.0.0.2";
	x->s.v4[2] = "127.0.0.3";
	assert_string_equal(
	    look_up(x, "a.test").list, "[::1]:7 127.0.0.1:7 127.0.0.2:7 127.0.0.3:7");
	x->s.v6[0] = NULL;
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.1:7 127.0.0.2:7 127.0.0.3:7");
	x->s.v4[0] = NULL;
	x->s.v6[0] = "::1";
	assert_string_equal(look_up(x, "a.test").list, "[::1]:7");
	assert_true(x->s.n_udp >= 6);
	assert_string_equal(x->s.name, "a.test");
}

/*
 * RFC 6724 rule 2: the same scope as the source's is better than a wider one, whatever the server's
 * order.
 */
static void
better_addresses_come_first(void **state)
{
	struct fix *x = *state;

	x->s.v6[0] = "2001:db8::1";
	x->s.v6[1] = "::1";
	assert_string_equal(look_up(x, "a.test").list, "[::1]:7 [2001:db8::1]:7");
}

static void
what_needs_no_server_asks_none(void **state)
{
	struct fix *x = *state;

	assert_string_equal(look_up(x, "localhost").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(x, "db.localhost").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(x, "localhost.").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(x, "DB.LocalHost.").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(x, "hosts.test").list, "[::1]:7 127.0.0.7:7 127.0.0.8:7");
	assert_string_equal(look_up(x, "Other.Test").list, "127.0.0.6:7");
	assert_string_equal(look_up(x, "192.0.2.9").list, "192.0.2.9:7");
	assert_string_equal(look_up(x, "2001:db8::9").list, "[2001:db8::9]:7");
	assert_int_equal(x->s.n_udp + x->s.n_tcp, 0);
}

static void
no_name_and_no_address_are_told(void **state)
{
	struct fix *x = *state;
	char lengthy[400];
	struct result r;

	r = look_up(x, "none.test");
	assert_int_equal(r.err, ERR_NOTFOUND);
	assert_non_null(strstr(r.text, "none.test: there is no such host"));
	assert_non_null(strstr(r.text, "127.0.0.1"));
	r = look_up(x, "empty.test");
	assert_int_equal(r.err, ERR_NOTFOUND);
	assert_non_null(strstr(r.text, "no address"));
	r = look_up(x, "fail.test");
	assert_int_equal(r.err, ERR_TIMEOUT);
	assert_non_null(strstr(r.text, "name servers"));
	assert_non_null(strstr(r.text, "127.0.0.1"));
	snprintf(lengthy, sizeof lengthy, "%0300d", 1);
	x->s.n_udp = 0;
	r = look_up(x, lengthy);
	assert_int_equal(r.err, ERR_NOTFOUND);
	assert_int_equal(x->s.n_udp, 0);
}

static void
a_long_answer_comes_by_edns_or_tcp(void **state)
{
	struct fix *x = *state;
	struct result r;

	r = look_up(x, "large.test");
	assert_int_equal(r.err, 0);
	assert_true(strncmp(r.list, "127.1.0.1:7 127.1.0.2:7 ", 24) == 0);
	assert_int_equal(x->s.n_tcp, 0);
	assert_true(x->s.udp_size >= 1200);
	r = look_up(x, "many.test");
	assert_int_equal(r.err, 0);
	assert_true(strncmp(r.list, "127.1.0.1:7 127.1.0.2:7 ", 24) == 0);
	assert_non_null(strstr(r.list, " 127.1.0.16:7"));
	assert_null(strstr(r.list, " 127.1.0.17:7"));
	assert_true(x->s.n_tcp > 0);
}

static void
the_next_server_is_asked(void **state)
{
	struct fix *x = *state;
	struct dns_server second = { .v4 = { "127.0.0.9" } };
	struct result r;

	dns_start(&second, x->l, "127.0.0.2");
	/* Nobody at the first; the second fails. */
	write_file(conf_path, "nameserver 127.0.0.3\nnameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	x->s.v4[0] = "127.0.0.8";
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.8:7");
	r = look_up(x, "fail.test");
	assert_int_equal(r.err, ERR_TIMEOUT);
	assert_non_null(strstr(r.text, "127.0.0.1"));
	assert_non_null(strstr(r.text, "127.0.0.2"));
	assert_non_null(strstr(r.text, "127.0.0.3"));
	assert_true(second.n_udp > 0);
	dns_stop(&second);
}

static void
a_server_that_says_nothing_is_given_up_for_the_next(void **state)
{
	struct fix *x = *state;
	struct dns_server second = { .v4 = { "127.0.0.9" } };
	uint64_t began = loop_now_ms(x->l);

	dns_start(&second, x->l, "127.0.0.2");
	x->s.silent = true;
	write_file(conf_path, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.9:7");
	assert_true(x->s.n_udp > 0);
	assert_in_range(loop_now_ms(x->l) - began, RESOLVE_TRY_MS - 1, 2 * RESOLVE_TRY_MS);
	dns_stop(&second);
}

static void
search_domains_are_tried(void **state)
{
	struct fix *x = *state;

	write_file(conf_path, "nameserver 127.0.0.1\nsearch lan.test\n");
	x->s.v4[0] = "127.0.0.8";
	assert_string_equal(look_up(x, "db").list, "127.0.0.8:7");
	assert_string_equal(x->s.name, "db.lan.test");
	assert_string_equal(look_up(x, "db.").list, "127.0.0.8:7");
	assert_string_equal(x->s.name, "db");
}

static void
aaaa_that_is_never_answered_is_not_waited_for(void **state)
{
	struct fix *x = *state;
	uint64_t began = loop_now_ms(x->l);

	x->s.v4[0] = "127.0.0.8";
	assert_string_equal(look_up(x, "half.test").list, "127.0.0.8:7");
	assert_in_range(loop_now_ms(x->l) - began, RESOLVE_ALONE_MS - 1, RESOLVE_TRY_MS);
	/* The question that nobody waits for any more disturbs no other. */
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.8:7");
}

static void
changed_files_are_noticed(void **state)
{
	struct fix *x = *state;
	struct dns_server new = { .v4 = { "127.0.0.9" } };
	struct result r = { 0 };

	x->s.v4[0] = "127.0.0.8";
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.8:7");
	/* One under way ends with the old servers. */
	assert_non_null(resolve_start(x->l, "b.test", 7, 0, on_resolved, &r));
	dns_start(&new, x->l, "127.0.0.2");
	write_file(conf_path, "nameserver 127.0.0.2\n# changed\n");
	while (r.n == 0)
		assert_string_equal(look_up(x, "a.test").list, "127.0.0.9:7");
	assert_string_equal(r.list, "127.0.0.8:7");
	write_file(hosts_path, "127.0.0.5 a.test\n");
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.5:7");
	unlink(hosts_path);
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.9:7");
	dns_stop(&new);
}

static struct fix *changing;

/* The files change while a question is under way, and again when there is none. */
static void
change_twice(void)
{
	static unsigned n;
	struct result r = { 0 };

	assert_non_null(resolve_start(changing->l, "b.test", 7, 0, on_resolved, &r));
	for (int i = 0; i < 2; i++) {
		write_file(conf_path,
		    n++ % 2 == 0 ? "nameserver 127.0.0.1\n" : "nameserver 127.0.0.1\n\n");
		do
			assert_string_equal(look_up(changing, "a.test").list, "127.0.0.8:7");
		while (r.n == 0);
	}
	loop_settle(changing->l);
}

/* What has read the old files goes with its last question, not with the loop. */
static void
changed_files_leave_nothing_behind(void **state)
{
	changing = *state;
	changing->s.v4[0] = "127.0.0.8";
	heap_is_given_back(change_twice);
}

static void
files_that_stay_the_same_are_read_once(void **state)
{
	struct fix *x = *state;
	int before = n_conf_read;
	char servers[RESOLVE_SERVERS_TEXT];

	assert_string_equal(resolve_servers(x->l, servers), "");
	x->s.v4[0] = "127.0.0.8";
	for (int i = 0; i < 3; i++)
		assert_string_equal(look_up(x, "a.test").list, "127.0.0.8:7");
	assert_int_equal(n_conf_read, before + 1);
	/* Later versions of c-ares name the port, too. */
	servers[strcspn(resolve_servers(x->l, servers), ":")] = '\0';
	assert_string_equal(servers, "127.0.0.1");
}

/* resolv.conf(5): then this machine is the server. */
static void
resolv_conf_may_be_absent_or_unreadable(void **state)
{
	struct fix *x = *state;

	x->s.v4[0] = "127.0.0.8";
	unlink(conf_path);
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.8:7");
	write_file(conf_path, "nameserver 127.0.0.1\n");
	conf_unreadable = true;
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.8:7");
	conf_unreadable = false;
}

static void
a_look_up_may_be_cancelled_at_any_time(void **state)
{
	struct fix *x = *state;
	struct result r = { .l = x->l };
	struct resolve *one, *other;

	x->s.v4[0] = "127.0.0.1";
	one = resolve_start(x->l, "quiet.test", 7, 0, on_resolved, &r);
	other = resolve_start(x->l, "quiet.test", 7, 0, on_resolved, &r);
	assert_true(one != NULL && other != NULL);
	resolve_cancel(one);
	/* The next one turns the loop. */
	assert_string_equal(look_up(x, "b.test").list, "127.0.0.1:7");
	resolve_cancel(other);
	assert_string_equal(look_up(x, "b.test").list, "127.0.0.1:7");
	/* Before it was asked, when it is about to be told, and from hosts. */
	resolve_cancel(resolve_start(x->l, "a.test", 7, 0, on_resolved, &r));
	resolve_cancel(resolve_start(x->l, "localhost", 7, 0, on_resolved, &r));
	resolve_cancel(resolve_start(x->l, "hosts.test", 7, 0, on_resolved, &r));
	assert_string_equal(look_up(x, "b.test").list, "127.0.0.1:7");
	/* One that has asked for A alone, too. */
	one = resolve_start(x->l, "quiet.test", 7, 0, on_resolved, &r);
	assert_string_equal(look_up(x, "half.test").list, "127.0.0.1:7");
	resolve_cancel(one);
	assert_int_equal(r.n, 0);
	/*
	 * The loop may go while c-ares still waits: one that was cancelled, beside one that was
	 * not.
	 */
	one = resolve_start(x->l, "quiet.test", 7, 0, on_resolved, &r);
	assert_non_null(resolve_start(x->l, "quiet.test", 7, 0, on_resolved, &r));
	resolve_cancel(one);
	loop_settle(x->l);
}

struct crowd {
	struct loop *l;
	int good, limited, left;
};

static void
on_one_of_many(void *arg, const struct addr *a, size_t n, int err, const char *text)
{
	struct crowd *c = arg;

	(void)a;
	(void)n;
	(void)text;
	if (err == 0)
		c->good++;
	else if (err == ERR_LIMIT)
		c->limited++;
	if (--c->left == 0)
		loop_stop(c->l);
}

static void
many_at_once_are_answered_and_bounded(void **state)
{
	struct fix *x = *state;
	struct crowd c = { .l = x->l };
	static struct resolve *k[RESOLVE_MAX];
	char name[32];

	x->s.v4[0] = "127.0.0.1";
	for (; c.left < 100; c.left++) {
		snprintf(name, sizeof name, "h%d.test", c.left);
		assert_non_null(resolve_start(x->l, name, 7, 0, on_one_of_many, &c));
	}
	assert_int_equal(loop_run(x->l), 0);
	assert_int_equal(c.good, 100);
	for (int i = 0; i < RESOLVE_MAX; i++)
		assert_non_null(k[i] = resolve_start(x->l, "quiet.test", 7, 0, on_one_of_many, &c));
	c.left = 1;
	assert_non_null(resolve_start(x->l, "a.test", 7, 0, on_one_of_many, &c));
	assert_int_equal(loop_run(x->l), 0);
	assert_int_equal(c.limited, 1);
	/* And then there is room again. */
	for (int i = 0; i < RESOLVE_MAX; i++)
		resolve_cancel(k[i]);
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.1:7");
}

static void
an_asker_leaves_look_ups_to_others(void **state)
{
	struct fix *x = *state;
	struct crowd c = { .l = x->l };
	static struct resolve *k[RESOLVE_MAX / 2];

	x->s.v4[0] = "127.0.0.1";
	for (int i = 0; i < RESOLVE_MAX / 2; i++)
		assert_non_null(k[i] = resolve_start(x->l, "quiet.test", 7, 1, on_one_of_many, &c));
	/* No more for this one, whether it waits for what it has asked or not; */
	resolve_cancel(k[0]);
	c.left = 1;
	assert_non_null(resolve_start(x->l, "a.test", 7, 1, on_one_of_many, &c));
	assert_int_equal(loop_run(x->l), 0);
	assert_int_equal(c.limited, 1);
	/* for another one, and for ourselves. */
	c.left = 2;
	assert_non_null(resolve_start(x->l, "a.test", 7, 2, on_one_of_many, &c));
	assert_non_null(resolve_start(x->l, "a.test", 7, 0, on_one_of_many, &c));
	assert_int_equal(loop_run(x->l), 0);
	assert_int_equal(c.good, 2);
	for (int i = 1; i < RESOLVE_MAX / 2; i++)
		resolve_cancel(k[i]);
}

static void
on_late(void *arg)
{
	loop_stop(arg);
}

static void
every_failed_allocation_is_told(void **state)
{
	struct fix *x = *state;
	struct resolve *k;
	struct timer late;
	int failed = 0;

	assert_int_equal(timer_init(&late, x->l, on_late, x->l), 0);
	/* c-ares 1.34 frees what it has freed when memory fails while it reads hosts. */
	write_file(hosts_path, "");
	x->s.v4[0] = "127.0.0.1";
	for (long n = 0; n < 400; n++) {
		struct result r = { .l = x->l };

		/* A channel, too. */
		write_file(
		    conf_path, n % 2 == 0 ? "nameserver 127.0.0.1\n" : "nameserver 127.0.0.1\n\n");
		/* c-ares may take a question that was lost for a server that is silent. */
		timer_set(&late, 20);
		mem_fail_after(n);
		k = resolve_start(x->l, "a.test", 7, 0, on_resolved, &r);
		if (k != NULL)
			assert_int_equal(loop_run(x->l), 0);
		mem_fail_after(MEM_NO_FAIL);
		timer_cancel(&late);
		failed += k == NULL || r.n == 0 || r.err != 0;
		if (r.n == 0)
			resolve_cancel(k);
		else if (r.err == 0)
			assert_string_equal(r.list, "127.0.0.1:7");
	}
	timer_fini(&late);
	assert_true(failed > 10 && failed < 400);
	assert_string_equal(look_up(x, "a.test").list, "127.0.0.1:7");
}

/* ---- dials ---- */

struct dialed {
	struct loop *l;
	int n, fd, err;
	char text[ERR_TEXT_MAX];
};

static void
on_dialed(void *arg, int fd, int err, const char *text)
{
	struct dialed *d = arg;

	d->n++;
	d->fd = fd;
	d->err = err;
	snprintf(d->text, sizeof d->text, "%s", text);
	loop_stop(d->l);
}

static struct dialed
dial(struct loop *l, const char *host, uint16_t port, uint64_t timeout_ms)
{
	struct dialed d = { .l = l, .fd = -1 };

	assert_non_null(dial_start(l, host, port, 0, timeout_ms, on_dialed, &d));
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(d.n, 1);
	return d;
}

/* 127.0.0.2 neither takes nor refuses (its queue is full), 127.0.0.1 listens on the same port. */
static void
the_next_address_need_not_wait_for_the_first(void **state)
{
	struct fix *x = *state;
	struct loop *l = x->l;
	struct addr a, silent;
	struct errtext e;
	struct dialed d;
	int fd, hole = socket(AF_INET, SOCK_STREAM, 0), full[8];
	uint64_t began;
	char host[ADDR_TEXT];

	x->s.v4[0] = "127.0.0.2";
	x->s.v4[1] = "127.0.0.1";
	/* A port that is free at both addresses. */
	for (int i = 0;; i++) {
		assert_int_equal(listen_open("127.0.0.1:0", &fd, &e), 0);
		assert_int_equal(addr_local(fd, &a), 0);
		assert_true(addr_literal("127.0.0.2", addr_port(&a), &silent));
		if (bind(hole, &silent.u.sa, silent.len) == 0)
			break;
		assert_in_range(i, 0, 20);
		listen_close(fd);
	}
	assert_int_equal(listen(hole, 0), 0);
	for (int i = 0; i < 8; i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		IGNORE_RESULT(connect(full[i], &silent.u.sa, silent.len)); /* the later ones hang */
	}
	began = loop_now_ms(l);
	d = dial(l, "a.test", addr_port(&a), DIAL_MS);
	assert_int_equal(d.err, 0);
	assert_in_range(loop_now_ms(l) - began, DIAL_STAGGER_MS - 1, DIAL_MS / 2);
	assert_int_equal(addr_peer(d.fd, &a), 0);
	assert_string_equal(addr_host(&a, host), "127.0.0.1");
	close(d.fd);
	for (int i = 0; i < 8; i++)
		close(full[i]);
	close(hole);
	listen_close(fd);
}

static void
a_silent_name_server_is_named(void **state)
{
	struct fix *x = *state;
	struct dialed d = dial(x->l, "quiet.test", 7, 50);

	assert_int_equal(d.err, ERR_TIMEOUT);
	assert_non_null(strstr(d.text, "quiet.test:7"));
	assert_non_null(strstr(d.text, "name servers"));
	assert_non_null(strstr(d.text, "127.0.0.1"));
	assert_non_null(strstr(d.text, "50 ms"));
}

static int
dial_twice(struct loop *l, int first, int second)
{
	struct dialed d;

	/* Both addresses are looked up before the first is tried. */
	connect_errors[0] = first;
	connect_errors[1] = second;
	d = dial(l, "localhost", 7, DIAL_MS);
	assert_non_null(strstr(d.text, strerror(first)));
	assert_non_null(strstr(d.text, strerror(second)));
	return d.err;
}

static void
no_way_and_no_descriptors_are_no_refusal(void **state)
{
	struct fix *x = *state;
	struct loop *l = x->l;

	assert_int_equal(dial_twice(l, ECONNREFUSED, ECONNREFUSED), ERR_CLOSED);
	assert_int_equal(dial_twice(l, ENETUNREACH, EHOSTUNREACH), ERR_NOTFOUND);
	assert_int_equal(dial_twice(l, EADDRNOTAVAIL, ECONNREFUSED), ERR_CLOSED);
	assert_int_equal(dial_twice(l, ENETUNREACH, EMFILE), ERR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(families_take_turns),
		TEST(better_addresses_come_first),
		TEST(what_needs_no_server_asks_none),
		TEST(no_name_and_no_address_are_told),
		TEST(a_long_answer_comes_by_edns_or_tcp),
		TEST(the_next_server_is_asked),
		TEST(a_server_that_says_nothing_is_given_up_for_the_next),
		TEST(search_domains_are_tried),
		TEST(aaaa_that_is_never_answered_is_not_waited_for),
		TEST(changed_files_are_noticed),
		TEST(changed_files_leave_nothing_behind),
		TEST(files_that_stay_the_same_are_read_once),
		TEST(resolv_conf_may_be_absent_or_unreadable),
		TEST(a_look_up_may_be_cancelled_at_any_time),
		TEST(many_at_once_are_answered_and_bounded),
		TEST(an_asker_leaves_look_ups_to_others),
		TEST(every_failed_allocation_is_told),
		TEST(the_next_address_need_not_wait_for_the_first),
		TEST(a_silent_name_server_is_named),
		TEST(no_way_and_no_descriptors_are_no_refusal),
	};
	int conf = mkstemp(conf_path), hosts = mkstemp(hosts_path), r;

	if (conf < 0 || hosts < 0)
		return 1;
	close(conf);
	close(hosts);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(conf_path);
	unlink(hosts_path);
	return r;
}
