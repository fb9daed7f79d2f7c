#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reader that counts the tests counts them right, above all when a program
ends badly: a test run that loses a failure is worse than none.
"""
import os
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

# What it shows, output of the program, how it ended, then the numbers of
# passed, failed and skipped tests.
PROGRAMS = (
    ("two tests pass", "1..2\nok 1 - a\nok 2 - b\n", None, (2, 0, 0)),
    ("a failed test is one", "1..2\nok 1 - a\nnot ok 2 - b\n# 1 != 2\n",
     "exit status 1", (1, 1, 0)),
    ("a plan may come last", "ok 1 - a\n1..1\n", None, (1, 0, 0)),
    ("several groups in one program", "1..1\nok 1 - a\n1..2\nok 1 - b\n"
     "ok 2 - c\n", None, (3, 0, 0)),
    ("cmocka's skipped test", "1..2\nneeds IPv6\nnot ok 1 # SKIP a\n"
     "ok 2 - b\n", None, (1, 0, 1)),
    ("a skipped test of a script", "ok 1 - a # SKIP no compiler\n1..1\n", None,
     (0, 0, 1)),
    ("a skipped program", "1..0 # SKIP no network\n", None, (0, 0, 1)),
    ("a failed set-up of a group", "1..2\nnot ok 0 - t [  FAILED  ] GROUP "
     "SETUP\n", "exit status 1", (0, 2, 0)),
    ("a failed set-up of a test", "1..1\nnot ok 1 - a Could not run test: Test "
     "setup failed\n", "exit status 1", (0, 1, 0)),
    ("a crash in the middle", "1..3\nok 1 - a\n", "Exception: SegFault",
     (1, 1, 0)),
    ("a crash before the plan", "", "Exception: Aborted", (0, 1, 0)),
    ("a crash after the last test", "1..1\nok 1 - a\n", "exit status 23",
     (1, 1, 0)),
    ("no plan", "ok 1 - a\n", None, (1, 1, 0)),
    ("no output", "", None, (0, 1, 0)),
    ("a timeout", "1..2\nok 1 - a\n", "Timeout", (1, 1, 0)),
    ("lines of the program are no tests", "1..1\nokay then\n# ok 1 - x\n"
     "ok 1 - a\n# ok - group\n", None, (1, 0, 0)),
)

CTEST = """\
test 1
      Start  1: unit/a_test.c

1: Test command: /build/a_test
1: Working Directory: /build
1: Environment variables: 
1:  CMOCKA_MESSAGE_OUTPUT=TAP
1: Test timeout computed to be: 120
1: 1..2
test 2
      Start  2: unit/b_test.c

2: Test command: /build/b_test
2: Test timeout computed to be: 120
2: 1..2
2: ok 1 - first
1: ok 1 - one
1: ok 2 - two
1/3 Test #1: unit/a_test.c ....................   Passed    0.01 sec
2/3 Test #2: unit/b_test.c ....................***Exception: SegFault  0.10 sec
test 3
      Start  3: unit/c_test.c

3: Test command: /build/c_test
3: Test timeout computed to be: 120
3: 1..1
3: ok 1 - slow
3/3 Test #3: unit/c_test.c ....................***Failed    0.10 sec
"""


def numbers(program):
    return program.passed, len(program.failed), program.skipped


def check_programs(report):
    for name, output, fault, expected in PROGRAMS:
        program = tap.Program("p")
        for line in output.splitlines():
            program.feed(line)
        program.end(fault)
        report.check(numbers(program) == expected, name,
                     f"{numbers(program)}, expected {expected}")


def check_reasons(report):
    program = tap.Program("p")
    for line in ("needs IPv6", "not ok 1 # SKIP a", "ok 2 - b # SKIP no disk",
                 "1..2"):
        program.feed(line)
    skipped = [line.strip() for line in program.shown if line[0] == "s"]
    expected = ["skip   p: a (needs IPv6)", "skip   p: b (no disk)"]
    report.check(skipped == expected, "a skipped test prints its reason",
                 skipped)


def check_ctest(report):
    totals = tap.Summary(print_line=lambda line: None)
    reader = tap.Ctest(totals)
    for line in CTEST.splitlines():
        reader.feed(line)
    reader.close(8)
    expected = ["unit/b_test.c: planned 2 tests and ran 1 (Exception: "
                "SegFault)", "unit/c_test.c: ended badly (Failed)"]
    report.check(totals.passed == 4 and totals.failed == expected,
                 "programs that run at the same time are distinguished",
                 totals.passed, *totals.failed)
    report.check(totals.close() == 1, "a failure ends the run with status 1")


def check_nothing(report):
    totals = tap.Summary(print_line=lambda line: None)
    report.check(totals.close() == 1, "a run without tests is a failure")


def main():
    report = tap.Writer()
    check_programs(report)
    check_reasons(report)
    check_ctest(report)
    check_nothing(report)
    report.finish()


if __name__ == "__main__":
    main()
