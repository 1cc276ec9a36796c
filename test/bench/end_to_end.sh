#!/bin/sh
# SPDX-License-Identifier: ISC
# end_to_end - a local port with --e2e beside one without: bulk down and up, round trips, connections a second, as ratios of medians of
# ROUNDS (5) rounds by turns in one run, SECONDS_EACH (3) seconds each, with one connection and with eight. BENCH_DIR has load.c.
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

rounds=${ROUNDS:-5} each=${SECONDS_EACH:-3}
cc -O2 -pthread -o "$tmp/load" "${BENCH_DIR:-$here/../../../shared/bench}/load.c"
e2e_files
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": {"key": "$(public_key pi)"}},
 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "targets": ["*", "*:*"], "e2e": true}}}
JSON
start_e2e_relay relay --threads 1 --log-level warn
service=$(free_port)
: >"$tmp/stat"
start service "$tmp/load" serve -p "$service" -s "$tmp/stat"
start_e2e_agent pi --tcp "bulk=127.0.0.1:$service" --log-level warn
start_e2e e2e -L 0=pi:bulk --log-level warn
rm -f "$tmp/plain.ready"
start plain "$TUNNEL_BIN" connect --relay "$relay_url" --key-file "$tmp/alice.key" --relay-key "$(public_key relay)" \
	--ready-file "$tmp/plain.ready" -L 0=pi:bulk
started_file plain "$tmp/plain.ready"
port_of() { json "$tmp/$1.ready" 'd["local"][0]["port"]'; }

# cpu PROGRAM... - what they have used up to now, in clock ticks.
cpu() { for name; do cut -d' ' -f14,15 "/proc/$(pid_of "$name")/stat"; done | tr ' ' '\n' | paste -sd+ | bc; }

# cost WAY - CPU of client, relay and agent for a download, in ms for each GB.
cost() {
	before=$(cpu "$1" relay pi)
	"$tmp/load" down -c 1 -p "$(port_of "$1")" -s "$tmp/stat" -t "$each" >"$tmp/cost"
	after=$(cpu "$1" relay pi)
	python3 -c 'import json, os, sys; b = json.load(open(sys.argv[1]))["bytes"]; t = (int(sys.argv[3]) - int(sys.argv[2])) / os.sysconf("SC_CLK_TCK")
print(json.dumps({"ms_per_GB": t / b * 1e12}))' "$tmp/cost" "$before" "$after"
}

# run ROW OPTION... - the row of load by turns on both ports, whichever is first by turns, too.
run() {
	row=$1
	shift
	for round in $(seq "$rounds"); do
		order="plain e2e"
		[ $((round % 2)) = 0 ] || order="e2e plain"
		for way in $order; do
			"$tmp/load" "$@" -p "$(port_of "$way")" -s "$tmp/stat" -t "$each" | sed "s/^/$row\t$way\t/" >>"$tmp/rows"
		done
	done
}
run "down, 1 connection" down -c 1
run "down, 8 connections" down -c 8
run "up, 1 connection" up -c 1
run "up, 8 connections" up -c 8
run "connections a second, 1" connrate -c 1
run "connections a second, 16" connrate -c 16
run "round trip" rtt -c 1
for round in $(seq "$rounds"); do
	for way in plain e2e; do cost $way | sed "s/^/CPU of all three\t$way\t/" >>"$tmp/rows"; done
done
python3 - "$tmp/rows" <<'PYTHON'
import collections, json, statistics, sys
rows = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    row, way, found = line.split("\t", 2)
    found = json.loads(found)
    key = next(k for k in ("ms_per_GB", "MBps", "p50_us", "per_s") if k in found and not (k == "p50_us" and "connections" in row))
    rows[row, key][way].append(found[key])
for (row, key), ways in rows.items():
    plain, e2e = (statistics.median(ways[w]) for w in ("plain", "e2e"))
    spread = " ".join("%.3g" % (b / a) for a, b in zip(sorted(ways["plain"]), sorted(ways["e2e"])))
    print(f"{row:28} {key:8} without {plain:10.1f}   with --e2e {e2e:10.1f}   ratio {e2e / plain:.3f}   ({spread})")
PYTHON
