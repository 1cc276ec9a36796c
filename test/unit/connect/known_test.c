/* SPDX-License-Identifier: ISC */
/* known_test - the file of known agents: names with blanks, several keys of one, and mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/connect/known.h"
#include "lib/base/mem.h"
#include "proto/ctl.h"

#define K1 "tunnel-pub-ArC11wMftRwQx1RKSgCXKkRBdKZl9ovuLtDGBVUovqu6"
#define K2 "tunnel-pub-AlS3X1Jj2TQKhDWnhsjVsLBARgnJC1nC1uit-9AJ8AqO"

static struct known *
parsed(const char *text)
{
	struct known *k = NULL;
	struct errtext e = { "" };

	if (known_parse(text, strlen(text), &k, &e) != 0)
		fail_msg("%s", e.s);
	return k;
}

/* How many keys the agent has; the first of them must be this one. */
static size_t
keys_of(const struct known *k, const char *agent, const char *first)
{
	const struct keys_list *l = known_keys(k, agent);
	char pub[KEYS_PUB_TEXT_LEN + 1];

	if (l == NULL)
		return 0;
	keys_point_text(l->points[0], pub);
	assert_string_equal(pub, first);
	return l->n;
}

static void
names_have_their_keys(void **state)
{
	struct known *k = parsed("# agents\n\npi " K1 "\n  lab\t" K2 "  \r\npi " K2 "\n\t# pi " K2
				 "\nold office nas " K2 "\nb\xc3\xbcro " K1);

	(void)state;
	assert_int_equal(keys_of(k, "pi", K1), 2);
	assert_int_equal(keys_of(k, "lab", K2), 1);
	assert_int_equal(keys_of(k, "old office nas", K2), 1);
	assert_int_equal(keys_of(k, "b\xc3\xbcro", K1), 1);
	assert_null(known_keys(k, "PI"));
	assert_null(known_keys(k, ""));
	assert_null(known_keys(k, "#"));
	known_free(k);
}

static void
an_empty_file_knows_nobody(void **state)
{
	struct known *k = parsed("");

	(void)state;
	assert_null(known_keys(k, "pi"));
	known_free(k);
	known_free(NULL);
}

static void
is_refused(const char *text, size_t n, const char *why)
{
	struct known *k = NULL;
	struct errtext e = { "" };

	assert_int_equal(known_parse(text, n, &k, &e), ERR_INVALID);
	assert_null(k);
	if (strstr(e.s, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.s, why);
}

static void
mistakes_name_their_line(void **state)
{
	char text[CTL_AGENT_MAX + 200];

	(void)state;
	is_refused("pi " K1 "\npi\n", strlen("pi " K1 "\npi\n"), "line 2: ");
	is_refused("pi tunnel-pub-AAAA", 18, "line 1: ");
	is_refused("pi tunnel-priv-AAAA", 19, "line 1: ");
	is_refused(K1 "\n", strlen(K1) + 1, "line 1: ");
	/* A name that has a NUL, or is too long, is none. */
	memcpy(text, "a\0b " K1, 4 + strlen(K1));
	is_refused(text, 4 + strlen(K1), "name");
	memset(text, 'a', CTL_AGENT_MAX + 1);
	memcpy(text + CTL_AGENT_MAX + 1, " " K1, 1 + strlen(K1));
	is_refused(text, CTL_AGENT_MAX + 2 + strlen(K1), "name");
}

static void
one_name_has_so_many_keys(void **state)
{
	char text[(KEYS_LIST_MAX + 1) * (KEYS_PUB_TEXT_LEN + 8)] = "";
	struct known *k = NULL;
	struct errtext e = { "" };

	(void)state;
	for (int i = 0; i <= KEYS_LIST_MAX; i++)
		strcat(text, "pi " K1 "\n");
	assert_int_equal(known_parse(text, strlen(text), &k, &e), ERR_LIMIT);
}

static void
a_file_is_read_whole(void **state)
{
	char path[] = "/tmp/known_test.XXXXXX";
	int fd = mkstemp(path);
	struct known *k = NULL;
	struct errtext e = { "" };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "pi " K1 "\n", strlen("pi " K1 "\n")), strlen("pi " K1 "\n"));
	assert_int_equal(known_load(path, &k, &e), 0);
	assert_int_equal(keys_of(k, "pi", K1), 1);
	known_free(k);
	assert_int_equal(write(fd, "x y\n", 4), 4);
	assert_int_equal(known_load(path, &k, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, path));
	close(fd);
	unlink(path);
	assert_int_equal(known_load(path, &k, &e), ERR_NOTFOUND);
}

static void
without_memory_nothing_is_left_behind(void **state)
{
	static const char text[] = "pi " K1 "\nlab " K2 "\n";
	struct known *k = NULL;

	(void)state;
	for (long i = 0; k == NULL; i++) {
		struct errtext e;
		int r;

		mem_fail_after(i);
		r = known_parse(text, strlen(text), &k, &e);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
		assert_true(i < 1000);
	}
	known_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_their_keys),
		cmocka_unit_test(an_empty_file_knows_nobody),
		cmocka_unit_test(mistakes_name_their_line),
		cmocka_unit_test(one_name_has_so_many_keys),
		cmocka_unit_test(a_file_is_read_whole),
		cmocka_unit_test(without_memory_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
