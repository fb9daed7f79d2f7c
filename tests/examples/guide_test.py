#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs of the guide run, and print what the guide shows."""
import argparse
import glob
import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import guide  # noqa: E402
import tap  # noqa: E402

WAIT_S = 120


def check(report, program, output):
    name = os.path.basename(program)
    try:
        ran = subprocess.run([program], capture_output=True, text=True,
                             timeout=WAIT_S, check=False)
    except subprocess.TimeoutExpired:
        report.check(False, f"{name} ends", f"not within {WAIT_S} s")
        return
    report.check(ran.returncode == 0, f"{name} succeeds",
                 f"it ends with {ran.returncode}", ran.stderr)
    report.check(output is not None and ran.stdout == output,
                 f"{name} prints what the guide shows",
                 f"it prints {ran.stdout!r}", f"the guide has {output!r}")


def check_chapters(report):
    """Every chapter is in the list of chapters, and the other way round."""
    listed = guide.read(f"{ROOT}/docs/guide/README.md")
    paths = glob.glob(f"{ROOT}/docs/guide/*.md")
    names = {os.path.basename(path) for path in paths} - {"README.md"}
    missing = sorted(name for name in names if f"({name})" not in listed)
    report.check(names and not missing, "the guide lists every chapter",
                 *missing)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--release")
    build = parser.parse_args().build
    report = tap.Writer()
    check_chapters(report)
    for name, _, output in guide.chapters():
        path = os.path.join(build, name)
        if os.path.exists(path):
            check(report, path, output)
        else:
            report.skip(name, "the examples are not built")
    report.finish()


if __name__ == "__main__":
    main()
