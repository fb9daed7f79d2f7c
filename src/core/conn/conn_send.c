/* SPDX-License-Identifier: Apache-2.0 */
/* The way out: handshake bytes as they are, then our node info in frames of its
   own, then batches of packets.  A new batch is sealed only when the last one
   was consumed whole.  No public call leaves one that is not sealed: those of
   several connections are filled one after another and sealed together in the
   same call.  As long as nothing of a batch was consumed there may be more
   parts of it, each of which begins a frame. */

#include "conn_impl.h"

#include "core/secret/secret_conn.h"

enum { INFO_PREFIX_MAX = 10 };

void cmt__conn_fetch(const cmt_conn *c, unsigned step) {
  switch (step) {
  case CMT__CONN_STEP_ITSELF:
    cmt__fetch(c, offsetof(cmt_conn, key));
    break;
  case CMT__CONN_STEP_PARTS:
    cmt__mconn_fetch(c->mconn);
    cmt__secret_conn_fetch(c->secret);
    break;
  default:
    cmt__mconn_fetch_channels(c->mconn);
    cmt__secret_conn_fetch_keys(c->secret);
    break;
  }
}

/* A handshake that we end for what the other side sent: our own part still goes
   out, so that it fails for the same reason and not for an end of file. */
static bool farewell(const cmt_conn *c) {
  return (c->state != CMT__CONN_UP || cmt__mconn_is_foreign(c->mconn)) &&
         (cmt_err_class_of(c->end_err) == CMT_CLASS_PEER ||
          c->end_err == CMT_ESELF);
}

/* Bytes of the handshake that nothing may come before. */
static bool handshake_is_left(const cmt_conn *c) {
  bool info =
    c->shake != NULL && !c->shake->info_sent && c->state != CMT__CONN_SECRET;

  return info || cmt_secret_conn_output(c->secret).len != 0;
}

static bool handshake_is_owed(const cmt_conn *c) {
  return (!c->ended || farewell(c)) && handshake_is_left(c);
}

static bool handshake_wants_write(const cmt_conn *c) {
  return handshake_is_owed(c) && (cmt_secret_conn_output(c->secret).len != 0 ||
                                  !cmt__conn_info_waits(c));
}

/* A peer of another wire profile gets a ping before the end, so that it sees
   what we speak even when we have sent nothing yet. */
static bool parting_wants_write(const cmt_conn *c) {
  return c->ended && !c->parted && cmt__conn_batch_done(c) &&
         !handshake_is_left(c) && cmt__mconn_is_foreign(c->mconn);
}

bool cmt_conn_wants_write(cmt_conn *c, uint64_t now_ns, bool *urgent) {
  bool hurry = true, wants;

  cmt__mconn_enter(c->mconn, cmt__conn_enter(c, now_ns));
  wants = handshake_wants_write(c) || parting_wants_write(c);
  if (!wants && c->state == CMT__CONN_UP && !c->ended &&
      !handshake_is_left(c)) {
    wants = cmt__mconn_wants_write(c->mconn, &hurry);
  }
  if (urgent != NULL) {
    *urgent = hurry;
  }
  return wants;
}

bool cmt__conn_is_drained(const cmt_conn *c) {
  return !handshake_is_owed(c) && (c->state != CMT__CONN_UP || c->ended ||
                                   cmt__mconn_is_drained(c->mconn));
}

size_t cmt_conn_write_min(const cmt_conn *c) {
  size_t packets = cmt_mconn_write_min(c->mconn);
  size_t info = CMT_NODE_INFO_MAX + INFO_PREFIX_MAX;
  size_t most = c->shake != NULL ? cmt__max(packets, info) : packets;

  return (most + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA * CMT_FRAME_SLOT;
}

/* Notes the batch that was just made, of |len| bytes to write. */
static size_t batch_begin(cmt_conn *c, size_t len) {
  c->batch_len = len;
  c->batch_taken = 0;
  c->batch_unused = 0;
  return len;
}

static size_t batch_seal(cmt_conn *c, uint8_t *slots, const cmt__batch *r,
                         cmt__seals *seals) {
  cmt_err err;

  if (r->len == 0) {
    return 0;
  }
  err = cmt__secret_conn_seal(c->secret, slots, r->len, seals);
  if (err != CMT_OK) {
    cmt__conn_fail(c, err);
    return 0;
  }
  return batch_begin(c, (r->len + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA *
                          CMT_FRAME_SLOT);
}

/* Our node info in frames of its own. */
static size_t info_seal(cmt_conn *c, uint8_t *slots, cmt__batch r,
                        cmt__seals *seals) {
  size_t size = cmt__node_info_size(c->shake->ours);
  cmt__writer w;
  uint8_t *text = cmt__alloc(&c->group->pool.env, size + INFO_PREFIX_MAX);

  if (text == NULL) {
    cmt__conn_fail(c, CMT_ENOMEM);
    return 0;
  }
  w = (cmt__writer){.at = text, .end = text + size + INFO_PREFIX_MAX};
  cmt__write_varint(&w, size);
  cmt__node_info_encode(c->shake->ours, &w);
  CMT_ASSERT(&c->group->pool.env, !w.failed);
  cmt__batch_write(&r, text, (size_t)(w.at - text));
  cmt__free(&c->group->pool.env, text);
  c->shake->info_sent = true;
  if (c->state == CMT__CONN_UP) {
    cmt__conn_handshake_free(c);
  }
  return batch_seal(c, slots, &r, seals);
}

/* The next batch; there is one. */
static size_t batch_next(cmt_conn *c, uint8_t *slots, size_t cap,
                         cmt__seals *seals) {
  cmt_bytes shake;
  cmt__batch r;

  c->batch_is_mconn = false;
  if (parting_wants_write(c)) {
    c->parted = true;
    r = cmt__batch_frames(&c->group->pool.env, slots, cap / CMT_FRAME_SLOT);
    cmt__mconn_write_parting(c->mconn, &r);
    return batch_seal(c, slots, &r, seals);
  }
  shake = cmt_secret_conn_output(c->secret);
  if (shake.len != 0) {
    CMT_ASSERT(&c->group->pool.env, shake.len <= cap);
    memcpy(slots, shake.base, shake.len);
    cmt_secret_conn_consume(c->secret, shake.len);
    return batch_begin(c, shake.len);
  }
  r = cmt__batch_frames(&c->group->pool.env, slots, cap / CMT_FRAME_SLOT);
  if (c->shake != NULL && !c->shake->info_sent &&
      c->state != CMT__CONN_SECRET) {
    return info_seal(c, slots, r, seals);
  }
  c->batch_is_mconn = true;
  c->batch_from = cmt__mconn_filled(c->mconn);
  cmt__mconn_fill(c->mconn, &r, c->now_ns);
  return batch_seal(c, slots, &r, seals);
}

static size_t conn_write(cmt_conn *c, uint8_t *dest, size_t cap,
                         uint64_t now_ns, cmt__seals *seals) {
  CMT_REQUIRE(&c->group->pool.env, cap >= cmt_conn_write_min(c),
              "cmt_conn_write: less room than cmt_conn_write_min()");
  return cmt__conn_batch_done(c) && cmt_conn_wants_write(c, now_ns, NULL)
           ? batch_next(c, dest, cap, seals)
           : 0;
}

/* Makes the batch longer; see cmt_conn_write_part(). */
static size_t conn_write_more(cmt_conn *c, uint8_t *dest, size_t cap,
                              uint64_t now_ns, cmt__seals *seals) {
  uint64_t bytes = c->batch_len / CMT_FRAME_SLOT * CMT_FRAME_DATA;
  size_t before = c->batch_len, len;
  cmt__batch r;

  if (!c->batch_is_mconn || c->batch_taken > 0 || c->ended ||
      cap < cmt_conn_write_min(c) || !cmt_conn_wants_write(c, now_ns, NULL)) {
    return 0;
  }
  bytes -= cmt__mconn_filled(c->mconn) - c->batch_from;
  r = cmt__batch_frames(&c->group->pool.env, dest, cap / CMT_FRAME_SLOT);
  cmt__mconn_fill(c->mconn, &r, c->now_ns);
  len = batch_seal(c, dest, &r, seals);
  if (len > 0) {
    c->batch_len = before + len;
    c->batch_unused = (uint16_t)bytes;
  }
  return len;
}

size_t cmt_conn_write(cmt_conn *c, uint8_t *dest, size_t cap, uint64_t now_ns) {
  cmt__seals seals;
  size_t len;

  cmt__seals_begin(&seals);
  len = conn_write(c, dest, cap, now_ns, &seals);
  cmt__seals_end(&seals);
  return len;
}

size_t cmt_conn_write_part(cmt_conn *c, uint8_t *dest, size_t cap,
                           uint64_t now_ns, void (*filled)(void *arg),
                           void *arg) {
  cmt__seals seals;
  size_t len;

  cmt__seals_begin(&seals);
  len = cmt__conn_batch_done(c) ? conn_write(c, dest, cap, now_ns, &seals)
                                : conn_write_more(c, dest, cap, now_ns, &seals);
  filled(arg);
  cmt__seals_end(&seals);
  return len;
}

size_t cmt_conn_write_many(cmt_conn_batch *list, size_t count, uint8_t *dest,
                           size_t cap, uint64_t now_ns) {
  cmt__seals seals;
  size_t i;

  cmt__seals_begin(&seals);
  for (i = 0; i < count; i++) {
    cmt_conn_batch *b = &list[i];

    if (i > 0 && cap < cmt_conn_write_min(b->conn)) {
      break;
    }
    b->base = dest;
    b->len = conn_write(b->conn, dest, cmt__min(cap, b->max), now_ns, &seals);
    dest += b->len;
    cap -= b->len;
  }
  cmt__seals_end(&seals);
  return i;
}

void cmt_conn_consume(cmt_conn *c, size_t len, uint64_t now_ns) {
  (void)cmt__conn_enter(c, now_ns);
  CMT_REQUIRE(&c->group->pool.env, len <= c->batch_len - c->batch_taken,
              "cmt_conn_consume: more than what was written");
  c->batch_taken += len;
  if (c->batch_is_mconn) {
    /* The other side can read nothing of a frame that is not whole. */
    uint64_t bytes = c->batch_taken / CMT_FRAME_SLOT * CMT_FRAME_DATA;
    uint64_t total = c->batch_from + cmt__since(bytes, c->batch_unused);

    cmt__mconn_taken(c->mconn, cmt__min64(total, cmt__mconn_filled(c->mconn)),
                     c->now_ns);
  } else if (c->state == CMT__CONN_UP && cmt__conn_batch_done(c) &&
             !handshake_is_left(c)) {
    cmt__mconn_behind(c->mconn, false, c->now_ns);
  }
  cmt__conn_update(c);
}
