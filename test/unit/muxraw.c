/* SPDX-License-Identifier: ISC */
/* muxraw - one session of the mux, and the test as its peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "test/unit/muxpair.h"

void
raw_init(struct raw *r, const struct mux_config *cfg, bool greet)
{
	struct frame f;
	size_t n;

	memset(r, 0, sizeof *r);
	r->net.now_ms = 1000000;
	r->net.n = 1;
	r->net.portion = 65536;
	r->net.end[0].peer = &r->net.end[1];
	if (!net_end_init(&r->net.end[0], &r->net, cfg))
		abort();
	if (!greet)
		return;
	struct ctl_hello h = net_hello(cfg->dialer ? CTL_RELAY : CTL_CONNECT);
	char *json = ctl_hello_dump(&h, &n);

	if (json == NULL ||
	    net_end_greet(&r->net.end[0], cfg->dialer ? CTL_CONNECT : CTL_RELAY) != 0 ||
	    raw_put(r, FRAME_HELLO, 0, 0, json, n) != 0)
		abort();
	mem_free(json);
	while (raw_get(r, &f, NULL))
		; /* its HELLO and first ping */
}

void
raw_fini(struct raw *r)
{
	net_end_fini(&r->net.end[0]);
	bufq_fini(&r->out);
}

int
raw_put(struct raw *r, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t n)
{
	struct frame f = { type, flags, (uint16_t)n, id };
	struct end *e = &r->net.end[0];
	uint8_t hdr[FRAME_HDR_LEN];

	frame_pack(hdr, &f);
	if (bufq_copy(&e->in, hdr, sizeof hdr) != 0 || (n > 0 && bufq_copy(&e->in, body, n) != 0))
		abort();
	return session_input(e->s, &e->in, r->net.now_ms * 1000, &e->why);
}

const char raw_hello_text[] = "{\"version\":1,\"role\":\"connect\",\"name\":\"pi\","
			      "\"instance\":\"000102030405060708090a0b0c0d0e0f\","
			      "\"keepalive_ms\":1000}";

int
raw_hello(struct raw *r)
{
	return raw_put(r, FRAME_HELLO, 0, 0, raw_hello_text, strlen(raw_hello_text));
}

/*
 * The next frame that the session sends is the WINDOW that answers an OPEN: the test knows what it
 * says.
 */
static void
drop_first_window(struct raw *r, uint32_t id)
{
	struct frame f;
	uint8_t hdr[FRAME_HDR_LEN];
	struct end *e = &r->net.end[0];

	if (r->out.len == 0 &&
	    session_output(e->s, &r->out, r->net.portion, r->net.now_ms * 1000) != 0)
		abort();
	if (frame_unpack(&f, hdr, bufq_read(&r->out, 0, hdr, sizeof hdr)) > 0 &&
	    f.type == FRAME_WINDOW && f.id == id)
		bufq_drain(&r->out, FRAME_HDR_LEN + (size_t)f.len);
}

int
raw_open(struct raw *r, uint32_t id)
{
	char json[256];
	int n = snprintf(json, sizeof json,
	    "{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"tcp\","
	    "\"service\":\"ssh\",\"window\":%d}",
	    RAW_WINDOW);
	int e = raw_put(r, FRAME_OPEN, 0, id, json, (size_t)n);

	if (e == 0)
		drop_first_window(r, id);
	return e;
}

int
raw_open_udp(struct raw *r, uint32_t id, const char *more)
{
	char json[256];
	int n = snprintf(json, sizeof json,
	    "{\"token\":\"000102030405060708090a0b0c0d0e0f\",\"protocol\":\"udp\","
	    "\"service\":\"dns\"%s}",
	    more);

	return raw_put(r, FRAME_OPEN, 0, id, json, (size_t)n);
}

int
raw_window(struct raw *r, uint32_t id, uint64_t acked, uint64_t limit, uint8_t flags)
{
	uint8_t body[16];

	put_u64be(body, acked);
	put_u64be(body + 8, limit);
	return raw_put(r, FRAME_WINDOW, flags, id, body, sizeof body);
}

int
raw_eof(struct raw *r, uint32_t id, uint64_t final)
{
	uint8_t body[8];

	put_u64be(body, final);
	return raw_put(r, FRAME_EOF, 0, id, body, sizeof body);
}

int
raw_data(struct raw *r, uint32_t id, size_t n)
{
	static const uint8_t zeros[FRAME_BODY_MAX];
	int e = 0;

	while (n > 0 && e == 0) {
		size_t k = n < sizeof zeros ? n : sizeof zeros;

		e = raw_put(r, FRAME_DATA, 0, id, zeros, k);
		n -= k;
	}
	return e;
}

bool
raw_get(struct raw *r, struct frame *f, uint8_t *body)
{
	struct end *e = &r->net.end[0];
	uint8_t hdr[FRAME_HDR_LEN];

	while (r->out.len == 0 && session_has_output(e->s))
		if (session_output(e->s, &r->out, r->net.portion, r->net.now_ms * 1000) != 0)
			return false;
	if (frame_unpack(f, hdr, bufq_read(&r->out, 0, hdr, sizeof hdr)) <= 0)
		return false;
	if (body != NULL)
		bufq_read(&r->out, FRAME_HDR_LEN, body, f->len);
	bufq_drain(&r->out, FRAME_HDR_LEN + (size_t)f->len);
	return true;
}

bool
raw_skip(struct raw *r, uint8_t type, struct frame *f, uint8_t *body)
{
	while (raw_get(r, f, body))
		if (f->type == type)
			return true;
	return false;
}

uint64_t
raw_deadline_ms(const struct raw *r)
{
	return net_deadline_ms(r->net.end[0].s);
}

int
raw_tick(struct raw *r, uint64_t ms)
{
	struct end *e = &r->net.end[0];

	r->net.now_ms += ms;
	return session_tick(e->s, r->net.now_ms * 1000, &e->why);
}

void
raw_lacks_memory(const struct mux_config *cfg, void (*say)(struct session *s))
{
	struct bufq out = { 0 };
	struct raw r;

	for (long fail = 0; fail < 2; fail++) {
		struct session *s;

		raw_init(&r, cfg, true);
		s = r.net.end[0].s;
		buf_pool_free();
		mem_fail_after(fail);
		say(s);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(session_control(s, "{}", 2), ERR_CLOSED);
		assert_true(session_has_output(s));
		assert_int_equal(session_output(s, &out, 1000, r.net.now_ms), ERR_NOMEM);
		assert_int_equal(out.len, 0);
		assert_int_equal(raw_tick(&r, 1), ERR_NOMEM);
		raw_fini(&r);
	}
	buf_pool_free();
}
