/* SPDX-License-Identifier: ISC */
/*
 * hosts - the addresses that a file such as /etc/hosts gives to names.
 *
 * The text is cut into words where it stands; an entry is two pointers into it.
 */
#include "lib/net/hosts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"

#define BLANKS " \t\r\v\f"

struct entry {
	const char *name, *address;
};

static _Thread_local struct {
	bool known; /* the file was looked at */
	uint64_t looked_ms;
	struct file_stamp stamp;
	char *text;
	struct entry *e; /* sorted by name, then as in the file */
	size_t n, cap;
} table;

static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = strcasecmp(x->name, y->name);

	return c != 0 ? c : (x->name > y->name) - (x->name < y->name);
}

static void
forget(void)
{
	mem_free(table.text);
	mem_free(table.e);
	table.text = NULL;
	table.e = NULL;
	table.n = table.cap = 0;
}

static bool
add(const char *name, const char *address)
{
	if (table.n == table.cap) {
		size_t cap = table.cap > 0 ? table.cap * 2 : 64;
		struct entry *e = mem_resize(table.e, cap, sizeof *e);

		if (e == NULL)
			return false;
		table.e = e;
		table.cap = cap;
	}
	table.e[table.n++] = (struct entry){ name, address };
	return true;
}

/* One line without its end: an address and its names. */
static bool
add_line(char *line)
{
	char *rest, *address, *name;

	line[strcspn(line, "#")] = '\0';
	if ((address = strtok_r(line, BLANKS, &rest)) == NULL)
		return true;
	while ((name = strtok_r(NULL, BLANKS, &rest)) != NULL)
		if (!add(name, address))
			return false;
	return true;
}

static void
load(const char *path)
{
	char *next;
	size_t len;
	int r;

	forget();
	if ((r = file_read_all(path, HOSTS_SIZE_MAX, &table.text, &len, NULL)) != 0) {
		table.known = r != ERR_NOMEM; /* then the next look-up is the next attempt */
		return;
	}
	for (char *line = table.text; line != NULL; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (!add_line(line)) {
			forget();
			table.known = false;
			return;
		}
	}
	if (table.n > 0)
		qsort(table.e, table.n, sizeof *table.e, compare);
}

static void
look(const char *path, uint64_t now_ms)
{
	struct file_stamp now;

	if (table.known && now_ms - table.looked_ms < HOSTS_LOOK_MS)
		return;
	table.looked_ms = now_ms;
	file_stamp_take(&now, path);
	if (table.known && file_stamp_same(&now, &table.stamp))
		return;
	table.known = true;
	table.stamp = now;
	load(path);
}

void
hosts_each(const char *path, const char *name, uint64_t now_ms,
    void (*fn)(void *arg, const char *address), void *arg)
{
	size_t low = 0, high;

	look(path, now_ms);
	high = table.n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcasecmp(table.e[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < table.n && strcasecmp(table.e[low].name, name) == 0; low++)
		fn(arg, table.e[low].address);
}

void
hosts_free(void)
{
	forget();
	table.known = false;
}
