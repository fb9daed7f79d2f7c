/* SPDX-License-Identifier: Apache-2.0 */
/* The way in.  Each stage of a connection has its own rule for the decrypted
   bytes; conn_step() moves from one to the next.  Nothing is kept of the input
   but a node info that is not complete. */

#include "conn_impl.h"

#include "core/mux/channel.h"
#include "base/foreign.h"
#include "base/sized.h"
#include "crypto/node_key.h"
#include "core/secret/secret_conn.h"

/* Keeps the first bytes of all, by which another protocol is recognised. */
static void first_bytes_keep(cmt__conn_handshake *h, const uint8_t *data,
                             size_t len) {
  size_t n = cmt__min(len, sizeof h->first - h->first_len);

  if (n > 0) {
    memcpy(h->first + h->first_len, data, n);
    h->first_len += n;
  }
}

/* A chunk goes to the multiplexer whole, so the rest of one is either here or
   there. */
static cmt_err input_keep(cmt_conn *c, cmt_bytes more) {
  cmt_bytes *rest =
    cmt__mconn_has_input(c->mconn) ? cmt__mconn_input(c->mconn) : &c->chunk;
  cmt_err err = cmt__secret_conn_keep(c->secret, rest, more);

  c->borrows = c->borrows && err != CMT_OK;
  return err;
}

cmt_err cmt_conn_keep(cmt_conn *c) {
  if (c == NULL) {
    return CMT_EINVAL;
  }
  if (c->state != CMT__CONN_UP &&
      (c->ended || !cmt__secret_conn_computes(c->secret))) {
    return CMT_EINVAL;
  }
  return cmt_conn_borrows(c) ? input_keep(c, (cmt_bytes){0}) : CMT_OK;
}

/* Nothing is opened on standby, so all of it has to be kept. */
static cmt_err standby_recv(cmt_conn *c, cmt_bytes in) {
  cmt_err err = input_keep(c, in);

  c->standby_room -= (uint16_t)cmt__min(in.len, c->standby_room);
  if (err != CMT_OK) {
    cmt__conn_fail(c, err);
    return CMT_ECLOSED;
  }
  return CMT_OK;
}

cmt_err cmt_conn_recv(cmt_conn *c, uint8_t *data, size_t len, uint64_t now_ns) {
  cmt_err err;

  if (c == NULL) {
    return CMT_EINVAL;
  }
  (void)cmt__conn_enter(c, now_ns);
  if (c->ended) {
    return CMT_ECLOSED;
  }
  if (data == NULL && len > 0) {
    return CMT_EINVAL;
  }
  if (c->standby) {
    return standby_recv(c, (cmt_bytes){.base = data, .len = len});
  }
  if (c->chunk.len > 0 || cmt__mconn_has_input(c->mconn)) {
    return CMT_EINVAL;
  }
  if (c->state == CMT__CONN_SECRET) {
    first_bytes_keep(c->shake, data, len);
  }
  err = cmt_secret_conn_recv(c->secret, data, len);
  c->borrows = c->borrows || err == CMT_OK;
  return err;
}

bool cmt_conn_borrows(const cmt_conn *c) {
  return c->borrows && cmt_conn_has_input(c);
}

bool cmt_conn_has_input(const cmt_conn *c) {
  return c->chunk.len > 0 || cmt__mconn_has_input(c->mconn) ||
         cmt__secret_conn_has_input(c->secret);
}

bool cmt_conn_has_ended(const cmt_conn *c) { return c->ended; }

bool cmt_conn_wants_compute(const cmt_conn *c) {
  return !c->ended && cmt__secret_conn_wants_compute(c->secret);
}

void cmt__conn_compute_begin(cmt_conn *c, cmt__computation *x) {
  cmt__secret_conn_compute_begin(c->secret, x);
}

void cmt__conn_compute_end(const cmt_conn *c, cmt__computation *x) {
  cmt__computation_end(x, c != NULL && !c->ended);
}

void cmt_conn_compute(cmt_conn *c) {
  if (!c->ended) {
    cmt__secret_conn_compute(c->secret);
  }
}

/* The other side has proved its key. */
static void authenticated(cmt_conn *c) {
  const cmt_node_id *id = cmt_secret_conn_id(c->secret);
  char text[160];

  if (c->shake->expects && !cmt_node_id_equal(id, &c->shake->expect)) {
    snprintf(text, sizeof text, "dialed node %s, found node %s",
             c->shake->expect.text, id->text);
    cmt__conn_end(c, CMT_EWRONGID, text);
    return;
  }
  c->state = CMT__CONN_INFO;
  c->handshake_at_ns = cmt__after(c->now_ns, c->shake->timeout_ns);
  c->shake->info_until_ns = cmt__after(c->now_ns, c->shake->info_wait_ns);
}

/* The bytes given are used up: counts the frames without data among them. */
static void frames_check(cmt_conn *c) {
  uint64_t empty = cmt_secret_conn_empty_frames(c->secret);

  if (empty == 0) {
    return;
  }
  cmt__mconn_enter(c->mconn, c->now_ns);
  cmt__mconn_charge_flood(c->mconn, empty);
  if (cmt_mconn_has_ended(c->mconn)) {
    cmt__conn_part_ended(c);
  }
}

/* The bytes given are used up: looks whether they are those of another
   protocol, which would go on waiting. */
static void foreign_check(cmt_conn *c) {
  bool foreign = false;

  if (c->state == CMT__CONN_SECRET) {
    (void)cmt__foreign(c->shake->first, c->shake->first_len, &foreign);
  }
  if (foreign) {
    cmt__conn_fail(c, CMT_EPROTO);
  }
}

/* Takes the next event of the secret connection; false: there is none. */
static bool chunk_next(cmt_conn *c) {
  cmt_secret_conn_event e;

  if (!cmt_secret_conn_next_event(c->secret, &e)) {
    foreign_check(c);
    frames_check(c);
    return false;
  }
  switch (e.kind) {
  case CMT_SECRET_CONN_UP:
    authenticated(c);
    break;
  case CMT_SECRET_CONN_DATA:
    c->chunk = e.data;
    break;
  case CMT_SECRET_CONN_END:
    cmt__conn_part_ended(c);
    break;
  }
  return !c->ended;
}

/* Gathers the delimited node info; true: it is complete. */
static bool info_gather(cmt_conn *c) {
  cmt_err err =
    cmt__delimited_take(&c->shake->in, &c->group->pool.env, &c->chunk);
  char text[96];

  if (err == CMT_EPROTO) {
    snprintf(text, sizeof text,
             "node info announced with more than the allowed %d bytes",
             CMT_NODE_INFO_MAX);
    cmt__conn_end(c, err, text);
  } else if (err == CMT_ENOMEM) {
    cmt__conn_fail(c, err);
  }
  return err == CMT_OK;
}

static bool info_event(cmt_conn *c, cmt_conn_event *out) {
  cmt_node_info info;

  if (!info_gather(c)) {
    return false;
  }
  if (!cmt__node_info_decode(cmt__delimited_bytes(&c->shake->in), &info)) {
    cmt__conn_end(c, CMT_EPROTO, "malformed node info");
    return false;
  }
  c->theirs = cmt__node_info_clone(&c->group->pool.env, &info);
  if (c->theirs == NULL) {
    cmt__conn_fail(c, CMT_ENOMEM);
    return false;
  }
  c->state = CMT__CONN_CHECK;
  out->kind = CMT_CONN_NODE_INFO;
  return true;
}

/* The checks of docs/PROTOCOL.md 3.3, items 3 to 6, in their order. */
static cmt_err info_check(cmt_conn *c, cmt_why *why) {
  const cmt_node_id *id = cmt_secret_conn_id(c->secret);
  cmt_err err = cmt_node_info_validate(c->theirs, why);
  char quoted[64];
  cmt_node_id own;

  if (err != CMT_OK) {
    return err;
  }
  if (c->theirs->id.len != strlen(id->text) ||
      memcmp(c->theirs->id.base, id->text, c->theirs->id.len) != 0) {
    return cmt__why(why, CMT_EAUTH, CMT_STAGE_NODE_INFO,
                    "the node info says id %s, the key says %s",
                    cmt__quote(c->theirs->id, quoted, sizeof quoted), id->text);
  }
  cmt_node_key_get_id(c->key, &own);
  if (cmt_node_id_equal(&own, id)) {
    return cmt__why_plain(why, CMT_ESELF, CMT_STAGE_NODE_INFO);
  }
  if (c->shake->any_network) {
    return CMT_OK;
  }
  return cmt_node_info_compatible(c->theirs, c->shake->ours, why);
}

/* Our own node info may still wait to be written, so the handshake's memory
   goes only with its last byte; see info_seal() in
   conn_send.c. */
static bool check_event(cmt_conn *c, cmt_conn_event *out) {
  cmt_why why;
  cmt_err err = info_check(c, &why);

  if (err != CMT_OK) {
    cmt__conn_end(c, err, why.text);
    return false;
  }
  c->state = CMT__CONN_UP;
  c->theirs_have =
    cmt__channels_among(c->group->list, c->group->count, c->theirs->channels);
  cmt__mconn_start(c->mconn, c->now_ns);
  cmt__mconn_behind(c->mconn, !c->shake->info_sent || !cmt__conn_batch_done(c),
                    c->now_ns);
  if (c->shake->info_sent) {
    cmt__conn_handshake_free(c);
  }
  out->kind = CMT_CONN_UP;
  return true;
}

static bool mconn_event(cmt_conn *c, cmt_conn_event *out) {
  cmt_mconn_event e;

  if (!cmt_mconn_next_event(c->mconn, &e)) {
    return false;
  }
  if (e.kind == CMT_MCONN_END) {
    cmt__conn_part_ended(c);
    return false;
  }
  out->kind = e.kind == CMT_MCONN_PONG ? CMT_CONN_PONG : CMT_CONN_MESSAGE;
  out->channel = e.channel;
  out->msg = e.msg;
  out->rtt_ns = e.rtt_ns;
  return true;
}

/* Hands the whole chunk to the multiplexer, which has used up the one
   before. */
static void chunk_feed(cmt_conn *c) {
  cmt_err err =
    cmt_mconn_recv(c->mconn, c->chunk.base, c->chunk.len, c->now_ns);

  CMT_ASSERT(&c->group->pool.env, err == CMT_OK);
  c->chunk.len = 0;
}

/* One step of the chain; true: |*out| is an event; |*more|: try again. */
static bool conn_step(cmt_conn *c, cmt_conn_event *out, bool *more) {
  bool have = false;

  *more = true;
  switch (c->state) {
  case CMT__CONN_SECRET:
    *more = chunk_next(c);
    return false;
  case CMT__CONN_INFO:
    have = info_event(c, out);
    break;
  case CMT__CONN_CHECK:
    return check_event(c, out);
  case CMT__CONN_UP:
    if (c->chunk.len > 0 && !cmt_mconn_has_ended(c->mconn)) {
      chunk_feed(c);
    }
    have = mconn_event(c, out);
    break;
  }
  if (!have && !c->ended) {
    *more = chunk_next(c);
  }
  return have;
}

/* With its end a connection leaves the quota of its group. */
static bool end_event(cmt_conn *c, cmt_conn_event *out) {
  if (!c->ended || c->end_reported) {
    return false;
  }
  c->end_reported = true;
  cmt__mconn_detach_quota(c->mconn);
  out->kind = CMT_CONN_END;
  out->err = c->end_err;
  return true;
}

static bool up_again_event(cmt_conn *c, cmt_conn_event *out) {
  if (!c->up_again || c->ended) {
    return false;
  }
  c->up_again = false;
  out->kind = CMT_CONN_UP;
  return true;
}

static bool next_event(cmt_conn *c, cmt_conn_event *out) {
  bool have, more = !c->standby || cmt__mconn_was_dropped(c->mconn);

  *out = (cmt_conn_event){.size = sizeof *out, .kind = CMT_CONN_END};
  have = up_again_event(c, out);
  while (!have && more && !c->ended) {
    have = conn_step(c, out, &more);
  }
  cmt__conn_update(c);
  have = have || end_event(c, out);
  out->id = cmt_secret_conn_id(c->secret);
  out->node_info = c->theirs;
  return have;
}

/* The caller was compiled with another header, so its event has another size.
 */
CMT__COLD static bool next_event_convert(cmt_conn *c, cmt_conn_event *out,
                                         size_t size) {
  cmt_conn_event full;
  bool have;

  if (!cmt__size_is_known(size, sizeof full)) {
    return false;
  }
  have = next_event(c, &full);
  cmt__sized_write(out, size, &full, sizeof full);
  return have;
}

bool cmt_conn_next_event_sized(cmt_conn *c, cmt_conn_event *out, size_t size) {
  if (out == NULL) {
    return false;
  }
  return size == sizeof *out ? next_event(c, out)
                             : next_event_convert(c, out, size);
}
