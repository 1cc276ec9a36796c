#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay that writes down every byte it handles learns nothing of what passes end to end but who talks to whom, and one that changes,
# drops, repeats, swaps or cuts bytes, or leads a client to another agent, is noticed: nobody gets a wrong byte, or an end that is none.
. "$(dirname "$0")/lib.sh"

e2e_files
start_sshd
make_data "$tmp/theirs" 3000000
start_tcp send send "$tmp/theirs"
send_port=$tcp_port
start_tcp hash hash
hash_port=$tcp_port

# fresh DEED AGENT... - such a relay and the agents.
fresh() {
	for name in relay pi lab; do
		! [ -e "$tmp/$name.pid" ] || is_dead $name || stop $name KILL
	done
	rm -f "$tmp/tap" "$tmp/relay.log"
	export EVIL_LOG="$tmp/tap" EVIL="$1" EVIL_NEXT="$tmp/next"
	shift
	TUNNEL_BIN=$TUNNEL_TOOLS/evil_relay TUNNEL_TEST_THREADS=1 start_e2e_relay relay
	for agent; do start_e2e_agent "$agent" --tcp "ssh-at-home=127.0.0.1:$sshd_port"; done
}

# ---- what it learns ----

fresh none pi
head -c 50000000 /dev/zero | tr '\0' 'p' >"$tmp/plain"
make_data "$tmp/noise" 17108864
cat "$tmp/plain" "$tmp/noise" >"$tmp/in"
expect "64 MiB" "$(sum_of "$tmp/in") 67108864" "$(e2e pi 127.0.0.1 "$hash_port" <"$tmp/in")"
ssh_both_ways "$(e2e_command) pi ssh-at-home" 5000
[ "$(wc -c <"$tmp/tap")" -gt 67108864 ] || fail "the tap has seen too little: $(wc -c <"$tmp/tap") bytes"
# It sees whom they are: the tap works.
grep -q '"protocol":"e2e"' "$tmp/tap" || fail "no OPEN in the tap"
grep -q '"name":"pi"' "$tmp/tap" || fail "no HELLO in the tap"
# One pass of grep over the tap: words, and pieces of the noise, which are none of a line.
python3 - "$tmp/noise" <<'PYTHON' >"$tmp/pieces"
import sys
noise = open(sys.argv[1], "rb").read()
pieces = [noise[i:i + 16] for i in range(0, len(noise) - 32, 9973)]
sys.stdout.buffer.write(b"\n".join(p for p in pieces if b"\n" not in p and b"\0" not in p))
PYTHON
cat >"$tmp/words" <<WORDS
pppppppp
ssh-at-home
127.0.0.1"
SSH-2.0
"service"
"host"
"port"
:$hash_port
$(sum_of "$tmp/in")
alice
WORDS
# learns WHAT FILE
learns() { LC_ALL=C grep -aqFf "$tmp/$1" "$2"; }
learns pieces "$tmp/noise" || fail "the pieces are not those of the noise"
! learns pieces "$tmp/tap" || fail "pieces of what passed are in the tap"
! learns words "$tmp/tap" || fail "in the tap: $(LC_ALL=C grep -aoFf "$tmp/words" "$tmp/tap" | head)"
# Without, it learns all of that.
rm -f "$tmp/tap"
stop relay KILL
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": {"key": "$(public_key pi)"}, "lab": {"key": "$(public_key lab)"}},
 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "targets": ["*", "*:*"], "e2e": true}}}
JSON
fresh none pi
connect_by_key alice pi 127.0.0.1 "$hash_port" <"$tmp/plain" >/dev/null
grep -q pppppppp "$tmp/tap" || fail "the tap does not see what passes"

# ---- what it changes ----

# told WORDS STATUS - the client has ended so, and says why.
told() {
	expect "$EVIL: exit status" "$2" "$code"
	has_line "$tmp/err.log" "$1" || fail "$EVIL does not say \"$1\": $(cat "$tmp/err.log")"
}
# changed HOW - the words of those who notice it.
changed() {
	case $1 in
	truncate) echo "without close_notify" ;;
	*) echo "changed on its way\|malformed" ;;
	esac
}

# In the handshake, in the first flight behind it, and amid much. Each has a client of its own, by whose name the agent tells of it.
deeds=
for how in flip drop repeat swap truncate; do
	for at in 100 900 1500000; do deeds="$deeds $how-down-$at $how-up-$at"; done
done
# shellcheck disable=SC2086
make_key $deeds
# entries_of MEMBERS - of all these clients.
entries_of() {
	for deed in $deeds; do printf '"%s": {"key": "%s", %s}, ' "$deed" "$(public_key "$deed")" "$1"; done | sed 's/, $//'
}
printf '{"edge-agents": {"pi": {"key": "%s"}}, "clients": {%s}}' "$(public_key pi)" "$(entries_of '"agents": ["*"], "e2e": true')" \
	>"$tmp/creds.json"
cp "$tmp/clients.json" "$tmp/clients.good"
printf '{"clients": {%s}}' "$(entries_of '"targets": ["127.0.0.0/8:*"]')" >"$tmp/clients.json"

# begin DEED
begin() {
	echo "$1" | tr - ' ' >"$tmp/next.new"
	mv "$tmp/next.new" "$tmp/next"
	case $1 in
	*-down-*) from=/dev/null to=$send_port ;;
	*) from=$tmp/theirs to=$hash_port ;;
	esac
	start "$1" sh -c "exec '$TUNNEL_BIN' connect --relay '$relay_url' --key-file '$tmp/$1.key' --relay-key $(public_key relay) \
		--e2e --known-agents '$tmp/known' pi 127.0.0.1 $to <'$from' >'$tmp/$1.out'"
	is_told() { ! [ -e "$tmp/next" ]; }
	wait_for "the relay to know of $1" is_told
}
# is_noticed DEED
is_noticed() {
	how=${1%%-*}
	wait_for "the end of $1" is_dead "$1"
	stop "$1"
	[ "$code" = 1 ] || [ "$code" = 3 ] || fail "$1: exit status $code"
	case $1 in
	# By the client, which has a part of the whole, from its start ...
	*-down-*)
		head -c "$(wc -c <"$tmp/$1.out")" "$tmp/theirs" | cmp -s - "$tmp/$1.out" || fail "$1: wrong bytes have arrived"
		[ "$(wc -c <"$tmp/$1.out")" -lt 3000000 ] || fail "$1: all has arrived"
		;;
	# ... or by the agent, whose target gets no end of file.
	*) expect "$1: an answer to what was cut" "" "$(cat "$tmp/$1.out")" ;;
	esac
	case $1 in
	*-down-1500000)
		expect "$1: exit status" 1 "$code"
		has_line "$tmp/$1.log" "$(changed "$how")" || fail "$1: $(cat "$tmp/$1.log")"
		;;
	*-up-1500000) has_line "$tmp/pi.log" "client $1 from .*\($(changed "$how")\)" || fail "$1: the agent does not tell" ;;
	esac
}
# Who misses bytes of a handshake waits for them: so these at once. The others leave a session with the relay in disorder.
fresh none pi
together=
for deed in $deeds; do
	case $deed in
	repeat-* | truncate-*) ;;
	*) begin "$deed" && together="$together $deed" ;;
	esac
done
for deed in $together; do is_noticed "$deed"; done
for deed in $deeds; do
	case $deed in
	repeat-* | truncate-*) fresh none pi && begin "$deed" && is_noticed "$deed" ;;
	esac
done
printf '{"edge-agents": {"pi": {"key": "%s"}, "lab": {"key": "%s"}}, "clients": {"alice": {"key": "%s", "agents": ["*"], "e2e": true}}}' \
	"$(public_key pi)" "$(public_key lab)" "$(public_key alice)" >"$tmp/creds.json"
mv "$tmp/clients.good" "$tmp/clients.json"

# What was said in another session says nothing in this one.
fresh "again up 0" pi
expect "the first session" "$(sum_of "$tmp/theirs") 3000000" "$(e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs")"
exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
[ "$code" != 0 ] || fail "a repeated session is taken for a new one"
expect "what it answers" "" "$(cat "$tmp/out")"

# Another agent has another key; and one with the same key has another name.
fresh lead pi lab
exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
told "$(public_key lab)" 3
cp "$tmp/pi.key" "$tmp/lab.key"
sed "s/$(public_key lab)/$(public_key pi)/" "$tmp/creds.json" >"$tmp/creds.new"
mv "$tmp/creds.new" "$tmp/creds.json"
fresh lead pi lab
exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
told "this is agent lab" 3
