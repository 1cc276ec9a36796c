#!/bin/sh
# SPDX-License-Identifier: ISC
# limit: 300
# The static binary works in all roles in a file system that holds nothing else, as an unprivileged user: the image of .Dockerfile.
. "$(dirname "$0")/lib.sh"

src=$here/../..
# Where the mirror has no source of wslay's library there is no static build, and make says so.
if [ ! -e "$src/build/deps/lib/libwslay.a" ]; then
	exit_code env -u MAKEFLAGS -u MFLAGS make -C "$src" STATIC=1 build/static/tunnel
	[ "$code" != 0 ] || fail "STATIC=1 without a static wslay was built"
	has_line "$tmp/err.log" "STATIC=1 needs .*libwslay.a" || fail "not said what is missing: $(cat "$tmp/err.log")"
	exit 0
fi
env -u MAKEFLAGS -u MFLAGS make -C "$src" STATIC=1 build/static/tunnel >"$tmp/make.log" 2>&1 || fail "make STATIC=1"

# The image's last stage, beside what docker puts into every container.
root=$tmp/root
mkdir -p "$root/etc" "$root/run" "$root/proc"
cp "$src/build/static/tunnel" "$root/tunnel"
printf '127.0.0.1 relay.test db\n' >"$root/etc/hosts"
printf 'nameserver 127.0.0.1\n' >"$root/etc/resolv.conf"
make_cert relay relay.test
secrets
cp "$tmp/relay.pem" "$tmp/relay.key" "$tmp/creds.json" "$tmp/agent.secret" "$tmp/client.secret" "$root/run/"
chmod 755 "$tmp" # for a user of its own; the secrets are of this test only
chmod 644 "$root"/run/*
chmod 1777 "$root/run"
inside() {
	if [ "$(id -u)" = 0 ]; then
		exec chroot --userspec=65534:65534 "$root" /tunnel "$@"
	else
		exec unshare -r chroot "$root" /tunnel "$@"
	fi
}

start relay inside relay --listen 127.0.0.1:0 --tls-cert /run/relay.pem --tls-key /run/relay.key \
	--credentials /run/creds.json --ready-file /run/relay.ready
started_file relay "$root/run/relay.ready"
url=wss://relay.test:$(json "$root/run/relay.ready" 'd["tunnel"][0]["port"]')
start_tcp greet greet hello
start pi inside agent --relay "$url" --ca /run/relay.pem --name pi --secret-file /run/agent.secret \
	--tcp "greet=db:$tcp_port" --ready-file /run/pi.ready
started_file pi "$root/run/pi.ready"
through() { (inside connect --relay "$url" --ca /run/relay.pem --secret-file /run/client.secret "$@" </dev/null); }
expect "a service, by a name of /etc/hosts" hello "$(through pi greet)"
expect "a target, by a name of /etc/hosts" hello "$(through pi db "$tcp_port")"
case $(inside --version) in "tunnel "*"Mbed TLS 3."*) ;; *) fail "no version: $(inside --version)" ;; esac
stop pi
expect "the agent's end" 0 "$code"
stop relay
expect "the relay's end" 0 "$code"
