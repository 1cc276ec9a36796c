/* SPDX-License-Identifier: ISC */
/*
 * state_tables_test - the states that PROTOCOL.md 5.1 and 6.1 show, and their moves, are those of
 * the code.
 *
 * The code has two states more for the half towards the peer: ENDING and RESETTING, in which queued
 * bytes go first.  On the wire ENDING is still OPEN, and RESETTING is the way to "over".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/mux_int.h"

enum { STATES = 8, TEXT = 512 };

/* The state's name on the page, for each of the code's. */
static const char *const wire_out[OUT_HALVES] = { "OPEN", "OPEN", "EOF_SENT", "EOF_ACKED", "over" };

static char *
trim(char *s)
{
	char *end = s + strlen(s);

	s += strspn(s, " ");
	while (end > s && end[-1] == ' ')
		*--end = '\0';
	return s;
}

struct row {
	char state[32];
	char next[64];
};

/* The rows of the first table behind the line that begins with after: first and last cell. */
static int
table(const char *after, struct row rows[STATES])
{
	FILE *f = fopen("proto/PROTOCOL.md", "r");
	char line[TEXT];
	int n = 0;
	bool found = false, in_table = false;

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		if (!found) {
			found = strncmp(line, after, strlen(after)) == 0;
			continue;
		}
		if (line[0] != '|') {
			if (in_table)
				break;
			continue;
		}
		in_table = true;
		line[strcspn(line, "\n")] = '\0';
		char *last = strrchr(line, '|');

		assert_non_null(last);
		*last = '\0';
		last = strrchr(line, '|');
		assert_true(n < STATES + 2);
		if (strstr(line, "---") == NULL && strncmp(line, "| state", 7) != 0) {
			char *cell = line + 1;

			snprintf(rows[n].next, sizeof rows[n].next, "%s", trim(last + 1));
			cell[strcspn(cell, "|")] = '\0';
			snprintf(rows[n++].state, sizeof rows[0].state, "%s", trim(cell));
		}
	}
	fclose(f);
	return n;
}

/* Does the list "A, B" name the state? */
static bool
lists(const char *list, const char *state)
{
	size_t n = strlen(state);

	for (const char *p = list; p != NULL && *p != '\0'; p = strchr(p, ',')) {
		p += strspn(p, ", ");
		if (strncmp(p, state, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	}
	return false;
}

static int
items(const char *list)
{
	int n = *list != '\0';

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

static const struct row *
row_of(const struct row *rows, int n, const char *state)
{
	for (int i = 0; i < n; i++)
		if (strcmp(rows[i].state, state) == 0)
			return &rows[i];
	fail_msg("the page has no state %s", state);
	return NULL;
}

static void
halves_towards_the_peer(void **state)
{
	struct row rows[STATES];
	int n = table("The half towards the peer:", rows), moves = 0;
	bool seen[STATES][STATES] = { { false } };

	(void)state;
	assert_int_equal(n, 3);
	for (int a = 0; a < OUT_HALVES; a++)
		for (int b = 0; b < OUT_HALVES; b++) {
			if (!mux_out_can[a][b] || strcmp(wire_out[a], wire_out[b]) == 0)
				continue;
			assert_true(lists(row_of(rows, n, wire_out[a])->next, wire_out[b]));
			/* Two of the code's states may be one of the page's. */
			int from = a == OUT_ENDING ? OUT_OPEN : a;

			moves += !seen[from][b];
			seen[from][b] = true;
		}
	for (int i = 0; i < n; i++)
		moves -= items(rows[i].next);
	assert_int_equal(moves, 0);
}

static void
halves_from_the_peer(void **state)
{
	struct row rows[STATES];
	int n = table("The half from the peer:", rows), moves = 0;

	(void)state;
	assert_int_equal(n, IN_HALVES);
	for (int a = 0; a < IN_HALVES; a++) {
		const struct row *r = row_of(rows, n, mux_in_name[a]);

		for (int b = 0; b < IN_HALVES; b++) {
			assert_int_equal(lists(r->next, mux_in_name[b]), mux_in_can[a][b]);
			moves += mux_in_can[a][b];
		}
		/* A RESET ends the stream in each state, and no state is left for it. */
		assert_true(lists(r->next, "over"));
		moves += 1 - items(r->next);
	}
	assert_int_equal(moves, 0);
}

static void
sessions(void **state)
{
	struct row rows[STATES];
	int n = table("### 6.1 States", rows);

	(void)state;
	assert_int_equal(n, MUX_STATES);
	for (int a = 0; a < MUX_STATES; a++) {
		const struct row *r = row_of(rows, n, mux_state_name[a]);
		int moves = 0;

		for (int b = 0; b < MUX_STATES; b++) {
			assert_int_equal(lists(r->next, mux_state_name[b]), mux_state_can[a][b]);
			moves += mux_state_can[a][b];
		}
		assert_int_equal(items(r->next), moves);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_towards_the_peer),
		cmocka_unit_test(halves_from_the_peer),
		cmocka_unit_test(sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
