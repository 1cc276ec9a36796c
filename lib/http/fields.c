/* SPDX-License-Identifier: ISC */
/* fields - which fields a reverse proxy drops, passes on and adds. */
#include "lib/http/fields.h"

#include <string.h>
#include <strings.h>

#include "lib/base/b64.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* ---- names ---- */

static char
fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '_' ? '-' : c;
}

/*
 * Is one of the list's names, in lower case, that of the n bytes?  One that ends with '*' is a
 * beginning.
 */
static bool
is_among(const char *const *list, const char *name, size_t n)
{
	char first = fold(name[0]);

	for (; *list != NULL; list++) {
		const char *want = *list;
		size_t i = 0;

		/* Most differ at once. */
		if (*want != first && *want != '*')
			continue;
		while (i < n && want[i] != '\0' && want[i] != '*' && fold(name[i]) == want[i])
			i++;
		if (want[i] == '*' || (want[i] == '\0' && i == n))
			return true;
	}
	return false;
}

/* RFC 9110 7.6.1, RFC 9113 8.2.2, and what frames. */
static const char *const of_connection[] = { "connection", "content-length", "http2-settings",
	"keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
	"proxy-connection", "te", "transfer-encoding", "upgrade", NULL };

static const char *const of_visitor[] = { "forwarded", "x-forwarded*", "x-real-ip", "x-client-ip",
	"x-cluster-client-ip", "x-original-forwarded-for", "client-ip", "true-client-ip",
	"cf-connecting-ip", "fastly-client-ip", NULL };

/*
 * What Connection must not name: they are for everybody on the way (RFC 9110 7.6.1), and a service
 * that does not see them would do something else.
 */
static const char *const for_everybody[] = { "host", "accept*", "access-control-*", "age",
	"authentication-info", "authorization", "cache-control", "content-*", "cookie", "date",
	"etag", "expect", "expires", "if-*", "last-modified", "location", "max-forwards", "origin",
	"pragma", "range", "referer", "sec-*", "set-cookie", "strict-transport-security",
	"user-agent", "vary", "via", "www-authenticate", "x-frame-options", "x-request-id", NULL };

/* RFC 9110 6.5.1, besides those of the connection and the visitor. */
static const char *const not_trailing[] = { "host", "accept*", "access-control-*", "age", "allow",
	"authorization", "cache-control", "content-encoding", "content-range", "content-type",
	"cookie", "date", "expect", "expires", "if-*", "location", "max-forwards", "origin",
	"pragma", "range", "retry-after", "sec-*", "set-cookie", "strict-transport-security",
	"trailer", "vary", "via", "warning", "www-authenticate", "x-request-id", NULL };

static bool
is_of_connection(const char *name)
{
	return is_among(of_connection, name, strlen(name));
}

bool
fields_is_forwarded(const char *name)
{
	return is_among(of_visitor, name, strlen(name));
}

bool
fields_may_trail(const char *name)
{
	return !is_of_connection(name) && !fields_is_forwarded(name) &&
	       !is_among(not_trailing, name, strlen(name));
}

/* ---- what passes ---- */

/* The next member of a list, without the space around it; NULL at the end. */
static const char *
next_member(const char **list, size_t *n)
{
	const char *s = *list + strspn(*list, " \t,");

	if (*s == '\0')
		return NULL;
	*n = strcspn(s, ",");
	*list = s + *n;
	while (*n > 0 && (s[*n - 1] == ' ' || s[*n - 1] == '\t'))
		(*n)--;
	return s;
}

bool
fields_connection_is_honest(const struct http_head *h)
{
	const char *name, *list, *member;
	size_t sum = 0, n;

	for (size_t i = 0; http_header_at(h, i, &name, &list); i++) {
		if (strcasecmp(name, "connection") != 0)
			continue;
		if ((sum += strlen(list)) > FIELDS_CONNECTION_MAX)
			return false;
		while ((member = next_member(&list, &n)) != NULL)
			if (is_among(for_everybody, member, n) || is_among(of_visitor, member, n))
				return false;
	}
	return true;
}

void
fields_pass(struct http_build *b, const struct http_head *h,
    bool (*drop)(void *arg, const char *name), void *arg)
{
	const char *name, *value;

	for (size_t i = 0; http_header_at(h, i, &name, &value); i++) {
		if (is_of_connection(name) || strcasecmp(name, "host") == 0 ||
		    http_has_token(h, "connection", name))
			continue;
		if (strcasecmp(name, "trailer") == 0 && http_body(h) != HTTP_BODY_CHUNKED)
			continue;
		if (drop == NULL || !drop(arg, name))
			http_build_header(b, name, value);
	}
}

int
fields_hops(const struct http_head *h, uint64_t *hops)
{
	const char *method = http_method(h), *value = http_header(h, "max-forwards");
	int r;

	if (value == NULL || (strcmp(method, "OPTIONS") != 0 && strcmp(method, "TRACE") != 0))
		return ERR_NOTFOUND;
	if (http_header_count(h, "max-forwards") != 1)
		return ERR_PROTO;
	r = str_parse_u64(value, 0, FIELDS_HOPS_MAX, hops);
	if (r == ERR_LIMIT)
		*hops = FIELDS_HOPS_MAX;
	return r == ERR_INVALID ? ERR_PROTO : 0;
}

/* ---- what is added ---- */

/* All values of that name as one list (RFC 9110 5.3), with a comma behind each. */
static void
add_list(struct http_build *b, const struct http_head *h, const char *want)
{
	const char *name, *value;

	for (size_t i = 0; http_header_at(h, i, &name, &value); i++)
		if (strcasecmp(name, want) == 0 && value[0] != '\0') {
			http_build_piece(b, value);
			http_build_piece(b, ", ");
		}
}

/* The address without a zone, which would be of this machine; of a Unix socket nothing is known. */
static const char *
host_of(const struct addr *a, char text[ADDR_TEXT])
{
	if (a->u.sa.sa_family == AF_UNIX)
		return "unknown";
	addr_host(a, text);
	text[strcspn(text, "%")] = '\0';
	return text;
}

/* RFC 7239 6: an IPv6 address stands in brackets, and so in quotes. */
static void
add_node(struct http_build *b, const struct addr *a)
{
	char text[ADDR_TEXT];
	const char *host = host_of(a, text);
	bool is_v6 = strchr(host, ':') != NULL;

	http_build_piece(b, is_v6 ? "for=\"[" : "for=");
	http_build_piece(b, host);
	http_build_piece(b, is_v6 ? "]\"" : "");
}

/* RFC 9110 5.6.4 */
static void
add_quoted(struct http_build *b, const char *s)
{
	http_build_piece(b, "\"");
	for (; *s != '\0'; s++) {
		char c[2] = { *s, '\0' };

		if (*s == '"' || *s == '\\')
			http_build_piece(b, "\\");
		http_build_piece(b, c);
	}
	http_build_piece(b, "\"");
}

static void
add_forwarded(struct http_build *b, const struct http_head *h, const struct fields_origin *o)
{
	bool told = o->trusted && http_header(h, "forwarded") != NULL;

	http_build_name(b, "Forwarded");
	if (told)
		add_list(b, h, "forwarded");
	/* RFC 7239 7.4: a proxy that speaks X-Forwarded-For alone. */
	if (o->trusted && !told && http_header(h, "x-forwarded-for") != NULL) {
		add_node(b, o->visitor);
		http_build_piece(b, ", ");
	}
	add_node(b, o->peer);
	if (o->host[0] != '\0') {
		http_build_piece(b, ";host=");
		add_quoted(b, o->host);
	}
	http_build_piece(b, o->tls ? ";proto=https" : ";proto=http");
	http_build_line(b);
}

/* What the trusted proxy said, or what we know. */
static void
add_kept(struct http_build *b, const struct http_head *h, const struct fields_origin *o,
    const char *name, const char *ours)
{
	const char *theirs = o->trusted ? http_header(h, name) : NULL;
	const char *value = theirs != NULL && theirs[0] != '\0' ? theirs : ours;

	if (value[0] != '\0')
		http_build_header(b, name, value);
}

static bool
is_written(const char *name)
{
	return strcasecmp(name, "X-Forwarded-For") == 0 ||
	       strcasecmp(name, "X-Forwarded-Proto") == 0 ||
	       strcasecmp(name, "X-Forwarded-Host") == 0 || strcasecmp(name, "Forwarded") == 0;
}

void
fields_forwarded(struct http_build *b, const struct http_head *h, const struct fields_origin *o)
{
	char text[ADDR_TEXT];
	const char *name, *value;

	http_build_name(b, "X-Forwarded-For");
	if (o->trusted)
		add_list(b, h, "X-Forwarded-For");
	http_build_piece(b, host_of(o->peer, text));
	http_build_line(b);
	add_kept(b, h, o, "X-Forwarded-Proto", o->tls ? "https" : "http");
	add_kept(b, h, o, "X-Forwarded-Host", o->host);
	add_forwarded(b, h, o);
	for (size_t i = 0; o->trusted && http_header_at(h, i, &name, &value); i++)
		/* A spelling with '_' is nobody's that we trust. */
		if (fields_is_forwarded(name) && !is_written(name) && strchr(name, '_') == NULL)
			http_build_header(b, name, value);
}

/* ---- basic authentication ---- */

/* The part behind "Basic", NULL if it is another scheme. */
static const char *
basic_of(const char *value)
{
	static const char scheme[] = "Basic ";

	if (strncasecmp(value, scheme, sizeof scheme - 1) != 0)
		return NULL;
	value += sizeof scheme - 1;
	return value + strspn(value, " ");
}

int
fields_basic(
    const struct http_head *h, char out[FIELDS_BASIC_MAX], const char **user, const char **password)
{
	const char *value = http_header(h, "authorization"), *code;
	char *colon;
	ssize_t n;

	if (value == NULL || http_header_count(h, "authorization") != 1 ||
	    (code = basic_of(value)) == NULL)
		return ERR_INVALID;
	n = b64_decode(out, FIELDS_BASIC_MAX - 1, code, strlen(code), B64_STD);
	if (n < 0)
		goto bad;
	out[n] = '\0';
	/* RFC 7617 2: no control characters; the first colon ends the user. */
	colon = strchr(out, ':');
	if (strlen(out) != (size_t)n || !http_is_value(out) || colon == NULL)
		goto bad;
	*colon = '\0';
	*user = out;
	*password = colon + 1;
	return 0;
bad:
	mem_wipe(out, FIELDS_BASIC_MAX);
	return ERR_INVALID;
}
