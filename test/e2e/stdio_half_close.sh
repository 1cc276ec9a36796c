#!/bin/sh
# SPDX-License-Identifier: ISC
# `tunnel connect AGENT HOST PORT < in > out` loses no byte either way and ends each direction by itself.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent pi

start_tcp hash hash
for n in $SIZES; do
	make_data "$tmp/in" "$n"
	connect pi 127.0.0.1 "$tcp_port" <"$tmp/in" >"$tmp/out" || fail "exit status $? with $n bytes"
	expect "$n bytes, answered after the half-close" "$(sum_of "$tmp/in") $n" "$(cat "$tmp/out")"
done

# The other side ends its direction first; what we send after that still arrives.
for n in $SIZES; do
	make_data "$tmp/theirs" "$n"
	make_data "$tmp/ours" "$n"
	start_tcp "send$n" send "$tmp/theirs"
	connect pi 127.0.0.1 "$tcp_port" tcp <"$tmp/ours" >"$tmp/out" || fail "exit status $? with $n bytes"
	same_files "$tmp/theirs" "$tmp/out"
	wait_for "the service to read all" exists "$tmp/send$n.port.got"
	expect "$n bytes sent" "$(sum_of "$tmp/ours") $n" "$(cat "$tmp/send$n.port.got")"
done

# Both directions at once.
make_data "$tmp/theirs" 30000000
make_data "$tmp/ours" 30000000
start_tcp swap swap "$tmp/theirs"
connect pi 127.0.0.1 "$tcp_port" tcp <"$tmp/ours" >"$tmp/out" || fail "exit status $?"
same_files "$tmp/theirs" "$tmp/out"
wait_for "the service to read all" exists "$tmp/swap.port.got"
expect "both at once" "$(sum_of "$tmp/ours") 30000000" "$(cat "$tmp/swap.port.got")"
