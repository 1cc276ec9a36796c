/* SPDX-License-Identifier: ISC */
/*
 * ws_fix - a WebSocket filter whose other end is the test: raw bytes in, raw bytes out, messages
 * written down.
 *
 * Failures of the set-up itself end the test.
 */
#ifndef TEST_UNIT_WS_FIX_H
#define TEST_UNIT_WS_FIX_H

#include "lib/ws/f_ws.h"
#include "test/unit/memfilter.h"

enum {
	MAX_MESSAGE = 100000, /* bytes, of ws_fix_messages() */
	LOG_MAX = 1 << 20
};

/* A masking key of zeros, for frames written by hand. */
#define Z "\0\0\0\0"

/* One WebSocket end and, on the other side of the memory, a raw one. */
struct ws_fix {
	struct loop *l;
	struct filter *ws, *raw;
	struct sink ws_sink, raw_sink;
	char *log; /* messages as "T5:Hello" one behind the other */
	size_t log_len;
	int n_messages, n_pongs;
	bool free_in_message;
};

/*
 * ws_fix_new - any configuration; _messages and _stream the usual two.  ws_fix_free ends it and
 * lets the loop settle.
 */
struct ws_fix *ws_fix_new(struct f_ws_config cfg);
struct ws_fix *ws_fix_messages(bool client);
struct ws_fix *ws_fix_stream(bool client);
void ws_fix_free(struct ws_fix *x);

/* ws_fix_put - n raw bytes to the filter, and all that follows from them. */
void ws_fix_put(struct ws_fix *x, const void *p, size_t n);

/*
 * ws_fix_frame - a frame with a fixed key, its length in the shortest form; first: its first byte.
 * Returns its bytes.
 */
size_t ws_fix_frame(uint8_t *out, uint8_t first, bool masked, const void *payload, size_t n);

/* ws_fix_put_frame - such a frame to the filter. */
void ws_fix_put_frame(struct ws_fix *x, uint8_t first, bool masked, const void *payload, size_t n);

/* ws_fix_sent - what the filter has sent so far, copied; returns how much of it. */
size_t ws_fix_sent(struct ws_fix *x, uint8_t *p, size_t n);

/*
 * ws_fix_close_code - the code of an unmasked Close at the front of what was sent; 0: there is
 * none.
 */
int ws_fix_close_code(struct ws_fix *x);

#endif
