/* SPDX-License-Identifier: ISC */
/* http_build - building HTTP/1.1 heads (http.h), each piece checked before it is written. */
#include "lib/http/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/mem.h"

enum { VALUE_MAX = 1024 }; /* what _headerf formats, with the NUL */

static void
add(struct http_build *b, const char *s)
{
	size_t n = strlen(s);

	if (b->status != 0)
		return;
	if (n > sizeof b->s - b->len) {
		b->status = ERR_LIMIT;
		return;
	}
	memcpy(b->s + b->len, s, n);
	b->len += n;
}

static void
demand(struct http_build *b, bool fits)
{
	if (!fits && b->status == 0)
		b->status = ERR_INVALID;
}

void
http_build_request(struct http_build *b, const char *method, const char *target)
{
	b->len = 0;
	b->status = 0;
	demand(b, http_is_token(method) && target[0] != 0 && http_is_value(target) &&
		      target[strcspn(target, " \t")] == 0);
	add(b, method);
	add(b, " ");
	add(b, target);
	add(b, " HTTP/1.1\r\n");
}

void
http_build_status(struct http_build *b, int status, const char *reason)
{
	char line[32];

	b->len = 0;
	b->status = 0;
	if (reason == NULL)
		reason = http_reason_of(status);
	demand(b, status >= 100 && status <= 999 && http_is_value(reason));
	snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
	add(b, line);
	add(b, reason);
	add(b, "\r\n");
}

void
http_build_name(struct http_build *b, const char *name)
{
	demand(b, http_is_token(name));
	add(b, name);
	add(b, ": ");
}

void
http_build_piece(struct http_build *b, const char *piece)
{
	demand(b, http_is_value(piece));
	add(b, piece);
}

void
http_build_line(struct http_build *b)
{
	add(b, "\r\n");
}

void
http_build_header(struct http_build *b, const char *name, const char *value)
{
	http_build_name(b, name);
	http_build_piece(b, value);
	http_build_line(b);
}

void
http_build_headerf(struct http_build *b, const char *name, const char *fmt, ...)
{
	char value[VALUE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof value, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof value) {
		if (b->status == 0)
			b->status = ERR_LIMIT;
		return;
	}
	http_build_header(b, name, value);
}

int
http_build_end(struct http_build *b)
{
	add(b, "\r\n");
	return b->status;
}

int
http_build_simple(struct http_build *b, int status, const char *body)
{
	char words[64];
	int r;

	if (body == NULL) {
		snprintf(words, sizeof words, "%s\n", http_reason_of(status));
		body = words;
	}
	http_build_status(b, status, NULL);
	http_build_header(b, "Content-Type", "text/plain; charset=utf-8");
	http_build_headerf(b, "Content-Length", "%zu", strlen(body));
	http_build_header(b, "Cache-Control", "no-store");
	http_build_header(b, "Connection", "close");
	/* RFC 6585 4, RFC 9110 15.6.4 */
	if (status == 429 || status == 503)
		http_build_headerf(b, "Retry-After", "%d", HTTP_RETRY_AFTER_S);
	if ((r = http_build_end(b)) != 0)
		return r;
	add(b, body);
	return b->status;
}

const char *
http_reason_of(int status)
{
	static const struct {
		int status;
		const char *words;
	} table[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 407, "Proxy Authentication Required" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 421, "Misdirected Request" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].status == status)
			return table[i].words;
	return "Unknown";
}

int
http_basic(const char *user, const char *password, char out[HTTP_BASIC_MAX])
{
	char plain[HTTP_BASIC_MAX / 4 * 3];
	int n, r = 0;

	/* RFC 7617 2: the first colon ends the user. */
	if (strchr(user, ':') != NULL)
		return ERR_INVALID;
	n = snprintf(plain, sizeof plain, "%s:%s", user, password);
	if (n < 0 || (size_t)n >= sizeof plain) {
		r = ERR_LIMIT;
	} else {
		ssize_t len;

		memcpy(out, "Basic ", 6);
		len = b64_encode(out + 6, HTTP_BASIC_MAX - 6, plain, (size_t)n, B64_STD);
		r = len < 0 ? (int)len : 0;
	}
	mem_wipe(plain, sizeof plain);
	return r;
}
