/* SPDX-License-Identifier: ISC */
/*
 * bodyrun - one body through body_take, cut in a given way, and all that came of it.  Header only,
 * for units and the fuzzer.
 */
#ifndef TEST_UNIT_BODYRUN_H
#define TEST_UNIT_BODYRUN_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/body.h"

struct bodyrun {
	/* of body_take: the last answer */
	int r;
	struct errtext why;
	bool done;
	/* bytes of the input that were taken, if it was not refused */
	size_t taken;
	uint8_t *payload;
	size_t n;
	/* "name: value|" of each */
	char trailers[2 * BODY_TRAILERS_MAX];
};

/*
 * bodyrun - give it n bytes at p: first of them, then pieces of step, at most max bytes of payload
 * a call.  Returns NULL when there is no memory, else free it by bodyrun_free.
 */
static inline struct bodyrun *
bodyrun(enum http_body kind, uint64_t length, const void *p, size_t n, size_t first, size_t step,
    size_t max)
{
	struct bodyrun *run = calloc(1, sizeof *run);
	struct bufq in = { 0 }, out = { 0 };
	struct body_reader b;
	const char *name, *value;
	size_t given = 0, len = 0;

	body_begin(&b, kind, length);
	while (run != NULL && run->r == 0 && given < n && !body_is_done(&b)) {
		size_t piece = given == 0 && first > 0 ? first : step, before;

		if (piece > n - given)
			piece = n - given;
		if (bufq_copy(&in, (const uint8_t *)p + given, piece) != 0)
			break;
		given += piece;
		do {
			before = out.len;
			run->r = body_take(&b, &in, &out, max, &run->why);
		} while (run->r == 0 && out.len > before);
	}
	if (run != NULL && (run->payload = malloc(out.len + 1)) != NULL) {
		run->n = bufq_read(&out, 0, run->payload, out.len);
		run->taken = given - in.len;
		run->done = body_is_done(&b);
		for (size_t i = 0; body_trailer_at(&b, i, &name, &value); i++)
			len += (size_t)snprintf(run->trailers + len, sizeof run->trailers - len,
			    "%s: %s|", name, value);
	}
	body_fini(&b);
	bufq_fini(&in);
	bufq_fini(&out);
	return run;
}

static inline void
bodyrun_free(struct bodyrun *run)
{
	if (run != NULL)
		free(run->payload);
	free(run);
}

/* bodyrun_is_same - the same payload, answer, place and trailers. */
static inline bool
bodyrun_is_same(const struct bodyrun *a, const struct bodyrun *b)
{
	return a->r == b->r && strcmp(a->why.s, b->why.s) == 0 && a->done == b->done &&
	       a->n == b->n && memcmp(a->payload, b->payload, a->n) == 0 &&
	       (a->r != 0 || a->taken == b->taken) && strcmp(a->trailers, b->trailers) == 0;
}

#endif
