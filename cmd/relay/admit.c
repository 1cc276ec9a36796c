/* SPDX-License-Identifier: ISC */
/* admit - who may log in, by the credentials file. */
#include "cmd/relay/admit.h"

#include "cmd/relay/relay.h"
#include "lib/base/clock.h"

static void
ask_creds(struct relay *r, struct admit *a, const struct ctl_hello *h)
{
	struct creds *c = relay_creds(r);
	struct creds_id id = { .kind = CREDS_NOBODY };
	const struct creds_proof proof = { h->secret, a->key };
	int err = 0;

	if (c != NULL)
		err = h->role == CTL_AGENT ? creds_agent(c, h->name, &proof, clock_wall_s(), &id)
					   : creds_client(c, &proof, clock_wall_s(), &id);
	creds_unref(c);
	a->done(a->arg, err, &id);
}

static void
cancel_creds(struct relay *r, struct admit *a)
{
	/* Each question was answered before ask returned. */
	(void)r;
	(void)a;
}

const struct admitter admit_by_creds = { ask_creds, cancel_creds };
