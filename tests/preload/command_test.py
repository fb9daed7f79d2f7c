# SPDX-License-Identifier: Apache-2.0
"""The command without memory for its JSON: each allocation inside jansson
fails, each in a process of its own.  It ends with one clear line, every line of
output is whole, and no file is there in part."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "../e2e"))
from e2e import *  # noqa: E402,F403

# The preloaded functions and those of a sanitizer do not go together.
RELEASED = os.path.join(ARGUMENTS.release, "cometp2p")
STARVE = os.path.join(ARGUMENTS.build, "preload-starve.so")
DRAWN = 24  # Each of so many at most fails.
WITHOUT = "out of memory"


def starved(folder, fail_at):
    """How to start a process whose allocation |fail_at| fails."""
    return preloaded(STARVE, CMT_STARVE=str(fail_at),
                     CMT_STARVE_COUNT=os.path.join(folder, "count"))


def run_starved(folder, fail_at, *args):
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, "count"))
    done = subprocess.run([RELEASED, *map(str, args)], capture_output=True,
                          timeout=LIMIT, **starved(folder, fail_at))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def allocations(folder):
    with open(os.path.join(folder, "count")) as f:
        return int(f.read())


def check_lines(out, what):
    check(out == "" or out.endswith("\n"), (what, out))
    for line in out.splitlines():
        check("event" in json.loads(line), (what, line))


def fails_each(folder, prepare, holds):
    """Runs the arguments that |prepare| gives, without a failure and then with
    each; |holds| looks at what is left."""
    code, out, err = run_starved(folder, 1 << 60, *prepare())
    equal(code, 0, err)
    check_lines(out, "as usual")
    holds()
    count = allocations(folder)
    check(count > 5, count)
    chosen = sorted({i * count // DRAWN for i in range(DRAWN)})
    print(f"# {len(chosen)} of {count} allocations fail")
    for fail_at in chosen:
        code, out, err = run_starved(folder, fail_at, *prepare())
        what = f"allocation {fail_at} fails: {code} {out!r} {err!r}"
        if code == 0:  # Lines about time are not always as many.
            check(allocations(folder) <= fail_at and err == "", what)
        else:
            equal((code, err), (1, f"cometp2p: {WITHOUT}\n"), what)
        check_lines(out, what)
        holds()


def version(folder):
    fails_each(folder, lambda: ("version", "--json"), lambda: None)


def key_gen(folder):
    path = os.path.join(folder, "key.json")

    def prepare():
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        return "key", "gen", path, "--json"

    def holds():
        """The key is whole if it is there, and nothing else is."""
        left = [n for n in names(folder) if n != "count"]
        check(left in ([], ["key.json"]), left)
        if left:
            equal(run("key", "show", path)[0], 0, "key show")

    fails_each(folder, prepare, holds)


def key_show(folder):
    path = os.path.join(folder, "key.json")
    equal(run("key", "gen", path)[0], 0)
    fails_each(folder, lambda: ("key", "show", path, "--json"), lambda: None)


def probe(folder):
    with Listen() as node:
        fails_each(folder, lambda: ("probe", node.address, "--count", "1",
                                    "--json"), lambda: None)


def send(folder):
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, "file", 100000)

    def holds():
        """What has the file's name is the file."""
        there = os.path.join(out, "file")
        check(not os.path.exists(there) or file_hash(there) == digest, there)

    def prepare():
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(out, "file"))
        return "send", node.address, path, "--json"

    with Listen("--out", out) as node:
        fails_each(folder, prepare, holds)


def listen(folder):
    """The one that listens has no memory while a file arrives."""
    path, digest = make_file(folder, "file", 100000)
    for fail_at in range(0, 300, 15):
        out = os.path.join(folder, f"out{fail_at}")
        node = subprocess.Popen(
            [RELEASED, "listen", "--laddr", "127.0.0.1:0", "--json", "--out",
             out], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **starved(folder, fail_at))
        ready = node.stdout.readline().decode()
        if ready:
            got = json.loads(ready)
            run("send", f"{got['id']}@{got['laddr']}", path)
            node.terminate()
        got, err = node.communicate(timeout=LIMIT)
        what = f"allocation {fail_at} fails: {node.returncode} {err}"
        check_lines(got.decode(), what)
        check(node.returncode in (0, 1), what)
        check(node.returncode == 0 or WITHOUT in err.decode(), what)
        there = os.path.join(out, "file")
        check(not os.path.exists(there) or file_hash(there) == digest, what)


if __name__ == "__main__":
    Tap().main([
        ("version", version),
        ("key gen", key_gen),
        ("key show", key_show),
        ("probe", probe),
        ("send", send),
        ("listen", listen),
    ])
