# SPDX-License-Identifier: Apache-2.0
"""Two builds of ours: medians and spreads."""
import measures
import spread
import tables
from contenders import Contender


def compare(now, before, runs, seconds, say):
    both = [Contender("now", "now", now + "/bench_p2p"),
            Contender("before", "before", before + "/bench_p2p")]
    jobs = [(f"one connection, messages of {size} bytes",
             measures.bulk(size, seconds)) for size in (65536, 1024)]
    jobs += [(f"round trip of 256 bytes, both sides on {place}",
              measures.ping(5000, cores))
             for place, cores in measures.PLACES.items()]
    for title, measure in jobs:
        say(title)
        results = spread.alternate(both, runs, measure, say)
        print(f"\n{title}, {runs} alternated runs")
        rows = []
        for metric in results["now"][0]:
            if metric == "quantiles_us":
                continue
            cells, middle = [], []
            for key in ("now", "before"):
                value, (low, high) = spread.of_metric(results[key], metric)
                middle.append(value)
                cells.append(f"{tables.number(value)} ({tables.number(low)} to "
                             f"{tables.number(high)})")
            rows.append([metric, *cells, f"{middle[0] / middle[1]:.3f}"])
        print(tables.plain(["", "now (least to most)", "before (least to most)",
                            "now / before"], rows), flush=True)
