/* SPDX-License-Identifier: ISC */
/* move - something that has a connection goes from one worker to another. */
#include "cmd/relay/move.h"

static void
on_arrive(void *arg)
{
	struct move *m = arg;

	m->user->arrive(m->arg, m->to);
}

/* The loop is being freed: the message was not read. */
static void
on_dropped(void *arg)
{
	struct move *m = arg;

	m->user->lost(m->arg, m->to);
}

static void
on_leave(void *arg)
{
	struct move *m = arg;
	struct worker *from = m->from;

	m->from = NULL;
	m->user->leave(m->arg);
	if (loop_post(m->to->loop, on_arrive, on_dropped, m) != 0)
		m->user->lost(m->arg, from);
}

void
move_init(struct move *m, const struct move_user *user, void *arg)
{
	*m = (struct move){ .user = user, .arg = arg };
	task_init(&m->leave, on_leave, m);
}

void
move_start(struct move *m, struct worker *from, struct worker *to)
{
	m->from = from;
	m->to = to;
	task_soon(from->loop, &m->leave);
}

void
move_cancel(struct move *m)
{
	if (m->from != NULL)
		task_cancel(m->from->loop, &m->leave);
	m->from = NULL;
}
