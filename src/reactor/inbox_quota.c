/* SPDX-License-Identifier: Apache-2.0 */
#include "inbox_quota.h"

static size_t floor_of(size_t bytes_max, size_t peers) {
  return bytes_max / cmt__max(peers, 1);
}

void cmt__inbox_quota_init(cmt__inbox_quota *q, const cmt_channel *channels,
                           size_t count, size_t bytes_max, size_t peers) {
  *q = (cmt__inbox_quota){
    .channel_count = count,
    .bytes_max = bytes_max,
    .floor = floor_of(bytes_max, peers),
  };
  for (size_t i = 0; i < count; i++) {
    q->channels[i].messages_max = channels[i].recv_queue;
    q->channels[i].bytes_max = channels[i].recv_queue_bytes;
  }
}

uint64_t cmt__inbox_quota_memory(size_t bytes_max, size_t peers) {
  return bytes_max + peers * (uint64_t)floor_of(bytes_max, peers);
}

/* How much an inbox may have in all. */
static size_t usage_max(const cmt__inbox_quota *q) {
  size_t left = q->bytes < q->bytes_max ? q->bytes_max - q->bytes : 0;

  return cmt__max(q->floor, left);
}

bool cmt__inbox_quota_fits(const cmt__inbox_quota *q, const cmt__inbox_usage *u,
                           size_t channel, size_t cost) {
  const cmt__inbox_count *c = &u->counts[channel];
  size_t bytes_max = q->channels[channel].bytes_max;

  return (c->messages == 0 ||
          (c->messages < q->channels[channel].messages_max &&
           c->bytes < bytes_max && cost <= bytes_max - c->bytes)) &&
         (u->bytes == 0 || u->bytes + cost <= usage_max(q));
}

bool cmt__inbox_quota_is_full(const cmt__inbox_quota *q,
                              const cmt__inbox_usage *u, size_t channel) {
  const cmt__inbox_count *c = &u->counts[channel];

  return c->messages >= q->channels[channel].messages_max ||
         c->bytes >= q->channels[channel].bytes_max || u->bytes >= usage_max(q);
}

bool cmt__inbox_quota_over_half(const cmt__inbox_quota *q,
                                const cmt__inbox_usage *u) {
  for (size_t i = 0; i < q->channel_count; i++) {
    if (u->counts[i].messages > q->channels[i].messages_max / 2 ||
        u->counts[i].bytes > q->channels[i].bytes_max / 2) {
      return true;
    }
  }
  return u->bytes > usage_max(q) / 2;
}

void cmt__inbox_quota_charge(cmt__inbox_quota *q, cmt__inbox_usage *u,
                             size_t channel, size_t cost) {
  u->counts[channel].messages++;
  u->counts[channel].bytes += cost;
  u->bytes += cost;
  q->bytes += cost;
}

void cmt__inbox_quota_release(cmt__inbox_quota *q, cmt__inbox_usage *u,
                              size_t channel, size_t cost) {
  u->counts[channel].messages--;
  u->counts[channel].bytes -= cost;
  u->bytes -= cost;
  q->bytes -= cost;
}
