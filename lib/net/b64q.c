/* SPDX-License-Identifier: ISC */
/*
 * b64q - base64 between queues of blocks: whole groups where they stand, a group that two pieces
 * share through a few bytes of its own.
 */
#include "lib/net/b64q.h"

#include <assert.h>
#include <string.h>

#include "lib/base/b64.h"

enum {
	GROUP = 3,
	GROUP_TEXT = 4,
	/* Pieces looked at in one go. */
	IOV_TURN = 16,
	/* Bytes of a block that are filled with whole groups. */
	PART = BUF_HUGE / GROUP * GROUP
};

/* ---- encoding ---- */

struct enc {
	char *to;
	/* Of a group that is not whole yet. */
	uint8_t begun[GROUP];
	size_t n;
};

static void
enc_piece(struct enc *e, const uint8_t *p, size_t n)
{
	size_t whole;

	while (e->n > 0 && e->n < GROUP && n > 0) {
		e->begun[e->n++] = *p++;
		n--;
	}
	if (e->n == GROUP) {
		b64_encode_groups(e->to, e->begun, GROUP);
		e->to += GROUP_TEXT;
		e->n = 0;
	}
	whole = n - n % GROUP;
	b64_encode_groups(e->to, p, whole);
	e->to += whole / GROUP * GROUP_TEXT;
	if (n > whole) {
		memcpy(e->begun, p + whole, n - whole);
		e->n = n - whole;
	}
}

void
b64q_encode(struct block *b, const struct bufq *in, size_t n)
{
	struct enc e = { .to = (char *)b->data + b->fill };
	char last[GROUP_TEXT + 1];
	struct iovec iov[IOV_TURN];

	assert(n <= in->len && B64_ENC_LEN(n) <= block_room(b));
	b->fill += (uint32_t)B64_ENC_LEN(n);
	for (size_t off = 0; off < n;) {
		int k = bufq_peek(in, off, n - off, iov, IOV_TURN);

		for (int i = 0; i < k; i++) {
			enc_piece(&e, iov[i].iov_base, iov[i].iov_len);
			off += iov[i].iov_len;
		}
	}
	if (e.n > 0) {
		IGNORE_RESULT(b64_encode(last, sizeof last, e.begun, e.n, B64_STD)); /* it fits */
		memcpy(e.to, last, GROUP_TEXT);
	}
}

/* ---- decoding ---- */

struct dec {
	uint8_t *to;
	/* Of a group that is not whole yet. */
	char begun[GROUP_TEXT];
	size_t n;
	bool ok;
};

static void
dec_piece(struct dec *d, const char *p, size_t n)
{
	size_t whole;

	while (d->n > 0 && d->n < GROUP_TEXT && n > 0) {
		d->begun[d->n++] = *p++;
		n--;
	}
	if (d->n == GROUP_TEXT) {
		d->ok &= b64_decode_groups(d->to, d->begun, GROUP_TEXT);
		d->to += GROUP;
		d->n = 0;
	}
	whole = n - n % GROUP_TEXT;
	d->ok &= b64_decode_groups(d->to, p, whole);
	d->to += whole / GROUP_TEXT * GROUP;
	if (n > whole) {
		memcpy(d->begun, p + whole, n - whole);
		d->n = n - whole;
	}
}

/* n characters, a multiple of GROUP_TEXT, of in from off on, without padding, to out. */
static bool
dec_groups(uint8_t *out, const struct bufq *in, size_t off, size_t n)
{
	struct dec d = { .to = out, .ok = true };
	struct iovec iov[IOV_TURN];

	for (size_t end = off + n; off < end && d.ok;) {
		int k = bufq_peek(in, off, end - off, iov, IOV_TURN);

		for (int i = 0; i < k; i++) {
			dec_piece(&d, iov[i].iov_base, iov[i].iov_len);
			off += iov[i].iov_len;
		}
	}
	return d.ok;
}

/* At most PART bytes from n characters, in a block of their own, behind out. */
static int
dec_part(struct bufq *out, const struct bufq *in, size_t off, size_t n)
{
	size_t len = n / GROUP_TEXT * GROUP;
	struct block *b = block_new(len);
	int r = ERR_NOMEM;

	if (b != NULL) {
		r = dec_groups(b->data, in, off, n) ? 0 : ERR_INVALID;
		b->fill = (uint32_t)len;
	}
	if (r == 0)
		r = bufq_append(out, b, b->data, len);
	block_unref(b);
	return r;
}

/* The last group, which may be padded. */
static int
dec_last(struct bufq *out, const struct bufq *in, size_t off)
{
	char last[GROUP_TEXT];
	uint8_t bytes[GROUP];
	ssize_t n =
	    b64_decode(bytes, sizeof bytes, last, bufq_read(in, off, last, sizeof last), B64_STD);

	return n < 0 ? (int)n : bufq_copy(out, bytes, (size_t)n);
}

int
b64q_decode(struct bufq *out, const struct bufq *in, size_t off, size_t n)
{
	struct bufq bytes = { 0 };
	int r = n % GROUP_TEXT == 0 ? 0 : ERR_INVALID;

	assert(off + n <= in->len);
	while (r == 0 && n > GROUP_TEXT) {
		size_t part = n - GROUP_TEXT;

		if (part > PART / GROUP * GROUP_TEXT)
			part = PART / GROUP * GROUP_TEXT;
		r = dec_part(&bytes, in, off, part);
		off += part;
		n -= part;
	}
	if (r == 0 && n > 0)
		r = dec_last(&bytes, in, off);
	if (r == 0)
		r = bufq_move(out, &bytes, bytes.len);
	bufq_fini(&bytes);
	return r;
}
