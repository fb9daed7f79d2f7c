#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares our reader of TOML with that of Python.

usage: toml.py PROGRAM   (toml_json)

Both read the sample files of nodes, the texts below, and texts that are drawn
from pieces of TOML and mutated: one must accept what the other accepts, with the
same values.
"""
import datetime
import glob
import json
import math
import os
import random
import subprocess
import sys
import tempfile

try:
    import tomllib
except ImportError:  # Before Python 3.11.
    tomllib = None

HERE = os.path.dirname(os.path.abspath(__file__))
DRAWN = 6000

VALUES = [
    "1", "-0", "+7", "0x1f", "0o17", "0b1", "1_000", "1.5", "6e-3", "inf", "-nan",
    "true", "false", '"s"', '"\\u00e9\\n"', "'l\\it'", '"""m\nn"""',
    "'''m\n\nn'''", '"""a\\\n  b"""', "1979-05-27", "07:32:00",
    "1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5-07:00", "[1, 2]",
    "[\n1, # c\n]", "{y = 1, z.w = 2}", "[]", "{}", "[{a = [1]}, 'b']",
]

PIECES = VALUES + [
    "a", "b", "p2p", '"q r"', "'l'", ".", " = ", "=", "\n", "\n", "\n", "[", "]",
    "[[", "]]", "{", "}", ",", ", ", "# c\n", "01", "[p2p]\n", "[a.b]\n",
    "[[c]]\n", "a.b = 1\n", "\t", "\r\n", "\u00e9",
]

TEXTS = [
    "", "# c", "a=1", "a = 1\na = 2", "[a]\n[a]", "[a.b]\n[a]", "[a]\nb.c=1\n[a.b]",
    "a.b=1\n[a]", "a={b=1}\n[a.c]", "a={b=1}\na.c=2", "[[a]]\n[a.b]\n[[a]]\n[a.b]",
    "a=[]\n[[a]]", "a=[1,]", "a={b=1,}", "a={\n}", "a.b.c=1\na.b.d=2",
    "[a.b.c]\nz=9\n[a]\nb.c.t=1", "a='''''''", 'a="""""""', "a=''''''''''''",
    "a=1979-02-30", "a=24:00:00", "a=1979-05-27 07:32", "''=1", '"a.b".c=1',
    "a = \"\\x\"", "a=\"\\ud800\"", "a = 1 2", "[a]]", "[[a]", "[ a . b ]\nc=1",
    "a=0_1", "a=1_", "a=_1", "a=1.", "a=.1", "a=1e5", "a=0x", "a=-0x1", "a=0xG",
    "a=+inf", "a=TRUE", "\ufeffa=1", "a=1\r", "a='\x7f'", "a=\"\t\"", "x" * 300 + "=1",
]


def plain(value):
    """The value of Python in the form that toml_json prints."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("integer", value)
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value)
    if isinstance(value, (datetime.date, datetime.time)):
        return ("time",)
    return ("string", value)


def ours(value):
    """What toml_json printed, in the same form."""
    if isinstance(value, list):
        return [ours(one) for one in value]
    if set(value) == {"type", "value"} and isinstance(value["type"], str):
        kind, text = value["type"], value["value"]
        if kind == "time":
            return ("time",)
        if kind == "integer":
            return ("integer", int(text))
        if kind == "bool":
            return ("bool", text == "true")
        if kind == "float":
            number = float(text.replace("_", ""))
            return ("float", "nan" if math.isnan(number) else number)
        return (kind, text)
    return {key: ours(one) for key, one in value.items()}


def too_long(value):
    """It has an integer that is refused for its size."""
    if isinstance(value, (dict, list)):
        return any(too_long(one) for one in
                   (value.values() if isinstance(value, dict) else value))
    return value[0] == "integer" and not -2**63 <= value[1] < 2**63


def wanted_of(data):
    """What Python reads; None: nothing."""
    try:
        # The mark of the byte order is ours to drop.
        text = data.decode("utf-8").removeprefix("\ufeff")
        return plain(tomllib.loads(text))
    except (ValueError, RecursionError):
        return None


def read_all(program, inputs):
    """The line that the program prints for each input."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, str(i)) for i in range(len(inputs))]
        for path, data in zip(paths, inputs):
            with open(path, "wb") as file:
                file.write(data)
        lines = []
        for i in range(0, len(paths), 500):
            done = subprocess.run([program, *paths[i:i + 500]], check=True,
                                  stdout=subprocess.PIPE)
            lines += done.stdout.decode().splitlines()
    return lines


def compare(data, line):
    """None, or how the two readers differ about |data|."""
    wanted = wanted_of(data)
    found = None if line.startswith("!") else ours(json.loads(line))
    if found == wanted or (found is None and wanted and too_long(wanted)):
        return None
    return f"found {found} {line[:80]}, wanted {wanted}"


def draw(number, samples):
    """The text of that number."""
    source = random.Random(number)
    if number % 3 == 0:
        text = "".join(source.choice(PIECES)
                       for _ in range(source.randint(1, 14)))
        return text.encode()
    if number % 3 == 1:
        rows = [f"{source.choice('abc')}{source.choice(['', '.d', '.a'])} = "
                f"{source.choice(VALUES)}\n" for _ in range(3)]
        heads = [source.choice(["[a]", "[a.d]", "[[b]]", "[c.d.e]", "[b.a]"])
                 + "\n" for _ in range(2)]
        lines = rows + heads
        source.shuffle(lines)
        return "".join(lines).encode()
    data = bytearray(source.choice(samples))
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(data))
        data[at:at + source.randint(0, 2)] = source.choice(PIECES).encode()
    return bytes(data)


def main(program):
    if tomllib is None:
        print("1..0 # SKIP Python has no reader of TOML before 3.11")
        return 0
    samples = []
    for path in sorted(glob.glob(os.path.join(HERE, "samples/*.toml"))):
        with open(path, "rb") as file:
            samples.append(file.read())
    inputs = samples + [text.encode() for text in TEXTS]
    short = [sample[i:i + 1500] for sample in samples
             for i in range(0, len(sample), 1500)]
    inputs += [draw(number, short) for number in range(DRAWN)]
    lines = read_all(program, inputs)
    faults = [f"{data[:300]!r}: {fault}"[:900]
              for data, line in zip(inputs, lines)
              if (fault := compare(data, line)) is not None]
    accepted = sum(not line.startswith("!") for line in lines)
    passed = (not faults and len(samples) == 4 and len(lines) == len(inputs)
              and accepted > len(inputs) // 10)
    print(f"{'ok' if passed else 'not ok'} 1 - {len(inputs)} texts are read as "
          "Python reads them")
    print(f"# {accepted} of them are TOML")
    for fault in faults[:10]:
        print(f"# {fault}")
    print("1..1")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
