#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every mutation still fits the sources: the lines around and in it are there,
once.  "./dev mutate" shows that the simulation finds it, or the unit test that its
table names."""
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import mutate  # noqa: E402
import tap  # noqa: E402

FILE = re.compile(r"--- a/(.*)")


def hunks(lines):
    """The old text of each hunk, and the path that it is of."""
    path, old = None, []
    for line in [*lines, "@@"]:
        if line.startswith(("--- ", "@@")) and old:
            yield path, "\n".join(old) + "\n"
            old = []
        if FILE.match(line):
            path = FILE.match(line)[1]
        elif path and line[:1] in ("", " ", "-"):
            old.append(line[1:])


def fault(patch):
    with open(patch, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if not lines or not re.fullmatch(r"[A-Z].*\.", lines[0]):
        return "its first line is not a sentence that says what is broken"
    for path, old in hunks(lines):
        if not os.path.isfile(os.path.join(ROOT, path)):
            return f"there is no {path}"
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            if file.read().count(old) != 1:
                return f"its lines are not in {path}, or more than once"
    return None


def main():
    report = tap.Writer()
    patches = sorted(glob.glob(os.path.join(ROOT, "tests/mutations/*.patch")))
    report.check(len(patches) >= 10, "there are ten mutations", len(patches))
    for patch in patches:
        found = fault(patch)
        report.check(found is None, f"{os.path.basename(patch)} fits",
                     *[found] if found else [])
    names = {os.path.basename(patch).removesuffix(".patch")
             for patch in patches}
    wrong = [f"{name}: {program}" for name, program in mutate.FINDERS.items()
             if name not in names or not glob.glob(os.path.join(
                 ROOT, "tests/unit/*", f"{program}.c"))]
    report.check(not wrong, "a finder is a unit test, of a mutation", *wrong)
    report.finish()


if __name__ == "__main__":
    main()
