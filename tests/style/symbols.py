#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the release build's libraries may call and what they export.

usage: symbols.py --release BUILD_DIR

The core performs no I/O, reads no clock and draws no randomness: all that it
can call is listed here.  No library names what belongs to the process: its
environment variables, streams, signals and end.  All that a shared library
exports has one version, that of its file name, and libcometp2p and the core, of
which it contains a copy, have different ones.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

# Symbols outside the core that any of its objects may call.
ALLOWED = (
    # Bytes and text in memory, with the checked variants of distributions.
    r"mem(chr|cmp|cpy|move|set|mem|rchr)", r"__mem(cpy|move|set)_chk",
    r"str(chr|cmp|cspn|len|ncmp|nlen|rchr|spn|str)",
    r"v?snprintf", r"__v?snprintf_chk",
    # What compilers put in: bcmp in place of memcmp, where only equality counts.
    r"__stack_chk_fail", r"_GLOBAL_OFFSET_TABLE_", r"bcmp",
    # The compiler's copy of what CPUID returns.
    r"__cpu_(model|features2|indicator_init)",
    # Computation of libsodium, without its random source.
    r"crypto_aead_chacha20poly1305_ietf_(de|en)crypt_detached",
    r"crypto_auth_hmacsha256_(init|update|final)",
    r"crypto_hash_sha256", r"crypto_scalarmult_(curve25519|ed25519_base)",
    r"crypto_sign_(detached|verify_detached|seed_keypair)",
    r"sodium_(bin2hex|memcmp|memzero)", r"crypto_verify_16",
)

# What the defaults of an environment call besides, which lie in the archive of
# the core and in src/sys: the core itself has no such objects.
DEFAULTS = {
    "default_env.c.o":
        r"malloc|free|abort|write|randombytes_buf|sodium_init",
    "secret_memory.c.o":
        r"sodium_(malloc|free|mlock|mprotect_read(only|write))",
}
DEFAULTS_LIE_IN = "src/sys"

# What no object of any library may name: the process belongs to its host.
OF_THE_HOST = re.compile(
    # Variables of the environment.
    r"(secure_)?getenv|(un|put)?setenv|putenv|clearenv|_*environ"
    # Streams.
    r"|std(in|out|err)|v?[fd]?w?printf|__v?[fd]?printf_chk|f?put[cs]|putchar"
    r"|fwrite|perror|v?syslog|openlog"
    # Signals.
    r"|signal|__sysv_signal|sigaction|sigset|sigprocmask|raise|kill|tgkill"
    r"|pthread_kill"
    # Its end, and what comes before and after it.
    r"|_?exit|_Exit|quick_exit|abort|__assert_fail|atexit|__cxa_atexit"
    r"|v?fork|exec[lv]\w*|system|popen|posix_spawnp?"
    # Settings that all of it shares.
    r"|setlocale|umask|chdir|set[re]?[ug]id|setrlimit|srandom|srand")
ALLOWED_OF_THE_HOST = {("default_env.c.o", "abort")}  # The default panic.


def nm(*arguments):
    command = ["nm", "-f", "sysv", *arguments]
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def objects(archive):
    """Gives (object, symbol, class, section)."""
    name = None
    for line in nm(archive).splitlines():
        head = re.match(r"Symbols from .*\[(.*)\]:$", line)
        fields = [field.strip() for field in line.split("|")]
        if head:
            name = head[1]
        elif len(fields) == 7:
            yield name, fields[0], fields[2], fields[6]


def may_call(name, symbol):
    if name in DEFAULTS and re.fullmatch(DEFAULTS[name], symbol):
        return True
    return any(re.fullmatch(pattern, symbol) for pattern in ALLOWED)


def foreign_calls(symbols):
    defined = {symbol for _, symbol, kind, _ in symbols if kind not in "Uw"}
    for name, symbol, kind, _ in symbols:
        if kind in "Uw" and symbol not in defined and \
                not may_call(name, symbol):
            yield f"{name} calls {symbol}"


# What is no object's: how many locks this thread holds, which finds a call of
# the application's code under one (src/base/guard.h); whether the process has
# begun to panic, which ends it soon after; and which frame kernels passed their
# self-tests on this machine.
NO_OBJECTS = {("guard.c.o", "cmt__locks_held"), ("kernels.c.o", "built_in"),
              ("default_env.c.o", "panic_logged")}


def writable_globals(symbols):
    """Data that is constant but for relocation is not writable later on."""
    writable = re.compile(r"\.(data|bss|tdata|tbss|sdata|sbss)\b(?!\.rel\.ro)"
                          r"|\*COM\*")
    for name, symbol, kind, section in symbols:
        if kind not in "Uw" and writable.match(section) and \
                (name, re.sub(r"\.\d+$", "", symbol)) not in NO_OBJECTS:
            yield f"{name} has {symbol} in {section}"


def calls_on_the_host(symbols):
    for name, symbol, kind, _ in symbols:
        if kind in "Uw" and OF_THE_HOST.fullmatch(symbol.split("@")[0]) and \
                (name, symbol) not in ALLOWED_OF_THE_HOST:
            yield f"{name} names {symbol}"


def without_invariants(symbols):
    """Objects that should have assertions and lost them."""
    having = {name for name, symbol, _, _ in symbols if symbol == "cmt__panic"}
    return {"buf.c.o", "mconn_send.c.o", "secret_conn.c.o", "send_queue.c.o",
            "session.c.o"} - having


# Shared libraries beside the main one: their headers, what these declare for the
# main one alone, and the name of the version of their symbols.
OF_THE_SYSTEM = {"cmt_libraries", "cmt_log_stderr", "cmt_node_key_load",
                 "cmt_node_key_load_private", "cmt_node_key_save_new"}
BESIDE = {
    "libcometp2p-core.so": (
        ("buf.h", "conn.h", "conn_group.h", "env.h", "err.h", "mconn.h",
         "net_addr.h", "node_info.h", "node_key.h", "secret_conn.h",
         "version.h"),
        OF_THE_SYSTEM, "COMETP2P_CORE"),
    "libcometp2p-protobuf.so": (("protobuf.h",), set(), "COMETP2P"),
}


def headers(*names):
    return [os.path.join(ROOT, "include/cometp2p", name) for name in names]


def main_headers():
    paths = glob.glob(os.path.join(ROOT, "include/cometp2p/*.h"))
    return [path for path in paths if os.path.basename(path) != "protobuf.h"]


def declared(paths):
    """The functions declared CMT_API in public headers."""
    names = set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        for found in re.findall(r"\bCMT_API\b([^;]*);", text):
            names.update(re.findall(r"\b(cmt_\w+)\s*\(", found)[:1])
    return names


def exported(library):
    """Gives (name, version) of each; the version itself is absolute."""
    symbols = set()
    for line in nm("-D", "--defined-only", library).splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[2] != "A":
            name, _, version = fields[0].partition("@@")
            symbols.add((name, version))
    return symbols


def abi_version():
    """The version that the header has: until 1.0 each minor version has an ABI."""
    with open(os.path.join(ROOT, "include/cometp2p/version.h"),
              encoding="utf-8") as file:
        number = dict(re.findall(r"^#define CMT_VERSION_(M\w+) (\d+)$",
                                 file.read(), re.MULTILINE))
    if number["MAJOR"] == "0":
        return f"0.{number['MINOR']}"
    return number["MAJOR"]


def soname(library):
    dynamic = subprocess.run(["readelf", "-dW", library], check=True,
                             capture_output=True, text=True).stdout
    found = re.search(r"\(SONAME\).*\[(.*)\]", dynamic)
    return found[1] if found else None


def check_core(report, archive):
    symbols = list(objects(archive))
    report.check({"env.c.o", "aead.c.o"} <= {row[0] for row in symbols},
                 "the objects of the core are found", archive)
    strays = sorted(name for name in DEFAULTS if not os.path.exists(
        os.path.join(ROOT, DEFAULTS_LIE_IN, name[:-len(".o")])))
    report.check(not strays, "only defaults of the system call it", *strays)
    calls = sorted(set(foreign_calls(symbols)))
    report.check(not calls, "the core calls only what is on the list", *calls)
    data = sorted(set(writable_globals(symbols)))
    report.check(not data, "the core has no writable globals", *data)


def check_exports(report, library, names, node):
    what = os.path.basename(library)
    versioned = exported(library)
    symbols = {name for name, _ in versioned}
    missing = sorted(names - symbols)
    report.check(names and not missing,
                 f"{what} exports every declared function", *missing)
    extra = sorted(symbols - names)
    report.check(not extra, f"{what} exports nothing else", *extra)
    node = f"{node}_{abi_version()}"
    strays = sorted(f"{name}@{version}" for name, version in versioned
                    if version != node)
    report.check(not strays, f"all of {what} has the version {node}", *strays)
    report.check(soname(library) == f"{what}.{abi_version()}",
                 f"{what} has the version of the ABI in its name",
                 soname(library))


def check_needs(report, library):
    """The shared core loads libsodium and the C library, and nothing else."""
    dynamic = subprocess.run(["readelf", "-dW", library], check=True,
                             capture_output=True, text=True).stdout
    found = re.findall(r"\(NEEDED\).*\[([a-z0-9-]+)\.so", dynamic)
    report.check("libsodium" in found and
                 set(found) <= {"libsodium", "libc", "ld-linux-x86-64"},
                 f"{os.path.basename(library)} needs libsodium alone", found)


def check_host(report, release):
    for path in sorted(glob.glob(os.path.join(release, "libcometp2p*.a"))):
        calls = sorted(set(calls_on_the_host(list(objects(path)))))
        report.check(not calls, f"{os.path.basename(path)} leaves alone what "
                     "belongs to the process", *calls)


def check_invariants(report, archive):
    lost = sorted(without_invariants(list(objects(archive))))
    report.check(not lost, "a release keeps its assertions", *lost)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--build")
    release = parser.parse_args().release
    report = tap.Writer()
    archive = os.path.join(release, "libcometp2p-core.a")
    if os.path.exists(archive):
        check_core(report, archive)
        check_host(report, release)
        check_invariants(report, os.path.join(release, "libcometp2p.a"))
        check_exports(report, os.path.join(release, "libcometp2p.so"),
                      declared(main_headers()), "COMETP2P")
        for name, (theirs, others, node) in BESIDE.items():
            library = os.path.join(release, name)
            if os.path.exists(library) or name == "libcometp2p-core.so":
                check_exports(report, library,
                              declared(headers(*theirs)) - others, node)
        check_needs(report, os.path.join(release, "libcometp2p-core.so"))
    else:
        report.skip("symbols of the libraries", "there is no release build")
    report.finish()


if __name__ == "__main__":
    main()
