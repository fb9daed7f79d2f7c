# SPDX-License-Identifier: Apache-2.0
"""What the charts show, out of the results of the jobs."""
import spread


def points(results, jobs, metric):
    """{contender: [[x, median, least, most], ...]} over (x, job)."""
    found = {}
    for x, job in jobs:
        for key, runs in results.get(job, {}).items():
            value = spread.of_metric(runs, metric)
            if value:
                found.setdefault(key, []).append(
                    [x, *(round(v, 3) for v in (value[0], *value[1]))])
    return found


def quantiles(results, job):
    """{contender: {percent: microseconds}}."""
    found = {key: spread.pooled_quantiles(runs)
             for key, runs in results.get(job, {}).items()}
    return {key: {p: round(us, 2) for p, us in q.items()}
            for key, q in found.items() if q}


def shares(results):
    """{contender: [[priority, percent of the bytes], ...]}, over all runs."""
    found = {}
    for key, runs in results.get("shares", {}).items():
        sums = {}
        for run in runs:
            for priority, count in run["shares"]:
                sums[priority] = sums.get(priority, 0) + count
        total = sum(sums.values()) or 1
        found[key] = [[p, round(n / total * 100, 3)] for p, n in sums.items()]
    return found


def limits(results):
    """{part of the way: MB/s}, each alone on a core, and all in a pipeline."""
    parts = (("memcpy alone", "alone", "limits", "copy MB/s"),
             ("TCP alone, the same calls", "bulk-65536", "tcp", "MB/s"),
             ("AEAD alone, sealing", "alone", "limits", "seal MB/s"),
             ("all three in a pipeline", "bulk-65536", "limit", "MB/s"))
    found = {name: spread.of_metric(results.get(job, {}).get(key, []), metric)
             for name, job, key, metric in parts}
    return {name: round(value[0], 1) for name, value in found.items() if value}


def series(results, sizes, crowds):
    return {
        "limits": limits(results),
        "throughput": points(results, [(s, f"bulk-{s}") for s in sizes], "MB/s"),
        "latency_idle": quantiles(results, "ping two cores"),
        "latency_loaded": {**quantiles(results, "load"), **{
            "urgent": q for q in quantiles(results, "urgent").values()}},
        "shares": shares(results),
        "peers": points(results, [(n, f"crowd-{n}") for n in crowds], "ns/peer"),
    }
