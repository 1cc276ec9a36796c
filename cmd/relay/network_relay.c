/* SPDX-License-Identifier: ISC */
/*
 * network_relay - the relay in place of http-network-relay's network-relay: its command line, and
 * its credentials file.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/common/dropin.h"
#include "cmd/relay/relay.h"
#include "lib/net/loop.h"

enum { HOST, PORT, CREDENTIALS, N_VALUES };

static const struct argparse_row rows[N_VALUES] = {
	{ "host", false, ARGPARSE_TEXT, "HTTP_NETWORK_RELAY_SERVER_HOST", "127.0.0.1",
	    "The host to bind to" },
	{ "port", false, ARGPARSE_INT, "HTTP_NETWORK_RELAY_SERVER_PORT", "8000",
	    "The port to bind to" },
	{ "credentials-file", false, ARGPARSE_TEXT, "HTTP_NETWORK_RELAY_CREDENTIALS_FILE",
	    "credentials.json", "The credentials file" },
};

static const struct argparse_spec spec = {
	.prog = "network-relay",
	.about = "Run the HTTP network relay server",
	.rows = rows,
	.n_rows = N_VALUES,
};

/* A host as an address to listen at: the reference takes an address, or localhost. */
static void
listen_word(struct dropin *d, const char *host, const char *port)
{
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	dropin_word(
	    d, strchr(host, ':') != NULL ? "--listen=[%s]:%s" : "--listen=%s:%s", host, port);
}

int
network_relay_main(int argc, char **argv)
{
	char *values[N_VALUES] = { NULL };
	int code = dropin_read(&spec, argc, argv, values);
	struct dropin d = { 0 };
	char ready[512];

	if (code == CMD_GO) {
		code = CMD_FAILED;
		dropin_word(&d, "network-relay");
		dropin_common(&d);
		dropin_drain(&d);
		listen_word(&d, values[HOST], values[PORT]);
		dropin_word(&d, "--credentials=%s", values[CREDENTIALS]);
		snprintf(ready, sizeof ready,
		    "INFO:     Uvicorn running on http://%s:%s (Press CTRL+C to quit)",
		    values[HOST], values[PORT]);
		if (d.nomem)
			dropin_say("network-relay: out of memory, or a value is too long");
		else if (relay_command(d.n, d.v, ready) == CMD_OK)
			code = CMD_OK;
		dropin_fini(&d);
	}
	argparse_fini(&spec, values);
	/* The reference takes an interrupt for a wish; SIGHUP reloads, which it does not have. */
	return sig_last() == SIGTERM ? dropin_end(code) : code;
}
