# SPDX-License-Identifier: Apache-2.0
"""Single faults drawn from the sources, for mutate.py: which there are, what
they do to a line, and what the tests say of them."""
import collections
import difflib
import os
import random
import re
import subprocess

FOLDERS = ("src/core", "src/net", "src/node")
EQUIVALENT = "tests/mutations/equivalent.txt"
SECONDS_OF_TEST = 120
SEEDS = 300

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


def all_faults(root):
    for folder in FOLDERS:
        for name in sorted(os.listdir(os.path.join(root, folder))):
            if name.endswith(".c"):
                path = os.path.join(folder, name)
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    yield from faults_of(path, file.read())


def draw(root, count, seed):
    """|count| faults, each line at most once, the lines as likely as each
    other within a kind, and the kinds as likely as each other."""
    chance = random.Random(seed)
    by_kind = collections.defaultdict(list)
    for fault in all_faults(root):
        by_kind[fault.kind].append(fault)
    kinds = sorted(by_kind)
    taken = set()
    while len(taken) < count:
        fault = chance.choice(by_kind[chance.choice(kinds)])
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


def apply(root, fault, back=False):
    path = os.path.join(root, fault.path)
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    lines[fault.line - 1] = fault.before if back else fault.after
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def diff_of(fault):
    lines = difflib.unified_diff([fault.before], [fault.after], lineterm="",
                                 n=0)
    return "\n".join(f"    {line}" for line in list(lines)[3:])


# ---- which tests are needed ----

DEFINED = re.compile(r"^(?!static)[a-z][\w *]*?\b(cmt_\w+)\(", re.MULTILINE)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def tests_for(root, fault):
    """All unit tests, those first that call what the file defines or have a
    name like its own."""
    names = set(DEFINED.findall(read(os.path.join(root, fault.path))))
    stem = os.path.basename(fault.path).removesuffix(".c")
    folder = os.path.join(root, "tests/unit")

    def rank(test):
        words = re.findall(r"\bcmt_\w+", read(os.path.join(folder, test)))
        uses = sum(word in names for word in words)
        near = len(os.path.commonprefix([stem, test]))
        return (-(test == f"{stem}_test.c"), -(near if near > 3 else 0),
                -uses, test)

    tests = [name for name in os.listdir(folder) if name.endswith("_test.c")]
    return [test.removesuffix(".c") for test in sorted(tests, key=rank)]


def execute(command, seconds, **variables):
    """None when it succeeded, or what it said last."""
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP",
                       ASAN_OPTIONS="hard_rss_limit_mb=3000", **variables)
    try:
        ran = subprocess.run(command, capture_output=True, text=True,
                             errors="backslashreplace", check=False,
                             env=environment, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"more than {seconds} s"
    if ran.returncode == 0:
        return None
    lines = [line for line in (ran.stdout + ran.stderr).splitlines()
             if line.startswith("not ok")]
    return lines[0] if lines else f"ends with {ran.returncode}"


class Trial:
    """One fault against the tests, the likely ones first, then the simulator;
    the first that fails ends it."""

    def __init__(self, copy, known):
        self.copy = copy
        self.known = known

    def build(self, *targets):
        made = subprocess.run(["cmake", "--build", self.copy.build, "--target",
                               *targets], capture_output=True, text=True,
                              errors="backslashreplace", check=False)
        return made.returncode == 0

    def unit_tests(self, fault):
        tests = tests_for(self.copy.source, fault)
        for batch in (tests[:3], tests[3:12], tests[12:]):
            if not self.build(*batch):
                return "does not link"
            for test in batch:
                said = execute([os.path.join(self.copy.build, test)],
                               SECONDS_OF_TEST)
                if said:
                    return f"{test}: {said}"
        return None

    def simulator(self):
        if not self.build("sim"):
            return "does not link"
        said = execute([os.path.join(self.copy.build, "sim"), "--seeds",
                        str(SEEDS)], 5 * SECONDS_OF_TEST)
        return f"sim: {said}" if said else None

    def run(self, fault):
        """What became of it: "killed", "survived", "equivalent" or "broken",
        and the words of whoever found it."""
        key = (fault.path, fault.before.strip(), fault.after.strip())
        if key in self.known:
            return "equivalent", self.known[key]
        apply(self.copy.source, fault)
        try:
            if not self.build("cometp2p-static"):
                return "broken", "does not compile"
            said = self.unit_tests(fault) or self.simulator()
            return ("killed", said) if said else ("survived", "")
        finally:
            apply(self.copy.source, fault, back=True)


def tell(fault, became, said):
    print(f"{became:10} {fault.path}:{fault.line} ({fault.kind})"
          f"{'  ' + said[:110] if said else ''}", flush=True)
    if became == "survived":
        print(diff_of(fault), flush=True)


def run_random(copy, count, seed):
    """Draws until |count| faults compile; true when all were found."""
    print(f"seed {seed}: {count} faults of src/core, src/net, src/node",
          flush=True)
    trial = Trial(copy, equivalents(copy.source))
    results = collections.defaultdict(list)
    for fault in draw(copy.source, 10 * count, seed):
        became, said = trial.run(fault)
        results[became].append(fault)
        tell(fault, became, said)
        if sum(map(len, results.values())) - len(results["broken"]) == count:
            break
    matter = len(results["killed"]) + len(results["survived"])
    if results["survived"]:
        print("\nsurvivors:")
    for fault in results["survived"]:
        tell(fault, "survived", "")
    print(f"seed {seed}: {len(results['killed'])} of {matter} faults were "
          f"found, {100 * len(results['killed']) / max(matter, 1):.1f} %; "
          f"{len(results['equivalent'])} are equivalent, "
          f"{len(results['broken'])} did not compile")
    return not results["survived"]
