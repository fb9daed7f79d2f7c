#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every metric that the dashboard, the alerts and the guide name exists."""
import glob
import json
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

DASHBOARD = "contrib/grafana/cometp2p.json"
ALERTS = "contrib/prometheus/cometp2p.rules.yml"
GUIDE = "docs/guide/metrics.md"
SUFFIXES = ("_bucket", "_sum", "_count", "")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def families():
    """The names in the tables of src/ops, without their prefixes."""
    text = "".join(read(os.path.relpath(path, ROOT))
                   for path in glob.glob(os.path.join(ROOT, "src/ops/*.c")))
    return set(re.findall(r'\{\s*"([a-z_]+)",\s*"[A-Z]', text))


def names_in(text):
    return set(re.findall(r"\b(?:cometp2p|process|[a-z]+_p2p)_[a-z_]+", text))


def bare(name):
    return re.sub(r"^(?:cometp2p|process|[a-z]+_p2p)_", "", name)


def exists(name, known):
    return any(bare(name).removesuffix(suffix) in known
               for suffix in SUFFIXES if name.endswith(suffix))


def expressions():
    return [target["expr"] for panel in json.loads(read(DASHBOARD))["panels"]
            for target in panel["targets"]]


def main():
    report = tap.Writer()
    known = families()
    report.check(len(known) > 30, "the tables have families", len(known))
    used = set()
    for expression in expressions():
        used |= names_in(expression)
        used |= {f"x_p2p_{name}" for name in re.findall(
            r"\.\+_p2p_([a-z_]+)", expression)}
    absent = [name for name in sorted(used) if not exists(name, known)]
    report.check(len(used) > 20 and not absent,
                 f"{DASHBOARD} names metrics that exist", *absent)
    alerts = read(ALERTS)
    absent = [name for name in sorted(names_in(alerts))
              if not exists(name, known)]
    report.check(alerts.count("alert:") == 6 and not absent,
                 f"{ALERTS} has six alerts on metrics that exist", *absent)
    text = re.sub(r"```.*?```", "", read(GUIDE), flags=re.DOTALL)
    guide = names_in(text)
    absent = [name for name in sorted(guide)
              if not name.endswith("_") and not exists(name, known)]
    report.check(not absent, f"{GUIDE} names metrics that exist", *absent)
    report.finish()


if __name__ == "__main__":
    main()
