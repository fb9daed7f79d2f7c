#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench: its statistics, the judgement of a target, the tables, and that
every program of ours runs and the results are complete.  It judges no time."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import types

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import compare  # noqa: E402
import contenders  # noqa: E402
import figures  # noqa: E402
import measures  # noqa: E402
import node  # noqa: E402
import profiles  # noqa: E402
import spread  # noqa: E402
import tables  # noqa: E402
import tap  # noqa: E402

WAIT_S = 500


def statistics_of_runs(report):
    runs = [{"x": 3}, {"x": 1}, {"x": None}, {"x": 8}]
    report.check(spread.of_metric(runs, "x") == (3, [1, 8]),
                 "median and spread leave out what is missing",
                 spread.of_metric(runs, "x"))
    report.check(spread.of_metric([{"x": None}], "x") is None and
                 spread.of_metric([], "x") is None, "no value is no median")
    pooled = spread.pooled_quantiles([
        {"quantiles_us": {"99": 5, "50": 1}}, {"quantiles_us": {"99": 9, "50": 2}},
        {"quantiles_us": {"99": 6, "50": 4}}, {"quantiles_us": {}}])
    report.check(list(pooled.items()) == [("50", 2), ("99", 6)],
                 "quantiles are the medians of the runs, in order", pooled)


def alternation(report):
    order, got = [], []
    two = [types.SimpleNamespace(key=k, name=k) for k in "ab"]

    def measure(c):
        order.append(c.key)
        if len(order) == 3:
            raise contenders.Failed("broke off")
        return {"n": len(order)}

    results = spread.alternate(two, 2, measure, got.append)
    report.check(order == ["a", "b", "a", "b"], "contenders alternate", order)
    report.check(results == {"a": [{"n": 1}], "b": [{"n": 2}, {"n": 4}]} and
                 any("FAILED: a: broke off" in line for line in got),
                 "a run that breaks off is reported, and the others count", results,
                 got)


def targets(report):
    row = figures.Row("w", "u", "job", "x", True, (
        figures.least(2, "best"), figures.least(3, "zeromq_curve", "avx512"),
        figures.most(9)))
    runs = {key: [{"x": x}] for key, x in
            (("ours", 8), ("cometbft_v0_40_0", 4), ("zeromq_curve", 3))}
    for kernel, count, met in (("avx2", 2, True), ("avx512", 3, False)):
        found = figures.figure(row, {"job": runs}, kernel)
        report.check(len(found["targets"]) == count and found["met"] is met,
                     f"targets are judged, with {kernel}", found)
    del runs["cometbft_v0_40_0"]
    found = figures.figure(row, {"job": runs}, "avx2")
    report.check(found["met"] is None, "what cannot be judged is neither", found)
    report.check(set(figures.COLUMNS) <= set(found) and
                 found["spreads"]["ours"] == [8, 8] and found["ours"] == 8,
                 "each column is in a row, and spreads are", found)
    off = measures.off_by([[1, 30], [3, 70]])
    report.check(abs(off - 5) < 1e-9, "an error of shares is in percent", off)


def two_builds(report):
    runs = {"now": [{"x": 3, "quantiles_us": {}}, {"x": 5}], "before": [{"x": 2}]}
    found = list(compare.lines(runs))
    report.check(found == [["x", "4 (3 to 5)", "2 (2 to 2)", "2.000"]],
                 "two builds are compared by the medians of each number", found)
    report.check(list(compare.lines({"now": [], "before": [{"x": 2}]})) == [],
                 "without a run there is nothing to compare")
    report.check([job.key for job in compare.chosen(measures.QUICK, "16 threads")]
                 == ["threads-16"], "a pattern chooses the jobs")


def parts_of_samples(report):
    kernel, program = "[kernel.kallsyms]", "/x/bench_p2p"
    folders = {"seal_some": "aead", "cut": "core/mux", "sent": "link"}
    for chain, part in (
            ([("seal_some.part.0", program)], "seal and open"),
            ([("cut", program)], "src/core"),
            ([("sent", program)], "src/link, net, peer"),
            ([("main", program)], "the bench itself"),
            ([("__memmove_avx_unaligned_erms", "/lib/libc.so.6")], "copies"),
            ([("malloc", "/lib/libc.so.6")], "libc and libuv"),
            ([("[unknown]", "/lib/libsodium.so.23")], "keys and hashes"),
            ([("tcp_ack", kernel), ("__x64_sys_sendto", kernel)], "write"),
            ([("tcp_recvmsg", kernel), ("__arm64_sys_read", kernel)], "read"),
            ([("do_epoll_wait", kernel), ("__x64_sys_epoll_wait", kernel)],
             "other system calls"),
            ([("rep_movs_alternative", kernel), ("__x64_sys_read", kernel)],
             "copies by the kernel"),
            ([("finish_task_switch", kernel), ("__schedule", kernel),
              ("__x64_sys_epoll_wait", kernel)], "wake-ups and scheduler"),
            ([("enqueue_task", kernel), ("try_to_wake_up", kernel),
              ("__x64_sys_sendto", kernel)], "wake-ups and scheduler"),
            ([("clear_page", kernel)], "the rest of the kernel")):
        found = profiles.part_of(chain, folders)
        report.check(found == part, f"a sample of {chain[0][0]}: {part}", found)


def table_of(report):
    row = {"work": "w", "unit": "u", "better": "less", "target": None,
           **dict.fromkeys(figures.COLUMNS), "ours": 5, "zeromq_curve": 2}
    results = {"names": {}, "figures": [row], "readme": ["w"]}
    text = tables.filled("a\n<!-- bench: readme -->\nold\n<!-- bench: end -->\nb",
                         results)
    report.check("old" not in text and "| w, u | 5 | - | - | **2** | - |" in text
                 and text.startswith("a\n") and text.endswith("\nb"),
                 "a block of a document is filled, and the best is bold", text)
    report.check(tables.filled(text, results) == text,
                 "to fill it again changes nothing")
    report.check("ahead in: w." in tables.best_line(results),
                 "what others do better is named", tables.best_line(results))


def quick(report, build):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "a b", "latest.json")
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(ROOT, "bench/run.py"), build,
             "--quick", "--out", out], stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=WAIT_S, check=False)
        if not report.check(done.returncode == 0, "every program runs",
                            done.returncode, done.stdout, done.stderr):
            return
        with open(out, encoding="utf-8") as file:
            results = json.load(file)
    report.check(not results["failures"], "no run breaks off",
                 *results["failures"])
    works = [row.work for row in figures.rows(measures.QUICK)]
    report.check([row["work"] for row in results["figures"]] == works,
                 "there is a figure for each row of the table")
    empty = [row["work"] for row in results["figures"]
             if row["ours"] is None and row["limit"] is None]
    report.check(not empty, "each has a value of ours, or of the limit", *empty)
    wanted = {"throughput", "latency_idle", "latency_loaded", "shares", "peers"}
    limits = results["series"].pop("limits")
    report.check(set(results["series"]) == wanted and len(limits) == 4 and
                 all("ours" in data for data in results["series"].values()),
                 "the charts have what they show", results["series"].keys(),
                 limits)
    report.check(results["took"] and all(results["took"].values()),
                 "and the time of each job is there", results["took"])
    report.check(len(results["matrix"]) == 5 and
                 all(row["ours"] for row in results["matrix"]),
                 "so has CometBFT's own comparison", results["matrix"])
    named = {"processor", "cores", "kernel", "aead", "load_before"}
    report.check(set(results["machine"]) == named and results["revision"],
                 "machine and revision are named", results["machine"])
    left_out = [line for line in results["left_out"] if "profiles" not in line]
    report.check(len(left_out) == 4 and all(
        "left out" in line for line in results["left_out"]),
        "who is not here is named as left out", *results["left_out"])
    report.check(len(results["profiles"]) == 11 or
                 len(left_out) < len(results["left_out"]),
                 "each side has a profile, if perf may record",
                 [(one["row"], one["side"]) for one in results["profiles"]])


def node_metrics(report):
    """A visit without an answer, or with a short one, is no figure."""
    fine = {"visits": 10, "refused": 0, "addresses": 250.0,
            "addresses_least": 250, "seconds": 2, "process_seconds": 0.5,
            "quantiles_us": {"50": 3000}}
    report.check(node.visit_metrics(fine) ==
                 {"per s": 5, "per core": 20, "p50 ms": 3},
                 "visits are counted by both clocks", node.visit_metrics(fine))
    for name, value in (("visits", 0), ("refused", 1), ("addresses", 249.9)):
        try:
            found = node.visit_metrics({**fine, name: value})
        except contenders.Failed as failure:
            found = str(failure)
        report.check(isinstance(found, str),
                     f"{value} {name} are a failure and no figure", found)


def node_quick(report, build):
    """Each job of ./dev bench --node, on seeds of ours: 32 visits at a time get
    250 addresses each, also beside connections that say nothing.  The rows of an
    earlier hour stay, and no other."""
    hour = {"work": "an hour", "unit": "MiB", "ours": 5, "cometbft_v0_40_0": None,
            "target": "", "met": None, "runs": 1, "spreads": {"ours": [5, 5]},
            "revision": "abcdef01"}
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "a b", "node.json")
        os.makedirs(os.path.dirname(out))
        with open(out, "w", encoding="utf-8") as file:
            json.dump({"figures": [{"work": "visits"}, hour]}, file)
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(ROOT, "bench/node.py"), build,
             "--quick", "--out", out], stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=WAIT_S, check=False)
        if not report.check(done.returncode == 0, "every job of a seed runs",
                            done.returncode, done.stdout, done.stderr):
            return
        with open(out, encoding="utf-8") as file:
            results = json.load(file)
    report.check([row["work"] for row in results["figures"]] ==
                 [row.work for row in node.rows(node.QUICK)] + ["an hour"] and
                 all(row["ours"] is not None for row in results["figures"]),
                 "and each of its rows has a value", results["figures"])
    results = {"node": results}
    report.check("visits of a seed, 250 addresses each" in
                 tables.node_table(results) and
                 "an hour, MiB (revision abcdef01)" in
                 tables.node_table(results) and
                 results["node"]["revision"] in tables.node_line(results),
                 "the tables of the documents can be made of them",
                 tables.node_table(results))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--release")
    build = parser.parse_args().build
    report = tap.Writer()
    for test in (statistics_of_runs, alternation, targets, two_builds,
                 parts_of_samples, table_of, node_metrics):
        test(report)
    node_quick(report, build)
    quick(report, build)
    report.finish()


if __name__ == "__main__":
    main()
