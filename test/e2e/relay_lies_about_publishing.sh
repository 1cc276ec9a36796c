#!/bin/sh
# SPDX-License-Identifier: ISC
# Relays that refuse to publish, cannot, answer what nobody asked, or ask the agent themselves: the agent says what it got, is ready,
# and goes on.
. "$(dirname "$0")/lib.sh"

secrets
start fake python3 "$here/fake_relay.py" "$tmp/fake.port"
started_file fake "$tmp/fake.port"
at=ws://127.0.0.1:$(cat "$tmp/fake.port")

# at_relay PART SERVICES REFUSED - an agent at that part of the fake relay, and what its ready file has then.
at_relay() {
	relay_url=$at/$1
	start_agent pi --tcp "ssh=22;public=2222" --tcp auto=80
	expect "services at $1" "$2" "$(json "$tmp/pi.ready" '" ".join(s["service"] + "@" + s["public"] for s in d["services"])')"
	expect "refused at $1" "$3" "$(json "$tmp/pi.ready" '" ".join(s["service"] for s in d["refused"])')"
}
# gone - that agent goes on until it is told to end.
gone() {
	stop pi
	expect "exit status of the agent" 0 "$code"
	mv "$tmp/pi.log" "$tmp/pi.$1.log"
}

at_relay publish/yes "ssh@192.0.2.1:2222 auto@192.0.2.1:30001" ""
has_line "$tmp/pi.log" 'published: tcp ssh (127.0.0.1:22) at 192.0.2.1:2222$' || fail "a yes is not told"
gone yes

at_relay publish/no "" "ssh auto"
expect "bytes of the relay's words" 255 "$(json "$tmp/pi.ready" 'len(d["refused"][0]["error"])')"
has_line "$tmp/pi.log" 'not published: tcp ssh (127.0.0.1:22): x*; it is asked for again every 30 s$' || fail "a no is not told"
gone no

at_relay publish/long "" "ssh auto"
has_line "$tmp/pi.log" "the relay's answer makes no sense" || fail "a text that is too long is not told"
gone long

at_relay publish/lies "ssh@192.0.2.1:2222 auto@192.0.2.1:30001" ""
! has_line "$tmp/pi.log" 'answer to nothing' || fail "an answer to nothing was taken"
! has_line "$tmp/pi.log" 'second answer' || fail "a second answer was taken"
gone lies

at_relay publish/asks "ssh@192.0.2.1:2222 auto@192.0.2.1:30001" ""
wait_for "the agent's answer" has_line "$tmp/fake.log" '/publish/asks: CONTROL {"id":77,"ok":false,"error":"an agent knows no such request"}'
gone asks

at_relay good "" "ssh auto"
expect "lines about a relay that cannot publish" 1 "$(grep -c 'this relay cannot publish' "$tmp/pi.log")"
! has_line "$tmp/fake.log" '/good: CONTROL' || fail "who cannot publish was asked"
gone good
