#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the examples as a reader of them would: several processes on this
machine that talk to each other."""
import argparse
import contextlib
import hashlib
import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

WAIT_S = 120


@contextlib.contextmanager
def reserved():
    """A port that refuses, and that the system gives to nobody else."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


class Example:
    """A running example, whose lines are waited for.  On a terminal its output
    comes by the line."""

    def __init__(self, path, *arguments, terminal=False):
        ours, theirs = os.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            [path, *arguments], stdin=subprocess.PIPE, stdout=theirs,
            stderr=subprocess.STDOUT, text=True)
        os.close(theirs)
        self.output = open(ours, encoding="utf-8", errors="replace",
                           newline="\n")
        self.lines = queue.Queue()
        self.seen = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        # A terminal that ends is an error.
        with self.output, contextlib.suppress(OSError):
            for line in self.output:
                self.lines.put(line.rstrip("\r\n"))
        self.lines.put(None)

    def wait_for(self, part):
        """The next line that holds |part|; None when there is none."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                line = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                return None
            if line is None:
                return None
            self.seen.append(line)
            if part in line:
                return line

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self, interrupt=False):
        """Closes its input, or interrupts it; the exit status."""
        if interrupt:
            self.process.send_signal(signal.SIGINT)
        self.process.stdin.close()
        try:
            status = self.process.wait(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "killed, as it did not end"
        while (line := self.lines.get(timeout=WAIT_S)) is not None:
            self.seen.append(line)
        return status


def last_word(line):
    return (line or "").split(" ")[-1]


def test_my_reactor(report, path):
    message = "received: Here's a random message"
    c = Example(path)
    c_addr = last_word(c.wait_for("address: "))
    b = Example(path, c_addr)
    b_addr = last_word(b.wait_for("address: "))
    report.check(b.wait_for("peer: outbound ") is not None,
                 "my_reactor dials the address that it was given", *b.seen)
    a = Example(path, b_addr)
    report.check(b.wait_for("peer: inbound ") is not None,
                 "my_reactor accepts a peer", *b.seen)
    a.wait_for("peer: outbound ")
    b.say("send")
    report.check(b.wait_for("sent: success") is not None,
                 "my_reactor sends with the blocking send", *b.seen)
    report.check(c.wait_for(message) is not None,
                 "the outbound peer prints the string", *c.seen)
    # What A sends arrives at B behind whatever B could have sent to A.
    a.say("send")
    b.wait_for(message)
    statuses = [x.end() for x in (a, b, c)]
    report.check(not any("received" in line for line in a.seen),
                 "the inbound peer gets nothing", *a.seen)
    report.check(statuses == [0, 0, 0], "my_reactor ends with its input",
                 statuses, *a.seen, *b.seen, *c.seen)


def masked(line):
    """A line without the ids and ports that are of one run."""
    line = re.sub(r"[0-9a-f]{40}@127\.0\.0\.1:\d+", "ADDRESS", line)
    return re.sub(r"^[0-9a-f]{8} ", "ID ", line)


def test_hello(report, path):
    """The README shows two shells that run it."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        shown = re.search(r"^```text\n(.*?)^```$", file.read(),
                          re.DOTALL | re.MULTILINE)[1].splitlines()
    a = Example(path, terminal=True)
    addr = last_word(a.wait_for("listening at "))
    b = Example(path, addr, terminal=True)
    report.check(a.wait_for("hello") is not None and
                 b.wait_for("hello") is not None,
                 "two nodes that run hello greet each other", *a.seen, *b.seen)
    printed = [masked(line) for x in (a, b) for line in x.seen]
    expected = [masked(line) for line in shown if not line.startswith("$ ")]
    report.check(printed == expected, "hello prints what the README shows",
                 f"it prints {printed}", f"the README has {expected}")
    report.check([line.split()[1] for line in map(masked, shown)
                  if line.startswith("$ ")] == ["./hello", "./hello"] and
                 any(masked(line) == "$ ./hello ADDRESS" for line in shown),
                 "the README starts hello twice, the second with an address",
                 *shown)
    b.say("")
    statuses = [b.end()]
    a.say("")
    statuses.append(a.end())
    report.check(statuses == [0, 0], "hello ends with Enter", statuses)
    no = Example(path, "nonsense")
    report.check(no.end() == 1, "hello fails when its address is none",
                 *no.seen)


def test_chat(report, path):
    a = Example(path)
    addr = last_word(a.wait_for("others join"))
    b = Example(path, addr, "nonsense")
    report.check(b.wait_for("address 'nonsense'") is not None,
                 "chat names what is not an address", *b.seen)
    b.say("hello \x1b[31m")
    heard = a.wait_for("hello")
    report.check(heard is not None and heard.endswith(": hello \\x1b[31m"),
                 "chat keeps what was typed before there was a peer, and shows "
                 "it escaped", heard, *a.seen)
    report.check(any("is here" in line for line in a.seen),
                 "chat prints who comes", *a.seen)
    a.say("good day")
    line = b.wait_for("good day")
    report.check(line is not None and line[:8] == addr[:8],
                 "chat prints who wrote the answer", line, addr)
    statuses = [b.end()]
    report.check(a.wait_for("is gone: ") is not None, "chat prints who goes",
                 *a.seen)
    statuses.append(a.end())
    report.check(statuses == [0, 0], "chat ends with its input", statuses,
                 *a.seen, *b.seen)


def check_piped(report, chat, path, promise):
    """Pipes lines through |path| to a chat, faster than the network, from the
    first instant on."""
    count = 10000
    node = Example(chat)
    addr = last_word(node.wait_for("others join"))
    done = subprocess.run([path, addr], timeout=2 * WAIT_S, text=True,
                          input="".join(f"line {i}\n" for i in range(count)),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    gone = node.wait_for("is gone: ")
    # Two streams in one pipe: what stands in it is what was printed.
    heard = [x.split(": line ")[1] for x in node.seen if ": line " in x]
    report.check(gone is not None and done.returncode == 0 and
                 heard == [str(i) for i in range(count)],
                 promise.format(count),
                 len(heard), done.stdout, *node.seen[:5], *node.seen[-5:])
    node.end()


def test_chat_pipe(report, path):
    check_piped(report, path, path, "all of {} piped lines arrive, in their order")


def test_chat_reasons(report, path):
    a = Example(path)
    addr = last_word(a.wait_for("others join"))
    b = Example(path, "1" * 40 + addr[40:])
    report.check((b.wait_for("no peer at") or "").find("1" * 40) > 0,
                 "chat states that the id is another", *b.seen)
    b.end()
    with reserved() as port:
        c = Example(path, "1" * 40 + f"@127.0.0.1:{port}")
        report.check(c.wait_for("connection refused") is not None,
                     "chat states that nobody listens", *c.seen)
        c.end()
    a.end()


def test_find_peers(report, path):
    first = Example(path)
    seed = last_word(first.wait_for("listening at") or "")
    second = Example(path, seed)
    report.check(second.wait_for("found ") is not None,
                 "find_peers: a node finds its seed", *second.seen)
    third = Example(path, seed)
    report.check(third.wait_for("found ") is not None and
                 third.wait_for("found ") is not None,
                 "find_peers: and a node that the seed knows", *third.seen)
    third.say("")
    report.check(third.end() == 0 and
                 any(line.startswith("2 peers, ") for line in third.seen),
                 "find_peers: it says how many it has found", *third.seen)
    for one in (second, first):
        one.say("")
        one.end()


def page_with(example, *patterns):
    """Asks for the page of whole_node until it has all |patterns|; False: it
    never has."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        example.seen.clear()
        example.say("")
        if example.wait_for("cometp2p_lost_events_total{") is None:
            return False
        if all(any(re.match(pattern, line) for line in example.seen)
               for pattern in patterns):
            return True
    return False


def test_whole_node(report, path):
    with tempfile.TemporaryDirectory() as folder:
        first = Example(path, "-b", f"{folder}/a.json")
        seed = last_word(first.wait_for("listening at "))
        nodes, ids = [], []
        for name in "bc":
            node = Example(path, "-b", f"{folder}/{name}.json", seed)
            nodes.append(node)
            ids.append(last_word(node.wait_for("listening at "))[:40])
            # The second asks after the first, and is the one that dials: only
            # that proves an address.
            page_with(node,
                      r'cometp2p_pex_events_total{.*event="answered"} [1-9]')
        proven = r'cometp2p_addrbook_proven{chain_id="my-net"} [1-9]'
        report.check(page_with(
            nodes[1], r'cometbft_p2p_peers{chain_id="my-net"} 2$', proven,
            r'cometp2p_pex_events_total{.*event="answered"} [1-9]',
            r'cometp2p_handshake_seconds_count{.*stage="secret"} [1-9]',
            r'cometp2p_connections_total{.*outcome="peer"} [1-9]',
            r'cometbft_p2p_message_send_bytes_total{.*_PexRequest"} [1-9]'),
                     "whole_node counts its peers, its book and its exchange",
                     *nodes[1].seen)
        statuses = [node.end() for node in (*nodes, first)]
        with open(f"{folder}/c.json", encoding="utf-8") as file:
            entries = [e["addr"]["id"] for e in json.load(file)["addrs"]]
        report.check(statuses == [0, 0, 0] and ids[0] in entries,
                     "whole_node stores its book at its end", statuses,
                     entries)
        later = Example(path, "-b", f"{folder}/c.json")
        report.check(page_with(later, proven),
                     "whole_node reads its book again", *later.seen)
        report.check(later.end() == 0, "whole_node ends with its input",
                     *later.seen)
    no = Example(path, "-b", "/none/addrbook.json")
    no.say("")
    report.check(no.end() == 1 and "/none/addrbook.json" in no.seen[-1],
                 "whole_node says that the book cannot be stored", *no.seen)


def test_run_on(report, path):
    a = Example(path)
    addr = last_word(a.wait_for("address: "))
    b = Example(path, addr)
    report.check(a.wait_for(": beat ") is not None and
                 b.wait_for(": beat ") is not None,
                 "run_on sends by its own timer, both ways", *a.seen, *b.seen)
    # Beats of ours between those of the peer: the timer goes on.
    first, later = a.wait_for("we are at"), a.wait_for("we are at")
    report.check(int(last_word(first) or 0) < int(last_word(later) or 0) + 1 and
                 int(last_word(later) or 0) > 0,
                 "run_on's timer runs beside the switch", *a.seen)
    statuses = [b.end(interrupt=True), a.end(interrupt=True)]
    report.check(statuses == [0, 0] and a.seen[-1].startswith("ended after ") and
                 b.seen[-1].startswith("ended after "),
                 "run_on ends with everything closed", statuses, *a.seen,
                 *b.seen)


def test_conn_poll(report, path):
    """A guest without a switch beside a node with one."""
    node = Example(os.path.join(os.path.dirname(path), "chat"))
    addr = last_word(node.wait_for("others join"))
    guest = Example(path, addr)
    report.check(guest.wait_for(f"connected with {addr[:40]}") is not None,
                 "conn_poll connects with a switch", *guest.seen)
    guest.say("hello")
    report.check(node.wait_for(": hello") is not None,
                 "the switch gets what conn_poll sends", *node.seen)
    guest.say("/pause")
    guest.wait_for("paused")
    node.say("for later")
    # The node's answer to the guest comes behind that.
    guest.say("still here")
    report.check(node.wait_for(": still here") is not None,
                 "conn_poll sends while it is paused", *node.seen)
    guest.say("/resume")
    report.check(guest.wait_for(": for later") is not None and
                 guest.seen[-2] == "resumed",
                 "what came in a pause is reported after it, and not before",
                 *guest.seen)
    statuses = [guest.end()]
    report.check(node.wait_for("is gone: ") is not None and
                 "ended: " in guest.seen[-1],
                 "the end of the input ends the connection", *guest.seen)
    statuses.append(node.end())
    report.check(statuses == [0, 0], "conn_poll ends with its input", statuses,
                 *guest.seen, *node.seen)


def test_conn_poll_pipe(report, path):
    """More lines than a queue has room for, before it is connected."""
    check_piped(report, os.path.join(os.path.dirname(path), "chat"), path,
                "all of {} lines wait for room, and arrive in order")


def test_conn_poll_end(report, path):
    """The node ends while the guest is paused, and while it is not."""
    for pause in (False, True):
        node = Example(os.path.join(os.path.dirname(path), "chat"))
        addr = last_word(node.wait_for("others join"))
        guest = Example(path, addr)
        guest.wait_for("connected")
        if pause:
            guest.say("/pause")
            guest.wait_for("paused")
        node.process.kill()
        node.process.wait()
        if pause:
            guest.say("/resume")
        report.check(guest.wait_for("ended: ") is not None,
                     "conn_poll states that the node is gone" +
                     (", after a pause" if pause else ""), *guest.seen)
        report.check(guest.end() == 1, "and fails", *guest.seen)
        node.process.stdin.close()


def test_poll_mailbox(report, path):
    a = Example(path)
    addr = last_word(a.wait_for("others join"))
    b = Example(path, addr, "nonsense")
    report.check(b.wait_for("address 'nonsense'") is not None,
                 "poll_mailbox names what is not an address", *b.seen)
    a.wait_for(" is here")
    b.wait_for(": beat ")
    report.check(f"{addr[:8]} is here" in b.seen and
                 f"attempt 1 at {addr[41:]}: success" in b.seen,
                 "poll_mailbox gets the outcome of a dial, and the peer",
                 *b.seen)
    beats = [a.wait_for(": beat ") for _ in range(3)]
    numbers = [int(last_word(line) or -1) for line in beats]
    report.check(numbers == list(range(numbers[0], numbers[0] + 3)),
                 "the timer of the peer sends beat after beat", numbers,
                 *a.seen)
    b.say("hello \x1b[31m")
    report.check((a.wait_for("hello") or "").endswith(": hello \\x1b[31m"),
                 "a line comes as an event", *a.seen)
    with socket.create_connection(addr.split("@")[1].split(":")) as stranger:
        at = "%s:%d" % stranger.getsockname()
    report.check(a.wait_for(f"no peer at {at}: ") is not None,
                 "a rejection comes as an event", *a.seen)
    b.say("/flood 5000")
    a.wait_for("flood 4999")
    floods = [last_word(line) for line in a.seen if ": flood " in line]
    report.check(floods == [str(i) for i in range(5000)],
                 "posts and answers of sends carry a flood, in its order",
                 len(floods), *a.seen[-3:])
    statuses = [b.end()]
    report.check(a.wait_for("is gone: ") is not None and
                 b.seen[-1].startswith("ended after ") and
                 any("is gone: " in line for line in b.seen),
                 "the end of the input ends it when the peers are gone",
                 *a.seen[-3:], *b.seen)
    c = Example(path, addr)
    a.wait_for("is here")
    c.wait_for("is here")
    c.say("/flood 100000")
    c.say("/quit")
    a.say("/quit")
    statuses += [c.end(), a.end()]
    report.check(statuses == [0, 0, 0], "poll_mailbox ends in both ways",
                 statuses, *a.seen[-3:], *b.seen, *c.seen[-3:])


def test_poll_mailbox_reasons(report, path):
    with reserved() as port:
        a = Example(path, "1" * 40 + f"@127.0.0.1:{port}")
        report.check(a.wait_for("attempt 1 at ") is not None and
                     a.seen[-1].endswith(": the connection was refused"),
                     "poll_mailbox states why an attempt failed", *a.seen)
        report.check(a.end() == 0, "and ends without a peer", *a.seen)


def test_poll_mailbox_pipe(report, path):
    check_piped(report, path, path,
                "poll_mailbox sends all of {} piped lines, in order")


class Proxy:
    """Stands before a server.  Its first connection breaks when |limit| bytes
    of the server have passed, after |action|."""

    def __init__(self, addr, limit, action=lambda: None):
        node_id, host = addr.split("@")
        self.server = ("127.0.0.1", int(host.split(":")[1]))
        self.limit, self.action = limit, action
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = f"{node_id}@127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        limit = self.limit
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server)
            for source, to, most in ((client, server, None),
                                     (server, client, limit)):
                threading.Thread(target=self._copy, daemon=True,
                                 args=(source, to, most)).start()
            limit = None

    def _copy(self, source, to, limit):
        passed = 0
        try:
            while (data := source.recv(65536)):
                to.sendall(data)
                passed += len(data)
                if limit is not None and passed >= limit:
                    self.action()
                    break
        except OSError:
            pass  # The other direction has broken.
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


def start_server(path, folder, rate="0"):
    server = Example(path, "serve", folder, "127.0.0.1:0", rate)
    return server, last_word(server.wait_for("serving at "))


def same(one, other):
    with open(one, "rb") as a, open(other, "rb") as b:
        return a.read() == b.read()


def test_file_service(report, path):
    """What breaks goes on, with the bytes that were there."""
    with tempfile.TemporaryDirectory() as folder:
        served, out = os.path.join(folder, "served"), f"{folder}/out"
        os.mkdir(served)
        data = random.Random(1).randbytes(8_000_000)
        for name, size in (("big", len(data)), ("small", 100), ("empty", 0)):
            with open(os.path.join(served, name), "wb") as file:
                file.write(data[:size])
        server, addr = start_server(path, served)
        for name in ("empty", "small", "big"):
            get = Example(path, "get", addr, name, out)
            status = get.end()
            report.check(status == 0 and same(out, f"{served}/{name}") and
                         os.listdir(folder).count("out") == 1 and
                         len(os.listdir(folder)) == 2,
                         f"file_service brings the {name} file, and leaves no "
                         "part", status, *get.seen)
        for name in ("none", "../out", ".node_key.json", ""):
            get = Example(path, "get", addr, name, out)
            report.check(get.end() == 1 and "no such file" in get.seen[-1],
                         f"file_service does not serve {name!r}", *get.seen)
        proxy = Proxy(addr, 5_000_000)
        get = Example(path, "get", proxy.addr, "big", out)
        status = get.end()
        broke = [int(line.split(" broke at ")[1].split(":")[0])
                 for line in get.seen if " broke at " in line]
        here = [int(line.split()[1]) for line in get.seen
                if " bytes are here" in line]
        report.check(status == 0 and same(out, f"{served}/big") and
                     len(here) == 2 and here[0] == 0 and
                     broke == here[1:] and here[1] > 0,
                     "file_service dials again, and goes on where it was",
                     status, here, broke, *get.seen)
        proxy.close()
        check_resume(report, path, server, (addr, served, out))


def check_resume(report, path, server, place):
    """A client is killed; the next one goes on, unless the file changed."""
    addr, served, out = place
    for changed in (False, True):
        started = []
        # The kill waits until the client is in the list.
        begun = threading.Event()

        def kill():
            begun.wait()
            started[0].process.kill()
            started[0].process.wait()

        proxy = Proxy(addr, 5_000_000, kill)
        started.append(Example(path, "get", proxy.addr, "big", out))
        begun.set()
        started[0].process.wait(timeout=WAIT_S)
        proxy.close()
        if changed:
            os.utime(f"{served}/big", (1, 1))
        get = Example(path, "get", addr, "big", out)
        status = get.end()
        here = [int(line.split()[1]) for line in get.seen
                if " bytes are here" in line]
        report.check(status == 0 and same(out, f"{served}/big") and
                     len(here) == 1 and (here[0] == 0) == changed,
                     "file_service begins anew when the file has changed"
                     if changed else "another start of it goes on as well",
                     status, *get.seen)
    report.check(server.end() == 0, "the server ends with its input",
                 *server.seen)
    most = [int(line.split("most on its way ")[1].split(":")[0])
            for line in server.seen if "most on its way " in line]
    report.check(most and 0 < max(most) <= 64 * 65536,
                 "never is more on its way than the window", *server.seen)


def test_file_service_control(report, path):
    """The data fill a slow link for seconds.  A control message that waits for
    them takes one of these, and then there are a few round trips at most."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "big"), "wb") as file:
            file.write(bytes(3_000_000))
        server, addr = start_server(path, folder, rate="1000000")
        start = time.monotonic()
        get = Example(path, "get", addr, "big", f"{folder}/out")
        status = get.end()
        took_ms = (time.monotonic() - start) * 1000
        words = get.seen[-1].split()
        report.check(status == 0 and int(words[3]) >= 10 and took_ms > 2000,
                     "control messages do not wait for the data", status,
                     took_ms, *get.seen)
        again = server.end()
        server, later = start_server(path, folder)
        report.check(again == 0 and later[:40] == addr[:40],
                     "the server has the same id after a restart",
                     *server.seen)
        server.end()
    usage = Example(path, "get")
    report.check(usage.wait_for("usage: ") is not None and usage.end() == 2,
                 "file_service shows its usage", *usage.seen)


def test_protobuf_chat(report, path):
    a = Example(path, "ann")
    addr = last_word(a.wait_for("others join"))
    b = Example(path, "b\x1bb", addr)
    b.say("hello")
    heard = a.wait_for("hello")
    report.check(heard == "b\\x1bb 1: hello",
                 "protobuf_chat shows author and text of a line, escaped",
                 heard)
    a.say("good day")
    report.check(b.wait_for("ann 1: good day") is not None,
                 "protobuf_chat shows the answer", *b.seen)
    statuses = [x.end() for x in (a, b)]
    report.check(statuses == [0, 0], "protobuf_chat ends with its input",
                 statuses, *a.seen, *b.seen)


def field(data):
    """A message whose field 1 is |data|, under 128 bytes."""
    return bytes([0x0a, len(data)]) + data


def printed(tx):
    return [str(len(tx)), hashlib.sha256(tx).hexdigest().upper()]


def test_mempool(report, path):
    """The other side is a node of ours whose messages are written here."""
    node = Example(os.path.join(os.path.dirname(path), "hex_node"), "chain-1")
    addr = json.loads(node.wait_for('"ready"'))["address"]
    a = Example(path, addr, "chain-1")
    announced = '"channel":32,"bytes":"0a09088080808080201801"'
    report.check(node.wait_for(announced) is not None,
                 "mempool states a height far ahead", *node.seen)
    node.say("20 0a0408151801")  # The node's own step.
    node.say("30 ")
    node.say("30 " + field(field(b"bb=2")).hex())
    node.say("30 " + field(field(b"") + field(b"long" * 20)).hex())
    lines = [(a.wait_for(printed(tx)[1]) or "").split()
             for tx in (b"bb=2", b"", b"long" * 20)]
    report.check(lines == [printed(tx) for tx in
                           (b"bb=2", b"", b"long" * 20)],
                 "mempool prints length and hash of each transaction",
                 *lines, *a.seen)
    node.say("drop")
    report.check(a.wait_for("is gone: ") is not None and
                 node.wait_for(announced) is not None,
                 "mempool dials again and states it again", *a.seen, *node.seen)
    node.say("30 " + field(field(b"again")).hex())
    report.check(a.wait_for(printed(b"again")[1]) is not None,
                 "mempool goes on with the new connection", *a.seen)
    b = Example(path, addr, "chain-2")
    report.check("chain-1" in (b.wait_for("failed in stage") or ""),
                 "mempool states that the node is of another chain", *b.seen)
    statuses = [x.end(interrupt=True) for x in (a, b)]
    report.check(statuses + [node.end()] == [0, 0, 0],
                 "mempool ends with SIGINT", statuses, *a.seen, *b.seen)


def test_mempool_arguments(report, path):
    few = Example(path, "chain-1")
    report.check(few.wait_for("usage: ") is not None and few.end() == 2,
                 "mempool shows its usage", *few.seen)
    no = Example(path, "nonsense", "chain-1")
    report.check(no.wait_for("address 'nonsense'") is not None and
                 no.end() == 2, "mempool names what is not an address",
                 *no.seen)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--release")
    build = parser.parse_args().build
    report = tap.Writer()
    for name, test in (("hello", test_hello), ("my_reactor", test_my_reactor),
                       ("chat", test_chat),
                       ("chat", test_chat_pipe), ("chat", test_chat_reasons),
                       ("find_peers", test_find_peers),
                       ("whole_node", test_whole_node),
                       ("run_on", test_run_on),
                       ("conn_poll", test_conn_poll),
                       ("conn_poll", test_conn_poll_pipe),
                       ("conn_poll", test_conn_poll_end),
                       ("poll_mailbox", test_poll_mailbox),
                       ("poll_mailbox", test_poll_mailbox_reasons),
                       ("poll_mailbox", test_poll_mailbox_pipe),
                       ("file_service", test_file_service),
                       ("file_service", test_file_service_control),
                       ("protobuf_chat", test_protobuf_chat),
                       ("mempool", test_mempool),
                       ("mempool", test_mempool_arguments)):
        path = os.path.join(build, name)
        if os.path.exists(path):
            test(report, path)
        else:
            report.skip(name, "the examples are not built")
    report.finish()


if __name__ == "__main__":
    main()
