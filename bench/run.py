#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One table: ours, CometBFT v0.40.0 doing the same work, and the ratio.

usage: run.py OUR_BUILD_DIR [GOBENCH] [--runs N] [--seconds S]
       run.py OUR_BUILD_DIR [GOBENCH] --others [--runs N] [--seconds S]
       run.py OUR_BUILD_DIR --against BUILD_DIR [--runs N] [--seconds S]

Both sides of a run are separate processes on loopback; the contenders
alternate, and each figure is the median of its runs.  Without GOBENCH the
half of CometBFT is left out.  With --others ZeroMQ and NNG do the same work,
and one table has the medians of all.  With --against two builds of ours are compared,
and each figure has the least and the most of its runs beside it.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys


def say(text):
    print(text, file=sys.stderr, flush=True)


def pinned(core):
    """What a child does first: stay on one core, or where it is put."""
    if core is not None:
        os.sched_setaffinity(0, {core})


class Contender:
    """A program with the verbs recv, send, echo and ping."""

    def __init__(self, name, program):
        self.name, self.program = name, program

    def pair(self, server, client, *flags, cores=(None, None), shared=()):
        """Runs both verbs, with |shared| for both; the last result of each
        side."""
        flags = (*flags, *shared)
        with subprocess.Popen(
            [self.program, server, *shared], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: pinned(cores[0]),
        ) as other:
            try:
                ready = json.loads(other.stdout.readline())
                addr = ready["laddr"]
                if ready.get("id") and "@" not in addr:
                    addr = ready["id"] + "@" + addr
                done = subprocess.run(
                    [self.program, client, "-addr", addr, *flags],
                    stdout=subprocess.PIPE, text=True, check=True, timeout=120,
                    preexec_fn=lambda: pinned(cores[1]),
                )
                ours = json.loads(done.stdout.splitlines()[-1])
                lines = other.communicate(timeout=30)[0].splitlines()
                return ours, json.loads(lines[-1]) if lines else None
            finally:
                if other.poll() is None:
                    other.kill()

    def bulk(self, size, seconds):
        sent, got = self.pair(
            "recv", "send", "-size", str(size), "-seconds", str(seconds))
        return {
            "MB/s": got["bytes"] / got["seconds"] / 1e6,
            "messages/s": got["messages"] / got["seconds"],
            "CPU s/GB sent": sent["cpu_seconds"] / sent["bytes"] * 1e9,
            "CPU s/GB received": got["cpu_seconds"] / got["bytes"] * 1e9,
        }

    def pairs(self, count):
        """Messages of mixed sizes from try_send to a worker; none is lost, or
        the receiver fails."""
        fed, taken = self.pair("take", "feed", "-count", str(count),
                               "-queue", "1000")
        if taken is None or taken["messages"] != count:
            raise SystemExit(f"of {count} messages came: {taken}")
        return {
            "lost": count - taken["messages"],
            "messages/s": count / fed["seconds"],
            "MB/s": fed["bytes"] / fed["seconds"] / 1e6,
            "CPU us/message sent": fed["cpu_seconds"] / count * 1e6,
            "CPU us/message received": taken["cpu_seconds"] / count * 1e6,
        }

    def idle(self, count):
        """What |count| idle peers take, each."""
        _, hub = self.pair("hub", "crowd", shared=("-count", str(count)))
        return {
            "bytes a peer": hub["bytes_per_peer"],
            "allocations a peer": hub["blocks_per_peer"],
            "bytes for its keys": hub["keys_per_peer"],
            "resident a peer": hub["resident_per_peer"],
        }

    def ping(self, size, count, cores):
        result, _ = self.pair(
            "echo", "ping", "-size", str(size), "-count", str(count),
            cores=cores)
        return {"p50 us": result["p50_ms"] * 1e3,
                "p99 us": result["p99_ms"] * 1e3}


def alternate_runs(contenders, runs, what):
    """All results of |runs| alternated runs of what(contender), by name."""
    results = {c.name: [] for c in contenders}
    for run in range(runs):
        for c in contenders:
            say(f"  run {run + 1} of {runs}: {c.name}")
            results[c.name].append(what(c))
    return results


def alternate(contenders, runs, what):
    """The medians of them."""
    results = alternate_runs(contenders, runs, what)
    return {
        name: {k: statistics.median(r[k] for r in rows) for k in rows[0]}
        for name, rows in results.items()
    }


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def table(title, results, base):
    """Prints one row a figure; ratios are ours to each other one."""
    names = list(results)
    others = [n for n in names if n != base]
    print(f"\n{title}")
    head = f"  {'':22}" + "".join(f"{n:>18}" for n in names)
    print(head + "".join(f"{'ours / ' + n:>26}" for n in others))
    for key in results[base]:
        row = f"  {key:22}"
        row += "".join(f"{number(results[n][key]):>18}" for n in names)
        for n in others:
            row += f"{results[base][key] / results[n][key]:>26.3f}"
        print(row, flush=True)


# Where the scheduler puts the two processes decides more than all else: waking
# an idle core takes longer than the work.  So both are pinned.
PLACES = (("one core", (0, 0)), ("two cores", (0, 1)))


def compare(now, before, runs, seconds):
    """Two builds: medians, spreads, and whether the medians lie within them."""
    jobs = [
        (f"one connection, messages of {size} bytes",
         lambda c, size=size: c.bulk(size, seconds)) for size in (65536, 1024)
    ] + [
        (f"round trip of 256 bytes, both sides on {where}",
         lambda c, cores=cores: c.ping(256, 5000, cores))
        for where, cores in PLACES
    ]
    for title, what in jobs:
        say(title)
        results = alternate_runs([now, before], runs, what)
        print(f"\n{title}, {runs} alternated runs")
        print(f"  {'':22}{'now (least to most)':>34}"
              f"{'before (least to most)':>34}{'now / before':>14}")
        for key in results["now"][0]:
            row, middle = f"  {key:22}", {}
            for name in ("now", "before"):
                values = [r[key] for r in results[name]]
                middle[name] = statistics.median(values)
                row += (f"{number(middle[name])} ({number(min(values))} to "
                        f"{number(max(values))})").rjust(34)
            print(f"{row}{middle['now'] / middle['before']:>14.3f}", flush=True)


def others(contenders, runs, seconds):
    """Each library does this work: one row a figure, medians."""
    jobs = [
        (f"messages of {size} bytes, {unit}", unit,
         lambda c, size=size: c.bulk(size, seconds))
        for size, unit in ((65536, "MB/s"), (1024, "messages/s"),
                           (64, "messages/s"))
    ] + [
        (f"round trip of 256 bytes on {where}, us", "p50 us",
         lambda c, cores=cores: c.ping(
             256, 100 if "CometBFT" in c.name else 5000, cores))
        for where, cores in PLACES
    ]
    # The processor time of both sides comes from the run of the first job.
    rows = []
    for title, key, what in jobs:
        say(title)
        results = alternate_runs(contenders, runs, what)
        rows.append((title, key, results))
        if title.startswith("messages of 65536"):
            for side in ("sent", "received"):
                rows.append((f"CPU s/GB {side}, 65536 bytes",
                             f"CPU s/GB {side}", results))
    print(f"medians (least to most) of {runs} alternated runs")
    print(f"  {'':42}" + "".join(f"{c.name:>36}" for c in contenders))
    for title, key, results in rows:
        row = f"  {title:42}"
        for c in contenders:
            values = [r[key] for r in results[c.name]]
            row += (f"{number(statistics.median(values))} ({number(min(values))}"
                    f" to {number(max(values))})").rjust(36)
        print(row, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("gobench", nargs="?")
    parser.add_argument("--against")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--peers", type=int, default=2000)
    a = parser.parse_args()
    if a.against:
        compare(Contender("now", a.build + "/bench_p2p"),
                Contender("before", a.against + "/bench_p2p"),
                a.runs or 15, a.seconds)
        return
    a.runs = a.runs or 5
    ours = Contender("ours", a.build + "/bench_p2p")
    bound = Contender("crypto and calls", a.build + "/bench_pipe")
    plain = Contender("plain TCP echo", a.build + "/bench_pipe")
    both = [ours]
    if a.gobench:
        both.append(Contender("CometBFT v0.40.0", a.gobench))
    else:
        print("CometBFT is left out: no Go program was given")
    if a.others:
        others(both + [Contender("ZeroMQ CURVE", a.build + "/bench_zmq"),
                       Contender("NNG TLS", a.build + "/bench_nng")],
               a.runs, a.seconds)
        return
    for size in (65536, 1024):
        title = f"one connection, messages of {size} bytes"
        say(title)
        table(title, alternate(both, a.runs, lambda c: c.bulk(size, a.seconds)),
              "ours")
    title = "bulk against seal + write / read + open alone, 65536 bytes"
    say(title)
    results = alternate(
        [ours, bound], a.runs,
        lambda c: {"MB/s": c.bulk(65536, a.seconds)["MB/s"]})
    table(title, results, "ours")
    title = f"{a.pairs:,} messages of 9 to 4,095 bytes, try_send to a worker"
    say(title)
    table(title, {"ours": ours.pairs(a.pairs)}, "ours")
    a.peers = min(a.peers, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 64)
    title = f"{a.peers:,} idle peers, 11 channels, memory of the one they share"
    say(title)
    idle = Contender("ours", a.build + "/bench_idle")
    table(title, {"ours": idle.idle(a.peers)}, "ours")
    for where, cores in PLACES:
        title = ("round trip of 256 bytes on an idle connection, "
                 f"both sides on {where}")
        say(title)
        table(title, alternate(
            both + [plain], a.runs,
            lambda c: c.ping(256, 100 if c in both[1:] else 5000, cores)),
            "ours")


if __name__ == "__main__":
    main()
