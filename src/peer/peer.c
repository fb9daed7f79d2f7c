/* SPDX-License-Identifier: Apache-2.0 */

/* Peers.  Everything that other threads may touch is fixed when the peer is
   made, lies behind the lock of its send queue, or is a number that only the
   loop changes; the rest belongs to the loop.  The numbers of the channels are
   those of the connection itself, which lives while |link| is set.  A posted
   wake-up holds a reference, so the post never outlives its memory.  It goes to
   the loop that the link is on, which does not change while one is under way.
 */

#include "peer.h"

#include "core/conn/node_info.h"
#include "base/sized.h"

#include <stdio.h>
#include <time.h>

/* Reads of a status before its thread lets others run. */
enum { READS_AT_ONCE = 100 };

static _Thread_local bool thread_is_loop;

bool cmt__thread_is_loop(void) { return thread_is_loop; }

void cmt__thread_set_loop(bool is_loop) { thread_is_loop = is_loop; }

static void peer_wake_loop(void *arg) {
  cmt_peer *p = arg;

  cmt_peer_ref(p);
  cmt__loop_post(p->loop, &p->wake);
}

static void peer_on_wake(cmt__post *post) {
  cmt_peer *p = (cmt_peer *)((char *)post - offsetof(cmt_peer, wake));

  if (cmt__send_queue_on_wake(&p->send_queue)) {
    cmt__link_wake(p->link);
  } else {
    p->on_drained(p->arg);
  }
  cmt_peer_unref(p);
}

/* ---- addresses ---- */

cmt__remote cmt__remote_of(const cmt_net_addr *a) {
  const char *mark = strchr(a->host, '%');
  cmt__remote r = {.port = a->port};

  if (!cmt__ip_read(cmt_bytes_of(a->host), &r.ip)) {
    return (cmt__remote){.port = 0};
  }
  if (mark != NULL) {
    memcpy(r.zone, mark + 1, strnlen(mark + 1, sizeof r.zone - 1));
  }
  return r;
}

cmt_net_addr cmt__remote_addr(const cmt__remote *r) {
  cmt_net_addr a = {.port = r->port};
  char ip[CMT__IP_TEXT_SIZE];

  if (cmt__remote_is_known(r)) {
    cmt__ip_write(&r->ip, ip);
    snprintf(a.host, sizeof a.host, "%s%s%s", ip, r->zone[0] != '\0' ? "%" : "",
             r->zone);
  }
  return a;
}

bool cmt__remote_is_known(const cmt__remote *r) { return r->port != 0; }

bool cmt__remote_is_same_host(const cmt__remote *a, const cmt__remote *b) {
  return cmt__ip_equal(&a->ip, &b->ip) && strcmp(a->zone, b->zone) == 0;
}

/* ---- life ---- */

static void peer_free(cmt_peer *p) {
  const cmt_env *env = &p->group->pool.env;
  cmt_conn_group *group = p->group;

  cmt__peer_data_fini(&p->data);
  cmt__worth_fini(&p->worth, env);
  if (p->inboxes != NULL) {
    p->inboxes_free(p->inboxes);
  }
  cmt__free(env, p->node_info);
  cmt__free(env, p->last);
  cmt__free(env, p->why_text);
  cmt__free(env, p);
  cmt__conn_group_unref(group);
}

static char *text_new(const cmt_peer *p, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = cmt__alloc(&p->group->pool.env, size);

  if (copy != NULL) {
    memcpy(copy, text, size);
  }
  return copy;
}

cmt_peer *cmt__peer_new(const cmt__peer_options *o) {
  const cmt_env *env = &o->group->pool.env;
  cmt_bytes channels = cmt_conn_node_info(o->link->conn)->channels;
  uint16_t theirs =
    cmt__channels_among(o->group->list, o->group->count, channels);
  cmt_peer *p = cmt__alloc_zero(env, sizeof *p);

  if (p == NULL) {
    return NULL;
  }
  atomic_init(&p->refs, 1);
  if (cmt__peer_data_init(&p->data, env) != CMT_OK) {
    cmt__free(env, p);
    return NULL;
  }
  p->group = cmt__conn_group_ref(o->group);
  p->id = *o->id;
  p->loop = o->link->loop;
  p->link = o->link;
  p->link->tally = &p->counters;
  p->wake.cb = peer_on_wake;
  p->up_at_ns = cmt__loop_now(p->loop);
  p->rate_at_ns = p->up_at_ns;
  p->on_drained = o->on_drained;
  p->arg = o->arg;
  p->stage = CMT_STAGE_UP;
  if (cmt__send_queue_init(&p->send_queue, env, o->group->list, o->group->count,
                           theirs) != CMT_OK) {
    peer_free(p);
    return NULL;
  }
  p->node_info = cmt_conn_take_node_info(o->link->conn);
  p->send_queue.bytes_max = o->send_bytes_max;
  p->send_queue.pool = o->send_pool;
  p->send_queue.wake = peer_wake_loop;
  p->send_queue.wake_arg = p;
  return p;
}

/* ---- what it is worth ---- */

cmt_err cmt_peer_set_worth(cmt_peer *p, const char *tag, int32_t value) {
  return p == NULL ? CMT_EINVAL
                   : cmt__worth_set(&p->worth, &p->group->pool.env,
                                    &p->data.lock, tag, value);
}

int64_t cmt_peer_worth(const cmt_peer *p) { return atomic_load(&p->worth.sum); }

void cmt_peer_protect(cmt_peer *p) {
  atomic_fetch_add(&p->worth.protections, 1);
}

void cmt_peer_unprotect(cmt_peer *p) {
  unsigned count = atomic_fetch_sub(&p->worth.protections, 1);

  CMT_REQUIRE(&p->group->pool.env, count > 0,
              "cmt_peer_unprotect: one call more than of cmt_peer_protect");
}

/* ---- references ---- */

cmt_peer *cmt_peer_ref(cmt_peer *p) {
  unsigned refs = atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);

  CMT_REQUIRE(&p->group->pool.env, refs > 0,
              "cmt_peer_ref: the peer has no reference left");
  CMT_REQUIRE(&p->group->pool.env, refs < UINT32_MAX / 2,
              "cmt_peer_ref: too many references");
  return p;
}

void cmt_peer_unref(cmt_peer *p) {
  unsigned refs;

  if (p == NULL) {
    return;
  }
  refs = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
  CMT_REQUIRE(&p->group->pool.env, refs > 0,
              "cmt_peer_unref: one call too many");
  if (refs == 1) {
    /* The switch lets go of its own reference after the link. */
    CMT_REQUIRE(&p->group->pool.env, p->link == NULL,
                "cmt_peer_unref: one call too many");
    cmt__send_queue_fini(&p->send_queue);
    peer_free(p);
  }
}

/* Notes why it ended.  A text that is not the general one needs memory; without
   it the general one has to do. */
static void peer_ended(cmt_peer *p, const cmt_why *why) {
  bool kept = p->why_text != NULL && p->explained == why->err;

  if (!kept) {
    cmt__free(&p->group->pool.env, p->why_text);
    p->why_text = strcmp(why->text, cmt_err_text(why->err)) == 0
                    ? NULL
                    : text_new(p, why->text);
  }
  p->reason = why->err;
  p->stage = why->stage;
}

/* Sends that wait are answered before any message is let go: a thread that
   holds a lock of the application may be one of them. */
bool cmt__peer_end(cmt_peer *p, const cmt_why *why) {
  cmt__channels_rest rest;
  bool posted;

  cmt__peer_count(p);
  cmt__lock(&p->send_queue.lock);
  peer_ended(p, why);
  p->last = cmt__conn_retire(p->link->conn, &rest);
  p->link = NULL;
  cmt__unlock(&p->send_queue.lock);
  posted = cmt__send_queue_close(&p->send_queue);
  cmt__channels_let_go(&p->group->pool.env, &rest);
  cmt__send_queue_forget(&p->send_queue);
  (void)cmt__send_queue_answer(&p->send_queue);
  return posted;
}

/* The numbers of an iteration change together: |version| is odd meanwhile. */
static void counters_begin(cmt__peer_counters *c) {
  cmt__counter32_set(&c->version, cmt__counter32_get(&c->version) + 1);
}

static void counters_end(cmt__peer_counters *c) {
  cmt__counter32_release(&c->version, cmt__counter32_get(&c->version) + 1);
}

static uint32_t rate_of(uint32_t bytes, uint64_t passed_ms) {
  return (uint32_t)cmt__min64(bytes * UINT64_C(1000) / passed_ms, UINT32_MAX);
}

/* Bytes per second, once a second or more has passed. */
static void peer_count_rates(cmt_peer *p, uint64_t now_ns) {
  uint32_t sent = (uint32_t)p->link->sent_bytes;
  uint32_t recv = (uint32_t)p->link->recv_bytes;
  uint64_t passed_ms = cmt__since(now_ns, p->rate_at_ns) / 1000000;

  if (passed_ms < 1000) {
    return;
  }
  cmt__counter32_release(&p->counters.send_rate,
                         rate_of(sent - p->rate_sent, passed_ms));
  cmt__counter32_release(&p->counters.recv_rate,
                         rate_of(recv - p->rate_recv, passed_ms));
  p->rate_at_ns = now_ns;
  p->rate_sent = sent;
  p->rate_recv = recv;
}

void cmt__peer_count(cmt_peer *p) {
  const cmt__link *l = p->link;
  cmt__peer_counters *c = &p->counters;
  uint64_t now_ns = cmt__loop_now(p->loop);

  counters_begin(c);
  cmt__counter_release(&c->up_ns, cmt__since(now_ns, p->up_at_ns));
  cmt__counter_release(&c->rtt_last_ns, l->rtt_last_ns);
  cmt__counter_release(&c->rtt_min_ns, l->rtt_min_ns);
  cmt__counter_release(&c->pings_sent, cmt_conn_pings_sent(l->conn));
  cmt__counter_release(&c->pongs_recv, l->pongs_recv);
  cmt__counter_release(&c->sent_bytes, l->sent_bytes);
  cmt__counter_release(&c->recv_bytes, l->recv_bytes);
  cmt__counter_release(&c->write_calls, l->write_calls);
  cmt__counter_release(&c->read_calls, l->read_calls);
  cmt__counter_release(&c->read_paused_ns,
                       l->paused_ns +
                         (l->paused ? cmt__since(now_ns, l->paused_at_ns) : 0));
  peer_count_rates(p, now_ns);
  counters_end(c);
}

void cmt__peer_look(cmt_peer *p, cmt__peer_view *out) {
  const cmt__send_queue *g = &p->send_queue;

  cmt__lock(&p->send_queue.lock);
  *out = (cmt__peer_view){
    .pongs_recv = cmt__counter_get(&p->counters.pongs_recv),
    .recv_bytes = cmt__counter_get(&p->counters.recv_bytes),
    .paused = g->pauses > 0 || g->blocks > 0,
    .stopping = g->state != CMT__SEND_QUEUE_OPEN,
  };
  cmt__unlock(&p->send_queue.lock);
}

/* ---- what it is ---- */

const cmt_node_id *cmt_peer_id(const cmt_peer *p) { return &p->id; }

const cmt_node_info *cmt_peer_node_info(const cmt_peer *p) {
  return p->node_info;
}

bool cmt_peer_is_outbound(const cmt_peer *p) { return p->outbound; }

bool cmt_peer_is_persistent(const cmt_peer *p) { return p->persistent; }

bool cmt_peer_is_unconditional(const cmt_peer *p) {
  return p->place == CMT__PEER_EXEMPT;
}

bool cmt_peer_has_channel(const cmt_peer *p, uint8_t channel) {
  cmt_bytes theirs = p->node_info->channels;

  return cmt__bytes_have(theirs, channel);
}

void cmt_peer_get_remote(const cmt_peer *p, cmt_net_addr *out) {
  if (out == NULL) {
    return;
  }
  *out = cmt__remote_addr(&p->remote);
  out->id = p->id;
}

/* The lock is no part of what the peer is, so a const peer can be locked. */
static pthread_mutex_t *peer_lock(const cmt_peer *p) {
  pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&p->send_queue.lock;

  cmt__lock(lock);
  return lock;
}

void cmt_peer_get_why(const cmt_peer *p, cmt_why *out) {
  pthread_mutex_t *lock;

  if (out == NULL) {
    return;
  }
  lock = peer_lock(p);
  *out = (cmt_why){.stage = p->stage};
  if (p->reason != CMT_OK) {
    cmt__why(out, p->reason, p->stage, "%s",
             p->why_text != NULL ? p->why_text : cmt_err_text(p->reason));
  }
  cmt__unlock(lock);
}

const cmt_env *cmt_peer_env(const cmt_peer *p) { return &p->group->pool.env; }

static void path_status(const cmt__link *l, cmt_peer_status *out) {
  const cmt__link_path *path =
    atomic_load_explicit(&l->path, memory_order_acquire);

  if (path == NULL) {
    return;
  }
  out->kernel_unsent_bytes = cmt__counter_get(&path->unsent_bytes);
  out->in_flight_bytes = cmt__counter_get(&path->in_flight_bytes);
  out->delivery_rate = cmt__counter_get(&path->rate);
  out->tcp_rtt_ns = cmt__counter_get(&path->rtt_ns);
  if (out->delivery_rate > 0) {
    out->kernel_unsent_ns =
      out->kernel_unsent_bytes * 1000000 / out->delivery_rate * 1000;
  }
}

/* What lives as long as the link, but for the last numbers of its channels. */
static void link_status(const cmt_peer *p, cmt_peer_status *out) {
  size_t count = p->send_queue.channel_count;
  pthread_mutex_t *lock = peer_lock(p);

  if (p->link != NULL) {
    cmt_conn_get_status(p->link->conn, out->channels, count);
    path_status(p->link, out);
  }
  for (size_t i = 0; p->last != NULL && i < count; i++) {
    out->channels[i] = cmt__channel_last_status(&p->last[i]);
  }
  cmt__unlock(lock);
  for (size_t i = 0; p->dropped != NULL && i < count; i++) {
    out->channels[i].dropped_messages = cmt__counter_get(&p->dropped[i]);
  }
}

/* Reads the numbers; false: they are of two iterations. */
static bool counters_read(const cmt__peer_counters *c, cmt_peer_status *out) {
  uint32_t version = cmt__counter32_acquire(&c->version);

  out->up_ns = cmt__counter_acquire(&c->up_ns);
  out->rtt_last_ns = cmt__counter_acquire(&c->rtt_last_ns);
  out->rtt_min_ns = cmt__counter_acquire(&c->rtt_min_ns);
  out->pings_sent = cmt__counter_acquire(&c->pings_sent);
  out->pongs_recv = cmt__counter_acquire(&c->pongs_recv);
  out->sent_bytes = cmt__counter_acquire(&c->sent_bytes);
  out->recv_bytes = cmt__counter_acquire(&c->recv_bytes);
  out->write_calls = cmt__counter_acquire(&c->write_calls);
  out->read_calls = cmt__counter_acquire(&c->read_calls);
  out->read_paused_ns = cmt__counter_acquire(&c->read_paused_ns);
  out->send_rate = cmt__counter32_acquire(&c->send_rate);
  out->recv_rate = cmt__counter32_acquire(&c->recv_rate);
  return version % 2 == 0 && version == cmt__counter32_get(&c->version);
}

/* The loop changes them within nanoseconds, unless its thread has to wait for
   this one's processor. */
static void counters_status(const cmt__peer_counters *c, cmt_peer_status *out) {
  const struct timespec wait = {.tv_nsec = 50000};

  for (unsigned tries = 1; !counters_read(c, out); tries++) {
    if (tries % READS_AT_ONCE == 0) {
      nanosleep(&wait, NULL);
    }
  }
}

void cmt_peer_get_status_sized(const cmt_peer *p, cmt_peer_status *out,
                               size_t size) {
  cmt_peer_status full = {.channel_count = p->send_queue.channel_count};

  counters_status(&p->counters, &full);
  link_status(p, &full);
  cmt__sized_write(out, size, &full, sizeof full);
}

/* ---- what it does ---- */

/* The place of |channel| in what the send queue and the connection share,
   looked up once for each message; CMT_CHANNELS_MAX: there is none. */
static size_t place_of(const cmt_peer *p, uint8_t channel) {
  return p->group->index[channel];
}

cmt_err cmt_peer_try_send(cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  return p == NULL || msg == NULL
           ? CMT_EINVAL
           : cmt__send_queue_try_send(&p->send_queue, place_of(p, channel),
                                      msg);
}

cmt_err cmt_peer_send(cmt_peer *p, uint8_t channel, cmt_buf *msg,
                      uint64_t timeout_ns) {
  if (p == NULL || msg == NULL) {
    return CMT_EINVAL;
  }
  if (thread_is_loop) {
    return CMT_EDEADLK;
  }
  return cmt__send_queue_send(&p->send_queue, place_of(p, channel), msg,
                              timeout_ns);
}

/* A request is never copied, and nothing of it is touched that the first one
   did not have. */
enum {
  REQ_SIZE_MIN =
    offsetof(cmt_send_req, internal) + sizeof((cmt_send_req *)0)->internal
};

static bool is_request(const cmt_send_req *req) {
  return req->size >= REQ_SIZE_MIN &&
         cmt__size_is_known(req->size, sizeof *req) &&
         cmt__sized_unknown(req, sizeof *req) == 0;
}

cmt_err cmt_peer_send_async(cmt_peer *p, uint8_t channel, cmt_buf *msg,
                            cmt_send_req *req) {
  if (p == NULL || msg == NULL || req == NULL || !is_request(req)) {
    return CMT_EINVAL;
  }
  return cmt__send_queue_send_async(&p->send_queue, place_of(p, channel), msg,
                                    req);
}

cmt_err cmt_peer_send_cancel(cmt_peer *p, cmt_send_req *req) {
  return p == NULL || req == NULL ? CMT_EINVAL
                                  : cmt__send_queue_cancel(&p->send_queue, req);
}

cmt_err cmt_peer_try_send_bytes(cmt_peer *p, uint8_t channel, const void *data,
                                size_t len) {
  cmt_buf *msg;
  cmt_err err;

  if (p == NULL || (data == NULL && len > 0)) {
    return CMT_EINVAL;
  }
  msg = cmt_buf_copy(&p->group->pool.env, data, len);
  err = msg == NULL ? CMT_ENOMEM : cmt_peer_try_send(p, channel, msg);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

cmt_err cmt_peer_send_bytes(cmt_peer *p, uint8_t channel, const void *data,
                            size_t len, uint64_t timeout_ns) {
  cmt_buf *msg;
  cmt_err err;

  if (p == NULL || (data == NULL && len > 0)) {
    return CMT_EINVAL;
  }
  msg = cmt_buf_copy(&p->group->pool.env, data, len);
  err = msg == NULL ? CMT_ENOMEM : cmt_peer_send(p, channel, msg, timeout_ns);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

void cmt_peer_pause(cmt_peer *p) { cmt__send_queue_pause(&p->send_queue); }

void cmt_peer_resume(cmt_peer *p) { cmt__send_queue_resume(&p->send_queue); }

cmt_err cmt_peer_post(cmt_peer *p, cmt_post *post) {
  if (p == NULL || post == NULL) {
    return CMT_EINVAL;
  }
  return cmt__send_queue_post(&p->send_queue, post);
}

void cmt_peer_stop(cmt_peer *p, cmt_err reason, uint64_t flush_ns) {
  CMT_REQUIRE(&p->group->pool.env, reason != CMT_OK,
              "cmt_peer_stop: the reason is CMT_OK");
  cmt__send_queue_stop_with(&p->send_queue, reason, flush_ns);
}

cmt_err cmt_peer_explain(cmt_peer *p, cmt_err reason, const char *text) {
  char escaped[sizeof((cmt_why *)0)->text];

  if (p == NULL) {
    return reason;
  }
  CMT_REQUIRE(&p->group->pool.env, reason != CMT_OK,
              "cmt_peer_explain: the reason is CMT_OK");
  if (text == NULL) {
    return reason;
  }
  cmt__quote(cmt_bytes_of(text), escaped, sizeof escaped);
  cmt__lock(&p->send_queue.lock);
  if (p->explained == CMT_OK && p->reason == CMT_OK) {
    p->explained = reason;
    p->why_text = text_new(p, escaped);
  }
  cmt__unlock(&p->send_queue.lock);
  return reason;
}

/* ---- what others keep with it ---- */

cmt_err cmt_peer_set_value(cmt_peer *p, const char *key, void *value,
                           void (*destroy)(void *)) {
  return p == NULL ? CMT_EINVAL
                   : cmt__peer_data_set(&p->data, key, value, destroy);
}

/* The lock and the list are no part of what the peer is. */
void *cmt_peer_value(const cmt_peer *p, const char *key) {
  return cmt__peer_data_get((cmt__peer_data *)(uintptr_t)&p->data, key);
}
