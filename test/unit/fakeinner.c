/* SPDX-License-Identifier: ISC */
/* fakeinner - sessions end to end whose other side is the test. */
#include "test/unit/fakeinner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inner fake_inner[FAKE_INNERS];
int fake_n_inners, fake_inners_max = -1;

/* What the linker puts in place of the real ones (--wrap). */
struct inner *__wrap_inner_new(struct loop *l, struct stream *s, const struct tls_keyed *tls,
    struct tls_judge judge, const struct ctl_hello *hello, const struct inner_user *user,
    void *arg);
void __wrap_inner_free(struct inner *in, uint32_t code, const char *text);
void __wrap_inner_finish(struct inner *in);
struct session *__wrap_inner_session(struct inner *in);
bool __wrap_inner_may_open(struct inner *in);
void __wrap_inner_take_turns(
    struct inner *in, struct tls_turns *t, const struct tls_turns_who *who);

void
fake_inners_reset(void)
{
	fake_n_inners = 0;
	fake_inners_max = -1;
}

struct inner *
__wrap_inner_new(struct loop *l, struct stream *s, const struct tls_keyed *tls,
    struct tls_judge judge, const struct ctl_hello *hello, const struct inner_user *user, void *arg)
{
	struct inner *in = &fake_inner[fake_n_inners];

	(void)l;
	assert(tls != NULL && judge.fn != NULL);
	if (fake_n_inners == fake_inners_max || fake_n_inners == FAKE_INNERS) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return NULL;
	}
	fake_n_inners++;
	*in = (struct inner){
		.outer = s, .judge = judge, .dials = hello != NULL, .user = user, .arg = arg
	};
	if (hello != NULL)
		in->hello = *hello;
	return in;
}

void
__wrap_inner_free(struct inner *in, uint32_t code, const char *text)
{
	if (in == NULL)
		return;
	if (in->freed)
		abort();
	in->freed = in->over = true;
	in->code = code;
	snprintf(in->text, sizeof in->text, "%s", text);
	if (in->f != NULL)
		session_abandon(&in->f->s, code, text);
}

void
__wrap_inner_finish(struct inner *in)
{
	in->finished = true;
}

struct session *
__wrap_inner_session(struct inner *in)
{
	return in->f != NULL && !in->over ? &in->f->s : NULL;
}

bool
__wrap_inner_may_open(struct inner *in)
{
	const struct session *s = __wrap_inner_session(in);

	return s != NULL && in->dials && !s->going;
}

void
__wrap_inner_take_turns(struct inner *in, struct tls_turns *t, const struct tls_turns_who *who)
{
	assert(t != NULL && !in->dials);
	in->who = *who;
}

/* ---- what the session itself says: fake_open() and the like go on to the user ---- */

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct inner *in = arg;

	in->user->open(in->arg, s, o);
}

static const struct session_user session_user = { .open = on_open };

bool
fake_prove(struct inner *in, const char *pub)
{
	uint8_t point[KEYS_POINT_LEN];
	struct errtext e = { "" };

	if (keys_point(pub, strlen(pub), point, &e) != 0)
		abort();
	if (in->judge.fn(in->judge.arg, point, &e) != 0) {
		fake_inner_end(in, CODE_DENIED, e.s);
		return false;
	}
	in->cfg = (struct mux_config){ .dialer = in->dials, .endpoint = true, .inner = true };
	if (!in->user->proved(in->arg, point, &in->cfg)) {
		fake_inner_end(in, CODE_INTERNAL, "out of memory");
		return false;
	}
	in->f = fake_new();
	in->f->s.user = &session_user;
	in->f->s.arg = in;
	if (in->dials)
		in->user->ready(in->arg);
	return true;
}

enum session_verdict
fake_inner_hello(struct inner *in, enum ctl_role role, const char *name)
{
	struct ctl_hello h = { .version = CTL_VERSION, .role = role };

	snprintf(h.name, sizeof h.name, "%s", name);
	return in->user->hello(in->arg, &h);
}

void
fake_inner_end(struct inner *in, uint32_t code, const char *text)
{
	in->over = true;
	in->user->closed(in->arg, code, text);
}
