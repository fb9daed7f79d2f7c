# SPDX-License-Identifier: Apache-2.0
"""Processes that are stopped as a whole: what has come meanwhile is in time, and
one that stays so is noticed under traffic."""

import time

from e2e import *

SHORT = ("--ping-interval", "300ms", "--pong-timeout", "200ms")


@contextlib.contextmanager
def stopped(process):
    """|process|, seen to be stopped, inside."""
    process.signal(signal.SIGSTOP)
    pid, status = os.waitpid(process.child.pid, os.WUNTRACED)
    check(pid == process.child.pid and os.WIFSTOPPED(status), "stopped")
    yield
    process.signal(signal.SIGCONT)


def keeps(folder):
    """Pings are due at once after each stop, and many are under way at the
    next; each stop is longer than interval and timeout."""
    with Listen(*SHORT) as node:
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(Listen("--dial", node.address))
                     for _ in range(4)]
            for peer in peers:
                peer.event("peer_added")
                node.event("peer_added")
            for _ in range(8):
                with stopped(node):
                    time.sleep(0.6)
            time.sleep(0.6)
            code, _, err = run("probe", node.address, "--count", "1")
            equal((code, err), (0, ""))
            gone = [event for event in node.events()
                    if event["event"] == "peer_removed"]
            equal(gone, [])


def notices(folder):
    """A receiver stops in the middle of a file, and stays so."""
    sparse_file(folder, "large", 1 << 30)
    with Listen("--out", os.path.join(folder, "in"), "--channel",
                "0x40=files", *ROOM) as node:
        with Send(node.address, os.path.join(folder, "large"),
                  *SHORT) as sender:
            sender.event("progress")
            with stopped(node):
                begin = time.monotonic()
                code = sender.exit()
                print(f"# noticed after {time.monotonic() - begin:.1f} s")
                check(code != 0, code)
                said = "".join(sender.seen) + sender.errors()
                check("reads nothing" in said or "pong" in said, said[-600:])


TESTS = [
    ("a node that is stopped for longer than its deadlines keeps its peers",
     keeps),
    ("a receiver that is stopped in the middle of a file is noticed", notices),
]

Tap().main(TESTS)
