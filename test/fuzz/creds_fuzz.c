/* SPDX-License-Identifier: ISC */
/*
 * creds_fuzz - credentials files: whatever is accepted answers every question without admitting an
 * empty secret.
 */
#include <assert.h>
#include <stdint.h>

#include "proto/creds.h"
#include "test/by_secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_open by_service = { .protocol = "tcp", .service = "ssh" };
	struct ctl_open by_host = { .protocol = "tcp", .host = "127.0.0.1", .port = 22 };
	struct creds *c = NULL;
	struct errtext e;
	struct creds_id id;

	if (creds_parse(data, size, &c, &e) != 0) {
		assert(c == NULL);
		return 0;
	}
	for (size_t i = 0; creds_warning(c, i) != NULL; i++)
		assert(i < CREDS_WARNINGS_MAX && creds_warning(c, i)[0] != '\0');
	assert(creds_client(c, BY_SECRET(""), 0, &id) == ERR_DENIED);
	assert(creds_agent(c, "pi", BY_SECRET(""), 0, &id) == ERR_DENIED);
	if (creds_agent(c, "pi", BY_SECRET("s"), 0, &id) == 0) {
		assert(creds_still_valid(c, &id, 0));
		assert(!creds_client_may(c, &id, "pi", &by_service, 0));
		/* Port 0 is in no list. */
		assert(!creds_agent_may_publish(c, &id, 0) ||
		       creds_agent_may_publish(c, &id, UINT16_MAX));
		assert(creds_max_services(c, &id) <= CREDS_SERVICES_MAX);
		/* Every host is random ones, too; and its name is an agent's. */
		assert(!creds_agent_may_host(c, &id, "pi", "pi.t.test") ||
		       !creds_agent_may_host(c, &id, "", "*.test") ||
		       !creds_agent_may_host(c, &id, "", "x") || creds_agent_may_random(c, &id));
		/* One that is more than one agent's is nobody's. */
		assert(creds_agent_of_label(c, "PI") != NULL ||
		       !creds_agent_may_host(c, &id, "pi", "pi.t.test") ||
		       creds_agent_may_host(c, &id, "", "pi"));
	}
	if (creds_client(c, BY_SECRET("s"), 0, &id) == 0) {
		assert(creds_still_valid(c, &id, 0));
		assert(!creds_agent_may_publish(c, &id, 22));
		assert(!creds_agent_may_host(c, &id, "pi", "pi.t.test"));
		if (id.kind == CREDS_SHARED)
			assert(creds_client_may(c, &id, "pi", &by_host, 0));
		else
			(void)creds_client_may(c, &id, "pi", &by_service, 0);
	}
	creds_unref(c);
	return 0;
}
