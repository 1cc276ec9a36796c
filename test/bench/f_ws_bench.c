/* SPDX-License-Identifier: ISC */
/*
 * f_ws_bench - what the WebSocket filter costs by itself: nanoseconds of processor time for each
 * frame and GB for each second, by size of payload, for both roles and directions.  Nothing stands
 * below it.
 *
 *     f_ws_bench [repetitions, default 7]
 *
 * Of the repetitions the fastest counts, as others use the machine too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/ws/f_ws.h"

enum { ROUNDS = 200, HEADER_MAX = 14 };

static const size_t sizes[] = { 0, 6, 32, 125, 512, 4096, 16384, 65536 };

/* ---- what stands below: takes everything ---- */

static int
drop_write(struct filter *f, struct bufq *src)
{
	(void)f;
	bufq_drain(src, src->len);
	return 0;
}

static void
drop_nothing(struct filter *f)
{
	(void)f;
}

static size_t
drop_room(struct filter *f)
{
	(void)f;
	return SIZE_MAX / 2;
}

static void
drop_pause(struct filter *f, bool paused)
{
	(void)f;
	(void)paused;
}

static int
drop_attach(struct filter *f, struct loop *l)
{
	(void)f;
	(void)l;
	return 0;
}

static const struct filter_ops drop_ops = { .name = "drop",
	.write = drop_write,
	.flush = drop_nothing,
	.room = drop_room,
	.shutdown = drop_nothing,
	.fini = drop_nothing,
	.pause = drop_pause,
	.detach = drop_nothing,
	.attach = drop_attach };

/* ---- the user ---- */

static struct filter *ws;
static size_t got;

static void
on_readable(void *arg)
{
	(void)arg;
	got += ws->in.len;
	bufq_drain(&ws->in, ws->in.len);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)arg;
	fprintf(stderr, "closed: %s %s\n", err_str(err), text);
	exit(1);
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

/* ---- one measurement ---- */

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
put_frame(uint8_t *p, size_t n, bool masked)
{
	size_t k = 2;

	p[0] = 0x82;
	p[1] = (uint8_t)(n < 126 ? n : n < 65536 ? 126 : 127);
	for (int i = n < 126 ? 0 : n < 65536 ? 2 : 8; i > 0; i--)
		p[k++] = (uint8_t)((uint64_t)n >> (8 * (i - 1)));
	if (masked) {
		p[1] |= 0x80;
		memcpy(p + k, "\x37\xfa\x21\x3d", 4);
		k += 4;
	}
	memset(p + k, 'x', n);
	return k + n;
}

/* A block full of frames of n bytes; unmasking changes payload only, so it serves many times. */
static struct block *
make_frames(size_t n, bool masked, size_t *frames)
{
	struct block *b = block_new(BUF_HUGE);

	if (b == NULL)
		exit(1);
	for (*frames = 0; b->fill + HEADER_MAX + n <= b->cap; ++*frames)
		b->fill += (uint32_t)put_frame(b->data + b->fill, n, masked);
	return b;
}

/* Everything that the filter has left for later turns too. */
static void
receive(struct loop *l, struct filter *below, struct block *b)
{
	if (bufq_append(&below->in, b, b->data, b->fill) != 0)
		exit(1);
	filter_readable(below);
	while (below->in.len > 0)
		loop_settle(l);
}

static void
send_frames(struct block *b, size_t n, size_t frames)
{
	struct bufq q = { 0 };

	for (size_t i = 0; i < frames; i++) {
		if (bufq_append(&q, b, b->data, n) != 0 || filter_write(ws, &q) != 0)
			exit(1);
		filter_flush(ws);
	}
}

static double
measure(struct loop *l, const struct f_ws_config *cfg, bool sending, size_t n, int repetitions)
{
	struct filter *below = mem_must_zalloc(sizeof *below);
	size_t frames;
	struct block *b = make_frames(n, !cfg->client, &frames);
	double best = 0;

	filter_init(below, &drop_ops, NULL, l);
	ws = f_ws_new(below, l, cfg);
	if (ws == NULL)
		exit(1);
	filter_set_user(ws, &user, NULL);
	loop_settle(l);
	for (int i = 0; i < repetitions; i++) {
		double before = cpu_s(), took;

		for (int j = 0; j < ROUNDS; j++) {
			if (sending)
				send_frames(b, n, frames);
			else
				receive(l, below, b);
		}
		took = (cpu_s() - before) / (double)(ROUNDS * frames);
		best = i == 0 || took < best ? took : best;
	}
	filter_free(ws);
	block_unref(b);
	loop_settle(l);
	return best;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		bool sending, client;
	} kinds[] = {
		{ "server receives", false, false },
		{ "client receives", false, true },
		{ "server sends", true, false },
		{ "client sends", true, true },
	};
	struct loop *l = loop_new();
	int repetitions = argc > 1 ? atoi(argv[1]) : 7;

	if (l == NULL)
		return 1;
	rand_init();
	printf("%-24s", "payload, bytes");
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		printf("%9zu", sizes[i]);
	printf("\n");
	for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		const struct f_ws_config cfg = { .mode = F_WS_STREAM, .client = kinds[k].client };

		printf("%-21s ns", kinds[k].name);
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			double s = kinds[k].sending && sizes[i] == 0
				       ? 0
				       : measure(l, &cfg, kinds[k].sending, sizes[i], repetitions);

			printf("%9.1f", s * 1e9);
			fflush(stdout);
		}
		printf("\n");
	}
	loop_free(l);
	f_ws_thread_fini();
	buf_pool_free();
	return 0;
}
