/* SPDX-License-Identifier: ISC */
/* agent - the subcommand, for the one that runs it under another name. */
#ifndef CMD_AGENT_AGENT_H
#define CMD_AGENT_AGENT_H

#include <stdbool.h>

/*
 * agent_command - run with these arguments to the end; returns the status.
 *   dropin  as http-network-relay's edge-agent: without --allow every target is allowed, a refusal
 *           is no reason to stay away, and it says what that program says
 */
int agent_command(int argc, char **argv, bool dropin);

#endif
