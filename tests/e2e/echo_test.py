# SPDX-License-Identifier: Apache-2.0
"""The roles echo and discard."""

from e2e import *

ROLES = ["--channel", "0x40:1=files", "--channel", "0x50:1=lines",
         "--channel", "0x60:1:8", "--channel", "0x61=discard", "--echo"]


def sizes(folder):
    with Listen(*ROLES) as node, RawPeer(node.address) as peer:
        for size in (0, 1, 1023, 1024, 1025, 65536, 4000000):
            message = hashlib.shake_128(b"%d" % size).digest(size)
            peer.send(ECHO, message)
            check(peer.recv(ECHO) == message, f"echo of {size} bytes")
            reported = node.event("message")
            equal((reported["channel"], reported["size"], reported["sha256"]),
                  (ECHO, size, sha256(message).hex()))
            equal(len(reported["id"]), 40)


def order(folder):
    """The peer sends 64 messages of 200 KB and reads none, so that the
    answers wait and the node stops reading; then all come back in order."""
    messages = [bytes([i]) * 200000 for i in range(64)]
    with Listen(*ROLES) as node, RawPeer(node.address, up=False,
                                         read=False) as peer:
        equal(peer.child.stdout.readline(), b"up\n")
        feeder = threading.Thread(
            target=lambda: [peer.send(ECHO, m) for m in messages])
        feeder.start()
        # The output of raw_peer is full long before; it is read only now.
        peer.start_reading()
        for message in messages:
            check(peer.recv(ECHO) == message, f"message {message[0]}")
        feeder.join()
        for _ in messages:
            node.event("message")


def discard(folder):
    with Listen(*ROLES) as node, RawPeer(node.address) as peer:
        peer.send(DISCARD, b"into the void")
        peer.send(ECHO, b"a mark")
        equal(peer.recv(), b"a mark")
        equal(node.event("message")["channel"], ECHO)


def by_option(folder, option, answered):
    """A channel without a role has that of the option."""
    with Listen("--channel", "0x60", "--channel", "0x61=echo",
                option) as node, RawPeer(node.address) as peer:
        peer.send(ECHO, b"one")
        peer.send(DISCARD, b"two")
        got = {peer.recv() for _ in range(2 if answered else 1)}
        equal(got, {b"one", b"two"} if answered else {b"two"})


def too_big(folder):
    with Listen("--channel", "0x60:1:8:1000=echo") as node, \
            RawPeer(node.address) as peer:
        peer.send(ECHO, bytes(1000))
        equal(peer.recv(ECHO), bytes(1000))
        peer.send(ECHO, bytes(5000))
        reported = node.event("peer_removed")
        equal((reported["reason"], reported["class"]), ("msgsize", "peer"))


def unknown_channel(folder):
    """raw_peer has channels that the node lacks; it may not use them."""
    with Listen("--channel", "0x60=echo") as node, \
            RawPeer(node.address) as peer:
        equal(node.event("peer_added")["channels"], "40506061")
        peer.send(DISCARD, b"x")
        peer.send(ECHO, b"y")
        equal(peer.recv(), b"y")


Tap().main([
    ("messages of all sizes come back", sizes),
    ("echoes wait for the peer, in order", order),
    ("discarded messages have no answer", discard),
    ("--echo is the role of channels without one", by_option, "--echo", True),
    ("--discard is the role of channels without one", by_option, "--discard",
     False),
    ("a message over the channel's limit ends the peer", too_big),
    ("channels are those of both", unknown_channel),
])
