/* SPDX-License-Identifier: ISC */
/*
 * ctl_fuzz - bodies of HELLO, OPEN, OPEN_OK and CONTROL: whatever is accepted is written and read
 * back the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "proto/ctl.h"
#include "proto/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_hello(const uint8_t *data, size_t size)
{
	struct ctl_hello h, again;
	struct errtext why;
	size_t n;

	if (ctl_hello_parse(&h, data, size, &why) != 0)
		return;
	char *s = ctl_hello_dump(&h, &n);
	assert(s != NULL);
	assert(ctl_hello_parse(&again, s, n, &why) == 0);
	assert(memcmp(&h, &again, sizeof h) == 0);
	mem_free(s);
}

static void
try_open(const uint8_t *data, size_t size)
{
	struct ctl_open o, again;
	struct errtext why;
	size_t n;

	if (ctl_open_parse(&o, data, size, &why) != 0)
		return;
	char *s = ctl_open_dump(&o, &n);
	assert(s != NULL);
	assert(ctl_open_parse(&again, s, n, &why) == 0);
	ctl_open_fini(&o);
	ctl_open_fini(&again);
	assert(memcmp(&o, &again, sizeof o) == 0);
	mem_free(s);
}

static void
try_open_ok(const uint8_t *data, size_t size)
{
	struct ctl_open_ok k, again;
	struct errtext why;
	size_t n;

	if (ctl_open_ok_parse(&k, data, size, &why) != 0)
		return;
	char *s = ctl_open_ok_dump(&k, &n);
	assert(s != NULL);
	assert(ctl_open_ok_parse(&again, s, n, &why) == 0);
	ctl_open_ok_fini(&k);
	ctl_open_ok_fini(&again);
	assert(memcmp(&k, &again, sizeof k) == 0);
	mem_free(s);
}

/* Who is denied is not let in by whatever is allowed. */
static void
check_rules(const struct request_rules *r)
{
	struct request_rules denied = *r;
	struct addr a;

	if (!addr_literal("10.0.0.1", 1, &a))
		abort();
	denied.n_allow = 0;
	if (!request_admits(&denied, &a))
		assert(!request_admits(r, &a));
}

/* How requests are treated is a struct of its own. */
static void
check_same(struct request *q, struct request *q2)
{
	assert((q->web == NULL) == (q2->web == NULL));
	assert(q->web == NULL || request_web_same(q->web, q2->web));
	request_fini(q);
	request_fini(q2);
	assert(memcmp(q, q2, sizeof *q) == 0);
}

static void
try_control(const uint8_t *data, size_t size)
{
	struct request q, q2;
	struct request_reply a, a2;
	struct errtext why;
	size_t n;

	if (request_parse(&q, &a, data, size, &why) != 0) {
		assert(q.id == 0 || q.verb != REQUEST_REPLY);
		return;
	}
	assert(q.id > 0);
	if (q.verb == REQUEST_UNKNOWN)
		return;
	char *s = q.verb == REQUEST_REPLY ? request_reply_dump(&a, &n) : request_dump(&q, &n);
	assert(s != NULL);
	assert(request_parse(&q2, &a2, s, n, &why) == 0);
	check_same(&q, &q2);
	assert(memcmp(&a, &a2, sizeof a) == 0);
	mem_free(s);
	check_rules(&q.rules);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_hello(data, size);
	try_open(data, size);
	try_open_ok(data, size);
	try_control(data, size);
	return 0;
}
