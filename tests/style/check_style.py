#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can hold: sizes, banned calls, layers,
names, documentation.  Every rule is one test; each finding is one line with its
place.  --build and --release are taken for the sake of the other scripts.
"""
import collections
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

C_FOLDERS = ("src", "include", "examples", "tests", "bench")
FUNCTION_LINES = {"tests/": 100, "bench/": 100, "": 70}
PARAMETERS = 5
# (file, function): who calls it, and so decides about its parameters.
CALLED_BY_OTHERS = {
    ("src/cli/roles/http.c", "on_request"): "libmicrohttpd",
}
FILE_LINES = 1000
FILE_LINES_TO_EXPLAIN = 600
LINE_COLUMNS = 80

# Calls that no file may make, and what to use in their place.
BANNED = {
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "memcpy",
    "strcat": "snprintf", "strncpy": "memcpy", "strncat": "snprintf",
    "gets": "fgets", "atoi": "strtol", "atol": "strtol", "atof": "strtod",
    "strtok": "strchr", "assert": "CMT_ASSERT", "alloca": "an array",
    "rand": "the entropy of an environment", "srand": "nothing",
    "random": "the entropy of an environment", "system": "posix_spawn",
    "popen": "posix_spawn", "tmpnam": "mkstemp",
}
# Calls that the library may not make: all its memory comes from an
# environment, and the process belongs to its host.
BANNED_IN_LIBRARY = {
    "malloc": "cmt__alloc", "calloc": "cmt__alloc_zero",
    "realloc": "cmt__grow", "free": "cmt__free", "strdup": "cmt__alloc",
    "exit": "an error", "abort": "CMT_ASSERT", "getenv": "an option",
    "printf": "cmt__log", "fprintf": "cmt__log", "puts": "cmt__log",
    "perror": "cmt__log", "signal": "nothing", "sigaction": "nothing",
    "pthread_mutex_lock": "cmt__lock", "pthread_mutex_unlock": "cmt__unlock",
}
LIBRARY = ("src/base/", "src/crypto/", "src/core/", "src/sys/", "src/net/",
           "src/link/", "src/peer/", "src/reactor/", "src/switch/", "src/pex/", "src/ops/",
           "src/home/",
           "src/protobuf/")

# (file, call): why it is allowed there.
ALLOWED_CALLS = {
    ("src/sys/default_env.c", "malloc"): "the default environment",
    ("src/sys/default_env.c", "free"): "the default environment",
    ("src/sys/default_env.c", "abort"): "the default panic",
    ("src/sys/lock.h", "pthread_mutex_lock"): "counts it",
    ("src/sys/lock.h", "pthread_mutex_unlock"): "counts it",
}

# A page of another project, kept word by word, and what fuzzers made.
QUOTED = ("docs/LEGACY.md", "tests/fuzz/corpus/")

# The only files that may name libuv: (prefix, names): why.
ALLOWED_UV = {
    ("src/net/uv/loop_uv", r"uv_\w+"): "the loop on libuv",
    ("src/switch/libraries.c", r"uv_version_string"): "tells its version",
    ("src/switch/switch_uv.c", r"uv_loop_s"): "names the type, no more",
    ("include/cometp2p/uv.h", r"uv_loop_s"): "names the type, no more",
}


class Source:
    """One C file: its text, and the same without comments and literals."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = self.text.splitlines()
        self.code = blank(self.text)

    def line_of(self, offset):
        return self.code.count("\n", 0, offset) + 1

    def at(self, offset):
        return f"{self.path}:{self.line_of(offset)}"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8",
              errors="replace") as file:
        return file.read()


def blank(text):
    """Blanks comments, literals and preprocessor lines; lines stay lines."""
    token = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\""
                       r"|'(?:\\.|[^'\\\n])*'", re.DOTALL)

    def spaces(match):
        return re.sub(r"[^\n]", " ", match[0])

    text = token.sub(spaces, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", spaces, text,
                  flags=re.MULTILINE)


def tracked_files():
    """The paths of the work tree that are not ignored."""
    command = ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True,
                                text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = walked_files()
    return sorted(path for path in listed
                  if os.path.isfile(os.path.join(ROOT, path)))


def walked_files():
    """For a copy of the sources that is no git work tree."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in (".git", "build")]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), ROOT)


class Function:
    """The definition of one function: its head and the lines it takes."""

    def __init__(self, source, start, brace, end):
        self.source = source
        self.head = source.code[start:brace]
        self.line = source.line_of(start)
        self.length = source.line_of(end) - self.line + 1
        name = re.search(r"(\w+)\s*\(", self.head)
        self.name = name[1] if name else "?"

    def parameter_count(self):
        inside = self.head[self.head.index("(") + 1:self.head.rindex(")")]
        depth = 0
        count = 1
        for char in inside:
            depth += (char in "([{") - (char in ")]}")
            count += char == "," and depth == 0
        if inside.strip() in ("", "void"):
            return 0
        # A callback and its argument count as one.
        return count - len(re.findall(r"\bvoid \*arg\b", inside))


def functions(source):
    """Finds what stands before a brace at the outer level and ends in ")"."""
    code = re.sub(r'extern\s+[^\n{;]*\{', lambda m: " " * len(m[0]),
                  source.code)
    depth = 0
    start = 0
    brace = None
    for match in re.finditer(r"[{};]", code):
        char = match[0]
        if char == "{":
            if depth == 0:
                brace = match.start()
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            if depth == 0 and brace is not None:
                if is_function_head(code[start:brace]):
                    yield Function(source, first_code(code, start), brace,
                                   match.start())
                    start = match.end()
                brace = None
        elif depth == 0:
            start = match.end()


EXAMPLE = """
#define MACRO(x) do { x; } while (0)
extern "C" {
struct point { int x, y; };
enum kind { LINE, CURVE };
static const int table[] = {1, 2};
/* int not_code(void) { } */
static int one(int a, void (*cb)(void *, int), void *arg) {
  return a == '{' ? sizeof "}" : 0;
}

int two(
  void)
{
  if (one(1, 0, 0)) { return 2; }
  return 3;
}
}
"""


def check_scanner():
    source = Source("EXAMPLE", EXAMPLE)
    found = [(f.name, f.line, f.length, f.parameter_count())
             for f in functions(source)]
    expected = [("one", 8, 3, 2), ("two", 12, 6, 0)]
    if found != expected:
        yield f"found {found}, expected {expected}"


def first_code(code, start):
    return start + len(code[start:]) - len(code[start:].lstrip())


def is_function_head(head):
    return head.rstrip().endswith(")") and "=" not in head


def check_function_lengths(sources):
    for source in sources:
        limit = next(lines for folder, lines in FUNCTION_LINES.items()
                     if source.path.startswith(folder))
        for function in functions(source):
            if function.length > limit:
                yield (f"{source.path}:{function.line}: {function.name} takes "
                       f"{function.length} lines, at most {limit}")


def check_parameters(sources):
    for source in sources:
        if not source.path.startswith("src/"):
            continue
        for function in functions(source):
            if function.parameter_count() > PARAMETERS and (
                    source.path, function.name) not in CALLED_BY_OTHERS:
                yield (f"{source.path}:{function.line}: {function.name} has "
                       f"{function.parameter_count()} parameters, at most "
                       f"{PARAMETERS}")


def check_file_lengths(sources):
    for source in sources:
        if len(source.lines) > FILE_LINES:
            yield (f"{source.path}: {len(source.lines)} lines, at most "
                   f"{FILE_LINES}")


def check_line_lengths(sources):
    for source in sources:
        for number, line in enumerate(source.lines, 1):
            if len(line) > LINE_COLUMNS or line.rstrip() != line:
                yield (f"{source.path}:{number}: {len(line)} columns or space "
                       "at the end")


def check_banned_calls(sources):
    call = re.compile(r"(?<![\w.>])(\w+)\s*\(")
    for source in sources:
        banned = dict(BANNED)
        if source.path.startswith(LIBRARY):
            banned.update(BANNED_IN_LIBRARY)
        for match in call.finditer(source.code):
            name = match[1]
            if name in banned and (source.path, name) not in ALLOWED_CALLS:
                yield (f"{source.at(match.start())}: {name}(), use "
                       f"{banned[name]}")


def check_allowed_calls_used(sources):
    by_path = {source.path: source for source in sources}
    for path, name in ALLOWED_CALLS:
        if path not in by_path or not re.search(rf"\b{name}\b",
                                                by_path[path].code):
            yield f"{path} no longer needs its leave to call {name}()"


NO_SUBJECT = r"That|Those|Of|One that|The same"


def check_subjects(sources):
    """A comment names what it speaks of."""
    for source in sources:
        for match in re.finditer(rf"/\*\*?<?\s*({NO_SUBJECT})\b", source.text):
            yield f"{source.at(match.start())}: begins with {match[1]}"


def check_script_subjects(paths):
    """So does one in a script: the first line of a comment, or of what describes
    a function."""
    begin = re.compile(rf'(?:#|""")\s*({NO_SUBJECT})\b')
    for path in paths:
        if not path.endswith((".py", ".sh", ".cmake", "CMakeLists.txt")) and \
                path != "dev":
            continue
        before = ""
        for number, line in enumerate(read(path).splitlines(), 1):
            found = begin.search(line)
            if found and not before.lstrip().startswith("#"):
                yield f"{path}:{number}: begins with {found[1]}"
            before = line


# Words with a private meaning that have left the project, and words in use.
GONE = {
    r"(?:says?|said|tells?|told)(?: that)? `?CMT_\w": "returns",
    r"(?<![A-Za-z])(?:settle[sd]?|settling)(?![A-Za-z])": "idle, decided",
    r"(?<![A-Za-z])gates?(?![A-Za-z])": "send queue",
    r"(?<![A-Za-z])budgets?(?![A-Za-z])": "quota",
    r"\bfor want of\b": "for lack of",
    r"\bheld_(?:user|peer|conn)": "standby",
    r"\btold\b": "reported, distinguished",
}
WORDS_ENDINGS = (".c", ".h", ".py", ".md", ".1", ".3", ".txt", ".cmake", ".patch")
# The protocol's own page keeps its wording, and this file has the list.
WORDS_LEFT = QUOTED + ("docs/PROTOCOL.md", "tests/style/check_style.py",
                       "tests/vectors/")


def check_words(paths):
    """The words of docs/HACKING.md have one meaning; others do not come back."""
    for path in paths:
        if not path.endswith(WORDS_ENDINGS) or path.startswith(WORDS_LEFT):
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            for pattern, use in GONE.items():
                found = re.search(pattern, line)
                if found:
                    yield f"{path}:{number}: \"{found[0]}\", use {use}"


def check_uv(sources):
    for source in sources:
        if not source.path.startswith(("src/", "include/")):
            continue
        for match in re.finditer(r"\buv_\w+", source.code):
            if not any(source.path.startswith(prefix) and
                       re.fullmatch(names, match[0])
                       for prefix, names in ALLOWED_UV):
                yield f"{source.at(match.start())}: {match[0]}"


def check_profiles(sources):
    """A wire profile has its file and its row: nothing of the library but the
    registry names one.  The command chooses one by its public name."""
    for source in sources:
        if not source.path.startswith(LIBRARY) or \
                source.path == "src/core/wire/wire.c":
            continue
        for match in re.finditer(r"\bCMT_WIRE_\w+", source.code):
            yield f"{source.at(match.start())}: {match[0]}"


def check_asserts(sources):
    """The panic hook of the host hears of every broken invariant."""
    for source in sources:
        if source.path.startswith("src/"):
            for match in re.finditer(r"\bCMT_(ASSERT|REQUIRE)\(\s*NULL\b",
                                     source.code):
                yield (f"{source.at(match.start())}: {match[0]}, give it the "
                       "environment of an object")


def check_public_only(sources):
    """Public headers, the command and the examples name no internals."""
    for source in sources:
        if not source.path.startswith(("include/", "src/cli/", "examples/")):
            continue
        for match in re.finditer(r"\bcmt__\w+|\bCMT__\w+", source.text):
            if not is_guard(source, match[0]):
                yield f"{source.at(match.start())}: {match[0]}"


def is_guard(source, name):
    return re.search(rf"^#ifndef {name}$", source.text, re.MULTILINE)


def check_internal_names(sources):
    """Every cmt__ name declared in a header is used in a file other than the
    one that defines it, or inside a header."""
    inside = [s for s in sources if s.path.startswith(("src/", "tests/",
                                                       "bench/"))]
    places = collections.defaultdict(collections.Counter)
    for source in inside:
        for name in re.findall(r"\bcmt__\w+", source.text):
            places[name][source.path] += 1
    for source in inside:
        if not source.path.startswith("src/") or source.path[-1] != "h":
            continue
        for match in re.finditer(r"\b(cmt__\w+)\s*(?:\(|;|\[)", source.code):
            users = [path for path in places[match[1]] if path != source.path]
            inline = re.search(rf"\binline\b[^;{{}}]*\b{match[1]}\b",
                               source.code)
            if len(users) < (1 if inline else 2) and \
                    places[match[1]][source.path] < 2:
                yield (f"{source.at(match.start())}: {match[1]} is used by no "
                       "other file")


def check_documentation(sources):
    """A comment stands right before each public function, or before the first
    of the lines it shares with its group."""
    for source in sources:
        if not source.path.startswith("include/"):
            continue
        for match in re.finditer(r"^CMT_API[^;]*?\b(cmt_\w+)\s*\(",
                                 source.text, re.MULTILINE):
            if not is_documented(source, match.start(), match[1]):
                yield f"{source.at(match.start())}: {match[1]}"


def is_documented(source, offset, name):
    before = source.text[:offset].rstrip("\n")
    if source.text[:offset].endswith("\n\n"):
        block = ""
    else:
        block = before.split("\n\n")[-1]
    if "*/" in block:
        return True
    # An initialiser with a size is called by a macro, which the comment of its
    # structure names.
    macro = name.removesuffix("_sized")
    return macro != name and any(
        macro + "()" in comment
        for comment in re.findall(r"/\*.*?\*/", source.text, re.DOTALL))


def check_spdx(paths):
    names = (".c", ".h", ".py", ".go", ".sh", ".cmake", "CMakeLists.txt")
    for path in paths:
        head = (read(path) + "\n\n").split("\n")[:2]
        script = head[0].startswith("#!")
        if not (script or path.endswith(names)):
            continue
        line = head[1 if script else 0]
        if "SPDX-License-Identifier: Apache-2.0" not in line:
            yield path


def check_unfinished(paths):
    words = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    for path in paths:
        if path.startswith(QUOTED):
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            if words.search(line):
                yield f"{path}:{number}: {line.strip()[:60]}"


def main():
    report = tap.Writer()
    paths = [p for p in tracked_files() if not p.startswith("tests/vectors/")]
    sources = [Source(p, read(p)) for p in paths
               if p.endswith((".c", ".h")) and p.startswith(C_FOLDERS)]

    def rule(name, findings):
        findings = list(findings)
        report.check(not findings, name, *findings)

    for source in sources:
        if FILE_LINES_TO_EXPLAIN < len(source.lines) <= FILE_LINES:
            report.note(f"{source.path} has {len(source.lines)} lines, over "
                        f"{FILE_LINES_TO_EXPLAIN}")
    rule("the scanner finds the functions of this script's own example",
         check_scanner())
    rule("functions are short", check_function_lengths(sources))
    rule("functions take few parameters", check_parameters(sources))
    rule("files are short", check_file_lengths(sources))
    rule("lines fit into 80 columns", check_line_lengths(sources))
    rule("no banned calls", check_banned_calls(sources))
    rule("every exception to the banned calls is needed",
         check_allowed_calls_used(sources))
    rule("only the loop on libuv calls libuv", check_uv(sources))
    rule("comments name their subject", check_subjects(sources))
    rule("so do those of scripts", check_script_subjects(paths))
    rule("no word has a private meaning", check_words(paths))
    rule("only the registry names a wire profile", check_profiles(sources))
    rule("every assertion has the environment of an object",
         check_asserts(sources))
    rule("headers, command and examples name no internals",
         check_public_only(sources))
    rule("every internal name is used", check_internal_names(sources))
    rule("every public function is documented", check_documentation(sources))
    rule("sources begin with their licence", check_spdx(paths))
    rule("nothing is left unfinished", check_unfinished(paths))
    report.finish()


if __name__ == "__main__":
    main()
