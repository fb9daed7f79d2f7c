/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

#include "core/conn/node_info.h"

enum { FRAMES_MAX = 64 };

/* What the socket does not accept now is written when it is writable. */
static void write_all(hostile *h, const uint8_t *data, size_t len) {
  size_t written = 0;

  if (h->ended || h->tcp == NULL) {
    return;
  }
  if (h->pending.len == 0 &&
      cmt__tcp_write(h->tcp, data, len, &written) != CMT_OK) {
    h->ended = true;
    return;
  }
  if (written < len) {
    test_bytes_put(&h->pending, data + written, len - written);
  }
}

static void flush(hostile *h) {
  cmt_bytes out = cmt_secret_conn_output(h->secret);

  if (out.len > 0) {
    write_all(h, out.base, out.len);
    cmt_secret_conn_consume(h->secret, out.len);
  }
}

static void seal_and_send(hostile *h, uint8_t *slots, size_t len) {
  if (cmt_secret_conn_seal(h->secret, slots, len) != CMT_OK) {
    h->ended = true; /* What came had been spoilt on its way. */
    return;
  }
  slots[len] ^= h->spoils;
  write_all(h, slots,
            (len + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA * CMT_FRAME_SLOT);
}

void hostile_send(hostile *h, cmt_bytes data) {
  static uint8_t slots[FRAMES_MAX * CMT_FRAME_SLOT];
  cmt__batch r = cmt__batch_frames(NULL, slots, FRAMES_MAX);

  assert_true(data.len <= r.cap);
  if (!h->ended) {
    cmt__batch_write(&r, data.base, data.len);
    seal_and_send(h, slots, data.len);
  }
}

static void send_info(hostile *h) {
  static char moniker[CMT_NODE_INFO_MAX];
  static uint8_t text[CMT_NODE_INFO_MAX + 16];
  static const uint8_t channels[] = {TEST_CHAT, 0x52, 0x53};
  cmt__writer w = {.at = text, .end = text + sizeof text};
  cmt_node_id id;
  cmt_node_info info = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://0.0.0.0:0"),
    .network = cmt_bytes_of(h->network != NULL ? h->network : "test-net"),
    .version = cmt_bytes_of("hostile"),
    .channels = {.base = channels, .len = sizeof channels},
    .tx_index = cmt_bytes_of("off"),
  };

  memset(moniker, 'm', sizeof moniker);
  cmt_node_key_get_id(h->key, &id);
  info.id = cmt_bytes_of(h->says_id != NULL ? h->says_id : id.text);
  if (h->channels.len > 0) {
    info.channels = h->channels;
  }
  info.moniker = (cmt_bytes){.base = (const uint8_t *)moniker,
                             .len = h->moniker > 0 ? h->moniker : 1};
  cmt__write_varint(&w, cmt__node_info_size(&info));
  cmt__node_info_encode(&info, &w);
  assert_false(w.failed);
  hostile_send(h, (cmt_bytes){text, (size_t)(w.at - text) - h->hold});
}

static void on_connect(void *arg, cmt_err err) {
  hostile *h = arg;

  h->ended = err != CMT_OK;
  if (h->mute || h->ended) {
    return;
  }
  assert_cmt(CMT_OK, cmt_secret_conn_new(h->env, h->key, &h->secret));
  flush(h);
}

static void on_read(void *arg, uint8_t *data, size_t len) {
  hostile *h = arg;
  cmt_secret_conn_event e;
  bool up = false;

  h->received += len;
  if (h->secret == NULL ||
      cmt_secret_conn_recv(h->secret, data, len) != CMT_OK) {
    return;
  }
  while (cmt_secret_conn_next_event(h->secret, &e)) {
    up = up || e.kind == CMT_SECRET_CONN_UP;
  }
  flush(h);
  if (up && !cmt_secret_conn_has_ended(h->secret)) {
    h->up = true;
    send_info(h);
    if (h->deaf) {
      cmt__tcp_read(h->tcp, false);
    }
  }
}

static void on_end(void *arg, cmt_err err) {
  (void)err;
  ((hostile *)arg)->ended = true;
}

static void on_writable(void *arg) {
  hostile *h = arg;
  size_t written = 0;

  if (h->ended || h->pending.len == 0) {
    return;
  }
  if (cmt__tcp_write(h->tcp, h->pending.base + h->pending.head, h->pending.len,
                     &written) != CMT_OK) {
    h->ended = true;
    return;
  }
  h->pending.head += written;
  h->pending.len -= written;
}

static const cmt__tcp_callbacks callbacks = {.on_connect = on_connect,
                                             .on_read = on_read,
                                             .on_end = on_end,
                                             .on_writable = on_writable};

void hostile_dial_on(hostile *h, cmt__loop *loop, const char *addr) {
  cmt_net_addr to;

  h->loop = loop;
  h->env = &h->loop->env;
  assert_null(h->tcp);
  if (h->key == NULL) {
    assert_cmt(CMT_OK, cmt_node_key_generate(h->env, &h->key));
  }
  assert_cmt(CMT_OK, cmt_net_addr_parse(addr, 0, &to, NULL));
  if (cmt__loop_connect(h->loop, &to, &callbacks, h, &h->tcp) != CMT_OK) {
    h->tcp = NULL;
    return;
  }
  cmt__tcp_read(h->tcp, true);
}

void hostile_dial(hostile *h, test_loop *loop, const char *addr) {
  hostile_dial_on(h, test_loop_base(loop), addr);
  assert_non_null(h->tcp);
}

void hostile_hang_up(hostile *h) {
  if (h->tcp != NULL) {
    cmt__tcp_close(h->tcp);
  }
  cmt_secret_conn_delete(h->secret);
  h->tcp = NULL;
  h->secret = NULL;
  h->up = false;
  h->ended = false;
  test_bytes_clear(&h->pending);
}

void hostile_fini(hostile *h) {
  hostile_hang_up(h);
  cmt_node_key_delete(h->key);
  *h = (hostile){.tcp = NULL};
}

void hostile_packet(hostile *h, uint8_t channel, size_t len, bool eof) {
  static const uint8_t data[1024];
  uint8_t packet[1100];
  cmt__batch r = cmt__batch_plain(NULL, packet, sizeof packet);

  test_wire()->write_msg(&r, channel, eof,
                         (cmt_bytes){.base = data, .len = len});
  hostile_send(h, (cmt_bytes){packet, r.len});
}

void hostile_ping(hostile *h) {
  static const uint8_t ping[] = {2, 0x0a, 0};

  hostile_send(h, (cmt_bytes){ping, sizeof ping});
}
