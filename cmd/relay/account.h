/* SPDX-License-Identifier: ISC */
/*
 * account - who a limit belongs to: one for each entry of the credentials and each secret of
 * access-client-secrets, and one for each address (an IPv6 /56 is one): of those who need no
 * credentials, and of lines in the log about those who have the wrong ones.
 * However many sessions somebody opens, on whatever workers, all of them count in the same account.
 *
 * accounts_get() finds or makes it when somebody logs in, account_put() lets it go with the
 * session.  It is kept for a while after that, so that who logs in again at once finds its counters
 * as they were.
 *
 * Threads: shared by all workers.  The table has one lock, taken at login and at the end of a
 * session; the counters are atomic.
 */
#ifndef CMD_RELAY_ACCOUNT_H
#define CMD_RELAY_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/log_limit.h"
#include "lib/net/addr.h"
#include "proto/creds.h"

/* How long an account without sessions is kept. */
#define ACCOUNT_KEEP_MS 10000
/* OPENs that may come at once before the rate counts, in milliseconds of that rate. */
#define ACCOUNT_OPEN_BURST_MS 500

/*
 * Lines a second that an account can cause: an honest one that opens 50 connections a second has
 * each of them in the log.
 */
#define ACCOUNT_LOG_LINES 200

struct account;
struct accounts;
struct budget;

/*
 * accounts_new - an empty table.
 *   limits  of those whose entry says nothing of its own
 *   memory  what all of them together may make us hold; borrowed
 * NULL: out of memory.  accounts_free - with all in it; accepts NULL.
 */
struct accounts *accounts_new(const struct creds_limits *limits, struct budget *memory);
void accounts_free(struct accounts *t);

/*
 * accounts_get - the account of id, one reference for the caller.
 *   address  of whoever has no credentials (CREDS_NOBODY): where it comes from
 *   c        the credentials in force: its entry's limits count from now on; NULL: there are none
 * NULL: out of memory.
 */
struct account *accounts_get(struct accounts *t, const struct creds_id *id,
    const uint8_t address[ADDR_IDENTITY_LEN], const struct creds *c);
void account_ref(struct accounts *t, struct account *a);
void account_put(struct accounts *t, struct account *a, uint64_t now_ms);

/* account_refresh - its limits as the credentials have them now. */
void account_refresh(struct accounts *t, struct account *a, const struct creds *c);

/*
 * accounts_sweep - free those that nobody has held for ACCOUNT_KEEP_MS.  From time to time, any
 * thread.
 */
void accounts_sweep(struct accounts *t, uint64_t now_ms);
/*
 * accounts_count - those that are kept, held or not.  For tests: that one is forgotten in time
 * shows nowhere else.
 */
size_t accounts_count(struct accounts *t);

/* account_enter - one session more, unless it has as many as it may.  account_leave - one less. */
bool account_enter(struct account *a);
void account_leave(struct account *a);

/* account_open - the same of streams, account_close. */
bool account_open(struct account *a);
void account_close(struct account *a);
/*
 * account_lingering - streams of its, to a client or an agent, that belong to none that is open: a
 * reset that waits for room there, or an OPEN that is being looked at.
 */
uint64_t account_lingering(const struct account *a);
/* account_streams_max - for whoever counts them otherwise: an agent's, which others open. */
uint64_t account_streams_max(const struct account *a);

/*
 * account_hold - bytes of the account's streams have come that wait for the next hop.
 * account_pass - they have gone on.
 * account_is_over - are there more of them than it may have?
 */
void account_hold(struct account *a, uint64_t n);
void account_pass(struct account *a, uint64_t n);
bool account_is_over(const struct account *a);

/*
 * account_budget - pays for what the account's streams may make us hold; there as long as somebody
 * has a reference.
 */
struct budget *account_budget(struct account *a);
/*
 * account_number - what tells the clients of an agent's session apart (PROTOCOL.md 4.2, "client");
 * never 0.
 */
uint32_t account_number(const struct account *a);

/* account_log - of lines that it can cause. */
struct log_limit *account_log(struct account *a);
/* account_refused_log - of lines about logins of its that were refused. */
struct log_limit *account_refused_log(struct account *a);

/* account_opened - one OPEN has come. */
void account_opened(struct account *a, uint64_t now_us);
/*
 * account_wait_ms - how long nothing more should be read from the account's sessions, since they
 * open too fast: 0 while they keep to the rate.
 */
uint64_t account_wait_ms(const struct account *a, uint64_t now_us);

#endif
