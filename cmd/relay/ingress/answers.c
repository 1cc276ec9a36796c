/* SPDX-License-Identifier: ISC */
/* answers - what the relay itself answers to a request. */
#include "cmd/relay/ingress/answers.h"

#include <stdio.h>
#include <string.h>

#include "cmd/relay/ingress/pages.h"
#include "cmd/relay/relay.h"
#include "lib/net/filter.h"

/* Texts are our own and short. */
#define BODY_MAX 1024

static bool
wants_json(const struct http_head *h)
{
	const char *accept = h != NULL ? http_header(h, "Accept") : NULL;

	/* A browser takes anything, text first. */
	return accept != NULL && strcasestr(accept, "application/json") != NULL &&
	       strcasestr(accept, "text/html") == NULL;
}

/* What the answer is in. */
struct body {
	const char *type, *text;
	size_t len;
	char own[BODY_MAX];
};

/* The words need no escaping: texts are our own, and an id has no quotes. */
static void
make_body(struct body *b, const struct answer *a, const struct http_head *h, const struct pages *p)
{
	bool json = wants_json(h);

	if (a->body != NULL) {
		*b = (struct body){
			.type = "application/octet-stream", .text = a->body, .len = a->len
		};
		return;
	}
	b->type = "text/html; charset=utf-8";
	b->text = json ? NULL : pages_find(p, a->status, &b->len);
	if (b->text != NULL)
		return;
	b->type = json ? "application/json" : "text/plain; charset=utf-8";
	if (json)
		snprintf(b->own, BODY_MAX,
		    "{\"status\":%d,\"error\":\"%s\",\"request_id\":\"%s\"}\n", a->status, a->text,
		    a->request_id);
	else
		snprintf(
		    b->own, BODY_MAX, "%d %s: %s\n", a->status, http_reason_of(a->status), a->text);
	b->text = b->own;
	b->len = strlen(b->own);
}

static void
add_location(struct http_build *b, const struct answer *a)
{
	char port[8] = "";

	if (a->port != 0)
		snprintf(port, sizeof port, ":%u", a->port);
	http_build_name(b, "Location");
	http_build_piece(b, "https://");
	http_build_piece(b, a->host);
	http_build_piece(b, port);
	http_build_piece(b, a->target);
	http_build_line(b);
}

static void
add_fields(
    struct http_build *b, const struct answer *a, const struct http_head *h, const struct body *y)
{
	http_build_header(b, "Content-Type", y->type);
	http_build_headerf(b, "Content-Length", "%zu", y->len);
	http_build_header(b, "Cache-Control", "no-store");
	if (a->status == 308)
		add_location(b, a);
	if (a->request_id[0] != '\0')
		http_build_header(b, "X-Request-Id", a->request_id);
	/* RFC 6585 4, RFC 9110 15.6.4 */
	if (a->status == 429 || a->status == 503)
		http_build_headerf(b, "Retry-After", "%d", HTTP_RETRY_AFTER_S);
	/* RFC 9110 11.6.1 */
	if (a->status == 401)
		http_build_header(
		    b, "WWW-Authenticate", "Basic realm=\"tunnel\", charset=\"UTF-8\"");
	if (!a->keep)
		http_build_header(b, "Connection", "close");
	else if (h != NULL && http_minor(h) == 0)
		http_build_header(b, "Connection", "keep-alive");
}

int
answer_build(
    struct bufq *out, const struct answer *a, const struct http_head *h, const struct pages *p)
{
	struct http_build b;
	struct body y;
	int r;

	if (h != NULL && !http_head_is_done(h))
		h = NULL;
	make_body(&y, a, h, p);
	http_build_status(&b, a->status, NULL);
	add_fields(&b, a, h, &y);
	if ((r = http_build_end(&b)) != 0 || (r = bufq_copy(out, b.s, b.len)) != 0)
		return r;
	/* RFC 9110 9.3.2 */
	if (h != NULL && strcmp(http_method(h), "HEAD") == 0)
		return 0;
	return bufq_copy(out, y.text, y.len);
}

int
answer_send(struct relay *r, struct filter *f, const struct answer *a, const struct http_head *h)
{
	struct pages *p = relay_pages(r);
	struct bufq out = { 0 };
	int rc = answer_build(&out, a, h, p);

	if (rc == 0)
		rc = filter_write(f, &out);
	bufq_fini(&out);
	pages_unref(p);
	if (rc == 0)
		filter_flush(f);
	return rc;
}
