#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lines of the core that the kept corpora reach.

usage: coverage.py BUILD [--missed]

BUILD is a build of the preset coverage.  Runs every replay in it, prints each
file with its lines, and ends with 1 when less than 90 % of all are reached.
--missed also prints the lines that are not.
"""
import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# What libcometp2p-core is made of.
CORE = [ROOT / "src" / folder for folder in ("base", "crypto", "core")]
WANTED = 90.0


def run_replays(build):
    for path in build.rglob("*.gcda"):
        path.unlink()
    for target in sorted(HERE.glob("*_fuzz.c")):
        name = target.stem.removesuffix("_fuzz")
        subprocess.run([build / f"replay_{name}", HERE / "corpus" / name],
                       check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def line_counts(build):
    """{file: {line: how often it ran}} of everything in the core."""
    counts = {}
    objects = sorted(build.glob("CMakeFiles/cometp2p-core-objects.dir/src/**/*.gcda"))
    text = subprocess.run(["gcov", "--json-format", "--stdout", *objects],
                          check=True, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, cwd=build).stdout
    for report in text.splitlines():
        for file in json.loads(report)["files"]:
            path = (build / file["file"]).resolve()
            if not any(folder in path.parents for folder in CORE):
                continue
            lines = counts.setdefault(path.name, {})
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, 0) + line["count"]
    return counts


def ranges(numbers):
    """1, 2, 3, 7 as "1-3 7"."""
    out = []
    for n in sorted(numbers):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--missed", action="store_true")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    run_replays(build)
    reached = total = 0
    for name, lines in sorted(line_counts(build).items()):
        missed = [n for n, count in lines.items() if count == 0]
        hit = len(lines) - len(missed)
        reached += hit
        total += len(lines)
        print(f"{name:24} {hit:5} of {len(lines):5}  "
              f"{100 * hit / len(lines):6.1f} %")
        if arguments.missed and missed:
            print(f"  missed: {ranges(missed)}")
    if total == 0:
        sys.exit("coverage.py: no line of the core was counted")
    share = 100 * reached / total
    print(f"{'the core':24} {reached:5} of {total:5}  {share:6.1f} %"
          f" (wanted: {WANTED:.0f} %)")
    sys.exit(0 if share >= WANTED else 1)


if __name__ == "__main__":
    main()
