#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the ABI of the shared libraries with the one that is committed.

usage: abi.py BUILD_DIR [--update] [--baseline FOLDER]

Each library of BUILD_DIR is described by abidw, of libabigail, and abidiff
compares that with FOLDER/LIBRARY.abi, by default in abi/.  Exits 1 when they
differ; --update writes the descriptions instead.  Nothing needs a network.
"""
import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
LIBRARIES = ("libcometp2p", "libcometp2p-core", "libcometp2p-protobuf")
OPTIONAL = ("libcometp2p-protobuf",)
MACHINE = "x86_64"
ABIDIFF_FAILED = 1 | 2  # Bits of its status: an error, a wrong call.

# A struct that no public header defines counts as opaque.  With the label that
# libabigail gives its own rule of that kind, for --drop-private-types, it keeps
# the name of the struct; that rule itself knows headers by their last name only,
# and private ones here have those of public ones.
PRIVATE_TYPES = """\
[suppress_type]
  label = Artificial private types suppression specification
  source_location_not_regexp = include/cometp2p/
  drop = yes
"""
OPTIONS = ("--exported-interfaces-only", "--no-corpus-path",
           "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed",
           "--no-parameter-names", "--type-id-style", "hash")

DIFFERS = """\
abi: {name} has another ABI than {baseline}
abi: if it is meant to, run "./dev abi --update" and commit what that changes,
abi: with a line in CHANGELOG.md; once a version is released, a change that
abi: breaks programs also takes a new one (include/cometp2p/version.h)
"""


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    return done.returncode, done.stdout


def describe(library, folder):
    """The text of abidw, with paths that do not depend on the build."""
    rules = os.path.join(folder, "rules.ini")
    with open(rules, "w", encoding="utf-8") as file:
        file.write(PRIVATE_TYPES)
    status, text = run("abidw", "--suppressions", rules, *OPTIONS, library)
    if status != 0:
        sys.exit(f"abi: abidw cannot read {library}\n{text}")
    return re.sub(r"(<abi-instr\b[^>]* path=')(?:\.\./)+", r"\1", text)


def functions(text):
    return len(re.findall(r"<elf-symbol [^>]*type='func-type'", text))


def update(text, baseline):
    os.makedirs(os.path.dirname(baseline), exist_ok=True)
    with open(baseline, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"wrote {baseline}: {functions(text)} functions")
    return True


def compare(name, text, baseline, folder):
    """True when it is the same; otherwise the differences are printed."""
    if not os.path.exists(baseline):
        print(f"abi: there is no {baseline}: run \"./dev abi --update\"")
        return False
    found = os.path.join(folder, f"{name}.abi")
    with open(found, "w", encoding="utf-8") as file:
        file.write(text)
    status, report = run("abidiff", "--harmless", baseline, found)
    if status == 0:
        print(f"{name} has the ABI of {baseline}: {functions(text)} functions")
        return True
    if status < 0 or status & ABIDIFF_FAILED:
        sys.exit(f"abi: abidiff cannot compare {baseline}\n{report}")
    print(report, end="")
    print(DIFFERS.format(name=name, baseline=baseline), end="")
    return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--baseline", default=os.path.join(ROOT, "abi"))
    arguments = parser.parse_args()
    if platform.machine() != MACHINE:
        print(f"abi: not compared: this is {platform.machine()}, and the "
              f"committed ABI is that of {MACHINE}")
        return
    good = True
    for name in LIBRARIES:
        library = os.path.join(arguments.build, f"{name}.so")
        baseline = os.path.relpath(
            os.path.join(arguments.baseline, f"{name}.abi"))
        if not os.path.exists(library):
            print(f"abi: {name} was not built, so it is not compared")
            good &= name in OPTIONAL
            continue
        with tempfile.TemporaryDirectory() as folder:
            text = describe(library, folder)
            if arguments.update:
                update(text, baseline)
            else:
                good &= compare(name, text, baseline, folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
