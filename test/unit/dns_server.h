/* SPDX-License-Identifier: ISC */
/* dns_server - name servers of a test, on loopback addresses and ports of their own. */
#ifndef TEST_UNIT_DNS_SERVER_H
#define TEST_UNIT_DNS_SERVER_H

#include "lib/net/addr.h"
#include "lib/net/loop.h"

/*
 * What a server does with a question depends on the first label of the name:
 *
 *     none    there is no such name
 *     empty   there is, but without addresses
 *     fail    server failure
 *     many    too long for UDP, whole over TCP
 *     large   whole over UDP if the question allows 1,200 bytes (EDNS)
 *     half    A is answered, AAAA never
 *     quiet   nothing
 *
 * Of any other name it says what v4 and v6 hold.
 */
struct dns_server {
	struct loop *l;
	struct io udp, tcp, conn;
	int n_udp, n_tcp, udp_size;
	/* Takes questions and answers none. */
	bool silent;
	/* Of the last question. */
	char name[256];
	/* NULL-terminated. */
	const char *v4[8], *v6[8];
};

/* dns_start - at a loopback address, on a loop; dns_stop. */
void dns_start(struct dns_server *s, struct loop *l, const char *ip);
void dns_stop(struct dns_server *s);

/*
 * dns_port - where the server at that address takes what fd, a socket, has to say; 1, where nobody
 * listens, if there is none.
 */
uint16_t dns_port(int fd, const struct addr *a);
/* dns_forget - no server has been started so far. */
void dns_forget(void);

#endif
