#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A project that has the sources of cometp2p in a folder of its own gets the
libraries and nothing else: its flags, folders, variables, names and tests stay
as they were, and it needs what the libraries need that it asks for.
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

HOST = os.path.join(ROOT, "tests/install/host")


def run(*command, **variables):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=500, env={**os.environ, **variables})
    return done.returncode, done.stdout


def modules(folder, *names):
    """A folder in which pkg-config finds |names| alone."""
    os.makedirs(folder)
    for name in names:
        where = run("pkg-config", "--variable=pcfiledir", name)[1].strip()
        os.symlink(os.path.join(where, f"{name}.pc"),
                   os.path.join(folder, f"{name}.pc"))
    return folder


class Host:
    """One configured build of the host."""

    def __init__(self, folder, *options, needs=("libsodium", "libuv")):
        self.folder = folder
        found = modules(folder + "-pc", *needs)
        self.status, self.output = run(
            "cmake", "-S", HOST, "-B", folder, "-G", "Ninja",
            f"-DCOMETP2P={ROOT}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
            *options, PKG_CONFIG_LIBDIR=found)

    def said(self, what):
        line = re.search(rf"^-- {what}: *(.*)$", self.output, re.MULTILINE)
        return line[1].split(";") if line and line[1] else []

    def commands(self):
        """(source, command) of each object."""
        path = os.path.join(self.folder, "compile_commands.json")
        with open(path, encoding="utf-8") as file:
            return [(entry["file"], entry["command"])
                    for entry in json.load(file)]


def check_names(report, host):
    foreign = [name for name in host.said("targets")
               if not name.startswith("cometp2p-")]
    report.check(len(host.said("targets")) >= 4 and not foreign,
                 "every target of ours has our prefix", host.said("targets"))
    report.check(not host.said("folders") and not host.said("tests"),
                 "no tests and no examples come with it", host.output)


def check_flags(report, host):
    """Flags of the host are everywhere, ours on our sources alone."""
    wrong = []
    for source, command in host.commands():
        ours = not source.startswith(os.path.join(ROOT, "tests/"))
        flags = ("-Wconversion", "-fvisibility=hidden", "-D_GNU_SOURCE",
                 "-std=c11")
        if any((flag in command) != ours for flag in flags) or \
                ("-DOPTION_OF_THE_HOST" not in command) or \
                ("-DFLAG_OF_THE_HOST" not in command):
            wrong.append(f"{source}: {command}")
    report.check(len(host.commands()) > 50 and not wrong,
                 "flags of ours are on no source of the host", *wrong[:3])


def check_files(report, host, base):
    status, output = run("cmake", "--build", host.folder)
    report.check(status == 0, "programs of the host are built on each library",
                 output)
    status, output = run("ctest", "--test-dir", host.folder)
    report.check(status == 0 and "100% tests passed, 0 tests failed out of 4"
                 in output, "they run, and are all the tests of the host",
                 output)
    strays = glob.glob(os.path.join(host.folder, "*cometp2p*.*"))
    libraries = glob.glob(os.path.join(host.folder, "cometp2p/lib*"))
    report.check(libraries and not strays,
                 "our files lie in the folder that the host gave us", *strays)
    status, output = run("cmake", "--install", host.folder, "--prefix",
                         os.path.join(base, "prefix"))
    report.check(status == 0 and "cometp2p" not in
                 re.sub(r"-- Install configuration.*", "", output),
                 "the host installs nothing of ours", output)


def check_ways(report, base):
    host = Host(os.path.join(base, "fetched"), "-DBY_FETCH=ON",
                "-DCMT_TESTS=ON", "-DCMAKE_BUILD_TYPE=Release")
    report.check(host.status == 0 and "cometp2p-static" in host.said("targets"),
                 "FetchContent adds it, and leaves the host alone",
                 host.output)
    report.check("cometp2p-protobuf-shared" not in host.said("targets"),
                 "protobuf comes only when it is asked for")
    host = Host(os.path.join(base, "core"), "-DCMT_CORE_ONLY=ON",
                needs=("libsodium",))
    report.check(host.status == 0 and
                 set(host.said("targets")) ==
                 {f"cometp2p-core-{form}"
                  for form in ("objects", "static", "shared")},
                 "the core alone needs libsodium alone", host.output)
    host = Host(os.path.join(base, "asked"), "-DCMT_PROTOBUF=ON")
    report.check(host.status != 0 and "libprotobuf-c" in host.output,
                 "who asks for protobuf learns that protobuf-c is missing",
                 host.output)
    if run("pkg-config", "--exists", "libprotobuf-c")[0] != 0:
        report.skip("who asks for protobuf gets it", "no libprotobuf-c")
        return
    for way, fetch in (("add_subdirectory()", "OFF"), ("FetchContent", "ON")):
        host = Host(os.path.join(base, "got-" + fetch), "-DCMT_PROTOBUF=ON",
                    "-DBY_FETCH=" + fetch,
                    needs=("libsodium", "libuv", "libprotobuf-c"))
        report.check(host.status == 0 and
                     "cometp2p-protobuf-shared" in host.said("targets"),
                     f"who asks for protobuf gets it by {way}", host.output)
        check_messages(report, host, way)


def check_messages(report, host, way):
    """A program of the host has messages of CometBFT."""
    status, output = run("cmake", "--build", host.folder, "--target",
                         "messages")
    if status == 0:
        status, output = run(os.path.join(host.folder, "messages"))
    report.check(status == 0 and output == "CMT_OK\n",
                 f"a program of the host has messages of CometBFT by {way}",
                 output)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--release")
    parser.parse_args()
    report = tap.Writer()
    with tempfile.TemporaryDirectory() as base:
        host = Host(os.path.join(base, "host"))
        if report.check(host.status == 0, "add_subdirectory() changes nothing "
                        "of the host", host.output):
            check_names(report, host)
            check_flags(report, host)
            check_files(report, host, base)
        check_ways(report, base)
    report.finish()


if __name__ == "__main__":
    main()
