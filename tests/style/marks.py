#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Marks of rare lines (src/base/mark.h): each has a name of its own, and a unit
test asserts that it was reached.  That the fixed seeds of the simulation reach
all of them is checked by the simulation itself."""
import collections
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

MARK = re.compile(r"\bCMT__MARK(?:_IF)?\((?:[^;]*?,\s*)?(\w+)\);", re.DOTALL)
ASSERTED = re.compile(r'\bassert_mark(?:_reached)?\("(\w+)"')


def found(pattern, expression):
    names = []
    for path in glob.glob(os.path.join(ROOT, pattern), recursive=True):
        if not path.endswith("/mark.h"):
            with open(path, encoding="utf-8") as file:
                names += expression.findall(file.read())
    return collections.Counter(names)


def main():
    report = tap.Writer()
    marks = found("src/**/*.[ch]", MARK)
    asserted = found("tests/unit/**/*.c", ASSERTED)
    twice = [name for name, count in marks.items() if count > 1]
    unheld = sorted(set(marks) - set(asserted))
    unknown = sorted(set(asserted) - set(marks))
    report.check(len(marks) >= 12, "a dozen rare lines are marked", len(marks))
    report.check(not twice, "a mark stands at one line alone", *twice)
    report.check(not unheld, "each mark is asserted by a unit test", *unheld)
    report.check(not unknown, "what is asserted is a mark", *unknown)
    report.finish()


if __name__ == "__main__":
    main()
