#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per MiB of a build, counted by callgrind without the kernel: the
core alone, and the whole way between two switches.  They are nearly the same in
each run, whatever else the machine does.

usage: instructions.py BUILD_DIR [--against BUILD_DIR]

Each row is the difference of two runs, so that the handshake is left out.
"""

import argparse
import os
import re
import subprocess
import tempfile

MIB = 1 << 20
# Title, program, the arguments before the count, a short and a long run, and
# the bytes of one.
JOBS = (
    ("core, cometbft, 65,536 bytes", "bench_core", ("cometbft",), (2, 10), MIB),
    ("core, legacy, 65,536 bytes", "bench_core", ("legacy",), (2, 10), MIB),
    ("switch, 65,536 bytes", "bench_switch", ("65536",), (100, 400), 65536),
    ("switch, 1,024 bytes", "bench_switch", ("1024",), (2000, 22000), 1024),
    ("switch, 200 bytes", "bench_switch", ("200",), (2000, 22000), 200),
)


def instructions(*command):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind",
             f"--callgrind-out-file={folder}/out", *command],
            check=True, text=True, timeout=600, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def per_mib(build, program, arguments, counts, size):
    path = os.path.join(build, program)
    short, long = (instructions(path, *arguments, str(count))
                   for count in counts)
    return (long - short) / ((counts[1] - counts[0]) * size / MIB)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--against")
    a = parser.parse_args()
    builds = [a.build] + ([a.against] if a.against else [])
    print("instructions per MiB, in thousands")
    for title, *job in JOBS:
        found = [per_mib(build, *job) for build in builds]
        row = "".join(f"{number / 1000:>12,.0f}" for number in found)
        if len(found) == 2:
            row += f"{found[0] / found[1]:>10.3f}"
        print(f"  {title:30}{row}", flush=True)


if __name__ == "__main__":
    main()
