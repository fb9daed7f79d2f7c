#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone, as C11 and as C++17, and a program of
either language that includes them all runs on the shared library.

usage: headers.py --release BUILD_DIR
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

INCLUDE = os.path.join(ROOT, "include")
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}"]
# Compiler, its language and standard.
COMPILERS = (("gcc", "c", "c11"), ("g++", "c++", "c++17"),
             ("clang", "c", "c11"), ("clang++", "c++", "c++17"))

# Headers of libraries besides the main one.
OPTIONAL = ("protobuf.h",)

PROGRAM = """\
#include <cometp2p/cometp2p.h>
#include <stdio.h>

int main(void) {
  cmt_switch_options options;

  cmt_switch_options_init(&options);
  printf("%s %d\\n", cmt_version(), options.size == sizeof options);
  return 0;
}
"""


def run(command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def compile_alone(report, header):
    for compiler, language, standard in COMPILERS:
        name = f"{header} compiles alone as {standard} by {compiler}"
        if shutil.which(compiler) is None:
            # clang is no part of what the tests install.
            report.note(f"no {compiler}: not tried on {header}")
            continue
        command = [compiler, "-x", language, f"-std={standard}", *FLAGS,
                   "-fsyntax-only", "-"]
        status, output = run(command, f"#include <cometp2p/{header}>\n")
        report.check(status == 0, name, output)


def run_program(report, release, folder):
    library = os.path.join(release, "libcometp2p.so")
    for compiler, language, standard in COMPILERS:
        name = f"a {standard} program by {compiler} runs on the library"
        if shutil.which(compiler) is None:
            continue
        if not os.path.exists(library):
            report.skip(name, "there is no release build")
            continue
        program = os.path.join(folder, compiler)
        status, output = run(
            [compiler, "-x", language, f"-std={standard}", *FLAGS, "-", "-x",
             "none", library, f"-Wl,-rpath,{release}", "-o", program], PROGRAM)
        if status == 0:
            status, output = run([program])
        report.check(status == 0 and output.endswith(" 1\n"), name, output)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--build")
    release = os.path.abspath(parser.parse_args().release)
    report = tap.Writer()
    headers = sorted(map(os.path.basename,
                         glob.glob(os.path.join(INCLUDE, "cometp2p/*.h"))))
    with open(os.path.join(INCLUDE, "cometp2p/cometp2p.h"),
              encoding="utf-8") as file:
        whole = file.read()
    absent = [h for h in headers if h not in ("cometp2p.h", *OPTIONAL) and
              f"<cometp2p/{h}>" not in whole]
    report.check(not absent, "cometp2p.h includes every header", *absent)
    for header in headers:
        compile_alone(report, header)
    with tempfile.TemporaryDirectory() as folder:
        run_program(report, release, folder)
    report.finish()


if __name__ == "__main__":
    main()
