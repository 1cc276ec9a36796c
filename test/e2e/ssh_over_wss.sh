#!/bin/sh
# SPDX-License-Identifier: ISC
# OpenSSH over wss with the relay's own self-signed certificate, trusted by --ca or by --pin.
. "$(dirname "$0")/lib.sh"

start_sshd
make_cert relay localhost 127.0.0.1 ::1
start_relay relay --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key"
start_agent pi --ca "$tmp/relay.pem" --tcp "ssh=127.0.0.1:$sshd_port"
pin=$(grep -o 'sha256//[A-Za-z0-9+/=]*' "$tmp/relay.keygen.log")
ssh_both_ways "$TUNNEL_BIN connect --relay $relay_url --secret-file $tmp/client.secret --pin $pin %h ssh" 1 30000000
