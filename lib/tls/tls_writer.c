/* SPDX-License-Identifier: ISC */
/* tls_writer - blocks filled one behind the other. */
#include "lib/tls/tls_writer.h"

#include <string.h>

uint8_t *
tls_writer_room(struct tls_writer *o, size_t *n)
{
	if (o->last == NULL || block_room(o->last) == 0) {
		block_unref(o->last);
		o->last = block_new(o->expected < BUF_HUGE ? o->expected : BUF_HUGE);
		if (o->last == NULL)
			return NULL;
	}
	*n = block_room(o->last);
	return o->last->data + o->last->fill;
}

int
tls_writer_add(struct tls_writer *o, size_t n)
{
	struct block *b = o->last;
	int r = bufq_append(&o->q, b, b->data + b->fill, n);

	if (r != 0)
		return r;
	b->fill += (uint32_t)n;
	o->expected -= n < o->expected ? n : o->expected;
	return 0;
}

int
tls_writer_put(struct tls_writer *o, const void *src, size_t n)
{
	const uint8_t *p = src;

	if (o->expected < n)
		o->expected = n;
	while (n > 0) {
		size_t k;
		uint8_t *to = tls_writer_room(o, &k);
		int r;

		if (to == NULL)
			return ERR_NOMEM;
		k = k < n ? k : n;
		memcpy(to, p, k);
		if ((r = tls_writer_add(o, k)) != 0)
			return r;
		p += k;
		n -= k;
	}
	return 0;
}

void
tls_writer_end(struct tls_writer *o)
{
	block_unref(o->last);
	o->last = NULL;
	o->expected = 0;
}

void
tls_writer_fini(struct tls_writer *o)
{
	tls_writer_end(o);
	bufq_fini(&o->q);
}
