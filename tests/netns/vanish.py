# SPDX-License-Identifier: Apache-2.0
"""A host that vanishes: two nodes in network namespaces, and the cable between
them is pulled.  Needs root and ip(8), and is skipped without."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "../e2e"))
from e2e import *  # noqa: E402

SHORT = ("--ping-interval", "1s", "--pong-timeout", "500ms")


def ip(*args):
    subprocess.run(["ip", *args], check=True, stderr=subprocess.PIPE)


class Cable:
    """Two namespaces, 10.98.0.1 in the near one and 10.98.0.2 in the far.  The
    kernel knows their hardware addresses, or it would find out by itself after
    some seconds that there is no route any more."""

    def __init__(self):
        self.near, self.far = (f"cmt{os.getpid()}{end}" for end in "nf")

    def __enter__(self):
        ip("netns", "add", self.near)
        ip("netns", "add", self.far)
        ip("-n", self.near, "link", "add", "cable", "type", "veth", "peer",
           "name", "cable", "netns", self.far)
        for number, space in ((1, self.near), (2, self.far)):
            ip("-n", space, "link", "set", "cable", "address",
               f"02:00:00:00:00:0{number}")
            ip("-n", space, "addr", "add", f"10.98.0.{number}/24", "dev",
               "cable")
            ip("-n", space, "link", "set", "cable", "up")
            ip("-n", space, "link", "set", "lo", "up")
        for number, space in ((2, self.near), (1, self.far)):
            ip("-n", space, "neigh", "replace", f"10.98.0.{number}", "lladdr",
               f"02:00:00:00:00:0{number}", "dev", "cable", "nud", "permanent")
        return self

    def __exit__(self, *_):
        for space in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", space], check=False)

    def pull(self):
        ip("-n", self.far, "link", "set", "cable", "down")


def run_in(space, *args):
    return Process(["ip", "netns", "exec", space, COMMAND, *args])


def far_node(cable, *args):
    node = run_in(cable.far, "listen", "--laddr", "10.98.0.2:26656", "--json",
                  *args)
    return node, node.event("ready")["id"] + "@10.98.0.2:26656"


def pulled(cable, node):
    """Pulls the cable: |node| misses a pong.  TCP alone would take minutes to
    report something, and something else."""
    begin = time.monotonic()
    cable.pull()
    event = node.event("peer_removed")
    took = time.monotonic() - begin
    print(f"# noticed after {took:.2f} s: {event['reason']}, {event['text']}")
    check(event["reason"] == "pong", event)


def idle(folder):
    with Cable() as cable:
        far, address = far_node(cable)
        with far, run_in(cable.near, "listen", "--laddr", "10.98.0.1:26656",
                         "--json", "--dial", address, *SHORT) as near:
            near.event("peer_added")
            pulled(cable, near)


def sending(folder):
    """A file that is too long to end goes out, as fast as it can or slowly."""
    sparse_file(folder, "large", 1 << 40)
    for rate in ("0", "1M"):
        with Cable() as cable:
            far, address = far_node(cable, "--out", f"{folder}/{rate}",
                                    "--channel", "0x40=files", *ROOM)
            with far, run_in(cable.near, "send", address, f"{folder}/large",
                             "--json", "--send-rate", rate, *SHORT) as near:
                for _ in range(3):
                    near.event("progress")
                pulled(cable, near)


def receiving(folder):
    """The other side reads, and what goes to it are receipts."""
    sparse_file(folder, "large", 1 << 40)
    with Cable() as cable:
        with run_in(cable.near, "listen", "--laddr", "10.98.0.1:26656",
                    "--json", "--out", f"{folder}/in", "--channel",
                    "0x40=files", *ROOM, *SHORT) as near:
            address = near.event("ready")["id"] + "@10.98.0.1:26656"
            with run_in(cable.far, "send", address, f"{folder}/large",
                        "--json") as sender:
                sender.event("progress")
                pulled(cable, near)


TESTS = [
    ("a vanished host is noticed when nothing is sent", idle),
    ("a vanished host is noticed while a file goes to it", sending),
    ("a vanished host is noticed while a file comes from it", receiving),
]


def missing():
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("ip") is None:
        return "no ip(8)"
    try:
        with Cable():
            return None
    except (OSError, subprocess.CalledProcessError):
        return "no network namespaces"


if reason := missing():
    for number, (name, *_) in enumerate(TESTS, 1):
        print(f"ok {number} - {name} # SKIP {reason}")
    print(f"1..{len(TESTS)}")
    sys.exit(0)
Tap().main(TESTS)
