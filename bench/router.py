#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long small messages take beside a flood, behind a router with a queue.

usage: router.py OUR_BUILD_DIR [--runs N] [--seconds S]

Three network namespaces, sender, router and receiver; the router sends 100
Mbit/s to the receiver and queues 2 MB, and nothing bounds the way back of the
echoes.  For each congestion control the target of the queue delay is 0 (32 KiB
unsent in the kernel, whatever the rate), 5 ms, or 40 ms, alternated with both
versions of CometBFT where they were built.  Needs root, ip and tc; makes nothing
that stays.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys

import tables
from contenders import address_of

RATE, LIMIT, BURST = "100mbit", "2m", "32k"
TARGETS_MS = (0, 5, 40)
TIMEOUT_S = 120
TITLES = {"load": "echo of priority 10", "urgent": "urgent echo"}
# What the status reports of where bytes wait.
WAITS = (("unsent kB", "unsent_kb"), ("unsent ms", "unsent_ms"),
         ("in flight kB", "in_flight_kb"), ("rtt ms", "rtt_ms"))
CONGESTIONS = ("cubic", "bbr")
NAMES = [f"cmt{os.getpid()}{side}" for side in "srd"]  # And a destination.


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    program: str
    flags: tuple = ()
    verbs: tuple = ("load",)


def middle(runs, what):
    values = [run[what] for run in runs if what in run]
    return statistics.median(values) if values else None


def run(*words):
    subprocess.run(words, check=True)


def inside(name, *words):
    return ["ip", "netns", "exec", name, *words]


@contextlib.contextmanager
def network():
    """The address of the receiver."""
    sender, router, receiver = NAMES
    try:
        for name in NAMES:
            run("ip", "netns", "add", name)
        for near, far, net in ((sender, router, 1), (receiver, router, 2)):
            device, other = f"v{net}", f"w{net}"
            run("ip", "link", "add", device, "netns", near, "type", "veth",
                "peer", "name", other, "netns", far)
            for name, dev, host in ((near, device, 1), (far, other, 2)):
                run(*inside(name, "ip", "addr", "add",
                            f"10.99.{net}.{host}/24", "dev", dev))
                run(*inside(name, "ip", "link", "set", dev, "up"))
            run(*inside(near, "ip", "route", "add", "default", "via",
                        f"10.99.{net}.2"))
        run(*inside(router, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        run(*inside(router, "tc", "qdisc", "add", "dev", "w2", "root", "tbf",
                    "rate", RATE, "limit", LIMIT, "burst", BURST))
        yield "10.99.2.1"
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False,
                           stderr=subprocess.DEVNULL)


def echoes(program, verb, address, *flags):
    """(the lines of who sends the echoes, the result of who returns them)."""
    with subprocess.Popen(
        inside(NAMES[2], program, "serve", "-laddr", f"{address}:0"),
        stdout=subprocess.PIPE, text=True,
    ) as server:
        try:
            ready = json.loads(server.stdout.readline())
            sent = subprocess.run(
                inside(NAMES[0], program, verb, "-addr", address_of(ready),
                       *flags),
                stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT_S)
            output = server.communicate(timeout=TIMEOUT_S)[0]
            return ([json.loads(line) for line in sent.stdout.splitlines()],
                    json.loads(output.splitlines()[-1]))
        finally:
            if server.poll() is None:
                server.kill()


def measure(case, address, seconds):
    """What one case is like, {what: value}."""
    flags = ["-seconds", str(seconds), "-after", str(min(3, seconds / 2)),
             *case.flags]
    found = {}
    for verb in case.verbs:
        lines, served = echoes(case.program, verb, address, *flags)
        quantiles = lines[-1]["quantiles_us"]
        found |= {f"{TITLES[verb]}, {name} ms": quantiles[percent] / 1e3
                  for name, percent in (("p50", "50"), ("p99", "99"))}
        found |= {f"{TITLES[verb]}, bulk MB/s":
                  served["bytes"] / served["seconds"] / 1e6}
        if len(lines) > 1:
            found |= {f"{TITLES[verb]}, {name}": lines[0][key]
                      for name, key in WAITS}
    return found


def cases(build):
    """Ours with each congestion control and target, and CometBFT."""
    def program(name):
        return os.path.join(os.path.abspath(build), name)

    for congestion in CONGESTIONS:
        for target in TARGETS_MS:
            yield Case(f"{congestion}, {target} ms", program("bench_qos"),
                       ("-congestion", congestion, "-target-ms", str(target)),
                       ("load", "urgent"))
    for version in ("v0.40.0", "v0.38.25"):
        if os.access(program(f"gobench-{version}"), os.X_OK):
            yield Case(version, program(f"gobench-{version}"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("router.py: needs root, to make network namespaces")
    for tool in ("ip", "tc"):
        if shutil.which(tool) is None:
            sys.exit(f"router.py: needs {tool}, of the package iproute2")
    all_cases = list(cases(args.build))
    results = {case.name: [] for case in all_cases}
    with network() as address:
        for number in range(args.runs):
            for case in all_cases:
                print(f"run {number + 1} of {args.runs}: {case.name}",
                      file=sys.stderr, flush=True)
                results[case.name].append(measure(case, address, args.seconds))
    print(f"{RATE}, queue {LIMIT}; medians of {args.runs} runs")
    rows = [[what, *(tables.number(middle(results[case.name], what))
                     for case in all_cases)]
            for what in results[all_cases[0].name][0]]
    print(tables.plain(["", *(case.name for case in all_cases)], rows))


if __name__ == "__main__":
    main()
