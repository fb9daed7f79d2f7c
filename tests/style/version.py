#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever names the version of this tree names that of the public header."""
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

# Files, and where in them the version stands, whole or without the patch.
WHOLE = (("man/*.1", r'"cometp2p (\d+\.\d+\.\d+)"'),
         ("include/cometp2p/version.h", r'such as "(\d+\.\d+\.\d+)"'))
MINOR = (("tests/install/consumer/CMakeLists.txt",
          r"find_package\(cometp2p (\d+\.\d+)[ )]"),
         ("CHANGELOG.md", r"\A# [^\n]*\n(?:.*?)^## (\d+\.\d+)\b"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def numbers():
    text = read(os.path.join(ROOT, "include/cometp2p/version.h"))
    return [re.search(rf"^#define CMT_VERSION_{part} (\d+)$", text,
                      re.MULTILINE)[1] for part in ("MAJOR", "MINOR", "PATCH")]


def check(report, places, expected):
    for pattern, form in places:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            found = set(re.findall(form, read(path), re.MULTILINE | re.DOTALL))
            report.check(found == {expected},
                         f"{os.path.relpath(path, ROOT)} is of {expected}",
                         *found)


def main():
    report = tap.Writer()
    check(report, WHOLE, ".".join(numbers()))
    check(report, MINOR, ".".join(numbers()[:2]))
    report.finish()


if __name__ == "__main__":
    main()
