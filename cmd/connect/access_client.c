/* SPDX-License-Identifier: ISC */
/*
 * access_client - connect in place of http-network-relay's access-client: its command line, its
 * protocol, its exit status: 0 for all that a relay answers, 1 if it does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/common/dropin.h"
#include "cmd/connect/connect.h"

enum { AGENT, TARGET_IP, TARGET_PORT, PROTOCOL, RELAY_URL, SECRET, N_VALUES };

static const struct argparse_row rows[N_VALUES] = {
	{ "target_host_identifier", true, ARGPARSE_TEXT, NULL, NULL, "The target host identifier" },
	{ "target_ip", true, ARGPARSE_TEXT, NULL, NULL, "The target IP" },
	{ "target_port", true, ARGPARSE_INT, NULL, NULL, "The target port" },
	{ "protocol", true, ARGPARSE_TEXT, NULL, NULL,
	    "The protocol to use (e.g. 'udp' or 'tcp')" },
	{ "relay-url", false, ARGPARSE_TEXT, "HTTP_NETWORK_RELAY_URL",
	    "ws://127.0.0.1:8000/ws_for_access_clients", "The relay URL" },
	{ "secret", false, ARGPARSE_SECRET, "HTTP_NETWORK_RELAY_SECRET", NULL,
	    "The secret used to authenticate with the relay" },
};

static const struct argparse_spec spec = {
	.prog = "access-client",
	.about = "Connect to the HTTP network relay, request a connection to a target host running "
		 "`edge-agent`.\n"
		 "Send data from stdin to the target host and print data received from the target "
		 "host to stdout.",
	.rows = rows,
	.n_rows = N_VALUES,
};

/* What the reference's relay or agent would have answered; they check nothing before. */
static const char *
fill_target(struct ctl_open *o, char *const *values)
{
	static char text[128];
	char *end;
	long port = strtol(values[TARGET_PORT], &end, 10);

	if (strlen(values[PROTOCOL]) >= sizeof o->protocol) {
		snprintf(text, sizeof text, "Unsupported protocol: %.64s", values[PROTOCOL]);
		return text;
	}
	if (port < 1 || port > UINT16_MAX)
		return "the port must be 1-65535";
	if (!ctl_is_agent(values[AGENT]))
		return "Agent not registered";
	if (values[TARGET_IP][0] == '\0' || strlen(values[TARGET_IP]) > CTL_HOST_MAX)
		return "[Errno -2] Name or service not known";
	snprintf(o->protocol, sizeof o->protocol, "%s", values[PROTOCOL]);
	snprintf(o->host, sizeof o->host, "%s", values[TARGET_IP]);
	o->port = (uint16_t)port;
	return NULL;
}

static int
run(char *const *values)
{
	struct client_dropin target = { .agent = values[AGENT] };
	const char *no = fill_target(&target.open, values);
	struct dropin d = { 0 };

	if (no != NULL) {
		dropin_say("Received error message: %s", no);
		return CMD_OK;
	}
	dropin_word(&d, "access-client");
	dropin_common(&d);
	dropin_word(&d, "--dialect=http-network-relay");
	dropin_word(&d, "--relay=%s", values[RELAY_URL]);
	dropin_word(&d, "--secret=%s", values[SECRET]);
	if (d.nomem)
		dropin_say("access-client: out of memory, or a value is too long");
	else
		IGNORE_RESULT(connect_command(d.n, d.v, &target)); /* it has its own status */
	dropin_fini(&d);
	dropin_say("Exiting");
	return target.answered && !target.failed ? CMD_OK : CMD_FAILED;
}

int
access_client_main(int argc, char **argv)
{
	char *values[N_VALUES] = { NULL };
	int code = dropin_read(&spec, argc, argv, values);

	if (code == CMD_GO && values[SECRET] == NULL) {
		dropin_say("access-client: secret is required: give --secret, or set "
			   "HTTP_NETWORK_RELAY_SECRET");
		code = CMD_FAILED;
	}
	if (code == CMD_GO)
		code = run(values);
	argparse_fini(&spec, values);
	return dropin_end(code);
}
