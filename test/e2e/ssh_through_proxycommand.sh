#!/bin/sh
# SPDX-License-Identifier: ISC
# Unmodified OpenSSH reaches an sshd that only the agent can reach, by ProxyCommand, over ws.
. "$(dirname "$0")/lib.sh"

start_sshd
start_relay relay
start_agent pi --tcp "ssh=127.0.0.1:$sshd_port"
ln -s "$(realpath "$TUNNEL_BIN")" "$tmp/tunnel-connect"

# As the manual of ssh_config says it, and by the name of the service.
ssh_both_ways "$tmp/tunnel-connect --relay $relay_url --secret-file $tmp/client.secret %h ssh" 0 1 5000 30000000
expect "host and port" hello \
	"$(connect pi 127.0.0.1 "$sshd_port" </dev/null 2>"$tmp/err.log" | head -c 4 | sed 's/SSH-/hello/')"
