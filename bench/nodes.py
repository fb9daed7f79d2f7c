# SPDX-License-Identifier: Apache-2.0
"""Seeds as processes: their homes with address books, the nodes of these books,
and what a process needs."""
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time
import urllib.request

from contenders import Failed, pinned, result_of

WAIT_S = 200
# A place for each visitor, of either seed; 40 is the default of both.
INBOUND_MAX = 1000
# Loopback is no address of the internet.
SETTINGS = {"ADDR_BOOK_STRICT": "false", "ALLOW_DUPLICATE_IP": "true",
            "MAX_NUM_INBOUND_PEERS": str(INBOUND_MAX)}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Child:
    """A process whose end is that of the block; |log| has its output, unless
    it is read."""

    def __init__(self, argv, log=None, cores=None, env=None):
        self.log = log
        with open(log or os.devnull, "wb") as out:
            self.process = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.PIPE,
                stdout=out if log else subprocess.PIPE,
                stderr=out if log else None, preexec_fn=pinned(cores),
                env={**os.environ, **(env or {})})
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def said(self):
        return pathlib.Path(self.log).read_text(encoding="utf-8",
                                                errors="replace")

    def once(self, holds, what):
        """What |holds| returns as soon as that is true; nobody reports it."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end and self.process.poll() is None:
            found = holds()
            if found:
                return found
            select.select([], [], [], 0.02)
        raise Failed(f"no {what}: {self.said()[-500:] if self.log else ''}")


class Crowd(Child):
    """Answers for the nodes of all books."""

    def __init__(self, build, count):
        super().__init__([os.path.join(build, "bench_visits"), "crowd",
                          "-count", count])
        self.port = int(result_of(
            "crowd", self.process.stdout.readline().decode())["laddr"]
            .rsplit(":", 1)[1])


class Silent(Child):
    """Connections that say nothing."""

    def __init__(self, build, address, count, senders):
        super().__init__([os.path.join(build, "bench_visits"), "silent", "-addr",
                          address, "-count", count, "-senders", senders])
        result_of("silent", self.process.stdout.readline().decode())


def run(*argv, cores=None, timeout=WAIT_S, codes=(0,)):
    done = subprocess.run([str(a) for a in argv], text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout,
                          preexec_fn=pinned(cores))
    if done.returncode not in codes:
        raise Failed(f"{argv[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def write_book(build, home, port, count):
    """A book of |count| nodes of the crowd that were all reached just now."""
    if count > 0:
        run(os.path.join(build, "bench_visits"), "book", "-path",
            os.path.join(home, "config/addrbook.json"), "-port", port, "-count",
            count)


class Seed(Child):
    """|network|: of its first chain; |address|: ID@HOST:PORT."""

    def visits(self, build, *flags):
        return result_of("visits", run(
            os.path.join(build, "bench_visits"), "visit", "-addr", self.address,
            "-network", self.network, "-pid", self.pid, *flags, cores={0}))

    def status(self):
        """{name: number} of the numbers in /proc."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text(
            encoding="utf-8")
        return {name: int(value) for name, value in
                re.findall(r"^(\w+):\s+(\d+)(?: kB)?$", text, re.MULTILINE)}

    def resident_mib(self):
        return self.status()["VmRSS"] / 1024

    def threads(self):
        return self.status()["Threads"]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class OurSeed(Seed):
    """A seed of ours, with the homes |homes|."""

    def __init__(self, build, homes, log, cores=None, pages=False):
        self.network = homes[0].name
        super().__init__(
            [os.path.join(build, "cometp2p"), "seed",
             *(word for home in homes for word in ("--home", home)),
             *(("--http", "127.0.0.1:0") if pages else ()),
             "--p2p.laddr", "tcp://127.0.0.1:0", "--log_level", "info"],
            log, cores, {f"CMT_P2P_{k}": v for k, v in SETTINGS.items()})
        self.address = self.once(
            lambda: re.search(r"Started node .*laddr=(\S+)", self.said()),
            "address of the seed")[1]


class CometSeed(Seed):
    """A complete node in seed mode."""

    def __init__(self, program, home, log, cores=None):
        self.network = home.name
        port, rpc = free_port(), free_port()
        node_id = run(program, "show-node-id", "--home", home).strip()
        super().__init__(
            [program, "start", "--home", home, "--proxy_app=kvstore",
             "--p2p.seed_mode=true", "--p2p.laddr", f"tcp://127.0.0.1:{port}",
             "--rpc.laddr", f"tcp://127.0.0.1:{rpc}"], log, cores)
        self.address = f"{node_id}@127.0.0.1:{port}"
        self.once(lambda: self.answers(rpc), "RPC of the seed")

    @staticmethod
    def answers(rpc):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{rpc}/health",
                                        timeout=5):
                return True
        except OSError:
            return False


def our_homes(build, folder, count, port, entries):
    """Homes of |count| chains, one after the other."""
    homes = [pathlib.Path(folder, f"chain-{i}") for i in range(1, count + 1)]
    for home in homes:
        run(os.path.join(build, "cometp2p"), "init", "--home", home,
            "--chain-id", home.name)
        write_book(build, home, port, entries)
    return homes


def genesis_of(home):
    return home / "config/genesis.json"


def comet_init(program, home, chain):
    """A home whose book takes addresses of this machine; its genesis."""
    run(program, "init", "--home", home)
    content = json.loads(genesis_of(home).read_text(encoding="utf-8"))
    content["chain_id"] = chain
    config = home / "config/config.toml"
    text = config.read_text(encoding="utf-8")
    for key, value in SETTINGS.items():
        text, found = re.subn(rf"^{key.lower()} = .*$",
                              f"{key.lower()} = {value}", text,
                              flags=re.MULTILINE)
        if found != 1:
            raise Failed(f"{config} has {found} lines of {key.lower()}")
    config.write_text(text, encoding="utf-8")
    return content


def comet_home(build, program, folder, port, entries):
    """The home of a seed, which is no validator of its chain."""
    home = pathlib.Path(folder, "chain-1")
    genesis = comet_init(program, home, home.name)
    genesis_of(home).write_text(json.dumps(genesis), encoding="utf-8")
    (home / "config/priv_validator_key.json").unlink()
    (home / "data/priv_validator_state.json").unlink()
    write_book(build, home, port, entries)
    return home


class Validators:
    """Nodes of CometBFT that know |seed| alone, and make blocks together."""

    def __init__(self, program, folder, count, seed):
        self.rpcs, self.children = [], []
        homes = [pathlib.Path(folder, f"validator-{i}") for i in range(count)]
        genesis = [comet_init(program, home, seed.network) for home in homes]
        genesis[0]["validators"] = [validator for one in genesis
                                    for validator in one["validators"]]
        try:
            for home in homes:
                genesis_of(home).write_text(json.dumps(genesis[0]),
                                            encoding="utf-8")
                self.start(program, home, seed)
        except BaseException:
            self.__exit__()
            raise

    def start(self, program, home, seed):
        port, rpc = free_port(), free_port()
        self.rpcs.append(rpc)
        self.children.append(Child([
            program, "start", "--home", home, "--proxy_app=kvstore",
            "--log_level", "error", "--p2p.seeds", seed.address, "--p2p.laddr",
            f"tcp://127.0.0.1:{port}", "--rpc.laddr",
            f"tcp://127.0.0.1:{rpc}"], home / "log"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.__exit__()

    def height(self):
        """The last block of the first one; 0: there is none yet."""
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.rpcs[0]}/status",
                    timeout=5) as answer:
                sync = json.load(answer)["result"]["sync_info"]
                return int(sync["latest_block_height"])
        except OSError:
            return 0

    def wait_for(self, height):
        self.children[0].once(lambda: self.height() >= height,
                              f"block {height} of the validators")
