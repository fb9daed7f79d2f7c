# SPDX-License-Identifier: Apache-2.0
"""Address books of both sides: each loads what the other wrote, and has the same
entries with the same buckets, kinds, failures and times."""

import datetime
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import check

# The oldest Go release that the module of each version asks for.
VERSIONS = {"v0.34.35": (1, 22), "v0.37.18": (1, 22), "v0.38.25": (1, 22),
            "v0.40.0": (1, 25), "v1.0.1": (1, 23)}
COUNT = int(os.environ.get("CMT_BOOKS", "20"))
SEED = 1
TIME_S = 600
TIMES = ("last_attempt", "last_success", "last_ban_time")


def run(*command):
    """The lines "N.json COUNT" as a dictionary."""
    done = subprocess.run([str(part) for part in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=TIME_S)
    check(done.returncode == 0,
          f"{command[0]}: {done.returncode}: {done.stderr.strip()[-300:]}")
    return dict(line.split() for line in done.stdout.splitlines())


def instant(text):
    """Nanoseconds since 1970; None for Go's zero time."""
    if text == "0001-01-01T00:00:00Z":
        return None
    whole, fraction, zone = re.fullmatch(
        r"([^.Z+]+?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text).groups()
    at = datetime.datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    return int(at.timestamp()) * 10**9 + int((fraction or "").ljust(9, "0"))


def entries(path):
    """{id: entry} with instants, and buckets in order."""
    book = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for entry in book["addrs"]:
        entry.update({name: instant(entry[name]) for name in TIMES})
        entry["buckets"].sort()
        found[entry["addr"]["id"]] = entry
    check(len(found) == len(book["addrs"]), f"{path}: an id twice")
    return book["key"], found


def compare(before, after, names):
    for name in names:
        key, ours = entries(before / name)
        other_key, theirs = entries(after / name)
        check(key == other_key, f"{name}: the key {key} became {other_key}")
        check(ours.keys() == theirs.keys(),
              f"{name}: {len(ours)} entries became {len(theirs)}")
        for node, entry in ours.items():
            check(entry == theirs[node],
                  f"{name}: {entry} became {theirs[node]}")


def exchange(writer, reader):
    """Books of one side, loaded and written again by the other."""
    with tempfile.TemporaryDirectory() as folder:
        before = pathlib.Path(folder) / "the books"
        after = pathlib.Path(folder) / "again"
        before.mkdir()
        made = writer(before)
        check(len(made) == COUNT, f"{len(made)} books instead of {COUNT}")
        shutil.copytree(before, after, ignore=shutil.ignore_patterns("*.cometp2p*"))
        check(reader(after) == made, "other numbers of entries were loaded")
        compare(before, after, made)
        check(sum(map(int, made.values())) > 50 * COUNT, "the books are small")


def theirs_to_ours(context, _programs):
    gobook, book = programs_of(context)
    exchange(functools.partial(make, gobook), lambda f: run(book, "keep", f, COUNT))


def ours_to_theirs(context, _programs):
    gobook, book = programs_of(context)
    exchange(functools.partial(make, book), lambda f: run(gobook, "keep", f))


def make(program, folder):
    return run(program, "make", folder, SEED, COUNT)


def programs_of(context):
    return (context.gopeer.parent / f"gobook-{context.version}",
            context.peer.parent / "interop_book")


def every():
    return [(f"{COUNT} of their books, loaded by us", theirs_to_ours),
            (f"{COUNT} of our books, loaded by them", ours_to_theirs)]
