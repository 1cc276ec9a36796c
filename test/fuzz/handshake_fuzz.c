/* SPDX-License-Identifier: ISC */
/*
 * handshake_fuzz - opening handshakes: a request that is accepted gets an answer that its client
 * accepts.
 *
 * The first byte says whether the input is a request or a response (to RFC 6455's own key).
 */
#include <assert.h>
#include <stdint.h>

#include "lib/ws/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
answer(const struct http_head *request)
{
	struct http_head *response = http_head_new(HTTP_HEAD_RESPONSE);
	struct http_build b;
	struct errtext e;
	int status;

	assert(response != NULL);
	if (ws_handshake_check_request(request, &status, &e) == 0) {
		assert(ws_handshake_is_upgrade(request));
		ws_handshake_response_begin(&b, request, NULL);
		assert(http_build_end(&b) == 0);
		assert(http_head_feed(response, b.s, b.len, &e) == (ssize_t)b.len);
		assert(ws_handshake_check_response(
			   response, http_header(request, "sec-websocket-key"), NULL, &e) == 0);
	} else {
		assert(status == 400 || status == 426);
		assert(ws_handshake_refuse(&b, status) == 0);
		assert(http_head_feed(response, b.s, b.len, &e) > 0);
		assert(http_status(response) == status);
	}
	http_head_free(response);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head *h;
	struct errtext e;

	if (size == 0)
		return 0;
	h = http_head_new(data[0] & 1 ? HTTP_HEAD_RESPONSE : HTTP_HEAD_REQUEST);
	assert(h != NULL);
	if (http_head_feed(h, data + 1, size - 1, &e) >= 0 && http_head_is_done(h)) {
		if (data[0] & 1)
			IGNORE_RESULT(ws_handshake_check_response(
			    h, "dGhlIHNhbXBsZSBub25jZQ==", "a, b", &e)); /* either */
		else
			answer(h);
	}
	http_head_free(h);
	return 0;
}
