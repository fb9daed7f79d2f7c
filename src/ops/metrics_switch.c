/* SPDX-License-Identifier: Apache-2.0 */
/* What a page asks the switches for.  Each switch is asked once, so that the
   figures of a page are of one moment. */

#include "metrics_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASONS_MAX = 64, REASON_SIZE = 32 };

/* An unconditional peer is of that kind whether it is persistent or not, so
   that the other two are those that take places. */
enum { ORDINARY, PERSISTENT, UNCONDITIONAL, KINDS };

typedef struct peer_sample {
  cmt_node_id id;
  cmt_channel_status *channels;
  size_t channel_count;
} peer_sample;

typedef struct sample {
  cmt_metrics *m;
  cmt_switch_status status;
  cmt_reason_counts reasons[REASONS_MAX];
  size_t reason_count;
  uint64_t peers[2][KINDS]; /* Inbound and outbound. */
  uint64_t *round_trips;
  size_t round_trip_count;
  uint64_t *waits; /* How long the last message to each peer waited. */
  size_t wait_count;
  peer_sample *each; /* With |per_peer|. */
  size_t each_count;
} sample;

/* ---- asking ---- */

static bool is_of_chain(const cmt_metrics *m, const cmt_peer *p) {
  return !m->any_network || cmt_bytes_equal(cmt_peer_node_info(p)->network,
                                            cmt_bytes_of(m->chain_id));
}

static void each_take(sample *s, const cmt_peer *p,
                      const cmt_peer_status *status) {
  peer_sample *e = &s->each[s->each_count];
  size_t size = status->channel_count * sizeof *e->channels;

  e->channels = cmt__alloc(&s->m->env, cmt__max(size, 1));
  if (e->channels != NULL) {
    memcpy(e->channels, status->channels, size);
    e->channel_count = status->channel_count;
    e->id = *cmt_peer_id(p);
    s->each_count++;
  }
}

/* How long the last message of any channel has waited; false: none was sent. */
static bool last_wait(const cmt_peer_status *status, uint64_t *out) {
  bool sent = false;

  *out = 0;
  for (size_t i = 0; i < status->channel_count; i++) {
    sent = sent || status->channels[i].sent_messages > 0;
    *out = cmt__max64(*out, status->channels[i].wait_last_ns);
  }
  return sent;
}

static unsigned kind_of(const cmt_peer *p) {
  return cmt_peer_is_unconditional(p) ? UNCONDITIONAL
         : cmt_peer_is_persistent(p)  ? PERSISTENT
                                      : ORDINARY;
}

static void peer_take(sample *s, cmt_peer *p) {
  cmt_peer_status status;

  if (!is_of_chain(s->m, p)) {
    return;
  }
  s->peers[cmt_peer_is_outbound(p)][kind_of(p)]++;
  cmt_peer_get_status(p, &status);
  if (status.pongs_recv > 0 && s->round_trips != NULL) {
    s->round_trips[s->round_trip_count++] = status.rtt_last_ns;
  }
  if (s->waits != NULL && last_wait(&status, &s->waits[s->wait_count])) {
    s->wait_count++;
  }
  if (s->each != NULL) {
    each_take(s, p, &status);
  }
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

  return x < y ? -1 : x > y;
}

static void sort(uint64_t *list, size_t count) {
  if (count > 0) {
    qsort(list, count, sizeof *list, compare);
  }
}

/* Without memory the peers are missing on this page. */
static void peers_take(sample *s) {
  size_t cap = cmt_switch_peers(s->m->sw, NULL, 0) + 1;
  cmt_peer **list = cmt__alloc(&s->m->env, cap * sizeof *list);
  size_t count;

  if (list == NULL) {
    return;
  }
  s->round_trips = cmt__alloc(&s->m->env, cap * sizeof *s->round_trips);
  s->waits = cmt__alloc(&s->m->env, cap * sizeof *s->waits);
  s->each =
    s->m->per_peer ? cmt__alloc_zero(&s->m->env, cap * sizeof *s->each) : NULL;
  count = cmt_switch_peers(s->m->sw, list, cap);
  for (size_t i = 0; i < count && i < cap; i++) {
    peer_take(s, list[i]);
    cmt_peer_unref(list[i]);
  }
  cmt__free(&s->m->env, list);
  sort(s->round_trips, s->round_trip_count);
  sort(s->waits, s->wait_count);
}

static void sample_take(sample *s, cmt_metrics *m) {
  memset(s, 0, sizeof *s);
  s->m = m;
  peers_take(s);
  if (!m->any_network) {
    cmt_switch_get_status(m->sw, &s->status);
    s->reason_count = cmt_switch_reasons(m->sw, s->reasons, REASONS_MAX);
    if (s->reason_count > REASONS_MAX) {
      s->reason_count = REASONS_MAX;
    }
  }
}

static void sample_free(sample *s) {
  const cmt_env *env = &s->m->env;

  for (size_t i = 0; i < s->each_count; i++) {
    cmt__free(env, s->each[i].channels);
  }
  cmt__free(env, s->each);
  cmt__free(env, s->round_trips);
  cmt__free(env, s->waits);
}

/* ---- the families ---- */

/* A family that is being written. */
typedef struct family {
  cmt__page *page;
  const char *name, *help, *type;
  bool comets, begun;
  uint64_t unit;
} family;

static void put(family *f, const cmt_metrics *m, uint64_t value,
                const cmt__pair *a, const cmt__pair *b) {
  const char *prefix = cmt__metrics_prefix(m, f->comets);
  const cmt__pair pairs[] = {{"chain_id", m->chain_id},
                             a != NULL ? *a : (cmt__pair){NULL, NULL},
                             b != NULL ? *b : (cmt__pair){NULL, NULL}};

  if (!f->begun) {
    cmt__page_family(f->page, prefix, f->name, f->help, f->type);
    f->begun = true;
  }
  cmt__page_series(f->page,
                   &(cmt__series){.prefix = prefix,
                                  .name = f->name,
                                  .suffix = "",
                                  .pairs = pairs,
                                  .count = CMT__COUNT(pairs),
                                  .unit = f->unit},
                   value);
}

/* CometBFT's; as there it is absent until there was a peer. */
static void put_peers(family *f, const sample *s) {
  uint64_t all = 0;

  for (unsigned i = 0; i < 2 * KINDS; i++) {
    all += s->peers[i / KINDS][i % KINDS];
  }
  if (all > 0 || s->status.added > 0) {
    put(f, s->m, all, NULL, NULL);
  }
}

static void put_peers_by_kind(family *f, const sample *s) {
  static const char *const directions[] = {"inbound", "outbound"};
  static const char *const kinds[KINDS] = {"ordinary", "persistent",
                                           "unconditional"};

  for (unsigned i = 0; i < 2 * KINDS; i++) {
    const cmt__pair direction = {"direction", directions[i / KINDS]};
    const cmt__pair kind = {"kind", kinds[i % KINDS]};

    put(f, s->m, s->peers[i / KINDS][i % KINDS], &direction, &kind);
  }
}

/* The least, the median and the greatest of a sorted list. */
static void put_stats(family *f, const cmt_metrics *m, const uint64_t *list,
                      size_t count) {
  const struct {
    const char *name;
    size_t at;
  } of[] = {{"min", 0}, {"median", count / 2}, {"max", count - 1}};

  for (size_t i = 0; count > 0 && i < CMT__COUNT(of); i++) {
    const cmt__pair stat = {"stat", of[i].name};

    put(f, m, list[of[i].at], &stat, NULL);
  }
}

static void put_round_trips(family *f, const sample *s) {
  put_stats(f, s->m, s->round_trips, s->round_trip_count);
}

static void put_waits(family *f, const sample *s) {
  put_stats(f, s->m, s->waits, s->wait_count);
}

/* Who ended it: the other side also when it only closed. */
static const char *side_of(cmt_err reason) {
  cmt_err_class class = cmt_err_class_of(reason);

  if (class == CMT_CLASS_PEER || reason == CMT_EEOF || reason == CMT_ERESET) {
    return "them";
  }
  return class == CMT_CLASS_LINK ? "network" : "us";
}

/* "eof" of CMT_EEOF. */
static const char *reason_name(cmt_err reason, char out[REASON_SIZE]) {
  snprintf(out, REASON_SIZE, "%s", cmt_err_name(reason) + strlen("CMT_E"));
  for (char *c = out; *c != '\0'; c++) {
    *c = (char)tolower((unsigned char)*c);
  }
  return out;
}

static void put_disconnects(family *f, const sample *s) {
  char name[REASON_SIZE];

  for (size_t i = 0; i < s->reason_count; i++) {
    const cmt_reason_counts *r = &s->reasons[i];
    const cmt__pair reason = {"reason", reason_name(r->reason, name)};
    const cmt__pair side = {"side", side_of(r->reason)};

    if (r->removed > 0) {
      put(f, s->m, r->removed, &reason, &side);
    }
  }
}

/* CometBFT's series of each peer. */
static void put_of_channels(family *f, const sample *s,
                            uint64_t (*value)(const cmt_channel_status *c)) {
  char channel[8];

  for (size_t i = 0; i < s->each_count; i++) {
    const peer_sample *e = &s->each[i];
    const cmt__pair peer = {"peer_id", e->id.text};

    for (size_t at = 0; at < e->channel_count; at++) {
      const cmt__pair ch = {"chID", channel};

      snprintf(channel, sizeof channel, "0x%x", e->channels[at].id);
      if (value(&e->channels[at]) > 0) {
        put(f, s->m, value(&e->channels[at]), &ch, &peer);
      }
    }
  }
}

static uint64_t recv_bytes(const cmt_channel_status *c) {
  return c->recv_bytes;
}
static uint64_t sent_bytes(const cmt_channel_status *c) {
  return c->sent_bytes;
}

static void put_peer_received(family *f, const sample *s) {
  put_of_channels(f, s, recv_bytes);
}

static void put_peer_sent(family *f, const sample *s) {
  put_of_channels(f, s, sent_bytes);
}

static void put_peer_queued(family *f, const sample *s) {
  for (size_t i = 0; i < s->each_count; i++) {
    const peer_sample *e = &s->each[i];
    const cmt__pair peer = {"peer_id", e->id.text};
    uint64_t queued = 0;

    for (size_t at = 0; at < e->channel_count; at++) {
      queued += e->channels[at].queued_messages;
    }
    put(f, s->m, queued, &peer, NULL);
  }
}

static const struct {
  const char *name, *help, *type;
  bool comets;
  uint64_t unit;
  void (*put)(family *f, const sample *s);
} of_peers[] = {
  {"peers", "Number of peers.", "gauge", true, 1, put_peers},
  {"peers", "Peers by direction and kind.", "gauge", false, 1,
   put_peers_by_kind},
  {"round_trip_seconds", "Last round trips of the peers.", "gauge", false,
   1000000000, put_round_trips},
  {"send_wait_seconds", "How long the last message to each peer waited.",
   "gauge", false, 1000000000, put_waits},
  {"disconnects_total", "Peers that ended, by who ended them and why.",
   "counter", false, 1, put_disconnects},
  {"peer_receive_bytes_total", "Number of bytes received from a given peer.",
   "counter", true, 1, put_peer_received},
  {"peer_send_bytes_total", "Number of bytes sent to a given peer.", "counter",
   true, 1, put_peer_sent},
  {"peer_send_queue_size", "Number of messages queued for a given peer.",
   "gauge", true, 1, put_peer_queued},
  {"peer_pending_send_bytes", "The same under its older name.", "gauge", true,
   1, put_peer_queued},
};

/* What the status of a switch has as it is. */
#define STATUS(field) offsetof(cmt_switch_status, field)
static const struct {
  const char *name, *help, *type;
  size_t offset;
} of_status[] = {
  {"handshakes", "Handshakes under way.", "gauge", STATUS(handshakes)},
  {"no_descriptors_total", "Connections closed for lack of descriptors.",
   "counter", STATUS(no_descriptors)},
  {"over_handshakes_max_total",
   "Handshakes that gave way to others, for all together.", "counter",
   STATUS(over_handshakes_max)},
  {"over_handshakes_per_ip_max_total",
   "Handshakes that gave way to others of their address.", "counter",
   STATUS(over_handshakes_per_ip_max)},
  {"over_inbound_peers_max_total", "Inbound peers over the limit.", "counter",
   STATUS(over_inbound_peers_max)},
  {"over_outbound_peers_max_total", "Outbound peers over the limit.", "counter",
   STATUS(over_outbound_peers_max)},
  {"over_dials_max_total", "Dials over the limit.", "counter",
   STATUS(over_dials_max)},
  {"slow_callbacks_total", "Callbacks that held up a loop for 100 ms.",
   "counter", STATUS(slow_callbacks)},
  {"send_limiter_waits_total", "Messages that a rate limit delayed.", "counter",
   STATUS(send_waits)},
  {"receive_limiter_pauses_total", "How often a rate limit stopped reading.",
   "counter", STATUS(recv_pauses)},
  {"receive_reserved_bytes", "Memory of messages that are not complete.",
   "gauge", STATUS(recv_reserved_bytes)},
  {"receive_queued_bytes", "Memory of messages that wait for reactors.",
   "gauge", STATUS(recv_queued_bytes)},
  {"send_queued_bytes", "Memory of messages that wait to be sent.", "gauge",
   STATUS(send_queued_bytes)},
  {"dropped_messages_total", "Messages that full queues of reactors dropped.",
   "counter", STATUS(dropped_messages)},
  {"lost_events_total", "Events that the application did not receive.",
   "counter", STATUS(lost_events)},
};

static uint64_t status_value(const sample *s, size_t offset) {
  uint64_t value;

  memcpy(&value, (const char *)&s->status + offset, sizeof value);
  return value;
}

static bool begins_family(const sample *list, size_t first, bool comets) {
  for (size_t i = 0; i < first; i++) {
    if (cmt__metrics_share(list[first].m, list[i].m, comets)) {
      return false;
    }
  }
  return true;
}

static void page_peers(cmt__page *p, const sample *list, size_t count) {
  for (size_t row = 0; row < CMT__COUNT(of_peers); row++) {
    bool comets = of_peers[row].comets;

    for (size_t first = 0; first < count; first++) {
      family f = {.page = p,
                  .name = of_peers[row].name,
                  .help = of_peers[row].help,
                  .type = of_peers[row].type,
                  .comets = comets,
                  .unit = of_peers[row].unit};

      for (size_t i = first; begins_family(list, first, comets) && i < count;
           i++) {
        if (cmt__metrics_share(list[first].m, list[i].m, comets)) {
          of_peers[row].put(&f, &list[i]);
        }
      }
    }
  }
}

static void page_status(cmt__page *p, const sample *list, size_t count) {
  for (size_t row = 0; row < CMT__COUNT(of_status); row++) {
    family f = {.page = p,
                .name = of_status[row].name,
                .help = of_status[row].help,
                .type = of_status[row].type,
                .unit = 1};

    for (size_t i = 0; i < count; i++) {
      if (!list[i].m->any_network) {
        put(&f, list[i].m, status_value(&list[i], of_status[row].offset), NULL,
            NULL);
      }
    }
  }
}

void cmt__metrics_page_switches(cmt__page *p, cmt_metrics *const *list,
                                size_t count) {
  sample *samples = cmt__alloc(p->env, count * sizeof *samples);
  size_t n = 0;

  if (samples == NULL) {
    p->failed = true;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    if (list[i]->sw != NULL) {
      sample_take(&samples[n++], list[i]);
    }
  }
  page_peers(p, samples, n);
  page_status(p, samples, n);
  for (size_t i = 0; i < n; i++) {
    sample_free(&samples[i]);
  }
  cmt__free(p->env, samples);
}
