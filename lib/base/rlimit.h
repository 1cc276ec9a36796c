/* SPDX-License-Identifier: ISC */
/*
 * rlimit - descriptors: as many as the system gives, and one kept back for the day there are none
 * left.
 */
#ifndef LIB_RLIMIT_H
#define LIB_RLIMIT_H

#include <stdint.h>

#include "lib/base/err.h"

#define RLIMIT_FILES_WANTED (1024 * 1024) /* what is asked for where the kernel would allow it */

/*
 * rlimit_raise_files - lift the soft limit of open files to the hard one, and the hard one to
 * RLIMIT_FILES_WANTED if that is permitted.  Returns what is in force now, at least 0 on failure:
 * it is for the log, nothing depends on it.
 */
uint64_t rlimit_raise_files(void);

/* A descriptor that nobody uses, held open.  Embedded; one for each thread that accepts. */
struct rlimit_reserve {
	/* -1: none */
	int fd;
};

/*
 * rlimit_reserve_init - take it; ERR_SYS if there is none to take.  rlimit_reserve_fini - give it
 * back.
 */
int rlimit_reserve_init(struct rlimit_reserve *r) WARN_UNUSED;
void rlimit_reserve_fini(struct rlimit_reserve *r);

/*
 * rlimit_reserve_refuse - when accept(2) says EMFILE or ENFILE: let the reserve go, accept one
 * connection of listen_fd (non-blocking), reset it at once so that its peer learns and does not
 * take it for one that has ended well, and take the reserve again.
 * Returns 0; ERR_AGAIN if nobody was waiting; ERR_SYS.  Afterwards r->fd may be -1; the next call
 * tries again.
 */
int rlimit_reserve_refuse(struct rlimit_reserve *r, int listen_fd) WARN_UNUSED;

#endif
