/* SPDX-License-Identifier: ISC */
/* offer_web - what is special about web services: where they are published, and who may come in. */
#include <stdio.h>
#include <string.h>

#include "cmd/agent/offer_int.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"

#define AUTH_FILE_MAX (64 * 1024)
#define DIGEST_PREFIX "sha256:"

/* ---- the host ---- */

/*
 * A service of its own beside those of --tcp: "http-shop", "http--.acme.test" for a wildcard, since
 * no label begins with a dash.  A name that is too long ends with a digest of it.
 */
static int
make_name(struct offer *f)
{
	char name[sizeof f->kind + REQUEST_HOST_MAX + 1], hex[HASH_HEX_LEN(4) + 1];
	uint8_t digest[HASH_SHA256_LEN];
	int n = snprintf(
	    name, sizeof name, "%s%s%s", f->kind, f->web_host[0] != '\0' ? "-" : "", f->web_host);

	if (strchr(name, '*') != NULL)
		*strchr(name, '*') = '-';
	snprintf(f->name, sizeof f->name, "%.*s", CTL_NAME_MAX, name);
	if (n <= CTL_NAME_MAX)
		return 0;
	if (hash_sha256(name, (size_t)n, digest) != 0)
		return ERR_NOMEM;
	hash_hex(hex, digest, 4);
	memcpy(f->name + CTL_NAME_MAX - HASH_HEX_LEN(4), hex, HASH_HEX_LEN(4));
	return 0;
}

int
offer_web(struct offer *f, const char *host, struct errtext *e)
{
	f->published = true;
	f->random = host != NULL && strcmp(host, "random") == 0;
	if (strcmp(f->kind, "http") == 0 && (f->web = request_web_new()) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (f->random)
		return 0;
	if (host != NULL && request_host_norm(host, f->web_host) != 0)
		return err_set(e, ERR_INVALID,
		    "\"%.100s\" is no host: write a label (shop), a name (www.example.com) or a "
		    "wildcard (*.example.com)",
		    host);
	return make_name(f) == 0 ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- users ---- */

/* "USER:PASSWORD", "USER:sha256:HEX" */
static int
take_user(struct request_web *w, char *line, struct errtext *e)
{
	char *colon = strchr(line, ':'), *password = colon + 1;
	uint8_t digest[HASH_SHA256_LEN];

	if (colon == NULL)
		return err_set(e, ERR_INVALID, "not of the form USER:PASSWORD");
	*colon = '\0';
	if (password[0] == '\0')
		return err_set(e, ERR_INVALID, "the password is empty");
	if (strncmp(password, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) == 0) {
		if (!hash_unhex(digest, sizeof digest, password + strlen(DIGEST_PREFIX)))
			return err_set(e, ERR_INVALID,
			    "after sha256: there must be %d hexadecimal digits",
			    HASH_HEX_LEN(HASH_SHA256_LEN));
	} else if (hash_sha256(password, strlen(password), digest) != 0) {
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	return request_web_add_user(w, line, digest, e);
}

static int
take_users(struct request_web *w, char *text, struct errtext *e)
{
	struct errtext why = { "" };
	char *next;
	int r = 0;

	for (unsigned n = 1; text != NULL && r == 0; n++, text = next) {
		if ((next = strchr(text, '\n')) != NULL)
			*next++ = '\0';
		text[strcspn(text, "\r")] = '\0';
		if (text[0] != '\0' && text[0] != '#' && (r = take_user(w, text, &why)) != 0)
			err_set(e, r, "line %u: %s", n, why.s);
	}
	if (r == 0 && w->n_users == 0)
		return err_set(e, ERR_INVALID, "nobody stands there");
	return r;
}

int
offer_web_users(struct offer *f, struct errtext *e)
{
	struct errtext why = { "" };
	char *text = NULL;
	size_t n = 0;
	int r = file_read_all(f->auth, AUTH_FILE_MAX, &text, &n, e);

	if (r != 0)
		return r;
	if (strlen(text) != n)
		r = err_set(&why, ERR_INVALID, "not a text file");
	else
		r = take_users(f->web, text, &why);
	if (r != 0)
		err_set(e, r, "%s: %s", f->auth, why.s);
	mem_wipe(text, n);
	mem_free(text);
	return r;
}
