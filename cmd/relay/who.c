/* SPDX-License-Identifier: ISC */
/* who - credentials and the relay's own key, from the options. */
#include "cmd/relay/who.h"

#include "lib/base/log.h"
#include "lib/tls/tls_keyed.h"

static const char *
source(const struct relay *r)
{
	return r->opts.credentials != NULL ? r->opts.credentials : "--agent-key";
}

int
who_read(const struct relay *r, struct creds **out, struct errtext *e)
{
	const struct relay_opts *o = &r->opts;

	return creds_load(o->credentials, o->agent_keys.v, o->agent_keys.n, out, e);
}

void
who_warn(const struct relay *r)
{
	const char *text;

	for (size_t i = 0; (text = creds_warning(r->creds, i)) != NULL; i++)
		log_warnx("%s: %s", source(r), text);
	if (creds_is_empty(r->creds))
		log_warnx("%s: nobody can log in with these credentials", source(r));
	if (creds_has_keys(r->creds) && r->keyed == NULL)
		log_warnx("%s: there are keys, but the relay has none of its own (--key-file): "
			  "nobody can log in by key",
		    source(r));
}

/* Its public half is what agents and clients are given; so it stands in the log. */
static int
load_key(struct relay *r, struct errtext *e)
{
	int rc = key_option_load(&r->opts.key, TLS_KEYED_SERVER, &r->keyed, e);

	if (r->keyed != NULL)
		log_info("the relay's key: %s", tls_keyed_public(r->keyed));
	return rc;
}

int
who_load(struct relay *r, struct errtext *e)
{
	int rc = load_key(r, e);

	if (rc != 0 || (r->opts.credentials == NULL && r->opts.agent_keys.n == 0))
		return rc;
	if (r->opts.agent_keys.n > 0 && r->keyed == NULL)
		return err_set(e, ERR_INVALID,
		    "--agent-key needs a key of the relay's own: --key-file FILE (tunnel keygen "
		    "-o FILE makes one)");
	if ((rc = who_read(r, &r->creds, e)) == 0)
		who_warn(r);
	return rc;
}
