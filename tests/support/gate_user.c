/* SPDX-License-Identifier: Apache-2.0 */
#include "gate_user.h"

#include <stdlib.h>

static const cmt_channel channels[] = {
  {.id = GATE_A, .priority = 1, .send_queue = 1, .send_message_max = 100},
  {.id = GATE_B, .priority = 1, .send_queue = 3, .send_message_max = 1000},
  {.id = GATE_THEIRS_NOT,
   .priority = 1,
   .send_queue = 1,
   .send_message_max = 100},
};

static void on_ring(void *arg) { ((gate_user *)arg)->rings++; }

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  gate_answer *a = arg;

  a->calls++;
  a->status = status;
  a->msg = msg;
  if (a->again != NULL) {
    gate_user *u = a->again;

    a->again = NULL;
    assert_cmt(CMT_OK, cmt__gate_send(&u->gate, GATE_A, msg, &a->req));
  }
}

void gate_user_init(gate_user *u, const cmt_channel *list, size_t count,
                    const char *theirs) {
  memset(u, 0, sizeof *u);
  test_env_init(&u->env);
  assert_cmt(CMT_OK, cmt__gate_init(&u->gate, &u->env.env, list, count,
                                    cmt_bytes_of(theirs)));
  u->gate.bytes_max = 1000;
  u->gate.ring = on_ring;
  u->gate.ring_arg = u;
  gate_take(u, 0, NULL);
}

void gate_user_fini(gate_user *u) {
  (void)cmt__gate_close(&u->gate);
  (void)cmt__gate_answer(&u->gate);
  cmt__gate_fini(&u->gate);
  test_env_fini(&u->env);
}

int gate_user_setup(void **state) {
  gate_user *u = malloc(sizeof *u);

  assert_non_null(u);
  gate_user_init(u, channels, CMT__COUNT(channels), "\x10\x20");
  *state = u;
  return 0;
}

int gate_user_teardown(void **state) {
  gate_user_fini(*state);
  free(*state);
  return 0;
}

gate_answer gate_answer_new(uint64_t timeout_ns) {
  return (gate_answer){.req = {.timeout_ns = timeout_ns, .cb = on_answer},
                       .status = CMT_EINVAL};
}

cmt_buf *gate_message(gate_user *u, size_t len) {
  cmt_buf *b = cmt_buf_new(&u->env.env, len);

  assert_non_null(b);
  return b;
}

cmt_err gate_try(gate_user *u, uint8_t channel, size_t len) {
  cmt_buf *msg = gate_message(u, len);
  cmt_err err = cmt__gate_try_send(&u->gate, channel, msg);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

void gate_send(gate_user *u, uint8_t channel, size_t len, gate_answer *a) {
  a->req.arg = a;
  assert_cmt(CMT_OK,
             cmt__gate_send(&u->gate, channel, gate_message(u, len), &a->req));
}

size_t gate_take(gate_user *u, uint64_t now_ns, cmt__gate_view *view) {
  cmt__gate_view own;
  size_t count;

  cmt__gate_take(&u->gate, now_ns, view != NULL ? view : &own);
  count = u->gate.taken.count;
  for (size_t i = 0; i < count; i++) {
    cmt_buf_unref(u->gate.taken.list[i].msg);
  }
  u->gate.taken.count = 0;
  return count;
}

bool gate_credit(gate_user *u, uint32_t a, uint32_t b, size_t bytes) {
  cmt__credits c = {.messages = {a, b}, .bytes = bytes};

  return cmt__gate_credit(&u->gate, &c);
}
