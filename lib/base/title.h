/* SPDX-License-Identifier: ISC */
/*
 * title - keep secrets out of what ps(1) and /proc/PID/cmdline show.
 *
 * This narrows a window and does not close it: between exec and the call everyone on the machine
 * can read the arguments. A file or an environment variable is the right way to pass a secret.
 */
#ifndef LIB_TITLE_H
#define LIB_TITLE_H

/* title_wipe - overwrite a value that stands in argv.  Copy it first.  It becomes "x"; an empty one stays. */
void title_wipe(char *value);

/*
 * title_wipe_arg - overwrite, in place, the value of every flag in argv, written "flag VALUE" or
 * "flag=VALUE"; "--" ends the search.  Copy the value first.  The strings stay terminated and
 * become "x", so the length is not shown either.
 */
void title_wipe_arg(int argc, char **argv, const char *flag);

#endif
