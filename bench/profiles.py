#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where the processor time of both sides goes: samples of perf, by part.

usage: profiles.py BUILD_DIR [ROW] [--seconds S]

Without ROW it prints the table of all rows, and with one also the symbols that
have the most samples.  The samples are those of the clock of the processor, so
what the kernel does with interrupts off counts where it turns them on again.
"""
import argparse
import collections
import dataclasses
import os
import re
import subprocess
import sys
import tempfile

import tables
from contenders import Failed, all_contenders
from measures import BROADCAST_SIZE

SOURCES = os.path.join(os.path.dirname(__file__), "../src")
SAMPLES_PER_S = 1999
RECORD = ("perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S),
          "-g", "-o")
SYMBOLS = 25
SMALL, BULK = "256", "65536"


@dataclasses.dataclass(frozen=True)
class Row:
    """One pair of programs.  |client| and |server| are the names of the sides,
    "" for one that is not ours to judge."""
    key: str
    title: str
    verbs: tuple
    flags: tuple
    client: str = "sender"
    server: str = "receiver"
    shared: tuple = ()
    contender: str = "ours"


def rows(seconds):
    some = ("-seconds", str(seconds))
    # So many that the handshakes before take a small part of the time.
    rounds = str(max(1, round(500 * seconds)))
    return (
        Row("bulk", "64 KiB", ("recv", "send"), ("-size", BULK, *some)),
        Row("1KiB", "1 KiB", ("recv", "send"), ("-size", "1024", *some)),
        Row("queue-16", "256 bytes, a queue of 16", ("recv", "send"),
            ("-size", SMALL, *some), shared=("-queue", "16")),
        Row("load", "an echo behind bulk", ("serve", "load"),
            ("-size", BULK, *some)),
        Row("broadcast", "a broadcast to 200", ("hub", "crowd"), (), client="",
            server="sender", shared=("-count", "200", "-rounds", rounds, "-size",
                                     str(BROADCAST_SIZE)),
            contender="crowd"),
        Row("handshake", "handshakes, 16 at once", ("hub", "dial"),
            ("-count", "16", *some), client="dialer", server="listener"),
    )


# ---- a sample ----

KERNEL = "[kernel.kallsyms]"
CALLS = (("write", r"sendto|sendmsg|writev?|write"),
         ("read", r"recvfrom|recvmsg|readv?|read"),
         ("other system calls", r"\w+"))
PARTS = (
    "seal and open", "keys and hashes", "copies", "src/core",
    "src/link, net, peer", "the rest of ours", "libc and libuv",
    "the bench itself", "write", "read", "other system calls",
    "copies by the kernel", "wake-ups and scheduler", "the rest of the kernel",
)
SLEEP = re.compile(r"^(__schedule|schedule|try_to_wake_up|do_futex|"
                   r"futex_\w+|__futex_\w+)$")
KERNEL_COPY = re.compile(r"copy_|_copy|rep_movs|memcpy")
MEMORY = re.compile(r"^(__)?mem(move|cpy|set)")
CALL = re.compile(r"^__\w+_sys_(\w+)$")


def folders_of(library):
    """{symbol: folder of src}, by the objects in a static library."""
    folder_of = {f: os.path.relpath(at, SOURCES)
                 for at, _, files in os.walk(SOURCES) for f in files}
    text = subprocess.run(["nm", "-A", library], text=True, check=False,
                          capture_output=True).stdout
    found = {}
    for match in re.finditer(r":([\w.-]+)\.o:\S* *[tT] (\S+)", text):
        folder = folder_of.get(match[1])
        if folder:
            if folder.startswith("crypto") and match[1].startswith("aead"):
                folder = "aead"
            found.setdefault(match[2].split(".")[0], folder)
    return found


def part_in_kernel(chain):
    names = [symbol for symbol, library in chain if library == KERNEL]
    if any(SLEEP.match(name) for name in names):
        return "wake-ups and scheduler"
    if KERNEL_COPY.search(names[0]):
        return "copies by the kernel"
    for name in names:
        call = CALL.match(name)
        if call:
            return next(part for part, names in CALLS
                        if re.fullmatch(names, call[1]))
    return "the rest of the kernel"


def part_of(chain, folders):
    """The part of a sample; |chain| are (symbol, library), the innermost
    first."""
    symbol, library = chain[0]
    if library == KERNEL:
        return part_in_kernel(chain)
    if "libsodium" in library:
        return "keys and hashes"
    if MEMORY.match(symbol):
        return "copies"
    folder = folders.get(symbol.split(".")[0])
    if folder == "aead":
        return "seal and open"
    if folder is None:
        inside = ".so" in library or library.startswith("[")
        return "libc and libuv" if inside else "the bench itself"
    top = folder.split("/")[0]
    if top == "crypto":
        return "keys and hashes"
    if top == "core":
        return "src/core"
    return ("src/link, net, peer" if top in ("link", "net", "peer")
            else "the rest of ours")


def chains_of(path):
    """(seconds from the first to the last, [chain of each sample])."""
    text = subprocess.run(
        ["perf", "script", "-i", path, "-F", "time,ip,sym,dso"], text=True,
        check=True, capture_output=True).stdout
    chains, times = [], []
    for block in text.split("\n\n"):
        chain = []
        for line in block.splitlines():
            frame = re.match(r"\s+[0-9a-f]+ (.*) \((.*)\)$", line)
            at = re.match(r"\s*(\d+\.\d+):", line)
            if frame:
                chain.append((frame[1], frame[2]))
            elif at:
                times.append(float(at[1]))
        if chain:
            chains.append(chain)
    return max(times, default=0) - min(times, default=0), chains


def side(path, folders):
    """What the samples in a file say."""
    seconds, chains = chains_of(path)
    parts = collections.Counter(part_of(c, folders) for c in chains)
    symbols = collections.Counter(
        (c[0][0], part_of(c, folders)) for c in chains)
    count = max(1, len(chains))
    return {
        "samples": len(chains),
        "cores": round(count / SAMPLES_PER_S / max(seconds, 1e-3), 2),
        "parts": {part: round(parts[part] / count * 100, 1) for part in PARTS},
        "symbols": [[n / count * 100, *name]
                    for name, n in symbols.most_common(SYMBOLS)],
    }


# ---- a row ----

def profile(row, contenders, folders):
    """[a profile of each side that the row names]."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("server", "client")]
        c = contenders[row.contender]
        c.pair(*row.verbs, *row.flags, shared=row.shared,
               wraps=[(*RECORD, path, "--") for path in paths])
        return [{"row": row.key, "title": row.title, "side": name,
                 **side(path, folders)}
                for name, path in zip((row.client, row.server), paths[::-1])
                if name]


def may_record():
    """Whether perf is there and sees the kernel."""
    try:
        with open("/proc/sys/kernel/perf_event_paranoid",
                  encoding="ascii") as file:
            if os.geteuid() != 0 and int(file.read()) > 1:
                return False
    except OSError:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        try:
            subprocess.run([*RECORD, path, "--", "true"], check=True,
                           capture_output=True)
            return True
        except (OSError, subprocess.CalledProcessError):
            return False


def profiles(build, contenders, seconds, note, only=None):
    folders = folders_of(os.path.join(build, "libcometp2p.a"))
    found = []
    for row in rows(seconds):
        if only in (None, row.key):
            note(f"profile: {row.title}")
            try:
                found += profile(row, contenders, folders)
            except (Failed, subprocess.SubprocessError) as failure:
                note(f"  FAILED: profile of {row.title}: {failure}")
    return found


def main():
    keys = [row.key for row in rows(1)]
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("row", nargs="?", choices=keys)
    parser.add_argument("--seconds", type=float, default=2)
    a = parser.parse_args()
    if not may_record():
        sys.exit("profiles.py: perf may not record here; as root it may")
    found = profiles(a.build, all_contenders(a.build)[0], a.seconds,
                     lambda text: print(text, file=sys.stderr), a.row)
    header, lines = tables.profile_cells(found)
    print(tables.plain(header, lines))
    for one in found if a.row else ():
        print(f"\n{one['title']}, {one['side']}, {one['samples']} samples")
        for percent, symbol, part in one["symbols"]:
            print(f"{percent:6.1f}  {symbol:40} {part}")


if __name__ == "__main__":
    main()
