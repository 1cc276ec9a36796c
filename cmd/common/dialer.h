/* SPDX-License-Identifier: ISC */
/*
 * dialer - from a relay's URL to an open WebSocket: look-up and connect (RFC 8305), the outbound
 * proxy's CONNECT, TLS, the opening handshake; and the proof of keys inside.  One deadline for each
 * phase, and every failure says which phase, on what, and what would help.
 */
#ifndef CMD_DIALER_H
#define CMD_DIALER_H

#include "lib/net/filter.h"
#include "lib/conf/opt.h"
#include "lib/tls/tls.h"
#include "lib/tls/tls_keyed.h"
#include "lib/net/url.h"

#define DIALER_PHASE_MS \
	15000 /* for each of: connecting, the proxy's answer, TLS, the relay's answer, the keys */

struct dialect;

/* Where to and how; borrowed by every dial, so it outlives them. */
struct dialer_target {
	struct url url;
	/* What is spoken there: it says what the WebSocket carries. */
	const struct dialect *dialect;
	/* NULL for ws:// */
	struct tls_client_ctx *tls;
	/* Our key, and the relay's, one of relay_keys; NULL: we log in by a secret. */
	struct tls_keyed *keyed;
	struct keys_list relay_keys;
	bool has_proxy;
	/* http://[user:password@]host:port */
	struct url proxy;
	/* "Name: value"; NULL: none */
	const struct opt_list *headers;
};

/*
 * dialer_proxy - the proxy that the environment names for url: HTTPS_PROXY for wss, HTTP_PROXY for
 * ws, then ALL_PROXY (lower case wins, as in curl), unless NO_PROXY admits the host.  explicit:
 * from --proxy, NULL: not given; "none" or "": no proxy, whatever the environment says.
 * ERR_INVALID with e.
 */
int dialer_proxy(struct dialer_target *t, const char *explicit, struct errtext *e) WARN_UNUSED;

/*
 * Bytes of all extra headers: no server takes much more than 16 KiB of a request's head, and the
 * handshake's own are in it.
 */
#define DIALER_HEADERS_MAX (12 * 1024)

/*
 * dialer_check_headers - is each "Name: value", and none that the handshake itself needs?
 * ERR_INVALID with e.
 */
int dialer_check_headers(const struct opt_list *headers, struct errtext *e) WARN_UNUSED;

struct dialer;

/*
 * The end of a dial, called once from the loop; the dialer is gone afterwards.
 *   f     the WebSocket filter, or that of TLS by keys on it, now the callee's, with no user; NULL
 *         on failure
 *   err   0; ERR_DENIED: the relay or proxy said 401, 403, 407, or the relay has another key;
 *         ERR_TLS; others
 */
typedef void dialer_fn(void *arg, struct filter *f, int err, const char *text);

/* dialer_start - NULL when out of memory. */
struct dialer *dialer_start(
    struct loop *l, const struct dialer_target *t, dialer_fn *fn, void *arg) WARN_UNUSED;

/*
 * dialer_wait_ms - within fn after a failure: how long the relay asks not to come again; 0: it does
 * not say.
 */
uint64_t dialer_wait_ms(const struct dialer *d);

/* dialer_is_ours - within fn after success: the relay says that it is one of ours. */
bool dialer_is_ours(const struct dialer *d);

/* dialer_status - as dialer_wait_ms: the HTTP status that refused us; 0: it was not that. */
int dialer_status(const struct dialer *d);

/* dialer_cancel - give up without calling fn; accepts NULL. */
void dialer_cancel(struct dialer *d);

#endif
