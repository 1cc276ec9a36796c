/* SPDX-License-Identifier: ISC */
/*
 * http - parsing HTTP/1.1 heads with llhttp.
 *
 * A head is collected first, each byte looked at once, and then parsed by one call of llhttp: so
 * the end of the head is found by one rule that is a few lines long, and names and values are
 * pieces of one buffer.  What llhttp's versions differ in, or let pass (bare LF, space in names,
 * two Content-Length of the same value), is refused here.
 */
#include "lib/http/http.h"

#include <llhttp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"

enum {
	/* first room for a head; most fit */
	TEXT_MIN = 1024,
	NONE = -1
};

/* Pieces of the text: so a head is small enough for malloc's fastest lists. */
struct piece {
	uint16_t at, len;
};

_Static_assert(HTTP_HEAD_MAX <= UINT16_MAX, "a place in a head fits");

struct line {
	struct piece name, value;
};

struct http_head {
	enum http_kind kind;
	bool done;
	int refusal;

	/* Collecting. */
	/* the head so far; later cut into strings */
	char *text;
	size_t len, cap;
	/* bytes of the current line */
	size_t line_len;
	/* a line that is not empty has been seen */
	bool started;
	/* the last byte was CR */
	bool cr;
	/* of a response: bytes of its beginning that were right */
	size_t begun;

	/* The result: pieces of text. */
	const char *method;
	struct piece target, reason;
	int status, minor;
	bool length_given, chunked;
	uint64_t content_length;
	/* those that are complete */
	size_t n_lines;
	bool too_many;
	/* Last, since those behind n_lines are not set. */
	struct line lines[HTTP_HEADERS_MAX];
};

static void
begin(struct http_head *h, enum http_kind kind)
{
	memset(h, 0, offsetof(struct http_head, lines));
	h->lines[0] = (struct line){ 0 };
	h->kind = kind;
}

struct http_head *
http_head_new(enum http_kind kind)
{
	struct http_head *h = mem_alloc(sizeof *h);

	if (h != NULL)
		begin(h, kind);
	return h;
}

void
http_head_free(struct http_head *h)
{
	if (h == NULL)
		return;
	/* A head may hold an Authorization. */
	if (h->text != NULL)
		mem_wipe(h->text, h->len);
	mem_free(h->text);
	mem_free(h);
}

void
http_head_reset(struct http_head *h)
{
	char *text = h->text;
	size_t cap = h->cap;

	if (text != NULL)
		mem_wipe(text, h->len);
	begin(h, h->kind);
	h->text = text;
	h->cap = cap;
}

static int
refuse(struct http_head *h, struct errtext *e, int status, int code, const char *why)
{
	h->refusal = status;
	return err_set(e, code, "malformed HTTP %s: %s",
	    h->kind == HTTP_HEAD_REQUEST ? "request" : "response", why);
}

int
http_refusal(const struct http_head *h)
{
	return h->refusal != 0 ? h->refusal : 400;
}

/* ---- characters ---- */

bool
http_is_tchar(unsigned char c)
{
	/* One bit for each: !#$%&'*+-. 0-9, A-Z ^_, `a-z |~ */
	static const uint32_t set[8] = { 0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff };

	return (set[c / 32] >> c % 32 & 1) != 0;
}

static bool
is_token(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!http_is_tchar((unsigned char)s[i]))
			return false;
	return n > 0;
}

bool
http_is_token(const char *s)
{
	return is_token(s, strlen(s));
}

/* How many bytes in front are no control characters; eight are looked at together. */
static size_t
plain_bytes(const void *bytes, size_t n)
{
	static const uint64_t ones = UINT64_MAX / 255;
	const uint8_t *p = bytes;
	size_t i = 0;

	for (; n - i >= sizeof ones; i += sizeof ones) {
		uint64_t w, low, del;

		memcpy(&w, p + i, sizeof w);
		/* A byte's top bit is set if it is below ' ', or DEL; maybe others behind it. */
		low = (w - ones * ' ') & ~w;
		del = ((w ^ ones * 0x7f) - ones) & ~(w ^ ones * 0x7f);
		if (((low | del) & ones * 0x80) != 0)
			break;
	}
	while (i < n && p[i] >= ' ' && p[i] != 0x7f)
		i++;
	return i;
}

bool
http_is_value(const char *s)
{
	size_t n = strlen(s), i = 0;

	while ((i += plain_bytes(s + i, n - i)) < n)
		if (s[i++] != '\t')
			return false;
	return true;
}

/* Printable ASCII without space: all that a request target may consist of (RFC 9112 3.2). */
static bool
is_target(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7f)
			return false;
	return n > 0;
}

/* ---- collecting ---- */

static int
grow(struct http_head *h, struct errtext *e)
{
	size_t cap = h->cap == 0 ? TEXT_MIN : h->cap * 2;
	char *text;

	if (h->len < h->cap)
		return 0;
	if (h->len >= HTTP_HEAD_MAX)
		return refuse(h, e, 431, ERR_LIMIT, "the head is too large");
	/* No realloc, which would leave copies of an Authorization behind. */
	text = mem_alloc(cap);
	if (text == NULL)
		return refuse(h, e, 500, ERR_NOMEM, "out of memory");
	if (h->text != NULL) {
		memcpy(text, h->text, h->len);
		mem_wipe(h->text, h->len);
		mem_free(h->text);
	}
	h->text = text;
	h->cap = cap;
	return 0;
}

static const char response_begin[] = "HTTP/";

/*
 * RFC 9112 4: a response begins with its version.  Whoever says something else first, such as SSH
 * and mail servers, need not be waited for.
 */
static bool
begins_wrong(struct http_head *h, unsigned char c)
{
	if (h->kind != HTTP_HEAD_RESPONSE || h->begun == sizeof response_begin - 1 ||
	    (!h->started && (c == '\r' || c == '\n')))
		return false;
	return c != (unsigned char)response_begin[h->begun++];
}

/* Take one byte; *end is set with the LF of the empty line.  Returns 0 or what is wrong with it. */
static const char *
collect(struct http_head *h, unsigned char c, bool *end)
{
	/*
	 * RFC 9112 2.2: a bare CR is invalid; a bare LF need not be taken for a line's end, and is
	 * not.
	 */
	if (h->cr != (c == '\n'))
		return h->cr ? "a carriage return without line feed"
			     : "a line feed without carriage return";
	if ((c < 0x20 && c != '\r' && c != '\n' && c != '\t') || c == 0x7f)
		return "a control character";
	/* RFC 9112 5.2: folded lines. */
	if (h->line_len == 0 && (c == ' ' || c == '\t'))
		return "a line that begins with space";
	if (begins_wrong(h, c))
		return "it does not begin with HTTP/";
	h->text[h->len++] = (char)c;
	h->cr = c == '\r';
	if (c == '\n') {
		/* RFC 9112 2.2: empty lines before a request are passed over. */
		*end = h->started && h->line_len == 1;
		h->line_len = 0;
	} else {
		h->line_len++;
		h->started = h->started || c != '\r';
	}
	return NULL;
}

/*
 * What most of a head consists of, and collect() would take: the rest of a line, with its end if
 * that is there.  There is room for one byte at least.
 */
static size_t
collect_line(struct http_head *h, const uint8_t *p, size_t n)
{
	size_t room = h->cap - h->len, k;

	if (h->cr || !h->started || (h->line_len == 0 && *p == ' ') ||
	    (h->kind == HTTP_HEAD_RESPONSE && h->begun < sizeof response_begin - 1))
		return 0;
	n = n < room ? n : room;
	k = plain_bytes(p, n);
	h->line_len += k;
	if (h->line_len > 0 && n - k >= 2 && p[k] == '\r' && p[k + 1] == '\n') {
		k += 2;
		h->line_len = 0;
	}
	memcpy(h->text + h->len, p, k);
	h->len += k;
	return k;
}

/* ---- llhttp's callbacks: note where the pieces are ---- */

/* A piece told in parts: the parts are neighbours, as all of the head is in one buffer. */
static void
note(const struct http_head *h, struct piece *piece, const char *at, size_t n)
{
	if (piece->len == 0)
		piece->at = (uint16_t)(at - h->text);
	piece->len = (uint16_t)(at + n - h->text - piece->at);
}

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	struct http_head *h = p->data;

	note(h, &h->target, at, n);
	return 0;
}

static int
on_status(llhttp_t *p, const char *at, size_t n)
{
	struct http_head *h = p->data;

	note(h, &h->reason, at, n);
	return 0;
}

static int
on_field(llhttp_t *p, const char *at, size_t n)
{
	struct http_head *h = p->data;

	if (h->n_lines == HTTP_HEADERS_MAX) {
		h->too_many = true;
		return -1;
	}
	note(h, &h->lines[h->n_lines].name, at, n);
	return 0;
}

/* Only after a name, for which there was room. */
static int
on_value(llhttp_t *p, const char *at, size_t n)
{
	struct http_head *h = p->data;

	note(h, &h->lines[h->n_lines].value, at, n);
	return 0;
}

static int
on_value_complete(llhttp_t *p)
{
	struct http_head *h = p->data;

	if (++h->n_lines < HTTP_HEADERS_MAX)
		h->lines[h->n_lines] = (struct line){ 0 };
	return 0;
}

static int
on_headers_complete(llhttp_t *p)
{
	(void)p;
	return HPE_PAUSED;
}

/* ---- the finished head ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Where llhttp places an empty one there may be another. */
static void
end_piece(struct http_head *h, const struct piece *piece)
{
	if (piece->len > 0)
		h->text[piece->at + piece->len] = 0;
}

static const char *
piece_text(const struct http_head *h, const struct piece *piece)
{
	return piece->len > 0 ? h->text + piece->at : "";
}

/* Cut the noted pieces into strings.  Behind each stands a byte that is no part of another. */
static const char *
cut(struct http_head *h)
{
	if (h->kind == HTTP_HEAD_REQUEST && h->target.len == 0)
		return "a request without a target";
	end_piece(h, &h->target);
	end_piece(h, &h->reason);
	for (size_t i = 0; i < h->n_lines; i++) {
		struct piece name = h->lines[i].name, *value = &h->lines[i].value;

		/*
		 * RFC 9112 5.1: no space before the colon, and so no other byte that is no tchar.
		 */
		if (!is_token(h->text + name.at, name.len))
			return "a header name that is no token";
		h->text[name.at + name.len] = 0;
		while (value->len > 0 && is_blank(h->text[value->at + value->len - 1]))
			value->len--;
		end_piece(h, value);
	}
	return NULL;
}

/*
 * A non-negative decimal number of digits alone (RFC 9110 8.6), and not a list of them.  What
 * others may not be able to count is none.
 */
static bool
parse_length(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == 0)
		return false;
	for (; *s != 0; s++) {
		if (*s < '0' || *s > '9' || v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*out = v;
	return true;
}

/* The rules that concern several lines at once.  Returns NULL or what is wrong. */
static const char *
check_framing(struct http_head *h)
{
	size_t n_host = http_header_count(h, "host");
	size_t n_length = http_header_count(h, "content-length");
	const char *coding = http_header(h, "transfer-encoding");

	if (n_host > 1)
		return "more than one Host";
	/* RFC 9112 3.2 */
	if (h->kind == HTTP_HEAD_REQUEST && n_host == 0 && h->minor == 1)
		return "no Host";
	if (n_length > 1)
		return "more than one Content-Length";
	if (n_length == 1 && coding != NULL)
		return "Content-Length beside Transfer-Encoding";
	if (n_length == 1 && !parse_length(http_header(h, "content-length"), &h->content_length))
		return "a Content-Length that is no number";
	h->length_given = n_length == 1;
	if (coding != NULL) {
		/* RFC 9112 6.1: HTTP/1.0 knows none, and chunked is the only one spoken here. */
		if (h->minor == 0 || http_header_count(h, "transfer-encoding") > 1 ||
		    strcasecmp(coding, "chunked") != 0)
			return "an unknown Transfer-Encoding";
		h->chunked = true;
	}
	return NULL;
}

/* ---- the first line, in which llhttp lets pass what is no HTTP/1.x ---- */

/* The methods of HTTP that llhttp knows; it knows those of RTSP, too. */
static bool
is_known_method(const char *s, size_t n)
{
#define NAME(num, name, string) #string,
	static const char *const known[] = { HTTP_METHOD_MAP(NAME) };
#undef NAME

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strlen(known[i]) == n && memcmp(known[i], s, n) == 0)
			return true;
	return false;
}

/* "HTTP/1.0" or "HTTP/1.1" (RFC 9112 2.3).  Returns 0, or the status that refuses it. */
static int
check_version(const char *s, size_t n)
{
	if (n != 8 || memcmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9' || s[6] != '.' ||
	    s[7] < '0' || s[7] > '9')
		return 400;
	return s[5] == '1' && s[7] <= '1' ? 0 : 505;
}

/* RFC 9112 3: method SP target SP version. */
static int
check_request_line(struct http_head *h, const char *s, size_t n, struct errtext *e)
{
	const char *target = memchr(s, ' ', n), *version;
	size_t method_len = target == NULL ? n : (size_t)(target - s), target_len;
	int status;

	if (target == NULL || !is_token(s, method_len))
		return refuse(h, e, 400, ERR_PROTO, "no request line");
	target++;
	version = memchr(target, ' ', n - method_len - 1);
	target_len = version == NULL ? n - method_len - 1 : (size_t)(version - target);
	if (!is_target(target, target_len))
		return refuse(h, e, 400, ERR_PROTO, "a request target with forbidden characters");
	/* HTTP/0.9 */
	if (version == NULL)
		return refuse(h, e, 505, ERR_PROTO, "a request line without a version");
	version++;
	status = check_version(version, n - (size_t)(version - s));
	if (status == 505)
		return refuse(h, e, 505, ERR_PROTO, "an unknown HTTP version");
	if (status != 0)
		return refuse(h, e, status, ERR_PROTO, "a request line without an HTTP version");
	if (!is_known_method(s, method_len))
		return refuse(h, e, 501, ERR_PROTO, "an unknown method");
	return 0;
}

/* RFC 9112 4: version SP status [SP reason]; the space before no reason is often left out. */
static int
check_status_line(struct http_head *h, const char *s, size_t n, struct errtext *e)
{
	if (n < 12 || check_version(s, 8) != 0 || s[8] != ' ')
		return refuse(h, e, 505, ERR_PROTO, "an unknown HTTP version");
	for (size_t i = 9; i < 12; i++)
		if (s[i] < (i == 9 ? '1' : '0') || s[i] > '9')
			return refuse(h, e, 400, ERR_PROTO, "a status that is not of three digits");
	if (n > 12 && s[12] != ' ')
		return refuse(h, e, 400, ERR_PROTO, "a status that is not of three digits");
	return 0;
}

static int
check_first_line(struct http_head *h, struct errtext *e)
{
	const char *s = h->text, *end;

	/* Each CR has its LF, and some line is not empty. */
	while (*s == '\r')
		s += 2;
	end = memchr(s, '\r', h->len - (size_t)(s - h->text));
	return h->kind == HTTP_HEAD_REQUEST ? check_request_line(h, s, (size_t)(end - s), e)
					    : check_status_line(h, s, (size_t)(end - s), e);
}

/* Why llhttp stopped before the end of the headers. */
static int
refuse_parsed(struct http_head *h, const llhttp_t *p, llhttp_errno_t r, struct errtext *e)
{
	if (h->too_many)
		return refuse(h, e, 431, ERR_LIMIT, "too many headers");
	return refuse(h, e, 400, ERR_PROTO,
	    r == HPE_OK || p->reason == NULL || p->reason[0] == 0 ? "no proper end" : p->reason);
}

static int
parse(struct http_head *h, struct errtext *e)
{
	llhttp_settings_t settings;
	llhttp_t p;
	llhttp_errno_t r;
	const char *why;
	int refused = check_first_line(h, e);

	if (refused != 0)
		return refused;
	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_status = on_status;
	settings.on_header_field = on_field;
	settings.on_header_value = on_value;
	settings.on_header_value_complete = on_value_complete;
	settings.on_headers_complete = on_headers_complete;
	llhttp_init(&p, h->kind == HTTP_HEAD_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	p.data = h;
	r = llhttp_execute(&p, h->text, h->len);
	if (r != HPE_PAUSED)
		return refuse_parsed(h, &p, r, e);
	h->minor = p.http_minor;
	if (h->kind == HTTP_HEAD_REQUEST)
		h->method = llhttp_method_name((llhttp_method_t)p.method);
	else
		h->status = p.status_code;
	if ((why = cut(h)) != NULL || (why = check_framing(h)) != NULL)
		return refuse(h, e, 400, ERR_PROTO, why);
	h->done = true;
	return 0;
}

ssize_t
http_head_feed(struct http_head *h, const void *bytes, size_t n, struct errtext *e)
{
	const uint8_t *p = bytes;
	bool end = false;
	size_t i = 0, more;
	int r;

	if (h->refusal != 0)
		return err_set(e, ERR_PROTO, "the HTTP head was refused before");
	if (h->done)
		return 0;
	while (i < n && !end) {
		const char *why;

		if ((r = grow(h, e)) != 0)
			return r;
		if ((more = collect_line(h, p + i, n - i)) > 0) {
			i += more;
			continue;
		}
		if ((why = collect(h, p[i++], &end)) != NULL)
			return refuse(h, e, 400, ERR_PROTO, why);
	}
	if (end && (r = parse(h, e)) != 0)
		return r;
	return (ssize_t)i;
}

int
http_head_take(struct http_head *h, struct bufq *q, struct errtext *e)
{
	while (q->len > 0 && !h->done) {
		size_t n;
		const uint8_t *p = bufq_front(q, &n);
		ssize_t r = http_head_feed(h, p, n, e);

		if (r < 0)
			return (int)r;
		bufq_drain(q, (size_t)r);
	}
	return 0;
}

/* ---- questions ---- */

bool
http_head_is_done(const struct http_head *h)
{
	return h->done;
}

const char *
http_method(const struct http_head *h)
{
	return h->method;
}

const char *
http_target(const struct http_head *h)
{
	return piece_text(h, &h->target);
}

int
http_status(const struct http_head *h)
{
	return h->status;
}

const char *
http_reason(const struct http_head *h)
{
	return piece_text(h, &h->reason);
}

int
http_minor(const struct http_head *h)
{
	return h->minor;
}

/* The index of the first line of that name at or behind i, or NONE. */
static ssize_t
find(const struct http_head *h, const char *name, size_t i)
{
	size_t len = strlen(name);

	for (; i < h->n_lines; i++)
		if (h->lines[i].name.len == len &&
		    strcasecmp(piece_text(h, &h->lines[i].name), name) == 0)
			return (ssize_t)i;
	return NONE;
}

const char *
http_header(const struct http_head *h, const char *name)
{
	ssize_t i = find(h, name, 0);

	return i == NONE ? NULL : piece_text(h, &h->lines[i].value);
}

size_t
http_header_count(const struct http_head *h, const char *name)
{
	size_t n = 0;

	for (ssize_t i = find(h, name, 0); i != NONE; i = find(h, name, (size_t)i + 1))
		n++;
	return n;
}

bool
http_header_at(const struct http_head *h, size_t i, const char **name, const char **value)
{
	if (i >= h->n_lines)
		return false;
	*name = piece_text(h, &h->lines[i].name);
	*value = piece_text(h, &h->lines[i].value);
	return true;
}

bool
http_list_has(const char *list, const char *token)
{
	size_t len = strlen(token);

	while (*list != 0) {
		size_t n;

		list += strspn(list, " \t,");
		n = strcspn(list, ",");
		while (n > 0 && (list[n - 1] == ' ' || list[n - 1] == '\t'))
			n--;
		if (n == len && n > 0 && strncasecmp(list, token, n) == 0)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

/*
 * The comma behind a member, or the end of the list; a comma within quotes is part of the member.
 */
static const char *
member_end(const char *s)
{
	bool quoted = false;

	for (; *s != '\0' && (quoted || *s != ','); s++) {
		if (quoted && *s == '\\' && s[1] != '\0')
			s++;
		else if (*s == '"')
			quoted = !quoted;
	}
	return s;
}

const char *
http_next_scheme(const char **list, size_t *n)
{
	const char *s = *list;

	for (;;) {
		size_t len = 0;

		s += strspn(s, " \t,");
		if (*s == '\0')
			break;
		while (http_is_tchar((unsigned char)s[len]))
			len++;
		*list = member_end(s);
		/* With "=" behind it it is a parameter of the scheme before. */
		if (len > 0 && s[len + strspn(s + len, " \t")] != '=') {
			*n = len;
			return s;
		}
		s = *list;
	}
	return NULL;
}

bool
http_has_token(const struct http_head *h, const char *name, const char *token)
{
	for (ssize_t i = find(h, name, 0); i != NONE; i = find(h, name, (size_t)i + 1))
		if (http_list_has(piece_text(h, &h->lines[i].value), token))
			return true;
	return false;
}

enum http_body
http_body(const struct http_head *h)
{
	if (h->kind == HTTP_HEAD_RESPONSE &&
	    (h->status < 200 || h->status == 204 || h->status == 304))
		return HTTP_BODY_NONE;
	if (h->chunked)
		return HTTP_BODY_CHUNKED;
	if (h->length_given)
		return HTTP_BODY_LENGTH;
	return h->kind == HTTP_HEAD_REQUEST ? HTTP_BODY_NONE : HTTP_BODY_CLOSE;
}

uint64_t
http_content_length(const struct http_head *h)
{
	return h->content_length;
}
