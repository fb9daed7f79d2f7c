# SPDX-License-Identifier: Apache-2.0
"""probe, against `listen` and against what is no node."""

import contextlib
import http.server
import resource
import socket
import threading

from e2e import *


def probe(*args, limit=LIMIT):
    """(code, last event, stderr)."""
    code, out, err = run("probe", *args, "--json", limit=limit)
    events = [json.loads(line) for line in out.splitlines()]
    equal(len(events), 1, "lines")
    return code, events[0], err


def verified(folder):
    with Listen("--moniker", "the \"node\"", "--network", "some-net",
                "--channel", "0x20=echo", "--channel", "0xff=echo") as node:
        begun = time.monotonic()
        code, got, err = probe(node.address, "--count", "2")
        took_ms = (time.monotonic() - begun) * 1000
        equal((code, err), (0, ""))
        equal((got["event"], got["id"], got["verified"]),
              ("probe", node.id, True))
        equal(len(got["rtt_ms"]), 2)
        check(all(0 < t < took_ms for t in
                  (got["handshake_ms"], *got["rtt_ms"])), (got, took_ms))
        info = got["node_info"]
        equal(sorted(info), ["channels", "id", "listen_addr", "moniker",
                             "network", "other", "protocol_version",
                             "version"])
        equal((info["channels"], info["id"], info["moniker"],
               info["network"]),
              ("20FF", node.id, "the \"node\"", "some-net"))
        equal(info["protocol_version"], {"p2p": "8", "block": "11",
                                         "app": "0"})
        equal(sorted(info["other"]), ["rpc_address", "tx_index"])
        check(info["listen_addr"].endswith(node.ready["laddr"]), info)
        # Two connections: one that only learned, one that was a peer.
        check(node.event("rejected")["reason"] in
              ("incompatible", "network", "eof", "reset"), "the first")
        equal(node.event("peer_added")["channels"], "20FF")
        node.event("peer_removed")


def capitals(folder):
    with Listen() as node:
        shouted = node.id.upper() + "@" + node.ready["laddr"]
        code, got, err = probe(shouted, "--count", "1")
        equal((code, err, got["id"], got["verified"]),
              (0, "", node.id, True))
        code, got, err = probe("ABCDEF0123" * 4 + "@" + node.ready["laddr"])
        equal((code, got["dialed"]),
              (1, "abcdef0123" * 4 + "@" + node.ready["laddr"]))
        with Listen("--dial", shouted) as other:
            equal(other.event("peer_added")["id"], node.id)


def unverified(folder):
    with Listen() as node:
        code, got, err = probe(node.ready["laddr"])
        equal((code, got["verified"], got["id"], len(got["rtt_ms"])),
              (0, False, node.id, 3))


def for_people(folder):
    with Listen("--moniker", "m" * 9) as node:
        code, out, err = run("probe", node.address, "--count", "1")
        equal((code, err), (0, ""))
        check(f"node         {node.id} (verified)\n" in out, out)
        check("m" * 9 in out and "0x40 0x50\n" in out, out)
        equal(out.count("ping "), 1)
        code, out, _ = run("probe", node.ready["laddr"], "--count", "0")
        check("unverified" in out and "ping " not in out, out)


def wrong_id(folder):
    with Listen() as node:
        code, got, err = probe("1" * 40 + "@" + node.ready["laddr"])
        equal((code, got["event"], got["reason"], got["stage"],
               got["class"], got["outbound"]),
              (1, "rejected", "wrongid", "secret_connection", "peer", True))
        equal(err.count("\n"), 1)
        check(node.id in err, err)


def inferred(folder, option, value, text, reason="incompatible"):
    """The node hangs up in silence; the reason is our own evaluation."""
    with Listen() as node:
        code, got, err = probe(node.address, "--network", "cometp2p",
                                option, value)
        equal((code, got["event"], got["reason"], got["stage"],
               got["inferred"]),
              (1, "rejected", reason, "node_info", True))
        check(text in got["text"], got)
        check("inferred" in err and err.count("\n") == 1, err)


def own_network(folder):
    """With --network there is one connection."""
    with Listen("--network", "n") as node:
        code, got, err = probe(node.address, "--network", "n")
        equal((code, got["event"]), (0, "probe"))
        equal(node.event("peer_added")["channels"], "4050")
        check(all(e["event"] != "rejected" for e in node.events()), "one")


def held(folder):
    """A node that still holds the first connection refuses the second one by
    its address; probe comes again."""
    with Listen() as node, Relay(node.port, refuse=(1, 2)) as relay:
        code, got, err = probe(node.at(relay.port), "--count", "1")
        equal((code, got["event"], err), (0, "probe", ""))
        equal(relay.accepted, 4)


def busy(folder, *flags):
    """Another connection of this address is there for a while."""
    with Listen() as node, Relay(node.port, refuse=(0, 1)) as relay:
        code, got, err = probe(node.at(relay.port), "--count", "1", *flags)
        equal((code, got["event"], err), (0, "probe", ""))
        equal(relay.accepted, 3 if flags else 4)


def busy_for_ever(folder):
    with Listen() as node, Relay(node.port, refuse=range(100)) as relay:
        code, got, _ = probe(node.at(relay.port))
        equal((code, got["event"], got["class"]), (1, "rejected", "link"))
        check(relay.accepted > 1, "it did not come again")


def own_channels(folder):
    """Channels that are given are claimed, with the network that was learned."""
    with Listen("--network", "n") as node:
        code, got, err = probe(node.address, "--channel", "0x50")
        equal((code, got["event"], err), (0, "probe", ""))
        equal(node.event("peer_added")["channels"], "50")
        code, got, _ = probe(node.address, "--channel", "0x77")
        equal((code, got["reason"], got["inferred"]),
              (1, "incompatible", True))


def nobody(folder):
    with reserved() as port:
        code, got, err = probe(f"127.0.0.1:{port}")
    equal((code, got["event"], got["reason"], got["stage"],
           got["class"]), (1, "rejected", "refused", "transport", "link"))
    equal(err.count("\n"), 1)
    # In the words of "send" and of a node's log.
    equal(got["text"].endswith(": connection refused"), True)


def few_descriptors(folder):
    """The descriptors 0 to 2 and two of its own are open: eleven more are
    what it needs.  The limit counts from 0, so that it states how many are left."""
    for left in (0, 1, 4, 7, 8, 9, 10):
        child = subprocess.run(
            [COMMAND, "probe", "localhost:1"], timeout=LIMIT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (5 + left, 5 + left)))
        equal((child.returncode, child.stdout), (1, ""), left)
        equal(child.stderr, "cometp2p: localhost:1: a probe needs 11 free "
              f"descriptors, there are {left}: Too many open files\n", left)
    with Listen() as node:
        child = subprocess.run(
            [COMMAND, "probe", f"localhost:{node.port}", "--network",
             "cometp2p"], timeout=LIMIT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (5 + 11, 5 + 11)))
        equal((child.returncode, child.stderr), (0, ""))


def no_name(folder):
    code, got, err = probe("name.invalid:1")
    equal((code, got["reason"], got["stage"]), (1, "resolve", "transport"))


def stranger(folder, answer, reason):
    """What accepts and is no node."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        child = Process([COMMAND, "probe", "--json",
                         "127.0.0.1:%d" % s.getsockname()[1]])
        peer, _ = s.accept()
        with peer, child:
            peer.sendall(answer)
            got = child.event("rejected")
            equal((got["reason"], got["stage"]),
                  (reason, "secret_connection"))
            equal(child.exit(), 1)


class HttpServer:
    """A server of the RPC's kind: answers 400 to what is no request."""

    def __enter__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            default_request_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return "127.0.0.1:%d" % self.server.server_address[1]

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


SPEAKS_HTTP = "this port speaks HTTP; p2p is usually 26656"


def rpc_port(folder):
    """Whoever dials the wrong port of a node gets a hint."""
    with HttpServer() as address:
        for args in ([address], ["1" * 40 + "@" + address],
                     [address, "--network", "n"]):
            code, got, err = probe(*args)
            equal((code, got["reason"], got["stage"], got["text"]),
                  (1, "proto", "secret_connection", SPEAKS_HTTP), args)
            check(SPEAKS_HTTP in err and err.count("\n") == 1, err)
        code, _, err = run("send", "1" * 40 + "@" + address, "--lines", "-")
        equal(code, 1)
        check(SPEAKS_HTTP in err and err.count("\n") == 1, err)
        dialed = "1" * 40 + "@" + address
        with Listen("--dial", dialed) as node:
            equal(node.event("rejected", dialed=dialed)["text"], SPEAKS_HTTP)


def other_protocol(folder, answer, what):
    """It sends |answer| and hangs up, or waits for more."""
    for waits in (False, True):
        with socket.create_server(("127.0.0.1", 0)) as s:
            child = Process([COMMAND, "probe", "--json", "--network", "n",
                             "127.0.0.1:%d" % s.getsockname()[1]])
            peer, _ = s.accept()
            with peer, child:
                peer.sendall(answer)
                if not waits:
                    peer.close()
                    s.close()
                got = child.event("rejected")
                equal((got["text"], got["stage"]),
                      (f"this port speaks {what}; p2p is usually 26656",
                       "secret_connection"))
                equal(child.exit(), 1)


def full(folder):
    """A node at its limit hangs up before any word."""
    with Listen("--max-inbound", "0") as node:
        code, got, _ = probe(node.address, "--network", "cometp2p")
        equal((code, got["event"], got["class"]), (1, "rejected", "link"))
        equal(node.event("rejected")["stage"], "filter")


def connecting(port):
    """How many sockets wait for |port| of 127.0.0.1 to answer their SYN."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        return sum(f" 0100007F:{port:04X} 02 " in line for line in f)


def interrupted_early(folder, number):
    """A backlog that is full answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as s, \
            contextlib.ExitStack() as clients:
        port = s.getsockname()[1]
        while not connecting(port):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        before = connecting(port)
        with Process([COMMAND, "probe", "--json",
                      f"127.0.0.1:{port}"]) as child:
            soon(lambda: connecting(port) > before, "no SYN")
            child.signal(number)
            got = child.event("rejected")
            equal((got["reason"], got["stage"], got["text"]),
                  ("canceled", "transport", "interrupted"))
            equal(child.exit(), -number)


def interrupted(folder, number):
    with socket.create_server(("127.0.0.1", 0)) as s:
        child = Process([COMMAND, "probe",
                         "127.0.0.1:%d" % s.getsockname()[1]])
        peer, _ = s.accept()
        with peer, child:
            peer.recv(35)
            child.signal(number)
            equal(child.exit(), -number)


TWO_ADDRESSES_C = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **out) {
  int (*next)(const char *, const char *, const struct addrinfo *,
              struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
  struct addrinfo *second;

  if (strcmp(host, "two.test") != 0) {
    return next(host, port, hints, out);
  }
  if (next("127.0.0.2", port, hints, out) != 0 ||
      next("127.0.0.1", port, hints, &second) != 0) {
    return EAI_FAIL;
  }
  (*out)->ai_next = second;
  return 0;
}
"""


def answer(server, what):
    """Takes connections until the server is closed; the thread of a stranger."""
    kept = []
    with contextlib.suppress(OSError):
        while True:
            peer, _ = server.accept()
            kept.append(peer)
            if what == b"reset":
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
                kept.pop().close()
            elif what:
                peer.sendall(what)
    for peer in kept:
        peer.close()


def two_addresses(folder, verb, stranger):
    """The first address of a name is no node, or another one."""
    library = os.path.join(folder, "two_addresses.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library,
                    "-ldl"], input=TWO_ADDRESSES_C.encode(), check=True)
    command = os.path.join(ARGUMENTS.release, "cometp2p")
    with Listen() as node, contextlib.ExitStack() as stack:
        if stranger is None:
            stack.enter_context(Process([COMMAND, "listen", "--laddr",
                                         f"127.0.0.2:{node.port}"])).line()
        else:
            server = socket.create_server(("127.0.0.2", node.port))
            thread = threading.Thread(target=answer, args=(server, stranger))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.close)
            stack.callback(server.shutdown, socket.SHUT_RDWR)
        address = f"{node.id}@two.test:{node.port}"
        arguments = {"probe": ["probe", address, "--count", "1"],
                     "send": ["send", address, "--lines", "-"]}[verb]
        done = subprocess.run([command, *arguments], input=b"x\n",
                              capture_output=True, timeout=LIMIT,
                              **preloaded(library))
        equal(done.returncode, 0, done.stderr)


Tap().main([
    ("node info, handshake and pings of a node", verified),
    ("an id in capitals", capitals),
    ("without an id the node's own is unverified", unverified),
    ("the form for people", for_people),
    ("another id than dialed", wrong_id),
    ("another network: inferred", inferred, "--network", "other",
     "network differs", "network"),
    ("no common channel: inferred", inferred, "--channel", "0x77",
     "no common channel"),
    ("the network that is given is claimed", own_network),
    ("a node that holds the first connection", held),
    ("a node that has another connection of the address", busy),
    ("the same, and the network is given", busy, "--network", "cometp2p"),
    ("a node that goes on having one", busy_for_ever),
    ("channels that are given are claimed", own_channels),
    ("nobody listens", nobody),
    ("few descriptors are reported at once", few_descriptors),
    ("a name without an address", no_name),
    ("something that talks first", stranger, b"HTTP/1.1 400 Bad Request\r\n" * 4,
     "proto"),
    *[(f"{verb}: the first address of a name is {name}", two_addresses, verb,
       what) for verb in ("probe", "send") for name, what in
      (("another node", None), ("silent", b""), ("reset", b"reset"),
       ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n"))],
    ("something that sends nothing", stranger, b"\x22", "handshake"),
    ("the port of the RPC: it speaks HTTP", rpc_port),
    ("a short answer of HTTP", other_protocol, b"HTTP/1.1 400\r\n", "HTTP"),
    ("a TLS alert", other_protocol, b"\x15\3\1\0\2\2\x46", "TLS"),
    ("a banner of SSH", other_protocol, b"SSH-2.0-x\r\n", "SSH"),
    ("a node that is full", full),
    ("SIGINT ends it while it connects", interrupted_early, signal.SIGINT),
    ("SIGINT ends it", interrupted, signal.SIGINT),
    ("SIGTERM ends it", interrupted, signal.SIGTERM),
])
