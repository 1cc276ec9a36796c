/* SPDX-License-Identifier: ISC */
/*
 * match_fuzz - HOST:PORT and --allow patterns.  The input is lines: a pattern, then a target.  A
 * target that parses prints back to what parses the same, and neither spelling of an IPv4 address
 * gets more than the other.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/addr.h"
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
	struct addr v4, v6;
	uint8_t id4[ADDR_IDENTITY_LEN], id6[ADDR_IDENTITY_LEN];

	match_name(m, hp->host, hp->port);
	if (!addr_literal(hp->host, hp->port, &v4) || v4.u.sa.sa_family != AF_INET)
		assert(addr_literal("127.0.0.1", hp->port, &v4));
	assert(addr_literal("::ffff:0.0.0.0", hp->port, &v6));
	memcpy(&v6.u.in6.sin6_addr.s6_addr[12], &v4.u.in.sin_addr, 4);
	assert(match_target(m, hp->host, &v4) == match_target(m, hp->host, &v6));
	assert(addr_is_loopback(&v4) == addr_is_loopback(&v6));
	assert(addr_is_special(&v4) == addr_is_special(&v6));
	addr_identity(&v4, id4);
	addr_identity(&v6, id6);
	assert(memcmp(id4, id6, sizeof id4) == 0);
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
