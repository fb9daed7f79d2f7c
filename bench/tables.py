# SPDX-License-Identifier: Apache-2.0
"""The tables: in the terminal, and in the documents."""
import re

import matrix
from figures import COLUMNS, NAMES

BLOCK = "<!-- bench: {} -->\n{}<!-- bench: end -->"


def number(x):
    if x is None:
        return "-"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def with_spread(row, column):
    if row[column] is None:
        return "-"
    low, high = row["spreads"][column]
    return f"{number(row[column])} ({number(low)} to {number(high)})"


def met(row):
    if row["target"] is None:
        return ""
    return {True: "yes", False: "no", None: "?"}[row["met"]]


def plain(header, rows):
    """Columns as wide as what is in them; the first is to the left."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0])]
                  + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]).rstrip()
        for line in lines)


def terminal(results):
    """Everything, with spreads."""
    machine = results["machine"]
    rows = [[f"{row['work']}, {row['unit']}",
             *(with_spread(row, c) for c in COLUMNS), met(row),
             row["target"] or ""] for row in results["figures"]]
    text = [
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['kernel']}, frames by {machine['aead']}; revision "
        f"{results['revision']}",
        "medians (least to most) of "
        f"{max(r['runs'] for r in results['figures'])} alternated runs", "",
        plain(["", *(results["names"].get(c, NAMES[c]) for c in COLUMNS), "met",
               "target"], rows), "",
        "CometBFT's own comparison, MB/s", "",
        plain(["", "cometp2p", NAMES["cometbft_v0_40_0"], "ours / CometBFT"],
              [[matrix_title(row), with_spread(row, "ours"),
                with_spread(row, "cometbft_v0_40_0"), ratio(row)]
               for row in results["matrix"]]),
    ]
    return "\n".join(text)


NODE_COLUMNS = ("ours", "cometbft_v0_40_0")


def node_work(results, row):
    """What a row measured; also when, if that was another revision."""
    at = row.get("revision", results["revision"])
    return f"{row['work']}, {row['unit']}" + (
        "" if at == results["revision"] else f" (revision {at})")


def node_rows(results, cell):
    return [[node_work(results, row),
             *(cell(row, c) for c in NODE_COLUMNS), row["target"] or "",
             met(row)] for row in results["figures"]]


def node_header():
    return ["", *(NAMES[c] for c in NODE_COLUMNS), "target", "met"]


def node_runs(results):
    """What the columns are."""
    runs = [row["runs"] for row in results["figures"]]
    return f"medians (least to most) of up to {max(runs, default=0)} runs"


def node_terminal(results):
    """./dev bench --node, with spreads."""
    machine = results["machine"]
    return "\n".join([
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['kernel']}; load {machine['load_before']} before the first "
        f"run; revision {results['revision']}", node_runs(results), "",
        plain(node_header(), node_rows(results, with_spread))])


def node_table(results):
    return markdown(node_header(),
                    node_rows(results["node"], lambda row, c: number(row[c])))


def times(results):
    """Where the time of the run went."""
    took = sorted(results["took"].items(), key=lambda one: -one[1])
    return plain(["", "seconds"],
                 [[title, f"{seconds:.1f}"] for title, seconds in took]
                 + [["all", f"{results['seconds']}"]])


def matrix_title(row):
    return matrix.title_of(*(row[k] for k in
                             ("kind", "size", "senders", "delay_ms")))


def ratio(row):
    if not row["cometbft_v0_40_0"] or row["ours"] is None:
        return "-"
    return f"{row['ours'] / row['cometbft_v0_40_0']:.2f}"


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def best_column(row, columns):
    there = [(row[c], c) for c in columns if row[c] is not None]
    if len(there) < 2:
        return None
    return (max if row["better"] == "more" else min)(there)[1]


def cells(row, columns):
    """The best one is bold."""
    best = best_column(row, columns)
    return [f"**{number(row[c])}**" if c == best else number(row[c])
            for c in columns]


def readme_table(results):
    columns = COLUMNS[:-1]
    works = set(results["readme"])
    header = ["", *(results["names"].get(c, NAMES[c]) for c in columns)]
    return markdown(header, [
        [f"{row['work']}, {row['unit']}", *cells(row, columns)]
        for row in results["figures"] if row["work"] in works])


def figures_table(results):
    columns = COLUMNS[:-1]
    header = ["", *(results["names"].get(c, NAMES[c]) for c in columns), "limit",
              "target", "met"]
    return markdown(header, [
        [f"{row['work']}, {row['unit']}", *cells(row, columns),
         number(row["limit"]), row["target"] or "", met(row)]
        for row in results["figures"]])


def spreads_table(results):
    columns = [c for c in COLUMNS
               if any(c in row["spreads"] for row in results["figures"])]
    return markdown(["", *(NAMES[c] for c in columns)], [
        [f"{row['work']}, {row['unit']}",
         *("{} to {}".format(*map(number, row["spreads"][c]))
           if c in row["spreads"] else "-" for c in columns)]
        for row in results["figures"]])


def matrix_table(results):
    return markdown(
        ["MB/s", "cometp2p", NAMES["cometbft_v0_40_0"], "ours / CometBFT"],
        [[matrix_title(row), number(row["ours"]),
          number(row["cometbft_v0_40_0"]), ratio(row)]
         for row in results["matrix"]])


def profile_cells(profiles):
    """(header, rows) of what each part of the processor time is, in percent."""
    shown = [part for part in (profiles[0]["parts"] if profiles else ())
             if any(one["parts"][part] >= 0.5 for one in profiles)]
    header = ["%", *(f"{one['title']}: {one['side']}" for one in profiles)]
    return header, [
        *([part, *(number(one["parts"][part]) for one in profiles)]
          for part in shown),
        ["cores in use", *(f"{one['cores']:.2f}" for one in profiles)]]


def profile_table(results):
    if not results.get("profiles"):
        return "No profile was made where this was measured.\n"
    return markdown(*profile_cells(results["profiles"]))


def machine_line(results):
    machine = results["machine"]
    load = machine["load_before"]
    busy = "" if load < 0.5 else (
        f" The machine was not idle: its load was {load} before the first run,"
        " so ratios tell more than values.")
    return (f"Measured at revision `{results['revision']}` on {machine['cores']} "
            f"cores of {machine['processor']}, {machine['kernel']}, frames by "
            f"{machine['aead']}; medians of "
            f"{max(row['runs'] for row in results['figures'])} alternated "
            f"runs.{busy}\n")


def node_line(results):
    node = results["node"]
    machine = node["machine"]
    return (f"Measured at revision `{node['revision']}` on {machine['cores']} "
            f"cores of {machine['processor']}, {machine['kernel']}; the load was "
            f"{machine['load_before']} before the first run.\n")


def best_line(results):
    """What somebody else is better at, so that nobody has to look for it."""
    worse = [row["work"] for row in results["figures"]
             if best_column(row, COLUMNS[:-1]) not in (None, "ours")]
    if not worse:
        return "In no row of the table is another library ahead.\n"
    return "Another library is ahead in: " + "; ".join(worse) + ".\n"


BLOCKS = {
    "machine": machine_line, "readme": readme_table, "figures": figures_table,
    "spreads": spreads_table, "matrix": matrix_table, "ahead": best_line,
    "profiles": profile_table, "node": node_table, "node_machine": node_line,
}


def filled(text, results):
    """The document with what its blocks should hold."""
    def block(match):
        return BLOCK.format(match[1], "\n" + BLOCKS[match[1]](results) + "\n")
    return re.sub(r"<!-- bench: (?!end)(\w+) -->\n.*?<!-- bench: end -->", block,
                  text, flags=re.DOTALL)
