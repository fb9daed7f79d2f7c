#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where the time of a round trip beside a flood goes.

usage: trace.py BUILD_DIR [--seconds S] [--urgent]

Runs bench_qos, built with -DCMT_TRACE=ON, and splits each round trip at the
points that the message passed: in the middle (from p45 to p55) and around p99
(from p985 to p995), means of each part.  --urgent: on an urgent channel.
"""

import argparse
import bisect
import collections
import json
import os
import struct
import subprocess
import tempfile

TAKE, CUT, SEAL, WRITE, READ, OPEN, DELIVER = range(7)
ASK = 100
BULK = 0x40
FRAME, SLOT = 1024, 1044
PARTS = ("to the loop", "to its batch", "seal", "write", "kernel, socket",
         "open", "deliver")


class Side:
    """What one process noted."""

    def __init__(self, path):
        self.points = collections.defaultdict(list)
        with open(path, "rb") as f:
            for at, point, a, b in struct.iter_unpack("<QQQQ", f.read()):
                self.points[point].append((at, a, b))
        small = lambda point: [e for e in self.points[point] if e[1] != BULK]
        self.asked = [at for at, _, _ in self.points[ASK]]
        self.taken, self.cut, self.delivered = map(
            small, (TAKE, CUT, DELIVER))
        self.ends = {point: [a for _, a, _ in self.points[point]]
                     for point in (WRITE, READ)}
        self.times = {point: [at for at, _, _ in self.points[point]]
                      for point in (SEAL, OPEN)}

    def passed(self, point, place):
        """When the stream was written or read up to |place|."""
        return self.points[point][bisect.bisect_left(self.ends[point], place)]


def way(sender, receiver, k, begin):
    """The parts of the way of the small message |k|, what waited in the socket
    of the receiver, and when it was delivered."""
    cut_at, _, place = sender.cut[k]
    i = bisect.bisect_left(sender.times[SEAL], cut_at)
    sealed_at, start, _ = sender.points[SEAL][i]
    place = start + (place + FRAME - 1) // FRAME * SLOT
    written = sender.passed(WRITE, place)[0]
    read, _, unread = receiver.passed(READ, place)
    delivered = receiver.delivered[k][0]
    j = bisect.bisect_right(receiver.times[OPEN], delivered) - 1
    opened = receiver.times[OPEN][j]
    points = [begin, sender.taken[k][0], cut_at, sealed_at, written, read,
              opened, delivered]
    return [b - a for a, b in zip(points, points[1:])], unread, delivered


def trips(here, there):
    for k, asked in enumerate(here.asked[:-1]):
        out, unread, arrived = way(here, there, k, asked)
        back, _, returned = way(there, here, k, arrived)
        yield returned - asked, out, back, unread


def mean(values):
    values = list(values)
    return sum(values) / len(values) / 1000


def split(title, rows):
    print(f"{title}: {mean(r[0] for r in rows):.0f} us, means of "
          f"{len(rows)}; {mean(r[3] for r in rows):.0f} KB more waited in the "
          "socket of the receiver")
    for i, part in enumerate(PARTS):
        print(f"  {part:18}{mean(r[1][i] for r in rows):>10.1f}"
              f"{mean(r[2][i] for r in rows):>10.1f}")


def run(program, verb, seconds, folder):
    paths = [os.path.join(folder, name) for name in (verb, "serve")]
    with subprocess.Popen(
        [program, "serve", "--trace", paths[1]],
        stdout=subprocess.PIPE, text=True,
    ) as server:
        ready = json.loads(server.stdout.readline())
        loaded = subprocess.run(
            [program, verb, "--addr", ready["laddr"], "--seconds",
             str(seconds), "--trace", paths[0]],
            stdout=subprocess.PIPE, text=True, check=True)
        served = json.loads(server.communicate()[0].splitlines()[-1])
    return json.loads(loaded.stdout.splitlines()[-1]), served, *map(Side, paths)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--urgent", dest="verb", action="store_const",
                        const="urgent", default="load")
    args = parser.parse_args()
    program = os.path.join(os.path.abspath(args.build), "bench_qos")
    with tempfile.TemporaryDirectory() as folder:
        loaded, served, here, there = run(program, args.verb, args.seconds,
                                          folder)
    p50, p90, p99 = (loaded["quantiles_us"][p] / 1000
                     for p in ("50", "90", "99"))
    print(f"p50 {p50:.3f} ms, p90 {p90:.3f}, p99 {p99:.3f}; "
          f"{served['bytes'] / served['seconds'] / 1e6:.0f} MB/s")
    rows = sorted(trips(here, there))
    n = len(rows)
    print(f"{'':18}{'out, us':>12}{'back, us':>10}")
    split("p50", rows[n * 45 // 100:n * 55 // 100 + 1])
    split("p99", rows[n * 985 // 1000:n * 995 // 1000 + 1])


if __name__ == "__main__":
    main()
