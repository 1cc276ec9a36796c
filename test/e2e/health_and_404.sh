#!/bin/sh
# SPDX-License-Identifier: ISC
# GET /health answers 200; whatever is no tunnel endpoint gets a plain 404 that gives nothing away; garbage gets an error.
. "$(dirname "$0")/lib.sh"

start_relay relay
status() { curl -s --max-time 10 -D "$tmp/head" -o "$tmp/body" -w '%{http_code}' "$@"; }
at=http://127.0.0.1:$relay_port
expect "/health" 200 "$(status "$at/health")"
for path in /health /x; do
	printf 'HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n' "$path" | socat -t 5 - "TCP:127.0.0.1:$relay_port" | tr -d '\r' >"$tmp/raw"
	expect "the last line of the answer to HEAD $path" "" "$(tail -n 1 "$tmp/raw")"
done
expect "HEAD /health" 200 "$(status -I "$at/health")"
for path in /x /admin /.git/config "/health/../x" "/%2e%2e/x" "/tunnelx"; do
	expect "$path" 404 "$(status --path-as-is "$at$path")"
	! grep -i -q -e tunnel -e relay -e agent -e websocket "$tmp/head" "$tmp/body" || fail "$path gives something away: $(cat "$tmp/head" "$tmp/body")"
done
expect "POST" 404 "$(status -d data "$at/x")"

raw() { printf '%b' "$1" | timeout 10 socat -t 5 - "TCP:127.0.0.1:$relay_port" 2>/dev/null | head -n 1 | tr -d '\r'; }
for bad in 'GARBAGE\r\n\r\n' 'GET / HTTP/1.1\r\n\r\n' 'GET / HTTP/9.9\r\nHost: a\r\n\r\n' \
	'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' 'GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'; do
	case $(raw "$bad") in
	"HTTP/1.1 4"* | "HTTP/1.1 505"* | "HTTP/1.1 501"*) ;;
	*) fail "answer to $bad: $(raw "$bad")" ;;
	esac
done
big=$(head -c 20000 /dev/zero | tr '\0' a)
case $(status -H "X-Big: $big" "$at/health") in
431 | 400 | 000) ;;
*) fail "a head of 20000 bytes was taken" ;;
esac
expect "/health after all that" 200 "$(status "$at/health")"

# A path that nobody can ask for is a mistake, not an endpoint.
exit_code "$TUNNEL_BIN" relay --insecure --listen 127.0.0.1:0 --path tunnel
expect "exit status with --path tunnel" 2 "$code"
has_line "$tmp/err.log" "--path tunnel: a path begins with a slash" || fail "$(cat "$tmp/err.log")"
