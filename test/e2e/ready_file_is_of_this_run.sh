#!/bin/sh
# SPDX-License-Identifier: ISC
# The file of --ready-file is there while the program is ready: not before, not afterwards; nobody else's file is removed.
. "$(dirname "$0")/lib.sh"

secrets
# A port that is taken: the relay never becomes ready, and what an earlier run had left is gone all the same.
start_tcp echo echo
echo old >"$tmp/late.ready"
exit_code "$TUNNEL_BIN" relay --listen "127.0.0.1:$tcp_port" --insecure --ready-file "$tmp/late.ready"
[ "$code" != 0 ] || fail "two programs listen on one port"
! exists "$tmp/late.ready" || fail "the file of an earlier run was left"

# The first one's stays while it runs, whatever a second start with the same file does; killed, it is in nobody's way.
start_relay first
exit_code "$TUNNEL_BIN" relay --listen "127.0.0.1:$tcp_port" --insecure --ready-file "$tmp/first.ready"
has_line "$tmp/err.log" "another program's" || fail "the second does not say whose file it is: $(cat "$tmp/err.log")"
expect "whose file it is" "$(pid_of first)" "$(json "$tmp/first.ready" 'd["pid"]')"
stop first KILL
exit_code "$TUNNEL_BIN" relay --listen "127.0.0.1:$tcp_port" --insecure --ready-file "$tmp/first.ready"
! exists "$tmp/first.ready" || fail "the file of one that was killed was left"

start_relay relay
start_agent pi
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
for name in forward pi relay; do
	exists "$tmp/$name.ready" || fail "no file of $name"
	expect "lines in the file of $name" 1 "$(wc -l <"$tmp/$name.ready")"
	stop $name
	! exists "$tmp/$name.ready" || fail "the file of $name was left"
done

# A successor's is left alone, and so is what is no plain file.
start_relay relay
echo new >"$tmp/relay.ready.new"
mv "$tmp/relay.ready.new" "$tmp/relay.ready"
stop relay
expect "the successor's file" new "$(cat "$tmp/relay.ready")"
ln -s "$tmp/elsewhere" "$tmp/link.ready"
echo text >"$tmp/elsewhere"
exit_code "$TUNNEL_BIN" relay --listen "127.0.0.1:$tcp_port" --insecure --ready-file "$tmp/link.ready"
expect "what a link leads to" text "$(cat "$tmp/elsewhere")"

# One that cannot be written ends the program: whoever waits for it would wait for ever.
start_relay relay
no=$tmp/no/such/dir/ready
for command in "relay --listen 127.0.0.1:0" "agent --relay $relay_url --name pi --secret-file $tmp/agent.secret" \
	"connect --relay $relay_url --secret-file $tmp/client.secret -D 0=pi"; do
	# shellcheck disable=SC2086
	exit_code timeout 20 "$TUNNEL_BIN" $command --ready-file "$no"
	expect "exit status of $command" 1 "$code"
	has_line "$tmp/err.log" "$no" || fail "$command does not name the file"
done
