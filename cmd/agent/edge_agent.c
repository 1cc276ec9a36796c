/* SPDX-License-Identifier: ISC */
/*
 * edge_agent - the agent in place of http-network-relay's edge-agent: its command line, its
 * protocol, every target allowed, and it never gives up.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/agent/agent.h"
#include "cmd/cmd.h"
#include "cmd/common/dropin.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

enum { RELAY_URL, NAME, SECRET, N_VALUES };

static const struct argparse_row rows[N_VALUES] = {
	{ "relay-url", false, ARGPARSE_TEXT, "HTTP_NETWORK_RELAY_URL",
	    "ws://127.0.0.1:8000/ws_for_edge_agents", "The server URL" },
	{ "name", false, ARGPARSE_TEXT, "HTTP_NETWORK_RELAY_NAME", NULL, "The edge-agents name" },
	{ "secret", false, ARGPARSE_SECRET, "HTTP_NETWORK_RELAY_SECRET", NULL,
	    "The secret used to authenticate with the relay" },
};

static const struct argparse_spec spec = {
	.prog = "edge-agent",
	.about = "Edge agent for HTTP network relay, allows `access-client` to connect to it",
	.rows = rows,
	.n_rows = N_VALUES,
};

#define HOSTS_FILE "/etc/hosts"
#define HOSTS_MAX (1024 * 1024)

/* Does this line of HOSTS_FILE name the host?  Then fqdn is its first name with a dot, if any. */
static bool
line_names(char *line, const char *host, char *fqdn, size_t room)
{
	char *save = NULL, *word;
	bool ours = false;

	line[strcspn(line, "#")] = '\0';
	fqdn[0] = '\0';
	/* The first word is the address. */
	if (strtok_r(line, " \t\r", &save) == NULL)
		return false;
	while ((word = strtok_r(NULL, " \t\r", &save)) != NULL) {
		ours = ours || strcmp(word, host) == 0;
		if (fqdn[0] == '\0' && strchr(word, '.') != NULL)
			snprintf(fqdn, room, "%s", word);
	}
	return ours && fqdn[0] != '\0';
}

/* The host's full name, as far as the machine itself knows it: nobody waits for name servers. */
static void
full_name(char *out, size_t room)
{
	char host[256] = "localhost", fqdn[256];
	char *text = NULL, *save = NULL, *line;
	struct errtext e;
	size_t n;

	IGNORE_RESULT(gethostname(host, sizeof host - 1)); /* then it is localhost */
	snprintf(out, room, "%s", host);
	if (strchr(host, '.') != NULL || file_read_all(HOSTS_FILE, HOSTS_MAX, &text, &n, &e) != 0)
		return;
	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		if (line_names(line, host, fqdn, sizeof fqdn)) {
			snprintf(out, room, "%s", fqdn);
			break;
		}
	mem_free(text);
}

static void
default_name(char *out, size_t room)
{
	char host[128];
	uint8_t id[4] = { 0 };

	full_name(host, sizeof host);
	rand_init();
	IGNORE_RESULT(rand_bytes(id, sizeof id)); /* uplinks tell of a system without them */
	snprintf(out, room, "unnamed-fqdn-%s-edge-agent-%02x%02x%02x%02x", host, id[0], id[1],
	    id[2], id[3]);
}

static int
run(char *const *values)
{
	struct dropin d = { 0 };
	char name[256];
	int code = CMD_FAILED;

	default_name(name, sizeof name);
	dropin_word(&d, "edge-agent");
	dropin_common(&d);
	dropin_drain(&d);
	dropin_word(&d, "--dialect=http-network-relay");
	dropin_word(&d, "--relay=%s", values[RELAY_URL]);
	dropin_word(&d, "--name=%s", values[NAME] != NULL ? values[NAME] : name);
	dropin_word(&d, "--secret=%s", values[SECRET]);
	if (d.nomem)
		dropin_say("edge-agent: out of memory, or a value is too long");
	else
		code = agent_command(d.n, d.v, true) == CMD_OK ? CMD_OK : CMD_FAILED;
	dropin_fini(&d);
	return code;
}

int
edge_agent_main(int argc, char **argv)
{
	char *values[N_VALUES] = { NULL };
	int code = dropin_read(&spec, argc, argv, values);

	if (code == CMD_GO && values[SECRET] == NULL) {
		dropin_say("edge-agent: secret is required: give --secret, or set "
			   "HTTP_NETWORK_RELAY_SECRET");
		code = CMD_FAILED;
	}
	if (code == CMD_GO)
		code = run(values);
	argparse_fini(&spec, values);
	return dropin_end(code);
}
