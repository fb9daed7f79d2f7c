#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The folders of src/ as layers.

usage: layers.py --release BUILD_DIR

A file includes its own folder and those before it in the table, and so do the
calls of its object; the files that may be used from below are in PORTS.  Inside
a folder the types form no circle: a type is all files that begin with its name,
such as conn.c, conn_recv.c and conn_impl.h.  src/link uses connections as any
program can, by the public calls alone, and so do src/pex and src/ops
with switches.
"""
import argparse
import collections
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

# From the lowest to the highest; docs/ARCHITECTURE.md has the same table.
LAYERS = (
    ("base", "assertions, bytes, buffers, texts, guards, rates: no policy"),
    ("crypto", "frame kernels, HKDF, Keccak, Merlin, node keys, key memory"),
    ("crypto/lanes", "what frame kernels have in common"),
    ("crypto/arm", "the frame kernel of 64-bit ARM"),
    ("crypto/x86", "frame kernels of 64-bit x86"),
    ("core/secret", "SecretConnection: handshake and encrypted stream"),
    ("core/wire", "packets and pings of each wire profile"),
    ("core/mux", "MConnection: channels, scheduler, reassembly, limits"),
    ("core/conn", "one connection: node infos and multiplexer over the stream"),
    ("sys", "the defaults of the system, locks, and what only Linux has"),
    ("net", "the event loop as an interface, and names"),
    ("net/uv", "the event loop on libuv, with its sockets"),
    ("link", "a socket under a connection, and its send queue"),
    ("peer", "a peer, its values, the set of peers"),
    ("reactor", "delivery: inline, by workers, by mailbox"),
    ("switch", "switch, sessions, dialer, admission, floors of memory"),
    ("pex", "address book and peer exchange"),
    ("ops", "metrics"),
    ("home", "the files of a node's home"),
)
# These see the public headers, and each other in this order.
ON_PUBLIC_HEADERS = (("protobuf",), ("cli/ui", "cli/roles", "cli/verbs"))
# What the lowest layers leave to a higher one to define: the environment that
# NULL stands for.
PORTS = {"cmt__env_system", "cmt__env_system_panic", "cmt_env_init_sized"}

# Circles that are still to be cut: each is a debt, and one that is gone must
# leave this list.
CIRCLES = []

# Folders, and the folder of which each knows the public headers alone.
PUBLIC_USERS = (("link", "core/conn"), ("pex", "switch"), ("pex", "reactor"),
                ("pex", "peer"), ("pex", "link"),
                ("ops", "switch"), ("ops", "reactor"), ("ops", "peer"),
                ("ops", "link"), ("ops", "pex"))

ORDER = [folder for folder, _ in LAYERS]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def folder_of(path):
    return os.path.relpath(os.path.dirname(path), os.path.join(ROOT, "src"))


def sources():
    return sorted(glob.glob(f"{ROOT}/src/**/*.[ch]", recursive=True))


def allowed_below(folder):
    """The folders that |folder| may use, or None when it is in no table."""
    for chain in (ORDER, *ON_PUBLIC_HEADERS):
        if folder in chain:
            return set(chain[:chain.index(folder) + 1])
    return None


def includes(path):
    """The folder and the file of each include that is not public."""
    for name in re.findall(r'#include "([^"]+)"', read(path)):
        folder = os.path.dirname(name) or folder_of(path)
        yield folder, os.path.basename(name)


def wrong_includes():
    for path in sources():
        allowed = allowed_below(folder_of(path))
        where = os.path.relpath(path, ROOT)
        if allowed is None:
            yield f"{where}: its folder is in no table of tests/style/layers.py"
            continue
        for folder, name in includes(path):
            if folder not in allowed:
                yield f"{where} includes {folder}/{name}"


def stem(name):
    return os.path.basename(name).split(".")[0]


def objects(release):
    """{stem: (defined, used)} of each object of the library."""
    found = {}
    for archive in ("libcometp2p.a",):
        text = subprocess.run(["nm", os.path.join(release, archive)],
                              check=True, capture_output=True,
                              text=True).stdout
        for block in re.split(r"\n(?=\S+\.o:\n)", text):
            head, _, rows = block.partition(":\n")
            defined, used = set(), set()
            for row in rows.splitlines():
                fields = row.split()
                if fields and fields[-1].startswith("cmt"):
                    (used if fields[-2] == "U" else defined).add(fields[-1])
            found[stem(head.strip())] = (defined, used)
    return found


def calls(release):
    """(user's stem, owner's stem, symbol) of each use across objects."""
    found = objects(release)
    owners = {symbol: name for name, (defined, _) in found.items()
              for symbol in defined}
    for name, (_, used) in sorted(found.items()):
        for symbol in sorted(used):
            if symbol in owners and symbol not in PORTS:
                yield name, owners[symbol], symbol


def folders_by_stem():
    return {stem(path): folder_of(path) for path in sources()
            if folder_of(path) in ORDER}


def wrong_calls(release):
    folders = folders_by_stem()
    for user, owner, symbol in calls(release):
        if ORDER.index(folders[owner]) > ORDER.index(folders[user]):
            yield (f"{folders[user]}/{user}.c calls {symbol} of "
                   f"{folders[owner]}/{owner}.c")


def private_includes():
    for path in sources():
        for user, owner in PUBLIC_USERS:
            if folder_of(path) == user:
                yield from (f"{os.path.relpath(path, ROOT)} includes {owner}/{name}"
                            for folder, name in includes(path) if folder == owner)


def private_calls(release):
    folders = folders_by_stem()
    for user, owner, symbol in calls(release):
        if (folders[user], folders[owner]) in PUBLIC_USERS and "cmt__" in symbol:
            yield f"{folders[user]}/{user}.c calls {symbol}"


def types(folder, stems):
    """{stem: its type}: the shortest other stem that begins it, or itself."""
    found = {}
    for name in stems:
        parts = name.split("_")
        heads = ["_".join(parts[:n]) for n in range(1, len(parts))]
        known = [head for head in heads if head in stems]
        found[name] = f"{folder}/{known[0] if known else name}"
    return found


def type_graph(release):
    """{type: {types of its folder that it uses}}."""
    by_folder = collections.defaultdict(set)
    for path in sources():
        if folder_of(path) in ORDER:
            by_folder[folder_of(path)].add(stem(path))
    kind = {name: one for folder, stems in by_folder.items()
            for name, one in types(folder, stems).items()}
    folders = folders_by_stem()
    graph = collections.defaultdict(set)
    edges = [(user, owner) for user, owner, _ in calls(release)]
    edges += [(stem(path), stem(name)) for path in sources()
              if folder_of(path) in ORDER for _, name in includes(path)]
    for user, owner in edges:
        if folders[user] == folders.get(owner) and kind[user] != kind[owner]:
            graph[kind[user]].add(kind[owner])
    return graph


def circles(graph):
    """Each set of types that reach each other."""
    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for other in graph[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    reached = {name: reach(name) for name in list(graph)}
    found = {frozenset(other for other in reached[name]
                       if name in reached.get(other, ()))
             for name in reached if name in reached[name]}
    return sorted(" <-> ".join(sorted(one)) for one in found)


def rows():
    return [f"| `src/{folder}` | {what} |" for folder, what in LAYERS]


def check_objects(report, release):
    wrong = list(wrong_calls(release))
    report.check(not wrong, "objects call their own folder and lower ones",
                 *wrong)
    wrong = list(private_calls(release))
    report.check(not wrong, "links and peer exchange call public functions alone",
                 *wrong)
    found = circles(type_graph(release))
    report.check(found == CIRCLES, "the types of a folder form no circle",
                 *sorted(set(found) ^ set(CIRCLES)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--build")
    release = parser.parse_args().release
    report = tap.Writer()
    wrong = list(wrong_includes())
    report.check(not wrong, "files include their own folder and lower ones",
                 *wrong)
    wrong = list(private_includes())
    report.check(not wrong, "links and peer exchange include public headers alone",
                 *wrong)
    if os.path.exists(os.path.join(release, "libcometp2p.a")):
        check_objects(report, release)
    else:
        report.skip("calls across folders", "there is no release build")
    text = read(os.path.join(ROOT, "docs/ARCHITECTURE.md"))
    missing = [row for row in rows() if row not in text]
    report.check(not missing, "docs/ARCHITECTURE.md has the table of layers",
                 *missing)
    names = collections.Counter(os.path.basename(path) for path in sources()
                                if folder_of(path) in ORDER)
    twice = sorted(name for name, count in names.items() if count > 1)
    report.check(not twice, "each file of the library has a name of its own",
                 *twice)
    report.finish()


if __name__ == "__main__":
    main()
