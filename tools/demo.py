#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sends a file and lines between two nodes on this machine, and watches.

usage: demo.py [--build DIR] [FILE]

Two processes of the command run on loopback.  The file goes over a channel of
low priority, a line every few milliseconds over one of high priority, all on
one encrypted connection.  Without FILE a tar of /usr/lib is made, cut at
256 MiB.  Exits 0 when the file arrived with the SHA-256 it was read with."""

import argparse
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
TAR_MAX = 256 * MIB
TAR_MIN = 200 * MIB
LINE_EVERY_S = 0.01
LINES_MIN = 20  # However small the file is.
BAR_WIDTH = 20


class Failure(Exception):
    """One line for a person."""


def size_text(count):
    if count < MIB:
        return f"{count / 1024:.1f} KiB"
    return f"{count / MIB:.1f} MiB"


def make_tar(folder):
    """The first 256 MiB of a tar of /usr/lib: real and varied bytes."""
    path = os.path.join(folder, "usr-lib.tar")
    print(f"making a tar of /usr/lib, cut at {size_text(TAR_MAX)}")
    tar = subprocess.Popen(["tar", "-C", "/usr", "-cf", "-", "lib"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    left = TAR_MAX
    with open(path, "wb") as out:
        while left > 0 and (part := tar.stdout.read(min(left, MIB))):
            out.write(part)
            left -= len(part)
    have = TAR_MAX - left
    if have == 0:
        raise Failure("tar gave nothing of /usr/lib")
    # A small system has less; then what there is counts more than once.
    with open(path, "r+b") as out:
        while out.seek(0, os.SEEK_END) < TAR_MIN:
            end = out.tell()
            out.seek(end - have)
            part = out.read(min(have, MIB))
            out.seek(end)
            out.write(part)
    tar.stdout.close()
    tar.kill()
    tar.wait()
    return path


def file_hash(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while part := f.read(MIB):
            digest.update(part)
    return digest.hexdigest()


class Node:
    """A process of the command; its events go into a queue, None at its
    end."""

    def __init__(self, events, name, args, **options):
        self.name = name
        self.child = subprocess.Popen(args, stdout=subprocess.PIPE,
                                      start_new_session=True, **options)
        self.thread = threading.Thread(target=self._read, args=(events,),
                                       daemon=True)
        self.thread.start()

    def _read(self, events):
        for line in self.child.stdout:
            events.put((self.name, json.loads(line)))
        events.put((self.name, None))

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(3)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.thread.join()
        self.child.stdout.close()


class View:
    """One bar on a terminal; elsewhere a line for each fifth."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.next_fifth = 0.2
        self.shown = False

    def show(self, progress, rtts):
        size = progress["size"]
        part = progress["sent"] / size if size else 1
        rtt = f"line {rtts[-1]:.2f} ms" if rtts else "no line yet"
        eta = progress["eta_s"]
        text = (f"{part * 100:3.0f}% of {size_text(size)}  "
                f"{size_text(progress['rate'])}/s  "
                f"eta {'-' if eta is None else f'{eta:.1f} s'}  {rtt}")
        if self.terminal:
            full = int(part * BAR_WIDTH)
            bar = "#" * full + "." * (BAR_WIDTH - full)
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{f'[{bar}] {text}'[:width]}", end="", flush=True)
            self.shown = True
        elif part >= self.next_fifth:
            self.next_fifth += 0.2
            print(text, flush=True)

    def clear(self):
        if self.shown:
            print(flush=True)
            self.shown = False


class Demo:
    def __init__(self, command, folder):
        self.command = command
        self.folder = folder
        self.events = queue.Queue()
        self.nodes = []
        self.stop_lines = threading.Event()
        self.view = View()
        self.rtts = []
        self.lines = 0
        self.done = {}

    def start(self, name, *args, **options):
        """What it writes to standard error is shown when it fails."""
        with open(os.path.join(self.folder, name + ".err"), "wb") as errors:
            node = Node(self.events, name, [self.command, *args, "--json"],
                        stderr=errors, **options)
        self.nodes.append(node)
        return node

    def failure(self, name, what):
        with open(os.path.join(self.folder, name + ".err"),
                  errors="replace") as errors:
            return Failure(f"{what}: {errors.read().strip()}")

    def feed(self, stream):
        """A line every few milliseconds until the file is there."""
        try:
            while (not self.stop_lines.wait(LINE_EVERY_S) or
                   self.lines < LINES_MIN):
                self.lines += 1
                stream.write(b"line %d\n" % self.lines)
                stream.flush()
        except OSError:
            pass  # The node is gone, which its events report.
        finally:
            try:
                stream.close()
            except OSError:
                pass

    def event(self, source, event):
        """False: send is done."""
        if event is None:
            if source == "listen":
                raise self.failure(source, "the receiving node ended early")
            return False
        kind = event["event"]
        if kind == "receipt":
            self.rtts.append(event["rtt_ms"])
        elif kind == "progress" and source == "send":
            self.view.show(event, self.rtts)
        elif kind == "done":
            self.done[source] = event
            if source == "send":
                self.stop_lines.set()
        elif kind in ("error", "rejected"):
            self.view.clear()
            raise Failure(f"{source}: {event['text']}")
        return True

    def receiver(self):
        self.start("listen", "listen", "--laddr", "127.0.0.1:0", "--out",
                   os.path.join(self.folder, "received"),
                   stdin=subprocess.DEVNULL)
        source, ready = self.events.get()
        if ready is None:
            raise self.failure(source, "the receiving node did not start")
        return f"{ready['id']}@{ready['laddr']}"

    def run(self, path):
        address = self.receiver()
        print(f"receiver  {address}")
        print(f"sending   {path}, {size_text(os.path.getsize(path))}, "
              "and a line every 10 ms", flush=True)
        begin = time.monotonic()
        sender = self.start("send", "send", address, path, "--lines", "-",
                            stdin=subprocess.PIPE)
        feeder = threading.Thread(target=self.feed,
                                  args=(sender.child.stdin,), daemon=True)
        feeder.start()
        try:
            while self.event(*self.events.get()):
                pass
        finally:
            self.stop_lines.set()
            self.view.clear()
        feeder.join()
        if sender.child.wait() != 0:
            raise self.failure("send", "send failed")
        self.check(path, time.monotonic() - begin)

    def check(self, path, seconds):
        name = os.path.basename(path)
        sent = self.done["send"]
        wanted = file_hash(path)
        found = file_hash(os.path.join(self.folder, "received", name))
        if len({wanted, found, sent["sha256"]}) != 1:
            raise Failure(f"SHA-256 differs: sent {wanted}, found {found}")
        rate = sent["size"] / sent["seconds"] if sent["seconds"] else 0
        print(f"\nbytes     {sent['size']} in {sent['seconds']:.2f} s "
              f"({size_text(rate)}/s)")
        print(f"lines     {self.lines} sent, {len(self.rtts)} answered")
        if self.rtts:
            ordered = sorted(self.rtts)
            p50 = ordered[(len(ordered) - 1) // 2]
            p99 = ordered[(len(ordered) * 99 + 99) // 100 - 1]
            print(f"trip      p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        print(f"sha256    {found}, the same on both sides")
        print(f"all in    {seconds:.2f} s")

    def stop(self):
        self.stop_lines.set()
        for node in reversed(self.nodes):
            node.stop()


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build/release",
                        help="where the command is (build/release)")
    parser.add_argument("file", nargs="?", help="what to send")
    arguments = parser.parse_args()
    command = os.path.abspath(os.path.join(arguments.build, "cometp2p"))
    if not os.access(command, os.X_OK):
        parser.error(f"{command} is not there: ./dev build makes it")
    if sys.stdout is None:
        parser.error("standard output is closed")
    if arguments.file and not os.path.isfile(arguments.file):
        parser.error(f"{arguments.file}: not a file")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, interrupt)

    folder = tempfile.mkdtemp(prefix="cometp2p-demo-")
    demo = Demo(command, folder)
    try:
        demo.run(arguments.file or make_tar(folder))
        sys.stdout.flush()
        return 0
    except OSError as error:
        # The buffer would be written once more at the end, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        demo.view.clear()
        print("demo: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
