#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay that writes down every byte it handles learns nothing of what passes end to end but who talks to whom, and one that changes,
# drops, repeats, swaps or cuts bytes, or leads a client to another agent, is noticed: nobody gets a wrong byte, or an end that is none.
# limit: 300
. "$(dirname "$0")/lib.sh"

e2e_files
start_sshd
make_data "$tmp/theirs" 3000000
start_tcp send send "$tmp/theirs"
send_port=$tcp_port
start_tcp hash hash
hash_port=$tcp_port

# fresh HOW [WAY AT] - such a relay and the agents.
fresh() {
	for name in relay pi lab; do
		! [ -e "$tmp/$name.pid" ] || is_dead $name || stop $name KILL
	done
	rm -f "$tmp/tap" "$tmp/relay.log"
	export EVIL_LOG="$tmp/tap" EVIL="$1" EVIL_WAY="${2:-up}" EVIL_AT="${3:-0}"
	TUNNEL_BIN=$TUNNEL_TOOLS/evil_relay TUNNEL_TEST_THREADS=1 start_e2e_relay relay
	start_e2e_agent pi --tcp "ssh-at-home=127.0.0.1:$sshd_port"
	start_e2e_agent lab --tcp "ssh-at-home=127.0.0.1:$sshd_port"
}

# ---- what it learns ----

fresh none
head -c 50000000 /dev/zero | tr '\0' 'p' >"$tmp/plain"
make_data "$tmp/noise" 17108864
cat "$tmp/plain" "$tmp/noise" >"$tmp/in"
expect "64 MiB" "$(sum_of "$tmp/in") 67108864" "$(e2e pi 127.0.0.1 "$hash_port" <"$tmp/in")"
ssh_both_ways "$(e2e_command) pi ssh-at-home" 5000
[ "$(wc -c <"$tmp/tap")" -gt 67108864 ] || fail "the tap has seen too little: $(wc -c <"$tmp/tap") bytes"
# It sees whom they are: the tap works.
grep -q '"protocol":"e2e"' "$tmp/tap" || fail "no OPEN in the tap"
grep -q '"name":"pi"' "$tmp/tap" || fail "no HELLO in the tap"
python3 - "$tmp/tap" "$tmp/noise" "$hash_port" "$(sum_of "$tmp/in")" <<'PYTHON' || fail "it learns too much"
import sys
tap, noise = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
found = [w for w in (b"pppppppp", b"ssh-at-home", b"127.0.0.1\"", b"SSH-2.0", b"\"service\"", b"\"host\"", b"\"port\"", b":" + sys.argv[3].encode(),
                     sys.argv[4].encode(), b"alice") if w in tap]
found += [i for i in range(0, len(noise) - 32, 9973) if noise[i:i + 16] in tap]
sys.exit(f"in the tap: {found[:10]}" if found else 0)
PYTHON
# Without, it learns all of that.
rm -f "$tmp/tap"
stop relay KILL
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": {"key": "$(public_key pi)"}, "lab": {"key": "$(public_key lab)"}},
 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "targets": ["*", "*:*"], "e2e": true}}}
JSON
fresh none
connect_by_key alice pi 127.0.0.1 "$hash_port" <"$tmp/plain" >/dev/null
grep -q pppppppp "$tmp/tap" || fail "the tap does not see what passes"

# ---- what it changes ----

# told WORDS - the client has ended badly, and says why.
told() {
	expect "$EVIL $EVIL_WAY $EVIL_AT: exit status" "$2" "$code"
	has_line "$tmp/err.log" "$1" || fail "$EVIL $EVIL_WAY $EVIL_AT does not say \"$1\": $(cat "$tmp/err.log")"
}
# is_part FILE WHOLE - the file is a part of the whole, from its start.
is_part() {
	head -c "$(wc -c <"$1")" "$2" | cmp -s - "$1" || fail "$EVIL $EVIL_WAY $EVIL_AT: wrong bytes have arrived"
	[ "$(wc -c <"$1")" -lt "$(wc -c <"$2")" ] || fail "$EVIL $EVIL_WAY $EVIL_AT: all has arrived"
}
changed() {
	case $1 in
	flip | repeat | swap) echo "changed on its way\|malformed" ;;
	drop) echo "changed on its way\|malformed" ;;
	truncate) echo "without close_notify" ;;
	esac
}
# In the handshake, in the first flight behind it, and amid much: downwards the client notices ...
for how in flip drop repeat swap truncate; do
	for at in 100 900 1500000; do
		fresh $how down $at
		exit_code e2e pi 127.0.0.1 "$send_port" </dev/null
		[ "$code" != 0 ] || fail "$how down $at: all is well"
		is_part "$tmp/out" "$tmp/theirs"
		[ $at != 1500000 ] || told "$(changed $how)" 1
	done
done
# ... and upwards the agent, and its target gets no end of file.
for how in flip drop repeat swap truncate; do
	for at in 100 900 1500000; do
		fresh $how up $at
		rm -f "$tmp/hash.port.got"
		exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
		[ "$code" != 0 ] || fail "$how up $at: all is well"
		expect "$how up $at: an answer to what was cut" "" "$(cat "$tmp/out")"
		[ $at != 1500000 ] || has_line "$tmp/pi.log" "$(changed $how)" || fail "$how up $at: the agent does not tell"
	done
done

# What was said in another session says nothing in this one.
fresh again up
expect "the first session" "$(sum_of "$tmp/theirs") 3000000" "$(e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs")"
exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
[ "$code" != 0 ] || fail "a repeated session is taken for a new one"
expect "what it answers" "" "$(cat "$tmp/out")"

# Another agent has another key; and one with the same key has another name.
fresh lead
exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
told "$(public_key lab)" 3
cp "$tmp/pi.key" "$tmp/lab.key"
sed "s/$(public_key lab)/$(public_key pi)/" "$tmp/creds.json" >"$tmp/creds.new"
mv "$tmp/creds.new" "$tmp/creds.json"
fresh lead
exit_code e2e pi 127.0.0.1 "$hash_port" <"$tmp/theirs"
told "this is agent lab" 3
