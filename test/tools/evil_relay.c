/* SPDX-License-Identifier: ISC */
/*
 * evil_relay - the relay with a tap and a knife, for tests of sessions end to end.
 *
 *     EVIL_LOG=FILE EVIL="HOW up|down OFFSET" EVIL_NEXT=FILE evil_relay relay OPTION...
 *
 * It writes every byte that it handles of clients and agents into FILE, bodies of HELLO, OPEN and
 * OPEN_OK too: all that a relay ever gets to see of them.  Of the streams whose protocol is e2e it
 * treats the bytes of one way (from the client: up; from the agent: down) behind an offset so:
 *
 *     none      it lets them be
 *     flip      one bit of the byte at the offset is another one
 *     drop      100 bytes are left out
 *     repeat    what came with the offset comes once more
 *     swap      what came with the offset comes behind what comes next
 *     truncate  the stream ends there, in good order as far as a relay can make it so
 *     again     of the second stream on: the bytes of the first one take the place of its own
 *     lead      no byte is touched: streams to the agent "pi" are led to the agent "lab"
 *
 * The file of EVIL_NEXT, when it is there, says in the same words how the next stream is treated;
 * it is removed when that has come.
 *
 * link: -Wl,--wrap=mux_stream_new,--wrap=mux_stream_data,--wrap=mux_stream_ended
 * link: -Wl,--wrap=ctl_hello_parse,--wrap=ctl_open_parse,--wrap=ctl_open_ok_parse
 * link: -Wl,--wrap=bridge_open,--wrap=mux_stream_drop
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/relay/bridge.h"
#include "cmd/relay/group.h"
#include "lib/base/mem.h"
#include "proto/mux_int.h"

enum how { NONE, FLIP, DROP, REPEAT, SWAP, TRUNCATE, AGAIN, LEAD, N_HOW };

static const char *const how_name[N_HOW] = { "none", "flip", "drop", "repeat", "swap", "truncate",
	"again", "lead" };

enum { STREAMS = 64, KEEP = 64 * 1024 * 1024 };

struct deed {
	enum how how;
	bool up;
	uint64_t at;
};

/* One stream of e2e, at the session that its bytes come from. */
struct victim {
	const struct mux_stream *ms;
	struct deed deed;
	/* Bytes that came. */
	uint64_t came;
	/* The deed is done. */
	bool done;
	/* Held back; and how far it is with the recorded ones. */
	struct bufq held;
	size_t replayed;
	bool second;
};

static struct {
	FILE *log;
	/* Of all streams, unless a file says otherwise; of the one that has come last. */
	struct deed deed, now;
	const char *next;
	struct victim victims[STREAMS];
	size_t n;
	/* Of the first stream. */
	uint8_t *recorded;
	size_t n_recorded;
} self;

/* ---- what it is told ---- */

static bool
parse_deed(const char *text, struct deed *d)
{
	char how[16] = "", way[8] = "up";
	unsigned long long at = 0;

	*d = (struct deed){ 0 };
	if (sscanf(text, "%15s %7s %llu", how, way, &at) < 1)
		return false;
	while (d->how < N_HOW && strcmp(how, how_name[d->how]) != 0)
		d->how++;
	d->up = strcmp(way, "up") == 0;
	d->at = at;
	return d->how < N_HOW;
}

/* A stream of e2e has come from a client. */
static void
next_deed(void)
{
	FILE *f = self.next != NULL ? fopen(self.next, "r") : NULL;
	char text[64] = "";

	self.now = self.deed;
	if (f == NULL)
		return;
	if (fgets(text, sizeof text, f) == NULL || !parse_deed(text, &self.now) ||
	    unlink(self.next) != 0)
		abort();
	fclose(f);
}

/* ---- the tap ---- */

static void
tap(const void *p, size_t n)
{
	if (self.log == NULL)
		return;
	fwrite(p, 1, n, self.log);
	fflush(self.log);
}

static void
tap_queue(const struct bufq *q, size_t n)
{
	struct iovec iov[16];
	size_t off = 0;

	while (off < n) {
		int k = bufq_peek(q, off, n - off, iov, 16);

		for (int i = 0; i < k; i++) {
			tap(iov[i].iov_base, iov[i].iov_len);
			off += iov[i].iov_len;
		}
	}
}

int __real_ctl_hello_parse(struct ctl_hello *h, const void *p, size_t n, struct errtext *why);
int __wrap_ctl_hello_parse(struct ctl_hello *h, const void *p, size_t n, struct errtext *why);
int __real_ctl_open_parse(struct ctl_open *o, const void *p, size_t n, struct errtext *why);
int __wrap_ctl_open_parse(struct ctl_open *o, const void *p, size_t n, struct errtext *why);
int __real_ctl_open_ok_parse(struct ctl_open_ok *o, const void *p, size_t n, struct errtext *why);
int __wrap_ctl_open_ok_parse(struct ctl_open_ok *o, const void *p, size_t n, struct errtext *why);

int
__wrap_ctl_hello_parse(struct ctl_hello *h, const void *p, size_t n, struct errtext *why)
{
	tap(p, n);
	return __real_ctl_hello_parse(h, p, n, why);
}

int
__wrap_ctl_open_parse(struct ctl_open *o, const void *p, size_t n, struct errtext *why)
{
	tap(p, n);
	return __real_ctl_open_parse(o, p, n, why);
}

int
__wrap_ctl_open_ok_parse(struct ctl_open_ok *o, const void *p, size_t n, struct errtext *why)
{
	tap(p, n);
	return __real_ctl_open_ok_parse(o, p, n, why);
}

/* ---- whose bytes ---- */

int __real_mux_stream_new(struct mux *m, uint32_t id, const struct ctl_open *o,
    struct budget *charge, struct mux_stream **out);
int __wrap_mux_stream_new(struct mux *m, uint32_t id, const struct ctl_open *o,
    struct budget *charge, struct mux_stream **out);
void __real_mux_stream_drop(struct mux_stream *ms);
void __wrap_mux_stream_drop(struct mux_stream *ms);

int
__wrap_mux_stream_new(struct mux *m, uint32_t id, const struct ctl_open *o, struct budget *charge,
    struct mux_stream **out)
{
	int r = __real_mux_stream_new(m, id, o, charge, out);

	if (r != 0 || !ctl_open_is_e2e(o))
		return r;
	/* Those from the client have its id; those to the agent come next, and get theirs later. */
	if (id != 0)
		next_deed();
	if ((id != 0) == self.now.up && self.n < STREAMS) {
		self.victims[self.n] =
		    (struct victim){ .ms = *out, .deed = self.now, .second = self.n > 0 };
		self.n++;
	}
	return r;
}

static struct victim *
victim_of(const struct mux_stream *ms)
{
	for (size_t i = 0; i < self.n; i++)
		if (self.victims[i].ms == ms)
			return &self.victims[i];
	return NULL;
}

void
__wrap_mux_stream_drop(struct mux_stream *ms)
{
	struct victim *v = victim_of(ms);

	if (v != NULL) {
		bufq_fini(&v->held);
		v->ms = NULL;
	}
	__real_mux_stream_drop(ms);
}

/* ---- the knife ---- */

int __real_mux_stream_data(struct mux_stream *ms, struct bufq *in, size_t n);
int __wrap_mux_stream_data(struct mux_stream *ms, struct bufq *in, size_t n);
int __real_mux_stream_ended(struct mux_stream *ms, uint64_t final);
int __wrap_mux_stream_ended(struct mux_stream *ms, uint64_t final);

static void
must(int r)
{
	if (r != 0)
		abort();
}

/* The bytes of in, as a block of one's own. */
static uint8_t *
copy_of(const struct bufq *in, size_t n)
{
	uint8_t *p = malloc(n);

	if (p == NULL || bufq_read(in, 0, p, n) != n)
		abort();
	return p;
}

/* What came is changed as a whole: p, n bytes of it, goes on. */
static int
hand_on(struct mux_stream *ms, uint8_t *p, size_t n)
{
	struct bufq q = { 0 };
	int r;

	must(bufq_copy(&q, p, n));
	free(p);
	r = n > 0 ? __real_mux_stream_data(ms, &q, n) : 0;
	bufq_fini(&q);
	return r;
}

static void
record(const struct victim *v, const struct bufq *in, size_t n)
{
	if (v->second || self.n_recorded + n > KEEP)
		return;
	bufq_read(in, 0, self.recorded + self.n_recorded, n);
	self.n_recorded += n;
}

/* off: of the deed in these n bytes. */
static int
cut(struct victim *v, struct mux_stream *ms, struct bufq *in, size_t n, size_t off)
{
	uint8_t *p = copy_of(in, n);
	size_t left = n;

	if (v->deed.how == FLIP) {
		p[off] ^= 0x10;
	} else if (v->deed.how == DROP) {
		size_t out = n - off < 100 ? n - off : 100;

		memmove(p + off, p + off + out, n - off - out);
		left = n - out;
	} else if (v->deed.how == REPEAT) {
		p = realloc(p, 2 * n);
		if (p == NULL)
			abort();
		memcpy(p + n, p, n);
		left = 2 * n;
	} else if (v->deed.how == SWAP) {
		must(bufq_copy(&v->held, p, n));
		left = 0;
	} else {
		left = off; /* TRUNCATE */
	}
	v->done = true;
	return hand_on(ms, p, left);
}

static int
treat(struct victim *v, struct mux_stream *ms, struct bufq *in, size_t n)
{
	uint64_t from = v->came;
	int r;

	v->came += n;
	if (v->held.len > 0) {
		r = __real_mux_stream_data(ms, in, n);
		if (r == 0)
			r = __real_mux_stream_data(ms, &v->held, v->held.len);
		return r;
	}
	if (v->deed.how == AGAIN && v->second) {
		size_t k = self.n_recorded - v->replayed;
		uint8_t *p = malloc(n);

		if (p == NULL)
			abort();
		k = k < n ? k : n;
		memcpy(p, self.recorded + v->replayed, k);
		v->replayed += k;
		bufq_drain(in, n);
		return hand_on(ms, p, k);
	}
	record(v, in, n);
	if (v->deed.how == TRUNCATE && v->done) {
		bufq_drain(in, n);
		return 0;
	}
	if (v->done || v->deed.how == NONE || v->deed.how >= AGAIN || v->came <= v->deed.at)
		return __real_mux_stream_data(ms, in, n);
	r = cut(v, ms, in, n, v->deed.at > from ? (size_t)(v->deed.at - from) : 0);
	bufq_drain(in, n);
	if (r == 0 && v->deed.how == TRUNCATE)
		r = __real_mux_stream_ended(ms, ms->from.received);
	return r;
}

int
__wrap_mux_stream_data(struct mux_stream *ms, struct bufq *in, size_t n)
{
	struct victim *v = victim_of(ms);

	tap_queue(in, n);
	return v != NULL ? treat(v, ms, in, n) : __real_mux_stream_data(ms, in, n);
}

int
__wrap_mux_stream_ended(struct mux_stream *ms, uint64_t final)
{
	struct victim *v = victim_of(ms);

	/* What it says does not fit any more to what was handed on. */
	if (v != NULL && (v->done || v->deed.how == AGAIN))
		return v->deed.how == TRUNCATE ? 0 : __real_mux_stream_ended(ms, ms->from.received);
	return __real_mux_stream_ended(ms, final);
}

/* ---- another agent ---- */

void __real_bridge_open(
    struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o);
void __wrap_bridge_open(
    struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o);

void
__wrap_bridge_open(
    struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o)
{
	struct group *g = self.deed.how == LEAD ? group_get(client->w, "lab") : NULL;
	struct peer *other = g != NULL ? group_agent(g) : NULL;

	__real_bridge_open(client, other != NULL ? other : agent, s, o);
}

/* ---- start ---- */

static int
wrong(const char *text)
{
	fprintf(stderr, "evil_relay: %s\n", text);
	return 2;
}

int
main(int argc, char **argv)
{
	const char *deed = getenv("EVIL"), *log = getenv("EVIL_LOG");

	if (!parse_deed(deed != NULL ? deed : "none", &self.deed))
		return wrong("EVIL is nothing that is known");
	self.next = getenv("EVIL_NEXT");
	self.recorded = malloc(KEEP);
	if (self.recorded == NULL)
		return wrong("out of memory");
	if (log != NULL && (self.log = fopen(log, "ab")) == NULL)
		return wrong("EVIL_LOG cannot be written");
	return dispatch_main(argc, argv);
}
