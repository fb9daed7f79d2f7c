/* SPDX-License-Identifier: Apache-2.0 */
/* What a multiplexer receives: the input as far as the next event. */

#include "mconn_impl.h"

#include "base/sized.h"

/* What the parser refuses may be of another profile: the first packet, or one
   that begins as none of ours does. */
static void packet_fail(cmt_mconn *m, cmt_err err) {
  uint8_t first = m->first != 0 ? m->first : m->parser.unknown;

  if (err != CMT_EPROTO) {
    cmt__mconn_fail(m, err);
    return;
  }
  m->foreign = cmt__wire_is_foreign(m->channels.wire, first);
  cmt__mconn_end(m, err,
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
    cmt__mconn_end(m, CMT_ENOBUFS,
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
