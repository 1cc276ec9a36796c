/* SPDX-License-Identifier: ISC */
/*
 * version - of the libraries that have several owners among our files.
 */
#include "lib/base/version.h"

#include <ares.h>
#include <event2/event.h>
#include <llhttp.h>
#include <wslay/wslayver.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *
version_libevent(void)
{
	return event_get_version();
}

const char *
version_cares(void)
{
	return ares_version(NULL);
}

const char *
version_wslay(void)
{
	return WSLAY_VERSION;
}

const char *
version_llhttp(void)
{
	return TEXT(LLHTTP_VERSION_MAJOR) "." TEXT(LLHTTP_VERSION_MINOR) "." TEXT(
	    LLHTTP_VERSION_PATCH);
}
