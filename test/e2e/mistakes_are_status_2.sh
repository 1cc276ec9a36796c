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
