/* SPDX-License-Identifier: ISC */
/*
 * hnr_bench - what http-network-relay's messages cost: GB of payload for each second of processor
 * time, by bytes in a message, for writing, for reading the reference's spelling, and for reading
 * another one (the strict parser).
 *
 *     hnr_bench [repetitions, default 7]
 *
 * Of the repetitions the fastest counts, as others use the machine too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/mem.h"
#include "proto/dialect/hnr_msg.h"

enum { BYTES = 24 * 1000 * 1000, WAYS = 3 };

static const size_t sizes[] = { 48, 1024, 16000, HNR_DATA_MAX };
static const char *const way_name[WAYS] = { "written", "read", "read strictly" };
#define ID "237369e7-ea63-4072-8e48-36594930ba19"

static double
cpu_s(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		abort();
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
write_one(struct bufq *out, const struct bufq *payload)
{
	struct bufq src = { 0 };

	if (bufq_share(&src, payload, 0, payload->len) != 0 ||
	    hnr_data_write(out, ID, &src, payload->len) != 0)
		abort();
}

static void
read_one(const struct bufq *in)
{
	struct hnr_msg m;
	struct errtext why;

	if (hnr_msg_read(&m, HNR_FROM_AGENT, in, &why) != 0)
		abort();
	hnr_msg_fini(&m);
}

static double
measure(int way, const struct bufq *payload)
{
	struct bufq text = { 0 };
	size_t n = BYTES / payload->len;
	double t;

	if (way == 2 && bufq_copy(&text, " ", 1) != 0)
		abort();
	write_one(&text, payload);
	t = cpu_s();
	for (size_t i = 0; i < n; i++) {
		struct bufq out = { 0 };

		if (way == 0)
			write_one(&out, payload);
		else
			read_one(&text);
		bufq_fini(&out);
	}
	t = cpu_s() - t;
	bufq_fini(&text);
	return (double)(n * payload->len) / t / 1e9;
}

int
main(int argc, char **argv)
{
	int repetitions = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 7;
	uint8_t *bytes = mem_must_zalloc(HNR_DATA_MAX);

	for (size_t i = 0; i < HNR_DATA_MAX; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	printf("GB/s     %14s %14s %14s\n", way_name[0], way_name[1], way_name[2]);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct bufq payload = { 0 };

		if (bufq_copy(&payload, bytes, sizes[i]) != 0)
			abort();
		printf("%8zu", sizes[i]);
		for (int way = 0; way < WAYS; way++) {
			double best = 0;

			for (int r = 0; r < repetitions; r++) {
				double v = measure(way, &payload);

				best = v > best ? v : best;
			}
			printf(" %14.2f", best);
		}
		printf("\n");
		bufq_fini(&payload);
	}
	mem_free(bytes);
	return 0;
}
