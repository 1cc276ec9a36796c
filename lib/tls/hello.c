/* SPDX-License-Identifier: ISC */
/*
 * hello - the name in a ClientHello.
 *
 * The message is first gathered out of its records (one copy, on the stack), and read when it is
 * whole.
 */
#include "lib/tls/hello.h"

#include <stdbool.h>
#include <string.h>

enum {
	RECORD_HEADER = 5,
	RECORD_HANDSHAKE = 22,
	RECORD_VERSION_MAJOR = 3,
	/* RFC 8446 5.1 */
	RECORD_BODY_MAX = 1 << 14,
	MESSAGE_HEADER = 4,
	MESSAGE_CLIENT_HELLO = 1,
	RANDOM = 32,
	SESSION_ID_MAX = 32,
	EXTENSION_SERVER_NAME = 0,
	NAME_TYPE_HOST = 0,
	/* Kinds of extensions in one hello; clients send about twenty. */
	EXTENSIONS_MAX = 128,
};

/* What is left to read; bad once something did not fit, and then there is nothing left. */
struct piece {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static const uint8_t *
take(struct piece *s, size_t n)
{
	const uint8_t *p = s->p;

	if (s->bad || n > s->n) {
		*s = (struct piece){ .bad = true };
		return NULL;
	}
	s->p += n;
	s->n -= n;
	return p;
}

/* A number of so many bytes, big-endian; 0 if it is not there. */
static size_t
take_number(struct piece *s, size_t bytes)
{
	const uint8_t *p = take(s, bytes);
	size_t x = 0;

	for (size_t i = 0; p != NULL && i < bytes; i++)
		x = x << 8 | p[i];
	return x;
}

/* A vector: its length in so many bytes, then its content; bad with fewer than min or over max. */
static struct piece
take_vector(struct piece *s, size_t bytes, size_t min, size_t max)
{
	size_t n = take_number(s, bytes);
	struct piece v = { .n = n };

	if (n < min || n > max)
		*s = (struct piece){ .bad = true };
	v.p = take(s, n);
	v.bad = s->bad;
	if (v.bad)
		v.n = 0;
	return v;
}

/* ---- the message ---- */

/* RFC 6066 3: a list of names of different kinds, of which there is one. */
static bool
read_server_name(struct piece ext, char name[HELLO_NAME_MAX + 1])
{
	struct piece list = take_vector(&ext, 2, 1, UINT16_MAX), host;
	size_t type = take_number(&list, 1);

	host = take_vector(&list, 2, 1, HELLO_NAME_MAX);
	if (ext.bad || ext.n > 0 || list.bad || list.n > 0 || host.bad || type != NAME_TYPE_HOST ||
	    memchr(host.p, '\0', host.n) != NULL)
		return false;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	return true;
}

static bool
is_among(const uint16_t *types, size_t n, size_t type)
{
	for (size_t i = 0; i < n; i++)
		if (types[i] == type)
			return true;
	return false;
}

static enum hello
read_extensions(struct piece all, char name[HELLO_NAME_MAX + 1])
{
	uint16_t seen[EXTENSIONS_MAX];
	enum hello found = HELLO_NO_NAME;
	size_t n = 0;

	while (all.n > 0) {
		size_t type = take_number(&all, 2);
		struct piece body = take_vector(&all, 2, 0, UINT16_MAX);

		/* RFC 8446 4.2: none comes twice. */
		if (all.bad || n == EXTENSIONS_MAX || is_among(seen, n, type))
			return HELLO_NOT_TLS;
		seen[n++] = (uint16_t)type;
		if (type != EXTENSION_SERVER_NAME)
			continue;
		if (!read_server_name(body, name))
			return HELLO_NOT_TLS;
		found = HELLO_NAME;
	}
	return found;
}

/* RFC 8446 4.1.2.  Before TLS 1.3 the extensions could be left out, with their length. */
static enum hello
read_message(struct piece m, char name[HELLO_NAME_MAX + 1])
{
	struct piece suites, extensions = { 0 };

	take_number(&m, 2);
	take(&m, RANDOM);
	take_vector(&m, 1, 0, SESSION_ID_MAX);
	suites = take_vector(&m, 2, 2, UINT16_MAX);
	take_vector(&m, 1, 1, UINT8_MAX);
	if (m.n > 0)
		extensions = take_vector(&m, 2, 0, UINT16_MAX);
	if (m.bad || m.n > 0 || suites.n % 2 != 0)
		return HELLO_NOT_TLS;
	return read_extensions(extensions, name);
}

/* ---- the records ---- */

/* The message, as far as it was gathered. */
struct gathered {
	size_t n;
	uint8_t bytes[HELLO_MAX];
};

/* Bytes of the message with its header; 0: that is not known yet. */
static size_t
message_length(const struct gathered *g)
{
	struct piece len = { .p = g->bytes + 1, .n = MESSAGE_HEADER - 1 };

	return g->n < MESSAGE_HEADER ? 0 : MESSAGE_HEADER + take_number(&len, MESSAGE_HEADER - 1);
}

/*
 * One record, or what has come of it.  HELLO_MORE: it does not end the message.  HELLO_NO_NAME: it
 * does.
 */
static enum hello
gather_record(struct piece *s, struct gathered *g)
{
	static const uint8_t begins[] = { RECORD_HANDSHAKE, RECORD_VERSION_MAJOR };
	size_t body, have, whole;
	const uint8_t *p;

	/* The minor version says nothing (RFC 8446 5.1). */
	if (memcmp(s->p, begins, s->n < sizeof begins ? s->n : sizeof begins) != 0)
		return HELLO_NOT_TLS;
	if (s->n < RECORD_HEADER) {
		s->n = 0;
		return HELLO_MORE;
	}
	body = (size_t)s->p[RECORD_HEADER - 2] << 8 | s->p[RECORD_HEADER - 1];
	if (body == 0 || body > RECORD_BODY_MAX)
		return HELLO_NOT_TLS;
	take(s, RECORD_HEADER);
	have = body < s->n ? body : s->n;
	p = take(s, have);
	if (have > 0)
		memcpy(g->bytes + g->n, p, have);
	g->n += have;
	whole = message_length(g);
	if ((g->n > 0 && g->bytes[0] != MESSAGE_CLIENT_HELLO) || whole > HELLO_MAX)
		return HELLO_NOT_TLS;
	/* Nothing may come behind it in its record: the server has the next word. */
	if (whole != 0 && g->n - have + body > whole)
		return HELLO_NOT_TLS;
	return whole != 0 && g->n == whole ? HELLO_NO_NAME : HELLO_MORE;
}

enum hello
hello_name(const uint8_t *p, size_t n, char name[HELLO_NAME_MAX + 1])
{
	struct piece s = { .p = p, .n = n < HELLO_MAX ? n : HELLO_MAX };
	struct gathered g;
	enum hello r = HELLO_MORE;

	name[0] = '\0';
	g.n = 0;
	while (s.n > 0 && r == HELLO_MORE)
		r = gather_record(&s, &g);
	if (r == HELLO_NO_NAME)
		r = read_message(
		    (struct piece){ .p = g.bytes + MESSAGE_HEADER, .n = g.n - MESSAGE_HEADER },
		    name);
	if (r == HELLO_MORE && n >= HELLO_MAX)
		r = HELLO_NOT_TLS;
	if (r != HELLO_NAME)
		name[0] = '\0';
	return r;
}
