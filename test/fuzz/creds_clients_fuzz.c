/* SPDX-License-Identifier: ISC */
/* creds_clients_fuzz - agents' files of clients: what is accepted lets nobody in without a key. */
#include <assert.h>
#include <stdint.h>

#include "proto/creds_clients.h"
#include "test/by_secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ctl_open by_service = { .protocol = "tcp", .service = "ssh" };
	struct creds_id id;
	struct creds *c = NULL;
	struct errtext e;

	if (creds_clients_parse(data, size, &c, &e) != 0) {
		assert(c == NULL);
		return 0;
	}
	assert(creds_client(c, BY_SECRET(""), 0, &id) == ERR_DENIED);
	assert(creds_client(c, BY_SECRET("s"), 0, &id) == ERR_DENIED);
	assert(creds_agent(c, "pi", BY_SECRET("s"), 0, &id) == ERR_DENIED);
	assert(!creds_clients_open(c, &id, &by_service, 0));
	creds_unref(c);
	return 0;
}
