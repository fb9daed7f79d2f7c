#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An installed cometp2p serves the programs of others: by pkg-config, by its
CMake package, as shared and as static library, and from another place than it
was installed to.  The programs are the examples that came with it.

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
HANDSHAKE = os.path.join(CONSUMER, "handshake.c")


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


class Prefix:
    """Where the package is installed to."""

    def __init__(self, folder):
        self.folder = folder
        pc = glob.glob(os.path.join(folder, "**/pkgconfig"), recursive=True)
        self.pkgconfig = pc[0] if pc else "/nowhere"
        self.lib = os.path.dirname(self.pkgconfig)
        self.doc = os.path.join(folder, "share/doc/cometp2p")
        self.examples = os.path.join(self.doc, "examples")
        self.chat = os.path.join(self.examples, "chat.c")

    def environment(self, **more):
        return dict(os.environ, PKG_CONFIG_PATH=self.pkgconfig,
                    LD_LIBRARY_PATH=self.lib, **more)

    def attempt(self, *command, **more):
        """The status and the output, with |more| variables."""
        done = subprocess.run(command, env=self.environment(**more), text=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                              stdout=subprocess.PIPE, timeout=300)
        return done.returncode, done.stdout

    def run(self, *command, **more):
        status, output = self.attempt(*command, **more)
        if status != 0:
            raise Failed(f"{' '.join(command)}: status {status}\n{output}")
        return output

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
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", prefix.chat, "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p"))
    if prefix.lib not in loads(prefix, program):
        raise Failed("the program does not use the installed library")


def archive_by_pkg_config(prefix, folder):
    program = os.path.join(folder, "chat-archive")
    prefix.run("cc", "-std=c11", prefix.chat, "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p-static"))
    output = loads(prefix, program)
    if "libcometp2p" in output or "libuv" not in output:
        raise Failed(output)


def static_by_pkg_config(prefix, folder):
    """Without the archives of the C library and the others there is none."""
    for name in ("libc.a", "libsodium.a"):
        if prefix.run("cc", f"-print-file-name={name}").strip() == name:
            raise Skipped(f"there is no {name}")
    program = os.path.join(folder, "chat-static")
    prefix.run("cc", "-std=c11", "-static", prefix.chat, "-o", program,
               *prefix.flags("--static", "--cflags", "--libs", "cometp2p"))
    needed = prefix.run("readelf", "-dlW", program)
    if "NEEDED" in needed or "INTERP" in needed:
        raise Failed(needed)
    if "others join" not in prefix.run(program):
        raise Failed("the program does not run")


def loop_by_pkg_config(prefix, folder):
    program = os.path.join(folder, "run_on")
    prefix.run("cc", "-std=gnu11", "-Wall", "-Werror",
               os.path.join(prefix.examples, "run_on.c"), "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p", "libuv"))
    loads(prefix, program)


def protobuf_by_pkg_config(prefix, folder):
    if not has_protobuf(prefix):
        return
    program = os.path.join(folder, "protobuf_chat")
    prefix.run("protoc-c", f"--c_out={folder}", f"-I{prefix.examples}",
               os.path.join(prefix.examples, "chat.proto"))
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", f"-I{folder}",
               os.path.join(prefix.examples, "protobuf_chat.c"),
               os.path.join(folder, "chat.pb-c.c"), "-o", program,
               *prefix.flags("--cflags", "--libs", "cometp2p-protobuf"))
    if "libprotobuf-c" not in loads(prefix, program):
        raise Failed("the program does without protobuf-c")


def messages_by_pkg_config(prefix, folder):
    """The pkg-config file states where the messages of CometBFT are."""
    if not has_protobuf(prefix):
        return
    protos = prefix.flags("--variable=protodir", "cometp2p-protobuf")[0]
    names = ("mempool", "consensus", "types")
    prefix.run("protoc-c", f"--c_out={folder}", f"-I{protos}",
               *(os.path.join(protos, f"{name}.proto") for name in names))
    prefix.run("cc", "-std=gnu11", "-Wall", "-Werror", f"-I{folder}",
               os.path.join(prefix.examples, "mempool.c"),
               *(os.path.join(folder, f"{name}.pb-c.c") for name in names),
               "-o", os.path.join(folder, "mempool"),
               *prefix.flags("--cflags", "--libs", "cometp2p-protobuf",
                             "libsodium"))


def core_by_pkg_config(prefix, folder, module="cometp2p-core"):
    """The program loads libcometp2p-core exactly when it is the shared one."""
    program = os.path.join(folder, f"handshake-{module}")
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", HANDSHAKE, "-o", program,
               *prefix.flags("--cflags", "--libs", module))
    loaded = loads(prefix, program)
    if "libuv" in loaded or "libcometp2p.so" in loaded or \
            ("libcometp2p-core.so" in loaded) != (module == "cometp2p-core"):
        raise Failed(loaded)
    expect(prefix.run(program), "CMT_OK\n")


def core_archive_by_pkg_config(prefix, folder):
    core_by_pkg_config(prefix, folder, "cometp2p-core-static")


def core_needs_little(prefix, folder):
    """A program of the shared core compiles where libsodium has no files for
    developers, which pkg-config stands for; one of the archive does not."""
    del folder
    alone = {"PKG_CONFIG_LIBDIR": "/nowhere"}
    status, output = prefix.attempt("pkg-config", "--libs", "cometp2p-core",
                                    **alone)
    if status != 0 or "sodium" in output:
        raise Failed(f"{status}\n{output}")
    status, output = prefix.attempt("pkg-config", "--libs",
                                    "cometp2p-core-static", **alone)
    if status == 0 or "libsodium" not in output:
        raise Failed(f"{status}\n{output}")


def two_copies(prefix, folder):
    """A program of libcometp2p has a plugin of libcometp2p-core, loaded before
    and after it: each calls the copy that it was linked with."""
    plugin = os.path.join(folder, "libplugin.so")
    prefix.run("cc", "-std=c11", "-Wall", "-Werror", "-shared", "-fPIC",
               "-Dmain=plugin_main", "-DCOPY=plugin_copy", HANDSHAKE,
               os.path.join(CONSUMER, "copy.c"), "-o", plugin,
               *prefix.flags("--cflags", "--libs", "cometp2p-core"))
    for order in ((plugin, "cometp2p"), ("cometp2p", plugin)):
        program = os.path.join(folder, "two_copies")
        libraries = []
        for name in order:
            libraries += [name] if name == plugin else \
                prefix.flags("--cflags", "--libs", name)
        prefix.run("cc", "-std=gnu11", "-Wall", "-Werror",
                   os.path.join(CONSUMER, "two_copies.c"),
                   os.path.join(CONSUMER, "copy.c"), "-DCOPY=program_copy",
                   "-D_GNU_SOURCE", "-o", program, "-Wl,--no-as-needed", *libraries,
                   f"-Wl,-rpath,{folder}")
        output = prefix.run(program)
        expect(output, "CMT_OK\nCMT_OK\nlibcometp2p.so libcometp2p-core.so\n")


def consumer(prefix, folder, components, *options, **more):
    """The status of CMake, what it prints, and the targets that it found."""
    build = os.path.join(folder, "consumer")
    shutil.rmtree(build, ignore_errors=True)
    status, output = prefix.attempt(
        "cmake", "-S", CONSUMER, "-B", build, "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix.folder}", f"-DCOMPONENTS={components}",
        f"-DEXAMPLES={prefix.examples}", *options, **more)
    found = re.search(r"^-- targets:(.*)$", output, re.MULTILINE)
    return status, output, found[1].split() if found else None


def by_cmake(prefix, folder):
    components = ["cometp2p", "static", "core", "core-static"]
    if has_protobuf(prefix):
        components.append("protobuf")
    status, output, found = consumer(prefix, folder, ";".join(components),
                                     "-DPROTOS=blocksync;consensus")
    if status != 0 or found != components:
        raise Failed(f"{found}\n{output}")
    build = os.path.join(folder, "consumer")
    prefix.run("cmake", "--build", build)
    for program in components:
        loads(prefix, os.path.join(build, {
            "cometp2p": "chat", "static": "chat_static", "core": "handshake",
            "core-static": "handshake_static",
            "protobuf": "protobuf_chat"}[program]))
    for program in ("handshake", "handshake_static"):
        expect(prefix.run(os.path.join(build, program)), "CMT_OK\n")


def messages_of(prefix):
    return sorted(name[:-len(".proto")] for name in os.listdir(
        os.path.join(prefix.folder, "share/cometp2p/proto"))
        if name.endswith(".proto"))


def messages_by_cmake(prefix, folder):
    """All messages that are installed compile, those of a program are right,
    and a mistake is reported."""
    if not has_protobuf(prefix):
        raise Skipped("there is no protobuf-c")
    names = messages_of(prefix)
    expect(set(names) >= {"blocksync", "consensus", "mempool", "pex",
                          "statesync", "types"}, True)
    status, output, _ = consumer(prefix, folder, "protobuf",
                                 "-DPROTOS=" + ";".join(names))
    if status != 0:
        raise Failed(output)
    build = os.path.join(folder, "consumer")
    prefix.run("cmake", "--build", build)
    loads(prefix, os.path.join(build, "mempool"))
    expect(prefix.run(os.path.join(build, "messages")), "CMT_OK\n")
    generate = "cometp2p_protobuf_generate"
    for mistake, text in (
            ("TARGET nobody PROTOS pex", "TARGET nobody is not a target of"),
            ("TARGET inside PROTOS pex", "TARGET inside is not a target of"),
            ("TARGET messages PROTOS pox", "PROTOS pox is none of " +
             ", ".join(names)),
            ("TARGET messages pex", "are not the arguments"),
            ("PROTOS pex", "are not the arguments"),
            ("TARGET messages", "are not the arguments")):
        check_mistake(prefix, folder, f"{generate}({mistake})", text)
    check_mistake(prefix, folder, "", "protoc-c was not found",
                  "-DCMT_PROTOC_C=")


def check_mistake(prefix, folder, mistake, text, *options):
    status, output, _ = consumer(prefix, folder, "protobuf", "-DPROTOS=types",
                                 f"-DMISTAKE={mistake}", *options)
    output = " ".join(output.split())
    if status == 0 or "cometp2p_protobuf_generate: " not in output or \
            text not in output:
        raise Failed(f"{mistake}: {status}\n{output}")


def libraries_of(prefix, folder, *modules):
    """Variables with which pkg-config knows |modules| alone."""
    place = os.path.join(folder, "-".join(("pc", *modules)))
    os.makedirs(place)
    for module in modules:
        where = prefix.flags("--variable=pcfiledir", module)[0]
        shutil.copy(os.path.join(where, f"{module}.pc"), place)
    return {"PKG_CONFIG_LIBDIR": place}


def components_of_cmake(prefix, folder):
    """What is asked for, what is installed, what then is found."""
    nothing = libraries_of(prefix, folder)
    sodium = libraries_of(prefix, folder, "libsodium")
    both = libraries_of(prefix, folder, "libsodium", "libuv")
    for components, there, targets in (
            ("", nothing, "cometp2p core"),
            ("", sodium, "cometp2p core core-static"),
            ("", both, "cometp2p static core core-static"),
            ("cometp2p", nothing, "cometp2p"),
            ("core", nothing, "core"),
            ("core-static", sodium, "core-static"),
            ("static", both, "static")):
        status, output, found = consumer(prefix, folder, components, **there)
        if status != 0 or found != targets.split():
            raise Failed(f"{components} of {there}: {found}\n{output}")
    for component, there, text in (
            ("core-static", nothing, "core-static lacks libsodium."),
            ("static", sodium, "static lacks libuv."),
            ("static", nothing, "static lacks libsodium and libuv."),
            ("protobuf", both, "protobuf lacks "),
            ("nonsense", both, "nonsense lacks this component")):
        status, output, found = consumer(prefix, folder, component, **there)
        if status == 0 or found or f"cometp2p::{text}" not in output:
            raise Failed(f"{component} of {there}: {status}\n{output}")


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
                          timeout=300)
    if done.returncode != 66 or "data race" not in done.stderr:
        raise Failed(f"the race was not found\n{done.stderr}")


def command(prefix, folder):
    del folder
    program = os.path.join(prefix.folder, "bin/cometp2p")
    version = prefix.flags("--modversion", "cometp2p")[0]
    if f"cometp2p {version}\n" not in prefix.run(program, "version"):
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


def documents(prefix, folder):
    """The examples are those of the sources: other tests compile them."""
    del folder
    for name in ("LICENSE", "CHANGELOG.md"):
        with open(os.path.join(prefix.doc, name), encoding="utf-8") as file, \
                open(os.path.join(ROOT, name), encoding="utf-8") as source:
            expect(file.read(), source.read())
    expect(sorted(os.listdir(os.path.join(prefix.doc, "guide"))),
           sorted(os.listdir(os.path.join(ROOT, "docs/guide"))))
    sources = glob.glob(os.path.join(ROOT, "examples/*.*"))
    expect(sorted(os.listdir(prefix.examples)),
           sorted(name for name in map(os.path.basename, sources)
                  if name != "CMakeLists.txt"))


def expect(found, expected):
    if found != expected:
        raise Failed(f"{found!r}, expected {expected!r}")


def by_dev(prefix, folder):
    """A shell that does what "./dev install" closes with compiles the
    README's program as it shows that, and starts it and the command."""
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
    hello = os.path.join(place, "share/doc/cometp2p/examples/hello.c")
    recipe = ["set -e", *exports, "cd \"$0\"",
              f"cc '{hello}' $(pkg-config --cflags --libs cometp2p) -o hello",
              "./hello </dev/null", "command -v cometp2p", "cometp2p version"]
    done = subprocess.run(["bash", "-c", "\n".join(recipe), folder], env=shell,
                          text=True, stdin=subprocess.DEVNULL, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0 or f"{place}/bin/cometp2p" not in done.stdout:
        raise Failed(f"status {done.returncode}\n{done.stdout}")


TESTS = (
    ("what ./dev install prints is enough for the README's recipe", by_dev),
    ("the installed command runs", command),
    ("the command and its verbs have man pages", man_pages),
    ("the shared core serves a program, found by pkg-config",
     core_by_pkg_config),
    ("the archive of the core serves a program, found by pkg-config",
     core_archive_by_pkg_config),
    ("the shared core asks for no other library", core_needs_little),
    ("libcometp2p and libcometp2p-core do not clash in one process",
     two_copies),
    ("the shared library serves the chat program, found by pkg-config",
     by_pkg_config),
    ("the archive serves the chat program, found by pkg-config",
     archive_by_pkg_config),
    ("pkg-config --static gives all that a static program links",
     static_by_pkg_config),
    ("the shared library serves a program with a loop of its own",
     loop_by_pkg_config),
    ("the library of protobuf messages serves a program, found by pkg-config",
     protobuf_by_pkg_config),
    ("the messages of CometBFT serve a program, found by pkg-config",
     messages_by_pkg_config),
    ("the suppressions for ThreadSanitizer hide no race of the program",
     tsan_suppressions),
    ("all libraries serve a project, found as CMake package", by_cmake),
    ("the CMake package compiles the messages of CometBFT", messages_by_cmake),
    ("a component of the CMake package asks only for what it needs",
     components_of_cmake),
    ("the licence, the changes and the examples are installed", documents),
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
    except Skipped as reason:
        report.skip(name, reason)
        return None
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
