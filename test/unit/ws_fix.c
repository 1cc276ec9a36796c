/* SPDX-License-Identifier: ISC */
/* ws_fix - a WebSocket filter whose other end is the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "test/unit/ws_fix.h"

static void
on_message(void *arg, enum f_ws_kind kind, struct bufq *payload)
{
	struct ws_fix *x = arg;

	x->n_messages++;
	x->log_len += (size_t)snprintf(x->log + x->log_len, LOG_MAX - x->log_len,
	    "%c%zu:", kind == F_WS_TEXT ? 'T' : 'B', payload->len);
	x->log_len += bufq_read(payload, 0, x->log + x->log_len, LOG_MAX - x->log_len);
	x->log[x->log_len] = 0;
	if (x->free_in_message) {
		filter_free(x->ws);
		x->ws = NULL;
	}
}

static void
on_pong(void *arg, const uint8_t *p, size_t n)
{
	struct ws_fix *x = arg;

	(void)p;
	(void)n;
	x->n_pongs++;
}

struct ws_fix *
ws_fix_new(struct f_ws_config cfg)
{
	struct ws_fix *x = mem_must_zalloc(sizeof *x);
	struct filter *ends[2];

	x->l = loop_new();
	x->log = mem_must_zalloc(LOG_MAX);
	assert_non_null(x->l);
	assert_true(memfilter_pair(x->l, ends));
	cfg.on_message = on_message;
	cfg.on_pong = on_pong;
	cfg.arg = x;
	x->ws = f_ws_new(ends[0], x->l, &cfg);
	assert_non_null(x->ws);
	x->raw = ends[1];
	filter_set_user(x->ws, &sink_user, &x->ws_sink);
	filter_set_user(x->raw, &sink_user, &x->raw_sink);
	return x;
}

void
ws_fix_free(struct ws_fix *x)
{
	if (x->ws != NULL)
		filter_free(x->ws);
	filter_free(x->raw);
	mem_settle(x->l);
	loop_free(x->l);
	mem_free(x->log);
	mem_free(x);
	f_ws_thread_fini();
	buf_pool_free();
}

struct ws_fix *
ws_fix_messages(bool client)
{
	return ws_fix_new((struct f_ws_config){
	    .mode = F_WS_MESSAGES, .client = client, .max_message = MAX_MESSAGE });
}

struct ws_fix *
ws_fix_stream(bool client)
{
	return ws_fix_new((struct f_ws_config){ .mode = F_WS_STREAM, .client = client });
}

void
ws_fix_put(struct ws_fix *x, const void *p, size_t n)
{
	assert_int_equal(filter_send(x->raw, p, n), 0);
	filter_flush(x->raw);
	mem_settle(x->l);
}

size_t
ws_fix_frame(uint8_t *out, uint8_t first, bool masked, const void *payload, size_t n)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	const uint8_t *p = payload;
	size_t k = 0;

	out[k++] = first;
	if (n < 126) {
		out[k++] = (uint8_t)n;
	} else if (n < 65536) {
		out[k++] = 126;
		out[k++] = (uint8_t)(n >> 8);
		out[k++] = (uint8_t)n;
	} else {
		out[k++] = 127;
		for (int i = 7; i >= 0; i--)
			out[k++] = (uint8_t)((uint64_t)n >> (8 * i));
	}
	if (masked) {
		out[1] |= 0x80;
		memcpy(out + k, key, 4);
		k += 4;
	}
	for (size_t i = 0; i < n; i++)
		out[k++] = masked ? p[i] ^ key[i % 4] : p[i];
	return k;
}

void
ws_fix_put_frame(struct ws_fix *x, uint8_t first, bool masked, const void *payload, size_t n)
{
	uint8_t *buf = mem_must_zalloc(n + 14);

	ws_fix_put(x, buf, ws_fix_frame(buf, first, masked, payload, n));
	mem_free(buf);
}

size_t
ws_fix_sent(struct ws_fix *x, uint8_t *p, size_t n)
{
	return bufq_read(&x->raw->in, 0, p, n);
}

int
ws_fix_close_code(struct ws_fix *x)
{
	uint8_t p[4] = { 0 };

	if (ws_fix_sent(x, p, sizeof p) < 4 || p[0] != 0x88)
		return 0;
	return p[2] << 8 | p[3];
}
