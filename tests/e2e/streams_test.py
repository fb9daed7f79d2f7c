# SPDX-License-Identifier: Apache-2.0
"""Standard streams as other programs leave them: non-blocking and full."""

import fcntl
import os
import subprocess

from e2e import *


class FullPipe:
    """A pipe of one page whose writing end is non-blocking, as a program that
    shares it may leave it; it is full until read() empties it."""

    def __init__(self):
        self.near, self.far = os.pipe()
        fcntl.fcntl(self.far, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.far, False)
        self.filler = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self.filler += os.write(self.far, b"x")

    def read(self):
        """What was written since, to the end of the pipe."""
        os.close(self.far)
        out = bytearray()
        while part := os.read(self.near, 1024):
            out += part
        return bytes(out[self.filler:]).decode()

    def close(self):
        os.close(self.near)


def into_full_pipe(args, stdin=b"", error=False):
    """Runs the command while nobody reads, then reads; (code, output)."""
    pipe = FullPipe()
    streams = {"stdout": pipe.far, "stderr": subprocess.PIPE}
    if error:
        streams = {"stdout": subprocess.PIPE, "stderr": pipe.far}
    child = subprocess.Popen([COMMAND, *map(str, args)],
                             stdin=subprocess.PIPE, **streams)
    # An input that is short fits into its pipe.
    child.stdin.write(stdin)
    child.stdin.close()
    at_rest([child], child.poll, looks=10)
    check(child.poll() is None, f"{args}: ended with {child.poll()} before its "
          "output was read")
    text = pipe.read()
    code = child.wait(LIMIT)
    pipe.close()
    (child.stderr or child.stdout).close()
    return code, text


def short_verbs(folder):
    key = os.path.join(folder, "k")
    run("key", "gen", key)
    fresh = os.path.join(folder, "fresh")
    for args in (["--help"], ["listen", "--help"], ["send", "-h"],
                 ["version"], ["version", "--json"], ["--version"],
                 ["key", "show", key], ["key", "show", key, "--json"]):
        equal(into_full_pipe(args), (0, run(*args)[1]), args)
    code, text = into_full_pipe(["key", "gen", fresh])
    equal((code, text), (0, run("key", "show", fresh)[1]))


def errors(folder):
    none = os.path.join(folder, "none")
    for args in ([], ["frobnicate"], ["listen"], ["key", "show", none],
                 ["listen", "--laddr", "127.0.0.1:0", "--key", none],
                 ["send", "1" * 40 + "@127.0.0.1:1", none]):
        code, _, text = run(*args)
        equal(into_full_pipe(args, error=True), (code, text), args)


def probe(folder):
    with Listen() as node:
        code, text = into_full_pipe(["probe", node.address, "--json"])
        equal((code, json.loads(text)["id"]), (0, node.id))
        code, text = into_full_pipe(["probe", node.address])
        check(code == 0 and f"{node.id} (verified)" in text, text)


def send(folder):
    """More events than a pipe holds; none of them is lost."""
    count = 300
    path, digest = make_file(folder, "x", 100000)
    out = os.path.join(folder, "out")
    lines = b"".join(b"%d\n" % i for i in range(count))
    with Listen("--out", out) as node:
        code, text = into_full_pipe(
            ["send", node.address, path, "--lines", "-", "--json"], lines)
        events = [json.loads(line) for line in text.splitlines()]
        equal((code, events[-1]["event"]), (0, "summary"))
        equal([e["seq"] for e in events if e["event"] == "receipt"],
              list(range(1, count + 1)))
        os.remove(os.path.join(out, "x"))
        code, text = into_full_pipe(["send", node.address, path])
        check(code == 0 and digest in text, text)


def nonblocking_input(folder):
    """Lines come through an input that another program made non-blocking."""
    near, far = os.pipe()
    os.set_blocking(near, False)
    with Listen() as node, Process(
            [COMMAND, "send", node.address, "--lines", "-", "--json"],
            stdin=near) as sender:
        os.close(near)
        node.event("peer_added")
        for text in ("one", "two"):
            os.write(far, text.encode() + b"\n")
            equal(node.event("line")["text"], text)
        os.close(far)
        equal(sender.exit(), 0)
        equal(sender.errors(), "")


def listen(folder, *flags):
    """A node goes on when its output has room again."""
    with reserved() as port:
        listen_at(folder, port, *flags)


def listen_at(folder, port, *flags):
    count = 300
    pipe = FullPipe()
    key = os.path.join(folder, "k")
    node_id = run("key", "gen", key)[1].strip()
    args = [COMMAND, "listen", "--laddr", f"127.0.0.1:{port}", "--key", key,
            "--channel", "0x50=lines", "--channel", "0x60=echo", *flags]
    child = subprocess.Popen(args, stdout=pipe.far)
    lines = b"".join(b"line %d.\n" % i for i in range(count))
    address = f"{node_id}@127.0.0.1:{port}"
    reader = threading.Thread(target=lambda: texts.append(pipe.read()),
                              daemon=True)
    texts = []
    soon(lambda: run("probe", address, "--count", "0",
                     "--network", "cometp2p")[0] == 0, "it does not listen")
    equal(child.poll(), None, "it ended while nobody read")
    reader.start()
    equal(run("send", address, "--lines", "-", stdin=lines)[0], 0)
    with RawPeer(address) as peer:
        peer.send(ECHO, b"x")
        equal(peer.recv(ECHO), b"x")
    child.send_signal(signal.SIGTERM)
    equal(child.wait(LIMIT), 0)
    reader.join()
    pipe.close()
    for i in range(count):
        check(f"line {i}." in texts[0], f"line {i}")


def closed_meanwhile(folder):
    """A reader that leaves while the pipe is full ends the command."""
    for args in (["--help"], ["listen", "--laddr", "127.0.0.1:0", "--json"]):
        pipe = FullPipe()
        child = subprocess.Popen([COMMAND, *args], stdout=pipe.far,
                                 stderr=subprocess.PIPE)
        os.close(pipe.far)
        at_rest([child], looks=10)
        pipe.close()
        equal((child.wait(LIMIT), child.stderr.read()), (1, b""), args)
        child.stderr.close()


Tap().main([
    ("help, version and key wait for room", short_verbs),
    ("messages on standard error wait for room", errors),
    ("probe waits for room", probe),
    ("send waits for room, and no event is lost", send),
    ("an input that is non-blocking", nonblocking_input),
    ("listen waits for room, and no line is lost", listen),
    ("listen --json does too", listen, "--json"),
    ("a reader that leaves a full pipe ends it quietly", closed_meanwhile),
])
