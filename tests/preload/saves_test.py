# SPDX-License-Identifier: Apache-2.0
"""The address book of a seed whose saves end in the middle: by SIGKILL and
SIGTERM, at each of their system calls and at instants that are drawn, and for
lack of room on the disk.  After each end both files are whole and have all that
they had, and the next start finds nothing wrong with them.

CMT_SAVES is how many instants are drawn for each signal, by default 25;
CMT_SAVES_SEED repeats those of an earlier run, which printed it."""

import concurrent.futures
import errno
import http.client
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "../e2e"))
from e2e import *  # noqa: E402,F403

RELEASED = os.path.join(ARGUMENTS.release, "cometp2p")
SAVES = os.path.join(ARGUMENTS.build, "preload-saves.so")
DRAWN = int(os.environ.get("CMT_SAVES", "25"))
SEED = int(os.environ.get("CMT_SAVES_SEED", time.time_ns() % 1000000))
ENTRIES = 1500
TOGETHER = 8  # They wait more than they compute.
FAILED = "Failed to save AddrBook to file"
TIME = "2026-01-02T03:04:05Z"


def make_home(folder):
    """A home with a book, half of it proven."""
    path = os.path.join(folder, "home")
    equal(run("init", "--home", path, "--chain-id", "chain-1")[0], 0, "init")
    draw = random.Random(1)
    addrs = []
    for i in range(ENTRIES):
        addr = {"id": f"{draw.getrandbits(160):040x}",
                "ip": f"5.{i % 250}.{i // 250}.1", "port": 26656}
        addrs.append({"addr": addr, "src": addr, "buckets": [0], "attempts": 0,
                      "bucket_type": 1, "last_attempt": TIME,
                      "last_success": TIME, "last_ban_time": TIME})
    with open(book(path), "w", encoding="utf-8") as file:
        json.dump({"key": "0123456789abcdef01234567", "addrs": addrs}, file)
    with open(side(path), "w", encoding="utf-8") as file:
        json.dump({"hash_key": "00" * 32, "entries": [
            {**a["addr"], "proven": TIME} for a in addrs[::2]], "bans": []},
            file)
    return path


def book(home):
    return os.path.join(home, "config/addrbook.json")


def side(home):
    return os.path.join(home, "config/addrbook.cometp2p.json")


def ids(home):
    """What both files have; they are whole."""
    with open(book(home), encoding="utf-8") as file:
        main = {entry["addr"]["id"] for entry in json.load(file)["addrs"]}
    with open(side(home), encoding="utf-8") as file:
        proven = {entry["id"] for entry in json.load(file)["entries"]
                  if "proven" in entry}
    return main, proven


class Seed(Process):
    """A seed of |home|, ready; |variables| are for what is preloaded."""

    def __init__(self, home, **variables):
        plain = {name: value for name, value in os.environ.items()
                 if not name.startswith(("CMT", "TMHOME"))}
        options = preloaded(SAVES, **variables)
        options["env"] = {**plain, "LD_PRELOAD": options["env"]["LD_PRELOAD"],
                          **variables}
        super().__init__([RELEASED, "seed", "--home", home, "--p2p.laddr",
                          "tcp://127.0.0.1:0", "--log_level", "info"],
                         **options)
        self.until(lambda line: "Started node" in line)

    def term(self):
        self.signal(signal.SIGTERM)
        return self.exit()


def clean_run(folder, home):
    """One run without a failure: the calls of its save, and the time from the
    first of them to the last, in microseconds."""
    path = os.path.join(folder, "count")
    with Seed(home, CMT_SAVES_COUNT=path) as seed:
        equal(seed.term(), 0)
        equal(seed.errors(), "")
        check(FAILED not in "\n".join(seed.seen), seed.seen)
    with open(path, encoding="utf-8") as file:
        calls, failed, took_us = map(int, file.read().split())
    equal(failed, 0)
    return calls, took_us


def fresh(folder, number):
    """A home of its own, with what the files of a save are."""
    own = os.path.join(folder, str(number))
    os.mkdir(own)
    home = make_home(own)
    clean_run(own, home)
    return own, home, ids(home)


def whole(folder, home, before, what):
    """Nothing is lost, and the next start has nothing to say about it."""
    equal(ids(home), before, what)
    aside = [n for n in names(os.path.dirname(book(home))) if "broken" in n]
    with Seed(home) as seed:
        equal(seed.term(), 0, what)
        equal(seed.errors(), "", what)
        check("addrbook" not in "\n".join(
            line for line in seed.seen if line.startswith(("E[", "W["))),
            (what, seed.seen))
    equal(ids(home), before, what)
    equal([n for n in names(os.path.dirname(book(home))) if "broken" in n],
          aside, what)


def spread(folder, cases, one):
    """Calls |one| for all |cases|, each thread with a home of its own."""
    def work(number):
        own, home, before = fresh(folder, number)
        for case in cases[number::TOGETHER]:
            one(own, home, before, case)

    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(work, range(TOGETHER)))


def ended(home, code, rush=False, **variables):
    """A seed whose save ends it, the one at its stop or one before."""
    if rush:
        variables["CMT_SAVES_RUSH"] = "1"
    with Seed(home, **variables) as seed:
        if not rush:
            seed.signal(signal.SIGTERM)
        equal(seed.exit(), code, (variables, seed.seen))
        return seed.errors()


def killed_at_each_call(folder):
    """SIGKILL at each call of the save at the end."""
    own, home, _ = fresh(folder, "count")
    calls, _ = clean_run(own, home)
    check(calls > 20, calls)

    def one(own, home, before, at):
        ended(home, -signal.SIGKILL, CMT_SAVES_KILL=f"{at}:9")
        whole(own, home, before, f"SIGKILL at call {at} of {calls}")

    spread(folder, range(calls), one)


def ended_at_each_call(folder):
    """Both signals at each call of a save on its thread; after SIGTERM the
    process saves once more and ends as always."""
    own, home, _ = fresh(folder, "count")
    calls, _ = clean_run(own, home)

    def one(own, home, before, case):
        at, number = case
        ended(home, 0 if number == signal.SIGTERM else -number, rush=True,
              CMT_SAVES_KILL=f"{at}:{number:d}")
        whole(own, home, before, f"signal {number} at call {at} of {calls}")

    spread(folder, [(at, number) for at in range(calls)
                    for number in (signal.SIGKILL, signal.SIGTERM)], one)


def drawn(folder, number):
    """The signal comes at an instant of the save that is drawn."""
    own, home, _ = fresh(folder, "count")
    took_us = min(clean_run(own, home)[1] for _ in range(3))
    draw = random.Random(f"{SEED} {number}")
    cases = [draw.randrange(took_us) for _ in range(DRAWN)]
    print(f"# {DRAWN} times within {took_us / 1000:.1f} ms; again: "
          f"CMT_SAVES_SEED={SEED}")
    late = 0

    def one(own, home, before, us):
        nonlocal late
        rush = number == signal.SIGTERM
        with Seed(home, CMT_SAVES_AFTER=f"{us}:{number:d}",
                  **{"CMT_SAVES_RUSH": "1"} if rush else {}) as seed:
            if not rush:
                seed.signal(signal.SIGTERM)
            code = seed.exit()
            late += code == 0
            check(code == 0 or code == -signal.SIGKILL and not rush,
                  (us, code, seed.seen))
            if code == 0:
                equal(seed.errors(), "", us)
        whole(own, home, before, f"signal {number} after {us} us")

    spread(folder, cases, one)
    if number == signal.SIGKILL:
        print(f"# {late} of {DRAWN} had saved before")


# ---- a disk that takes nothing ----


def full_at_each_call(folder):
    """The disk has no room at one call of a save: one line, nothing is left
    behind, and the next save has all."""
    own, home, _ = fresh(folder, "count")
    calls, _ = clean_run(own, home)
    reason = os.strerror(errno.ENOSPC)
    silent = 0

    def one(own, home, before, at):
        nonlocal silent
        path = os.path.join(own, "count")
        what = f"call {at} of {calls} fails"
        with Seed(home, CMT_SAVES_RUSH="1", CMT_SAVES_COUNT=path,
                  CMT_SAVES_FAIL=f"{at}:1:{errno.ENOSPC}") as seed:
            for _ in range(2):
                seed.until(lambda line: "Saving AddrBook to file" in line)
            equal(seed.term(), 0, what)
            said = [line for line in seed.seen if FAILED in line]
            equal(seed.errors(), "", what)
        with open(path, encoding="utf-8") as file:
            equal(file.read().split()[1], "1", what)
        check(len(said) <= 1 and all(reason in line for line in said),
              (what, said))
        silent += not said
        equal([n for n in names(os.path.dirname(book(home)))
               if n.endswith(".tmp")], [], what)
        whole(own, home, before, what)

    spread(folder, range(calls), one)
    # The two calls of the folder after each file may fail.  What was dialed
    # meanwhile may take a write() or two more than the save that was counted,
    # so that the last calls are not reached.
    check(2 <= silent <= 4, silent)


def nothing_is_saved(folder, number):
    """No file can be written: the seed starts and serves, says so in a line, and
    counts; at its end it says so once more and fails, with the book as it was."""
    own, home, before = fresh(folder, "home")
    reason = os.strerror(number)
    with Seed(home, CMT_SAVES_RUSH="1",
              CMT_SAVES_FAIL=f"0:1000000:{number:d}",
              CMT_INSTRUMENTATION_PROMETHEUS="true",
              CMT_INSTRUMENTATION_PROMETHEUS_LISTEN_ADDR="127.0.0.1:0") as seed:
        at = seed.until(lambda line: "Serving metrics" in line)
        for _ in range(2):
            line = seed.until(lambda line: FAILED in line)
            check(reason in line, line)
        client = http.client.HTTPConnection(
            re.search(r"addr=(\S+)", at)[1], timeout=LIMIT)
        client.request("GET", "/metrics")
        page = client.getresponse().read().decode()
        client.close()
        count = re.search(r'\ncometp2p_addrbook_saves_total\{chain_id="chain-1",'
                          r'outcome="failed"\} (\d+)\n', page)
        check(count and int(count[1]) >= 2, page)
        equal(seed.term(), 1)
        said = seed.errors().splitlines()
        equal(len(said), 1, said)
        check(reason in said[0] and "addrbook.json" in said[0], said)
        once = [line for line in seed.seen if "stays in memory" in line]
        equal(len(once), 1, once)
    whole(own, home, before, reason)


# ---- files that are broken ----


def broken_files(folder):
    """A start with what is no book: one line, the file is kept aside, and a book
    is saved again."""
    for number, (of, text) in enumerate((
            (book, ""), (book, "{"), (book, "[1]"), (book, "\0" * 5000),
            (side, ""), (side, "nothing"), (side, '{"entries":[{"id":"'))):
        own = os.path.join(folder, str(number))
        os.mkdir(own)
        home = make_home(own)
        clean_run(own, home)
        main, _ = ids(home)
        with open(of(home), "w", encoding="utf-8") as file:
            file.write(text)
        with Seed(home) as seed:
            equal(seed.term(), 0, text)
            equal(seed.errors(), "", text)
            said = [line for line in seed.seen if "is no JSON" in line]
            equal(len(said), 1, (text, seed.seen))
            check(os.path.basename(of(home)) in said[0], said)
        with open(of(home) + ".broken", encoding="utf-8") as file:
            equal(file.read(), text)
        equal(ids(home)[0], main if of is side else set(), text)
        whole(own, home, ids(home), text)


TESTS = [
    ("SIGKILL at each call of the save at the end", killed_at_each_call),
    ("both signals at each call of a save on its thread", ended_at_each_call),
    ("SIGKILL at instants of the save", drawn, signal.SIGKILL),
    ("SIGTERM at instants of the save", drawn, signal.SIGTERM),
    ("a full disk at each call of a save", full_at_each_call),
    ("a disk that stays full", nothing_is_saved, errno.ENOSPC),
    ("a home that is read only", nothing_is_saved, errno.EROFS),
    ("broken files", broken_files),
]

if __name__ == "__main__":
    Tap().main(TESTS)
