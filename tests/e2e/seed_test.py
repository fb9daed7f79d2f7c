# SPDX-License-Identifier: Apache-2.0
"""seed and node: homes that run and find each other, and pages about them."""

import html.parser
import http.client
import json
import os
import re
import resource
import signal
import socket
import time
import urllib.parse

from e2e import *

# Loopback is no address of the internet, and all nodes have the same one.
LOCAL = {"CMT_P2P_ADDR_BOOK_STRICT": "false",
         "CMT_P2P_ALLOW_DUPLICATE_IP": "true"}


def environment(**more):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("CMT", "TMHOME"))}
    return {**env, **LOCAL, "TZ": "UTC", **more}


def home(folder, name, chain="chain-1"):
    path = os.path.join(folder, name)
    code, out, err = run("init", "--home", path, "--chain-id", chain)
    equal((code, err), (0, ""))
    return path


class Daemon(Process):
    """`seed` or `node` on free ports, ready; its log is at info."""

    def __init__(self, verb, *args, laddr="tcp://127.0.0.1:0", limits=None,
                 **variables):
        super().__init__([COMMAND, verb, "--p2p.laddr", laddr, "--http",
                          "127.0.0.1:0", "--log_level", "info", *args],
                         env=environment(**variables),
                         preexec_fn=limits and (lambda: resource.setrlimit(
                             resource.RLIMIT_NOFILE, limits)))
        found = {}
        while "http" not in found:
            line = self.line()
            if line is None:
                self.child.wait()
                raise AssertionError(self.errors())
            for key, pattern in (("id", r"P2P Node ID .* ID=(\w+)"),
                                 ("metrics", r"Serving metrics .*addr=(\S+)"),
                                 ("http", r"Serving pages .*addr=(\S+)")):
                match = re.search(pattern, line)
                if match:
                    found[key] = match[1]
        self.id, self.http = found["id"], found["http"]
        self.metrics = found.get("metrics")
        self.seed = self.get("/seed")[1].strip()

    def get(self, path, at=None):
        client = http.client.HTTPConnection(at or self.http, timeout=LIMIT)
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read().decode()
        client.close()
        return answer.status, body

    def page(self, path, wanted, at=None):
        """The page once |wanted| of its content is true."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            body = self.get(path, at)[1]
            if wanted(body):
                return body
            select.select([], [], [], 0.05)
        raise AssertionError(f"{path} is still {body}; {self.last()}")

    def stop(self, number=signal.SIGTERM):
        self.signal(number)
        equal(self.exit(), 0, "exit code")
        equal(self.errors(), "")


def peers(body):
    return json.loads(body)["result"]["n_peers"]


def outbound_of(node, seed):
    """The ids of the peers that the node has dialed, without the seed."""
    found = json.loads(node.get("/net_info")[1])["result"]["peers"]
    return sorted(peer["node_info"]["id"] for peer in found
                  if peer["is_outbound"] and
                  peer["node_info"]["id"] != seed.id)


def anchors_of(path):
    """The ids that a node of the home dials first."""
    path = os.path.join(path, "config", "addrbook.cometp2p.json")
    with open(path, encoding="utf-8") as file:
        return sorted(anchor["id"] for anchor in json.load(file)["anchors"])


def network(folder):
    """Nodes that know a seed alone find each other, and the seed is left."""
    with Daemon("seed", "--home", home(folder, "seed"), "--log_level",
                "debug") as seed:
        nodes = [Daemon("node", "--home", home(folder, f"n{i}"),
                        "--p2p.seeds", seed.seed) for i in range(3)]
        for node in nodes:  # A seed that it visits is a peer, too.
            others = [other.id for other in nodes if other is not node]
            node.page("/net_info", lambda body, ids=others: all(
                other in body for other in ids))
        live = seed.page("/live_peers.csv", lambda b: b.count("@") == 3)
        equal(sorted(live.strip().split(",")),
              sorted(node.seed for node in nodes))
        found = json.loads(seed.get("/live_peers")[1])
        equal((found["network"], len(found["peers"])), ("chain-1", 3))
        book = json.loads(seed.get("/addrbook.json")[1])
        equal(sorted(entry["addr"]["id"] for entry in book["addrs"]),
              sorted(node.id for node in nodes))
        kept = outbound_of(nodes[0], seed)
        for i, node in enumerate(nodes):
            node.stop()
            node.kill()
            if i == 0:
                equal(anchors_of(os.path.join(folder, "n0")), kept)
        seed.stop()
        with open(os.path.join(folder, "seed/config/addrbook.json"),
                  encoding="utf-8") as file:
            stored = json.load(file)
        equal(len(stored["addrs"]), 3)
        log = "\n".join(seed.seen)
        ends = [line for line in seed.seen if "the visit is over" in line]
        check(ends and all(line.startswith("D[") for line in ends), log)
        check("\nE[" not in log, log)


class Links(html.parser.HTMLParser):
    """The links of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append(dict(attrs)["href"])


def index(folder):
    """/ and the path of each chain list the pages, and each link has one."""
    odd = 'a <b>&"c"/d'
    with Daemon("seed", "--home", home(folder, "s1"), "--home",
                home(folder, "s2", odd)) as seed:
        for at, chain, front in (
                ("/", "chain-1", ""), ("/chain-1", "chain-1", "/chain-1"),
                ("/chain-1/", "chain-1", "/chain-1"),
                ("/a%20%3Cb%3E%26%22c%22%2Fd/", odd, f"/{odd}")):
            status, page = seed.get(at)
            equal(status, 200, at)
            check("<b>" not in page, page)
            links = [urllib.parse.urljoin(at, link)
                     for link in Links(page).found]
            equal([urllib.parse.unquote(link) for link in links[:8]],
                  [f"{front}/{name}" for name in (
                      "seed", "live_peers", "live_peers.csv", "addrbook.json",
                      "net_info", "status", "health", "healthz")], at)
            equal([urllib.parse.unquote(link) for link in links[8:]],
                  ["/chain-1/", f"/{odd}/"] if at == "/" else [], at)
            for link in links:
                equal(seed.get(link)[0], 200, link)
            status = json.loads(seed.get(links[5])[1])
            equal(status["result"]["node_info"]["network"], chain)
        equal(seed.get("/chain-1x")[0], 404)
        seed.stop()
    with Daemon("node", "--home", home(folder, "n")) as node:
        page = node.get("/")[1]
        check("<title>cometp2p node<" in page and "All chains" not in page,
              page)
        node.stop()


def chain_in_chain(folder):
    """The path of a chain may begin as that of another one."""
    with Daemon("seed", "--home", home(folder, "s1", "a"), "--home",
                home(folder, "s2", "a/b"), "--home",
                home(folder, "s3", "a/b/c")) as seed:
        for chain in ("a", "a/b", "a/b/c"):
            status, page = seed.get(f"/{chain}/live_peers")
            equal((status, json.loads(page)["network"]), (200, chain))
        seed.stop()


def listeners(folder):
    """/net_info has the external address as it is written, as in CometBFT."""
    for args, text in (([], ""), (["--p2p.external_address",
                                   "tcp://192.0.2.1:26656"],
                                  "tcp://192.0.2.1:26656"),
                       (["--p2p.external_address", f"tcp://{'h' * 255}:1"],
                        f"tcp://{'h' * 255}:1")):
        with Daemon("seed", "--home", home(folder, "s"), *args) as seed:
            equal(json.loads(seed.get("/net_info")[1])["result"]["listeners"],
                  [f"Listener(@{text})"])
            seed.stop()


def quiet_visits(folder):
    """A visit is lines at debug alone, on both sides."""
    with Daemon("seed", "--home", home(folder, "s")) as seed:
        with Daemon("node", "--home", home(folder, "n"), "--p2p.seeds",
                    seed.seed) as node, \
             Daemon("node", "--home", home(folder, "m"), "--p2p.seeds",
                    seed.seed, "--log_level", "debug") as other:
            for what in ("Added peer", "Stopping peer"):
                line = other.until(lambda line, w=what: w in line and
                                   f" {seed.id} out" in line)
                check(line.startswith("D["), line)
            # A visit of a seed is a peer for a moment, too.
            node.page("/net_info", lambda body: other.id in body)
            other.stop()
            node.until(lambda line: "Stopping peer" in line)
            node.stop()
        check(not [line for line in node.seen if "Stopping peer" in line and
                   other.id not in line], node.seen)
        seed.stop()
        check(not [line for line in seed.seen if " peer  " in line], seed.seen)


def log_modules(folder):
    """A module is misspelled only when it can be no other's."""
    path = home(folder, "s")
    for levels, meant in (("ppx:debug,*:info", None),
                          ("consnsus:info,state:debug,hex:info", None),
                          ("p2p:debug,pex:info,main:info,*:info", None),
                          ("P2P:debug,*:info", "p2p"),
                          ("mian:info,*:info", "main")):
        with Process([COMMAND, "seed", "--home", path, "--p2p.laddr",
                      "tcp://127.0.0.1:0", "--log_level", levels],
                     env=environment()) as seed:
            seed.until(lambda line: "P2P Node ID" in line)
            seed.signal(signal.SIGTERM)
            equal(seed.exit(), 0)
            name = levels.split(":")[0]
            equal(seed.errors(), meant and (
                f"cometp2p: log_level names the module '{name}', which writes "
                f"no line; did you mean {meant}?\n") or "")


def seed_of_seed(folder):
    """A new seed asks the nodes of its seeds, and serves them."""
    with Daemon("node", "--home", home(folder, "n")) as node:
        with Daemon("seed", "--home", home(folder, "s"), "--p2p.seeds",
                    node.seed) as seed:
            seed.page("/live_peers.csv", lambda text: node.seed in text)
            seed.stop()


def chains(folder):
    """One port and one id serve two chains, each with its own nodes."""
    homes = [home(folder, "s1"), home(folder, "s2", "chain-2")]
    with Daemon("seed", "--home", homes[0], "--home", homes[1]) as seed:
        with Daemon("node", "--home", home(folder, "a"), "--p2p.seeds",
                    seed.seed) as a, \
             Daemon("node", "--home", home(folder, "b", "chain-2"),
                    "--p2p.seeds", seed.seed) as b:
            one = seed.page("/chain-1/live_peers.csv", lambda t: "@" in t)
            two = seed.page("/chain-2/live_peers.csv", lambda t: "@" in t)
            equal((one.strip(), two.strip()), (a.seed, b.seed))
            equal(seed.get("/live_peers.csv")[1], one)
        seed.stop()
    for path in homes:
        check(os.path.exists(os.path.join(path, "config/addrbook.json")), path)


def own_line(folder):
    """A seed that listens everywhere is where its pages are asked for, as far
    as it knows, and what is configured comes first."""
    path = home(folder, "s")
    with Daemon("seed", "--home", path, laddr="tcp://0.0.0.0:0") as seed:
        port = seed.seed.rsplit(":", 1)[1]
        equal(seed.seed, f"{seed.id}@127.0.0.1:{port}")
        for host, shown in (("seed.example.com:80", "seed.example.com"),
                            ("[2001:db8::1]:80", "[2001:db8::1]"),
                            ("a b", "0.0.0.0")):
            client = http.client.HTTPConnection(seed.http, timeout=LIMIT)
            client.request("GET", "/seed", headers={"Host": host})
            equal(client.getresponse().read().decode(),
                  f"{seed.id}@{shown}:{port}\n")
            client.close()
        status = json.loads(seed.get("/status")[1])["result"]["node_info"]
        equal(status["listen_addr"], f"tcp://0.0.0.0:{port}")
        with Daemon("node", "--home", home(folder, "n"), "--p2p.seeds",
                    seed.seed) as node:
            seed.page("/live_peers.csv", lambda text: node.id in text)
        seed.stop()
    with Daemon("seed", "--home", path, "--p2p.external_address",
                "192.0.2.1:7", laddr="tcp://0.0.0.0:0") as seed:
        equal(seed.seed, f"{seed.id}@192.0.2.1:7")
        seed.stop()


def visitor(seed, chain, *more):
    """A node of the chain that stays with the seed and asks nothing."""
    return Process([COMMAND, "listen", "--laddr", "127.0.0.1:0", "--network",
                    chain, "--channel", "0x00:1=discard", "--dial",
                    seed.seed, "--json", *more])


def set_key(path, key, value):
    """Changes a line of the home's config.toml."""
    path = os.path.join(path, "config", "config.toml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    equal(count, 1, text)
    write(path, changed)


def unconditional(folder):
    """An id that needs no place leaves that of another, also in a node."""
    path = home(folder, "h")
    key = os.path.join(home(folder, "f"), "config", "node_key.json")
    friend = json.loads(run("key", "show", key, "--json")[1])["id"]
    set_key(path, "max_num_inbound_peers", 1)
    set_key(path, "unconditional_peer_ids", f'"{friend}"')
    for verb in "node", "seed":
        with Daemon(verb, "--home", path) as daemon:
            with visitor(daemon, "chain-1", "--key", key) as f, \
                 visitor(daemon, "chain-1") as a:
                f.event("peer_added")
                a.event("peer_added")
                daemon.page("/net_info", lambda b: peers(b) == "2")
                with visitor(daemon, "chain-1") as b:
                    line = daemon.until(
                        lambda line: "Inbound Peer rejected" in line)
                    check("inbound peers are at their limit of 1" in line,
                          line)
                    b.event("peer_removed")
            daemon.stop()


def own_limits(folder):
    """Each chain has the places of its own home, and the ids that need none."""
    homes = [home(folder, "s1"), home(folder, "s2", "chain-2")]
    set_key(homes[0], "max_num_inbound_peers", 1)
    set_key(homes[1], "max_num_inbound_peers", 2)
    key = os.path.join(homes[1], "config", "node_key.json")
    friend = json.loads(run("key", "show", key, "--json")[1])["id"]
    set_key(homes[1], "unconditional_peer_ids", f'"{friend}"')
    with Daemon("seed", "--home", homes[0], "--home", homes[1]) as seed:
        with visitor(seed, "chain-2") as a, visitor(seed, "chain-2") as b, \
             visitor(seed, "chain-1") as c:
            for process in (a, b, c):
                process.event("peer_added")
            with visitor(seed, "chain-1") as d:
                seed.until(lambda line: "Inbound Peer rejected" in line)
                d.event("peer_removed")
            with visitor(seed, "chain-2") as e:
                seed.until(lambda line: "Inbound Peer rejected" in line)
                e.event("peer_removed")
            with visitor(seed, "chain-2", "--key", key) as f:
                f.event("peer_added")
                seed.page("/chain-2/net_info", lambda b: peers(b) == "3")
            equal(peers(seed.get("/chain-1/net_info")[1]), "1")
        seed.stop()
    with Daemon("seed", "--home", homes[0], "--home", homes[1]) as seed:
        with visitor(seed, "chain-2", "--key", key) as f:
            f.event("peer_added")
            with visitor(seed, "chain-2") as a:
                a.event("peer_added")
                seed.page("/chain-2/net_info", lambda b: peers(b) == "2")
                with visitor(seed, "chain-2"), visitor(seed, "chain-1"):
                    seed.page("/chain-2/net_info", lambda b: peers(b) == "3")
                    seed.page("/chain-1/net_info", lambda b: peers(b) == "1")
                    with visitor(seed, "chain-2"):
                        first = seed.until(
                            lambda line: "Inbound Peer rejected" in line)
                        check("numPeers=4" in first, first)
        seed.stop()


def many_places(folder):
    """Places beyond those that a switch can have are no fault."""
    homes = [home(folder, "s1"), home(folder, "s2", "chain-2")]
    for each in homes:
        set_key(each, "max_num_inbound_peers", 65535)
    with Daemon("seed", "--home", homes[0], "--home", homes[1]) as seed:
        with visitor(seed, "chain-2") as a:
            a.event("peer_added")
        seed.stop()


def own_addresses(folder):
    """One host has a peer of each chain, or more of one whose home allows
    that."""
    homes = [home(folder, "s1"), home(folder, "s2", "chain-2")]
    set_key(homes[0], "allow_duplicate_ip", "false")
    set_key(homes[1], "allow_duplicate_ip", "true")
    with Daemon("seed", "--home", homes[0], "--home", homes[1],
                CMT_P2P_ALLOW_DUPLICATE_IP="") as seed:
        with visitor(seed, "chain-1") as a, visitor(seed, "chain-2") as b, \
             visitor(seed, "chain-2") as c:
            for process in (a, b, c):
                process.event("peer_added")
            with visitor(seed, "chain-1"):
                seed.until(lambda line: "Inbound Peer rejected" in line)
            seed.page("/chain-2/net_info", lambda b: peers(b) == "2")
        seed.stop()


def without_exchange(folder):
    """With pex = false a node stays connected to its persistent peers, and no
    book is written, by a seed of such a home neither."""
    path = home(folder, "b")
    set_key(path, "pex", "false")
    key = os.path.join(path, "config", "node_key.json")
    own = json.loads(run("key", "show", key, "--json")[1])["id"]
    with Daemon("node", "--home", home(folder, "a")) as a:
        # The list of a network has the node itself, too.
        with Daemon("node", "--home", path, "--p2p.persistent_peers",
                    f"{own}@127.0.0.1:1,{a.seed}") as b:
            a.page("/net_info", lambda body: peers(body) == "1")
            b.page("/net_info", lambda body: peers(body) == "1")
            b.stop()
            check("dial of " + own not in "\n".join(b.seen), b.seen)
        with Daemon("seed", "--home", path, "--p2p.seeds", a.seed) as seed:
            seed.page("/live_peers.csv", lambda text: a.seed in text)
            seed.stop()
        a.stop()
    equal(sorted(os.listdir(os.path.join(path, "config"))),
          ["config.toml", "genesis.json", "node_key.json"])


def bans_stay(folder):
    """Who was banned is so after a restart, until the ban ends."""
    path, other = home(folder, "s"), home(folder, "n")
    key = os.path.join(other, "config", "node_key.json")
    banned = json.loads(run("key", "show", key, "--json")[1])["id"]
    book = os.path.join(path, "config", "addrbook")
    side = {"bans": [{"id": banned, "kind": 1,
                      "until": "2099-01-01T00:00:00Z"}]}
    write(book + ".json", json.dumps({"key": "", "addrs": []}))
    write(book + ".cometp2p.json", json.dumps(side))
    for _ in range(2):
        with Daemon("seed", "--home", path) as seed:
            with Daemon("node", "--home", other, "--p2p.seeds",
                        seed.seed) as node:
                line = seed.until(lambda l: "Inbound Peer rejected" in l)
                check("ban" in line, line)
                node.kill()
            seed.stop()
    with open(book + ".cometp2p.json", encoding="utf-8") as file:
        side = json.load(file)
    equal([ban["id"] for ban in side["bans"]], [banned])
    side["bans"][0]["until"] = "2020-01-01T00:00:00Z"
    write(book + ".cometp2p.json", json.dumps(side))
    with Daemon("seed", "--home", path) as seed:
        with Daemon("node", "--home", other, "--p2p.seeds",
                    seed.seed) as node:
            seed.page("/live_peers.csv", lambda text: node.seed in text)
        seed.stop()


def clock_back(folder):
    """Proofs from a day that is still to come, by a clock that was put back,
    are renewed at once."""
    path = home(folder, "s")
    with Daemon("node", "--home", home(folder, "n")) as node:
        with Daemon("seed", "--home", path, "--p2p.seeds", node.seed) as seed:
            seed.page("/live_peers.csv", lambda text: node.seed in text)
            seed.stop()
        for name in ("addrbook.json", "addrbook.cometp2p.json"):
            book = os.path.join(path, "config", name)
            with open(book, encoding="utf-8") as file:
                text = file.read()
            write(book, re.sub(r'"20\d\d-', '"2199-', text))
        with Daemon("seed", "--home", path) as seed:
            live = json.loads(seed.page("/live_peers",
                                        lambda text: node.seed in text))
            check(not live["peers"][0]["proven"].startswith("2199"), live)
            seed.stop()


def late_home(folder):
    """A home that comes into the folder of --homes is served."""
    parent = os.path.join(folder, "homes")
    os.mkdir(parent)
    home(parent, "one")
    with Daemon("seed", "--homes", parent) as seed:
        made = home(folder, "two", "chain-2")
        os.rename(made, os.path.join(parent, "two"))
        seed.until(lambda line: "network=chain-2" in line)
        with Daemon("node", "--home", home(folder, "b", "chain-2"),
                    "--p2p.seeds", seed.seed) as node:
            seed.page("/chain-2/live_peers.csv", lambda t: node.seed in t)
        seed.stop()


def book_text(path):
    with open(os.path.join(path, "config", "addrbook.json"),
              encoding="utf-8") as file:
        return file.read()


def other_home(folder):
    """A home of another chain in the place of one that is served is noticed,
    and the book of the old one is not written into it."""
    parent = os.path.join(folder, "homes")
    os.mkdir(parent)
    home(parent, "one")
    place = home(parent, "two", "chain-2")
    spare = home(folder, "spare", "chain-3")
    aside = os.path.join(folder, "aside")
    with Daemon("seed", "--homes", parent) as seed, \
         Daemon("node", "--home", home(folder, "b", "chain-2"),
                "--p2p.seeds", seed.seed) as b, \
         Daemon("node", "--home", home(folder, "c", "chain-3"),
                "--p2p.persistent_peers", seed.seed) as c:
        seed.page("/chain-2/live_peers.csv", lambda t: b.seed in t)
        os.rename(place, aside)
        os.rename(spare, place)
        line = seed.until(lambda l: "Home has another chain" in l)
        check(line.startswith("E[") and "old=chain-2 network=chain-3" in line,
              line)
        seed.until(lambda l: "Chain " in l and "network=chain-3" in l)
        seed.page("/chain-3/live_peers.csv", lambda t: c.seed in t)
        check(b.seed in seed.get("/chain-2/live_peers.csv")[1], "it stays")
        os.rename(place, spare)
        os.rename(aside, place)
        seed.until(lambda l: "old=chain-3 network=chain-2" in l)
        seed.stop()
    check(b.id in book_text(place) and c.id not in book_text(place), place)


def changed_home(folder):
    """A change of a home that is served is one line of the log, and a value
    that one switch cannot have twice is another."""
    parent = os.path.join(folder, "homes")
    os.mkdir(parent)
    one = home(parent, "one")
    two = home(parent, "two", "chain-2")
    set_key(two, "send_rate", 1000000)
    set_key(two, "max_packet_msg_payload_size", 1400)
    with Daemon("seed", "--homes", parent) as seed:
        held = [l for l in seed.seen if "first home's value" in l]
        equal(len(held), 1, seed.seen)
        check('keys="send_rate max_packet_msg_payload_size"' in held[0] and
              held[0].startswith("W["), held)
        set_key(one, "laddr", '"tcp://127.0.0.1:1"')
        line = seed.until(lambda l: "Home has changed" in l)
        check(line.startswith("W[") and "network=chain-1" in line, line)
        append(os.path.join(two, "config", "config.toml"), "= no toml\n")
        line = seed.until(lambda l: "Home has changed" in l)
        check(line.startswith("E[") and "homes/two" in line, line)
        os.rename(one, os.path.join(folder, "gone"))
        line = seed.until(lambda l: "Home has changed" in l)
        check(line.startswith("E[") and "homes/one" in line, line)
        os.rename(home(folder, "x", "x"), os.path.join(parent, "x"))
        seed.until(lambda l: "network=x" in l)
        equal(len([l for l in seed.seen if "Home has changed" in l]), 3)
        os.rename(os.path.join(folder, "gone"), one)  # Where its book goes.
        seed.stop()


def bad_homes(folder):
    """A folder that cannot be served is one error of the log, at the start and
    later, and others are served."""
    parent = os.path.join(folder, "homes")
    os.mkdir(parent)
    key = os.path.join(home(parent, "a"), "config/node_key.json")
    write(key, "no key")
    toml = os.path.join(home(parent, "b", "chain-b"), "config/config.toml")
    code, out, err = run("seed", "--homes", parent, "--p2p.laddr", "nowhere",
                         env=environment())
    equal((code, out), (1, ""))
    with open(toml, encoding="utf-8") as file:
        well = file.read()
    write(toml, "= no toml")
    code, out, err = run("seed", "--homes", parent, env=environment())
    equal((code, out, err.count("\n")), (1, "", 2), err)
    check("/a/" in err and "/b/" in err, err)
    home(parent, "c", "chain-c")
    home(parent, "d", "chain-c")
    with Daemon("seed", "--homes", parent) as seed:
        write(toml, well)
        seed.until(lambda line: "network=chain-b" in line)
        for name in ("y", "z"):
            os.rename(home(folder, name, name), os.path.join(parent, name))
            seed.until(lambda line, n=name: f"network={n}" in line)
        for name in ("a", "b", "d"):
            lines = [line for line in seed.seen if "is not served" in line and
                     f"homes/{name} " in line]
            equal(len(lines), 1, seed.seen)
            check(lines[0].startswith("E["), lines)
        seed.stop()


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def twin_home(folder):
    """A second home of a chain is read once and left as it is, until it has
    another chain."""
    parent = os.path.join(folder, "homes")
    os.mkdir(parent)
    home(parent, "a")
    twin = os.path.join(home(parent, "b"), "config")
    append(os.path.join(twin, "config.toml"), "name_space = 1\n")
    before = sorted(os.listdir(twin))
    with Daemon("seed", "--homes", parent) as seed:
        for name in ("x", "y", "z"):  # Each comes with another look.
            os.rename(home(folder, name, name), os.path.join(parent, name))
            seed.until(lambda line, n=name: f"network={n}" in line)
        read = [line for line in seed.seen if "name_space" in line]
        equal(len(read), 1, read)
        equal(len([l for l in seed.seen if "homes/b: the chain" in l]), 1,
              seed.seen)
        equal(sorted(os.listdir(twin)), before)
        path = os.path.join(twin, "genesis.json")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        write(path, text.replace("chain-1", "chain-2"))
        seed.until(lambda line: "network=chain-2" in line)
        seed.stop()
    check("addrbook.json" in os.listdir(twin), "it is served now")


def not_joined(folder):
    """A folder of --homes whose chain the switch refuses is skipped; one of
    --home ends the seed."""
    parent = os.path.join(folder, "homes")
    os.mkdir(parent)
    for name in ("a", "b", "c"):
        home(parent, name, f"chain-{name}")
    for name in ("a", "c"):
        path = os.path.join(parent, name, "config/config.toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        write(path, re.sub("(?m)^moniker = .*", f'moniker = "{"m" * 10241}"',
                           text))
    with Daemon("seed", "--homes", parent) as seed:
        equal(seed.id, run("key", "show", os.path.join(
            parent, "b/config/node_key.json"))[1].strip())
        for name in ("a", "c"):
            lines = [line for line in seed.seen if "is not served" in line and
                     f"homes/{name} " in line]
            equal(len(lines), 1, seed.seen)
            check(lines[0].startswith("E[") and
                  "our node info takes" in lines[0], lines)
        seed.page("/chain-b/net_info", lambda body: peers(body) == "0")
        seed.stop()
    for name in ("a", "c"):
        config = os.listdir(os.path.join(parent, name, "config"))
        check("addrbook.json" not in config, config)
    code, out, err = run("seed", "--home", os.path.join(parent, "a"),
                         "--homes", parent, "--p2p.laddr",
                         "tcp://127.0.0.1:0", env=environment())
    equal((code, err.count("\n")), (1, 1), err)
    check("our node info takes" in err, err)


def full_list(folder):
    """A home that comes with as many private ids as there can be leaves no room
    for who is denied: it is not served, and others are.  Without such a list it
    is."""
    parent = os.path.join(folder, "homes")
    listed = os.path.join(folder, "denied")
    write(listed, 40 * "a" + "\n")
    os.mkdir(parent)
    home(parent, "a")
    late = home(folder, "b", "chain-2")
    ids = ",".join(f"{i:040x}" for i in range(1, 4097))
    set_key(late, "private_peer_ids", f'"{ids}"')
    with Daemon("seed", "--homes", parent, "--deny", listed) as seed:
        os.rename(late, os.path.join(parent, "b"))
        line = seed.until(lambda line: "is not served" in line)
        check("chain-2" in line and "too many private ids" in line, line)
        os.rename(home(folder, "c", "chain-3"), os.path.join(parent, "c"))
        seed.until(lambda line: "network=chain-3" in line)
        seed.stop()
    with Daemon("seed", "--homes", parent) as seed:
        os.rename(home(folder, "d", "chain-4"), os.path.join(parent, "d"))
        seed.until(lambda line: "network=chain-4" in line)
        check(not any("is not served" in line for line in seed.seen), seed.seen)
        seed.stop()


def metrics(folder):
    """Prometheus gets every path, and each chain is in the page."""
    with Daemon("seed", "--home", home(folder, "s1"), "--home",
                home(folder, "s2", "chain-2"),
                CMT_INSTRUMENTATION_PROMETHEUS="true",
                CMT_INSTRUMENTATION_PROMETHEUS_LISTEN_ADDR="127.0.0.1:0",
                CMT_INSTRUMENTATION_NAMESPACE="gaia") as seed:
        with Daemon("node", "--home", home(folder, "a"), "--p2p.seeds",
                    seed.seed):
            seed.page("/live_peers.csv", lambda text: "@" in text)
            for path in ("/metrics", "/", "/any/path?x=1"):
                status, page = seed.get(path, seed.metrics)
                equal(status, 200)
                check('gaia_p2p_peers{chain_id="chain-1"}' in page, page)
            check('cometp2p_peers{chain_id="chain-2",direction="inbound",'
                  'kind="ordinary"} 0' in page, page)
            series = [line for line in page.splitlines()
                      if not line.startswith("#")]
            check(len(series) < 400, len(series))
            with Daemon("node", "--home", home(folder, "b"), "--p2p.seeds",
                        seed.seed):
                for found in (
                        r'seed_visits_total{chain_id="chain-1",'
                        r'outcome="served"} [1-9]',
                        r'seed_addresses_served_total{chain_id="chain-1"} '
                        r'[1-9]',
                        r'seed_proof_age_seconds_count{chain_id="chain-1"} '
                        r'[1-9]',
                        r'pex_addresses_total{chain_id="chain-1",'
                        r'fate="added"} [1-9]',
                        r'seed_verified_ratio{chain_id="chain-1"} 1$',
                        r'connections_total{chain_id="chain-1",'
                        r'direction="outbound",outcome="(felt|peer)"} [1-9]',
                        r'handshake_seconds_count{chain_id="chain-1",'
                        r'stage="connect"} [1-9]',
                        r'handshake_seconds_count{chain_id="chain-1",'
                        r'stage="secret"} [1-9]'):
                    seed.page("/metrics", lambda text, r=found: re.search(
                        "cometp2p_" + r, text, re.MULTILINE), seed.metrics)
                seed.page("/metrics", lambda text: re.search(
                    r'^gaia_p2p_message_send_bytes_total{chain_id="chain-1",'
                    r'message_type="p2p_PexAddrs"} [1-9]', text,
                    re.MULTILINE), seed.metrics)
        seed.stop()


def dials_of_chains(folder):
    """A dial that fails is counted for the chain whose exchange made it."""
    lost = "0" * 39 + "1@127.0.0.1:1"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # It does not listen.
        lost = f"{lost.rsplit(':', 1)[0]}:{closed.getsockname()[1]}"
        second = home(folder, "s2", "chain-2")
        path = os.path.join(second, "config", "config.toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        changed = re.sub(r'(?m)^persistent_peers = ""$',
                         f'persistent_peers = "{lost}"', text)
        check(changed != text, text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed)
        with Daemon("seed", "--home", home(folder, "s1"), "--home", second,
                    CMT_INSTRUMENTATION_PROMETHEUS="true",
                    CMT_INSTRUMENTATION_PROMETHEUS_LISTEN_ADDR="127.0.0.1:0"
                    ) as seed:
            page = seed.page("/metrics", lambda text: 'connections_total{'
                             'chain_id="chain-2",direction="outbound",'
                             'outcome="refused"} ' in text, seed.metrics)
            check('connections_total{chain_id="chain-1"' not in page, page)
            seed.stop()


def filters(folder):
    """A seed serves the versions that it should, and answers others without
    addresses."""
    prometheus = {"CMT_INSTRUMENTATION_PROMETHEUS": "true",
                  "CMT_INSTRUMENTATION_PROMETHEUS_LISTEN_ADDR": "127.0.0.1:0"}
    empty = r'seed_visits_total{chain_id="chain-1",outcome="empty"} [1-9]'
    served = r'seed_visits_total{chain_id="chain-1",outcome="served"} 0$'
    with Daemon("seed", "--home", home(folder, "s"), "--version-prefix", "9.",
                "--min-height", "0", **prometheus) as seed:
        with Daemon("node", "--home", home(folder, "a"), "--p2p.seeds",
                    seed.seed) as node:
            seed.page("/addrbook.json", lambda text: node.id in text)
            seed.page("/metrics", lambda text: "addrbook_proven{chain_id="
                      '"chain-1"} 1' in text, seed.metrics)
            equal(seed.get("/live_peers.csv")[1], "\n")
            with Daemon("node", "--home", home(folder, "b"), "--p2p.seeds",
                        seed.seed):
                page = seed.page("/metrics",
                                 lambda text: re.search(empty, text),
                                 seed.metrics)
                check(re.search(served, page, re.MULTILINE), page)
        seed.stop()


def peer_metrics(folder):
    """Series of each peer by option, and gone with the peer."""
    prometheus = {"CMT_INSTRUMENTATION_PROMETHEUS": "true",
                  "CMT_INSTRUMENTATION_PROMETHEUS_LISTEN_ADDR": "127.0.0.1:0"}
    with Daemon("node", "--home", home(folder, "a"), **prometheus) as plain:
        with Daemon("node", "--home", home(folder, "b"), "--peer-metrics",
                    "--p2p.persistent_peers", plain.seed,
                    **prometheus) as node:
            label = f'peer_id="{plain.id}"'
            node.page("/metrics", lambda text: label in text, node.metrics)
            plain.page("/net_info", lambda body: peers(body) == "1")
            page = plain.get("/metrics", plain.metrics)[1]
            check("peer_id" not in page, page)
            plain.stop()
            node.page("/metrics", lambda text: label not in text, node.metrics)
            node.stop()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read_again(seed, part):
    """Reads the list again; the line of the log about it has |part|."""
    seed.signal(signal.SIGHUP)
    line = seed.until(lambda line: "the deny list" in line)
    check(part in line, line)
    return line


def deny(folder):
    """Who is on the list is kept out, and let in when it is read again."""
    listed = os.path.join(folder, "denied")
    seed_home, node_home = home(folder, "s"), home(folder, "n")
    node_id = run("key", "show", os.path.join(node_home,
                                              "config/node_key.json"))[1].strip()
    write(listed, f"# strangers\n\n  {node_id.upper()}  # this one\n"
          "192.0.2.0/24\n# " + 300 * "x" + "\n")
    with Daemon("seed", "--home", seed_home, "--deny", listed) as seed:
        with Daemon("node", "--home", node_home, "--p2p.seeds", seed.seed):
            seed.until(lambda line: "Inbound Peer rejected" in line and
                       "banned" in line)
            write(listed, "not an id\n")
            line = read_again(seed, "denied:1: 'not an id' is no node id, ")
            check(line.startswith("E["), line)
            write(listed, "192.0.2.0/24\n2001:db8::/32\n")
            check(read_again(seed, "count=2").startswith("I["), "information")
            seed.page("/live_peers.csv", lambda text: node_id in text)
        seed.stop()


def denied_leaves(folder):
    """Who is denied leaves the book and the pages at once, by its id or by its
    range; a list without it lets it in again."""
    listed = os.path.join(folder, "denied")
    write(listed, "")
    seed_home = home(folder, "s")
    with Daemon("seed", "--home", seed_home, "--deny", listed) as seed:
        for form in ("{id}", "127.0.0.0/8", "127.0.0.1", "::ffff:127.0.0.1"):
            write(listed, "2001:db8::/32\n::/0\n128.0.0.0/8\n")
            read_again(seed, "count=3")
            name = f"n{len(seed.seen)}"
            with Daemon("node", "--home", home(folder, name), "--p2p.seeds",
                        seed.seed) as node:
                seed.page("/live_peers.csv", lambda t, n=node: n.id in t)
                write(listed, form.format(id=node.id) + "\n")
                read_again(seed, "count=1")
                for page in ("/live_peers.csv", "/live_peers",
                             "/addrbook.json"):
                    seed.page(page, lambda t, n=node: n.id not in t)
                node.stop()
        write(listed, "")
        read_again(seed, "count=0")
        # It visits its seed at its start.  That serves it when it has dialed it
        # again, which is half a minute after the last time.
        with Daemon("node", "--home", os.path.join(folder, name),
                    "--p2p.seeds", seed.seed) as node:
            seed.page("/addrbook.json", lambda t: node.id in t)
            node.stop()
        last = node.id
        seed.stop()
    with open(os.path.join(seed_home, "config/addrbook.json"),
              encoding="utf-8") as file:
        check(last in file.read(), "the book is stored")
    write(listed, "127.0.0.0/8\n")
    with Daemon("seed", "--home", seed_home, "--deny", listed) as seed:
        check(last not in seed.get("/addrbook.json")[1], "at the start too")
        seed.stop()


def denied_unread(folder):
    """A list that cannot be read to its end changes nothing."""
    listed, pipe = (os.path.join(folder, name) for name in ("denied", "pipe"))
    os.mkfifo(pipe)
    write(listed, "127.0.0.1\n")
    with Daemon("seed", "--home", home(folder, "s"), "--deny", listed) as seed:
        for target, reason in ((folder, "Is a directory"),
                               (pipe, "is not a regular file"),
                               ("/dev/zero", "is not a regular file"),
                               ("/proc/self/mem", "Input/output error"),
                               ("/none", "No such file or directory")):
            os.remove(listed)
            os.symlink(target, listed)
            check(read_again(seed, f"denied: {reason}").startswith("E["),
                  "an error")
        with Daemon("node", "--home", home(folder, "n"), "--p2p.seeds",
                    seed.seed):
            seed.until(lambda line: "127.0.0.1 is banned" in line)
        seed.stop()
    large = os.path.join(folder, "large")
    write(large, "#" + "x" * (1 << 20))
    nul = os.path.join(folder, "nul")
    write(nul, "1.2.3.4\0\n")
    code, _, err = run("seed", "--home", home(folder, "nuls"), "--p2p.laddr",
                       "tcp://127.0.0.1:0", "--deny", nul, env=environment())
    equal((code, err), (1, f"cometp2p: {nul}:1: it has the character 0\n"))
    for target, reason in ((folder, "Is a directory"),
                           (pipe, "is not a regular file"),
                           (large, "is over 1 MiB"),
                           ("/proc/self/mem", "Input/output error")):
        code, _, err = run("seed", "--home", home(folder, "t" + reason[-4:]),
                           "--p2p.laddr", "tcp://127.0.0.1:0", "--deny", target,
                           env=environment())
        equal((code, err.count("\n")), (1, 1), err)
        check(f"{target}: {reason}" in err, err)


def silent(address, count):
    """So many connections that say nothing."""
    host, port = address.split("@")[1].rsplit(":", 1)
    return [socket.create_connection((host, int(port)), LIMIT)
            for _ in range(count)]


def descriptors(folder):
    """It has as many as the system allows; and while strangers have all of a
    few, a node is served."""
    with Daemon("seed", "--home", home(folder, "many"), limits=(40, 256)) as seed:
        with open(f"/proc/{seed.child.pid}/limits", encoding="utf-8") as file:
            line = next(l for l in file if l.startswith("Max open files"))
        equal(line.split()[3:5], ["256", "256"])
        seed.stop()
    with Daemon("seed", "--home", home(folder, "few"), "--log_level", "debug",
                limits=(40, 40)) as seed:
        crowd = silent(seed.seed, 100)
        seed.until(lambda line: "has no descriptor for a newer" in line)
        with Daemon("node", "--home", home(folder, "n"), "--p2p.seeds",
                    seed.seed) as node:
            seed.until(lambda line: "the visit is over" in line)
            for stranger in crowd:
                stranger.close()
            seed.page("/live_peers.csv", lambda text: node.seed in text)
        seed.stop()


def twins(folder):
    """Two homes of one chain are a mistake that is named."""
    code, out, err = run("seed", "--home", home(folder, "a"), "--home",
                         home(folder, "b"), env=environment())
    equal((code, out), (1, ""))
    check("/b: the chain chain-1 is that of" in err and
          err.count("\n") == 1, err)


def as_tenderseed(folder):
    """Its options with one dash, before and after its two verbs."""
    path = home(folder, "a")
    node_id = run("init", "--home", path)[1].split()[-3]
    os.rename(os.path.join(path, "config", "config.toml"),
              os.path.join(path, "other.toml"))
    options = [f"-home={path}", "-config", "other.toml"]
    for args in ([*options, "show-node-id"], ["show-node-id", *options]):
        equal(run("seed", *args, env=environment()), (0, node_id + "\n", ""))
    code, out, err = run("seed", "-home", path, "-json", "show-node-id",
                         env=environment())
    equal((code, json.loads(out)["id"], err), (0, node_id, ""))
    new = os.path.join(folder, "b")
    code, out, err = run("init", "-home", new, "-json", "-chain-id", "c")
    equal((code, json.loads(out)["network"], err), (0, "c", ""))
    code, out, err = run("node", "-home", os.path.join(folder, "none"),
                         env=environment())
    equal((code, out, err.count("\n")), (1, "", 1))
    with Daemon("seed", *options, "-chain-id", "chain-9", "-seed",
                "0" * 40 + "@127.0.0.1:1", "start") as seed:
        equal(seed.id, node_id)
        equal(json.loads(seed.get("/status")[1])["result"]["node_info"]
              ["network"], "chain-9")
        seed.signal(signal.SIGTERM)
        equal(seed.exit(), 0)


def mistakes(folder):
    """Each is one line, and nothing begins."""
    path, empty = home(folder, "a"), os.path.join(folder, "empty")
    os.mkdir(empty)
    long_list = os.path.join(folder, "long")
    with open(long_list, "w", encoding="utf-8") as file:
        file.writelines(f"192.0.2.{i % 250}\n" for i in range(513))
    for args, part in (
            (["node", "--home", path, "--home", path], "a node has one home"),
            (["seed", "--home", path, "word"],
             "it takes start or show-node-id, or neither"),
            (["node", "--home", path, "start"], "it takes no arguments"),
            (["seed", "-home", path, "-config", "none.toml"],
             f"file '{path}/none.toml': No such file or directory"),
            (["seed", "--home", os.path.join(folder, "none")],
             f"cometp2p: '{folder}/none' is no home of a node: cometp2p init "
             f"--home {folder}/none makes one\n"),
            (["node", "--home", empty],
             f"cometp2p init --home {empty} makes one\n"),
            (["seed", "--home", empty, "--chain-id", "c", "show-node-id"],
             f"cometp2p init --home {empty} makes one\n"),
            (["seed", "--homes", "/none/homes"],
             "--homes '/none/homes': No such file or directory"),
            (["seed", "--homes", "/"],
             "--homes '/': no folder in it has config/node_key.json and "
             "config/config.toml"),
            (["seed", "--home", path, "--p2p.laddr", "127.0.0.1"], "laddr"),
            (["seed", "--home", path, "--log_level", "loud"],
             "--log_level is 'loud', allowed is"),
            (["node", "--home", path, "--log-level", "loud"],
             "--log-level is 'loud', allowed is"),
            (["seed", "--home", path, "--min-height", "x"],
             "cometp2p: --min-height is 'x', allowed is a height, or 0 for "
             "any"),
            (["seed", "--home", path, "--version-prefix", "9" * 24],
             "cometp2p: --version-prefix is '"),
            (["seed", "--home", path, "--chain-id", "c" * 51],
             "cometp2p: --chain-id is 'ccc"),
            (["seed", "--home", path, "-seed", "x"],
             "cometp2p: --seeds has 'x', allowed is"),
            (["init", "--home", os.path.join(folder, "b"), "--seeds", "x"],
             "cometp2p: --seeds is 'x', allowed is"),
            (["init", "--home", os.path.join(folder, "b"), "--chain-id",
              "c" * 51],
             "cometp2p: --chain-id is 'ccc"),
            (["node", "--home", path, "--p2p.laddr", "x"],
             "cometp2p: --p2p.laddr is 'x', allowed is"),
            (["node", "--home", path, "--min-height", "1"], "--min-height"),
            (["seed", "--home", path, "--http", "nowhere", "--p2p.laddr",
              "tcp://127.0.0.1:0"], "--http is 'nowhere'"),
            (["seed", "--home", path, "--p2p.laddr", "tcp://127.0.0.1:0",
              "--deny", os.path.join(folder, "none")], "none: No such file"),
            (["seed", "--home", path, "--p2p.laddr", "tcp://127.0.0.1:0",
              "--deny", long_list], ":513: there are more than 512 lines")):
        code, _, err = run(*args, env=environment())
        check(code != 0 and part in err, (args, code, err))
        equal(err.count("\n"), 1, err)


def no_namespace(folder):
    """Metrics may be without a namespace, as in a home of CometBFT."""
    path = home(folder, "n")
    config = os.path.join(path, "config/config.toml")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    write(config, text.replace('namespace = "cometbft"', 'namespace = ""'))
    with Daemon("seed", "--home", path,
                CMT_INSTRUMENTATION_PROMETHEUS="true",
                CMT_INSTRUMENTATION_PROMETHEUS_LISTEN_ADDR="127.0.0.1:0"
                ) as seed:
        equal(seed.get("/metrics", seed.metrics)[0], 200)
        seed.stop()


def no_pages(folder):
    """Pages need a library that is loaded for them; a seed without pages does
    without it."""
    path = home(folder, "s")
    with open(os.path.join(folder, "libmicrohttpd.so.12"), "wb"):
        pass
    env = environment(LD_LIBRARY_PATH=folder)
    laddr = ["--p2p.laddr", "tcp://127.0.0.1:0"]
    code, _, err = run("seed", "--home", path, *laddr, "--http", "127.0.0.1:0",
                       env=env)
    equal(code, 1)
    check("pages need libmicrohttpd.so.12: " in err and folder in err, err)
    equal(err.count("\n"), 1, err)
    with Process([COMMAND, "seed", "--home", path, *laddr, "--log_level",
                  "info"], env=env) as seed:
        seed.until(lambda line: "Started node" in line)
        seed.signal(signal.SIGTERM)
        equal(seed.exit(), 0)


def went_away(folder):
    """A stranger that goes before it is a peer is a line at debug alone, and
    one that is refused is one at info too."""
    gone, refused = "failed in stage", "Inbound Peer rejected"
    with Daemon("node", "--home", home(folder, "n"), "--log_level",
                "debug") as node:
        for stranger in silent(node.seed, 1):
            stranger.close()
        line = node.until(lambda line: gone in line or refused in line)
        # It resets what we had sent already.
        check(re.match(r"D\[.*(peer closed|was reset)", line), line)
        other = home(folder, "o", "chain-2")
        with Daemon("node", "--home", other, "--p2p.persistent_peers",
                    node.seed):
            line = node.until(lambda line: refused in line)
            check(line.startswith("I[") and "network" in line, line)
        node.signal(signal.SIGTERM)
        equal(node.exit(), 0)


def json_log(folder):
    """log_format = json, or --json: one object a line; the last one counts."""
    path = home(folder, "s")
    for verb, args, plain in (("seed", ["--log_format", "json"], False),
                              ("seed", ["--json"], False),
                              ("node", ["-json"], False),
                              ("seed", ["--json", "--log_format", "plain"],
                               True)):
        with Process([COMMAND, verb, "--home", path, "--p2p.laddr",
                      "tcp://127.0.0.1:0", *args], env=environment()) as seed:
            line = seed.until(lambda line: "P2P Node ID" in line)
            equal(line.startswith("I["), plain, line)
            if not plain:
                equal(sorted(json.loads(line)),
                      ["ID", "_msg", "file", "level", "module", "ts"])
            seed.signal(signal.SIGINT)
            equal(seed.exit(), 0)


def json_warnings(folder):
    """Warnings about the home and the key are lines of the log, too: in its
    form, and not there when its level is above."""
    path = home(folder, "s")
    os.chmod(os.path.join(path, "config/node_key.json"), 0o644)
    for form in (["--json"], ["--log_format", "json"]):
        with Process([COMMAND, "seed", "--home", path, "--p2p.laddr",
                      "tcp://127.0.0.1:0", *form],
                     env=environment(CMT_P2P_SEADS="x")) as seed:
            lines = [json.loads(seed.line()) for _ in range(3)]
            equal([line["module"] for line in lines],
                  ["home", "node_key", "p2p"])
            equal([line["level"] for line in lines], ["warn", "warn", "info"])
    with Process([COMMAND, "seed", "--home", path, "--p2p.laddr",
                  "tcp://127.0.0.1:0", "--log_level", "*:error,p2p:info"],
                 env=environment()) as seed:
        line = seed.line()
        check("P2P Node ID" in line, line)


TESTS = [
    ("nodes that know a seed alone find each other", network),
    ("the list of pages", index),
    ("a chain within the path of another", chain_in_chain),
    ("listeners are those of CometBFT", listeners),
    ("visits are no news", quiet_visits),
    ("modules of the log", log_modules),
    ("a new seed asks the nodes of its list", seed_of_seed),
    ("one port serves two chains", chains),
    ("a seed's own line", own_line),
    ("an unconditional peer takes no place", unconditional),
    ("each chain has limits of its own", own_limits),
    ("chains may have more places than there can be", many_places),
    ("a host has a peer of each chain", own_addresses),
    ("a node without peer exchange", without_exchange),
    ("a ban lasts over a restart", bans_stay),
    ("a clock that was put back", clock_back),
    ("a home that comes is served", late_home),
    ("another home in the place of one", other_home),
    ("a home that changes", changed_home),
    ("folders that cannot be served", bad_homes),
    ("a second home of a chain is left alone", twin_home),
    ("a folder whose chain cannot join", not_joined),
    ("a home with a full list of ids", full_list),
    ("metrics of all chains on any path", metrics),
    ("a dial counts for its chain", dials_of_chains),
    ("metrics of each peer by option", peer_metrics),
    ("only some versions are served", filters),
    ("a list of who is kept out", deny),
    ("who is denied is served no more", denied_leaves),
    ("a list that cannot be read", denied_unread),
    ("a stranger that goes is no trouble", went_away),
    ("few descriptors", descriptors),
    ("two homes of one chain", twins),
    ("options as those of tenderseed", as_tenderseed),
    ("mistakes are one line", mistakes),
    ("metrics without a namespace", no_namespace),
    ("the library of the pages", no_pages),
    ("a log of JSON", json_log),
    ("warnings in the form of the log", json_warnings),
]

if __name__ == "__main__":
    Tap().main(TESTS)
