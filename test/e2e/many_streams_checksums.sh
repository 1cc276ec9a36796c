#!/bin/sh
# SPDX-License-Identifier: ISC
# 200 parallel `tunnel connect` through one agent, each with its own data, none mixed up, some over several carriers.
# tsan: yes
# limit: 240
. "$(dirname "$0")/lib.sh"

n=200
[ -z "${TUNNEL_SAN:-}" ] || n=40
start_tcp hash hash
start_relay relay
start_agent pi --carriers 2
python3 - "$TUNNEL_BIN" "$relay_url" "$tmp" "$tcp_port" "$n" <<'PYTHON'
import concurrent.futures, hashlib, os, subprocess, sys
binary, url, tmp, port, n = sys.argv[1:]
sizes = [0, 1, 2, 100, 5000, 200000, 3000000]
def one(i):
    data = os.urandom(sizes[i % len(sizes)])
    p = subprocess.run([binary, "connect", "--relay", url, "--secret-file", tmp + "/client.secret", "pi", "127.0.0.1", port],
                       input=data, capture_output=True)
    want = "%s %d\n" % (hashlib.sha256(data).hexdigest(), len(data))
    return "" if p.returncode == 0 and p.stdout.decode() == want else "%d: %d %s %s" % (i, p.returncode, p.stdout, p.stderr)
with concurrent.futures.ThreadPoolExecutor(int(n)) as pool:
    bad = [r for r in pool.map(one, range(int(n))) if r]
assert not bad, "\n".join(bad)
PYTHON
echo "memory at most: relay $(peak_kib relay) KiB, agent $(peak_kib pi) KiB"
