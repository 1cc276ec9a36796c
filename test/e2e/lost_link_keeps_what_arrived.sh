#!/bin/sh
# SPDX-License-Identifier: ISC
# The relay is killed while standard output is slow: what had arrived by then is written all the same, and the exit status is 1.
. "$(dirname "$0")/lib.sh"

bytes=150000 # more than a pipe holds, less than a pipe and a stream's first window
make_data "$tmp/theirs" $bytes
start_tcp send send "$tmp/theirs"
start_relay relay
start_agent pi
mkfifo "$tmp/in" "$tmp/out"
start client sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in" 4<"$tmp/out"
has_read() { [ "$(awk '/^rchar:/ { print $2 }' "/proc/$(pid_of client)/io")" -ge $bytes ]; }
wait_for "everything to have arrived" has_read
stop relay KILL
wait_for "the client to say so" has_line "$tmp/client.log" "."
cat <&4 >"$tmp/got"
same_files "$tmp/theirs" "$tmp/got"
code=0
wait "$(pid_of client)" || code=$?
expect "exit status" 1 "$code"
