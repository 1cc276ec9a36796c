/* SPDX-License-Identifier: ISC */
/*
 * hostport - "HOST:PORT" in the forms people write it.
 */
#include "lib/net/hostport.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/net/addr.h"

#define SHOWN 300 /* bytes of the operator's text in an error */

static bool
is_v6(const char *s)
{
	struct addr a;
	const char *zone;

	return addr_read(s, &a, &zone) && a.u.sa.sa_family == AF_INET6;
}

static bool
is_name(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++, n++) {
		bool word = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			    (*s >= '0' && *s <= '9');

		if (!word && *s != '-' && *s != '_' && (*s != '.' || n == 0 || s[-1] == '.'))
			return false;
	}
	return n > 0;
}

/* n characters of a host, in brackets or not, into out->host. */
static int
take_host(const char *s, size_t n, bool brackets, struct hostport *out)
{
	if (n > HOSTPORT_HOST_MAX)
		return ERR_INVALID;
	memcpy(out->host, s, n);
	out->host[n] = '\0';
	if (strlen(out->host) != n)
		return ERR_INVALID;
	out->is_v6 = is_v6(out->host);
	if (brackets)
		return out->is_v6 ? 0 : ERR_INVALID;
	return out->is_v6 || is_name(out->host) ? 0 : ERR_INVALID;
}

int
hostport_host(const char *s, struct hostport *out, struct errtext *e)
{
	struct hostport hp = { .port = 0 };
	size_t n = strlen(s);
	bool brackets = n >= 2 && s[0] == '[' && s[n - 1] == ']';
	char shown[SHOWN];

	if (take_host(brackets ? s + 1 : s, brackets ? n - 2 : n, brackets, &hp) != 0)
		return err_set(e, ERR_INVALID, "\"%s\" is neither a host name nor an address",
		    str_escape(shown, sizeof(shown), s, n));
	*out = hp;
	return 0;
}

int
hostport_parse(const char *s, unsigned flags, struct hostport *out, struct errtext *e)
{
	struct hostport hp;
	const char *colon = strrchr(s, ':');
	char shown[SHOWN];
	uint64_t port;
	size_t n;
	bool brackets;

	str_escape(shown, sizeof(shown), s, strlen(s));
	if (colon == NULL)
		return err_set(e, ERR_INVALID, "\"%s\" has no port: write HOST:PORT", shown);
	n = (size_t)(colon - s);
	brackets = n >= 2 && s[0] == '[' && s[n - 1] == ']';
	if (n == 0 && (flags & HOSTPORT_ANY_HOST) != 0) {
		hp = (struct hostport){ .port = 0 };
	} else if (take_host(brackets ? s + 1 : s, brackets ? n - 2 : n, brackets, &hp) != 0) {
		return err_set(
		    e, ERR_INVALID, "\"%s\" does not begin with a host name or an address", shown);
	} else if (hp.is_v6 && !brackets) {
		return err_set(e, ERR_INVALID,
		    "\"%s\" is ambiguous: write an IPv6 address in brackets, [ADDR]:PORT", shown);
	}
	if (str_parse_u64(colon + 1, (flags & HOSTPORT_PORT_0) != 0 ? 0 : 1, UINT16_MAX, &port) !=
	    0)
		return err_set(e, ERR_INVALID,
		    "\"%s\" does not end with a port between %d and 65535", shown,
		    (flags & HOSTPORT_PORT_0) != 0 ? 0 : 1);
	hp.port = (uint16_t)port;
	*out = hp;
	return 0;
}

const char *
hostport_text(const struct hostport *hp, char out[HOSTPORT_TEXT_MAX + 1])
{
	snprintf(out, HOSTPORT_TEXT_MAX + 1, hp->is_v6 ? "[%s]:%u" : "%s:%u", hp->host,
	    (unsigned)hp->port);
	return out;
}
