/* SPDX-License-Identifier: ISC */
/*
 * version - our own version, and those of the libraries that no single file of ours speaks for.
 */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

#define VERSION "0.1.0"

/* "2.1.12-stable", "1.1.1", "9.2.1": libevent's as it runs, the others as they were compiled in. */
const char *version_libevent(void);
const char *version_cares(void);
const char *version_wslay(void);
const char *version_llhttp(void);

#endif
