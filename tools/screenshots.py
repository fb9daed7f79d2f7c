#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the pictures of docs/screenshots: what a terminal shows of a seed.

usage: screenshots.py --build DIR

Runs a seed and three nodes that know it alone, on loopback, and draws what the
seed and its pages print.  Nothing is edited but the name of the folder."""

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time

import rich.console
import rich.terminal_theme
import rich.text

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
PICTURES = os.path.join(ROOT, "docs", "screenshots")
WIDTH = 120
LIMIT_S = 60
NODES = 3
SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})"
  clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g>
</svg>
"""
ENVIRONMENT = {"CMT_P2P_ADDR_BOOK_STRICT": "false",
               "CMT_P2P_ALLOW_DUPLICATE_IP": "true"}


def draw(name, title, lines):
    console = rich.console.Console(record=True, width=WIDTH, file=io.StringIO())
    for line in lines:
        style = "bold" if line.startswith("$ ") else ""
        console.print(rich.text.Text(line, style=style, overflow="fold"))
    picture = console.export_svg(
        title=title, code_format=SVG, unique_id=name,
        theme=rich.terminal_theme.DEFAULT_TERMINAL_THEME)
    os.makedirs(PICTURES, exist_ok=True)
    path = os.path.join(PICTURES, f"{name}.svg")
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE))
    print(path)


class Terminal:
    """Commands in one folder, as a shell would show them."""

    def __init__(self, folder, build):
        path = os.path.realpath(build) + os.pathsep + os.environ["PATH"]
        self.folder = folder
        self.env = {**os.environ, **ENVIRONMENT, "PATH": path, "TZ": "UTC"}
        self.ends = contextlib.ExitStack()

    def run(self, line):
        done = subprocess.run(["sh", "-c", line], cwd=self.folder, env=self.env,
                              capture_output=True, text=True, timeout=LIMIT_S,
                              check=False)
        if done.returncode != 0:
            raise SystemExit(f"{line}: {done.stderr}")
        return [f"$ {line}", *done.stdout.splitlines()]

    def start(self, line, log):
        """Starts a daemon whose output goes into the file |log|."""
        with open(os.path.join(self.folder, log), "wb") as out:
            child = subprocess.Popen(["sh", "-c", f"exec {line}"], stdout=out,
                                     cwd=self.folder, env=self.env)
        self.ends.callback(child.wait, LIMIT_S)
        self.ends.callback(child.terminate)

    def until(self, log, pattern, count=1):
        """The lines of |log| once |count| of them match."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            with open(os.path.join(self.folder, log), encoding="utf-8") as file:
                lines = file.read().splitlines()
            found = [match for line in lines
                     for match in [re.search(pattern, line)] if match]
            if len(found) >= count:
                return lines, found
            time.sleep(0.05)
        raise SystemExit(f"{log} has no {pattern}: {lines}")


def take(terminal):
    made = terminal.run("cometp2p init --home seed --chain-id my-chain")
    line = ("cometp2p seed --home seed --p2p.laddr tcp://127.0.0.1:0 "
            "--http 127.0.0.1:0 --log_level \"p2p:debug,*:info\"")
    terminal.start(line, "seed.log")
    _, found = terminal.until("seed.log", r"Serving pages .*addr=(\S+)")
    pages = "http://" + found[0][1]
    asked = terminal.run(f"curl -s {pages}/seed")
    for i in range(NODES):
        terminal.run(f"cometp2p init --home n{i} --chain-id my-chain")
        terminal.start(f"cometp2p node --home n{i} --p2p.laddr "
                       f"tcp://127.0.0.1:0 --p2p.seeds {asked[1]}", f"n{i}.log")
    log, _ = terminal.until("seed.log", "the visit is over", NODES)
    draw("seed", "a seed", [*made, f"$ {line}", *log])
    draw("pages", "its pages",
         [*asked, *terminal.run(f"curl -s {pages}/live_peers.csv"),
          *terminal.run(f"curl -s {pages}/live_peers"),
          *terminal.run(f"curl -s {pages}/healthz")])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    build = parser.parse_args().build
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(folder, build)
        with terminal.ends:
            take(terminal)


if __name__ == "__main__":
    sys.exit(main())
