/* SPDX-License-Identifier: ISC */
/* known - the keys by which agents are known. */
#include "cmd/connect/known.h"

#include <string.h>

#include "lib/base/file.h"
#include "lib/base/hashtab.h"
#include "proto/ctl.h"

struct agent {
	char name[CTL_AGENT_MAX + 1];
	struct keys_list keys;
	UT_hash_handle hh;
};

struct known {
	struct agent *agents;
};

void
known_free(struct known *k)
{
	struct agent *a, *next;

	if (k == NULL)
		return;
	HASH_ITER(hh, k->agents, a, next)
	{
		HASH_DEL(k->agents, a);
		mem_free(a);
	}
	mem_free(k);
}

/* NULL: out of memory. */
static struct agent *
agent_get(struct known *k, const char *name)
{
	struct agent *a;

	HASH_FIND_STR(k->agents, name, a);
	if (a != NULL || (a = mem_zalloc(sizeof *a)) == NULL)
		return a;
	memcpy(a->name, name, strlen(name) + 1);
	HASH_ADD_STR(k->agents, name, a);
	if (hashtab_has(a))
		return a;
	mem_free(a);
	return NULL;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* [p, end) is "NAME KEY": the last word is the key, since a name may have blanks in it. */
static int
take_line(struct known *k, const char *p, const char *end, struct errtext *e)
{
	char name[CTL_AGENT_MAX + 1] = "";
	const char *key;
	struct agent *a;
	size_t n;

	while (p < end && is_blank(*p))
		p++;
	while (p < end && is_blank(end[-1]))
		end--;
	if (p == end || *p == '#')
		return 0;
	for (key = end; key > p && !is_blank(key[-1]);)
		key--;
	if (key == p)
		return err_set(e, ERR_INVALID, "not of the form NAME tunnel-pub-...");
	for (n = (size_t)(key - p); is_blank(p[n - 1]);)
		n--;
	if (n <= CTL_AGENT_MAX)
		memcpy(name, p, n);
	/* A name that has a NUL is not as long as it seems. */
	if (strlen(name) != n || !ctl_is_agent(name))
		return err_set(e, ERR_INVALID, "this is no agent's name");
	a = agent_get(k, name);
	if (a == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	return keys_list_add(&a->keys, key, (size_t)(end - key), e);
}

int
known_parse(const char *p, size_t n, struct known **out, struct errtext *e)
{
	struct known *k = mem_zalloc(sizeof *k);
	const char *end = p + n;
	unsigned line = 0;

	if (k == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		struct errtext why = { "" };
		int r;

		line++;
		if (eol == NULL)
			eol = end;
		r = take_line(k, p, eol, &why);
		if (r != 0) {
			known_free(k);
			return err_set(e, r, "line %u: %s", line, why.s);
		}
		p = eol + (eol < end ? 1 : 0);
	}
	*out = k;
	return 0;
}

int
known_load(const char *path, struct known **out, struct errtext *e)
{
	struct errtext why = { "" };
	char *text = NULL;
	size_t n = 0;
	int r = file_read_all(path, KNOWN_FILE_MAX, &text, &n, e);

	if (r != 0)
		return r;
	r = known_parse(text, n, out, &why);
	mem_free(text);
	return r == 0 ? 0 : err_set(e, r, "%s: %s", path, why.s);
}

const struct keys_list *
known_keys(const struct known *k, const char *agent)
{
	const struct agent *a;

	HASH_FIND_STR(k->agents, agent, a);
	return a != NULL ? &a->keys : NULL;
}
