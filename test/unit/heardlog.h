/* SPDX-License-Identifier: ISC */
/*
 * heardlog - the log goes to the test for a while.  Header only; after cmocka.h.
 */
#ifndef TEST_UNIT_HEARDLOG_H
#define TEST_UNIT_HEARDLOG_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/log.h"

static int heardlog_fd[2];

static inline void
heardlog_begin(enum log_level level)
{
	assert_int_equal(pipe2(heardlog_fd, O_NONBLOCK | O_CLOEXEC), 0);
	log_init(level, LOG_FORMAT_TEXT, heardlog_fd[1]);
}

/* heardlog_end - what was written; valid until the next call. */
static inline const char *
heardlog_end(void)
{
	static char text[16 * 1024];
	ssize_t n = read(heardlog_fd[0], text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	close(heardlog_fd[0]);
	close(heardlog_fd[1]);
	return text;
}

#endif
