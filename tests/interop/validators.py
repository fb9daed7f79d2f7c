# SPDX-License-Identifier: Apache-2.0
"""Four validators of CometBFT that know our seed alone: they find each other
by it, and make blocks."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

import node
from harness import SIGTERM, WAIT_S, check

# With them in the short set.
VERSIONS = ("v0.34.35", "v0.38.25", "v0.40.0", "v1.0.1")
COUNT = 4
BLOCKS = 10
LIMIT_S = 300.0
POLL_S = 0.05  # Validators report to nobody whom they have met.
# What a block takes at least; CometBFT's default is 1 s.
TIMEOUT_COMMIT = "250ms"
CONFIG = {"addr_book_strict": "false", "allow_duplicate_ip": "true",
          "timeout_commit": f'"{TIMEOUT_COMMIT}"'}


class Seed:
    """`cometp2p seed` on a home that `cometp2p init` has made."""

    def __init__(self, context, programs, home, network):
        subprocess.run([context.command, "init", "--home", home, "--chain-id",
                        network], check=True, stdout=subprocess.DEVNULL)
        self.program = programs.start("seed", [
            context.command, "seed", "--home", home, "--log_format", "json",
            "--p2p.laddr", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"],
            env={**context.env, "CMT_P2P_ADDR_BOOK_STRICT": "false",
                 "CMT_P2P_ALLOW_DUPLICATE_IP": "true"})
        self.address = self.logged("Started node")["laddr"]
        self.http = self.logged("Serving pages")["addr"]

    def logged(self, text):
        """The first line with that text."""
        def lines(events):
            return [event for event in events if event.get("_msg") == text]

        self.program.wait_until(lines, f"logged {text!r}")
        return lines(self.program.events)[0]

    def live(self):
        """The ids that it serves."""
        with node.URLS.open(f"http://{self.http}/live_peers.csv",
                                    timeout=WAIT_S) as answer:
            return re.findall("[0-9a-f]{40}", answer.read().decode())


def ask(rpc, page):
    """The answer of a validator, None while it does not serve any."""
    try:
        with node.URLS.open(f"http://127.0.0.1:{rpc}/{page}",
                                    timeout=5) as answer:
            return json.load(answer)["result"]
    except OSError:
        return None


class Validator:
    def __init__(self, network, home, host, config):
        context = network.context
        self.rpc = node.free_port()
        self.set_config(pathlib.Path(home, "config/config.toml"),
                        {**CONFIG, **config})
        self.program = network.programs.start(pathlib.Path(home).name, [
            context.cometbft, "start", "--home", home, "--proxy_app=kvstore",
            "--log_level", "p2p:info,pex:info,*:error",
            "--p2p.seeds", network.seed.address, "--p2p.laddr",
            f"tcp://{host}:{node.free_port()}",
            "--rpc.laddr", f"tcp://127.0.0.1:{self.rpc}"])
        self.id = node.run(context, "show-node-id", "--home", home)

    @staticmethod
    def set_config(path, config):
        """Its keys; the rest is what the release has made."""
        lines = path.read_text(encoding="utf-8").splitlines()
        for key, value in config.items():
            at = [i for i, line in enumerate(lines)
                  if line.startswith(f"{key} = ")]
            check(len(at) == 1, f"{path} has {key} {len(at)} times")
            lines[at[0]] = f"{key} = {value}"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def peers(self):
        answer = ask(self.rpc, "net_info")
        return {peer["node_info"]["id"]
                for peer in (answer or {"peers": []})["peers"]}

    def height(self):
        answer = ask(self.rpc, "status")
        return int(answer["sync_info"]["latest_block_height"]) if answer else 0


def wait_for(programs, start, what, holds):
    """Seconds from |start| until |holds|()."""
    while True:
        seen = holds()
        if seen is True:
            return time.monotonic() - start
        check(time.monotonic() - start < LIMIT_S, f"not {what}: {seen}")
        check(not any(p.ended for p in programs.list), f"{what}: one has ended")
        time.sleep(POLL_S)


class Network:
    """A seed of ours, and validators that know it alone."""

    def __init__(self, context, programs, folder, count):
        self.context, self.programs, self.folder = context, programs, folder
        node.run(context, "testnet", "--v", str(count), "--o", folder,
                 "--populate-persistent-peers=false")
        genesis = json.loads(pathlib.Path(
            folder, "node0/config/genesis.json").read_text())
        self.seed = Seed(context, programs, os.path.join(folder, "seed"),
                         genesis["chain_id"])
        self.validators = []

    def add(self, host="127.0.0.1", **config):
        home = os.path.join(self.folder, f"node{len(self.validators)}")
        self.validators.append(Validator(self, home, host, config))
        return self.validators[-1]

    def peers(self):
        """How many of the others each validator has."""
        ids = {one.id for one in self.validators}
        return [len((one.peers() & ids) - {one.id}) for one in self.validators]

    def heights(self):
        return [one.height() for one in self.validators]

    def end(self):
        for one in self.validators:
            one.program.process.terminate()
        for one in self.validators:
            one.program.process.wait(WAIT_S)
        check(self.seed.program.stop(SIGTERM) == 0, "the seed did not end well")


def find_by_seed(context, programs):
    """All know each other, and make blocks."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        network = Network(context, programs, folder, COUNT)
        for _ in range(COUNT):
            start = time.monotonic()
            network.add()
        met = wait_for(programs, start, "connected", lambda: (
            network.peers() == [COUNT - 1] * COUNT or network.peers()))
        high = wait_for(programs, start, f"at height {BLOCKS}", lambda: (
            min(network.heights()) >= BLOCKS or network.heights()))
        print(f"# {context.version}: four validators from the last one's "
              f"start: connected {met:.2f} s, height {BLOCKS} {high:.2f} s",
              flush=True)
        network.end()


def find_default(context, programs):
    """One with the default configuration announces 0.0.0.0, and lets nobody in
    from an address that it has a connection with: the seed reaches it after its
    visit, and serves it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        network = Network(context, programs, folder, 2)
        start = time.monotonic()
        first = network.add(host="0.0.0.0", allow_duplicate_ip="false")
        found = wait_for(programs, start, "among those that are served", lambda:
                         first.id in network.seed.live() or network.seed.live())
        second = network.add()
        wait_for(programs, start, "connected", lambda:
                 first.id in second.peers() or second.peers())
        print(f"# {context.version}: a default validator is served "
              f"{found:.2f} s after its start", flush=True)
        network.end()


def every():
    return [("validators that know our seed alone", find_by_seed)]


def long_ones():
    return [("a default validator that knows our seed alone", find_default)]
