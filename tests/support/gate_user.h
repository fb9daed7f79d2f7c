/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_GATE_USER_H
#define CMT_TEST_GATE_USER_H

/* A gate alone: the test plays the loop. */

#include "test.h"

#include "link/gate.h"

/* Of the gate that gate_user_setup() makes; it holds 1000 bytes. */
enum { GATE_A = 0x10, GATE_B = 0x20, GATE_THEIRS_NOT = 0x30 };

typedef struct gate_user {
  test_env env;
  cmt__gate gate;
  unsigned rings;
} gate_user;

/* A send that may wait, and what its callback was told. */
typedef struct gate_answer {
  cmt_send_req req;
  unsigned calls;
  cmt_err status;
  cmt_buf *msg;
  gate_user *again; /* Send once more from the callback. */
} gate_answer;

/* |theirs| are the ids of the channels that the peer has. */
void gate_user_init(gate_user *u, const cmt_channel *channels, size_t count,
                    const char *theirs);
void gate_user_fini(gate_user *u);
int gate_user_setup(void **state);
int gate_user_teardown(void **state);

gate_answer gate_answer_new(uint64_t timeout_ns);
cmt_buf *gate_message(gate_user *u, size_t len);
cmt_err gate_try(gate_user *u, uint8_t channel, size_t len);
void gate_send(gate_user *u, uint8_t channel, size_t len, gate_answer *a);

/* The loop's look: what came in is let go, as if it was handed on; returns how
   many there were.  |view| may be NULL. */
size_t gate_take(gate_user *u, uint64_t now_ns, cmt__gate_view *view);
/* So many messages of the first two channels went out. */
bool gate_credit(gate_user *u, uint32_t a, uint32_t b, size_t bytes);

#endif
