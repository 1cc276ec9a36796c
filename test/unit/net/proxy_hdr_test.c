/* SPDX-License-Identifier: ISC */
/* proxy_hdr_test - PROXY headers byte by byte, as haproxy's proxy-protocol.txt has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/net/proxy_hdr.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal and its length, for bytes with NULs in them. */
#define BYTES(s) (s), sizeof(s) - 1

#define SIG "\r\n\r\n\0\r\nQUIT\n"
/* 192.0.2.1:40000 to 198.51.100.9:443, and 2001:db8::1 to ::2 with these ports. */
#define ENDS_4 "\xc0\0\2\1\xc6\x33\x64\x09\x9c\x40\x01\xbb"
#define ENDS_6                                                                     \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2" \
	"\x9c\x40\x01\xbb"

/* What is said of n bytes, in a copy as long as they are: a sanitizer sees a read past its end. */
static void
says(int want, const void *p, size_t n, struct proxy_hdr *out, struct errtext *why)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	char text[300];
	int r;

	assert_non_null(copy);
	memcpy(copy, p, n);
	r = proxy_hdr_parse(copy, n, out, why);
	free(copy);
	if (r != want)
		fail_msg(
		    "%d, not %d: %zu bytes, %s", r, want, n, str_escape(text, sizeof text, p, n));
}

/* ---- building ---- */

static const struct {
	const char *from, *to, *v1;
	/* Version 2 from the command on; the signature is before it. */
	const char *v2;
	size_t v2_len;
} built[] = {
	{ "192.0.2.1:40000", "198.51.100.9:443", "PROXY TCP4 192.0.2.1 198.51.100.9 40000 443\r\n",
	    BYTES("\x21\x11\0\x0c" ENDS_4) },
	{ "255.255.255.255:65535", "0.0.0.0:0", "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
	    BYTES("\x21\x11\0\x0c\xff\xff\xff\xff\0\0\0\0\xff\xff\0\0") },
	{ "[2001:db8::1]:40000", "[::2]:443", "PROXY TCP6 2001:db8::1 ::2 40000 443\r\n",
	    BYTES("\x21\x21\0\x24" ENDS_6) },
	/* Both mapped, one of them, and one beside an address that is IPv6 indeed. */
	{ "[::ffff:192.0.2.1]:40000", "[::ffff:198.51.100.9]:443",
	    "PROXY TCP4 192.0.2.1 198.51.100.9 40000 443\r\n", BYTES("\x21\x11\0\x0c" ENDS_4) },
	{ "[::ffff:192.0.2.1]:40000", "198.51.100.9:443",
	    "PROXY TCP4 192.0.2.1 198.51.100.9 40000 443\r\n", BYTES("\x21\x11\0\x0c" ENDS_4) },
	{ "[::ffff:192.0.2.1]:1", "[2001:db8::1]:2", "PROXY UNKNOWN\r\n", BYTES("\x20\0\0\0") },
	{ "[2001:db8::1]:1", "192.0.2.1:2", "PROXY UNKNOWN\r\n", BYTES("\x20\0\0\0") },
	{ "192.0.2.1:1", "[2001:db8::1]:2", "PROXY UNKNOWN\r\n", BYTES("\x20\0\0\0") },
	{ "unix:/run/a", "unix:/run/b", "PROXY UNKNOWN\r\n", BYTES("\x20\0\0\0") },
	{ "unix:/run/a", "192.0.2.1:2", "PROXY UNKNOWN\r\n", BYTES("\x20\0\0\0") },
	{ "192.0.2.1:2", "unix:/run/a", "PROXY UNKNOWN\r\n", BYTES("\x20\0\0\0") },
	/* The scope stays here. */
	{ "[fe80::1%lo]:1", "[fe80::2%lo]:2", "PROXY TCP6 fe80::1 fe80::2 1 2\r\n",
	    BYTES("\x21\x21\0\x24\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
		  "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2") },
};

static void
headers_are_built_as_the_specification_has_them(void **state)
{
	uint8_t out[PROXY_HDR_MAX], want[PROXY_HDR_MAX] = SIG;
	struct addr from, to;

	(void)state;
	for (size_t i = 0; i < N_OF(built); i++) {
		size_t n = strlen(built[i].v1);

		assert_int_equal(addr_parse(built[i].from, &from, NULL), 0);
		assert_int_equal(addr_parse(built[i].to, &to, NULL), 0);
		assert_int_equal(proxy_hdr_build(out, 1, &from, &to), n);
		assert_memory_equal(out, built[i].v1, n);
		n = built[i].v2_len;
		memcpy(want + 12, built[i].v2, n);
		assert_int_equal(proxy_hdr_build(out, 2, &from, &to), 12 + n);
		assert_memory_equal(out, want, 12 + n);
	}
}

static void
the_longest_that_is_built_has_room(void **state)
{
	/* PROXY 2.1: 104 characters. */
	static const char line[] = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				   "fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65534\r\n";
	uint8_t out[PROXY_HDR_MAX];
	struct addr from, to;

	(void)state;
	assert_int_equal(
	    addr_parse("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", &from, NULL), 0);
	assert_int_equal(
	    addr_parse("[fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65534", &to, NULL), 0);
	assert_int_equal(proxy_hdr_build(out, 1, &from, &to), 104);
	assert_memory_equal(out, line, 104);
	assert_int_equal(proxy_hdr_build(out, 2, &from, &to), 52);
}

static void
what_has_no_address_is_unknown(void **state)
{
	struct addr none = { 0 }, ip;
	uint8_t out[PROXY_HDR_MAX];

	(void)state;
	assert_int_equal(addr_parse("192.0.2.1:1", &ip, NULL), 0);
	assert_int_equal(proxy_hdr_build(out, 1, &none, &ip), 15);
	assert_int_equal(proxy_hdr_build(out, 1, &ip, &none), 15);
	assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
	assert_int_equal(proxy_hdr_build(out, 2, &none, &none), 16);
	assert_memory_equal(out, SIG "\x20\0\0\0", 16);
}

/* ---- reading ---- */

#define FFFF "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

/* Headers, and what they say; from is NULL if they are local. */
static const struct {
	const char *p;
	size_t n;
	const char *from, *to;
} good[] = {
	{ BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324",
	    "192.168.0.11:443" },
	{ BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	    "255.255.255.255:65535", "255.255.255.255:65535" },
	{ BYTES("PROXY TCP4 0.0.0.0 1.20.30.4 0 1\r\n"), "0.0.0.0:0", "1.20.30.4:1" },
	{ BYTES("PROXY TCP6 " FFFF " " FFFF " 65535 65535\r\n"), "[" FFFF "]:65535",
	    "[" FFFF "]:65535" },
	{ BYTES("PROXY TCP6 2001:DB8::1 :: 10 80\r\n"), "[2001:db8::1]:10", "[::]:80" },
	{ BYTES("PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 1:2:3:4:5:6:7:8 10 80\r\n"),
	    "[2001:db8::1]:10", "[1:2:3:4:5:6:7:8]:80" },
	{ BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n"), "192.0.2.1:1",
	    "192.0.2.2:2" },
	{ BYTES("PROXY UNKNOWN\r\n"), NULL, NULL },
	{ BYTES("PROXY UNKNOWN \r\n"), NULL, NULL },
	{ BYTES("PROXY UNKNOWN anything  ~ at all\r\n"), NULL, NULL },
	{ BYTES("PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n"), NULL, NULL },
	/* PROXY 2.1: the worst case, of 107 bytes */
	{ BYTES("PROXY UNKNOWN " FFFF " " FFFF " 65535 65535\r\n"), NULL, NULL },

	{ BYTES(SIG "\x21\x11\0\x0c" ENDS_4), "192.0.2.1:40000", "198.51.100.9:443" },
	{ BYTES(SIG "\x21\x12\0\x0c" ENDS_4), "192.0.2.1:40000", "198.51.100.9:443" },
	{ BYTES(SIG "\x21\x21\0\x24" ENDS_6), "[2001:db8::1]:40000", "[::2]:443" },
	{ BYTES(SIG "\x21\x22\0\x24" ENDS_6), "[2001:db8::1]:40000", "[::2]:443" },
	/* TLVs: an empty one; ALPN and a checksum; the checksum is not looked at */
	{ BYTES(SIG "\x21\x11\0\x0f" ENDS_4 "\x04\0\0"), "192.0.2.1:40000", "198.51.100.9:443" },
	{ BYTES(SIG "\x21\x21\0\x30" ENDS_6 "\x01\0\2h2\x03\0\4\1\2\3\4"), "[2001:db8::1]:40000",
	    "[::2]:443" },
	/* LOCAL, with what need not be there: addresses, garbage, a family that is none */
	{ BYTES(SIG "\x20\0\0\0"), NULL, NULL },
	{ BYTES(SIG "\x20\x11\0\x0c" ENDS_4), NULL, NULL },
	{ BYTES(SIG "\x20\x11\0\1x"), NULL, NULL },
	{ BYTES(SIG "\x20\xff\0\2xy"), NULL, NULL },
	/* UNSPEC, as family, as transport, as both */
	{ BYTES(SIG "\x21\0\0\0"), NULL, NULL },
	{ BYTES(SIG "\x21\0\0\5\1\2\3\4\5"), NULL, NULL },
	{ BYTES(SIG "\x21\x01\0\1x"), NULL, NULL },
	{ BYTES(SIG "\x21\x02\0\0"), NULL, NULL },
	{ BYTES(SIG "\x21\x10\0\0"), NULL, NULL },
	{ BYTES(SIG "\x21\x20\0\1x"), NULL, NULL },
	{ BYTES(SIG "\x21\x30\0\0"), NULL, NULL },
};

static void
is_read(const void *p, size_t n, const char *from, const char *to)
{
	struct proxy_hdr h;
	char text[ADDR_TEXT];
	struct errtext why;

	errtext_clear(&why);
	memset(&h, 0xa5, sizeof h);
	says((int)n, p, n, &h, &why);
	assert_string_equal(why.s, "");
	assert_int_equal(h.local, from == NULL);
	if (from == NULL) {
		assert_int_equal(h.from.u.sa.sa_family, AF_UNSPEC);
		assert_int_equal(h.to.u.sa.sa_family, AF_UNSPEC);
	} else {
		assert_string_equal(addr_text(&h.from, text), from);
		assert_string_equal(addr_text(&h.to, text), to);
	}
}

/* What of a header is no header yet, and leaves out alone. */
static void
prefixes_are_incomplete(const void *p, size_t n)
{
	struct proxy_hdr h, before;

	memset(&h, 0xa5, sizeof h);
	before = h;
	for (size_t i = 0; i < n; i++) {
		says(0, p, i, &h, NULL);
		assert_memory_equal(&h, &before, sizeof h);
	}
}

static void
headers_are_read_whole_and_byte_by_byte(void **state)
{
	char more[200];
	struct proxy_hdr h;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		size_t n = good[i].n;

		is_read(good[i].p, n, good[i].from, good[i].to);
		prefixes_are_incomplete(good[i].p, n);
		/* What follows does not count, whatever it is. */
		for (int c = 0; c < 256; c++) {
			memcpy(more, good[i].p, n);
			memset(more + n, c, sizeof more - n);
			says((int)n, more, n + 1, &h, NULL);
			says((int)n, more, sizeof more, &h, NULL);
		}
	}
}

static void
addresses_are_of_sockets(void **state)
{
	struct proxy_hdr h;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		if (good[i].from == NULL)
			continue;
		says((int)good[i].n, good[i].p, good[i].n, &h, NULL);
		assert_int_equal(h.from.len,
		    h.from.u.sa.sa_family == AF_INET ? sizeof h.from.u.in : sizeof h.from.u.in6);
		assert_int_equal(h.to.len, h.from.len);
		assert_int_equal(h.to.u.sa.sa_family, h.from.u.sa.sa_family);
	}
}

static void
unix_sockets_are_local(void **state)
{
	/* Two paths of 108 bytes, and a TLV. */
	uint8_t p[16 + 216 + 4] = SIG "\x21\x31\0\xd8/run/a";
	struct proxy_hdr h;

	(void)state;
	memset(p + 16 + 7, 0xff, 209);
	is_read(p, 16 + 216, NULL, NULL);
	prefixes_are_incomplete(p, 16 + 216);
	p[13] = 0x32;
	is_read(p, 16 + 216, NULL, NULL);
	/* One byte less is too few; what is more has to be TLVs. */
	p[15] = 215;
	says(ERR_PROTO, p, sizeof p, &h, NULL);
	p[15] = 220;
	memcpy(p + 16 + 216, "\x30\0\1x", 4);
	is_read(p, sizeof p, NULL, NULL);
	p[16 + 216 + 2] = 2;
	says(ERR_PROTO, p, sizeof p, &h, NULL);
}

/* ---- what is refused ---- */

/*
 * Each is refused when at of its bytes are there, and not before.  Unless it is the last one, that
 * byte cannot be in any header.
 */
static const struct {
	const char *p;
	size_t n, at;
} bad[] = {
	/* something else */
	{ BYTES("GET / HTTP/1.1\r\n"), 1 },
	{ BYTES("\x16\x03\x01\x02"), 1 },
	{ BYTES("\0"), 1 },
	{ BYTES(" PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 1 },
	{ BYTES("POST / HTTP/1.1\r\n"), 2 },
	{ BYTES("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 1 },
	{ BYTES("PROXy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 5 },
	{ BYTES("PROXY\r\n"), 6 },
	{ BYTES("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 6 },
	{ BYTES("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 7 },
	{ BYTES("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"), 7 },
	{ BYTES("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"), 8 },
	{ BYTES("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), 10 },
	{ BYTES("PROXY TCP 1.2.3.4 1.2.3.4 1 2\r\n"), 10 },
	{ BYTES("PROXY TCP4\r\n"), 11 },
	{ BYTES("PROXY TCP46 1.2.3.4 1.2.3.4 1 2\r\n"), 11 },
	{ BYTES("PROXY Unknown\r\n"), 8 },
	{ BYTES("PROXY UNKNOWNS\r\n"), 14 },

	/* where a line ends */
	{ BYTES("PROXY UNKNOWN\n"), 14 },
	{ BYTES("PROXY UNKNOWN\r\r\n"), 15 },
	{ BYTES("PROXY UNKNOWN \rx\r\n"), 16 },
	{ BYTES("PROXY UNKNOWN a\0b\r\n"), 16 },
	{ BYTES("PROXY UNKNOWN a\x7f\r\n"), 16 },
	{ BYTES("PROXY UNKNOWN a\x80\r\n"), 16 },
	{ BYTES("PROXY UNKNOWN a\nb\r\n"), 16 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), 31 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rGET"), 32 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\0 2\r\n"), 29 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4\t1 2\r\n"), 27 },
	/* one byte more than 107: the 106th has to be a CR */
	{ BYTES("PROXY UNKNOWN " FFFF " " FFFF " 65535 655355\r\n"), 106 },

	/* version 2: each byte of the signature, command, family, transport, length */
	{ BYTES("\n\r\n\r\0\r\nQUIT\n"), 1 },
	{ BYTES("\r\r"), 2 },
	{ BYTES("\r\n\n"), 3 },
	{ BYTES("\r\n\r\r"), 4 },
	{ BYTES("\r\n\r\n\1"), 5 },
	{ BYTES("\r\n\r\n\0\n"), 6 },
	{ BYTES("\r\n\r\n\0\r\r"), 7 },
	{ BYTES("\r\n\r\n\0\r\nq"), 8 },
	{ BYTES("\r\n\r\n\0\r\nQu"), 9 },
	{ BYTES("\r\n\r\n\0\r\nQUi"), 10 },
	{ BYTES("\r\n\r\n\0\r\nQUIt"), 11 },
	{ BYTES("\r\n\r\n\0\r\nQUIT\r"), 12 },
	{ BYTES(SIG "\x01"), 13 },
	{ BYTES(SIG "\x11"), 13 },
	{ BYTES(SIG "\x22"), 13 },
	{ BYTES(SIG "\x2f"), 13 },
	{ BYTES(SIG "\x31"), 13 },
	{ BYTES(SIG "\xa1"), 13 },
	{ BYTES(SIG "\x21\x03"), 14 },
	{ BYTES(SIG "\x21\x13"), 14 },
	{ BYTES(SIG "\x21\x1f"), 14 },
	{ BYTES(SIG "\x21\x23"), 14 },
	{ BYTES(SIG "\x21\x40"), 14 },
	{ BYTES(SIG "\x21\x41"), 14 },
	{ BYTES(SIG "\x21\xf1"), 14 },
	{ BYTES(SIG "\x21\x11\0\0"), 16 },
	{ BYTES(SIG "\x21\x11\0\x0b" ENDS_4), 16 },
	{ BYTES(SIG "\x21\x12\0\x0b" ENDS_4), 16 },
	{ BYTES(SIG "\x21\x21\0\x0c" ENDS_4), 16 },
	{ BYTES(SIG "\x21\x21\0\x23" ENDS_6), 16 },
	{ BYTES(SIG "\x21\x31\0\xd7"), 16 },

	/* TLVs: not a whole head; beyond the end by one, by much; the second one */
	{ BYTES(SIG "\x21\x11\0\x0d" ENDS_4 "\4"), 29 },
	{ BYTES(SIG "\x21\x11\0\x0e" ENDS_4 "\4\0"), 30 },
	{ BYTES(SIG "\x21\x11\0\x0f" ENDS_4 "\4\0\1"), 31 },
	{ BYTES(SIG "\x21\x11\0\x0f" ENDS_4 "\4\xff\xff"), 31 },
	{ BYTES(SIG "\x21\x11\0\x10" ENDS_4 "\4\1\0x"), 32 },
	{ BYTES(SIG "\x21\x21\0\x28" ENDS_6 "\4\0\0\4"), 56 },
	{ BYTES(SIG "\x21\x21\0\x2a" ENDS_6 "\4\0\0\4\0\1"), 58 },
};

static void
is_refused_at(const void *p, size_t n, size_t at)
{
	struct errtext why;
	struct proxy_hdr h;

	for (size_t i = 0; i < at; i++)
		says(0, p, i, &h, NULL);
	for (size_t i = at; i <= n; i++) {
		errtext_clear(&why);
		says(ERR_PROTO, p, i, &h, &why);
		assert_non_null(strstr(why.s, "PROXY"));
		says(ERR_PROTO, p, i, &h, NULL);
	}
}

static void
other_bytes_are_refused_as_soon_as_they_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		is_refused_at(bad[i].p, bad[i].n, bad[i].at);
	}
}

static void
lines_have_one_form(void **state)
{
	/* What stands between "PROXY " and CRLF; it is refused with the LF. */
	static const char *const lines[] = {
		"TCP4 ",
		"TCP4 1.2.3.4",
		"TCP4 1.2.3.4 1.2.3.5",
		"TCP4 1.2.3.4 1.2.3.5 1",
		"TCP4 1.2.3.4 1.2.3.5 1 ",
		"TCP4 1.2.3.4 1.2.3.5 1 2 ",
		"TCP4 1.2.3.4 1.2.3.5 1 2 3",
		"TCP4  1.2.3.4 1.2.3.5 1 2",
		"TCP4 1.2.3.4  1.2.3.5 1 2",
		"TCP4 1.2.3.4 1.2.3.5  1 2",
		"TCP4 1.2.3.4 1.2.3.5 1  2",
		/* ports */
		"TCP4 1.2.3.4 1.2.3.5 01 2",
		"TCP4 1.2.3.4 1.2.3.5 1 02",
		"TCP4 1.2.3.4 1.2.3.5 00 2",
		"TCP4 1.2.3.4 1.2.3.5 +1 2",
		"TCP4 1.2.3.4 1.2.3.5 1 -2",
		"TCP4 1.2.3.4 1.2.3.5 65536 2",
		"TCP4 1.2.3.4 1.2.3.5 1 65536",
		"TCP4 1.2.3.4 1.2.3.5 1 18446744073709551617",
		"TCP4 1.2.3.4 1.2.3.5 0x1 2",
		"TCP4 1.2.3.4 1.2.3.5 1 2a",
		"TCP4 1.2.3.4 1.2.3.5 a 2",
		/* addresses, of the family */
		"TCP4 01.2.3.4 1.2.3.5 1 2",
		"TCP4 1.2.3.4 1.2.3.05 1 2",
		"TCP4 1.2.3.256 1.2.3.5 1 2",
		"TCP4 1.2.3 1.2.3.5 1 2",
		"TCP4 1.2.3.4 1.2.3.5.6 1 2",
		"TCP4 0x1.2.3.4 1.2.3.5 1 2",
		"TCP4 16909060 1.2.3.5 1 2",
		"TCP4 1.2.3.4. 1.2.3.5 1 2",
		"TCP4 1.2.3.4 localhost 1 2",
		"TCP4 ::1 ::1 1 2",
		"TCP4 1.2.3.4 ::1 1 2",
		"TCP4 ::ffff:1.2.3.4 ::ffff:1.2.3.5 1 2",
		"TCP6 1.2.3.4 1.2.3.5 1 2",
		"TCP6 ::1 1.2.3.5 1 2",
		"TCP6 1.2.3.4 ::1 1 2",
		"TCP6 [::1] [::1] 1 2",
		"TCP6 fe80::1%lo ::1 1 2",
		"TCP6 ::1 fe80::1%1 1 2",
		"TCP6 ::1::2 ::1 1 2",
		"TCP6 1:2:3:4:5:6:7 ::1 1 2",
		"TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2",
		"TCP6 ::00001 ::1 1 2",
		"TCP6 ::g ::1 1 2",
		"TCP6 : ::1 1 2",
	};
	char p[PROXY_HDR_MAX_V1 + 1];

	(void)state;
	for (size_t i = 0; i < N_OF(lines); i++) {
		int n = snprintf(p, sizeof p, "PROXY %s\r\n", lines[i]);

		assert_true(n > 0 && (size_t)n < sizeof p);
		is_refused_at(p, (size_t)n, (size_t)n);
	}
}

static void
a_line_has_at_most_107_bytes(void **state)
{
	char p[PROXY_HDR_MAX_V1 + 10];
	struct proxy_hdr h;

	(void)state;
	memset(p, 'x', sizeof p);
	memcpy(p, BYTES("PROXY UNKNOWN "));
	memcpy(p + 105, "\r\n", 2);
	is_read(p, 107, NULL, NULL);
	says(107, p, sizeof p, &h, NULL);
	memcpy(p + 105, "x\r\n", 3);
	is_refused_at(p, sizeof p, 106);
	/* Of the families with addresses, too: spaces and zeros do not make a line longer. */
	memset(p, '0', sizeof p);
	memcpy(p, BYTES("PROXY TCP4 "));
	is_refused_at(p, sizeof p, 106);
}

static void
a_header_has_at_most_4096_bytes(void **state)
{
	static const uint8_t fixed[] = SIG "\x21\x11\x0f\xf0" ENDS_4 "\4";
	static uint8_t p[PROXY_HDR_MAX_V2 + 1];

	(void)state;
	/* One TLV that fills it: 4096 = 16 + 12 + 3 + 4065. */
	memcpy(p, fixed, sizeof fixed - 1);
	p[29] = 4065 >> 8;
	p[30] = 4065 & 0xff;
	is_read(p, 4096, "192.0.2.1:40000", "198.51.100.9:443");
	prefixes_are_incomplete(p, 4096);
	p[30]++;
	is_refused_at(p, 4096, 4096);
	p[15]++;
	is_refused_at(p, 4097, 16);
	/* A header that names nobody is no longer. */
	p[12] = 0x20;
	is_refused_at(p, 4097, 16);
	p[15]--;
	is_read(p, 4096, NULL, NULL);
	memset(p + 14, 0xff, 2);
	is_refused_at(p, 4097, 16);
}

static void
nothing_that_may_be_secret_is_shown(void **state)
{
	static const char *const requests[] = {
		"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?hunter2",
		"PROXY UNKNOWNaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?hunter2",
		"\raaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?hunter2",
	};
	struct errtext why;
	struct proxy_hdr h;

	(void)state;
	for (size_t i = 0; i < N_OF(requests); i++) {
		errtext_clear(&why);
		says(ERR_PROTO, requests[i], strlen(requests[i]), &h, &why);
		assert_non_null(strstr(why.s, "aaa"));
		assert_null(strstr(why.s, "hunter2"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_built_as_the_specification_has_them),
		cmocka_unit_test(the_longest_that_is_built_has_room),
		cmocka_unit_test(what_has_no_address_is_unknown),
		cmocka_unit_test(headers_are_read_whole_and_byte_by_byte),
		cmocka_unit_test(addresses_are_of_sockets),
		cmocka_unit_test(unix_sockets_are_local),
		cmocka_unit_test(other_bytes_are_refused_as_soon_as_they_come),
		cmocka_unit_test(lines_have_one_form),
		cmocka_unit_test(a_line_has_at_most_107_bytes),
		cmocka_unit_test(a_header_has_at_most_4096_bytes),
		cmocka_unit_test(nothing_that_may_be_secret_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
