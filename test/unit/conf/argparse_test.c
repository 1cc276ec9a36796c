/* SPDX-License-Identifier: ISC */
/* argparse_test - the rules of Python's argparse; what is expected was seen of Python 3.11. */
#include "lib/conf/argparse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"

enum { TARGET, PORT, URL, USER, SECRET, N };

static const struct argparse_row rows[N] = {
	{ "target", true, ARGPARSE_TEXT, NULL, NULL, "the target" },
	{ "target_port", true, ARGPARSE_INT, NULL, NULL, "its port" },
	{ "relay-url", false, ARGPARSE_TEXT, "AT_URL", "ws://default", "the URL" },
	{ "relay-user", false, ARGPARSE_TEXT, NULL, NULL, "the user" },
	{ "secret", false, ARGPARSE_SECRET, "AT_SECRET", NULL, "the secret" },
};
static const struct argparse_spec spec = { "prog", "What it does.", rows, N };

static char *v[N];
static struct strbuf say;
static char text[512];

static int
setup(void **state)
{
	(void)state;
	unsetenv("AT_URL");
	unsetenv("AT_SECRET");
	strbuf_init(&say, 4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	argparse_fini(&spec, v);
	strbuf_fini(&say);
	return 0;
}

/* Words separated by "|". */
static int
run(const char *words)
{
	char *argv[32], *save = NULL;
	int argc = 0;

	teardown(NULL);
	strbuf_init(&say, 4096);
	argv[argc++] = text;
	snprintf(text, sizeof text, "prog|%s", words);
	for (char *w = strtok_r(text, "|", &save); w != NULL; w = strtok_r(NULL, "|", &save))
		argv[argc == 1 && w == text ? 0 : argc++] = w;
	argv[argc] = NULL;
	return argparse_read(&spec, argc, argv, v, &say);
}

static void
refused(const char *words, const char *why)
{
	char line[512];

	assert_int_equal(run(words), ERR_INVALID);
	snprintf(line, sizeof line, "prog: error: %s\n", why);
	assert_memory_equal(say.s, "usage: prog [-h] ", 17);
	if (strstr(say.s, line) == NULL)
		fail_msg("%s: says: %s", words, say.s);
}

static void
options_and_arguments_stand_in_any_order(void **state)
{
	(void)state;
	assert_int_equal(run("--secret|s|a|--relay-url=u|22"), 0);
	assert_string_equal(v[TARGET], "a");
	assert_string_equal(v[PORT], "22");
	assert_string_equal(v[URL], "u");
	assert_string_equal(v[SECRET], "s");
	assert_null(v[USER]);
	assert_int_equal(run("a|--|22"), 0);
	assert_int_equal(run("--relay-url|x|--|--relay-url|22"), 0);
	assert_string_equal(v[TARGET], "--relay-url");
}

static void
a_prefix_that_is_unique_will_do(void **state)
{
	(void)state;
	assert_int_equal(run("a|1|--s|x|--relay-us=y"), 0);
	assert_string_equal(v[SECRET], "x");
	assert_string_equal(v[USER], "y");
	refused("a|1|--relay|x", "ambiguous option: --relay could match --relay-url, --relay-user");
	refused("a|1|--relay-urls|x", "unrecognized arguments: --relay-urls x");
	assert_int_equal(run("--he"), ARGPARSE_HELP);
}

static void
the_last_of_several_counts(void **state)
{
	(void)state;
	assert_int_equal(run("a|1|--secret|x|--secret=y"), 0);
	assert_string_equal(v[SECRET], "y");
}

static void
a_word_with_a_dash_is_no_value(void **state)
{
	(void)state;
	refused("a|1|--secret|-x", "argument --secret: expected one argument");
	refused("a|1|--secret|--relay-url|x", "argument --secret: expected one argument");
	refused("a|1|--secret", "argument --secret: expected one argument");
	assert_int_equal(run("a|-1|--secret|-"), 0);
	assert_string_equal(v[PORT], "-1");
	assert_string_equal(v[SECRET], "-");
	assert_int_equal(run("a|1|--secret|-7|--relay-url|-x y"), 0);
	assert_string_equal(v[SECRET], "-7");
	assert_string_equal(v[URL], "-x y");
	assert_int_equal(run("a|1|--secret=-x"), 0);
	assert_string_equal(v[SECRET], "-x");
	assert_int_equal(run("a|1|--secret|-.5"), 0);
	refused("a|1|--secret|-.", "argument --secret: expected one argument");
}

static void
mistakes_are_told_in_pythons_words(void **state)
{
	(void)state;
	refused("--secret|x", "the following arguments are required: target, target_port");
	refused("a|--zz", "the following arguments are required: target_port");
	refused("a|1|b|--zz|-q|c", "unrecognized arguments: b --zz -q c");
	refused("a|b", "argument target_port: invalid int value: 'b'");
	refused("a|--help=3", "argument -h/--help: ignored explicit argument '3'");
	refused("a|-hf", "argument -h/--help: ignored explicit argument 'f'");
}

static void
the_environment_comes_after_flags_and_before_defaults(void **state)
{
	(void)state;
	assert_int_equal(run("a|1"), 0);
	assert_string_equal(v[URL], "ws://default");
	assert_null(v[SECRET]);
	setenv("AT_URL", "ws://env", 1);
	setenv("AT_SECRET", "hidden", 1);
	assert_int_equal(run("a|1"), 0);
	assert_string_equal(v[URL], "ws://env");
	assert_string_equal(v[SECRET], "hidden");
	assert_null(getenv("AT_SECRET"));
	setenv("AT_SECRET", "hidden", 1);
	assert_int_equal(run("a|1|--secret=flag|--relay-url=flag"), 0);
	assert_string_equal(v[URL], "flag");
	assert_string_equal(v[SECRET], "flag");
	assert_null(getenv("AT_SECRET"));
}

static void
a_secret_leaves_argv(void **state)
{
	char one[] = "--sec=first", two[] = "--secret", three[] = "second", prog[] = "prog";
	char a[] = "a", port[] = "1";
	char *argv[] = { prog, one, two, three, a, port, NULL };

	(void)state;
	assert_int_equal(argparse_read(&spec, 6, argv, v, &say), 0);
	assert_string_equal(one, "--sec=x");
	assert_string_equal(three, "x");
	assert_string_equal(v[SECRET], "second");
	assert_string_equal(a, "a");
}

static void
help_names_everything(void **state)
{
	(void)state;
	assert_int_equal(run("--help"), ARGPARSE_HELP);
	assert_string_equal(say.s,
	    "usage: prog [-h] [--relay-url RELAY_URL] [--relay-user RELAY_USER]\n"
	    "            [--secret SECRET]\n"
	    "            target target_port\n"
	    "\n"
	    "What it does.\n"
	    "\n"
	    "positional arguments:\n"
	    "  target                the target\n"
	    "  target_port           its port\n"
	    "\n"
	    "options:\n"
	    "  -h, --help            show this help message and exit\n"
	    "  --relay-url RELAY_URL\n"
	    "                        the URL\n"
	    "  --relay-user RELAY_USER\n"
	    "                        the user\n"
	    "  --secret SECRET       the secret\n");
	assert_int_equal(run("-h|--secret"), ARGPARSE_HELP);
}

static void
without_memory_it_says_so(void **state)
{
	int r = ERR_NOMEM;

	(void)state;
	for (long n = 0; r == ERR_NOMEM; n++) {
		assert_true(n < 100);
		mem_fail_after(n);
		r = run("a|1|--secret|s");
		mem_fail_after(MEM_NO_FAIL);
	}
	assert_int_equal(r, 0);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(options_and_arguments_stand_in_any_order),
		TEST(a_prefix_that_is_unique_will_do),
		TEST(the_last_of_several_counts),
		TEST(a_word_with_a_dash_is_no_value),
		TEST(mistakes_are_told_in_pythons_words),
		TEST(the_environment_comes_after_flags_and_before_defaults),
		TEST(a_secret_leaves_argv),
		TEST(help_names_everything),
		TEST(without_memory_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
