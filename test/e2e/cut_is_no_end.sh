#!/bin/sh
# SPDX-License-Identifier: ISC
# A connection that is cut is a reset to the programs at both ends, whoever cuts it and how, and never an end in good order: a local
# program must not take half a file for a whole one. Where a pipe cannot say so, the exit status does.
# limit: 400
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

# cut WAY TRAFFIC EXPECTED COMMAND [DRAIN]
cut() {
	fresh "${5:-0s}"
	rm -f "$tmp/client.ready" "$tmp/client.log"
	got=$(python3 "$here/cut.py" "$tmp" "$1" "$2" "$4") || fail "$1 $2: $4"
	echo "$1 $2: $4: $got"
	[ "$got" = "$3" ] || {
		echo "    expected: $3"
		bad=yes
	}
	# Whoever has no reset to see is told.
	case $1:$4 in
	*HUP* | *'KILL $CLIENT'*) ;;
	stdio:* | inetd:*) [ -s "$tmp/client.log" ] || fail "no message" ;;
	esac
	case $4 in *RELAY* | *AGENT*) drain=none ;; esac
}

bad='' drain=none
# By the client.
for way in -L -D; do
	for traffic in down half up half-up idle; do
		cut $way $traffic "reset reset 1" 'kill -TERM $CLIENT'
	done
done
for kill in 'kill -INT $CLIENT' 'kill -HUP $CLIENT' 'kill -TERM $CLIENT; kill -TERM $CLIENT'; do
	cut -L down "reset reset 1" "$kill"
done
cut -L idle "reset reset -9" 'kill -KILL $CLIENT'
cut -L half "reset reset -9" 'kill -KILL $CLIENT'
cut curl down "curl:56 reset 1" 'kill -TERM $CLIENT'
for kill in TERM INT HUP; do
	cut stdio down "end reset 1" "kill -$kill \$CLIENT"
done
cut stdio half "end reset 1" 'kill -TERM $CLIENT'
cut stdio up "reset reset 1" 'kill -TERM $CLIENT'
cut inetd down "reset reset 1" 'kill -TERM $CLIENT'
cut inetd idle "reset reset -9" 'kill -KILL $CLIENT'

# By the target.
cut -L down "reset - on" target
cut -L up "reset - on" target
cut -D half "reset - on" target
cut curl down "curl:56 - on" target
cut stdio down "end - 1" target
cut inetd half "reset - 1" target

# By the relay and by the agent.
for kill in 'kill -KILL $RELAY' 'kill -TERM $RELAY' 'kill -KILL $AGENT' 'kill -TERM $AGENT'; do
	cut -L down "reset reset on" "$kill"
	cut -L idle "reset reset on" "$kill"
	cut stdio down "end reset 1" "$kill"
done
for way in -L stdio; do
	[ $way = stdio ] && saw=end || saw=reset
	cut $way down "$saw reset 3" 'echo "{}" >$CREDS; kill -HUP $RELAY'
done
cut -D half-up "reset reset on" 'kill -KILL $RELAY'
cut -D half "reset reset on" 'kill -KILL $AGENT'
cut curl down "curl:56 reset on" 'kill -KILL $RELAY'
# After the drain, and before its end by a second signal.
cut -L down "reset reset on" 'kill -TERM $RELAY' 1s
cut -L down "reset reset on" 'kill -TERM $AGENT' 1s
cut -L down "reset reset on" 'kill -TERM $RELAY; until grep -q "shutting down" $LOGS/relay.log; do :; done; kill -TERM $RELAY' 1h
cut -L down "reset reset on" 'kill -TERM $AGENT; until grep -q "shutting down" $LOGS/pi.log; do :; done; kill -TERM $AGENT' 1h
[ -z "$bad" ] || fail "what a program saw is not what happened"
