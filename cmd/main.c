/* SPDX-License-Identifier: ISC */
/* main - apart from dispatch.c, so that tests can link that one. */
#include "cmd/cmd.h"

int
main(int argc, char **argv)
{
	return dispatch_main(argc, argv);
}
