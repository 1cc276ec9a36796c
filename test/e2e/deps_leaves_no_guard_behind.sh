#!/bin/sh
# SPDX-License-Identifier: ISC
#
# While make deps installs packages a policy-rc.d keeps their services from starting.  It goes away again when the run is
# interrupted, and one that was left behind goes away with the next run; somebody else's stays.
. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/bin" "$tmp/tree/lib/tls" "$tmp/tree/.ci"
cp "$here/../../.ci/deps" "$tmp/tree/.ci/"
: >"$tmp/tree/lib/tls/mbedtls_config.h"
printf '#!/bin/sh\necho 0\n' >"$tmp/bin/id"
printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/dpkg-query"
printf '#!/bin/sh\necho "  Candidate: 1"\n' >"$tmp/bin/apt-cache"
cat >"$tmp/bin/apt-get" <<APT
#!/bin/sh
[ "\$1" = install ] || exit 0
echo \$\$ >"$tmp/install.new"
mv "$tmp/install.new" "$tmp/install"
exec tail -f /dev/null
APT
chmod +x "$tmp"/bin/*

# interrupted SIGNAL - a run that is ended by it while it installs.
interrupted() {
	rm -f "$tmp/install"
	start deps env -C "$tmp/tree" PATH="$tmp/bin:$PATH" DEPS=build DEPS_GUARD="$tmp/policy-rc.d" sh .ci/deps
	wait_for "the packages to be installed" exists "$tmp/install"
	[ -e "$tmp/policy-rc.d" ] || fail "there is no guard while packages are installed"
	kill -"$1" "$(pid_of deps)"
	kill "$(cat "$tmp/install")"
	code=0
	wait "$(pid_of deps)" || code=$?
	[ "$code" != 0 ] || fail "the status of a run that was ended by $1 is 0"
}

for signal in TERM HUP; do
	interrupted "$signal"
	[ ! -e "$tmp/policy-rc.d" ] || fail "the guard stays behind after $signal"
done

rm -f "$tmp/install"
start deps env -C "$tmp/tree" PATH="$tmp/bin:$PATH" DEPS=build DEPS_GUARD="$tmp/policy-rc.d" sh .ci/deps
wait_for "the packages to be installed" exists "$tmp/install"
kill -KILL "$(pid_of deps)"
kill "$(cat "$tmp/install")"
wait "$(pid_of deps)" || true
[ -e "$tmp/policy-rc.d" ] || fail "nobody can have removed the guard"
interrupted TERM
[ ! -e "$tmp/policy-rc.d" ] || fail "the guard that an earlier run left behind stays"

printf '#!/bin/sh\nexit 101\n' >"$tmp/policy-rc.d"
interrupted TERM
[ -e "$tmp/policy-rc.d" ] || fail "somebody else's guard was removed"
