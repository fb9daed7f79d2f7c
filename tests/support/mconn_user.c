/* SPDX-License-Identifier: Apache-2.0 */
#include "mconn_output.h"
#include "mconn_user.h"

#include <stdlib.h>

const cmt_channel mconn_user_channels[MCONN_USER_CHANNELS] = {
  {.id = 0x30, .priority = 5, .send_queue = 3},
  {.id = 0x31, .priority = 1, .send_queue = 1, .recv_message_max = 5000},
  {.id = 0xff, .priority = 10, .send_queue = 100, .recv_message_max = 100000},
};

void mconn_user_options(mconn_user *f, cmt_mconn_options *o) {
  cmt_mconn_options_init(o);
  o->env = &f->t.env;
  o->channels = mconn_user_channels;
  o->channel_count = MCONN_USER_CHANNELS;
}

mconn_user *mconn_user_new(void) {
  mconn_user *f = malloc(sizeof *f);
  cmt_mconn_options o;

  test_env_init(&f->t);
  mconn_user_options(f, &o);
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m, NULL));
  return f;
}

void mconn_user_delete(mconn_user *f) {
  cmt_mconn_delete(f->m);
  test_env_fini(&f->t);
  free(f);
}

cmt_err mconn_user_queue(mconn_user *f, uint8_t channel, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, len);
  cmt_err err;

  assert_non_null(msg);
  if (len > 0) {
    memset(cmt_buf_data(msg), channel, len);
  }
  err = cmt_mconn_try_send(f->m, channel, msg);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

size_t mconn_user_sent(mconn_user *f, size_t max, uint64_t now_ns) {
  cmt_bytes out = mconn_output(f->m, max, now_ns);

  parsed_cut(&f->sent, 65536, out, parsed_next_whole, NULL);
  assert_cmt(CMT_EAGAIN, f->sent.err);
  mconn_output_consume(f->m, out.len, now_ns);
  return out.len;
}

void assert_sent(mconn_user *f, const char *expected) {
  char text[1024] = "";
  size_t at = 0;

  for (size_t i = 0; i < f->sent.count; i++) {
    const cmt__packet *k = &f->sent.list[i];

    at += (size_t)snprintf(text + at, sizeof text - at, i > 0 ? " " : "");
    if (k->kind == CMT__PACKET_MSG) {
      at += (size_t)snprintf(text + at, sizeof text - at, "%02x.%zu%s",
                             k->channel, k->total, k->eof ? "!" : "");
    } else {
      at += (size_t)snprintf(text + at, sizeof text - at, "%s",
                             k->kind == CMT__PACKET_PING ? "ping" : "pong");
    }
  }
  assert_string_equal(expected, text);
}

static int event_write(const cmt_mconn_event *e, char *text, size_t cap) {
  switch (e->kind) {
  case CMT_MCONN_MESSAGE:
    return snprintf(text, cap, "%02x.%zu", e->channel,
                    cmt_buf_bytes(e->msg).len);
  case CMT_MCONN_PONG:
    return snprintf(text, cap, "pong:%llu", (unsigned long long)e->rtt_ns);
  case CMT_MCONN_END:
    break;
  }
  return snprintf(text, cap, "%s", cmt_err_name(e->err));
}

void assert_given(mconn_user *f, const char *hex, uint64_t now_ns,
                  const char *events) {
  char text[512] = "";
  size_t len, at = 0;
  uint8_t *bytes = test_unhex(hex, &len);
  cmt_mconn_event e;

  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, bytes, len, now_ns));
  while (cmt_mconn_next_event(f->m, &e)) {
    at += (size_t)snprintf(text + at, sizeof text - at, at > 0 ? " " : "");
    at += (size_t)event_write(&e, text + at, sizeof text - at);
  }
  free(bytes);
  assert_string_equal(events, text);
}
