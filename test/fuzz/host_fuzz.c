/* SPDX-License-Identifier: ISC */
/*
 * host_fuzz - the site of a request: the input is a method, a target and a Host, a line each.
 *
 * What is taken is in normal form and asks for the same when it is asked again; no address that
 * the C library can read passes for a name.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The site of such a request, if there is a head and a site. */
static bool
ask(const char *method, const char *target, const char *host, struct http_site *out,
    char again[HTTP_HEAD_MAX])
{
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
	static char text[HTTP_HEAD_MAX];
	struct errtext why;
	int n =
	    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, target, host);
	int r;

	assert(h != NULL);
	if (n >= (int)sizeof text || http_head_feed(h, text, (size_t)n, NULL) != n ||
	    !http_head_is_done(h)) {
		http_head_free(h);
		return false;
	}
	errtext_clear(&why);
	r = http_site(h, out, &why);
	assert((r == 0) == (why.s[0] == '\0'));
	assert(r == 0 || r == ERR_PROTO || r == ERR_DENIED);
	if (r == 0)
		snprintf(again, HTTP_HEAD_MAX, "%s", out->target);
	http_head_free(h);
	return r == 0;
}

static void
is_normal(const struct http_site *s)
{
	char norm[HTTP_HOST_MAX + 1];
	struct in_addr in;
	size_t n = strlen(s->host);

	assert(n > 0 && n <= HTTP_HOST_MAX && s->host[n - 1] != '.');
	if (s->is_literal) {
		assert(http_host_norm(s->host, n, norm) == ERR_INVALID);
		return;
	}
	assert(http_host_norm(s->host, n, norm) == 0 && strcmp(norm, s->host) == 0);
	assert(strspn(s->host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n);
	/* It reads 0x7f.1 and the like, too. */
	assert(inet_aton(s->host, &in) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char target[2][HTTP_HEAD_MAX];
	/* No strndup: ASan's strict checks of strings ask it for a NUL. */
	char *text = calloc(1, size + 1), *rest = text, host[HTTP_HOST_MAX + 8];
	const char *method, *asked;
	struct http_site a, b;

	assert(text != NULL);
	memcpy(text, data, size);
	method = strsep(&rest, "\n");
	asked = rest != NULL ? strsep(&rest, "\n") : "";
	if (rest != NULL && ask(method, asked, rest, &a, target[0])) {
		assert(target[0][0] == '/' || strcmp(target[0], "*") == 0);
		assert(strchr(target[0], '#') == NULL);
		is_normal(&a);
		snprintf(host, sizeof host, a.port != 0 ? "%s:%u" : "%s", a.host, a.port);
		assert(ask(method, target[0], host, &b, target[1]));
		assert(strcmp(a.host, b.host) == 0 && a.port == b.port);
		assert(a.is_literal == b.is_literal && strcmp(target[0], target[1]) == 0);
	}
	free(text);
	return 0;
}
