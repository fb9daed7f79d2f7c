#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every promise in docs/TESTING.md stands there once and has a test, and every
test that it names exists in the file that it names.  The unit tests lie in the
folders that the sources have."""
import collections
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

# `FILE: NAME` or `FOLDER/FILE`; without a folder it is a unit test, whose name
# is enough to find it.
NAMED = re.compile(r"`((?:\w+/)?\w+\.(?:c|py))(?:: (\w+))?`")

PATHS = [os.path.relpath(path, ROOT) for path in
         glob.glob(os.path.join(ROOT, "tests/unit/**/*_test.c"), recursive=True)]
UNIT_TESTS = {os.path.basename(path): path for path in PATHS}


def missing(name, test):
    path = UNIT_TESTS.get(name) or f"tests/{name}"
    if not os.path.exists(os.path.join(ROOT, path)):
        return f"there is no {path}"
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        found = re.search(rf"\b{re.escape(test)}\b", file.read())
    return None if found else f"{path} has no {test}"


def promises(text):
    """The rows of the tables: promise, tests."""
    for line in text[text.index("\n## Promises\n"):].splitlines():
        cells = line.strip("|").split("|")
        if line.startswith("| ") and cells[0].strip() != "promise":
            yield line, NAMED.findall(cells[-1])


def main():
    report = tap.Writer()
    with open(os.path.join(ROOT, "docs/TESTING.md"), encoding="utf-8") as file:
        rows = list(promises(file.read()))
    named = {pair for _, tests in rows for pair in tests}
    faults = [missing(*pair) for pair in sorted(named)]
    report.check(len(named) > 200, "docs/TESTING.md names tests", len(named))
    report.check(all(tests for _, tests in rows), "every promise has a test",
                 *[line for line, tests in rows if not tests])
    texts = collections.Counter(line.strip("|").split("|")[0].strip()
                                for line, _ in rows)
    twice = [text for text, count in texts.items() if count > 1]
    report.check(not twice, "no promise stands there twice", *twice)
    report.check(not any(faults), "each of them exists",
                 *[fault for fault in faults if fault])
    homeless = [path for path in PATHS if not os.path.isdir(os.path.join(
        ROOT, os.path.dirname(path).replace("tests/unit", "src")))]
    report.check(len(PATHS) > 140 and not homeless,
                 "each unit test lies in a folder that the sources have",
                 len(PATHS), *homeless)
    report.check(len(PATHS) == len(UNIT_TESTS), "their names are unique")
    report.finish()


if __name__ == "__main__":
    main()
