/* SPDX-License-Identifier: ISC */
/*
 * ctl - JSON bodies to structs and back (PROTOCOL.md 4); everything that a peer wrote is checked
 * here once.
 */
#include "proto/ctl_int.h"

#include <string.h>

#include "lib/base/hash.h"
#include "lib/conf/jobj.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/utf8.h"

/* The words of abilities. */
#define ABILITY_PUBLISH "publish"

static const char *const role_names[] = {
	[CTL_AGENT] = "agent",
	[CTL_CONNECT] = "connect",
	[CTL_RELAY] = "relay",
};

const char *
ctl_role_str(enum ctl_role role)
{
	return role_names[role];
}

bool
ctl_is_name(const char *s)
{
	return str_is_name(s, CTL_NAME_MAX);
}

/* has_control - C0, DEL, or C1 as UTF-8 writes it (c2 80 to c2 9f); s is valid UTF-8. */
static bool
has_control(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	for (; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
			return true;
	}
	return false;
}

bool
ctl_is_text(const char *s)
{
	return utf8_is_valid(s, strlen(s)) && !has_control(s);
}

bool
ctl_is_agent(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= CTL_AGENT_MAX && ctl_is_text(s);
}

/* Whether it is a name or an address at all is for the agent to find out. */
bool
ctl_is_host(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return false;
	return n > 0 && n <= CTL_HOST_MAX;
}

static bool
is_protocol(const char *s)
{
	return *s >= 'a' && *s <= 'z' &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

int
ctl_get_text(
    const struct jobj *o, const char *name, bool must, char *out, size_t outsz, struct errtext *why)
{
	const char *s = NULL;
	int r = jobj_str(o, name, &s, why);

	if (r == ERR_NOTFOUND && !must)
		return 0;
	if (r != 0)
		return r == ERR_NOTFOUND ? err_set(why, ERR_PROTO, "\"%s\" is missing", name)
					 : ERR_PROTO;
	if (strlen(s) >= outsz)
		return err_set(why, ERR_PROTO, "\"%s\" is longer than %zu bytes", name, outsz - 1);
	if (has_control(s))
		return err_set(why, ERR_PROTO, "\"%s\" holds a control character", name);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

int
ctl_get_int(const struct jobj *o, const char *name, int64_t min, int64_t max, int64_t *out,
    struct errtext *why)
{
	int r = jobj_int(o, name, min, max, out, why);

	return r == 0 || r == ERR_NOTFOUND ? 0 : ERR_PROTO;
}

static int
get_id(const struct jobj *o, const char *name, uint8_t out[CTL_TOKEN_LEN], struct errtext *why)
{
	char hex[HASH_HEX_LEN(CTL_TOKEN_LEN) + 1];
	int r = ctl_get_text(o, name, true, hex, sizeof hex, why);

	if (r == 0 && !hash_unhex(out, CTL_TOKEN_LEN, hex))
		r = err_set(why, ERR_PROTO, "\"%s\" is not %d hexadecimal digits", name,
		    HASH_HEX_LEN(CTL_TOKEN_LEN));
	return r;
}

/* get_offset - "received": below 2^63, which JSON integers carry exactly here; absent is 0. */
static int
get_offset(const struct jobj *o, uint64_t *out, struct errtext *why)
{
	int64_t v = 0;
	int r = ctl_get_int(o, "received", 0, INT64_MAX, &v, why);

	*out = (uint64_t)v;
	return r;
}

int
ctl_each_text(const struct jobj *o, const char *name, size_t max, const char *thing,
    int (*take)(void *arg, const char *s, struct errtext *why), void *arg, struct errtext *why)
{
	const struct jobj *a = NULL;
	int r = jobj_arr(o, name, &a, why);

	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return ERR_PROTO;
	if (jobj_count(a) > max)
		return err_set(why, ERR_PROTO, "\"%s\" has more than %zu %ss", name, max, thing);
	for (size_t i = 0; i < jobj_count(a); i++) {
		const char *s = jobj_as_str(jobj_at(a, i));
		struct errtext sub = { "" };

		r = s != NULL ? take(arg, s, &sub) : ERR_PROTO;
		if (r == ERR_NOMEM)
			return err_set(why, r, "out of memory");
		if (r != 0 && sub.s[0] != '\0')
			return err_set(why, ERR_PROTO, "\"%s\": %s", name, sub.s);
		if (r != 0)
			return err_set(why, ERR_PROTO, "\"%s\" holds what is no %s", name, thing);
	}
	return 0;
}

/* arg: where those that we know go, or NULL. */
static int
take_ability(void *arg, const char *s, struct errtext *why)
{
	unsigned *known = arg;

	(void)why;
	if (!str_is_name(s, CTL_NAME_MAX))
		return ERR_PROTO;
	if (known != NULL && strcmp(s, ABILITY_PUBLISH) == 0)
		*known |= CTL_CAN_PUBLISH;
	return 0;
}

/* PROTOCOL.md 4.1 */
static int
get_abilities(const struct jobj *o, unsigned *out, struct errtext *why)
{
	return ctl_each_text(o, "abilities", CTL_WORDS_MAX, "word", take_ability, out, why);
}

static int
get_role(const struct jobj *o, enum ctl_role *out, struct errtext *why)
{
	char s[16];
	int r = ctl_get_text(o, "role", true, s, sizeof s, why);

	if (r != 0)
		return r;
	for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
		if (strcmp(s, role_names[i]) == 0) {
			*out = (enum ctl_role)i;
			return 0;
		}
	}
	return err_set(why, ERR_PROTO, "\"role\" is none of agent, connect, relay");
}

int
ctl_parse_body(const void *p, size_t n, struct jobj **out, struct errtext *why)
{
	int r = jobj_parse(p, n, CTL_BODY_MAX, out, why);

	if (r != 0)
		return r == ERR_NOMEM ? r : ERR_PROTO;
	if (jobj_kind(*out) != JOBJ_OBJ)
		return err_set(why, ERR_PROTO, "the body is not a JSON object");
	return 0;
}

int
ctl_hello_parse(struct ctl_hello *h, const void *p, size_t n, struct errtext *why)
{
	struct jobj *o = NULL;
	int64_t version = 0, keepalive = CTL_KEEPALIVE_DEFAULT_MS;
	int r;

	memset(h, 0, sizeof *h);
	if ((r = ctl_parse_body(p, n, &o, why)) != 0 ||
	    (r = ctl_get_int(o, "version", 1, CTL_VERSION_MAX, &version, why)) != 0 ||
	    (r = get_role(o, &h->role, why)) != 0 ||
	    (r = ctl_get_text(o, "name", false, h->name, sizeof h->name, why)) != 0 ||
	    (r = ctl_get_text(o, "secret", false, h->secret, sizeof h->secret, why)) != 0 ||
	    (r = ctl_get_text(o, "software", false, h->software, sizeof h->software, why)) != 0 ||
	    (r = get_id(o, "instance", h->instance, why)) != 0 ||
	    (r = get_abilities(o, &h->abilities, why)) != 0 ||
	    (r = ctl_get_int(o, "keepalive_ms", 0, CTL_KEEPALIVE_MAX_MS, &keepalive, why)) != 0)
		goto out;
	if (version == 0)
		r = err_set(why, ERR_PROTO, "\"version\" is missing");
	else if (h->role != CTL_RELAY && !ctl_is_agent(h->name))
		r = err_set(
		    why, ERR_PROTO, "\"name\" is not a name: 1 to %d bytes of text", CTL_AGENT_MAX);
	else if (h->role == CTL_RELAY && h->name[0] != '\0')
		r = err_set(why, ERR_PROTO, "\"name\" has no place in a relay's greeting");
	h->version = (int)version;
	h->keepalive_ms = (uint32_t)keepalive;
out:
	jobj_free(o);
	if (r != 0)
		mem_wipe(h, sizeof *h);
	return r;
}

/* check_target - either a service, or host and port; nothing where it is not ours to know. */
static int
check_target(const struct ctl_open *o, struct errtext *why)
{
	if (ctl_open_is_e2e(o)) {
		if (o->service[0] != '\0' || o->host[0] != '\0' || o->port != 0)
			return err_set(why, ERR_PROTO, "an end-to-end session names no target");
		return 0;
	}
	if (o->service[0] != '\0') {
		if (o->host[0] != '\0' || o->port != 0)
			return err_set(
			    why, ERR_PROTO, "\"service\" excludes \"host\" and \"port\"");
		if (!ctl_is_name(o->service))
			return err_set(why, ERR_PROTO, "\"service\" is not a name");
		return 0;
	}
	if (o->host[0] == '\0')
		return err_set(why, ERR_PROTO, "neither \"service\" nor \"host\" is given");
	if (!ctl_is_host(o->host))
		return err_set(why, ERR_PROTO, "\"host\" is not printable ASCII without spaces");
	if (o->port == 0)
		return err_set(why, ERR_PROTO, "\"port\" is missing");
	return 0;
}

bool
ctl_open_is_e2e(const struct ctl_open *o)
{
	return strcmp(o->protocol, CTL_E2E) == 0;
}

int
ctl_open_parse(struct ctl_open *o, const void *p, size_t n, struct errtext *why)
{
	struct jobj *j = NULL;
	int64_t port = 0, client = 0, window = 0;
	int r;

	memset(o, 0, sizeof *o);
	if ((r = ctl_parse_body(p, n, &j, why)) != 0 ||
	    (r = get_id(j, "token", o->token, why)) != 0 ||
	    (r = ctl_get_text(j, "protocol", true, o->protocol, sizeof o->protocol, why)) != 0 ||
	    (r = ctl_get_text(j, "service", false, o->service, sizeof o->service, why)) != 0 ||
	    (r = ctl_get_text(j, "host", false, o->host, sizeof o->host, why)) != 0 ||
	    (r = ctl_get_int(j, "port", 1, UINT16_MAX, &port, why)) != 0 ||
	    (r = ctl_get_text(j, "source", false, o->source, sizeof o->source, why)) != 0 ||
	    (r = ctl_get_int(j, "client", 1, UINT32_MAX, &client, why)) != 0 ||
	    (r = ctl_get_int(j, "window", CTL_WINDOW_MIN, CTL_WINDOW_MAX, &window, why)) != 0 ||
	    (r = get_abilities(j, NULL, why)) != 0 || (r = get_offset(j, &o->received, why)) != 0)
		goto out;
	o->port = (uint16_t)port;
	o->client = (uint32_t)client;
	o->window = (uint32_t)window;
	if (!is_protocol(o->protocol))
		r = err_set(why, ERR_PROTO, "\"protocol\" is not a word of lower-case letters");
	else
		r = check_target(o, why);
out:
	if (r == 0) {
		o->raw = j;
		return 0;
	}
	jobj_free(j);
	memset(o, 0, sizeof *o);
	return r;
}

void
ctl_open_fini(struct ctl_open *o)
{
	jobj_free(o->raw);
	o->raw = NULL;
}

int
ctl_open_ok_parse(struct ctl_open_ok *o, const void *p, size_t n, struct errtext *why)
{
	struct jobj *j = NULL;
	int r;

	memset(o, 0, sizeof *o);
	if ((r = ctl_parse_body(p, n, &j, why)) != 0 || (r = get_offset(j, &o->received, why)) != 0)
		goto out;
	if ((r = get_abilities(j, NULL, why)) == 0)
		r = ctl_get_text(j, "target", false, o->target, sizeof o->target, why);
out:
	if (r == 0) {
		o->raw = j;
		return 0;
	}
	jobj_free(j);
	memset(o, 0, sizeof *o);
	return r;
}

void
ctl_open_ok_fini(struct ctl_open_ok *o)
{
	jobj_free(o->raw);
	o->raw = NULL;
}

static int
set_id(struct jobj *o, const char *name, const uint8_t id[CTL_TOKEN_LEN])
{
	char hex[HASH_HEX_LEN(CTL_TOKEN_LEN) + 1];

	hash_hex(hex, id, CTL_TOKEN_LEN);
	return jobj_set_str(o, name, hex);
}

int
ctl_set_text(struct jobj *o, const char *name, const char *s)
{
	return s[0] == '\0' ? 0 : jobj_set_str(o, name, s);
}

char *
ctl_dump_take(struct jobj *o, int r, size_t *n)
{
	char *s = r == 0 ? jobj_dump(o, n) : NULL;

	jobj_free(o);
	return s;
}

static int
set_abilities(struct jobj *o, unsigned abilities)
{
	struct jobj *a;
	int r;

	if (abilities == 0)
		return 0;
	a = jobj_new_arr();
	r = jobj_add_str(a, ABILITY_PUBLISH);
	if (r == 0)
		return jobj_set_take(o, "abilities", a);
	jobj_free(a);
	return r;
}

char *
ctl_hello_dump(const struct ctl_hello *h, size_t *n)
{
	struct jobj *o = jobj_new_obj();
	int r;

	if ((r = jobj_set_int(o, "version", h->version)) == 0 &&
	    (r = jobj_set_str(o, "role", ctl_role_str(h->role))) == 0 &&
	    (r = ctl_set_text(o, "name", h->name)) == 0 &&
	    (r = ctl_set_text(o, "secret", h->secret)) == 0 &&
	    (r = set_id(o, "instance", h->instance)) == 0 &&
	    (r = jobj_set_int(o, "keepalive_ms", h->keepalive_ms)) == 0 &&
	    (r = set_abilities(o, h->abilities)) == 0)
		r = ctl_set_text(o, "software", h->software);
	return ctl_dump_take(o, r, n);
}

/* begin - the object to write into: a copy of what came, or an empty one. */
static struct jobj *
begin(const struct jobj *raw)
{
	return raw != NULL ? jobj_copy(raw) : jobj_new_obj();
}

char *
ctl_open_dump(const struct ctl_open *o, size_t *n)
{
	struct jobj *j = begin(o->raw);
	int r;

	if ((r = set_id(j, "token", o->token)) == 0 &&
	    (r = jobj_set_str(j, "protocol", o->protocol)) == 0 &&
	    (r = ctl_set_text(j, "service", o->service)) == 0 &&
	    (r = ctl_set_text(j, "host", o->host)) == 0 &&
	    (r = o->port == 0 ? 0 : jobj_set_int(j, "port", o->port)) == 0 &&
	    (r = ctl_set_text(j, "source", o->source)) == 0 &&
	    (r = o->client == 0 ? 0 : jobj_set_int(j, "client", o->client)) == 0 &&
	    (r = o->window == 0 ? 0 : jobj_set_int(j, "window", o->window)) == 0)
		r = o->received == 0 ? 0 : jobj_set_int(j, "received", (int64_t)o->received);
	return ctl_dump_take(j, r, n);
}

char *
ctl_open_ok_dump(const struct ctl_open_ok *o, size_t *n)
{
	struct jobj *j = begin(o->raw);
	int r = jobj_set_int(j, "received", (int64_t)o->received);

	if (r == 0)
		r = ctl_set_text(j, "target", o->target);
	return ctl_dump_take(j, r, n);
}

bool
ctl_hello_may_log_in(const struct ctl_hello *h)
{
	return h->role != CTL_RELAY && ctl_is_agent(h->name);
}

void
ctl_hello_wipe(struct ctl_hello *h)
{
	mem_wipe(h->secret, sizeof h->secret);
}
