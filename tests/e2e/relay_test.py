# SPDX-License-Identifier: Apache-2.0
"""What the network sees of a connection, and what it can do to it."""

import os

from e2e import *

KEY_MESSAGE = 35  # The ephemeral key, in clear: 0x22 0x0a 0x20 and 32 bytes.
MARKER = b"THIS-MARKER-MUST-NOT-BE-SEEN"


def secret_file(folder):
    path = os.path.join(folder, "secret")
    with open(path, "wb") as f:
        f.write(MARKER * 20000)
    return path


def frames_only(folder):
    out = os.path.join(folder, "out")
    path = secret_file(folder)
    with Listen("--out", out) as node, Relay(node.port) as relay:
        with Send(node.at(relay.port), path, "--lines", "-") as sender:
            sender.write(MARKER + b"\n")
            sender.close_input()
            equal(sender.exit(), 0, "exit code")
        node.event("peer_removed")
        relay.ended()
        for direction in relay.seen:
            equal(bytes(direction[:3]), b"\x22\x0a\x20", "first bytes")
            sealed = len(direction) - KEY_MESSAGE
            equal(sealed % FRAME, 0, f"{len(direction)} bytes")
            check(sealed >= 2 * FRAME, sealed)
            for part in (MARKER, b"MARKER", b"secret", node.id.encode(),
                         b"cometp2p"):
                check(part not in direction, part)
        check(len(relay.seen[0]) > 20000 * len(MARKER), "the file passed")


def flipped_key(folder, direction, offset):
    """Neither side authenticates the other when a key was changed."""
    path = secret_file(folder)
    with Listen() as node, \
            Relay(node.port, flip=(direction, offset)) as relay, \
            Send(node.at(relay.port), path) as sender:
        equal(sender.exit(), 1, "exit code")
        ours, theirs = sender.events()[-1], node.event("rejected")
        for got, outbound in ((ours, True), (theirs, False)):
            equal((got["event"], got["reason"], got["class"],
                   got["stage"], got["outbound"]),
                  ("rejected", "auth", "peer", "secret_connection", outbound))


def flipped_frame(folder, direction, offset, *stages):
    """A changed frame is found by the side that receives it, which gives no
    byte of it to anyone."""
    out = os.path.join(folder, "out")
    path = secret_file(folder)
    with Listen("--out", out) as node, \
            Relay(node.port, flip=(direction, offset)) as relay, \
            Send(node.at(relay.port), path) as sender:
        equal(sender.exit(), 1, "exit code")
        node_end = json.loads(node.until(
            lambda l: json.loads(l)["event"] in ("rejected", "peer_removed")))
        sender_end = next(e for e in sender.events()
                          if e["event"] in ("rejected", "peer_removed"))
        hit, other = (node_end, sender_end) if direction == 0 else (
            sender_end, node_end)
        equal((hit["reason"], hit["class"]), ("auth", "peer"))
        # Frames that arrive together are opened together, so that a bad one
        # may end the connection in the stage before its own.
        if "stage" in hit:
            check(hit["stage"] in stages, hit)
        check(other["reason"] in ("eof", "reset"), other)
        node.signal(signal.SIGINT)
        equal(node.exit(), 0)
        equal(names(out), [], "files")


Tap().main([
    ("35 clear bytes each way, then whole frames; nothing shows", frames_only),
    ("the dialer's key: first byte flipped", flipped_key, 0, 3),
    ("the dialer's key: a byte in the middle flipped", flipped_key, 0, 20),
    ("the listener's key: first byte flipped", flipped_key, 1, 3),
    ("the listener's key: a byte in the middle flipped", flipped_key, 1, 20),
    ("the dialer's signature flipped", flipped_frame, 0, 35 + 50,
     "secret_connection"),
    ("the listener's signature flipped", flipped_frame, 1, 35 + 50,
     "secret_connection"),
    ("the dialer's node info flipped", flipped_frame, 0, 35 + 1044 + 9,
     "secret_connection", "node_info"),
    ("the listener's node info flipped", flipped_frame, 1, 35 + 1044 + 9,
     "secret_connection", "node_info"),
    ("a frame of the file flipped", flipped_frame, 0, 35 + 1044 * 100 + 7),
    ("the tag of a frame of the file flipped", flipped_frame, 0,
     35 + 1044 * 200 - 1),
    ("an answer's frame flipped", flipped_frame, 1, 35 + 1044 * 2 + 500),
])
