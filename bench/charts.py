# SPDX-License-Identifier: Apache-2.0
"""The charts of the documents, by matplotlib: the same results give the same
bytes."""
import os

import matplotlib
matplotlib.use("svg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: E402

# Key: colour, line, name.  What is of one family has one colour.
STYLES = {
    "ours": ("#0a7d38", "-", "cometp2p"),
    "urgent": ("#0a7d38", ":", "cometp2p, urgent channel"),
    "ours_own": ("#0a7d38", "--", "cometp2p, packets of 64 KiB"),
    "ours_avx2": ("#58b07c", ":", "cometp2p, AVX2"),
    "cometbft_v0_40_0": ("#2d5fd0", "-", "CometBFT v0.40.0"),
    "cometbft_v0_40_0_own": ("#2d5fd0", "--", "v0.40.0, packets of 4 MiB"),
    "cometbft_v0_38_25": ("#7fa4f0", "-", "CometBFT v0.38.25"),
    "cometbft_v0_38_25_own": ("#7fa4f0", "--", "v0.38.25, packets of 4 MiB"),
    "zeromq_curve": ("#d0452d", "-", "ZeroMQ CURVE"),
    "nng_tls": ("#b8860b", "-", "NNG TLS"),
    "limit": ("#777777", ":", "limit"),
    "limits": ("#777777", ":", "one frame sealed and written"),
}
SETTINGS = {
    "svg.hashsalt": "cometp2p", "svg.fonttype": "none",
    "font.family": "sans-serif", "font.size": 9, "axes.grid": True,
    "grid.color": "#dddddd", "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False,
    "figure.facecolor": "white", "legend.frameon": False,
}


LIMIT_LINES = ((0, (1, 4)), (0, (1, 2)), (0, (4, 2, 1, 2)), ":")


def keys_of(data):
    return [key for key in STYLES if key in data]


def line(axes, key, xs, ys, **more):
    colour, style, name = STYLES[key]
    axes.plot(xs, ys, style, color=colour, label=name, **more)


def size_text(x, _):
    if x >= 1 << 20:
        return f"{x / (1 << 20):g} MiB"
    return f"{x / 1024:g} KiB" if x >= 1024 else f"{x:g} B"


def throughput(series):
    data = series["throughput"]
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for key in keys_of(data):
        if len(data[key]) > 1:
            line(axes, key, [p[0] for p in data[key]],
                 [p[1] for p in data[key]], marker=".")
            axes.fill_between([p[0] for p in data[key]],
                              [p[2] for p in data[key]],
                              [p[3] for p in data[key]],
                              color=STYLES[key][0], alpha=0.1, linewidth=0)
    for at, (name, rate) in enumerate(series.get("limits", {}).items()):
        axes.axhline(rate, color="#777777", linestyle=LIMIT_LINES[at],
                     linewidth=1.2, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(size_text))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set(xlabel="size of a message", ylabel="MB/s",
             title="One connection on loopback")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def latency(series):
    figure, both = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True)
    titles = ("idle, two cores", "behind saturated bulk")
    for axes, name, title in zip(both, ("latency_idle", "latency_loaded"),
                                 titles):
        for key in keys_of(series[name]):
            quantiles = {float(p): us / 1e3
                         for p, us in series[name][key].items()
                         if float(p) <= 99}
            line(axes, key, list(quantiles), list(quantiles.values()),
                 marker=".")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="percent of the round trips", title=title)
    both[0].set_ylabel("round trip of 256 bytes, at most ms")
    handles = {}
    for axes in both:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=4)
    figure.subplots_adjust(bottom=0.25, wspace=0.08)
    return figure


def shares(series):
    data = series["shares"]
    keys = keys_of(data)
    figure, axes = plt.subplots(figsize=(7, 4))
    if keys:
        priorities = [p for p, _ in data[keys[0]]]
        width = 0.8 / (len(keys) + 1)
        ideal = [p / sum(priorities) * 100 for p in priorities]
        axes.bar([i - 0.4 for i in range(len(ideal))], ideal, width,
                 color="#bbbbbb", label="the priority's part", align="edge")
        for at, key in enumerate(keys, 1):
            axes.bar([i - 0.4 + at * width for i in range(len(ideal))],
                     [n for _, n in data[key]], width, align="edge",
                     color=STYLES[key][0], label=STYLES[key][2],
                     hatch="//" if key.endswith("_own") else None,
                     edgecolor="white", linewidth=0.5)
        axes.set_xticks(range(len(ideal)), [str(p) for p in priorities])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set(xlabel="priority of the channel", ylabel="% of the bytes",
             title="Channels that always have something to send")
    axes.legend(fontsize=8)
    return figure


def peers(series):
    data = series["peers"]
    figure, axes = plt.subplots(figsize=(7, 4))
    for key in keys_of(data):
        line(axes, key, [p[0] for p in data[key]],
             [p[1] / 1e3 for p in data[key]], marker="o")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set(xlabel="peers", ylabel="us of processor time for each",
             title="A broadcast of 1 KiB")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


CHARTS = {"throughput": throughput, "latency": latency, "shares": shares,
          "peers": peers}


def draw(results, folder):
    os.makedirs(folder, exist_ok=True)
    with plt.rc_context(SETTINGS):
        for name, chart in CHARTS.items():
            figure = chart(results["series"])
            figure.savefig(os.path.join(folder, f"{name}.svg"),
                           bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)
