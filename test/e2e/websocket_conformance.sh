#!/bin/sh
# SPDX-License-Identifier: ISC
# The WebSocket filter keeps every rule of RFC 6455, asked over real sockets and by an implementation of others.
# limit: 180
set -eu

# The distribution's own interpreter: python3-websockets belongs to it.
python=/usr/bin/python3
"$python" -c 'import websockets' || {
	echo "python3-websockets is missing: run 'make deps'" >&2
	exit 1
}
exec "$python" "$(dirname "$0")/ws_conformance.py" "$TUNNEL_TOOLS/ws_echo"
