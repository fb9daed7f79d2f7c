# SPDX-License-Identifier: Apache-2.0
"""Four validators of CometBFT that know our seed alone: they find each other
by it, and make blocks."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request

import node
from harness import SIGTERM, check

COUNT = 4
BLOCKS = 10
LIMIT_S = 45.0
POLL_S = 0.05  # Validators report to nobody whom they have met.
# What a block takes at least; CometBFT's default is 1 s.
TIMEOUT_COMMIT = "500ms"
CONFIG = {"addr_book_strict": "false", "allow_duplicate_ip": "true",
          "timeout_commit": f'"{TIMEOUT_COMMIT}"'}


class Seed:
    """`cometp2p seed` on a home that `cometp2p init` has made."""

    def __init__(self, context, programs, home, network):
        subprocess.run([context.command, "init", "--home", home, "--chain-id",
                        network], check=True, stdout=subprocess.DEVNULL)
        self.program = programs.start("seed", [
            context.command, "seed", "--home", home, "--log_format", "json",
            "--p2p.laddr", "tcp://127.0.0.1:0"],
            env={**context.env, "CMT_P2P_ADDR_BOOK_STRICT": "false",
                 "CMT_P2P_ALLOW_DUPLICATE_IP": "true"})
        self.program.wait_until(self.started, "started")
        self.address = self.started(self.program.events)[0]["laddr"]

    @staticmethod
    def started(events):
        return [e for e in events if e.get("_msg") == "Started node"]

    def end(self):
        check(self.program.stop(SIGTERM) == 0,
              "the seed did not end well")


def ask(rpc, page):
    """The answer of a validator, None while it does not serve any."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{rpc}/{page}",
                                    timeout=5) as answer:
            return json.load(answer)["result"]
    except OSError:
        return None


class Validator:
    def __init__(self, context, programs, home, seed):
        self.rpc = node.free_port()
        self.set_config(pathlib.Path(home, "config/config.toml"))
        self.program = programs.start(pathlib.Path(home).name, [
            context.cometbft, "start", "--home", home, "--proxy_app=kvstore",
            "--log_level", "p2p:debug,pex:debug,*:error",
            "--p2p.seeds", seed, "--p2p.laddr",
            f"tcp://127.0.0.1:{node.free_port()}",
            "--rpc.laddr", f"tcp://127.0.0.1:{self.rpc}"])
        self.id = node.run(context, "show-node-id", "--home", home)

    @staticmethod
    def set_config(path):
        """The keys of CONFIG; the rest is what the release has made."""
        lines = path.read_text(encoding="utf-8").splitlines()
        for key, value in CONFIG.items():
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


def find_by_seed(context, programs):
    with tempfile.TemporaryDirectory() as folder:
        homes = [os.path.join(folder, f"node{i}") for i in range(COUNT)]
        node.run(context, "testnet", "--v", str(COUNT), "--o", folder,
                 "--populate-persistent-peers=false")
        genesis = json.loads(
            pathlib.Path(homes[0], "config/genesis.json").read_text())
        seed = Seed(context, programs, os.path.join(folder, "seed"),
                    genesis["chain_id"])
        all_of_them = []
        for home in homes:
            start = time.monotonic()
            all_of_them.append(Validator(context, programs, home, seed.address))
        ids = {one.id for one in all_of_them}

        def connected():
            seen = [len((one.peers() & ids) - {one.id}) for one in all_of_them]
            return seen == [COUNT - 1] * COUNT or seen

        def blocks():
            seen = [one.height() for one in all_of_them]
            return min(seen) >= BLOCKS or seen

        times = (wait_for(programs, start, "connected", connected),
                 wait_for(programs, start, f"at height {BLOCKS}", blocks))
        print("# {}: four validators from the last one's start: connected "
              "{:.2f} s, height {} {:.2f} s".format(
                  context.version, times[0], BLOCKS, times[1]), flush=True)
        for one in all_of_them:
            one.program.process.terminate()
        for one in all_of_them:
            one.program.process.wait(20)
        seed.end()


def every():
    return [("validators that know our seed alone", find_by_seed)]
