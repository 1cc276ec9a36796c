/* SPDX-License-Identifier: ISC */
/*
 * tls_rec - the records of a TLS 1.3 connection after its handshake (RFC 8446 5, 4.6, 6), without
 * I/O.
 *
 * mbedTLS does the handshake; then lib/tls/f_tls.c makes one of these from the secrets of both
 * directions.  Input is decrypted in place, in the queue of the filter below; output is encrypted
 * into the blocks that go there.
 *
 * Other records than data: an alert ends the connection.  A KeyUpdate of the peer is followed and,
 * if it asks, answered before our next byte; our own goes out before a key of AES-GCM has protected
 * TLS_REC_GCM_RECORDS records (5.5).  Session tickets are passed over: we never resume.
 *
 * A peer cannot make us work for nothing for ever.  After TLS_REC_IDLE_MAX records in a row without
 * data, or as many tickets, it is refused.  One call opens no more than its budget: each record
 * counts TLS_REC_COST bytes beside its own, and a new key TLS_REC_KEY_COST.
 *
 * What each part gives: GB/s through both ends for each second of processor time with it, and
 * with the part taken out (build/default/bench/f_tls_bench 262144, medians, a CPU with VAES):
 *
 *     our own records, not mbedTLS's (f_tls_bench 262144 1000 12)       4.8    3.3
 *     decrypted in place, not into another block                        4.8    3.9
 *     a record goes on in the next block, none has a block of its own   4.8    3.8
 *     AES-GCM by libipsec-mb, not mbedTLS's (make bench-gcm, 16 KiB)    5.7    0.1 (one end)
 *
 * Tried, and taken out or not put in because it gave less than 5 %: a record that came in several
 * blocks decrypted in place too (0).  What is left beside the cipher is 15 % of f_tls_bench's time,
 * no function above 1 %.
 *
 * Errors: ERR_NOMEM and ERR_TLS end the connection; after them only one alert can be sealed.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_REC_H
#define LIB_TLS_REC_H

#include "lib/net/buf.h"
#include "lib/tls/tls_writer.h"

#define TLS_REC_HEADER 5
/* Bytes of payload in one record (5.1). */
#define TLS_REC_PLAIN 16384
/* What a record of ours has beside them: header, type, tag. */
#define TLS_REC_EXTRA 22
/* The longest body that may come (5.2). */
#define TLS_REC_CIPHER (16384 + 256)
/* Bytes of a traffic secret: a SHA-384 hash. */
#define TLS_REC_SECRET_MAX 48
/* Under one key; 5.5 allows 2^24.5 full ones. */
#define TLS_REC_GCM_RECORDS (1 << 24)
/* OpenSSL and BoringSSL have the same limit. */
#define TLS_REC_IDLE_MAX 32
#define TLS_REC_COST 256
#define TLS_REC_KEY_COST (16 * 1024)
/* Bytes of a session ticket that is passed over; its fields allow half of it. */
#define TLS_REC_TICKET_MAX (256 * 1024)

/* The alerts that are sent or understood here (RFC 8446 6). */
enum tls_alert {
	TLS_ALERT_CLOSE_NOTIFY = 0,
	TLS_ALERT_UNEXPECTED_MESSAGE = 10,
	TLS_ALERT_BAD_RECORD_MAC = 20,
	TLS_ALERT_RECORD_OVERFLOW = 22,
	TLS_ALERT_ILLEGAL_PARAMETER = 47,
	TLS_ALERT_DECODE_ERROR = 50,
	TLS_ALERT_USER_CANCELED = 90,
};

struct tls_rec;

/* How a connection stands at the end of its handshake; borrowed for the call. */
struct tls_rec_start {
	/* We are. */
	bool server;
	/* IANA's number. */
	int suite;
	/* client_application_traffic_secret_0 (7.1) */
	const uint8_t *client_secret;
	const uint8_t *server_secret;
	/* Of each; what the suite's hash makes. */
	size_t secret_len;
	/* Of the next record (5.3) */
	uint64_t read_seq, write_seq;
	/* The most payload in a record of ours, 1 to TLS_REC_PLAIN. */
	size_t fragment;
};

/* tls_rec_is_known - can records of this suite be made here? */
bool tls_rec_is_known(int suite);

/*
 * tls_rec_new - NULL: out of memory, or an unknown suite or a wrong length of secrets.
 * tls_rec_free - accepts NULL, wipes.
 */
struct tls_rec *tls_rec_new(const struct tls_rec_start *s);
void tls_rec_free(struct tls_rec *r);

/*
 * tls_rec_seal - take all of plain and write it to out in as few records as possible, after a
 * KeyUpdate if one is due.
 * Returns 0, or ERR_NOMEM: some of it is lost then.
 */
int tls_rec_seal(struct tls_rec *r, struct bufq *plain, struct tls_writer *out) WARN_UNUSED;

/* tls_rec_send_alert - write an alert.  Returns 0 or ERR_NOMEM. */
int tls_rec_send_alert(struct tls_rec *r, enum tls_alert alert, struct tls_writer *out) WARN_UNUSED;

/*
 * tls_rec_send_update - write a KeyUpdate and seal with the next key from here on; ask: the peer
 * shall do the same.
 * Returns 0 or ERR_NOMEM.
 */
int tls_rec_send_update(struct tls_rec *r, bool ask, struct tls_writer *out) WARN_UNUSED;

/*
 * tls_rec_owes_update - has the peer asked for a KeyUpdate that was not sent yet?  tls_rec_seal()
 * sends it if nobody does.
 */
bool tls_rec_owes_update(const struct tls_rec *r);

/*
 * tls_rec_open - take the whole records that stand in `in`, and move their payload to the end of
 * out.  The bytes of `in` are changed in place: nobody else may hold them (bufq_own).
 * Returns 0 when no whole record is left; ERR_AGAIN when budget is used up, and more may be there;
 * ERR_EOF after close_notify; ERR_NOMEM; ERR_TLS, with a sentence in e.  Payload that came before
 * an error is in out.
 */
int tls_rec_open(struct tls_rec *r, struct bufq *in, struct bufq *out, size_t budget,
    struct errtext *e) WARN_UNUSED;

/*
 * tls_rec_find_type - the type of a decrypted record of n bytes, the last of them that is not zero,
 * and how many bytes of payload stand before it (RFC 8446 5.4).  Looks at the type and the zeros
 * behind it and at no others.  For tls_rec.c and its test.  False: there is none.
 */
bool tls_rec_find_type(const uint8_t *p, size_t n, uint8_t *type, size_t *payload);

/*
 * tls_rec_refusal - after ERR_TLS of tls_rec_open(): the alert that tells the peer why;
 * TLS_ALERT_CLOSE_NOTIFY when there is nothing to tell, because the peer itself has ended it.
 */
enum tls_alert tls_rec_refusal(const struct tls_rec *r);

#endif
