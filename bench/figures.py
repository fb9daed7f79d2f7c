# SPDX-License-Identifier: Apache-2.0
"""The figures: a table of rows, each a metric of one job, and what it should
reach."""
import dataclasses

import spread

COLUMNS = ("ours", "cometbft_v0_40_0", "cometbft_v0_38_25", "zeromq_curve",
           "nng_tls", "limit")
NAMES = {
    "ours": "cometp2p", "cometbft_v0_40_0": "CometBFT v0.40.0",
    "cometbft_v0_38_25": "CometBFT v0.38.25", "zeromq_curve": "ZeroMQ CURVE",
    "nng_tls": "NNG TLS", "limit": "limit",
    "best": "the better of CometBFT and ZeroMQ", "one_loop": "one loop",
    "unloaded": "bulk alone", "one_thread": "one thread",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """ours >= factor * the value of |column|; without a column the factor is in
    the unit of the row.  |kernel|: only with that frame kernel."""
    at_least: bool
    factor: float
    column: str = ""
    kernel: str = ""

    def text(self):
        sign = "≥" if self.at_least else "≤"
        if not self.column:
            return f"{sign} {self.factor:{'g' if self.factor < 1e5 else ',.0f'}}"
        return f"{sign} {self.factor:.3g}x {NAMES[self.column]}"

    def met(self, values):
        """None: there is nothing to compare with."""
        other = values.get(self.column) if self.column else 1
        if other is None or values.get("ours") is None:
            return None
        bound = self.factor * other
        return values["ours"] >= bound if self.at_least else \
            values["ours"] <= bound


def least(factor, column="", kernel=""):
    return Target(True, factor, column, kernel)


def most(factor, column=""):
    return Target(False, factor, column)


@dataclasses.dataclass(frozen=True)
class Row:
    work: str
    unit: str
    job: str
    metric: str
    more_is_better: bool
    targets: tuple = ()
    ours: str = "ours"     # The contender in the column of ours.
    limit: str = "limit"   # And in that of the limit.
    scale: float = 1
    digits: int = 1
    others: str = ""       # The job of all other columns, if not |job|.
    # (name, job, metric) of what a target compares with besides the columns.
    other: tuple = ()
    # (job, contender, metric, scale) of the limit, when it is of another job.
    limit_of: tuple = ()
    in_readme: bool = False


def rows(effort):
    """The table."""
    def pipeline(size):
        """Messages a second, if they were all that the pipeline carries."""
        return ("bulk-65536", "limit", "MB/s", 1e6 / size)

    third = 1 / 3
    fewer, crowd = sorted(effort.crowds)[-2:]
    table = [
        Row("messages of 64 KiB", "MB/s", "bulk-65536", "MB/s", True,
            (least(0.8, "limit"), least(3.3, "cometbft_v0_40_0", "avx512"),
             least(2.2, "cometbft_v0_40_0", "avx2"),
             least(1.7, "zeromq_curve")), in_readme=True),
        Row("messages of 64 KiB, AVX2 forced", "MB/s", "bulk-65536", "MB/s",
            True, (least(2.2, "cometbft_v0_40_0"),), ours="ours_avx2", limit=""),
        Row("processor time to send 1 GB of them", "s", "bulk-65536",
            "s/GB sent", False, (most(third, "cometbft_v0_40_0"),), digits=3,
            in_readme=True),
        Row("processor time to receive it", "s", "bulk-65536", "s/GB received",
            False, (most(third, "cometbft_v0_40_0"),), digits=3, in_readme=True),
        Row("messages of 1 KiB", "per second", "bulk-1024", "messages/s", True,
            (least(4, "cometbft_v0_40_0"), least(3, "zeromq_curve")), digits=0,
            limit_of=pipeline(1024), in_readme=True),
        Row("messages of 256 bytes, a queue of 16", "per second", "queue-16",
            "messages/s", True, (least(2, "best"),), digits=0,
            limit_of=pipeline(256), in_readme=True),
        Row("messages of 256 bytes from 16 threads, a queue of 16",
            "per second", "threads-16", "messages/s", True,
            (least(0.8, "one_thread"),), digits=0, limit_of=pipeline(256),
            other=("one_thread", "queue-16", "messages/s")),
        Row("messages of 256 bytes, a queue of 1,000", "per second",
            "queue-1000", "messages/s", True, (least(3, "best"),), digits=0,
            limit_of=pipeline(256), in_readme=True),
        Row("messages of 256 bytes to a worker, a queue of 16", "per second",
            "worker-16", "messages/s", True, (least(2, "best"),), digits=0,
            limit_of=pipeline(256), others="queue-16"),
        Row("messages of 256 bytes to a worker, a queue of 1,000", "per second",
            "worker-1000", "messages/s", True, (least(2e6), least(3, "best")),
            digits=0, limit_of=pipeline(256), others="queue-1000"),
        Row("messages of 256 bytes from the loop, a queue of 1,000",
            "per second", "feed-1000", "messages/s", True, (least(2e6),),
            digits=0, limit_of=pipeline(256)),
        Row("messages of 64 bytes", "per second", "bulk-64", "messages/s", True,
            digits=0, limit_of=pipeline(64), in_readme=True),
    ]
    for place in ("one core", "two cores"):
        table += [
            Row(f"round trip of 256 bytes, idle, {place}, p50", "us",
                f"ping {place}", "p50 us", False, (most(1.4, "limit"),),
                in_readme=True),
            Row(f"round trip of 256 bytes, idle, {place}, p99", "us",
                f"ping {place}", "p99 us", False, (most(1.5, "limit"),)),
        ]
    return table + [
        Row("echo of priority 10 behind saturated priority 1, p50", "ms",
            "load", "p50 us", False,
            (most(0.6), most(1 / 20, "cometbft_v0_40_0")), scale=1e-3, digits=3,
            in_readme=True),
        Row("echo of priority 10 behind saturated priority 1, p99", "ms",
            "load", "p99 us", False,
            (most(1.5), most(1 / 20, "cometbft_v0_40_0")), scale=1e-3, digits=3,
            in_readme=True),
        Row("the bulk beside it", "MB/s", "load", "MB/s", True,
            (least(0.95, "unloaded"),),
            other=("unloaded", "unloaded", "MB/s")),
        Row("echo on an urgent channel behind the same, p50", "ms", "urgent",
            "p50 us", False, (), scale=1e-3, digits=3),
        Row("echo on an urgent channel behind the same, p99", "ms", "urgent",
            "p99 us", False, (), scale=1e-3, digits=3),
        Row("shares against priorities, greatest error", "% of the total",
            "shares", "% off", False, (most(1),), digits=3, in_readme=True),
        Row("whole handshakes, one after another", "per second", "dials-1",
            "per s", True, (least(3, "cometbft_v0_40_0"),), digits=0,
            limit="limits", in_readme=True),
        Row("whole handshakes, 16 at once", "per second", "dials-16", "per s",
            True, (least(3, "cometbft_v0_40_0"),), digits=0, limit="limits",
            in_readme=True),
        Row("a callback of the loop beside these, p50", "us", "dials-16",
            "delay p50 us", False, digits=1),
        Row("a connection that ends at once, at 10,000 a second one core has 100",
            "us of processor", "knocks", "us each", False, (most(100),),
            digits=1),
        Row(f"memory of ours for each of {crowd:,} idle peers", "bytes",
            f"crowd-{crowd}", "bytes/peer", False, (most(4096),), digits=0,
            in_readme=True),
        Row(f"a broadcast of 1 KiB to {fewer:,}, for each", "us of processor",
            f"crowd-{fewer}", "ns/peer", False, (), limit="limits", scale=1e-3,
            digits=2, in_readme=True),
        Row(f"a broadcast of 1 KiB to {crowd:,}, for each", "us of processor",
            f"crowd-{crowd}", "ns/peer", False, (most(1.5, "limit"),),
            limit="limits", scale=1e-3, digits=2, in_readme=True),
        Row("a relay to 50 peers, a frame each, for each", "us of processor",
            "relay", "ns/peer", False, (most(1.5, "limit"),), limit="limits",
            scale=1e-3, digits=2),
        Row("8 connections, two loops on two cores", "MB/s", "two loops",
            "MB/s", True, (least(1.7, "one_loop"),),
            other=("one_loop", "one loop", "MB/s")),
        Row("TCP alone, the same calls", "MB/s", "bulk-65536", "MB/s", True,
            ours="", limit="tcp"),
        Row("AEAD alone, sealing on one core", "MB/s", "alone", "seal MB/s",
            True, ours="", limit="limits"),
        Row("AEAD alone, opening on one core", "MB/s", "alone", "open MB/s",
            True, ours="", limit="limits"),
        Row("memcpy alone, frames on one core", "MB/s", "alone", "copy MB/s",
            True, ours="", limit="limits"),
    ]


def figure(row, results, kernel):
    """The row as it stands in the file of results."""
    job = results.get(row.job, {})
    columns = {**{c: c for c in COLUMNS}, "ours": row.ours, "limit": row.limit}
    if not row.ours:  # A limit of its own, which nobody else has.
        columns = {c: "" for c in COLUMNS} | {"limit": row.limit}
    values, spreads = {}, {}
    for column, key in columns.items():
        own = results.get(row.others, {}) if column != "ours" and row.others \
            else job
        runs, metric, scale = own.get(key, []), row.metric, row.scale
        if column == "limit" and row.limit_of:
            other_job, key, metric, scale = row.limit_of
            runs = results.get(other_job, {}).get(key, [])
        found = spread.of_metric(runs, metric)
        values[column] = None
        if found:
            values[column] = round(found[0] * scale, row.digits)
            spreads[column] = [round(x * scale, row.digits) for x in found[1]]
    references = dict(values)
    peers = [values[c] for c in ("cometbft_v0_40_0", "zeromq_curve")]
    if None not in peers:
        references["best"] = max(peers) if row.more_is_better else min(peers)
    if row.other:
        name, other_job, metric = row.other
        found = spread.of_metric(results.get(other_job, {}).get("ours", []),
                                 metric)
        references[name] = found and round(found[0] * row.scale, row.digits)
    targets = [t for t in row.targets if t.kernel in ("", kernel)]
    met = [t.met(references) for t in targets]
    return {
        "work": row.work, "unit": row.unit, **values,
        "target": "; ".join(t.text() for t in targets) or None,
        "met": all_met(met),
        "targets": [{"target": t.text(), "met": m}
                    for t, m in zip(targets, met)],
        "better": "more" if row.more_is_better else "less",
        "spreads": spreads, "runs": max(map(len, job.values()), default=0),
        **({row.other[0]: references[row.other[0]]} if row.other else {}),
    }


def all_met(met):
    """False: one is missed; None: none is, but one could not be judged, or there
    is none."""
    if False in met:
        return False
    return True if met and None not in met else None


def figures(effort, results, kernel):
    return [figure(row, results, kernel) for row in rows(effort)]


def readme_works(effort):
    return [row.work for row in rows(effort) if row.in_readme]
