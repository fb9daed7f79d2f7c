# SPDX-License-Identifier: Apache-2.0
"""Medians and spreads of alternated runs."""
import statistics
import subprocess

from contenders import Failed


def median(values):
    return statistics.median(values)


def spread(values):
    """The least and the most."""
    return [min(values), max(values)]


def alternate(contenders, runs, measure, say):
    """All results of |runs| alternated runs of measure(contender), by the key of
    the contender.  A run that breaks off is reported and has no result."""
    results = {c.key: [] for c in contenders}
    for _ in range(runs):
        for c in contenders:
            try:
                results[c.key].append(measure(c))
            except (Failed, OSError, subprocess.TimeoutExpired) as failure:
                say(f"  FAILED: {c.name}: {failure}")
    return results


def of_metric(results, metric):
    """(median, spread) of one metric of one contender; None when it has
    none."""
    values = [r[metric] for r in results if r.get(metric) is not None]
    if not values:
        return None
    return median(values), spread(values)


def pooled_quantiles(results):
    """The median of each quantile, {percent: microseconds}."""
    found = [r["quantiles_us"] for r in results if r.get("quantiles_us")]
    if not found:
        return {}
    return {percent: median([q[percent] for q in found])
            for percent in sorted(found[0], key=float)}
