/* SPDX-License-Identifier: Apache-2.0 */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "limits_user.h"

#include "packets.h"

#include <stdlib.h>

limits_user *limits_user_new(void) {
  limits_user *u = calloc(1, sizeof *u);

  assert_non_null(u);
  test_env_init(&u->t);
  u->channels[0] =
    (cmt_channel){.id = LIMITS_FIRST, .priority = 1, .send_queue = 100};
  u->channels[1] =
    (cmt_channel){.id = LIMITS_SECOND, .priority = 1, .send_queue = 100};
  cmt_mconn_options_init(&u->o);
  u->o.env = &u->t.env;
  u->o.channels = u->channels;
  u->o.channel_count = 2;
  u->o.ping_interval_ns = CMT_NEVER;
  return u;
}

void limits_user_start(limits_user *u) {
  assert_cmt(CMT_OK, cmt_mconn_new(&u->o, 0, &u->m, NULL));
}

void limits_user_delete(limits_user *u) {
  cmt_mconn_delete(u->m);
  test_env_fini(&u->t);
  free(u);
}

static void note(limits_user *u, size_t len) {
  assert_true(u->count < LIMITS_TRACE_MAX);
  u->at_ns[u->count] = u->now_ns;
  u->len[u->count++] = len;
  u->total += len;
}

void assert_within(const limits_user *u, uint64_t rate, uint64_t slack) {
  for (size_t a = 0; a < u->count; a++) {
    uint64_t sum = 0;

    for (size_t b = a; b < u->count && b < a + 500; b++) {
      uint64_t window_ns = u->at_ns[b] - u->at_ns[a];

      sum += u->len[b];
      if (sum > window_ns * rate / S(1) + slack + 1) {
        fail_msg("%llu bytes in %llu ns", (unsigned long long)sum,
                 (unsigned long long)window_ns);
      }
    }
  }
}

void assert_about(uint64_t found, uint64_t expected, uint64_t less,
                  uint64_t more) {
  if (found + less < expected || found > expected + more) {
    fail_msg("%llu is not %llu - %llu + %llu", (unsigned long long)found,
             (unsigned long long)expected, (unsigned long long)less,
             (unsigned long long)more);
  }
}

cmt_err limits_queue(limits_user *u, uint8_t channel, size_t len) {
  cmt_buf *msg = cmt_buf_new(&u->t.env, len);
  cmt_err err = cmt_mconn_try_send(u->m, channel, msg);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

void limits_queue_all(limits_user *u, uint8_t channel, size_t len) {
  while (limits_queue(u, channel, len) == CMT_OK) {
  }
}

size_t limits_take(limits_user *u, size_t max) {
  size_t all = 0;
  cmt_bytes out;

  while ((out = mconn_output(u->m, max, u->now_ns)).len > 0) {
    mconn_output_consume(u->m, out.len, u->now_ns);
    note(u, out.len);
    all += out.len;
  }
  return all;
}

void limits_tick(limits_user *u, uint64_t now_ns, cmt_err expected) {
  u->now_ns = now_ns;
  assert_mconn_tick(u->m, now_ns, expected);
}

void limits_give(limits_user *u, const uint8_t *data, size_t len,
                 cmt_err expected) {
  cmt_err ended = CMT_OK;
  cmt_mconn_event e;

  assert_cmt(CMT_OK, cmt_mconn_recv(u->m, data, len, u->now_ns));
  while (cmt_mconn_next_event(u->m, &e)) {
    u->messages += e.kind == CMT_MCONN_MESSAGE;
    ended = e.err;
  }
  assert_cmt(expected, ended);
}

void limits_stream(limits_user *u, uint8_t channel, size_t len) {
  static const uint8_t data[1024];
  cmt__batch r = cmt__batch_plain(NULL, u->stream, sizeof u->stream);

  while (cmt__batch_room(&r) >= test_wire()->msg_size(channel, true, len)) {
    test_wire()->write_msg(&r, channel, true,
                           (cmt_bytes){.base = data, .len = len});
  }
  u->stream_len = r.len;
}

void limits_read(limits_user *u, size_t max) {
  size_t n = cmt__min(max, u->stream_len - u->stream_at);

  note(u, n);
  limits_give(u, u->stream + u->stream_at, n, CMT_OK);
  u->stream_at = (u->stream_at + n) % u->stream_len;
}

void limits_give_part(limits_user *u, uint8_t channel, size_t len, bool eof,
                      cmt_err expected) {
  static const uint8_t data[1024];
  uint8_t packet[LIMITS_PACKET_MAX];
  cmt__batch r = cmt__batch_plain(NULL, packet, sizeof packet);

  test_wire()->write_msg(&r, channel, eof,
                         (cmt_bytes){.base = data, .len = len});
  limits_give(u, packet, r.len, expected);
}

void limits_crowd_init(limits_crowd *c, uint64_t send_rate, uint64_t recv_rate,
                       size_t reserved_max) {
  cmt__quota_init(&c->quota, 0, reserved_max);
  cmt__quota_limit(&c->quota, send_rate, recv_rate, 0);
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    c->users[i] = limits_user_new();
    limits_user_start(c->users[i]);
    cmt__mconn_attach_quota(c->users[i]->m, &c->quota, NULL, NULL);
  }
}

void limits_crowd_fini(limits_crowd *c) {
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    limits_user_delete(c->users[i]);
  }
  assert_int_equal(0, atomic_load(&c->quota.reserved));
}
