/* SPDX-License-Identifier: ISC */
/*
 * dispatch_test - which subcommand runs, with which arguments; what the program itself answers.
 *
 * link: -Wl,--wrap=relay_main,--wrap=agent_main,--wrap=connect_main,--wrap=keygen_main
 * link: -Wl,--wrap=network_relay_main,--wrap=edge_agent_main,--wrap=access_client_main
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/cmd.h"
#include "test/unit/subcommand.h"

subcommand_fn __wrap_relay_main, __wrap_agent_main, __wrap_connect_main, __wrap_keygen_main;
subcommand_fn __wrap_network_relay_main, __wrap_edge_agent_main, __wrap_access_client_main;

static const char *const names[] = { "relay", "agent", "connect", "keygen" };

/* The subcommand that ran, and its arguments with a bar before each. */
static char ran[256];

static int
note(const char *name, int argc, char **argv, int status)
{
	size_t n = (size_t)snprintf(ran, sizeof ran, "%s", argv[argc] == NULL ? name : "?");

	for (int i = 0; i < argc; i++)
		n += (size_t)snprintf(ran + n, sizeof ran - n, "|%s", argv[i]);
	return status;
}

int
__wrap_relay_main(int argc, char **argv)
{
	return note("relay", argc, argv, 100);
}

int
__wrap_agent_main(int argc, char **argv)
{
	return note("agent", argc, argv, 101);
}

int
__wrap_connect_main(int argc, char **argv)
{
	return note("connect", argc, argv, 102);
}

int
__wrap_keygen_main(int argc, char **argv)
{
	return note("keygen", argc, argv, 103);
}

int
__wrap_network_relay_main(int argc, char **argv)
{
	return note("network-relay", argc, argv, 104);
}

int
__wrap_edge_agent_main(int argc, char **argv)
{
	return note("edge-agent", argc, argv, 105);
}

int
__wrap_access_client_main(int argc, char **argv)
{
	return note("access-client", argc, argv, 106);
}

static int
setup(void **state)
{
	(void)state;
	ran[0] = '\0';
	subcommand_in = subcommand_to = NULL;
	return 0;
}

static int
run(const char *words)
{
	return subcommand_heard(dispatch_main, words);
}

/* ---- subcommands ---- */

static void
a_subcommand_runs_by_the_first_argument_or_the_name_of_a_link(void **state)
{
	static const struct {
		const char *words, *ran;
		int status;
	} cases[] = {
		{ "tunnel relay", "relay|relay", 100 },
		{ "tunnel agent -x --help", "agent|agent|-x|--help", 101 },
		{ "/usr/bin/tunnel connect pi ssh", "connect|connect|pi|ssh", 102 },
		{ "tunnel keygen keygen", "keygen|keygen|keygen", 103 },
		{ "tunnel-relay", "relay|tunnel-relay", 100 },
		{ "/usr/bin/tunnel-agent -x", "agent|/usr/bin/tunnel-agent|-x", 101 },
		{ "./connect keygen", "connect|./connect|keygen", 102 },
		{ "keygen --list", "keygen|keygen|--list", 103 },
		{ "tunnel network-relay --port 1", "network-relay|network-relay|--port|1", 104 },
		{ "/opt/edge-agent --name pi", "edge-agent|/opt/edge-agent|--name|pi", 105 },
		{ "access-client pi", "access-client|access-client|pi", 106 },
		/* What has another name is the program. */
		{ "tunnel-x relay", "relay|relay", 100 },
		{ "relay/tunnel agent", "agent|agent", 101 },
		{ "tunnel-tunnel-relay agent", "agent|agent", 101 },
		{ "xtunnel-relay agent", "agent|agent", 101 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(run(cases[i].words), cases[i].status);
		assert_string_equal(ran, cases[i].ran);
	}
}

static void
without_a_command_the_usage_is_told_as_a_mistake(void **state)
{
	static const char *const words[] = { "", "tunnel", "tunnel-", "./x" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		assert_int_equal(run(words[i]), CMD_USAGE);
		assert_string_equal(subcommand_out, "");
		assert_int_equal(strncmp(subcommand_err, "usage: tunnel COMMAND", 21), 0);
	}
	assert_string_equal(ran, "");
}

static void
an_unknown_command_is_told_with_the_nearest(void **state)
{
	static const struct {
		const char *words, *says;
	} cases[] = {
		{ "tunnel rely", "no command \"rely\"; did you mean \"relay\"?" },
		{ "tunnel keygne", "did you mean \"keygen\"?" },
		{ "tunnel --versoin", "did you mean \"--version\"?" },
		{ "tunnel --lst", "did you mean \"--list\"?" },
		{ "tunnel zebra", "no command \"zebra\"; tunnel --help lists them" },
		{ "tunnel \033[1m", "no command \"\\x1b[1m\";" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(run(cases[i].words), CMD_USAGE);
		if (strstr(subcommand_err, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].words, subcommand_err);
	}
	assert_string_equal(ran, "");
}

/* ---- what the program itself answers ---- */

static void
help_names_every_command(void **state)
{
	char help[sizeof subcommand_out];

	(void)state;
	assert_int_equal(run("tunnel --help"), CMD_OK);
	assert_string_equal(subcommand_err, "");
	for (size_t i = 0; i < 4; i++)
		assert_non_null(strstr(subcommand_out, names[i]));
	assert_non_null(strstr(subcommand_out, "--install DIR"));
	strcpy(help, subcommand_out);
	assert_int_equal(run("tunnel -h"), CMD_OK);
	assert_string_equal(subcommand_out, help);
}

static void
the_list_is_for_scripts(void **state)
{
	(void)state;
	assert_int_equal(run("tunnel --list"), CMD_OK);
	assert_string_equal(subcommand_out, "relay\nagent\nconnect\nkeygen\n");
}

static void
the_version_names_the_libraries(void **state)
{
	static const char *const lines[] = { "tunnel 0.", "\nlibevent 2.", "\nc-ares 1.",
		"\nwslay 1.", "\nMbed TLS 3.6", "\njansson 2.", "\nllhttp ", "\nAES-GCM by " };

	(void)state;
	assert_int_equal(run("tunnel --version"), CMD_OK);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		assert_non_null(strstr(subcommand_out, lines[i]));
}

static void
what_cannot_be_printed_is_status_1(void **state)
{
	static const char *const words[] = { "tunnel --help", "tunnel --list", "tunnel --version" };

	(void)state;
	subcommand_to = "/dev/full";
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		assert_int_equal(run(words[i]), CMD_FAILED);
		assert_non_null(strstr(subcommand_err, "cannot write to standard output"));
	}
}

/* ---- links ---- */

static int
setup_dir(void **state)
{
	static char dir[PATH_MAX];

	strcpy(dir, "/tmp/dispatch_test.XXXXXX");
	*state = dir;
	return setup(state) != 0 || mkdtemp(dir) == NULL || chdir(dir) != 0;
}

static int
teardown_dir(void **state)
{
	for (size_t i = 0; i < 4; i++) {
		char path[32];

		snprintf(path, sizeof path, "tunnel-%s", names[i]);
		unlink(path);
	}
	return chdir("/") != 0 || rmdir(*state) != 0;
}

/* The link to this program. */
static bool
is_linked(const char *name)
{
	char path[32], there[PATH_MAX], self[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof path, "tunnel-%s", name);
	n = readlink(path, there, sizeof there - 1);
	if (n < 0)
		return false;
	there[n] = '\0';
	assert_non_null(realpath("/proc/self/exe", self));
	return strcmp(there, self) == 0;
}

static void
links_are_made_once(void **state)
{
	(void)state;
	assert_int_equal(run("tunnel --install ."), CMD_OK);
	for (size_t i = 0; i < 4; i++) {
		assert_true(is_linked(names[i]));
		assert_non_null(strstr(subcommand_out, names[i]));
	}
	/* They are there already, which is fine. */
	assert_int_equal(run("tunnel --install ."), CMD_OK);
	assert_string_equal(subcommand_out, "");
	assert_int_equal(unlink("tunnel-agent"), 0);
	assert_int_equal(run("tunnel --install ."), CMD_OK);
	assert_true(is_linked("agent"));
	assert_null(strstr(subcommand_out, "relay"));
}

static void
what_is_there_stays(void **state)
{
	char self[PATH_MAX], other[PATH_MAX + 8];
	int fd;

	(void)state;
	assert_non_null(realpath("/proc/self/exe", self));
	/* A file, a link to what is longer, one to what is shorter, one that differs. */
	fd = open("tunnel-relay", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	snprintf(other, sizeof other, "%sx", self);
	assert_int_equal(symlink(other, "tunnel-agent"), 0);
	other[strlen(self) - 1] = '\0';
	assert_int_equal(symlink(other, "tunnel-connect"), 0);
	snprintf(other, sizeof other, "%s", self);
	other[1] ^= 1;
	assert_int_equal(symlink(other, "tunnel-keygen"), 0);
	assert_int_equal(run("tunnel --install ."), CMD_FAILED);
	for (size_t i = 0; i < 4; i++) {
		assert_false(is_linked(names[i]));
		assert_non_null(strstr(subcommand_err, names[i]));
	}
	/* The others are made nevertheless. */
	assert_int_equal(unlink("tunnel-agent"), 0);
	assert_int_equal(run("tunnel --install ."), CMD_FAILED);
	assert_true(is_linked("agent"));
}

static void
links_cannot_be_made_everywhere(void **state)
{
	(void)state;
	assert_int_equal(run("tunnel --install nowhere"), CMD_FAILED);
	assert_non_null(strstr(subcommand_err, "cannot make the link nowhere/tunnel-relay"));
	assert_int_equal(run("tunnel --install"), CMD_USAGE);
	assert_int_equal(run("tunnel --install a b"), CMD_USAGE);
	assert_non_null(strstr(subcommand_err, "usage: tunnel --install DIR"));
	subcommand_to = "/dev/full";
	assert_int_equal(run("tunnel --install ."), CMD_FAILED);
}

/* With the folder's name so long that the longest link's path just fits, and one longer. */
static void
a_path_has_an_end(void **state)
{
	static const char longest[] = "/tunnel-connect";

	(void)state;
	for (size_t more = 0; more < 2; more++) {
		char words[2 * PATH_MAX] = "tunnel --install .";
		size_t n = PATH_MAX - 1 - strlen(longest) + more, at = strlen(words) - 1;

		memset(words + at, '/', n);
		words[at] = '.';
		words[at + n] = '\0';
		assert_int_equal(run(words), more == 0 ? CMD_OK : CMD_FAILED);
		assert_int_equal(strstr(subcommand_err, "too long") != NULL, more);
		assert_int_equal(is_linked("connect"), more == 0);
		assert_true(is_linked("relay"));
		for (size_t i = 0; i < 4; i++) {
			char path[32];

			snprintf(path, sizeof path, "tunnel-%s", names[i]);
			unlink(path);
		}
	}
}

/* ---- standard descriptors ---- */

/* How each one was open while the subcommand ran: O_RDONLY ...; -1: it was not. */
static int modes[3];
static bool is_null[3];

static int
look(int argc, char **argv)
{
	struct stat st, null;
	int closed = argc > 1 ? argv[1][0] - '0' : 3, code;

	if (closed < 3)
		close(closed);
	argv[1] = NULL;
	code = dispatch_main(1, argv);
	stat("/dev/null", &null);
	for (int fd = 0; fd < 3; fd++) {
		int how = fcntl(fd, F_GETFL);

		modes[fd] = how < 0 ? -1 : how & O_ACCMODE;
		is_null[fd] = fstat(fd, &st) == 0 && st.st_rdev == null.st_rdev;
	}
	return code;
}

static void
a_closed_standard_descriptor_is_occupied(void **state)
{
	static const char *const words[] = { "relay 0", "relay 1", "relay 2" };
	static const int want[] = { O_RDWR, O_RDONLY, O_RDWR };

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(subcommand_heard(look, words[i]), 100);
		assert_int_equal(modes[i], want[i]);
		for (int fd = 0; fd < 3; fd++)
			assert_int_equal(is_null[fd], fd == i);
	}
}

static int
list_into_nothing(int argc, char **argv)
{
	(void)argc;
	close(STDOUT_FILENO);
	return dispatch_main(2, argv);
}

static int
look_without_descriptors(int argc, char **argv)
{
	struct rlimit rl, none;
	int code;

	getrlimit(RLIMIT_NOFILE, &rl);
	none = (struct rlimit){ 0, rl.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	code = look(argc, argv);
	setrlimit(RLIMIT_NOFILE, &rl);
	return code;
}

static void
output_that_goes_nowhere_is_no_success(void **state)
{
	(void)state;
	assert_int_equal(subcommand_heard(list_into_nothing, "tunnel --list"), CMD_FAILED);
	assert_non_null(strstr(subcommand_err, "cannot write"));
}

static void
a_descriptor_that_cannot_be_occupied_ends_it(void **state)
{
	(void)state;
	assert_int_equal(subcommand_heard(look_without_descriptors, "relay 0"), CMD_FAILED);
	assert_non_null(strstr(subcommand_err, "descriptor 0 is closed"));
	assert_int_equal(modes[0], -1);
	assert_string_equal(ran, "");
	/* With all three there it does not matter. */
	assert_int_equal(subcommand_heard(look_without_descriptors, "relay"), 100);
}

#define T(name) cmocka_unit_test_setup(name, setup)
#define D(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown_dir)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_subcommand_runs_by_the_first_argument_or_the_name_of_a_link),
		T(without_a_command_the_usage_is_told_as_a_mistake),
		T(an_unknown_command_is_told_with_the_nearest),
		T(help_names_every_command),
		T(the_list_is_for_scripts),
		T(the_version_names_the_libraries),
		T(what_cannot_be_printed_is_status_1),
		D(links_are_made_once),
		D(what_is_there_stays),
		D(links_cannot_be_made_everywhere),
		D(a_path_has_an_end),
		T(a_closed_standard_descriptor_is_occupied),
		T(output_that_goes_nowhere_is_no_success),
		T(a_descriptor_that_cannot_be_occupied_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
