/* SPDX-License-Identifier: ISC */
/* xff - X-Forwarded-For, read from the right. */
#include "lib/http/xff.h"

#include <string.h>
#include <strings.h>

#include "lib/net/hostport.h"

/* Bytes of one member: "[ADDRESS]:PORT". */
#define MEMBER_MAX 64

bool
xff_is_trusted(const struct addr *a, const struct addr_net *trusted, size_t n)
{
	return a->u.sa.sa_family == AF_UNIX ? n > 0 : addr_in_nets(a, trusted, n);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * "192.0.2.1", "2001:db8::1", "[2001:db8::1]", and both with a port.  A zone would be another
 * machine's.
 */
static bool
read_member(const char *s, size_t n, struct addr *out)
{
	char text[MEMBER_MAX + 1];
	struct hostport hp;

	if (n > MEMBER_MAX || memchr(s, '%', n) != NULL)
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	if (hostport_host(text, &hp, NULL) != 0 && hostport_parse(text, 0, &hp, NULL) != 0)
		return false;
	return addr_literal(hp.host, hp.port, out);
}

/*
 * Walk one line's members from the right as long as *out is trusted.  Returns false when the walk
 * is over: *out is not, or the member to the left of it cannot be read.
 */
static bool
walk_line(const char *line, const struct addr_net *trusted, size_t n, struct addr *out)
{
	const char *end = line + strlen(line);

	for (;;) {
		const char *begin = end, *next;
		struct addr a;

		while (begin > line && begin[-1] != ',')
			begin--;
		next = begin > line ? begin - 1 : NULL;
		while (begin < end && is_blank(*begin))
			begin++;
		while (end > begin && is_blank(end[-1]))
			end--;
		/* RFC 9110 5.6.1: empty members of a list do not count. */
		if (end > begin) {
			if (!read_member(begin, (size_t)(end - begin), &a))
				return false;
			*out = a;
			if (!xff_is_trusted(out, trusted, n))
				return false;
		}
		if (next == NULL)
			return true;
		end = next;
	}
}

void
xff_client(const struct http_head *h, const struct addr *peer, const struct addr_net *trusted,
    size_t n, struct addr *out)
{
	const char *name, *value;
	size_t lines = 0;

	*out = *peer;
	if (!xff_is_trusted(peer, trusted, n))
		return;
	while (http_header_at(h, lines, &name, &value))
		lines++;
	/* RFC 9110 5.3: several lines are one list, in their order. */
	while (lines-- > 0)
		if (http_header_at(h, lines, &name, &value) &&
		    strcasecmp(name, "X-Forwarded-For") == 0 && !walk_line(value, trusted, n, out))
			return;
}
