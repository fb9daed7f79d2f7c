# SPDX-License-Identifier: Apache-2.0
"""Single faults drawn from the sources, for mutate.py: which there are, what
they do to a line, and what the tests say of them."""
import collections
import concurrent.futures
import difflib
import glob
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

FOLDERS = ("base", "crypto", "core", "sys", "net", "link", "peer", "reactor",
           "switch", "home")
EQUIVALENT = "tests/mutations/equivalent.txt"
SECONDS_OF_TEST = 60
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
        for path in sorted(glob.glob(f"{root}/src/{folder}/**/*.c",
                                     recursive=True)):
            yield from faults_of(os.path.relpath(path, root), read(path))


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


# ---- which tests there are, and in which order they are asked ----

DEFINED = re.compile(r"^(?!static)[a-z][\w *]*?\b(cmt_\w+)\(", re.MULTILINE)

Test = collections.namedtuple("Test", "name program environment")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def unit_tests(build):
    """Those that ctest runs, with one loop a switch and with more."""
    told = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build,
                          capture_output=True, text=True, check=True)
    for test in json.loads(told.stdout)["tests"]:
        if test["name"].startswith(("unit/", "loops/")):
            environment = [one["value"] for one in test["properties"]
                           if one["name"] == "ENVIRONMENT"]
            yield Test(test["name"], os.path.basename(test["command"][0]),
                       dict(text.split("=", 1)
                            for text in sum(environment, [])))


def ranked(root, fault, tests):
    """The tests, those first that have the name of the file, or nearly, and
    then those that call most of what it defines."""
    names = set(DEFINED.findall(read(os.path.join(root, fault.path))))
    stem = os.path.basename(fault.path).removesuffix(".c")
    sources = {os.path.basename(path): path for path in glob.glob(
        os.path.join(root, "tests/unit/**/*_test.c"), recursive=True)}

    def rank(test):
        source = f"{test.program}.c"
        words = re.findall(r"\bcmt_\w+", read(sources[source]))
        near = len(os.path.commonprefix([stem, source]))
        return (-(source == f"{stem}_test.c"), -(near if near > 3 else 0),
                -sum(word in names for word in words),
                test.name.startswith("loops/"), test.name)

    return sorted(tests, key=rank)


# ---- running them ----

TIMED_OUT = "takes more than {} s"


class Stopped(Exception):
    """Another test of the same fault has failed."""


def wait_for(process, seconds, stop):
    """What it said; ends it when another test has failed meanwhile."""
    end = time.monotonic() + seconds
    while True:
        try:
            return process.communicate(timeout=0.2)[0]
        except subprocess.TimeoutExpired:
            if stop.is_set() or time.monotonic() > end:
                process.kill()
                process.communicate()
                if stop.is_set():
                    raise Stopped from None
                raise


def execute(command, seconds, environment, stop):
    """None when it succeeded, or what it said last."""
    variables = {
        **os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **environment,
        "ASAN_OPTIONS": "hard_rss_limit_mb=3000:detect_odr_violation=0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, errors="backslashreplace",
                          env=variables) as process:
        try:
            said = wait_for(process, seconds, stop)
        except subprocess.TimeoutExpired:
            return TIMED_OUT.format(seconds)
    if process.returncode == 0:
        return None
    lines = [line for line in said.splitlines()
             if line.startswith(("not ok", "SUMMARY: "))
             or ": runtime error: " in line]
    return lines[0] if lines else f"ends with {process.returncode}"


class Runs:
    """Some commands at a time, until one of them fails twice: the second time
    alone, with three times the time, so that neither a busy machine nor a test
    that fails now and then finds anything.  |seconds| gets how long each one
    took."""

    def __init__(self, seconds=None):
        self.stop = threading.Event()
        self.doubtful = []
        self.seconds = {} if seconds is None else seconds

    def one(self, job):
        name, command, seconds, environment = job
        if self.stop.is_set():
            return None
        begin = time.monotonic()
        try:
            said = execute(command, seconds, environment, self.stop)
        except Stopped:
            return None
        finally:
            self.seconds[name] = time.monotonic() - begin
        if said:
            self.stop.set()
        return said and (job, said)

    def first_failure(self, jobs):
        """None, or the name and the words of a job that fails again alone."""
        while jobs:
            self.stop.clear()
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                failed = [one for one in pool.map(self.one, jobs) if one]
            if not failed:
                return None
            for (name, command, seconds, environment), _ in failed:
                said = execute(command, 3 * seconds, environment,
                               threading.Event())
                if said:
                    return f"{name}: {said}"
                self.doubtful.append(name)
            jobs = [job for job in jobs if job[0] not in self.doubtful]
        return None


class Trial:
    """One fault against the unit tests, the likely ones first, then the
    simulator; the first that fails ends it."""

    def __init__(self, copy, known):
        self.copy = copy
        self.known = known
        self.seconds = {}
        # ctest names the program of a test only once that exists.
        if not self.build("all"):
            sys.exit("the sources do not compile as they are")
        self.tests = list(unit_tests(copy.build))

    def build(self, *targets):
        made = subprocess.run(["cmake", "--build", self.copy.build, "--target",
                               *targets], capture_output=True, text=True,
                              errors="backslashreplace", check=False)
        return made.returncode == 0

    def job(self, test):
        return (test.name, [os.path.join(self.copy.build, test.program)],
                SECONDS_OF_TEST, test.environment)

    def fail_without_fault(self, names):
        """Those of the tests that fail as the sources are, and so find
        nothing."""
        jobs = [self.job(test) for test in self.tests if test.name in names]
        if not self.build(*{test.program for test in self.tests}):
            sys.exit("the sources do not compile as they are")
        failed = [Runs().first_failure([job]) for job in jobs]
        return {said.split(": ")[0] for said in failed if said}

    def simulations(self):
        parts = os.cpu_count()
        each = -(-SEEDS // parts)
        return [("sim", [os.path.join(self.copy.build, "sim"), "--seeds",
                         str(each), "--from", str(1 + each * part)],
                 5 * SECONDS_OF_TEST, {}) for part in range(parts)]

    def ask(self, fault, runs):
        tests = ranked(self.copy.source, fault, self.tests)
        others = sorted(tests[4:],
                        key=lambda one: self.seconds.get(one.name, 0))
        for batch in (tests[:4], others):
            if not self.build(*{test.program for test in batch}):
                return "does not link"
            said = runs.first_failure([self.job(test) for test in batch])
            if said:
                return said
        if not self.build("sim"):
            return "does not link"
        return runs.first_failure(self.simulations())

    def run(self, fault):
        """What became of it: "killed", "survived", "equivalent", "broken" or
        "doubtful", and the words of whoever found it."""
        key = (fault.path, fault.before.strip(), fault.after.strip())
        if key in self.known:
            return "equivalent", self.known[key]
        runs = Runs(self.seconds)
        apply(self.copy.source, fault)
        try:
            if not self.build("cometp2p-open"):
                return "broken", "does not compile"
            said = self.ask(fault, runs)
        finally:
            apply(self.copy.source, fault, back=True)
        if said:
            return "killed", said
        return ("doubtful" if runs.doubtful else "survived",
                ", ".join(runs.doubtful))


def tell(fault, became, said):
    print(f"{became:10} {fault.path}:{fault.line} ({fault.kind})"
          f"{'  ' + said[:110] if said else ''}", flush=True)
    if became in ("survived", "doubtful"):
        print(diff_of(fault), flush=True)


def score(seed, results):
    found, lost = len(results["killed"]), len(results["survived"])
    matter = found + lost
    return (f"seed {seed}: {100 * found / max(matter, 1):.1f} % of {matter} "
            f"faults were found: {found} found, {lost} survived; besides, "
            f"{len(results['equivalent'])} are equivalent, "
            f"{len(results['broken'])} did not compile and "
            f"{len(results['doubtful'])} were not judged, since a test failed "
            f"that also passes with it, or fails without it")


def drawn(trial, count, seed):
    """What became of each fault, until |count| of them compile."""
    results = collections.defaultdict(list)
    for fault in draw(trial.copy.source, 10 * count, seed):
        became, said = trial.run(fault)
        results[became].append((fault, said))
        tell(fault, became, said)
        if sum(map(len, results.values())) - len(results["broken"]) == count:
            break
    return results


def check_finders(trial, results):
    """What a test found that fails without a fault is not judged."""
    def finder(said):
        return said.split(": ")[0]

    names = {finder(said) for _, said in results["killed"]}
    failing = trial.fail_without_fault(names)
    found = results["killed"]
    results["killed"] = [one for one in found if finder(one[1]) not in failing]
    results["doubtful"] += [one for one in found if finder(one[1]) in failing]
    for name in sorted(failing):
        print(f"fails without a fault: {name}", flush=True)


def run_random(copy, count, seed):
    """True when all faults that matter were found."""
    print(f"seed {seed}: {count} faults of the library",
          flush=True)
    trial = Trial(copy, equivalents(copy.source))
    results = drawn(trial, count, seed)
    check_finders(trial, results)
    for became in ("survived", "doubtful"):
        print(f"\n{became}:" if results[became] else "", flush=True)
        for fault, said in results[became]:
            tell(fault, became, said)
    print(score(seed, results))
    return not results["survived"]
