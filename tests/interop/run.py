#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks this implementation against the unmodified Go module of CometBFT.

  run.py OUR_BINARY OUTDIR [--peer PROGRAM] [--version V]... [--long]
         [--only TEXT]
  run.py OUR_BINARY OUTDIR --record

OUR_BINARY is the command cometp2p, PROGRAM our test node (default:
interop_peer beside the command), OUTDIR gets the Go programs.  One line for
each scenario, then the counts.  Without Go, or without the module, it says what
is missing and exits with 77, or with 1 where the variable CI is "true".

--record writes to tests/vectors/ what the tests read that need no Go: a session
of interop_record, which is beside the command, with a node of v0.38.25 that
echoes, and the messages of a complete node to interop_visit.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import books
import harness
import node
import oracle
import scenarios
import validators
import visit

HERE = pathlib.Path(__file__).resolve().parent
# The oldest Go release that the module of each version asks for.
VERSIONS = {"v0.38.25": (1, 22), "v0.40.0": (1, 25)}
NETWORK_TROUBLE = re.compile(
    r"dial tcp|no such host|i/o timeout|connection refused|proxyconnect"
    r"|module lookup disabled|TLS handshake|requires go >=", re.I)


class Missing(Exception):
    """Something that a run needs is not on this machine."""


def needed_release(version):
    return VERSIONS.get(version) or books.VERSIONS[version]


def go_release(env):
    go = shutil.which("go", path=env["PATH"])
    if go is None:
        raise Missing("Go is not installed: need at least Go 1.25 "
                      "(1.22 for v0.38.25 alone); see https://go.dev/dl")
    text = subprocess.run([go, "version"], env=env, text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    if found is None:
        raise Missing(f"cannot read the release of Go from {text!r}")
    return int(found[1]), int(found[2])


def build(version, outdir, env, what=()):
    """Builds the programs of a version; Missing when it cannot be tried."""
    release, needed = go_release(env), needed_release(version)
    if release < needed:
        raise Missing("CometBFT {} needs Go {}.{}, this is {}.{}".format(
            version, *needed, *release))
    done = subprocess.run([HERE / "build.sh", version, outdir, *what], env=env,
                          text=True, stderr=subprocess.PIPE)
    if done.returncode == 0:
        return
    if NETWORK_TROUBLE.search(done.stderr):
        raise Missing(f"the Go module of {version} cannot be had: "
                      + done.stderr.strip().splitlines()[-1])
    raise harness.Failure(done.stderr.strip())


def run_scenario(report, name, function, context):
    programs = harness.Programs()
    start = time.monotonic()
    try:
        function(context, programs)
        report.ok(name, time.monotonic() - start)
    except (harness.Failure, OSError, KeyError, ValueError,
            subprocess.SubprocessError) as error:
        report.fail(name, f"{type(error).__name__}: {error}", programs.log())
    finally:
        programs.close()


def run_version(report, version, arguments, env):
    """False: something is missing."""
    strict = os.environ.get("CI") == "true"
    with_oracle = (HERE / version / "oracle").exists()
    with_peer = version in VERSIONS
    with_node = version in validators.VERSIONS
    try:
        build(version, arguments.outdir, env, ["book"])
        if with_peer:
            build(version, arguments.outdir, env)
        if with_node or arguments.long:
            build(version, arguments.outdir, env, ["node"])
        if with_oracle:
            build(version, arguments.outdir, env, ["oracle"])
    except Missing as missing:
        tell = report.fail if strict else report.skip
        tell(f"{version}: the Go programs", missing)
        return False
    except harness.Failure as failure:
        report.fail(f"{version}: the Go programs", failure)
        return True
    context = scenarios.Context(
        version=version, command=arguments.command.resolve(),
        peer=arguments.peer.resolve(), env=env,
        gopeer=arguments.outdir / f"gopeer-{version}",
        cometbft=arguments.outdir / f"cometbft-{version}")
    todo = books.every()
    if with_peer:
        todo += scenarios.every()
    if with_peer and arguments.long:
        todo += scenarios.long_ones()
    if with_node or arguments.long:
        todo += validators.every()
    if arguments.long:
        todo += node.every() + validators.long_ones()
    if with_oracle:
        todo += oracle.every()
    for name, function in todo:
        name = f"{version}: {name}"
        if arguments.only is None or arguments.only in name:
            run_scenario(report, name, function, context)
    return True


def record_all(arguments, env, version, programs):
    """A session with a node that echoes, see interop_record, and the messages
    of a complete node, see visit.py."""
    folder = arguments.command.resolve().parent
    vectors = HERE.parent / "vectors"
    build(version, arguments.outdir, env)
    build(version, arguments.outdir, env, ["node"])
    they = programs.start("they", [
        arguments.outdir / f"gopeer-{version}", "-role", "echo",
        "-key-seed", "11" * 32])
    session = subprocess.run(
        [folder / "interop_record", they.wait("ready")["laddr"], "33" * 32,
         bytes(range(1, 33)).hex(), version],
        check=True, stdout=subprocess.PIPE, timeout=60).stdout
    (vectors / f"session_{version}.json").write_bytes(session)
    visit.record(visit.Context(
        version=version, cometbft=arguments.outdir / f"cometbft-{version}",
        visitor=folder / "interop_visit"), programs,
        vectors / f"chain_{version}.json")


def record(arguments, env):
    """Records with the first version."""
    version = next(iter(VERSIONS))
    programs = harness.Programs()
    try:
        record_all(arguments, env, version, programs)
        print(f"wrote tests/vectors/session_{version}.json and "
              f"chain_{version}.json")
        return 0
    except Missing as missing:
        print(missing)
        return 1 if os.environ.get("CI") == "true" else 77
    except (harness.Failure, OSError, subprocess.SubprocessError) as error:
        print("\n".join([f"nothing recorded: {error}", *programs.log()]))
        return 1
    finally:
        programs.close()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", type=pathlib.Path, metavar="OUR_BINARY")
    parser.add_argument("outdir", type=pathlib.Path, metavar="OUTDIR")
    parser.add_argument("--peer", type=pathlib.Path, metavar="PROGRAM")
    parser.add_argument("--version", action="append", choices=books.VERSIONS)
    parser.add_argument("--long", action="store_true",
                        help="also a minute of flood and more complete nodes")
    parser.add_argument("--record", action="store_true",
                        help="only write what the tests without Go read")
    parser.add_argument("--only", metavar="TEXT",
                        help="only scenarios whose name contains TEXT")
    arguments = parser.parse_args()
    if arguments.peer is None:
        arguments.peer = arguments.command.parent / "interop_peer"
    for program in (arguments.command, arguments.peer):
        if not arguments.record and not os.access(program, os.X_OK):
            parser.error(f"no program {program}")
    arguments.outdir = arguments.outdir.resolve()
    return arguments


def main():
    arguments = parse_arguments()
    env = harness.environment()
    if arguments.record:
        return record(arguments, env)
    report = harness.Report()
    complete = True
    for version in arguments.version or books.VERSIONS:
        complete &= run_version(report, version, arguments, env)
    report.end()
    if report.failed > 0:
        return 1
    return 0 if complete else 77


if __name__ == "__main__":
    sys.exit(main())
