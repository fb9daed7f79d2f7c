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


def title_of(kind, size, senders, delay_ms):
    title = f"{kind}, {size // 1024} KiB, {senders} senders"
    return title + (f", {delay_ms} ms" if delay_ms else "")


def jobs(effort):
    return [measures.Job(f"matrix {title_of(*case)}", title_of(*case),
                         tuple(CONTENDERS), measure(effort, case))
            for case in cases(effort)]


def rows(effort, results):
    """One row a case that was run."""
    found = []
    for case in cases(effort):
        kind, size, senders, delay_ms = case
        runs = results.get(f"matrix {title_of(*case)}")
        if not runs:
            continue
        row = {"kind": kind, "size": size, "senders": senders,
               "delay_ms": delay_ms, "unit": "MB/s", "spreads": {},
               "runs": max(map(len, runs.values()))}
        for key, name in CONTENDERS.items():
            value = spread.of_metric(runs.get(key, []), "MB/s")
            row[name] = value and round(value[0], 2)
            if value:
                row["spreads"][name] = [round(x, 2) for x in value[1]]
        found.append(row)
    return found
