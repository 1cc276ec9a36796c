/* SPDX-License-Identifier: ISC */
/*
 * cmd - what the subcommands share with main(): entry points, exit codes, the first steps of each.
 *
 * Each entry point gets argv with its own name in argv[0] and returns an exit code, which is that
 * of the process.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stddef.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/conf/opt.h"

/* Exit codes of every subcommand; they are part of the manual. */
enum cmd_exit {
	/* done */
	CMD_OK = 0,
	/* failed at run time */
	CMD_FAILED = 1,
	/* wrong usage or configuration */
	CMD_USAGE = 2,
	/* refused: authentication or policy */
	CMD_REFUSED = 3,
};

#define CMD_GO (-1) /* cmd_options(): go on */

/* dispatch_main - the program: find the subcommand that argv means, and run it. */
int dispatch_main(int argc, char **argv);

int relay_main(int argc, char **argv);
int agent_main(int argc, char **argv);
int connect_main(int argc, char **argv);
int keygen_main(int argc, char **argv);

/* In place of http-network-relay's programs. */
int network_relay_main(int argc, char **argv);
int edge_agent_main(int argc, char **argv);
int access_client_main(int argc, char **argv);

/*
 * cmd_options - opt_parse() and what follows from it: --help goes to standard output, a mistake
 * with its sentence to standard error.  Returns CMD_GO, or the code to exit with.  The caller calls
 * opt_fini() in every case.
 */
int cmd_options(const struct opt_spec *spec, int argc, char **argv, void *target,
    struct opt_result *res) WARN_UNUSED;

/* ---- what relay, agent and connect have in common ---- */

/* Members of each one's options. */
struct cmd_common {
	char *config;
	int log_level, log_format;
};

/* Their rows, for the member m of struct S; level is the default of --log-level. */
#define CMD_COMMON_ROWS(S, m, level)                                                           \
	{ .name = "config",                                                                    \
		.kind = OPT_STRING,                                                            \
		.off = offsetof(S, m.config),                                                  \
		.arg = "FILE",                                                                 \
		.env = "TUNNEL_CONFIG",                                                        \
		.key = OPT_NO_KEY,                                                             \
		.help = "read options from FILE: a JSON object with the long names as keys" }, \
	    { .name = "log-level",                                                             \
		    .kind = OPT_ENUM,                                                          \
		    .off = offsetof(S, m.log_level),                                           \
		    .arg = "LEVEL",                                                            \
		    .env = "TUNNEL_LOG_LEVEL",                                                 \
		    .def = level,                                                              \
		    .words = log_level_words,                                                  \
		    .help = "error, warn, info or debug" },                                    \
	{                                                                                      \
		.name = "log-format", .kind = OPT_ENUM, .off = offsetof(S, m.log_format),      \
		.arg = "FORMAT", .env = "TUNNEL_LOG_FORMAT", .def = "text",                    \
		.words = log_format_words, .help = "text or json"                              \
	}

/* The row of --drain, for the member m (milliseconds) of struct S. */
#define CMD_DRAIN_ROW(S, m)                                                                  \
	{                                                                                    \
		.name = "drain", .kind = OPT_DURATION, .off = offsetof(S, m), .arg = "TIME", \
		.env = "TUNNEL_DRAIN", .def = "30s", .min = 0, .max = 86400000,              \
		.help = "how long SIGTERM lets streams finish"                               \
	}

/*
 * Rows of --keepalive (milliseconds) and --ready-file; what and when: what is written to that file,
 * and when.
 */
#define CMD_KEEPALIVE_ROW(S, m)                                                                  \
	{                                                                                        \
		.name = "keepalive", .kind = OPT_DURATION, .off = offsetof(S, m), .arg = "TIME", \
		.env = "TUNNEL_KEEPALIVE", .def = "15s", .min = 100, .max = 3600000,             \
		.help = "silence before a ping; a peer is dead after three"                      \
	}
#define CMD_READY_ROW(S, m, what, when)                                                         \
	{                                                                                       \
		.name = "ready-file", .kind = OPT_STRING, .off = offsetof(S, m), .arg = "FILE", \
		.env = "TUNNEL_READY_FILE", .help = "write " what " (JSON) to FILE when " when  \
	}

/*
 * cmd_begin - the first steps of a long-running command: its log, no death by SIGPIPE, random
 * numbers, descriptors.
 */
void cmd_begin(const struct cmd_common *common);

/* cmd_start_failed - the exit code of one that could not start for this ERR_*. */
int cmd_start_failed(int err);

/*
 * cmd_hangup_ends - does SIGHUP mean the end?  Not when it was ignored from the start, as nohup(1)
 * has it.
 */
bool cmd_hangup_ends(void);

/*
 * The file of --ready-file: there while the program is ready, and at no other time, so that who
 * waits for it never sees that of an earlier run.  Only a plain file is ever removed: at the start
 * one whose program has ended without doing so, which is known by the lock (flock(2)) that a
 * program has on its own; at the end only our own, as a successor may have written its own
 * meanwhile.
 */
struct cmd_ready {
	/* Borrowed; NULL: none is wanted. */
	const char *path;
	struct file_stamp written;
	/* A descriptor of that file; negative: none. */
	int lock;
};

/* cmd_ready_begin - remove what an earlier run has left.  Before the other two. */
void cmd_ready_begin(struct cmd_ready *r, const char *path);
/*
 * cmd_ready_write - json is there as one line, whole, in place of what was written before.
 * ERR_SYS, ERR_NOMEM with e.
 */
int cmd_ready_write(struct cmd_ready *r, const char *json, struct errtext *e) WARN_UNUSED;
void cmd_ready_end(struct cmd_ready *r);

#endif
