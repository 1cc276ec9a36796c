/* SPDX-License-Identifier: ISC */
/*
 * request_web - what a request to publish a web service says beside what every kind does: hosts,
 * and how requests to the service are treated (PROTOCOL.md 4.4).
 *
 * struct request_web stands apart since most publications have none, and since requests that are
 * under way go on with the one they began with.
 */
#ifndef PROTO_REQUEST_WEB_H
#define PROTO_REQUEST_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/hash.h"
#include "lib/http/host.h"

struct jobj;

/* "*.NAME" */
#define REQUEST_HOST_MAX (HTTP_HOST_MAX + 2)
/* "NAME:PORT" */
#define REQUEST_REWRITE_MAX (HTTP_HOST_MAX + 8)
#define REQUEST_USERS_MAX 32
#define REQUEST_USER_MAX 64
/* of those that are added, and of those that are removed */
#define REQUEST_FIELDS_MAX 16
#define REQUEST_FIELD_NAME_MAX 64
#define REQUEST_FIELD_VALUE_MAX 1024
#define REQUEST_UPGRADES_MAX 4
#define REQUEST_UPGRADE_MAX 32
#define REQUEST_TIME_MAX_MS 3600000

struct request_field {
	char *name;
	/* NULL for one that is removed */
	char *value;
};

/* Who may come in, by basic authentication. */
struct request_user {
	char name[REQUEST_USER_MAX + 1];
	/* SHA-256 of the password */
	uint8_t digest[HASH_SHA256_LEN];
};

/* Read only, but for the count. */
struct request_web {
	unsigned refs;
	/* What the service gets as Host; "": what the visitor asked for. */
	char host[REQUEST_REWRITE_MAX + 1];
	/* 0: as long as the relay thinks right. */
	uint32_t connect_ms, timeout_ms;
	/* Names of Upgrade beside websocket, as one list: "a, b". */
	char upgrades[REQUEST_UPGRADES_MAX * (REQUEST_UPGRADE_MAX + 2) + 1];
	/* Each request has a stream of its own. */
	bool no_pool;
	/* First those that are removed go, then these come. */
	struct request_field *add, *remove;
	size_t n_add, n_remove;
	/* None: everybody may. */
	struct request_user *users;
	size_t n_users;
};

/*
 * request_web_new - one reference, nothing said.  NULL: out of memory.  The other two accept NULL;
 * all references belong to one thread.
 */
struct request_web *request_web_new(void);
struct request_web *request_web_ref(struct request_web *w);
void request_web_unref(struct request_web *w);

/*
 * What both sides add and what each checks; ERR_INVALID with why, ERR_LIMIT (there are as many as
 * there may be), ERR_NOMEM.
 *   add_field     an end-to-end field; value NULL: it is removed
 *   add_upgrade   a name of Upgrade; h2c is none, since what follows it is not HTTP/1.1
 *   add_user      name without a colon, once
 *   set_host      NAME, NAME:PORT or an address
 */
int request_web_add_field(
    struct request_web *w, const char *name, const char *value, struct errtext *why) WARN_UNUSED;
int request_web_add_upgrade(
    struct request_web *w, const char *name, struct errtext *why) WARN_UNUSED;
int request_web_add_user(struct request_web *w, const char *name,
    const uint8_t digest[HASH_SHA256_LEN], struct errtext *why) WARN_UNUSED;
int request_web_set_host(struct request_web *w, const char *host, struct errtext *why) WARN_UNUSED;

/* request_web_same - do both say the same? */
bool request_web_same(const struct request_web *a, const struct request_web *b);

/* request_web_take - the members of o into w, which says nothing yet.  ERR_PROTO, ERR_NOMEM. */
int request_web_take(struct request_web *w, const struct jobj *o, struct errtext *why) WARN_UNUSED;
/* request_web_put - the reverse.  ERR_NOMEM. */
int request_web_put(const struct request_web *w, struct jobj *o) WARN_UNUSED;

/*
 * request_host_norm - a host that is asked for, in normal form (lib/http/host.h): a label ("shop"),
 * a name, or a name with "*." in front.  ERR_INVALID.
 */
int request_host_norm(const char *s, char out[REQUEST_HOST_MAX + 1]) WARN_UNUSED;

#endif
