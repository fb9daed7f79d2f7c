#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a test program under valgrind's memcheck.

usage: memcheck.py [--counts-itself] PROGRAM [ARG...]

The output is that of the program; what valgrind finds comes as comments, and
makes it end with a failure, unless the program looks at the count of it
itself.
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FOUND = 99
LINES_SHOWN = 60


def main():
    words = sys.argv[1:]
    options = ["--quiet", "--num-callers=24",
               f"--suppressions={HERE / 'memcheck.supp'}",
               "--leak-check=full", "--show-leak-kinds=definite,indirect",
               "--errors-for-leak-kinds=definite,indirect"]
    if words[0] == "--counts-itself":
        words.pop(0)
    else:
        options.append(f"--error-exitcode={FOUND}")
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        status = subprocess.run(
            ["valgrind", *options, f"--log-file={log.name}", *words]
        ).returncode
        for line in log.read().splitlines()[:LINES_SHOWN]:
            print(f"# {line}")
    sys.exit(status)


if __name__ == "__main__":
    main()
