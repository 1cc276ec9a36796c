/* SPDX-License-Identifier: ISC */
/*
 * dispatch - which subcommand is meant: by the name of the link that was run, or by the first
 * argument.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/tls/gcm_provider.h"
#include "lib/base/hash.h"
#include "lib/conf/jobj.h"
#include "lib/base/str.h"
#include "lib/base/version.h"

#define LINK_PREFIX "tunnel-"

static int list_main(int argc, char **argv);
static int help_main(int argc, char **argv);
static int version_main(int argc, char **argv);
static int install_main(int argc, char **argv);

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{ "relay", relay_main, "accept agents and clients, and join them" },
	{ "agent", agent_main, "offer services of this network through a relay" },
	{ "connect", connect_main, "reach a service of an agent" },
	{ "keygen", keygen_main, "make keys, secrets and certificates" },
};

/* Programs that ours may be run in place of, by a link of their name. */
static const struct command dropins[] = {
	{ "network-relay", network_relay_main, "relay" },
	{ "edge-agent", edge_agent_main, "agent" },
	{ "access-client", access_client_main, "connect" },
};

static const struct command actions[] = {
	{ "--list", list_main, "the names of the commands" },
	{ "--install", install_main, "DIR: make links tunnel-relay, tunnel-agent, ... in DIR" },
	{ "--version", version_main, "our version and the libraries'" },
	{ "--help", help_main, "this text; tunnel COMMAND --help for a command's options" },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct command *
find(const struct command *table, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* Everything that was printed has arrived, or the exit code tells. */
static int
flushed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CMD_OK;
	fprintf(stderr, "tunnel: cannot write to standard output: %s\n", strerror(errno));
	return CMD_FAILED;
}

static void
usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: tunnel COMMAND [OPTION]... [ARGUMENT]...\n"
		    "       tunnel --install DIR | --list | --version | --help\n\n"
		    "Reach services behind NAT and firewalls through one WebSocket port.\n\n");
	for (i = 0; i < COUNT(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputc('\n', to);
	for (i = 0; i < COUNT(actions); i++)
		fprintf(to, "  %-10s %s\n", actions[i].name, actions[i].help);
	fprintf(to, "\nIn place of http-network-relay's programs, with their command lines:\n");
	for (i = 0; i < COUNT(dropins); i++)
		fprintf(to, "  %-13s as tunnel %s\n", dropins[i].name, dropins[i].help);
}

static const struct command *
find_command(const char *name)
{
	const struct command *c = find(commands, COUNT(commands), name);

	return c != NULL ? c : find(dropins, COUNT(dropins), name);
}

static int
help_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	usage(stdout);
	return flushed();
}

static int
list_main(int argc, char **argv)
{
	size_t i;

	(void)argc;
	(void)argv;
	for (i = 0; i < COUNT(commands); i++)
		puts(commands[i].name);
	return flushed();
}

static int
version_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
#ifdef TUNNEL_VERSION
	printf("tunnel %s (%s)\n", VERSION, TUNNEL_VERSION);
#else
	printf("tunnel %s\n", VERSION);
#endif
	printf("libevent %s\nc-ares %s\nwslay %s\n%s\njansson %s\nllhttp %s\nAES-GCM by %s\n",
	    version_libevent(), version_cares(), version_wslay(), hash_version(), jobj_version(),
	    version_llhttp(), gcm_alt_provider());
	return flushed();
}

/* One link DIR/tunnel-NAME to target.  What is there stays, and is fine if it is that very link. */
static int
install_link(const char *dir, const char *name, const char *target)
{
	char path[PATH_MAX], there[PATH_MAX];
	ssize_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/" LINK_PREFIX "%s", dir, name) >=
	    sizeof(path)) {
		fprintf(stderr, "tunnel: %s: the path is too long\n", dir);
		return CMD_FAILED;
	}
	if (symlink(target, path) == 0) {
		printf("%s -> %s\n", path, target);
		return CMD_OK;
	}
	if (errno != EEXIST) {
		fprintf(stderr, "tunnel: cannot make the link %s: %s\n", path, strerror(errno));
		return CMD_FAILED;
	}
	n = readlink(path, there, sizeof(there) - 1);
	if (n > 0 && (size_t)n == strlen(target) && memcmp(there, target, (size_t)n) == 0)
		return CMD_OK;
	fprintf(stderr, "tunnel: %s exists and is not our link: remove it first\n", path);
	return CMD_FAILED;
}

static int
install_main(int argc, char **argv)
{
	char self[PATH_MAX];
	ssize_t n;
	size_t i;
	int r = CMD_OK;

	if (argc != 2) {
		fprintf(stderr, "usage: tunnel --install DIR\n");
		return CMD_USAGE;
	}
	if ((n = readlink("/proc/self/exe", self, sizeof(self) - 1)) < 0) {
		fprintf(stderr, "tunnel: cannot find out where this program lies: %s\n",
		    strerror(errno));
		return CMD_FAILED;
	}
	self[n] = '\0';
	for (i = 0; i < COUNT(commands); i++)
		if (install_link(argv[1], commands[i].name, self) != CMD_OK)
			r = CMD_FAILED;
	return flushed() == CMD_OK ? r : CMD_FAILED;
}

static int
unknown(const char *word)
{
	struct str_near near;
	char shown[80];
	size_t i;

	str_near_start(&near, word);
	for (i = 0; i < COUNT(commands); i++)
		str_near_offer(&near, commands[i].name);
	for (i = 0; i < COUNT(dropins); i++)
		str_near_offer(&near, dropins[i].name);
	for (i = 0; i < COUNT(actions); i++)
		str_near_offer(&near, actions[i].name);
	str_escape(shown, sizeof(shown), word, strlen(word));
	if (str_near_best(&near) != NULL)
		fprintf(stderr, "tunnel: there is no command \"%s\"; did you mean \"%s\"?\n", shown,
		    str_near_best(&near));
	else
		fprintf(stderr, "tunnel: there is no command \"%s\"; tunnel --help lists them\n",
		    shown);
	return CMD_USAGE;
}

/*
 * A descriptor 0, 1 or 2 that is closed would be given to the next socket, and what is meant for
 * the terminal would go to a peer.  /dev/null takes its place: reading ends at once, messages are
 * gone.  Results are not: writing to a standard output that is not there fails.
 */
static int
occupy_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int how = fd == STDOUT_FILENO ? O_RDONLY : O_RDWR;

		if (fcntl(fd, F_GETFD) >= 0 || open("/dev/null", how | O_CLOEXEC) == fd)
			continue;
		/* Perhaps there is a stderr to say so. */
		fprintf(stderr,
		    "tunnel: descriptor %d is closed, and /dev/null cannot be opened: %s\n", fd,
		    strerror(errno));
		return CMD_FAILED;
	}
	return CMD_OK;
}

int
dispatch_main(int argc, char **argv)
{
	const struct command *c;
	const char *name;

	if (occupy_standard_fds() != CMD_OK)
		return CMD_FAILED;
	if (argc < 1) {
		usage(stderr);
		return CMD_USAGE;
	}
	name = strrchr(argv[0], '/');
	name = name != NULL ? name + 1 : argv[0];
	if (strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0)
		name += strlen(LINK_PREFIX);
	if ((c = find_command(name)) != NULL)
		return c->run(argc, argv);
	if (argc < 2) {
		usage(stderr);
		return CMD_USAGE;
	}
	name = strcmp(argv[1], "-h") == 0 ? "--help" : argv[1];
	if ((c = find_command(name)) == NULL && (c = find(actions, COUNT(actions), name)) == NULL)
		return unknown(name);
	return c->run(argc - 1, argv + 1);
}
