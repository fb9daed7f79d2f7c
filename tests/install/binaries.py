#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a release installs is hardened and has no trace of where it was built.
The flags are those of cmake/hardening.cmake.

usage: binaries.py --release BUILD_DIR [--build BUILD_DIR]
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

PROGRAM = """\
#include <string.h>
#include <stdio.h>
char *fill(char *out, const char *in);
char *fill(char *out, const char *in) { return strcpy(out, in); }
int main(int argc, char **argv) {
  char text[64];
  fill(text, argv[argc - 1]);
  strcpy(text + 8, argv[0]);
  return puts(text) < 0;
}
"""
# Flags with which a compiler takes every one of the protections away.
BARE = ("-O2", "-no-pie", "-fno-pie", "-Wl,-z,norelro", "-Wl,-z,lazy",
        "-Wl,-z,execstack", "-fno-stack-protector", "-U_FORTIFY_SOURCE",
        "-fcf-protection=none", "-Wl,-rpath,/somewhere")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, text=True,
                          capture_output=True).stdout


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def faults_of_linking(path, executable):
    """What it asks of the dynamic linker, and what of the kernel."""
    segments, dynamic = readelf("-l", path), readelf("-d", path)
    if not re.search(r"^\s+GNU_RELRO\s", segments, re.MULTILINE):
        yield "no RELRO"
    if not re.search(r"\(FLAGS\).*\bBIND_NOW\b", dynamic) and \
            not re.search(r"\(FLAGS_1\).*\bNOW\b", dynamic):
        yield "no BIND_NOW"
    stack = re.search(r"^\s+GNU_STACK.* (R?W?E?)\s+0x\w+$", segments,
                      re.MULTILINE)
    if not stack or "E" in stack[1]:
        yield "an executable stack"
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        yield "a path to its libraries"
    if "(TEXTREL)" in dynamic:
        yield "relocations in its code"
    if executable and not re.search(r"\(FLAGS_1\).*\bPIE\b", dynamic):
        yield "no PIE"


def faults_of_code(path):
    """The calls that the compiler has put in."""
    symbols = readelf("--dyn-syms", path)
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector"
    if not re.search(r"__\w+_chk@", symbols.replace("__stack_chk", "")):
        yield "no fortified call"


def faults(path, executable):
    return [*faults_of_linking(path, executable), *faults_of_code(path)]


def check_finds_faults(report, folder):
    """A program that has none of it shows all the faults."""
    program = os.path.join(folder, "bare")
    subprocess.run(["cc", "-x", "c", *BARE, "-", "-o", program], check=True,
                   input=PROGRAM, text=True, capture_output=True)
    found = faults(program, True)
    report.check(len(found) == 7, "a program without protection shows it",
                 *found)


def check_binaries(report, prefix):
    binaries = [path for path in glob.glob(os.path.join(prefix, "**"),
                                           recursive=True)
                if os.path.isfile(path) and not os.path.islink(path)
                and is_elf(path)]
    names = {os.path.basename(path).split(".")[0] for path in binaries}
    report.check({"cometp2p", "libcometp2p"} <= names,
                 "the command and the library are found", *binaries)
    for path in sorted(binaries):
        name = os.path.relpath(path, prefix)
        found = faults(path, name.startswith("bin/"))
        report.check(not found, f"{name} is hardened", *found)


def check_paths(report, prefix, release):
    """No file, text or not, names the sources or the build."""
    places = [place.encode() for place in
              {ROOT, os.path.realpath(release), os.path.abspath(release)}]
    guilty = []
    for folder, _, names in os.walk(prefix):
        for path in (os.path.join(folder, name) for name in names):
            with open(path, "rb") as file:
                content = file.read()
            if any(place in content for place in places):
                guilty.append(os.path.relpath(path, prefix))
    report.check(not guilty, "no installed file has a path of the build in it",
                 *guilty)


def has_flag(flag):
    done = subprocess.run(["cc", "-Werror", flag, "-x", "c", "-c", "-", "-o",
                           os.devnull], input="int x;\n", text=True,
                          capture_output=True)
    return done.returncode == 0


def commands_of(build):
    """(source, command) of each object of the libraries and the command."""
    with open(os.path.join(build, "compile_commands.json"),
              encoding="utf-8") as file:
        commands = [(entry["file"], entry["command"])
                    for entry in json.load(file)]
    return [(path, command) for path, command in commands
            if os.path.relpath(path, ROOT).startswith("src/")]


def check_sanitizers(report, build):
    """They see less of calls that are fortified."""
    commands = commands_of(build)
    if not any("-fsanitize=address" in command for _, command in commands):
        report.skip("sanitizers see plain calls", "there are no sanitizers")
        return
    guilty = [path for path, command in commands
              if "-D_FORTIFY_SOURCE" in command or "-fcf-protection" in command]
    report.check(not guilty, "sanitizers see plain calls", *guilty)


def check_flags(report, release):
    """What leaves no mark in a binary is seen in the commands."""
    ours = commands_of(release)
    for flag in ("-fstack-protector-strong", "-fstack-clash-protection",
                 "-fcf-protection", "-D_FORTIFY_SOURCE="):
        if not flag.startswith("-D") and not has_flag(flag):
            report.skip(f"every source has {flag}", "the compiler has it not")
            continue
        without = [path for path, command in ours if flag not in command]
        report.check(ours and not without, f"every source has {flag}",
                     *without)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--build")
    arguments = parser.parse_args()
    release = arguments.release
    report = tap.Writer()
    if arguments.build:
        check_sanitizers(report, arguments.build)
    if not os.path.exists(os.path.join(release, "libcometp2p.so")):
        report.skip("binaries of the release", "there is no release build")
        report.finish()
    with tempfile.TemporaryDirectory() as folder:
        check_finds_faults(report, folder)
        prefix = os.path.join(folder, "prefix")
        done = subprocess.run(["cmake", "--install", release, "--prefix",
                               prefix], text=True, stderr=subprocess.STDOUT,
                              stdout=subprocess.PIPE)
        if report.check(done.returncode == 0, "it installs", done.stdout):
            check_binaries(report, prefix)
            check_paths(report, prefix, release)
        check_flags(report, release)
    report.finish()


if __name__ == "__main__":
    main()
