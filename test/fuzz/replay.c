/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz harness (test/fuzz/NAME_fuzz.c) over its corpus without a fuzzer, so that `make
 * check` does it with any compiler: every file twice, because a harness must be deterministic and
 * leave no state behind; and of small files every truncation and every change of one byte.
 *
 *   replay PATH...    files, or folders whose files are taken in the order of their names
 *
 * The last line names how many inputs ran. A crash, or a sanitizer's complaint, is the failure; the
 * name of the file in work has been printed by then.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	/* what libFuzzer takes by default */
	FILE_BYTES_MAX = 1 << 20,
	/* larger files are not cut and changed: each costs three runs a byte */
	MUTATE_MAX = 1024,
};

static size_t n_inputs;

/* A copy of its own for each input: a sanitizer sees a read past the end. */
static void
run_one(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL) {
		perror("replay");
		exit(1);
	}
	if (len > 0)
		memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	n_inputs++;
}

static void
run_changed(uint8_t *data, size_t len)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };
	size_t i, f;

	for (i = 0; i < len; i++)
		run_one(data, i);
	for (i = 0; i < len; i++)
		for (f = 0; f < sizeof(flips); f++) {
			data[i] ^= flips[f];
			run_one(data, len);
			data[i] ^= flips[f];
		}
}

static void
run_file(const char *path)
{
	static uint8_t data[FILE_BYTES_MAX];
	FILE *f = fopen(path, "rb");
	size_t len;

	if (f == NULL) {
		fprintf(stderr, "replay: cannot open %s: %s\n", path, strerror(errno));
		exit(1);
	}
	len = fread(data, 1, sizeof(data), f);
	fclose(f);
	printf("%s: %zu bytes\n", path, len);
	fflush(stdout);
	run_one(data, len);
	run_one(data, len);
	if (len <= MUTATE_MAX)
		run_changed(data, len);
}

static int
is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void
run_path(const char *path)
{
	struct dirent **names;
	struct stat st;
	char sub[4096];
	int i, n;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	if ((n = scandir(path, &names, is_visible, alphasort)) < 0) {
		perror(path);
		exit(1);
	}
	for (i = 0; i < n; i++) {
		snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
		free(names[i]);
		run_file(sub);
	}
	free(names);
}

int
main(int argc, char **argv)
{
	int i;

	run_one((const uint8_t *)"", 0);
	for (i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%zu inputs\n", n_inputs);
	return 0;
}
