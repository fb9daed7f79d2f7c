/* SPDX-License-Identifier: Apache-2.0 */
#include "conn_peer.h"

#include <stdlib.h>

const cmt_channel conn_peer_channels[CONN_PEER_CHANNELS] = {
  {.id = 0x00, .priority = 1, .send_queue = 1},
  {.id = 0x30, .priority = 5, .send_queue = 3},
  {.id = 0x31, .priority = 1, .send_queue = 10, .recv_message_max = 5000},
  {.id = 0xff, .priority = 10, .send_queue = 10, .recv_message_max = 100000},
};

#define BYTES(text)                                                            \
  { .base = (const uint8_t *)(text), .len = sizeof(text) - 1 }

const cmt_node_info conn_peer_info = {
  .protocol_p2p = 8,
  .protocol_block = 11,
  .protocol_app = 1,
  .listen_addr = BYTES("tcp://127.0.0.1:31000"),
  .network = BYTES("test-net"),
  .version = BYTES("0.38.2"),
  .channels = BYTES("\x00\x30\x31\xff"),
  .moniker = BYTES("py"),
  .tx_index = BYTES("on"),
};

static void entropy_fixed(void *arg, void *out, size_t len) {
  assert_int_equal(32, len);
  memcpy(out, arg, len);
}

void conn_peer_init(conn_peer *f, bool least) {
  uint8_t ours[32], theirs[32];

  memset(f, 0, sizeof *f);
  memset(ours, 0x11, sizeof ours);
  memset(theirs, 0x22, sizeof theirs);
  test_env_init(&f->t);
  memcpy(f->eph_secret, least ? secret_eph_low : secret_eph_high, 32);
  f->t.env.entropy = entropy_fixed;
  f->t.env.entropy_arg = f->eph_secret;
  f->key = secret_node_key(&f->t, ours);
  secret_peer_init(&f->peer, least ? secret_eph_high : secret_eph_low, theirs);
  cmt_conn_options_init(&f->o);
  f->o.env = &f->t.env;
  f->o.key = f->key;
  f->o.node_info = &conn_peer_info;
  f->o.channels = conn_peer_channels;
  f->o.channel_count = CONN_PEER_CHANNELS;
}

void conn_peer_start(conn_peer *f) {
  cmt_why why;

  assert_cmt(CMT_OK, cmt_conn_new(&f->o, f->now_ns, &f->c, &why));
  conn_peer_take(f);
  assert_int_equal(35, f->wire.len);
  assert_memory_equal("\x22\x0a\x20", f->wire.bytes, 3);
  secret_peer_derive(&f->peer, f->wire.bytes + 3);
  f->opened = 35;
}

void conn_peer_fini(conn_peer *f) {
  cmt_conn_delete(f->c);
  conn_output_fini(&f->out);
  cmt_node_key_delete(f->key);
  secret_sink_fini(&f->messages);
  secret_sink_fini(&f->wire);
  secret_sink_fini(&f->plain);
  test_env_fini(&f->t);
}

static void sink_add(secret_sink *sink, cmt_bytes data) {
  if (sink->len + data.len > sink->cap) {
    sink->cap = 2 * (sink->len + data.len);
    sink->bytes = realloc(sink->bytes, sink->cap);
    assert_non_null(sink->bytes);
  }
  if (data.len > 0) {
    memcpy(sink->bytes + sink->len, data.base, data.len);
  }
  sink->len += data.len;
}

/* ---- what the connection sends ---- */

static void frames_open(conn_peer *f) {
  uint8_t slot[CMT_FRAME_SLOT];

  while (f->opened >= 35 && f->wire.len - f->opened >= CMT_FRAME_SLOT) {
    cmt_bytes data;

    memcpy(slot, f->wire.bytes + f->opened, CMT_FRAME_SLOT);
    data = secret_peer_open(&f->peer, slot);
    f->opened += CMT_FRAME_SLOT;
    f->frame_len[f->frames++ % CMT__COUNT(f->frame_len)] = (uint32_t)data.len;
    if (f->frames > 1) {
      sink_add(&f->plain, data);
    }
  }
}

cmt_bytes conn_peer_output(conn_peer *f, size_t max, uint64_t now_ns) {
  return conn_output_lend(&f->out, f->c, max, now_ns);
}

void conn_peer_consume(conn_peer *f, size_t len, uint64_t now_ns) {
  conn_output_consume(&f->out, f->c, len, now_ns);
}

void conn_peer_take(conn_peer *f) {
  while (true) {
    cmt_bytes out = conn_peer_output(f, 65536, f->now_ns);

    if (out.len == 0) {
      break;
    }
    sink_add(&f->wire, out);
    conn_peer_consume(f, out.len, f->now_ns);
  }
  if (!f->blind) {
    frames_open(f);
  }
}

bool conn_peer_next_packet(conn_peer *f, cmt_bytes *body) {
  uint64_t len = 0;
  int n =
    cmt__read_prefix(f->plain.bytes + f->read, f->plain.len - f->read, &len);

  if (n == 0) {
    assert_int_equal(f->plain.len, f->read);
    return false;
  }
  assert_true(n > 0 && len <= f->plain.len - f->read - (size_t)n);
  *body = (cmt_bytes){.base = f->plain.bytes + f->read + n, .len = len};
  f->read += (size_t)n + len;
  return true;
}

void assert_conn_sent(conn_peer *f, const char *expected) {
  char text[CONN_PEER_TEXT_MAX] = "";
  cmt_bytes body;
  size_t at = 0;

  while (conn_peer_next_packet(f, &body) && at < sizeof text - 100) {
    at += (size_t)snprintf(text + at, sizeof text - at, at > 0 ? " " : "");
    for (size_t i = 0; i < body.len && i < 20; i++) {
      at += (size_t)snprintf(text + at, sizeof text - at, "%02x", body.base[i]);
    }
    if (body.len > 20) {
      at += (size_t)snprintf(text + at, sizeof text - at, "..%zu", body.len);
    }
  }
  assert_string_equal(expected, text);
}

/* ---- its events ---- */

static void echo_send(conn_peer *f, const cmt_conn_event *e) {
  cmt_buf *msg = cmt_buf_ref(e->msg);

  assert_cmt(CMT_OK, cmt_conn_try_send(f->c, e->channel, msg, f->now_ns));
}

static void event_note(conn_peer *f, const cmt_conn_event *e) {
  size_t at = strlen(f->events);
  char *out = f->events + at;
  size_t cap = sizeof f->events - at;
  const char *space = at > 0 ? " " : "";

  switch (e->kind) {
  case CMT_CONN_NODE_INFO:
    assert_non_null(e->id);
    assert_non_null(e->node_info);
    snprintf(out, cap, "%sinfo", space);
    break;
  case CMT_CONN_UP:
    assert_non_null(e->node_info);
    snprintf(out, cap, "%sup", space);
    break;
  case CMT_CONN_MESSAGE:
    snprintf(out, cap, "%s%02x.%zu", space, e->channel,
             cmt_buf_bytes(e->msg).len);
    sink_add(&f->messages, cmt_buf_bytes(e->msg));
    if (f->echo) {
      echo_send(f, e);
    }
    break;
  case CMT_CONN_PONG:
    snprintf(out, cap, "%spong", space);
    break;
  case CMT_CONN_END:
    cmt_conn_get_why(f->c, &f->why);
    snprintf(out, cap, "%s%s(%s)", space, cmt_err_name(e->err),
             cmt_stage_name(f->why.stage));
    break;
  }
}

static void events_note(conn_peer *f) {
  cmt_conn_event e;

  while (cmt_conn_next_event(f->c, &e)) {
    event_note(f, &e);
  }
}

void assert_conn_events(conn_peer *f, const char *expected) {
  events_note(f);
  assert_string_equal(expected, f->events);
  f->events[0] = '\0';
}

void conn_peer_tick(conn_peer *f, uint64_t now_ns) {
  f->now_ns = now_ns;
  cmt_conn_tick(f->c, now_ns);
  events_note(f);
  if (!f->stalled) {
    conn_peer_take(f);
  }
}

void conn_peer_stop(conn_peer *f, cmt_err reason, uint64_t flush_ns) {
  cmt_conn_stop(f->c, reason, flush_ns, f->now_ns);
  events_note(f);
}

/* ---- what the peer sends ---- */

void conn_peer_raw(conn_peer *f, cmt_bytes data) {
  uint8_t *copy = malloc(data.len > 0 ? data.len : 1);

  assert_non_null(copy);
  if (data.len > 0) {
    memcpy(copy, data.base, data.len);
  }
  if (cmt_conn_recv(f->c, copy, data.len, f->now_ns) == CMT_OK) {
    events_note(f);
  }
  free(copy);
  if (!f->stalled) {
    conn_peer_take(f);
    events_note(f);
  }
}

void conn_peer_raw_cut(conn_peer *f, cmt_bytes data, size_t first,
                       size_t rest) {
  for (size_t at = 0, n = first; at < data.len && f->why.err == CMT_OK;
       at += n, n = rest) {
    n = cmt__min(n, data.len - at);
    conn_peer_raw(f, (cmt_bytes){data.base + at, n});
  }
}

void conn_peer_frame(conn_peer *f, cmt_bytes data) {
  uint8_t slot[CMT_FRAME_SLOT];

  secret_peer_seal(&f->peer, data, slot);
  conn_peer_raw(f, (cmt_bytes){slot, sizeof slot});
}

void conn_peer_send(conn_peer *f, cmt_bytes data) {
  size_t count = (data.len + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA;
  uint8_t *slots = malloc(count * CMT_FRAME_SLOT + 1);

  for (size_t i = 0; i < count; i++) {
    size_t at = i * CMT_FRAME_DATA;

    secret_peer_seal(
      &f->peer,
      (cmt_bytes){data.base + at, cmt__min(CMT_FRAME_DATA, data.len - at)},
      slots + i * CMT_FRAME_SLOT);
  }
  conn_peer_raw(f, (cmt_bytes){slots, count * CMT_FRAME_SLOT});
  free(slots);
}

void conn_peer_send_hex(conn_peer *f, const char *hex) {
  size_t len;
  uint8_t *bytes = test_unhex(hex, &len);

  conn_peer_send(f, (cmt_bytes){bytes, len});
  free(bytes);
}

void conn_peer_hello(conn_peer *f) {
  uint8_t key[35];

  secret_peer_write_key(&f->peer, key);
  conn_peer_raw(f, (cmt_bytes){key, sizeof key});
}

void conn_peer_auth(conn_peer *f) {
  uint8_t auth[103];

  secret_peer_write_auth(&f->peer, auth);
  conn_peer_frame(f, (cmt_bytes){auth, sizeof auth});
}

size_t conn_peer_write_info(const conn_peer *f, const cmt_node_info *i,
                            uint8_t *out, size_t cap) {
  cmt_node_info info = *i;
  cmt__writer w = {.at = out, .end = out + cap};
  cmt_node_id id;

  cmt__node_id_of(f->peer.identity_public, &id);
  if (info.id.len == 0) {
    info.id = cmt_bytes_of(id.text);
  }
  cmt__write_varint(&w, cmt__node_info_size(&info));
  cmt__node_info_encode(&info, &w);
  assert_false(w.failed);
  return (size_t)(w.at - out);
}

void conn_peer_send_info(conn_peer *f) {
  uint8_t out[512];
  size_t len = conn_peer_write_info(f, &conn_peer_info, out, sizeof out);

  conn_peer_send(f, (cmt_bytes){out, len});
}

void conn_peer_up(conn_peer *f) {
  cmt_bytes info;

  conn_peer_hello(f);
  conn_peer_auth(f);
  conn_peer_send_info(f);
  assert_conn_events(f, "info up");
  assert_true(conn_peer_next_packet(f, &info));
  assert_int_equal(f->plain.len, f->read);
}

cmt_err conn_peer_queue(conn_peer *f, uint8_t channel, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, len);
  cmt_err err;

  assert_non_null(msg);
  if (len > 0) {
    memset(cmt_buf_data(msg), channel, len);
  }
  err = cmt_conn_try_send(f->c, channel, msg, f->now_ns);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}
