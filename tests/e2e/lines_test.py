# SPDX-License-Identifier: Apache-2.0
"""Lines and their receipts; output that nobody reads."""

import os
import struct

from e2e import *


def line(seq, text):
    return struct.pack("<BQ", 1, seq) + text


def receipt(seq):
    return struct.pack("<BQ", 2, seq)


def from_stdin(folder):
    """Each line leaves when it is there, not when the input ends."""
    with Listen() as node, Send(node.address, "--lines", "-") as sender:
        for seq, text in enumerate(["hello", "", "with \u00fc and \"quotes\""]):
            sender.write(text.encode() + b"\n")
            got = sender.event("receipt")
            equal(got["seq"], seq + 1)
            check(0 < got["rtt_ms"] < LIMIT * 1000, got)
            equal(node.event("line")["text"], text)
        sender.write(b"no line break")
        sender.close_input()
        equal(node.event("line")["text"], "no line break")
        equal(sender.exit(), 0)
        equal(sender.errors(), "")
        summary = sender.events()[-1]
        equal((summary["event"], summary["lines"], summary["answered"]),
              ("summary", 4, 4))


def from_file(folder):
    path = os.path.join(folder, "lines")
    with open(path, "w") as f:
        f.writelines(f"line {i}\n" for i in range(20000))
    with Listen() as node, Send(node.address, "--lines", path) as sender:
        for i in range(20000):
            equal(node.event("line")["text"], f"line {i}")
        equal(sender.exit(), 0)
        receipts = [e["seq"] for e in sender.events()
                    if e["event"] == "receipt"]
        equal(receipts, list(range(1, 20001)))


def empty_input(folder):
    with Listen() as node:
        code, out, err = run("send", node.address, "--lines", "-")
        equal((code, err), (0, ""))


def with_files(folder):
    """Lines go on while a file flows, and the file waits for no line."""
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, "x", 20000000)
    with Listen("--out", out) as node, \
            Send(node.address, path, "--lines", "-") as sender:
        sender.write(b"before\n")
        sender.event("done")
        sender.write(b"after\n")
        sender.close_input()
        equal(sender.exit(), 0)
        equal([e["seq"] for e in sender.events() if e["event"] == "receipt"],
              [1, 2])
        equal(file_hash(os.path.join(out, "x")), digest)


def escaped(folder):
    """What a peer sends cannot steer a terminal."""
    with Process([COMMAND, "listen", "--laddr", "127.0.0.1:0"]) as node:
        address = node.line().removeprefix("listening on ")
        with RawPeer(address) as peer:
            peer.send(LINES, line(1, b"\x1b[2J\xff\\ \n ok"))
            equal(peer.recv(LINES), receipt(1))
            text = node.until(lambda l: "ok" in l)
            check(text.endswith(": \\x1b[2J\\xff\\\\ \\x0a ok"), text)


def escaped_json(folder):
    with Listen() as node, RawPeer(node.address) as peer:
        for seq, (sent, got) in enumerate([
                (b"\x1b[2J \x00", "\x1b[2J \0"), (b"\xff\\", "\\xff\\\\"),
                ("\u20ac".encode(), "\u20ac")]):
            peer.send(LINES, line(seq, sent))
            raw = node.until(lambda l: '"line"' in l)
            check(raw.isascii() and raw.isprintable(), raw)
            equal(json.loads(raw)["text"], got)


def too_long(folder):
    with Listen() as node, Send(node.address, "--lines", "-", "--channel",
                                "0x50:1:8:100=lines") as sender:
        sender.write(b"a" * 92 + b"\n" + b"b" * 91 + b"\n")
        error = sender.event("error")
        equal((error["reason"], error["class"], error["id"], error["file"]),
              ("toobig", "caller", node.id, None))
        check("0x50" in error["text"] and "91" in error["text"], error)
        equal(sender.event("receipt")["seq"], 1)
        sender.close_input()
        equal(sender.exit(), 1, "exit code")
        equal(sender.errors().count("\n"), 1)
        equal(node.event("line")["text"], "b" * 91)


def unanswered(folder):
    with RawPeer() as peer, Send(peer.address, "--lines", "-") as sender:
        sender.write(b"one\ntwo\n")
        equal(peer.recv(LINES), line(1, b"one"))
        equal(peer.recv(LINES), line(2, b"two"))
        peer.send(LINES, receipt(2))
        peer.send(LINES, receipt(1))
        equal(sender.event("receipt")["seq"], 1, "only the next one counts")
        sender.close_input()
        peer.close_input()
        error = sender.event("error")
        check("1 of 2 lines answered" in error["text"], error)
        equal(sender.exit(), 1)


def bad_message(folder, message):
    with Listen() as node, RawPeer(node.address) as peer:
        peer.send(LINES, message)
        equal(node.event("peer_removed")["reason"], "proto")
        peer.gone()


def unread_receipts(node, sender):
    """How many receipts there are before nothing moves, as nobody reads."""
    last = sender.event("receipt")["seq"]
    at_rest([node.child, sender.child], sender.lines.qsize)
    while not sender.lines.empty():
        last = json.loads(sender.line()).get("seq", last)
    return last


def not_read(folder):
    """While nobody reads the output the sender waits, and nothing is lost;
    another reader of the same node would not see the difference."""
    count = 60000
    path = os.path.join(folder, "lines")
    with open(path, "w") as f:
        f.writelines(f"{i:064}\n" for i in range(count))
    with Listen(read=False) as node, Send(node.address, "--lines",
                                          path) as sender:
        # The pipe, the queue and the socket hold far less than all lines.
        last = unread_receipts(node, sender)
        check(last < count, f"{last} receipts of {count}")
        node.start_reading()
        for i in range(count):
            equal(node.event("line")["text"], f"{i:064}")
        equal(sender.exit(), 0)


def not_read_and_stopped(folder):
    path = os.path.join(folder, "lines")
    with open(path, "w") as f:
        f.writelines(f"{i:064}\n" for i in range(60000))
    with Listen(read=False) as node, Send(node.address, "--lines",
                                          path) as sender:
        unread_receipts(node, sender)
        node.signal(signal.SIGTERM)
        equal(node.exit(), 0, "exit code")
        equal(sender.exit(), 1)


def closed_output(folder):
    """A reader that is gone ends the node, without a word."""
    with Listen(read=False) as node:
        node.child.stdout.close()
        code, _, _ = run("send", node.address, "--lines", "-", stdin=b"x\n")
        equal(node.exit(), 1)
        equal(node.errors(), "")


def closed_output_of_send(folder):
    path = sparse_file(folder, "long", 1 << 40)
    with Listen("--out", os.path.join(folder, "out"), *ROOM) as node, \
            Send(node.address, path, read=False) as sender:
        sender.child.stdout.close()
        equal(sender.exit(), 1)
        equal(sender.errors(), "")


def no_such_file(folder):
    code, out, err = run("send", "1" * 40 + "@127.0.0.1:1", "--lines",
                         os.path.join(folder, "none"))
    equal((code, out, err.count("\n")), (1, "", 1))


Tap().main([
    ("lines of a pipe leave as they come", from_stdin),
    ("20000 lines of a file arrive in order", from_file),
    ("no line at all is a success", empty_input),
    ("lines and a file at the same time", with_files),
    ("lines are escaped for people", escaped),
    ("lines are ASCII in JSON", escaped_json),
    ("a line that is too long is reported, others pass", too_long),
    ("lines that nobody answered fail", unanswered),
    ("an empty message ends the peer", bad_message, b""),
    ("an unknown message ends the peer", bad_message, b"\3" + bytes(8)),
    ("a receipt that is too long ends the peer", bad_message,
     b"\2" + bytes(9)),
    ("output that nobody reads pauses the sender", not_read),
    ("a node whose output nobody reads ends in time", not_read_and_stopped),
    ("a node whose output was closed ends", closed_output),
    ("send ends when its output was closed", closed_output_of_send),
    ("a missing file of lines is reported", no_such_file),
])
