/* SPDX-License-Identifier: Apache-2.0 */

/* Totals and floors.  A floor is an even part of half of the total, so that the
   other half is the pool; less, when one largest message would not fit into the
   pool then; and never more than a peer can use. */

#include "floors.h"

/* Largest messages, each of its own peer, for which a default total has room at
   least. */
enum { LARGEST_AT_ONCE = 4 };

#define RECV_TOTAL (UINT64_C(512) << 20)
#define SEND_TOTAL (UINT64_C(256) << 20)

/* What is shared, and what it is shared for. */
typedef struct demand {
  const char *total_name, *message_name;
  size_t *total;  /* The option; 0: the default. */
  uint64_t usual; /* Least default. */
  uint64_t peers;
  uint64_t each;    /* Most that one peer can use. */
  uint64_t largest; /* Longest message, */
  uint8_t channel;  /* and its channel. */
} demand;

static void demand_message(demand *d, uint8_t channel, size_t len) {
  if (len > d->largest) {
    d->largest = len;
    d->channel = channel;
  }
}

static uint64_t floor_min(const demand *d) {
  return cmt__min64(d->each, CMT__FLOOR_MIN);
}

/* The least total that works. */
static uint64_t total_min(const demand *d) {
  uint64_t least = cmt__max64(d->largest, floor_min(d));

  return d->peers > 1 ? least + (d->peers - 1) * floor_min(d) : least;
}

static uint64_t floor_of(const demand *d, uint64_t total) {
  uint64_t floor = total / (2 * cmt__max64(d->peers, 1));

  if (d->peers > 1) {
    floor = cmt__min64(floor, (total - d->largest) / (d->peers - 1));
  }
  return cmt__max64(cmt__min64(floor, d->each), floor_min(d));
}

static cmt_err demand_resolve(const demand *d, cmt__floor *out, cmt_why *why) {
  uint64_t total = *d->total, least = total_min(d);

  if (total == 0) {
    total = cmt__max64(cmt__max64(d->usual, least), LARGEST_AT_ONCE * d->each);
    total = cmt__min64(total, SIZE_MAX);
  }
  if (total < least) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%s is %llu: a message of channel 0x%02x, whose %s is "
                    "%llu, and %llu bytes for each of %llu peers need %llu",
                    d->total_name, (unsigned long long)total, d->channel,
                    d->message_name, (unsigned long long)d->largest,
                    (unsigned long long)floor_min(d),
                    (unsigned long long)d->peers, (unsigned long long)least);
  }
  *d->total = (size_t)total;
  out->total = (size_t)total;
  out->floor = (size_t)floor_of(d, total);
  out->pool = (size_t)(total - d->peers * out->floor);
  return CMT_OK;
}

static demand recv_demand(cmt_switch_options *o, const cmt_channel *channels,
                          size_t count) {
  demand d = {
    .total_name = "recv_bytes_total_max",
    .message_name = "recv_message_max",
    .total = &o->recv_bytes_total_max,
    .usual = RECV_TOTAL,
    .peers = cmt__floors_peers(o),
  };
  uint64_t sum = 0;

  for (size_t i = 0; i < count; i++) {
    demand_message(&d, channels[i].id, channels[i].recv_message_max);
    sum += channels[i].recv_message_max;
  }
  d.each = o->recv_bytes_max != 0 ? o->recv_bytes_max : d.largest + (1 << 20);
  d.each = cmt__min64(d.each, sum);
  return d;
}

static demand send_demand(cmt_switch_options *o, const cmt_channel *channels,
                          size_t count) {
  demand d = {
    .total_name = "send_bytes_total_max",
    .message_name = "send_message_max",
    .total = &o->send_bytes_total_max,
    .usual = SEND_TOTAL,
    .peers = cmt__floors_peers(o),
  };
  uint64_t sum = 0;

  for (size_t i = 0; i < count; i++) {
    const cmt_channel *c = &channels[i];

    demand_message(&d, c->id, c->send_message_max);
    sum += ((uint64_t)c->send_queue + 1) * c->send_message_max;
  }
  d.each = cmt__min64(cmt__max64(o->send_bytes_max, d.largest), sum);
  return d;
}

cmt_err cmt__floors_compute(cmt_switch_options *o, const cmt_channel *channels,
                            size_t count, cmt__floors *out, cmt_why *why) {
  demand recv = recv_demand(o, channels, count);
  demand send = send_demand(o, channels, count);
  cmt_err err = demand_resolve(&recv, &out->recv, why);

  return err == CMT_OK ? demand_resolve(&send, &out->send, why) : err;
}
