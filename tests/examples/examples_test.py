#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the examples as a reader of them would: several processes on this
machine that talk to each other."""
import argparse
import hashlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

WAIT_S = 30


class Example:
    """A running example, whose lines are waited for."""

    def __init__(self, path, *arguments):
        self.process = subprocess.Popen(
            [path, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        self.seen = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def wait_for(self, part):
        """The next line that holds |part|; None when there is none."""
        while True:
            try:
                line = self.lines.get(timeout=WAIT_S)
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
    a = Example(path)
    addr = last_word(a.wait_for("listening at "))
    b = Example(path, addr)
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
                 "chat tells who comes", *a.seen)
    a.say("good day")
    line = b.wait_for("good day")
    report.check(line is not None and line[:8] == addr[:8],
                 "chat says who wrote the answer", line, addr)
    statuses = [b.end()]
    report.check(a.wait_for("is gone: ") is not None, "chat tells who goes",
                 *a.seen)
    statuses.append(a.end())
    report.check(statuses == [0, 0], "chat ends with its input", statuses,
                 *a.seen, *b.seen)


def test_chat_pipe(report, path):
    """A pipe that is faster than the network, from the first instant on."""
    count = 10000
    a = Example(path)
    addr = last_word(a.wait_for("others join"))
    done = subprocess.run([path, addr], timeout=2 * WAIT_S, text=True,
                          input="".join(f"line {i}\n" for i in range(count)),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    gone = a.wait_for("is gone: ")
    # Two streams in one pipe: what stands in it is what was printed.
    heard = [line.split(": line ")[1] for line in a.seen if ": line " in line]
    report.check(gone is not None and done.returncode == 0 and
                 heard == [str(i) for i in range(count)],
                 f"all of {count} piped lines arrive, in their order",
                 len(heard), done.stdout, *a.seen[:5], *a.seen[-5:])
    a.end()


def test_chat_reasons(report, path):
    a = Example(path)
    addr = last_word(a.wait_for("others join"))
    b = Example(path, "1" * 40 + addr[40:])
    report.check((b.wait_for("no peer at") or "").find("1" * 40) > 0,
                 "chat says that the id is another", *b.seen)
    b.end()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    c = Example(path, "1" * 40 + f"@127.0.0.1:{port}")
    report.check(c.wait_for("connection refused") is not None,
                 "chat says that nobody listens", *c.seen)
    c.end()
    a.end()


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
                 "what came in a pause is told after it, and not before",
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
    count = 10000
    node = Example(os.path.join(os.path.dirname(path), "chat"))
    addr = last_word(node.wait_for("others join"))
    done = subprocess.run([path, addr], timeout=2 * WAIT_S, text=True,
                          input="".join(f"line {i}\n" for i in range(count)),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    gone = node.wait_for("is gone: ")
    heard = [x.split(": line ")[1] for x in node.seen if ": line " in x]
    report.check(gone is not None and done.returncode == 0 and
                 heard == [str(i) for i in range(count)],
                 f"all of {count} lines wait for room, and arrive in order",
                 len(heard), done.stdout, *node.seen[:5], *node.seen[-5:])
    node.end()


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
                     "conn_poll says that the node is gone" +
                     (", after a pause" if pause else ""), *guest.seen)
        report.check(guest.end() == 1, "and fails", *guest.seen)
        node.process.stdin.close()


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
                 "mempool tells the node that it is far ahead", *node.seen)
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
                 "mempool dials again and tells it again", *a.seen, *node.seen)
    node.say("30 " + field(field(b"again")).hex())
    report.check(a.wait_for(printed(b"again")[1]) is not None,
                 "mempool goes on with the new connection", *a.seen)
    b = Example(path, addr, "chain-2")
    report.check("chain-1" in (b.wait_for("failed in stage") or ""),
                 "mempool says that the node is of another chain", *b.seen)
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
                       ("run_on", test_run_on),
                       ("conn_poll", test_conn_poll),
                       ("conn_poll", test_conn_poll_pipe),
                       ("conn_poll", test_conn_poll_end),
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
