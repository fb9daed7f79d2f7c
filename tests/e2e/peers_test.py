# SPDX-License-Identifier: Apache-2.0
"""Peers that come, go and are refused; signals; the form of every event."""

import os
import select
import socket
import subprocess

from e2e import *

NUMBER = (int, float)
# The fields that scripts may rely on, and their types.
EVENTS = {
    "ready": {"id": str, "laddr": str},
    "peer_added": {"id": str, "outbound": bool, "remote": str,
                   "moniker": str, "network": str, "version": str,
                   "channels": str},
    "message": {"id": str, "channel": int, "size": int, "sha256": str},
    "line": {"id": str, "text": str},
    "receipt": {"seq": int, "rtt_ms": NUMBER},
    "peer_removed": {"id": str, "class": str, "reason": str, "text": str},
    "rejected": {"remote": str, "outbound": bool, "stage": str,
                 "class": str, "reason": str, "text": str},
    "progress": {"file": str, "sent": int, "size": int, "rate": NUMBER,
                 "eta_s": NUMBER + (type(None),)},
    "done": {"file": str, "size": int, "sha256": str, "seconds": NUMBER},
    "error": {"id": str, "file": (str, type(None)), "class": str,
              "reason": str, "text": str},
    "summary": {"files": int, "bytes": int, "lines": int, "answered": int},
}
CLASSES = {"retry", "caller", "local", "link", "peer"}


def check_form(events, wanted):
    for event in events:
        fields = EVENTS[event["event"]]
        for name, kind in fields.items():
            check(isinstance(event.get(name), kind), (name, event))
        if "class" in event:
            check(event["class"] in CLASSES, event)
            check(event["reason"].islower(), event)
    equal({e["event"] for e in events} & set(wanted), set(wanted))


def forms(folder):
    out = os.path.join(folder, "out")
    path, _ = make_file(folder, "x", 5000000)
    roles = ["--channel", "0x40=files", "--channel", "0x50=lines",
             "--channel", "0x60=echo"]
    with Listen("--out", out, *roles) as node:
        with Send(node.address, path, path, "--lines", "-") as sender:
            sender.write(b"hello\n")
            sender.close_input()
            equal(sender.exit(), 1, "the second offer is refused")
        with RawPeer(node.address) as peer:
            peer.send(ECHO, b"x")
            peer.recv(ECHO)
        run("probe", node.address)
        node.signal(signal.SIGINT)
        equal(node.exit(), 0)
        check_form(sender.events(),
                   ["peer_added", "progress", "done", "receipt", "error",
                    "peer_removed", "summary"])
        check_form(node.events(),
                   ["ready", "peer_added", "line", "message", "done",
                    "error", "peer_removed", "rejected"])
        # The offer that is refused may have made its own progress last.
        sent = max(e["sent"] for e in sender.events()
                   if e["event"] == "progress" and e["size"] == 5000000)
        equal(sent, 5000000)


def refused_dial(folder):
    with reserved() as port:
        address = "1" * 40 + f"@127.0.0.1:{port}"
        code, out, err = run("send", address, "--lines", "-", "--json")
        got = json.loads(out)
        equal((code, got["event"], got["reason"], got["stage"],
               got["outbound"]),
              (1, "rejected", "refused", "transport", True))
        equal(err.count("\n"), 1)
        code, out, err = run("send", address, "--lines", "-")
        equal((code, out, err.count("\n")), (1, "", 1))


def no_address(folder):
    """What never was an address is reported as it was dialed, without the id."""
    dialed = "1" * 40 + "@name.invalid:1"
    with Listen("--dial", dialed) as node:
        got = node.event("rejected")
        equal((got["remote"], got["dialed"], got["reason"], got["stage"]),
              ("name.invalid:1", dialed, "resolve", "transport"))


def one_id_twice(folder):
    """The second address of an id is named, and the node goes on."""
    first, second = ("1" * 40 + f"@127.0.0.1:{port}" for port in (1, 2))
    with Listen("--dial", first, "--dial", second) as node:
        equal(node.event("rejected")["dialed"], first)
        node.signal(signal.SIGINT)
        equal(node.exit(), 0)
        equal(node.errors(), f"cometp2p: --dial {second}: a persistent dial of "
              f"the node exists: {first}\n")


def rejected(folder, at_node, options, reason, stage):
    """send is refused for |reason|, as the side sees it that refuses."""
    with Listen() as node:
        address = node.address if "wrongid" != reason else \
            "2" * 40 + "@" + node.ready["laddr"]
        with Send(address, "--lines", "-", *options) as sender:
            sender.close_input()
            equal(sender.exit(), 1, "exit code")
            got = node.event("rejected") if at_node else sender.events()[-1]
            equal((got["event"], got["reason"], got["stage"]),
                  ("rejected", reason, stage))
            equal(sender.errors().count("\n"), 1)


def duplicate(folder):
    key = os.path.join(folder, "k")
    run("key", "gen", key)
    with Listen() as node, Send(node.address, "--lines", "-", "--key",
                                key) as first:
        first.write(b"x\n")
        first.event("receipt")
        code, out, err = run("send", node.address, "--lines", "-", "--key",
                             key, stdin=b"z\n")
        equal((code, err.count("\n")), (1, 1))
        got = node.event("rejected")
        equal((got["reason"], got["stage"]), ("duplicate", "filter"))
        first.write(b"y\n")
        first.event("receipt")
        first.close_input()
        equal(first.exit(), 0)


def to_itself(folder):
    key = os.path.join(folder, "k")
    run("key", "gen", key)
    with Listen("--key", key) as node, Send(
            node.address, "--lines", "-", "--key", key) as sender:
        equal(sender.exit(), 1)
        reasons = {sender.events()[-1]["reason"],
                   node.event("rejected")["reason"]}
        check("self" in reasons, reasons)


def limit(folder, option):
    with Listen(option, "1") as node, \
            Send(node.address, "--lines", "-") as first:
        first.write(b"x\n")
        first.event("receipt")
        code, _, err = run("send", node.address, "--lines", "-", stdin=b"y\n")
        equal((code, err.count("\n")), (1, 1))
        got = node.event("rejected")
        equal((got["reason"], got["stage"], got["class"]),
              ("limit", "filter", "local"))
        first.close_input()
        equal(first.exit(), 0)
        node.event("peer_removed")
        equal(run("send", node.address, "--lines", "-", stdin=b"z\n")[0], 0)


def allowed(folder):
    """Only ids of --allow and --dial may connect, in capitals too."""
    keys = [os.path.join(folder, f"k{i}") for i in range(3)]
    ids = [run("key", "gen", key)[1].strip() for key in keys]
    with Listen() as other, Listen(
            "--allow", ids[0].upper(), "--allow", ids[1],
            "--dial", other.address) as node:
        equal(node.event("peer_added")["id"], other.id)
        for key in keys[:2]:
            equal(run("send", node.address, "--lines", "-", "--key", key,
                      stdin=b"x\n")[0], 0)
            node.event("line")
        code, _, err = run("send", node.address, "--lines", "-", "--key",
                           keys[2], stdin=b"x\n")
        equal((code, err.count("\n")), (1, 1))
        got = node.event("rejected")
        equal((got["id"], got["reason"], got["stage"], got["text"]),
              (ids[2], "reactor", "filter",
               "the node's id is not one of those of --allow"))
        equal(run("send", node.address, "--lines", "-", stdin=b"x\n")[0], 1)
        node.event("rejected")


def dialed(folder):
    with Listen() as one, Listen("--dial", one.address) as two:
        equal(two.event("peer_added")["outbound"], True)
        got = one.event("peer_added")
        equal((got["id"], got["outbound"]), (two.id, False))
        two.signal(signal.SIGTERM)
        equal(two.exit(), 0)
        equal(one.event("peer_removed")["class"], "link")


def listen_ends(folder, number):
    """With an idle peer, and with a file half way."""
    out = os.path.join(folder, "out")
    path = sparse_file(folder, "long", 1 << 40)
    with Listen("--out", out, *ROOM) as node, RawPeer(node.address), \
            Send(node.address, path) as sender:
        flowing(node)
        node.signal(number)
        equal(node.exit(), 0, "exit code")
        equal(names(out), [], "left behind")
        error = [e for e in node.events() if e["event"] == "error"][0]
        equal((error["file"], error["reason"]), ("long", "canceled"))
        equal(sender.exit(), 1, "the sender's exit code")
        equal(sender.events()[-1]["event"], "summary")


def send_ends(folder, number):
    out = os.path.join(folder, "out")
    path = sparse_file(folder, "long", 1 << 40)
    with Listen("--out", out, *ROOM) as node, Send(node.address, path, "--lines",
                                            "-") as sender:
        flowing(sender)
        sender.signal(number)
        equal(sender.exit(), -number, "how it ended")
        check("interrupted" in sender.errors(), sender.errors())
        equal(node.event("error")["file"], "long")
        equal(names(out), [], "left behind")


def send_ends_while_dialing(folder, number):
    with socket.create_server(("127.0.0.1", 0)) as s:
        address = "1" * 40 + "@127.0.0.1:%d" % s.getsockname()[1]
        with Send(address, "--lines", "-") as sender:
            peer, _ = s.accept()
            with peer:
                sender.signal(number)
                equal(sender.exit(), -number)


def send_ends_while_reading(folder, number):
    with Listen() as node, Send(node.address, "--lines", "-") as sender:
        sender.write(b"x\n")
        sender.event("receipt")
        sender.signal(number)
        equal(sender.exit(), -number)


def send_ends_without_a_writer(folder, number):
    """A FIFO that nobody opened to write is no reason to hang; and one that
    somebody opens later is read."""
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    with Listen() as node, Send(node.address, "--lines", fifo) as sender:
        node.event("peer_added")
        sender.signal(number)
        equal(sender.exit(), -number)
    with Listen() as node, Send(node.address, "--lines", fifo) as sender:
        node.event("peer_added")
        with open(fifo, "w", encoding="ascii") as f:
            f.write("late\n")
        equal(node.event("line")["text"], "late")
        equal(sender.exit(), 0)


def send_ends_while_nobody_reads(folder, number):
    """What it had to report is lost, and so it does not end well."""
    path = os.path.join(folder, "lines")
    with open(path, "w", encoding="ascii") as f:
        f.writelines(f"{i}\n" for i in range(50000))
    with Listen() as node, Send(node.address, "--lines", path,
                                read=False) as sender:
        node.event("line", text="1000")
        sender.signal(number)
        equal(sender.exit(), -number)


def ignored(folder, number):
    """As under nohup, in a shell's background, or after trap ''."""
    def ignore():
        signal.signal(number, signal.SIG_IGN)
    with Listen(preexec_fn=ignore) as node, Send(
            node.address, "--lines", "-", preexec_fn=ignore) as sender:
        for seq in (1, 2, 3):
            node.signal(number)
            sender.signal(number)
            sender.write(b"x\n")
            equal(sender.event("receipt")["seq"], seq)
        sender.close_input()
        equal(sender.exit(), 0)
        other = next(n for n in SIGNALS if n != number)
        node.signal(other)
        equal(node.exit(), 0)


# Preloaded into the command, which must have no sanitizers: one name never
# resolves, and the FIFO in SLOW_NAME reports that the wait began.
SLOW_NAME_C = rb"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **out) {
  int (*next)(const char *, const char *, const struct addrinfo *,
              struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

  if (strcmp(host, "a.slow") != 0) {
    return next(host, port, hints, out);
  }
  close(open(getenv("SLOW_NAME"), O_WRONLY));
  for (;;) {
    pause();
  }
}
"""


def slow_name(folder):
    """How to start a command that meets it; and the FIFO's end."""
    library = os.path.join(folder, "slow_name.so")
    fifo = os.path.join(folder, "resolving")
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library,
                    "-ldl"], input=SLOW_NAME_C, check=True)
    os.mkfifo(fifo)
    return (preloaded(library, SLOW_NAME=fifo),
            os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))


def ends_while_resolving(folder, verb, code, number):
    """A name server that does not answer delays the end of nothing."""
    address = "1" * 40 + "@a.slow:1"
    args = {"listen": ["--laddr", "127.0.0.1:0", "--dial", address],
            "listen on a name": ["--laddr", "a.slow:1"],
            "send": [address, "--lines", "-"],
            "probe": [address]}[verb]
    options, begun = slow_name(folder)
    with Process([os.path.join(ARGUMENTS.release, "cometp2p"),
                  verb.split()[0], *args], **options) as child:
        check(select.select([begun], [], [], LIMIT)[0], "no look-up")
        os.close(begun)
        child.signal(number)
        equal(child.exit(), code, child.errors())


def small_packets(folder):
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, "x", 1000000)
    for payload, expected in (("64", 0), ("1400", 0), ("65536", 1)):
        with Listen("--out", out) as node:
            code, _, err = run("send", node.address, path,
                               "--max-packet-payload", payload)
            equal(code, expected, payload)
            if code == 0:
                equal(file_hash(os.path.join(out, "x")), digest)
                os.remove(os.path.join(out, "x"))
    with Listen("--out", out, "--max-packet-payload", "65536") as node:
        equal(run("send", node.address, path, "--max-packet-payload",
                  "65536")[0], 0)


def pings(folder):
    """Both ping several times, all are answered, and lines go on meanwhile."""
    times = ("--ping-interval", "1500ms", "--pong-timeout", "1400ms")
    with Listen(*times) as node, Relay(node.port) as relay, Send(
            node.at(relay.port), "--lines", "-", *times) as sender:
        node.event("peer_added")
        for seq in (1, 2):
            relay.idle(2)
            sender.write(b"x\n")
            equal(sender.event("receipt")["seq"], seq)
        sender.close_input()
        equal(sender.exit(), 0)


def log(folder):
    with Listen("--log-level", "debug") as node:
        run("send", node.address, "--lines", "-", stdin=b"x\n")
        node.signal(signal.SIGINT)
        equal(node.exit(), 0)
        check(all(line.startswith("cometp2p: ")
                  for line in node.errors().splitlines()), node.errors())


def log_of_failures(folder):
    """Why a dial failed at info, why a stranger did at debug."""
    with Listen("--log-level", "debug", "--network", "other") as node:
        with reserved() as port:
            at = f"127.0.0.1:{port}"
            dialed = "1" * 40 + "@" + at
            with Listen("--log-level", "info", "--dial", dialed) as dialer:
                dialer.event("rejected")
                dialer.signal(signal.SIGINT)
                equal(dialer.exit(), 0)
                equal(dialer.errors().splitlines()[0],
                      f"cometp2p: info: switch: dial of {dialed} at {at} failed "
                      f"in stage transport: cannot connect to {at}: connection "
                      "refused; it is dialed again later")
        run("send", node.address, "--lines", "-")
        node.event("rejected")
        node.signal(signal.SIGINT)
        equal(node.exit(), 0)
        check("cometp2p: debug: switch: connection from 127.0.0.1:" in
              node.errors() and "network" in node.errors(), node.errors())


def every_address(folder):
    """Never loopback alone, whatever the system's resolver makes of "*"."""
    for laddr in ("*:0", ":0", "[::]:0", "tcp://*:0", "0.0.0.0:0",
                  "tcp://0.0.0.0:0"):
        with Process([COMMAND, "listen", "--json", "--laddr", laddr]) as node:
            ready = node.event("ready")
            host, port = ready["laddr"].rsplit(":", 1)
            check(host in ("[::]", "0.0.0.0") and
                  (host == "0.0.0.0" or "0.0.0.0" not in laddr), ready)
            equal(run("probe", f"{ready['id']}@127.0.0.1:{port}", "--count",
                      "0")[0], 0)
    for laddr in ("::", "*", "[*]:0", "x*:0", "nothing"):
        code, out, err = run("listen", "--laddr", laddr)
        equal((code, out), (2, ""), laddr)
        check(laddr in err, err)
    for verb in ("probe", "send"):
        code, out, err = run(verb, "1" * 40 + "@*:26656")
        equal((code, out), (2, ""), verb)
        check("one can only listen" in err, err)


def zones(folder):
    """The zone of an interface that is not there is named."""
    wrong = "[fe80::1%nosuch0]:1"
    code, out, err = run("listen", "--laddr", wrong)
    equal((code, out, err),
          (1, "", "cometp2p: --laddr: cannot resolve fe80::1%nosuch0: no such "
           "network interface\n"))
    code, out, err = run("probe", wrong)
    equal((code, out), (1, ""))
    unreachable = (f"cannot connect to {wrong}: the address cannot be reached "
                   "(no such network interface)")
    check(unreachable in err, err)
    dialed = "1" * 40 + "@" + wrong
    with Listen("--dial", dialed) as node:
        got = node.event("rejected")
        equal((got["dialed"], got["remote"], got["reason"], got["text"]),
              (dialed, wrong, "unreach", unreachable))


def for_people(folder):
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, "x", 1000)
    with Process([COMMAND, "listen", "--laddr", "127.0.0.1:0", "--out",
                  out]) as node:
        address = node.line().removeprefix("listening on ")
        code, text, err = run("send", address, path, "--lines", "-",
                              stdin=b"hello\n")
        equal((code, err), (0, ""))
        check(digest in text and "1 file" in text and
              "1 line sent, 1 answered" in text, text)
        check("\r" not in text and "\x1b" not in text, text)
        node.until(lambda l: "is gone" in l)
        check(any(l.endswith(": hello") for l in node.seen), node.seen)
        check(any(digest in l for l in node.seen), node.seen)


TESTS = [
    ("every event has its fields", forms),
    ("output for people", for_people),
    ("the log states why dials and handshakes fail", log_of_failures),
    ("all addresses", every_address),
    ("a zone that is no interface", zones),
    ("nobody listens", refused_dial),
    ("a name without an address", no_address),
    ("an id that is dialed at two addresses", one_id_twice),
    ("another network is refused", rejected, True, ["--network", "x"],
     "network", "node_info"),
    ("no common channel is refused", rejected, True,
     ["--channel", "0x51=lines"], "incompatible", "node_info"),
    ("another id than dialed is refused", rejected, False, [], "wrongid",
     "secret_connection"),
    ("a second connection of one id is refused", duplicate),
    ("a node does not talk to itself", to_itself),
    ("--max-inbound refuses the next, and recovers", limit, "--max-inbound"),
    ("--max-peers-per-ip refuses the next, and recovers", limit,
     "--max-peers-per-ip"),
    ("--allow keeps others out", allowed),
    ("listen dials, too", dialed),
    ("packets of other sizes", small_packets),
    ("short pings do no harm", pings),
    ("the log goes to standard error", log),
]
for number in (*SIGNALS, signal.SIGHUP):
    TESTS.append((f"{number.name} that is ignored stays so", ignored, number))
    for name, test in (("listen", listen_ends), ("send", send_ends),
                       ("send that dials", send_ends_while_dialing),
                       ("send that waits for lines",
                        send_ends_while_reading),
                       ("send that waits for a FIFO",
                        send_ends_without_a_writer),
                       ("send whose output nobody reads",
                        send_ends_while_nobody_reads)):
        TESTS.append((f"{number.name} ends {name}", test, number))
    for verb, code in (("listen", 0), ("listen on a name", 0),
                       ("send", -number), ("probe", -number)):
        TESTS.append((f"{number.name} ends {verb} that resolves",
                      ends_while_resolving, verb, code, number))

Tap().main(TESTS)
