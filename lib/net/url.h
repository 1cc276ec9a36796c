/* SPDX-License-Identifier: ISC */
/*
 * url - absolute URLs of the schemes ws, wss, http and https (RFC 3986, RFC 6455 3), taken apart.
 *
 *     wss://t.example.com/path?query        http://user:password@proxy:3128
 *
 * User and password are secrets: no error text shows them, and url_wipe() overwrites them.
 */
#ifndef LIB_URL_H
#define LIB_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/hostport.h"

#define URL_TARGET_MAX 2048 /* characters of path and query */
#define URL_USER_MAX 255    /* characters of user, and of password */

enum url_scheme {
	URL_WS = 1,
	URL_WSS = 2,
	URL_HTTP = 4,
	URL_HTTPS = 8,
};

/* What url_parse accepts besides the schemes. */
enum url_flags {
	URL_USERINFO =
	    /* user and password in front of the host; a proxy's.  Refused otherwise. */
	16,
	/* no scheme at all is http, as curl reads the proxy variables */
	URL_BARE_HOST = 32,
};

struct url {
	enum url_scheme scheme;
	/* wss or https */
	bool tls;
	bool has_user;
	/* port: the scheme's own (80, 443) unless given */
	struct hostport at;
	/* path and query as they are sent, at least "/" */
	char target[URL_TARGET_MAX + 1];
	/* percent-decoded */
	char user[URL_USER_MAX + 1];
	char password[URL_USER_MAX + 1];
};

/*
 * url_parse - take s apart.
 *   allowed   schemes (enum url_scheme) and flags (enum url_flags) or-ed
 *   what      the word for it in error texts: "relay URL", "HTTPS_PROXY"
 * Returns 0; ERR_INVALID with e (may be NULL) saying what is wrong, which schemes would do, and for
 * user and password where they belong instead.  A fragment is refused (RFC 6455 3).
 */
int url_parse(const char *s, unsigned allowed, const char *what, struct url *u,
    struct errtext *e) WARN_UNUSED;

/*
 * url_host_header - "host" or "host:port" as a Host header has it: without the scheme's own port;
 * returns out.
 */
const char *url_host_header(const struct url *u, char out[HOSTPORT_TEXT_MAX + 1]);

/*
 * url_text - the URL without user and password, for messages; cut if outsz is too small; returns
 * out.
 */
const char *url_text(const struct url *u, char *out, size_t outsz);

/* url_wipe - overwrite all of it. */
void url_wipe(struct url *u);

#endif
