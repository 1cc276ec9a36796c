/* SPDX-License-Identifier: ISC */
/*
 * hello_test - the name in a ClientHello: what real programs send (test/fuzz/corpus/hello), in
 * every cut, in records of every size, and what is no ClientHello.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/tls/hello.h"

#define CORPUS "test/fuzz/corpus/hello/"
#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { RECORD_HEADER = 5, MESSAGE_HEADER = 4, WIRE_MAX = 64 * 1024 };

static const char *const answer_name[] = { "more", "name", "no name", "not TLS" };

/* In a copy as long as they are: a sanitizer sees a read past its end. */
static enum hello
look(const uint8_t *p, size_t n, char name[HELLO_NAME_MAX + 1])
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	enum hello r;

	assert_non_null(copy);
	memcpy(copy, p, n);
	r = hello_name(copy, n, name);
	free(copy);
	return r;
}

static void
says(enum hello want, const uint8_t *p, size_t n, const char *name)
{
	char got[HELLO_NAME_MAX + 1];
	enum hello r = look(p, n, got);

	if (r != want || strcmp(got, name) != 0)
		fail_msg("%zu bytes: %s \"%s\", not %s \"%s\"", n, answer_name[r], got,
		    answer_name[want], name);
}

/* ---- what programs send ---- */

static const struct {
	const char *file, *name;
} real[] = {
	{ "openssl-tls13", "shop.acme.test" },
	{ "openssl-tls12", "shop.acme.test" },
	{ "openssl-many-alpn", "shop.acme.test" },
	{ "openssl-no-name", "" },
	{ "curl", "shop.acme.test" },
	{ "wget-gnutls", "localhost" },
	{ "python", "shop.acme.test" },
	{ "node", "shop.acme.test" },
	{ "go", "shop.acme.test" },
	{ "chromium", "shop.acme.test" },
	{ "tunnel", "localhost" },
};

struct bytes {
	char *p;
	size_t n;
};

static struct bytes
read_real(const char *file)
{
	char path[sizeof CORPUS + 32];
	struct errtext why;
	struct bytes b;

	snprintf(path, sizeof path, CORPUS "%s", file);
	if (file_read_all(path, WIRE_MAX, &b.p, &b.n, &why) != 0)
		fail_msg("%s (tests run in the project's directory)", why.s);
	return b;
}

static void
every_cut_of_a_real_hello_wants_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(real); i++) {
		enum hello want = real[i].name[0] != '\0' ? HELLO_NAME : HELLO_NO_NAME;
		struct bytes b = read_real(real[i].file);

		for (size_t n = 0; n < b.n; n++)
			says(HELLO_MORE, (uint8_t *)b.p, n, "");
		says(want, (uint8_t *)b.p, b.n, real[i].name);
		mem_free(b.p);
	}
}

/* The message of a hello in one record, in records of size bytes each.  Returns their length. */
static size_t
in_records(const struct bytes *b, size_t size, uint8_t *out)
{
	size_t at = 0;

	for (size_t off = RECORD_HEADER; off < b->n; off += size) {
		size_t n = b->n - off < size ? b->n - off : size;
		const uint8_t head[RECORD_HEADER] = { 22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n };

		memcpy(out + at, head, sizeof head);
		memcpy(out + at + sizeof head, b->p + off, n);
		at += sizeof head + n;
	}
	return at;
}

static void
records_may_be_of_any_size(void **state)
{
	static uint8_t wire[WIRE_MAX];

	(void)state;
	for (size_t i = 0; i < N_OF(real); i++) {
		enum hello want = real[i].name[0] != '\0' ? HELLO_NAME : HELLO_NO_NAME;
		struct bytes b = read_real(real[i].file);

		for (size_t size = 1; size < b.n; size++) {
			size_t n = in_records(&b, size, wire);

			says(want, wire, n, real[i].name);
			says(HELLO_MORE, wire, n - 1, "");
			/* What comes behind it is not looked at. */
			wire[n] = 0xff;
			says(want, wire, n + 1, real[i].name);
		}
		for (size_t n = in_records(&b, 1, wire), k = 0; k < n; k++)
			says(HELLO_MORE, wire, k, "");
		mem_free(b.p);
	}
}

/* ---- the limit ---- */

static void
a_hello_that_does_not_end_is_given_up(void **state)
{
	static uint8_t wire[HELLO_MAX + 1];
	size_t n;

	(void)state;
	/* A message of 16,000 bytes in tiny records would end behind the limit. */
	memcpy(wire, "\x16\x03\x01\x00\x05\x01\x00\x3e\x80\x03", 10);
	for (n = 10; n + 6 <= sizeof wire; n += 6)
		memcpy(wire + n, "\x16\x03\x01\x00\x01\x03", 6);
	says(HELLO_MORE, wire, HELLO_MAX - 1, "");
	says(HELLO_NOT_TLS, wire, HELLO_MAX, "");
	says(HELLO_NOT_TLS, wire, HELLO_MAX + 1, "");
	/* One that can only end there is given up at its head. */
	memcpy(wire, "\x16\x03\x01\x00\x05\x01\x00\x40\x00\x03", 10);
	says(HELLO_NOT_TLS, wire, 10, "");
}

/* ---- what is none ---- */

static void
other_protocols_are_told_at_the_first_byte_that_differs(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} others[] = {
		{ "G", 1 },
		{ "SSH-", 1 },
		{ "\x80\x2e\x01", 1 },
		{ "\x15\x03", 1 },
		{ "\x17", 1 },
		{ "\x16\x02", 2 },
		{ "\x16\x03\x01\x00\x00", 5 },
		{ "\x16\x03\x01\x40\x01", 5 },
		{ "\x16\x03\x01\x00\x40\x02", 6 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(others); i++) {
		const uint8_t *p = (const uint8_t *)others[i].p;

		says(HELLO_NOT_TLS, p, others[i].n, "");
		says(HELLO_MORE, p, others[i].n - 1, "");
	}
}

/* ---- hellos made by hand ---- */

/* Extensions of a hello, or what comes in their place; and the session id. */
static size_t
make(uint8_t *out, const void *ext, size_t n, size_t session_id)
{
	static const uint8_t suites[] = { 0, 2, 0x13, 0x01, 1, 0 };
	size_t len = 2 + 32 + 1 + session_id + sizeof suites + n, at = RECORD_HEADER;

	memset(out, 0, RECORD_HEADER + MESSAGE_HEADER + len);
	memcpy(
	    out, (const uint8_t[]){ 22, 3, 1, (uint8_t)((len + 4) >> 8), (uint8_t)(len + 4) }, 5);
	memcpy(out + at, (const uint8_t[]){ 1, 0, (uint8_t)(len >> 8), (uint8_t)len, 3, 3 }, 6);
	at += MESSAGE_HEADER + 2 + 32;
	out[at] = (uint8_t)session_id;
	at += 1 + session_id;
	memcpy(out + at, suites, sizeof suites);
	at += sizeof suites;
	if (n > 0)
		memcpy(out + at, ext, n);
	return at + n;
}

#define SNI(len, list, type, name_len, name) "\0\0\0" len "\0" list type "\0" name_len name

static void
extensions_fit_exactly(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		enum hello want;
		const char *name;
	} cases[] = {
#define CASE(bytes, want, name) { bytes, sizeof(bytes) - 1, want, name }
		/* before TLS 1.3: none at all */
		CASE("", HELLO_NO_NAME, ""),
		CASE("\0\0", HELLO_NO_NAME, ""),
		CASE("\0\x0a" SNI("\x06", "\x04", "\0", "\1", "a"), HELLO_NAME, "a"),
		CASE("\0\x0e" SNI("\x06", "\x04", "\0", "\1", "a") "\0\5\0\0", HELLO_NAME, "a"),
		CASE("\0\x0e\0\5\0\0" SNI("\x06", "\x04", "\0", "\1", "a"), HELLO_NAME, "a"),
		/* half a length; too short and too long a list */
		CASE("\0", HELLO_NOT_TLS, ""),
		CASE("\0\x0b" SNI("\x06", "\x04", "\0", "\1", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x09" SNI("\x06", "\x04", "\0", "\1", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x0a" SNI("\x07", "\x04", "\0", "\1", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x0a" SNI("\x06", "\x05", "\0", "\1", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x0a" SNI("\x06", "\x03", "\0", "\1", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x0a" SNI("\x06", "\x04", "\0", "\2", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x0a" SNI("\x06", "\x04", "\0", "\0", "a"), HELLO_NOT_TLS, ""),
		/* a name of nothing, of NUL, of another kind; two names */
		CASE("\0\x09" SNI("\x05", "\x03", "\0", "\0", ""), HELLO_NOT_TLS, ""),
		CASE("\0\x0b" SNI("\x07", "\x05", "\0", "\2", "a\0"), HELLO_NOT_TLS, ""),
		CASE("\0\x0a" SNI("\x06", "\x04", "\1", "\1", "a"), HELLO_NOT_TLS, ""),
		CASE("\0\x0e" SNI("\x0a", "\x08", "\0", "\1", "a") "\0\0\1b", HELLO_NOT_TLS, ""),
		CASE("\0\x06\0\0\0\2\0\0", HELLO_NOT_TLS, ""),
		CASE("\0\4\0\0\0\0", HELLO_NOT_TLS, ""),
		/* twice */
		CASE("\0\x14" SNI("\x06", "\x04", "\0", "\1", "a")
			 SNI("\x06", "\x04", "\0", "\1", "a"),
		    HELLO_NOT_TLS, ""),
		CASE("\0\x08\0\5\0\0\0\5\0\0", HELLO_NOT_TLS, ""),
	};
	uint8_t wire[256];

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++)
		for (size_t id = 0; id <= 32; id += 32)
			says(cases[i].want, wire, make(wire, cases[i].p, cases[i].n, id),
			    cases[i].name);
	says(HELLO_NOT_TLS, wire, make(wire, "", 0, 33), "");
}

static void
a_name_has_its_length(void **state)
{
	uint8_t ext[2 + 4 + 5 + HELLO_NAME_MAX + 1], wire[512];
	char name[HELLO_NAME_MAX + 2];

	(void)state;
	for (size_t n = HELLO_NAME_MAX; n <= HELLO_NAME_MAX + 1; n++) {
		const size_t list = n + 3, len = n + 5, all = n + 9;
		const uint8_t head[] = { (uint8_t)(all >> 8), (uint8_t)all, 0, 0,
			(uint8_t)(len >> 8), (uint8_t)len, (uint8_t)(list >> 8), (uint8_t)list, 0,
			(uint8_t)(n >> 8), (uint8_t)n };

		memset(name, 'x', sizeof name);
		name[n] = '\0';
		memcpy(ext, head, sizeof head);
		memcpy(ext + sizeof head, name, n);
		says(n <= HELLO_NAME_MAX ? HELLO_NAME : HELLO_NOT_TLS, wire,
		    make(wire, ext, sizeof head + n, 0), n <= HELLO_NAME_MAX ? name : "");
	}
}

static void
extensions_have_a_number(void **state)
{
	uint8_t ext[2 + 4 * 129], wire[1024];

	(void)state;
	for (size_t n = 128; n <= 129; n++) {
		memset(ext, 0, sizeof ext);
		ext[0] = (uint8_t)(4 * n >> 8);
		ext[1] = (uint8_t)(4 * n);
		for (size_t i = 0; i < n; i++)
			ext[2 + 4 * i + 1] = (uint8_t)(i + 1);
		says(n == 128 ? HELLO_NO_NAME : HELLO_NOT_TLS, wire, make(wire, ext, 2 + 4 * n, 0),
		    "");
	}
}

/* RFC 8446 5.1: the server has the next word, so nothing may come behind it in its record. */
static void
nothing_comes_behind_it_in_its_record(void **state)
{
	uint8_t wire[256];
	size_t n = make(wire, "", 0, 0);

	(void)state;
	wire[4]++;
	says(HELLO_NOT_TLS, wire, n, "");
	says(HELLO_NOT_TLS, wire, RECORD_HEADER + MESSAGE_HEADER, "");
	says(HELLO_MORE, wire, RECORD_HEADER + MESSAGE_HEADER - 1, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut_of_a_real_hello_wants_more),
		cmocka_unit_test(records_may_be_of_any_size),
		cmocka_unit_test(a_hello_that_does_not_end_is_given_up),
		cmocka_unit_test(other_protocols_are_told_at_the_first_byte_that_differs),
		cmocka_unit_test(extensions_fit_exactly),
		cmocka_unit_test(a_name_has_its_length),
		cmocka_unit_test(extensions_have_a_number),
		cmocka_unit_test(nothing_comes_behind_it_in_its_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
