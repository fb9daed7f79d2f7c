#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a seed does and needs, beside CometBFT's own.

usage: node.py BUILD_DIR [--out FILE] [--quick | --full] [--only PATTERN]
                         [--runs N] [--minutes N]

Writes the results to FILE, bench/results/node.json by default, and prints them
as a table.  --quick: each for a moment.  --full: also an hour beside four
validators, or --minutes of it; without either FILE keeps what it has of that,
with the revision it was measured at.  --only: the jobs whose title has
PATTERN; nothing is written.  --runs: so many rounds.
"""
import argparse
import dataclasses
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time

import figures
import machine
import nodes
import spread
import tables
from contenders import Contender, Failed, missing_program
from figures import Row, least, most
from run import NODE, ROOT, read, say, write

COMET = "cometbft_v0_40_0"
ANSWER = 250
AT_A_TIME = 32


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long and how often."""
    runs: int = 5
    visit_s: float = 2.0
    warm_s: float = 0.3
    rest_s: float = 5.0  # Before memory is looked at.
    rounds: int = 5      # A book on disk is read and written so often.
    book: int = 2000     # Entries of most seeds, of a large one, of a full one.
    large: int = 10000
    full: int = 20000
    chains: int = 100
    strangers: int = 10000
    neighbours: int = 1000
    peers: int = 1000    # On the page of metrics, which is made so often.
    pages: int = 200
    worlds: int = 5      # Seeds of the simulator.
    minutes: float = 0   # Beside validators; 0: not at all.


NORMAL = Effort()
# For the tests: each for a moment.
QUICK = Effort(runs=1, visit_s=0.2, warm_s=0.05, rest_s=0.1, rounds=1,
               large=2500, full=3000, chains=2, strangers=200, neighbours=100,
               peers=50, pages=5, worlds=1)


@dataclasses.dataclass(frozen=True)
class World:
    """What the jobs work with."""
    build: str
    folder: str
    effort: Effort
    crowd: nodes.Crowd
    comet: str | None  # The program, if it is there.

    def seed(self, key, name, entries, chains=1, pages=False):
        """A seed that runs, pinned to the second core."""
        folder = os.path.join(self.folder, name, key)
        os.makedirs(folder)
        log = os.path.join(folder, "log")
        if key == COMET:
            home = nodes.comet_home(self.build, self.comet, folder,
                                    self.crowd.port, entries)
            return nodes.CometSeed(self.comet, home, log, {1})
        homes = nodes.our_homes(self.build, folder, chains, self.crowd.port,
                                entries)
        return nodes.OurSeed(self.build, homes, log, {1}, pages)


# ---- visits ----

# The first visitor: nodes that are in no book.
VISITORS, VISITORS_EACH = 50000, 4096


def visit_metrics(result):
    if result["visits"] == 0 or result["refused"] > 0:
        raise Failed(f"{result['refused']} visits without an answer, "
                     f"{result['visits']} with one")
    if result["addresses"] < ANSWER:
        raise Failed(f"an answer has {result['addresses']} addresses, "
                     f"at least {result['addresses_least']}")
    return {"per s": result["visits"] / result["seconds"],
            "per core": result["visits"] / result["process_seconds"],
            "p50 ms": result["quantiles_us"]["50"] / 1000}


def visits(world, keys, note):
    """{key: [metrics]}: the seeds take turns."""
    effort = world.effort
    seeds = {key: world.seed(key, "visits", effort.book) for key in keys}
    first = iter(range(VISITORS, 10**6, VISITORS_EACH))

    def measure(c):
        def visit(seconds):
            return seeds[c.key].visits(
                world.build, "-port", world.crowd.port, "-count", AT_A_TIME,
                "-seconds", seconds, "-first", next(first))
        visit(effort.warm_s)
        return visit_metrics(visit(effort.visit_s))

    try:
        return spread.alternate([Contender(k, k, "") for k in keys], effort.runs,
                                measure, note)
    finally:
        for seed in seeds.values():
            seed.__exit__()


# ---- memory ----

def memory(name, size, pages=False):
    """What a seed needs that has served visits for a while; |size| of the effort
    is (entries of a chain, chains)."""
    def measure(world, keys, note):
        del note
        found = {}
        entries, chains = size(world.effort)
        for key in keys:
            with world.seed(key, name, entries, chains, pages) as seed:
                seed.visits(world.build, "-port", world.crowd.port, "-count", 4,
                            "-seconds", world.effort.rest_s, "-first", VISITORS)
                found[key] = [{"MiB": seed.resident_mib(),
                               "threads": seed.threads()}]
        return found
    return measure


# ---- the book ----

def book(world, keys, note):
    """Loading, and the pause of the loop while a save begins."""
    del keys, note
    found = []
    for _ in range(world.effort.runs):
        def times(verb):
            lines = nodes.run(os.path.join(world.build, "bench_book"), verb,
                              "-count", world.effort.full, "-rounds", world.effort.rounds)
            return json.loads(lines.splitlines()[0])["quantiles_us"]
        found.append({"load ms": times("load")["50"] / 1000,
                      "pause ms": times("save")["100"] / 1000})
    return {"ours": found}


# ---- strangers ----

def strangers(name, size):
    """Visits one after another while others are connected and say nothing;
    |size| of the effort is (connections, their addresses)."""
    def measure(world, keys, note):
        del keys, note
        count, addresses = size(world.effort)
        with world.seed("ours", name, world.effort.book) as seed:
            def visit():
                return seed.visits(
                    world.build, "-port", world.crowd.port, "-count", 1,
                    "-seconds", world.effort.visit_s, "-first", VISITORS)
            visit()
            before = seed.resident_mib()
            with nodes.Silent(world.build, seed.address, count, addresses):
                result = visit()
                grown = seed.resident_mib() - before
            visit_metrics(result)
            return {"ours": [{"p99 ms": result["quantiles_us"]["99"] / 1000,
                              "MiB": max(0, grown)}]}
    return measure


# ---- metrics ----

def scrape(world, keys, note):
    """The page of metrics of a switch whose peers are all connected."""
    del keys, note
    idle = Contender("ours", "cometp2p", os.path.join(world.build, "bench_idle"))

    def measure():
        _, result = idle.pair(
            "scrape", "crowd", shared=("-count", str(world.effort.peers)),
            servers=("-rounds", str(world.effort.pages)))
        return {"ms": result["mean_us"] / 1000}

    return {"ours": [measure() for _ in range(world.effort.runs)]}


# ---- simulated ----

SIMULATED = {"seed_proven_after_180_s": "proven",
             "seed_served_living": "living permille",
             "seed_dead_served": "dead s"}


def sim_program(build):
    """The program of the build, or the one of ./dev bench --node."""
    for path in (os.path.join(build, "sim_pex"),
                 os.path.join(ROOT, "build/sim/sim_pex")):
        if not missing_program(path):
            return path
    raise Failed("there is no sim_pex")


def simulated(world, keys, note):
    """The worst of some worlds in virtual time."""
    del keys, note
    # It ends with 1 when a figure is not reached, which the table shows.
    lines = nodes.run(sim_program(world.build), "--figures", "--seeds",
                      world.effort.worlds, timeout=600, codes=(0, 1)).splitlines()
    found = {SIMULATED[one["figure"]]: one["worst"]
             for one in map(json.loads, lines)}
    found["living %"] = found.pop("living permille") / 10
    return {"ours": [found]}


# ---- a long time ----

NODES, VALIDATORS, BLOCKS = 100, 4, 3
# Then a seed has dialed as many nodes at a time as it ever will, which takes more
# than a MiB once.
GROWN_S = 1200
# Each five minutes a seed dials for two, 32 nodes at a time.
LOOK_S, REST_S = 300, 5


def soak(world, keys, note):
    """A seed without a book that serves validators and, once these make blocks,
    nodes, which visit it again and again; what it needs once it has dialed its
    most and at the end."""
    del keys, note
    if not world.comet:
        raise Failed("four validators need CometBFT")
    seconds = world.effort.minutes * 60
    begin = time.monotonic()
    with world.seed("ours", "soak", 0) as seed, \
            nodes.Validators(world.comet, os.path.join(world.folder, "soak"),
                             VALIDATORS, seed) as validators:
        def visit_until(part):
            """The least that the seed needed at the end of that time."""
            end, looks = begin + part * seconds, []
            while time.monotonic() < end:
                seed.visits(world.build, "-port", world.crowd.port, "-count", 4,
                            "-seconds", 1, "-first", 0, "-visitors", NODES)
                select.select([], [], [], REST_S)
                looks.append((seed.resident_mib(), seed.descriptors()))
            looks = looks[-LOOK_S // (REST_S + 1):]
            return min(mib for mib, _ in looks), min(fds for _, fds in looks)
        validators.wait_for(BLOCKS)
        height = validators.height()
        before, fds_before = visit_until(max(0.2, min(0.8, GROWN_S / seconds)))
        after, fds_after = visit_until(1)
        validators.wait_for(height + BLOCKS)
    return {"ours": [{"% more": (after / before - 1) * 100, "MiB": after,
                      "descriptors": fds_after - fds_before}]}


# ---- the table ----

@dataclasses.dataclass(frozen=True)
class Job:
    """|measure|(world, keys of those that are there, note) is {key: [metrics of
    each run]}."""
    key: str
    title: str
    contenders: tuple
    measure: object


JOBS = (
    Job("visits", "visits of a seed", ("ours", COMET), visits),
    Job("one chain", "memory of one chain", ("ours", COMET),
        memory("one chain", lambda e: (e.large, 1))),
    Job("pages", "memory of one chain with pages", ("ours",),
        memory("pages", lambda e: (e.large, 1), pages=True)),
    Job("many chains", "memory of many chains", ("ours",),
        memory("many chains", lambda e: (e.book, e.chains))),
    Job("book", "an address book on disk", ("ours",), book),
    Job("strangers", "silent connections from many addresses", ("ours",),
        strangers("strangers", lambda e: (e.strangers, e.strangers))),
    Job("neighbours", "silent connections from one address", ("ours",),
        strangers("neighbours", lambda e: (e.neighbours, 1))),
    Job("scrape", "metrics of a switch", ("ours",), scrape),
    Job("simulated", "addresses of a seed, simulated", ("ours",), simulated),
    Job("soak", "a long time beside validators", ("ours",), soak),
)


def rows(e):
    table = [
        Row(f"visits of a seed, {ANSWER} addresses each", "per second, one core",
            "visits", "per s", True, (least(1500), least(5, COMET)), digits=0),
        Row("visits of a seed", "per second of its processor time", "visits",
            "per core", True, (least(1500), least(5, COMET)), digits=0),
        Row(f"a visit, {AT_A_TIME} at a time, p50", "ms", "visits", "p50 ms",
            False, digits=2),
        Row(f"one chain, {e.large:,} entries", "MiB resident", "one chain",
            "MiB", False, (most(8),)),
        Row("the same with pages over HTTP", "MiB resident", "pages", "MiB",
            False),
        Row(f"{e.chains} chains, {e.book:,} entries each", "MiB resident",
            "many chains", "MiB", False, (most(64),)),
        Row("the same", "threads", "many chains", "threads", False, (most(4),),
            digits=0),
        Row(f"to load a book of {e.full:,} entries", "ms", "book", "load ms",
            False, (most(100),)),
        Row("the longest pause of the loop while it is saved", "ms", "book",
            "pause ms", False, (most(5),), digits=2),
        Row(f"a visit beside {e.strangers:,} silent connections, p99", "ms",
            "strangers", "p99 ms", False, (most(100),), digits=2),
        Row("memory that these take", "MiB resident", "strangers", "MiB", False,
            (most(20),)),
        Row(f"a visit beside {e.neighbours:,} of one address, p99", "ms",
            "neighbours", "p99 ms", False, (most(100),), digits=2),
        Row("memory that these take", "MiB resident", "neighbours", "MiB", False,
            (most(20),)),
        Row(f"a page of metrics with {e.peers:,} peers", "ms", "scrape", "ms",
            False, (most(5),), digits=2),
        Row("proven 180 s after an empty start, 150 living of 1,200, simulated",
            "addresses", "simulated", "proven", True, (least(140),), digits=0),
        Row("of the served answer within 60 s, 30 % churn an hour, 88 % dead "
            "gossip, simulated", "%", "simulated", "living %", True,
            (least(95),)),
        Row("a dead address is served for, simulated", "s", "simulated",
            "dead s", False, (most(600),), digits=0),
    ]
    if e.minutes > 0:
        beside = (f"{e.minutes:g} minutes beside {VALIDATORS} validators and "
                  f"{NODES} nodes")
        table += [
            Row(f"{beside}: memory since it dialed its most", "% more", "soak",
                "% more", False, (most(1),), digits=2),
            Row("the same: descriptors", "more", "soak", "descriptors", False,
                (most(0),), digits=0),
        ]
    return table


def soak_of(path):
    """The rows of a long time in a file of results."""
    if not os.path.exists(path):
        return []
    return [row for row in json.loads(read(path))["figures"] if "revision" in row]


def run(build, effort, only=None):
    """The results as they stand in the file."""
    failures, left_out, results, spent = [], [], {}, {}

    def note(text):
        say(text)
        if "FAILED" in text:
            failures.append(text.strip())

    comet = os.path.join(build, "cometbft-v0.40.0")
    if missing_program(comet):
        left_out.append("CometBFT v0.40.0 is left out: there is no Go program")
        say(left_out[-1])
        comet = None
    here = machine.machine("")
    del here["aead"]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, \
            nodes.Crowd(build, effort.book) as crowd:
        world = World(build, folder, effort, crowd, comet)
        for job in JOBS:
            if (only and not re.search(only, job.title)) or \
                    (job.key == "soak" and effort.minutes == 0):
                continue
            note(job.title)
            begin = time.monotonic()
            keys = [k for k in job.contenders if k != COMET or comet]
            try:
                results[job.key] = job.measure(world, keys, note)
            except (Failed, OSError, subprocess.TimeoutExpired) as failure:
                note(f"  FAILED: {failure}")
            spent[job.title] = round(time.monotonic() - begin, 2)
    revision = machine.revision(ROOT)
    at = {"soak": {"revision": revision}}
    return {
        "machine": here, "revision": revision,
        "seconds": round(time.monotonic() - start), "took": spent,
        "left_out": left_out, "failures": failures,
        "figures": [{**figures.figure(row, results, ""), **at.get(row.job, {})}
                    for row in rows(effort)
                    if row.job in results or not only],
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--out", default=NODE)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--only")
    parser.add_argument("--runs", type=int)
    a = parser.parse_args()
    effort = QUICK if a.quick else NORMAL
    if a.runs:
        effort = dataclasses.replace(effort, runs=a.runs)
    if a.full or a.minutes:
        effort = dataclasses.replace(effort, minutes=a.minutes or 60)
    results = run(os.path.realpath(a.build), effort, a.only)
    if not effort.minutes and not a.only:
        results["figures"] += soak_of(a.out)
    print(tables.node_terminal(results))
    say("\n" + tables.times(results))
    if not a.only:
        write(a.out, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        say(f"written to {os.path.relpath(a.out)}")
    sys.exit(1 if results["failures"] else 0)


if __name__ == "__main__":
    main()
