# SPDX-License-Identifier: Apache-2.0
"""Rate limits of the command: a file takes as long as they imply, or longer."""

import os
import time

from e2e import *

SIZE = 200000
RATE = 200000
# The burst of a tenth of a second goes at once.
LEAST_S = (SIZE - RATE / 10) / RATE


def transfer(folder, listen, send):
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, "x", SIZE)
    with Listen("--out", out, *listen) as node:
        begin = time.monotonic()
        code, _, err = run("send", node.address, path, *send)
        took = time.monotonic() - begin
        equal((code, err), (0, ""))
        equal(node.event("done", file="x")["size"], SIZE)
    equal(file_hash(os.path.join(out, "x")), digest)
    return took


def sender_is_limited(folder):
    took = transfer(folder, [], ["--send-rate", str(RATE)])
    check(took >= LEAST_S, f"{took} s")


def receiver_is_limited(folder):
    took = transfer(folder, ["--recv-rate", str(RATE)], [])
    check(took >= LEAST_S, f"{took} s")


def other_direction_is_not(folder):
    """What these delay is a few acknowledgements, within the burst."""
    transfer(folder, ["--send-rate", "20k"], ["--recv-rate", "20k"])


def probe_accepts_them(folder):
    with Listen() as node:
        code, _, err = run("probe", node.address, "--count", "3",
                           "--send-rate", "10k", "--recv-rate", "10k")
        equal((code, err), (0, ""))


Tap().main([
    ("--send-rate limits the sender", sender_is_limited),
    ("--recv-rate limits the receiver", receiver_is_limited),
    ("the other direction is not limited", other_direction_is_not),
    ("a probe accepts both", probe_accepts_them),
])
