/* SPDX-License-Identifier: ISC */
/* heads - the heads of a request and of its answer, built anew. */
#include "cmd/relay/ingress/heads.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/request_web.h"

/* ---- the request ---- */

static bool
is_removed(const struct request_web *rules, const char *name)
{
	for (size_t i = 0; i < rules->n_remove; i++)
		if (strcasecmp(rules->remove[i].name, name) == 0)
			return true;
	return false;
}

static const char max_forwards[] = "Max-Forwards";

/* What is written anew below, is ours, or is not for this service. */
static bool
drop_field(void *arg, const char *name)
{
	const struct heads_request *q = arg;
	uint64_t hops;

	/* RFC 9110 10.1.1: an expectation of HTTP/1.0 does not count. */
	return fields_is_forwarded(name) || strcasecmp(name, "X-Request-Id") == 0 ||
	       (q->rules->n_users > 0 && strcasecmp(name, "Authorization") == 0) ||
	       (strcasecmp(name, max_forwards) == 0 && fields_hops(q->head, &hops) == 0) ||
	       (http_minor(q->head) == 0 && strcasecmp(name, "Expect") == 0) ||
	       is_removed(q->rules, name);
}

static const char *
host_for(const struct heads_request *q)
{
	const char *host = http_header(q->head, "Host");

	if (q->rules->host[0] != '\0')
		return q->rules->host;
	return host != NULL && host[0] != '\0' ? host : q->site->host;
}

void
heads_request(struct http_build *b, const struct heads_request *q)
{
	uint64_t hops;

	http_build_request(b, http_method(q->head), q->site->target);
	http_build_header(b, "Host", host_for(q));
	fields_pass(b, q->head, drop_field, (void *)(uintptr_t)q);
	fields_forwarded(b, q->head, q->origin);
	http_build_header(b, "X-Request-Id", q->request_id);
	/* RFC 9110 7.6.2 */
	if (fields_hops(q->head, &hops) == 0 && hops > 0 && !is_removed(q->rules, max_forwards))
		http_build_headerf(b, max_forwards, "%" PRIu64, hops - 1);
	for (size_t i = 0; i < q->rules->n_add; i++)
		http_build_header(b, q->rules->add[i].name, q->rules->add[i].value);
}

static void
add_name(char out[HEADS_UPGRADE_MAX], const char *name, size_t n)
{
	size_t len = strlen(out);

	if (len + n + 3 <= HEADS_UPGRADE_MAX)
		snprintf(out + len, HEADS_UPGRADE_MAX - len, "%s%.*s", len > 0 ? ", " : "", (int)n,
		    name);
}

bool
heads_upgrade(
    const struct http_head *h, const struct request_web *rules, char out[HEADS_UPGRADE_MAX])
{
	char name[HEADS_UPGRADE_MAX];
	const char *at = rules->upgrades;

	out[0] = '\0';
	/* RFC 9110 7.8: HTTP/1.0 cannot ask.  A body would have to be read past first. */
	if (http_minor(h) == 0 || http_body(h) != HTTP_BODY_NONE ||
	    !http_has_token(h, "Connection", "upgrade"))
		return false;
	if (http_has_token(h, "Upgrade", "websocket"))
		add_name(out, "websocket", strlen("websocket"));
	while (*at != '\0') {
		size_t n;

		at += strspn(at, ", ");
		n = strcspn(at, ", ");
		snprintf(name, sizeof name, "%.*s", (int)n, at);
		if (n > 0 && n < sizeof name && http_has_token(h, "Upgrade", name))
			add_name(out, at, n);
		at += n;
	}
	return out[0] != '\0';
}

/* ---- the answer ---- */

enum heads_framing
heads_framing(const struct http_head *h, int minor, bool is_head)
{
	if (is_head || http_status(h) == 204 || http_status(h) == 304)
		return HEADS_NOTHING;
	if (http_body(h) == HTTP_BODY_LENGTH)
		return HEADS_LENGTH;
	return minor == 0 ? HEADS_CLOSE : HEADS_CHUNKED;
}

/* Without a body the head still says what a GET would have got (RFC 9110 9.3.2, 15.4.5). */
static void
add_framing(struct http_build *b, const struct http_head *h, int minor, enum heads_framing framing)
{
	const char *length = http_header(h, "Content-Length");

	if (framing == HEADS_CHUNKED ||
	    (framing == HEADS_NOTHING && minor > 0 && http_status(h) != 204 &&
		http_has_token(h, "Transfer-Encoding", "chunked")))
		http_build_header(b, "Transfer-Encoding", "chunked");
	else if (length != NULL && http_status(h) != 204 &&
		 (framing == HEADS_LENGTH || framing == HEADS_NOTHING))
		http_build_header(b, "Content-Length", length);
}

int
heads_answer(struct http_build *b, const struct http_head *h, int minor, enum heads_framing framing,
    bool keep)
{
	http_build_status(b, http_status(h), http_reason(h));
	fields_pass(b, h, NULL, NULL);
	add_framing(b, h, minor, framing);
	if (!keep)
		http_build_header(b, "Connection", "close");
	else if (minor == 0)
		http_build_header(b, "Connection", "keep-alive");
	return http_build_end(b);
}

int
heads_interim(struct http_build *b, const struct http_head *h)
{
	http_build_status(b, http_status(h), http_reason(h));
	fields_pass(b, h, NULL, NULL);
	return http_build_end(b);
}

int
heads_switch(struct http_build *b, const struct http_head *h)
{
	const char *to = http_header(h, "Upgrade");

	http_build_status(b, http_status(h), http_reason(h));
	fields_pass(b, h, NULL, NULL);
	http_build_header(b, "Connection", "Upgrade");
	http_build_header(b, "Upgrade", to != NULL ? to : "");
	return http_build_end(b);
}
