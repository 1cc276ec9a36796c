/* SPDX-License-Identifier: ISC */
/* account - the table of identities and what each has open. */
#include "cmd/relay/account.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/hash.h"
#include "lib/base/hashtab.h"
#include "lib/base/mem.h"
#include "proto/flow.h"

#define NS_PER_MS 1000000

/* What tells accounts apart.  Compared as bytes, so all of it is set. */
struct account_key {
	enum creds_kind kind;
	char name[CTL_AGENT_MAX + 1];
	/* CREDS_SHARED: which of the secrets */
	uint8_t digest[HASH_SHA256_LEN];
	/* CREDS_NOBODY */
	uint8_t address[ADDR_IDENTITY_LEN];
};

struct account {
	struct account_key key;
	UT_hash_handle hh;
	/* Guarded by the table's lock. */
	unsigned refs;
	/* in the list of those */
	bool unheld;
	uint64_t unheld_ms;
	TAILQ_ENTRY(account) unheld_turn;
	/* Any thread's. */
	struct log_limit log, refused_log;
	_Atomic uint64_t max_sessions, max_streams, max_opens;
	/* What its streams may make us hold. */
	struct budget budget;
	uint32_t number;
	_Atomic uint64_t sessions, streams, held;
	/*
	 * When all OPENs so far would have come, had they come at the rate; later than now while
	 * they come faster.
	 */
	_Atomic uint64_t opened_ns;
};

TAILQ_HEAD(account_list, account);

struct accounts {
	/* constant */
	struct creds_limits limits;
	struct budget *memory;
	/* guards everything below; nothing else is taken while it is held */
	pthread_mutex_t lock;
	struct account *all;
	uint32_t last_number;
	/* by unheld_ms */
	struct account_list unheld;
};

/* ---- the table ---- */

struct accounts *
accounts_new(const struct creds_limits *limits, struct budget *memory)
{
	struct accounts *t = mem_zalloc(sizeof *t);

	if (t == NULL)
		return NULL;
	t->limits = *limits;
	t->memory = memory;
	if (pthread_mutex_init(&t->lock, NULL) != 0) {
		mem_free(t);
		return NULL;
	}
	TAILQ_INIT(&t->unheld);
	return t;
}

/* What it has left out of the log is told now: not while the lock is held. */
static void
account_free(struct account *a)
{
	log_limit_fini(&a->log);
	log_limit_fini(&a->refused_log);
	mem_free(a);
}

void
accounts_free(struct accounts *t)
{
	struct account *a, *tmp;

	if (t == NULL)
		return;
	HASH_ITER(hh, t->all, a, tmp)
	{
		HASH_DEL(t->all, a);
		account_free(a);
	}
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

static void
key_of(struct account_key *k, const struct creds_id *id, const uint8_t address[ADDR_IDENTITY_LEN])
{
	memset(k, 0, sizeof *k);
	k->kind = id->kind;
	memcpy(k->name, id->name, strlen(id->name));
	if (id->kind == CREDS_SHARED)
		memcpy(k->digest, id->digest, sizeof k->digest);
	if (id->kind == CREDS_NOBODY)
		memcpy(k->address, address, sizeof k->address);
}

/* For logs; never anything of a secret. */
static const char *
name_of(const struct account_key *k, char out[LOG_LIMIT_WHO])
{
	static const char *const kind[] = {
		[CREDS_NOBODY] = "",
		[CREDS_AGENT] = "agent ",
		[CREDS_SHARED] = "clients with a secret of access-client-secrets",
		[CREDS_CLIENT] = "client ",
	};
	char address[ADDR_TEXT];

	snprintf(out, LOG_LIMIT_WHO, "%s%.64s", kind[k->kind],
	    k->kind == CREDS_NOBODY ? addr_identity_text(k->address, address) : k->name);
	return out;
}

static struct account *
account_new(struct accounts *t, const struct account_key *k)
{
	struct account *a = mem_zalloc(sizeof *a);
	char name[LOG_LIMIT_WHO];

	if (a == NULL)
		return NULL;
	/* An assignment need not copy the padding, and that is compared too. */
	memcpy(&a->key, k, sizeof a->key);
	budget_init(&a->budget, t->limits.memory, t->memory);
	a->number = ++t->last_number != 0 ? t->last_number : ++t->last_number;
	HASH_ADD(hh, t->all, key, sizeof a->key, a);
	if (!hashtab_has(a)) {
		mem_free(a);
		return NULL;
	}
	log_limit_init(&a->log, ACCOUNT_LOG_LINES, LOG_LIMIT_MS, "%s", name_of(k, name));
	log_limit_init(
	    &a->refused_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "refused logins of %s", name);
	return a;
}

/* Takes the reference that the caller is given. */
static void
hold(struct accounts *t, struct account *a)
{
	if (a->refs++ == 0 && a->unheld)
		TAILQ_REMOVE(&t->unheld, a, unheld_turn);
	a->unheld = false;
}

struct account *
accounts_get(struct accounts *t, const struct creds_id *id,
    const uint8_t address[ADDR_IDENTITY_LEN], const struct creds *c)
{
	struct account_key k;
	struct account *a;

	key_of(&k, id, address);
	pthread_mutex_lock(&t->lock);
	HASH_FIND(hh, t->all, &k, sizeof k, a);
	if (a == NULL)
		a = account_new(t, &k);
	if (a != NULL)
		hold(t, a);
	pthread_mutex_unlock(&t->lock);
	if (a != NULL)
		account_refresh(t, a, c);
	return a;
}

void
account_ref(struct accounts *t, struct account *a)
{
	pthread_mutex_lock(&t->lock);
	hold(t, a);
	pthread_mutex_unlock(&t->lock);
}

void
account_put(struct accounts *t, struct account *a, uint64_t now_ms)
{
	pthread_mutex_lock(&t->lock);
	if (--a->refs == 0) {
		a->unheld = true;
		a->unheld_ms = now_ms;
		TAILQ_INSERT_TAIL(&t->unheld, a, unheld_turn);
	}
	pthread_mutex_unlock(&t->lock);
}

void
accounts_sweep(struct accounts *t, uint64_t now_ms)
{
	struct account_list gone = TAILQ_HEAD_INITIALIZER(gone);
	struct account *a;

	pthread_mutex_lock(&t->lock);
	while ((a = TAILQ_FIRST(&t->unheld)) != NULL && a->unheld_ms + ACCOUNT_KEEP_MS <= now_ms) {
		TAILQ_REMOVE(&t->unheld, a, unheld_turn);
		if (budget_is_idle(&a->budget)) {
			HASH_DEL(t->all, a);
			TAILQ_INSERT_TAIL(&gone, a, unheld_turn);
			continue;
		}
		/* A stream of its is still to tell an agent of its end. */
		a->unheld_ms = now_ms;
		TAILQ_INSERT_TAIL(&t->unheld, a, unheld_turn);
	}
	pthread_mutex_unlock(&t->lock);
	while ((a = TAILQ_FIRST(&gone)) != NULL) {
		TAILQ_REMOVE(&gone, a, unheld_turn);
		account_free(a);
	}
}

size_t
accounts_count(struct accounts *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = HASH_COUNT(t->all);
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* ---- one account ---- */

static uint64_t
said_or(uint64_t said, uint64_t otherwise)
{
	return said != 0 ? said : otherwise;
}

void
account_refresh(struct accounts *t, struct account *a, const struct creds *c)
{
	struct creds_id id = { .kind = a->key.kind };
	struct creds_limits said = { 0 };

	memcpy(id.name, a->key.name, sizeof id.name);
	if (c != NULL)
		creds_limits(c, &id, &said);
	atomic_store(&a->max_sessions, said_or(said.sessions, t->limits.sessions));
	atomic_store(&a->max_streams, said_or(said.streams, t->limits.streams));
	atomic_store(&a->budget.max, said_or(said.memory, t->limits.memory));
	atomic_store(&a->max_opens, said_or(said.opens, t->limits.opens));
}

/* One more, unless there are as many as there may be. */
static bool
take(_Atomic uint64_t *n, const _Atomic uint64_t *max)
{
	if (atomic_fetch_add(n, 1) < atomic_load(max))
		return true;
	atomic_fetch_sub(n, 1);
	return false;
}

bool
account_enter(struct account *a)
{
	return take(&a->sessions, &a->max_sessions);
}

void
account_leave(struct account *a)
{
	atomic_fetch_sub(&a->sessions, 1);
}

bool
account_open(struct account *a)
{
	return take(&a->streams, &a->max_streams);
}

void
account_close(struct account *a)
{
	atomic_fetch_sub(&a->streams, 1);
}

uint64_t
account_lingering(const struct account *a)
{
	uint64_t halves = atomic_load(&a->budget.n), open = 2 * atomic_load(&a->streams);

	return halves > open ? halves - open : 0;
}

uint64_t
account_streams_max(const struct account *a)
{
	return atomic_load(&a->max_streams);
}

void
account_hold(struct account *a, uint64_t n)
{
	atomic_fetch_add_explicit(&a->held, n, memory_order_relaxed);
}

void
account_pass(struct account *a, uint64_t n)
{
	atomic_fetch_sub_explicit(&a->held, n, memory_order_relaxed);
}

bool
account_is_over(const struct account *a)
{
	/* Floors are not in the budget (proto/flow.h); the rest that comes to stand is. */
	uint64_t floors = FLOW_FLOOR * (uint64_t)atomic_load(&a->budget.n);

	return atomic_load_explicit(&a->held, memory_order_relaxed) >
	       atomic_load_explicit(&a->budget.max, memory_order_relaxed) + floors;
}

struct budget *
account_budget(struct account *a)
{
	return &a->budget;
}

uint32_t
account_number(const struct account *a)
{
	return a->number;
}

struct log_limit *
account_log(struct account *a)
{
	return &a->log;
}

struct log_limit *
account_refused_log(struct account *a)
{
	return &a->refused_log;
}

void
account_opened(struct account *a, uint64_t now_us)
{
	uint64_t each_ns = 1000000000 / atomic_load(&a->max_opens), now_ns = now_us * 1000,
		 was = atomic_load(&a->opened_ns), next;

	do
		next = (was > now_ns ? was : now_ns) + each_ns;
	while (!atomic_compare_exchange_weak(&a->opened_ns, &was, next));
}

uint64_t
account_wait_ms(const struct account *a, uint64_t now_us)
{
	uint64_t free_ns = now_us * 1000 + (uint64_t)ACCOUNT_OPEN_BURST_MS * NS_PER_MS,
		 opened_ns = atomic_load(&a->opened_ns);

	return opened_ns > free_ns ? (opened_ns - free_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
}
