/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LOOP_USER_H
#define CMT_TEST_LOOP_USER_H

/* Users of connections on any loop: they count what is reported to them, check
   it against a pattern, and may do more through a hook. */

#include "net/loop.h"

typedef enum test_event {
  TEST_CONNECTED,
  TEST_READ,
  TEST_ENDED,
  TEST_WRITABLE,
  TEST_DETACHED,
} test_event;

typedef struct test_user {
  cmt__tcp *tcp; /* NULL before and after it is open. */
  size_t connects, reads, ends, writables, detaches;
  cmt_err connect_err, end_err;
  uint64_t bytes, sent; /* Bytes of the pattern, received and accepted. */
  size_t read_largest;
  bool damaged; /* A byte was not that of the pattern. */
  bool inside;  /* A callback runs. */
  void (*hook)(struct test_user *u, test_event event);
  void *arg; /* The argument of the hook. */
} test_user;

extern const cmt__tcp_callbacks test_user_callbacks;

void test_user_connect(test_user *u, cmt__loop *l, const cmt_net_addr *to);
/* For cmt__loop_listen(): |arg| is a test_users. */
void test_user_accept(void *arg, cmt__tcp *tcp);
void test_user_close(test_user *u);
/* One write of the next |len| bytes of the pattern; what was accepted. */
size_t test_user_write(test_user *u, size_t len);

enum { TEST_USERS = 8 };

/* Who accepts: the first free user, with reading on. */
typedef struct test_users {
  size_t count;
  bool paused; /* Reading stays off. */
  void (*hook)(test_user *u, test_event event);
  test_user user[TEST_USERS];
} test_users;

/* 127.0.0.1 with port 0. */
cmt_net_addr test_loopback(void);
cmt__listener *test_listen(cmt__loop *l, test_users *users, cmt_net_addr *at);

/* Runs |l| until |done|, which is asked after each callback of a user; fails
   after 300 s, by a timer for which there is room. */
void test_user_run(cmt__loop *l, bool (*done)(void *arg), void *arg);
/* Asks |done| now; for callbacks that are not of a user. */
void test_user_ask(void);

#endif
