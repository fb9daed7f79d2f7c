#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Test Anything Protocol: a writer for test scripts, and a reader that
counts single tests.

usage: tap.py ctest BUILD_DIR [--parallel N] [--only PATTERN]
       tap.py run NAME -- COMMAND [ARG...]

Runs every test program of a build, or one command, prints each test with the
program it is in, and closes with "N passed, N failed, N skipped".  A program
that dies, ends with a failure that none of its tests reports, prints no plan
or leaves planned tests out counts as one failed test more.  Exits 1 when
anything failed, or when nothing ran.
"""
import argparse
import re
import subprocess
import sys

RESULT = re.compile(r"(not )?ok\b\s*(\d+)?\s*(.*)$")
PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*(?:skip\S*)?\s*(.*))?$", re.IGNORECASE)
SKIP = re.compile(r"(.*?)#\s*skip\S*\s*(.*)$", re.IGNORECASE)

GROUP = re.compile(r"# (not )?ok - ")  # cmocka's word on a whole group.


class Writer:
    """Reports the tests of a script.  finish() prints the plan and exits."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, passed, name, *details):
        """One test; the details, lines of text, are shown when it fails."""
        self.count += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.count} - {name}")
        if not passed:
            for line in "\n".join(map(str, details)).splitlines():
                print(f"# {line}")
        sys.stdout.flush()
        return passed

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)

    def note(self, text):
        print(f"# {text}", flush=True)

    def finish(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


class Program:
    """What one program printed, read line by line."""

    def __init__(self, name):
        self.name = name
        self.planned = None
        self.seen = 0
        self.passed = 0
        self.failed = []
        self.skipped = 0
        self.shown = []
        self.last_note = ""

    def feed(self, line):
        line = line.rstrip()
        plan = PLAN.match(line)
        result = RESULT.match(line)
        if plan:
            self._plan(int(plan[1]), plan[2])
        elif result:
            self._result(result[1] is None, result[2], result[3])
        elif line and not GROUP.match(line):
            self.last_note = line
            self.shown.append(f"       {line}")

    def _plan(self, count, reason):
        self.planned = (self.planned or 0) + count
        if count == 0:
            self._skip("all", reason)

    def _result(self, passed, number, rest):
        if number != "0":  # The number of a failed group set-up of cmocka.
            self.seen += 1
        skip = SKIP.match(rest)
        if skip:
            self._skipped_test(skip[1], skip[2])
            return
        name = rest.lstrip("- ") or f"test {number}"
        if passed:
            self.passed += 1
            self._show("ok  ", name)
        else:
            self._fail(name)

    def _skipped_test(self, before, after):
        # cmocka puts the name where the reason belongs.
        name = before.strip().lstrip("- ")
        if name:
            self._skip(name, after)
        else:
            self._skip(after, self.last_note)

    def _skip(self, name, reason):
        self.skipped += 1
        self._show("skip", f"{name} ({reason or 'no reason given'})")

    def _fail(self, name):
        self.failed.append(f"{self.name}: {name}")
        self._show("FAIL", name)

    def _show(self, verdict, name):
        self.shown.append(f"{verdict}   {self.name}: {name}")
        self.last_note = ""

    def end(self, fault):
        """|fault| states how the program ended, None that it succeeded."""
        if self.planned is None and self.seen == 0:
            self._fail(f"printed no tests ({fault or 'success'})")
        elif self.planned is None:
            self._fail("printed no plan")
        elif self.planned != self.seen:
            self._fail(f"planned {self.planned} tests and ran {self.seen} "
                       f"({fault or 'success'})")
        elif fault and not self.failed:
            self._fail(f"ended badly ({fault})")


class Summary:
    """The sum over all programs.  |print_line| shows a line."""

    def __init__(self, print_line=lambda line: print(line, flush=True)):
        self.print_line = print_line
        self.passed = 0
        self.skipped = 0
        self.failed = []

    def add(self, program):
        self.passed += program.passed
        self.skipped += program.skipped
        self.failed += program.failed
        for line in program.shown:
            self.print_line(line)

    def close(self):
        if self.failed:
            self.print_line("\nfailed:")
            for name in self.failed:
                self.print_line(f"  {name}")
        self.print_line(f"{self.passed} passed, {len(self.failed)} failed, "
                        f"{self.skipped} skipped")
        ran = self.passed + self.skipped
        return 1 if self.failed or ran == 0 else 0


class Ctest:
    """Reads the output of "ctest -V": lines of test N begin with "N: ", its
    end is a line with the verdict."""

    START = re.compile(r"\s+Start\s+(\d+): (.*)$")
    LINE = re.compile(r"(\d+): ?(.*)$")
    END = re.compile(r"\s*\d+/\d+ Test\s+#(\d+): .*?(Passed|\*\*\*.*?)\s+"
                     r"[\d.]+ sec")

    def __init__(self, summary):
        self.summary = summary
        self.running = {}
        self.in_head = set()
        self.other = []

    def feed(self, line):
        start = self.START.match(line)
        own = self.LINE.match(line)
        end = self.END.match(line)
        if start:
            self.running[start[1]] = Program(start[2])
            self.in_head.add(start[1])
        elif own and own[1] in self.running:
            self._own(own[1], own[2])
        elif end and end[1] in self.running:
            self._end(end[1], end[2])
        else:
            self.other.append(line)

    def _own(self, number, text):
        if number in self.in_head:
            # The head ends with the time limit; every test has one.
            if text.startswith("Test timeout computed"):
                self.in_head.discard(number)
            return
        self.running[number].feed(text)

    def _end(self, number, verdict):
        program = self.running.pop(number)
        program.end(None if verdict == "Passed" else verdict.strip("* "))
        self.summary.add(program)

    def close(self, status):
        for program in self.running.values():
            program.end("never ended")
            self.summary.add(program)
        if status != 0 and not self.summary.failed:
            print("\n".join(self.other))
            self.summary.failed.append(f"ctest ended with status {status}")


def lines_of(command):
    """Runs the command; gives its lines, then its exit status by return."""
    with subprocess.Popen(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          errors="backslashreplace") as process:
        yield from process.stdout
    return process.returncode


def feed_all(sink, command):
    lines = lines_of(command)
    while True:
        try:
            sink.feed(next(lines).rstrip("\n"))
        except StopIteration as end:
            return end.value


def run_ctest(arguments):
    summary = Summary()
    ctest = Ctest(summary)
    command = ["ctest", "--test-dir", arguments.build, "-V", "--no-tests=error",
               "--parallel", str(arguments.parallel)]
    if arguments.only:
        command += ["-R", arguments.only]
    ctest.close(feed_all(ctest, command))
    return summary.close()


def run_one(arguments):
    summary = Summary()
    program = Program(arguments.name)
    command = [word for word in arguments.command if word != "--"]
    status = feed_all(program, command)
    program.end(None if status == 0 else f"exit status {status}")
    summary.add(program)
    return summary.close()


def main():
    parser = argparse.ArgumentParser(description="Counts tests.")
    verbs = parser.add_subparsers(required=True)
    ctest = verbs.add_parser("ctest")
    ctest.add_argument("build")
    ctest.add_argument("--parallel", type=int, default=2)
    ctest.add_argument("--only")
    ctest.set_defaults(run=run_ctest)
    one = verbs.add_parser("run")
    one.add_argument("name")
    one.add_argument("command", nargs=argparse.REMAINDER)
    one.set_defaults(run=run_one)
    arguments = parser.parse_args()
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
