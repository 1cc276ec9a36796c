#!/bin/sh
# SPDX-License-Identifier: ISC
# --https-only sends visitors to https, for hosts that there are and no others; what an authority looks for is served without: the file
# of a challenge out of a webroot, for every host, and a token that is not there by the agent.
# tsan: yes
. "$(dirname "$0")/lib.sh"

cd "$tmp"
make_cert relay localhost t.test '*.t.test'
start web python3 "$here/web_service.py" "$tmp/web.port" pi
started_file web "$tmp/web.port"
web=$(cat web.port)
mkdir -p acme/.well-known/acme-challenge
printf 'token1.thumbprint' >acme/.well-known/acme-challenge/token1
printf 'token2.thumbprint' >acme/token2
ln -s /etc/passwd acme/passwd

start_relay relay --listen plain:127.0.0.1:0 --http 127.0.0.2:0 --https 127.0.0.1:0 --https-only --acme-dir acme --domain t.test \
	--trusted-proxy 127.0.0.3 --tls-cert relay.pem --tls-key relay.key --grace 60s
http=$(json relay.ready 'd["http"][0]["port"]')
https=$(json relay.ready 'd["https"][0]["port"]')
start_agent pi --http "$web"
to() { curl -sS --connect-to "::127.0.0.2:$http" "$@"; }
# answer CURL-OPTION... - status, Location
answer() { to -o body -w '%{http_code} %{redirect_url}' "$@"; }

# ---- 308 ----
expect "a redirection" "308 https://pi.t.test:$https/name?a=b" "$(answer 'http://PI.t.test./name?a=b')"
expect "a redirection of a POST" "308 https://pi.t.test:$https/echo" "$(answer -d @web.port http://pi.t.test/echo)"
expect "a HEAD" "308 https://pi.t.test:$https/" "$(answer -I http://pi.t.test/)"
expect "its end" pi "$(curl -sS -L --cacert relay.pem --connect-to "pi.t.test:80:127.0.0.2:$http" \
	--resolve "pi.t.test:$https:127.0.0.1" http://pi.t.test/name)"
expect "an unknown host" "404 " "$(answer http://unknown.t.test/)"
expect "an address" "404 " "$(answer http://192.0.2.1/)"
expect "no redirection of https" 200 "$(curl -sS --cacert relay.pem --resolve "pi.t.test:$https:127.0.0.1" -o body -w '%{http_code}' \
	"https://pi.t.test:$https/name")"
! grep -q . web.port.log || expect "requests that reached the service" "2" "$(grep -c '^GET /name' web.port.log)"

# Many requests on one connection: a redirection is an answer like others.
expect "two on one connection" "308 1 308 0 " "$(to -w '%{http_code} %{num_connects} ' -o body http://pi.t.test/a -o body http://pi.t.test/b)"

# A proxy that ends TLS says so; one that we do not trust says nothing.
expect "https to a trusted proxy" "200 " "$(answer --interface 127.0.0.3 -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-For: 192.0.2.1' \
	http://pi.t.test/name)"
expect "http to a trusted proxy" "308 https://pi.t.test:$https/name" "$(answer --interface 127.0.0.3 -H 'X-Forwarded-Proto: http' \
	-H 'X-Forwarded-For: 192.0.2.1' http://pi.t.test/name)"
expect "a visitor's own word" "308 https://pi.t.test:$https/name" "$(answer -H 'X-Forwarded-Proto: https' http://pi.t.test/name)"

# ---- challenges ----
acme=/.well-known/acme-challenge
for host in pi.t.test t.test unknown.test; do
	expect "a webroot's file for $host" "200 token1.thumbprint" "$(answer "http://$host$acme/token1")$(cat body)"
	expect "a file of the directory for $host" "200 token2.thumbprint" "$(answer "http://$host$acme/token2")$(cat body)"
done
expect "a HEAD of a challenge" "200 17" "$(to -I -o body -w '%{http_code} ' "http://pi.t.test$acme/token1"; sed -n 's/^Content-Length: \([0-9]*\).*/\1/p' body)"
expect "a challenge by https" "token1.thumbprint" "$(curl -sS --cacert relay.pem --resolve "pi.t.test:$https:127.0.0.1" "https://pi.t.test:$https$acme/token1")"
expect "an unknown host's token that is not there" "404 " "$(answer "http://unknown.test$acme/none")"

# A token that is not there is the agent's, by http: its own certbot may be at work.
to -o body "http://pi.t.test$acme/of-the-agent"
has_line web.port.log "^GET $acme/of-the-agent 0" || fail "the token has not reached the agent: $(cat web.port.log)"
# Nothing leads out of the directory.
for name in passwd ../relay.key ..%2frelay.key; do
	to --path-as-is -o body "http://unknown.test$acme/$name"
	! grep -q 'root:\|PRIVATE' body || fail "$name was read"
done
# A token that certbot writes now is found now.
printf 'token3.thumbprint' >acme/.well-known/acme-challenge/token3
expect "a new token" "200 token3.thumbprint" "$(answer "http://pi.t.test$acme/token3")$(cat body)"

# ---- the agent is away: the host is known still ----
stop pi KILL
wait_for "the agent to be missed" has_line relay.log 'agent pi.*closed'
expect "a redirection for an agent that is away" "308 https://pi.t.test:$https/" "$(answer http://pi.t.test/)"

# ---- mistakes ----
exit_code "$TUNNEL_BIN" relay --insecure --listen 127.0.0.1:0 --http 127.0.0.1:0 --https-only
expect "status without --https" 2 "$code"
has_line err.log 'https-only: there is no --https listener' || fail "$(cat err.log)"
exit_code "$TUNNEL_BIN" relay --insecure --listen 127.0.0.1:0 --acme-dir "$tmp/nowhere"
expect "status without the directory" 2 "$code"
has_line err.log "acme-dir .*/nowhere: no directory" || fail "$(cat err.log)"
