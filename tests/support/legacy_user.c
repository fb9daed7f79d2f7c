/* SPDX-License-Identifier: Apache-2.0 */
#include "mconn_output.h"
#include "legacy_user.h"

#include <stdio.h>

/* ---- the decoder ---- */

typedef struct cursor {
  const uint8_t *at, *end;
  bool bad;
} cursor;

/* Inside a message: ten bytes at most, what is over 64 bits is lost. */
static uint64_t varint(cursor *c) {
  uint64_t v = 0;

  for (unsigned i = 0; i < 10 && c->at < c->end; i++) {
    uint8_t byte = *c->at++;

    v |= (uint64_t)(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      return v;
    }
  }
  c->bad = true;
  return 0;
}

static cmt_bytes counted(cursor *c) {
  uint64_t len = varint(c);
  cmt_bytes b = {.base = c->at};

  if (c->bad || len > (uint64_t)(c->end - c->at)) {
    c->bad = true;
    return (cmt_bytes){.base = NULL};
  }
  b.len = (size_t)len;
  c->at += len;
  return b;
}

static void pass(cursor *c, size_t n) {
  if ((size_t)(c->end - c->at) < n) {
    c->bad = true;
  } else {
    c->at += n;
  }
}

/* A field whose number is not known; |tag| may open a group. */
static void skip_field(cursor *c, uint64_t tag, int depth) {
  switch (tag & 7) {
  case 0:
    (void)varint(c);
    return;
  case 1:
    pass(c, 8);
    return;
  case 2:
    (void)counted(c);
    return;
  case 5:
    pass(c, 4);
    return;
  case 3: /* Which numbers open and close is all the same. */
    do {
      uint64_t inner = varint(c);

      if ((inner & 7) == 4) {
        return;
      }
      skip_field(c, inner, depth + 1);
      c->bad = c->bad || depth == 100;
    } while (!c->bad);
    return;
  default:
    c->bad = true;
  }
}

static bool fields(cmt_bytes in, legacy_packet *out) {
  cursor c = {.at = in.base, .end = in.base + in.len};
  uint64_t channel = 0, eof = 0;

  while (c.at < c.end && !c.bad) {
    uint64_t tag = varint(&c), number = tag >> 3;

    if (number == 0 || number > INT32_MAX) {
      return false;
    }
    if (number <= 3 && (tag & 7) != (number == 3 ? 2u : 0u)) {
      return false;
    }
    if (number == 1) {
      channel = (uint32_t)varint(&c);
    } else if (number == 2) {
      eof = (uint32_t)varint(&c);
    } else if (number == 3) {
      out->data = counted(&c);
    } else {
      skip_field(&c, tag, 0);
    }
  }
  out->channel = (uint8_t)channel;
  out->eof = eof == 1;
  return !c.bad && channel < 256 && eof < 2;
}

size_t legacy_limit(size_t payload_max) {
  size_t n = 2 + 2 + 1 + 1 + payload_max;

  for (size_t rest = payload_max >> 7; rest > 0; rest >>= 7) {
    n++;
  }
  return n;
}

legacy_how legacy_read(cmt_bytes in, size_t payload_max, legacy_packet *out) {
  uint64_t len = 0;
  size_t at = 1;
  uint8_t byte;

  *out = (legacy_packet){.type = in.base[0], .size = 1};
  if (out->type == 1 || out->type == 2) {
    return LEGACY_PACKET;
  }
  if (out->type != 3) {
    return out->type > 3 ? LEGACY_FOREIGN : LEGACY_BAD;
  }
  do {
    if (at == in.len) {
      return LEGACY_MORE;
    }
    byte = in.base[at];
    if (at == 10 && byte > 1) {
      return LEGACY_BAD;
    }
    len |= (uint64_t)(byte & 0x7f) << (7 * (at - 1));
    at++;
  } while (byte >= 0x80);
  if (len > legacy_limit(payload_max) + 1) {
    return LEGACY_BAD;
  }
  out->announced = (size_t)len;
  if (in.len - at < len) {
    return LEGACY_MORE;
  }
  out->size = at + (size_t)len;
  if (!fields((cmt_bytes){.base = in.base + at, .len = (size_t)len}, out)) {
    return LEGACY_BAD;
  }
  return len > legacy_limit(payload_max) && out->channel < 0x80 ? LEGACY_BAD
                                                                : LEGACY_PACKET;
}

void legacy_words(cmt_bytes in, size_t payload_max, char *out, size_t cap) {
  static const char *const ends[] = {"", "more", "bad", "foreign"};
  legacy_how how = LEGACY_PACKET;
  size_t at = 0;

  out[0] = '\0';
  while (in.len > 0 && how == LEGACY_PACKET) {
    legacy_packet k;
    const char *space = at > 0 ? " " : "";

    how = legacy_read(in, payload_max, &k);
    if (how != LEGACY_PACKET) {
      at += (size_t)snprintf(out + at, cap - at, "%s%s", space, ends[how]);
    } else if (k.type != 3) {
      at += (size_t)snprintf(out + at, cap - at, "%s%s", space,
                             k.type == 1 ? "ping" : "pong");
    } else {
      at += (size_t)snprintf(out + at, cap - at, "%s%02x.%zu%s", space,
                             k.channel, k.data.len, k.eof ? "!" : "");
    }
    assert_true(at < cap);
    in.base += k.size;
    in.len -= k.size;
  }
}

/* ---- the multiplexer ---- */

mconn_user *legacy_user_new_with(void (*change)(cmt_mconn_options *o)) {
  mconn_user *f = mconn_user_new();
  cmt_mconn_options o;

  cmt_mconn_delete(f->m);
  mconn_user_options(f, &o);
  o.wire = CMT_WIRE_LEGACY;
  if (change != NULL) {
    change(&o);
  }
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m, NULL));
  return f;
}

mconn_user *legacy_user_new(void) { return legacy_user_new_with(NULL); }

void assert_legacy_sent(mconn_user *f, size_t max, uint64_t now_ns,
                        const char *expected) {
  cmt_bytes out = mconn_output(f->m, max, now_ns);
  char text[4096];

  legacy_words(out, 65536, text, sizeof text);
  assert_string_equal(expected, text);
  mconn_output_consume(f->m, out.len, now_ns);
}

void assert_legacy_bytes(mconn_user *f, uint64_t now_ns, const char *hex) {
  cmt_bytes out = mconn_output(f->m, 65536, now_ns);

  test_assert_hex(hex, out.base, out.len);
  mconn_output_consume(f->m, out.len, now_ns);
}
