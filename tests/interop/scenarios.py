# SPDX-License-Identifier: Apache-2.0
"""What is tried against one version of CometBFT.

"We" is this implementation: the command cometp2p, or the test node interop_peer
where a test needs more than the command offers.  "They" is gopeer.  Most
scenarios run twice: the listener is theirs once and ours once.
"""

import dataclasses
import functools
import itertools
import json
import pathlib
import subprocess
import time

from harness import (SIGTERM, WAIT_S, address, check, expected_messages,
                     received_messages)

NETWORK = "interop"
SIZES = [0, 1, 1023, 1024, 1025, 65536, 4000000]
CHANNELS = [0x40, 0x50, 0x81]
# ID:PRIORITY:QUEUE of the matrix, in hex as the test nodes take it.
MATRIX = "40:1:10,50:10:10,81:5:10"
CLOSED = ("EOF", "reset by peer", "broken pipe", "closed network connection")
# What is left to a busy machine is the timeout.
QUICK_PINGS = ["-ping-interval", "2s", "-pong-timeout", "1900ms"]


@dataclasses.dataclass
class Context:
    version: str
    command: pathlib.Path
    peer: pathlib.Path
    gopeer: pathlib.Path
    cometbft: pathlib.Path
    env: dict


# ---- starting both sides ---------------------------------------------------

def start_they(context, programs, *flags, network=NETWORK):
    they = programs.start("they", [
        context.gopeer, "-network", network, "-moniker", "they", *flags])
    they.ready = they.wait("ready")
    return they


def start_node(context, programs, *flags, network=NETWORK):
    we = programs.start("we", [
        context.peer, "-network", network, "-moniker", "we", *flags])
    we.ready = we.wait("ready")
    return we


def start_command(context, programs, *flags, network=NETWORK):
    """cometp2p listen, with the flags in the style of the test nodes."""
    names = {"-dial": "--dial", "-ping-interval": "--ping-interval",
             "-pong-timeout": "--pong-timeout"}
    we = programs.start("we", [
        context.command, "listen", "--laddr", "127.0.0.1:0", "--json",
        "--network", network, "--moniker", "we",
        *[names.get(flag, flag) for flag in flags]])
    we.ready = we.wait("ready")
    return we


def pair(start_we, context, programs, direction, we=(), they=()):
    """Both sides, of which one dials the other."""
    if direction == "they dial":
        ours = start_we(context, programs, *we)
        theirs = start_they(context, programs, *they, "-dial",
                            address(ours.ready))
    else:
        theirs = start_they(context, programs, *they)
        ours = start_we(context, programs, *we, "-dial", address(theirs.ready))
    return ours, theirs


def connected(ours, theirs):
    """Waits until both know each other; their events."""
    return (ours.wait("peer_added", id=theirs.ready["id"]),
            theirs.wait("peer_added", id=ours.ready["id"]))


def still_connected(*programs):
    for program in programs:
        gone = program.find("peer_removed")
        check(not gone, f"{program.name}: lost the peer: {gone}")


def stop_command(ours):
    status = ours.stop(with_signal=SIGTERM)
    check(status == 0, f"cometp2p listen ended with {status} after SIGTERM")


def stop_nodes(*programs):
    for program in programs:
        status = program.stop()
        check(status == 0, f"{program.name} ended with {status}")


def command_channels(role, queue=10, capacity=22020096, ids=CHANNELS):
    priorities = {0x40: 1, 0x50: 10, 0x81: 5}
    return [word for i in ids for word in (
        "--channel", f"{i:#x}:{priorities.get(i, 1)}:{queue}:{capacity}={role}")]


# ---- scenarios -------------------------------------------------------------

def handshake(direction, context, programs):
    ours, theirs = pair(start_command, context, programs, direction)
    our_event, their_event = connected(ours, theirs)
    we_dial = direction == "we dial"
    check(our_event["outbound"] == we_dial, f"we report {our_event}")
    check(their_event["outbound"] != we_dial, f"they report {their_event}")
    stop_command(ours)
    theirs.wait("peer_removed", id=ours.ready["id"])


def node_info(direction, context, programs):
    ours, theirs = pair(start_command, context, programs, direction,
                        they=["-channels", "40,50,61"])
    seen, said = connected(ours, theirs)
    want = {"moniker": "they", "network": NETWORK, "channels": "405061",
            "version": theirs.ready["version"]}
    for key, value in want.items():
        check(seen[key] == value, f"their {key} is {value}, we report {seen[key]}")
    info = said["node_info"]
    want = {"id": ours.ready["id"], "moniker": "we", "network": NETWORK,
            "channels": "4050",
            "listen_addr": "tcp://" + ours.ready["laddr"]}
    for key, value in want.items():
        got = info[key]
        if key == "listen_addr":
            got, value = got.rpartition("/")[2], value.rpartition("/")[2]
        check(got == value, f"our {key} is {value}, they report {got}")
    check(info["protocol_version"] == {"p2p": "8", "block": "11", "app": "0"},
          f'they report {info["protocol_version"]}')


def their_messages(direction, context, programs):
    ours, theirs = pair(start_command, context, programs, direction,
                        we=["--echo", *command_channels("echo")],
                        they=["-role", "send", "-await-echo", "-channels",
                              MATRIX])
    finish_echo(theirs, receiver=ours)
    stop_command(ours)


def our_messages(direction, context, programs):
    ours, theirs = pair(start_node, context, programs, direction,
                        we=["-role", "send", "-await-echo", "-channels",
                            MATRIX],
                        they=["-role", "echo", "-channels", MATRIX])
    finish_echo(ours, receiver=theirs)
    stop_nodes(ours, theirs)


def their_larger_packets(direction, context, programs):
    ours, theirs = pair(start_node, context, programs, direction,
                        we=["-role", "echo", "-channels", "40,50"],
                        they=["-role", "send", "-await-echo", "-channels",
                              "40,50", "-max-packet", "1400"])
    finish_echo(theirs, receiver=ours, channels=[0x40, 0x50])
    stop_nodes(ours, theirs)


def finish_echo(sender, receiver, channels=CHANNELS):
    """All messages came, in order, and went back unchanged."""
    done = sender.wait("done", unless="peer_removed")
    count = len(SIZES) * len(channels)
    check(done["wrong"] == 0 and done["echoed"] == count,
          f"{sender.name}: sent {count}: {done}")
    compare_messages(receiver, channels)
    still_connected(sender, receiver)


def compare_messages(receiver, channels=CHANNELS):
    for channel in channels:
        receiver.wait("message", count=len(SIZES), channel=channel)
        want = expected_messages(channel, SIZES)
        got = received_messages(receiver, channel)
        check(got == want, f"{receiver.name}: on channel {channel:#x}: want"
                           f" {want}, got {got}")


def messages_at_once(direction, context, programs):
    send = ["-role", "send", "-channels", MATRIX]
    ours, theirs = pair(start_node, context, programs, direction, we=send,
                        they=send)
    for program in (ours, theirs):
        program.wait("done", unless="peer_removed")
        compare_messages(program)
    still_connected(ours, theirs)
    stop_nodes(ours, theirs)


def pings(direction, context, programs):
    ours, theirs = pair(start_node, context, programs, direction,
                        we=QUICK_PINGS, they=QUICK_PINGS)
    connected(ours, theirs)
    for event in ("ping_received", "pong_sent", "ping_sent", "pong_received"):
        theirs.wait(event, count=2)
    # Our answers were enough for them; theirs must come to us as well.  Our own
    # last ping may still be on its way.
    status = pongs_came(ours, 2)
    check(status["pings_sent"] - status["pongs_received"] <= 1,
          f"we counted {status}")
    check(status["rtt_ms"] > 0, f"we measured {status}")
    still_connected(ours, theirs)
    stop_nodes(ours, theirs)


def pongs_came(ours, least):
    """Our status once so many pongs have come."""
    end = time.monotonic() + WAIT_S
    for asked in itertools.count(1):
        ours.command("status")
        status = ours.wait("status", count=asked)
        if status["pongs_received"] >= least:
            return status
        check(time.monotonic() < end, f"we counted {status}")


def probe(context, target, *flags):
    done = subprocess.run(
        [context.command, "probe", target, "--json", *flags], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=WAIT_S)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found = [e for e in events if e["event"] == "probe"]
    return done, found[0] if found else None


def check_probe(context, target, node_id, verified, *flags):
    done, event = probe(context, target, *flags)
    check(done.returncode == 0 and event is not None,
          f"probe ended with {done.returncode}: {done.stdout}{done.stderr}")
    check(event["id"] == node_id, f"probe reports {event}")
    check(event["verified"] is verified, f"probe reports {event}")
    check(event["handshake_ms"] > 0, f"probe reports {event}")
    return event


def probe_known(context, programs):
    theirs = start_they(context, programs)
    event = check_probe(context, address(theirs.ready), theirs.ready["id"],
                        True, "--network", NETWORK, "--count", "5")
    check(len(event["rtt_ms"]) == 5 and all(t > 0 for t in event["rtt_ms"]),
          f"probe reports {event}")
    check_probe_info(theirs, event["node_info"])


def probe_learns(context, programs):
    theirs = start_they(context, programs)
    event = check_probe(context, theirs.ready["laddr"], theirs.ready["id"],
                        False)
    check(len(event["rtt_ms"]) == 3, f"probe reports {event}")
    check_probe_info(theirs, event["node_info"])
    theirs.wait("ping_received", count=3)


def check_probe_info(theirs, info):
    want = {"protocol_version": {"p2p": "8", "block": "11", "app": "0"},
            "id": theirs.ready["id"], "network": NETWORK, "moniker": "they",
            "listen_addr": "tcp://" + theirs.ready["laddr"],
            "version": theirs.ready["version"], "channels": "405081",
            "other": {"tx_index": "off", "rpc_address": ""}}
    for key, value in want.items():
        check(info[key] == value, f"{key} is {value}, probe reports {info[key]}")


def probe_refused(context, programs):
    theirs = start_they(context, programs)
    done, _ = probe(context, address(theirs.ready), "--network", "another")
    check(done.returncode == 1,
          f"probe ended with {done.returncode}: {done.stdout}{done.stderr}")
    check("network" in done.stdout + done.stderr and
          "inferred" in done.stdout + done.stderr,
          f"no reason given: {done.stdout}{done.stderr}")


def lacking_channel(direction, context, programs):
    """Each side has a channel of its own, beside one in common."""
    ours, theirs = pair(start_node, context, programs, direction,
                        we=["-channels", "40,50"], they=["-channels", "40,60"])
    connected(ours, theirs)
    ours.command("try 50 100 1")
    sent = ours.wait("sent", channel=0x50)
    check(not sent["accepted"] and sent["reason"] == "peerchannel",
          f"we report {sent}")
    theirs.command("send 60 100 1")
    check(not theirs.wait("sent", channel=0x60)["accepted"],
          "they sent on a channel that we lack")
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        sender.command("send 40 100 2")
        receiver.wait("message", channel=0x40, size=100)
    still_connected(ours, theirs)
    stop_nodes(ours, theirs)


def unknown_channel(direction, context, programs):
    """Their node info reports a channel that their connection lacks."""
    ours, theirs = pair(start_node, context, programs, direction,
                        we=["-channels", "40,61"],
                        they=["-channels", "40", "-advertise", "4061"])
    connected(ours, theirs)
    ours.command("send 61 100 1")
    gone = theirs.wait("peer_removed")
    check("unknown channel 61" in gone["reason"], f"they report {gone}")
    gone = ours.wait("peer_removed")
    check(gone["class"] == "link" and gone["reason"] in ("eof", "reset"),
          f"we report {gone}")


def they_exceed(direction, context, programs):
    """10,000 bytes pass our limit of as many; one more and we close."""
    ours, theirs = pair(start_command, context, programs, direction,
                        we=["--echo",
                            *command_channels("echo", capacity=10000)])
    connected(ours, theirs)
    theirs.command("send 40 10000 1")
    ours.wait("message", channel=0x40, size=10000)
    theirs.wait("message", channel=0x40, size=10000)
    theirs.command("send 40 10001 2")
    gone = ours.wait("peer_removed")
    check(gone["class"] == "peer" and gone["reason"] == "msgsize",
          f"we report {gone}")
    gone = theirs.wait("peer_removed")
    check(any(text in gone["reason"] for text in CLOSED), f"they report {gone}")
    check(not ours.find("message", size=10001), "we delivered it")


def we_exceed(direction, context, programs):
    """10,000 bytes pass their limit of as many; one more and they close."""
    ours, theirs = pair(start_node, context, programs, direction,
                        we=["-channels", "40"],
                        they=["-channels", "40:1:10:10000"])
    connected(ours, theirs)
    ours.command("send 40 10000 1")
    theirs.wait("message", channel=0x40, size=10000)
    ours.command("send 40 10001 2")
    gone = theirs.wait("peer_removed")
    check("received message exceeds available capacity" in gone["reason"],
          f"they report {gone}")
    gone = ours.wait("peer_removed")
    check(gone["class"] == "link" and gone["reason"] in ("eof", "reset"),
          f"we report {gone}")


def incompatible(direction, context, programs, they, field,
                 reason="incompatible"):
    ours, theirs = pair(start_command, context, programs, direction, they=they)
    refused = ours.wait("rejected")
    check(refused["stage"] == "node_info" and
          refused["reason"] == reason and
          refused["class"] == "peer" and field in refused["text"] and
          refused["outbound"] == (direction == "we dial"), f"we report {refused}")
    # Whoever hangs up first loses the other's last words.
    text = theirs.wait("rejected")["text"]
    check(any(part in text for part in ("incompatible", "handshake failed")),
          f"they report {text}")
    check(not ours.find("peer_added") and not theirs.find("peer_added"),
          "the peer was added")
    stop_command(ours)


def wrong_id(context, programs):
    """We dial their address with an id that is not theirs."""
    theirs = start_they(context, programs)
    ours = start_command(context, programs, "-dial",
                         "0" * 40 + "@" + theirs.ready["laddr"])
    refused = ours.wait("rejected")
    check(refused["reason"] == "wrongid" and
          refused["stage"] == "secret_connection", f"we report {refused}")
    theirs.wait("rejected")
    stop_command(ours)


def flood(direction, seconds, context, programs):
    """Three channels full in both directions; nothing lost or out of order,
    every ping answered, and no send waited for ten seconds."""
    flags = ["-role", "flood", "-flood-seconds", seconds, "-channels", MATRIX,
             "-ping-interval", "4s", "-pong-timeout", "3500ms"]
    ours, theirs = pair(start_node, context, programs, direction, we=flags,
                        they=flags)
    connected(ours, theirs)
    done = {p.name: p.wait("done", timeout=seconds + WAIT_S, unless="peer_removed")
            for p in (ours, theirs)}
    for name, result in done.items():
        bad = {k: result[k] for k in ("lost", "wrong", "refused") if result[k]}
        check(not bad, f"{name}: {result}")
        check(all(n > 0 for n in result["received"].values()) and
              len(result["received"]) == 3, f"{name}: {result}")
    check(done["we"]["sent"] == done["they"]["received"] and
          done["they"]["sent"] == done["we"]["received"],
          f"the counts differ: {done}")
    pings, pongs = (len(theirs.find(event))
                    for event in ("ping_sent", "pong_received"))
    check(pongs >= 1 and pongs >= pings - 1,
          f"of {pings} pings of theirs {pongs} were answered")
    still_connected(ours, theirs)
    stop_nodes(ours, theirs)


# ---- a reactor that sleeps -------------------------------------------------

# Three pong timeouts, and longer than the pings are apart.  Our unsolicited
# pongs are a third of the timeout apart, so that two thirds are left to a busy
# machine.
PONG_S = 1.5
SLEEPY = ["-ping-interval", "2s", "-pong-timeout", f"{PONG_S}s"]
SLEEP_S = 3 * PONG_S


def sleepers(direction, context, programs, *, we=(), they=()):
    flags = ["-role", "flood", "-flood-seconds", 6, "-channels", MATRIX,
             *SLEEPY]
    ours, theirs = pair(start_node, context, programs, direction,
                        we=[*flags, *we], they=[*flags, *they])
    connected(ours, theirs)
    return ours, theirs


def sleep_once(direction, context, programs):
    """Returns for how many seconds the link was not read."""
    ours, theirs = sleepers(direction, context, programs,
                            we=["-sleep", f"{SLEEP_S}s"])
    done = {p.name: p.wait("done", unless="peer_removed")
            for p in (ours, theirs)}
    for name, result in done.items():
        bad = {k: result[k] for k in ("lost", "wrong", "refused") if result[k]}
        check(not bad, f"{name}: {result}")
    check(done["we"]["sent"] == done["they"]["received"] and
          done["they"]["sent"] == done["we"]["received"],
          f"the counts differ: {done}")
    ours.command("status")
    paused = ours.wait("status")["read_paused_s"]
    still_connected(ours, theirs)
    stop_nodes(ours, theirs)
    return paused


def our_sleep(direction, context, programs):
    """A reactor of ours sleeps under traffic: the link stops reading, the Go
    peer stays, and nothing is lost.  What becomes of a Go reactor that does
    the same is reported beside it."""
    paused = sleep_once(direction, context, programs)
    for _ in range(4):  # On a busy machine its queue fills late.
        if paused <= PONG_S:
            paused = sleep_once(direction, context, programs)
    check(paused > PONG_S, f"the link was not read for only {paused} s")
    start = time.monotonic()
    ours, theirs = sleepers(direction, context, programs,
                            they=["-sleep", f"{SLEEP_S}s"])
    ours.wait("peer_removed")
    seconds = time.monotonic() - start
    reason = theirs.wait("peer_removed")["reason"]
    print(f"# a reactor sleeps {SLEEP_S} s with a pong timeout of {PONG_S} s: ours"
          f" kept its peer, unread for {paused:.1f} s; that of CometBFT lost"
          f" us after {seconds:.1f} s: {reason}", flush=True)


# ---- both dial at once -----------------------------------------------------

def lives(events):
    """The last peer that was added and not removed, or None."""
    changes = [e for e in events if e["event"] in ("peer_added",
                                                   "peer_removed")]
    if not changes or changes[-1]["event"] == "peer_removed":
        return None
    return changes[-1]


def dial_is_decided(events):
    return any(e.get("outbound") and e["event"] in ("peer_added", "rejected")
               for e in events)


def same_connection(ours, theirs):
    """Whether each has one peer, over the same connection."""
    with ours.changed, theirs.changed:
        mine, other = lives(ours.events), lives(theirs.events)
        return (mine is not None and other is not None and
                mine["outbound"] != other["outbound"] and
                dial_is_decided(ours.events) and
                dial_is_decided(theirs.events))


def wait_same_connection(ours, theirs):
    end = time.monotonic() + WAIT_S
    while not same_connection(ours, theirs):
        left = end - time.monotonic()
        check(left > 0, "they never agreed on a connection")
        with ours.changed:
            ours.changed.wait(min(left, 0.01))


def wait_no_peer(theirs):
    """Their reactors learn it before the switch lets the id go."""
    for asked in range(1, 10000):
        theirs.command("peers")
        if theirs.wait("peers", count=asked)["count"] == 0:
            return
    check(False, "they never let the peer go")


def one_race(ours, theirs, size):
    """Both dial; True when there were two connections."""
    ours.command("dial " + address(theirs.ready))
    theirs.command("dial " + address(ours.ready))
    wait_same_connection(ours, theirs)
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        sender.command(f"send 40 {size} 1")
        receiver.wait("message", size=size)
    check(same_connection(ours, theirs), "a peer went after all was decided")
    raced = bool(ours.find("peer_added") and ours.find("rejected") or
                 len(ours.find("peer_added")) > 1)
    ours.command("drop")
    for program in (ours, theirs):
        program.wait_until(lambda events: lives(events) is None,
                           "lost its peer after the drop")
        added, removed = (len(program.find(name))
                          for name in ("peer_added", "peer_removed"))
        check(added == removed,
              f"{program.name}: {added} added, {removed} removed")
    wait_no_peer(theirs)
    return raced


def dial_races(allow, count, context, programs):
    """Both sides dial at the same moment: one peer each, every time."""
    theirs = start_they(context, programs, "-channels", "40",
                        "-allow-duplicate-ip=" + ("true" if allow else "false"))
    ours = start_node(context, programs, "-channels", "40")
    raced = tried = 0
    # Where both share a processor, one is often done before the other begins.
    while tried < count or (raced == 0 and tried < 100 * count):
        raced += one_race(ours, theirs, 100 + tried)
        tried += 1
        ours.forget()
        theirs.forget()
    check(raced > 0, f"of {tried} races none had two connections")
    print(f"# {raced} of {tried} races had two connections", flush=True)
    stop_nodes(ours, theirs)


# ---- the list --------------------------------------------------------------

DIRECTIONS = ("they dial", "we dial")


def every():
    both = [
        ("handshake", handshake),
        ("node info", node_info),
        ("their messages of 0 to 4,000,000 bytes, echoed by us",
         their_messages),
        ("our messages of 0 to 4,000,000 bytes, echoed by them", our_messages),
        ("messages of 0 to 4,000,000 bytes both ways at once",
         messages_at_once),
        ("their packets of 1,400 bytes", their_larger_packets),
        ("pings answered both ways", pings),
        ("a channel the other side lacks", lacking_channel),
        ("a channel they only claim to have: they close", unknown_channel),
        ("their message over our capacity: we close", they_exceed),
        ("our message over their capacity: they close", we_exceed),
        ("another network", functools.partial(
            incompatible, they=["-network", "another"], field="network",
            reason="network")),
        ("no common channel", functools.partial(
            incompatible, they=["-channels", "61"], field="channel")),
        ("ten seconds saturated both ways",
         lambda d, c, p: flood(d, 10, c, p)),
        ("a reactor that sleeps three pong timeouts under traffic",
         our_sleep),
    ]
    for name, function in both:
        for direction in DIRECTIONS:
            yield f"{name}, {direction}", functools.partial(function, direction)
    yield "probe with id and network", probe_known
    yield "probe that learns the network", probe_learns
    yield "probe with the wrong network", probe_refused
    yield "we dial a wrong id", wrong_id
    yield from races(25)


def races(count):
    for allow in (True, False):
        yield (f"{count} times both dial at once, two connections from an IP"
               f" {'allowed' if allow else 'refused'}",
               functools.partial(dial_races, allow, count))


def long_ones():
    return [(f"sixty seconds saturated both ways, {direction}",
             functools.partial(flood, direction, 60))
            for direction in DIRECTIONS] + list(races(1000))
