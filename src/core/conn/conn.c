/* SPDX-License-Identifier: Apache-2.0 */
/* One whole connection.

   Design notes.  A connection is a chain of stages, each with its own rule for
   the decrypted bytes: the secret connection consumes them itself, the node
   info gathers one delimited message, the multiplexer parses packets.  Events
   are pulled, as in the layers below.  The first failure, or the first stop,
   is the reason; the event CMT_CONN_END reports it after all that came before.

   Output is made in batches.  A batch is handshake bytes, or frames that were
   sealed together; the next one is made only when every byte of the last was
   consumed.  So what is sent next is chosen as late as possible, and the place
   in the stream that the other side can have seen is known.

   The options are in conn_options.c. */

#include "conn_impl.h"

#include "net_addr.h"
#include "crypto/node_key.h"
#include "core/secret/secret_conn.h"
#include "base/sized.h"

/* ---- making and deleting ---- */

void cmt__conn_handshake_free(cmt_conn *c) {
  if (c->shake == NULL) {
    return;
  }
  cmt__free(&c->group->pool.env, c->shake->ours);
  cmt__delimited_fini(&c->shake->in, &c->group->pool.env);
  cmt__free(&c->group->pool.env, c->shake);
  c->shake = NULL;
}

void cmt_conn_delete(cmt_conn *c) {
  cmt_conn_group *group;

  if (c == NULL) {
    return;
  }
  group = c->group;
  cmt__conn_handshake_free(c);
  cmt_secret_conn_delete(c->secret);
  cmt_mconn_delete(c->mconn);
  cmt_node_key_delete(c->key);
  cmt__free(&group->pool.env, c->theirs);
  cmt__free(&group->pool.env, c);
  cmt__conn_group_unref(group);
}

static cmt_err conn_handshake_new(cmt_conn *c, const cmt_conn_options *o) {
  cmt__conn_ours x;

  c->shake = cmt__alloc_zero(&c->group->pool.env, sizeof *c->shake);
  if (c->shake == NULL) {
    return CMT_ENOMEM;
  }
  c->shake->any_network = o->any_network;
  c->shake->timeout_ns = o->handshake_timeout_ns;
  c->shake->info_wait_ns = o->info_wait_ns;
  c->shake->in =
    (cmt__delimited){.max = CMT_NODE_INFO_MAX, .first = CMT__INFO_FIRST};
  if (o->expect_id != NULL) {
    c->shake->expects = true;
    cmt__node_id_write(o->expect_id, &c->shake->expect);
  }
  cmt__conn_ours_fill(o, &x);
  c->shake->ours = cmt__node_info_clone(&c->group->pool.env, &x.info);
  return c->shake->ours != NULL ? CMT_OK : CMT_ENOMEM;
}

static cmt_err parts_new(cmt_conn *c, const cmt_conn_options *o) {
  cmt_err err = conn_handshake_new(c, o);

  if (err == CMT_OK) {
    err = cmt__secret_conn_new(&c->group->pool, o->key, o->defer_compute,
                               &c->secret);
  }
  return err;
}

/* The connection around |m|, which it takes over when this succeeds. */
static cmt_err conn_make(const cmt_conn_options *o, cmt_mconn *m,
                         uint64_t now_ns, cmt_conn **out) {
  cmt_conn *c = cmt__alloc_zero(&o->group->pool.env, sizeof *c);
  cmt_err err;

  if (c == NULL) {
    return CMT_ENOMEM;
  }
  c->group = cmt__conn_group_ref(o->group);
  c->key = cmt__node_key_ref(o->key);
  now_ns = cmt__conn_enter(c, now_ns);
  c->flush_at_ns = CMT_NEVER;
  c->handshake_at_ns = cmt__after(now_ns, o->handshake_timeout_ns);
  err = parts_new(c, o);
  if (err != CMT_OK) {
    cmt_conn_delete(c);
    return err;
  }
  c->mconn = m;
  *out = c;
  return CMT_OK;
}

/* |o| is complete, and has a group. */
static cmt_err parts_check_and_make(const cmt_conn_options *o, uint64_t now_ns,
                                    cmt_conn **out, cmt_why *why) {
  cmt_mconn_options m = cmt__conn_mconn_options(o);
  cmt_mconn *mconn;
  cmt_err err;

  m.group = o->group;
  err = cmt_mconn_new(&m, now_ns, &mconn, why);
  if (err == CMT_OK) {
    err = cmt__conn_options_check_own(o, why);
    if (err == CMT_OK) {
      err = conn_make(o, mconn, now_ns, out);
      cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
    }
    if (err != CMT_OK) {
      cmt_mconn_delete(mconn);
    }
  }
  return err;
}

cmt_err cmt_conn_new(const cmt_conn_options *o, uint64_t now_ns, cmt_conn **out,
                     cmt_why *why) {
  cmt_conn_options full;
  cmt_conn_group_options own;
  cmt_conn_group *group;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK) {
    err = cmt__conn_options_read(o, &full, why);
  }
  if (err == CMT_OK) {
    own = cmt__conn_group_options(full.env, full.channels, full.channel_count);
    err = cmt__conn_group_of(full.group, &own, &group, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  full.group = group;
  full.channels = group->list;
  full.channel_count = group->count;
  err = parts_check_and_make(&full, now_ns, out, why);
  cmt__conn_group_unref(group); /* The connection has its own reference. */
  return err;
}

/* ---- ends and time ---- */

static cmt_stage conn_stage(const cmt_conn *c) {
  switch (c->state) {
  case CMT__CONN_SECRET:
    return CMT_STAGE_SECRET_CONNECTION;
  case CMT__CONN_INFO:
  case CMT__CONN_CHECK:
    return CMT_STAGE_NODE_INFO;
  case CMT__CONN_UP:
    break;
  }
  return CMT_STAGE_UP;
}

/* What the other side is when it ended the handshake, or let it end, by
   speaking another protocol; NULL: it is not known. */
static const char *foreign_text(const cmt_conn *c, cmt_err err) {
  bool certain;

  if (c->state != CMT__CONN_SECRET ||
      (err != CMT_EPROTO && err != CMT_EEOF && err != CMT_ERESET &&
       err != CMT_EHANDSHAKE)) {
    return NULL;
  }
  return cmt__foreign(c->shake->first, c->shake->first_len, &certain);
}

void cmt__conn_end(cmt_conn *c, cmt_err err, const char *text) {
  const char *foreign = foreign_text(c, err);

  if (c->stopping) {
    err = c->stop_reason;
    text = cmt_err_text(err);
  }
  if (c->ended) {
    return;
  }
  c->ended = true;
  c->end_err = foreign == NULL ? err : CMT_EPROTO;
  c->end_stage = conn_stage(c);
  c->end_text = foreign == NULL ? text : foreign;
  if (c->state != CMT__CONN_UP && c->end_text != NULL) {
    snprintf(c->shake->end_text, sizeof c->shake->end_text, "%s", c->end_text);
    c->end_text = c->shake->end_text;
  }
}

/* Why the part has ended that ended the connection. */
static void part_get_why(const cmt_conn *c, cmt_why *out) {
  if (cmt_mconn_has_ended(c->mconn)) {
    cmt_mconn_get_why(c->mconn, out);
  } else {
    cmt_secret_conn_get_why(c->secret, out);
  }
}

void cmt_conn_get_why(const cmt_conn *c, cmt_why *out) {
  if (!c->ended) {
    *out = (cmt_why){.err = CMT_OK, .stage = conn_stage(c)};
  } else if (c->end_text == NULL) {
    part_get_why(c, out);
    out->stage = c->end_stage;
  } else {
    cmt__why(out, c->end_err, c->end_stage, "%s", c->end_text);
  }
}

void cmt__conn_part_ended(cmt_conn *c) {
  cmt_why why;

  part_get_why(c, &why);
  cmt__conn_end(c, why.err, NULL);
}

void cmt__conn_fail(cmt_conn *c, cmt_err err) {
  cmt__conn_end(c, err, cmt_err_text(err));
}

void cmt__conn_update(cmt_conn *c) {
  if (c->stopping && !c->ended && cmt__conn_batch_done(c) &&
      cmt__conn_is_drained(c)) {
    cmt__conn_fail(c, c->stop_reason);
  }
}

void cmt_conn_stop(cmt_conn *c, cmt_err reason, uint64_t flush_ns,
                   uint64_t now_ns) {
  now_ns = cmt__conn_enter(c, now_ns);
  CMT_REQUIRE(&c->group->pool.env, reason != CMT_OK,
              "cmt_conn_stop: the reason is CMT_OK");
  if (c->ended || (c->stopping && flush_ns > 0)) {
    return;
  }
  if (flush_ns == 0 || c->state != CMT__CONN_UP) {
    cmt__conn_fail(c, reason);
    return;
  }
  c->stopping = true;
  c->stop_reason = reason;
  c->flush_at_ns = cmt__after(now_ns, flush_ns);
  cmt__conn_update(c);
}

uint64_t cmt_conn_deadline(const cmt_conn *c) {
  uint64_t at = c->state == CMT__CONN_UP ? cmt_mconn_deadline(c->mconn)
                                         : c->handshake_at_ns;

  if (c->ended) {
    return c->end_reported ? CMT_NEVER : c->now_ns;
  }
  if (cmt__conn_info_waits(c)) {
    at = cmt__min64(at, cmt__conn_info_due(c));
  }
  return cmt__min64(at, c->flush_at_ns);
}

uint64_t cmt_conn_recv_deadline(const cmt_conn *c) {
  if (c->ended) {
    return CMT_NEVER;
  }
  return c->state == CMT__CONN_UP ? cmt__mconn_late_ns(c->mconn)
                                  : c->handshake_at_ns;
}

uint64_t cmt_conn_send_deadline(const cmt_conn *c) {
  return c->state == CMT__CONN_UP && !c->ended ? cmt__mconn_stuck_ns(c->mconn)
                                               : CMT_NEVER;
}

bool cmt_conn_peer_is_paused(const cmt_conn *c) {
  return cmt__mconn_is_excused(c->mconn);
}

void cmt_conn_acked(cmt_conn *c, uint64_t now_ns) {
  cmt__mconn_moved(c->mconn, cmt__conn_enter(c, now_ns));
}

static void conn_tick(cmt_conn *c, uint64_t now_ns, bool excused) {
  now_ns = cmt__conn_enter(c, now_ns);
  if (c->ended) {
    return;
  }
  if (c->state != CMT__CONN_UP) {
    if (now_ns >= c->handshake_at_ns && !excused) {
      cmt__conn_fail(c, CMT_EHANDSHAKE);
    }
    return;
  }
  if (cmt__mconn_tick(c->mconn, now_ns, excused) && !cmt_conn_has_input(c)) {
    cmt__secret_conn_trim(c->secret);
  }
  if (cmt_mconn_has_ended(c->mconn)) {
    cmt__conn_part_ended(c);
  } else if (now_ns >= c->flush_at_ns) {
    cmt__conn_fail(c, c->stop_reason);
  }
}

void cmt_conn_tick(cmt_conn *c, uint64_t now_ns) {
  conn_tick(c, now_ns, false);
}

void cmt_conn_tick_excused(cmt_conn *c, uint64_t now_ns) {
  conn_tick(c, now_ns, true);
}

void cmt_conn_delay_node_info(cmt_conn *c, uint64_t at_ns) {
  if (c->shake != NULL) {
    c->shake->info_at_ns = at_ns;
  }
}

cmt_err cmt_conn_set_node_info(cmt_conn *c, const cmt_node_info *info,
                               cmt_why *why) {
  cmt_conn_options o;
  cmt__conn_ours x;
  cmt_node_info *ours;
  cmt_err err;

  if (info == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO, "info is NULL");
  }
  if (c->ended || c->shake == NULL || c->shake->info_sent) {
    return cmt__why_plain(why, CMT_ECLOSED, CMT_STAGE_NODE_INFO);
  }
  o = (cmt_conn_options){
    .key = c->key,
    .node_info = info,
    .channels = c->group->list,
    .channel_count = c->group->count,
  };
  err = cmt__conn_node_info_check(&o, why);
  if (err != CMT_OK) {
    return err;
  }
  cmt__conn_ours_fill(&o, &x);
  ours = cmt__node_info_clone(&c->group->pool.env, &x.info);
  if (ours == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_NODE_INFO);
  }
  cmt__free(&c->group->pool.env, c->shake->ours);
  c->shake->ours = ours;
  return CMT_OK;
}

/* A connection on standby does not read either, whatever the caller wants. */
static void reading_set(cmt_conn *c, bool paused, bool standby,
                        uint64_t now_ns) {
  c->paused = paused;
  c->standby = standby;
  cmt__mconn_pause(c->mconn, paused || standby, cmt__conn_enter(c, now_ns));
  cmt__mconn_standby(c->mconn, standby);
}

void cmt_conn_pause(cmt_conn *c, uint64_t now_ns) {
  reading_set(c, true, c->standby, now_ns);
}

void cmt_conn_resume(cmt_conn *c, uint64_t now_ns) {
  reading_set(c, false, c->standby, now_ns);
}

cmt_err cmt_conn_standby(cmt_conn *c, uint64_t now_ns) {
  cmt_err err;

  if (c == NULL) {
    return CMT_EINVAL;
  }
  if (c->state != CMT__CONN_UP || c->ended) {
    return CMT_ECLOSED;
  }
  err = cmt_conn_keep(c);
  if (err == CMT_OK && !c->standby) {
    c->standby_room = CMT_CONN_STANDBY_MAX;
    reading_set(c, c->paused, true, now_ns);
  }
  return err;
}

void cmt_conn_activate(cmt_conn *c, uint64_t now_ns) {
  if (!c->standby) {
    return;
  }
  c->up_again = true;
  reading_set(c, c->paused, false, now_ns);
}

bool cmt_conn_wants_read(const cmt_conn *c) {
  if (c->standby) {
    return !c->ended && c->standby_room > 0;
  }
  return !c->ended && !cmt_conn_has_input(c) && cmt_mconn_wants_read(c->mconn);
}

size_t cmt_conn_read_max(cmt_conn *c) {
  if (c->standby) {
    return cmt__max(c->standby_room, 1);
  }
  return c->state == CMT__CONN_UP ? cmt__mconn_read_max(c->mconn)
                                  : CMT__HANDSHAKE_READ_MAX;
}

/* ---- sending ---- */

static bool takes_messages(const cmt_conn *c) {
  return c->state == CMT__CONN_UP && !c->stopping && !c->ended;
}

cmt_err cmt_conn_try_send(cmt_conn *c, uint8_t channel, cmt_buf *msg,
                          uint64_t now_ns) {
  return c == NULL
           ? CMT_EINVAL
           : cmt_conn_try_send_at(c, c->group->index[channel], msg, now_ns);
}

cmt_err cmt_conn_try_send_at(cmt_conn *c, size_t at, cmt_buf *msg,
                             uint64_t now_ns) {
  cmt_err err;

  if (c == NULL || msg == NULL) {
    return CMT_EINVAL;
  }
  if (!takes_messages(c)) {
    return CMT_ECLOSED;
  }
  cmt__mconn_enter(c->mconn, cmt__conn_enter(c, now_ns));
  err = cmt__channel_refuses(c->group->list, c->group->count, c->theirs_have,
                             at, cmt_buf_bytes(msg).len);
  return err != CMT_OK ? err : cmt__mconn_queue(c->mconn, at, msg);
}

uint32_t cmt_conn_room(const cmt_conn *c, uint8_t channel) {
  size_t at = c->group->index[channel];

  return takes_messages(c) && at < c->group->count &&
             (c->theirs_have >> at & 1) != 0
           ? cmt__mconn_room(c->mconn, at)
           : 0;
}

cmt_err cmt_conn_ping(cmt_conn *c, uint64_t now_ns) {
  if (c == NULL) {
    return CMT_EINVAL;
  }
  cmt__mconn_enter(c->mconn, cmt__conn_enter(c, now_ns));
  return c->state != CMT__CONN_UP || c->ended ? CMT_ECLOSED
                                              : cmt_mconn_ping(c->mconn);
}

/* ---- status ---- */

size_t cmt_conn_get_status(const cmt_conn *c, cmt_channel_status *out,
                           size_t cap) {
  return c->state == CMT__CONN_UP ? cmt_mconn_get_status(c->mconn, out, cap)
                                  : 0;
}

const cmt_node_id *cmt_conn_id(const cmt_conn *c) {
  return cmt_secret_conn_id(c->secret);
}

const cmt_node_info *cmt_conn_node_info(const cmt_conn *c) { return c->theirs; }

const cmt_node_info *cmt__conn_own_node_info(const cmt_conn *c) {
  return c->shake != NULL ? c->shake->ours : NULL;
}

cmt_node_info *cmt_conn_take_node_info(cmt_conn *c) {
  cmt_node_info *theirs = c->theirs;

  if (c->state != CMT__CONN_UP) {
    return NULL;
  }
  c->theirs = NULL;
  return theirs;
}

cmt__channel_last *cmt__conn_retire(cmt_conn *c, cmt__channels_rest *rest) {
  return cmt__mconn_retire(c->mconn, rest);
}

bool cmt_conn_take_credits(cmt_conn *c, cmt_credits *out) {
  return cmt__mconn_take_credits(c->mconn, out);
}

uint64_t cmt__conn_copied(const cmt_conn *c) {
  return cmt__mconn_copied(c->mconn);
}

uint64_t cmt_conn_pings_sent(const cmt_conn *c) {
  return cmt__mconn_pings_sent(c->mconn);
}

cmt_conn_progress cmt_conn_get_progress(const cmt_conn *c) {
  static const cmt_conn_progress progress[] = {
    [CMT__SECRET_KEYS] = CMT_CONN_SILENT,
    [CMT__SECRET_AUTH] = CMT_CONN_KEYED,
    [CMT__SECRET_UP] = CMT_CONN_AUTHENTICATED,
  };

  if (cmt_secret_conn_has_ended(c->secret)) {
    return CMT_CONN_SILENT;
  }
  /* Their key has arrived, and waits for the key agreement. */
  return c->secret->state == CMT__SECRET_KEYS &&
             cmt__secret_conn_op_waits(c->secret)
           ? CMT_CONN_KEYED
           : progress[c->secret->state];
}
