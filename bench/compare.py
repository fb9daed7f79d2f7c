# SPDX-License-Identifier: Apache-2.0
"""Two builds of ours: medians and spreads of the same jobs."""
import dataclasses
import re

import measures
import spread
import tables
from contenders import Contender, our_program

# What most changes can touch; --only chooses among all jobs of ours.
JOBS = ("bulk-65536", "bulk-1024", "queue-16", "queue-1000", "ping one core",
        "ping two cores", "load", "dials-16")


def chosen(effort, only):
    jobs = [job for job in measures.jobs(effort, {}) if "ours" in job.contenders
            and not job.key.startswith("crowd")]
    if only:
        return [job for job in jobs if re.search(only, job.title)]
    return [job for job in jobs if job.key in JOBS]


def lines(results):
    """A row for each number that the runs have: both, and their ratio."""
    metrics = [metric for metric, value in results["now"][0].items()
               if isinstance(value, (int, float))] if results["now"] else []
    for metric in metrics:
        cells, middle = [], []
        for key in ("now", "before"):
            found = spread.of_metric(results[key], metric)
            middle.append(found[0] if found else None)
            cells.append(f"{tables.number(found[0])} ({tables.number(found[1][0])}"
                         f" to {tables.number(found[1][1])})" if found else "-")
        ratio = middle[0] / middle[1] if middle[1] else None
        yield [metric, *cells, f"{ratio:.3f}" if ratio else "-"]


def compare(now, before, effort, only, say):
    both = [Contender("ours", name, our_program(build))
            for name, build in (("now", now), ("before", before))]
    for job in chosen(effort, only):
        say(job.title)
        found = {c.name: [] for c in both}
        for _ in range(effort.runs):
            for c in both:
                found[c.name] += spread.alternate([c], 1, job.measure,
                                                  say)[c.key]
        print(f"\n{job.title}, {effort.runs} alternated runs")
        print(tables.plain(["", "now (least to most)", "before (least to most)",
                            "now / before"], list(lines(found))), flush=True)


def effort_of(runs, seconds):
    return dataclasses.replace(
        measures.NORMAL, runs=runs, bulk_s=seconds, dials_s=seconds,
        load_s=max(1, seconds))
