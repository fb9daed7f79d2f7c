/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections against each other.  What one writes waits in a pipe, where
   the input may change, drop, double or cut it, and reaches the other in drawn
   pieces.  With the real AEAD whatever arrives is what was sent, in order, and
   nothing else, whoever sits on the line; with the null AEAD that is true as
   long as nobody does. */

#include "side.h"

#include <stdlib.h>

#include <cometp2p/secret_conn.h>

enum { PIPE_MAX = 1 << 18, PUMPS_MAX = 4000, INSTANTS_MAX = 20000 };

typedef struct pipe_of {
  uint8_t bytes[PIPE_MAX];
  size_t begin, end;
  bool closed; /* Its end was passed on. */
} pipe_of;

typedef struct pair {
  fuzz_input in;
  fuzz_side sides[2];
  pipe_of pipes[2];    /* By the side that writes. */
  bool touched;        /* Somebody sat on the line. */
  bool failing, mixed; /* Two wire profiles. */
  cmt__quota quotas[2];
  bool flushed[2], hard[2]; /* Stops of either kind. */
  bool holds[2];            /* Polls no event behind CMT_CONN_UP for a while. */
} pair;

static size_t pipe_len(const pipe_of *p) { return p->end - p->begin; }

/* Whether |side| is to be given input: a limit of its own may stop it. */
static bool reads(const fuzz_side *s) {
  return s->c == NULL || s->end || cmt_conn_wants_read(s->c);
}

/* What was written behind the cut never arrives. */
static void pull(pair *p, size_t side, size_t max) {
  pipe_of *pipe = &p->pipes[side];
  cmt_bytes out;

  if (pipe->begin == pipe->end) {
    pipe->begin = pipe->end = 0;
  }
  out = side_output(&p->sides[side], cmt__min(max, PIPE_MAX - pipe->end));
  if (out.len > 0) {
    if (!pipe->closed) {
      memcpy(pipe->bytes + pipe->end, out.base, out.len);
      pipe->end += out.len;
    }
    side_consume(&p->sides[side], out.len);
  }
}

static void push(pair *p, size_t side, size_t max) {
  pipe_of *pipe = &p->pipes[side];
  size_t n = cmt__min(max, pipe_len(pipe));
  fuzz_side *to = &p->sides[1 - side];
  cmt_bytes data = {.base = pipe->bytes + pipe->begin, .len = n};

  if (side_hold(to, p->holds[1 - side])) {
    side_keep(to, data);
    pipe->begin += n;
    return;
  }
  (void)side_events(to, SIZE_MAX);
  if (n > 0 && reads(to)) {
    (void)side_recv(to, data);
    pipe->begin += n;
  }
  if (!side_hold(to, p->holds[1 - side])) {
    (void)side_events(to, SIZE_MAX);
  }
}

/* ---- who sits on the line ---- */

static void touch(pair *p, size_t side, uint8_t how) {
  pipe_of *pipe = &p->pipes[side];
  size_t len = pipe_len(pipe), n;
  uint8_t *at;

  if (len == 0) {
    return;
  }
  at = pipe->bytes + pipe->begin + fuzz_u16(&p->in) % len;
  n = (size_t)(pipe->bytes + pipe->end - at);
  p->touched = true;
  switch (how % 4) {
  case 0:
    *at ^= (uint8_t)(1 << (how >> 2 & 7));
    break;
  case 1:
    n = cmt__min(n, 1 + fuzz_u16(&p->in) % 2100);
    memmove(at, at + n, (size_t)(pipe->bytes + pipe->end - at) - n);
    pipe->end -= n;
    break;
  case 2:
    n =
      cmt__min(cmt__min(n, 1 + fuzz_u16(&p->in) % 2100), PIPE_MAX - pipe->end);
    memmove(at + n, at, (size_t)(pipe->bytes + pipe->end - at));
    pipe->end += n;
    break;
  default:
    *at = fuzz_byte(&p->in);
  }
}

static void cut(pair *p, size_t side) {
  p->touched = true;
  p->pipes[side].end = p->pipes[side].begin;
  p->pipes[side].closed = true;
  side_stop(&p->sides[1 - side], CMT_EEOF, 0);
}

/* ---- operations ---- */

static void step(pair *p) {
  uint8_t op = fuzz_byte(&p->in);
  size_t side = op >> 7;
  fuzz_side *s = &p->sides[side];
  static const uint64_t units[] = {1, 1000000, 100000000, 1000000000};
  uint8_t b;

  switch (op & 15) {
  case 0:
  case 1:
    pull(p, side, fuzz_u16(&p->in));
    break;
  case 2:
  case 3:
    push(p, side, fuzz_u16(&p->in));
    break;
  case 4:
  case 5:
    pull(p, side, SIZE_MAX);
    push(p, side, SIZE_MAX);
    break;
  case 6:
  case 7:
  case 8:
    side_send(s, op >> 4 & 3, fuzz_u16(&p->in) * (op & 64 ? 2 : 1));
    break;
  case 9:
    if ((op & 16) != 0) {
      side_pause(s, (op & 32) != 0);
    } else {
      side_ping(s);
    }
    break;
  case 10:
    b = fuzz_byte(&p->in);
    for (size_t i = 0; i < 2; i++) {
      side_tick(&p->sides[i], p->sides[i].now_ns + units[b & 3] * (b >> 2));
    }
    break;
  case 11:
    b = fuzz_byte(&p->in);
    p->flushed[side] |= b > 0;
    p->hard[side] |= b == 0;
    side_stop(s, CMT_ECANCELED, CMT_SECONDS(b));
    break;
  case 12:
  case 13:
    touch(p, side, fuzz_byte(&p->in));
    break;
  case 14:
    if ((op & 16) != 0) {
      p->holds[side] = true;
    } else {
      cut(p, side);
    }
    break;
  default:
    for (size_t i = 0; i < 4; i++) {
      pull(p, i & 1, SIZE_MAX);
      push(p, i & 1, SIZE_MAX);
    }
  }
  if (p->touched && s->o.aead == &fuzz_null_aead) {
    p->sides[0].other = p->sides[1].other = NULL;
  }
}

static void pair_limits(pair *p, size_t side, side_options *o, uint8_t d) {
  static const uint64_t rates[] = {0, 200000, 5000000, 0};

  o->send_rate = rates[d >> 2 & 3];
  o->recv_rate = rates[d >> 4 & 3];
  cmt__quota_init(&p->quotas[side], 0, 2 << 20);
  if ((d & 64) != 0) {
    cmt__quota_limit(&p->quotas[side], o->recv_rate, o->send_rate, 1000);
    o->quota = &p->quotas[side];
  }
}

static void pair_start(pair *p) {
  static const uint32_t payloads[] = {1024, 16,    17,    127,
                                      1400, 10240, 65536, 1023};
  uint8_t a = fuzz_byte(&p->in), b = fuzz_byte(&p->in), c = fuzz_byte(&p->in);
  uint8_t d = fuzz_byte(&p->in);

  p->failing = (a & 8) != 0;
  p->mixed = (d & 3) == 3;
  for (size_t i = 0; i < 2; i++) {
    side_options o = {
      .ephemeral = fuzz_script_of(i == (a & 1))->our_ephemeral,
      .key = a & 16 ? 0 : i + 1, /* 16: a connection to itself. */
      .aead = a & 2 ? &fuzz_null_aead : &cmt__aead_libsodium,
      .greedy = (a >> 2 & 1) == i,
      .send_payload_max = payloads[i == 0 ? b & 7 : b >> 3 & 7],
      .ping_interval_ns = CMT_MILLISECONDS(100 + 50 * (c & 15)),
      .pong_timeout_ns = CMT_MILLISECONDS(60),
      .fail_at = p->failing && i == 0 ? c : SIZE_MAX,
    };

    o.recv_payload_max =
      (uint32_t)cmt__max(payloads[b & 7], payloads[b >> 3 & 7]);
    o.wire = (d & 1) != 0 && (i == 0 || !p->mixed) ? CMT_WIRE_LEGACY
                                                   : CMT_WIRE_COMETBFT;
    pair_limits(p, i, &o, d);
    side_init(&p->sides[i], &o, 1000);
    p->sides[i].other = &p->sides[1 - i];
  }
}

/* Moves all that there is at this instant, and that a pipe has room for. */
static void run_until_idle(pair *p) {
  size_t still = 0;

  for (size_t i = 0; still < 4; i++) {
    size_t before = pipe_len(&p->pipes[0]) + pipe_len(&p->pipes[1]), after;
    cmt_bytes out;

    FUZZ_CHECK(i < PUMPS_MAX);
    pull(p, i & 1, SIZE_MAX);
    push(p, i & 1, SIZE_MAX);
    out = side_output(&p->sides[i & 1], 1);
    after = pipe_len(&p->pipes[0]) + pipe_len(&p->pipes[1]);
    still = before == after && (out.len == 0 || p->pipes[i & 1].end == PIPE_MAX)
              ? still + 1
              : 0;
  }
}

/* The next instant at which a side has something to do. */
static uint64_t next_ns(const pair *p) {
  uint64_t at_ns = CMT_NEVER;

  for (size_t i = 0; i < 2; i++) {
    if (p->sides[i].c != NULL) {
      at_ns = cmt__min64(at_ns, cmt_conn_deadline(p->sides[i].c));
    }
  }
  return at_ns;
}

/* What an ended side has written still arrives, when the limits of the other
   one let it. */
static bool at_rest(const pair *p) {
  const fuzz_side *s = p->sides;
  bool waits = false;

  if (s[0].c == NULL || s[1].c == NULL || p->touched) {
    return true;
  }
  for (size_t i = 0; i < 2; i++) {
    waits = waits || (pipe_len(&p->pipes[i]) > 0 && !s[1 - i].end) ||
            (side_has_queued(&s[i]) && !s[0].end && !s[1].end);
  }
  return !waits;
}

/* Moves all that there is, and lets the time pass that limits need. */
static void drain(pair *p) {
  for (size_t i = 0; i < 2; i++) {
    p->holds[i] = false;
    side_pause(&p->sides[i], false);
    (void)side_hold(&p->sides[i], false);
  }
  run_until_idle(p);
  for (size_t i = 0; !at_rest(p); i++) {
    uint64_t at_ns = next_ns(p);

    FUZZ_CHECK(i < INSTANTS_MAX && at_ns != CMT_NEVER);
    at_ns = cmt__max64(at_ns, p->sides[0].now_ns); /* It may be overdue. */
    side_tick(&p->sides[0], at_ns);
    side_tick(&p->sides[1], at_ns);
    run_until_idle(p);
  }
}

static bool all_arrived(const fuzz_side *from, const fuzz_side *to) {
  for (size_t i = 0; i < SIDE_CHANNELS; i++) {
    if (from->sent_count[i] != to->recv_count[i]) {
      return false;
    }
  }
  return true;
}

/* Its pings may be so many that the other side has enough of them. */
static bool may_flood(const fuzz_side *s) {
  return cmt_conn_pings_sent(s->c) > 9;
}

/* Two sides that nobody disturbed are up and have all their messages. */
static void check_quiet(const pair *p) {
  const fuzz_side *s = p->sides;
  bool self = s[0].o.key == s[1].o.key;

  if (p->touched || p->failing) {
    return;
  }
  for (size_t i = 0; i < 2; i++) {
    FUZZ_CHECK(!s[i].end || s[i].why.err == CMT_ESELF || p->mixed ||
               (s[i].why.err == CMT_EFLOOD && may_flood(&s[1 - i])) ||
               cmt_err_class_of(s[i].why.err) != CMT_CLASS_PEER);
    FUZZ_CHECK(!self || !s[i].up);
    if (!s[0].end && !s[1].end) {
      FUZZ_CHECK(s[i].up && all_arrived(&s[i], &s[1 - i]));
    }
    /* What was queued before a graceful stop that nothing else ended. */
    if (!may_flood(&s[1 - i]) && s[i].end && p->flushed[i] && !p->hard[i] &&
        s[i].now_ns == 1000 && !s[1 - i].end && s[i].why.err == CMT_ECANCELED &&
        s[1 - i].up) {
      FUZZ_CHECK(all_arrived(&s[i], &s[1 - i]));
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static pair p;

  p.in = (fuzz_input){.at = data, .left = size};
  p.touched = false;
  for (size_t i = 0; i < 2; i++) {
    p.pipes[i].begin = p.pipes[i].end = 0;
    p.pipes[i].closed = p.flushed[i] = p.hard[i] = p.holds[i] = false;
  }
  pair_start(&p);
  while (p.in.left > 0) {
    step(&p);
    side_check(&p.sides[0]);
    side_check(&p.sides[1]);
  }
  drain(&p);
  side_check(&p.sides[0]);
  side_check(&p.sides[1]);
  check_quiet(&p);
  side_fini(&p.sides[0]);
  side_fini(&p.sides[1]);
  FUZZ_CHECK(atomic_load(&p.quotas[0].reserved) == 0);
  FUZZ_CHECK(atomic_load(&p.quotas[1].reserved) == 0);
  return 0;
}
