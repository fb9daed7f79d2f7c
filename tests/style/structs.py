#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each struct of the public headers begins with its size, or is on the list of
frozen ones in docs/HACKING.md with the size that it has.  What fills in a struct
with a size gets the size of the caller's."""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

INCLUDE = os.path.join(ROOT, "include")
DEFINED = re.compile(r"^typedef struct (\w+) \{\n(.*?)^\} \1;", re.S | re.M)
FROZEN = re.compile(r"^\| `(cmt_\w+)` \| (\d+) \| (.+) \|$", re.M)


def headers():
    """Gives (name, text without comments and macros)."""
    for path in sorted(glob.glob(os.path.join(INCLUDE, "cometp2p/*.h"))):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        yield os.path.basename(path), re.sub(
            r"^ *#(.*\\\n)*.*\n", "", text, flags=re.M)


def frozen():
    with open(os.path.join(ROOT, "docs/HACKING.md"), encoding="utf-8") as file:
        return {name: int(size) for name, size, _ in
                FROZEN.findall(file.read())}


def sizes(names):
    """The sizes on this machine."""
    program = "#include <cometp2p/cometp2p.h>\n" \
        "#include <cometp2p/protobuf.h>\n#include <stdio.h>\n" \
        "int main(void) {\n" + "".join(
            f'printf("{name} %zu\\n", sizeof({name}));\n' for name in names) + \
        "return 0; }\n"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sizes")
        subprocess.run(["cc", f"-I{INCLUDE}", "-x", "c", "-", "-o", path],
                       input=program, text=True, check=True)
        text = subprocess.run([path], capture_output=True, text=True,
                              check=True).stdout
    return {name: int(size) for name, size in
            (line.split() for line in text.splitlines())}


def unsized_outputs(text, sized):
    """Functions that fill in a struct of their own size."""
    for name, arguments in re.findall(r"\b(cmt_\w+)\(([^;{}#]*?)\);", text):
        kinds = re.findall(r"(const )?\b(cmt_\w+) \*out\b", arguments)
        if any(kind in sized and not const for const, kind in kinds) and not (
                name.endswith("_sized") and "size_t size" in arguments):
            yield name


def main():
    report = tap.Writer()
    listed, sized, bare, outputs, others = frozen(), set(), set(), [], []
    for name, text in headers():
        structs = DEFINED.findall(text)
        if len(structs) != len(re.findall(r"\bstruct\s+\w+\s*\{", text)):
            others.append(name)
        for struct, body in structs:
            begins = re.match(r"\s*size_t size;", body)
            (sized if begins else bare).add(struct)
    for name, text in headers():
        outputs += [f"{name}: {function}()"
                    for function in unsized_outputs(text, sized)]
    report.check(len(sized) > 10 and not others,
                 "structs are defined where this test sees them", *others)
    report.check(bare <= set(listed), "a struct without a size is frozen",
                 *sorted(bare - set(listed)))
    report.check(set(listed) <= bare, "the list has no others",
                 *sorted(set(listed) - bare))
    report.check(not outputs, "what fills in a struct gets its size",
                 *outputs)
    name = "frozen structs have the size that is listed"
    if sys.maxsize > 2 ** 32:
        found = sizes(sorted(set(listed) & bare))
        wrong = [f"{struct}: {size} bytes, listed are {listed[struct]}"
                 for struct, size in found.items() if listed[struct] != size]
        report.check(not wrong, name, *wrong)
    else:
        report.skip(name, "the list is that of 64 bits")
    report.finish()


if __name__ == "__main__":
    main()
