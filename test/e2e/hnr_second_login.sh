#!/bin/sh
# SPDX-License-Identifier: ISC
# A second unmodified edge-agent of a name: while the first one answers it is refused, and the first one keeps its streams; one that is frozen is
# replaced after 3 s.  An agent of ours takes the name at once, and is not replaced by one that asks.
# limit: 120
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

refusals() { grep -c 'agent pi from .* refused: another agent is connected' "$tmp/relay.log" || true; }
one_refusal_more() { [ "$(refusals)" -gt "$refused" ]; }
replaced() { grep -c 'agent pi: replaced' "$tmp/relay.log" || true; }
one_replaced_more() { [ "$(replaced)" -gt "$gone" ]; }
# a_second NAME - an edge-agent of the name pi that tries once.
a_second() {
	start "$1" "$python" "$hnr/edge_agent.py" --relay-url "$relay_url$agents_path" --name pi --secret "$agent_secret" --once
}

mkfifo "$tmp/open"
exec 3<>"$tmp/open" # standard input that does not end
# carries - a client reaches the target through pi; as nobody tells the end, it is stopped.
carries() {
	start client sh -c "exec $(client_of theirs) pi 127.0.0.1 $tcp_port tcp <'$tmp/open' >'$tmp/client.out'"
	echo "hello $1" >"$tmp/open"
	wait_for "an answer through pi ($1)" has_line "$tmp/client.out" "hello $1"
	stop client
}

start_relay relay
start_tcp echo echo
start_agent_of theirs pi

# The first one answers.
refused=0
a_second second
wait_for "the second one to be refused" one_refusal_more
wait_for "its end" is_dead second
has_line "$tmp/second.log" "closed: code 1000, reason ''" || fail "it was told otherwise: $(cat "$tmp/second.log")"
expect "replaced so far" 0 "$(replaced)"
carries "of the first"

# The wrong secret asks nobody.
start wrong "$python" "$hnr/edge_agent.py" --relay-url "$relay_url$agents_path" --name pi --secret wrong --once
wait_for "its end" is_dead wrong
has_line "$tmp/relay.log" 'agent pi from .* refused: wrong name or secret' || fail "the wrong secret is refused otherwise"
expect "refused because of the first one" 1 "$(refusals)"

# The first one is frozen, as behind a link that is gone.
kill -STOP "$(pid_of pi)"
gone=0
before=$(sessions_of pi)
a_second third
wait_for "the frozen one to be replaced" one_replaced_more
wait_for "the third to be let in" one_more pi
carries "of the third"
# It wakes up, is told that it was replaced, and asks in vain.
refused=$(refusals)
kill -CONT "$(pid_of pi)"
wait_for "the first one to be refused" one_refusal_more
expect "replaced so far" 1 "$(replaced)"

# An agent of ours says who it is, and yields: it needs not ask.
stop pi
gone=$(replaced)
start_agent_of native pi
expect "replaced by ours" $((gone + 1)) "$(replaced)"
refused=$(refusals)
a_second fourth
wait_for "an unmodified one to be refused" one_refusal_more
expect "replaced in the end" $((gone + 1)) "$(replaced)"
