#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/PLATFORMS.md names every file that uses what other systems lack, and no
other file.  It names files without their folders."""
import glob
import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

# What only Linux has, or what macOS or the BSDs lack.
NAMES = """
    accept4 epoll_create1 epoll_ctl epoll_wait eventfd fallocate futex getrandom
    gettid inotify_init1 io_uring_setup memfd_create mremap
    pipe2 ppoll prctl process_vm_readv pthread_condattr_setclock
    PTHREAD_MUTEX_ADAPTIVE_NP
    pthread_setaffinity_np pthread_setname_np recvmmsg renameat2 sched_setaffinity
    sendfile sendmmsg signalfd splice statx syscall sync_file_range
    timerfd_create vmsplice
    IP_BIND_ADDRESS_NO_PORT IP_MTU_DISCOVER MADV_DONTDUMP MAP_LOCKED
    MSG_NOSIGNAL MSG_ZEROCOPY O_PATH O_TMPFILE SIOCOUTQ SOCK_CLOEXEC
    SOCK_NONBLOCK SO_BINDTODEVICE SO_INCOMING_CPU SO_PEERCRED SO_ZEROCOPY
    TCP_CONGESTION TCP_CORK TCP_INFO TCP_NOTSENT_LOWAT TCP_QUICKACK
    TCP_USER_TIMEOUT
""".split()
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/', re.DOTALL)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def used():
    """Pairs of a name and a file that uses it outside comments and texts."""
    for path in glob.glob(os.path.join(ROOT, "src/**/*.[ch]"), recursive=True):
        words = set(re.findall(r"\w+", COMMENT.sub(" ", read(path))))
        for name in words.intersection(NAMES):
            yield name, os.path.basename(path)


def listed(text):
    """The pairs of the table."""
    for line in text[text.index("\n## Linux only\n"):].splitlines():
        cells = line.split("|")
        if line.startswith("| `"):
            names, files = (re.findall(r"`([^`]+)`", cell)
                            for cell in cells[1:3])
            yield names, files


def main():
    report = tap.Writer()
    found = set(used())
    table = list(listed(read(os.path.join(ROOT, "docs/PLATFORMS.md"))))
    report.check(len(table) > 5, "docs/PLATFORMS.md has a table", len(table))
    pairs = {(name, file) for names, files in table for name in names
             for file in files}
    report.check(found <= pairs, "it names each file and call",
                 *sorted(found - pairs))
    stale = [f"{' and '.join(names)} in {file}" for names, files in table
             for file in files if not found.intersection(
                 (name, file) for name in names)]
    report.check(not stale, "and none that is not there", *stale)
    report.finish()


if __name__ == "__main__":
    main()
