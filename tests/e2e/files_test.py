# SPDX-License-Identifier: Apache-2.0
"""Files: whole, or not at all, and never outside their directory."""

import os
import resource
import socket

from e2e import *

GOOD = b"some bytes of a file"


def offers(folder, name, code, prepare=None):
    """One offer with |name| is refused with |code|, and nothing changes."""
    out = os.path.join(folder, "out")
    os.mkdir(out)
    if prepare is not None:
        prepare(out)
    before = names(out), names(folder)
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, len(GOOD), name))
        answer = peer.recv(FILES)
        equal(answer[:6], refused(1, code), "answer")
        error = node.event("error")
        equal(error["id"], node.events()[1]["id"], "id")
        # The connection goes on: a good file passes.
        peer.send(FILES, offer(2, len(GOOD), b"good"))
        equal(peer.recv(FILES), ack(2, 0))
        peer.send(FILES, data(2, 0, GOOD))
        equal(peer.recv(FILES), ack(2, len(GOOD)))
        peer.send(FILES, end(2, sha256(GOOD)))
        equal(peer.recv(FILES), done(2))
    os.remove(os.path.join(out, "good"))
    equal((names(out), names(folder)), before, "directories")


def keep(name):
    def prepare(out):
        with open(os.path.join(out, name), "w") as f:
            f.write("mine")
    return prepare


def dangling(out):
    os.symlink("../outside", os.path.join(out, "link"))


def breaks_off(folder, messages, code):
    """After an accepted offer |messages| are refused with |code|."""
    out = os.path.join(folder, "out")
    os.mkdir(out)
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, len(GOOD), b"x"))
        equal(peer.recv(FILES), ack(1, 0))
        equal(len(names(out)), 1, "temporary files")
        check(names(out)[0].startswith(".cometp2p-"), names(out))
        for message in messages:
            peer.send(FILES, message)
        while (answer := peer.recv(FILES))[:1] == b"\4":
            pass
        equal(answer[:6], refused(1, code), "answer")
        equal(node.event("error")["file"], "x")
        equal(names(out), [], "left behind")


def ends_peer(folder, messages):
    """The node hangs up on |messages|, and nothing is left."""
    out = os.path.join(folder, "out")
    os.mkdir(out)
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        for message in messages:
            peer.send(FILES, message)
        equal(node.event("peer_removed")["reason"], "proto")
        peer.gone()
        node.signal(signal.SIGINT)
        equal(node.exit(), 0, "exit code")
        equal(names(out), [], "left behind")


def name_taken_meanwhile(folder):
    out = os.path.join(folder, "out")
    os.mkdir(out)
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, len(GOOD), b"x"))
        equal(peer.recv(FILES), ack(1, 0))
        keep("x")(out)
        peer.send(FILES, data(1, 0, GOOD))
        peer.recv(FILES)
        peer.send(FILES, end(1, sha256(GOOD)))
        equal(peer.recv(FILES)[:6], refused(1, 3))
        equal(node.event("error")["reason"], "exist")
        equal(names(out), ["x"])
        equal(file_hash(os.path.join(out, "x")), sha256(b"mine").hex())


def link_taken_meanwhile(folder):
    out = os.path.join(folder, "out")
    os.mkdir(out)
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, len(GOOD), b"link"))
        equal(peer.recv(FILES), ack(1, 0))
        dangling(out)
        peer.send(FILES, data(1, 0, GOOD))
        peer.recv(FILES)
        peer.send(FILES, end(1, sha256(GOOD)))
        equal(peer.recv(FILES)[:6], refused(1, 3))
        equal(node.event("error")["reason"], "exist")
    equal(names(folder), ["out"], "written through the link")


def busy(folder):
    out = os.path.join(folder, "out")
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, len(GOOD), b"x"))
        equal(peer.recv(FILES), ack(1, 0))
        peer.send(FILES, offer(2, len(GOOD), b"y"))
        equal(peer.recv(FILES)[:6], refused(2, 7))
        peer.send(FILES, data(1, 0, GOOD))
        equal(peer.recv(FILES), ack(1, len(GOOD)))
        peer.send(FILES, end(1, sha256(GOOD)))
        equal(peer.recv(FILES), done(1))
        node.event("done", file="x")


def no_out(folder):
    path, _ = make_file(folder, "x", 100)
    with Listen() as node:
        code, out, err = run("send", node.address, path, "--json")
        equal(code, 1, "exit code")
        errors = [e for e in map(json.loads, out.splitlines())
                  if e["event"] == "error"]
        equal(len(errors), 1)
        equal(errors[0]["file"], "x")
        check("stores no files" in errors[0]["text"], errors[0])
        check("stores no files" in err and err.count("\n") == 1, err)


def write_fails(folder):
    out = os.path.join(folder, "out")
    path, _ = make_file(folder, "x", 300000)
    limit = (100000, 100000)
    with Listen("--out", out, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, limit)) as node:
        code, _, err = run("send", node.address, path)
        equal(code, 1, "exit code")
        check("cannot be written" in err, err)
        equal(node.event("error")["reason"], "io")
        equal(names(out), [])


def whole(folder, size):
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, "a file", size)
    with Listen("--out", out) as node:
        with Send(node.address, path) as sender:
            reported = sender.event("done")
            equal(reported["sha256"], digest)
            equal(reported["size"], size)
            equal(sender.exit(), 0, "exit code")
            equal(sender.errors(), "")
        reported = node.event("done")
        equal((reported["file"], reported["size"], reported["sha256"]),
              ("a file", size, digest))
        equal(names(out), ["a file"])
        equal(file_hash(os.path.join(out, "a file")), digest)


def strange_names(folder):
    """Any bytes but '/' and NUL are a name; people see them escaped."""
    out = os.path.join(folder, "out")
    wanted = [b"-x", b"new\nline", b"\xff\xfe", "\u00fc.txt".encode(),
              b"n" * 255, b"..."]
    paths = []
    for name in wanted:
        paths.append(os.path.join(folder.encode(), name))
        with open(paths[-1], "wb") as f:
            f.write(name)
    with Listen("--out", out, "--allow-dotfiles") as node:
        code, _, err = run("send", node.address, *map(os.fsdecode, paths))
        equal((code, err), (0, ""))
    equal(sorted(os.listdir(out.encode())), sorted(wanted))


def dotfiles(folder):
    """A name like .bashrc is accepted only where that was asked for."""
    out = os.path.join(folder, "out")
    path, digest = make_file(folder, ".profile", 100)
    with Listen("--out", out) as node:
        code, _, err = run("send", node.address, path)
        equal(code, 1)
        check("begins with a dot" in err and err.count("\n") == 1, err)
        error = node.event("error")
        equal((error["file"], error["reason"]), (".profile", "inval"))
        equal(names(out), [])
    with Listen("--out", out, "--allow-dotfiles") as node:
        equal(run("send", node.address, path)[0], 0)
        equal(file_hash(os.path.join(out, ".profile")), digest)
        with RawPeer(node.address) as peer:
            for i, name in enumerate((b".", b"..", b".cometp2p-x")):
                peer.send(FILES, offer(i + 1, 1, name))
                equal(peer.recv(FILES)[:6], refused(i + 1, 2))


def quota(folder):
    """A quota counts all peers together, for as long as the node runs."""
    out = os.path.join(folder, "out")
    files = [make_file(folder, f"f{i}", 40000, seed=i)[0] for i in range(4)]
    with Listen("--out", out, "--quota", "100k") as node:
        code, _, err = run("send", node.address, *files)
        equal((code, names(out)), (1, ["f0", "f1"]))
        check(err.count("over the quota for files: 40000 bytes were offered, "
                        "22400 are left") == 2, err)
        error = node.event("error")
        equal((error["file"], error["reason"], error["class"]),
              ("f2", "limit", "local"))
        # Who removes files does not get their place back.
        os.remove(os.path.join(out, "f0"))
        equal(run("send", node.address, files[0])[0], 1)
        small, _ = make_file(folder, "small", 22400)
        equal(run("send", node.address, small)[0], 0)
        equal(run("send", node.address, files[2])[0], 1)
        empty, _ = make_file(folder, "empty", 0)
        equal(run("send", node.address, empty)[0], 0)


def quota_under_way(folder):
    """A file counts as its data come; one that is given up counts no more."""
    out = os.path.join(folder, "out")
    with Listen("--out", out, "--quota", "100") as node, \
            RawPeer(node.address) as one, RawPeer(node.address) as two:
        one.send(FILES, offer(1, 60, b"x"))
        equal(one.recv(FILES), ack(1, 0))
        one.send(FILES, data(1, 0, bytes(60)))
        equal(one.recv(FILES), ack(1, 60))
        two.send(FILES, offer(1, 41, b"y"))
        equal(two.recv(FILES)[:6], refused(1, 8))
        two.send(FILES, offer(2, 40, b"y"))
        equal(two.recv(FILES), ack(2, 0))
        one.close_input()
        node.event("error", file="x")
        with RawPeer(node.address) as three:
            three.send(FILES, offer(1, 100, b"z"))
            equal(three.recv(FILES), ack(1, 0))


def empty_offer(folder):
    """An offer of all that is left, without data, keeps no room from others;
    when the room is gone, what comes of it is refused."""
    out = os.path.join(folder, "out")
    whole = bytes(100)
    with Listen("--out", out, "--quota", "100") as node, \
            RawPeer(node.address) as one, RawPeer(node.address) as two:
        one.send(FILES, offer(1, 100, b"x"))
        equal(one.recv(FILES), ack(1, 0))
        two.send(FILES, offer(1, 100, b"y"))
        equal(two.recv(FILES), ack(1, 0))
        two.send(FILES, data(1, 0, whole))
        equal(two.recv(FILES), ack(1, 100))
        two.send(FILES, end(1, sha256(whole)))
        equal(two.recv(FILES), done(1))
        one.send(FILES, data(1, 0, b"a"))
        answer = one.recv(FILES)
        equal(answer[:6], refused(1, 8))
        check(b"0 of 100 bytes came, 0 are left" in answer, answer)
        error = node.event("error", file="x")
        equal((error["reason"], error["class"]), ("limit", "local"))
        equal(names(out), ["y"], "left behind")


def free_space(folder):
    """Without --quota half of what is free is accepted."""
    out = os.path.join(folder, "out")
    os.mkdir(out)
    st = os.statvfs(out)
    free = st.f_bavail * st.f_frsize
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, free * 3 // 4, b"x"))
        equal(peer.recv(FILES)[:6], refused(1, 8))
        peer.send(FILES, offer(2, free // 4, b"x"))
        equal(peer.recv(FILES), ack(2, 0))

def several_files(folder):
    out = os.path.join(folder, "out")
    files = [make_file(folder, f"f{i}", 100000 + i, seed=i) for i in range(5)]
    with Listen("--out", out) as node:
        code, text, _ = run("send", node.address, *(p for p, _ in files),
                            "--json")
        equal(code, 0)
        reported = [e for e in map(json.loads, text.splitlines())
                if e["event"] == "done"]
        equal([t["file"] for t in reported], [f"f{i}" for i in range(5)], "order")
    equal([file_hash(os.path.join(out, f"f{i}")) for i in range(5)],
          [h for _, h in files])


def one_of_two_refused(folder):
    out = os.path.join(folder, "out")
    os.mkdir(out)
    keep("a")(out)
    a, _ = make_file(folder, "a", 1000)
    b, digest = make_file(folder, "b", 1000)
    with Listen("--out", out) as node:
        code, _, err = run("send", node.address, a, b)
        equal(code, 1)
        check(err.startswith("cometp2p: a: ") and err.count("\n") == 1, err)
    equal(file_hash(os.path.join(out, "b")), digest)
    equal(file_hash(os.path.join(out, "a")), sha256(b"mine").hex())


def several_senders(folder):
    out = os.path.join(folder, "out")
    files = [make_file(folder, f"s{i}", 3000000 + i, seed=i) for i in range(4)]
    with Listen("--out", out) as node:
        senders = [Send(node.address, path) for path, _ in files]
        for sender in senders:
            equal(sender.exit(), 0, sender.errors())
            sender.kill()
    equal([file_hash(os.path.join(out, f"s{i}")) for i in range(4)],
          [h for _, h in files])


def two_want_one_name(folder):
    out = os.path.join(folder, "out")
    os.mkdir(out)
    with Listen("--out", out) as node, RawPeer(node.address) as one, \
            RawPeer(node.address) as two:
        for peer in (one, two):
            peer.send(FILES, offer(1, len(GOOD), b"x"))
            equal(peer.recv(FILES), ack(1, 0))
            peer.send(FILES, data(1, 0, GOOD))
            equal(peer.recv(FILES), ack(1, len(GOOD)))
        one.send(FILES, end(1, sha256(GOOD)))
        equal(one.recv(FILES), done(1))
        two.send(FILES, end(1, sha256(GOOD)))
        equal(two.recv(FILES)[:6], refused(1, 3))
        equal(names(out), ["x"])


def receiver_dies(folder):
    out = os.path.join(folder, "out")
    path = sparse_file(folder, "long", 1 << 40)
    with Listen("--out", out, *ROOM) as node, Send(node.address, path) as sender:
        flowing(sender)
        node.signal(signal.SIGKILL)
        error = sender.event("error")
        equal((error["file"], error["class"], error["id"]),
              ("long", "link", node.id))
        equal(sender.exit(), 1, "exit code")
        check("long" in sender.errors(), sender.errors())
        check("long" not in names(out), names(out))


def sender_dies(folder):
    out = os.path.join(folder, "out")
    path = sparse_file(folder, "long", 1 << 40)
    with Listen("--out", out, *ROOM) as node, Send(node.address, path) as sender:
        flowing(node)
        sender.signal(signal.SIGKILL)
        error = node.event("error")
        equal((error["file"], error["class"]), ("long", "link"))
        equal(names(out), [], "left behind")


def sender_leaves_short(folder):
    out = os.path.join(folder, "out")
    with Listen("--out", out) as node, RawPeer(node.address) as peer:
        peer.send(FILES, offer(1, 100, b"x"))
        equal(peer.recv(FILES), ack(1, 0))
        peer.send(FILES, data(1, 0, b"a"))
        peer.close_input()
        error = node.event("error")
        equal((error["file"], error["reason"]), ("x", "eof"))
        equal(names(out), [])


def window(folder):
    """A receiver that acknowledges nothing gets 4 MiB and no more."""
    path = sparse_file(folder, "long", 1 << 30)
    with RawPeer() as peer, Send(peer.address, path) as sender:
        equal(peer.line(), "up")
        got = peer.recv(FILES)
        equal(got, offer(1, 1 << 30, b"long"))
        peer.send(FILES, ack(1, 0))
        offset = 0
        while offset < 4 << 20:
            got = peer.recv(FILES)
            part = len(got) - 13
            equal(got[:13], data(1, offset, b""))
            check(0 < part <= 65536, part)
            offset += part
        equal(offset, 4 << 20, "window")
        peer.send(FILES, ack(1, 65536))
        equal(len(peer.recv(FILES)), 65536 + 13, "after the acknowledgement")
        reported = sender.event("progress", sent=65536)
        equal(reported["size"], 1 << 30)
        peer.close_input()
        equal(sender.event("error")["class"], "link")
        equal(sender.exit(), 1)


def refused_midway(folder):
    path = sparse_file(folder, "long", 1 << 30)
    with RawPeer() as peer, Send(peer.address, path) as sender:
        peer.recv(FILES)
        peer.send(FILES, ack(1, 0))
        peer.recv(FILES)
        peer.send(FILES, refused(1, 6, b"no \x1b[31mroom"))
        error = sender.event("error")
        equal(error["reason"], "io")
        equal(error["text"], "the receiver refused it: no \\x1b[31mroom")
        equal(sender.exit(), 1)


def never_confirmed(folder):
    """All bytes acknowledged is no success without the word of the hash."""
    path, _ = make_file(folder, "x", 10)
    with RawPeer() as peer, Send(peer.address, path) as sender:
        peer.recv(FILES)
        peer.send(FILES, ack(1, 0))
        peer.recv(FILES)
        peer.send(FILES, ack(1, 10))
        peer.recv(FILES)
        peer.close_input()
        equal(sender.event("error")["file"], "x")
        equal(sender.exit(), 1)


def lies(folder):
    """Answers that cannot be true are no success and do no harm."""
    path, _ = make_file(folder, "x", 10)
    with RawPeer() as peer, Send(peer.address, path) as sender:
        peer.recv(FILES)
        peer.send(FILES, done(1))
        peer.send(FILES, ack(1, 1 << 60))
        peer.send(FILES, done(7))
        equal(peer.recv(FILES)[:1], b"\2")
        peer.recv(FILES)
        peer.close_input()
        sender.event("error")
        equal(sender.exit(), 1)


def shrinks(folder):
    out = os.path.join(folder, "out")
    path = sparse_file(folder, "x", 1 << 40)
    with Listen("--out", out, *ROOM) as node, Send(node.address, path) as sender:
        flowing(sender)
        os.truncate(path, 0)
        error = sender.event("error")
        equal(error["text"], "it became shorter while it was read")
        equal(sender.exit(), 1)
        equal(node.event("error")["file"], "x")
        equal(names(out), [])


def made_up(folder):
    """Files whose size has nothing to do with their bytes are no success."""
    out = os.path.join(folder, "out")
    empty, digest = make_file(folder, "empty", 0)
    with Listen("--out", out) as node:
        for path in ("/proc/version", "/proc/self/maps", "/proc/cpuinfo"):
            code, _, err = run("send", node.address, path, empty)
            equal((code, err), (1, f"cometp2p: {os.path.basename(path)}: its "
                                "size is 0 but it has bytes, as files of "
                                "/proc have\n"))
            equal(names(out), ["empty"], "the next file")
            os.remove(os.path.join(out, "empty"))


def grows(folder, size):
    """|size| bytes were offered, and then there are more."""
    path, _ = make_file(folder, "x", size)
    with RawPeer() as peer, Send(peer.address, path) as sender:
        equal(peer.recv(FILES), offer(1, size, b"x"))
        with open(path, "ab") as f:
            f.write(b"more")
        peer.send(FILES, ack(1, 0))
        got = 0
        while (message := peer.recv(FILES))[:1] == b"\2":
            got += len(message) - 13
            peer.send(FILES, ack(1, got))
        check(message[:1] == b"\3" and got < size, f"{got} of {size}")
        peer.send(FILES, refused(1, 4))
        error = sender.event("error")
        equal((error["text"], error["reason"]),
              ("it became longer while it was read", "io"))
        equal(sender.exit(), 1)


def special_files(folder):
    """What is no file is reported by its kind, before anything is dialed."""
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    path = os.path.join(folder, "socket")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        for name, kind in ((folder, "directory"), (fifo, "FIFO"),
                           ("/dev/null", "device"), (path, "socket")):
            cannot_send(folder, name, f"not a regular file but a {kind}")


def cannot_send(folder, path, text):
    code, out, err = run("send", "1" * 40 + "@127.0.0.1:1",
                         os.path.join(folder, path))
    equal((code, out), (1, ""))
    check(text in err and err.count("\n") == 1, err)


def missing_channel(folder):
    path, _ = make_file(folder, "x", 10)
    with Listen("--channel", "0x50=lines", "--channel", "0x60=echo") as node:
        code, _, err = run("send", node.address, path)
        equal(code, 1)
        check("no channel 0x40" in err, err)


Tap().main([
    ("a name with ../ is refused", offers, b"../x", 2),
    ("an absolute name is refused", offers, b"/x", 2),
    ("a name with a slash is refused", offers, b"a/b", 2),
    ("a name with NUL is refused", offers, b"a\0b", 2),
    ("a name of 300 bytes is refused", offers, b"n" * 300, 2),
    ("a name of 256 bytes is refused", offers, b"n" * 256, 2),
    ("an empty name is refused", offers, b"", 2),
    ("the name . is refused", offers, b".", 2),
    ("the name .. is refused", offers, b"..", 2),
    ("the name of a temporary file is refused", offers,
     b".cometp2p-0123456789abcdef.part", 2),
    ("an existing name is refused", offers, b"x", 3, keep("x")),
    ("the name of a symlink is refused", offers, b"link", 3, dangling),
    ("a short file is refused", breaks_off,
     [data(1, 0, GOOD[:-1]), end(1, sha256(GOOD[:-1]))], 4),
    ("no data at all is refused", breaks_off, [end(1, sha256(b""))], 4),
    ("more data than offered is refused", breaks_off,
     [data(1, 0, GOOD + b"x")], 4),
    ("a wrong hash is refused", breaks_off,
     [data(1, 0, GOOD), end(1, sha256(b"other"))], 5),
    ("data out of order end the peer", ends_peer,
     [offer(1, 20, b"x"), data(1, 1, b"a")]),
    ("data without an offer end the peer", ends_peer, [data(1, 0, b"a")]),
    ("an id used twice ends the peer", ends_peer,
     [offer(1, 1, b"/"), offer(1, 1, b"x")]),
    ("an unknown message ends the peer", ends_peer, [b"\x07\1\0\0\0"]),
    ("an empty message ends the peer", ends_peer, [b""]),
    ("a cut message ends the peer", ends_peer, [offer(1, 1, b"")[:-1]]),
    ("data of 65537 bytes end the peer", ends_peer,
     [offer(1, 1 << 20, b"x"), data(1, 0, bytes(65537))]),
    ("empty data end the peer", ends_peer,
     [offer(1, 20, b"x"), data(1, 0, b"")]),
    ("a name taken during the transfer is kept", name_taken_meanwhile),
    ("a symlink made during the transfer is not followed",
     link_taken_meanwhile),
    ("a second offer at a time is refused", busy),
    ("without --out files are refused", no_out),
    ("a full disk refuses the file", write_fails),
    ("an empty file arrives", whole, 0),
    ("a file of one byte arrives", whole, 1),
    ("a file of 65536 bytes arrives", whole, 65536),
    ("a file of 30 MB arrives", whole, 30000001),
    ("strange names arrive as they are", strange_names),
    ("a name that begins with a dot is refused unless asked", dotfiles),
    ("--quota bounds what all peers store", quota),
    ("--quota counts files under way", quota_under_way),
    ("an offer without data keeps no room from others", empty_offer),
    ("half of the free space is the quota", free_space),
    ("several files arrive in order", several_files),
    ("one refused file does not stop the next", one_of_two_refused),
    ("several senders at once", several_senders),
    ("of two that want one name the first has it", two_want_one_name),
    ("a receiver that dies fails the sender", receiver_dies),
    ("a sender that dies leaves nothing", sender_dies),
    ("a sender that leaves early leaves nothing", sender_leaves_short),
    ("progress is what the receiver acknowledged", window),
    ("a refusal in the middle of the data", refused_midway),
    ("no success without the confirmed hash", never_confirmed),
    ("answers that cannot be true", lies),
    ("a file that shrinks is not sent whole", shrinks),
    ("files of /proc are not sent as empty ones", made_up),
    ("a file that grows is not sent as a part", grows, 10),
    ("a long file that grows is not either", grows, 3000000),
    ("what is no file is reported by its kind", special_files),
    ("a missing file is reported before dialing", cannot_send, "none",
     "No such file"),
    ("a directory is reported before dialing", cannot_send, ".",
     "not a regular file"),
    ("a peer without the channel is reported", missing_channel),
])
