#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line of the simulation: fresh seeds that can be repeated, the
world of a seed, and what can be left out."""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

FRESH = re.compile(r"# revision abc, first seed (\d+); again: "
                   r"\./dev sim --from \1 --seeds 2\n")


def run(sim, *arguments):
    done = subprocess.run([sim, *arguments], stdin=subprocess.DEVNULL,
                          text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=100, check=False)
    return done.returncode, done.stdout


def fresh(report, sim):
    runs = [run(sim, "--seeds", "2", "--revision", "abc") for _ in range(2)]
    firsts = {FRESH.match(text)[1] for _, text in runs if FRESH.match(text)}
    report.check(all(status == 0 for status, _ in runs) and len(firsts) == 2,
                 "seeds are fresh, and the first line states which", *runs)


def world(report, sim):
    status, text = run(sim, "--seed", "3")
    report.check(status == 0 and text.startswith("# world of seed 3: ") and
                 "\n# n1: " in text and "\n   0.000000  n0 starts\n" in text,
                 "the world comes first, then what happens", status, text[:999])
    again = run(sim, "--seed", "3", "--quiet")[1]
    report.check(text.startswith(again[:again.rindex("\nseed 3 holds")]) and
                 text.endswith(again[again.rindex("\nseed 3 holds"):]),
                 "a quiet run is the same run", again)


def all_names(sim):
    text = run(sim, "--without", "nothing")[1]
    return text.strip().split("there are: ")[-1].split(", ")


def without(report, sim):
    status, text = run(sim, "--without", "nothing")
    names = all_names(sim)
    report.check(status == 2 and text.startswith(
        'sim: --without knows no "nothing"; there are: latency, ') and
        {"no-memory", "crowd-deaf", "broken-hanging", "hostile-mute",
         "habit-bans"} <=
        set(names), "what cannot be left out gets all names", status, text)
    left = [word for name in names for word in ("--without", name)]
    status, text = run(sim, "--from", "1", "--seeds", "12", *left)
    quiet = re.findall(r"ok \d+ - (?:fault|crowd|minority of|hostile node|application).*?"
                       r": (?:drawn )?(\d+)", text)
    report.check(status == 0 and len(quiet) == len(names) and
                 set(quiet) == {"0"}, "without all names nothing goes wrong",
                 status, text)
    groups = [word for name in ("crowd", "broken", "hostile", "habit")
              for word in ("--without", name)]
    worlds = [run(sim, "--seed", str(seed), "--quiet", *groups)[1]
              for seed in range(1, 13)]
    report.check(not any(re.search("^# (crowd|hostile|broken|the app)", text, re.M)
                         for text in worlds), "a group stands for its kinds",
                 *worlds)


def refused(report, sim):
    found = run(sim, "--seeds", "1x")
    report.check(found == (2, 'sim: --seeds takes a number, found "1x"\n'),
                 "what is no number is reported", *found)
    status, text = run(sim, "--nonsense")
    report.check(status == 2 and "usage: sim" in text,
                 "an unknown option is a usage error", status, text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--release")
    report = tap.Writer()
    sim = os.path.join(parser.parse_args().build, "sim")
    fresh(report, sim)
    world(report, sim)
    without(report, sim)
    refused(report, sim)
    report.finish()


if __name__ == "__main__":
    main()
