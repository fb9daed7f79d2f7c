# SPDX-License-Identifier: Apache-2.0
"""Records what a complete node of CometBFT sends to a visitor."""

import dataclasses
import json
import pathlib
import tempfile

import node
from harness import check

STATE, DATA, VOTES, BITS, TXS, BLOCKS = 0x20, 0x21, 0x22, 0x23, 0x30, 0x40
PEX, SNAPSHOTS, CHUNKS = 0x00, 0x60, 0x61
NEW_ROUND_STEP, VOTE_SET_MAJ23 = 0x0a, 0x42  # First bytes on STATE.


@dataclasses.dataclass
class Context:
    version: str
    cometbft: pathlib.Path
    visitor: pathlib.Path


def number(tag, value):
    """A field of a message: a number."""
    out = bytearray([tag])
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(tag, data):
    return number(tag, len(data)) + data


def new_round_step(height):
    return field(NEW_ROUND_STEP, number(0x08, height) + number(0x18, 1))


class Visit:
    """A node with the homes of |validators|, of which the first one runs, and
    a visitor of it."""

    def __init__(self, context, programs, home, validators, **abci):
        homes = [pathlib.Path(home, str(i)) for i in range(validators)]
        for place in homes:
            node.run(context, "init", "--home", place)
        genesis = [json.loads((place / "config/genesis.json").read_text())
                   for place in homes]
        genesis[0]["validators"] = [
            validator for one in genesis for validator in one["validators"]]
        # The strongest is the first to propose, and has less than two thirds
        # beside another one.
        genesis[0]["validators"][0]["power"] = "15"
        genesis[0]["consensus_params"]["abci"].update(abci)
        (homes[0] / "config/genesis.json").write_text(json.dumps(genesis[0]))
        self.node, node_id, address, self.rpc = node.start_node(
            context, programs, homes[0])
        self.visitor = programs.start("visitor", [
            context.visitor, genesis[0]["chain_id"], f"{node_id}@{address}"])
        self.visitor.wait("up")

    def send(self, channel, data):
        self.visitor.command(f"{channel:02x} {data.hex()}")

    def wait(self, channel, *starts, count=1):
        """Messages that begin with each of |starts|; the last of them."""
        last = {}

        def holds(events):
            for start in starts:
                found = [event["bytes"] for event in events
                         if event["event"] == "message" and
                         event["channel"] == channel and
                         event["bytes"].startswith(f"{start:02x}")]
                if len(found) < count:
                    return False
                last[start] = bytes.fromhex(found[-1])
            return True

        self.visitor.wait_until(
            holds, f"messages on {channel:02x} with {starts}")
        return last[starts[-1]]

    def messages(self):
        """All that came; the node must not have left."""
        check(not self.visitor.find("gone"), "the node ended the connection")
        check(self.visitor.stop() == 0, "the visitor did not end")
        node.end_node(self.node)
        return [{"channel": event["channel"], "bytes": event["bytes"]}
                for event in self.visitor.find("message")]


def running_chain(context, programs):
    """A chain that makes blocks, with vote extensions and transactions, seen by
    a visitor that is behind."""
    with tempfile.TemporaryDirectory() as home:
        visit = Visit(context, programs, home, 1,
                      vote_extensions_enable_height="2")
        visit.wait(STATE, NEW_ROUND_STEP, 0x12, 0x3a, count=3)
        visit.send(STATE, new_round_step(2))
        visit.wait(DATA, 0x2a)
        visit.wait(VOTES, 0x32)
        visit.wait(STATE, VOTE_SET_MAJ23)
        visit.send(STATE, new_round_step(1 << 30))
        for tx in ("a=1", "key=" + 300 * "v"):
            node.broadcast(visit.rpc, tx)
        visit.wait(TXS, 0x0a, count=2)
        visit.send(BLOCKS, b"\x22\x00")
        for height in (1, 2, 3, 1 << 40):
            visit.send(BLOCKS, field(0x0a, number(0x08, height)))
        visit.wait(BLOCKS, 0x2a, 0x12)
        visit.wait(BLOCKS, 0x1a, count=3)
        visit.send(PEX, b"\x0a\x00")
        visit.wait(PEX, 0x12)
        visit.send(CHUNKS, field(0x1a, number(0x08, 9) + number(0x10, 1)))
        visit.wait(CHUNKS, 0x22)
        return visit.messages()


def waiting_chain(context, programs):
    """A chain that makes no block, since one of two validators is absent."""
    with tempfile.TemporaryDirectory() as home:
        visit = Visit(context, programs, home, 2)
        visit.send(STATE, visit.wait(STATE, NEW_ROUND_STEP))
        visit.wait(DATA, 0x1a, 0x2a)
        # Its prevote of height 1, round 0: who has voted for that block?
        vote = visit.wait(VOTES, 0x32)
        start = vote.index(b"\x08\x01\x10\x01\x22") + 5
        block = vote[start + 1:start + 1 + vote[start]]
        visit.send(STATE, field(VOTE_SET_MAJ23, number(0x08, 1) +
                                number(0x18, 1) + field(0x22, block)))
        visit.wait(BITS, 0x4a)
        return visit.messages()


def record(context, programs, target):
    """Writes a line for each message."""
    messages = running_chain(context, programs) + \
        waiting_chain(context, programs)
    with open(target, "w", encoding="utf-8") as file:
        head = {"source": "recorded by ./dev interop --record",
                "version": context.version}
        file.write(json.dumps(head)[:-1] + ', "messages": [\n')
        file.write(",\n".join(map(json.dumps, messages)) + "\n]}\n")
