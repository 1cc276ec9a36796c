/* SPDX-License-Identifier: ISC */
/* ingress - how the public comes in: from the relay's options to what stands behind them. */
#include "cmd/relay/ingress/ingress.h"

#include "cmd/relay/ingress/acme.h"
#include "cmd/relay/ingress/ports.h"
#include "cmd/relay/ingress/routes.h"
#include "cmd/relay/ingress/state.h"
#include "cmd/relay/origin.h"
#include "cmd/relay/relay.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static int
parse_ports(struct relay *r, struct errtext *e)
{
	struct ingress *in = &r->ingress;
	uint64_t first, last;

	if (str_parse_range(r->opts.ports, 1, UINT16_MAX, &first, &last) != 0)
		return err_set(e, ERR_INVALID, "--ports %s: not of the form FIRST-LAST, 1 to 65535",
		    r->opts.ports);
	in->first = (uint16_t)first;
	in->last = (uint16_t)last;
	in->ports = ports_new(in->first, in->last);
	return in->ports != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int
parse_options(struct relay *r, struct errtext *e)
{
	struct ingress *in = &r->ingress;
	int rc;

	if (!addr_literal(r->opts.public, 0, &in->at))
		return err_set(e, ERR_INVALID, "--public %s: not an address", r->opts.public);
	if (r->creds == NULL && !r->opts.insecure && !addr_is_loopback(&in->at))
		return err_set(e, ERR_INVALID,
		    "--public %s: anybody could publish there, since there are no --credentials; "
		    "give some, or publish on 127.0.0.1 (or say --insecure)",
		    r->opts.public);
	if ((rc = origin_nets(
		 "--proxy-from", &r->opts.proxy_from, &in->proxies, &in->n_proxies, e)) != 0)
		return rc;
	if ((in->routes = routes_new()) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if ((rc = names_init(&in->names, &r->opts, e)) != 0)
		return rc;
	return r->opts.ports != NULL ? parse_ports(r, e) : 0;
}

/* --state */
static int
remember(struct relay *r, struct errtext *e)
{
	struct ingress *in = &r->ingress;
	bool labels = names_has_labels(&in->names);
	uint8_t key[STATE_KEY_LEN];
	int rc;

	if (in->ports == NULL && !labels)
		return err_set(e, ERR_INVALID,
		    "--state %s: there is nothing to remember without --ports or --domain",
		    r->opts.state);
	if (labels && (rc = state_key(r->opts.state, key, e)) != 0)
		return rc;
	if (labels)
		names_set_key(&in->names, key);
	mem_wipe(key, sizeof key);
	return in->ports != NULL ? state_open(r->opts.state, in->ports, &in->state, e) : 0;
}

static int
check_https_only(const struct relay *r, struct errtext *e)
{
	if (!r->opts.https_only || r->opts.https.n > 0 || r->ingress.names.public_tls)
		return 0;
	return err_set(e, ERR_INVALID,
	    "--https-only: there is no --https listener to send visitors to, nor a --public-url "
	    "with https");
}

int
ingress_open(struct relay *r, struct errtext *e)
{
	struct ingress *in = &r->ingress;
	int rc = parse_options(r, e);

	if (rc != 0 || (rc = check_https_only(r, e)) != 0)
		return rc;
	if (r->opts.acme_dir != NULL && (rc = acme_open(r->opts.acme_dir, &in->acme, e)) != 0)
		return rc;
	return r->opts.state != NULL ? remember(r, e) : 0;
}

void
ingress_stop(struct relay *r)
{
	acme_close(r->ingress.acme);
	r->ingress.acme = NULL;
}

void
ingress_close(struct relay *r)
{
	state_close(r->ingress.state);
	ports_free(r->ingress.ports);
	routes_free(r->ingress.routes);
	names_fini(&r->ingress.names);
	mem_free(r->ingress.proxies);
}
