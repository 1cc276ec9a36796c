/* SPDX-License-Identifier: ISC */
/* reread - the agent's configuration file read again while it runs. */
#include "cmd/agent/reread.h"

#include <string.h>

#include "lib/base/log.h"

static void
read_it(void *arg)
{
	struct reread *rl = arg;

	rl->r = opt_reread(
	    rl->user.spec, rl->user.before, rl->user.path, rl->user.fresh, &rl->now, &rl->why);
	if (rl->r == 0)
		rl->r = rl->user.prepare(rl->user.arg, &rl->now, &rl->why);
}

static void
forget(struct reread *rl)
{
	opt_fini(rl->user.spec, rl->user.fresh, &rl->now);
	memset(rl->user.fresh, 0, rl->user.size);
}

static void
on_read(void *arg)
{
	struct reread *rl = arg;

	rl->user.done(rl->user.arg, &rl->now, rl->r, rl->why.s);
	forget(rl);
	if (rl->wanted)
		reread_start(rl);
}

void
reread_init(struct reread *rl, struct loop *l, const struct reread_user *user)
{
	*rl = (struct reread){ .user = *user };
	aside_init(&rl->reading, l, read_it, on_read, rl);
}

void
reread_start(struct reread *rl)
{
	rl->wanted = true;
	if (aside_is_busy(&rl->reading))
		return;
	rl->wanted = false;
	errtext_clear(&rl->why);
	if (aside_start(&rl->reading) == 0)
		return;
	err_sys(&rl->why, "%s: no thread to read it", rl->user.path);
	rl->user.done(rl->user.arg, &rl->now, ERR_SYS, rl->why.s);
}

void
reread_fini(struct reread *rl)
{
	if (!aside_is_busy(&rl->reading))
		return;
	aside_fini(&rl->reading);
	forget(rl);
}
