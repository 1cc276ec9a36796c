#!/bin/sh
# SPDX-License-Identifier: ISC
# Each flag, default and environment variable of --help is in the command's manual page, and each flag of the page is in --help.
set -eu
: "${TUNNEL_BIN:?names the program to test}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
man=$(cd "$(dirname "$0")/../../man" && pwd)
rc=0

# defaults HELP PAGE - those of the first that the second does not say.
defaults() {
	python3 - "$1" "$2" <<'PYTHON'
import re, sys
page = open(sys.argv[2]).read()
flags = re.findall(r"^  (?:-.,|   ) --([a-z0-9-]+)(.*?)(?=^  (?:-.,|   ) --|\Z)", open(sys.argv[1]).read(), re.M | re.S)
for flag, text in flags:
    default = re.search(r"\(default ([^)]*)\)", re.sub(r"\s+", " ", text))
    item = re.search(r"^\.It Fl (?:. , Fl )?-%s\b.*?(?=^\.It|^\.El)" % flag, page, re.M | re.S)
    if default and item and not re.search(r"\b%s\b" % re.escape(default[1]), item[0].split("\n", 1)[1]):
        print("%s: --%s does not have the default %s" % (sys.argv[2], flag, default[1]))
PYTHON
}

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
	done >"$dir/more"
	defaults "$dir/help" "$page" >"$dir/defaults"
	cat "$dir/more" "$dir/defaults" >>"$dir/missing"
	if [ -s "$dir/missing" ]; then
		cat "$dir/missing"
		rc=1
	fi
done
exit $rc
