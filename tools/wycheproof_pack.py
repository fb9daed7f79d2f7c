#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs the Wycheproof files that concern us into one text file.

usage: wycheproof_pack.py DIRECTORY > tests/vectors/wycheproof.txt

DIRECTORY is testvectors_v1 (or a copy) of https://github.com/C2SP/wycheproof.
Each section begins with "[name] cases"; each case is one line: number, verdict,
values in hex, "-" for an empty one.
"""
import json
import os
import sys

HEADER = """\
# Test vectors of Project Wycheproof, C2SP, https://github.com/C2SP/wycheproof
# Copyright of their authors, licensed under the Apache License, Version 2.0.
# Selected and packed by tools/wycheproof_pack.py; the values are unchanged.
# A case: number, verdict, then values in hex, "-" for an empty one.
"""

SECTIONS = (
    # name, file, keys of the group, keys of the case
    ("chacha20_poly1305", "chacha20_poly1305_test.json", (),
     ("key", "iv", "aad", "msg", "ct", "tag")),
    ("ed25519", "ed25519_test.json", ("publicKey.pk",), ("msg", "sig")),
    ("hkdf_sha256", "hkdf_sha256_test.json", (),
     ("ikm", "salt", "info", "size", "okm")),
    ("x25519", "x25519_test.json", (), ("public", "private", "shared")),
)


def lookup(table, path):
    for key in path.split("."):
        table = table[key]
    return str(table) if table != "" else "-"


def cases(data, group_keys, case_keys):
    """The lines of one file, and how many of its cases are left out."""
    lines, left_out = [], 0
    for group in data["testGroups"]:
        if group.get("ivSize", 96) != 96:
            left_out += len(group["tests"])
            continue
        for test in group["tests"]:
            fields = [str(test["tcId"]), test["result"]]
            fields += [lookup(group, key) for key in group_keys]
            fields += [lookup(test, key) for key in case_keys]
            lines.append(" ".join(fields))
    return lines, left_out


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(HEADER)
    for name, file, group_keys, case_keys in SECTIONS:
        with open(os.path.join(sys.argv[1], file), encoding="utf-8") as f:
            lines, left_out = cases(json.load(f), group_keys, case_keys)
        names = [key.split(".")[-1] for key in group_keys] + list(case_keys)
        print(f"# {file}: {' '.join(names)}")
        if left_out > 0:
            print(f"# {left_out} cases left out: nonces that are not 12 bytes")
        print(f"[{name}] {len(lines)}")
        print("\n".join(lines))


if __name__ == "__main__":
    main()
