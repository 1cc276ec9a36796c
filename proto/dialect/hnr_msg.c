/* SPDX-License-Identifier: ISC */
/* hnr_msg - messages of http-network-relay; the members of each kind stand in one table. */
#include "proto/dialect/hnr_msg.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/conf/jobj.h"
#include "lib/net/b64q.h"

enum { MEMBERS_MAX = 6, KIND_SHOWN = 48 };

/* ---- the table ---- */

enum member {
	NO_MEMBER,
	ID,
	DATA,
	NAME,
	LAST_ERROR,
	AGENT,
	SECRET,
	HOST,
	PORT,
	PROTOCOL,
	MESSAGE,
};

/* Its word, and where a text stands in struct hnr_msg. */
static const struct {
	const char *word;
	size_t text;
} members[] = {
	[ID] = { "connection_id", 0 },
	[DATA] = { "data_base64", 0 },
	[NAME] = { "name", offsetof(struct hnr_msg, name) },
	[LAST_ERROR] = { "last_error", offsetof(struct hnr_msg, last_error) },
	[AGENT] = { "connection_target", offsetof(struct hnr_msg, agent) },
	[SECRET] = { "secret", offsetof(struct hnr_msg, secret) },
	[HOST] = { "target_ip", offsetof(struct hnr_msg, host) },
	[PORT] = { "target_port", 0 },
	[PROTOCOL] = { "protocol", offsetof(struct hnr_msg, protocol) },
	[MESSAGE] = { "message", offsetof(struct hnr_msg, message) },
};

/* Members in the reference's order; NO_MEMBER ends them. */
struct row {
	enum hnr_way way;
	enum hnr_kind kind;
	const char *word;
	enum member members[MEMBERS_MAX];
};

static const struct row rows[] = {
	{ HNR_FROM_AGENT, HNR_START, "start", { LAST_ERROR, NAME, SECRET } },
	{ HNR_FROM_AGENT, HNR_INITIATE_OK, "initiate_connection_ok", { ID } },
	{ HNR_FROM_AGENT, HNR_INITIATE_ERROR, "initiate_connection_error", { MESSAGE, ID } },
	{ HNR_FROM_AGENT, HNR_DATA, "tcp_data", { ID, DATA } },
	{ HNR_FROM_AGENT, HNR_RESET, "connection_reset", { MESSAGE, ID } },
	{ HNR_FROM_AGENT, HNR_KEEP_ALIVE, "keep_alive", { NO_MEMBER } },
	{ HNR_TO_AGENT, HNR_INITIATE, "initiate_connection", { HOST, PORT, PROTOCOL, ID } },
	{ HNR_TO_AGENT, HNR_DATA, "tcp_data", { ID, DATA } },
	{ HNR_TO_AGENT, HNR_CLOSE, "connection_close", { MESSAGE, ID } },
	{ HNR_TO_AGENT, HNR_KEEP_ALIVE, "keep_alive", { NO_MEMBER } },
	{ HNR_FROM_CLIENT, HNR_START, "start", { AGENT, HOST, PORT, PROTOCOL, SECRET } },
	{ HNR_FROM_CLIENT, HNR_DATA, "tcp_data", { DATA } },
	{ HNR_TO_CLIENT, HNR_START_OK, "start_ok", { NO_MEMBER } },
	{ HNR_TO_CLIENT, HNR_ERROR, "error", { MESSAGE } },
	{ HNR_TO_CLIENT, HNR_DATA, "tcp_data", { DATA } },
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const struct row *
row_of_word(enum hnr_way way, const char *word)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].way == way && strcmp(rows[i].word, word) == 0)
			return &rows[i];
	return NULL;
}

static const struct row *
row_of_kind(enum hnr_way way, enum hnr_kind kind)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].way == way && rows[i].kind == kind)
			return &rows[i];
	return NULL;
}

static const char **
text_at(struct hnr_msg *m, enum member x)
{
	return (const char **)((char *)m + members[x].text);
}

static bool
way_has_ids(enum hnr_way way)
{
	return way == HNR_FROM_AGENT || way == HNR_TO_AGENT;
}

/* ---- the exact spelling of tcp_data ---- */

#define BEGIN "{\"inner\":{\"kind\":\"tcp_data\","
#define WITH_ID BEGIN "\"connection_id\":\""
#define TO_DATA "\"data_base64\":\""
#define END "\"}}"

enum { HEAD_MAX = sizeof WITH_ID + HNR_ID_MAX + sizeof "\"," TO_DATA };

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-';
}

bool
hnr_id_is_plain(const char *id)
{
	size_t n = 0;

	while (n <= HNR_ID_MAX && is_plain(id[n]))
		n++;
	return n > 0 && n <= HNR_ID_MAX && id[n] == '\0';
}

/* Where of the n characters at p the word is, what follows it; NULL: not there. */
static const char *
behind(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

/* The n first characters of a message, up to its payload; NULL: they are spelled otherwise. */
static const char *
match_head(struct hnr_msg *m, bool ids, const char *p, const char *end)
{
	size_t n = 0;

	p = behind(p, end, ids ? WITH_ID : BEGIN);
	if (p != NULL && ids) {
		while (n <= HNR_ID_MAX && p + n < end && is_plain(p[n]))
			n++;
		if (n == 0 || n > HNR_ID_MAX)
			return NULL;
		memcpy(m->id, p, n);
		m->id[n] = '\0';
		p = behind(p + n, end, "\",");
	}
	return p != NULL ? behind(p, end, TO_DATA) : NULL;
}

/* ERR_INVALID: it is for the strict parser. */
static int
read_exact(struct hnr_msg *m, enum hnr_way way, const struct bufq *in)
{
	char head[HEAD_MAX], tail[sizeof END - 1];
	size_t n = bufq_read(in, 0, head, sizeof head), off;
	const char *p = match_head(m, way_has_ids(way), head, head + n);

	if (p == NULL)
		return ERR_INVALID;
	off = (size_t)(p - head);
	if (in->len - off < sizeof tail ||
	    bufq_read(in, in->len - sizeof tail, tail, sizeof tail) != sizeof tail ||
	    memcmp(tail, END, sizeof tail) != 0)
		return ERR_INVALID;
	m->kind = HNR_DATA;
	return b64q_decode(&m->data, in, off, in->len - off - sizeof tail);
}

int
hnr_data_write(struct bufq *out, const char *id, struct bufq *src, size_t n)
{
	char head[HEAD_MAX];
	int len = id != NULL ? snprintf(head, sizeof head, "%s%s\",%s", WITH_ID, id, TO_DATA)
			     : snprintf(head, sizeof head, "%s%s", BEGIN, TO_DATA);
	struct block *b;
	int r;

	assert(n <= HNR_DATA_MAX && (id == NULL || hnr_id_is_plain(id)));
	b = block_new((size_t)len + B64_ENC_LEN(n) + sizeof END - 1);
	if (b == NULL)
		return ERR_NOMEM;
	memcpy(b->data, head, (size_t)len);
	b->fill = (uint32_t)len;
	b64q_encode(b, src, n);
	memcpy(b->data + b->fill, END, sizeof END - 1);
	b->fill += (uint32_t)sizeof END - 1;
	r = bufq_append(out, b, b->data, b->fill);
	block_unref(b);
	if (r == 0)
		bufq_drain(src, n);
	return r;
}

/* ---- any spelling ---- */

static int
read_id(struct hnr_msg *m, const struct jobj *o, struct errtext *why)
{
	const char *s = NULL;
	int r = jobj_str(o, members[ID].word, &s, why);

	if (r != 0)
		return r;
	if (strlen(s) > HNR_ID_MAX)
		return err_set(
		    why, ERR_PROTO, "\"%s\" is longer than %d bytes", members[ID].word, HNR_ID_MAX);
	memcpy(m->id, s, strlen(s) + 1);
	return 0;
}

static int
read_data(struct hnr_msg *m, const struct jobj *o, struct errtext *why)
{
	struct bufq text = { 0 };
	const char *s = NULL;
	int r = jobj_str(o, members[DATA].word, &s, why);

	if (r == 0)
		r = bufq_copy(&text, s, strlen(s));
	if (r == 0)
		r = b64q_decode(&m->data, &text, 0, text.len);
	if (r == ERR_INVALID && s != NULL)
		r = err_set(why, ERR_PROTO, "\"%s\" is no base64", members[DATA].word);
	bufq_fini(&text);
	return r;
}

static int
read_member(struct hnr_msg *m, enum member x, const struct jobj *o, struct errtext *why)
{
	int r;

	switch (x) {
	case ID:
		return read_id(m, o, why);
	case DATA:
		return read_data(m, o, why);
	case PORT:
		return jobj_int(o, members[x].word, INT64_MIN, INT64_MAX, &m->port, why);
	case LAST_ERROR:
		/* null, and older agents do not say it. */
		r = jobj_str(o, members[x].word, text_at(m, x), why);
		return r == ERR_NOTFOUND ? 0 : r;
	default:
		return jobj_str(o, members[x].word, text_at(m, x), why);
	}
}

static int
read_inner(struct hnr_msg *m, enum hnr_way way, const struct jobj *o, struct errtext *why)
{
	char shown[KIND_SHOWN];
	const struct row *row;
	const char *word = NULL;
	int r = jobj_str(o, "kind", &word, why);

	if (r != 0)
		return r;
	row = row_of_word(way, word);
	if (row == NULL)
		return err_set(why, ERR_PROTO, "unknown \"kind\": %s",
		    str_escape(shown, sizeof shown, word, strlen(word)));
	m->kind = row->kind;
	for (size_t i = 0; i < MEMBERS_MAX && row->members[i] != NO_MEMBER && r == 0; i++)
		r = read_member(m, row->members[i], o, why);
	return r;
}

static int
read_strictly(struct hnr_msg *m, enum hnr_way way, const struct bufq *in, struct errtext *why)
{
	const struct jobj *inner = NULL;
	char *text;
	int r;

	if (in->len > HNR_MESSAGE_MAX)
		return err_set(why, ERR_PROTO, "a message of more than %d bytes", HNR_MESSAGE_MAX);
	text = mem_alloc(in->len);
	if (text == NULL)
		return ERR_NOMEM;
	r = jobj_parse(text, bufq_read(in, 0, text, in->len), in->len, &m->raw, why);
	/* It may hold a secret. */
	mem_wipe(text, in->len);
	mem_free(text);
	if (r == 0)
		r = jobj_obj(m->raw, "inner", &inner, why);
	if (r == 0)
		r = read_inner(m, way, inner, why);
	return r == 0 || r == ERR_NOMEM ? r : ERR_PROTO;
}

int
hnr_msg_read(struct hnr_msg *m, enum hnr_way way, const struct bufq *in, struct errtext *why)
{
	int r;

	*m = (struct hnr_msg){ 0 };
	r = read_exact(m, way, in);
	if (r == ERR_INVALID) {
		*m = (struct hnr_msg){ 0 };
		r = read_strictly(m, way, in, why);
	}
	if (r == ERR_NOMEM)
		err_set(why, r, "out of memory");
	if (r != 0)
		hnr_msg_fini(m);
	return r;
}

void
hnr_msg_fini(struct hnr_msg *m)
{
	bufq_fini(&m->data);
	/* jobj wipes what it frees. */
	jobj_free(m->raw);
	*m = (struct hnr_msg){ 0 };
}

/* ---- writing ---- */

static int
write_member(struct jobj *o, enum member x, const struct hnr_msg *m)
{
	const char *s;

	switch (x) {
	case ID:
		return jobj_set_str(o, members[x].word, m->id);
	case PORT:
		return jobj_set_int(o, members[x].word, m->port);
	case LAST_ERROR:
		return m->last_error != NULL ? jobj_set_str(o, members[x].word, m->last_error)
					     : jobj_set_null(o, members[x].word);
	default:
		memcpy(&s, (const char *)m + members[x].text, sizeof s);
		return jobj_set_str(o, members[x].word, s != NULL ? s : "");
	}
}

int
hnr_msg_write(struct bufq *out, enum hnr_way way, const struct hnr_msg *m)
{
	const struct row *row = row_of_kind(way, m->kind);
	struct jobj *o = jobj_new_obj(), *inner = jobj_new_obj();
	char *text = NULL;
	size_t n = 0;
	int r;

	assert(row != NULL && row->kind != HNR_DATA);
	r = jobj_set_str(inner, "kind", row->word);
	for (size_t i = 0; i < MEMBERS_MAX && row->members[i] != NO_MEMBER && r == 0; i++)
		r = write_member(inner, row->members[i], m);
	if (r == 0)
		r = jobj_set_take(o, "inner", inner);
	else
		jobj_free(inner);
	if (r == 0 && (text = jobj_dump(o, &n)) == NULL)
		r = ERR_NOMEM;
	if (r == 0)
		r = bufq_copy(out, text, n);
	if (text != NULL)
		mem_wipe(text, n);
	mem_free(text);
	jobj_free(o);
	return r;
}
