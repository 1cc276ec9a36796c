/* SPDX-License-Identifier: ISC */
/*
 * key_option - a program's own private key (lib/tls/keys.h), as its command line gives it.
 */
#ifndef CMD_KEY_OPTION_H
#define CMD_KEY_OPTION_H

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/conf/opt.h"
#include "lib/tls/tls_keyed.h"

struct key_opts {
	struct secret *key;
	char *file;
};

#define KEY_OPT_ROWS(S, m, WHAT)                                                       \
	{ .name = "key-file",                                                          \
		.kind = OPT_STRING,                                                    \
		.off = offsetof(S, m.file),                                            \
		.arg = "FILE",                                                         \
		.env = "TUNNEL_KEY_FILE",                                              \
		.rival = "key",                                                        \
		.help = WHAT },                                                        \
	{                                                                              \
		.name = "key", .kind = OPT_SECRET, .off = offsetof(S, m.key),          \
		.arg = "tunnel-priv-...", .env = "TUNNEL_KEY", .key = OPT_NO_KEY,      \
		.rival = "key-file",                                                   \
		.help = "the key itself; others may see it while the program starts: " \
			"prefer --key-file",                                           \
	}

/*
 * key_option_load - what a login by the key that was given needs, into *out, the caller's; NULL:
 * none was given.  The text of the key is wiped.  Who can read its file is looked at, and told in
 * the log.  ERR_INVALID and others with e.
 */
int key_option_load(struct key_opts *o, enum tls_keyed_end end, struct tls_keyed **out,
    struct errtext *e) WARN_UNUSED;

#endif
