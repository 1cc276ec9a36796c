#!/bin/sh
# SPDX-License-Identifier: ISC
# Real programs on both sides of a web address: nginx and Python's http.server as services, Chromium, python3-websockets, curl and git
# as visitors. Events arrive one by one, much passes in little memory, and what stops in the middle looks like it.
# limit: 300
. "$(dirname "$0")/lib.sh"

python=/usr/bin/python3 # the interpreter that python3-websockets belongs to
[ -n "$(command -v chromium)" ] || fail "chromium is missing: run 'make deps'"
"$python" -c 'import websockets' || fail "python3-websockets is missing: run 'make deps'"
ASSETS=50
MUCH=268435456

# ---- what nginx serves: a page with many assets, a git repository, a large file ----
site=$tmp/site
mkdir "$site"
python3 - "$site" "$ASSETS" <<'PYTHON'
import base64, os, sys
site, n = sys.argv[1], int(sys.argv[2])
png = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
tags = []
for i in range(n):
    name = f"asset{i}." + ("js", "css", "png")[i % 3]
    body = {"js": b"loaded++; // %s\n" % (b"x" * 1000 * i), "css": b"#i%d { z-index: %d } /* %s */\n" % (i, i + 1, b"y" * 1000 * i),
            "png": png}[name.rsplit(".")[1]]
    open(os.path.join(site, name), "wb").write(body)
    tags.append({"js": f'<script src="{name}"></script>', "css": f'<link rel="stylesheet" href="{name}"><i id="i{i}" style="position:relative"></i>',
                 "png": f'<img src="{name}">'}[name.rsplit(".")[1]])
open(os.path.join(site, "page.html"), "w").write("""<!doctype html><html><body><script>var loaded = 0</script>%s
<script>onload = () => {
	for (const i of document.images) loaded += i.naturalWidth
	for (const i of document.querySelectorAll("i")) loaded += getComputedStyle(i).zIndex - 1 == i.id.slice(1)
	document.body.dataset.loaded = loaded
}</script></body></html>""" % "".join(tags))
PYTHON
git init -q -b main "$tmp/work"
git -C "$tmp/work" config user.email test@localhost
git -C "$tmp/work" config user.name test
for n in 1 2 3; do
	make_data "$tmp/work/file$n" 700000
	git -C "$tmp/work" add .
	git -C "$tmp/work" commit -qm "commit $n"
done
git clone -q --bare "$tmp/work" "$site/repo.git"
git -C "$site/repo.git" update-server-info
nginx_port=$(free_port)
mkdir "$tmp/nginx"
cat >"$tmp/nginx.conf" <<-CONF
	daemon off;
	pid $tmp/nginx/pid;
	error_log stderr notice;
	worker_processes 1;
	$([ "$(id -u)" != 0 ] || echo "user root;")
	events { worker_connections 512; }
	http {
		types { text/html html; text/css css; text/javascript js; image/png png; }
		log_format hosts '\$host \$uri \$status';
		access_log $tmp/nginx/access hosts;
		client_body_temp_path $tmp/nginx/body; proxy_temp_path $tmp/nginx/proxy;
		fastcgi_temp_path $tmp/nginx/fastcgi; uwsgi_temp_path $tmp/nginx/uwsgi; scgi_temp_path $tmp/nginx/scgi;
		server { listen 127.0.0.1:$nginx_port; root $site; location /slow/ { alias $site/; limit_rate 100k; } }
	}
CONF
start nginx "$(command -v nginx)" -p "$tmp/nginx" -e stderr -c "$tmp/nginx.conf"
wait_for "nginx" port_is_open "$nginx_port"

# ---- Python's http.server, with git's own program behind one of them ----
mkdir "$tmp/plain"
make_data "$tmp/plain/file" 3000000
plain_port=$(free_port)
start plain "$python" -m http.server --bind 127.0.0.1 --directory "$tmp/plain" "$plain_port"
wait_for "http.server" port_is_open "$plain_port"
cat >"$tmp/git.py" <<'PYTHON'
import http.server, os, subprocess, sys
class Git(http.server.BaseHTTPRequestHandler):
    def run(self):
        path, _, query = self.path.partition("?")
        env = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[2], GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
                   REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get("Content-Type", ""), REMOTE_ADDR="127.0.0.1",
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""), HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        self.send_response_only(200)  # HTTP/1.0, without a length: it ends with the connection
        self.wfile.write(b"".join(self._headers_buffer) + out)
    do_GET = do_POST = run
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Git)
open(sys.argv[1] + ".new", "w").write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
PYTHON
start git "$python" "$tmp/git.py" "$tmp/git.port" "$site"
started_file git "$tmp/git.port"

# ---- a WebSocket service ----
cat >"$tmp/echo.py" <<'PYTHON'
import asyncio, os, sys, websockets
async def echo(ws, *path):
    async for m in ws:
        if m == "leave":
            await ws.close(4001, "as you say")
        elif m == "die":
            os._exit(1)
        else:
            await ws.send(m)
async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        open(sys.argv[1] + ".new", "w").write(str(list(server.sockets)[0].getsockname()[1]))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        await asyncio.Future()
asyncio.run(main())
PYTHON
start echo "$python" "$tmp/echo.py" "$tmp/echo.port"
started_file echo "$tmp/echo.port"

start service python3 "$here/web_service.py" "$tmp/service.port"
started_file service "$tmp/service.port"

secrets
sed 's/"pi": "\([^"]*\)"/"pi": {"secret": "\1", "hosts": ["*"]}/' "$tmp/creds.json" >"$tmp/hosts.json"
begin_relay() {
	start_relay relay --credentials "$tmp/hosts.json" --http 127.0.0.1:0 --domain t.test --log-level info --drain 1s
	web_port=$(json "$tmp/relay.ready" 'd["http"][0]["port"]')
}
start_pi() {
	start_agent pi --log-level info --http "$nginx_port" --http "plain=$plain_port" --http "echo=$(cat "$tmp/echo.port")" \
		--http "git=$(cat "$tmp/git.port")" --http "service=$(cat "$tmp/service.port")"
}
begin_relay
start_pi
web() { curl -sS --max-time 120 --resolve "*:$web_port:127.0.0.1" "$@"; }
at() { echo "http://$1.t.test:$web_port"; }

# ---- a browser ----
: >"$tmp/nginx/access"
timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$tmp/chromium" \
	--host-resolver-rules="MAP *.t.test 127.0.0.1:$web_port" --dump-dom http://pi.t.test/page.html >"$tmp/dom" 2>"$tmp/chromium.err" ||
	fail "chromium"
has_line "$tmp/dom" "data-loaded=\"$ASSETS\"" || fail "chromium loaded: $(grep -o 'data-loaded="[^"]*"' "$tmp/dom")"
expect "requests for assets at nginx" "$ASSETS" "$(grep -c '^pi.t.test /asset[0-9]*\.[a-z]* 200' "$tmp/nginx/access")"

# ---- http.server ----
web "$(at plain)/file" >"$tmp/file.back" || fail "http.server's file"
same_files "$tmp/plain/file" "$tmp/file.back"
web "$(at plain)/" >"$tmp/listing" || fail "http.server's list"
has_line "$tmp/listing" 'href="file"' || fail "http.server lists $(cat "$tmp/listing")"

# ---- git, which asks for files, and which talks with git's own program ----
git_clone() { git -c http.proxy= -c "http.curloptResolve=$1.t.test:$web_port:127.0.0.1" clone -q "$(at "$1")/$2" "$tmp/$3" 2>"$tmp/clone.log" ||
	fail "git clone from $1: $(cat "$tmp/clone.log")"; }
for kind in "pi repo.git dumb" "git repo.git smart"; do
	# shellcheck disable=SC2086
	git_clone $kind
	expect "the clone (${kind##* })" "$(git -C "$tmp/work" rev-parse main)" "$(git -C "$tmp/${kind##* }" rev-parse main)"
	git -C "$tmp/${kind##* }" fsck --full 2>&1 | grep -v '^notice' >"$tmp/fsck" && fail "fsck: $(cat "$tmp/fsck")"
done

# ---- WebSockets ----
cat >"$tmp/ws.py" <<'PYTHON'
import asyncio, os, sys, websockets
port, die = int(sys.argv[1]), len(sys.argv) > 2
def dial():
    return websockets.connect("ws://echo.t.test/", host="127.0.0.1", port=port, max_size=None, open_timeout=60, ping_timeout=60)
async def one():
    async with dial() as ws:
        for n in (0, 1, 125, 126, 65535, 65536, 3000000):
            for m in (os.urandom(n), "x" * n):
                await ws.send(m)
                assert await ws.recv() == m, n
        await asyncio.wait_for(await ws.ping(), 60)
async def left():
    async with dial() as ws:
        await ws.send("leave")
        try:
            await ws.recv()
            raise SystemExit("the service did not leave")
        except websockets.ConnectionClosed as e:
            assert (e.rcvd.code, e.rcvd.reason) == (4001, "as you say"), e
async def dead():
    async with dial() as ws:
        await ws.send("die")
        try:
            await ws.recv()
            raise SystemExit("the service did not die")
        except websockets.ConnectionClosed as e:
            assert e.rcvd is None, e  # no Close: it was broken off
async def main():
    if die:
        return await dead()
    await asyncio.gather(*[one() for _ in range(8)])
    await left()
asyncio.run(main())
PYTHON
"$python" "$tmp/ws.py" "$web_port" || fail "WebSockets"
"$python" "$tmp/ws.py" "$web_port" die || fail "a WebSocket service that dies"

# ---- events: the next one is only sent when the one before it has been read ----
cat >"$tmp/events.py" <<'PYTHON'
import http.client, sys
port, host = int(sys.argv[1]), {"Host": "service.t.test"}
def get(path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("GET", path, headers=host)
    return c.getresponse()
events = get("/sse")
for i in range(3):
    assert events.readline() == b"data: %d\n" % i and events.readline() == b"\n", i
    assert get("/next").status == 200
assert events.read() == b""
PYTHON
python3 "$tmp/events.py" "$web_port" || fail "events"

# ---- what stops in the middle ----
for how in length chunks reset; do
	exit_code web -o "$tmp/part" "$(at service)/cut/$how"
	[ "$code" != 0 ] || fail "curl takes an answer that was cut ($how) for a whole one"
done
# begin_slow NAME - a download that has begun, and takes a minute.
begin_slow() {
	rm -f "$tmp/$1"
	start "$1" curl -sS --max-time 120 --resolve "*:$web_port:127.0.0.1" -o "$tmp/$1" "$(at pi)/slow/large"
	wait_for "a download" test -s "$tmp/$1"
}
ends_badly() {
	wait_for "$1 to end" is_dead "$1"
	stop "$1"
	[ "$code" != 0 ] || fail "$1: curl takes $(wc -c <"$tmp/$1") bytes for the whole file"
}
make_data "$site/large" 6000000
begin_slow service_dies
# shellcheck disable=SC2046
kill -KILL "$(pid_of nginx)" $(pgrep -P "$(pid_of nginx)")
ends_badly service_dies
stop nginx
start nginx "$(command -v nginx)" -p "$tmp/nginx" -e stderr -c "$tmp/nginx.conf"
wait_for "nginx" port_is_open "$nginx_port"
begin_slow agent_dies
stop pi KILL
ends_badly agent_dies
start_pi
begin_slow relay_dies
stop relay KILL
ends_badly relay_dies
stop pi
begin_relay
start_pi

# ---- much, in little memory ----
python3 -c 'import sys
for _ in range(int(sys.argv[1]) >> 16):
    sys.stdout.buffer.write(bytes(range(256)) * 256)' "$MUCH" >"$tmp/much"
before_relay=$(rss_kib relay) before_agent=$(rss_kib pi)
web "$(at service)/big/$MUCH" >"$tmp/much.back" || fail "the download"
same_files "$tmp/much" "$tmp/much.back"
for framing in "Content-Length: $MUCH" "Transfer-Encoding: chunked"; do
	expect "the upload ($framing)" "$(sum_of "$tmp/much") $MUCH" "$(web -H "$framing" -H 'Expect:' -T "$tmp/much" -X POST "$(at service)/hash")"
done
relay_kib=$(($(peak_kib relay) - before_relay)) agent_kib=$(($(peak_kib pi) - before_agent))
echo "memory beside $((MUCH >> 20)) MiB each way: relay + $relay_kib KiB, agent + $agent_kib KiB"
# What one identity may make them hold (--identity-memory), whatever passes.
[ -n "${TUNNEL_SAN:-}" ] || { [ "$relay_kib" -lt 65536 ] && [ "$agent_kib" -lt 65536 ]; } || fail "memory"
