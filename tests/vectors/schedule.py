#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model of the scheduler: which packets go out, in which order.

docs/PROTOCOL.md 4.1, 4.2 and 4.4, and the floor and the urgent channels of
docs/ARCHITECTURE.md.  The model counts with exact fractions and has nothing
in common with the library.  It draws 300 tables of channels and steps and writes
schedule.json beside itself; --check writes nothing and reports in TAP whether
that file is what it would write.

A channel is [id, priority, how many may wait, 1 if it is urgent].  A step is
one of
    ["q", id, length]      a message that is queued
    ["full", id, length]   one that is refused
    ["n", count]           that many nanoseconds pass
    ["r", room, packets]   what fits in that many bytes
where packets is a text of words "id.length", with "!" for the last packet of a
message and "*n" for n in a row.  "recent" tells what each channel's count of
recently sent bytes is in the end.
"""
import collections
import fractions
import json
import os
import sys

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                    "schedule.json")
TABLES = 300
URGENT_FROM = 200  # The first table that has urgent channels.
LAG = 65536
SECOND = 10**9
DECAY = 2 * SECOND
URGENT_RATE = 256 * 1024  # Bytes a second for urgent channels,
URGENT_BURST = 64 * 1024  # and at once.
SHORT_RUN = 7000  # Bytes after which a run with urgent packets has no others.


def varint_size(value):
    size = 1
    while value > 127:
        value //= 128
        size += 1
    return size


def packet_size(channel, last, length):
    """Bytes on the stream: Packet { msg = 3 { id = 1; eof = 2; data = 3 } }
    behind its length.  Zeros are left out."""
    message = 0
    if channel > 0:
        message += 1 + varint_size(channel)
    if last:
        message += 2
    if length > 0:
        message += 1 + varint_size(length) + length
    packet = 1 + varint_size(message) + message
    return varint_size(packet) + packet


class Channel:
    def __init__(self, ident, priority, waiting_max, urgent):
        self.ident = ident
        self.priority = priority
        self.waiting_max = waiting_max
        self.urgent = urgent
        self.rests = collections.deque()  # What is left of each message.
        self.recent = 0

    def ratio(self):
        return fractions.Fraction(self.recent, self.priority)

    def next_packet(self, payload):
        """(length, last) of the packet that comes next.  An id that takes two
        bytes leaves one byte less for the data of a last packet."""
        rest = self.rests[0]
        room_of_last = payload - 1 if self.ident >= 128 else payload
        if rest <= room_of_last:
            return rest, True
        return min(rest, payload), False


class Model:
    def __init__(self, channels, payload):
        self.channels = [Channel(*c) for c in channels]
        self.payload = payload
        self.bucket = fractions.Fraction(URGENT_BURST)
        self.now = 0
        self.level = 0, 1  # Bytes and priority of the highest that was due.
        self.seen = collections.Counter()

    def ready(self):
        return [c for c in self.channels if c.rests]

    def queue(self, ident, length):
        channel = next(c for c in self.channels if c.ident == ident)
        if len(channel.rests) > channel.waiting_max:
            self.seen["refused"] += 1
            return False
        if not channel.rests:
            sent, priority = self.level
            level = sent * channel.priority // priority - LAG
            if level > channel.recent:
                self.seen["floor"] += 1
                self.seen["floor, alone"] += not self.ready()
                channel.recent = level
        channel.rests.append(length)
        return True

    def tick(self, count):
        """That many nanoseconds pass."""
        for _ in range((self.now + count) // DECAY - self.now // DECAY):
            for channel in self.channels:
                channel.recent = channel.recent * 4 // 5
            self.level = self.level[0] * 4 // 5, self.level[1]
        self.now += count
        before = self.bucket
        self.bucket = min(fractions.Fraction(URGENT_BURST), before +
                          fractions.Fraction(count * URGENT_RATE, SECOND))
        self.seen["refill"] += before < 1 <= self.bucket < URGENT_BURST

    def candidates(self):
        """Who may be next: the urgent ones while their bucket has a byte."""
        urgent = [c for c in self.ready() if c.urgent]
        if urgent and self.bucket < 1:
            self.seen["bucket empty"] += 1
        return (urgent, True) if urgent and self.bucket >= 1 else (
            self.ready(), False)

    def run(self, room):
        packets, written, hurries = [], 0, False
        while self.ready():
            candidates, urgent = self.candidates()
            if hurries and not urgent and written >= SHORT_RUN:
                self.seen["short run"] += 1
                break
            lowest = min(c.ratio() for c in candidates)
            first = [c for c in candidates if c.ratio() == lowest]
            self.seen["tie"] += len(first) > 1
            channel = first[0]
            length, last = channel.next_packet(self.payload)
            size = packet_size(channel.ident, last, length)
            if not urgent and channel.ratio() > fractions.Fraction(*self.level):
                self.level = channel.recent, channel.priority
            if size > room:
                self.seen["no room"] += 1
                break
            room -= size
            written += size
            hurries = hurries or urgent
            channel.recent += size
            if urgent:
                self.bucket -= size
                self.seen["urgent"] += 1
                self.seen["overtaken"] += any(
                    c.ratio() < lowest for c in self.ready())
            if last:
                channel.rests.popleft()
            else:
                channel.rests[0] -= length
                self.seen["split last"] += channel.rests[0] == 0
            self.seen["empty"] += length == 0 and last
            packets.append(f"{channel.ident}.{length}{'!' if last else ''}")
        return packets


class Random:
    """splitmix64, so that the tables are the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9e3779b97f4a7c15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xbf58476d1ce4e5b9) & mask
        z = ((z ^ (z >> 27)) * 0x94d049bb133111eb) & mask
        return (z ^ (z >> 31)) % bound

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def choice(self, values):
        return values[self.below(len(values))]


def draw_channels(random, with_urgent):
    count = random.choice([1, 2, 2, 3, 3, 4, 6, 16])
    idents = []
    while len(idents) < count:
        ident = random.choice([0, 0x30, random.below(128),
                               random.between(128, 255)])
        if ident not in idents:
            idents.append(ident)
    priorities = random.choice([[1], [1, 10], [1, 5, 7, 10], range(1, 256),
                                [1, 2, 65534, 65535]])
    return [(ident, random.choice(priorities), random.choice([1, 2, 10, 100]),
             random.below(2) if with_urgent else 0) for ident in idents]


def draw_length(random, payload):
    return random.choice([
        0, 1, random.below(payload + 1), payload - 1, payload, payload + 1,
        random.between(2, 5) * payload + random.between(-2, 2),
        random.below(8 * payload)])


def packed(packets):
    words = []
    for packet in packets:
        if words and words[-1][0] == packet:
            words[-1][1] += 1
        else:
            words.append([packet, 1])
    return " ".join(p if n == 1 else f"{p}*{n}" for p, n in words)


def draw_table(seed, seen):
    random = Random(seed)
    with_urgent = seed >= URGENT_FROM
    channels = draw_channels(random, with_urgent)
    payload = random.choice([1, 2, 100, 128, 1024, 1024, 1024, 1400, 16384,
                             65536])
    model = Model(channels, payload)
    steps = []
    packets = 0
    while packets < (140 if with_urgent else 70) and len(steps) < 80:
        kind = random.below(10)
        if kind < 5:
            ident = random.choice(channels)[0]
            length = max(draw_length(random, payload), 0)
            taken = model.queue(ident, length)
            steps.append(["q" if taken else "full", ident, length])
        elif kind < (8 if with_urgent else 9):
            room = random.below(20 + payload * random.choice([1, 4, 12]))
            run = model.run(room)
            packets += len(run)
            steps.append(["r", room, packed(run)])
        else:
            count = random.choice([1, 1, 1, 2, 7]) * DECAY
            if with_urgent:
                count = random.choice([1, random.below(SECOND // 100),
                                       random.below(SECOND // 30), count])
            model.tick(count)
            steps.append(["n", count])
    room = 16 * (payload + 16)
    steps.append(["r", room, packed(model.run(room))])
    seen.update(model.seen)
    return {"seed": seed, "payload": payload,
            "channels": [list(c) for c in channels], "steps": steps,
            "recent": [c.recent for c in model.channels]}


def generate():
    """The text of the file, and how often each rule was at work in it."""
    seen = collections.Counter()
    lines = [json.dumps(draw_table(seed, seen), separators=(",", ":"))
             for seed in range(TABLES)]
    source = "written by schedule.py, which describes the form"
    return ('{"source":"%s",\n"tables":[\n%s\n]}\n'
            % (source, ",\n".join(lines)), seen)


def check():
    text, seen = generate()
    with open(PATH, encoding="utf-8") as file:
        same = file.read() == text
    print(f"{'ok' if same else 'not ok'} 1 - schedule.json is what the model "
          "writes")
    for rule in ("floor", "floor, alone", "tie", "refused", "split last", "empty", "no room",
                 "urgent", "overtaken", "bucket empty", "refill", "short run"):
        print(f"# {rule}: {seen[rule]} times")
    rare = all(seen[rule] >= 20
               for rule in ("floor", "floor, alone", "tie", "split last", "overtaken",
                            "bucket empty", "refill", "short run"))
    print(f"{'ok' if rare else 'not ok'} 2 - the tables try every rule")
    print("1..2")
    return 0 if same and rare else 1


def main(arguments):
    if arguments == ["--check"]:
        return check()
    if arguments:
        print("usage: schedule.py [--check]", file=sys.stderr)
        return 2
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(generate()[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
