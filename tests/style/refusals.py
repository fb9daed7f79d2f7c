#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every text with which the library or the command refuses something is
expected by a test: a row per refusal, not only for the first field.

A text of the sources is known when the tests have its longest part that does
not vary.  The names of options that such a text has in it must be found with
the verb, as in "recv_queue is"."""
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

STRING = r'"(?:\\.|[^"\\\n])*"'
# Adjacent ones are one text; between them may be a macro of <inttypes.h>.
TEXT = re.compile(rf"{STRING}(?:\s*(?:[A-Z]\w+\s*)?{STRING})*")
COMMENT = re.compile(rf"({STRING})|/\*.*?\*/", re.DOTALL)
CONVERSION = re.compile(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?"
                        r"(?:hh|h|ll|l|z|j|t)?[a-zA-Z]|%%")
# Calls whose texts state why something was refused or has failed.
REFUSES = re.compile(r"\b(?:cmt__why|cmt__conn_end|bad\w*|refuse\w*|\w*_why|"
                     r"cli_fail|cli_complain)\(")
# A function whose result is the text of a refusal.
RETURNS = re.compile(r"\breturn\b([^;]*\"[^;]*);")
OPTION = re.compile(r"^[a-z]+(?:_[a-z0-9]+)+$")
# What only a system without memory, threads, signals or names causes.
UNREACHED = {
    "cannot make a key: %s",
    "cannot wait for signals: %s",
    "no answer in time",
    "no thread",
}
# Names that are none of an option.
NO_OPTIONS = {"secret_connection", "node_key", "priv_key", "pub_key", "on_rejected"}
LEAST = 6  # Characters of a part that distinguishes a text from others.


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    return COMMENT.sub(
        lambda found: found[1] or re.sub(r"[^\n]", " ", found[0]), text)


def joined(text):
    """The bytes of adjacent literals."""
    parts = [part[1:-1] for part in re.findall(STRING, text)]
    return "".join(parts).replace('\\"', '"').replace("\\n", "\n")


def arguments(text, start):
    """What is between the parentheses that begin before |start|."""
    at, depth = start, 1
    while depth > 0:
        string = re.compile(STRING).match(text, at)
        if string:
            at = string.end()
            continue
        depth += (text[at] == "(") - (text[at] == ")")
        at += 1
    return text[start:at - 1]


def sources():
    for path in sorted(glob.glob(f"{ROOT}/src/**/*.c", recursive=True)):
        yield os.path.relpath(path, ROOT), without_comments(read(path))


def refusals():
    """(where, text) of each."""
    for path, text in sources():
        for call in REFUSES.finditer(text):
            line = text.count("\n", 0, call.start()) + 1
            for found in TEXT.finditer(arguments(text, call.end())):
                yield f"{path}:{line}", joined(found[0])
        for call in RETURNS.finditer(text):
            line = text.count("\n", 0, call.start()) + 1
            for found in TEXT.finditer(call[1]):
                if " " in joined(found[0]):
                    yield f"{path}:{line}", joined(found[0])


def options():
    """(where, name) of each option that a source names in a text."""
    for path, text in sources():
        for found in re.finditer(STRING, text):
            name = found[0][1:-1]
            if OPTION.match(name) and path.split("/")[1] in ("core", "node"):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path}:{line}", name


def expected():
    """All texts of the tests, one after the other."""
    parts = []
    for path in sorted(glob.glob(f"{ROOT}/tests/**/*.[ch]", recursive=True)):
        parts += map(joined, TEXT.findall(without_comments(read(path))))
    for path in sorted(glob.glob(f"{ROOT}/tests/*/*.py")):
        if not path.endswith("style/refusals.py"):
            # Adjacent literals, of either quote, as one.
            parts.append(re.sub(r"[\"']\s*\n\s*[rf]*[\"']", "", read(path)))
    for path in sorted(glob.glob(f"{ROOT}/tests/vectors/*.json")):
        parts.append(read(path))
    return "\n".join(parts)


def longest_part(text):
    return max(CONVERSION.split(text), key=len)


def is_expected(text, tests, quoted):
    """The part that does not vary is there, or a test looks for a piece of
    it."""
    part = longest_part(text)
    return (len(part.strip()) < LEAST or part in tests or
            any(piece in part for piece in quoted))


def pieces(tests):
    """What tests look for that is long enough to distinguish a text."""
    found = {match[1] for match in re.finditer(r"[\"']([^\"'\n]{9,80})[\"']",
                                               tests)}
    return {piece for piece in found if len(piece.split()) > 1}


def main():
    report = tap.Writer()
    texts, seen = [], set()
    for where, text in refusals():
        if text not in seen and not text.startswith("{s:"):
            seen.add(text)
            texts.append((where, text))
    tests = expected()
    quoted = pieces(tests)
    lacking = [f"{where}: {text}" for where, text in texts
               if text not in UNREACHED and
               not is_expected(text, tests, quoted)]
    report.check(len(texts) > 100, f"{len(texts)} refusals are found")
    report.check(not lacking, "a test expects each of them", *lacking)
    names = [f"{where}: {name}" for where, name in options()
             if name not in NO_OPTIONS and f"{name} is" not in tests]
    report.check(not names, "a test expects each option by its name", *names)
    stale = [text for text in UNREACHED
             if text not in seen or is_expected(text, tests, quoted)]
    report.check(not stale, "what no test can cause is so still", *stale)
    report.finish()


if __name__ == "__main__":
    main()
