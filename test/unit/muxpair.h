/* SPDX-License-Identifier: ISC */
/*
 * muxpair - sessions of the mux joined in memory, with a clock that the test turns.
 *
 *   two ends      endpoint ═ endpoint                      net_new()
 *   four ends     endpoint ═ relay's two ends ═ endpoint   net_new_relay(): the relay joins streams
 *                 as a bridge does
 *   one end       a raw_ session: the test is the peer, and writes and reads frames itself
 *
 * Bytes are copied on the way, as sockets do, and delivered whole, one at a time, or in random
 * pieces from a fixed seed.  An end answers OPEN at once and passes on, acknowledges and ends by
 * itself, unless the test says otherwise.
 */
#ifndef TEST_UNIT_MUXPAIR_H
#define TEST_UNIT_MUXPAIR_H

#include "proto/mux.h"

enum { NET_STREAMS = 64, NET_WHOLE = 0, NET_ONE = 1, NET_RANDOM = -1 };

/* One stream as its endpoint sees it. */
struct side {
	/* NULL once it is gone */
	struct stream *s;
	/* everything that arrived */
	struct bufq got;
	/* neither consume nor acknowledge what arrives */
	bool hold;
	/* reset it when it is opened */
	bool deny;
	bool opened, eof, acked_eof, closed;
	/* datagrams that arrived; that its own made way for */
	unsigned n_datagrams, n_dropped;
	/* how often it was told that something was sent */
	unsigned n_left;
	uint64_t acked, sent;
	/* of closed */
	uint32_t code;
	char text[256];
	/* of the OPEN */
	char source[CTL_ADDR_MAX];
	struct end *end;
	void (*hook)(
	    /* may be NULL: called last in each callback */
	    struct side *x, const char *call);
};

struct end {
	struct net *net;
	struct session *s;
	/* what its streams charge, unless the configuration names another */
	struct budget budget;
	/* the other end of the carrier */
	struct end *peer;
	/* the relay's other end; NULL in an endpoint */
	struct end *across;
	/* on the way here; arrived */
	struct bufq wire, in;
	/* its carrier takes nothing */
	bool stalled;
	/* that ended it */
	int err;
	struct errtext why;
	/* what hello answers */
	enum session_verdict verdict;
	/* sides of streams that the peer opens have hold set ... */
	bool hold_opened;
	/* ... or deny */
	bool deny_opened;
	/* streams that the peer opened, in order */
	struct side side[NET_STREAMS];
	int n_opened, n_hello, n_goaway, n_idle, n_want, n_refused, n_control;
	/* The last body of CONTROL, terminated. */
	char control[CTL_BODY_MAX + 1];
	uint32_t away_code;
	char away_text[256];
	/* into the carrier */
	uint64_t sent_bytes;
	void (*hook)(struct end *e, const char *call);
};

struct net {
	struct end end[4];
	int n;
	uint64_t now_ms;
	/* NET_WHOLE, NET_RANDOM, or so many bytes at a time */
	int chunk;
	uint64_t seed;
	/* of what the client says one byte in so many is another one; 0: none */
	unsigned mangle;
	/* bytes that a carrier takes at once */
	size_t portion;
};

/*
 * Both ends of each carrier are greeted.  NULL: out of memory (only while mem_fail_after is on).
 * net_free accepts NULL.
 */
struct net *net_new(const struct mux_config *dialer, const struct mux_config *acceptor);
struct net *net_new_relay(void);
void net_free(struct net *n);

/* The endpoints: [0] opens streams, [1] answers them. */
struct end *net_client(struct net *n);
struct end *net_agent(struct net *n);

/* net_run - deliver until nothing moves. */
void net_run(struct net *n);
/* net_step - one portion from each end; returns whether anything moved. */
bool net_step(struct net *n);
/* net_wait - turn the clock by ms, a deadline at a time, delivering meanwhile. */
void net_wait(struct net *n, uint64_t ms);

/* net_random - the next number below n from the seed. */
size_t net_random(struct net *n, size_t below);

/*
 * side_open - a stream from e; false when the session refuses.  side_send: n bytes of a pattern
 * that goes on from call to call.
 */
bool side_open(struct side *x, struct end *e);
/* side_open_udp - a stream of datagrams; side_datagram - send one of n bytes, each of value. */
bool side_open_udp(struct side *x, struct end *e);
int side_datagram(struct side *x, uint8_t value, size_t n);
int side_send(struct side *x, size_t n);
/* side_check - what arrived is the pattern's first n bytes, and no more. */
bool side_check(const struct side *x, size_t n);
void side_fini(struct side *x);
/* net_hello - what ends say. */
struct ctl_hello net_hello(enum ctl_role role);

/* ---- for muxraw.c ---- */

bool net_end_init(struct end *e, struct net *n, const struct mux_config *cfg);
int net_end_greet(struct end *e, enum ctl_role role);
void net_end_fini(struct end *e);
/* net_deadline_ms - session_deadline_us, rounded up. */
uint64_t net_deadline_ms(const struct session *s);

/* ---- one session, and the test as its peer ---- */

/*
 * What the test lets the session send on a stream, and what a session with an empty budget lets the
 * test send.
 */
#define RAW_WINDOW (128 * 1024)

struct raw {
	/* end[0] is the session; end[1] the test */
	struct net net;
	struct bufq out;
};

/* raw_init - greeted and let in when greet is true. */
void raw_init(struct raw *r, const struct mux_config *cfg, bool greet);
void raw_fini(struct raw *r);
/* raw_put - feed one frame; returns what session_input said. */
int raw_put(struct raw *r, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t n);
/* raw_hello - the HELLO of a client. */
extern const char raw_hello_text[];
int raw_hello(struct raw *r);
/* raw_open - OPEN with a window of RAW_WINDOW; the WINDOW that answers it is taken. */
int raw_open(struct raw *r, uint32_t id);
/* raw_open_udp - the OPEN of a stream of datagrams; more: further members, as JSON. */
int raw_open_udp(struct raw *r, uint32_t id, const char *more);
int raw_window(struct raw *r, uint32_t id, uint64_t acked, uint64_t limit, uint8_t flags);
int raw_eof(struct raw *r, uint32_t id, uint64_t final);
/* raw_data - n bytes of zeros, in as many frames as it takes. */
int raw_data(struct raw *r, uint32_t id, size_t n);
/*
 * raw_get - take the session's next frame; false when there is none.  body has room for
 * FRAME_BODY_MAX bytes or is NULL.
 */
bool raw_get(struct raw *r, struct frame *f, uint8_t *body);
/* raw_skip - the next frame of this type, those before it dropped. */
bool raw_skip(struct raw *r, uint8_t type, struct frame *f, uint8_t *body);
/* raw_tick - the clock goes on by ms; returns what session_tick said. */
int raw_tick(struct raw *r, uint64_t ms);
/* raw_deadline_ms - session_deadline_us, rounded up. */
uint64_t raw_deadline_ms(const struct raw *r);
/*
 * raw_lacks_memory - say() queues a control frame for which there is no memory: not half of it
 * leaves, nothing follows, and the session ends.
 */
void raw_lacks_memory(const struct mux_config *cfg, void (*say)(struct session *s));

#endif
