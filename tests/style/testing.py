#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every test that docs/TESTING.md names exists in the file that it names."""
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402


def missing(folder, name, test):
    path = os.path.join(ROOT, "tests", folder, name)
    if not os.path.exists(path):
        return f"there is no tests/{folder}/{name}"
    with open(path, encoding="utf-8") as file:
        found = re.search(rf"\b{re.escape(test)}\b", file.read())
    return None if found else f"tests/{folder}/{name} has no {test}"


def main():
    report = tap.Writer()
    with open(os.path.join(ROOT, "docs/TESTING.md"), encoding="utf-8") as file:
        named = re.findall(r"`(\w+_test\.c): (\w+)`", file.read())
    faults = [missing("unit", *pair) for pair in named]
    report.check(len(named) > 50, "docs/TESTING.md names tests", len(named))
    report.check(not any(faults), "each of them exists",
                 *[fault for fault in faults if fault])
    report.finish()


if __name__ == "__main__":
    main()
