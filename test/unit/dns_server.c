/* SPDX-License-Identifier: ISC */
/* dns_server - questions are answered by the first label of their name (RFC 1035). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/unit/dns_server.h"

enum { MESSAGE_MAX = 4096, TYPE_A = 1, TYPE_AAAA = 28, TYPE_OPT = 41 };
enum { SERVER_FAILURE = 2, NAME_ERROR = 3 };

/* Where the servers really are. */
static struct {
	struct in_addr ip;
	uint16_t udp, tcp;
} ports[4];
static size_t n_ports;

uint16_t
dns_port(int fd, const struct addr *a)
{
	int type = 0;
	socklen_t len = sizeof type;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	for (size_t i = n_ports; i-- > 0;)
		if (ports[i].ip.s_addr == a->u.in.sin_addr.s_addr)
			return type == SOCK_DGRAM ? ports[i].udp : ports[i].tcp;
	return 1;
}

void
dns_forget(void)
{
	n_ports = 0;
}

struct message {
	uint8_t p[MESSAGE_MAX];
	size_t n;
	uint16_t type;
};

static void
put_record(struct message *m, uint16_t type, const char *address)
{
	/* A pointer to the name in the question, type, class, ttl, length: RFC 1035 4.1.3. */
	uint8_t head[12] = { 0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 1, 0,
		type == TYPE_A ? 4 : 16 };

	assert_true(m->n + 32 < sizeof m->p);
	memcpy(m->p + m->n, head, sizeof head);
	assert_int_equal(
	    inet_pton(type == TYPE_A ? AF_INET : AF_INET6, address, m->p + m->n + sizeof head), 1);
	m->n += sizeof head + head[11];
}

/* The question's name and type, and how much the other side takes over UDP. */
static void
read_question(struct dns_server *s, struct message *m)
{
	size_t end = 12, len = 0;

	assert_true(m->n > 16);
	while (m->p[end] != 0) {
		len += (size_t)snprintf(s->name + len, sizeof s->name - len, "%s%.*s",
		    len > 0 ? "." : "", m->p[end], (char *)m->p + end + 1);
		end += m->p[end] + 1u;
	}
	m->type = (uint16_t)(m->p[end + 1] << 8 | m->p[end + 2]);
	end += 5;
	s->udp_size = 512;
	if (m->p[11] == 1 && m->n > end + 5 && m->p[end + 2] == TYPE_OPT)
		s->udp_size = m->p[end + 3] << 8 | m->p[end + 4];
	m->n = end;
}

/* Makes the question the answer; false: there is none. */
static bool
answer(struct dns_server *s, struct message *m, bool tcp)
{
	const char *const *list = m->type == TYPE_A ? s->v4 : s->v6;
	uint16_t count = 0;
	char text[64];

	m->p[2] = 0x81; /* a response, recursion as desired */
	m->p[3] = 0x80;
	if (s->silent || strncmp(s->name, "quiet", 5) == 0 ||
	    (strncmp(s->name, "half", 4) == 0 && m->type == TYPE_AAAA))
		return false;
	if (strncmp(s->name, "none", 4) == 0) {
		m->p[3] |= NAME_ERROR;
	} else if (strncmp(s->name, "fail", 4) == 0) {
		m->p[3] |= SERVER_FAILURE;
	} else if ((strncmp(s->name, "many", 4) == 0 && !tcp) ||
		   (strncmp(s->name, "large", 5) == 0 && s->udp_size < 1200)) {
		m->p[2] |= 2;
	} else if (strncmp(s->name, "many", 4) == 0 || strncmp(s->name, "large", 5) == 0) {
		for (; m->type == TYPE_A && count < 60; count++) {
			snprintf(text, sizeof text, "127.1.0.%d", count + 1);
			put_record(m, TYPE_A, text);
		}
	} else if (strncmp(s->name, "empty", 5) != 0) {
		for (; list[count] != NULL; count++)
			put_record(m, m->type, list[count]);
	}
	m->p[6] = 0;
	m->p[7] = (uint8_t)count;
	m->p[8] = m->p[9] = m->p[10] = m->p[11] = 0;
	return true;
}

static void
on_udp(void *arg, int what)
{
	struct dns_server *s = arg;
	struct message m;
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(s->udp.fd, m.p, sizeof m.p, 0, (struct sockaddr *)&from, &len);

	(void)what;
	assert_true(n > 0);
	m.n = (size_t)n;
	s->n_udp++;
	read_question(s, &m);
	if (answer(s, &m, false))
		assert_int_equal(
		    sendto(s->udp.fd, m.p, m.n, 0, (struct sockaddr *)&from, len), m.n);
}

/* One question in one segment, as c-ares sends it; several may follow. */
static void
on_conn(void *arg, int what)
{
	struct dns_server *s = arg;
	struct message m;
	uint8_t len[2];

	(void)what;
	if (recv(s->conn.fd, len, 2, MSG_WAITALL) != 2) {
		close(s->conn.fd);
		io_fini(&s->conn);
		return;
	}
	m.n = (size_t)(len[0] << 8 | len[1]);
	assert_int_equal(recv(s->conn.fd, m.p, m.n, MSG_WAITALL), m.n);
	s->n_tcp++;
	read_question(s, &m);
	if (!answer(s, &m, true))
		return;
	len[0] = (uint8_t)(m.n >> 8);
	len[1] = (uint8_t)m.n;
	assert_int_equal(write(s->conn.fd, len, 2), 2);
	assert_int_equal(write(s->conn.fd, m.p, m.n), m.n);
}

static void
on_tcp(void *arg, int what)
{
	struct dns_server *s = arg;
	int fd = accept(s->tcp.fd, NULL, NULL);

	(void)what;
	assert_true(fd >= 0);
	assert_null(s->conn.ev);
	assert_int_equal(io_init(&s->conn, s->l, fd, false, on_conn, s), 0);
	assert_int_equal(io_want(&s->conn, IO_READ), 0);
}

static uint16_t
bind_at(int fd, const char *ip, struct addr *a)
{
	assert_true(fd >= 0);
	assert_true(addr_literal(ip, 0, a));
	assert_int_equal(bind(fd, &a->u.sa, a->len), 0);
	assert_int_equal(addr_local(fd, a), 0);
	return addr_port(a);
}

void
dns_start(struct dns_server *s, struct loop *l, const char *ip)
{
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr a;

	s->l = l;
	assert_in_range(n_ports, 0, 3);
	ports[n_ports].udp = bind_at(udp, ip, &a);
	ports[n_ports].tcp = bind_at(tcp, ip, &a);
	ports[n_ports++].ip = a.u.in.sin_addr;
	assert_int_equal(listen(tcp, 8), 0);
	assert_int_equal(io_init(&s->udp, l, udp, false, on_udp, s), 0);
	assert_int_equal(io_init(&s->tcp, l, tcp, false, on_tcp, s), 0);
	assert_int_equal(io_want(&s->udp, IO_READ), 0);
	assert_int_equal(io_want(&s->tcp, IO_READ), 0);
}

void
dns_stop(struct dns_server *s)
{
	if (s->conn.ev != NULL)
		close(s->conn.fd);
	close(s->udp.fd);
	close(s->tcp.fd);
	io_fini(&s->conn);
	io_fini(&s->udp);
	io_fini(&s->tcp);
}
