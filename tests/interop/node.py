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
from harness import WAIT_S, Failure, check


# Whatever proxy the caller's shell has is none for this machine.
URLS = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HELD = []  # Sockets of free_port().


def free_port():
    """A port that nobody has.  A socket holds it, so that the system gives it to
    nobody else; the node, which listens with SO_REUSEADDR, gets it."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    HELD.append(s)
    return s.getsockname()[1]


def run(context, *words):
    return subprocess.run([context.cometbft, *words], text=True, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout.strip()


def rpc_status(port, node):
    """The answer of /status, once the node serves it."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            with URLS.open(f"http://127.0.0.1:{port}/status",
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
    node.process.wait(WAIT_S)


def broadcast(rpc, tx):
    """The hash of the transaction, as the RPC answers it."""
    with URLS.open(f"http://127.0.0.1:{rpc}/broadcast_tx_sync"
                                f'?tx="{tx}"', timeout=WAIT_S) as answer:
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
                while not peers_of(rpc):
                    time.sleep(0.2)  # It passes on what comes after that.
                for tx in ("a=1", "key=" + 300 * "v"):
                    name = broadcast(rpc, tx)
                    digest = hashlib.sha256(tx.encode()).hexdigest().upper()
                    line = watcher.stdout.readline()
                    check(line.split() == [str(len(tx)), name] and
                          name == digest, f"{name}: the example printed {line!r}")
            finally:
                watcher.terminate()
                check(watcher.wait(WAIT_S) == 0, "the example did not end")
                end_node(node)


class Finder:
    """The example that finds its peers."""

    def __init__(self, context, network, *seeds):
        path = context.command.parent / "find_peers"
        check(path.exists(), f"no {path}")
        self.process = subprocess.Popen([path, "-n", network, *seeds],
                                        stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE)
        self.address = self.wait_for("listening at ").split()[-1]
        self.id = self.address.split("@")[0]

    def wait_for(self, part):
        for line in self.process.stdout:
            if part in line:
                return line
        raise Failure(f"find_peers printed no {part!r}")

    def end(self):
        self.process.communicate("\n", timeout=WAIT_S)
        check(self.process.returncode == 0, "find_peers did not end well")


def pex_home(context, home, *seeds):
    """A home whose book takes addresses of this machine."""
    run(context, "init", "--home", home)
    path = pathlib.Path(home, "config/config.toml")
    text = path.read_text(encoding="utf-8")
    for old, new in (("addr_book_strict = true", "addr_book_strict = false"),
                     ("allow_duplicate_ip = false", "allow_duplicate_ip = true"),
                     ('seeds = ""', f'seeds = "{",".join(seeds)}"')):
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def peers_of(rpc):
    with URLS.open(f"http://127.0.0.1:{rpc}/net_info",
                                timeout=WAIT_S) as answer:
        return {peer["node_info"]["id"]
                for peer in json.load(answer)["result"]["peers"]}


def exchange_peers(context, programs):
    """We ask a complete node, and learn of another one of us; a complete node
    that knows one of us alone asks it, and learns of the first node."""
    with tempfile.TemporaryDirectory() as home, \
            tempfile.TemporaryDirectory() as other:
        pex_home(context, home)
        one, one_id, addr, rpc = start_node(context, programs, home)
        network = rpc_status(rpc, one)["node_info"]["network"]
        first = Finder(context, network, f"{one_id}@{addr}")
        first.wait_for(f"found {one_id[:8]}")
        second = Finder(context, network, f"{one_id}@{addr}")
        second.wait_for(f"found {first.id[:8]}")
        pex_home(context, other, second.address)
        genesis = pathlib.Path("config/genesis.json")
        pathlib.Path(other, genesis).write_bytes(
            pathlib.Path(home, genesis).read_bytes())
        two, _, _, rpc_two = start_node(context, programs, other)
        end = time.monotonic() + WAIT_S
        while one_id not in peers_of(rpc_two):
            check(time.monotonic() < end,
                  f"the second node has the peers {peers_of(rpc_two)}")
            time.sleep(0.5)  # It reports to nobody whom it has met.
        check(second.id in peers_of(rpc_two), "it has lost its seed")
        for finder in (first, second):
            finder.end()
        for node in (one, two):
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
            ("the transactions of a complete node", watch_node),
            ("peers by exchange with complete nodes", exchange_peers)]
