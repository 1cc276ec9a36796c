/* SPDX-License-Identifier: ISC */
/* opt_test - one option table seen from all its sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/conf/opt.h"
#include "lib/base/secret.h"

enum color { RED, GREEN };

struct target {
	bool verbose, keep;
	char *name, *config, *secret_file;
	struct secret *secret;
	struct opt_list forward, headers;
	char *proxy;
	uint64_t threads, window, drain;
	int color;
};

#define OFF(m) offsetof(struct target, m)

static const char *const colors[] = { "red", "green", NULL };

static const struct opt_row rows[] = {
	{ .name = "verbose",
	    .letter = 'v',
	    .kind = OPT_FLAG,
	    .off = OFF(verbose),
	    .env = "OT_VERBOSE",
	    .help = "say more" },
	{ .name = "keep",
	    .letter = 'k',
	    .kind = OPT_FLAG,
	    .off = OFF(keep),
	    .def = "true",
	    .help = "keep it" },
	{ .name = "name",
	    .letter = 'n',
	    .kind = OPT_STRING,
	    .off = OFF(name),
	    .arg = "NAME",
	    .env = "OT_NAME",
	    .def = "nobody",
	    .help = "who you are, in a sentence that is so long that it must be wrapped at the end "
		    "of a line" },
	{ .name = "config",
	    .kind = OPT_STRING,
	    .off = OFF(config),
	    .arg = "FILE",
	    .env = "OT_CONFIG",
	    .key = OPT_NO_KEY,
	    .help = "read FILE" },
	{ .name = "secret-file",
	    .kind = OPT_STRING,
	    .off = OFF(secret_file),
	    .arg = "FILE",
	    .env = "OT_SECRET_FILE",
	    .rival = "secret",
	    .help = "where it is" },
	{ .name = "secret",
	    .kind = OPT_SECRET,
	    .off = OFF(secret),
	    .rival = "secret-file",
	    .arg = "SECRET",
	    .env = "OT_SECRET",
	    .help = "do not" },
	{ .name = "forward",
	    .letter = 'L',
	    .kind = OPT_LIST,
	    .off = OFF(forward),
	    .arg = "FROM=TO",
	    .env = "OT_FORWARD",
	    .key = "forwards",
	    .help = "forward" },
	{ .name = "header",
	    .letter = 'H',
	    .kind = OPT_LIST,
	    .off = OFF(headers),
	    .arg = "HEADER",
	    .key = OPT_NO_KEY,
	    .wipe = true,
	    .help = "header" },
	{ .name = "proxy",
	    .kind = OPT_STRING,
	    .off = OFF(proxy),
	    .arg = "URL",
	    .env = "OT_PROXY",
	    .wipe = true,
	    .help = "proxy" },
	{ .name = "threads",
	    .kind = OPT_U64,
	    .off = OFF(threads),
	    .arg = "N",
	    .env = "OT_THREADS",
	    .def = "2",
	    .min = 1,
	    .max = 64,
	    .help = "threads" },
	{ .name = "window",
	    .kind = OPT_SIZE,
	    .off = OFF(window),
	    .arg = "BYTES",
	    .def = "64k",
	    .min = 1024,
	    .help = "window" },
	{ .name = "drain",
	    .kind = OPT_DURATION,
	    .off = OFF(drain),
	    .arg = "TIME",
	    .def = "30s",
	    .max = 3600000,
	    .help = "drain" },
	{ .name = "color",
	    .kind = OPT_ENUM,
	    .off = OFF(color),
	    .words = colors,
	    .def = "green",
	    .help = "color" },
};

static const struct opt_spec spec = {
	.prog = "tunnel test",
	.synopsis = "[OPTION]... AGENT\n-L FROM=TO",
	.about = "Test the options.",
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.config_row = "config",
	.args_max = 3,
};

static struct target t;
static struct opt_result res;
static struct errtext e;
static char words[16][128];

static void
forget(void)
{
	opt_fini(&spec, &t, &res);
	memset(&t, 0, sizeof(t));
	errtext_clear(&e);
}

/* opt_parse() of a command line of words separated by single spaces. */
static int
parse(const char *line)
{
	char *argv[17];
	int argc = 1;
	size_t n;

	forget();
	argv[0] = strcpy(words[0], "test");
	for (; *line != '\0'; line += n + (line[n] == ' ')) {
		n = strcspn(line, " ");
		assert_true(argc < 16 && n < sizeof(words[0]));
		memcpy(words[argc], line, n);
		words[argc][n] = '\0';
		argv[argc] = words[argc];
		argc++;
	}
	argv[argc] = NULL;
	return opt_parse(&spec, argc, argv, &t, &res, &e);
}

static void
defaults_fill_what_nobody_says(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_false(t.verbose);
	assert_true(t.keep);
	assert_string_equal(t.name, "nobody");
	assert_null(t.config);
	assert_null(t.secret);
	assert_int_equal(t.forward.n, 0);
	assert_int_equal(t.threads, 2);
	assert_int_equal(t.window, 65536);
	assert_int_equal(t.drain, 30000);
	assert_int_equal(t.color, GREEN);
	assert_int_equal(res.args.n, 0);
	forget();
}

static void
every_spelling_of_a_flag_works(void **state)
{
	(void)state;
	assert_int_equal(
	    parse("--name=pi --threads 4 -La=b -L c=d --drain=5m -vn x --no-keep --color red"), 0);
	assert_string_equal(t.name, "x");
	assert_int_equal(t.threads, 4);
	assert_int_equal(t.forward.n, 2);
	assert_string_equal(t.forward.v[0], "a=b");
	assert_string_equal(t.forward.v[1], "c=d");
	assert_int_equal(t.drain, 300000);
	assert_true(t.verbose);
	assert_false(t.keep);
	assert_int_equal(t.color, RED);
	assert_int_equal(parse("--verbose=false --name="), 0);
	assert_false(t.verbose);
	assert_string_equal(t.name, "");
	forget();
}

static void
arguments_stand_anywhere(void **state)
{
	(void)state;
	assert_int_equal(parse("pi -v - --name x -- --name"), 0);
	assert_int_equal(res.args.n, 3);
	assert_string_equal(res.args.v[0], "pi");
	assert_string_equal(res.args.v[1], "-");
	assert_string_equal(res.args.v[2], "--name");
	assert_string_equal(t.name, "x");
	assert_int_equal(parse("a b c d"), ERR_INVALID);
	assert_string_equal(e.s, "\"d\": one argument too many; see tunnel test --help");
	forget();
}

static void
mistakes_say_what_is_wrong(void **state)
{
	static const struct {
		const char *line, *text;
	} bad[] = {
		{ "--thread 4", "--thread: no such option; did you mean --threads?" },
		{ "--hlp", "--hlp: no such option; did you mean --help?" },
		{ "--zzzzzzzz", "--zzzzzzzz: no such option; tunnel test --help lists them" },
		{ "--nam x", "--nam: no such option; did you mean --name?" },
		{ "--no-name", "--no-name: no such option; did you mean --name?" },
		{ "--no-keep=true", "--no-keep: no such option; did you mean --keep?" },
		{ "-x", "-x: no such option; tunnel test --help lists them" },
		{ "-v\x1b", "-\\x1b: no such option; tunnel test --help lists them" },
		{ "--threads", "--threads: the value is missing: --threads N" },
		{ "-L", "-L: the value is missing: -L FROM=TO" },
		{ "--threads=0", "--threads: \"0\" is not between 1 and 64" },
		{ "--threads=65", "--threads: \"65\" is not between 1 and 64" },
		{ "--threads=4x", "--threads: \"4x\" is not a number such as 8" },
		{ "--window=1", "--window: \"1\" is too large, or less than 1024 bytes" },
		{ "--window=x", "--window: \"x\" is not a size such as 64k or 4m" },
		{ "--drain=30", "--drain: \"30\" is not a duration such as 500ms, 30s, 5m or 1h" },
		{ "--drain=2h", "--drain: \"2h\" is not between 0 and 3600000 ms" },
		{ "--color blue", "--color: \"blue\" is none of red, green" },
		{ "--verbose=maybe", "--verbose: \"maybe\" is neither true nor false" },
		{ "--secret=", "--secret: a secret has 1 to 65536 bytes" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].line), ERR_INVALID);
		assert_string_equal(e.s, bad[i].text);
	}
	forget();
}

static void
the_environment_is_below_flags(void **state)
{
	(void)state;
	setenv("OT_NAME", "env", 1);
	setenv("OT_THREADS", "7", 1);
	setenv("OT_FORWARD", "a=b,,c=d", 1);
	setenv("OT_VERBOSE", "yes", 1);
	assert_int_equal(parse(""), 0);
	assert_string_equal(t.name, "env");
	assert_int_equal(t.threads, 7);
	assert_int_equal(t.forward.n, 2);
	assert_string_equal(t.forward.v[1], "c=d");
	assert_true(t.verbose);
	assert_int_equal(parse("--name flag -L x=y --no-verbose"), 0);
	assert_string_equal(t.name, "flag");
	assert_int_equal(t.forward.n, 1);
	assert_false(t.verbose);
	setenv("OT_NAME", "", 1);
	assert_int_equal(parse(""), 0);
	assert_string_equal(t.name, "nobody");
	setenv("OT_THREADS", "many", 1);
	assert_int_equal(parse(""), ERR_INVALID);
	assert_string_equal(
	    e.s, "environment variable OT_THREADS: \"many\" is not a number such as 8");
	unsetenv("OT_NAME");
	unsetenv("OT_THREADS");
	unsetenv("OT_FORWARD");
	unsetenv("OT_VERBOSE");
	forget();
}

static void
values_that_may_hold_a_password_leave_argv_and_environment(void **state)
{
	(void)state;
	assert_int_equal(parse("--proxy http://u:p@h -H one -Htwo -vHthree --header=four"), 0);
	assert_string_equal(t.proxy, "http://u:p@h");
	assert_string_equal(words[2], "x");
	assert_int_equal(t.headers.n, 4);
	assert_string_equal(t.headers.v[0], "one");
	assert_string_equal(words[4], "x");
	assert_string_equal(t.headers.v[1], "two");
	assert_string_equal(words[5], "-Hx");
	assert_string_equal(t.headers.v[2], "three");
	assert_string_equal(words[6], "-vHx");
	assert_string_equal(t.headers.v[3], "four");
	assert_string_equal(words[7], "--header=x");
	assert_int_equal(parse("--bogus --proxy=http://u:p@h"), ERR_INVALID);
	assert_string_equal(words[2], "--proxy=x");
	setenv("OT_PROXY", "http://e:e@h", 1);
	assert_int_equal(parse(""), 0);
	assert_string_equal(t.proxy, "http://e:e@h");
	assert_null(getenv("OT_PROXY"));
	/* The value of another option that looks like one of these is left alone. */
	assert_int_equal(parse("--name --proxy -L -Hx"), 0);
	assert_string_equal(words[3], "-L");
	assert_string_equal(words[4], "-Hx");
	forget();
}

static void
secrets_leave_argv_and_environment(void **state)
{
	static char lengthy[SECRET_MAX + 2];

	(void)state;
	setenv("OT_SECRET", "from-env", 1);
	assert_int_equal(parse("--secret from-flag"), 0);
	assert_string_equal(secret_bytes(t.secret), "from-flag");
	assert_string_equal(words[2], "x");
	assert_null(getenv("OT_SECRET"));
	setenv("OT_SECRET", "from-env", 1);
	assert_int_equal(parse(""), 0);
	assert_string_equal(secret_bytes(t.secret), "from-env");
	assert_int_equal(parse("--secret=hunter2 --bogus"), ERR_INVALID);
	assert_string_equal(words[1], "--secret=x");
	assert_null(strstr(e.s, "hunter2"));
	memset(lengthy, 's', sizeof lengthy - 1);
	setenv("OT_SECRET", lengthy, 1);
	assert_int_equal(parse(""), ERR_INVALID);
	assert_memory_equal(e.s, "environment variable OT_SECRET: ", 32);
	assert_null(strstr(e.s, "ssss"));
	assert_null(getenv("OT_SECRET"));
	assert_int_equal(parse("--secret="), ERR_INVALID);
	assert_string_equal(e.s, "--secret: a secret has 1 to 65536 bytes");
	assert_int_equal(parse("--secret=one --secret=two"), 0);
	assert_string_equal(secret_bytes(t.secret), "two");
	forget();
}

static void
of_two_that_say_the_same_the_stronger_source_counts(void **state)
{
	(void)state;
	setenv("OT_SECRET", "from-env", 1);
	assert_int_equal(parse("--secret-file f"), 0);
	assert_string_equal(t.secret_file, "f");
	assert_null(t.secret);
	setenv("OT_SECRET_FILE", "g", 1);
	assert_int_equal(parse("--secret s"), 0);
	assert_null(t.secret_file);
	assert_string_equal(secret_bytes(t.secret), "s");
	setenv("OT_SECRET", "from-env", 1);
	assert_int_equal(parse(""), ERR_INVALID);
	assert_string_equal(
	    e.s, "--secret-file and --secret are both given in the environment: one must do");
	assert_int_equal(parse("--secret-file f --secret s"), ERR_INVALID);
	unsetenv("OT_SECRET_FILE");
	unsetenv("OT_SECRET");
	forget();
}

/* A configuration file with this text; its name is returned. */
static const char *
config(const char *text)
{
	static char path[64];

	snprintf(path, sizeof(path), "/tmp/opt_test.%d", (int)getpid());
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
	return path;
}

static void
the_file_is_below_the_environment(void **state)
{
	char line[128];
	const char *path =
	    config("{\"name\":\"file\",\"threads\":9,\"window\":\"1m\",\"drain\":\"1h\","
		   "\"forwards\":[\"a=b\",\"c=d\"],\"verbose\":true,\"keep\":false,"
		   "\"color\":\"red\",\"secret\":\"s\"}");

	(void)state;
	snprintf(line, sizeof(line), "--config %s", path);
	assert_int_equal(parse(line), 0);
	assert_string_equal(t.name, "file");
	assert_int_equal(t.threads, 9);
	assert_int_equal(t.window, 1 << 20);
	assert_int_equal(t.drain, 3600000);
	assert_int_equal(t.forward.n, 2);
	assert_true(t.verbose);
	assert_false(t.keep);
	assert_int_equal(t.color, RED);
	assert_string_equal(secret_bytes(t.secret), "s");
	setenv("OT_THREADS", "3", 1);
	setenv("OT_CONFIG", path, 1);
	assert_int_equal(parse("-L x=y"), 0);
	assert_int_equal(t.threads, 3);
	assert_int_equal(t.forward.n, 1);
	assert_string_equal(t.name, "file");
	unsetenv("OT_THREADS");
	unsetenv("OT_CONFIG");
	unlink(path);
	forget();
}

/* ---- the file once more ---- */

/* What opt_changed() tells when the file's text is now that. */
static void
changed(const char *text, const char *want)
{
	static const char *const except[] = { "drain", NULL };
	struct opt_result now = { 0 };
	struct target fresh = { 0 };
	struct strbuf names;

	if (opt_reread(&spec, &res, config(text), &fresh, &now, &e) != 0)
		fail_msg("%s: %s", text, e.s);
	strbuf_init(&names, 1000);
	opt_changed(&spec, &res, &now, except, &names);
	assert_string_equal(names.s, want);
	strbuf_fini(&names);
	/* What the command line has said is not the file's. */
	assert_int_equal(fresh.forward.n, 0);
	assert_false(opt_is_files(&spec, &now, "forward"));
	assert_true(opt_is_files(&spec, &now, "name") && opt_is_files(&spec, &now, "drain"));
	opt_fini(&spec, &fresh, &now);
}

static void
the_file_is_read_once_more(void **state)
{
	struct opt_result now = { 0 };
	struct target fresh = { 0 };
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "-L x=y --config %s",
	    config("{\"name\":\"old\",\"window\":\"1m\",\"drain\":\"1h\",\"secret\":\"s\","
		   "\"keep\":false,\"forwards\":[\"a=b\"]}"));
	assert_int_equal(parse(line), 0);
	assert_int_equal(opt_reread(&spec, &res,
			     config("{\"name\":\"new\",\"forwards\":\"c=d\",\"window\":4096}"),
			     &fresh, &now, &e),
	    0);
	assert_string_equal(fresh.name, "new");
	assert_int_equal(fresh.window, 4096);
	assert_int_equal(fresh.threads, 2);
	assert_int_equal(fresh.forward.n, 0);
	assert_string_equal(t.name, "old");
	opt_fini(&spec, &fresh, &now);

#define OLD "\"name\":\"old\",\"window\":\"1m\",\"secret\":\"s\""
	changed("{" OLD ",\"keep\":false}", "");
	changed("{" OLD ",\"keep\":false,\"forwards\":[\"e=f\"],\"drain\":\"2m\"}", "");
	changed("{" OLD "}", "keep");
	changed("{" OLD ",\"keep\":true}", "keep");
	changed("{" OLD ",\"keep\":false,\"threads\":9}", "threads");
	changed("{\"name\":\"new\",\"window\":\"2m\",\"secret\":\"t\",\"keep\":false}",
	    "name, secret, window");

	/* Mistakes are found, also where the command line goes before. */
	assert_int_equal(
	    opt_reread(&spec, &res, config("{\"nam\":1}"), &fresh, &now, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "unknown key \"nam\"; did you mean \"name\"?"));
	opt_fini(&spec, &fresh, &now);
	assert_int_equal(
	    opt_reread(&spec, &res, config("{\"forwards\":1}"), &fresh, &now, &e), ERR_INVALID);
	opt_fini(&spec, &fresh, &now);
	assert_int_equal(opt_reread(&spec, &res, "/nonexistent/x", &fresh, &now, &e), ERR_INVALID);
	opt_fini(&spec, &fresh, &now);
	unlink(config("{}"));
	forget();
}

static void
mistakes_in_the_file_name_the_file_and_the_key(void **state)
{
	static const struct {
		const char *text, *complaint;
	} bad[] = {
		{ "{\"thread\":1}", "unknown key \"thread\"; did you mean \"threads\"?" },
		{ "{\"config\":\"x\"}", "unknown key \"config\"" },
		{ "{\"forward\":\"x\"}", "unknown key \"forward\"; did you mean \"forwards\"?" },
		{ "{\"threads\":\"many\"}", "\"threads\": \"many\" is not a number such as 8" },
		{ "{\"threads\":-1}", "\"threads\": \"-1\" is not a number such as 8" },
		{ "{\"threads\":true}", "\"threads\" must be a number" },
		{ "{\"window\":1.5}",
		    "\"window\" must be a number of bytes or a string such as \"64k\"" },
		{ "{\"drain\":30}", "\"drain\" must be a string" },
		{ "{\"verbose\":\"yes\"}", "\"verbose\" must be true or false" },
		{ "{\"forwards\":[1]}", "\"forwards\" must be a string or an array of strings" },
		{ "{\"name\":null}", "\"name\" must be a string" },
		{ "[1]", "the file must be one JSON object" },
		{ "{\"name\":\"a\",\"name\":\"b\"}", "duplicate object key" },
		{ "{", "not valid JSON at line 1" },
	};
	char line[128];
	const char *path = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		path = config(bad[i].text);
		snprintf(line, sizeof(line), "--config=%s", path);
		assert_int_equal(parse(line), ERR_INVALID);
		assert_memory_equal(e.s, path, strlen(path));
		if (strstr(e.s, bad[i].complaint) == NULL)
			fail_msg("%s: %s", bad[i].text, e.s);
		/* Even if it is not the value that counts today. */
		snprintf(line, sizeof(line),
		    "--config=%s --name n --threads 2 --window 2k --drain 1s -v -L a=b", path);
		assert_int_equal(parse(line), ERR_INVALID);
		if (strstr(e.s, bad[i].complaint) == NULL)
			fail_msg("%s, overridden: %s", bad[i].text, e.s);
	}
	unlink(path);
	assert_int_equal(parse("--config /nonexistent/x"), ERR_INVALID);
	assert_string_equal(e.s, "cannot open /nonexistent/x: No such file or directory");
	forget();
}

/* Each option once, aligned, no line beyond 80 characters. */
static void
help_tells_all_there_is(void **state)
{
	static const char want[] =
	    "usage: tunnel test [OPTION]... AGENT\n"
	    "       tunnel test -L FROM=TO\n"
	    "\n"
	    "Test the options.\n"
	    "\n"
	    "  -v, --verbose               say more [OT_VERBOSE]\n"
	    "  -k, --no-keep               keep it\n"
	    "  -n, --name NAME             who you are, in a sentence that is so long that it\n"
	    "                              must be wrapped at the end of a line (default\n"
	    "                              nobody) [OT_NAME]\n"
	    "      --config FILE           read FILE [OT_CONFIG]\n"
	    "      --secret-file FILE      where it is [OT_SECRET_FILE]\n"
	    "      --secret SECRET         do not [OT_SECRET]\n"
	    "  -L, --forward FROM=TO       forward (repeatable) [OT_FORWARD]\n"
	    "  -H, --header HEADER         header (repeatable)\n"
	    "      --proxy URL             proxy [OT_PROXY]\n"
	    "      --threads N             threads (default 2) [OT_THREADS]\n"
	    "      --window BYTES          window (default 64k)\n"
	    "      --drain TIME            drain (default 30s)\n"
	    "      --color red|green       color (default green)\n"
	    "  -h, --help                  show this text\n"
	    "\n"
	    "Flags go before [environment] variables, these before the file of --config\n"
	    "(a JSON object whose keys are the long names), and that before defaults.\n";
	struct strbuf b;

	(void)state;
	assert_int_equal(parse("--help --bogus"), 0);
	assert_true(res.help);
	assert_int_equal(parse("-vh"), 0);
	assert_true(res.help);
	strbuf_init(&b, 65536);
	opt_help(&spec, &b);
	assert_int_equal(strbuf_status(&b), 0);
	assert_string_equal(b.s, want);
	strbuf_fini(&b);
	forget();
}

static void
every_allocation_may_fail(void **state)
{
	char line[128];
	long i;
	int r;

	(void)state;
	snprintf(line, sizeof(line), "--config %s -L a=b -Lc=d -Le=f x --secret s",
	    config("{\"name\":\"file\",\"threads\":9}"));
	for (i = 0, r = ERR_NOMEM; r != 0; i++) {
		mem_fail_after(i);
		r = parse(line);
		assert_true(r == 0 || r == ERR_NOMEM);
		/* It says so, and only then. */
		assert_int_equal(r == 0, e.s[0] == '\0');
		assert_true(i < 100);
	}
	assert_in_range(i, 10, 99);
	mem_fail_after(MEM_NO_FAIL);
	unlink(config("{}"));
	forget();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_fill_what_nobody_says),
		cmocka_unit_test(every_spelling_of_a_flag_works),
		cmocka_unit_test(arguments_stand_anywhere),
		cmocka_unit_test(mistakes_say_what_is_wrong),
		cmocka_unit_test(the_environment_is_below_flags),
		cmocka_unit_test(values_that_may_hold_a_password_leave_argv_and_environment),
		cmocka_unit_test(secrets_leave_argv_and_environment),
		cmocka_unit_test(of_two_that_say_the_same_the_stronger_source_counts),
		cmocka_unit_test(the_file_is_below_the_environment),
		cmocka_unit_test(the_file_is_read_once_more),
		cmocka_unit_test(mistakes_in_the_file_name_the_file_and_the_key),
		cmocka_unit_test(help_tells_all_there_is),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
