/* SPDX-License-Identifier: ISC */
/*
 * match_fuzz - HOST:PORT and --allow patterns.  The input is lines: a pattern, then a target.  A
 * target that parses prints back to what parses the same, and neither spelling of an IPv4 address
 * gets more than the other.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/hostport.h"
#include "lib/conf/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_MAX_BYTES 600

/* One line as a C string; returns the bytes used. */
static size_t
take_line(const uint8_t *data, size_t size, char out[LINE_MAX_BYTES + 1])
{
	const uint8_t *nl = memchr(data, '\n', size);
	size_t n = nl != NULL ? (size_t)(nl - data) : size, kept = n;

	if (kept > LINE_MAX_BYTES)
		kept = LINE_MAX_BYTES;
	memcpy(out, data, kept);
	out[kept] = '\0';
	return nl != NULL ? n + 1 : n;
}

static void
try_target(const struct match *m, const struct hostport *hp)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(hp->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(hp->port) };
	bool by_v4, by_v6;

	match_name(m, hp->host, hp->port);
	if (inet_pton(AF_INET, hp->host, &v4.sin_addr) != 1)
		v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&v6.sin6_addr.s6_addr[12], &v4.sin_addr, 4);
	by_v4 = match_target(m, hp->host, (struct sockaddr *)&v4);
	by_v6 = match_target(m, hp->host, (struct sockaddr *)&v6);
	assert(by_v4 == by_v6);
	assert(
	    match_is_loopback((struct sockaddr *)&v4) == match_is_loopback((struct sockaddr *)&v6));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char pattern[LINE_MAX_BYTES + 1] = "", target[LINE_MAX_BYTES + 1] = "",
				      text[HOSTPORT_TEXT_MAX + 1];
	struct hostport hp, again;
	struct errtext e = { "" };
	struct match *m = match_new();
	size_t n = take_line(data, size, pattern);

	assert(m != NULL);
	take_line(data + n, size - n, target);
	if (match_add(m, pattern, &e) != 0)
		assert(*e.s != '\0');
	match_glob(pattern, target);
	if (hostport_parse(target, HOSTPORT_PORT_0, &hp, &e) == 0) {
		hostport_text(&hp, text);
		assert(hostport_parse(text, HOSTPORT_PORT_0, &again, &e) == 0);
		assert(strcmp(hp.host, again.host) == 0 && hp.port == again.port);
		assert(hp.is_v6 == again.is_v6);
		try_target(m, &hp);
	}
	match_free(m);
	return 0;
}
