# SPDX-License-Identifier: Apache-2.0
"""`--wire legacy`: files, lines and pings between two nodes of that profile,
and two profiles that meet: both report it."""

from e2e import *

FOREIGN = "peer seems to speak another wire profile"
WIRES = ("cometbft", "legacy")


def files_and_lines(folder):
    path, digest = make_file(folder, "file.bin", 3_000_000)
    out = os.path.join(folder, "out")
    os.mkdir(out)
    lines = os.path.join(folder, "lines")
    with open(lines, "w") as f:
        f.writelines(f"line {i}\n" for i in range(200))
    with Listen("--wire", "legacy", "--out", out) as node, \
            Send(node.address, path, "--lines", lines,
                 "--wire", "legacy") as sender:
        for i in range(200):
            equal(node.event("line")["text"], f"line {i}")
        equal(sender.exit(), 0)
        got = sender.events()[-1]
        equal((got["event"], got["files"], got["lines"],
               got["answered"]), ("summary", 1, 200, 200))
    equal(file_hash(os.path.join(out, "file.bin")), digest)


def odd_packets(folder):
    """The sizes of packets are options of each side, as in the other
    profile."""
    path, digest = make_file(folder, "file.bin", 500_000)
    out = os.path.join(folder, "out")
    os.mkdir(out)
    with Listen("--wire", "legacy", "--out", out, "--max-packet-payload",
                "4000") as node:
        code, _, err = run("send", node.address, path, "--wire", "legacy",
                           "--max-packet-payload", "4000")
        equal((code, err), (0, ""))
        equal(file_hash(os.path.join(out, "file.bin")), digest)


def probe(folder):
    with Listen("--wire", "legacy") as node:
        code, out, err = run("probe", node.address, "--wire", "legacy",
                             "--json")
        equal((code, err), (0, ""))
        got = json.loads(out)
        equal((got["event"], got["id"], len(got["rtt_ms"])),
              ("probe", node.id, 1))
        code, out, _ = run("probe", node.address, "--wire", "legacy",
                           "--count", "0")
        equal((code, "ping " in out), (0, False))


def pings_are_spaced(folder):
    """Two pings are half an interval apart, or the second has no answer."""
    with Listen("--wire", "legacy", "--ping-interval", "2s") as node:
        begin = time.monotonic()
        code, out, err = run("probe", node.address, "--wire", "legacy",
                             "--ping-interval", "2s", "--count", "3",
                             "--json")
        equal((code, err), (0, ""))
        equal(len(json.loads(out)["rtt_ms"]), 3)
        check(time.monotonic() - begin >= 2, "too fast")


def one_ping_too_many(folder):
    """A second ping that is too close stays without an answer."""
    with Listen("--wire", "legacy") as node:
        code, _, err = run("probe", node.address, "--wire", "legacy",
                           "--ping-interval", "800ms", "--count", "2")
        equal(code, 1)
        check("no pong within the timeout" in err, err)


def idle(folder):
    """Pings keep two idle nodes together."""
    times = ("--wire", "legacy", "--ping-interval", "1600ms",
             "--pong-timeout", "1500ms", "--channel", "0x50=lines")
    with Listen(*times) as node, Relay(node.port) as relay, \
            Send(node.at(relay.port), "--lines", "-", *times) as sender:
        node.event("peer_added")
        relay.idle(4)
        sender.write(b"still there\n")
        equal(node.event("line")["text"], "still there")
        sender.close_input()
        equal(sender.exit(), 0)


def mixed_send(folder, ours, theirs):
    with Listen("--wire", ours) as node, \
            Send(node.address, "--lines", "-", "--wire", theirs) as sender:
        node.event("peer_added")
        sender.write(b"hello\n")
        for process in (sender, node):
            got = process.event("peer_removed")
            equal((got["class"], got["reason"], got["text"]),
                  ("peer", "proto", FOREIGN))
        equal(sender.exit(), 1)
        check(FOREIGN in sender.errors(), sender.errors())


def mixed_probe(folder, ours, theirs):
    with Listen("--wire", ours) as node:
        code, out, err = run("probe", node.address, "--wire", theirs,
                             "--json")
        got = json.loads(out)
        equal((code, got["event"], got["stage"], got["class"],
               got["reason"], got["text"]),
              (1, "rejected", "up", "peer", "proto", FOREIGN))
        equal(err.count("\n"), 1)
        equal(node.event("peer_removed")["text"], FOREIGN)


def mixed_dial(folder):
    """The listening side speaks first."""
    with Listen("--wire", "legacy", "--ping-interval", "1s") as node, \
            Listen("--dial", node.address) as dialer:
        for process in (node, dialer):
            equal(process.event("peer_removed")["text"], FOREIGN)


def bad_value(folder):
    for verb in (["listen"], ["send", "x"], ["probe", "x"]):
        code, out, err = run(*verb, "--wire", "amino")
        equal((code, out), (2, ""))
        equal(err, f"cometp2p {verb[0]}: --wire 'amino': expected cometbft or "
                   f"legacy (see cometp2p {verb[0]} --help)\n")


Tap().main([
    ("files and lines", files_and_lines),
    ("packets of other sizes", odd_packets),
    ("a probe sends one ping", probe),
    ("more pings are half an interval apart", pings_are_spaced),
    ("a ping that is too close has no answer", one_ping_too_many),
    ("idle nodes stay together", idle),
    *[(f"listen {ours}, send {theirs}: both report it", mixed_send, ours, theirs)
      for ours, theirs in (WIRES, WIRES[::-1])],
    *[(f"listen {ours}, probe {theirs}: both report it", mixed_probe, ours,
       theirs) for ours, theirs in (WIRES, WIRES[::-1])],
    ("the side that listens speaks first: both report it", mixed_dial),
    ("another word is refused", bad_value),
])
