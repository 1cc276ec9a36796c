#!/bin/sh
# SPDX-License-Identifier: ISC
# Unmodified OpenSSH from end to end: by ProxyCommand, through -L and -D, with bytes that end in good order both ways.
. "$(dirname "$0")/lib.sh"

e2e_files
start_sshd
start_e2e_relay relay
start_e2e_agent pi --tcp "ssh=127.0.0.1:$sshd_port" --require-e2e

ssh_both_ways "$(e2e_command) %h ssh" 0 1 5000 30000000
