/* SPDX-License-Identifier: Apache-2.0 */

/* Our own encoders and decoders against protobuf-c and the files of proto/:
   drawn values, the same bytes, and each reads what the other wrote. */

#include "test.h"

#include "core/conn/node_info.h"
#include "packets.h"
#include "core/secret/secret_conn.h"

#include <handshake.pb-c.h>
#include <node_info.pb-c.h>
#include <packet.pb-c.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 2000, DATA_MAX = 3000 };

typedef struct drawing {
  uint64_t seed;
} drawing;

static uint32_t draw(drawing *d) {
  d->seed = d->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(d->seed >> 33);
}

static void draw_bytes(drawing *d, uint8_t *out, size_t len) {
  for (size_t i = 0; i < len; i++) {
    out[i] = (uint8_t)draw(d);
  }
}

/* Numbers of every length that a varint can have. */
static uint64_t draw_number(drawing *d) {
  uint64_t v = (uint64_t)draw(d) << 33 ^ (uint64_t)draw(d) << 8 ^ draw(d);
  uint32_t bits = draw(d) % 65;

  return bits == 0 ? 0 : v >> (64 - bits);
}

/* |msg| packed with its length before it, in memory that free() frees. */
static uint8_t *pack(const ProtobufCMessage *msg, size_t *len) {
  size_t body = protobuf_c_message_get_packed_size(msg);
  uint8_t *out = malloc(body + 10);
  cmt__writer w = {.at = out, .end = out + 10};

  assert_non_null(out);
  cmt__write_varint(&w, body);
  *len = (size_t)(w.at - out) + body;
  assert_int_equal(body, protobuf_c_message_pack(msg, w.at));
  return out;
}

/* The bytes without the length before them. */
static cmt_bytes body_of(const uint8_t *data, size_t len) {
  uint64_t body;
  int prefix = cmt__read_prefix(data, len, &body);

  assert_true(prefix > 0);
  assert_int_equal(len - (size_t)prefix, body);
  return (cmt_bytes){.base = data + prefix, .len = (size_t)body};
}

static void assert_packed(const ProtobufCMessage *msg, const uint8_t *ours,
                          size_t len) {
  size_t their_len;
  uint8_t *theirs = pack(msg, &their_len);

  assert_int_equal(their_len, len);
  assert_memory_equal(theirs, ours, len);
  free(theirs);
}

/* ---- packets ---- */

static void pings_and_pongs(void **state) {
  Cometbft__Packet__Ping ping = COMETBFT__PACKET__PING__INIT;
  Cometbft__Packet__Pong pong = COMETBFT__PACKET__PONG__INIT;
  Cometbft__Packet__Packet p = COMETBFT__PACKET__PACKET__INIT;
  uint8_t out[16];
  cmt__batch run = cmt__batch_plain(NULL, out, sizeof out);

  (void)state;
  p.sum_case = COMETBFT__PACKET__PACKET__SUM_PING;
  p.ping = &ping;
  test_write_ping(&run);
  assert_packed(&p.base, out, run.len);
  run = cmt__batch_plain(NULL, out, sizeof out);
  p.sum_case = COMETBFT__PACKET__PACKET__SUM_PONG;
  p.pong = &pong;
  test_write_pong(&run);
  assert_packed(&p.base, out, run.len);
}

/* One msg packet: written by us, by protobuf-c, and read by each. */
static void check_msg(uint8_t channel, bool eof, cmt_bytes data) {
  static uint8_t out[DATA_MAX + 32];
  Cometbft__Packet__Msg msg = COMETBFT__PACKET__MSG__INIT;
  Cometbft__Packet__Packet p = COMETBFT__PACKET__PACKET__INIT, *theirs;
  cmt__batch run = cmt__batch_plain(NULL, out, sizeof out);
  cmt__packet ours;
  cmt_bytes body;

  msg.channel_id = channel;
  msg.eof = eof;
  msg.data.data = (uint8_t *)(uintptr_t)data.base;
  msg.data.len = data.len;
  p.sum_case = COMETBFT__PACKET__PACKET__SUM_MSG;
  p.msg = &msg;
  test_wire()->write_msg(&run, channel, eof, data);
  assert_int_equal(test_wire()->msg_size(channel, eof, data.len), run.len);
  assert_packed(&p.base, out, run.len);

  body = body_of(out, run.len);
  assert_cmt(CMT_OK, test_wire()->decode(body, &ours));
  theirs = cometbft__packet__packet__unpack(NULL, body.len, body.base);
  assert_non_null(theirs);
  assert_int_equal(COMETBFT__PACKET__PACKET__SUM_MSG, theirs->sum_case);
  assert_int_equal(ours.channel, theirs->msg->channel_id);
  assert_int_equal(ours.eof, theirs->msg->eof);
  assert_int_equal(ours.data.len, theirs->msg->data.len);
  if (data.len > 0) {
    assert_memory_equal(data.base, theirs->msg->data.data, data.len);
    assert_memory_equal(data.base, ours.data.base, data.len);
  }
  cometbft__packet__packet__free_unpacked(theirs, NULL);
}

static void msg_packets(void **state) {
  static const size_t lens[] = {0, 1, 126, 127, 128, 129, 1023, 1024, 2047};
  static uint8_t data[DATA_MAX];
  drawing d = {.seed = 1};

  (void)state;
  draw_bytes(&d, data, sizeof data);
  for (unsigned channel = 0; channel < 256; channel++) {
    for (size_t i = 0; i < CMT__COUNT(lens); i++) {
      cmt_bytes b = {.base = data, .len = lens[i]};

      check_msg((uint8_t)channel, false, b);
      check_msg((uint8_t)channel, true, b);
    }
  }
  for (int i = 0; i < ROUNDS; i++) {
    check_msg((uint8_t)draw(&d), draw(&d) % 2 == 0,
              (cmt_bytes){.base = data, .len = draw(&d) % DATA_MAX});
  }
}

/* Both refuse, or both read the same.  A packet without a known member is no
   packet for us; protobuf-c has no opinion. */
static bool reads_alike(const uint8_t *body, size_t len) {
  Cometbft__Packet__Packet *theirs =
    cometbft__packet__packet__unpack(NULL, len, body);
  cmt__packet ours = {.kind = CMT__PACKET_PING};
  cmt_err err =
    test_wire()->decode((cmt_bytes){.base = body, .len = len}, &ours);
  bool same = (theirs != NULL && theirs->sum_case != 0) == (err == CMT_OK);

  if (theirs != NULL && err == CMT_OK) {
    static const unsigned kinds[] = {
      [CMT__PACKET_PING] = COMETBFT__PACKET__PACKET__SUM_PING,
      [CMT__PACKET_PONG] = COMETBFT__PACKET__PACKET__SUM_PONG,
      [CMT__PACKET_MSG] = COMETBFT__PACKET__PACKET__SUM_MSG,
    };

    same = kinds[ours.kind] == theirs->sum_case;
    if (same && ours.kind == CMT__PACKET_MSG) {
      same = theirs->msg->channel_id == ours.channel &&
             (theirs->msg->eof != 0) == ours.eof &&
             theirs->msg->data.len == ours.data.len;
    }
  }
  if (theirs != NULL) {
    /* An id of more than a byte is a legal message and no channel of ours. */
    if (err == CMT_EUNKNOWNCHANNEL) {
      same = theirs->msg->channel_id < 0 || theirs->msg->channel_id > 255;
    }
    cometbft__packet__packet__free_unpacked(theirs, NULL);
  }
  return same;
}

/* protobuf-c accepts a bool of any wire type; CometBFT does not, nor do we. */
static bool is_odd_bool(uint8_t tag) { return tag >> 3 == 2 && tag % 8 != 0; }

static void changed_packets_are_read_alike(void **state) {
  static const uint8_t good[] = {0x1a, 0x09, 0x08, 0x30, 0x10, 0x01,
                                 0x1a, 0x03, 0x61, 0x62, 0x63};
  unsigned same = 0, odd = 0;

  (void)state;
  for (size_t at = 0; at < sizeof good; at++) {
    for (unsigned value = 0; value < 256; value++) {
      uint8_t body[sizeof good];

      memcpy(body, good, sizeof body);
      body[at] = (uint8_t)value;
      if (reads_alike(body, sizeof body)) {
        same++;
      } else if (is_odd_bool(body[at])) {
        odd++;
      } else {
        fail_msg("byte %zu as %02x is read otherwise", at, value);
      }
    }
  }
  test_used("packets with one byte changed", same, odd, 256 * sizeof good);
}

/* ---- node infos ---- */

static cmt_bytes draw_text(drawing *d, uint8_t *room, size_t cap) {
  size_t len = draw(d) % 4 == 0 ? 0 : draw(d) % cap;

  for (size_t i = 0; i < len; i++) {
    room[i] = (uint8_t)(32 + draw(d) % 95);
  }
  return (cmt_bytes){.base = room, .len = len};
}

/* A C string, as protobuf-c has them. */
static char *text_of(cmt_bytes b, char *room) {
  if (b.len > 0) {
    memcpy(room, b.base, b.len);
  }
  room[b.len] = '\0';
  return room;
}

typedef struct drawn_info {
  uint8_t bytes[8][300];
  char texts[8][301];
  cmt_node_info ours;
  Cometbft__NodeInfo__ProtocolVersion version;
  Cometbft__NodeInfo__Other other;
  Cometbft__NodeInfo__NodeInfo theirs;
} drawn_info;

static void draw_info(drawing *d, drawn_info *x) {
  cmt_node_info *o = &x->ours;
  cmt_bytes *fields[] = {&o->id,         &o->listen_addr, &o->network,
                         &o->version,    &o->moniker,     &o->tx_index,
                         &o->rpc_address};
  char **texts[] = {&x->theirs.default_node_id, &x->theirs.listen_addr,
                    &x->theirs.network,         &x->theirs.version,
                    &x->theirs.moniker,         &x->other.tx_index,
                    &x->other.rpc_address};

  cometbft__node_info__protocol_version__init(&x->version);
  cometbft__node_info__other__init(&x->other);
  cometbft__node_info__node_info__init(&x->theirs);
  o->protocol_p2p = x->version.p2p = draw_number(d);
  o->protocol_block = x->version.block = draw_number(d);
  o->protocol_app = x->version.app = draw_number(d);
  for (size_t i = 0; i < CMT__COUNT(fields); i++) {
    *fields[i] = draw_text(d, x->bytes[i], sizeof x->bytes[i]);
    *texts[i] = text_of(*fields[i], x->texts[i]);
  }
  draw_bytes(d, x->bytes[7], 16);
  o->channels = (cmt_bytes){.base = x->bytes[7], .len = draw(d) % 17};
  x->theirs.channels.data = x->bytes[7];
  x->theirs.channels.len = o->channels.len;
  x->theirs.protocol_version = &x->version;
  x->theirs.other = &x->other;
}

static void assert_same(cmt_bytes ours, const void *theirs, size_t len) {
  assert_int_equal(len, ours.len);
  if (len > 0) {
    assert_memory_equal(theirs, ours.base, len);
  }
}

static void node_infos(void **state) {
  static uint8_t out[8192];
  static drawn_info x;
  drawing d = {.seed = 2};

  (void)state;
  for (int i = 0; i < ROUNDS; i++) {
    cmt__writer w = {.at = out, .end = out + sizeof out};
    Cometbft__NodeInfo__NodeInfo *theirs;
    cmt_node_info back;
    uint8_t *packed;
    size_t len, size;

    draw_info(&d, &x);
    cmt__node_info_encode(&x.ours, &w);
    size = (size_t)(w.at - out);
    assert_false(w.failed);
    assert_int_equal(cmt__node_info_size(&x.ours), size);
    packed = pack(&x.theirs.base, &len);
    assert_same((cmt_bytes){.base = out, .len = size},
                body_of(packed, len).base, body_of(packed, len).len);
    free(packed);

    assert_true(
      cmt__node_info_decode((cmt_bytes){.base = out, .len = size}, &back));
    theirs = cometbft__node_info__node_info__unpack(NULL, size, out);
    assert_non_null(theirs);
    assert_true(theirs->protocol_version->p2p == back.protocol_p2p);
    assert_true(theirs->protocol_version->block == back.protocol_block);
    assert_true(theirs->protocol_version->app == back.protocol_app);
    assert_same(back.network, theirs->network, strlen(theirs->network));
    assert_same(back.channels, theirs->channels.data, theirs->channels.len);
    assert_same(back.rpc_address, theirs->other->rpc_address,
                strlen(theirs->other->rpc_address));
    cometbft__node_info__node_info__free_unpacked(theirs, NULL);
  }
}

/* ---- the handshake ---- */

static void first_messages(void **state) {
  drawing d = {.seed = 5};

  (void)state;
  for (int i = 0; i < 100; i++) {
    Cometbft__Handshake__EphemeralKey m =
      COMETBFT__HANDSHAKE__EPHEMERAL_KEY__INIT;
    uint8_t key[32], back[32], out[CMT__SECRET_KEY_MSG];
    size_t len;
    uint8_t *theirs;

    draw_bytes(&d, key, sizeof key);
    m.value.data = key;
    m.value.len = sizeof key;
    cmt__secret_write_key(key, out);
    theirs = pack(&m.base, &len);
    /* CometBFT's length is that of the message; so is ours. */
    assert_int_equal(sizeof out, len);
    assert_memory_equal(theirs, out, len);
    assert_cmt(CMT_OK, cmt__secret_read_key(body_of(theirs, len), back));
    assert_memory_equal(key, back, sizeof key);
    free(theirs);
  }
}

static void second_messages(void **state) {
  drawing d = {.seed = 6};
  test_env e;

  (void)state;
  test_env_init(&e);
  for (int i = 0; i < 20; i++) {
    Cometbft__Handshake__PublicKey key = COMETBFT__HANDSHAKE__PUBLIC_KEY__INIT;
    Cometbft__Handshake__AuthSig m = COMETBFT__HANDSHAKE__AUTH_SIG__INIT;
    uint8_t challenge[32], sig[64], back[32], out[CMT__SECRET_AUTH_MSG];
    cmt_node_key *node;
    uint8_t *theirs;
    size_t len;

    assert_cmt(CMT_OK, cmt_node_key_generate(&e.env, &node));
    draw_bytes(&d, challenge, sizeof challenge);
    cmt__node_key_sign(node, challenge, sig);
    key.sum_case = COMETBFT__HANDSHAKE__PUBLIC_KEY__SUM_ED25519;
    key.ed25519.data = (uint8_t *)(uintptr_t)cmt__node_key_public(node);
    key.ed25519.len = 32;
    m.pub_key = &key;
    m.sig.data = sig;
    m.sig.len = sizeof sig;
    cmt__secret_write_auth(node, challenge, out);
    theirs = pack(&m.base, &len);
    assert_int_equal(sizeof out, len);
    assert_memory_equal(theirs, out, len);
    assert_cmt(CMT_OK,
               cmt__secret_read_auth(body_of(theirs, len), challenge, back));
    assert_memory_equal(cmt__node_key_public(node), back, sizeof back);
    free(theirs);
    cmt_node_key_delete(node);
  }
  test_env_fini(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(pings_and_pongs),
    cmocka_unit_test(msg_packets),
    cmocka_unit_test(changed_packets_are_read_alike),
    cmocka_unit_test(node_infos),
    cmocka_unit_test(first_messages),
    cmocka_unit_test(second_messages),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
