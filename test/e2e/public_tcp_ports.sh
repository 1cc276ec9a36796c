#!/bin/sh
# SPDX-License-Identifier: ISC
# Real programs reach an agent's services through public ports, without ours: redis-cli, ssh, curl behind a proxy. Both halves end by
# themselves, what is cut is a reset, and the ports outlive agent and relay.
# tsan: yes
# limit: 200
. "$(dirname "$0")/lib.sh"

ports=$(free_ports 16)
# all_ports - of every service, when the agent has them.
all_ports() { json "$tmp/pi.ready" "' '.join(sorted(s['service'] + '=' + s['public'].split(':')[1] for s in d['services'])) + ' '"; }
# port_of SERVICE - which it keeps.
port_of() {
	port=${had#*"$1="}
	echo "${port%% *}"
}

start_sshd
redis_port=$(free_port)
start redis redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$tmp"
wait_for "redis" port_is_open "$redis_port"
start_tcp hash hash
hash_port=$tcp_port
# Sends without end.
cat >"$tmp/flood.py" <<'PYTHON'
import os, socket, sys, threading
l = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
def serve(s):
    try:
        while True:
            s.sendall(b"x" * 65536)
    except OSError:
        s.close()
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
PYTHON
start flood python3 "$tmp/flood.py" "$tmp/flood.port"
started_file flood "$tmp/flood.port"
flood_port=$(cat "$tmp/flood.port")
web_port=$(free_port)
mkdir "$tmp/web"
cat >"$tmp/web.conf" <<-CONF
	daemon off;
	pid $tmp/web/pid;
	error_log stderr notice;
	worker_processes 1;
	$([ "$(id -u)" != 0 ] || echo "user root;")
	events { worker_connections 64; }
	http {
		access_log off;
		client_body_temp_path $tmp/web/body; proxy_temp_path $tmp/web/proxy;
		fastcgi_temp_path $tmp/web/fastcgi; uwsgi_temp_path $tmp/web/uwsgi; scgi_temp_path $tmp/web/scgi;
		server {
			listen 127.0.0.1:$web_port proxy_protocol;
			location / { return 200 "\$proxy_protocol_addr to \$proxy_protocol_server_port\\n"; }
		}
	}
CONF
start web "$(command -v nginx)" -p "$tmp/web" -e stderr -c "$tmp/web.conf"
wait_for "nginx" port_is_open "$web_port"

# begin_agent ORDER... - the services, in this order: that decides who asks first.
begin_agent() {
	order=$*
	set --
	for s in $order; do
		case $s in
		ssh) set -- "$@" --tcp "ssh=127.0.0.1:$sshd_port;public=auto" ;;
		redis) set -- "$@" --tcp "redis=127.0.0.1:$redis_port;public=auto" ;;
		hash) set -- "$@" --tcp "hash=127.0.0.1:$hash_port;public=auto" ;;
		flood) set -- "$@" --tcp "flood=127.0.0.1:$flood_port;public=auto" ;;
		web) set -- "$@" --tcp "web=127.0.0.1:$web_port;public=auto;proxy=v2" ;;
		esac
	done
	start_agent pi "$@"
}
ping_redis() { redis-cli -h 127.0.0.1 -p "$(port_of redis)" ping 2>&1; }
is_up() { [ "$(ping_redis)" = PONG ]; }

mkdir "$tmp/state"
secrets
start_public() { start_relay relay --ports "$ports" --proxy-from 127.0.0.2 --drain 1s "$@"; }
start_public --state "$tmp/state"
begin_agent redis ssh hash flood web
had=$(all_ports)

# ---- real programs ----
expect "redis" PONG "$(ping_redis)"
make_data "$tmp/value" 3000000
redis-cli -h 127.0.0.1 -p "$(port_of redis)" -x set key <"$tmp/value" >"$tmp/redis.out" || fail "redis-cli set"
redis-cli -h 127.0.0.1 -p "$(port_of redis)" --raw get key | head -c 3000000 >"$tmp/value.back"
same_files "$tmp/value" "$tmp/value.back"
on_pi() { ssh -F "$tmp/ssh_config" -p "$(port_of ssh)" 127.0.0.1 "$@"; }
expect "to ssh" "$(sum_of "$tmp/value")" "$(on_pi sha256sum <"$tmp/value" | cut -d' ' -f1)"
on_pi cat "$tmp/value" >"$tmp/value.ssh"
same_files "$tmp/value" "$tmp/value.ssh"

# ---- half-close, and many at once ----
python3 - "$(port_of hash)" <<'PYTHON'
import hashlib, os, socket, sys, threading
failures = []
def one(n):
    data = os.urandom(n)
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    got = s.makefile().read()
    if got != "%s %d\n" % (hashlib.sha256(data).hexdigest(), n):
        failures.append((n, got))
threads = [threading.Thread(target=one, args=(n,)) for n in [0, 1, 2, 100, 5000, 200000, 3000000] * 4]
[t.start() for t in threads]
[t.join() for t in threads]
assert not failures, failures
PYTHON

# ---- who it is ----
expect "nginx is told the address" "127.0.0.1 to $(port_of web)" "$(curl -sS --max-time 20 "http://127.0.0.1:$(port_of web)/")"
expect "and the port" "127.0.0.9 to $(port_of web)" \
	"$(curl -sS --max-time 20 --interface 127.0.0.9 "http://127.0.0.1:$(port_of web)/")"
expect "curl speaks the proxy's header" "127.0.0.2 to $(port_of web)" \
	"$(curl -sS --max-time 20 --interface 127.0.0.2 --haproxy-protocol "http://127.0.0.1:$(port_of web)/")"
exit_code curl -sS --max-time 20 --interface 127.0.0.2 "http://127.0.0.1:$(port_of web)/"
expect "a proxy that does not: curl's status for a reset" 56 "$code"
behind=$(python3 - "$(port_of web)" <<'PYTHON'
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20, ("127.0.0.2", 0))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for part in b"PROXY TCP4 198.51.1", b"00.7 203.0.113.9 40000 443\r\nGET / HT", b"TP/1.0\r\n\r\n":
    s.sendall(part)
    time.sleep(0.05)
print(s.makefile().read().split("\n")[-2])
PYTHON
)
expect "who is behind a proxy" "198.51.100.7 to 443" "$behind"

# ---- a cut, and a visitor who comes while the agent is away ----
python3 - "$(port_of flood)" "$tmp" <<'PYTHON' &
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
n, saw = 0, "end"
try:
    while True:
        b = s.recv(65536)
        if not b:
            break
        if n < 5000000 <= n + len(b):
            open(sys.argv[2] + "/flooded", "w").close()
        n += len(b)
except ConnectionResetError:
    saw = "reset"
open(sys.argv[2] + "/saw.new", "w").write(saw)
os.rename(sys.argv[2] + "/saw.new", sys.argv[2] + "/saw")
PYTHON
wait_for "the download" exists "$tmp/flooded"
stop pi KILL
wait_for "its end" exists "$tmp/saw"
expect "a download that is cut" reset "$(cat "$tmp/saw")"
redis=$(port_of redis)
redis-cli -h 127.0.0.1 -p "$redis" ping >"$tmp/waited" 2>&1 &
waiting=$!
begin_agent web flood hash ssh redis
wait "$waiting" || true
expect "who came while the agent was away" PONG "$(cat "$tmp/waited")"
expect "the ports after the agent's restart" "$had" "$(all_ports)"

# ---- the relay's restart ----
stop relay
start_public --listen "127.0.0.1:$relay_port" --state "$tmp/state"
# An agent that knows nothing asks in another order.
stop pi
begin_agent flood web redis hash ssh
expect "the ports, by --state" "$had" "$(all_ports)"
wait_for "redis again" is_up
stop relay KILL
start_public --listen "127.0.0.1:$relay_port"
wait_for "redis, at the port that the agent remembers" is_up
expect "the ports, by the agent" "$had" "$(all_ports)"

# ---- the relay's end ----
python3 - "$(port_of flood)" "$tmp" <<'PYTHON' &
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
saw = "end"
try:
    while s.recv(65536):
        if not os.path.exists(sys.argv[2] + "/again"):
            open(sys.argv[2] + "/again", "w").close()
except ConnectionResetError:
    saw = "reset"
open(sys.argv[2] + "/last.new", "w").write(saw)
os.rename(sys.argv[2] + "/last.new", sys.argv[2] + "/last")
PYTHON
wait_for "a download" exists "$tmp/again"
redis=$(port_of redis)
kill -TERM "$(pid_of relay)"
closed() { ! port_is_open "$redis"; }
wait_for "no new visitors" closed
wait_for "its end" exists "$tmp/last"
expect "a download that outlives --drain" reset "$(cat "$tmp/last")"
wait_for "the relay's end" is_dead relay
stop relay 0
expect "exit status of the relay" 0 "$code"
