/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_SEND_QUEUE_USER_H
#define CMT_TEST_SEND_QUEUE_USER_H

/* A send queue alone: the test plays the loop. */

#include "test.h"

#include "core/mux/conn_group.h"
#include "link/send_queue.h"

/* Channels of the send queue that send_queue_user_setup() makes; it has room
   for 1000 bytes. */
enum { QUEUE_A = 0x10, QUEUE_B = 0x20, QUEUE_THEIRS_NOT = 0x30 };

typedef struct send_queue_user {
  test_env env;
  cmt__send_queue send_queue;
  unsigned rings;
  uint64_t now_ns; /* When it looked last. */
} send_queue_user;

/* A send that may wait, and what its callback was called with. */
typedef struct queue_answer {
  cmt_send_req req;
  unsigned calls;
  cmt_err status;
  cmt_buf *msg;
  send_queue_user *again; /* Send once more from the callback. */
} queue_answer;

/* |theirs| are the ids of the channels that the peer has. */
void send_queue_user_init(send_queue_user *u, const cmt_channel *channels,
                          size_t count, const char *theirs);
void send_queue_user_fini(send_queue_user *u);
int send_queue_user_setup(void **state);
int send_queue_user_teardown(void **state);

queue_answer send_queue_answer_new(uint64_t timeout_ns);
cmt_buf *send_queue_message(send_queue_user *u, size_t len);
/* The place of |channel|, or one that there is not. */
size_t send_queue_place(const send_queue_user *u, uint8_t channel);
cmt_err queue_try(send_queue_user *u, uint8_t channel, size_t len);
void send_queue_send(send_queue_user *u, uint8_t channel, size_t len,
                     queue_answer *a);

/* The loop's look: what came in is let go, as if it was handed on; returns how
   many there were.  |view| may be NULL. */
size_t queue_take(send_queue_user *u, uint64_t now_ns,
                  cmt__send_queue_view *view);
/* So many messages of the first two channels went out. */
bool send_queue_credit(send_queue_user *u, uint32_t a, uint32_t b,
                       size_t bytes);

#endif
