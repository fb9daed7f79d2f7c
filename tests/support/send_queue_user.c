/* SPDX-License-Identifier: Apache-2.0 */
#include "send_queue_user.h"

#include <stdlib.h>

static const cmt_channel channels[] = {
  {.id = QUEUE_A, .priority = 1, .send_queue = 1, .send_message_max = 100},
  {.id = QUEUE_B, .priority = 1, .send_queue = 3, .send_message_max = 1000},
  {.id = QUEUE_THEIRS_NOT,
   .priority = 1,
   .send_queue = 1,
   .send_message_max = 100},
};

static void on_wake(void *arg) { ((send_queue_user *)arg)->rings++; }

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  queue_answer *a = arg;

  a->calls++;
  a->status = status;
  a->msg = msg;
  if (a->again != NULL) {
    send_queue_user *u = a->again;

    a->again = NULL;
    assert_cmt(CMT_OK, cmt__send_queue_send_async(&u->send_queue,
                                                  send_queue_place(u, QUEUE_A),
                                                  msg, &a->req));
  }
}

void send_queue_user_init(send_queue_user *u, const cmt_channel *list,
                          size_t count, const char *theirs) {
  memset(u, 0, sizeof *u);
  test_env_init(&u->env);
  assert_cmt(CMT_OK, cmt__send_queue_init(
                       &u->send_queue, &u->env.env, list, count,
                       cmt__channels_among(list, count, cmt_bytes_of(theirs))));
  u->send_queue.bytes_max = 1000;
  u->send_queue.wake = on_wake;
  u->send_queue.wake_arg = u;
  queue_take(u, 0, NULL);
}

void send_queue_user_fini(send_queue_user *u) {
  (void)cmt__send_queue_close(&u->send_queue);
  (void)cmt__send_queue_answer(&u->send_queue);
  cmt__send_queue_fini(&u->send_queue);
  test_env_fini(&u->env);
}

int send_queue_user_setup(void **state) {
  send_queue_user *u = malloc(sizeof *u);

  assert_non_null(u);
  send_queue_user_init(u, channels, CMT__COUNT(channels), "\x10\x20");
  *state = u;
  return 0;
}

int send_queue_user_teardown(void **state) {
  send_queue_user_fini(*state);
  free(*state);
  return 0;
}

queue_answer send_queue_answer_new(uint64_t timeout_ns) {
  return (queue_answer){.req = {.timeout_ns = timeout_ns, .cb = on_answer},
                        .status = CMT_EINVAL};
}

cmt_buf *send_queue_message(send_queue_user *u, size_t len) {
  cmt_buf *b = cmt_buf_new(&u->env.env, len);

  assert_non_null(b);
  return b;
}

size_t send_queue_place(const send_queue_user *u, uint8_t channel) {
  size_t at = 0;

  while (at < u->send_queue.channel_count &&
         u->send_queue.descs[at].id != channel) {
    at++;
  }
  return at;
}

cmt_err queue_try(send_queue_user *u, uint8_t channel, size_t len) {
  cmt_buf *msg = send_queue_message(u, len);
  cmt_err err =
    cmt__send_queue_try_send(&u->send_queue, send_queue_place(u, channel), msg);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

void send_queue_send(send_queue_user *u, uint8_t channel, size_t len,
                     queue_answer *a) {
  a->req.arg = a;
  assert_cmt(CMT_OK, cmt__send_queue_send_async(
                       &u->send_queue, send_queue_place(u, channel),
                       send_queue_message(u, len), &a->req));
}

size_t queue_take(send_queue_user *u, uint64_t now_ns,
                  cmt__send_queue_view *view) {
  cmt__send_queue_view own;
  size_t count;

  u->now_ns = now_ns;
  cmt__send_queue_take(&u->send_queue, now_ns, view != NULL ? view : &own);
  count = u->send_queue.taken_over.count;
  for (size_t i = 0; i < count; i++) {
    cmt_buf_unref(u->send_queue.taken_over.list[i].msg);
  }
  u->send_queue.taken_over.count = 0;
  return count;
}

bool send_queue_credit(send_queue_user *u, uint32_t a, uint32_t b,
                       size_t bytes) {
  cmt_credits c = {.messages = {a, b}, .bytes = bytes};

  return cmt__send_queue_credit(&u->send_queue, &c, u->now_ns);
}
