#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone, as C99, C11 and C++17, and behind any short
macros of its program, which it leaves as they were.  A program of each language
that includes them all runs on the shared library.  No comment of a header is
long.

usage: headers.py --release BUILD_DIR
"""
import argparse
import glob
import os
import re
import shutil
import string
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import tap  # noqa: E402

INCLUDE = os.path.join(ROOT, "include")
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}"]
# Compiler, its language and standard.
COMPILERS = (("gcc", "c", "c99"), ("gcc", "c", "c11"),
             ("g++", "c++", "c++17"),
             ("clang", "c", "c99"), ("clang", "c", "c11"),
             ("clang++", "c++", "c++17"))

# Headers of libraries besides the main one.
OPTIONAL = ("protobuf.h",)

PROGRAM = """\
#include <cometp2p/cometp2p.h>
#include <stdio.h>

static void on_sent(void *arg, cmt_err status, cmt_buf *msg) {
  (void)arg;
  (void)status;
  (void)msg;
}

#ifndef __cplusplus /* Its designated initialisers came later. */
static const cmt_channel channels[] = {{.id = 1, .priority = 1}};
static const cmt_reactor reactor =
  CMT_REACTOR("chat", channels, .delivery = CMT_DELIVER_MAILBOX);
static const cmt_reactor reactors[] = {
  CMT_REACTOR("chat", channels, .delivery = CMT_DELIVER_MAILBOX)};
static const cmt_switch_options short_options =
  CMT_SWITCH_OPTIONS("net", reactors, .laddr = "127.0.0.1:0");
#endif

/* Every macro of the address book that looks like a function. */
static void no_book(cmt_addrbook *b, cmt_addrbook_snapshot *s,
                    cmt_addrbook_file *f) {
  cmt_addrbook_options options;
  cmt_addrbook_proof proof;
  cmt_addrbook_query query;
  cmt_addrbook_ban ban;
  cmt_addrbook_entry entry;
  cmt_addrbook_status status;
  cmt_addrbook_file_status file_status;
  cmt_node_id id;

  cmt_addrbook_options_init(&options);
  cmt_addrbook_proof_init(&proof);
  cmt_addrbook_query_init(&query);
  cmt_addrbook_ban_init(&ban);
  cmt_addrbook_get_status(b, &status);
  cmt_addrbook_file_get_status(f, &file_status);
  if (cmt_addrbook_snapshot_get(s, 0, &entry) &&
      cmt_addrbook_snapshot_get_ban(s, 0, &ban)) {
    id = entry.addr.id;
    printf("%d\\n", cmt_addrbook_get(b, &id, &entry));
  }
}

static void no_pex(cmt_pex *p) {
  cmt_pex_options options;
  cmt_pex_status status;

  cmt_pex_options_init(&options);
  cmt_pex_get_status(p, &status);
}

/* Every other macro that looks like a function. */
static void not_called(cmt_switch *s, cmt_peer *p, cmt_dial *d, cmt_mailbox *m) {
  cmt_send_req req = CMT_SEND_REQ(CMT_SECONDS(1), on_sent, NULL);
  cmt_mailbox_event events[2];
  cmt_mconn_options mconn_options;
  cmt_mconn_event mconn_event;
  cmt_secret_conn_event secret_event;
  cmt_conn_options conn_options;
  cmt_conn_group_options conn_group_options;
  cmt_conn_event conn_event;
  cmt_dial_options dial_options;
  cmt_probe_options probe_options;
  cmt_home_options home_options;
  cmt_home_init_options home_init_options;
  cmt_dial_status dials[2];
  cmt_switch_status status;
  cmt_peer_status peer_status;
  cmt_reason_counts reasons[2];
  cmt_ban bans[2];
  cmt_network network;
  cmt_metrics_options metrics_options;
  cmt_mconn *mconn;
  cmt_secret_conn *secret;
  cmt_conn *conn;

  cmt_mconn_options_init(&mconn_options);
  cmt_conn_options_init(&conn_options);
  cmt_conn_group_options_init(&conn_group_options);
  cmt_dial_options_init(&dial_options);
  cmt_probe_options_init(&probe_options);
  cmt_home_options_init(&home_options);
  cmt_home_init_options_init(&home_init_options);
  cmt_ban_init(&bans[0]);
  cmt_network_init(&network);
  cmt_metrics_options_init(&metrics_options);
  if (cmt_mconn_new(&mconn_options, 0, &mconn, NULL) == CMT_OK &&
      cmt_conn_new(&conn_options, CMT_MILLISECONDS(1), &conn, NULL) == CMT_OK &&
      cmt_secret_conn_new(NULL, NULL, &secret) == CMT_OK &&
      cmt_secret_conn_next_event(secret, &secret_event) &&
      cmt_mconn_next_event(mconn, &mconn_event) &&
      cmt_conn_next_event(conn, &conn_event) &&
      cmt_mailbox_next(m, &events[0], 0) == CMT_OK &&
      cmt_mailbox_next_many(m, events, 2, 0) == 2) {
    cmt_switch_get_status(s, &status);
    cmt_peer_get_status(p, &peer_status);
    cmt_dial_get_status(d, &dials[0]);
    cmt_ignore(cmt_peer_send_cancel(p, &req));
    printf("%d\\n", (int)(cmt_switch_dials(s, dials, 2) +
                         cmt_switch_bans(s, bans, 2) +
                         cmt_switch_find_ban(s, NULL, &bans[0]) +
                         cmt_switch_reasons(s, reasons, 2)));
  }
}

int main(void) {
  cmt_switch_options options;
  cmt_env env;

  if (cmt_version_number() == 0) {
    not_called(NULL, NULL, NULL, NULL);
    no_book(NULL, NULL, NULL);
    no_pex(NULL);
  }
#ifndef __cplusplus
  if (reactor.channel_count != 1 || short_options.reactor_count != 1) {
    return 1;
  }
#endif
  cmt_ignore(cmt_env_init(&env)); /* No warning for a result that is lost. */
  cmt_switch_options_init(&options);
  printf("%s %d\\n", cmt_version(), options.size == sizeof options &&
         cmt_version_number() == CMT_VERSION_NUMBER);
  return 0;
}
"""


# Macros that a program may have defined before it includes a header: every
# capital letter, alone and with a digit, short words, and functions that are
# macros.  What they stand for is no C, and they must be there unchanged
# afterwards.
SHORT = tuple(string.ascii_uppercase) + tuple(
    letter + digit for letter in string.ascii_uppercase for digit in "0123"
) + tuple("""
    ABS ACCEPT ANY ARRAY_SIZE ASSERT BUF CALLER CHECK CHUNK CLASS CLOSED CONN
    CONNECT COUNT DEBUG DIAL DONE DOWN DROP EMPTY END ENTRY ENV ERR ERROR EVENT
    FAIL FATAL FLUSH FRAME FULL GONE HANDSHAKE ID IGNORE IN INFO INLINE INPUT
    KEY KEYS LEN LENGTH LIKELY LIMIT LINK LIST LOCAL LOG LOOP LOOPS MAILBOX MAP
    MAX MESSAGE MIN MSG NAME NEVER NEXT NODE NONE NORMAL NOTICE OK OUT OUTPUT
    PACKET PANIC PEER PING PONG PORT QUEUE RATE REACTOR READ RECV RETRY
    SECONDS SELF SEND SIZE STAGE STATE STATUS STOP SWITCH TEXT THREADED TRACE
    TRANSPORT TYPE UNUSED UP URGENT VALUE VERSION WAIT WARN WARNING WIRE WRITE
    X_ XX X_MACRO Y_ FALSE TRUE YES NO LOG_INFO LOG_DEBUG EXPORT API NODISCARD
    UNLIKELY near far interface small huge unix linux i386 forever unused
    fallthrough nodiscard
    min(a) max(a) abs(a) major(a) minor(a) likely(a) unlikely(a) ok(a) fail(a)
    swap(a) foreach(a) container_of(a) offset_of(a) countof(a) lengthof(a)
    free(a) log(a) read(a) write(a) send(a) recv(a) stop(a) start(a) data(a)
""".split())


def run(command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def compile_alone(report, header):
    for compiler, language, standard in COMPILERS:
        name = f"{header} compiles alone as {standard} by {compiler}"
        if shutil.which(compiler) is None:
            # clang is no part of what the tests install.
            report.note(f"no {compiler}: not tried on {header}")
            continue
        command = [compiler, "-x", language, f"-std={standard}", *FLAGS,
                   "-fsyntax-only", "-"]
        status, output = run(command, f"#include <cometp2p/{header}>\n")
        report.check(status == 0, name, output)


def names_of_macros(report):
    """Whatever a header defines or undefines has a name of ours."""
    foreign = []
    for path in glob.glob(os.path.join(INCLUDE, "cometp2p/*.h")):
        with open(path, encoding="utf-8") as file:
            found = re.findall(r"^\s*#\s*(?:define|undef)\s+(\w+)", file.read(),
                               re.MULTILINE)
        foreign += [f"{os.path.basename(path)}: {name}" for name in found
                    if not name.startswith(("CMT_", "cmt_"))]
    report.check(not foreign, "every macro of the headers has a name of ours",
                 *foreign)


def macros_are_compiled(report):
    """The program calls each macro that looks like a function."""
    absent = []
    for path in glob.glob(os.path.join(INCLUDE, "cometp2p/*.h")):
        if os.path.basename(path) not in OPTIONAL:
            with open(path, encoding="utf-8") as file:
                absent += [name for name in re.findall(
                    r"^#define (\w+)\(", file.read(), re.MULTILINE)
                           if not re.search(rf"\b{name}\(", PROGRAM) and
                           name not in ("CMT_X_", "CMT_ERR_MAP")]
    report.check(not absent, "the program calls every macro", *absent)


def compile_among_macros(report, header):
    """The standard's headers come first: theirs is another matter."""
    first = "".join(f"#include <{name}.h>\n"
                    for name in ("stdbool", "stddef", "stdint"))
    # Some compilers define a few of them on their own.
    before = "".join(f"#undef {macro.split('(')[0]}\n#define {macro} ?!\n"
                     for macro in SHORT)
    after = "".join(f"#ifndef {macro.split('(')[0]}\n#error {macro} is gone\n"
                    f"#endif\n#define {macro} ?!\n" for macro in SHORT)
    text = f"{first}{before}#include <cometp2p/{header}>\n{after}"
    for compiler, language, standard in COMPILERS:
        if shutil.which(compiler) is None:
            continue
        status, output = run([compiler, "-x", language, f"-std={standard}",
                              *FLAGS, "-fsyntax-only", "-"], text)
        report.check(status == 0, f"{header} compiles among short macros as "
                     f"{standard} by {compiler}", output)


def run_program(report, release, folder):
    library = os.path.join(release, "libcometp2p.so")
    for compiler, language, standard in COMPILERS:
        name = f"a {standard} program by {compiler} runs on the library"
        if shutil.which(compiler) is None:
            continue
        if not os.path.exists(library):
            report.skip(name, "there is no release build")
            continue
        program = os.path.join(folder, f"{compiler}-{standard}")
        status, output = run(
            [compiler, "-x", language, f"-std={standard}", *FLAGS, "-", "-x",
             "none", library, f"-Wl,-rpath,{release}", "-o", program], PROGRAM)
        if status == 0:
            status, output = run([program])
        report.check(status == 0 and output.endswith(" 1\n"), name, output)


# A header says what and how much; docs/guide/ states why.
ITEM_LINES = 6
# The comment at the top of a header has a little more room.
TOP_LINES = 8


def check_lengths(report, header):
    with open(os.path.join(INCLUDE, "cometp2p", header),
              encoding="utf-8") as file:
        text = file.read()
    comments = [m for m in re.finditer(r"/\*.*?\*/", text, re.DOTALL)
                if "SPDX" not in m[0]]
    long = []
    for place, comment in enumerate(comments):
        lines = [line for line in comment[0].split("\n") if line.strip(" */")]
        if len(lines) > (ITEM_LINES if place > 0 else TOP_LINES):
            number = text[:comment.start()].count("\n") + 1
            long.append(f"{header}:{number}: {len(lines)} lines")
    report.check(comments and not long, f"{header} keeps its comments short",
                 *long)


def check_pages(report, header):
    """The headers leave the why to pages of docs/."""
    with open(os.path.join(INCLUDE, "cometp2p", header),
              encoding="utf-8") as file:
        pages = re.findall(r"docs/[\w/-]+\.md", file.read())
    missing = [page for page in pages
               if not os.path.exists(os.path.join(ROOT, page))]
    report.check(not missing, f"the pages that {header} names exist", *missing)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--build")
    release = os.path.abspath(parser.parse_args().release)
    report = tap.Writer()
    headers = sorted(map(os.path.basename,
                         glob.glob(os.path.join(INCLUDE, "cometp2p/*.h"))))
    with open(os.path.join(INCLUDE, "cometp2p/cometp2p.h"),
              encoding="utf-8") as file:
        whole = file.read()
    absent = [h for h in headers if h not in ("cometp2p.h", *OPTIONAL) and
              f"<cometp2p/{h}>" not in whole]
    report.check(not absent, "cometp2p.h includes every header", *absent)
    names_of_macros(report)
    macros_are_compiled(report)
    for header in headers:
        compile_alone(report, header)
        compile_among_macros(report, header)
        check_pages(report, header)
        check_lengths(report, header)
    with tempfile.TemporaryDirectory() as folder:
        run_program(report, release, folder)
    report.finish()


if __name__ == "__main__":
    main()
