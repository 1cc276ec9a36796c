/* SPDX-License-Identifier: ISC */
/*
 * dialer_env - what the environment and the operator say about a dial: proxies and extra headers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/common/dialer.h"
#include "lib/http/http.h"
#include "lib/conf/match.h"
#include "lib/net/addr.h"

static const char *
env_either(const char *lower, const char *upper)
{
	const char *v = getenv(lower);

	if (v == NULL || *v == '\0')
		v = getenv(upper);
	return v != NULL && *v != '\0' ? v : NULL;
}

/*
 * One entry of NO_PROXY: "*", a name that the host is or ends in, an address; a port after it must
 * match too.
 */
static bool
entry_admits(const char *entry, size_t n, const struct hostport *at)
{
	size_t host_len = strlen(at->host);
	const char *colon = memrchr(entry, ':', n);

	/* A bare IPv6 address has colons of its own. */
	if (colon != NULL && (colon == memchr(entry, ':', n) || colon[-1] == ']')) {
		if (strtoul(colon + 1, NULL, 10) != at->port)
			return false;
		n = (size_t)(colon - entry);
	}
	if (n > 2 && entry[0] == '[' && entry[n - 1] == ']') {
		entry++;
		n -= 2;
	}
	if (n == 1 && entry[0] == '*')
		return true;
	if (n > 0 && entry[0] == '.') {
		entry++;
		n--;
	}
	if (n == 0 || n > host_len || strncasecmp(at->host + host_len - n, entry, n) != 0)
		return false;
	return n == host_len || at->host[host_len - n - 1] == '.';
}

/* "10.0.0.0/8" or "2001:db8::/32", as curl and Go have it. */
static bool
network_admits(const char *entry, size_t n, const struct hostport *at)
{
	char pattern[HOSTPORT_HOST_MAX + sizeof "[]:*"];
	bool v6 = memchr(entry, ':', n) != NULL, admits;
	struct match *m;

	if (memchr(entry, '/', n) == NULL || n > HOSTPORT_HOST_MAX || (m = match_new()) == NULL)
		return false;
	snprintf(pattern, sizeof pattern, v6 ? "[%.*s]:*" : "%.*s:*", (int)n, entry);
	admits = match_add(m, pattern, NULL) == 0 && match_name(m, at->host, at->port);
	match_free(m);
	return admits;
}

static bool
no_proxy(const char *list, const struct hostport *at)
{
	struct addr a;

	/* A relay on this machine is never reached through a proxy, as in curl and Go. */
	if (addr_literal(at->host, at->port, &a) && addr_is_loopback(&a))
		return true;
	if (strcasecmp(at->host, "localhost") == 0)
		return true;
	while (list != NULL && *list != '\0') {
		size_t skip = strspn(list, " ,"), n = strcspn(list + skip, " ,");

		if (entry_admits(list + skip, n, at) || network_admits(list + skip, n, at))
			return true;
		list += skip + n;
	}
	return false;
}

int
dialer_proxy(struct dialer_target *t, const char *explicit, struct errtext *e)
{
	const char *what = t->url.tls ? "proxy in HTTPS_PROXY" : "proxy in HTTP_PROXY",
		   *v = explicit;
	struct errtext why = { "" };
	int r;

	t->has_proxy = false;
	if (v == NULL) {
		if (no_proxy(env_either("no_proxy", "NO_PROXY"), &t->url.at))
			return 0;
		v = t->url.tls ? env_either("https_proxy", "HTTPS_PROXY")
			       : env_either("http_proxy", "HTTP_PROXY");
	}
	if (v == NULL) {
		what = "proxy in ALL_PROXY";
		v = env_either("all_proxy", "ALL_PROXY");
	}
	if (v == NULL || *v == '\0' || (explicit != NULL && strcmp(v, "none") == 0))
		return 0;
	t->has_proxy = true;
	r = url_parse(v, URL_HTTP | URL_USERINFO | URL_BARE_HOST,
	    explicit != NULL ? "proxy of --proxy" : what, &t->proxy, &why);
	if (r != 0 && explicit == NULL)
		return err_set(
		    e, r, "%s; --proxy URL names another one, --proxy none goes without", why.s);
	return r == 0 ? 0 : err_set(e, r, "%s", why.s);
}

static int
check_header(const char *line, struct errtext *e)
{
	static const char *const own[] = { "Host", "Upgrade", "Connection", "Sec-WebSocket-Key",
		"Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
		NULL };
	const char *colon = strchr(line, ':');
	char name[256];

	if (colon == NULL || (size_t)(colon - line) >= sizeof name)
		return err_set(e, ERR_INVALID, "--header: not of the form 'Name: value'");
	memcpy(name, line, (size_t)(colon - line));
	name[colon - line] = '\0';
	if (!http_is_token(name) || !http_is_value(colon + 1))
		return err_set(e, ERR_INVALID,
		    "--header: the name or the value has a character that HTTP forbids");
	for (int i = 0; own[i] != NULL; i++)
		if (strcasecmp(name, own[i]) == 0)
			return err_set(
			    e, ERR_INVALID, "--header: %s belongs to the handshake itself", own[i]);
	return 0;
}

int
dialer_check_headers(const struct opt_list *headers, struct errtext *e)
{
	size_t bytes = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < headers->n; i++) {
		r = check_header(headers->v[i], e);
		bytes += strlen(headers->v[i]);
	}
	if (r == 0 && bytes > DIALER_HEADERS_MAX)
		r = err_set(e, ERR_INVALID, "--header: all together have more than %d bytes",
		    DIALER_HEADERS_MAX);
	return r;
}
