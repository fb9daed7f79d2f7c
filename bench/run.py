#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures ours beside CometBFT, ZeroMQ, NNG and the limit of the machine.

usage: run.py BUILD_DIR [--out FILE] [--full | --quick] [--only PATTERN]
                        [--runs N]
       run.py BUILD_DIR --against BUILD_DIR [--only PATTERN] [--runs N]
                        [--seconds S]
       run.py --publish FILE

Writes all results to FILE, bench/results/latest.json by default, with profiles
by perf, and prints them as a table.  --full: CometBFT's own comparison as long
as it is there, with delays.  --quick: every program for a moment.  --only: the
jobs whose title has PATTERN.  --runs: so many rounds.  --against: two builds of
ours.  --publish: the charts in docs/charts and the tables of the documents, out
of FILE.
"""
import argparse
import dataclasses
import json
import os
import re
import sys
import time

import compare
import figures
import machine
import matrix
import measures
import profiles
import series
import spread
import tables
from contenders import all_contenders

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
LATEST = os.path.join(ROOT, "bench/results/latest.json")
NODE = os.path.join(ROOT, "bench/results/node.json")
CHARTS = os.path.join(ROOT, "docs/charts")
DOCUMENTS = ("README.md", "docs/PERFORMANCE.md")
# There is no further round that would not end by then; the profiles follow.
ROUNDS_S = 575


def say(text):
    print(text, file=sys.stderr, flush=True)


def measured(effort, contenders, only, deadline, note):
    """({job: {contender: [metrics of each run]}}, {title: seconds}).  Each round
    runs every job once, so that a change of the machine meets all of them; there
    is no further round when it would not end before |deadline|."""
    chosen = [job for job in [*measures.jobs(effort, contenders),
                              *matrix.jobs(effort)]
              if not only or re.search(only, job.title)]
    results = {job.key: {} for job in chosen}
    spent = dict.fromkeys((job.title for job in chosen), 0)
    took = 0
    for number in range(effort.runs):
        begin = time.monotonic()
        if number > 0 and deadline is not None and begin + took > deadline:
            note(f"the time is up after {number} of {effort.runs} rounds")
            break
        for job in chosen:
            note(f"round {number + 1} of {effort.runs}: {job.title}")
            start = time.monotonic()
            here = [contenders[key] for key in job.contenders
                    if key in contenders]
            found = spread.alternate(here, 1, job.measure, note)
            for key, runs in found.items():
                results[job.key].setdefault(key, []).extend(runs)
            spent[job.title] += time.monotonic() - start
        took = time.monotonic() - begin
    return results, spent


def kernel_of(contenders):
    return contenders["limits"].run("aead", "-seconds", "0.001")["kernel"]


def run(build, effort, only=None):
    """The results as they stand in the file."""
    failures = []

    def note(text):
        say(text)
        if "FAILED" in text:
            failures.append(text.strip())

    contenders, left_out = all_contenders(build)
    for line in left_out:
        say(line)
    start = time.monotonic()
    deadline = start + ROUNDS_S if effort is not measures.FULL else None
    kernel = kernel_of(contenders)
    here = machine.machine(kernel)
    results, spent = measured(effort, contenders, only, deadline, note)
    found = []
    if not only and not profiles.may_record():
        left_out.append("the profiles are left out: perf may not record")
        say(left_out[-1])
    elif not only:
        begin = time.monotonic()
        found = profiles.profiles(build, contenders, effort.profile_s, note)
        spent["profiles"] = time.monotonic() - begin
    return {
        "machine": here, "revision": machine.revision(ROOT),
        "seconds": round(time.monotonic() - start),
        "took": {title: round(s, 2) for title, s in spent.items()},
        "left_out": left_out, "failures": failures,
        "names": {key: c.name for key, c in contenders.items()},
        "figures": figures.figures(effort, results, kernel),
        "readme": figures.readme_works(effort),
        "series": series.series(results, effort.sizes, effort.crowds),
        "matrix": matrix.rows(effort, results),
        "profiles": found,
    }


def write(path, text):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def all_results(path=LATEST):
    """The results in |path|, and those of a seed as "node"."""
    return {**json.loads(read(path)), "node": json.loads(read(NODE))}


def publish(path):
    import charts  # Needs matplotlib, which nothing else does.
    results = all_results(path)
    charts.draw(results, CHARTS)
    for name in DOCUMENTS:
        document = os.path.join(ROOT, name)
        write(document, tables.filled(read(document), results))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--out", default=LATEST)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--against")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--publish", nargs="?", const=LATEST)
    a = parser.parse_args()
    if a.publish:
        publish(a.publish)
        return
    if not a.build:
        parser.error("BUILD_DIR is missing")
    if a.against:
        compare.compare(a.build, a.against,
                        compare.effort_of(a.runs or 15, a.seconds), a.only, say)
        return
    effort = (measures.QUICK if a.quick else
              measures.FULL if a.full else measures.NORMAL)
    if a.runs:
        effort = dataclasses.replace(effort, runs=a.runs)
    results = run(a.build, effort, a.only)
    print(tables.terminal(results))
    say("\n" + tables.times(results))
    if not a.only:
        write(a.out, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        say(f"written to {os.path.relpath(a.out)}")


if __name__ == "__main__":
    main()
