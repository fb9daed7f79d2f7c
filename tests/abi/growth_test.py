#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program runs with a library of a later version, whose structs have a field
more and whose errors are more, and a program of that version with the library
of today.

The later version is made here: a copy of the public headers in which each struct
that begins with its size has one more field at its end, each one with reserved
words has a field in the place of the first, and cmt_err has one more value.

usage: growth_test.py --build BUILD_DIR
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

PROGRAM = os.path.join(HERE, "growth.c")
# As CMakeLists.txt has them.
FOLDERS = ("base", "crypto", "core/*", "sys", "net", "net/uv", "link", "peer",
           "reactor", "switch", "pex", "ops",
           "home")
STRUCT = re.compile(r"^typedef struct (\w+) \{\n(.*?)^\} \1;", re.S | re.M)
RESERVED = re.compile(r"\b(\w+) reserved\[(\d+)\];")
# What the library lends in an event, and the program does not name.
LENT = {"cmt_rejection": r"\.rejection->", "cmt_dial_outcome": r"\.outcome->"}
FIRST_ERROR = "  X(CMT_EAGAIN,"


def bare(text):
    """Without comments."""
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def grow_struct(match):
    name, body = match[1], match[2]
    if re.match(r"\s*size_t size;", bare(body)):
        body += "  uint64_t grown;\n"
    else:
        body = RESERVED.sub(lambda m: f"{m[1]} grown; {m[1]} reserved"
                            f"[{int(m[2]) - 1}];", body)
    return f"typedef struct {name} {{\n{body}}} {name};"


def grow(text):
    text = STRUCT.sub(grow_struct, text)
    return text.replace(FIRST_ERROR, "  X(CMT_EGROWN, -99, RETRY, \"later\") \\\n"
                        + FIRST_ERROR)


def headers():
    return sorted(glob.glob(os.path.join(ROOT, "include/cometp2p/*.h")))


def write_grown(folder):
    place = os.path.join(folder, "include/cometp2p")
    os.makedirs(place)
    for path in headers():
        with open(path, encoding="utf-8") as file:
            text = grow(file.read())
        with open(os.path.join(place, os.path.basename(path)), "w",
                  encoding="utf-8") as file:
            file.write(text)
    return os.path.dirname(place)


def check_coverage(report):
    """The program uses all that may grow, so that nothing is forgotten."""
    with open(PROGRAM, encoding="utf-8") as file:
        program = file.read()
    absent = []
    for path in headers():
        with open(path, encoding="utf-8") as file:
            text = bare(file.read())
        for name, body in STRUCT.findall(text):
            grows = re.match(r"\s*size_t size;", body) or \
                RESERVED.search(body)
            if grows and not re.search(LENT.get(name, rf"\b{name}\b"),
                                       program):
                absent.append(f"{os.path.basename(path)}: {name}")
        for name in re.findall(r"\b(cmt_\w+)_sized\(", text):
            if name + "(" not in program:
                absent.append(f"{os.path.basename(path)}: {name}()")
    report.check(not absent, "the program uses every struct and call",
                 *sorted(set(absent)))


class Build:
    """How the build at hand compiles."""

    def __init__(self, build):
        with open(os.path.join(build, "CMakeCache.txt"),
                  encoding="utf-8") as file:
            cache = dict(re.findall(r"^(\w+):\w+=(.*)$", file.read(), re.M))
        self.folder = build
        self.flags = [cache.get("CMAKE_C_COMPILER", "cc"), "-std=c11", "-O0",
                      "-g1", "-D_GNU_SOURCE", "-pthread"]
        if cache.get("CMT_SANITIZE") == "ON":
            self.flags += ["-fsanitize=address,undefined",
                           "-fno-sanitize-recover=all"]
        self.libs = self.pkg_config("--libs", "libsodium", "libuv")
        self.includes = self.pkg_config("--cflags", "libsodium", "libuv")
        self.protobuf = os.path.exists(
            os.path.join(build, "libcometp2p-protobuf.a"))
        if self.protobuf:
            self.libs += self.pkg_config("--libs", "libprotobuf-c")

    @staticmethod
    def pkg_config(what, *packages):
        done = subprocess.run(["pkg-config", what, *packages], check=True,
                              capture_output=True, text=True)
        return done.stdout.split()

    def compile(self, *arguments):
        done = subprocess.run([*self.flags, *self.includes, *arguments],
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode == 0, done.stdout


def build_library(build, include, folder):
    """The sources of today with the headers of |include|."""
    sources = [path for name in FOLDERS + ("protobuf",) * build.protobuf
               for path in sorted(glob.glob(os.path.join(ROOT, "src", name,
                                                         "*.c")))]
    objects = [os.path.join(folder, f"{number}.o")
               for number in range(len(sources))]

    def one(pair):
        return build.compile("-fPIC", f"-I{include}", f"-I{ROOT}/src", "-c",
                             pair[0], "-o", pair[1])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(one, zip(sources, objects)))
    output = "".join(text for _, text in done)
    if not all(fine for fine, _ in done):
        return None, output
    archive = os.path.join(folder, "libgrown.a")
    subprocess.run(["ar", "rcs", archive, *objects], check=True)
    return [archive], output


def today(build):
    return [os.path.join(build.folder, name) for name in
            ("libcometp2p-protobuf.a",) * build.protobuf + ("libcometp2p.a",)]


def run(report, name, build, program, libraries):
    """|program|: its headers, where it goes, and what it is compiled with."""
    include, path, *flags = program
    fine, output = build.compile(
        "-Wall", "-Wextra", *flags, *["-DWITH_PROTOBUF"] * build.protobuf,
        f"-I{include}", PROGRAM, *libraries, *build.libs, "-o", path)
    if fine:
        done = subprocess.run([path], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300)
        fine = done.returncode == 0 and \
            done.stdout.endswith("all as it should be\n")
        output = done.stdout
    report.check(fine, name, output)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--release")
    report = tap.Writer()
    build = Build(os.path.abspath(parser.parse_args().build))
    check_coverage(report)
    with tempfile.TemporaryDirectory() as folder:
        grown = write_grown(folder)
        run(report, "a program of a later version runs with this library",
            build, (grown, os.path.join(folder, "later"), "-DGROWN"),
            today(build))
        library, output = build_library(build, grown, folder)
        report.check(library, "the library of a later version compiles", output)
        if library:
            run(report, "this program runs with a library of a later version",
                build, (os.path.join(ROOT, "include"),
                        os.path.join(folder, "earlier")), library)
    report.finish()


if __name__ == "__main__":
    main()
