#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev explains each of its verbs and a checkout that was moved, and CMake
builds without what only the tests need."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, **options)
    return done.returncode, done.stdout


def check_help(report, dev):
    verbs = re.findall(r"^  (\w+)", run(dev, "help")[1], re.MULTILINE)
    faults = []
    for verb in verbs:
        for flag in ("--help", "-h"):
            status, text = run(dev, verb, flag)
            if status != 0 or not text.startswith(f"usage: ./dev {verb}"):
                faults.append(f"{verb} {flag}: status {status}: {text}")
    report.check(len(verbs) > 10 and not faults, "every verb has --help",
                 *faults)
    status, text = run(dev, "nonsense")
    report.check(status == 2 and text.startswith("usage: ./dev") and
                 text.endswith('dev: there is no verb "nonsense"\n'),
                 "what is no verb is a usage error", status, text)
    faults = [call for call in (("build", "x"), ("clean", "x"), ("ci", "x"),
                                ("install", "a", "x"))
              if run(dev, *call) != (1, 'dev: what is "x"?\n')]
    report.check(not faults, "an argument too many is refused", *faults)


def check_moved(report, folder):
    dev = os.path.join(folder, "dev")
    shutil.copy(os.path.join(ROOT, "dev"), dev)
    cache = os.path.join(folder, "build/release/CMakeCache.txt")
    os.makedirs(os.path.dirname(cache))
    with open(cache, "w", encoding="utf-8") as file:
        file.write("CMAKE_HOME_DIRECTORY:INTERNAL=/where/it was\n")
    status, text = run(dev, "build")
    report.check(status == 1 and text == "dev: build/release was built when "
                 "this checkout was in /where/it was: run ./dev clean\n",
                 "a moved checkout asks for ./dev clean", status, text)
    status, text = run(dev, "clean")
    report.check(status == 0 and not os.path.exists(cache),
                 "./dev clean removes what was built", status, text)


def check_without_cmocka(report, folder):
    """pkg-config finds in |folder| all that this system has but cmocka."""
    path = run("pkg-config", "--variable", "pc_path", "pkg-config")[1].strip()
    for place in reversed(path.split(":")):
        for file in glob.glob(os.path.join(place, "*.pc")):
            if "cmocka" not in file:
                shutil.copy(file, folder)
    build = os.path.join(folder, "build")
    status, text = run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja",
                       env={**os.environ, "PKG_CONFIG_LIBDIR": folder})
    report.check(status == 0 and "No cmocka or no python3: the tests are not "
                 "built" in text, "CMake goes on without cmocka, and reports it",
                 status, text)
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        kind = re.search(r"^CMAKE_BUILD_TYPE:\w+=(.*)$", file.read(),
                         re.MULTILINE)
    report.check(kind is not None and kind[1] == "RelWithDebInfo",
                 "a build is optimised unless another type is asked for",
                 kind and kind[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--release")
    parser.parse_args()
    report = tap.Writer()
    with tempfile.TemporaryDirectory() as folder:
        check_help(report, os.path.join(ROOT, "dev"))
        check_moved(report, folder)
    with tempfile.TemporaryDirectory() as folder:
        check_without_cmocka(report, folder)
    report.finish()


if __name__ == "__main__":
    main()
