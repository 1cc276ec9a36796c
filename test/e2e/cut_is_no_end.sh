#!/bin/sh
# SPDX-License-Identifier: ISC
# A connection that is cut is a reset to the programs at both ends, whoever cuts it and how, and never an end in good order: a local
# program must not take half a file for a whole one. Where a pipe cannot say so, the exit status does.
# limit: 200
# The commands are for the shell of cut.py:
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"

export TUNNEL_BIN

running() { [ -e "$tmp/$1.pid" ] && ! is_dead "$1"; }

# fresh DRAIN - relay and agent, unless they run since the last cut.
fresh() {
	if running relay && running pi && [ "$drain" = "$1" ]; then return 0; fi
	for name in relay pi; do
		! running $name || stop $name KILL
	done
	drain=$1
	rm -f "$tmp/creds.json" "$tmp"/*.log
	start_relay relay --drain "$drain"
	start_agent pi --drain "$drain"
	CONNECT_OPTIONS="--relay $relay_url --secret-file $tmp/client.secret"
	RELAY=$(pid_of relay)
	AGENT=$(pid_of pi)
	CREDS=$tmp/creds.json
	LOGS=$tmp
	export CONNECT_OPTIONS RELAY AGENT CREDS LOGS
}

# cut CUT DRAIN CONNECTION... - all of them at once; each says in words of cut.py what it is and what it sees.
cut() {
	cut=$1
	fresh "$2"
	shift 2
	python3 "$here/cut.py" "$tmp" "$cut" "$@" >"$tmp/got" || fail "$cut"
	printf '%s\n' "$@" >"$tmp/expected"
	echo "$cut:"
	cat "$tmp/got"
	diff "$tmp/expected" "$tmp/got" || bad=yes
	case $cut in *RELAY* | *AGENT*) drain=none ;; esac
}

bad='' drain=none
# By the client.
cut 'kill -TERM $CLIENT' 0s \
	"-L down: reset reset 1" "-L half: reset reset 1" "-L up: reset reset 1" "-L half-up: reset reset 1" "-L idle: reset reset 1" \
	"-D down: reset reset 1" "-D half: reset reset 1" "-D up: reset reset 1" "-D half-up: reset reset 1" "-D idle: reset reset 1" \
	"curl down: curl:56 reset 1" "stdio down: end reset 1 told" "stdio half: end reset 1 told" "stdio up: reset reset 1 told" \
	"inetd down: reset reset 1 told"
cut 'kill -INT $CLIENT' 0s "-L down: reset reset 1" "stdio down: end reset 1 told"
cut 'kill -HUP $CLIENT' 0s "-L down: reset reset 1" "stdio down: end reset 1"
cut 'kill -TERM $CLIENT; kill -TERM $CLIENT' 0s "-L down: reset reset 1"
cut 'kill -KILL $CLIENT' 0s "-L idle: reset reset -9" "-L half: reset reset -9" "inetd idle: reset reset -9"

# By the target.
cut target 0s "-L down: reset - on" "-L up: reset - on" "-D half: reset - on" "curl down: curl:56 - on" "stdio down: end - 1 told" \
	"inetd half: reset - 1 told"

# By the relay and by the agent.
for kill in 'kill -KILL $RELAY' 'kill -TERM $RELAY' 'kill -KILL $AGENT' 'kill -TERM $AGENT'; do
	cut "$kill" 0s "-L down: reset reset on" "-L idle: reset reset on" "-D half: reset reset on" "-D half-up: reset reset on" \
		"curl down: curl:56 reset on" "stdio down: end reset 1 told"
done
cut 'echo "{}" >$CREDS; kill -HUP $RELAY' 0s "-L down: reset reset 3" "stdio down: end reset 3 told"
# After the drain, and before its end by a second signal.
cut 'kill -TERM $RELAY' 1s "-L down: reset reset on"
cut 'kill -TERM $AGENT' 1s "-L down: reset reset on"
cut 'kill -TERM $RELAY; until grep -q "shutting down" $LOGS/relay.log; do :; done; kill -TERM $RELAY' 1h "-L down: reset reset on"
cut 'kill -TERM $AGENT; until grep -q "shutting down" $LOGS/pi.log; do :; done; kill -TERM $AGENT' 1h "-L down: reset reset on"
[ -z "$bad" ] || fail "what a program saw is not what happened"
