/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a multiplexer: how fast it sends and receives, alone and with
   others, and how many packets that cost only us the other side may send.

   What was sent or received is charged, and may leave a debt; until that is
   repaid, messages are held back, or the caller is asked not to read.  Only
   what the limits are for waits: pings and pongs do not.  One stop of reading
   is short, so that the end of the connection is seen in time; then the caller
   reads as much as the limits allow, at least a byte. */

#include "mconn_impl.h"

#include "base/mark.h"

enum { FLOOD_PER_S = 50, FLOOD_BURST = 500 };

#define HOLD_MAX_NS CMT_MILLISECONDS(250)

void cmt__mconn_limits_start(cmt_mconn *m) {
  uint64_t send_rate = m->send != NULL ? m->send->per_s : 0;

  if (m->send != NULL) {
    cmt__rate_init_bytes(m->send, send_rate, m->channels.now_ns);
  }
  if (m->recv != NULL) {
    cmt__rate_init_bytes(m->recv, m->recv->per_s, m->channels.now_ns);
  }
  cmt__rate_init(&m->flood, FLOOD_PER_S, FLOOD_BURST, m->channels.now_ns);
  cmt__channels_start(&m->channels, send_rate, m->channels.now_ns);
  cmt__mconn_send_note(m);
}

void cmt__mconn_attach_quota(cmt_mconn *m, cmt__quota *b,
                             void (*on_gave_way)(void *arg), void *arg) {
  cmt__channels_attach_quota(&m->channels, b, on_gave_way, arg);
  m->recv_limited = m->recv_limited || b->recv.per_s > 0;
}

/* Urgent messages go past the limits, within those of their own. */
void cmt__mconn_send_note(cmt_mconn *m) {
  m->send_at_ns =
    cmt__max64(cmt__max64(cmt__rate_open_ns(m->send), m->shared_send_ns),
               cmt__channels_open_ns(&m->channels));
  m->urgent_at_ns = cmt__channels_urgent_ns(&m->channels);
}

uint64_t cmt__mconn_send_left(cmt_mconn *m) {
  cmt__quota *b = m->channels.quota;
  uint64_t left = cmt__rate_left(m->send, m->channels.now_ns);

  if (b == NULL) {
    return left;
  }
  return m->channels.now_ns < m->shared_send_ns
           ? 0
           : cmt__min64(left,
                        cmt__quota_available(b, &b->send, m->channels.now_ns));
}

void cmt__mconn_send_charge(cmt_mconn *m, size_t len) {
  cmt__quota *b = m->channels.quota;

  if (len == 0) {
    return;
  }
  cmt__rate_charge(m->send, len, m->channels.now_ns);
  if (b != NULL) {
    m->shared_send_ns = cmt__quota_charge(b, &b->send, len, m->shared_send_ns,
                                          m->channels.now_ns);
  }
  cmt__mconn_send_note(m);
  if (b != NULL && m->channels.ready > 0 &&
      cmt__mconn_send_ns(m) > m->channels.now_ns) {
    cmt__quota_count(b, &b->send_waits);
  }
}

void cmt__mconn_reading(cmt_mconn *m, bool paused, bool limited) {
  bool before = m->paused || m->limited, after = paused || limited;

  if (!before && after) {
    m->stopped_ns = m->channels.now_ns;
    /* Between two stops for a limit hardly anything is read. */
    if (cmt__since(m->channels.now_ns, m->resumed_ns) > HOLD_MAX_NS) {
      m->pong_ns =
        cmt__after(m->channels.now_ns, m->ping.timeout_ns / CMT__UNASKED);
    }
  }
  if (before && !after) {
    m->resumed_ns = m->channels.now_ns;
    m->ping.wait_ns += cmt__since(m->channels.now_ns,
                                  cmt__max64(m->ping.wait_ns, m->stopped_ns));
    cmt__channels_resume(&m->channels, m->stopped_ns, m->channels.now_ns);
  }
  m->paused = paused;
  m->limited = limited;
  if (before != after) {
    cmt__channels_unread(&m->channels, after);
  }
}

void cmt__mconn_recv_charge(cmt_mconn *m, size_t len) {
  cmt__quota *b = m->channels.quota;

  cmt__rate_charge(m->recv, len, m->channels.now_ns);
  if (b != NULL) {
    m->shared_recv_ns = cmt__quota_charge(b, &b->recv, len, m->shared_recv_ns,
                                          m->channels.now_ns);
  }
}

void cmt__mconn_recv_throttle(cmt_mconn *m) {
  uint64_t at_ns;

  if (m->limited) {
    return;
  }
  at_ns = cmt__max64(cmt__max64(cmt__rate_open_ns(m->recv), m->shared_recv_ns),
                     cmt__channels_read_ns(&m->channels));
  if (at_ns <= m->channels.now_ns) {
    return;
  }
  cmt__mconn_reading(m, m->paused, true);
  m->read_at_ns =
    cmt__min64(at_ns, cmt__after(m->channels.now_ns, HOLD_MAX_NS));
  if (m->channels.quota != NULL) {
    cmt__quota_count(m->channels.quota, &m->channels.quota->recv_pauses);
  }
}

bool cmt_mconn_wants_read(const cmt_mconn *m) {
  return !cmt__mconn_has_ended(m) && !m->limited && !m->paused;
}

size_t cmt__mconn_read_max(cmt_mconn *m) {
  cmt__quota *b = m->channels.quota;
  uint64_t left;

  if (!m->recv_limited) {
    return SIZE_MAX;
  }
  left = cmt__min64(cmt__rate_left(m->recv, m->channels.now_ns),
                    cmt__channels_read_left(&m->channels));
  if (b != NULL && b->recv.per_s > 0) {
    left = cmt__min64(
      left, m->channels.now_ns < m->shared_recv_ns
              ? 0
              : cmt__quota_available(b, &b->recv, m->channels.now_ns));
  }
  return (size_t)cmt__min64(cmt__max64(left, 1), SIZE_MAX);
}

void cmt__mconn_charge_flood(cmt_mconn *m, uint64_t count) {
  cmt__rate_charge(&m->flood, count, m->channels.now_ns);
  if (m->flood.level < 0 && !cmt__mconn_has_ended(m)) {
    CMT__MARK(flood_ended);
    cmt__mconn_fail(m, CMT_EFLOOD);
  }
}
