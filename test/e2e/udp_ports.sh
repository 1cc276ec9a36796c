#!/bin/sh
# SPDX-License-Identifier: ISC
# Public ports of UDP with real programs: dig asks dnsmasq, iperf3 measures with TCP and UDP on one number, socat talks.
# limit: 180
# tsan: yes
. "$(dirname "$0")/lib.sh"

ports=$(free_ports 6)
# The first one: those that are chosen freely must not be it.
iperf=${ports%-*}
dns_port=$(free_port)
cat >"$tmp/dnsmasq.conf" <<-CONF
	no-resolv
	no-hosts
	listen-address=127.0.0.1
	bind-interfaces
	address=/tunnel.test/192.0.2.7
	txt-record=long.test,$(printf '%0250d' 0)
CONF
start dns dnsmasq --keep-in-foreground --conf-file="$tmp/dnsmasq.conf" --port="$dns_port" --user="$(id -un)" --pid-file= --log-facility=-
iperf_port=$(free_port)
start iperf iperf3 -s -B 127.0.0.1 -p "$iperf_port" --forceflush
start_udp echo echo
start_udp many answer 20 100
mkdir "$tmp/state"
start_relay relay --ports "$ports" --state "$tmp/state" --public 0.0.0.0
start_agent pi --udp "auto=127.0.0.1:$dns_port" --tcp "$iperf=127.0.0.1:$iperf_port" --udp "$iperf=127.0.0.1:$iperf_port" \
	--udp "echo=$(cat "$tmp/echo.port");public=auto;deny=127.0.0.9" --udp "many=$(cat "$tmp/many.port");public=auto;max-connections=3" \
	--udp "private=$(cat "$tmp/echo.port")" --udp "lost=1;public=auto"
# public SERVICE [KIND] - its public port.
public() { json "$tmp/pi.ready" "[s for s in d['services'] if s['service'] == '$1' and s['kind'] == '${2:-udp}'][0]['public'].split(':')[1]"; }
expect "refused services" "[]" "$(json "$tmp/pi.ready" "d['refused']")"

# ---- dig ----

dig() { command dig +tries=3 +timeout=5 "$@" 2>&1; }
dns_up() { dig +short @127.0.0.1 -p "$dns_port" a.tunnel.test | grep -qx 192.0.2.7; }
wait_for "dnsmasq" dns_up
auto=$(public auto)
for n in 1 2 3 4 5 6 7 8; do
	expect "an answer of the name server" 192.0.2.7 "$(dig +short @127.0.0.1 -p "$auto" "$n.tunnel.test")"
done
# The answer comes from the address that was asked, else dig does not take it.
expect "an answer from another address" 192.0.2.7 "$(dig +short @127.0.0.5 -p "$auto" x.tunnel.test)"
# 250 bytes for 40 are more than three times as many: whoever asked may be somebody else.
dig +tries=1 +timeout=1 @127.0.0.1 -p "$auto" TXT long.test | grep -q "timed out\|no servers" || fail "an answer was more than three times the question"

# ---- iperf3: both kinds of one number ----

expect "iperf3's ports" "$iperf $iperf" "$(public "$iperf" tcp) $(public "$iperf")"
iperf3 -c 127.0.0.1 -p "$iperf" -u -b 20M -l 1200 -t 2 --json >"$tmp/iperf.json" || fail "iperf3 -u: $(cat "$tmp/iperf.json")"
lost=$(json "$tmp/iperf.json" "d['end']['sum']['lost_percent']")
json "$tmp/iperf.json" "1/(d['end']['sum']['packets'] > 3000 and $lost < 20)" >/dev/null || fail "iperf3 -u lost $lost %"
iperf3 -c 127.0.0.1 -p "$iperf" -t 1 --json >"$tmp/iperf-tcp.json" || fail "iperf3 over TCP"

# ---- socat, sizes ----

echo=$(public echo)
expect "an echo" "hello" "$(printf hello | socat -T 1 - "UDP4:127.0.0.1:$echo")"
python3 - "$echo" "$(public many)" <<-'PY'
	import socket, sys
	def flow(port, host="127.0.0.1", wait=10):
	    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	    s.settimeout(wait)
	    s.bind((host, 0))
	    s.connect(("127.0.0.1", int(port)))
	    return s
	def silent(s):
	    s.settimeout(0.5)
	    try:
	        return not s.recv(100) and False
	    except TimeoutError:
	        return True
	s = flow(sys.argv[1])
	for n in 0, 1, 1472, 9000, 65507:
	    s.send(bytes(n))
	    assert s.recv(65536) == bytes(n), n
	all = [flow(sys.argv[1]) for _ in range(300)]
	for n, s in enumerate(all):
	    s.send(b"%d" % n)
	    assert s.recv(100) == b"%d" % n
	# A network that the service does not admit.
	denied = flow(sys.argv[1], "127.0.0.9")
	denied.send(b"x")
	assert silent(denied)
	# 20 answers of 100 bytes for 100: three of them, until the source has sent again.
	s = flow(sys.argv[2])
	s.send(bytes(100))
	for _ in range(3):
	    assert len(s.recv(1000)) == 100
	assert silent(s)
	s.settimeout(10)
	s.send(bytes(100))
	for _ in range(20):
	    assert len(s.recv(1000)) == 100
	# max-connections: the oldest of those that were never answered makes no room for a fourth, since all were answered.
	more = [flow(sys.argv[2]) for _ in range(3)]
	for s in more[:2]:
	    s.send(bytes(100))
	    assert len(s.recv(1000)) == 100
	more[2].send(bytes(100))
	assert silent(more[2])
PY
# A target that takes no datagrams ends the flow, not the port.
printf x | socat -u - "UDP4:127.0.0.1:$(public lost)"
wait_for "the refusal to be told" has_line "$tmp/relay.log" "flow .*closed: refused: the target takes no datagrams"

# ---- the agent is away: dropped and counted; the same ports for it later ----

stop pi
# Again and again: lines about a port's flows are limited.
drop_is_told() { printf x | socat -u - "UDP4:127.0.0.1:$echo" && has_line "$tmp/relay.log" "turned away: the agent is away"; }
wait_for "a drop to be told" drop_is_told
start_agent pi --udp "auto=127.0.0.1:$dns_port" --udp "echo=$(cat "$tmp/echo.port");public=auto"
expect "the ports after its return" "$auto $echo" "$(public auto) $(public echo)"
expect "an echo after its return" "again" "$(printf again | socat -T 1 - "UDP4:127.0.0.1:$echo")"
# A client's flow to a service by name.
expect "a service by its name" "by name" "$(printf 'by name' |
	"$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" pi 127.0.0.1 "$(cat "$tmp/echo.port")" udp)"
stop relay
stop relay
has_line "$tmp/relay.log" "pi:echo (udp .*flows.*datagrams up.*refused.*dropped here.*held back" || fail "the counters of a port are not told"
