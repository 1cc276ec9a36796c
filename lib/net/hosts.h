/* SPDX-License-Identifier: ISC */
/*
 * hosts - the addresses that a file such as /etc/hosts (hosts(5)) gives to names.
 *
 * The file is kept in memory, sorted by name; it may be a blocking list of a hundred thousand lines.  It is
 * looked at again at most every HOSTS_LOOK_MS, and read again when it has changed.
 * A thread that looks up names has it for itself: there is one in each process, as a rule.
 *
 * Private to lib/net.
 */
#ifndef LIB_HOSTS_H
#define LIB_HOSTS_H

#include <stdint.h>

#define HOSTS_LOOK_MS 1000
/* Bytes; a larger file counts as empty, as one that cannot be read does. */
#define HOSTS_SIZE_MAX (64 * 1024 * 1024)

/*
 * hosts_each - call fn with each address of that name (in any case), in the order of the file; the text is borrowed for the call
 * and may be no address.  path: the same in every call.  now_ms: the monotonic clock.  fn must not call back.
 */
void hosts_each(const char *path, const char *name, uint64_t now_ms,
    void (*fn)(void *arg, const char *address), void *arg);

/* hosts_free - forget the file: at the end of a thread or a test. */
void hosts_free(void);

#endif
