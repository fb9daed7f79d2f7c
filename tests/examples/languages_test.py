#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python program of the guide runs on the shared library of the release
build, and prints what the guide shows."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

CHAPTER = os.path.join(ROOT, "docs/guide/other-languages.md")
PROGRAM = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$",
                     re.DOTALL | re.MULTILINE)
WAIT_S = 120


def run(program, library):
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(program)
        file.flush()
        return subprocess.run([sys.executable, "-B", file.name, library],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=WAIT_S, check=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--release", required=True)
    library = os.path.join(parser.parse_args().release, "libcometp2p.so")
    report = tap.Writer()
    with open(CHAPTER, encoding="utf-8") as file:
        programs = PROGRAM.findall(file.read())
    report.check(len(programs) == 1, "the chapter has a program", len(programs))
    name = "the program in Python prints what the guide shows"
    if not os.path.exists(library):
        report.skip(name, "there is no release build")
    else:
        for program, output in programs:
            done = run(program, library)
            report.check(done.returncode == 0 and done.stdout == output, name,
                         done.returncode, done.stdout, done.stderr)
    report.finish()


if __name__ == "__main__":
    main()
