# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# lib - what the end-to-end tests share. A test sources this first:
#
#     . "$(dirname "$0")/lib.sh"
#
# and gets a temporary directory of its own in $tmp, programs that are started by name and ended when the test ends, and
# conditions to wait for in place of sleep. When a test fails the logs of all that it started are shown.
#
# TUNNEL_BIN is the binary under test, TUNNEL_TOOLS the folder of what test/tools builds, TUNNEL_TEST_THREADS the workers of a
# relay, TUNNEL_SAN the sanitizer ("", address, thread).
#
# What the functions set is for the tests, and some of them are called by name only:
# shellcheck disable=SC2034,SC2317
set -eu

here=$(cd "$(dirname "$0")" && pwd)
TUNNEL_BIN=${TUNNEL_BIN:-$here/../../tunnel}
TUNNEL_TOOLS=${TUNNEL_TOOLS:-$here/../../build/test}
WAIT_S=20 # how long anything may take to begin; more than any machine needs
# How long a waiting script leaves the CPU to others between two looks.
POLL_S=0.05
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin" PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE
tmp=$(mktemp -d "${TMPDIR:-/tmp}/tunnel-e2e.XXXXXX")
chmod 700 "$tmp"
: >"$tmp/started"

# ---- the end ----

# end_all - TERM to everything that is left, TERM again (no drain), KILL. By process id only.
end_all() {
	for step in TERM TERM KILL; do
		alive=
		while read -r name; do
			pid=$(cat "$tmp/$name.pid")
			kill -0 "$pid" 2>/dev/null || continue
			alive=yes
			kill -CONT "$pid" 2>/dev/null || true
			kill -"$step" "$pid" 2>/dev/null || true
		done <"$tmp/started"
		[ -n "$alive" ] || return 0
		wait_quietly 2 all_gone || true
	done
	wait_quietly 5 all_gone || true
}

all_gone() {
	while read -r name; do
		! kill -0 "$(cat "$tmp/$name.pid")" 2>/dev/null || return 1
	done <"$tmp/started"
}

show_logs() {
	for f in "$tmp"/*.log; do
		[ -s "$f" ] || continue
		echo "--- $(basename "$f")"
		tail -n 60 "$f"
	done
}

on_exit() {
	rc=$?
	trap - EXIT
	[ "$rc" = 0 ] || show_logs >&2
	end_all
	rm -rf "$tmp"
	exit "$rc"
}
trap on_exit EXIT
trap 'exit 1' HUP INT TERM

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# ---- waiting ----

# wait_quietly SECONDS COMMAND... - until the command succeeds; 1 when the time is over.
wait_quietly() {
	wait_until=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -le "$wait_until" ] || return 1
		sleep "$POLL_S"
	done
}

# wait_for WHAT COMMAND... - the same with a deadline that no healthy machine reaches; fails the test and says for what.
wait_for() {
	wait_what=$1
	shift
	wait_quietly "$WAIT_S" "$@" || fail "waited $WAIT_S s for $wait_what"
}

has_line() { grep -q -- "$2" "$1" 2>/dev/null; } # FILE PATTERN
exists() { [ -e "$1" ]; }
is_dead() { ! kill -0 "$(cat "$tmp/$1.pid")" 2>/dev/null; }

# expect WHAT EXPECTED GOT
expect() { [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""; }

# exit_code COMMAND... - its exit status in $code, its output in $tmp/out and $tmp/err.log.
exit_code() {
	code=0
	"$@" >"$tmp/out" 2>"$tmp/err.log" || code=$?
}

# ---- programs ----

# start NAME COMMAND... - in the background, output to $tmp/NAME.log, to be ended with the test.  A name is free again after stop.
start() {
	start_name=$1
	shift
	! [ -e "$tmp/$start_name.pid" ] || is_dead "$start_name" || fail "$start_name is running already"
	"$@" >>"$tmp/$start_name.log" 2>&1 </dev/null &
	echo $! >"$tmp/$start_name.pid"
	grep -qx "$start_name" "$tmp/started" || echo "$start_name" >>"$tmp/started"
}

pid_of() { cat "$tmp/$1.pid"; }

# stop NAME [SIGNAL] - waits for its end; the exit status is in $code.
stop() {
	kill "-${2:-TERM}" "$(pid_of "$1")" 2>/dev/null || true
	code=0
	wait "$(pid_of "$1")" 2>/dev/null || code=$?
}

# started_file NAME FILE - waits for the file; fails at once when the program has ended.
started_file() {
	file_or_dead() { [ -e "$2" ] || is_dead "$1"; }
	wait_for "$1 to be ready" file_or_dead "$1" "$2"
	[ -e "$2" ] || fail "$1 ended before it was ready"
}

# json FILE EXPRESSION - of Python, the document is "d".
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

# ---- relay, agent, connect ----

# secrets - the credentials that start_relay and start_agent use: agents "pi" and "lab", one shared client secret.
secrets() {
	[ ! -e "$tmp/creds.json" ] || return 0
	printf 'agent-secret-of-this-test' >"$tmp/agent.secret"
	printf 'client-secret-of-this-test' >"$tmp/client.secret"
	chmod 600 "$tmp"/*.secret
	cat >"$tmp/creds.json" <<-JSON
		{"edge-agents": {"pi": "agent-secret-of-this-test", "lab": "agent-secret-of-this-test"},
		 "access-client-secrets": ["client-secret-of-this-test"]}
	JSON
}

# make_key NAME... - a key pair each: $tmp/NAME.key and $tmp/NAME.key.pub; public_key NAME prints the second.
make_key() {
	for key_name; do "$TUNNEL_BIN" keygen -o "$tmp/$key_name.key" >/dev/null || fail "keygen -o"; done
}
public_key() { cat "$tmp/$1.key.pub"; }

# make_cert NAME HOST... - $tmp/NAME.pem and $tmp/NAME.key
make_cert() {
	cert_name=$1
	shift
	rm -f "$tmp/$cert_name.pem" "$tmp/$cert_name.key"
	"$TUNNEL_BIN" keygen --self-signed --cert "$tmp/$cert_name.pem" --key "$tmp/$cert_name.key" "$@" \
		>"$tmp/$cert_name.keygen.log" 2>&1 || fail "keygen --self-signed"
}

# start_relay NAME [OPTION...] - on a free port of 127.0.0.1 unless --listen is among the options. Sets $relay_port and $relay_url.
start_relay() {
	relay_name=$1
	shift
	secrets
	case " $* " in *" --listen "*) ;; *) set -- --listen 127.0.0.1:0 "$@" ;; esac
	case " $* " in *" --credentials "* | *" --insecure "*) ;; *) set -- --credentials "$tmp/creds.json" "$@" ;; esac
	[ -z "${TUNNEL_TEST_THREADS:-}" ] || set -- --threads "$TUNNEL_TEST_THREADS" "$@"
	rm -f "$tmp/$relay_name.ready"
	start "$relay_name" "$TUNNEL_BIN" relay --ready-file "$tmp/$relay_name.ready" --log-level debug "$@"
	started_file "$relay_name" "$tmp/$relay_name.ready"
	relay_port=$(json "$tmp/$relay_name.ready" 'd["tunnel"][0].get("port", 0)')
	case $(json "$tmp/$relay_name.ready" 'd["tunnel"][0]["tls"]') in
	True) relay_url=wss://localhost:$relay_port ;;
	*) relay_url=ws://127.0.0.1:$relay_port ;;
	esac
}

# start_agent NAME [OPTION...] - at $relay_url, under that name, and waits until the relay has let it in.
start_agent() {
	agent_name=$1
	shift
	secrets
	case " $* " in *" --secret-file "* | *" --key-file "* | *" --join-file "*) ;; *) set -- --secret-file "$tmp/agent.secret" "$@" ;; esac
	case " $* " in *" --name "*) ;; *) set -- --name "$agent_name" "$@" ;; esac
	rm -f "$tmp/$agent_name.ready"
	start "$agent_name" "$TUNNEL_BIN" agent --relay "$relay_url" --ready-file "$tmp/$agent_name.ready" --log-level debug "$@"
	started_file "$agent_name" "$tmp/$agent_name.ready"
}

# start_relay_with_tls OPTION... - two relays: "relay", at $relay_url and $relay_port, and "tls" at $tls_port, whose certificate is
# $tmp/tls.pem.
start_relay_with_tls() {
	make_cert tls localhost
	start_relay tls --tls-cert "$tmp/tls.pem" --tls-key "$tmp/tls.key" "$@"
	tls_port=$relay_port
	start_relay relay "$@"
}

# connect ARGUMENT... - tunnel connect at $relay_url with the shared client secret.
connect() { "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" "$@"; }

# connect_by_key NAME ARGUMENT... - the same with the key of that name, at the relay with the key "relay".
connect_by_key() {
	key_name=$1
	shift
	"$TUNNEL_BIN" connect --relay "$relay_url" --key-file "$tmp/$key_name.key" --relay-key "$(public_key relay)" "$@"
}

# start_connect NAME ARGUMENT... - with -L or -D; $connect_port is the first local port.
start_connect() {
	connect_name=$1
	shift
	rm -f "$tmp/$connect_name.ready"
	start "$connect_name" "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" \
		--ready-file "$tmp/$connect_name.ready" --log-level debug "$@"
	started_file "$connect_name" "$tmp/$connect_name.ready"
}

# start_nginx NAME DIRECTIVES [LISTEN...] - a reverse proxy in front of the relay at $relay_port, with these directives and parameters
# of listen in its server: $nginx_port.
start_nginx() {
	nginx_port=$(free_port) nginx_name=$1 nginx_more=$2
	shift 2
	mkdir "$tmp/$nginx_name"
	cat >"$tmp/$nginx_name.conf" <<-CONF
		daemon off;
		pid $tmp/$nginx_name/pid;
		error_log stderr notice;
		worker_processes 1;
		$([ "$(id -u)" != 0 ] || echo "user root;")
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path $tmp/$nginx_name/body; proxy_temp_path $tmp/$nginx_name/proxy;
			fastcgi_temp_path $tmp/$nginx_name/fastcgi; uwsgi_temp_path $tmp/$nginx_name/uwsgi; scgi_temp_path $tmp/$nginx_name/scgi;
			server {
				listen 127.0.0.1:$nginx_port $*;
				proxy_http_version 1.1;
				proxy_set_header Upgrade \$http_upgrade;
				proxy_set_header Connection "upgrade";
				proxy_set_header Host \$host;
				proxy_read_timeout 1h;
				$nginx_more
				location / { proxy_pass http://127.0.0.1:$relay_port; }
			}
		}
	CONF
	start "$nginx_name" "$(command -v nginx)" -p "$tmp/$nginx_name" -e stderr -c "$tmp/$nginx_name.conf"
	wait_for "$nginx_name" port_is_open "$nginx_port"
}

# ---- endpoints and data ----

# start_tcp NAME MODE [ARGUMENT...] - a server of test/e2e/tcp.py on a free port: $tcp_port.
start_tcp() {
	tcp_name=$1
	shift
	start "$tcp_name" python3 "$here/tcp.py" "$tmp/$tcp_name.port" "$@"
	started_file "$tcp_name" "$tmp/$tcp_name.port"
	tcp_port=$(cat "$tmp/$tcp_name.port")
}

# start_udp NAME MODE [ARGUMENT...] - a server of test/e2e/udp.py on a free port: $udp_port.
start_udp() {
	udp_name=$1
	shift
	start "$udp_name" python3 "$here/udp.py" "$tmp/$udp_name.port" "$@"
	started_file "$udp_name" "$tmp/$udp_name.port"
	udp_port=$(cat "$tmp/$udp_name.port")
}

# start_service NAME - a web service, web_service.py, that says NAME: $service_port.
start_service() {
	start "$1" python3 "$here/web_service.py" "$tmp/$1.port" "$1"
	started_file "$1" "$tmp/$1.port"
	service_port=$(cat "$tmp/$1.port")
}

# start_web OPTION... - a relay with --http and --domain t.test: $http_port.
start_web() {
	start_relay relay --http 127.0.0.1:0 --domain t.test "$@"
	http_port=$(json "$tmp/relay.ready" 'd["http"][0]["port"]')
}

# make_data FILE BYTES - random bytes.
make_data() { head -c "$2" /dev/urandom >"$1"; }

sum_of() { sha256sum "$1" | cut -d' ' -f1; }

same_files() { [ "$(sum_of "$1")" = "$(sum_of "$2")" ] || fail "$2 ($(wc -c <"$2") bytes) is not $1 ($(wc -c <"$1") bytes)"; }

SIZES='0 1 2 100 5000 200000 30000000'

# rss_kib NAME - resident memory of a started program now; peak_kib - its highest.
rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$(pid_of "$1")/status"; }
peak_kib() { awk '/^VmHWM:/ { print $2 }' "/proc/$(pid_of "$1")/status"; }

# free_port - a port of 127.0.0.1 that nobody has at the moment, for programs that cannot choose one themselves.
free_port() {
	python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# free_ports N - FIRST-LAST, N ports in a row that nobody has at the moment, and that the system gives to no client: they are free
# for somebody who comes back, too.
free_ports() {
	python3 - "$1" <<-'PYTHON'
		import random, socket, sys
		n, held = int(sys.argv[1]), []
		while len(held) < n:
		    first, held = random.randrange(10000, 32000 - n), []
		    try:
		        held += [socket.create_server(("127.0.0.1", first + i)) for i in range(n)]
		    except OSError:
		        held = []
		print(f"{first}-{first + n - 1}")
	PYTHON
}

port_is_open() {
	python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1" 2>/dev/null
}

# ---- SSH ----

# start_sshd - a real sshd for this user with keys only: $sshd_port, and $tmp/ssh_config for clients.
start_sshd() {
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/host_key"
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/user_key"
	sshd_port=$(free_port)
	[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
	cat >"$tmp/sshd_config" <<-CONF
		ListenAddress 127.0.0.1:$sshd_port
		HostKey $tmp/host_key
		PidFile none
		AuthorizedKeysFile $tmp/user_key.pub
		PermitRootLogin yes
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		StrictModes no
		UsePAM no
		MaxStartups 1000
		MaxSessions 1000
		Subsystem sftp internal-sftp
	CONF
	start sshd "$(command -v sshd)" -D -e -f "$tmp/sshd_config"
	wait_for "sshd" port_is_open "$sshd_port"
	printf '%s %s\n' '*' "$(cut -d' ' -f1,2 "$tmp/host_key.pub")" >"$tmp/known_hosts"
	cat >"$tmp/ssh_config" <<-CONF
		Host *
		BatchMode yes
		IdentityFile $tmp/user_key
		IdentitiesOnly yes
		UserKnownHostsFile $tmp/known_hosts
		GlobalKnownHostsFile none
		StrictHostKeyChecking yes
		ControlPath none
		LogLevel ERROR
	CONF
}

# ssh_both_ways PROXYCOMMAND BYTES... - files each way by ssh and scp, compared; the remote command's exit status.
ssh_both_ways() {
	echo "ProxyCommand $1" >>"$tmp/ssh_config"
	shift
	on_pi() { ssh -F "$tmp/ssh_config" pi "$@"; }
	for n; do
		make_data "$tmp/up" "$n"
		expect "$n bytes to ssh sha256sum" "$(sum_of "$tmp/up")" "$(on_pi sha256sum <"$tmp/up" | cut -d' ' -f1)"
		on_pi cat "$tmp/up" >"$tmp/down"
		same_files "$tmp/up" "$tmp/down"
		scp -q -F "$tmp/ssh_config" "$tmp/up" "pi:$tmp/up.scp"
		scp -q -F "$tmp/ssh_config" "pi:$tmp/up.scp" "$tmp/down.scp"
		same_files "$tmp/up" "$tmp/down.scp"
	done
	exit_code on_pi 'exit 7'
	expect "exit status of the remote command" 7 "$code"
}

# ---- end to end ----

# e2e_files - keys of the relay, of the agents "pi" and "lab" and of the client "alice", who may reach all services and what is on
# loopback: at the relay $tmp/creds.json, at the agent $tmp/clients.json, at the client $tmp/known. Before start_e2e_relay.
e2e_files() {
	make_key relay pi lab alice
	secrets
	cat >"$tmp/creds.json" <<-JSON
		{"edge-agents": {"pi": {"key": "$(public_key pi)"}, "lab": {"key": "$(public_key lab)"}},
		 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "e2e": true}}}
	JSON
	cat >"$tmp/clients.json" <<-JSON
		{"clients": {"alice": {"key": "$(public_key alice)", "targets": ["*", "127.0.0.0/8:*"]}}}
	JSON
	printf 'pi %s\nlab %s\n' "$(public_key pi)" "$(public_key lab)" >"$tmp/known"
}

start_e2e_relay() {
	e2e_name=$1
	shift
	start_relay "$e2e_name" --key-file "$tmp/relay.key" "$@"
}

# start_e2e_agent NAME [OPTION...] - as start_agent, with its key and clients.
start_e2e_agent() {
	e2e_name=$1
	shift
	start_agent "$e2e_name" --key-file "$tmp/$e2e_name.key" --relay-key "$(public_key relay)" --clients "$tmp/clients.json" "$@"
}

# e2e ARGUMENT... - tunnel connect --e2e at $relay_url as alice; start_e2e NAME ARGUMENT...: as start_connect.
e2e() { connect_by_key alice --e2e --known-agents "$tmp/known" "$@"; }
start_e2e() {
	connect_name=$1
	shift
	rm -f "$tmp/$connect_name.ready"
	start "$connect_name" "$TUNNEL_BIN" connect --relay "$relay_url" --key-file "$tmp/alice.key" --relay-key "$(public_key relay)" \
		--e2e --known-agents "$tmp/known" --ready-file "$tmp/$connect_name.ready" --log-level debug "$@"
	started_file "$connect_name" "$tmp/$connect_name.ready"
}

# e2e_command - of alice, for a ProxyCommand.
e2e_command() {
	ln -sf "$(realpath "$TUNNEL_BIN")" "$tmp/tunnel-connect"
	echo "$tmp/tunnel-connect --relay $relay_url --key-file $tmp/alice.key --relay-key $(public_key relay) --e2e --known-agents $tmp/known"
}
