/* SPDX-License-Identifier: ISC */
/* hnr_link - messages that wait, signs of life, input that comes too fast. */
#include "proto/dialect/hnr_link.h"

#include "lib/base/mem.h"

struct hnr_said {
	struct bufq text;
	TAILQ_ENTRY(hnr_said) entry;
};

void
hnr_link_init(struct hnr_link *k, const struct session_ops *ops, const struct mux_config *cfg,
    uint64_t now_us)
{
	k->s.ops = ops;
	k->s.budget = cfg->budget;
	k->s.heard_us = now_us;
	alive_init(&k->alive, cfg, now_us);
	inflow_init(&k->inflow, &k->s);
	TAILQ_INIT(&k->said);
}

static void
said_free(struct hnr_link *k, struct hnr_said *one)
{
	TAILQ_REMOVE(&k->said, one, entry);
	k->said_bytes -= one->text.len;
	bufq_fini(&one->text);
	mem_free(one);
}

void
hnr_link_fini(struct hnr_link *k)
{
	struct hnr_said *one;

	while ((one = TAILQ_FIRST(&k->said)) != NULL)
		said_free(k, one);
}

/* ---- messages that wait ---- */

int
hnr_link_say(struct hnr_link *k, enum hnr_way way, const struct hnr_msg *m)
{
	struct hnr_said *one;
	int r;

	if (k->said_bytes > HNR_SAID_MAX)
		return ERR_LIMIT;
	one = mem_zalloc(sizeof *one);
	if (one == NULL)
		return ERR_NOMEM;
	r = hnr_msg_write(&one->text, way, m);
	if (r != 0) {
		mem_free(one);
		return r;
	}
	TAILQ_INSERT_TAIL(&k->said, one, entry);
	k->said_bytes += one->text.len;
	hnr_link_want_output(k);
	return 0;
}

bool
hnr_link_take(struct hnr_link *k, struct bufq *out)
{
	struct hnr_said *one = TAILQ_FIRST(&k->said);

	if (one == NULL)
		return false;
	k->said_bytes -= one->text.len;
	*out = one->text;
	one->text = (struct bufq){ 0 };
	said_free(k, one);
	return true;
}

int
hnr_link_broken(const struct hnr_link *k, struct errtext *why)
{
	if (k->broken == 0)
		return 0;
	return err_set(why, k->broken, "%s",
	    k->broken == ERR_LIMIT ? "the relay does not read our answers" : err_str(k->broken));
}

/* ---- time ---- */

int
hnr_link_tick(struct hnr_link *k, uint64_t now_us, struct errtext *why)
{
	inflow_tick(&k->inflow, now_us);
	return alive_tick(&k->alive, &k->s, now_us, why);
}

uint64_t
hnr_link_deadline_us(const struct hnr_link *k)
{
	uint64_t due = alive_deadline_us(&k->alive, &k->s), look = inflow_deadline_us(&k->inflow);

	return look < due ? look : due;
}
