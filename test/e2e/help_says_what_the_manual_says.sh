#!/bin/sh
# SPDX-License-Identifier: ISC
# Each flag and environment variable of --help is in the command's manual page, and each flag of the page is in --help.
set -eu
: "${TUNNEL_BIN:?names the program to test}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
man=$(cd "$(dirname "$0")/../../man" && pwd)
rc=0

for name in $("$TUNNEL_BIN" --list); do
	page=$man/tunnel-$name.1
	"$TUNNEL_BIN" "$name" --help >"$dir/help"
	sed -nE 's/^  (-[A-Za-z],|   ) --([a-z0-9-]+).*/\2/p' "$dir/help" | sort -u >"$dir/in-help"
	sed -nE 's/^\.It Fl (. , Fl )?-([a-z0-9-]+).*/\2/p' "$page" | sort -u >"$dir/in-page"
	[ -s "$dir/in-help" ] || {
		echo "$name: no flags in --help"
		rc=1
	}
	comm -23 "$dir/in-help" "$dir/in-page" | sed "s/^/tunnel-$name.1 lacks --/" >"$dir/missing"
	comm -13 "$dir/in-help" "$dir/in-page" | sed "s/^/$name --help lacks what the page has: --/" >>"$dir/missing"
	grep -oE '\[[A-Z][A-Z_0-9]+\]' "$dir/help" | tr -d '[]' | sort -u | while read -r variable; do
		grep -qw "$variable" "$page" || echo "tunnel-$name.1 lacks $variable"
	done >>"$dir/missing"
	if [ -s "$dir/missing" ]; then
		cat "$dir/missing"
		rc=1
	fi
done
exit $rc
