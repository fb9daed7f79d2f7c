/* SPDX-License-Identifier: Apache-2.0 */

/* The roles: one reactor that owns all channels and keeps a session for each
   peer.  A session lives while the peer is listed and while a thread of its
   role runs; |sessions_lock| guards all of them. */

#include "interop_peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct session {
  struct session *next;
  cmt_peer *peer;
  unsigned refs;
  unsigned sending; /* Threads that are not done. */
  uint64_t sent, sent_bytes, echoed, wrong;
  uint64_t expected[CMT_CHANNELS_MAX]; /* Number of the next echo. */
  flood_channel flood[CMT_CHANNELS_MAX];
  bool done;
} session;

typedef struct sender {
  session *session;
  size_t index; /* Index of the channel. */
} sender;

static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t threads_gone = PTHREAD_COND_INITIALIZER;
static session *sessions;
static unsigned threads;

static void session_unref_locked(session *s) {
  if (--s->refs == 0) {
    cmt_peer_unref(s->peer);
    free(s);
  }
}

static session *session_find_locked(const cmt_peer *p) {
  session *s = sessions;

  while (s != NULL && s->peer != p) {
    s = s->next;
  }
  return s;
}

static size_t channel_index(uint8_t channel) {
  size_t i = 0;

  while (opts.channels[i].id != channel) {
    i++;
  }
  return i;
}

cmt_err send_patiently(cmt_peer *p, uint8_t channel, cmt_buf *msg,
                       uint64_t *refused) {
  cmt_err err = cmt_peer_send(p, channel, msg, CMT_SEND_TIMEOUT);

  while (err == CMT_ETIMEDOUT) {
    (*refused)++;
    err = cmt_peer_send(p, channel, msg, CMT_SEND_TIMEOUT);
  }
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

static void report_send_locked(session *s) {
  if (s->sending > 0 || s->done || (opts.await_echo && s->echoed < s->sent)) {
    return;
  }
  s->done = true;
  emit("done",
       json_pack("{s:s,s:s,s:I,s:I,s:I,s:I}", "id", cmt_peer_id(s->peer)->text,
                 "role", "send", "messages", (json_int_t)s->sent, "bytes",
                 (json_int_t)s->sent_bytes, "echoed", (json_int_t)s->echoed,
                 "wrong", (json_int_t)s->wrong));
}

/* Sums up a flood once both sides have ended on every shared channel. */
static void report_flood_locked(session *s) {
  json_t *sent = json_object();
  json_t *received = json_object();
  flood_channel sum = {.end_sent = true, .end_received = true};

  for (size_t i = 0; i < opts.channel_count; i++) {
    const flood_channel *f = &s->flood[i];
    char key[4];

    if (!cmt_peer_has_channel(s->peer, opts.channels[i].id)) {
      continue;
    }
    snprintf(key, sizeof key, "%02x", opts.channels[i].id);
    json_object_set_new(sent, key, json_integer((json_int_t)f->sent));
    json_object_set_new(received, key, json_integer((json_int_t)f->received));
    sum.sent_bytes += f->sent_bytes;
    sum.received_bytes += f->received_bytes;
    sum.lost += f->lost;
    sum.wrong += f->wrong;
    sum.refused += f->refused;
    sum.end_sent = sum.end_sent && f->end_sent;
    sum.end_received = sum.end_received && f->end_received;
  }
  if (s->done || !sum.end_sent || !sum.end_received) {
    json_decref(sent);
    json_decref(received);
    return;
  }
  s->done = true;
  emit("done",
       json_pack("{s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I}", "id",
                 cmt_peer_id(s->peer)->text, "role", "flood", "sent", sent,
                 "received", received, "sent_bytes", (json_int_t)sum.sent_bytes,
                 "received_bytes", (json_int_t)sum.received_bytes, "lost",
                 (json_int_t)sum.lost, "wrong", (json_int_t)sum.wrong,
                 "refused", (json_int_t)sum.refused));
}

/* Sends each size |opts.count| times on one channel. */
static void send_all(session *s, size_t index) {
  uint8_t channel = opts.channels[index].id;
  uint64_t refused = 0;

  for (uint64_t k = 0; k < opts.count * opts.size_count; k++) {
    size_t size = opts.sizes[k % opts.size_count];
    cmt_buf *msg = cmt_buf_new(NULL, size);

    if (msg == NULL) {
      return;
    }
    pattern_fill(cmt_buf_data(msg), size, k, channel);
    cmt_buf_ref(msg);
    if (send_patiently(s->peer, channel, msg, &refused) == CMT_OK) {
      pthread_mutex_lock(&sessions_lock);
      s->sent++;
      s->sent_bytes += size;
      pthread_mutex_unlock(&sessions_lock);
      if (!opts.quiet) {
        emit_message("sent", s->peer, channel, cmt_buf_bytes(msg),
                     json_pack("{s:b}", "accepted", 1));
      }
    }
    cmt_buf_unref(msg);
  }
}

static void *sender_run(void *arg) {
  sender *t = arg;
  session *s = t->session;
  size_t index = t->index;
  flood_channel flood = {0};
  bool end_sent = false;

  free(t);
  if (opts.role == ROLE_SEND) {
    send_all(s, index);
  } else {
    end_sent = flood_send(s->peer, opts.channels[index].id, &flood);
  }
  pthread_mutex_lock(&sessions_lock);
  s->sending--;
  if (opts.role == ROLE_SEND) {
    report_send_locked(s);
  } else {
    s->flood[index].sent = flood.sent;
    s->flood[index].sent_bytes = flood.sent_bytes;
    s->flood[index].refused = flood.refused;
    s->flood[index].end_sent = end_sent;
    report_flood_locked(s);
  }
  session_unref_locked(s);
  threads--;
  pthread_cond_broadcast(&threads_gone);
  pthread_mutex_unlock(&sessions_lock);
  return NULL;
}

static void sender_start_locked(session *s, size_t index) {
  sender *t = malloc(sizeof *t);
  pthread_t thread;

  if (t == NULL) {
    abort();
  }
  *t = (sender){.session = s, .index = index};
  s->refs++;
  s->sending++;
  threads++;
  if (pthread_create(&thread, NULL, sender_run, t) != 0) {
    abort();
  }
  pthread_detach(thread);
}

void roles_join(void) {
  pthread_mutex_lock(&sessions_lock);
  while (threads > 0) {
    pthread_cond_wait(&threads_gone, &sessions_lock);
  }
  pthread_mutex_unlock(&sessions_lock);
}

static cmt_err role_init_peer(void *self, cmt_peer *p) {
  session *s = calloc(1, sizeof *s);

  (void)self;
  if (s == NULL) {
    return CMT_ENOMEM;
  }
  s->peer = cmt_peer_ref(p);
  s->refs = 1;
  pthread_mutex_lock(&sessions_lock);
  s->next = sessions;
  sessions = s;
  pthread_mutex_unlock(&sessions_lock);
  return CMT_OK;
}

static void role_add_peer(void *self, cmt_peer *p) {
  cmt_net_addr remote;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  session *s;

  (void)self;
  cmt_peer_get_remote(p, &remote);
  remote.id.text[0] = '\0';
  if (cmt_net_addr_format(&remote, text, sizeof text) != CMT_OK) {
    text[0] = '\0';
  }
  emit("peer_added",
       json_pack("{s:s,s:b,s:s,s:o}", "id", cmt_peer_id(p)->text, "outbound",
                 cmt_peer_is_outbound(p), "remote", text, "node_info",
                 json_node_info(cmt_peer_node_info(p))));
  if (opts.role != ROLE_SEND && opts.role != ROLE_FLOOD) {
    return;
  }
  pthread_mutex_lock(&sessions_lock);
  s = session_find_locked(p);
  for (size_t i = 0; i < opts.channel_count; i++) {
    if (cmt_peer_has_channel(p, opts.channels[i].id)) {
      sender_start_locked(s, i);
    }
  }
  pthread_mutex_unlock(&sessions_lock);
}

static void echo_sent(void *arg, cmt_err status, cmt_buf *msg) {
  if (status != CMT_OK) {
    cmt_buf_unref(msg);
  }
  free(arg);
}

/* Queues the message that came; any number of requests may wait, in order. */
static cmt_err echo(cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  cmt_send_req *req = calloc(1, sizeof *req);
  cmt_err err;

  if (req == NULL) {
    return CMT_ENOMEM;
  }
  *req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, echo_sent, req);
  err = cmt_peer_send_async(p, channel, cmt_buf_ref(msg), req);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
    free(req);
  }
  return err == CMT_ECLOSED ? CMT_OK : err;
}

static void compare_locked(session *s, size_t index, cmt_bytes data) {
  uint64_t k = s->expected[index]++;
  size_t size = opts.sizes[k % opts.size_count];

  if (k >= opts.count * opts.size_count || data.len != size ||
      !pattern_equal(data.base, size, k, opts.channels[index].id)) {
    s->wrong++;
  }
  s->echoed++;
  report_send_locked(s);
}

static void sleep_once(void) {
  static atomic_bool slept;
  struct timespec t = {.tv_sec = (time_t)(opts.sleep_ns / CMT_SECONDS(1)),
                       .tv_nsec = (long)(opts.sleep_ns % CMT_SECONDS(1))};

  if (opts.sleep_ns > 0 && !atomic_exchange(&slept, true)) {
    nanosleep(&t, NULL);
  }
}

static cmt_err role_receive(void *self, cmt_peer *p, uint8_t channel,
                            cmt_buf *msg) {
  cmt_bytes data = cmt_buf_bytes(msg);
  size_t index = channel_index(channel);
  session *s;

  (void)self;
  sleep_once();
  if (!opts.quiet && opts.role != ROLE_FLOOD) {
    emit_message("message", p, channel, data, NULL);
  }
  if (opts.role == ROLE_ECHO) {
    return echo(p, channel, msg);
  }
  pthread_mutex_lock(&sessions_lock);
  s = session_find_locked(p);
  if (s != NULL && opts.role == ROLE_FLOOD) {
    flood_receive(&s->flood[index], channel, data);
    if (s->flood[index].end_received) {
      report_flood_locked(s);
    }
  } else if (s != NULL && opts.role == ROLE_SEND && opts.await_echo) {
    compare_locked(s, index, data);
  }
  pthread_mutex_unlock(&sessions_lock);
  return CMT_OK;
}

static void role_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  session **at = &sessions;
  cmt_why why;

  (void)self;
  cmt_peer_get_why(p, &why);
  emit("peer_removed",
       json_pack("{s:s,s:s,s:o,s:s}", "id", cmt_peer_id(p)->text, "class",
                 cmt_err_class_name(cmt_err_class_of(reason)), "reason",
                 json_reason(reason), "text", why.text));
  pthread_mutex_lock(&sessions_lock);
  while (*at != NULL && (*at)->peer != p) {
    at = &(*at)->next;
  }
  if (*at != NULL) {
    session *s = *at;

    *at = s->next;
    session_unref_locked(s);
  }
  pthread_mutex_unlock(&sessions_lock);
}

const cmt_reactor interop_reactor = {
  .name = "interop",
  .channels = opts.channels,
  .init_peer = role_init_peer,
  .add_peer = role_add_peer,
  .receive = role_receive,
  .remove_peer = role_remove_peer,
};
