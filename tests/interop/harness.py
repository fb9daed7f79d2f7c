# SPDX-License-Identifier: Apache-2.0
"""Programs that speak JSON lines, the contents they exchange, and the report.

Every wait has a limit and ends as soon as the event is there; nothing sleeps to
synchronise.
"""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

# Nothing that is right comes near it, on a machine that is busy neither.
WAIT_S = 180.0


class Failure(Exception):
    """A scenario did not go as it should; the text describes what was seen."""


def check(condition, text):
    if not condition:
        raise Failure(text)


class Program:
    """A child process whose standard output is one JSON object a line."""

    def __init__(self, name, argv, **kwargs):
        self.name = name
        self.events = []
        self.changed = threading.Condition()
        self.ended = False
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.stderr, **kwargs)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "not json", "text": repr(line)}
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, event, **fields):
        with self.changed:
            return [e for e in self.events if e.get("event") == event
                    and all(e.get(k) == v for k, v in fields.items())]

    def wait(self, event, count=1, timeout=WAIT_S, unless=None, **fields):
        """The |count|th event of that name with these fields.

        An event named |unless| ends the wait as a failure at once.
        """
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                found = self.find(event, **fields)
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                stopper = self.find(unless)
                if self.ended or stopper or left <= 0:
                    why = ("it ended" if self.ended else
                           str(stopper[0]) if stopper else
                           f"{timeout:g} s passed")
                    raise Failure(f"{self.name}: no event {event} {fields or ''}"
                                  f" ({len(found)} of {count}): {why}")
                self.changed.wait(left)

    def wait_until(self, holds, what, timeout=WAIT_S):
        """Waits until |holds| is true of the events; |what| names it."""
        end = time.monotonic() + timeout
        with self.changed:
            while not holds(self.events):
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    raise Failure(f"{self.name}: never {what}")
                self.changed.wait(left)

    def forget(self):
        """Drops the events so far."""
        with self.changed:
            self.events.clear()

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def stop(self, with_signal=None, timeout=WAIT_S):
        """Ends the program by the end of its input or a signal; its status."""
        if with_signal is not None:
            self.process.send_signal(with_signal)
        else:
            self.process.stdin.close()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}: still runs {timeout:g} s after it was"
                          " got to stop") from None
        self.reader.join(WAIT_S)
        return status

    def log(self):
        """What helps to understand a failure."""
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").splitlines()
        shown = [json.dumps(e)[:300] for e in self.events[-12:]]
        return [f"{self.name}: {text}" for text in lines[-20:] + shown]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(WAIT_S)
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass
        self.stderr.close()


class Programs:
    """The programs of one scenario; all are gone when it is left."""

    def __init__(self):
        self.list = []

    def start(self, name, argv, **kwargs):
        program = Program(name, argv, **kwargs)
        self.list.append(program)
        return program

    def log(self):
        return [line for program in self.list for line in program.log()]

    def close(self):
        for program in self.list:
            program.kill()


_PERIOD = bytes(j * 31 & 255 for j in range(256))


def content(k, channel, size):
    """Message k of a channel: byte i is (i*31 + k*7 + channel) & 255."""
    start = (k * 7 + channel) * 223 % 256  # 31 * 223 is 1 modulo 256
    run = _PERIOD[start:] + _PERIOD[:start]
    return (run * (size // 256 + 1))[:size]


def expected_messages(channel, sizes):
    return [(size, hashlib.sha256(content(k, channel, size)).hexdigest())
            for k, size in enumerate(sizes)]


def received_messages(program, channel):
    return [(e["size"], e["sha256"])
            for e in program.find("message", channel=channel)]


def address(ready):
    """ID@HOST:PORT of a program's "ready"."""
    return f'{ready["id"]}@{ready["laddr"]}'


class Report:
    """Numbered lines, one a scenario, and the counts at the end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def _line(self, text):
        print(text, flush=True)

    def _number(self):
        return self.passed + self.failed + self.skipped

    def ok(self, name, seconds):
        self.passed += 1
        self._line(f"ok {self._number()} - {name} # {seconds:.1f} s")

    def fail(self, name, reason, log=()):
        self.failed += 1
        self._line(f"not ok {self._number()} - {name}")
        for line in [str(reason), *log]:
            self._line(f"# {line}")

    def skip(self, name, reason):
        self.skipped += 1
        self._line(f"ok {self._number()} - {name} # SKIP {reason}")

    def end(self):
        self._line(f"1..{self._number()}")
        self._line(f"{self.passed} passed, {self.failed} failed, "
                   f"{self.skipped} skipped")


def environment():
    """The environment of the children: Go where it is usually put, no colours."""
    env = dict(os.environ)
    env["PATH"] = env.get("PATH", "") + os.pathsep + "/usr/local/go/bin"
    return env


SIGTERM = signal.SIGTERM
