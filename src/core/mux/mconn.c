/* SPDX-License-Identifier: Apache-2.0 */
/* The multiplexer.

   Design notes.  Events are pulled: recv only notes where the input lies, and
   next_event parses as far as the next event, so nothing is queued and a
   caller that stops pulling keeps no more than its own input.  Nothing calls
   back, so nothing can re-enter.  Each entry latches the caller's instant; an
   instant that steps back counts as the latest one before it.  The first
   failure ends the multiplexer, and its last event reports that.

   What packets look like and when pings are sent is the wire profile's; see
   wire.h and ping.h.  Time in which the caller does not read does not count
   against the peer: the wait for the answer to a ping begins anew when it goes
   on.  Pings are not seen then; so that the peer does not give up either, it
   gets a pong now and then that it may not have asked for.

   Sending is in mconn_send.c, receiving in mconn_recv.c; the options are in
   mconn_options.c, the limits in mconn_limits.c. */

#include "mconn_impl.h"

#include "base/mark.h"
#include "base/sized.h"

static void parts_init(cmt_mconn *m, const cmt_mconn_options *o) {
  cmt__rate *next = (cmt__rate *)(m + 1);

  if (o->send_rate > 0) {
    m->send = next++;
    m->send->per_s = o->send_rate;
  }
  if (o->recv_rate > 0) {
    m->recv = next++;
    m->recv->per_s = o->recv_rate;
  }
  m->ping.rules_state = next;
}

static void mconn_init(cmt_mconn *m, const cmt_mconn_options *o) {
  m->channels.payload_max = o->send_packet_payload_max;
  m->channels.recv_reserved_max =
    cmt__mconn_recv_bytes_max(o, m->channels.group);
  cmt__packet_parser_init(&m->parser, m->channels.wire,
                          o->recv_packet_payload_max);
  m->ping.rules = m->channels.wire->pings;
  m->ping.interval_ns = o->ping_interval_ns;
  m->ping.timeout_ns = o->pong_timeout_ns;
  m->channels.partial_max_ns = o->partial_message_max_ns;
  m->recv_limited = o->recv_rate > 0 || m->channels.rates != NULL;
}

static cmt_err mconn_make(const cmt_mconn_options *o, cmt_conn_group *group,
                          uint64_t now_ns, cmt_mconn **out) {
  cmt_mconn *m = cmt__alloc_zero(&group->pool.env, cmt__mconn_size(o));
  cmt_err err =
    m != NULL ? cmt__channels_init(&m->channels, group, cmt__wire_of(o->wire))
              : CMT_ENOMEM;

  if (err != CMT_OK) {
    cmt__free(&group->pool.env, m);
    return err;
  }
  (void)cmt__conn_group_ref(group);
  mconn_init(m, o);
  parts_init(m, o);
  if (group->limited) {
    cmt__mconn_attach_quota(m, &group->quota, o->wake, o->wake_arg);
  }
  cmt__mconn_start(m, now_ns);
  *out = m;
  return CMT_OK;
}

cmt_err cmt_mconn_new(const cmt_mconn_options *o, uint64_t now_ns,
                      cmt_mconn **out, cmt_why *why) {
  cmt_mconn_options full;
  cmt_conn_group_options own;
  cmt_conn_group *group;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK) {
    err = cmt__mconn_options_read(o, &full, why);
  }
  if (err == CMT_OK) {
    own = cmt__conn_group_options(full.env, full.channels, full.channel_count);
    err = cmt__conn_group_of(full.group, &own, &group, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__mconn_options_check(&full, group, why);
  if (err == CMT_OK) {
    err = mconn_make(&full, group, now_ns, out);
    cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
  }
  cmt__conn_group_unref(group); /* The multiplexer has its own reference. */
  return err;
}

void cmt_mconn_delete(cmt_mconn *m) {
  cmt_conn_group *group;

  if (m == NULL) {
    return;
  }
  group = m->channels.group;
  cmt_buf_unref(m->lent);
  cmt__packet_parser_fini(&m->parser, &group->pool.env);
  cmt__channels_fini(&m->channels);
  cmt__free(&group->pool.env, m);
  cmt__conn_group_unref(group);
}

/* ---- the end ---- */

void cmt__mconn_end(cmt_mconn *m, cmt_err err, const char *text) {
  if (!cmt__mconn_has_ended(m)) {
    m->end_err = err;
    m->end_text = text;
  }
}

void cmt__mconn_fail(cmt_mconn *m, cmt_err err) {
  cmt__mconn_end(m, err, cmt_err_text(err));
}

bool cmt_mconn_has_ended(const cmt_mconn *m) { return cmt__mconn_has_ended(m); }

void cmt_mconn_get_why(const cmt_mconn *m, cmt_why *out) {
  uint64_t span_ns;

  if (!cmt__mconn_has_ended(m)) {
    *out = (cmt_why){.err = CMT_OK, .stage = CMT_STAGE_UP};
    return;
  }
  if (!m->stuck) {
    cmt__why(out, m->end_err, CMT_STAGE_UP, "%s", m->end_text);
    return;
  }
  span_ns = cmt__since(m->channels.now_ns, cmt__ping_stuck_since_ns(&m->ping));
  cmt__why(out, m->end_err, CMT_STAGE_UP,
           "the peer reads nothing: it took no data for %llu ms, and %llu "
           "bytes wait",
           (unsigned long long)(span_ns / CMT_MILLISECONDS(1)),
           (unsigned long long)cmt__mconn_unsent(m));
}

/* ---- time ---- */

void cmt__mconn_enter(cmt_mconn *m, uint64_t now_ns) {
  (void)cmt__mconn_latch(m, now_ns);
}

void cmt__mconn_start(cmt_mconn *m, uint64_t now_ns) {
  now_ns = cmt__mconn_latch(m, now_ns);
  cmt__ping_start(&m->ping, cmt__mconn_packet_max(m), now_ns);
  m->channels.decay_at_ns = cmt__after(now_ns, CMT_SECONDS(2));
  cmt__mconn_limits_start(m);
  m->resumed_ns = now_ns;
  m->pong_ns = cmt__after(now_ns, m->ping.timeout_ns / CMT__UNASKED);
}

/* When the other side is late, with a pong or the rest of a message. */
static uint64_t late_ns(const cmt_mconn *m) {
  return m->paused || m->limited ? CMT_NEVER
                                 : cmt__min64(cmt__ping_late_ns(&m->ping),
                                              m->channels.partial_check_ns);
}

/* When the other side is late with taking what we send.  It may wait for us to
   read before it reads itself, so a pause is no fault of its own; under a limit
   we go on reading. */
static uint64_t stuck_ns(const cmt_mconn *m) {
  return m->paused ? CMT_NEVER : cmt__ping_stuck_ns(&m->ping);
}

uint64_t cmt_mconn_deadline(const cmt_mconn *m) {
  uint64_t at_ns = cmt__min64(late_ns(m), stuck_ns(m)), send_ns;

  if (!m->standby) {
    at_ns = cmt__min64(at_ns, m->channels.wire->pings->deadline(&m->ping));
  }
  if (cmt__mconn_has_ended(m)) {
    return m->end_reported ? CMT_NEVER : m->channels.now_ns;
  }
  send_ns = cmt__mconn_send_ns(m);
  if (send_ns > m->channels.now_ns) {
    at_ns = cmt__min64(at_ns, send_ns);
  }
  if (m->paused || m->limited) {
    at_ns = cmt__min64(at_ns, m->pong_ns);
  }
  return m->limited ? cmt__min64(at_ns, m->read_at_ns) : at_ns;
}

/* The ping timeout and that of unfinished messages: ends the multiplexer when
   the other side is late. */
static void late_check(cmt_mconn *m) {
  if (m->channels.now_ns >= stuck_ns(m)) {
    CMT__MARK(output_stuck);
    m->stuck = true;
    cmt__mconn_fail(m, CMT_EPONG);
    return;
  }
  if (m->channels.now_ns < late_ns(m)) {
    return;
  }
  if (!cmt__channels_tick(&m->channels, m->channels.now_ns)) {
    CMT__MARK(partial_timeout);
    cmt__mconn_fail(m, CMT_EPARTIAL);
  } else if (m->channels.now_ns >= late_ns(m)) {
    cmt__mconn_fail(m, CMT_EPONG);
  }
}

bool cmt__mconn_tick(cmt_mconn *m, uint64_t now_ns, bool excused) {
  bool trims;

  now_ns = cmt__mconn_latch(m, now_ns);
  if (m->limited && now_ns >= m->read_at_ns) {
    cmt__mconn_reading(m, m->paused, false);
  }
  if (!excused && !cmt__mconn_has_ended(m)) {
    late_check(m);
  }
  if (cmt__mconn_has_ended(m)) {
    return false;
  }
  trims = !m->standby && m->channels.wire->pings->tick(&m->ping, now_ns);
  if (trims) {
    cmt__channels_trim(&m->channels);
  }
  if ((m->paused || m->limited) && now_ns >= m->pong_ns) {
    CMT__MARK(unsolicited_pong);
    m->ping.pong = CMT__PONG_DUE;
    m->pong_ns = cmt__after(now_ns, m->ping.timeout_ns / CMT__UNASKED);
  }
  return trims;
}

void cmt_mconn_tick(cmt_mconn *m, uint64_t now_ns) {
  (void)cmt__mconn_tick(m, now_ns, false);
}

void cmt__mconn_pause(cmt_mconn *m, bool on, uint64_t now_ns) {
  bool resumed = m->paused && !on;

  (void)cmt__mconn_latch(m, now_ns);
  cmt__mconn_reading(m, on, m->limited);
  if (resumed) {
    m->ping.wait_ns = m->channels.now_ns;
    cmt__mconn_moved(m, m->channels.now_ns);
  }
}

void cmt__mconn_standby(cmt_mconn *m, bool on) { m->standby = on; }

void cmt__mconn_moved(cmt_mconn *m, uint64_t now_ns) {
  cmt__ping_moved(&m->ping, cmt__mconn_latch(m, now_ns));
}

void cmt__mconn_behind(cmt_mconn *m, bool on, uint64_t now_ns) {
  m->ping.behind = on;
  cmt__mconn_moved(m, now_ns);
}

bool cmt__mconn_is_excused(const cmt_mconn *m) {
  return cmt__ping_is_excused(&m->ping);
}

uint64_t cmt__mconn_late_ns(const cmt_mconn *m) { return late_ns(m); }

uint64_t cmt__mconn_stuck_ns(const cmt_mconn *m) { return stuck_ns(m); }

cmt_err cmt_mconn_ping(cmt_mconn *m) {
  if (m == NULL) {
    return CMT_EINVAL;
  }
  return cmt__mconn_has_ended(m) ? CMT_ECLOSED
                                 : cmt__ping_ask(&m->ping, m->channels.now_ns);
}

/* ---- status ---- */

void cmt__mconn_detach_quota(cmt_mconn *m) {
  cmt__channels_detach_quota(&m->channels);
}

bool cmt__mconn_was_dropped(const cmt_mconn *m) {
  return cmt__channels_gave_way(&m->channels);
}

size_t cmt_mconn_get_status(const cmt_mconn *m, cmt_channel_status *out,
                            size_t cap) {
  cap = out != NULL ? cap : 0;
  for (size_t i = 0; i < m->channels.count && i < cap; i++) {
    cmt__channel_get_status(&m->channels, i, &out[i]);
  }
  return m->channels.count;
}

bool cmt__mconn_take_credits(cmt_mconn *m, cmt_credits *out) {
  cmt__channels *cs = &m->channels;
  uint32_t cut = cs->cut;

  *out = (cmt_credits){.bytes = cs->cut_bytes};
  for (uint32_t left = cut; left != 0; left = cmt__channels_rest_of(left)) {
    size_t i = cmt__channels_first(left);

    out->messages[i] = cs->list[i].cut_messages;
    cs->list[i].cut_messages = 0;
  }
  cs->cut = 0;
  cs->cut_bytes = 0;
  return cut != 0;
}

cmt__channel_last *cmt__mconn_retire(cmt_mconn *m, cmt__channels_rest *rest) {
  cmt__channel_last *last = cmt__channels_retire(&m->channels, rest);

  cmt__mconn_send_note(m);
  return last;
}

uint64_t cmt__mconn_copied(const cmt_mconn *m) { return m->parser.copied; }

uint64_t cmt__mconn_pings_sent(const cmt_mconn *m) { return m->ping.sent; }

uint64_t cmt__mconn_unsent(const cmt_mconn *m) {
  uint64_t bytes = m->ping.filled - m->ping.taken;

  for (size_t i = 0; i < m->channels.count; i++) {
    bytes += cmt__counter_get(&m->channels.list[i].queued_bytes);
  }
  return bytes;
}

bool cmt__mconn_is_foreign(const cmt_mconn *m) { return m->foreign; }

void cmt__mconn_write_parting(const cmt_mconn *m, cmt__batch *r) {
  cmt_bytes parting = m->channels.wire->parting;

  cmt__batch_write(r, parting.base, parting.len);
}
