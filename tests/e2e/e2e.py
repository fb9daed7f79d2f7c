# SPDX-License-Identifier: Apache-2.0
"""What all end-to-end tests need: TAP lines, processes, the messages of
docs/FILES.md, a TCP relay.  Nothing waits by sleeping: every wait is for a
line, an exit or a socket, with a limit."""

import argparse
import contextlib
import glob
import hashlib
import json
import os
import queue
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

arguments = argparse.ArgumentParser()
arguments.add_argument("--build", required=True,
                       help="where cometp2p and raw_peer are")
arguments.add_argument("--release", help="where cometp2p is that was built "
                       "without sanitizers")
arguments.add_argument("--only", default="", help="a part of a test's name")
ARGUMENTS = arguments.parse_args()
COMMAND = os.path.join(ARGUMENTS.build, "cometp2p")
RAW_PEER = os.path.join(ARGUMENTS.build, "raw_peer")
LIMIT = 120.0
# What the caller's shell has set for the command is no part of a test.
for variable in list(os.environ):
    if variable.startswith(("CMT", "TMHOME")) and \
            not variable.startswith("CMT_SAVES"):
        del os.environ[variable]
# Messages quote a path with spaces, shorten a long one, and are compared here:
# whatever TMPDIR says, folders lie at a short one.
PLACE = "/tmp" if os.access("/tmp", os.W_OK) else None
# For `listen`: room for a sparse file, whatever the disk has.
ROOM = ("--quota", "4096G")


class Tap:
    """Runs functions as tests; one line each."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def result(self, passed, name, detail=""):
        self.count += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.count} - {name}")
        for line in str(detail).splitlines() if not passed else []:
            print(f"# {line}")
        sys.stdout.flush()

    def run(self, name, function, *args):
        """|function| gets a fresh directory and |args|."""
        folder = tempfile.mkdtemp(prefix="cometp2p-e2e-", dir=PLACE)
        try:
            function(folder, *args)
            self.result(True, name)
        except Exception:
            self.result(False, name, traceback.format_exc())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def main(self, tests):
        for name, function, *args in tests:
            if ARGUMENTS.only not in name:
                continue
            self.run(name, function, *args)
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def equal(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def preloaded(library, **variables):
    """What a process needs to be started with |library| preloaded.  The dynamic
    linker splits LD_PRELOAD at spaces and colons, so the process is started in
    the folder of the library and finds it by a path without a folder."""
    folder, name = os.path.split(library)
    return {"cwd": folder,
            "env": {**os.environ, "LD_PRELOAD": f"./{name}", **variables}}


def without_alarms(errors):
    """Without the warnings of callbacks that took long: on a busy machine any
    may."""
    return "".join(line for line in errors.splitlines(keepends=True)
                   if " blocked the loop for " not in line)


class Process:
    """A child whose output is read by a thread, line by line."""

    def __init__(self, args, read=True, **options):
        self.args = [str(a) for a in args]
        self.err_file = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            self.args, stdin=options.pop("stdin", subprocess.PIPE),
            stdout=subprocess.PIPE, stderr=self.err_file, **options)
        self.lines = queue.Queue()
        self.seen = []
        self.reader = None
        if read:
            self.start_reading()

    def start_reading(self):
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        # kill() closes the stream, maybe in the middle of a read.
        with contextlib.suppress(ValueError, OSError):
            for line in self.child.stdout:
                self.lines.put(line.decode().rstrip("\n"))
        self.lines.put(None)

    def line(self, limit=LIMIT):
        """The next line; None at the end."""
        try:
            line = self.lines.get(timeout=limit)
        except queue.Empty:
            raise AssertionError(f"no line within {limit} s: {self.args}; "
                                 f"seen {self.last()}; {self.errors()[-2000:]}")
        if line is not None:
            self.seen.append(line)
        return line

    def last(self):
        """What it printed last, for a message."""
        return [line[:300] for line in self.seen[-5:]]

    def until(self, wanted, limit=LIMIT):
        """Lines up to the one for which |wanted| is true, which is returned."""
        end = time.monotonic() + limit
        while True:
            line = self.line(max(0.01, end - time.monotonic()))
            if line is None:
                raise AssertionError(f"output ended: {self.args}; seen "
                                     f"{self.last()}; {self.errors()[-2000:]}")
            if wanted(line):
                return line

    def event(self, name, limit=LIMIT, **fields):
        """The next JSON event |name| with these |fields|."""
        def wanted(line):
            event = json.loads(line)
            return event["event"] == name and all(
                event.get(k) == v for k, v in fields.items())
        return json.loads(self.until(wanted, limit))

    def rest(self):
        """All lines to the end of the output."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        return lines

    def events(self):
        """All events so far; ask after exit()."""
        return [json.loads(line) for line in self.seen]

    def write(self, data):
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def close_input(self):
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()

    def signal(self, number):
        self.child.send_signal(number)

    def exit(self, limit=LIMIT):
        """Waits for the end; the exit code."""
        try:
            code = self.child.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {limit} s: {self.args}")
        if self.reader is not None:
            self.rest()
        return code

    def errors(self):
        """Standard error, without warnings that the machine was busy."""
        self.err_file.seek(0)
        return without_alarms(self.err_file.read().decode())

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.err_file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Listen(Process):
    """`listen --json` on a free port, ready."""

    def __init__(self, *args, **options):
        super().__init__([COMMAND, "listen", "--laddr", "127.0.0.1:0",
                          "--json", *args], **options)
        if self.reader is None:
            line = self.child.stdout.readline().decode()
        else:
            line = self.line()
        if not line:
            self.child.wait()
            raise AssertionError(self.errors())
        self.ready = json.loads(line)
        self.id = self.ready["id"]
        self.port = int(self.ready["laddr"].rsplit(":", 1)[1])
        self.address = f"{self.id}@{self.ready['laddr']}"

    def at(self, port):
        return f"{self.id}@127.0.0.1:{port}"


class Send(Process):
    def __init__(self, address, *args, **options):
        super().__init__([COMMAND, "send", address, "--json", *args],
                         **options)


def run(*args, stdin=b"", limit=LIMIT, **options):
    """Runs the command to its end; (code, stdout, stderr)."""
    done = subprocess.run([COMMAND, *map(str, args)], input=stdin,
                          capture_output=True, timeout=limit, **options)
    return (done.returncode, done.stdout.decode(),
            without_alarms(done.stderr.decode()))


def soon(holds, what, limit=LIMIT):
    """Looks again and again until |holds| returns true; nothing announces it."""
    end = time.monotonic() + limit
    while not holds():
        check(time.monotonic() < end, what)
        select.select([], [], [], 0.01)


def sleeps(child):
    """Whether all threads of |child| wait, and none for a processor or a disk."""
    for path in glob.glob(f"/proc/{child.pid}/task/*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(path, encoding="utf-8", errors="replace") as file:
                if file.read().rpartition(")")[2].split()[0] in "RD":
                    return False
    return True


def at_rest(children, moved=lambda: 0, looks=50, limit=LIMIT):
    """Waits until nothing moves any more, and returns what |moved| does: that was
    the same at so many looks, and at one in five of them each of |children| slept.
    One that other processes keep from running does not sleep."""
    deadline = time.monotonic() + limit
    last, seen, slept = moved(), 0, [0] * len(children)
    while seen < looks or min(slept) < looks // 5:
        check(time.monotonic() < deadline, "it never came to rest")
        select.select([], [], [], 0.02)
        now = moved()
        seen += 1
        slept = [n + sleeps(child) for n, child in zip(slept, children)]
        if now != last:
            last, seen, slept = now, 0, [0] * len(children)
    return last


@contextlib.contextmanager
def reserved():
    """A port of 127.0.0.1 that refuses, and that the system gives to nobody
    else meanwhile; the command may listen there."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


def flowing(process):
    """Waits until some of a file has arrived, as |process| reports."""
    while process.event("progress")["sent"] == 0:
        pass


class RawPeer(Process):
    """raw_peer, dialing |address| or listening."""

    def __init__(self, address=None, up=True, **options):
        super().__init__([RAW_PEER] + ([address] if address else []),
                         **options)
        self.address = None
        if address is None:
            self.address = self.line().split()[1]
        elif up:
            equal(self.line(), "up")

    def send(self, channel, data):
        self.write(b"send %d %s\n" % (channel, data.hex().encode()))

    def recv(self, channel=None):
        """The next message, on |channel|."""
        line = self.until(lambda l: l.startswith("recv") and
                          (channel is None or l.split()[1] == str(channel)))
        return bytes.fromhex(line.split(" ")[2])

    def gone(self):
        return self.until(lambda l: l.startswith("gone")).split()[1]


FILES, LINES, ECHO, DISCARD = 0x40, 0x50, 0x60, 0x61


def offer(number, size, name):
    return struct.pack("<BIQ", 1, number, size) + name


def data(number, offset, part):
    return struct.pack("<BIQ", 2, number, offset) + part


def end(number, digest):
    return struct.pack("<BI", 3, number) + digest


def ack(number, count):
    return struct.pack("<BIQ", 4, number, count)


def done(number):
    return struct.pack("<BI", 5, number)


def refused(number, code, text=b""):
    return struct.pack("<BIB", 6, number, code) + text


def sha256(part):
    return hashlib.sha256(part).digest()


def names(folder):
    return sorted(os.listdir(folder))


def make_file(folder, name, size, seed=1):
    """A file whose bytes do not repeat; returns its path and SHA-256."""
    path = os.path.join(folder, name)
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        block = 0
        while size > 0:
            part = hashlib.shake_256(struct.pack("<QQ", seed, block)).digest(
                min(size, 1 << 20))
            f.write(part)
            digest.update(part)
            size -= len(part)
            block += 1
    return path, digest.hexdigest()


def sparse_file(folder, name, size):
    """A file that is too long to be sent within any test."""
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def file_hash(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


FRAME = 1044  # What the network sees of up to 1,024 bytes.


class Relay:
    """Accepts, connects on to 127.0.0.1:|port|, and records what passes.

    |flip| = (direction, offset) inverts one bit of that byte; direction 0 is
    from the dialer.  Connections with a number in |refuse| are closed."""

    def __init__(self, port, flip=None, refuse=()):
        self.port_to = port
        self.flip = flip
        self.refuse = refuse
        self.seen = [bytearray(), bytearray()]
        self.accepted = self.over = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            ready, _, _ = select.select([self.listener], [], [], 0.1)
            if not ready:
                continue
            near, _ = self.listener.accept()
            number = self.accepted
            self.accepted += 1
            if number in self.refuse:
                near.close()
                self._end()
                continue
            threading.Thread(target=self._pump, args=(near,),
                             daemon=True).start()

    def _pump(self, near):
        far = socket.create_connection(("127.0.0.1", self.port_to))
        ends = [near, far]
        while ends:
            ready, _, _ = select.select(ends, [], [], 0.1)
            if self.stopping:
                break
            for here in ready:
                if not self._pass_on(here, near, far):
                    ends.remove(here)
        near.close()
        far.close()
        self._end()

    def _end(self):
        with self.lock:
            self.over += 1

    def _pass_on(self, here, near, far):
        there, direction = (far, 0) if here is near else (near, 1)
        try:
            part = bytearray(here.recv(65536))
        except OSError:
            part = bytearray()
        if not part:
            with contextlib.suppress(OSError):
                there.shutdown(socket.SHUT_WR)
            return False
        at = len(self.seen[direction])
        self.seen[direction] += part
        if self.flip is not None and self.flip[0] == direction and \
                at <= self.flip[1] < at + len(part):
            part[self.flip[1] - at] ^= 1
        with contextlib.suppress(OSError):
            there.sendall(part)
        return True

    def idle(self, frames):
        """Waits until so many more frames have passed each way, such as pings
        and pongs while nothing is sent."""
        wanted = [len(part) + frames * FRAME for part in self.seen]
        soon(lambda: all(len(part) >= least for part, least in
                         zip(self.seen, wanted)), "no frames pass")

    def ended(self):
        """Waits until all that was accepted has been passed on and is over."""
        soon(lambda: self.over == self.accepted, "a connection goes on")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.listener.close()


SIGNALS = (signal.SIGINT, signal.SIGTERM)

# The command leaves a signal ignored that was so at its start, for example
# since the tests run in the background.  A handler is no inheritance.
for number in (*SIGNALS, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
