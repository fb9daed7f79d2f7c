# SPDX-License-Identifier: Apache-2.0
"""probe against a complete CometBFT node with its built-in key-value store."""

import json
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
            time.sleep(0.2)  # The node tells nobody when it is ready.
    raise Failure("the node does not serve its RPC")


def probe_node(context, programs):
    with tempfile.TemporaryDirectory() as home:
        run(context, "init", "--home", home)
        node_id = run(context, "show-node-id", "--home", home)
        p2p, rpc = free_port(), free_port()
        node = programs.start("node", [
            context.cometbft, "start", "--home", home, "--proxy_app=kvstore",
            "--p2p.laddr", f"tcp://127.0.0.1:{p2p}",
            "--rpc.laddr", f"tcp://127.0.0.1:{rpc}"])
        try:
            info = rpc_status(rpc, node)["node_info"]
            check_node(context, f"127.0.0.1:{p2p}", node_id, info)
        finally:
            # Before its folder goes.
            node.process.terminate()
            node.process.wait(20)


def check_node(context, addr, node_id, info):
    check(info["id"] == node_id, f"the RPC says {info}")
    learned = scenarios.check_probe(context, addr, node_id, False)
    known = scenarios.check_probe(context, f"{node_id}@{addr}", node_id, True,
                                  "--network", info["network"])
    for event in (learned, known):
        check(event["node_info"] == info,
              f"probe says {event['node_info']}, the RPC {info}")
        check(len(event["rtt_ms"]) == 3, f"probe says {event}")


def every():
    return [("probe of a complete node", probe_node)]
