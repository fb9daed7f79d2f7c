# SPDX-License-Identifier: Apache-2.0
"""The kept inputs of the fuzz targets, given to us and to CometBFT itself.

For each input of tests/fuzz/corpus that is a node info, a handshake message or
a stream of packets both sides have to come to the same verdict and to give out
the same, or the difference stands in INTENDED with its reason.
"""

import collections
import functools
import json
import pathlib
import subprocess

from harness import Failure, check

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "corpus"
KINDS = ("node_info", "first message", "second message", "packets")
ANNOUNCED_MAX = 4000
TIME_S = 120


def starts_with(longer, shorter):
    return longer[:len(shorter)] == shorter


def is_name(ours, theirs):
    return (theirs["verdict"] == "not resolved"
            and ours["verdict"] in ("valid", "invalid")
            and ours["fields"] == theirs["fields"])


def is_long(ours, theirs):
    return (ours["announced"] > ANNOUNCED_MAX and ours["verdict"] == "refused"
            and theirs["verdict"] == "end of stream")


def is_one_over(ours, theirs):
    limit = theirs["text"].partition("exceeds max size (")[2].split(" > ")
    return (theirs["verdict"] == "refused" and len(limit) == 2
            and int(limit[0]) == int(limit[1].rstrip(")")) + 1
            and starts_with(ours["out"], theirs["out"]))


def is_early(ours, theirs):
    return (ours["verdict"] == "refused" and ours["out"] == theirs["out"]
            and theirs["verdict"] == "end of stream"
            and ours["text"] in ("CMT_EUNKNOWNCHANNEL", "CMT_EMSGSIZE",
                                 "CMT_EPROTO"))


# Kinds, the reason, and what tells such a difference.
INTENDED = (
    (("node_info",), "a host name is checked for its syntax only, there it is "
     "resolved before anything else is looked at", is_name),
    (("first message", "second message"), "a message announced with more than "
     f"{ANNOUNCED_MAX} bytes is refused at once, there above 1 MiB", is_long),
    (("packets",), "one byte over the limit is accepted on channels from 0x80 "
     "up, whose last packets cost it", is_one_over),
    (("packets",), "a packet is refused by its header, there when it is whole, "
     "and this stream ends before", is_early),
)


def normalised(case):
    return {"announced": 0, "text": "", "out": [], "fields": {},
            **{k: v for k, v in case.items() if v is not None}}


def judged(command, **kwargs):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=TIME_S, **kwargs)
    check(done.returncode == 0, f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


@functools.lru_cache
def verdicts(ours, theirs):
    """Pairs of our case and their verdict, in the order of the corpus."""
    cases = judged([ours, CORPUS])
    answers = judged([theirs], input=cases)
    pairs = [tuple(normalised(json.loads(line)) for line in lines)
             for lines in zip(cases.splitlines(), answers.splitlines(),
                              strict=True)]
    for case, answer in pairs:
        check(case["name"] == answer["name"], f"{case} stands beside {answer}")
    return pairs


def agree(ours, theirs):
    return all(ours[key] == theirs[key] for key in ("verdict", "out", "fields"))


def intended(kind, ours, theirs):
    for kinds, reason, tells in INTENDED:
        if kind in kinds and tells(ours, theirs):
            return reason
    return None


def describe(ours, theirs):
    shown = ("verdict", "text", "out")
    return "{}: we {}, they {}".format(
        ours["name"], {k: ours[k] for k in shown},
        {k: theirs[k] for k in shown})


def compare(kind, context, _programs):
    pairs = [pair for pair in verdicts(
        context.peer.parent / "interop_oracle",
        context.gopeer.parent / f"gooracle-{context.version}")
        if pair[0]["kind"] == kind]
    check(pairs, "the corpus has none")
    counts, wrong = collections.Counter(), []
    for ours, theirs in pairs:
        reason = None if agree(ours, theirs) else intended(kind, ours, theirs)
        if reason is not None:
            counts[reason] += 1
        elif not agree(ours, theirs):
            wrong.append(describe(ours, theirs))
    for verdict, count in sorted(collections.Counter(
            ours["verdict"] for ours, _ in pairs).items()):
        print(f"# {kind}: {count} of {len(pairs)} we find \"{verdict}\"")
    for reason, count in counts.items():
        print(f"# {kind}: {count} of {len(pairs)} differ as intended: {reason}")
    if wrong:
        raise Failure("\n# ".join([f"{len(wrong)} differ", *wrong[:10]]))


def every():
    return [(f"the kept inputs of the fuzz targets: {kind}",
             functools.partial(compare, kind)) for kind in KINDS]
