/* SPDX-License-Identifier: ISC */
/* hosts_test - names of a hosts file: found in any case, in order, after changes, and fast in a long one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/net/hosts.h"

enum { LONG = 150000, LOOK_UPS = 1000 };

static char path[32];
static uint64_t now_ms = 1000;

static int
setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/hosts_test.XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	hosts_free();
	return unlink(path);
}

static void
write_file(const char *text)
{
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
	now_ms += HOSTS_LOOK_MS;
}

static void
on_address(void *arg, const char *address)
{
	char *list = arg;
	size_t n = strlen(list);

	snprintf(list + n, 100 - n, "%s%s", n > 0 ? " " : "", address);
}

static const char *
find(const char *name)
{
	static char list[100];

	list[0] = '\0';
	hosts_each(path, name, now_ms, on_address, list);
	return list;
}

static void
names_are_found_in_the_order_of_the_file(void **state)
{
	(void)state;
	write_file(
	    "# comment\n192.0.2.1 a.test A2 # b.test\r\n\n \t2001:db8::1\ta.TEST\n192.0.2.3\n"
	    "word a.test\n192.0.2.4 last");
	assert_string_equal(find("a.test"), "192.0.2.1 2001:db8::1 word");
	assert_string_equal(find("A.Test"), "192.0.2.1 2001:db8::1 word");
	assert_string_equal(find("a2"), "192.0.2.1");
	assert_string_equal(find("last"), "192.0.2.4");
	assert_string_equal(find("b.test"), "");
	assert_string_equal(find("a.tes"), "");
	assert_string_equal(find(""), "");
}

static void
a_change_is_seen_after_a_while(void **state)
{
	(void)state;
	write_file("192.0.2.1 a\n");
	assert_string_equal(find("a"), "192.0.2.1");
	write_file("192.0.2.22 a\n");
	now_ms--; /* too early */
	assert_string_equal(find("a"), "192.0.2.1");
	now_ms++;
	assert_string_equal(find("a"), "192.0.2.22");
	unlink(path);
	now_ms += HOSTS_LOOK_MS;
	assert_string_equal(find("a"), "");
	write_file("192.0.2.3 a\n");
	assert_string_equal(find("a"), "192.0.2.3");
}

static void
a_long_file_is_read_once(void **state)
{
	FILE *f = fopen(path, "w");
	clock_t began;
	char name[32];

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < LONG; i++)
		fprintf(f, "0.0.0.0 host%d.test\n", i);
	fclose(f);
	now_ms += HOSTS_LOOK_MS;
	assert_string_equal(find("host1.test"), "0.0.0.0");
	began = clock();
	for (int i = 0; i < LOOK_UPS; i++) {
		snprintf(name, sizeof name, "host%d.test", i * (LONG / LOOK_UPS));
		assert_string_equal(find(name), "0.0.0.0");
		now_ms += HOSTS_LOOK_MS;
	}
	/* A microsecond or two each; sixty milliseconds when the file was read for each. */
	assert_true(clock() - began < CLOCKS_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    names_are_found_in_the_order_of_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_is_seen_after_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_file_is_read_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
