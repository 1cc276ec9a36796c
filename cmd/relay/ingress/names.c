/* SPDX-License-Identifier: ISC */
/* names - the relay's host names. */
#include "cmd/relay/ingress/names.h"

#include <stdio.h>
#include <string.h>

#include "cmd/relay/relay.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/net/url.h"

/* RFC 4648 6, in lower case */
static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";

/* ---- options ---- */

static int
take_name(const char *option, const char *s, char out[HTTP_HOST_MAX + 1], struct errtext *e)
{
	if (http_host_norm(s, strlen(s), out) != 0)
		return err_set(e, ERR_INVALID, "--%s %s: not a host name", option, s);
	return 0;
}

static int
take_domains(struct names *n, const struct opt_list *l, struct errtext *e)
{
	int r = 0;

	if (l->n > NAMES_DOMAINS_MAX)
		return err_set(e, ERR_INVALID, "more than %d --domain", NAMES_DOMAINS_MAX);
	n->domains = mem_must_zalloc(l->n * sizeof *n->domains);
	for (size_t i = 0; r == 0 && i < l->n; i++)
		if (strcmp(l->v[i], "*") == 0)
			n->any_domain = true;
		else if ((r = take_name("domain", l->v[i], n->domains[n->n_domains], e)) == 0)
			n->n_domains++;
	return r;
}

static int
take_own(struct names *n, const struct opt_list *l, struct errtext *e)
{
	int r = 0;

	n->own = mem_must_zalloc(l->n * sizeof *n->own);
	for (; r == 0 && n->n_own < l->n; n->n_own++)
		r = take_name("relay-host", l->v[n->n_own], n->own[n->n_own], e);
	return r;
}

static int
take_url(struct names *n, const char *s, struct errtext *e)
{
	struct url u;
	int r;

	if (s == NULL)
		return 0;
	if ((r = url_parse(s, URL_HTTP | URL_HTTPS, "--public-url", &u, e)) != 0)
		return r;
	if (strcmp(u.target, "/") != 0)
		return err_set(e, ERR_INVALID,
		    "--public-url %s: services have hosts of their own and no path", s);
	n->public_tls = u.tls;
	n->public_port = u.at.port;
	return take_name("public-url", u.at.host, n->public_host, e);
}

int
names_init(struct names *n, const struct relay_opts *o, struct errtext *e)
{
	int r;

	if (rand_bytes(n->key, sizeof n->key) != 0)
		return err_set(e, ERR_SYS, "the system gives no random bytes");
	if ((r = take_domains(n, &o->domain, e)) != 0 || (r = take_own(n, &o->relay_host, e)) != 0)
		return r;
	return take_url(n, o->public_url, e);
}

void
names_fini(struct names *n)
{
	mem_free(n->domains);
	mem_free(n->own);
	mem_wipe(n->key, sizeof n->key);
}

void
names_set_key(struct names *n, const uint8_t key[STATE_KEY_LEN])
{
	memcpy(n->key, key, STATE_KEY_LEN);
	n->has_key = true;
}

/* ---- labels and hosts ---- */

bool
names_has_labels(const struct names *n)
{
	return n->n_domains > 0 || n->any_domain;
}

static bool
is_label(const char *host)
{
	return strchr(host, '.') == NULL;
}

/* "LABEL.DOMAIN"; false: that is too long for a host. */
static bool
join(const char *label, const char *domain, char out[REQUEST_HOST_MAX + 1])
{
	return snprintf(out, REQUEST_HOST_MAX + 1, "%s.%s", label, domain) <= HTTP_HOST_MAX;
}

bool
names_each(const struct names *n, const char *asked, size_t i, char out[REQUEST_HOST_MAX + 1])
{
	if (is_label(asked) && i < n->n_domains)
		return join(asked, n->domains[i], out);
	snprintf(out, REQUEST_HOST_MAX + 1, "%s", asked);
	return is_label(asked) ? n->any_domain && i == n->n_domains : i == 0;
}

static bool
cut_label(const char *host, size_t len, char out[NAMES_LABEL_MAX + 1])
{
	if (len == 0 || len > NAMES_LABEL_MAX)
		return false;
	memcpy(out, host, len);
	out[len] = '\0';
	return true;
}

bool
names_label(const struct names *n, const char *host, char out[NAMES_LABEL_MAX + 1])
{
	size_t len = strcspn(host, ".");

	if (host[len] == '\0' || host[0] == '*')
		return false;
	for (size_t i = 0; i < n->n_domains; i++)
		if (strcmp(host + len + 1, n->domains[i]) == 0)
			return cut_label(host, len, out);
	return false;
}

bool
names_first_label(const struct names *n, const char *host, char out[NAMES_LABEL_MAX + 1])
{
	return n->any_domain && cut_label(host, strcspn(host, "."), out);
}

static bool
is_one_of(const char *host, char (*v)[HTTP_HOST_MAX + 1], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(host, v[i]) == 0)
			return true;
	return false;
}

bool
names_is_relay(const struct names *n, const char *host)
{
	return n->n_own > 0 ? is_one_of(host, n->own, n->n_own)
			    : is_one_of(host, n->domains, n->n_domains);
}

bool
names_of_agent(const char *agent, char out[NAMES_LABEL_MAX + 1])
{
	char host[REQUEST_HOST_MAX + 1];

	return strlen(agent) <= NAMES_LABEL_MAX && is_label(agent) &&
	       request_host_norm(agent, host) == 0 && cut_label(host, strlen(host), out);
}

/* ---- random names ---- */

int
names_random(
    const struct names *n, const char *agent, const char *service, char out[NAMES_RANDOM_LEN + 1])
{
	char what[CTL_AGENT_MAX + 1 + CTL_NAME_MAX + 1];
	uint8_t mac[HASH_SHA256_LEN];
	/* A service has no slash, so no two pairs are the same text. */
	int len = snprintf(what, sizeof what, "%s/%s", agent, service);

	if (hash_hmac_sha256(n->key, sizeof n->key, what, (size_t)len, mac) != 0)
		return ERR_NOMEM;
	for (size_t i = 0; i < NAMES_RANDOM_LEN; i++) {
		size_t bit = i * 5;
		unsigned two = (unsigned)mac[bit / 8] << 8 | mac[bit / 8 + 1];

		out[i] = base32[two >> (11 - bit % 8) & 31];
	}
	out[NAMES_RANDOM_LEN] = '\0';
	return 0;
}

bool
names_is_random(const char *label)
{
	return strlen(label) == NAMES_RANDOM_LEN && strspn(label, base32) == NAMES_RANDOM_LEN;
}

/* ---- for people ---- */

uint16_t
names_https_port(const struct names *n, uint16_t https)
{
	uint16_t port = n->public_tls ? n->public_port : https;

	return port == 443 ? 0 : port;
}

void
names_public(const struct names *n, const char *asked, char out[REQUEST_HOST_MAX + 1])
{
	const char *domain = n->public_host[0] != '\0' ? n->public_host
			     : n->n_domains > 0        ? n->domains[0]
						       : "localhost";

	if (!is_label(asked) || !join(asked, domain, out))
		snprintf(out, REQUEST_HOST_MAX + 1, "%s", asked);
}

int
names_url(const struct names *n, const char *asked, uint16_t http, uint16_t https, bool tls,
    char out[REQUEST_PUBLIC_MAX + 1])
{
	bool known = n->public_host[0] != '\0' && (n->public_tls || !tls);
	bool secure = known ? n->public_tls : https != 0;
	uint16_t port = known ? n->public_port : secure ? https : http;
	char host[REQUEST_HOST_MAX + 1], suffix[8] = "";

	if (port == 0 || (tls && !secure))
		return ERR_DENIED;
	names_public(n, asked, host);
	if (port != (secure ? 443 : 80))
		snprintf(suffix, sizeof suffix, ":%u", port);
	snprintf(out, REQUEST_PUBLIC_MAX + 1, "%s://%s%s", secure ? "https" : "http", host, suffix);
	return 0;
}
