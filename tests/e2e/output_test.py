# SPDX-License-Identifier: Apache-2.0
"""What peers and strangers make a node print while nobody reads it."""

import os
import struct

from e2e import *

RELEASED = os.path.join(ARGUMENTS.release or ARGUMENTS.build, "cometp2p")


class Unread(Process):
    """A node, built without sanitizers so that its memory can be measured,
    whose output nobody reads until a test does."""

    def __init__(self, *args, json_lines=True, **options):
        flags = ["--json"] if json_lines else []
        super().__init__([RELEASED, "listen", "--laddr", "127.0.0.1:0",
                          *flags, *args], read=False, **options)
        line = self.child.stdout.readline().decode()
        if json_lines:
            self.ready = json.loads(line)
            self.address = f"{self.ready['id']}@{self.ready['laddr']}"
        else:
            self.address = line.split()[-1]
        self.port = int(self.address.rsplit(":", 1)[1])

    def peak(self):
        """The most memory that it had so far, in MiB."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as f:
            row = next(line for line in f if line.startswith("VmHWM"))
        return int(row.split()[1]) / 1024


class Flood:
    """|peer| sends |messages| on |channel|, in a thread."""

    def __init__(self, peer, channel, messages):
        self.sent = 0
        self.peer = peer
        self.thread = threading.Thread(
            target=self._run, args=(channel, messages), daemon=True)
        self.thread.start()

    def moves(self):
        """Whether it goes on: it is not over, and the pipe to the peer has
        room."""
        return self.thread.is_alive() and select.select(
            [], [self.peer.child.stdin], [], 0)[1] != []

    def _run(self, channel, messages):
        with contextlib.suppress(OSError):
            for message in messages:
                self.peer.send(channel, message)
                self.sent += 1


def stall(node, *floods):
    """Waits until nothing moves any more between the floods and the process
    |node|; how many were sent in all."""
    def moved():
        return sum(f.sent for f in floods), any(f.moves() for f in floods)

    sent, moves = at_rest([node, *(f.peer.child for f in floods)], moved)
    check(not moves, "nobody reads and nobody writes")
    return sent


def text_line(seq, text):
    return struct.pack("<BQ", 1, seq) + text


def offers(folder):
    """Refused offers pause who makes them, and each of them is reported."""
    count = 30000
    name = b"\1" * 200
    messages = (offer(i, 1, b"%05d" % i + name) for i in range(1, count + 1))
    with Unread() as node, RawPeer(node.address) as peer:
        before = node.peak()
        flood = Flood(peer, FILES, messages)
        sent = stall(node.child, flood)
        check(sent < count, "the peer was not paused")
        # As JSON all of them would be 40 MiB, and those sent are some.
        grown = node.peak() - before
        check(grown < 16, f"{grown} MiB for {sent} offers")
        node.start_reading()
        for i in range(1, count + 1):
            error = node.event("error")
            check(error["file"].startswith(f"{i:05}"), error["file"][:9])
        flood.thread.join(LIMIT)
        equal(flood.sent, count)


def offers_for_people(folder):
    """Their errors go to standard error, which nobody reads either."""
    count = 60000
    near, far = os.pipe()
    child = subprocess.Popen(
        [RELEASED, "listen", "--laddr", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=far)
    os.close(far)
    address = child.stdout.readline().decode().split()[-1]
    name = b"n" * 200
    try:
        with RawPeer(address) as peer:
            flood = Flood(peer, FILES, (offer(i, 1, name) for i in
                                        range(1, count + 1)))
            check(stall(child, flood) < count, "the peer was not paused")
            with os.fdopen(near, "rb") as reader:
                for _ in range(count):
                    check(b"stores no files" in reader.readline(), "a line")
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def long_lines(folder):
    """Sixteen peers with lines of 64 KiB of control characters, which JSON
    makes six times as long."""
    peers, count = 16, 40
    lines = {i: [b"%02d" % i + b"\1" * 65534] * count for i in range(peers)}
    with Unread() as node, contextlib.ExitStack() as stack:
        before = node.peak()
        floods = []
        for i in range(peers):
            peer = stack.enter_context(RawPeer(node.address))
            floods.append(Flood(peer, LINES, [
                text_line(seq + 1, text) for seq, text in
                enumerate(lines[i])]))
        check(stall(node.child, *floods) < peers * count, "not paused")
        grown = node.peak() - before
        check(grown < 64, f"{grown} MiB")
        node.start_reading()
        got = [0] * peers
        for _ in range(peers * count):
            text = node.event("line")["text"]
            got[int(text[:2])] += 1
            equal(text[2:], "\1" * 65534)
        equal(got, [count] * peers)


def friend_beside_a_flood(folder):
    """The lines of another peer get through a slow reader in their turn."""
    with Unread() as node, RawPeer(node.address) as loud:
        flood = Flood(loud, LINES, (text_line(i, b"x" * 3000)
                                    for i in range(1, 5000)))
        check(stall(node.child, flood) < 4999, "not paused")
        # Under its floor the friend is not even paused: it has its receipt.
        code, _, err = run("send", node.address, "--lines", "-",
                           stdin=b"a friend\n")
        equal((code, err), (0, ""))
        node.start_reading()
        node.event("line", text="a friend")


def longest_line(folder):
    """A line of 64 KiB passes; one byte more is refused by who sends it, and
    ends who sends it all the same."""
    good, bad = b"g" * 65536, b"b" * 65537
    with Listen() as node:
        code, out, err = run("send", node.address, "--lines", "-",
                             stdin=good + b"\n" + bad + b"\nshort\n")
        equal((code, err), (1, "cometp2p: a line is too long for channel "
                            "0x50: at most 65536 bytes\n"))
        equal(node.event("line")["text"], good.decode())
        equal(node.event("line")["text"], "short")
        with RawPeer(node.address) as peer:
            peer.send(LINES, text_line(1, bad))
            gone = node.event("peer_removed", reason="msgsize")
            equal(gone["class"], "peer")
            peer.gone()


def strangers(folder, json_lines):
    """A few of a second are printed, the others counted, and none is lost."""
    count, a_second = 400, 5
    with Unread(json_lines=json_lines) as node:
        node.start_reading()
        begun = time.monotonic()
        for _ in range(count):
            with socket.create_connection(("127.0.0.1", node.port)):
                pass
        reported = seen = 0
        while reported + seen < count:
            line = node.line()
            if json_lines:
                event = json.loads(line)
                reported += event["event"] == "rejected"
                seen += event.get("count", 0)
            elif line.startswith("and "):
                seen += int(line.split()[1].replace(",", ""))
                check(line.endswith(" more rejected"), line)
            else:
                reported += line.startswith("rejected ")
        equal(reported + seen, count)
        most = a_second * (time.monotonic() - begun + 1)
        check(reported <= most, f"{reported} lines of {count}, at most {most}")
        node.signal(signal.SIGTERM)
        equal(node.exit(), 0)


def peers_that_come_and_go(folder):
    """Who comes is reported, and when nobody reads that any more, nobody may
    come."""
    args = [RELEASED, "probe", "--network", "cometp2p", "--count", "1",
            "--moniker", '"' * 9500]
    with Unread("--log-level", "debug") as node:
        refused_ones = 0
        for _ in range(100):
            probes = [subprocess.Popen(
                [*args, node.address], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL) for _ in range(8)]
            refused_ones = sum(p.wait(LIMIT) != 0 for p in probes)
            if refused_ones > 0:
                break
        check(refused_ones > 0, "all may come")
        check(node.peak() < 64, f"{node.peak()} MiB")
        node.start_reading()
        check(node.event("rejected_unseen")["count"] >= refused_ones,
              "the count")
        check("our output is not read" in node.errors(), "the reason")
        soon(lambda: subprocess.run(
            [*args, node.address], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=LIMIT).returncode == 0,
            "nobody may come though all was read")


def peers_that_leave_lines(folder):
    """What a peer left when it went counts until it was read: those who come
    after it cannot leave as much again."""
    lines = [text_line(i, b"\1" * 65000) for i in range(1, 200)]
    # A peer that is not read is found gone by the next ping.
    with Unread("--log-level", "debug", "--ping-interval", "500ms") as node:
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(RawPeer(node.address))
                     for _ in range(16)]
            stall(node.child, *[Flood(peer, LINES, lines) for peer in peers])
            check("our output is not read" not in node.errors(), "one was refused")
        soon(lambda: run("probe", node.address, "--network", "cometp2p",
                         "--count", "1")[0] != 0, "all may come")
        check("our output is not read" in node.errors(), "the reason")
        check(node.peak() < 64, f"{node.peak()} MiB")


def too_long_lines_of_ours(folder):
    """Input that makes an error of each line waits for who reads them."""
    count = 20000
    path = os.path.join(folder, "lines")
    with open(path, "wb") as f:
        f.writelines(b"x" * 40 + b"\n" for _ in range(count))
    with Listen() as node, Process(
            [RELEASED, "send", node.address, "--json", "--channel",
             "0x50:1:8:16=lines", "--lines", path], read=False) as sender:
        soon(lambda: sender.errors() != "", "no error")
        errors = at_rest([node.child, sender.child],
                         lambda: sender.errors().count("\n"))
        check(errors < count, "the input was read on")
        sender.start_reading()
        equal(sender.exit(), 1)
        equal(sum(e["event"] == "error" for e in sender.events()), count)


Tap().main([
    ("refused offers pause the peer, and none is lost", offers),
    ("the same on standard error", offers_for_people),
    ("long lines of sixteen peers", long_lines),
    ("a peer under its floor beside one that floods", friend_beside_a_flood),
    ("a line of 64 KiB is the longest", longest_line),
    ("rejections of strangers are gathered", strangers, False),
    ("rejections of strangers are gathered in JSON", strangers, True),
    ("peers that come and go", peers_that_come_and_go),
    ("peers that leave lines and go", peers_that_leave_lines),
    ("lines of ours that are too long", too_long_lines_of_ours),
])
