#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs of docs/guide/.

usage: guide.py FOLDER

Writes the C program of each chapter that has one to FOLDER/guide_CHAPTER.c,
where it differs, and prints the names of all of them.
"""
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
PROGRAM = re.compile(r"^```c\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?",
                     re.DOTALL | re.MULTILINE)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def chapters():
    """(name, program, output or None) of each program."""
    for path in sorted(glob.glob(f"{ROOT}/docs/guide/*.md")):
        name = os.path.basename(path).removesuffix(".md").replace("-", "_")
        found = PROGRAM.findall(read(path))
        if len(found) > 1:
            sys.exit(f"{path}: more than one program")
        for program, output in found:
            yield f"guide_{name}", program, output or None


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    names = []
    for name, program, _ in chapters():
        path = os.path.join(folder, f"{name}.c")
        if not os.path.exists(path) or read(path) != program:
            with open(path, "w", encoding="utf-8") as file:
                file.write(program)
        names.append(name)
    print(";".join(names))


if __name__ == "__main__":
    main()
