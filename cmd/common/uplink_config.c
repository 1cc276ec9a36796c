/* SPDX-License-Identifier: ISC */
/* uplink_config - from options to what a dial needs: URL, dialect, proxy, trust, secret or key. */
#include <stdio.h>
#include <string.h>

#include "cmd/common/uplink.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"
#include "proto/join.h"
#include "lib/net/addr.h"
#include "lib/base/rand.h"
#include "lib/base/str.h"

static int
take_relay_keys(struct uplink_config *c, const struct uplink_opts *o, struct errtext *e)
{
	struct errtext why = { "" };

	if (o->relay_keys.n == 0)
		return err_set(e, ERR_INVALID,
		    "a login by key needs --relay-key " KEYS_PUB_PREFIX
		    "..., the relay's public key: its log has it, and tunnel keygen --pub prints "
		    "it");
	for (size_t i = 0; i < o->relay_keys.n; i++) {
		const char *text = o->relay_keys.v[i];
		int r = keys_list_add(&c->target.relay_keys, text, strlen(text), &why);

		if (r != 0)
			return err_set(e, r, "--relay-key: %s", why.s);
	}
	return 0;
}

/* The relay's URL and key, and our own, from one file. */
static int
take_join(struct uplink_config *c, struct uplink_opts *o, struct errtext *e)
{
	struct errtext warning = { "" }, why = { "" };
	struct secret *text = NULL;
	struct join j = { .key = NULL };
	int r;

	if (o->relay != NULL || o->key.file != NULL || o->key.key != NULL || o->relay_keys.n > 0)
		return err_set(e, ERR_INVALID,
		    "--join-file stands for --relay, --relay-key and --key-file: give it alone");
	if ((r = secret_from_file(o->join_file, &text, &warning, e)) != 0)
		return r;
	if (warning.s[0] != '\0')
		log_warnx("%s", warning.s);
	r = join_parse(secret_bytes(text), secret_len(text), &j, &why);
	if (r == 0)
		r = tls_keyed_new(j.key, TLS_KEYED_CLIENT, TLS_KEYED_LOGIN, &c->target.keyed, &why);
	if (r == 0 && (o->relay = mem_strdup(j.url)) == NULL)
		r = err_set(&why, ERR_NOMEM, "out of memory");
	memcpy(c->target.relay_keys.points[0], j.relay, KEYS_POINT_LEN);
	c->target.relay_keys.n = 1;
	join_fini(&j);
	secret_free(text);
	return r == 0 ? 0 : err_set(e, r, "%s: %s", o->join_file, why.s);
}

/* The login by key, if one is given. */
static int
take_key(struct uplink_config *c, struct uplink_opts *o, struct errtext *e)
{
	int r = 0;

	if (o->join_file == NULL)
		r = key_option_load(&o->key, TLS_KEYED_CLIENT, &c->target.keyed, e);
	if (r != 0)
		return r;
	if (c->target.keyed != NULL && (o->secret != NULL || o->secret_file != NULL))
		return err_set(e, ERR_INVALID,
		    "both a key and a secret: who has a key shows no secret; give one of the two");
	if (c->target.keyed != NULL)
		return o->join_file != NULL ? 0 : take_relay_keys(c, o, e);
	if (o->relay_keys.n > 0)
		return err_set(
		    e, ERR_INVALID, "--relay-key is of a login by key: give --key-file FILE, too");
	return 0;
}

static int
take_secret(struct uplink_config *c, struct uplink_opts *o, struct errtext *e)
{
	struct errtext warning = { "" };
	int r;

	if (c->target.keyed != NULL)
		return 0;
	c->secret = o->secret;
	o->secret = NULL;
	if (c->secret == NULL && o->secret_file != NULL) {
		r = secret_from_file(o->secret_file, &c->secret, &warning, e);
		if (r != 0)
			return r;
		if (warning.s[0] != '\0')
			log_warnx("%s", warning.s);
	}
	if (c->secret == NULL)
		return err_set(e, ERR_INVALID,
		    "no secret: give --secret-file FILE, or TUNNEL_SECRET in the environment "
		    "(tunnel keygen --secret makes one); or a key: --key-file FILE");
	if (secret_len(c->secret) > CTL_SECRET_MAX)
		return err_set(
		    e, ERR_INVALID, "the secret is longer than %d bytes", CTL_SECRET_MAX);
	if (strlen(secret_bytes(c->secret)) != secret_len(c->secret))
		return err_set(e, ERR_INVALID, "the secret has a NUL byte");
	if (!ctl_is_text(secret_bytes(c->secret)))
		return err_set(e, ERR_INVALID,
		    "the secret%s%s has a control character (a second newline at its end?) or is "
		    "not "
		    "UTF-8",
		    o->secret_file != NULL ? " in " : "",
		    o->secret_file != NULL ? o->secret_file : "");
	return 0;
}

static int
make_trust(struct uplink_config *c, const struct uplink_opts *o, struct errtext *e)
{
	struct tls_client_opts opts = { .ca_file = o->ca };
	struct strbuf pins;
	int r;

	if (!c->target.url.tls) {
		if (o->ca != NULL || o->pins.n > 0)
			return err_set(e, ERR_INVALID,
			    "--ca and --pin need a wss:// relay; %s has no TLS", c->relay);
		return 0;
	}
	strbuf_init(&pins, 64 * 1024);
	for (size_t i = 0; i < o->pins.n; i++)
		strbuf_addf(&pins, "%s%s", i > 0 ? ";" : "", o->pins.v[i]);
	r = strbuf_status(&pins);
	opts.pins = o->pins.n > 0 ? pins.s : NULL;
	if (r == 0)
		r = tls_client_new(&opts, &c->target.tls, e);
	strbuf_fini(&pins);
	return r;
}

/* ---- what is spoken ---- */

enum { DIALECT_AUTO, DIALECT_NATIVE };

const char *const uplink_dialects[] = { "auto", "native", "http-network-relay", NULL };

static bool
has_path(const struct url *u)
{
	return strcmp(u->target, "/") != 0;
}

static void
use_dialect(struct uplink_config *c, const struct dialect *d)
{
	c->target.dialect = d;
	if (d != &dialect_native && !has_path(&c->target.url))
		snprintf(c->target.url.target, sizeof c->target.url.target, "%s", d->paths[0]);
}

/* The URL has no path and nobody has said what is spoken: any dialect may be. */
static void
offer_other(struct uplink_config *c, const struct uplink_opts *o, enum ctl_role role)
{
	/* A second carrier is a second agent there. */
	if (role == CTL_AGENT && o->carriers > 1)
		return;
	c->other = dialect_by_name(dialects_all, uplink_dialects[DIALECT_NATIVE + 1], role);
	snprintf(c->other_path, sizeof c->other_path, "%s", c->other->paths[0]);
}

static int
choose_dialect(
    struct uplink_config *c, const struct uplink_opts *o, enum ctl_role role, struct errtext *e)
{
	const struct dialect *d = dialect_by_url(dialects_all, c->target.url.target);

	c->target.dialect = &dialect_native;
	/* Nobody has proved anything in another dialect: so there is no way to it. */
	if (c->target.keyed != NULL)
		return o->dialect <= DIALECT_NATIVE && d == NULL
			   ? 0
			   : err_set(e, ERR_INVALID,
				 "a login by key is for a relay that speaks the native dialect");
	if (o->dialect > DIALECT_NATIVE) {
		use_dialect(c, dialect_by_name(dialects_all, uplink_dialects[o->dialect], role));
	} else if (o->dialect == DIALECT_AUTO && d != NULL) {
		if ((d->roles & DIALECT_FOR(role)) == 0)
			return err_set(e, ERR_INVALID,
			    "%s: that path is for %s; %s path ends in %s", c->relay,
			    role == CTL_AGENT ? "clients" : "agents",
			    role == CTL_AGENT ? "an agent's" : "a client's",
			    dialect_by_name(dialects_all, d->name, role)->paths[0]);
		use_dialect(c, d);
	} else if (o->dialect == DIALECT_AUTO && !has_path(&c->target.url)) {
		offer_other(c, o, role);
	}
	if (c->target.dialect != &dialect_native && role == CTL_AGENT && o->carriers > 1)
		return err_set(e, ERR_INVALID, "--carriers: %s has one WebSocket for each agent",
		    c->target.dialect->name);
	return 0;
}

void
uplink_config_switch(struct uplink_config *c)
{
	const struct dialect *d = c->other;
	char path[URL_TARGET_MAX + 1];

	c->other = c->target.dialect;
	c->target.dialect = d;
	memcpy(path, c->other_path, sizeof path);
	memcpy(c->other_path, c->target.url.target, sizeof path);
	memcpy(c->target.url.target, path, sizeof path);
}

static void
warn_of_plain(const struct uplink_config *c)
{
	struct addr a;
	const struct hostport *at = &c->target.url.at;

	if (c->target.url.tls || c->target.keyed != NULL || strcmp(at->host, "localhost") == 0 ||
	    (addr_literal(at->host, at->port, &a) && addr_is_loopback(&a)))
		return;
	log_warnx("%s is not encrypted: the secret and all data can be read on the way; use wss://",
	    c->relay);
}

int
uplink_config_init(
    struct uplink_config *c, struct uplink_opts *o, enum ctl_role role, struct errtext *e)
{
	int r;

	memset(c, 0, sizeof *c);
	if (o->join_file != NULL && (r = take_join(c, o, e)) != 0)
		return r;
	if (o->relay == NULL)
		return err_set(e, ERR_INVALID, "no relay: give --relay URL or set TUNNEL_RELAY");
	r = url_parse(o->relay, URL_WS | URL_WSS, "relay URL", &c->target.url, e);
	if (r != 0)
		return r;
	url_text(&c->target.url, c->relay, sizeof c->relay);
	c->keepalive_ms = (uint32_t)o->keepalive_ms;
	if ((r = take_key(c, o, e)) != 0 || (r = choose_dialect(c, o, role, e)) != 0)
		return r;
	c->max_window = o->max_window;
	budget_init(&c->memory, o->max_memory / 3, NULL);
	budget_init(&c->keep, o->max_memory - o->max_memory / 3, NULL);
	c->target.headers = &o->headers;
	if ((r = dialer_check_headers(&o->headers, e)) != 0 ||
	    (r = dialer_proxy(&c->target, o->proxy, e)) != 0 || (r = take_secret(c, o, e)) != 0 ||
	    (r = make_trust(c, o, e)) != 0)
		return r;
	if (rand_bytes(c->instance, sizeof c->instance) != 0)
		return err_set(e, ERR_SYS, "the system gives no random bytes");
	warn_of_plain(c);
	/* What the relay's credentials must have. */
	if (c->target.keyed != NULL)
		log_info("own key: %s", tls_keyed_public(c->target.keyed));
	return 0;
}

void
uplink_config_fini(struct uplink_config *c)
{
	secret_free(c->secret);
	tls_client_free(c->target.tls);
	tls_keyed_free(c->target.keyed);
	url_wipe(&c->target.proxy);
	memset(c, 0, sizeof *c);
}
