/* SPDX-License-Identifier: ISC */
/*
 * argv - keep secrets out of what ps(1) and /proc/PID/cmdline show.
 *
 * This narrows a window and does not close it: between exec and the call everyone on the machine
 * can read the arguments. A file or an environment variable is the right way to pass a secret.
 */
#ifndef LIB_ARGV_H
#define LIB_ARGV_H

/*
 * argv_wipe - overwrite a value that stands in argv.  Copy it first.  It becomes "x"; an empty one
 * stays.
 */
void argv_wipe(char *value);

/*
 * argv_wipe_flag - overwrite, in place, the value of every flag in argv, written "flag VALUE" or
 * "flag=VALUE"; "--" ends the search.  Copy the value first.  The strings stay terminated and
 * become "x", so the length is not shown either.
 */
void argv_wipe_flag(int argc, char **argv, const char *flag);

#endif
