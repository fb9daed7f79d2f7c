/* SPDX-License-Identifier: Apache-2.0 */
/* What a multiplexer sends: messages into the queues of their channels, packets
   of these and pings into the batch of the caller. */

#include "mconn_impl.h"

enum { FETCH_MAX = 2 }; /* Channels that are fetched ahead. */

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

  return pings->pong.len + pings->ping.len + cmt__mconn_packet_max(m);
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
