#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The frame kernel for NEON under QEMU: it is the library's choice, its branches
do not depend on keys or plain bytes, and a frame takes a good deal less
instructions than with libsodium.

usage: neon.py TRACE_PROGRAM
"""
import hashlib
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

QEMU = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
# One line for each instruction that is run, with its address and function.
TRACE = ("-singlestep", "-d", "exec,nochain")
LINE = re.compile(rb"^Trace .*\[[0-9a-f]+/([0-9a-f]+)/[^]]*\] ?(\S*)")
# The functions of the kernel, of which the memory and tag routines are not.
KERNEL = re.compile(rb"^(pairs?_|seal_|open_|alone_|make_edges|macs_|mac_|body_"
                    rb"|cipher_|decrypt_|tail_|write_tags)")


def choice(program, *name):
    done = subprocess.run([*QEMU, program, "choice", *name],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode().strip() if done.returncode == 0 else done


def trace(program, operation, kernel, count, seed):
    """How many instructions ran, and what those of our kernel were."""
    total, ours, path = 0, 0, hashlib.sha256()
    with subprocess.Popen([*QEMU, *TRACE, program, operation, kernel, str(count),
                           str(seed)], stderr=subprocess.PIPE) as running:
        for line in running.stderr:
            found = LINE.match(line)
            total += found is not None
            if found and KERNEL.match(found[2]):
                ours += 1
                path.update(found[1][-3:])  # Where a page begins is drawn.
    if running.returncode != 0:
        raise RuntimeError(f"{program} ends with {running.returncode}")
    return total, ours, path.hexdigest()


def main():
    program = sys.argv[1]
    report = tap.Writer()
    for name in ("auto", "neon", "libsodium"):
        expected = "neon" if name == "auto" else name
        got = choice(program, name)
        report.check(got == expected, f"{name} is {expected}", got)
    for operation in ("seal", "open"):
        # Pairs and one alone, sealed and opened.
        for count in (1, 5):
            traces = [trace(program, operation, "neon", count, seed)
                      for seed in range(2)]
            report.check(
                traces[0][1] > 5000 * count and
                len({path for _, _, path in traces}) == 1,
                f"{operation} {count}: no branch depends on a secret", *traces)
        per_frame = {
            kernel: (trace(program, operation, kernel, 8, 0)[0] -
                     trace(program, operation, kernel, 0, 0)[0]) // 8
            for kernel in ("neon", "libsodium")}
        report.note(f"{operation}: instructions for a frame among 8: {per_frame}")
        report.check(2 * per_frame["neon"] < per_frame["libsodium"],
                     f"{operation}: less than half of libsodium's instructions",
                     per_frame)
    report.finish()


main()
