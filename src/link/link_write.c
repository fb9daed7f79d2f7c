/* SPDX-License-Identifier: Apache-2.0 */

/* The output of a link.  Sealed bytes cannot be reordered any more, so they are
   sealed as late as possible: a new batch of frames only when the last one was
   written whole, and after a short write one as long as what was written; the
   rest of a short write is kept.  The unsent bytes in the kernel and a batch
   are worth parts of the delay target at the delivery rate, which is sampled
   from the socket now and then.

   A frame kernel is at its best with many frames at a time.  So a link with
   little to send waits until others of the iteration have been looked at, and
   their batches are sealed together.  It waits for no more than a list of them,
   since what a link needs leaves the cache behind a few hundred others. */

#include "link_impl.h"

#include "base/trace.h"

#include <cometp2p/secret_conn.h>

enum {
  BATCH_MIN = 8,          /* Frames. */
  BATCH_FIRST = 125,      /* Until the rate is known; two reads of 64 KiB. */
  THROTTLE_BYTES = 65536, /* Queued messages that need not wait. */
  TOGETHER_BYTES = 4096,  /* More of them fill the lanes of a kernel alone. */
  SHORT_BYTES = 16 * CMT_FRAME_SLOT, /* A batch up to this may become longer, */
  PARTS_MAX = 4,                     /* in so many parts. */
  /* Written since the last sample; less than this never exceeds the limit of
     the socket. */
  SAMPLE_BYTES = CMT__UNSENT_FIRST,
  UNSENT_MIN = 16384, /* Less would need too many iterations. */
};

#define SAMPLE_NS CMT_MILLISECONDS(20)
/* How long a connection counts as urgent after such a message. */
#define URGENT_NS CMT_SECONDS(1)

void cmt__link_free_rest(cmt__link *l) {
  cmt__free(&l->loop->env, l->rest);
  l->rest = NULL;
  l->rest_at = 0;
  l->rest_len = 0;
}

/* Nothing more can be written.  What the other side sent before it closed is
   still to be read, and the end of that has the reason. */
static void link_broken(cmt__link *l, cmt_err err) {
  l->error = l->loop->error;
  err = cmt__link_reason(l, err);
  l->write_err = err;
  cmt__link_free_rest(l);
  if (l->eof || (l->paused && !l->blocked)) {
    cmt__link_stop_conn(l, err);
  } else if (!l->blocked) {
    l->give_up_ns = cmt__loop_now(l->loop) + CMT__GIVE_UP_NS;
  }
}

static bool link_write_some(cmt__link *l, const uint8_t *data, size_t len,
                            size_t *written) {
  cmt_err err = cmt__tcp_write(l->tcp, data, len, written);

  l->write_calls++;
  if (err != CMT_OK) {
    link_broken(l, err);
    return false;
  }
  l->sent_bytes += *written;
  CMT__TRACE(CMT__TRACE_WRITE, l->sent_bytes, 0);
  if (*written > 0) {
    cmt_conn_consume(l->conn, *written, cmt__loop_now(l->loop));
  }
  return true;
}

/* After a short write the next batch is as long as what was written: more would
   only be sealed too early. */
static void link_keep_rest(cmt__link *l, const uint8_t *data, size_t len,
                           size_t written) {
  l->batch_frames = (uint16_t)cmt__min(
    cmt__max(written / CMT_FRAME_SLOT, BATCH_MIN), CMT__BATCH_MAX);
  l->rest = cmt__alloc(&l->loop->env, len - written);
  if (l->rest == NULL) {
    cmt__link_stop_conn(l, CMT_ENOMEM);
    return;
  }
  memcpy(l->rest, data + written, len - written);
  l->rest_len = len - written;
}

/* ---- the delivery rate ---- */

/* NULL: there is no memory, and the rate is not measured before there is. */
static cmt__link_path *link_path_new(cmt__link *l) {
  cmt__link_path *p = cmt__alloc_zero(&l->loop->env, sizeof *p);

  if (p != NULL) {
    p->batch_max = BATCH_FIRST;
    p->unsent_max = CMT__UNSENT_FIRST;
    cmt__delivery_rate_init(&p->delivery);
    atomic_store_explicit(&l->path, p, memory_order_release);
  }
  return p;
}

/* Messages of urgent channels that were sent and received. */
static uint64_t link_urgent_messages(const cmt__link *l) {
  cmt_channel_status list[CMT_CHANNELS_MAX];
  size_t count = cmt_conn_get_status(l->conn, list, CMT_CHANNELS_MAX);
  uint64_t messages = 0;

  for (size_t i = 0; l->send_queue != NULL && i < count; i++) {
    if (l->send_queue->descs[i].traffic == CMT_TRAFFIC_URGENT) {
      messages += list[i].sent_messages + list[i].recv_messages;
    }
  }
  return messages;
}

/* The target of delay, shorter while urgent messages go either way. */
static uint64_t link_target_ns(cmt__link *l, cmt__link_path *p) {
  uint64_t now_ns = cmt__loop_now(l->loop);
  uint64_t messages = link_urgent_messages(l);

  if (messages != p->urgent_messages) {
    p->urgent_messages = messages;
    p->urgent_until_ns = cmt__after(now_ns, URGENT_NS);
  }
  return now_ns < p->urgent_until_ns ? l->options->queue_delay_target_ns / 2
                                     : l->options->queue_delay_target_ns;
}

static void link_follow(cmt__link *l, cmt__link_path *p, uint64_t rate,
                        uint64_t rtt_ns) {
  uint64_t target_ns = link_target_ns(l, p);
  uint32_t batch = cmt__delivery_batch(rate, target_ns);
  uint32_t unsent_max = (uint32_t)cmt__max(
    cmt__delivery_unsent(rate, target_ns, rtt_ns), UNSENT_MIN);

  if (cmt__delivery_bytes_changed(p->unsent_max, unsent_max)) {
    p->unsent_max = unsent_max;
    cmt__tcp_unsent_max(l->tcp, unsent_max);
  }
  p->batch_max = (uint32_t)cmt__min(cmt__max(batch / CMT_FRAME_SLOT, BATCH_MIN),
                                    CMT__BATCH_MAX);
}

/* True when so much was written that the socket should be sampled, or its last
   sample may be out of date. */
static bool link_wonders(const cmt__link *l, const cmt__link_path *p) {
  if (p == NULL) {
    return l->sent_bytes >= SAMPLE_BYTES;
  }
  return cmt__loop_now(l->loop) >= p->sample_at_ns &&
         (l->sent_bytes - p->sampled_bytes >= SAMPLE_BYTES ||
          cmt__counter_get(&p->unsent_bytes) > 0);
}

void cmt__link_sample(cmt__link *l) {
  cmt__link_path *p = cmt__link_path_of(l);
  cmt__tcp_info info;
  uint64_t rate;

  if (!link_wonders(l, p) || l->write_err != CMT_OK ||
      (p == NULL && (p = link_path_new(l)) == NULL)) {
    return;
  }
  p->sample_at_ns = cmt__after(cmt__loop_now(l->loop), SAMPLE_NS);
  p->sampled_bytes = l->sent_bytes;
  if (!cmt__tcp_info_get(l->tcp, &info)) {
    return;
  }
  cmt__delivery_rate_note(&p->delivery, &info);
  rate = cmt__delivery_rate_get(&p->delivery);
  cmt__counter_set(&p->unsent_bytes, info.unsent_bytes);
  cmt__counter_set(&p->in_flight_bytes, info.in_flight_bytes);
  cmt__counter_set(&p->rtt_ns, info.rtt_ns);
  cmt__counter_set(&p->rate, rate);
  if (l->options->queue_delay_target_ns > 0 && rate > 0) {
    link_follow(l, p, rate, info.rtt_ns);
  }
}

/* Bytes of the longest batch that may be sealed now. */
static size_t link_batch_max(const cmt__link *l) {
  const cmt__link_path *p = cmt__link_path_of(l);
  size_t frames =
    p != NULL ? cmt__min(l->batch_frames, p->batch_max) : l->batch_frames;

  return cmt__max(frames * CMT_FRAME_SLOT, cmt_conn_write_min(l->conn));
}

/* ---- batches ---- */

/* Messages wait for others to share their frames only while nothing else is
   being sent, and not for long when there are many. */
static bool link_throttle(cmt__link *l, bool urgent) {
  uint64_t now_ns = cmt__loop_now(l->loop);

  if (l->options->flush_throttle_ns == 0 || urgent || l->stopping) {
    return false;
  }
  if (l->flush_at_ns == 0) {
    l->flush_at_ns = cmt__after(now_ns, l->options->flush_throttle_ns);
  }
  l->throttled =
    now_ns < l->flush_at_ns && l->view.queued_bytes < THROTTLE_BYTES;
  return l->throttled;
}

void cmt__link_write_rest(cmt__link *l) {
  size_t written;

  if (l->rest_len > 0 &&
      link_write_some(l, l->rest + l->rest_at, l->rest_len, &written)) {
    l->rest_at += written;
    l->rest_len -= written;
    if (l->rest_len == 0) {
      cmt__link_free_rest(l);
    }
  }
}

/* True when a batch is to be sealed now. */
static bool link_may_write(cmt__link *l, bool *urgent) {
  l->throttled = false;
  return l->rest_len == 0 && l->write_err == CMT_OK &&
         cmt_conn_wants_write(l->conn, cmt__loop_now(l->loop), urgent) &&
         !link_throttle(l, *urgent);
}

/* Writes the sealed batch. */
static void link_batch_write(cmt__link *l, const uint8_t *data, size_t len) {
  uint64_t now_ns = cmt__loop_now(l->loop);
  size_t written;

  CMT__TRACE(CMT__TRACE_SEAL, l->sent_bytes, len);
  if (len == 0 || !link_write_some(l, data, len, &written)) {
    return;
  }
  if (written < len) {
    link_keep_rest(l, data, len, written);
    return;
  }
  l->batch_frames =
    (uint16_t)cmt__min((size_t)2 * l->batch_frames, CMT__BATCH_MAX);
  l->flush_at_ns = 0;
  if (cmt_conn_wants_write(l->conn, now_ns, NULL)) {
    l->flush_at_ns = now_ns;
    cmt__loop_defer(l->loop, &l->task);
  }
}

/* True when messages were queued since the intake was taken over, and may go
   into the batch of |len| bytes: a single frame goes out at once, and so does a
   batch with urgent messages. */
static bool link_batch_grows(cmt__link *l, size_t len) {
  bool urgent;

  if (l->send_queue == NULL || len <= CMT_FRAME_SLOT || len > SHORT_BYTES ||
      !cmt__send_queue_has_intake(l->send_queue)) {
    return false;
  }
  cmt__link_take_intake(l);
  return cmt_conn_wants_write(l->conn, cmt__loop_now(l->loop), &urgent) &&
         !urgent;
}

static void on_filled(void *arg) { cmt__link_credit(arg); }

/* Seals a batch.  Senders go on while it is sealed and written.  A write takes
   as long as to seal many frames, so what they queue while a short batch is
   sealed is added to it. */
static size_t link_seal(cmt__link *l, bool urgent) {
  size_t max = link_batch_max(l), len = 0, part;
  uint64_t now_ns = cmt__loop_now(l->loop);
  int parts = 0;

  do {
    part = cmt_conn_write_part(l->conn, l->loop->scratch + len, max - len,
                               now_ns, on_filled, l);
    len += part;
    parts++;
  } while (part > 0 && !urgent && parts < PARTS_MAX &&
           link_batch_grows(l, len));
  return len;
}

static void link_batch(cmt__link *l, bool urgent) {
  link_batch_write(l, l->loop->scratch, link_seal(l, urgent));
}

void cmt__link_write(cmt__link *l) {
  bool urgent;

  if (link_may_write(l, &urgent)) {
    link_batch(l, urgent);
  }
}

bool cmt__link_write_or_wait(cmt__link *l) {
  bool urgent;

  if (!link_may_write(l, &urgent)) {
    return false;
  }
  if (l->send_queue != NULL && l->view.queued_bytes <= TOGETHER_BYTES &&
      cmt__loop_has_others(l->loop)) {
    return true;
  }
  link_batch(l, urgent);
  return false;
}

void cmt__link_write_all(cmt__link *const *list, size_t count) {
  cmt_conn_batch batches[CMT__TOGETHER_MAX];
  cmt__loop *loop = list[0]->loop;
  size_t done;

  for (size_t i = 0; i < count; i++) {
    batches[i] =
      (cmt_conn_batch){.conn = list[i]->conn, .max = link_batch_max(list[i])};
  }
  for (size_t at = 0; at < count; at += done) {
    done = cmt_conn_write_many(batches + at, count - at, loop->scratch,
                               CMT__SCRATCH, cmt__loop_now(loop));
    for (size_t i = at; i < at + done; i++) {
      cmt__link_credit(list[i]); /* Senders go on while it is written. */
      link_batch_write(list[i], batches[i].base, batches[i].len);
    }
  }
}

void cmt__link_flush(cmt__link *l) {
  uint64_t before;

  cmt__link_write_rest(l);
  do {
    before = l->sent_bytes;
    cmt__link_write(l);
  } while (l->sent_bytes > before && l->rest_len == 0);
}

bool cmt__link_final_flush(cmt__link *l) {
  size_t len, written = 0;

  while (l->rest_len == 0 && l->write_err == CMT_OK &&
         cmt_conn_wants_write(l->conn, cmt__loop_now(l->loop), NULL)) {
    len = cmt_conn_write(l->conn, l->loop->scratch, CMT__SCRATCH,
                         cmt__loop_now(l->loop));
    if (len == 0 ||
        cmt__tcp_write(l->tcp, l->loop->scratch, len, &written) != CMT_OK ||
        written < len) {
      return false;
    }
    cmt_conn_consume(l->conn, len, cmt__loop_now(l->loop));
  }
  return l->rest_len == 0 && l->write_err == CMT_OK;
}
