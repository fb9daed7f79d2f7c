# SPDX-License-Identifier: Apache-2.0
"""The cases of CometBFT's own comparison (lp2p/bench_test.go of v0.40.0), at its
settings: a queue of 100,000 messages and packets that hold a whole message, of
which ours have 64 KiB at most."""
import itertools

import measures
import spread

PEERS = 8
QUEUE = "100000"
CONTENDERS = {"ours_own": "ours", "cometbft_v0_40_0_own": "cometbft_v0_40_0"}
# With a delay the receiver takes 50 messages a second, and a drain is bounded
# by that; CometBFT's own bench gives it this long.
DRAIN_S = 30


def cases(effort):
    """(kind, size, senders, delay in ms); a broadcast has one sender."""
    for kind, delay, size, senders in itertools.product(
            ("flood", "drain", "broadcast"), effort.delays_ms,
            effort.matrix_sizes, effort.matrix_senders):
        if kind != "broadcast" or senders == 1:
            yield kind, size, senders, delay


def messages_of(effort, size, delay_ms):
    count = (effort.drain_mib << 20) // size
    if delay_ms:
        count = min(count, int(DRAIN_S * 1000 / delay_ms))
    return max(1, count)


def measure(effort, case):
    kind, size, senders, delay_ms = case
    shared = ("-queue", QUEUE, "-delay-ms", str(delay_ms))
    count = messages_of(effort, size, delay_ms)

    def once(c):
        flags = ("-size", str(size))
        if kind == "flood":
            _, got = c.pair("recv", "flood", *flags, "-senders", str(senders),
                            "-seconds", str(effort.flood_s), shared=shared)
        elif kind == "drain":
            _, got = c.pair("recv", "drain", *flags, "-senders", str(senders),
                            "-count", str(count), shared=shared)
        else:
            _, got = c.pair("fans", "spread", *flags, "-count",
                            str(max(1, count // PEERS)), shared=shared,
                            servers=("-count", str(PEERS)))
        return {"MB/s": measures.rate(got) / 1e6}
    return once


def run(effort, contenders, say, deadline):
    """One row a case."""
    here = [contenders[key] for key in CONTENDERS if key in contenders]
    rows = []
    for case in cases(effort):
        kind, size, senders, delay_ms = case
        say(f"{kind}, {size:,} bytes, {senders} senders, {delay_ms} ms")
        results = spread.alternate(here, effort.matrix_runs,
                                   measure(effort, case), say, deadline)
        row = {"kind": kind, "size": size, "senders": senders,
               "delay_ms": delay_ms, "unit": "MB/s", "spreads": {},
               "runs": len(results["ours_own"])}
        for key, name in CONTENDERS.items():
            found = spread.of_metric(results.get(key, []), "MB/s")
            row[name] = found and round(found[0], 2)
            if found:
                row["spreads"][name] = [round(x, 2) for x in found[1]]
        rows.append(row)
    return rows
