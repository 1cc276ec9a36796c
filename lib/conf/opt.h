/* SPDX-License-Identifier: ISC */
/*
 * opt - a command's options from one table: flags, environment, configuration file, --help.
 *
 * Each option is a row.  Its value is the first of: flag, environment variable, configuration key,
 * default; a list from a higher source replaces a lower one whole.  Values land in the caller's
 * struct at the row's offset:
 *
 *     OPT_FLAG      bool              --name, --no-name; elsewhere 1/0, true/false, yes/no
 *     OPT_STRING    char *            owned; NULL if never given and no default
 *     OPT_SECRET    struct secret *   owned; wiped from argv and the environment; no letter
 *     OPT_LIST      struct opt_list   repeatable; in the environment split at commas;
 *                                     in the file an array or a string
 *     OPT_U64       uint64_t          min..max
 *     OPT_SIZE      uint64_t          bytes, min..max, "64k"; see str_parse_size()
 *     OPT_DURATION  uint64_t          milliseconds, min..max, "30s"; see str_parse_duration_ms()
 *     OPT_ENUM      int               index into the row's words
 *
 * Of two rows that are rivals (--secret, --secret-file; each names the other) only the one from the
 * higher source is filled in; both from one source is a mistake.  Strings and secrets only.
 *
 * max = 0 stands for no upper bound.  On the command line: --name=value, --name value, -Lvalue,
 * -L value, bundled letters of flags; options and positional arguments in any order; "--" ends the
 * options; a lone "-" is positional.  No abbreviations.  -h and --help are built in.  The
 * configuration file is one JSON object whose keys are the long names (or the row's key); an
 * unknown key or flag is refused, naming the nearest, and so is a wrong value, even if a higher
 * source overrides it.
 *
 *     static const struct opt_row rows[] = {
 *             { .name = "listen", .letter = 'l', .kind = OPT_LIST,
 *               .off = offsetof(struct relay_opts, listen), .arg = "ADDR:PORT",
 *               .env = "TUNNEL_LISTEN", .help = "where to listen" }, ...
 */
#ifndef LIB_OPT_H
#define LIB_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

#define OPT_CONFIG_MAX (1024 * 1024) /* bytes of a configuration file */
#define OPT_NO_KEY ""                /* .key of a row that may not stand in a configuration file */

enum opt_kind {
	OPT_FLAG,
	OPT_STRING,
	OPT_SECRET,
	OPT_LIST,
	OPT_U64,
	OPT_SIZE,
	OPT_DURATION,
	OPT_ENUM,
};

/* Repeated values in the order they were given; both levels owned. */
struct opt_list {
	char **v;
	size_t n;
};

struct opt_row {
	/* long name without the dashes */
	const char *name;
	/* short form, or 0 */
	char letter;
	enum opt_kind kind;
	/* offsetof() in the target */
	size_t off;
	/* what --help calls the value, "ADDR:PORT"; NULL for flags */
	const char *arg;
	/* environment variable, or NULL */
	const char *env;
	/* configuration key; NULL for the long name, OPT_NO_KEY for none */
	const char *key;
	/* default as text (flags: "true"), or NULL; not for lists and secrets */
	const char *def;
	/* numbers: inclusive range, max 0 for none */
	uint64_t min, max;
	/* OPT_ENUM: NULL-terminated */
	const char *const *words;
	/* its value may hold a password: kept out of sight like a secret's */
	bool wipe;
	/* a row that says the same in another way, or NULL: see below */
	const char *rival;
	/* one phrase */
	const char *help;
};

struct opt_spec {
	/* "tunnel relay" */
	const char *prog;
	/* one or more lines after prog, separated by \n */
	const char *synopsis;
	/* a sentence or two, wrapped by --help */
	const char *about;
	const struct opt_row *rows;
	size_t n_rows;
	/* long name of the OPT_STRING row that names the configuration file, or NULL */
	const char *config_row;
	/* most positional arguments; more are refused naming the first too many */
	size_t args_max;
};

struct opt_mark;

/* What is no option.  Owned; opt_fini() ends it. */
struct opt_result {
	/* --help was given: nothing else has been looked at or filled in */
	bool help;
	/* positional arguments in order */
	struct opt_list args;
	/* private: where each row's value came from */
	struct opt_mark *marks;
};

/*
 * opt_parse - fill target and res from argv[1..argc-1], the environment, the file and the defaults.
 *   target   zeroed by the caller
 * Returns 0; ERR_INVALID with a sentence in e that says what is wrong and what to do; ERR_NOMEM. In
 * every case opt_fini() must be called.  Values of OPT_SECRET rows and of rows with wipe are
 * overwritten in argv in every case (lib/base/argv.h), but for one behind a letter that follows a
 * mistake; those in the environment are overwritten and unset as soon as they are read.
 */
int opt_parse(const struct opt_spec *spec, int argc, char **argv, void *target,
    struct opt_result *res, struct errtext *e) WARN_UNUSED;

/*
 * opt_reread - the configuration file once more, for a program that goes on.
 *   before   of the opt_parse() that began it; a row with a flag or a variable then is left empty
 *   path     of the file
 *   target   zeroed by the caller; what the file and the defaults say now
 * Returns as opt_parse(); opt_fini() in every case.  It may be called in another thread than
 * opt_parse(), and that thread be cancelled while it waits for the file (lib/base/file.h).
 */
int opt_reread(const struct opt_spec *spec, const struct opt_result *before, const char *path,
    void *target, struct opt_result *res, struct errtext *e) WARN_UNUSED;

/* opt_is_files - is it for the file to say what this row is: there was no flag and no variable? */
bool opt_is_files(const struct opt_spec *spec, const struct opt_result *res, const char *name);

/*
 * opt_changed - the rows of which the file says something else now, as "name, name", appended to
 * out; but those that are not the file's, and those of the NULL-terminated list except.
 */
void opt_changed(const struct opt_spec *spec, const struct opt_result *before,
    const struct opt_result *now, const char *const *except, struct strbuf *out);

/*
 * opt_fini - free every value in target and res that opt_parse() allocated, leaving NULL; secrets
 * are wiped.
 */
void opt_fini(const struct opt_spec *spec, void *target, struct opt_result *res);

/* opt_words - the words of an OPT_ENUM row, appended to out. */
void opt_words(const struct opt_row *row, const char *between, struct strbuf *out);

/* opt_help - the text of --help, wrapped at 80 columns, appended to out. */
void opt_help(const struct opt_spec *spec, struct strbuf *out);

#endif
