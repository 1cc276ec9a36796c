#!/bin/sh
# SPDX-License-Identifier: ISC
# Every message of http-network-relay, whole and damaged, to our relay: other spellings do the same, what is damaged ends in a clean close or is passed
# over, the name can log in again at once, and another agent's stream notices nothing.
# limit: 300
. "$(dirname "$0")/lib.sh"

start_relay relay
start damaged /usr/bin/python3 "$here/hnr/damaged.py" relay "$relay_url"
code=0
wait "$(pid_of damaged)" || code=$?
tail -n 1 "$tmp/damaged.log"
expect "exit status of what tries them" 0 "$code"
kill -0 "$(pid_of relay)" || fail "the relay has ended"
