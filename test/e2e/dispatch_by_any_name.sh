#!/bin/sh
# SPDX-License-Identifier: ISC
# A command runs by its name as an argument, and by links; --install makes them; what is unknown is told with the nearest.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() {
	echo "$*" >&2
	exit 1
}

code() {
	expected=$1
	shift
	rc=0
	"$@" >out 2>err </dev/null || rc=$?
	[ $rc = "$expected" ] || fail "exit status $rc, not $expected: $*: $(cat err)"
}

[ "$("$TUNNEL_BIN" --list | tr '\n' ' ')" = "relay agent connect keygen " ] || fail "--list"
for name in $("$TUNNEL_BIN" --list); do
	code 0 "$TUNNEL_BIN" "$name" --help
	grep -q "^usage: tunnel $name" out || fail "$name --help: $(head -n 1 out)"
	cp out "$name.help"
	awk 'length > 80 { exit 1 }' out || fail "$name --help is wider than 80 columns"
done

mkdir bin plain
code 0 "$TUNNEL_BIN" --install bin
[ "$(find bin -type l | wc -l)" = 4 ] || fail "--install made $(find bin -type l)"
code 0 "$TUNNEL_BIN" --install bin # again: they are there already
for name in $("$TUNNEL_BIN" --list); do
	ln -s "$TUNNEL_BIN" "plain/$name"
	for link in "bin/tunnel-$name" "plain/$name"; do
		code 0 "$link" --help
		cmp -s out "$name.help" || fail "$link is another command"
	done
done
rm bin/tunnel-agent
echo foreign >bin/tunnel-agent
code 1 "$TUNNEL_BIN" --install bin
grep -q 'bin/tunnel-agent exists' err || fail "says: $(cat err)"
[ "$(cat bin/tunnel-agent)" = foreign ] || fail "a foreign file was overwritten"
code 1 "$TUNNEL_BIN" --install nowhere
code 2 "$TUNNEL_BIN" --install

code 0 "$TUNNEL_BIN" --help
code 0 "$TUNNEL_BIN" -h
code 0 "$TUNNEL_BIN" --version
for what in '^tunnel 0\.1\.0' '^libevent 2\.1' '^c-ares 1\.' '^wslay 1\.' '^Mbed TLS 3\.6' '^jansson 2\.' '^llhttp [0-9]' '^AES-GCM by '; do
	grep -q "$what" out || fail "--version has no line $what"
done

code 2 "$TUNNEL_BIN"
code 2 "$TUNNEL_BIN" rely
grep -q 'did you mean "relay"' err || fail "says: $(cat err)"
code 2 "$TUNNEL_BIN" zebra
grep -q 'tunnel --help' err || fail "says: $(cat err)"
code 2 "$TUNNEL_BIN" --versoin
grep -q 'did you mean "--version"' err || fail "says: $(cat err)"

# A full device is not success, and closed descriptors are no trap.
rc=0
"$TUNNEL_BIN" --help >/dev/full 2>err || rc=$?
[ $rc = 1 ] || fail "--help into a full device: exit status $rc"
"$TUNNEL_BIN" --list >out <&- 2>&- || fail "closed descriptors"
[ "$(wc -l <out)" = 4 ] || fail "--list with closed descriptors"
