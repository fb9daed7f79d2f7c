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

   The options are in mconn_options.c, the limits in mconn_limits.c. */

#include "mconn_impl.h"

#include "base/mark.h"
#include "base/sized.h"

enum { FETCH_MAX = 2 }; /* Channels that are fetched ahead. */

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

/* Ends the multiplexer, unless it has ended before; |text| is static. */
static void mconn_end(cmt_mconn *m, cmt_err err, const char *text) {
  if (!cmt__mconn_has_ended(m)) {
    m->end_err = err;
    m->end_text = text;
  }
}

void cmt__mconn_fail(cmt_mconn *m, cmt_err err) {
  mconn_end(m, err, cmt_err_text(err));
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

/* Bytes of the longest packet that goes out, all included. */
static size_t packet_max(const cmt_mconn *m) {
  return m->channels.wire->msg_size(0xff, true, m->channels.payload_max);
}

void cmt__mconn_start(cmt_mconn *m, uint64_t now_ns) {
  now_ns = cmt__mconn_latch(m, now_ns);
  cmt__ping_start(&m->ping, packet_max(m), now_ns);
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

/* ---- sending ---- */

void cmt__mconn_fetch(const cmt_mconn *m) {
  cmt__fetch(m, offsetof(cmt_mconn, parser));
}

void cmt__mconn_fetch_channels(const cmt_mconn *m) {
  const cmt__channels *cs = &m->channels;
  uint32_t left = cs->fading;

  for (int i = 0; i < FETCH_MAX && left != 0; i++) {
    const cmt__channel *c = &cs->list[cmt__channels_first(left)];

    cmt__fetch(c, offsetof(cmt__channel, recv_messages));
    left = cmt__channels_rest_of(left);
  }
}

cmt_err cmt_mconn_try_send(cmt_mconn *m, uint8_t channel, cmt_buf *msg) {
  const cmt_conn_group *group;
  cmt_err err;
  size_t at;

  if (m == NULL || msg == NULL) {
    return CMT_EINVAL;
  }
  if (cmt__mconn_has_ended(m)) {
    return CMT_ECLOSED;
  }
  group = m->channels.group;
  at = group->index[channel];
  err = cmt__channel_refuses(group->list, m->channels.count, UINT16_MAX, at,
                             cmt_buf_bytes(msg).len);
  return err != CMT_OK ? err : cmt__mconn_queue(m, at, msg);
}

cmt_err cmt__mconn_queue(cmt_mconn *m, size_t at, cmt_buf *msg) {
  size_t ready = m->channels.ready;
  cmt_err err = cmt__channel_queue(&m->channels, at, msg);

  if (m->channels.ready != ready) {
    cmt__mconn_send_note(m);
  }
  return err;
}

uint32_t cmt__mconn_room(const cmt_mconn *m, size_t at) {
  uint32_t max = m->channels.group->list[at].send_queue + 1;
  uint32_t count = cmt__counter32_get(&m->channels.list[at].queue_count);

  return cmt__mconn_has_ended(m) || count >= max ? 0 : max - count;
}

bool cmt__mconn_wants_write(const cmt_mconn *m, bool *urgent) {
  bool ping = cmt__ping_wants_write(&m->ping, m->channels.ready > 0);

  *urgent = ping || m->channels.urgent_ready > 0;
  return !cmt__mconn_has_ended(m) &&
         (ping || (m->channels.ready > 0 &&
                   m->channels.now_ns >= cmt__mconn_send_ns(m)));
}

bool cmt__mconn_is_drained(const cmt_mconn *m) {
  return cmt__mconn_has_ended(m) ||
         (m->channels.ready == 0 && !cmt__ping_wants_write(&m->ping, false));
}

size_t cmt_mconn_write_min(const cmt_mconn *m) {
  const cmt__ping_rules *pings = m->ping.rules;

  return pings->pong.len + pings->ping.len + packet_max(m);
}

void cmt__mconn_fill(cmt_mconn *m, cmt__batch *r, uint64_t now_ns) {
  uint64_t base = m->ping.filled - r->len; /* The place of |r|. */
  size_t before = r->len, messages;

  (void)cmt__mconn_latch(m, now_ns);
  if (cmt__mconn_has_ended(m)) {
    return;
  }
  cmt__channels_decay(&m->channels, m->channels.now_ns);
  cmt__ping_fill(&m->ping, r, m->channels.ready > 0, m->channels.now_ns);
  messages = r->len;
  m->channels.cut_max = cmt__mconn_send_left(m);
  cmt__channels_fill(&m->channels, r);
  cmt__mconn_send_charge(m, r->len - before);
  m->ping.filled = base + r->len;
  cmt__ping_messages(&m->ping, base + messages, m->ping.filled);
}

void cmt__mconn_taken(cmt_mconn *m, uint64_t total, uint64_t now_ns) {
  (void)cmt__mconn_latch(m, now_ns);
  cmt__ping_taken(&m->ping, total, m->channels.now_ns);
}

uint64_t cmt__mconn_filled(const cmt_mconn *m) { return m->ping.filled; }

bool cmt_mconn_wants_write(cmt_mconn *m, uint64_t now_ns, bool *urgent) {
  bool hurry;

  (void)cmt__mconn_latch(m, now_ns);
  return cmt__mconn_wants_write(m, urgent != NULL ? urgent : &hurry);
}

size_t cmt_mconn_write(cmt_mconn *m, uint8_t *dest, size_t cap,
                       uint64_t now_ns) {
  const cmt_env *env = &m->channels.group->pool.env;
  cmt__batch r;

  CMT_REQUIRE(env, cap >= cmt_mconn_write_min(m),
              "cmt_mconn_write: less room than cmt_mconn_write_min()");
  if (!cmt_mconn_wants_write(m, now_ns, NULL) ||
      m->ping.taken < m->ping.filled) {
    return 0;
  }
  r = cmt__batch_plain(env, dest, cap);
  cmt__mconn_fill(m, &r, now_ns);
  return r.len;
}

void cmt_mconn_consume(cmt_mconn *m, size_t len, uint64_t now_ns) {
  CMT_REQUIRE(&m->channels.group->pool.env,
              len <= m->ping.filled - m->ping.taken,
              "cmt_mconn_consume: more than what was written");
  cmt__mconn_taken(m, m->ping.taken + len, now_ns);
}

/* ---- receiving ---- */

/* What the parser refuses may be of another profile: the first packet, or one
   that begins as none of ours does. */
static void packet_fail(cmt_mconn *m, cmt_err err) {
  uint8_t first = m->first != 0 ? m->first : m->parser.unknown;

  if (err != CMT_EPROTO) {
    cmt__mconn_fail(m, err);
    return;
  }
  m->foreign = cmt__wire_is_foreign(m->channels.wire, first);
  mconn_end(m, err,
            m->foreign ? "peer seems to speak another wire profile"
                       : "malformed packet");
}

cmt_err cmt_mconn_recv(cmt_mconn *m, const uint8_t *data, size_t len,
                       uint64_t now_ns) {
  if (m == NULL) {
    return CMT_EINVAL;
  }
  (void)cmt__mconn_latch(m, now_ns);
  if (cmt__mconn_has_ended(m)) {
    return CMT_ECLOSED;
  }
  if (m->in.len > 0 || (data == NULL && len > 0)) {
    return CMT_EINVAL;
  }
  m->in = (cmt_bytes){.base = data, .len = len};
  if (m->recv_limited) {
    cmt__mconn_recv_charge(m, len);
  }
  if (!m->begun && len > 0) {
    m->begun = true;
    m->first = data[0];
  }
  return CMT_OK;
}

bool cmt__mconn_has_input(const cmt_mconn *m) { return m->in.len > 0; }

cmt_bytes *cmt__mconn_input(cmt_mconn *m) { return &m->in; }

static void ping_came(cmt_mconn *m) {
  cmt_err err =
    m->channels.wire->pings->ping_came(&m->ping, m->channels.now_ns);

  if (err != CMT_OK) {
    cmt__mconn_fail(m, err);
    return;
  }
  cmt__mconn_charge_flood(m, 1);
}

/* An unsolicited pong is fine, and no event. */
static bool pong_event(cmt_mconn *m, cmt_mconn_event *out) {
  *out = (cmt_mconn_event){.size = sizeof *out, .kind = CMT_MCONN_PONG};
  if (cmt__ping_pong_came(&m->ping, m->channels.now_ns, &out->rtt_ns)) {
    return true;
  }
  cmt__mconn_charge_flood(m, 1);
  return false;
}

static bool message_event(cmt_mconn *m, const cmt__packet *k,
                          cmt_mconn_event *out) {
  const cmt__ping_rules *pings = m->channels.wire->pings;
  cmt_err err;

  if (k->total < CMT_PACKET_PAYLOAD_MIN && k->first && !k->eof) {
    cmt__mconn_charge_flood(m, 1);
    if (cmt__mconn_has_ended(m)) {
      return false;
    }
  }
  err = cmt__channel_take(&m->channels, k, &m->lent);
  if (err != CMT_OK) {
    cmt__mconn_fail(m, err);
    return false;
  }
  if (k->last && pings->came != NULL) {
    pings->came(&m->ping, m->channels.now_ns);
  }
  if (m->lent == NULL) {
    return false;
  }
  *out = (cmt_mconn_event){.size = sizeof *out,
                           .kind = CMT_MCONN_MESSAGE,
                           .channel = k->channel,
                           .msg = m->lent};
  return true;
}

/* Acts on one packet; true: |*out| is an event. */
static bool packet_event(cmt_mconn *m, const cmt__packet *k,
                         cmt_mconn_event *out) {
  switch (k->kind) {
  case CMT__PACKET_PING:
    ping_came(m);
    return false;
  case CMT__PACKET_PONG:
    return pong_event(m, out);
  case CMT__PACKET_MSG:
    break;
  }
  return message_event(m, k, out);
}

void cmt__mconn_detach_quota(cmt_mconn *m) {
  cmt__channels_detach_quota(&m->channels);
}

bool cmt__mconn_was_dropped(const cmt_mconn *m) {
  return cmt__channels_gave_way(&m->channels);
}

static bool end_event(cmt_mconn *m, cmt_mconn_event *out) {
  if (m->end_reported) {
    return false;
  }
  m->end_reported = true;
  *out = (cmt_mconn_event){
    .size = sizeof *out, .kind = CMT_MCONN_END, .err = m->end_err};
  return true;
}

static bool next_event(cmt_mconn *m, cmt_mconn_event *out) {
  cmt__packet k;

  cmt_buf_unref(m->lent);
  m->lent = NULL;
  if (cmt__channels_gave_way(&m->channels)) {
    mconn_end(m, CMT_ENOBUFS,
              "its unfinished messages had most of the memory that all "
              "peers share for them");
  }
  while (!cmt__mconn_has_ended(m)) {
    cmt_err err =
      cmt__packet_next(&m->parser, &m->channels.group->pool.env, &m->in, &k);

    if (err == CMT_EAGAIN) {
      cmt__channels_note(&m->channels);
      if (m->recv_limited) {
        cmt__mconn_recv_throttle(m);
      }
      return false;
    }
    if (err != CMT_OK) {
      packet_fail(m, err);
      break;
    }
    m->first = 0;
    if (packet_event(m, &k, out)) {
      return true;
    }
  }
  return end_event(m, out);
}

/* The caller was compiled with another header, so its event has another size.
 */
CMT__COLD static bool next_event_convert(cmt_mconn *m, cmt_mconn_event *out,
                                         size_t size) {
  cmt_mconn_event full;

  if (!cmt__size_is_known(size, sizeof full) || !next_event(m, &full)) {
    return false;
  }
  cmt__sized_write(out, size, &full, sizeof full);
  return true;
}

bool cmt_mconn_next_event_sized(cmt_mconn *m, cmt_mconn_event *out,
                                size_t size) {
  if (m == NULL || out == NULL) {
    return false;
  }
  return size == sizeof *out ? next_event(m, out)
                             : next_event_convert(m, out, size);
}

/* ---- status ---- */

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
