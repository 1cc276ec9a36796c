/* SPDX-License-Identifier: ISC */
/* ready_file - the agent's --ready-file. */
#include "cmd/agent/ready_file.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

static void
write_it(void *arg)
{
	struct ready_file *rf = arg;

	rf->r = cmd_ready_write(&rf->file, rf->text, &rf->why);
}

/* It says what it said before. */
static void
failed(struct ready_file *rf, const char *why)
{
	log_errorx("--ready-file: %s", why);
	if (rf->written == NULL)
		rf->failed(rf->arg);
}

static void
begin(struct ready_file *rf)
{
	rf->text = rf->next;
	rf->next = NULL;
	errtext_clear(&rf->why);
	if (aside_start(&rf->writing) == 0)
		return;
	err_sys(&rf->why, "no thread to write it");
	mem_free(rf->text);
	rf->text = NULL;
	failed(rf, rf->why.s);
}

static void
on_written(void *arg)
{
	struct ready_file *rf = arg;

	if (rf->r == 0) {
		mem_free(rf->written);
		rf->written = rf->text;
	} else {
		mem_free(rf->text);
		failed(rf, rf->why.s);
	}
	rf->text = NULL;
	if (rf->next != NULL)
		begin(rf);
}

void
ready_file_begin(struct ready_file *rf, const char *path)
{
	*rf = (struct ready_file){ .r = 0 };
	cmd_ready_begin(&rf->file, path);
}

void
ready_file_init(struct ready_file *rf, struct loop *l, void (*fn)(void *arg), void *arg)
{
	aside_init(&rf->writing, l, write_it, on_written, rf);
	rf->failed = fn;
	rf->arg = arg;
}

bool
ready_file_is_wanted(const struct ready_file *rf)
{
	return rf->file.path != NULL;
}

/* The latest, written or not. */
static const char *
latest(const struct ready_file *rf)
{
	const char *text = rf->next != NULL ? rf->next : rf->text;

	return text != NULL ? text : rf->written;
}

bool
ready_file_is_said(const struct ready_file *rf)
{
	return latest(rf) != NULL;
}

void
ready_file_say(struct ready_file *rf, char *json)
{
	if (json == NULL) {
		failed(rf, "out of memory");
		return;
	}
	if (latest(rf) != NULL && strcmp(json, latest(rf)) == 0) {
		mem_free(json);
		return;
	}
	mem_free(rf->next);
	rf->next = json;
	if (!aside_is_busy(&rf->writing))
		begin(rf);
}

void
ready_file_end(struct ready_file *rf)
{
	aside_fini(&rf->writing);
	cmd_ready_end(&rf->file);
	mem_free(rf->written);
	mem_free(rf->text);
	mem_free(rf->next);
	*rf = (struct ready_file){ .r = 0 };
}
