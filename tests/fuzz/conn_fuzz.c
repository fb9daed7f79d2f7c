/* SPDX-License-Identifier: Apache-2.0 */
/* A whole connection with the null AEAD, against a node whose bytes the input
   writes.  The first bytes of the input choose the options and how much of a
   right handshake comes by itself, so that every stage is reached; the rest are
   operations. */

#include "side.h"

#include <cometp2p/secret_conn.h>

#include "core/wire/wire.h"

enum { STREAM_MAX = 1 << 17, FRAMES_MAX = 128 * CMT_FRAME_SLOT };

typedef struct drive {
  fuzz_input in;
  fuzz_side s;
  const fuzz_script *script;
  uint8_t piece; /* Frames of this many bytes over 16; 0: full ones. */
  size_t events; /* Accepted after each input; 0: all. */
  cmt__quota quota;
} drive;

static void take_events(drive *d) {
  (void)side_events(&d->s, d->events > 0 ? d->events : SIZE_MAX);
}

/* Gives |data|, with events before it if they are in the way. */
static void give(drive *d, cmt_bytes data) {
  if (!side_recv(&d->s, data)) {
    (void)side_events(&d->s, SIZE_MAX);
    (void)side_recv(&d->s, data);
  }
  take_events(d);
}

/* Gives |data| in frames. */
static void give_frames(drive *d, cmt_bytes data) {
  static uint8_t frames[FRAMES_MAX];
  size_t most = d->piece > 0 ? (size_t)d->piece * 16 : CMT_FRAME_DATA, len = 0;

  most = cmt__min(most, CMT_FRAME_DATA);
  while (data.len > 0 && len < sizeof frames) {
    size_t n = cmt__min(data.len, most);
    uint8_t *slot = frames + len;

    memset(slot, 0, CMT_FRAME_SLOT);
    cmt__store_le32(slot, (uint32_t)n);
    memcpy(slot + CMT_FRAME_HEADER, data.base, n);
    data.base += n;
    data.len -= n;
    len += CMT_FRAME_SLOT;
  }
  give(d, (cmt_bytes){.base = frames, .len = len});
}

/* ---- the handshake of a right node ---- */

static void give_hello(drive *d) {
  give(d, (cmt_bytes){d->script->hello, sizeof d->script->hello});
}

static void give_auth(drive *d) {
  uint8_t piece = d->piece;

  d->piece = 0;
  give_frames(d, (cmt_bytes){d->script->auth, sizeof d->script->auth});
  d->piece = piece;
}

/* Our node info, of which |flaw| may choose a fault. */
static void give_info(drive *d, uint8_t flaw) {
  static const uint8_t ids[] = {0x31, 0x80, 0xff, 0x00, 0x31};
  uint8_t out[512];
  cmt__writer w = {.at = out, .end = out + sizeof out};
  cmt_node_info i = {
    .protocol_p2p = 8,
    .protocol_block = flaw == 1 ? 12 : 11,
    .id = cmt_bytes_of(d->script->id.text),
    .listen_addr = cmt_bytes_of(flaw == 2 ? "nowhere" : "127.0.0.1:1"),
    .network = cmt_bytes_of(flaw == 3 ? "other" : "fuzz"),
    .channels = {.base = ids,
                 .len = flaw == 4   ? 5
                        : flaw == 5 ? 1
                                    : 4},
    .moniker = cmt_bytes_of(flaw == 6 ? " " : "script"),
    .tx_index = cmt_bytes_of(flaw == 7 ? "yes" : "on"),
    .version = cmt_bytes_of(flaw == 8 ? "\x01" : "1"),
    .rpc_address = cmt_bytes_of(flaw == 9 ? "\xff" : ""),
  };

  if (flaw == 10) {
    i.id.base += 1;
    i.id.len -= 1;
  } else if (flaw == 11) {
    i.id = cmt_bytes_of("0123456789012345678901234567890123456789");
  } else if (flaw == 12) {
    i.channels.len = 0;
  }
  cmt__write_varint(&w, cmt__node_info_size(&i));
  cmt__node_info_encode(&i, &w);
  FUZZ_CHECK(!w.failed);
  give_frames(d, (cmt_bytes){out, (size_t)(w.at - out)});
}

/* ---- operations ---- */

/* A msg packet, and its length, of which few bytes come from the input. */
static void give_packets(drive *d, bool last) {
  static uint8_t plain[STREAM_MAX];
  static const uint8_t fill[65536];
  uint8_t id = fuzz_byte(&d->in);
  size_t len = fuzz_u16(&d->in), count = 1 + fuzz_byte(&d->in) % 16;
  const cmt__wire *wire = cmt__wire_of(d->s.o.wire);
  cmt__batch r = cmt__batch_plain(NULL, plain, sizeof plain);

  id = id < 4 ? side_channels[id].id : id;
  for (size_t i = 0; i < count; i++) {
    bool eof = last && i + 1 == count;

    if (wire->msg_size(id, eof, len) > cmt__batch_room(&r)) {
      break;
    }
    wire->write_msg(&r, id, eof, (cmt_bytes){fill, len});
  }
  give_frames(d, (cmt_bytes){plain, r.len});
}

/* One frame with whatever header and tag. */
static void give_odd_frame(drive *d) {
  uint8_t slot[CMT_FRAME_SLOT] = {0};
  cmt_bytes data;

  cmt__store_le32(slot, fuzz_u16(&d->in));
  slot[CMT_FRAME_SLOT - 1] = fuzz_byte(&d->in) == 1;
  data = fuzz_take(&d->in, fuzz_byte(&d->in));
  if (data.len > 0) {
    memcpy(slot + CMT_FRAME_HEADER, data.base, data.len);
  }
  give(d, (cmt_bytes){slot, sizeof slot});
}

static void take_output(drive *d, size_t max, size_t consume) {
  cmt_bytes out = side_output(&d->s, max);

  side_consume(&d->s, cmt__min(out.len, consume));
}

static void advance(drive *d) {
  static const uint64_t units[] = {1, 1000000, 100000000, 1000000000};
  uint8_t b = fuzz_byte(&d->in);
  uint64_t now = d->s.now_ns + units[b & 3] * (b >> 2);

  side_tick(&d->s, now);
}

static void stop(drive *d) {
  static const cmt_err reasons[] = {CMT_ECANCELED, CMT_EEOF, CMT_ERESET,
                                    CMT_EDUPLICATE};
  uint8_t b = fuzz_byte(&d->in);

  side_stop(&d->s, reasons[b & 3], CMT_MILLISECONDS(b >> 2));
}

static void step(drive *d) {
  const cmt__wire *wire = cmt__wire_of(d->s.o.wire);
  uint8_t op = fuzz_byte(&d->in);
  fuzz_input *in = &d->in;

  switch (op % 16) {
  case 0:
    give(d, fuzz_take(in, fuzz_byte(in)));
    break;
  case 1:
  case 2:
    give_frames(d, fuzz_take(in, fuzz_byte(in)));
    break;
  case 3:
    give_odd_frame(d);
    break;
  case 4:
  case 5:
    give_packets(d, op % 16 == 4);
    break;
  case 6:
    give_frames(d, op & 16 ? wire->pings->pong : wire->pings->ping);
    break;
  case 7:
  case 8:
    side_send(&d->s, op >> 4 & 3, fuzz_u16(in) * (op & 64 ? 2 : 1));
    break;
  case 9:
    if ((op & 16) != 0) {
      side_pause(&d->s, (op & 32) != 0);
    } else {
      side_ping(&d->s);
    }
    break;
  case 10:
    take_output(d, fuzz_u16(in), fuzz_u16(in));
    break;
  case 11:
    take_output(d, SIZE_MAX, SIZE_MAX);
    break;
  case 12:
    advance(d);
    break;
  case 13:
    stop(d);
    break;
  case 14:
    d->piece = fuzz_byte(in) & 63;
    d->events = op >> 4 & 3;
    break;
  default:
    if (op >> 4 == 0) {
      give_hello(d);
    } else if (op >> 4 == 1) {
      give_auth(d);
    } else {
      give_info(d, fuzz_byte(in));
    }
  }
}

/* Profile, limits and what is shared, from |b|. */
static void drive_limits(drive *d, side_options *o, uint8_t b) {
  static const uint64_t rates[] = {0, 1000, 100000, 10000000};

  o->wire = b & 1 ? CMT_WIRE_LEGACY : CMT_WIRE_COMETBFT;
  o->send_rate = rates[b >> 1 & 3];
  o->recv_rate = rates[b >> 3 & 3];
  if ((b & 32) != 0) {
    cmt__quota_init(&d->quota, b & 128 ? 5000 : 0, b & 64 ? 30000 : 1 << 20);
    cmt__quota_limit(&d->quota, rates[b >> 3 & 3], rates[b >> 1 & 3], 1000);
    o->quota = &d->quota;
  }
}

static void drive_start(drive *d) {
  static const uint32_t payloads[] = {1024, 1,     7,     127,
                                      1400, 10240, 65536, 1023};
  uint8_t a = fuzz_byte(&d->in), b = fuzz_byte(&d->in), c = fuzz_byte(&d->in);
  side_options o = {
    .aead = &fuzz_null_aead,
    .any_network = (a & 8) != 0,
    .greedy = (a & 4) != 0,
    .send_payload_max =
      (uint32_t)cmt__max(payloads[b & 7], CMT_PACKET_PAYLOAD_MIN),
    .recv_payload_max = payloads[b >> 3 & 7],
    .ping_interval_ns = b & 64 ? CMT_NEVER : CMT_MILLISECONDS(1 + c % 16 * 50),
    .fail_at = a & 128 ? c : SIZE_MAX,
  };
  static const cmt_node_id wrong = {"0123456789012345678901234567890123456789"};

  o.pong_timeout_ns = o.ping_interval_ns / 2;
  drive_limits(d, &o, fuzz_byte(&d->in));
  d->script = fuzz_script_of((a & 16) != 0);
  o.ephemeral = d->script->our_ephemeral;
  if ((a & 32) != 0) {
    o.expect_id = (a & 64) != 0 ? &wrong : &d->script->id;
  }
  side_init(&d->s, &o, 1000);
  if ((a & 3) >= 1) {
    give_hello(d);
  }
  if ((a & 3) >= 2) {
    give_auth(d);
  }
  if ((a & 3) >= 3) {
    give_info(d, 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static drive d;

  memset(&d, 0, sizeof d);
  d.in = (fuzz_input){.at = data, .left = size};
  drive_start(&d);
  side_check(&d.s);
  while (d.in.left > 0 && d.s.c != NULL) {
    step(&d);
    side_check(&d.s);
  }
  (void)side_events(&d.s, SIZE_MAX);
  side_check(&d.s);
  side_fini(&d.s);
  FUZZ_CHECK(atomic_load(&d.quota.reserved) == 0);
  return 0;
}
