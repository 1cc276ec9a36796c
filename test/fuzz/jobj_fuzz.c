/* SPDX-License-Identifier: ISC */
/* jobj_fuzz - whatever the JSON reader accepts is written, read again, and the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/conf/jobj.h"
#include "lib/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Touch every value below v, as the users of a parsed message do. */
static size_t
walk(const struct jobj *v, unsigned depth)
{
	struct jobj_iter it = { 0 };
	const struct jobj *child;
	const char *name;
	size_t n = 1, i;

	assert(depth <= JOBJ_DEPTH_MAX);
	while (jobj_each(v, &it, &name, &child))
		n += strlen(name) + walk(child, depth + 1);
	if (jobj_kind(v) == JOBJ_ARR)
		for (i = 0; i < jobj_count(v); i++)
			n += walk(jobj_at(v, i), depth + 1);
	if (jobj_kind(v) == JOBJ_STR)
		n += strlen(jobj_as_str(v));
	return n;
}

static void
try_members(const struct jobj *o)
{
	static const char *const allowed[] = { "version", "name", "port", NULL };
	const char *s = "";
	int64_t port = 80;
	struct errtext e = { "" };

	if (jobj_str(o, "name", &s, &e) != 0)
		assert(*s == '\0' && *e.s != '\0');
	if (jobj_int(o, "port", 1, 65535, &port, &e) != 0)
		assert(*e.s != '\0');
	assert(port >= 1 && port <= 65535);
	if (jobj_only(o, allowed, &e) != 0)
		assert(strncmp(e.s, "unknown key", 11) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jobj *v = NULL, *again = NULL;
	struct errtext e = { "" };
	char *s, *twice;
	size_t n, m;

	if (jobj_parse(data, size, 65536, &v, &e) != 0) {
		assert(v == NULL && *e.s != '\0');
		return 0;
	}
	assert(walk(v, 0) > 0);
	try_members(v);
	s = jobj_dump(v, &n);
	assert(s != NULL);
	assert(jobj_parse(s, n, SIZE_MAX, &again, &e) == 0);
	twice = jobj_dump(again, &m);
	assert(twice != NULL && n == m && memcmp(s, twice, n) == 0);
	mem_free(s);
	mem_free(twice);
	jobj_free(v);
	jobj_free(again);
	return 0;
}
