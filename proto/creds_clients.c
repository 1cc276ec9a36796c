/* SPDX-License-Identifier: ISC */
/* creds_clients - an agent's own file of clients. */
#include "proto/creds_clients.h"

#include "proto/creds_int.h"

int
creds_clients_parse(const void *p, size_t n, struct creds **out, struct errtext *e)
{
	return creds_read(p, n, creds_take_clients, out, e);
}

int
creds_clients_load(const char *path, struct creds **out, struct errtext *e)
{
	return creds_read_file(path, creds_take_clients, out, e);
}

bool
creds_clients_open(
    const struct creds *c, const struct creds_id *id, const struct ctl_open *o, int64_t now_s)
{
	const struct creds_entry *en = creds_client_entry(c, id->name);

	if (en == NULL || !creds_still_valid(c, id, now_s))
		return false;
	return o->service[0] == '\0' || creds_list_has(&en->services, o->service);
}

bool
creds_clients_dial(
    const struct creds *c, const char *client, const char *host, const struct addr *a)
{
	const struct creds_entry *en = creds_client_entry(c, client);

	return en != NULL && match_target(en->hosts, host, a);
}
