/* SPDX-License-Identifier: Apache-2.0 */
/* Packets.  One stream goes through the resumable parser in one piece, through
   it again in drawn pieces, through the decoder of whole packets, and through a
   multiplexer; all have to agree.  What arrived is then sent over another
   multiplexer and has to arrive there again.

   The input: one byte that chooses the longest payload and the profile, one
   that the pieces are drawn from, the stream. */

#include "fuzz.h"

#include <cometp2p/secret_conn.h>
#include <stdlib.h>

#include "core/mux/mconn.h"
#include "core/wire/parser.h"
#include "core/wire/wire.h"
#include "packet_input.h"

/* Packets gathered whole. */
typedef struct parsed {
  cmt__packet *list; /* |data| is its place in |bytes|. */
  size_t count, cap;
  uint8_t *bytes;
  size_t len;
  cmt_err err; /* CMT_EAGAIN: the stream ended well, or inside a packet. */
  /* Only decode_stream() knows: it ended inside a packet, and inside one that
   is too long unless its channel is from 0x80 up. */
  bool cut, cut_over;
} parsed;

static void parsed_init(parsed *p, const packet_input *i) {
  size_t stream_len = i->stream.len;
  size_t shortest = i->wire == CMT_WIRE_LEGACY ? 1 : 3;

  *p = (parsed){.cap = stream_len / shortest + 1, .err = CMT_EAGAIN};
  p->list = calloc(p->cap, sizeof *p->list);
  p->bytes = malloc(stream_len + 1);
  FUZZ_CHECK(p->list != NULL && p->bytes != NULL);
}

static void parsed_fini(parsed *p) {
  free(p->list);
  free(p->bytes);
}

/* Consumes a part.  One that is not the last is not counted yet. */
static void parsed_part(parsed *p, const cmt__packet *k, size_t *begun) {
  cmt__packet *to = &p->list[p->count];

  FUZZ_CHECK(p->count < p->cap);
  if (k->kind != CMT__PACKET_MSG) {
    *to = *k;
    p->count++;
    return;
  }
  if (k->first) {
    *begun = p->len;
    *to = *k;
  }
  FUZZ_CHECK(k->channel == to->channel && k->eof == to->eof);
  FUZZ_CHECK(k->total == to->total);
  if (k->data.len > 0) {
    memcpy(p->bytes + p->len, k->data.base, k->data.len);
    p->len += k->data.len;
  }
  if (k->last) {
    to->data = (cmt_bytes){.base = p->bytes + *begun, .len = p->len - *begun};
    FUZZ_CHECK(to->data.len == k->total);
    p->count++;
  }
}

/* The stream in pieces drawn from |seed|; 0: in one. */
static void parse_stream(const packet_input *i, uint32_t seed, parsed *out) {
  cmt_bytes left = i->stream;
  cmt__packet_parser p;
  cmt__packet k;
  size_t begun = 0;
  fuzz_env e;

  fuzz_env_init(&e);
  parsed_init(out, i);
  cmt__packet_parser_init(&p, cmt__wire_of(i->wire), i->payload_max);
  while (left.len > 0 && out->err == CMT_EAGAIN) {
    size_t n = packet_input_piece(&seed, left.len);
    uint8_t *copy = fuzz_copy((cmt_bytes){left.base, n});
    cmt_bytes in = {.base = copy, .len = n};

    while ((out->err = cmt__packet_next(&p, &e.env, &in, &k)) == CMT_OK) {
      parsed_part(out, &k, &begun);
    }
    FUZZ_CHECK(out->err != CMT_EAGAIN || in.len == 0);
    free(copy);
    left.base += n;
    left.len -= n;
  }
  cmt__packet_parser_fini(&p, &e.env);
  fuzz_env_fini(&e);
}

/* The length of the next packet's body; |*n|: of what stands before it. */
static cmt_err body_length(const packet_input *i, cmt_bytes in, size_t *n,
                           uint64_t *len) {
  size_t type = i->wire == CMT_WIRE_LEGACY;
  int prefix = cmt__read_prefix(in.base + type, in.len - type, len);

  if (prefix == 0) {
    return CMT_EAGAIN;
  }
  *n = type + (prefix > 0 ? (size_t)prefix : 0);
  return prefix < 0 || (*len < 2 && type == 0) ? CMT_EPROTO : CMT_OK;
}

/* The type byte of a legacy packet; true: |*out| is all of one. */
static cmt_err legacy_type(cmt_bytes *in, cmt__packet *out, bool *done) {
  uint8_t type = in->base[0];

  *done = type == 1 || type == 2;
  *out = (cmt__packet){.kind = type == 1 ? CMT__PACKET_PING : CMT__PACKET_PONG};
  if (*done) {
    in->base++;
    in->len--;
  }
  return *done || type == 3 ? CMT_OK : CMT_EPROTO;
}

/* The next whole packet of |*in| by the decoder alone. */
static cmt_err decode_next(const packet_input *i, cmt_bytes *in,
                           cmt__packet *out) {
  const cmt__wire *wire = cmt__wire_of(i->wire);
  size_t limit = wire->limit(i->payload_max), n = 0;
  cmt_err err = CMT_OK;
  bool done = false;
  uint64_t len;

  if (i->wire == CMT_WIRE_LEGACY) {
    err = legacy_type(in, out, &done);
  }
  if (done || err != CMT_OK) {
    return err;
  }
  err = body_length(i, *in, &n, &len);
  if (err != CMT_OK || len > limit + 1) {
    return err == CMT_OK ? CMT_EPROTO : err;
  }
  if (len > in->len - n) {
    return CMT_EAGAIN;
  }
  err = wire->decode((cmt_bytes){in->base + n, (size_t)len}, out);
  if (err == CMT_OK && len > limit &&
      (out->kind != CMT__PACKET_MSG || out->channel < 0x80)) {
    err = CMT_EPROTO;
  }
  in->base += n + len;
  in->len -= n + (size_t)len;
  return err;
}

static void decode_stream(const packet_input *i, parsed *out) {
  uint8_t *copy = fuzz_copy(i->stream);
  cmt_bytes in = {.base = copy, .len = i->stream.len};
  uint64_t announced = 0;
  size_t begun = 0, n;
  cmt__packet k;

  parsed_init(out, i);
  while (in.len > 0 && (out->err = decode_next(i, &in, &k)) == CMT_OK) {
    k.first = k.last = true;
    parsed_part(out, &k, &begun);
  }
  out->cut = in.len > 0 && out->err == CMT_EAGAIN;
  out->cut_over = out->cut && body_length(i, in, &n, &announced) == CMT_OK &&
                  announced > cmt__wire_of(i->wire)->limit(i->payload_max);
  if (out->err == CMT_OK) {
    out->err = CMT_EAGAIN;
  }
  free(copy);
}

/* In a packet that the stream cuts, the header alone can be wrong. */
static void check_same(const parsed *a, const parsed *b) {
  FUZZ_CHECK(a->count == b->count);
  FUZZ_CHECK(a->err == b->err || (b->cut_over && a->err == CMT_EPROTO));
  for (size_t i = 0; i < a->count; i++) {
    const cmt__packet *x = &a->list[i], *y = &b->list[i];

    FUZZ_CHECK(x->kind == y->kind);
    if (x->kind == CMT__PACKET_MSG) {
      FUZZ_CHECK(x->channel == y->channel && x->eof == y->eof);
      FUZZ_CHECK(fuzz_same(x->data, y->data));
    }
  }
}

/* Every packet in the form that we write reads back as itself, in frames and
   in one piece. */
static void check_write(cmt_wire wire, const cmt__packet *k) {
  const cmt__wire *w = cmt__wire_of(wire);
  size_t size = w->msg_size(k->channel, k->eof, k->data.len);
  size_t slots = (size + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA, at = 0;
  uint8_t *plain = malloc(size), *frames = malloc(slots * CMT_FRAME_SLOT);
  cmt__batch r = cmt__batch_plain(NULL, plain, size);
  cmt_bytes in = {.base = plain, .len = size};
  packet_input i = {.wire = wire, .payload_max = CMT_PACKET_PAYLOAD_MAX};
  cmt__packet back;

  FUZZ_CHECK(plain != NULL && frames != NULL);
  w->write_msg(&r, k->channel, k->eof, k->data);
  FUZZ_CHECK(cmt__batch_room(&r) == 0);
  FUZZ_CHECK(decode_next(&i, &in, &back) == CMT_OK && in.len == 0);
  FUZZ_CHECK(back.channel == k->channel && back.eof == k->eof);
  FUZZ_CHECK(fuzz_same(back.data, k->data));
  r = cmt__batch_frames(NULL, frames, slots);
  w->write_msg(&r, k->channel, k->eof, k->data);
  FUZZ_CHECK(r.len == size);
  for (; at < size; at++) {
    FUZZ_CHECK(frames[at / CMT_FRAME_DATA * CMT_FRAME_SLOT + CMT_FRAME_HEADER +
                      at % CMT_FRAME_DATA] == plain[at]);
  }
  free(plain);
  free(frames);
}

/* ---- multiplexers ---- */

typedef struct message {
  uint8_t channel;
  cmt_buf *bytes;
} message;

typedef struct messages {
  message *list;
  size_t count;
  cmt_err err;
} messages;

static void messages_init(messages *m, size_t cap) {
  *m = (messages){.list = calloc(cap + 1, sizeof *m->list), .err = CMT_EAGAIN};
  FUZZ_CHECK(m->list != NULL);
}

static void messages_fini(messages *m) {
  for (size_t i = 0; i < m->count; i++) {
    cmt_buf_unref(m->list[i].bytes);
  }
  free(m->list);
}

/* |less|: the end of |b| may be missing. */
static void messages_check_same(const messages *a, const messages *b,
                                bool less) {
  FUZZ_CHECK(a->count == b->count || (less && a->count > b->count));
  for (size_t i = 0; i < b->count; i++) {
    FUZZ_CHECK(a->list[i].channel == b->list[i].channel);
    FUZZ_CHECK(fuzz_same(cmt_buf_bytes(a->list[i].bytes),
                         cmt_buf_bytes(b->list[i].bytes)));
  }
}

/* What the packets make, by the rules of docs/PROTOCOL.md 4.3. */
static void model(const parsed *p, messages *out) {
  static uint8_t part[PACKET_INPUT_CHANNELS][PACKET_INPUT_MESSAGE_MAX];
  size_t len[PACKET_INPUT_CHANNELS] = {0};

  messages_init(out, p->count);
  out->err = p->err;
  for (size_t i = 0; i < p->count; i++) {
    const cmt__packet *k = &p->list[i];
    size_t c;

    if (k->kind != CMT__PACKET_MSG) {
      continue;
    }
    c = packet_input_channel(k->channel);
    if (c == PACKET_INPUT_CHANNELS) {
      out->err = CMT_EUNKNOWNCHANNEL;
      return;
    }
    if (len[c] + k->data.len > packet_input_channels[c].recv_message_max) {
      out->err = CMT_EMSGSIZE;
      return;
    }
    if (k->data.len > 0) {
      memcpy(part[c] + len[c], k->data.base, k->data.len);
      len[c] += k->data.len;
    }
    if (k->eof) {
      out->list[out->count++] = (message){
        .channel = k->channel, .bytes = cmt_buf_copy(NULL, part[c], len[c])};
      len[c] = 0;
    }
  }
}

static cmt_mconn *mconn_new(fuzz_env *e, const packet_input *i) {
  cmt_mconn_options o;
  cmt_mconn *m = NULL;

  cmt_mconn_options_init(&o);
  o.env = &e->env;
  o.wire = i->wire;
  o.channels = packet_input_channels;
  o.channel_count = PACKET_INPUT_CHANNELS;
  o.recv_packet_payload_max = i->payload_max;
  o.send_packet_payload_max =
    (uint32_t)cmt__max(i->payload_max, CMT_PACKET_PAYLOAD_MIN);
  FUZZ_CHECK(cmt_mconn_new(&o, 0, &m, NULL) == CMT_OK);
  return m;
}

/* Gives |in| in pieces drawn from |seed| and adds what comes out. */
static void mconn_feed(cmt_mconn *m, cmt_bytes in, uint32_t seed,
                       messages *out) {
  cmt_mconn_event e;

  while (in.len > 0 && out->err == CMT_EAGAIN) {
    size_t n = packet_input_piece(&seed, in.len);
    uint8_t *copy = fuzz_copy((cmt_bytes){in.base, n});

    FUZZ_CHECK(cmt_mconn_recv(m, copy, n, 0) == CMT_OK);
    while (cmt_mconn_next_event(m, &e)) {
      if (e.kind == CMT_MCONN_END) {
        out->err = e.err;
        continue;
      }
      FUZZ_CHECK(out->err == CMT_EAGAIN);      /* No event follows the end. */
      FUZZ_CHECK(e.kind == CMT_MCONN_MESSAGE); /* No ping of ours. */
      out->list[out->count++] =
        (message){.channel = e.channel, .bytes = cmt_buf_ref(e.msg)};
    }
    free(copy);
    in.base += n;
    in.len -= n;
  }
}

/* Sends all of |all| from one multiplexer to another. */
static void check_again(const packet_input *i, const messages *all) {
  static uint8_t dest[CMT_PACKET_PAYLOAD_MAX + 4096];
  packet_input larger = *i;
  fuzz_env e;
  cmt_mconn *from, *to;
  messages there;
  cmt_bytes out;
  uint32_t seed = i->seed;

  larger.payload_max =
    (uint32_t)cmt__max(i->payload_max, CMT_PACKET_PAYLOAD_MIN);
  fuzz_env_init(&e);
  from = mconn_new(&e, &larger);
  to = mconn_new(&e, &larger);
  messages_init(&there, all->count);
  for (size_t k = 0; k < all->count; k++) {
    const message *m = &all->list[k];

    FUZZ_CHECK(cmt_mconn_try_send(from, m->channel, cmt_buf_ref(m->bytes)) ==
               CMT_OK);
    while ((out.len = cmt_mconn_write(
              from, dest, cmt_mconn_write_min(from) + seed % 3000, 0)) > 0) {
      out.base = dest;
      while (out.len > 0) {
        size_t n = packet_input_piece(&seed, out.len);

        mconn_feed(to, (cmt_bytes){out.base, n}, seed, &there);
        cmt_mconn_consume(from, n, 0);
        out.base += n;
        out.len -= n;
      }
    }
  }
  FUZZ_CHECK(there.err == CMT_EAGAIN);
  messages_check_same(all, &there, false);
  messages_fini(&there);
  cmt_mconn_delete(from);
  cmt_mconn_delete(to);
  fuzz_env_fini(&e);
}

/* Packets that are of no use, of which there may be 500 at one instant. */
static size_t useless(const parsed *p) {
  size_t count = 0;

  for (size_t i = 0; i < p->count; i++) {
    const cmt__packet *k = &p->list[i];

    count += k->kind != CMT__PACKET_MSG || (k->total < 16 && !k->eof);
  }
  return count;
}

static size_t pings(const parsed *p) {
  size_t count = 0;

  for (size_t i = 0; i < p->count; i++) {
    count += p->list[i].kind == CMT__PACKET_PING;
  }
  return count;
}

/* Whether a multiplexer may end with |found| where the model expects
   |expected|: of a packet that the stream cuts the header already counts, and
   one byte may show that the stream is of the other profile. */
static bool err_is_due(const packet_input *i, const parsed *p, cmt_err expected,
                       cmt_err found) {
  if (found == CMT_EFLOOD) {
    return useless(p) + p->cut > 500 ||
           (i->wire == CMT_WIRE_LEGACY && pings(p) > 9);
  }
  if (expected == found) {
    return useless(p) <= 500;
  }
  if (!p->cut || expected != CMT_EAGAIN) {
    return false;
  }
  return found == CMT_EMSGSIZE || found == CMT_EUNKNOWNCHANNEL ||
         (found == CMT_EPROTO && (p->cut_over || i->stream.base[0] == 1));
}

static void check_mconn(const packet_input *i, const parsed *p) {
  messages expected, found;
  fuzz_env e;
  cmt_mconn *m;

  fuzz_env_init(&e);
  model(p, &expected);
  messages_init(&found, p->count);
  m = mconn_new(&e, i);
  mconn_feed(m, i->stream, i->seed, &found);
  FUZZ_CHECK(err_is_due(i, p, expected.err, found.err));
  messages_check_same(&expected, &found, found.err == CMT_EFLOOD);
  cmt_mconn_delete(m);
  check_again(i, &expected);
  messages_fini(&expected);
  messages_fini(&found);
  fuzz_env_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  packet_input i = packet_input_of(data, size);
  parsed whole, cut, decoded;

  parse_stream(&i, 0, &whole);
  parse_stream(&i, i.seed, &cut);
  decode_stream(&i, &decoded);
  check_same(&whole, &cut);
  check_same(&whole, &decoded);
  for (size_t k = 0; k < decoded.count; k++) {
    if (decoded.list[k].kind == CMT__PACKET_MSG) {
      check_write(i.wire, &decoded.list[k]);
    }
  }
  check_mconn(&i, &decoded);
  parsed_fini(&whole);
  parsed_fini(&cut);
  parsed_fini(&decoded);
  return 0;
}
