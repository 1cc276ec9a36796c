#!/bin/sh
# SPDX-License-Identifier: ISC
# `tunnel connect` works when standard input and output are files, pipes, sockets, a terminal, /dev/null or closed.
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent pi
start_tcp hash hash
make_data "$tmp/in" 200000
want="$(sum_of "$tmp/in") 200000"
nothing="$(sum_of /dev/null) 0"
hash_of() { connect pi 127.0.0.1 "$tcp_port"; }

hash_of <"$tmp/in" >"$tmp/out"
expect "file to file" "$want" "$(cat "$tmp/out")"
expect "pipe to pipe" "$want" "$(head -c 200000 "$tmp/in" | hash_of | cat)"
: >"$tmp/out"
hash_of <"$tmp/in" >>"$tmp/out"
expect "file to a file opened for appending" "$want" "$(cat "$tmp/out")"
expect "/dev/null in" "$nothing" "$(hash_of </dev/null)"
expect "closed in" "$nothing" "$(hash_of <&-)"
mkfifo "$tmp/fifo"
cat "$tmp/in" >"$tmp/fifo" &
expect "named pipe in" "$want" "$(hash_of <"$tmp/fifo")"

# What comes for a standard output that is closed is lost, and that is a failure; nothing is not.
hash_port=$tcp_port
code=0
hash_of <"$tmp/in" >&- 2>"$tmp/err.log" || code=$?
expect "exit status of closed out" 1 "$code"
has_line "$tmp/err.log" 'standard output: Bad file descriptor' || fail "it says: $(cat "$tmp/err.log")"
start_tcp quiet send /dev/null
connect pi 127.0.0.1 "$tcp_port" <"$tmp/in" >&- || fail "closed out, and nothing for it: exit status $?"
connect pi 127.0.0.1 "$tcp_port" <&- >&- || fail "both closed: exit status $?"
tcp_port=$hash_port
exit_code sh -c "'$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port <'$tmp/in' >/dev/full"
expect "exit status with a full disk" 1 "$code"
has_line "$tmp/err.log" "standard output: No space left" || fail "$(cat "$tmp/err.log")"
# While more comes the thread that writes is missed before its reason is known: one of the two is worth telling.
hash_port=$tcp_port
start_tcp echo echo
exit_code sh -c "'$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port </dev/zero >/dev/full"
tcp_port=$hash_port
expect "exit status with a full disk and more to come" 1 "$code"
expect "what is told of a full disk" "standard output: No space left on device" "$(sed 's/.*error: //' "$tmp/err.log")"

# A socket for both, as inetd gives it.
python3 - "$TUNNEL_BIN" "$relay_url" "$tmp" "$tcp_port" "$want" <<'PYTHON'
import socket, subprocess, sys
binary, url, tmp, port, want = sys.argv[1:]
a, b = socket.socketpair()
p = subprocess.Popen([binary, "connect", "--relay", url, "--secret-file", tmp + "/client.secret", "pi", "127.0.0.1", port],
                     stdin=b, stdout=b)
b.close()
a.sendall(open(tmp + "/in", "rb").read())
a.shutdown(socket.SHUT_WR)
got = b""
while True:
    d = a.recv(65536)
    if not d:
        break
    got += d
assert got.decode().strip() == want, got
assert p.wait(20) == 0
PYTHON

# What cannot be read is no end of file: a directory. The service must not take what it has for the whole either.
exit_code connect pi 127.0.0.1 "$tcp_port" </
expect "a directory as standard input" 1 "$code"
has_line "$tmp/err.log" 'standard input: Is a directory' || fail "it does not say what it could not read: $(cat "$tmp/err.log")"
# Broken, or not even made: the target may take longer than the failure.
wait_for "the stream to break" has_line "$tmp/pi.log" ': connection reset Connection reset\|closed by peer: connection reset'
expect "what a service answers to half an upload" "" "$(cat "$tmp/out")"

# A terminal: its flags are as before, because the shell goes on using it.
start_tcp another echo
python3 - "$TUNNEL_BIN" "$relay_url" "$tmp" "$tcp_port" <<'PYTHON'
import fcntl, os, pty, sys, termios
binary, url, tmp, port = sys.argv[1:]
master, slave = pty.openpty()
attrs = termios.tcgetattr(slave)
attrs[3] &= ~termios.ECHO
termios.tcsetattr(slave, termios.TCSANOW, attrs)
# As it comes, and as another program may have left it.
for left in 0, os.O_NONBLOCK:
    flags = fcntl.fcntl(slave, fcntl.F_GETFL) | left
    fcntl.fcntl(slave, fcntl.F_SETFL, flags)
    pid = os.fork()
    if pid == 0:
        for fd in (0, 1):
            os.dup2(slave, fd)
        os.execv(binary, [binary, "connect", "--relay", url, "--secret-file", tmp + "/client.secret", "pi", "127.0.0.1", port])
    # More than a terminal holds, as it takes lines; the answer is read late, so that it fills the other way.
    sent = b""
    for i in range(300):
        line = b"%05d" % i + b"x" * 90 + b"\n"
        os.write(master, line)
        sent += line
    got = b""
    while len(got) < len(sent) + 300:
        got += os.read(master, 1000)
    assert got.replace(b"\r", b"") == sent, got
    os.write(master, b"\x04")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert fcntl.fcntl(slave, fcntl.F_GETFL) == flags, "the terminal's flags were changed"
PYTHON

# A terminal that was stopped takes nothing for ever: a signal ends the program all the same.
make_data "$tmp/much" 5000000
start_tcp much send "$tmp/much"
python3 - "$TUNNEL_BIN" "$relay_url" "$tmp" "$tcp_port" <<'PYTHON'
import pty, select, signal, subprocess, sys, time
binary, url, tmp, port = sys.argv[1:]
master, slave = pty.openpty()
p = subprocess.Popen([binary, "connect", "--relay", url, "--secret-file", tmp + "/client.secret", "pi", "127.0.0.1", port],
                     stdin=subprocess.PIPE, stdout=slave)
deadline = time.monotonic() + 60
while select.select([], [slave], [], 0)[1]:
    assert time.monotonic() < deadline, "the terminal never fills"
    time.sleep(0.01)
p.send_signal(signal.SIGTERM)
assert p.wait(30) == 1, p.returncode
PYTHON
