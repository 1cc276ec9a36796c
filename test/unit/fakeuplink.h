/* SPDX-License-Identifier: ISC */
/*
 * fakeuplink - uplinks whose relay is the test, for what stands on them (cmd/connect).
 *
 * A test that uses them has in its head comment
 *
 *      * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 *      * link:
 *      -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=uplink_is_up
 *
 * and an agent's -Wl,--wrap=uplink_control, too.
 *
 * Each uplink has one session (fakesession.h), whose streams are fake_streams.
 */
#ifndef TEST_UNIT_FAKEUPLINK_H
#define TEST_UNIT_FAKEUPLINK_H

#include "cmd/common/uplink.h"
#include "test/unit/fakesession.h"
#include "test/unit/subcommand.h"

enum { FAKE_UPLINKS = 16 };

struct uplink {
	struct fake_session *f;
	const struct uplink_user *user;
	void *arg;
	enum ctl_role role;
	const struct uplink_config *cfg;
	char name[CTL_AGENT_MAX + 1];
	/* Given by the test. */
	bool stands, up, publishes;
	/* What it was told. */
	bool finished, freed;
	/* The last request and how many there were. */
	char said[CTL_BODY_MAX];
	int n_said;
	uint32_t code;
};

/* In the order they were made. */
extern struct uplink fake_uplink[FAKE_UPLINKS];
extern int fake_n_uplinks;
/* The test wants uplink_new to fail after so many; negative: never. */
extern int fake_uplinks_max;

/*
 * Called for each new uplink while it is not NULL, by which a test gets into a subcommand's loop.
 */
extern void (*fake_play)(struct loop *l, struct uplink *k);

/* fake_uplinks_reset - none are there. */
void fake_uplinks_reset(void);
/*
 * fake_run - a subcommand with these arguments, from none of them on; play (subcommand.h) begins
 * with the first uplink.  Returns its status.
 */
int fake_run(subcommand_fn *entry, bool (*play)(int step), const char *words);
/* fake_stand - the uplink's WebSocket stands, and the relay has let us in. */
void fake_stand(struct uplink *k);
/* fake_goodbye - uplink_finish has come to its end. */
void fake_goodbye(struct uplink *k);

#endif
