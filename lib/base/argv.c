/* SPDX-License-Identifier: ISC */
/*
 * argv - overwrite secrets in argv's own memory, which is what /proc/PID/cmdline shows.
 */
#include "lib/base/argv.h"

#include <string.h>

#include "lib/base/mem.h"

void
argv_wipe(char *value)
{
	size_t n = strlen(value);

	if (n == 0)
		return;
	mem_wipe(value, n);
	value[0] = 'x';
}

void
argv_wipe_flag(int argc, char **argv, const char *flag)
{
	size_t n = strlen(flag);
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], flag, n) != 0)
			continue;
		if (argv[i][n] == '=')
			argv_wipe(argv[i] + n + 1);
		else if (argv[i][n] == '\0' && i + 1 < argc)
			argv_wipe(argv[++i]);
	}
}
