#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the examples as a reader of them would: several processes on this
machine that talk to each other."""
import argparse
import os
import queue
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--release")
    build = parser.parse_args().build
    report = tap.Writer()
    for name, test in (("my_reactor", test_my_reactor), ("chat", test_chat),
                       ("chat", test_chat_pipe), ("chat", test_chat_reasons),
                       ("run_on", test_run_on),
                       ("protobuf_chat", test_protobuf_chat)):
        path = os.path.join(build, name)
        if os.path.exists(path):
            test(report, path)
        else:
            report.skip(name, "the examples are not built")
    report.finish()


if __name__ == "__main__":
    main()
