/* SPDX-License-Identifier: ISC */
/* fakeuplink - uplinks whose relay is the test. */
#include "test/unit/fakeuplink.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct uplink fake_uplink[FAKE_UPLINKS];
int fake_n_uplinks, fake_uplinks_max = -1;
void (*fake_play)(struct loop *l, struct uplink *k);

/* What the linker puts in place of the real ones (--wrap). */
struct uplink *__wrap_uplink_new(struct loop *l, const struct uplink_config *cfg,
    enum ctl_role role, const char *name, const struct uplink_user *user, void *arg);
void __wrap_uplink_free(struct uplink *k, uint32_t code, const char *text);
void __wrap_uplink_finish(struct uplink *k, const char *text);
struct stream *__wrap_uplink_open(struct uplink *k, const struct ctl_open *o,
    const struct stream_user *user, void *arg, uint32_t *code, struct errtext *why);
int __wrap_uplink_control(struct uplink *k, const void *body, size_t n);
bool __wrap_uplink_is_up(const struct uplink *k);
bool __wrap_uplink_has_session(const struct uplink *k);
uint32_t __wrap_uplink_streams(const struct uplink *k);

void
fake_uplinks_reset(void)
{
	fake_n_uplinks = 0;
	fake_uplinks_max = -1;
	fake_play = NULL;
	fake_free_all();
}

/* With the first uplink the loop is there. */
static void
begin(struct loop *l, struct uplink *k)
{
	(void)k;
	subcommand_loop(l);
}

int
fake_run(subcommand_fn *entry, bool (*play)(int step), const char *words)
{
	fake_uplinks_reset();
	fake_play = begin;
	subcommand_play(play);
	return subcommand_run(entry, words);
}

struct uplink *
__wrap_uplink_new(struct loop *l, const struct uplink_config *cfg, enum ctl_role role,
    const char *name, const struct uplink_user *user, void *arg)
{
	struct uplink *k = &fake_uplink[fake_n_uplinks];

	if (fake_n_uplinks == fake_uplinks_max || fake_n_uplinks == FAKE_UPLINKS)
		return NULL;
	fake_n_uplinks++;
	*k = (struct uplink){ .f = fake_new(), .user = user, .arg = arg, .role = role, .cfg = cfg };
	snprintf(k->name, sizeof k->name, "%s", name);
	if (fake_play != NULL)
		fake_play(l, k);
	return k;
}

void
__wrap_uplink_free(struct uplink *k, uint32_t code, const char *text)
{
	k->freed = true;
	k->code = code;
	session_abandon(&k->f->s, code, text);
}

void
__wrap_uplink_finish(struct uplink *k, const char *text)
{
	(void)text;
	k->finished = true;
}

struct stream *
__wrap_uplink_open(struct uplink *k, const struct ctl_open *o, const struct stream_user *user,
    void *arg, uint32_t *code, struct errtext *why)
{
	struct stream *s = session_open(&k->f->s, o, NULL, user, arg, why);

	*code = s != NULL ? CODE_OK : session_open_code(&k->f->s);
	return s;
}

int
__wrap_uplink_control(struct uplink *k, const void *body, size_t n)
{
	if (!k->up || !k->publishes)
		return ERR_CLOSED;
	assert(n < sizeof k->said);
	memcpy(k->said, body, n);
	k->said[n] = '\0';
	k->n_said++;
	return 0;
}

bool
__wrap_uplink_is_up(const struct uplink *k)
{
	return k->up;
}

bool
__wrap_uplink_has_session(const struct uplink *k)
{
	return k->stands && !k->finished;
}

uint32_t
__wrap_uplink_streams(const struct uplink *k)
{
	return k->f->s.n_streams;
}

void
fake_stand(struct uplink *k)
{
	k->stands = true;
	k->user->ready(k->arg);
	k->up = true;
	k->user->up(k->arg);
}

void
fake_goodbye(struct uplink *k)
{
	k->stands = k->up = false;
	k->user->down(k->arg, ERR_EOF, "", 0);
}
