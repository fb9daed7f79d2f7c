#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the tests find bugs: applies each patch of tests/mutations to a copy
of the sources, builds the simulation, and runs seeds until one fails.  Patches of
rules that the simulation does not have are found by the unit tests in FINDERS.

usage: mutate.py [--seeds N] [NAME...]
       mutate.py --random N [--seed S] [--in PATH]...

Prints each mutation, the checker that caught it and how many seeds that took, or
the test.  Exits 1 when one survives, cannot be applied or does not compile.

--random draws N single faults in the library's sources instead, or in those of
the folders and files below src/ that --in names.  It builds a copy under
build/mutate with each of them, one on each processor, and runs the unit tests,
those of the same folder first, and then seeds of the simulation, until one
fails.  It prints the seed of the draw, the faults that nothing found with their
lines, and the score.
"""
import argparse
import filecmp
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import mutate_faults
import mutate_random

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
FOLDER = os.path.join(ROOT, "tests/mutations")
FAILED = re.compile(r"not ok \d+ - seed (\d+): ([^:]+): (.*)")
TEST_FAILED = re.compile(r"^not ok \d+ - (\w+)\n((?:# .*\n)*)", re.MULTILINE)
SECONDS_MAX = 1800
# The nodes of the simulation have no peer exchange.
FINDERS = {
    "seed-interval-stays": "ensure_test",
    "seed-news-unused": "ensure_test",
    "seed-visited-for-ever": "ensure_test",
}


def source_names():
    """The paths of the work tree that are not ignored; of all but the build
    for a copy that is no git work tree."""
    listed = run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard",
                 "-z")
    if listed.returncode == 0:
        return listed.stdout.split("\0")
    return [os.path.relpath(os.path.join(folder, name), ROOT)
            for folder, _, names in os.walk(ROOT)
            for name in names if not folder.startswith(ROOT + "/build")]


def remove_others(target, names):
    """What an earlier copy had and the sources have no more."""
    for folder, _, files in os.walk(target):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, target) not in names:
                os.remove(path)


def copy_sources(target):
    """What is there already and the same stays as it is, so that a build of it
    goes on from there."""
    names = {name for name in source_names()
             if name and os.path.isfile(os.path.join(ROOT, name))}
    remove_others(target, names)
    for name in names:
        path, place = os.path.join(ROOT, name), os.path.join(target, name)
        if not os.path.exists(place) or not filecmp.cmp(path, place, False):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(path, place)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True,
                          errors="backslashreplace", check=False, **options)


class Copy:
    """A copy of the sources with a build of the simulation and of unit tests."""

    def __init__(self, folder, *options):
        self.source = os.path.join(folder, "source")
        self.build = os.path.join(folder, "build")
        copy_sources(self.source)
        made = run("cmake", "--preset", "dev", "-S", self.source, "-B",
                   self.build, "-DCMT_EXAMPLES=OFF", "-DCMT_BENCH=OFF",
                   *options, cwd=self.source)
        if made.returncode != 0:
            sys.exit(made.stdout + made.stderr)

    def compile(self, program="sim"):
        made = run("cmake", "--build", self.build, "--target", program)
        return None if made.returncode == 0 else made.stdout + made.stderr

    def patch(self, path, *flags):
        return run("patch", "-p1", "--batch", "--no-backup-if-mismatch",
                   "-r", "-", "-i", path, *flags, cwd=self.source)

    def examine(self, program):
        """The program, the tests of it that failed, and what they printed; or
        None."""
        try:
            ran = run(os.path.join(self.build, program), timeout=SECONDS_MAX,
                      env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
        except subprocess.TimeoutExpired:
            return program, "time", f"the run took more than {SECONDS_MAX} s"
        if ran.returncode == 0:
            return None
        failed = TEST_FAILED.findall(ran.stdout)
        if failed:
            return (program, ", ".join(name for name, _ in failed),
                    failed[0][1].replace("# ", "").replace("\n", " "))
        last = (ran.stdout + ran.stderr).strip().splitlines()[-1:]
        return program, "crash", " ".join(last)

    def simulate(self, seeds):
        """The checker that failed, the number of seeds, and what it printed; or
        None."""
        try:
            ran = run(os.path.join(self.build, "sim"), "--from", "1",
                      "--seeds", str(seeds), timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return ("time", f"{seeds:4} seeds",
                    f"the run took more than {SECONDS_MAX} s")
        if ran.returncode == 0:
            return None
        found = FAILED.search(ran.stdout)
        if found:
            return found[2], f"{int(found[1]):4} seeds", found[3]
        last = (ran.stdout + ran.stderr).strip().splitlines()[-1:]
        return "crash", f"{seeds:4} seeds", " ".join(last)


def title(path):
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()


def try_one(copy, path, seeds):
    """True when it was caught.  The copy is as before afterwards."""
    name = os.path.basename(path).removesuffix(".patch")
    applied = copy.patch(path)
    if applied.returncode != 0:
        print(f"{name}: does not apply\n{applied.stdout}", flush=True)
        return False
    program = FINDERS.get(name, "sim")
    fault = copy.compile(program)
    caught = None
    if not fault:
        caught = (copy.simulate(seeds) if program == "sim"
                  else copy.examine(program))
    copy.patch(path, "-R")
    if fault:
        print(f"{name}: does not compile\n{fault}", flush=True)
    elif caught is None:
        survived = f"{seeds} seeds" if program == "sim" else program
        print(f"{name}: SURVIVED {survived} ({title(path)})", flush=True)
    else:
        print(f"{name:24} {caught[0]:16} {caught[1]}   {title(path)}\n"
              f"{'':24} {caught[2][:150]}", flush=True)
    return caught is not None


def draw(count, seed, names):
    """Does not return."""
    seed = random.randrange(1 << 32) if seed is None else seed
    try:
        mutate_faults.named(ROOT, names)
    except ValueError as error:
        sys.exit(f"mutate: {error}")
    copy = Copy(os.path.join(ROOT, "build/mutate"), "-DCMT_TESTS_SHARED=ON")
    found = mutate_random.run_random(copy, count, seed, names)
    sys.exit(0 if found else 1)


def main():
    parser = argparse.ArgumentParser(description="Mutates and simulates.")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--random", type=int, metavar="N")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--in", dest="sources", action="append", default=[],
                        metavar="PATH")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    if arguments.random is not None:
        draw(arguments.random, arguments.seed, arguments.sources)
    names = arguments.names or sorted(
        name.removesuffix(".patch") for name in os.listdir(FOLDER)
        if name.endswith(".patch"))
    with tempfile.TemporaryDirectory(prefix="cometp2p-mutate-") as folder:
        copy = Copy(folder)
        for program in sorted({FINDERS.get(name, "sim") for name in names}):
            fault = copy.compile(program)
            if not fault and program != "sim":
                fault = " ".join(copy.examine(program) or [])
            if fault:
                sys.exit(f"without a mutation: {fault}")
        caught = [try_one(copy, os.path.join(FOLDER, name + ".patch"),
                          arguments.seeds) for name in names]
    print(f"{sum(caught)} of {len(caught)} mutations were caught")
    sys.exit(0 if all(caught) and caught else 1)


if __name__ == "__main__":
    main()
