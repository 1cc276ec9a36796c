/* SPDX-License-Identifier: ISC */
/*
 * ctl_fuzz - bodies of HELLO, OPEN and OPEN_OK: whatever is accepted is written and read back the
 * same.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/mem.h"
#include "proto/ctl.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_hello(data, size);
	try_open(data, size);
	try_open_ok(data, size);
	return 0;
}
