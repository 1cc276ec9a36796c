#!/bin/sh
# SPDX-License-Identifier: ISC
# Malformed and ambiguous requests and answers, as raw bytes, whole, split and byte by byte: each has the outcome that the RFCs
# give it, nothing of it reaches the service as a second request, and others get their own answers (request_smuggling.py).
# limit: 300
. "$(dirname "$0")/lib.sh"

start raw python3 "$here/request_smuggling.py" "$tmp/services" "$tmp/port"
started_file raw "$tmp/services"
start_relay relay --http 127.0.0.1:0 --domain t.test
start_agent pi --http "$(json "$tmp/services" 'd["plain"]')"
start_agent lab --http "$(json "$tmp/services" 'd["hostile"]')"
json "$tmp/relay.ready" 'd["http"][0]["port"]' >"$tmp/port.new"
mv "$tmp/port.new" "$tmp/port"
wait "$(pid_of raw)" || fail "see raw.log"
tail -n 1 "$tmp/raw.log"
