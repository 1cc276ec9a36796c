/* SPDX-License-Identifier: ISC */
/*
 * url_fuzz - URLs: what is accepted reads the same when it is written out, and nothing secret is
 * written.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4096 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned all = URL_WS | URL_WSS | URL_HTTP | URL_HTTPS;
	char s[TEXT_MAX], text[TEXT_MAX];
	struct url u, again;
	struct errtext e;

	if (size >= sizeof s)
		return 0;
	memcpy(s, data, size);
	s[size] = 0;
	errtext_clear(&e);
	if (url_parse(s, all | URL_USERINFO | URL_BARE_HOST, "URL", &u, &e) == 0) {
		url_text(&u, text, sizeof text);
		assert(url_parse(text, all, "URL", &again, &e) == 0);
		assert(again.scheme == u.scheme && again.at.port == u.at.port && !again.has_user);
		assert(
		    strcmp(again.at.host, u.at.host) == 0 && strcmp(again.target, u.target) == 0);
		url_wipe(&u);
	} else {
		assert(e.s[0] != 0);
	}
	return 0;
}
