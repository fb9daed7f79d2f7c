#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev abi sees each change of what programs were compiled against, and no
change of what is private; and it prints what to do."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

HEADER = """\
#include <stdint.h>
typedef struct point { int x; int y; } point;
typedef enum kind { A = 0, B = 1 } kind;
typedef struct opaque opaque;
__attribute__((visibility("default"))) int cmt_f(opaque *o, point *p, kind k);
__attribute__((visibility("default"))) int cmt_g(uint32_t n);
"""
SOURCE = """\
#include <cometp2p/x.h>
struct opaque { int a; };
int cmt_f(opaque *o, point *p, kind k) { return o->a + p->x + (int)k; }
int cmt_g(uint32_t n) { return (int)n; }
int cmt_h(void);
__attribute__((visibility("default"))) int cmt_h(void) { return 1; }
"""
# What it is, what it changes in header and source, and whether that counts.
CHANGES = (
    ("nothing", (), False),
    ("a private struct", (("{ int a; }", "{ int a; int b; }"),), False),
    ("a field more", (("int y;", "int y; int z;"),), True),
    ("a field of another name", (("int y;", "int why;"),), True),
    ("a field of another type", (("int y;", "unsigned y;"),), True),
    ("an enumerator more", (("B = 1", "B = 1, C = 2"),), True),
    ("an enumerator of another value", (("B = 1", "B = 2"),), True),
    ("a parameter more", (("kind k)", "kind k, opaque *b)"),), True),
    ("parameters in another order",
     (("opaque *o, point *p", "point *p, opaque *o"),), True),
    ("a function less", (("int cmt_h(void);", ""),
                         ('__attribute__((visibility("default"))) int cmt_h'
                          "(void) { return 1; }", "")), True),
    ("a function of another name", (("cmt_h", "cmt_i"),), True),
)
HINT = 'run "./dev abi --update"'


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, **options)
    return done.returncode, done.stdout


def build(folder, changes):
    """A library with the changes in |folder|."""
    header, source = HEADER, SOURCE
    for old, new in changes:
        assert old in header + source
        header, source = header.replace(old, new), source.replace(old, new)
    place = os.path.join(folder, "include/cometp2p")
    os.makedirs(place)
    for path, text in ((os.path.join(place, "x.h"), header),
                       (os.path.join(folder, "x.c"), source)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    for name in ("libcometp2p.so", "libcometp2p-core.so"):
        subprocess.run(["cc", "-g", "-O1", "-shared", "-fPIC",
                        "-fvisibility=hidden", "-Iinclude", "x.c", "-o", name],
                       cwd=folder, check=True)


def check_changes(report, base):
    baseline = os.path.join(base, "baseline")
    command = [sys.executable, "-B", os.path.join(ROOT, "tools/abi.py")]
    for number, (name, changes, counts) in enumerate(CHANGES):
        folder = os.path.join(base, str(number))
        build(folder, changes)
        if number == 0:
            status, text = run(*command, folder, "--baseline", baseline)
            report.check(status == 1 and HINT in text,
                         "without a baseline it states how to make one", text)
            run(*command, folder, "--baseline", baseline, "--update")
        status, text = run(*command, folder, "--baseline", baseline)
        report.check(status == (1 if counts else 0) and
                     (HINT in text) == counts,
                     f"{name} is {'a' if counts else 'no'} change", status, text)


def check_missing(report, base):
    """All programs of this system but those of libabigail."""
    place = os.path.join(base, "bin")
    os.makedirs(place)
    for folder in ("/bin", "/usr/bin"):
        for name in os.listdir(folder):
            if not name.startswith("abi") and \
                    not os.path.lexists(os.path.join(place, name)):
                os.symlink(os.path.join(folder, name),
                           os.path.join(place, name))
    status, text = run(os.path.join(ROOT, "dev"), "abi",
                       env={**os.environ, "PATH": place})
    report.check(status == 1 and text == "dev: abi: abidw and abidiff are "
                 'missing: "./dev setup" installs them (abigail-tools in '
                 "Debian)\n", "it reports when abidiff is missing", status, text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--release")
    parser.parse_args()
    report = tap.Writer()
    with tempfile.TemporaryDirectory() as base:
        check_missing(report, base)
        if shutil.which("abidw") and shutil.which("abidiff") and \
                os.uname().machine == "x86_64":
            check_changes(report, base)
        else:
            report.skip("changes of the ABI", "no abidw and abidiff here")
    report.finish()


if __name__ == "__main__":
    main()
