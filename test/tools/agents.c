/* SPDX-License-Identifier: ISC */
/*
 * agents - holds the sessions of many agents from one process, for load runs.
 *
 *     agents N URL [--secret-file FILE] [--ca FILE] [--ready]
 *
 * The agents are called a0 to aN-1 and offer nothing.  At most AT_ONCE of them log in at a time.
 * --ready prints "ready N" when all stand.  Ends when standard input does (if it is a pipe or
 * terminal), or by SIGTERM.  Exit codes as in cmd.h.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/common/uplink.h"
#include "lib/net/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/rlimit.h"
#include "lib/ws/f_ws.h"

enum { AT_ONCE = 64, N_MAX = 1000000 };

struct agents_opts {
	struct uplink_opts uplink;
	bool ready;
};

struct agents {
	struct agents_opts opts;
	struct uplink_config config;
	struct loop *loop;
	struct uplink **links;
	uint64_t n, n_started, n_up;
	struct sig term, intr;
	struct io in;
	bool ready_said;
	int code;
};

static const struct opt_row rows[] = {
	UPLINK_OPT_ROWS(struct agents_opts, uplink, "384m"),
	{ .name = "ready",
	    .kind = OPT_FLAG,
	    .off = offsetof(struct agents_opts, ready),
	    .key = OPT_NO_KEY,
	    .help = "print a line when all sessions stand" },
};

static const struct opt_spec spec = {
	.prog = "agents",
	.synopsis = "N URL [OPTION...]",
	.about = "Holds the sessions of N agents from one process.",
	.rows = rows,
	.n_rows = sizeof rows / sizeof rows[0],
	.args_max = 2,
};

static void
stop(struct agents *a, int code)
{
	a->code = code;
	loop_stop(a->loop);
}

/* ---- the links' calls ---- */

static void start_next(struct agents *a);

static void
on_ready(void *arg)
{
	(void)arg; /* an agent opens no streams */
}

static void
on_up(void *arg)
{
	struct agents *a = arg;

	a->n_up++;
	start_next(a);
	if (a->n_up == a->n && a->opts.ready && !a->ready_said) {
		a->ready_said = true;
		printf("ready %llu\n", (unsigned long long)a->n);
		fflush(stdout);
	}
}

/* A session that stood, or one that did not come about; the link dials again by itself. */
static void
on_down(void *arg, int err, const char *text, uint64_t next_ms)
{
	(void)arg;
	log_warnx("a session is down: %s (%s); next attempt in %llu ms", text, err_str(err),
	    (unsigned long long)next_ms);
}

static bool
on_away(void *arg, const char *text)
{
	(void)arg;
	log_warnx("a relay goes away: %s", text);
	return true;
}

static bool
on_refused(void *arg, uint32_t code, const char *text)
{
	log_errorx("refused: %s: %s", frame_code_str(code), text);
	stop(arg, CMD_REFUSED);
	return false;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	(void)o;
	stream_reset(s, CODE_NOT_FOUND, "this agent offers nothing");
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static const struct uplink_user user = {
	.ready = on_ready,
	.up = on_up,
	.down = on_down,
	.away = on_away,
	.refused = on_refused,
	.open = on_open,
	.idle = on_idle,
};

static void
start_next(struct agents *a)
{
	while (a->n_started < a->n && a->n_started < a->n_up + AT_ONCE) {
		char name[CTL_AGENT_MAX + 1];

		snprintf(name, sizeof name, "a%llu", (unsigned long long)a->n_started);
		a->links[a->n_started] = uplink_new(a->loop, &a->config, CTL_AGENT, name, &user, a);
		if (a->links[a->n_started] == NULL) {
			log_errorx("out of memory");
			stop(a, CMD_FAILED);
			return;
		}
		a->n_started++;
	}
}

/* ---- start and end ---- */

static void
on_term(void *arg)
{
	stop(arg, CMD_OK);
}

static void
on_stdin(void *arg, int what)
{
	char drop[512];

	(void)what;
	if (read(STDIN_FILENO, drop, sizeof drop) <= 0)
		stop(arg, CMD_OK);
}

/* A file or /dev/null cannot be watched: then only a signal ends us. */
static bool
stdin_can_end(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 &&
	       (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(STDIN_FILENO));
}

static int
agents_init(struct agents *a, const struct opt_list *args, struct errtext *e)
{
	int r;

	if (args->n != 2 || str_parse_u64(args->v[0], 1, N_MAX, &a->n) != 0)
		return err_set(e, ERR_INVALID, "usage: agents N URL, with N from 1 to %d", N_MAX);
	mem_free(a->opts.uplink.relay);
	a->opts.uplink.relay = mem_strdup(args->v[1]);
	if (a->opts.uplink.relay == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if ((r = uplink_config_init(&a->config, &a->opts.uplink, CTL_AGENT, e)) != 0)
		return r;
	a->links = mem_array((size_t)a->n, sizeof(struct uplink *));
	a->loop = loop_new();
	if (a->links == NULL || a->loop == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (sig_init(&a->term, a->loop, SIGTERM, on_term, a) != 0 ||
	    sig_init(&a->intr, a->loop, SIGINT, on_term, a) != 0 ||
	    io_init(&a->in, a->loop, STDIN_FILENO, false, on_stdin, a) != 0)
		return err_sys(e, "cannot set up the event loop");
	if (stdin_can_end() && io_want(&a->in, IO_READ) != 0)
		return err_sys(e, "cannot watch standard input");
	start_next(a);
	return 0;
}

static void
agents_fini(struct agents *a)
{
	for (uint64_t i = 0; i < a->n_started; i++)
		uplink_free(a->links[i], CODE_GONE, "the agents have ended");
	mem_free(a->links);
	sig_fini(&a->term);
	sig_fini(&a->intr);
	io_fini(&a->in);
	loop_free(a->loop);
	uplink_config_fini(&a->config);
	f_ws_thread_fini();
	buf_pool_free();
}

int
main(int argc, char **argv)
{
	struct agents a = { 0 };
	struct opt_result res = { 0 };
	struct errtext why = { "" };
	int code = cmd_options(&spec, argc, argv, &a.opts, &res);

	if (code == CMD_GO) {
		log_init(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, 2);
		signal(SIGPIPE, SIG_IGN);
		rand_init();
		rlimit_raise_files();
		code = agents_init(&a, &res.args, &why);
		if (code != 0)
			log_errorx("agents: %s", why.s);
		code = code == 0 ? loop_run(a.loop) : code;
		code = code == 0 ? a.code : code == ERR_INVALID ? CMD_USAGE : CMD_FAILED;
		agents_fini(&a);
	}
	opt_fini(&spec, &a.opts, &res);
	return code;
}
