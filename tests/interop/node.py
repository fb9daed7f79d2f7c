# SPDX-License-Identifier: Apache-2.0
"""A complete CometBFT node with its built-in key-value store: probe, and the
example that watches its mempool."""

import hashlib
import json
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request

import scenarios
from harness import Failure, check


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(context, *words):
    return subprocess.run([context.cometbft, *words], text=True, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout.strip()


def rpc_status(port, node):
    """The answer of /status, once the node serves it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/status",
                                        timeout=5) as answer:
                return json.load(answer)["result"]
        except OSError:
            if node.process.poll() is not None:
                break
            time.sleep(0.2)  # The node reports to nobody when it is ready.
    raise Failure("the node does not serve its RPC")


def start_node(context, programs, home):
    """The running node, its id, and the addresses of its p2p and its RPC."""
    node_id = run(context, "show-node-id", "--home", home)
    p2p, rpc = free_port(), free_port()
    node = programs.start("node", [
        context.cometbft, "start", "--home", home, "--proxy_app=kvstore",
        "--p2p.laddr", f"tcp://127.0.0.1:{p2p}",
        "--rpc.laddr", f"tcp://127.0.0.1:{rpc}"])
    rpc_status(rpc, node)
    return node, node_id, f"127.0.0.1:{p2p}", rpc


def end_node(node):
    """Before its folder goes."""
    node.process.terminate()
    node.process.wait(20)


def broadcast(rpc, tx):
    """The hash of the transaction, as the RPC answers it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{rpc}/broadcast_tx_sync"
                                f'?tx="{tx}"', timeout=20) as answer:
        return json.load(answer)["result"]["hash"]


def probe_node(context, programs):
    with tempfile.TemporaryDirectory() as home:
        run(context, "init", "--home", home)
        node, node_id, addr, rpc = start_node(context, programs, home)
        try:
            check_node(context, addr, node_id,
                       rpc_status(rpc, node)["node_info"])
        finally:
            end_node(node)


def watch_node(context, programs):
    """The example that prints transactions, on a chain past its first height:
    each is printed as the RPC names it."""
    example = context.command.parent / "mempool"
    check(example.exists(), f"no {example}: it needs protobuf-c")
    with tempfile.TemporaryDirectory() as home:
        run(context, "init", "--home", home)
        node, node_id, addr, rpc = start_node(context, programs, home)
        status = rpc_status(rpc, node)
        network = status["node_info"]["network"]
        while int(status["sync_info"]["latest_block_height"]) < 3:
            time.sleep(0.2)  # The node reports it to nobody without being asked.
            status = rpc_status(rpc, node)
        with subprocess.Popen([example, f"{node_id}@{addr}", network],
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL) as watcher:
            try:
                for tx in ("a=1", "key=" + 300 * "v"):
                    name = broadcast(rpc, tx)
                    digest = hashlib.sha256(tx.encode()).hexdigest().upper()
                    line = watcher.stdout.readline()
                    check(line.split() == [str(len(tx)), name] and
                          name == digest, f"{name}: the example printed {line!r}")
            finally:
                watcher.terminate()
                check(watcher.wait(20) == 0, "the example did not end")
                end_node(node)


def check_node(context, addr, node_id, info):
    check(info["id"] == node_id, f"the RPC answers {info}")
    learned = scenarios.check_probe(context, addr, node_id, False)
    known = scenarios.check_probe(context, f"{node_id}@{addr}", node_id, True,
                                  "--network", info["network"])
    for event in (learned, known):
        check(event["node_info"] == info,
              f"probe reports {event['node_info']}, the RPC {info}")
        check(len(event["rtt_ms"]) == 3, f"probe reports {event}")


def contents(home):
    return {path: path.read_bytes() for path in pathlib.Path(home).rglob("*")
            if path.is_file()}


def init_ours(context, home):
    """What `cometp2p init` reports of the home."""
    done = subprocess.run([context.command, "init", "--home", home, "--json"],
                          text=True, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    check(done.stderr == "", f"init of ours prints {done.stderr!r}")
    return json.loads(done.stdout)


def home_node(context, _):
    """A home of theirs has one id and one network for both programs, and so has
    one of ours; neither changes a file of the other."""
    with tempfile.TemporaryDirectory() as home:
        run(context, "init", "--home", home)
        before = contents(home)
        event = init_ours(context, home)
        check(contents(home) == before and event["made"] == [],
              f"ours made {event['made']}")
        check(event["id"] == run(context, "show-node-id", "--home", home),
              f"the id of ours is {event['id']}")
        genesis = pathlib.Path(home, "config/genesis.json").read_text()
        check(event["network"] == json.loads(genesis)["chain_id"],
              f"the network of ours is {event['network']}")
    with tempfile.TemporaryDirectory() as home:
        event = init_ours(context, home)
        before = contents(home)
        check(len(before) == 3, f"ours made {event['made']}")
        check(event["id"] == run(context, "show-node-id", "--home", home),
              f"the id of ours is {event['id']}")
        run(context, "init", "--home", home)
        after = contents(home)
        check({path: after[path] for path in before} == before,
              "init of theirs changed a file of ours")


def every():
    return [("homes of both programs", home_node),
            ("probe of a complete node", probe_node),
            ("the transactions of a complete node", watch_node)]
