#!/bin/sh
# SPDX-License-Identifier: ISC
# A file that is a directory, or not there, or not ours to read, is wrong configuration: exit status 2, and a message that names it.
# What cannot be written to standard output is a failure: a secret that nobody saw is not lost in silence.
. "$(dirname "$0")/lib.sh"

secrets
mkdir "$tmp/dir"
make_cert tls localhost
for file in "$tmp/dir" "$tmp/nothing" "$tmp/client.secret/below"; do
	while read -r arguments; do
		# shellcheck disable=SC2086
		exit_code "$TUNNEL_BIN" $arguments
		expect "exit status of $arguments" 2 "$code"
		grep -q -F "$file" "$tmp/err.log" || fail "$arguments does not name the file: $(cat "$tmp/err.log")"
	done <<-LIST
		agent --relay ws://127.0.0.1:1 --name pi --secret-file $file
		agent --relay wss://127.0.0.1:1 --name pi --secret-file $tmp/agent.secret --ca $file
		connect --relay ws://127.0.0.1:1 --secret-file $file pi ssh
		connect --config $file pi ssh
		relay --listen 127.0.0.1:0 --credentials $file
		relay --listen 127.0.0.1:0 --tls-cert $file --tls-key $tmp/tls.key
		relay --listen 127.0.0.1:0 --tls-cert $tmp/tls.pem --tls-key $file
	LIST
done

# Of public ports: what is wrong, and what the message says of it.
echo '{"1": 7}' >"$tmp/dir/ports.json"
echo 7 >"$tmp/dir/names.key"
while IFS='|' read -r arguments words; do
	# shellcheck disable=SC2086
	exit_code "$TUNNEL_BIN" relay --listen 127.0.0.1:0 $arguments
	expect "exit status of relay $arguments" 2 "$code"
	grep -q -F -e "$words" "$tmp/err.log" || fail "relay $arguments says: $(cat "$tmp/err.log")"
done <<-LIST
	--ports 0-9|not of the form FIRST-LAST
	--ports 9-8|not of the form FIRST-LAST
	--ports 1-65536|not of the form FIRST-LAST
	--ports many|not of the form FIRST-LAST
	--public localhost --ports 9-9|--public localhost: not an address
	--public 0.0.0.0 --ports 9-9|anybody could publish there
	--public :: --ports 9-9|anybody could publish there
	--proxy-from 10.1.2.3/8 --ports 9-9|--proxy-from 10.1.2.3/8
	--state $tmp/nothing|there is nothing to remember without --ports
	--state $tmp/nothing --ports 9-9|no directory that can be written
	--state $tmp/client.secret --ports 9-9|no directory that can be written
	--state $tmp/dir --ports 9-9|ports.json: not a port and its owner
	--state $tmp/dir --domain t.test|names.key: not 64 hexadecimal digits
	--domain a_b..test|--domain a_b..test: not a host name
	--domain 192.0.2.1|--domain 192.0.2.1: not a host name
	--domain *.t.test|--domain *.t.test: not a host name
	--relay-host -x|--relay-host -x: not a host name
	--public-url t.example.com|--public-url
	--public-url https://t.example.com/path|hosts of their own and no path
LIST
expect "a state that is none of ours" '{"1": 7}' "$(cat "$tmp/dir/ports.json")"

# The file's mistake is told today, not on the day when the variable is no longer set.
echo '{"threads": "many"}' >"$tmp/relay.json"
exit_code env TUNNEL_THREADS=1 "$TUNNEL_BIN" relay --listen 127.0.0.1:0 --config "$tmp/relay.json"
expect "exit status for a value that is overridden" 2 "$code"
has_line "$tmp/err.log" '"threads": "many" is not a number' || fail "it does not say what: $(cat "$tmp/err.log")"

for arguments in 'keygen --secret' keygen --version '--list'; do
	code=0
	# shellcheck disable=SC2086
	"$TUNNEL_BIN" $arguments >&- 2>"$tmp/err.log" || code=$?
	expect "exit status of $arguments without a standard output" 1 "$code"
	has_line "$tmp/err.log" "cannot write to standard output" || fail "$arguments says: $(cat "$tmp/err.log")"
done
