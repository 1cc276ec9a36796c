/* SPDX-License-Identifier: ISC */
/* host - the host and the target of a request. */
#include "lib/http/host.h"

#include <string.h>
#include <strings.h>

#include "lib/net/addr.h"

enum { LABEL_MAX = 63, PORT_DIGITS_MAX = 5 };

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* RFC 1123 2.1, and '_', which many use though it is for no host (RFC 8552). */
static bool
is_label(const char *s, size_t n)
{
	if (n == 0 || n > LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
			s[i] == '_'))
			return false;
	return true;
}

/* Decimal digits, or hexadecimal ones, none included, behind "0x". */
static bool
is_number(const char *s)
{
	if (s[0] == '0' && s[1] == 'x')
		return s[2 + strspn(s + 2, "0123456789abcdef")] == '\0';
	return s[strspn(s, "0123456789")] == '\0';
}

/* n bytes as a name in out, in normal form; its last label says whether it is an address. */
static bool
read_name(const char *s, size_t n, char out[HTTP_HOST_MAX + 1], bool *is_literal)
{
	const char *label = out;

	if (n > 0 && s[n - 1] == '.')
		n--;
	if (n == 0 || n > HTTP_HOST_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		out[i] = lower(s[i]);
	out[n] = '\0';
	for (;;) {
		size_t len = strcspn(label, ".");

		if (!is_label(label, len))
			return false;
		if (label[len] == '\0')
			break;
		label += len + 1;
	}
	/* A NUL among them would have ended it. */
	*is_literal = is_number(label);
	return strlen(out) == n;
}

int
http_host_norm(const char *s, size_t n, char out[HTTP_HOST_MAX + 1])
{
	bool is_literal;

	return read_name(s, n, out, &is_literal) && !is_literal ? 0 : ERR_INVALID;
}

/* "[2001:DB8::1]" in its shortest spelling; a zone would be of another machine. */
static bool
read_v6(const char *s, size_t n, char out[HTTP_HOST_MAX + 1])
{
	char text[ADDR_TEXT];
	struct addr a;
	const char *zone;

	if (n < 2 || n - 2 >= sizeof text)
		return false;
	memcpy(text, s + 1, n - 2);
	text[n - 2] = '\0';
	if (!addr_read(text, &a, &zone) || a.u.sa.sa_family != AF_INET6 || zone != NULL)
		return false;
	out[0] = '[';
	addr_host(&a, text);
	n = strlen(text);
	memcpy(out + 1, text, n);
	memcpy(out + 1 + n, "]", 2);
	return true;
}

/* What stands behind the host: nothing, or ":" and a port, which may be empty (RFC 3986 3.2.3). */
static bool
read_port(const char *s, size_t n, uint16_t *port)
{
	unsigned v = 0;

	*port = 0;
	if (n == 0)
		return true;
	if (s[0] != ':' || n - 1 > PORT_DIGITS_MAX)
		return false;
	for (size_t i = 1; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	*port = (uint16_t)v;
	return n == 1 || (v > 0 && v <= UINT16_MAX);
}

/* "HOST" or "HOST:PORT" of n bytes, without user (RFC 9110 4.2.4). */
static bool
read_authority(const char *s, size_t n, struct http_site *out)
{
	const char *end;

	if (n > 0 && s[0] == '[') {
		if ((end = memchr(s, ']', n)) == NULL)
			return false;
		end++;
		out->is_literal = true;
		if (!read_v6(s, (size_t)(end - s), out->host))
			return false;
	} else {
		if ((end = memchr(s, ':', n)) == NULL)
			end = s + n;
		if (!read_name(s, (size_t)(end - s), out->host, &out->is_literal))
			return false;
	}
	return read_port(end, n - (size_t)(end - s), &out->port);
}

/* The bytes behind "http://" or "https://", and the port that goes without saying; else NULL. */
static const char *
behind_scheme(const char *target, uint16_t *port)
{
	static const struct {
		const char *text;
		uint16_t port;
	} schemes[] = { { "http://", 80 }, { "https://", 443 } };

	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t n = strlen(schemes[i].text);

		if (strncasecmp(target, schemes[i].text, n) == 0) {
			*port = schemes[i].port;
			return target + n;
		}
	}
	return NULL;
}

/* An absolute target, from its authority on. */
static int
read_absolute(
    const char *s, uint16_t usual, bool is_options, struct http_site *out, struct errtext *why)
{
	size_t n = strcspn(s, "/?#");
	struct http_site named = { .port = 0 };

	if (!read_authority(s, n, &named))
		return err_set(why, ERR_PROTO, "an absolute target with an invalid host");
	if (out->host[0] == '\0') {
		/* HTTP/1.0 without Host. */
		*out = named;
	} else if (strcmp(named.host, out->host) != 0 ||
		   (named.port != 0 ? named.port : usual) != (out->port != 0 ? out->port : usual)) {
		return err_set(why, ERR_PROTO, "an absolute target that contradicts Host");
	}
	/* RFC 9112 3.2.4: OPTIONS of no path is of the whole server. */
	if (s[n] == '\0')
		out->target = is_options ? "*" : "/";
	else if (s[n] == '/')
		out->target = s + n;
	else
		return err_set(why, ERR_PROTO, "an absolute target without a path");
	return 0;
}

int
http_site(const struct http_head *h, struct http_site *out, struct errtext *why)
{
	const char *host = http_header(h, "host"), *target = http_target(h), *rest;
	bool is_options = strcmp(http_method(h), "OPTIONS") == 0;
	uint16_t usual;

	*out = (struct http_site){ .target = target };
	if (strcmp(http_method(h), "CONNECT") == 0)
		return err_set(why, ERR_DENIED, "CONNECT is for proxies, and this is none");
	if (host != NULL && !read_authority(host, strlen(host), out))
		return err_set(why, ERR_PROTO, "an invalid Host");
	/* RFC 9112 3.2: no form of a target has a fragment. */
	if (strchr(target, '#') != NULL)
		return err_set(why, ERR_PROTO, "a target with a fragment");
	if (target[0] == '/')
		return 0;
	if ((rest = behind_scheme(target, &usual)) != NULL)
		return read_absolute(rest, usual, is_options, out, why);
	if (strcmp(target, "*") == 0 && is_options)
		return 0;
	return err_set(why, ERR_PROTO, "a target that is neither a path nor a URL");
}
