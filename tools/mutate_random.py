# SPDX-License-Identifier: Apache-2.0
"""Single faults drawn from the sources, for mutate.py: builds the library with
each of them and asks the tests, one fault on each processor."""
import collections
import concurrent.futures
import glob
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import time

from mutate_faults import diff_of, draw, equivalents, read, text_with

SEEDS = 300
OPEN_LIBRARY = "libcometp2p-open.so"
STATIC_LIBRARY = "libcometp2p.a"
# How long a test may take: a while, and a multiple of what it takes without a
# fault.
SECONDS_AT_LEAST = 10
TIMES_AS_LONG = 10


# ---- the library with a fault ----

class Commands:
    """What the build runs: how it compiles the sources of the library, and
    links what contains them."""

    def __init__(self, build):
        listed = subprocess.run(["ninja", "-t", "commands", "all"], cwd=build,
                                capture_output=True, text=True, check=True)
        self.build = build
        self.compiles, self.links = {}, {}
        for line in listed.stdout.splitlines():
            argv = shlex.split(line.removeprefix(": && ").removesuffix(" && :"))
            if "-o" in argv:
                made = argv[argv.index("-o") + 1]
                (self.compiles if "-c" in argv else self.links)[made] = argv
        self.objects = {self.source(made): made
                        for made in self.links[OPEN_LIBRARY]
                        if made in self.compiles}

    def source(self, made):
        argv = self.compiles[made]
        return os.path.realpath(argv[argv.index("-c") + 1])

    def run(self, argv):
        return subprocess.run(argv, cwd=self.build, capture_output=True,
                              check=False).returncode == 0


class Place:
    """A folder for the library with one fault after the other.  Most tests
    load it; those that contain it are linked anew, and those that include the
    source are compiled anew."""

    def __init__(self, commands, folder):
        self.commands = commands
        self.folder = folder
        self.source = self.included = self.text = self.object = None
        self.programs = {}
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, made, source, target, *options):
        """Compiles |source| as |made| was compiled; None: it does not
        compile."""
        argv = list(self.commands.compiles[made])
        argv[argv.index("-o") + 1] = self.path(target)
        argv[argv.index("-c") + 1] = source
        for option in ("-MT", "-MF"):  # It needs no dependencies.
            if option in argv:
                argv[argv.index(option) + 1] = self.path(target) + option
        argv += options
        return self.path(target) if self.commands.run(argv) else None

    def compile_beside(self, made):
        """Compiles the changed source in its own folder of the copy, so that
        it finds the headers that it would find, and system headers none of
        ours."""
        folder, name = os.path.split(self.source)
        changed = os.path.join(
            folder, f"{os.path.basename(self.folder)}_{name}")
        with open(changed, "w", encoding="utf-8") as file:
            file.write(self.text)
        try:
            return self.compile(made, changed, "fault.o")
        finally:
            os.remove(changed)

    def make(self, root, fault):
        """False: it does not compile."""
        self.source = os.path.realpath(os.path.join(root, fault.path))
        self.included = os.path.relpath(fault.path, "src")
        self.text = text_with(root, fault)
        self.programs = {}
        made = self.commands.objects[self.source]
        self.object = self.compile_beside(made)
        library = [self.object if part == made else part
                   for part in self.commands.links[OPEN_LIBRARY]]
        library[library.index("-o") + 1] = self.path(OPEN_LIBRARY)
        return self.object is not None and self.commands.run(library)

    def includes(self, argv):
        """The object of a test that includes the source, or None."""
        return next((part for part in argv if part in self.commands.compiles
                     and f'#include "{self.included}"' in
                     read(self.commands.source(part))), None)

    def with_source(self, argv, made):
        """The link of a test with an object that has the changed source."""
        changed = self.path(self.included)
        os.makedirs(os.path.dirname(changed), exist_ok=True)
        with open(changed, "w", encoding="utf-8") as file:
            file.write(self.text)
        target = self.compile(made, self.commands.source(made), "test.o",
                              "-iquote", self.folder, "-iquote",
                              os.path.dirname(self.source))
        os.remove(changed)
        return target and [target if part == made else part for part in argv]

    def link(self, name):
        argv = list(self.commands.links[name])
        made = self.includes(argv)
        if STATIC_LIBRARY not in argv and made is None:
            return os.path.join(self.commands.build, name)
        if STATIC_LIBRARY in argv:
            argv.insert(argv.index(STATIC_LIBRARY), self.object)
        argv[argv.index("-o") + 1] = self.path(name)
        argv = self.with_source(argv, made) if made is not None else argv
        return self.path(name) if argv and self.commands.run(argv) else None

    def program(self, name):
        """The path of the program of a test; None: it does not link."""
        if name not in self.programs:
            self.programs[name] = self.link(name)
        return self.programs[name]


# ---- which tests there are, and in which order they are asked ----

DEFINED = re.compile(r"^(?!static)[a-z][\w *]*?\b(cmt_\w+)\(", re.MULTILINE)

Test = collections.namedtuple("Test", "name argv environment")


def unit_tests(build):
    """The tests that ctest runs, with one loop a switch and with more."""
    got = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build,
                          capture_output=True, text=True, check=True)
    for test in json.loads(got.stdout)["tests"]:
        if test["name"].startswith(("unit/", "loops/")):
            environment = [one["value"] for one in test["properties"]
                           if one["name"] == "ENVIRONMENT"]
            yield Test(test["name"], (os.path.basename(test["command"][0]),),
                       dict(text.split("=", 1)
                            for text in sum(environment, [])))


def simulation():
    return Test("sim", ("sim", "--seeds", str(SEEDS)), {})


class Order:
    """First the four tests that have the name of the file, or nearly, or call
    most of what it defines; then those of its folder, the quick ones first,
    and then the others."""

    def __init__(self, root):
        self.root = root
        self.words, self.folders = {}, {}
        for path in glob.glob(os.path.join(root, "tests/unit/**/*_test.c"),
                              recursive=True):
            program = os.path.basename(path).removesuffix(".c")
            self.words[program] = re.findall(r"\bcmt_\w+", read(path))
            self.folders[program] = os.path.relpath(
                os.path.dirname(path), os.path.join(root, "tests/unit"))

    def of(self, fault, tests, seconds):
        names = set(DEFINED.findall(read(os.path.join(self.root, fault.path))))
        stem = os.path.basename(fault.path).removesuffix(".c")
        folder = os.path.relpath(os.path.dirname(fault.path), "src")

        def likely(test):
            common = len(os.path.commonprefix([stem, test.argv[0]]))
            return (-(test.argv[0] == f"{stem}_test"),
                    -(common if common > 3 else 0),
                    -sum(word in names for word in self.words[test.argv[0]]),
                    test.name.startswith("loops/"), test.name)

        def quick(test):
            return self.folders[test.argv[0]] != folder, seconds[test.name]

        ranked = sorted(tests, key=likely)
        return ranked[:4] + sorted(ranked[4:], key=quick)


# ---- running them ----

def end_session(process):
    """Ends the process with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def execute(command, seconds, environment):
    """None when it succeeded, or what it printed last."""
    variables = {
        **os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **environment,
        "ASAN_OPTIONS": "hard_rss_limit_mb=3000:detect_odr_violation=0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, errors="backslashreplace",
                          stdin=subprocess.DEVNULL, env=variables,
                          start_new_session=True) as process:
        try:
            said = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            said = None
        finally:
            end_session(process)
    if said is None:
        return f"takes more than {seconds:.0f} s"
    if process.returncode == 0:
        return None
    lines = [line for line in said.splitlines()
             if line.startswith(("not ok", "SUMMARY: "))
             or ": runtime error: " in line]
    return lines[0] if lines else f"ends with {process.returncode}"


class Trial:
    """One fault against the unit tests, the likely ones first, and then the
    simulator; the first that fails ends it.  It has to fail twice, the second
    time with three times the time, so that neither a busy machine nor a test
    that fails now and then finds anything."""

    def __init__(self, copy, known):
        self.copy = copy
        self.known = known
        made = subprocess.run(["cmake", "--build", copy.build],
                              capture_output=True, text=True,
                              errors="backslashreplace", check=False)
        if made.returncode != 0:
            sys.exit("the sources do not compile as they are\n" + made.stdout)
        self.commands = Commands(copy.build)
        self.order = Order(copy.source)
        self.seconds = {}
        self.failing = []
        self.tests = self.measured(list(unit_tests(copy.build)))
        self.last = self.measured([simulation()])
        self.places = queue.SimpleQueue()
        for number in range(os.cpu_count()):
            self.places.put(Place(self.commands,
                                  os.path.join(copy.build, f"fault{number}")))

    def measure(self, test):
        command = [os.path.join(self.copy.build, test.argv[0]), *test.argv[1:]]
        begin = time.monotonic()
        said = execute(command, 300, test.environment)
        self.seconds[test.name] = time.monotonic() - begin
        return said and execute(command, 900, test.environment)

    def measured(self, tests):
        """The tests that succeed as the sources are; the others could
        find nothing."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            said = list(pool.map(self.measure, tests))
        self.failing += [test.name for test, words in zip(tests, said) if words]
        return [test for test, words in zip(tests, said) if not words]

    def ask(self, place, test):
        """What the test finds, and whether it finds it again."""
        program = place.program(test.argv[0])
        if program is None:
            return "does not link", True
        command = [program, *test.argv[1:]]
        environment = {**test.environment, "LD_LIBRARY_PATH": place.folder}
        seconds = SECONDS_AT_LEAST + TIMES_AS_LONG * self.seconds[test.name]
        said = execute(command, seconds, environment)
        return said, said and execute(command, 3 * seconds, environment)

    def judge(self, fault, place):
        if not place.make(self.copy.source, fault):
            return "broken", "does not compile"
        doubtful = []
        tests = self.order.of(fault, self.tests, self.seconds)
        for test in tests + self.last:
            said, again = self.ask(place, test)
            if again:
                return "killed", f"{test.name}: {said}"
            if said:
                doubtful.append(test.name)
        return "doubtful" if doubtful else "survived", ", ".join(doubtful)

    def run(self, fault):
        """What became of it: "killed", "survived", "equivalent", "broken" or
        "doubtful", and the words of whoever found it."""
        key = (fault.path, fault.before.strip(), fault.after.strip())
        if key in self.known:
            return fault, "equivalent", self.known[key]
        place = self.places.get()
        try:
            return fault, *self.judge(fault, place)
        finally:
            self.places.put(place)


def report(fault, became, said):
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
            f"that also passes with it")


def drawn(trial, faults, count):
    """What became of each fault, until |count| of them compile or there are no
    more."""
    results = collections.defaultdict(list)
    judged, running, more = 0, set(), True
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while True:
            while more and judged + len(running) < count:
                fault = next(faults, None)
                more = fault is not None
                if more:
                    running.add(pool.submit(trial.run, fault))
            if not running:
                return results
            done, running = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED)
            for one in done:
                fault, became, said = one.result()
                results[became].append((fault, said))
                report(fault, became, said)
                judged += became != "broken"


def run_random(copy, count, seed, names):
    """True when all faults that matter were found."""
    faults = draw(copy.source, seed, names)
    print(f"seed {seed}: {count} faults of the library", flush=True)
    trial = Trial(copy, equivalents(copy.source))
    for name in trial.failing:
        print(f"fails without a fault: {name}", flush=True)
    results = drawn(trial, faults, count)
    for became in ("survived", "doubtful"):
        print(f"\n{became}:" if results[became] else "", flush=True)
        for fault, said in results[became]:
            report(fault, became, said)
    print(score(seed, results))
    return not results["survived"]
