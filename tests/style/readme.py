#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the README shows is true: its C program is examples/hello.c, its commands
are verbs of ./dev, its files exist, each promise names a test, and all examples
are there.  Its figures, and those of docs/PERFORMANCE.md, are the measured
ones.
"""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import run  # noqa: E402
import tables  # noqa: E402
import tap  # noqa: E402

PROGRAM_LINES = 26


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def program_of(text):
    """The first C block, or nothing."""
    block = re.search(r"^```c\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return block[1].strip() if block else None


def code_of(source):
    """A program without its licence line, which the README leaves out."""
    return re.sub(r"\A/\* SPDX[^\n]*\*/\s*", "", source).strip()


def first_difference(left, right):
    pairs = zip(left.splitlines() + ["(end)"], right.splitlines() + ["(end)"])
    for number, (one, other) in enumerate(pairs, 1):
        if one != other:
            return f"line {number}: {one!r} here, {other!r} there"
    return "same"


def check_program(report, text):
    shown = program_of(text)
    if not report.check(shown is not None, "the README has a C program"):
        return
    example = code_of(read("examples/hello.c"))
    report.check(code_of(shown) == example,
                 "the README's program is examples/hello.c",
                 first_difference(code_of(shown), example))


    lines = [line for line in example.splitlines()
             if line.strip() not in ("", "}") and not line.startswith("/*")]
    report.check(len(lines) <= PROGRAM_LINES,
                 f"the README's program has at most {PROGRAM_LINES} lines that "
                 "are more than a brace", len(lines))


def check_commands(report, text):
    used = set(re.findall(r"\./dev ([a-z]\w*)", text))
    table = subprocess.run([os.path.join(ROOT, "dev"), "help"], check=True,
                           capture_output=True, text=True).stdout
    verbs = set(re.findall(r"^  (\w+)", table, re.MULTILINE))
    report.check(used and used <= verbs, "the README's ./dev verbs exist",
                 *sorted(used - verbs))


def check_links(report, text):
    links = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links
               if not os.path.exists(os.path.join(ROOT, link))]
    report.check(not missing, "the README's links lead to files", *missing)


def check_promises(report, text):
    promises = re.findall(r"^- \*\*.*$", text, re.MULTILINE)
    bare = [line for line in promises if "](tests/" not in line]
    report.check(promises and not bare,
                 "each promise of the README links to a test", *bare)


def check_examples(report, text):
    linked = set(re.findall(r"\]\((examples/\w+\.c)\)", text))
    there = {f"examples/{os.path.basename(path)}"
             for path in glob.glob(os.path.join(ROOT, "examples/*.c"))}
    there.discard("examples/hello.c")
    report.check(linked == there, "the README lists every example",
                 *sorted(linked ^ there))


def check_figures(report):
    """The tables are those of the last results."""
    results = run.all_results()
    for path in ("README.md", "docs/PERFORMANCE.md"):
        text = read(path)
        report.check("<!-- bench: machine -->" in text and
                     ("<!-- bench: node -->" in text or path == "README.md") and
                     tables.filled(text, results) == text,
                     f"the figures of {path} are those of the last results",
                     "./dev bench --publish writes them")
    shown = re.findall(r"\]\((charts/\w+\.svg)\)", read("docs/PERFORMANCE.md"))
    there = [path for path in shown
             if os.path.exists(os.path.join(ROOT, "docs", path))]
    report.check(len(shown) == 4 and there == shown, "the charts are there",
                 *sorted(set(shown) - set(there)))


def main():
    report = tap.Writer()
    if report.check(os.path.exists(os.path.join(ROOT, "README.md")),
                    "there is a README"):
        text = read("README.md")
        check_program(report, text)
        check_commands(report, text)
        check_links(report, text)
        check_promises(report, text)
        check_examples(report, text)
    check_figures(report)
    report.finish()


if __name__ == "__main__":
    main()
