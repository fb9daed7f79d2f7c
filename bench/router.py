#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long small messages take beside a flood, behind a router with a queue.

usage: router.py OUR_BUILD_DIR [--runs N] [--seconds S]

Three network namespaces, sender, router and receiver; the router sends 100
Mbit/s to the receiver and queues 2 MB.  For each congestion control the target
of the queue delay is 0 (32 KiB unsent in the kernel, whatever the rate), 5 ms,
or 40 ms, alternated.  Needs root, ip and tc; makes nothing that stays.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys

RATE, LIMIT, BURST = "100mbit", "2m", "32k"
TARGETS_MS = (0, 5, 40)
CONGESTIONS = ("cubic", "bbr")
NAMES = [f"cmt{os.getpid()}{side}" for side in "srd"]  # And a destination.


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


def measure(program, address, seconds, congestion, target_ms):
    """The results of both sides."""
    flags = ["--congestion", congestion, "--target-ms", str(target_ms)]
    with subprocess.Popen(
        inside(NAMES[2], program, "recv", "--laddr", f"{address}:0", *flags),
        stdout=subprocess.PIPE, text=True,
    ) as receiver:
        try:
            ready = json.loads(receiver.stdout.readline())
            addr = ready["laddr"]
            if "@" not in addr:
                addr = f"{ready['id']}@{addr}"
            sent = subprocess.run(
                inside(NAMES[0], program, "send", "--addr", addr,
                       "--seconds", str(seconds), *flags),
                stdout=subprocess.PIPE, text=True, check=True,
                timeout=seconds + 60)
            status = json.loads(sent.stdout.splitlines()[-1])
            result = json.loads(
                receiver.communicate(timeout=60)[0].splitlines()[-1])
            return {
                "priority 10, p50 ms": result["priority"]["p50_ms"],
                "priority 10, p99 ms": result["priority"]["p99_ms"],
                "urgent, p50 ms": result["urgent"]["p50_ms"],
                "urgent, p99 ms": result["urgent"]["p99_ms"],
                "bulk MB/s": result["MB/s"],
                "status: unsent kB": status["unsent_kb"],
                "status: unsent ms": status["unsent_ms"],
                "status: in flight kB": status["in_flight_kb"],
                "status: rtt ms": status["rtt_ms"],
            }
        finally:
            if receiver.poll() is None:
                receiver.kill()


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
    program = os.path.join(os.path.abspath(args.build), "bench_queue")
    cases = [(c, t) for c in CONGESTIONS for t in TARGETS_MS]
    results = {case: [] for case in cases}
    with network() as address:
        for number in range(args.runs):
            for case in cases:
                print(f"run {number + 1} of {args.runs}: {case[0]}, "
                      f"{case[1]} ms", file=sys.stderr, flush=True)
                results[case].append(
                    measure(program, address, args.seconds, *case))
    print(f"{RATE}, queue {LIMIT}; medians of {args.runs} runs")
    print(f"{'':22}" + "".join(f"{c + ', ' + str(t) + ' ms':>14}"
                               for c, t in cases))
    for key in results[cases[0]][0]:
        print(f"{key:22}" + "".join(
            f"{statistics.median(r[key] for r in results[c]):>14.2f}"
            for c in cases))


if __name__ == "__main__":
    main()
