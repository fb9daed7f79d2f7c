# SPDX-License-Identifier: Apache-2.0
"""The programs that do the work, and how a pair of them is run: both sides are
processes of their own, on loopback, and print in JSON what they measured."""
import json
import os
import subprocess

TIMEOUT_S = 300
# A node of ours takes packets of 64 KiB at most, CometBFT's of any size.
OUR_PACKET_MAX = 65536
OWN_PACKET = 4 << 20

# The program of ours that has the verb of the server.
OUR_PROGRAMS = {
    "recv": "bench_p2p", "echo": "bench_p2p",
    "serve": "bench_qos", "hub": "bench_dials", "fans": "bench_spread",
}


class Failed(Exception):
    """A program broke off or printed no result."""


def pinned(cores):
    """What a child does first: stay on these cores, or where it is put."""
    def run():
        if cores is not None:
            os.sched_setaffinity(0, cores)
    return run


def result_of(name, text):
    lines = text.splitlines()
    if not lines:
        raise Failed(f"{name} printed no result")
    return json.loads(lines[-1])


class Contender:
    """One side's name in the results, and its programs.  |packet|: the longest
    payload of a packet, 0 for the default."""

    def __init__(self, key, name, program, packet=0, env=None):
        self.key, self.name, self.packet = key, name, packet
        self.program = program
        self.env = {**os.environ, **(env or {})}

    def path(self, verb):
        if isinstance(self.program, str):
            return self.program
        return self.program(verb)

    def run(self, verb, *flags):
        """A verb that needs no other side."""
        path = self.path(verb)
        done = subprocess.run([path, verb, *flags], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              timeout=TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise Failed(f"{path} {verb} ended with {done.returncode}")
        return result_of(path, done.stdout)

    def pair(self, server, client, *flags, shared=(), cores=(None, None),
             other=None, servers=(), wraps=((), ())):
        """The results of (client, server), None where a side has none.  |shared|
        flags go to both, |servers| to the server alone, and |other| is the
        contender that has the client.  |wraps| are the commands under which
        server and client run."""
        if self.packet:
            shared = (*shared, "-packet", str(self.packet))
        client_path = (other or self).path(server)
        with subprocess.Popen(
            [*wraps[0], self.path(server), server, *shared, *servers],
            env=self.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=pinned(cores[0]),
        ) as serving:
            try:
                ready = result_of(self.name, serving.stdout.readline())
                done = subprocess.run(
                    [*wraps[1], client_path, client, "-addr",
                     address_of(ready), *shared, *flags],
                    env=(other or self).env, text=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    timeout=TIMEOUT_S, check=False,
                    preexec_fn=pinned(cores[1]))
                if done.returncode != 0:
                    raise Failed(f"{client_path} {client} ended with "
                                 f"{done.returncode}")
                sent = result_of(client_path, done.stdout)
                output = serving.communicate(timeout=TIMEOUT_S)[0]
                got = json.loads(output.splitlines()[-1]) if output else None
                return sent, got
            finally:
                if serving.poll() is None:
                    serving.kill()


def address_of(ready):
    addr = ready["laddr"]
    if ready.get("id") and "@" not in addr:
        addr = ready["id"] + "@" + addr
    return addr


def our_program(build):
    return lambda verb: os.path.join(build, OUR_PROGRAMS[verb])


def version_of(package):
    """The version of a Debian package, without its revision, or nothing."""
    try:
        text = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package], text=True,
            capture_output=True, check=False).stdout
    except OSError:
        return ""
    return " " + text.split("-")[0] if text else ""


def missing_program(path):
    return not os.access(path, os.X_OK)


def all_contenders(build):
    """({key: contender}, [why one is left out]).  Ours and the limits are always
    there."""
    at = {name: os.path.join(build, name) for name in (
        "bench_p2p", "bench_pipe", "bench_limits", "bench_idle", "bench_zmq",
        "bench_nng", "gobench-v0.40.0", "gobench-v0.38.25")}
    ours = our_program(build)
    found = [
        Contender("ours", "cometp2p", ours),
        Contender("ours_own", "cometp2p, packets of 64 KiB", ours,
                  OUR_PACKET_MAX),
        Contender("ours_avx2", "cometp2p, AVX2", ours, env={"CMT_AEAD": "avx2"}),
        Contender("limit", "pipeline alone", at["bench_pipe"]),
        Contender("tcp", "TCP alone", at["bench_pipe"]),
        Contender("limits", "each part alone", at["bench_limits"]),
        Contender("crowd", "a crowd of peers", at["bench_idle"]),
    ]
    left_out = []
    for version in ("v0.40.0", "v0.38.25"):
        path = at[f"gobench-{version}"]
        key, name = "cometbft_" + version.replace(".", "_"), "CometBFT " + version
        if missing_program(path):
            left_out.append(f"{name} is left out: there is no Go program")
            continue
        found += [
            Contender(key, name, path),
            Contender(key + "_own", name + ", packets of 4 MiB", path,
                      OWN_PACKET)]
    for key, name, path, package in (
            ("zeromq_curve", "ZeroMQ{}, CURVE", at["bench_zmq"], "libzmq5"),
            ("nng_tls", "NNG{}, TLS", at["bench_nng"], "libnng1")):
        if missing_program(path):
            left_out.append(f"{name.format('')} is left out: there is no "
                            f"{os.path.basename(path)}")
            continue
        found.append(Contender(key, name.format(version_of(package)), path))
    return {c.key: c for c in found}, left_out
