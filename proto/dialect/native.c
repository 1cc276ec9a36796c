/* SPDX-License-Identifier: ISC */
/*
 * native - our own mux as a dialect: binary messages whose boundaries mean nothing (PROTOCOL.md 2).
 */
#include "proto/dialect/dialect.h"

static const char *const paths[] = { "/", "/tunnel", NULL };

static struct session *
native_accept(const struct mux_config *cfg, const struct dialect_from *from, uint64_t now)
{
	/* All that it needs to know is said in HELLO. */
	(void)from;
	return mux_new(cfg, now);
}

const struct dialect dialect_native = {
	.name = "native",
	.paths = paths,
	.roles = DIALECT_FOR(CTL_AGENT) | DIALECT_FOR(CTL_CONNECT),
	.carries = SESSION_BYTES,
	.can = SESSION_HALF_CLOSE | SESSION_ACKS | SESSION_ENDS | SESSION_DATAGRAMS | SESSION_E2E |
	       SESSION_YIELDS,
	.accept = native_accept,
	.dial = mux_new,
};
