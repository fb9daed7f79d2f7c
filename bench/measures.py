# SPDX-License-Identifier: Apache-2.0
"""What is measured: a table of jobs, each with those who do it and a function
that runs one of them once and returns its metrics."""
import dataclasses
from typing import Callable

# Where the scheduler puts the two processes decides more than all else: waking
# an idle core takes longer than the work.  So both are pinned.
PLACES = {"one core": ({0}, {0}), "two cores": ({0}, {1})}
FAN_CONNECTIONS = 8
BROADCAST_SIZE = 1024
# A relay: its message fits into one frame.
RELAY_PEERS, RELAY_SIZE = 50, 900
SHARE_MESSAGE = 16384
# A queue of a hundred messages of 4 MiB would take seconds to drain, so a queue
# of large ones holds so much, whosever it is.
LARGE_QUEUE = 32 << 20

COMETBFT = ("cometbft_v0_40_0", "cometbft_v0_38_25")
OWN = ("cometbft_v0_40_0_own", "cometbft_v0_38_25_own")
LIBRARIES = ("zeromq_curve", "nng_tls")
PEERS = ("ours", *COMETBFT, *LIBRARIES)
ALL = (*PEERS, *OWN)


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long and how often."""
    runs: int = 5
    sizes: tuple = (64, 256, 1024, 4096, 16384, 65536, 524288, 4 << 20)
    bulk_s: float = 0.3
    load_s: float = 1.0
    shares_s: float = 2.1
    dials_s: float = 0.3
    pings: int = 2000
    fan_mib: int = 128
    crowds: tuple = (10, 100, 1000, 10000)
    rounds: int = 3
    relay_rounds: int = 100
    # A thousand peers cost CometBFT 2 to 3 s a run, 5 to 6 with packets of 4 MiB,
    # and NNG 20, most of it for their handshakes.
    crowd_max: int = 1000
    small_crowd_max: int = 100
    profile_s: float = 1.0
    # The matrix: seconds of a flood, MiB that are drained, and the delays of
    # the receiver.
    flood_s: float = 0.2
    drain_mib: int = 32
    delays_ms: tuple = (0,)
    matrix_sizes: tuple = (1024, 8192, 65536, 524288)
    matrix_senders: tuple = (1, 8, 16)


NORMAL = Effort()
# All of CometBFT's own comparison, as long as it is there; hours of the machine.
FULL = dataclasses.replace(NORMAL, flood_s=10, drain_mib=1024,
                           delays_ms=(0, 20))
# For the tests: every program for a moment.
QUICK = Effort(runs=1, sizes=(64, 1024, 65536), bulk_s=0.02, load_s=0.2,
               shares_s=0.2, dials_s=0.05,
               pings=10, fan_mib=1, crowds=(5, 10), crowd_max=5,
               small_crowd_max=5, rounds=1, relay_rounds=2, profile_s=0.1,
               flood_s=0.02, drain_mib=1,
               matrix_sizes=(65536,), matrix_senders=(1, 8))


@dataclasses.dataclass(frozen=True)
class Job:
    """|contenders| are keys; those that are not there are left out."""
    key: str
    title: str
    contenders: tuple
    measure: Callable


def rate(got, what="bytes"):
    """A second's, by the first and the last message of the receiver."""
    return got[what] / max(got["seconds"], 1e-6)


def per_gb(side):
    return side["cpu_seconds"] / max(side["bytes"], 1) * 1e9


def bulk(size, seconds, queue=0, senders=0, verb="send", threads=0):
    """|threads|: those of a receiver of ours; 0: it counts on its loop."""
    if not queue and size >= 512 << 10:
        queue = LARGE_QUEUE // size

    def measure(c):
        verbs = ("recv", verb)
        if c.key == "tcp":
            verbs = ("drink", "pour")
        flags = ("-size", str(size), "-seconds", str(seconds))
        if senders:
            flags += ("-senders", str(senders))
        shared = ("-queue", str(queue)) if queue else ()
        servers = ("-threads", str(threads)) if threads else ()
        sent, got = c.pair(*verbs, *flags, shared=shared, servers=servers)
        return {
            "MB/s": rate(got) / 1e6, "messages/s": rate(got, "messages"),
            "s/GB sent": per_gb(sent), "s/GB received": per_gb(got),
        }
    return measure


def with_percents(result):
    quantiles = result.get("quantiles_us")
    if quantiles is None:  # The programs of 0.1 give two of them.
        quantiles = {"50": result["p50_ms"] * 1000,
                     "99": result["p99_ms"] * 1000}
    return {"quantiles_us": quantiles, "p50 us": quantiles.get("50"),
            "p99 us": quantiles.get("99")}


def ping(count, cores):
    def measure(c):
        trips = count
        # Each of CometBFT's waits for the flush throttle, twice.
        if c.key.startswith(COMETBFT[0]):
            trips = max(4, count // 100)
        elif c.key.startswith(COMETBFT[1]):
            trips = max(4, count // 1000)
        result, _ = c.pair("echo", "ping", "-size", "256", "-count", str(trips),
                           cores=cores)
        return with_percents(result)
    return measure


def load(seconds, verb="load", echoes=True):
    """An echo behind saturated bulk."""
    def measure(c):
        flags = () if echoes else ("-count", "0")
        result, got = c.pair("serve", verb, "-size", "65536", "-seconds",
                             str(seconds), *flags)
        return {**with_percents(result),
                "MB/s": rate(got) / 1e6}
    return measure


def off_by(pairs):
    """The greatest distance of a channel's part of the bytes from its part of
    the priorities, in percent of the total."""
    priorities = sum(p for p, _ in pairs)
    total = sum(n for _, n in pairs) or 1
    return max(abs(n / total - p / priorities) for p, n in pairs) * 100


def shares(seconds):
    def measure(c):
        flags = ("-seconds", str(seconds))
        _, got = c.pair("serve", "shares", "-size", str(SHARE_MESSAGE),
                        shared=flags)
        return {"shares": got["shares"], "% off": off_by(got["shares"])}
    return measure


def dials(at_a_time, seconds):
    def measure(c):
        if c.key == "limits":
            return {"per s": c.run("keys", "-seconds", str(seconds))["handshakes"]}
        result, hub = c.pair("hub", "dial", "-count", str(at_a_time), "-seconds",
                             str(seconds))
        delays = (hub or {}).get("quantiles_us", {})
        return {"per s": result["handshakes"] / result["seconds"],
                "delay p50 us": delays.get("50")}
    return measure


def knocks(seconds):
    """Connections that end at once."""
    def measure(c):
        _, hub = c.pair("hub", "knock", "-seconds", str(seconds))
        return {"us each": hub["cpu_seconds"] / max(hub["accepted"], 1) * 1e6}
    return measure


def bytes_each(got):
    """What the library holds for a peer, with its keys; of ours alone."""
    if "bytes_per_peer" not in got:
        return None
    return got["bytes_per_peer"] + got["keys_per_peer"]


def crowd(count, rounds, of, size=BROADCAST_SIZE):
    """|of| is the contender that is our own crowd of peers."""
    def measure(c):
        shared = ("-count", str(count), "-rounds", str(rounds), "-size",
                  str(size))
        if c.key == "limits":
            result, _ = c.pair("drain", "fan", shared=shared)
            return {"ns/peer": result["ns_per_peer"]}
        if c.key == "ours":
            _, got = of.pair("hub", "crowd", shared=shared)
        else:
            _, got = c.pair("crowd-hub", "crowd", shared=shared,
                            other=None if c.key in LIBRARIES else of)
        return {"ns/peer": got["broadcast_ns_per_peer"],
                "bytes/peer": bytes_each(got),
                "resident/peer": got.get("resident_per_peer")}
    return measure


def spread_over(loops, cores, mib, size=65536):
    def measure(c):
        count = max(1, (mib << 20) // size // FAN_CONNECTIONS)
        result, got = c.pair(
            "fans", "spread", "-count", str(count), "-size", str(size),
            "-loops", str(loops), cores=(cores, cores),
            servers=("-count", str(FAN_CONNECTIONS)))
        return {"MB/s": got["bytes"] / result["seconds"] / 1e6}
    return measure


def alone(seconds):
    def measure(c):
        aead = c.run("aead", "-seconds", str(seconds))
        copy = c.run("copy", "-seconds", str(seconds))
        return {"seal MB/s": aead["seal"] / 1e6, "open MB/s": aead["open"] / 1e6,
                "copy MB/s": copy["copied"] / 1e6}
    return measure


def jobs(effort, contenders):
    """The table, in the order in which they run."""
    of = contenders.get("crowd")
    found = [Job("alone", "one core: AEAD alone, memcpy alone", ("limits",),
                 alone(effort.bulk_s))]
    for size in effort.sizes:
        extra = ("ours_avx2", "limit", "tcp") if size == 65536 else ()
        found.append(Job(f"bulk-{size}", f"messages of {size:,} bytes",
                         (*ALL, *extra), bulk(size, effort.bulk_s)))
    for queue in (16, 1000):
        found.append(Job(f"queue-{queue}",
                         f"messages of 256 bytes, a queue of {queue:,}", PEERS,
                         bulk(256, effort.bulk_s, queue)))
    found.append(Job("threads-16", "the same from 16 threads, a queue of 16",
                     ("ours", *COMETBFT), bulk(256, effort.bulk_s, 16, 16)))
    for queue in (16, 1000):
        found.append(Job(f"worker-{queue}",
                         f"the same to a worker, a queue of {queue:,}",
                         ("ours",), bulk(256, effort.bulk_s, queue, threads=1)))
    found.append(Job("feed-1000", "the same from the loop, a queue of 1,000",
                     ("ours",), bulk(256, effort.bulk_s, 1000, verb="feed")))
    for place, cores in PLACES.items():
        found.append(Job(f"ping {place}", f"round trip of 256 bytes, {place}",
                         (*ALL, "limit"), ping(effort.pings, cores)))
    found += [
        Job("load", "an echo behind saturated bulk", (*ALL, "limit"),
            load(effort.load_s)),
        Job("urgent", "the same on an urgent channel", ("ours",),
            load(effort.load_s, "urgent")),
        Job("unloaded", "bulk alone", ("ours",),
            load(effort.load_s, echoes=False)),
        Job("shares", "shares against priorities", ("ours", *COMETBFT, *OWN),
            shares(effort.shares_s)),
        Job("dials-1", "whole handshakes, one after another",
            ("ours", *COMETBFT, "limits"), dials(1, effort.dials_s)),
        Job("dials-16", "whole handshakes, 16 at once",
            ("ours", *COMETBFT, "limits"), dials(16, effort.dials_s)),
        Job("knocks", "connections that end at once", ("ours",),
            knocks(effort.dials_s)),
        Job("one loop", "8 connections, one loop, one core", ("ours",),
            spread_over(1, {0}, effort.fan_mib)),
        Job("two loops", "8 connections, two loops, two cores", ("ours",),
            spread_over(2, {0, 1}, effort.fan_mib)),
    ]
    found.append(Job("relay", f"a relay to {RELAY_PEERS} peers",
                     ("ours", "limits"),
                     crowd(RELAY_PEERS, effort.relay_rounds, of, RELAY_SIZE)))
    for count in effort.crowds:
        others = ()
        if count <= effort.crowd_max:
            others = (*COMETBFT, "zeromq_curve")
        if count <= effort.small_crowd_max:
            others += (*OWN, "nng_tls")
        found.append(Job(f"crowd-{count}", f"a broadcast to {count:,} peers",
                         ("ours", *others, "limits"),
                         crowd(count, effort.rounds, of)))
    return found
