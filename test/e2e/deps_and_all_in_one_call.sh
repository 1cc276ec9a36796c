#!/bin/sh
# SPDX-License-Identifier: ISC
#
# On a tree without build/deps one "make deps all" is enough, static or not, and with several jobs: what the libraries are is found
# out after deps has put them there.
. "$(dirname "$0")/lib.sh"

# A tree of the smallest sources, with a deps that makes libraries of nothing: only the Makefile is under test.
tree() {
	rm -rf "$tmp/tree"
	mkdir -p "$tmp/tree/cmd" "$tmp/tree/lib/base" "$tmp/tree/.ci"
	cp "$here/../../Makefile" "$tmp/tree/"
	printf 'int nothing(void);\nint main(void) { return nothing(); }\n' >"$tmp/tree/cmd/main.c"
	printf 'int nothing(void);\nint nothing(void) { return 0; }\n' >"$tmp/tree/lib/base/nothing.c"
	cat >"$tmp/tree/.ci/deps" <<-'DEPS'
		set -eu
		mkdir -p build/deps/lib
		echo 'int unused;' | gcc -x c -c -o build/deps/unused.o -
		for l in mbedtls mbedx509 mbedcrypto llhttp wslay; do
			ar rcs build/deps/lib/lib$l.a build/deps/unused.o
		done
		touch build/deps/llhttp.done build/deps/mbedtls.done
	DEPS
}

for args in "deps all" "STATIC=1 deps all" "STATIC=1 all deps" "-j4 deps all test-tools"; do
	tree
	# shellcheck disable=SC2086
	exit_code env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES make -C "$tmp/tree" CC=gcc WERROR=0 $args
	[ "$code" = 0 ] || {
		cat "$tmp/out"
		fail "make $args on a fresh tree"
	}
	exit_code "$tmp/tree/tunnel"
	expect "make $args: the program's status" 0 "$code"
done

exit_code env -u MAKEFLAGS -u MFLAGS make -C "$tmp/tree" -s help
grep -q '^  make deps ' "$tmp/out" || fail "make help does not tell of deps"
