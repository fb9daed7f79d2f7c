#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An installed cometp2p serves the programs of others: by pkg-config, by its
CMake package, as shared and as static library, and from another place than it
was installed to.

usage: install.py --release BUILD_DIR
"""
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

CONSUMER = os.path.join(ROOT, "tests/install/consumer")
EXAMPLES = os.path.join(ROOT, "examples")
CHAT = os.path.join(EXAMPLES, "chat.c")
HANDSHAKE = os.path.join(CONSUMER, "handshake.c")


class Failed(Exception):
    pass


class Prefix:
    """Where the package is installed to."""

    def __init__(self, folder):
        self.folder = folder
        pc = glob.glob(os.path.join(folder, "**/pkgconfig"), recursive=True)
        self.pkgconfig = pc[0] if pc else "/nowhere"
        self.lib = os.path.dirname(self.pkgconfig)

    def environment(self):
        return dict(os.environ, PKG_CONFIG_PATH=self.pkgconfig,
                    LD_LIBRARY_PATH=self.lib)

    def run(self, *command):
        done = subprocess.run(command, env=self.environment(), text=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                              stdout=subprocess.PIPE, timeout=60)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: status {done.returncode}\n"
                         f"{done.stdout}")
        return done.stdout

    def flags(self, *arguments):
        return self.run("pkg-config", *arguments).split()


def has_protobuf(prefix):
    """The optional library was built, and code for it can be generated."""
    return shutil.which("protoc-c") is not None and os.path.exists(
        os.path.join(prefix.lib, "libcometp2p-protobuf.so"))


def loads(prefix, program):
    """The dynamic linker finds all that the program needs."""
    output = prefix.run("ldd", program)
    if "not found" in output:
        raise Failed(output)
    return output


def by_pkg_config(prefix, folder):
    program = os.path.join(folder, "chat-shared")
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", CHAT, "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p"))
    if prefix.lib not in loads(prefix, program):
        raise Failed("the program does not use the installed library")


def static_by_pkg_config(prefix, folder):
    program = os.path.join(folder, "chat-static")
    flags = prefix.flags("--static", "--cflags", "--libs", "cometp2p")
    flags = [flag if flag != "-lcometp2p" else "-l:libcometp2p.a"
             for flag in flags]
    prefix.run("cc", "-std=c11", CHAT, "-o", program, *flags)
    if "libcometp2p" in loads(prefix, program):
        raise Failed("the program uses the shared library")


def loop_by_pkg_config(prefix, folder):
    program = os.path.join(folder, "run_on")
    prefix.run("cc", "-std=gnu11", "-Wall", "-Werror",
               os.path.join(EXAMPLES, "run_on.c"), "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p", "libuv"))
    loads(prefix, program)


def protobuf_by_pkg_config(prefix, folder):
    if not has_protobuf(prefix):
        return
    program = os.path.join(folder, "protobuf_chat")
    prefix.run("protoc-c", f"--c_out={folder}", f"-I{EXAMPLES}",
               os.path.join(EXAMPLES, "chat.proto"))
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", f"-I{folder}",
               os.path.join(EXAMPLES, "protobuf_chat.c"),
               os.path.join(folder, "chat.pb-c.c"), "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p-protobuf"))
    if "libprotobuf-c" not in loads(prefix, program):
        raise Failed("the program does without protobuf-c")


def core_by_pkg_config(prefix, folder):
    program = os.path.join(folder, "handshake")
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", HANDSHAKE, "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p-core"))
    if "libuv" in loads(prefix, program):
        raise Failed("the core drags in libuv")
    expect(prefix.run(program), "CMT_OK\n")


def by_cmake(prefix, folder):
    build = os.path.join(folder, "consumer")
    prefix.run("cmake", "-S", CONSUMER, "-B", build, "-G", "Ninja",
               f"-DCMAKE_PREFIX_PATH={prefix.folder}",
               f"-DEXAMPLES={EXAMPLES}")
    prefix.run("cmake", "--build", build)
    loads(prefix, os.path.join(build, "chat"))
    if has_protobuf(prefix):
        loads(prefix, os.path.join(build, "protobuf_chat"))
    expect(prefix.run(os.path.join(build, "handshake")), "CMT_OK\n")


def tsan_suppressions(prefix, folder):
    """A program without races runs silently, and a race is still found."""
    program = os.path.join(folder, "threads")
    prefix.run("cc", "-std=gnu11", "-g", "-fsanitize=thread", "-Wall",
               "-Werror", os.path.join(CONSUMER, "threads.c"), "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p"), "-pthread")
    rules = os.path.join(prefix.folder, "share/cometp2p/tsan.supp")
    options = f"TSAN_OPTIONS=suppressions={rules}:exitcode=66"
    expect(prefix.run("env", options, program), "ok\n")
    done = subprocess.run(["env", options, program, "race"], text=True,
                          env=prefix.environment(), capture_output=True,
                          timeout=60)
    if done.returncode != 66 or "data race" not in done.stderr:
        raise Failed(f"the race was not found\n{done.stderr}")


def command(prefix, folder):
    del folder
    program = os.path.join(prefix.folder, "bin/cometp2p")
    version = prefix.flags("--modversion", "cometp2p")[0]
    if version not in prefix.run(program, "version"):
        raise Failed(f"the command is not of version {version}")


def man_pages(prefix, folder):
    """One for the command and one for each verb that its help names."""
    del folder
    usage = prefix.run(os.path.join(prefix.folder, "bin/cometp2p"), "--help")
    verbs = re.findall(r"^  ([a-z]+) ", usage, re.MULTILINE)
    expected = {"cometp2p.1"} | {f"cometp2p-{verb}.1" for verb in verbs}
    found = set(os.listdir(os.path.join(prefix.folder, "share/man/man1")))
    if len(verbs) < 5 or found != expected:
        raise Failed(f"{sorted(found)}, expected {sorted(expected)}")


def expect(found, expected):
    if found != expected:
        raise Failed(f"{found!r}, expected {expected!r}")


def by_dev(prefix, folder):
    """A shell that does what "./dev install" closes with compiles the chat as
    the README shows it, and starts it and the command."""
    del prefix
    place = os.path.join(folder, "by-dev")
    shell = {name: value for name, value in os.environ.items()
             if name not in ("LD_LIBRARY_PATH", "PKG_CONFIG_PATH")}
    done = subprocess.run([os.path.join(ROOT, "dev"), "install", place],
                          env=shell, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    exports = re.findall(r"^  (export .*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not exports:
        raise Failed(f"status {done.returncode}\n{done.stdout}{done.stderr}")
    recipe = ["set -e", *exports, "cd \"$0\"",
              f"cc '{CHAT}' $(pkg-config --cflags --libs cometp2p) -o chat",
              "./chat </dev/null", "command -v cometp2p", "cometp2p version"]
    done = subprocess.run(["bash", "-c", "\n".join(recipe), folder], env=shell,
                          text=True, stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0 or f"{place}/bin/cometp2p" not in done.stdout:
        raise Failed(f"status {done.returncode}\n{done.stdout}")


TESTS = (
    ("what ./dev install says is enough for the README's recipe", by_dev),
    ("the installed command runs", command),
    ("the command and its verbs have man pages", man_pages),
    ("the core alone serves a program, found by pkg-config",
     core_by_pkg_config),
    ("the shared library serves the chat program, found by pkg-config",
     by_pkg_config),
    ("the static library serves the chat program, found by pkg-config",
     static_by_pkg_config),
    ("the shared library serves a program with a loop of its own",
     loop_by_pkg_config),
    ("the library of protobuf messages serves a program, found by pkg-config",
     protobuf_by_pkg_config),
    ("the suppressions for ThreadSanitizer hide no race of the program",
     tsan_suppressions),
    ("all libraries serve a project, found as CMake package", by_cmake),
)


def install(release, folder):
    """Installs, and moves the result: nothing in it may hold on to a place."""
    first = os.path.join(folder, "installed")
    moved = os.path.join(folder, "moved")
    done = subprocess.run(["cmake", "--install", release, "--prefix", first],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode != 0:
        raise Failed(done.stdout)
    os.rename(first, moved)
    return Prefix(moved)


def attempt(report, name, test, *arguments):
    try:
        value = test(*arguments)
    except (Failed, OSError, subprocess.TimeoutExpired) as fault:
        report.check(False, name, fault)
        return None
    report.check(True, name)
    return value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--build")
    release = parser.parse_args().release
    report = tap.Writer()
    if not os.path.exists(os.path.join(release, "libcometp2p.so")):
        report.skip("installation", "there is no release build")
        report.finish()
    with tempfile.TemporaryDirectory() as folder:
        prefix = attempt(report, "it installs", install, release, folder)
        if prefix:
            for name, test in TESTS:
                attempt(report, name, test, prefix, folder)
    report.finish()


if __name__ == "__main__":
    main()
