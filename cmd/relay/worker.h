/* SPDX-License-Identifier: ISC */
/*
 * worker - the relay's threads: one reactor each.  Worker 0 is the main thread, which also accepts,
 * watches files and handles signals.
 *
 * A worker owns its loop, its guests, its peers and their bridges.  Nothing of them is touched from
 * another thread: work crosses by loop_post (lib/net/loop.h).
 *
 * Life cycle: workers_init makes all, workers_start runs 1 and up, the caller runs the loop of 0,
 * workers_stop ends and joins 1 and up, worker_drop_all ends what 0 held, workers_fini frees.
 */
#ifndef CMD_RELAY_WORKER_H
#define CMD_RELAY_WORKER_H

#include <pthread.h>
#include <sys/queue.h>

#include "cmd/relay/ingress/entry.h"
#include "cmd/relay/ingress/pool.h"
#include "cmd/relay/ingress/front.h"
#include "cmd/relay/ingress/visitor.h"
#include "cmd/relay/relay.h"
#include "lib/base/log_limit.h"
#include "lib/base/rlimit.h"
#include "lib/net/loop.h"

struct group;
struct guest;
struct party;
struct peer;
struct tls_turns;
struct udp_guard;

TAILQ_HEAD(guest_list, guest);
TAILQ_HEAD(peer_list, peer);

/* Members are its thread's; relay, index and name are constant. */
struct worker {
	struct relay *relay;
	int index;
	/* In its log lines: w0, w1 ... */
	char name[16];
	struct loop *loop;
	pthread_t thread;
	bool started;
	/* By name; group.h. */
	struct group *groups;
	/* By account and agent; party.h. */
	struct party *parties;
	/* All that are in this thread, let in or not. */
	struct peer_list peers;
	struct guest_list guests;
	/* Of their handshakes by key. */
	struct tls_turns *turns;
	/* On web listeners, before it is known who serves them. */
	struct entry_list entries;
	/* Those that are carried. */
	struct visitor_list visitors;
	/* Streams to services that wait for the next request. */
	struct pool pool;
	/* Visitors of web listeners. */
	struct front_list fronts;
	/* For its public ports; made with the first. */
	struct rlimit_reserve reserve;
	/* For those of UDP; made with the first. */
	struct udp_guard *udp;
	/*
	 * Of lines about guests that made room for others, about proxies that name no client, and
	 * about entries that were turned away.
	 */
	struct log_limit evicted_log, proxy_log, entry_log;
};

/* workers_init - make n workers and their loops; none runs yet.  ERR_SYS with e. */
int workers_init(struct relay *r, int n, struct errtext *e) WARN_UNUSED;

/*
 * workers_start - start the threads of workers 1 and up.  ERR_SYS with e; those that run are ended
 * by workers_stop.
 */
int workers_start(struct relay *r, struct errtext *e) WARN_UNUSED;

/*
 * workers_each - run fn in every worker's thread; in worker 0's, which must be the caller's, at
 * once.
 */
void workers_each(struct relay *r, void (*fn)(void *worker));

/*
 * workers_stop - end the loops of workers 1 and up and wait for them; everything they held is
 * closed.
 */
void workers_stop(struct relay *r);

/* worker_drop_all - close and free what a worker holds; in its own thread. */
void worker_drop_all(struct worker *w);

/* workers_fini - free loops and workers; after workers_stop. */
void workers_fini(struct relay *r);

#endif
