/* SPDX-License-Identifier: ISC */
/* udp_test - sockets of datagrams, on this machine's loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/udp.h"

static struct udp_batch *batch;

static int
setup(void **state)
{
	(void)state;
	batch = udp_batch_new();
	return batch == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	udp_batch_free(batch);
	return 0;
}

/* A public socket there; *at is where. */
static int
open_at(const char *host, struct addr *at)
{
	struct errtext e = { "" };
	int fd;

	assert_true(addr_literal(host, 0, at));
	assert_int_equal(udp_open(at, &fd, &e), 0);
	assert_int_equal(addr_local(fd, at), 0);
	return fd;
}

/* A socket that is connected to that address. */
static int
connect_to(const char *host, uint16_t port)
{
	struct addr a;
	int fd;

	assert_true(addr_literal(host, port, &a));
	fd = socket(a.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &a.u.sa, a.len), 0);
	return fd;
}

static int
say(int fd, const void *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };

	return udp_send(fd, &iov, 1);
}

/* Loopback delivers within the call of the sender. */
static ssize_t
hear(int fd, const struct udp_datagram **v)
{
	uint32_t lost = 0;

	return udp_recv(batch, fd, UDP_BATCH, v, &lost);
}

static void
many_are_taken_at_once_whole_and_in_order(void **state)
{
	static uint8_t large[65507];
	const struct udp_datagram *v;
	struct addr at;
	int fd = open_at("127.0.0.1", &at), c = connect_to("127.0.0.1", addr_port(&at));

	(void)state;
	assert_int_equal(hear(fd, &v), 0);
	assert_int_equal(say(c, "", 0), 0);
	assert_int_equal(say(c, "two", 3), 0);
	memset(large, 7, sizeof large);
	assert_int_equal(say(c, large, sizeof large), 0);
	assert_int_equal(hear(fd, &v), 3);
	assert_int_equal(v[0].n, 0);
	assert_memory_equal(v[1].p, "two", 3);
	assert_int_equal(v[2].n, sizeof large);
	assert_memory_equal(v[2].p, large, sizeof large);
	close(c);
	close(fd);
}

static void
answers_from(const char *bound, const char *asked, const char *other)
{
	const struct udp_datagram *v;
	struct iovec iov = { (void *)(uintptr_t) "yes", 3 };
	struct addr at, mine;
	int fd = open_at(bound, &at), c = connect_to(asked, addr_port(&at));
	char text[ADDR_TEXT];

	assert_int_equal(say(c, "?", 1), 0);
	assert_int_equal(hear(fd, &v), 1);
	assert_int_equal(addr_local(c, &mine), 0);
	assert_int_equal(addr_port(&v->from), addr_port(&mine));
	assert_string_equal(addr_host(&v->to, text), asked);
	/* A connected socket takes it from the very address that it asked only. */
	assert_int_equal(udp_reply(fd, &v->from, &v->to, &iov, 1), 0);
	assert_int_equal(hear(c, &v), 1);
	assert_memory_equal(v->p, "yes", 3);
	close(c);
	c = connect_to(other, addr_port(&at));
	assert_int_equal(say(c, "?", 1), 0);
	assert_int_equal(hear(fd, &v), 1);
	assert_string_equal(addr_host(&v->to, text), other);
	assert_int_equal(udp_reply(fd, &v->from, &v->to, &iov, 1), 0);
	assert_int_equal(hear(c, &v), 1);
	close(c);
	close(fd);
}

static void
an_answer_leaves_from_the_address_that_was_asked(void **state)
{
	(void)state;
	answers_from("0.0.0.0", "127.0.0.2", "127.0.0.3");
	answers_from("::", "127.0.0.2", "::1");
}

static void
what_the_kernel_dropped_is_told(void **state)
{
	static uint8_t large[60000];
	const struct udp_datagram *v;
	uint32_t lost = 0, sent = 0, got = 0;
	struct addr at;
	int fd = open_at("127.0.0.1", &at), c = connect_to("127.0.0.1", addr_port(&at));
	ssize_t n;

	(void)state;
	for (; sent < 1000; sent++)
		assert_int_equal(say(c, large, sizeof large), 0);
	while ((n = udp_recv(batch, fd, UDP_BATCH, &v, &lost)) > 0)
		got += (uint32_t)n;
	/* The count comes with a datagram behind those that were dropped. */
	assert_int_equal(say(c, "x", 1), 0);
	assert_int_equal(udp_recv(batch, fd, 1, &v, &lost), 1);
	assert_true(lost > 0);
	assert_int_equal(got + lost, sent);
	close(c);
	close(fd);
}

static void
a_port_that_nobody_has_is_told(void **state)
{
	const struct udp_datagram *v;
	struct addr at;
	int fd = open_at("127.0.0.1", &at), c = connect_to("127.0.0.1", addr_port(&at));

	(void)state;
	close(fd);
	assert_int_equal(say(c, "x", 1), 0);
	assert_int_equal(hear(c, &v), ERR_CLOSED);
	close(c);
}

static void
one_that_is_too_large_is_told(void **state)
{
	static uint8_t large[65508];
	struct addr at;
	int fd = open_at("127.0.0.1", &at), c = connect_to("127.0.0.1", addr_port(&at));

	(void)state;
	assert_int_equal(say(c, large, sizeof large), ERR_LIMIT);
	close(c);
	close(fd);
}

static void
a_port_that_is_taken_is_told(void **state)
{
	struct errtext e = { "" };
	struct addr at;
	int fd = open_at("127.0.0.1", &at), other;

	(void)state;
	assert_int_equal(udp_open(&at, &other, &e), ERR_SYS);
	assert_non_null(strstr(e.s, "cannot receive on 127.0.0.1:"));
	close(fd);
}

static void
what_is_in_many_pieces_goes_as_one(void **state)
{
	static uint8_t room[UDP_MAX];
	const struct udp_datagram *v;
	struct iovec iov[UDP_IOV];
	struct bufq q = { 0 };
	struct addr at;
	int fd = open_at("127.0.0.1", &at), c = connect_to("127.0.0.1", addr_port(&at));

	(void)state;
	for (uint8_t i = 1; i <= 60; i++) {
		struct block *b = block_new(BUF_SMALL);

		assert_non_null(b);
		memset(b->data, i, 100);
		assert_int_equal(bufq_append(&q, b, b->data, 100), 0);
		block_unref(b);
		assert_int_equal(udp_send(c, iov, udp_gather(&q, iov, room)), 0);
		assert_int_equal(hear(fd, &v), 1);
		assert_int_equal(v->n, 100 * i);
		assert_int_equal(v->p[0], 1);
		assert_int_equal(v->p[v->n - 1], i);
	}
	bufq_fini(&q);
	buf_pool_free();
	close(c);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_are_taken_at_once_whole_and_in_order),
		cmocka_unit_test(an_answer_leaves_from_the_address_that_was_asked),
		cmocka_unit_test(what_the_kernel_dropped_is_told),
		cmocka_unit_test(a_port_that_nobody_has_is_told),
		cmocka_unit_test(one_that_is_too_large_is_told),
		cmocka_unit_test(a_port_that_is_taken_is_told),
		cmocka_unit_test(what_is_in_many_pieces_goes_as_one),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
