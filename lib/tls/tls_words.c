/* SPDX-License-Identifier: ISC */
/* tls_words - what an alert means to the person who reads the log. */
#include "lib/tls/tls_words.h"

#include <mbedtls/ssl.h>

static const char *
alert_words(unsigned alert)
{
	switch (alert) {
	case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
		return "no cipher or key in common";
	case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
		return "no TLS version in common";
	case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
	case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
	case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
	case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
	case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
		return "it does not accept our certificate";
	case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
		return "our certificate has expired";
	case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
		return "it does not know who issued our certificate";
	case MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED:
		return "it wants a certificate from us";
	case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME:
		return "it does not serve that name";
	case MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL:
		return "it speaks another protocol";
	case MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC:
		return "a record was changed on its way";
	default:
		return "RFC 8446 6.2";
	}
}

int
tls_words_alert(struct errtext *e, const char *doing, unsigned alert)
{
	int err = alert == MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED ? ERR_DENIED : ERR_TLS;

	return err_set(
	    e, err, "%s: the peer ended it with alert %u (%s)", doing, alert, alert_words(alert));
}
