# SPDX-License-Identifier: Apache-2.0
"""Arguments: help, bad values, keys, version."""

import os
import re
import stat

from e2e import *

ID = "1" * 40
SEND = ["send", ID + "@127.0.0.1:1", "--lines", "-"]
LISTEN = ["listen", "--laddr", "127.0.0.1:0"]
PROBE = ["probe", "127.0.0.1:1"]

# Arguments, and what the one line on standard error must hold.
BAD = [
    (["frobnicate"], ["frobnicate", "init, key, listen, send, probe"]),
    (["listen"], ["--laddr", "missing"]),
    (["listen", "--laddr", "x"], ["--laddr 'x'"]),
    (["listen", "--laddr", "127.0.0.1"], ["--laddr '127.0.0.1'"]),
    (["listen", "--laddr", "127.0.0.1:70000"], ["70000"]),
    (["listen", "--laddr", ID + "@127.0.0.1:1"], ["--laddr"]),
    (LISTEN + ["file"], ["no arguments"]),
    (LISTEN + ["--dial", "127.0.0.1:1"], ["--dial '127.0.0.1:1'", "id"]),
    (LISTEN + ["--dial", "12@127.0.0.1:1"], ["--dial", "id"]),
    (LISTEN + ["--out", ""], ["--out ''", "it must not be empty"]),
    (LISTEN + ["--out", "d", "--quota", "0"],
     ["--quota '0'", "expected 1 byte or more, such as 500M or 20G"]),
    (LISTEN + ["--out", "d", "--quota", "lots"], ["--quota 'lots'"]),
    (LISTEN + ["--out", "d", "--quota", "-1"], ["--quota '-1'"]),
    (LISTEN + ["--quota", "1"],
     ["--quota and --allow-dotfiles need --out"]),
    (LISTEN + ["--allow-dotfiles"], ["need --out"]),
    (LISTEN + ["--allow", "x"],
     ["--allow 'x'", "expected an id of 40 hex digits"]),
    (LISTEN + ["--allow", "g" * 40], ["--allow", "40 hex digits"]),
    (LISTEN + ["--allow", ID + "@127.0.0.1:1"], ["40 hex digits"]),
    (LISTEN + ["--allow", ID[:-1] + "@"], ["40 hex digits"]),
    (SEND + ["--allow", ID], ["unknown option '--allow'"]),
    (LISTEN + ["--echo", "--discard"], ["--echo and --discard exclude each other"]),
    (LISTEN + ["--max-inbound", "x"], ["--max-inbound 'x'", "0 to 65535"]),
    (LISTEN + ["--max-inbound", "-1"], ["--max-inbound '-1'"]),
    (LISTEN + ["--max-peers-per-ip", "65536"], ["65536", "0 to 65535"]),
    (LISTEN + ["--max-handshakes-per-ip", "-1"], ["0 to 65535"]),
    (LISTEN + ["--ip6-prefix", "0"], ["--ip6-prefix '0'", "1 to 128"]),
    (LISTEN + ["--ip6-prefix", "129"], ["--ip6-prefix '129'", "1 to 128"]),
    (LISTEN + ["--lines", "-"], ["unknown option '--lines'"]),
    (LISTEN + ["--ping-interval", "10"], ["'10'", "500ms, 60s or 2m"]),
    (LISTEN + ["--ping-interval", "s"], ["'s'", "duration"]),
    (LISTEN + ["--ping-interval", "0s"], ["longer than 0"]),
    (LISTEN + ["--ping-interval", "1 s"], ["'1 s'", "duration"]),
    (LISTEN + ["--ping-interval", "99999999999999999999s"], ["duration"]),
    (LISTEN + ["--pong-timeout", "60s"],
     ["60000 ms is not shorter than the ping interval of 60000 ms"]),
    (LISTEN + ["--ping-interval", "1ns"],
     ["--ping-interval: it is too short"]),
    (LISTEN + ["--ping-interval", "1s", "--pong-timeout", "1s"],
     ["--pong-timeout", "1000 ms", "shorter"]),
    (LISTEN + ["--flush-throttle", "fast"], ["--flush-throttle 'fast'"]),
    (LISTEN + ["--send-rate", "fast"], ["--send-rate 'fast'", "such as 500k"]),
    (LISTEN + ["--send-rate", "-1"], ["--send-rate '-1'"]),
    (LISTEN + ["--recv-rate", "10000000001"], ["0 to 10000000000 bytes"]),
    (LISTEN + ["--recv-rate", "x"], ["--recv-rate 'x'"]),
    (LISTEN + ["--max-packet-payload", "15"], ["'15'", "16 to 65536"]),
    (LISTEN + ["--max-packet-payload", "65537"], ["'65537'", "16 to 65536"]),
    (LISTEN + ["--log-level", "loud"], ["error, warn, info or debug"]),
    (LISTEN + ["--network", ""], ["--network ''", "empty"]),
    (LISTEN + ["--network"], ["--network needs a value"]),
    *[(verb + ["--moniker", moniker],
       ["--moniker '", "expected 1 or more printable ASCII characters, not "
        "only spaces"])
      for verb in (LISTEN, SEND, PROBE)
      for moniker in ("", " ", "   ", "\t", "a\nb", "\x01", "a\x7f",
                      "\u00fc", "\U0001f600", os.fsdecode(b"\xff"))],
    *[(verb + [option, "x" * 9800],
       ["--moniker and --network have 9808 bytes together: at most 9728"])
      for verb in (LISTEN, SEND, PROBE)
      for option in ("--moniker", "--network")],
    (LISTEN + ["--frob"], ["unknown option '--frob'"]),
    (LISTEN + ["-15"], ["unknown option '-1'"]),
    (LISTEN + ["--channel", "256"], ["--channel '256'", "the id is 0 to 255, decimal or hex"]),
    (LISTEN + ["--channel", "x"], ["0 to 255"]),
    (LISTEN + ["--channel", ""], ["0 to 255"]),
    (LISTEN + ["--channel", "0x"], ["0 to 255"]),
    (LISTEN + ["--channel", "1:0"], ["priority is 1 to 65535"]),
    (LISTEN + ["--channel", "1:65536"], ["priority is 1 to 65535"]),
    (LISTEN + ["--channel", "1:1:0"], ["queue is 1 to 1000000"]),
    (LISTEN + ["--channel", "1:1:1:0"], ["largest message"]),
    (LISTEN + ["--channel", "1:1:1:2GiB"], ["largest message"]),
    (LISTEN + ["--channel", "1:1:1:1:1"], ["a channel is ID"]),
    (LISTEN + ["--channel", "1=file"], ["files, lines, echo or discard"]),
    (LISTEN + ["--channel", "1=files", "--channel", "0x01=echo"],
     ["'0x01=echo'", "used twice"]),
    (LISTEN + ["--channel", "1:1:1:500=files"], ["512 bytes"]),
    (LISTEN + ["--channel", "1:1:1:10=lines"], ["lines needs messages of 16 bytes"]),
    (LISTEN + ["--channel", "1:1:1:65546=lines"],
     ["the role lines has messages of at most 65545 bytes, a line of 64 KiB"]),
    (SEND + ["--channel", "1:1:1:21M=lines"], ["'1:1:1:21M=lines'", "64 KiB"]),
    (LISTEN + [x for i in range(17) for x in ("--channel", str(i))],
     ["'16'", "at most 16"]),
    (["send"], ["ID@HOST:PORT is missing"]),
    (["send", ID + "@127.0.0.1:1"], ["nothing to send"]),
    (["send", "127.0.0.1:1", "file"], ["id"]),
    (["send", "file", ID + "@127.0.0.1:1"], ["file"]),
    (SEND + ["--channel", "1=files"], ["--lines needs one with =lines"]),
    (["send", ID + "@127.0.0.1:1", "file", "--channel", "1=lines"],
     ["files need one with =files"]),
    (SEND + ["--laddr", "127.0.0.1:0"], ["unknown option '--laddr'"]),
    (["send", ID + "@127.0.0.1:1", "-dash"], ["unknown option '-d'"]),
    (["probe"], ["[ID@]HOST:PORT"]),
    (["probe", "127.0.0.1"], ["127.0.0.1"]),
    (["probe", "127.0.0.1:1", "127.0.0.1:2"], ["one [ID@]HOST:PORT"]),
    (["probe", "127.0.0.1:1", "--count", "10001"], ["0 to 10000"]),
    (["init", "x"], ["no arguments"]),
    (["init", "--home", ""], ["--home", "empty"]),
    (["init", "--network", "x"], ["unknown option '--network'"]),
    (["key"], ["gen or show"]),
    (["key", "steal"], ["gen or show"]),
    (["key", "gen", "a", "b"], ["one FILE"]),
    (["version", "now"], ["no arguments"]),
    (["version", "--network", "x"], ["unknown option '--network'"]),
    (LISTEN + ["--network\x1b[31m"], ["\\x1b[31m"]),
]


def bad(folder):
    faults = []
    for args, wanted in BAD:
        code, out, err = run(*args)
        if (code, out, err.count("\n")) != (2, "", 1) or \
                not all(w in err for w in wanted) or "\x1b" in err:
            faults.append((args, code, out, err))
    equal(faults, [], "arguments that were not refused well")


def helps(folder):
    code, out, err = run("--help")
    equal((code, err), (0, ""))
    for verb in ("init", "key", "listen", "send", "probe", "node", "seed",
                 "version"):
        check(verb in out, verb)
        code, text, err = run(verb, "--help")
        equal((code, err), (0, ""))
        check(text.startswith(f"usage: cometp2p {verb} "), text)
        check("--json" in text, text)
        lines = text.splitlines()
        check(all(len(line) <= 80 for line in lines
                  if not line.startswith("usage:")), text)
        for line in lines[lines.index("options:") + 1:]:
            check(re.fullmatch(r"  --\S+( \S+)?|.{28} \S.*", line), line)
        equal(run("help", verb), (0, text, ""))
    equal(run()[0], 2, "without a verb")


def good_values(folder):
    """Each of these starts."""
    for args in (["--ping-interval", "1s"], ["--pong-timeout", "59s"],
                 ["--flush-throttle", "10ms"], ["--send-rate", "0"],
                 ["--recv-rate", "0"], ["--send-rate", "1"],
                 ["--send-rate", "500k", "--recv-rate", "10000000000"],
                 ["--max-packet-payload", "65536"],
                 ["--channel", "0xff:7:3:4k=echo", "--channel", "1"],
                 ["--network", "n", "--moniker", "m"],
                 ["--moniker", "x" * 9720], ["--network", "x" * 9720],
                 ["--moniker", " ~!"],
                 ["--max-inbound", "1", "--max-peers-per-ip", "1"],
                 ["--max-handshakes-per-ip", "0", "--ip6-prefix", "128"],
                 ["--log-level", "debug"]):
        with Listen(*args) as node:
            node.signal(signal.SIGTERM)
            equal(node.exit(), 0, args)


def own_texts(folder):
    """Nothing is dialed, and the longest that is accepted works."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        address = "1" * 40 + "@127.0.0.1:%d" % s.getsockname()[1]
        for verb in (["probe", address], ["send", address, "--lines", "-"]):
            equal(run(*verb, "--moniker", "\u00fc")[0], 2)
            equal(run(*verb, "--network", "n" * 9730)[0], 2)
        s.setblocking(False)
        try:
            s.accept()
            raise AssertionError("it was dialed")
        except BlockingIOError:
            pass
    name = "n" * 9000
    with Listen("--network", name) as node:
        for args in (["probe", node.address],
                     ["send", node.address, "--lines", "-"]):
            code, _, err = run(*args, "--network", name, "--moniker",
                               "m" * 728, stdin=b"x\n")
            equal((code, err), (0, ""), args[0])


def names_resolve(folder):
    with Process([COMMAND, "listen", "--laddr", "localhost:0"]) as node:
        line = node.line()
        check(line.startswith("listening on "), line)


def cannot_listen(folder):
    with Listen() as node:
        code, out, err = run("listen", "--laddr", f"127.0.0.1:{node.port}")
        equal((code, out, err.count("\n")), (1, "", 1))
        check(f"127.0.0.1:{node.port}" in err, err)
    blocked = os.path.join(folder, "file")
    open(blocked, "w").close()
    code, _, err = run(*LISTEN, "--out", blocked)
    equal((code, err.count("\n")), (1, 1))
    code, _, err = run(*LISTEN, "--key", os.path.join(folder, "none"))
    equal((code, err.count("\n")), (1, 1))


def keys(folder):
    path = os.path.join(folder, "node_key.json")
    code, out, err = run("key", "gen", cwd=folder)
    equal((code, err), (0, ""))
    check(len(out) == 41 and set(out.strip()) <= set("0123456789abcdef"), out)
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600)
    equal(run("key", "show", path), (0, out, ""))
    with open(path) as f:
        before = f.read()
    code, again, err = run("key", "gen", path)
    equal((code, again, err.count("\n")), (1, "", 1))
    with open(path) as f:
        equal(f.read(), before, "the key")
    shown = json.loads(run("key", "show", path, "--json")[1])
    equal((shown["event"], shown["id"]), ("key", out.strip()))
    code, _, err = run("key", "show", os.path.join(folder, "none"))
    equal((code, err.count("\n")), (1, 1))
    with Listen("--key", path) as node:
        equal(node.id, out.strip())


def open_key(folder):
    path = os.path.join(folder, "k")
    run("key", "gen", path)
    os.chmod(path, 0o644)
    code, _, err = run("key", "show", path)
    equal((code, err.count("\n")), (0, 1), "a warning")
    equal(run("key", "show", path, "--log-level", "error")[2], "")
    code, out, err = run("key", "show", path, "--strict-key")
    equal((code, out, err.count("\n")), (1, "", 1), "a refusal")
    code, _, err = run("listen", "--laddr", "127.0.0.1:0", "--key", path,
                       "--strict-key")
    check(code == 1 and "mode 0644" in err, err)
    with open(path, "w") as f:
        f.write("no JSON")
    code, out, err = run("key", "show", path)
    equal((code, out, err.count("\n")), (1, "", 1), "one line")
    check("is not JSON" in err, err)


def full_output(folder):
    """What cannot be written is reported, for every verb."""
    key = os.path.join(folder, "k")
    run("key", "gen", key)
    with Listen() as node, open("/dev/full", "wb") as full:
        for args in (["--help"], ["listen", "--help"], ["version"],
                     ["version", "--json"], ["key", "show", key], LISTEN,
                     ["probe", node.address],
                     ["send", node.address, "--lines", "-", "--json"]):
            done = subprocess.run([COMMAND, *args], input=b"x\n", stdout=full,
                                  stderr=subprocess.PIPE, timeout=LIMIT)
            equal((done.returncode, done.stderr),
                  (1, b"cometp2p: standard output: "
                      b"No space left on device\n"), args)


def closed(streams, *args):
    """The command begun with these streams closed."""
    return ["sh", "-c", f'exec "$0" "$@" {streams}', COMMAND, *args]


def closed_streams(folder):
    """No socket or file takes the place of a closed stream."""
    done = subprocess.run(closed("<&- >&- 2>&-", *LISTEN), timeout=LIMIT)
    equal(done.returncode, 1)
    done = subprocess.run(closed("<&- >&-", *LISTEN), stderr=subprocess.PIPE,
                          timeout=LIMIT)
    equal((done.returncode, done.stderr),
          (1, b"cometp2p: standard output: Bad file descriptor\n"))
    with Process(closed("<&- 2>&-", *LISTEN, "--log-level", "debug")) as node:
        address = node.line().split()[-1]
        equal(run("send", address, "--lines", "-", stdin=b"x\n")[0], 0)
        node.until(lambda line: line.endswith(": x"))
        node.signal(signal.SIGTERM)
        equal(node.exit(), 0)


def version(folder):
    code, out, err = run("version")
    equal((code, err), (0, ""))
    check(all(w in out for w in ("cometp2p", "profiles", "aead",
                                 "libsodium", "libuv", "jansson")), out)
    got = json.loads(run("version", "--json")[1])
    equal(got["profiles"], ["cometbft", "legacy"])
    equal(run("--version")[1], out)


def frame_kernel(folder):
    def aead(name):
        return run("version", "--json", env={**os.environ, "CMT_AEAD": name})

    fastest = json.loads(run("version", "--json")[1])["aead"]
    equal(json.loads(aead("libsodium")[1])["aead"], "libsodium")
    for name in ("", "auto"):
        equal(json.loads(aead(name)[1])["aead"], fastest)
    for args in (["version"], ["key", "gen", os.path.join(folder, "k")], LISTEN):
        code, out, err = run(*args, env={**os.environ, "CMT_AEAD": "avx\n9"})
        equal((code, out, len(err.splitlines())), (1, "", 1), args)
        check("CMT_AEAD is 'avx" in err and "libsodium, avx2, avx512 or neon" in err, err)
    equal(os.listdir(folder), [])


Tap().main([
    (f"{len(BAD)} bad arguments: one line that names them, exit 2", bad),
    ("--help of the command and each verb", helps),
    ("good values of each option", good_values),
    ("texts of ours are looked at before a dial", own_texts),
    ("a name to listen on is resolved", names_resolve),
    ("what cannot be opened is reported, exit 1", cannot_listen),
    ("key gen and key show", keys),
    ("a key that others can read is reported", open_key),
    ("an output that is full is reported, exit 1", full_output),
    ("a closed stream stays closed", closed_streams),
    ("version", version),
    ("CMT_AEAD chooses the frame kernel", frame_kernel),
])
