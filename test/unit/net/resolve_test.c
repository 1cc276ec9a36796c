/* SPDX-License-Identifier: ISC */
/*
 * resolve_test - look-ups against a name server of the test's own, and dials that must choose among what it answers.
 *
 * link: -Wl,--wrap=evdns_base_resolv_conf_parse,--wrap=hosts_each,--wrap=connect
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/listen.h"
#include "lib/base/log.h"
#include "lib/net/dial.h"
#include "lib/net/resolve.h"

enum { DIAL_MS = 10000, QUERY_MAX = 512, TYPE_A = 1, TYPE_AAAA = 28, NAME_ERROR = 3 };

static char conf_path[] = "/tmp/resolve_test.XXXXXX";

int __real_evdns_base_resolv_conf_parse(struct evdns_base *base, int flags, const char *file);
int __wrap_evdns_base_resolv_conf_parse(struct evdns_base *base, int flags, const char *file);

int
__wrap_evdns_base_resolv_conf_parse(struct evdns_base *base, int flags, const char *file)
{
	assert_string_equal(file, "/etc/resolv.conf");
	return __real_evdns_base_resolv_conf_parse(base, flags, conf_path);
}

void __wrap_hosts_each(const char *path, const char *name, uint64_t now_ms,
    void (*fn)(void *arg, const char *address), void *arg);

void
__wrap_hosts_each(const char *path, const char *name, uint64_t now_ms,
    void (*fn)(void *arg, const char *address), void *arg)
{
	static const char *const list[] = { "192.0.2.7", "no address", "192.0.2.8", "2001:db8::7" };

	(void)now_ms;
	assert_string_equal(path, "/etc/hosts");
	for (size_t i = 0; strcmp(name, "hosts.test") == 0 && i < 4; i++)
		fn(arg, list[i]);
}

/* The errors of the next calls of connect(2); 0 is the kernel's own answer. */
static int connect_errors[4];

int __real_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);

int
__wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	int error = connect_errors[0];

	memmove(connect_errors, connect_errors + 1, sizeof connect_errors - sizeof *connect_errors);
	if (error == 0)
		return __real_connect(fd, sa, len);
	errno = error;
	return -1;
}

/* ---- a name server ---- */

struct server {
	struct loop *l;
	struct io io;
	int fd;
	bool silent, truncates;
	int n_queries;
	/* What it says of every name but "none.test": addresses, NULL-terminated. */
	const char *v4[8], *v6[8];
};

static size_t
put_record(uint8_t *p, uint16_t type, const char *address)
{
	/* A pointer to the name in the question, type, class, ttl, length: RFC 1035 4.1.3. */
	uint8_t head[12] = { 0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 1, 0,
		type == TYPE_A ? 4 : 16 };

	memcpy(p, head, sizeof head);
	assert_int_equal(
	    inet_pton(type == TYPE_A ? AF_INET : AF_INET6, address, p + sizeof head), 1);
	return sizeof head + head[11];
}

static void
on_query(void *arg, int what)
{
	struct server *s = arg;
	uint8_t p[QUERY_MAX + 512];
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(s->fd, p, QUERY_MAX, 0, (struct sockaddr *)&from, &len);
	const char *const *list;
	size_t end = 12;
	uint16_t type;
	uint8_t count = 0;

	(void)what;
	assert_true(n > 16);
	s->n_queries++;
	if (s->silent)
		return;
	while (p[end] != 0)
		end += p[end] + 1u;
	type = (uint16_t)(p[end + 1] << 8 | p[end + 2]);
	end += 5;
	p[2] = s->truncates ? 0x83 : 0x81; /* a response, recursion as desired */
	p[3] = 0x80;
	if (strncasecmp((char *)p + 13, "none", 4) == 0) {
		p[3] |= NAME_ERROR;
	} else {
		list = type == TYPE_A ? s->v4 : s->v6;
		for (; list[count] != NULL; count++)
			end += put_record(p + end, type, list[count]);
	}
	p[7] = count;
	p[8] = p[9] = p[10] = p[11] = 0;
	assert_int_equal(sendto(s->fd, p, end, 0, (struct sockaddr *)&from, len), end);
}

static void
server_start(struct server *s, struct loop *l)
{
	struct addr a;
	char text[ADDR_TEXT];
	FILE *f;

	s->l = l;
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(addr_literal("127.0.0.1", 0, &a));
	assert_int_equal(bind(s->fd, &a.u.sa, a.len), 0);
	assert_int_equal(addr_local(s->fd, &a), 0);
	assert_int_equal(io_init(&s->io, l, s->fd, false, on_query, s), 0);
	assert_int_equal(io_want(&s->io, IO_READ), 0);
	f = fopen(conf_path, "w");
	assert_non_null(f);
	fprintf(f, "nameserver %s\n", addr_text(&a, text));
	fclose(f);
}

static void
server_stop(struct server *s)
{
	io_fini(&s->io);
	close(s->fd);
}

/* ---- look-ups ---- */

struct answer {
	struct loop *l;
	int n, err;
	char list[512]; /* "A B C" */
	char text[ERR_TEXT_MAX];
};

static void
on_resolved(void *arg, const struct addr *a, size_t n, int err, const char *text)
{
	struct answer *r = arg;
	char one[ADDR_TEXT];
	size_t len = 0;

	r->n++;
	r->err = err;
	assert_int_equal(err == 0, n > 0);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(r->list + len, sizeof r->list - len, "%s%s", i ? " " : "",
		    addr_text(&a[i], one));
	snprintf(r->text, sizeof r->text, "%s", text);
	loop_stop(r->l);
}

static struct answer
look_up(struct loop *l, const char *name)
{
	struct answer r = { .l = l };

	assert_non_null(resolve_start(l, name, 7, on_resolved, &r));
	assert_int_equal(r.n, 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(r.n, 1);
	return r;
}

static void
families_take_turns_and_ipv6_comes_first(void **state)
{
	struct loop *l = loop_new();
	struct server s = { .v4 = { "192.0.2.1", "192.0.2.2", "192.0.2.3" },
		.v6 = { "2001:db8::1" } };

	(void)state;
	server_start(&s, l);
	assert_string_equal(
	    look_up(l, "a.test").list, "[2001:db8::1]:7 192.0.2.1:7 192.0.2.2:7 192.0.2.3:7");
	s.v6[1] = "2001:db8::2";
	s.v4[1] = NULL;
	assert_string_equal(
	    look_up(l, "a.test").list, "[2001:db8::1]:7 192.0.2.1:7 [2001:db8::2]:7");
	s.v6[0] = NULL;
	assert_string_equal(look_up(l, "a.test").list, "192.0.2.1:7");
	server_stop(&s);
	loop_free(l);
}

static void
what_needs_no_server_asks_none(void **state)
{
	struct loop *l = loop_new();
	struct server s = { 0 };

	(void)state;
	server_start(&s, l);
	assert_string_equal(look_up(l, "localhost").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(l, "db.localhost").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(l, "localhost.").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(look_up(l, "DB.LocalHost.").list, "[::1]:7 127.0.0.1:7");
	assert_string_equal(
	    look_up(l, "hosts.test").list, "[2001:db8::7]:7 192.0.2.7:7 192.0.2.8:7");
	assert_string_equal(look_up(l, "192.0.2.9").list, "192.0.2.9:7");
	assert_string_equal(look_up(l, "2001:db8::9").list, "[2001:db8::9]:7");
	assert_int_equal(s.n_queries, 0);
	server_stop(&s);
	loop_free(l);
}

static void
no_name_and_no_address_are_told(void **state)
{
	struct loop *l = loop_new();
	struct server s = { 0 };
	struct answer r;

	(void)state;
	server_start(&s, l);
	r = look_up(l, "none.test");
	assert_int_equal(r.err, ERR_NOTFOUND);
	assert_non_null(strstr(r.text, "none.test"));
	r = look_up(l, "empty.test");
	assert_int_equal(r.err, ERR_TIMEOUT);
	assert_non_null(strstr(r.text, "no address"));
	s.truncates = true;
	r = look_up(l, "many.test");
	assert_int_equal(r.err, ERR_TIMEOUT);
	assert_non_null(strstr(r.text, "512 bytes"));
	server_stop(&s);
	loop_free(l);
}

static void
a_changed_configuration_is_noticed(void **state)
{
	struct loop *l = loop_new();
	struct server old = { .v4 = { "192.0.2.1" } }, new = { .v4 = { "192.0.2.2" } };

	(void)state;
	server_start(&old, l);
	assert_string_equal(look_up(l, "a.test").list, "192.0.2.1:7");
	server_start(&new, l);
	assert_string_equal(look_up(l, "a.test").list, "192.0.2.2:7");
	server_stop(&old);
	server_stop(&new);
	loop_free(l);
}

static void
a_look_up_under_way_may_be_cancelled(void **state)
{
	struct loop *l = loop_new();
	struct server s = { .silent = true };
	struct answer r = { .l = l };
	struct resolve *first;

	(void)state;
	server_start(&s, l);
	first = resolve_start(l, "a.test", 7, on_resolved, &r);
	assert_non_null(first);
	resolve_cancel(first);
	/* The next one turns the loop, in which the first is let go of. */
	s.silent = false;
	s.v4[0] = "192.0.2.1";
	assert_string_equal(look_up(l, "b.test").list, "192.0.2.1:7");
	assert_int_equal(r.n, 0);
	first = resolve_start(l, "a.test", 7, on_resolved, &r);
	resolve_cancel(first);
	server_stop(&s);
	loop_free(l);
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

	assert_non_null(dial_start(l, host, port, timeout_ms, on_dialed, &d));
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(d.n, 1);
	return d;
}

/* 127.0.0.2 neither takes nor refuses (its queue is full), 127.0.0.1 listens on the same port. */
static void
the_next_address_need_not_wait_for_the_first(void **state)
{
	struct loop *l = loop_new();
	struct server s = { .v4 = { "127.0.0.2", "127.0.0.1" } };
	struct addr a, silent;
	struct errtext e;
	struct dialed d;
	int fd, hole = socket(AF_INET, SOCK_STREAM, 0), full[8];
	uint64_t began;
	char host[ADDR_TEXT];

	(void)state;
	server_start(&s, l);
	assert_int_equal(listen_open("127.0.0.1:0", &fd, &e), 0);
	assert_int_equal(addr_local(fd, &a), 0);
	assert_true(addr_literal("127.0.0.2", addr_port(&a), &silent));
	assert_int_equal(bind(hole, &silent.u.sa, silent.len), 0);
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
	server_stop(&s);
	loop_free(l);
}

static void
a_silent_name_server_is_named(void **state)
{
	struct loop *l = loop_new();
	struct server s = { .silent = true };
	struct dialed d;

	(void)state;
	server_start(&s, l);
	d = dial(l, "a.test", 7, 50);
	assert_int_equal(d.err, ERR_TIMEOUT);
	assert_non_null(strstr(d.text, "a.test:7"));
	assert_non_null(strstr(d.text, "name servers"));
	server_stop(&s);
	loop_free(l);
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
	struct loop *l = loop_new();

	(void)state;
	assert_int_equal(dial_twice(l, ECONNREFUSED, ECONNREFUSED), ERR_CLOSED);
	assert_int_equal(dial_twice(l, ENETUNREACH, EHOSTUNREACH), ERR_NOTFOUND);
	assert_int_equal(dial_twice(l, EADDRNOTAVAIL, ECONNREFUSED), ERR_CLOSED);
	assert_int_equal(dial_twice(l, ENETUNREACH, EMFILE), ERR_LIMIT);
	loop_free(l);
}

/* libevent would write lines of its own to standard error, in the middle of a log that is JSON. */
static void
what_the_library_says_is_a_line_of_the_log(void **state)
{
	struct loop *l = loop_new();
	struct server s = { .v4 = { "192.0.2.1" } };
	char out[1024];
	int p[2];
	ssize_t n;
	FILE *f;

	(void)state;
	server_start(&s, l);
	f = fopen(conf_path, "a");
	assert_non_null(f);
	fputs("nameserver no-address\n", f);
	fclose(f);
	assert_int_equal(pipe(p), 0);
	log_init(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, p[1]);
	assert_string_equal(look_up(l, "a.test").list, "192.0.2.1:7");
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 2);
	close(p[1]);
	n = read(p[0], out, sizeof out - 1);
	assert_true(n > 0);
	out[n] = '\0';
	assert_non_null(strstr(out, "\"msg\":\"libevent: "));
	assert_non_null(strstr(out, "no-address"));
	close(p[0]);
	server_stop(&s);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_take_turns_and_ipv6_comes_first),
		cmocka_unit_test(what_needs_no_server_asks_none),
		cmocka_unit_test(no_name_and_no_address_are_told),
		cmocka_unit_test(a_changed_configuration_is_noticed),
		cmocka_unit_test(a_look_up_under_way_may_be_cancelled),
		cmocka_unit_test(the_next_address_need_not_wait_for_the_first),
		cmocka_unit_test(a_silent_name_server_is_named),
		cmocka_unit_test(no_way_and_no_descriptors_are_no_refusal),
		cmocka_unit_test(what_the_library_says_is_a_line_of_the_log),
	};
	int fd = mkstemp(conf_path), r;

	if (fd < 0)
		return 1;
	close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(conf_path);
	return r;
}
