/* SPDX-License-Identifier: Apache-2.0 */

/* Peers.  Everything that other threads may touch is fixed when the peer is
   made, or lies behind the lock of its gate; the rest belongs to the loop.  A
   posted wake-up holds a reference, so the post never outlives its memory. */

#include "peer.h"

#include "core/node_info.h"

#define SEND_WAIT_NS CMT_SECONDS(10) /* As CometBFT. */

static _Thread_local bool thread_is_loop;

bool cmt__thread_is_loop(void) { return thread_is_loop; }

void cmt__thread_set_loop(bool is_loop) { thread_is_loop = is_loop; }

static void peer_ring(void *arg) {
  cmt_peer *p = arg;

  cmt_peer_ref(p);
  cmt__loop_post(p->loop, &p->wake);
}

static void peer_on_wake(cmt__post *post) {
  cmt_peer *p = (cmt_peer *)((char *)post - offsetof(cmt_peer, wake));

  if (cmt__gate_woken(&p->gate)) {
    cmt__link_wake(p->link);
  } else {
    p->on_settled(p->arg);
  }
  cmt_peer_unref(p);
}

/* ---- life ---- */

static void peer_free(cmt_peer *p) {
  cmt_env env = p->env;

  cmt__peer_data_fini(&p->data);
  cmt__boxes_free(p->boxes);
  cmt__free(&env, p->node_info);
  cmt__free(&env, p->channels);
  cmt__free(&env, p);
}

cmt_peer *cmt__peer_new(const cmt__peer_options *o) {
  cmt_peer *p = cmt__alloc_zero(o->env, sizeof *p);

  if (p == NULL) {
    return NULL;
  }
  atomic_init(&p->refs, 1);
  p->env = *o->env;
  if (cmt__peer_data_init(&p->data, &p->env) != CMT_OK) {
    cmt__free(o->env, p);
    return NULL;
  }
  p->id = *o->id;
  p->loop = o->link->loop;
  p->link = o->link;
  p->wake.cb = peer_on_wake;
  p->up_at_ns = cmt__loop_now(p->loop);
  p->on_settled = o->on_settled;
  p->arg = o->arg;
  p->why.stage = CMT_STAGE_UP;
  p->node_info = cmt__node_info_clone(&p->env, o->node_info);
  p->channels =
    cmt__alloc_zero(&p->env, o->channel_count * sizeof *p->channels);
  if (p->node_info == NULL || p->channels == NULL ||
      cmt__gate_init(&p->gate, &p->env, o->channels, o->channel_count,
                     p->node_info->channels) != CMT_OK) {
    peer_free(p);
    return NULL;
  }
  p->gate.bytes_max = o->send_bytes_max;
  p->gate.ring = peer_ring;
  p->gate.ring_arg = p;
  return p;
}

cmt_peer *cmt_peer_ref(cmt_peer *p) {
  unsigned refs = atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);

  CMT_ASSERT(&p->env, refs > 0 && refs < UINT32_MAX / 2);
  return p;
}

void cmt_peer_unref(cmt_peer *p) {
  unsigned refs;

  if (p == NULL) {
    return;
  }
  refs = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
  CMT_ASSERT(&p->env, refs > 0);
  if (refs == 1) {
    CMT_ASSERT(&p->env, p->link == NULL);
    cmt__gate_fini(&p->gate);
    peer_free(p);
  }
}

bool cmt__peer_end(cmt_peer *p, const cmt_why *why) {
  bool posted;

  pthread_mutex_lock(&p->gate.lock);
  if (p->explained != why->err) {
    p->why = *why;
  }
  p->why.err = why->err;
  p->why.stage = why->stage;
  pthread_mutex_unlock(&p->gate.lock);
  posted = cmt__gate_close(&p->gate);
  p->link = NULL;
  (void)cmt__gate_answer(&p->gate);
  return posted;
}

void cmt__peer_snapshot(cmt_peer *p) {
  const cmt__link *l = p->link;
  cmt__peer_counters counters = {
    .up_ns = cmt__loop_now(p->loop) - p->up_at_ns,
    .rtt_last_ns = l->rtt_last_ns,
    .rtt_min_ns = l->rtt_min_ns,
    .pings_sent = cmt__conn_pings_sent(l->conn),
    .pongs_recv = l->pongs_recv,
    .sent_bytes = l->sent_bytes,
    .recv_bytes = l->recv_bytes,
    .write_calls = l->write_calls,
    .read_calls = l->read_calls,
    .read_paused_ns =
      l->paused_ns + (l->paused ? cmt__loop_now(p->loop) - l->paused_at_ns : 0),
  };

  pthread_mutex_lock(&p->gate.lock);
  p->counters = counters;
  cmt_conn_get_status(l->conn, p->channels, p->gate.channel_count);
  for (size_t i = 0; p->dropped != NULL && i < p->gate.channel_count; i++) {
    p->channels[i].dropped_messages = p->dropped[i];
  }
  pthread_mutex_unlock(&p->gate.lock);
}

/* ---- what it is ---- */

const cmt_node_id *cmt_peer_id(const cmt_peer *p) { return &p->id; }

const cmt_node_info *cmt_peer_node_info(const cmt_peer *p) {
  return p->node_info;
}

bool cmt_peer_is_outbound(const cmt_peer *p) { return p->outbound; }

bool cmt_peer_is_persistent(const cmt_peer *p) { return p->persistent; }

bool cmt_peer_has_channel(const cmt_peer *p, uint8_t channel) {
  cmt_bytes theirs = p->node_info->channels;

  return cmt__bytes_have(theirs, channel);
}

void cmt_peer_get_remote(const cmt_peer *p, cmt_net_addr *out) {
  *out = p->remote;
  out->id = p->id;
}

/* The lock is no part of what the peer is, so a const peer can be locked. */
static pthread_mutex_t *peer_lock(const cmt_peer *p) {
  pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&p->gate.lock;

  pthread_mutex_lock(lock);
  return lock;
}

void cmt_peer_get_why(const cmt_peer *p, cmt_why *out) {
  pthread_mutex_t *lock = peer_lock(p);

  *out = p->why;
  pthread_mutex_unlock(lock);
  if (out->err == CMT_OK) {
    out->text[0] = '\0';
  }
}

const cmt_env *cmt_peer_env(const cmt_peer *p) { return &p->env; }

void cmt_peer_get_status_sized(const cmt_peer *p, cmt_peer_status *out,
                               size_t size) {
  cmt_peer_status full = {.size = size, .channel_count = p->gate.channel_count};
  pthread_mutex_t *lock = peer_lock(p);
  cmt__peer_counters c = p->counters;

  memcpy(full.channels, p->channels, full.channel_count * sizeof *p->channels);
  pthread_mutex_unlock(lock);
  full.up_ns = c.up_ns;
  full.rtt_last_ns = c.rtt_last_ns;
  full.rtt_min_ns = c.rtt_min_ns;
  full.pings_sent = c.pings_sent;
  full.pongs_recv = c.pongs_recv;
  full.sent_bytes = c.sent_bytes;
  full.recv_bytes = c.recv_bytes;
  full.write_calls = c.write_calls;
  full.read_calls = c.read_calls;
  full.read_paused_ns = c.read_paused_ns;
  memset(out, 0, size);
  memcpy(out, &full, cmt__min(size, sizeof full));
}

/* ---- what it does ---- */

cmt_err cmt_peer_try_send(cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  return cmt__gate_try_send(&p->gate, channel, msg);
}

cmt_err cmt_peer_send(cmt_peer *p, uint8_t channel, cmt_buf *msg,
                      cmt_send_req *req) {
  return cmt__gate_send(&p->gate, channel, msg, req);
}

cmt_err cmt_peer_send_wait(cmt_peer *p, uint8_t channel, cmt_buf *msg,
                           uint64_t timeout_ns) {
  if (thread_is_loop) {
    return CMT_EDEADLK;
  }
  return cmt__gate_send_wait(&p->gate, channel, msg, timeout_ns);
}

cmt_err cmt_peer_try_send_bytes(cmt_peer *p, uint8_t channel, const void *data,
                                size_t len) {
  cmt_buf *msg = cmt_buf_copy(&p->env, data, len);
  cmt_err err = msg == NULL ? CMT_ENOMEM : cmt_peer_try_send(p, channel, msg);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

cmt_err cmt_peer_send_wait_bytes(cmt_peer *p, uint8_t channel, const void *data,
                                 size_t len) {
  cmt_buf *msg = cmt_buf_copy(&p->env, data, len);
  cmt_err err = msg == NULL ? CMT_ENOMEM
                            : cmt_peer_send_wait(p, channel, msg, SEND_WAIT_NS);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

void cmt_peer_pause(cmt_peer *p) { cmt__gate_pause(&p->gate); }

void cmt_peer_resume(cmt_peer *p) { cmt__gate_resume(&p->gate); }

void cmt_peer_stop(cmt_peer *p, cmt_err reason, uint64_t flush_ns) {
  CMT_ASSERT(&p->env, reason != CMT_OK);
  cmt__gate_stop_with(&p->gate, reason, flush_ns);
}

cmt_err cmt_peer_explain(cmt_peer *p, cmt_err reason, const char *text) {
  char escaped[sizeof p->why.text];

  CMT_ASSERT(&p->env, reason != CMT_OK);
  cmt__quote(cmt_bytes_of(text), escaped, sizeof escaped);
  pthread_mutex_lock(&p->gate.lock);
  if (p->explained == CMT_OK && p->why.err == CMT_OK) {
    p->explained = reason;
    memcpy(p->why.text, escaped, strlen(escaped) + 1);
  }
  pthread_mutex_unlock(&p->gate.lock);
  return reason;
}

/* ---- what others keep with it ---- */

cmt_err cmt_peer_set(cmt_peer *p, const char *key, void *value,
                     void (*destroy)(void *)) {
  return cmt__peer_data_set(&p->data, key, value, destroy);
}

/* The lock and the list are no part of what the peer is. */
void *cmt_peer_get(const cmt_peer *p, const char *key) {
  return cmt__peer_data_get((cmt__peer_data *)(uintptr_t)&p->data, key);
}
