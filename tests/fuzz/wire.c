/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

enum { KEY_SIZE = 35, AUTH_SIZE = 103, FRAME_DATA = 1024, INFO_MAX = 10240 };

/* The varint in its shortest form at |b|: the bytes it takes, 0 when it is not
   whole. */
static size_t varint(cmt_bytes b, size_t *out) {
  *out = 0;
  for (size_t i = 0; i < b.len; i++) {
    FUZZ_CHECK(i < 4);
    *out |= (size_t)(b.base[i] & 0x7f) << 7 * i;
    if (b.base[i] < 0x80) {
      FUZZ_CHECK(i == 0 || b.base[i] > 0);
      return i + 1;
    }
  }
  return 0;
}

static void skip(cmt_bytes *b, size_t n) {
  FUZZ_CHECK(n <= b->len);
  b->base += n;
  b->len -= n;
}

/* A field's number in its tag, when it is the next one. */
static bool tagged(cmt_bytes *b, uint8_t tag) {
  if (b->len == 0 || b->base[0] != tag) {
    return false;
  }
  skip(b, 1);
  return true;
}

static size_t number(cmt_bytes *b) {
  size_t v, n = varint(*b, &v);

  FUZZ_CHECK(n > 0);
  skip(b, n);
  return v;
}

static void msg_done(fuzz_wire *w, cmt_bytes b) {
  size_t id = 0, len = 0;
  bool eof = false;

  if (tagged(&b, 0x08)) {
    id = number(&b);
    FUZZ_CHECK(id >= 1 && id <= 255);
  }
  if (tagged(&b, 0x10)) {
    FUZZ_CHECK(number(&b) == 1);
    eof = true;
  }
  if (tagged(&b, 0x1a)) {
    len = number(&b);
    FUZZ_CHECK(len > 0 && len <= w->payload_max);
  }
  FUZZ_CHECK(b.len == len);
  /* An equal node's limit leaves no room for one byte more. */
  FUZZ_CHECK(id < 0x80 || !eof || len < w->payload_max || len == 0);
  w->part(w->arg, (uint8_t)id, eof, b);
}

/* The ping before the end for a node of the other profile. */
static bool is_parting(cmt_bytes body) {
  static const uint8_t parting[] = {0x0a, 0x02, 0x08, 0x00};

  return fuzz_same(body, (cmt_bytes){parting, sizeof parting});
}

static void packet_done(fuzz_wire *w, cmt_bytes body) {
  if (tagged(&body, 0x1a)) {
    FUZZ_CHECK(number(&body) == body.len);
    msg_done(w, body);
    return;
  }
  FUZZ_CHECK((body.len == 2 && body.base[1] == 0) || is_parting(body));
  FUZZ_CHECK(body.base[0] == 0x0a || body.base[0] == 0x12);
  w->pings += body.base[0] == 0x0a;
  w->pongs += body.base[0] == 0x12;
}

/* The type byte of a legacy packet, which is all of a ping and a pong. */
static bool legacy_type(fuzz_wire *w, cmt_bytes *all) {
  uint8_t type = all->base[0];

  skip(all, 1);
  if (type == 3) {
    return false;
  }
  FUZZ_CHECK(type == 1 || type == 2);
  w->pings += type == 1;
  w->pongs += type == 2;
  w->packet_len = 0;
  return true;
}

/* One byte of the stream behind the signature. */
static void stream_byte(fuzz_wire *w, uint8_t byte) {
  cmt_bytes all;
  size_t len, n;

  FUZZ_CHECK(w->packet_len < sizeof w->packet);
  w->packet[w->packet_len++] = byte;
  all = (cmt_bytes){.base = w->packet, .len = w->packet_len};
  if (w->legacy && w->stage == WIRE_PACKETS && legacy_type(w, &all)) {
    return;
  }
  n = varint(all, &len);
  if (n == 0 || all.len - n < len) {
    return;
  }
  skip(&all, n);
  if (w->stage == WIRE_INFO) {
    FUZZ_CHECK(len <= INFO_MAX);
    w->stage = WIRE_PACKETS;
  } else if (w->legacy) {
    msg_done(w, all);
  } else {
    packet_done(w, all);
  }
  w->packet_len = 0;
}

static void frame_done(fuzz_wire *w) {
  static const uint8_t head[] = {0x66, 0x0a, 0x22, 0x0a, 0x20};
  const uint8_t *data = w->slot + 4;
  size_t n = cmt__load_le32(w->slot);

  FUZZ_CHECK(n >= 1 && n <= FRAME_DATA);
  for (size_t i = 4 + n; i < WIRE_FRAME; i++) {
    FUZZ_CHECK(w->slot[i] == 0); /* Padding, and the null AEAD's tag. */
  }
  if (w->stage == WIRE_AUTH) {
    FUZZ_CHECK(n == AUTH_SIZE && memcmp(data, head, sizeof head) == 0);
    w->stage = WIRE_INFO;
    return;
  }
  for (size_t i = 0; i < n; i++) {
    bool info = w->stage == WIRE_INFO;

    stream_byte(w, data[i]);
    FUZZ_CHECK(!info || w->stage == WIRE_INFO || i + 1 == n);
  }
}

void wire_take(fuzz_wire *w, cmt_bytes bytes) {
  for (size_t i = 0; i < bytes.len; i++) {
    w->slot[w->slot_len++] = bytes.base[i];
    if (w->stage == WIRE_KEY && w->slot_len == KEY_SIZE) {
      FUZZ_CHECK(memcmp(w->slot, "\x22\x0a\x20", 3) == 0);
      w->stage = WIRE_AUTH;
      w->slot_len = 0;
    } else if (w->slot_len == WIRE_FRAME) {
      frame_done(w);
      w->slot_len = 0;
    }
  }
}
