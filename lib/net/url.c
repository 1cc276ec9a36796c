/* SPDX-License-Identifier: ISC */
/* url - taking URLs apart. */
#include "lib/net/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"
#include "lib/base/mem.h"

static const struct {
	const char *name;
	enum url_scheme scheme;
	uint16_t port;
	bool tls;
} schemes[] = {
	{ "ws", URL_WS, 80, false },
	{ "wss", URL_WSS, 443, true },
	{ "http", URL_HTTP, 80, false },
	{ "https", URL_HTTPS, 443, true },
};

enum { N_SCHEMES = sizeof schemes / sizeof schemes[0] };

/* "ws:// or wss://" */
static void
list_schemes(unsigned allowed, char *out, size_t outsz)
{
	size_t len = 0;

	out[0] = 0;
	for (int i = 0; i < N_SCHEMES; i++)
		if (schemes[i].scheme & allowed && len < outsz)
			len += (size_t)snprintf(out + len, outsz - len, "%s%s://",
			    len > 0 ? " or " : "", schemes[i].name);
}

/* Returns the text behind "scheme://", or NULL with e set. */
static const char *
parse_scheme(const char *s, unsigned allowed, const char *what, struct url *u, struct errtext *e)
{
	const char *sep = strstr(s, "://");
	char list[64];

	if (sep == NULL && allowed & URL_BARE_HOST) {
		u->scheme = URL_HTTP;
		u->at.port = 80;
		return s;
	}
	for (int i = 0; sep != NULL && i < N_SCHEMES; i++) {
		if (!(schemes[i].scheme & allowed) ||
		    strlen(schemes[i].name) != (size_t)(sep - s) ||
		    strncasecmp(s, schemes[i].name, (size_t)(sep - s)) != 0)
			continue;
		u->scheme = schemes[i].scheme;
		u->tls = schemes[i].tls;
		u->at.port = schemes[i].port;
		return sep + 3;
	}
	list_schemes(allowed, list, sizeof list);
	IGNORE_RESULT(
	    err_set(e, ERR_INVALID, "the %s must begin with %s", what, list)); /* for the text */
	return NULL;
}

/*
 * RFC 3986 2.1.  False for a malformed escape, an escaped NUL, or more than URL_USER_MAX
 * characters.
 */
static bool
percent_decode(const char *s, size_t n, char out[URL_USER_MAX + 1])
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)s[i];

		if (c == '%') {
			if (n - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
				return false;
			c = hex_value(s[i + 1]) * 16 + hex_value(s[i + 2]);
			i += 2;
		}
		if (c == 0 || len == URL_USER_MAX)
			return false;
		out[len++] = (char)c;
	}
	out[len] = 0;
	return true;
}

static int
parse_user(
    const char *s, size_t n, unsigned allowed, const char *what, struct url *u, struct errtext *e)
{
	const char *colon = memchr(s, ':', n);
	size_t user = colon == NULL ? n : (size_t)(colon - s);

	if (!(allowed & URL_USERINFO))
		return err_set(e, ERR_INVALID,
		    "the %s holds a user or password, which would end up in logs and process "
		    "lists: give the secret by "
		    "a file or the environment",
		    what);
	u->has_user = true;
	if (!percent_decode(s, user, u->user) ||
	    (colon != NULL && !percent_decode(colon + 1, n - user - 1, u->password)))
		return err_set(e, ERR_INVALID,
		    "the user or password in the %s is too long or wrongly escaped", what);
	return 0;
}

/*
 * RFC 6874 2: in a URL the % before a zone is written as %25.  As in curl and browsers a bare one
 * is taken too, where that is not what follows.
 */
static void
decode_zone(char *authority)
{
	char *zone = authority[0] == '[' ? strchr(authority, '%') : NULL;

	if (zone != NULL && strncmp(zone, "%25", 3) == 0 && zone[3] != '\0' && zone[3] != ']')
		memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
}

static int
parse_authority(const char *s, size_t n, const char *what, struct url *u, struct errtext *e)
{
	char text[HOSTPORT_TEXT_MAX + 1];
	struct errtext why;
	uint16_t port = u->at.port;
	const char *end;
	int r;

	if (n == 0)
		return err_set(e, ERR_INVALID, "the %s has no host", what);
	if (n > HOSTPORT_TEXT_MAX)
		return err_set(e, ERR_INVALID, "the host of the %s is too long", what);
	memcpy(text, s, n);
	text[n] = 0;
	decode_zone(text);
	end = strrchr(text, ']');
	errtext_clear(&why);
	if (strchr(end != NULL ? end : text, ':') != NULL) {
		r = hostport_parse(text, 0, &u->at, &why);
	} else {
		r = hostport_host(text, &u->at, &why);
		u->at.port = port;
	}
	if (r == 0)
		return 0;
	/*
	 * What was taken for the host may be the beginning of a user and password that hold a
	 * slash.
	 */
	if (strchr(s + n, '@') != NULL)
		return err_set(
		    e, r, "the %s: a host and a port are expected in front of the path", what);
	return err_set(e, r, "the %s: %s", what, why.s);
}

static int
parse_target(const char *s, const char *what, struct url *u, struct errtext *e)
{
	size_t n = strlen(s);

	if (n >= URL_TARGET_MAX)
		return err_set(e, ERR_INVALID, "the path of the %s is too long", what);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '#')
			return err_set(e, ERR_INVALID, "the %s has a fragment (#)", what);
		if (s[i] <= 0x20 || s[i] >= 0x7f)
			return err_set(e, ERR_INVALID,
			    "the path of the %s has a space or a character that must be %%-escaped",
			    what);
	}
	snprintf(u->target, sizeof u->target, "%s%s", s[0] == '/' ? "" : "/", s);
	return 0;
}

int
url_parse(const char *s, unsigned allowed, const char *what, struct url *u, struct errtext *e)
{
	const char *at = NULL;
	size_t n;
	int r;

	memset(u, 0, sizeof *u);
	s = parse_scheme(s, allowed, what, u, e);
	if (s == NULL)
		return ERR_INVALID;
	n = strcspn(s, "/?#");
	if (allowed & URL_USERINFO && strchr(s + n, '@') != NULL)
		return err_set(e, ERR_INVALID,
		    "the %s has an @ behind its host: in a password / must be written as %%2F, ? "
		    "as %%3F and # as %%23",
		    what);
	/*
	 * The last one, as curl has it: an unescaped @ in a password is then part of it and not of
	 * the host.
	 */
	for (size_t i = 0; i < n; i++)
		if (s[i] == '@')
			at = s + i;
	if (at != NULL) {
		r = parse_user(s, (size_t)(at - s), allowed, what, u, e);
		n -= (size_t)(at + 1 - s);
		s = at + 1;
		if (r != 0)
			goto fail;
	}
	if ((r = parse_authority(s, n, what, u, e)) != 0 ||
	    (r = parse_target(s + n, what, u, e)) != 0)
		goto fail;
	return 0;
fail:
	url_wipe(u);
	return r;
}

static bool
is_own_port(const struct url *u)
{
	return u->at.port == (u->tls ? 443 : 80);
}

static const char *
authority_text(const struct url *u, const struct hostport *at, char out[HOSTPORT_TEXT_MAX + 1])
{
	if (!is_own_port(u))
		return hostport_text(at, out);
	snprintf(out, HOSTPORT_TEXT_MAX + 1, at->is_v6 ? "[%s]" : "%s", at->host);
	return out;
}

const char *
url_host_header(const struct url *u, char out[HOSTPORT_TEXT_MAX + 1])
{
	struct hostport at = u->at;

	/* RFC 6874 4: a zone means something on this machine only. */
	if (at.is_v6)
		at.host[strcspn(at.host, "%")] = '\0';
	return authority_text(u, &at, out);
}

const char *
url_text(const struct url *u, char *out, size_t outsz)
{
	char host[HOSTPORT_TEXT_MAX + 1];
	const char *name = "", *zone, *rest = "";
	int n;

	for (int i = 0; i < N_SCHEMES; i++)
		if (schemes[i].scheme == u->scheme)
			name = schemes[i].name;
	authority_text(u, &u->at, host);
	zone = u->at.is_v6 ? strchr(host, '%') : NULL;
	n = (int)(zone != NULL ? (size_t)(zone - host) : strlen(host));
	if (zone != NULL)
		rest = zone + 1;
	snprintf(out, outsz, "%s://%.*s%s%s%s", name, n, host, zone != NULL ? "%25" : "", rest,
	    strcmp(u->target, "/") == 0 ? "" : u->target);
	return out;
}

void
url_wipe(struct url *u)
{
	mem_wipe(u, sizeof *u);
}
