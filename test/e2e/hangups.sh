#!/bin/sh
# SPDX-License-Identifier: ISC
# SIGHUP: to a relay that is still starting it is no end; it ends agent and forwards in good order, but not those that nohup has started.
. "$(dirname "$0")/lib.sh"

# The credentials come late, by a FIFO: the relay waits for them.
start_tcp greet greet hello
secrets
mkfifo "$tmp/late.json"
start relay "$TUNNEL_BIN" relay --listen 127.0.0.1:0 --credentials "$tmp/late.json" --ready-file "$tmp/relay.ready"
reads_fifo() { readlink "/proc/$(pid_of relay)/fd/"* | grep -q late.json; }
(
	exec 9>"$tmp/late.json"
	wait_for "the relay to read its credentials" reads_fifo
	kill -HUP "$(pid_of relay)"
	cat "$tmp/creds.json" >&9
) || fail "SIGHUP has ended the relay"
started_file relay "$tmp/relay.ready"
relay_url=ws://127.0.0.1:$(json "$tmp/relay.ready" 'd["tunnel"][0]["port"]')

# Without nohup: an end with a goodbye.
start_agent pi
start_connect forward -L 0=pi:127.0.0.1:"$tcp_port"
stop forward HUP
expect "exit status of forwards after SIGHUP" 0 "$code"
stop pi HUP
expect "exit status of an agent after SIGHUP" 0 "$code"

# With nohup: terminals come and go.
bin=$TUNNEL_BIN
cat >"$tmp/nohup-tunnel" <<-SH
	#!/bin/sh
	exec nohup "$bin" "\$@"
SH
chmod +x "$tmp/nohup-tunnel"
TUNNEL_BIN=$tmp/nohup-tunnel
start_agent pi
start_connect forward -L 0=pi:127.0.0.1:"$tcp_port"
port=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')
kill -HUP "$(pid_of pi)" "$(pid_of forward)"
talk() {
	python3 -c 'import socket, sys; s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10); s.shutdown(1); print(s.makefile().read())' "$1"
}
expect "through what nohup has started" hello "$(talk "$port")"
stop forward
expect "exit status of forwards after SIGTERM" 0 "$code"
stop pi
expect "exit status of an agent after SIGTERM" 0 "$code"
