/* SPDX-License-Identifier: ISC */
/* pages_test - the operator's own pages: which are read, what is too large, who keeps them. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/ingress/pages.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"

static char dir[64], command[128];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/pages_test.%d", (int)getpid());
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return mkdir(dir, 0700);
}

static int
teardown(void **state)
{
	(void)state;
	return system(command);
}

static void
write_page(const char *name, const char *text, size_t n)
{
	struct errtext e;
	char path[96];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, text, n, 0600, &e), 0);
}

static void
assert_page(const struct pages *p, int status, const char *want)
{
	size_t n = 0;
	const char *text = pages_find(p, status, &n);

	if (want == NULL) {
		assert_null(text);
		return;
	}
	assert_non_null(text);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(text, want, n);
}

/* Every status that the relay answers by itself, and nothing else. */
static void
each_answer_of_the_relay_may_have_a_page(void **state)
{
	static const int all[] = { 308, 400, 401, 403, 404, 408, 421, 429, 431, 501, 502, 503, 504,
		505 };
	struct pages *p = NULL;
	struct errtext e;
	char name[16];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		snprintf(name, sizeof name, "%d.html", all[i]);
		write_page(name, name, strlen(name));
	}
	write_page("200.html", "never", 5);
	assert_int_equal(pages_load(dir, &p, &e), 0);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		snprintf(name, sizeof name, "%d.html", all[i]);
		assert_page(p, all[i], name);
	}
	assert_page(p, 200, NULL);
	pages_unref(p);
}

static void
a_page_that_is_not_there_is_none(void **state)
{
	struct pages *p = NULL;
	struct errtext e;

	(void)state;
	write_page("404.html", "gone", 4);
	write_page("503.html", "", 0);
	assert_int_equal(pages_load(dir, &p, &e), 0);
	assert_page(p, 404, "gone");
	assert_page(p, 503, "");
	assert_page(p, 502, NULL);
	pages_unref(p);
	assert_page(NULL, 404, NULL);
}

static void
a_page_has_a_limit(void **state)
{
	static char large[PAGES_MAX + 1];
	struct pages *p = NULL;
	struct errtext e;
	size_t n;

	(void)state;
	write_page("404.html", large, PAGES_MAX);
	assert_int_equal(pages_load(dir, &p, &e), 0);
	assert_non_null(pages_find(p, 404, &n));
	assert_int_equal(n, PAGES_MAX);
	pages_unref(p);
	p = NULL;
	write_page("404.html", large, PAGES_MAX + 1);
	assert_int_equal(pages_load(dir, &p, &e), ERR_LIMIT);
	assert_null(p);
	assert_non_null(strstr(e.s, "404.html"));
}

static void
what_is_no_directory_is_told(void **state)
{
	struct pages *p = NULL;
	char path[96], deep[PATH_MAX];
	struct errtext e;

	(void)state;
	snprintf(path, sizeof path, "%s/none", dir);
	assert_int_equal(pages_load(path, &p, &e), ERR_SYS);
	write_page("file", "", 0);
	snprintf(path, sizeof path, "%s/file", dir);
	assert_int_equal(pages_load(path, &p, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "not a directory"));
	/* The directory can be named, and its files cannot. */
	snprintf(deep, sizeof deep, "%s", dir);
	while (strlen(deep) < PATH_MAX - 8)
		strcat(deep, "/.");
	assert_int_equal(pages_load(deep, &p, &e), ERR_INVALID);
	assert_null(p);
}

static void
pages_stay_as_long_as_somebody_has_them(void **state)
{
	struct pages *p = NULL;
	struct errtext e;

	(void)state;
	write_page("404.html", "gone", 4);
	assert_int_equal(pages_load(dir, &p, &e), 0);
	assert_ptr_equal(pages_ref(p), p);
	pages_unref(p);
	assert_page(p, 404, "gone");
	pages_unref(p);
	pages_unref(NULL);
}

static void
load_and_fail(void)
{
	struct pages *p = NULL;
	struct errtext e;

	assert_int_equal(pages_load(dir, &p, &e), 0);
	pages_unref(p);
	/* The first page is there already when the second is too large. */
	write_page("503.html", (char[PAGES_MAX + 1]){ 0 }, PAGES_MAX + 1);
	assert_int_equal(pages_load(dir, &p, &e), ERR_LIMIT);
	write_page("503.html", "", 0);
	for (long n = 0; n < 3; n++) {
		mem_fail_after(n);
		p = NULL;
		assert_int_equal(pages_load(dir, &p, &e), ERR_NOMEM);
		mem_fail_after(MEM_NO_FAIL);
		assert_null(p);
	}
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	write_page("404.html", "gone", 4);
	heap_is_given_back(load_and_fail);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_answer_of_the_relay_may_have_a_page),
		T(a_page_that_is_not_there_is_none),
		T(a_page_has_a_limit),
		T(what_is_no_directory_is_told),
		T(pages_stay_as_long_as_somebody_has_them),
		T(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
