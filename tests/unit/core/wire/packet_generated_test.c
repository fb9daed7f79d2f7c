/* SPDX-License-Identifier: Apache-2.0 */
/* The resumable parser, its fast and its general way, against the decoder of
   whole packets, over generated inputs.  A failure prints the seed of its
   input. */
#include "packets.h"
#include "parsed.h"

/* The check that has no code in common with the parser but the decoder of whole
   packets.  |unsure|: a packet of one byte over the limit, not complete, which
   a parser may refuse at its header. */
static void parse_reference(size_t payload_max, cmt_bytes in, parsed *out,
                            bool *unsure) {
  size_t limit = test_wire()->limit(payload_max);

  parsed_init(out);
  *unsure = false;
  while (true) {
    uint64_t body = 0;
    int prefix = cmt__read_prefix(in.base, in.len, &body);
    cmt__packet k;

    out->err = prefix == 0 ? CMT_EAGAIN : CMT_EPROTO;
    if (prefix <= 0 || body == 0 || body > limit + 1) {
      return;
    }
    if (in.len - (size_t)prefix < body) {
      *unsure = body == limit + 1;
      out->err = CMT_EAGAIN;
      return;
    }
    in.base += prefix;
    in.len -= (size_t)prefix;
    out->err =
      test_wire()->decode((cmt_bytes){.base = in.base, .len = body}, &k);
    if (out->err == CMT_OK && body > limit &&
        (k.kind != CMT__PACKET_MSG || k.channel < 0x80)) {
      out->err = CMT_EPROTO;
    }
    if (out->err != CMT_OK) {
      return;
    }
    parsed_part(out, &k, 0);
    in.base += body;
    in.len -= body;
  }
}

typedef struct text {
  uint8_t bytes[4096];
  size_t len;
} text;

/* Now and then in more bytes than needed. */
static void put_varint(text *t, uint64_t *seed, uint64_t v) {
  size_t extra = test_below(seed, 12) == 0 ? test_below(seed, 9) : 0;
  size_t size = cmt__varint_size(v);

  extra = cmt__min(extra, 10 - size);
  for (size_t i = 0; i < size + extra; i++) {
    bool more = i + 1 < size + extra;
    t->bytes[t->len++] =
      (uint8_t)((7 * i < 64 ? v >> 7 * i & 0x7f : 0) | (more ? 0x80 : 0));
  }
}

static void put_run(text *t, uint64_t *seed, size_t len) {
  for (size_t i = 0; i < len; i++) {
    t->bytes[t->len++] = (uint8_t)test_draw(seed);
  }
}

static void put_unknown(text *t, uint64_t *seed) {
  size_t len = test_below(seed, 5);

  if (test_below(seed, 2) == 0) {
    put_varint(t, seed, (4 + test_below(seed, 20)) << 3);
    put_varint(t, seed, test_draw(seed) >> test_below(seed, 64));
    return;
  }
  put_varint(t, seed, (4 + test_below(seed, 20)) << 3 | 2);
  put_varint(t, seed, len);
  put_run(t, seed, len);
}

static void put_field(text *t, uint64_t *seed, size_t field) {
  static const uint64_t ids[] = {0,    0x31, 0x7f,  0x80,
                                 0xff, 0x30, 0x100, UINT64_C(0x100000031)};
  size_t len;

  switch (field) {
  case 0:
    t->bytes[t->len++] = 0x08;
    put_varint(t, seed, ids[test_below(seed, test_below(seed, 8) ? 6 : 8)]);
    break;
  case 1:
    t->bytes[t->len++] = 0x10;
    put_varint(t, seed, test_below(seed, 9) ? 1 : test_below(seed, 300));
    break;
  case 2:
    len = test_below(seed, 3) ? test_below(seed, 20) : test_below(seed, 140);
    t->bytes[t->len++] = 0x1a;
    put_varint(t, seed, len);
    put_run(t, seed, len);
    break;
  default:
    put_unknown(t, seed);
  }
}

static void put_member(text *t, uint64_t *seed) {
  text inner = {.len = 0};

  switch (test_below(seed, 8)) {
  case 0:
    put_varint(t, seed, 0x0a);
    put_varint(t, seed, 0);
    return;
  case 1:
    put_varint(t, seed, 0x12);
    put_varint(t, seed, 0);
    return;
  case 2:
    put_unknown(t, seed);
    return;
  default:
    break;
  }
  for (size_t f = 0; f < 3; f++) {
    if (test_below(seed, 6) > 0) {
      put_field(&inner, seed, test_below(seed, 8) ? f : test_below(seed, 4));
    }
  }
  t->bytes[t->len++] = 0x1a;
  put_varint(t, seed, inner.len);
  memcpy(t->bytes + t->len, inner.bytes, inner.len);
  t->len += inner.len;
}

static void put_packet(text *t, uint64_t *seed) {
  text body = {.len = 0};

  do {
    put_member(&body, seed);
  } while (test_below(seed, 12) == 0);
  put_varint(t, seed, body.len);
  memcpy(t->bytes + t->len, body.bytes, body.len);
  t->len += body.len;
}

static void mutate(text *t, uint64_t *seed) {
  size_t at = test_below(seed, t->len);

  switch (test_below(seed, 4)) {
  case 0:
    t->bytes[at] = (uint8_t)test_draw(seed);
    break;
  case 1:
    t->bytes[at] ^= (uint8_t)(1u << test_below(seed, 8));
    break;
  case 2:
    memmove(t->bytes + at, t->bytes + at + 1, t->len - at - 1);
    t->len--;
    break;
  default:
    t->len = at + 1;
  }
}

static size_t next_drawn(void *arg) {
  return 1 + test_below(arg, test_below(arg, 4) ? 12 : 200);
}

static void to_hex(cmt_bytes in, char *out, size_t cap) {
  for (size_t i = 0; i < in.len && 2 * i + 3 < cap; i++) {
    snprintf(out + 2 * i, 3, "%02x", in.base[i]);
  }
}

static void assert_agree(const parsed *reference, const parsed *other,
                         bool unsure, uint64_t seed, const char *how,
                         cmt_bytes in) {
  char hex[2048] = "";

  if ((reference->err != other->err && !(unsure && other->err == CMT_EPROTO)) ||
      !parsed_packets_same(reference, other)) {
    to_hex(in, hex, sizeof hex);
    fail_msg("seed %llu, %s: %s and %zu packets instead of %s and %zu: %s",
             (unsigned long long)seed, how, cmt_err_name(other->err),
             other->count, cmt_err_name(reference->err), reference->count, hex);
  }
}

/* How many of the inputs were refused. */
static bool run_generated(uint64_t seed) {
  static parsed reference, other;
  uint64_t rng = seed;
  size_t payload = (size_t[]){1, 16, 64, 120, 1024}[test_below(&rng, 5)];
  text t = {.len = 0};
  bool unsure;

  for (size_t n = 1 + test_below(&rng, 4); n > 0; n--) {
    put_packet(&t, &rng);
  }
  for (size_t n = test_below(&rng, 3); n > 0 && t.len > 1; n--) {
    mutate(&t, &rng);
  }
  cmt_bytes in = {.base = t.bytes, .len = t.len};
  parse_reference(payload, in, &reference, &unsure);
  parsed_cut(&other, payload, in, parsed_next_whole, NULL);
  assert_agree(&reference, &other, unsure, seed, "whole", in);
  parsed_cut(&other, payload, in, parsed_next_byte, NULL);
  assert_agree(&reference, &other, unsure, seed, "bytewise", in);
  parsed_cut(&other, payload, in, next_drawn, &rng);
  assert_agree(&reference, &other, unsure, seed, "cut", in);
  return reference.err != CMT_EAGAIN;
}

static void generated_inputs_agree_with_the_whole_decoder(void **state) {
  size_t refused = 0, total = 30000;

  (void)state;
  for (uint64_t seed = 0; seed < total; seed++) {
    refused += run_generated(seed);
  }
  print_message("# %zu generated inputs, %zu of them refused\n", total,
                refused);
  assert_in_range(refused, total / 10, total * 9 / 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(generated_inputs_agree_with_the_whole_decoder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
