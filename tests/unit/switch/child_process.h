/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_CHILD_PROCESS_H
#define CMT_TEST_CHILD_PROCESS_H

/* A node in a process of its own, which reports through pipes, and by its exit
   code what went wrong. */

#include "sockets.h"

#include <sys/wait.h>
#include <unistd.h>

typedef struct test_child {
  pid_t pid;
  int to, from;
  char addr[CMT_NET_ADDR_TEXT_SIZE]; /* What can be dialed. */
} test_child;

/* In the child. */
static inline void test_child_check(bool ok, int code) {
  if (!ok) {
    _exit(code);
  }
}

/* In the child: writes the address of |s|, which has started, to |out|. */
static inline void test_child_ready(cmt_switch *s, int out, int code) {
  char addr[CMT_NET_ADDR_TEXT_SIZE] = "";

  test_child_check(cmt_switch_get_laddr_text(s, addr, sizeof addr) == CMT_OK,
                   code);
  test_child_check(write(out, addr, sizeof addr) == sizeof addr, code);
}

/* |run| is what the child does, until its |in| ends; it does not return. */
static inline void test_child_start(test_child *c,
                                    void (*run)(int in, int out)) {
  int to[2], from[2];

  assert_int_equal(0, pipe(to));
  assert_int_equal(0, pipe(from));
  c->pid = fork();
  assert_true(c->pid >= 0);
  if (c->pid == 0) {
    close(to[1]);
    close(from[0]);
    run(to[0], from[1]);
  }
  close(to[0]);
  close(from[1]);
  c->to = to[1];
  c->from = from[0];
  assert_int_equal(sizeof c->addr, read(c->from, c->addr, sizeof c->addr));
}

static inline void test_child_end(test_child *c) {
  int status = 0;

  close(c->to);
  assert_int_equal(c->pid, waitpid(c->pid, &status, 0));
  close(c->from);
  assert_true(WIFEXITED(status));
  assert_int_equal(0, WEXITSTATUS(status));
}

#endif
