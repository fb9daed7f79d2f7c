# SPDX-License-Identifier: Apache-2.0
"""Processes that are stopped as a whole: what has come meanwhile is in time, and
one that stays so is noticed under traffic."""

from e2e import *


@contextlib.contextmanager
def stopped(process):
    """|process|, seen to be stopped, inside."""
    process.signal(signal.SIGSTOP)
    pid, status = os.waitpid(process.child.pid, os.WUNTRACED)
    check(pid == process.child.pid and os.WIFSTOPPED(status), "stopped")
    yield
    process.signal(signal.SIGCONT)


def unread(column, port):
    """The bytes that lie in connected sockets whose local (|column| 1) or
    remote (2) port is |port|."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return sum(int(row[4].split(":")[1], 16) for row in rows
               if row[3] == "01" and int(row[column].split(":")[1], 16) == port)


def keeps(folder):
    """The pong comes while the node is stopped, which lasts for longer than
    a pong may need: others dial it in vain meanwhile.  The next ping would be
    due when the test is over, so that no peer that is slow to answer it ends."""
    pong_s = 8  # So soon the node has to be stopped behind its ping.
    with Listen("--ping-interval", "10s", "--pong-timeout",
                f"{pong_s}s") as node:
        with Listen("--dial", node.address) as peer:
            node.event("peer_added", id=peer.id)
            peer.event("peer_added")
            with contextlib.ExitStack() as stack:
                with stopped(peer):
                    soon(lambda: unread(2, node.port) > 0, "no ping")
                    stack.enter_context(stopped(node))
                    late = time.monotonic() + pong_s
                soon(lambda: unread(1, node.port) > 0, "no pong")
                while time.monotonic() <= late:
                    socket.create_connection(("127.0.0.1", node.port)).close()
                    select.select([], [], [], 0.2)
            code, _, err = run("probe", node.address, "--count", "1")
            equal((code, err), (0, ""))
            node.signal(signal.SIGTERM)
            equal(node.exit(), 0)
            gone = [event for event in node.events()
                    if event["event"] == "peer_removed"
                    and event["id"] == peer.id]
            equal([event["reason"] for event in gone], ["canceled"], gone)


def notices(folder):
    """A receiver stops in the middle of a file, and stays so."""
    sparse_file(folder, "large", 1 << 40)
    with Listen("--out", os.path.join(folder, "in"), "--channel",
                "0x40=files", *ROOM) as node:
        with Send(node.address, os.path.join(folder, "large"),
                  "--ping-interval", "2s", "--pong-timeout", "1s") as sender:
            sender.event("progress")
            with stopped(node):
                check(sender.exit() != 0, "it went on")
                said = "".join(sender.seen) + sender.errors()
                check("reads nothing" in said or "pong" in said, said[-600:])


TESTS = [
    ("a node that is stopped for longer than its deadlines keeps its peer",
     keeps),
    ("a receiver that is stopped in the middle of a file is noticed", notices),
]

Tap().main(TESTS)
