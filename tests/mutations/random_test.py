#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What "./dev mutate --random" draws: the faults that a line can have, the same
ones for the same seed, only those of the named sources, each line once.  Every
fault that is said to be equivalent is one of the sources as they are."""
import itertools
import os
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import mutate_faults  # noqa: E402
import tap  # noqa: E402

# A line, and what can become of it.
LINES = {
    "  if (a < 10 && !b) {": {
        "  if (a <= 10 && !b) {", "  if (a < 10 || !b) {",
        "  if (!(a < 10 && !b)) {", "  if (a < 10 && b) {",
        "  if (a < 11 && !b) {", "  if (a < 9 && !b) {"},
    "  return CMT_EPROTO;": {"  return CMT_OK;"},
    "  free(p->q);": {"  (void)0;"},
    "  *x = true;": {"  (void)0;", "  *x = false;"},
    "  int n = f(x) - 0x10;": {"  int n = f(x) + 0x10;", "  int n = f(x) - 17;",
                              "  int n = f(x) - 15;"},
    "  CMT_ASSERT(env, n < 3);": set(),
    "#define N 3": set(),
    '  return "a < 1"; /* < 2 */': set(),
}


def afters(line):
    return {fault.after for fault in mutate_faults.faults_of("x.c", line)}


def first(count, seed, *names):
    return list(itertools.islice(mutate_faults.draw(ROOT, seed, names), count))


def is_reported(name):
    try:
        mutate_faults.named(ROOT, [name])
        return False
    except ValueError:
        return True


def stale(known):
    """The equivalent faults that the sources do not have."""
    for path, before, after in known:
        if not any((fault.before.strip(), fault.after.strip()) ==
                   (before, after) for fault in mutate_faults.faults_of(
                       path, mutate_faults.read(os.path.join(ROOT, path)))):
            yield f"{path}: {before} -> {after}"


def main():
    report = tap.Writer()
    wrong = [line for line, expected in LINES.items()
             if afters(line) != expected]
    report.check(not wrong, "each line has its faults", *wrong)
    report.check(first(30, 7) == first(30, 7) != first(30, 8),
                 "a seed draws the same faults again")
    paths = {fault.path for fault in first(10000, 1, "src/sys", "base/buf.c")}
    report.check(all(path.startswith("src/sys/") or path == "src/base/buf.c"
                     for path in paths) and len(paths) > 5,
                 "faults are drawn from the named sources", *sorted(paths))
    whole = [(fault.path, fault.line) for fault in first(100000, 1, "base")]
    report.check(len(whole) == len(set(whole)) > 100, "each line once")
    report.check(is_reported("src/ba") and not is_reported("src/base/"),
                 "a name without a source is reported")
    found = list(stale(mutate_faults.equivalents(ROOT)))
    report.check(not found, "equivalent faults are of the sources", *found)
    report.finish()


if __name__ == "__main__":
    main()
