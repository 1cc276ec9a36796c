/* SPDX-License-Identifier: ISC */
/*
 * hnr - http-network-relay as two dialects: one JSON text message for each thing that is said, with
 * one path for agents and one for clients.
 */
#include "proto/dialect/dialect.h"
#include "proto/dialect/hnr_accept.h"
#include "proto/dialect/hnr_dial.h"
#include "proto/dialect/hnr_msg.h"

static const char *const agent_paths[] = { "/ws_for_edge_agents", NULL };
static const char *const client_paths[] = { "/ws_for_access_clients", NULL };

const struct dialect dialect_hnr_agents = {
	.name = "http-network-relay",
	.paths = agent_paths,
	.roles = DIALECT_FOR(CTL_AGENT),
	.carries = SESSION_TEXT,
	.message_max = HNR_MESSAGE_MAX,
	.accept = hnr_accept_agent,
	.dial = hnr_dial_agent,
};

const struct dialect dialect_hnr_clients = {
	.name = "http-network-relay",
	.paths = client_paths,
	.roles = DIALECT_FOR(CTL_CONNECT),
	.single = true,
	.carries = SESSION_TEXT,
	.message_max = HNR_MESSAGE_MAX,
	.accept = hnr_accept_client,
	.dial = hnr_dial_client,
};
