# SPDX-License-Identifier: Apache-2.0
"""Single faults of the sources, for mutate_random.py: which there are, what
they do to a line, and which of them change nothing."""
import collections
import difflib
import glob
import os
import random
import re

FOLDERS = ("base", "crypto", "core", "sys", "net", "link", "peer", "reactor",
           "switch", "home")
EQUIVALENT = "tests/mutations/equivalent.txt"

Fault = collections.namedtuple("Fault", "path line kind before after")

# A text or a character constant, or a comment: nothing in it is mutated.
OPAQUE = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//.*')
COMPARED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=",
            "!=": "=="}
JOINED = {"&&": "||", "||": "&&"}
NUMBER = re.compile(r"(?<![\w.])(0x[0-9a-fA-F]+|\d+)(?![\w.])")
CALL = re.compile(r"(\s+)(?:\(void\))?[a-z_]\w*(?:(?:->|\.)\w+)*\(.*\);$")
STORE = re.compile(r"(\s+)[a-z_*][\w>.\[\]-]* (?:[-+|&^]|<<|>>)?= .*;$")
RETURN = re.compile(r"(\s+return )(CMT_E[A-Z]+|err);$")
CONDITION = re.compile(r"(\s*(?:\} else )?if \()(.*)(\) \{)$")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def masked(line):
    """The line with blanks for what is opaque."""
    return OPAQUE.sub(lambda found: " " * len(found[0]), line)


def replaced(line, found, text):
    return line[:found.start()] + text + line[found.end():]


def compared(line, seen):
    pattern = r"(?<=[\w)\]] )(?:<=|>=|==|!=|<|>)(?= )"
    for found in re.finditer(pattern, seen):
        yield "comparison", replaced(line, found, COMPARED[found[0]])


def joined(line, seen):
    for found in re.finditer(r"&&|\|\|", seen):
        yield "condition", replaced(line, found, JOINED[found[0]])


def negated(line, seen):
    found = CONDITION.match(line)
    if found:
        yield "condition", f"{found[1]}!({found[2]}){found[3]}"
    for found in re.finditer(r"(?<![\w)])!(?=[\w(])", seen):
        yield "condition", replaced(line, found, "")


def swapped(line, seen):
    for found in re.finditer(r"\b(?:true|false)\b", seen):
        other = "false" if found[0] == "true" else "true"
        yield "boolean", replaced(line, found, other)


def bounds(line, seen):
    for found in re.finditer(r"(?<=[\w)\]] )[+-](?= )", seen):
        other = "-" if found[0] == "+" else "+"
        yield "arithmetic", replaced(line, found, other)
    for found in NUMBER.finditer(seen):
        octal = re.fullmatch(r"0\d+", found[0])
        value = int(found[0], 8 if octal else 0)
        yield "constant", replaced(line, found, str(value + 1))
        if value > 0:
            yield "constant", replaced(line, found, str(value - 1))


def removed(line, _):
    found = CALL.match(line) or STORE.match(line)
    if found:
        yield "removed", f"{found[1]}(void)0;"


def succeeded(line, _):
    found = RETURN.match(line)
    if found:
        yield "success", f"{found[1]}CMT_OK;"


KINDS = (compared, joined, negated, swapped, bounds, removed, succeeded)


def code_lines(text):
    """The number and the text of each line that may be mutated: none of a
    comment, of the preprocessor, of an assertion, or of a constant table of
    numbers."""
    comment = asserting = False
    for number, line in enumerate(text.split("\n"), 1):
        starts = line.strip().startswith(("CMT_ASSERT", "CMT_DCHECK"))
        skipped = comment or asserting or starts or line.startswith("#")
        if "/*" in line and "*/" not in line:
            comment, skipped = True, True
        elif "*/" in line:
            comment = False
        asserting = (starts or asserting) and not line.endswith(";")
        if not skipped and len(NUMBER.findall(line)) <= 4:
            yield number, line


def faults_of(path, text):
    for number, line in code_lines(text):
        seen = masked(line)
        for kind in KINDS:
            for name, after in kind(line, seen):
                if after != line:
                    yield Fault(path, number, name, line, after)


def named(root, names):
    """The paths below src/ that |names| mean, each a folder or a file; all
    when there is none.  Raises ValueError for one that means nothing."""
    paths = [os.path.relpath(path, os.path.join(root, "src"))
             for folder in FOLDERS
             for path in sorted(glob.glob(f"{root}/src/{folder}/**/*.c",
                                          recursive=True))]
    plain = [name.removeprefix("src/").rstrip("/") for name in names]
    for name in plain:
        if not any(f"{path}/".startswith(f"{name}/") for path in paths):
            raise ValueError(f"no source of the library lies in src/{name}")
    return [f"src/{path}" for path in paths if not plain or any(
        f"{path}/".startswith(f"{name}/") for name in plain)]


def draw(root, seed, names=()):
    """The faults of the sources that |names| mean, in an order drawn from
    |seed|: each line at most once, the lines as likely as each other within a
    kind, and the kinds as likely as each other."""
    chance = random.Random(seed)
    by_kind = collections.defaultdict(list)
    for path in named(root, names):
        for fault in faults_of(path, read(os.path.join(root, path))):
            by_kind[fault.kind].append(fault)
    for faults in by_kind.values():
        chance.shuffle(faults)
    taken = set()
    while by_kind:
        kind = chance.choice(sorted(by_kind))
        fault = by_kind[kind].pop()
        if not by_kind[kind]:
            del by_kind[kind]
        if (fault.path, fault.line) not in taken:
            taken.add((fault.path, fault.line))
            yield fault


def equivalents(root):
    """The faults that change nothing anybody can see, each with its reason:
    lines "path | before | after | reason"."""
    known = {}
    path = os.path.join(root, EQUIVALENT)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    where, before, after, reason = (
                        part.strip() for part in line.split(" | "))
                    known[(where, before, after)] = reason
    return known


def text_with(root, fault):
    """The source with the fault in it."""
    lines = read(os.path.join(root, fault.path)).split("\n")
    lines[fault.line - 1] = fault.after
    return "\n".join(lines)


def diff_of(fault):
    lines = difflib.unified_diff([fault.before], [fault.after], lineterm="",
                                 n=0)
    return "\n".join(f"    {line}" for line in list(lines)[3:])
