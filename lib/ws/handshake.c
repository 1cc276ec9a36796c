/* SPDX-License-Identifier: ISC */
/* handshake - the WebSocket opening handshake. */
#include "lib/ws/handshake.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/hash.h"
#include "lib/base/rand.h"
#include "lib/base/str.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

enum { KEY_BYTES = 16, QUOTE_MAX = 128 /* of a header's value in an error text */ };

int
ws_handshake_key_new(char key[WS_KEY_LEN + 1])
{
	uint8_t raw[KEY_BYTES];
	int r = rand_bytes(raw, sizeof raw);
	ssize_t n;

	if (r != 0)
		return r;
	n = b64_encode(key, WS_KEY_LEN + 1, raw, sizeof raw, B64_STD);
	return n < 0 ? (int)n : 0;
}

int
ws_handshake_accept(const char *key, char accept[WS_ACCEPT_LEN + 1])
{
	char text[WS_KEY_LEN + sizeof GUID];
	uint8_t digest[HASH_SHA1_LEN];
	int len = snprintf(text, sizeof text, "%s" GUID, key);
	ssize_t n;
	int r;

	if (len < 0 || (size_t)len >= sizeof text)
		return ERR_LIMIT;
	if ((r = hash_sha1(text, (size_t)len, digest)) != 0)
		return r;
	n = b64_encode(accept, WS_ACCEPT_LEN + 1, digest, sizeof digest, B64_STD);
	return n < 0 ? (int)n : 0;
}

/* ---- client ---- */

void
ws_handshake_request_begin(struct http_build *b, const char *host, const char *target,
    const char *key, const char *protocol)
{
	http_build_request(b, "GET", target);
	http_build_header(b, "Host", host);
	http_build_header(b, "Upgrade", "websocket");
	http_build_header(b, "Connection", "Upgrade");
	http_build_header(b, "Sec-WebSocket-Key", key);
	http_build_header(b, "Sec-WebSocket-Version", "13");
	if (protocol != NULL)
		http_build_header(b, "Sec-WebSocket-Protocol", protocol);
}

unsigned
ws_handshake_retry_after_s(const struct http_head *h)
{
	const char *s = http_header(h, "retry-after");
	unsigned n = 0;

	if (s == NULL || http_header_count(h, "retry-after") != 1)
		return 0;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n < WS_RETRY_AFTER_MAX_S ? 10 * n + (unsigned)(*s - '0') : n;
	if (*s != '\0')
		return 0;
	return n < WS_RETRY_AFTER_MAX_S ? n : WS_RETRY_AFTER_MAX_S;
}

/* What may change with time. */
static int
again(struct errtext *e, const struct http_head *h, int status, const char *reason)
{
	unsigned wait = ws_handshake_retry_after_s(h);

	if (wait == 0)
		return err_set(
		    e, ERR_AGAIN, "the server answered %d %s; try again later", status, reason);
	return err_set(
	    e, ERR_AGAIN, "the server answered %d %s; try again in %u s", status, reason, wait);
}

/* A response that is no 101 says why in its own way; so do we. */
static int
refused(const struct http_head *h, struct errtext *e)
{
	const char *location = http_header(h, "location");
	int status = http_status(h);
	char reason[QUOTE_MAX], where[QUOTE_MAX];

	str_escape(reason, sizeof reason, http_reason(h), strlen(http_reason(h)));
	if (status == 401 || status == 403)
		return err_set(e, ERR_DENIED, "the server answered %d %s: it does not let us in",
		    status, reason);
	if (status == 404)
		return err_set(e, ERR_NOTFOUND,
		    "the server answered %d %s: there is no tunnel at this path", status, reason);
	if (status == 408 || status == 429 || status >= 500)
		return again(e, h, status, reason);
	if (status >= 300 && status < 400 && location != NULL)
		return err_set(e, ERR_PROTO,
		    "the server answered %d %s: it redirects to %s; give that URL if you trust it",
		    status, reason, str_escape(where, sizeof where, location, strlen(location)));
	return err_set(e, ERR_PROTO, "the server answered %d %s instead of opening a WebSocket",
	    status, reason);
}

int
ws_handshake_check_response(
    const struct http_head *h, const char *key, const char *protocol, struct errtext *e)
{
	const char *accept = http_header(h, "sec-websocket-accept");
	const char *chosen = http_header(h, "sec-websocket-protocol");
	const char *extensions = http_header(h, "sec-websocket-extensions");
	char want[WS_ACCEPT_LEN + 1];
	int r;

	/* RFC 6455 4.1, the client's six checks in their order. */
	if (http_status(h) != 101)
		return refused(h, e);
	if (!http_has_token(h, "upgrade", "websocket"))
		return err_set(e, ERR_PROTO, "the server's 101 does not upgrade to websocket");
	if (!http_has_token(h, "connection", "upgrade"))
		return err_set(e, ERR_PROTO, "the server's 101 has no \"Connection: Upgrade\"");
	if ((r = ws_handshake_accept(key, want)) != 0)
		return err_set(e, r, "out of memory");
	if (accept == NULL || http_header_count(h, "sec-websocket-accept") != 1 ||
	    strcmp(accept, want) != 0)
		return err_set(e, ERR_PROTO,
		    "the server's Sec-WebSocket-Accept does not belong to our key: a cache or "
		    "proxy has answered in its place");
	/* Behind an empty header there may be another one. */
	if (http_header_count(h, "sec-websocket-extensions") > 1 ||
	    (extensions != NULL && extensions[0] != 0))
		return err_set(
		    e, ERR_PROTO, "the server uses a WebSocket extension that was not offered");
	if (chosen != NULL && (protocol == NULL || strchr(chosen, ',') != NULL ||
				  http_header_count(h, "sec-websocket-protocol") != 1 ||
				  !http_list_has(protocol, chosen)))
		return err_set(e, ERR_PROTO, "the server chose a subprotocol that was not offered");
	return 0;
}

/* ---- server ---- */

bool
ws_handshake_is_upgrade(const struct http_head *h)
{
	return http_has_token(h, "upgrade", "websocket");
}

static bool
is_key(const char *key)
{
	uint8_t raw[B64_DEC_LEN(WS_KEY_LEN)];

	return strlen(key) == WS_KEY_LEN &&
	       b64_decode(raw, sizeof raw, key, WS_KEY_LEN, B64_STD) == KEY_BYTES;
}

int
ws_handshake_check_request(const struct http_head *h, int *status, struct errtext *e)
{
	const char *key = http_header(h, "sec-websocket-key");
	const char *version = http_header(h, "sec-websocket-version");

	*status = 400;
	/* RFC 6455 4.2.1, in its order. */
	if (strcmp(http_method(h), "GET") != 0)
		return err_set(e, ERR_PROTO, "a WebSocket is asked for by GET");
	if (http_minor(h) < 1)
		return err_set(e, ERR_PROTO, "a WebSocket needs HTTP/1.1");
	if (!http_has_token(h, "upgrade", "websocket"))
		return err_set(e, ERR_PROTO, "no \"Upgrade: websocket\"");
	if (!http_has_token(h, "connection", "upgrade"))
		return err_set(
		    e, ERR_PROTO, "no \"Connection: Upgrade\"; a proxy in front must pass it on");
	/* 4.4: before the key, which older versions did not have. */
	if (version == NULL || http_header_count(h, "sec-websocket-version") != 1 ||
	    strcmp(version, "13") != 0) {
		*status = 426;
		return err_set(e, ERR_PROTO, "the WebSocket version is not 13");
	}
	if (key == NULL || http_header_count(h, "sec-websocket-key") != 1 || !is_key(key))
		return err_set(e, ERR_PROTO, "Sec-WebSocket-Key is not 16 bytes in base64");
	if (http_body(h) == HTTP_BODY_CHUNKED || http_content_length(h) > 0)
		return err_set(e, ERR_PROTO, "a WebSocket request has no body");
	return 0;
}

void
ws_handshake_response_begin(
    struct http_build *b, const struct http_head *request, const char *protocol)
{
	char accept[WS_ACCEPT_LEN + 1];

	http_build_status(b, 101, NULL);
	http_build_header(b, "Upgrade", "websocket");
	http_build_header(b, "Connection", "Upgrade");
	/* Out of memory: a value that cannot be built makes http_build_end fail. */
	if (ws_handshake_accept(http_header(request, "sec-websocket-key"), accept) != 0)
		memcpy(accept, "\n", 2);
	http_build_header(b, "Sec-WebSocket-Accept", accept);
	if (protocol != NULL)
		http_build_header(b, "Sec-WebSocket-Protocol", protocol);
}

int
ws_handshake_refuse(struct http_build *b, int status)
{
	if (status != 426)
		return http_build_simple(b, status, NULL);
	http_build_status(b, status, NULL);
	http_build_header(b, "Upgrade", "websocket");
	http_build_header(b, "Connection", "Upgrade, close");
	http_build_header(b, "Sec-WebSocket-Version", "13");
	http_build_header(b, "Content-Length", "0");
	return http_build_end(b);
}
