/* SPDX-License-Identifier: ISC */
/*
 * tls_words - sentences for what ends a TLS connection; shared by its two makers of records.
 * Private to lib/tls.
 */
#ifndef LIB_TLS_WORDS_H
#define LIB_TLS_WORDS_H

#include "lib/base/err.h"

#define TLS_WORDS_CHANGED "TLS: a record was changed on its way"
#define TLS_WORDS_IDLE "TLS: the peer sends records that bring nothing"
#define TLS_WORDS_MALFORMED "TLS: the peer sent a malformed record"

/*
 * tls_words_alert - the peer sent this fatal alert (RFC 8446 6.2); doing: "TLS", "TLS handshake".
 * Returns ERR_TLS; ERR_DENIED when the alert is access_denied: it knows who we are.
 */
int tls_words_alert(struct errtext *e, const char *doing, unsigned alert);

#endif
