/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_MAILBOX_USER_H
#define CMT_TEST_MAILBOX_USER_H

/* A mailbox alone, for the tests that include this: the test plays the loop,
   and whoever receives the events. */

#include "reactor/mailbox.h"
#include "reactor/reactor_options.h"

#include "test.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  PEERS = 3,
  PEERS_MAX = 40,
  A = 0x10,
  B = 0x20,
  DROPS = 0x30,
  COST = CMT__ENTRY_COST,
};

typedef struct fixture {
  test_env env;
  cmt_channel channels[3];
  cmt_mailbox *mailbox;
  size_t peer_count; /* PEERS, or what the test sets before the start. */
  size_t queue, queue_bytes; /* Limits of a channel: 5 messages, 10,000. */
  cmt_peer peers[PEERS_MAX];
  cmt__inbox *inboxes[PEERS_MAX];
} fixture;

static atomic_uint gone_count;

static inline void on_gone(cmt__inbox *b) {
  (void)b;
  atomic_fetch_add(&gone_count, 1);
}

static inline void on_wake(void *arg) { (void)arg; }

/* In all |total|, of which each peer has an equal floor. */
static inline void start(fixture *f, size_t total) {
  cmt_reactor r = {.name = "test",
                   .channels = f->channels,
                   .channel_count = 3,
                   .delivery = CMT_DELIVER_MAILBOX,
                   .recv_queue_bytes_total = total};

  for (size_t i = 0; i < 3; i++) {
    f->channels[i].recv_queue = (uint32_t)f->queue;
    f->channels[i].recv_queue_bytes = f->queue_bytes;
  }
  assert_cmt(CMT_OK, cmt__reactor_options_fill(&r, NULL));
  assert_cmt(CMT_OK, cmt__mailbox_new(&f->env.env, &r, f->channels,
                                      f->peer_count, &f->mailbox));
  f->mailbox->on_gone = on_gone;
  for (size_t i = 0; i < f->peer_count; i++) {
    cmt_peer *p = &f->peers[i];

    assert_cmt(CMT_OK, cmt__send_queue_init(&p->send_queue, &f->env.env,
                                            f->channels, 3, 7));
    p->send_queue.wake = on_wake;
    f->inboxes[i] =
      cmt__alloc_zero(&f->env.env, cmt__inbox_size(&f->mailbox->quota));
    assert_non_null(f->inboxes[i]);
    cmt__mailbox_add_inbox(f->mailbox, f->inboxes[i], p);
  }
}

static inline int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  f->peer_count = PEERS;
  f->queue = 5;
  f->queue_bytes = 10000;
  test_env_init(&f->env);
  f->channels[0] = (cmt_channel){.id = A};
  f->channels[1] = (cmt_channel){.id = B};
  f->channels[2] = (cmt_channel){.id = DROPS, .on_full = CMT_ON_FULL_DROP};
  atomic_store(&gone_count, 0);
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  for (size_t i = 0; i < f->peer_count; i++) {
    if (f->inboxes[i]->open && !f->inboxes[i]->gone_due) {
      cmt__mailbox_peer_gone(f->inboxes[i], CMT_EEOF);
    }
  }
  while (cmt_mailbox_next(f->mailbox, &ev, 0) == CMT_OK) {
    cmt_mailbox_done(f->mailbox, &ev);
  }
  cmt__mailbox_close(f->mailbox);
  for (size_t i = 0; i < f->peer_count; i++) {
    (void)cmt__send_queue_close(&f->peers[i].send_queue);
    cmt__send_queue_fini(&f->peers[i].send_queue);
    cmt__inbox_fini(f->inboxes[i], &f->env.env);
    cmt__free(&f->env.env, f->inboxes[i]);
  }
  cmt__mailbox_delete(f->mailbox);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

/* A message whose first byte is |k|. */
static inline cmt_err put_len(fixture *f, size_t peer, uint8_t channel,
                              uint8_t k, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->env.env, len);
  cmt_err err;

  assert_non_null(msg);
  memset(cmt_buf_data(msg), k, len);
  err = cmt__mailbox_put(f->inboxes[peer], channel, msg, &(bool){false});
  cmt_buf_unref(msg);
  return err;
}

static inline cmt_err put(fixture *f, size_t peer, uint8_t channel, uint8_t k) {
  return put_len(f, peer, channel, k, 1);
}

/* What is next, as "PEER up", "PEER CHANNEL K" or "PEER gone REASON"; the event
   is out in |ev|. */
static inline const char *next(fixture *f, cmt_mailbox_event *ev) {
  static char text[64];
  cmt_err err = cmt_mailbox_next(f->mailbox, ev, 0);
  int peer;

  if (err != CMT_OK) {
    return cmt_err_name(err);
  }
  peer = (int)(ev->peer - f->peers);
  switch (ev->kind) {
  case CMT_EVENT_PEER_UP:
    snprintf(text, sizeof text, "%d up", peer);
    break;
  case CMT_EVENT_MESSAGE:
    snprintf(text, sizeof text, "%d %02x %d", peer, ev->channel,
             cmt_buf_bytes(ev->msg).base[0]);
    break;
  case CMT_EVENT_PEER_GONE:
    snprintf(text, sizeof text, "%d gone %s", peer, cmt_err_name(ev->reason));
    break;
  case CMT_EVENT_REJECTED:
  case CMT_EVENT_OUTCOME:
  case CMT_EVENT_SENT:
  case CMT_EVENT_TIMER:
  case CMT_EVENT_POST:
    return "another event";
  }
  return text;
}

/* As next(), and the event is done at once. */
static inline const char *take(fixture *f) {
  cmt_mailbox_event ev;
  const char *text = next(f, &ev);

  if (text[0] != 'C') {
    cmt_mailbox_done(f->mailbox, &ev);
    assert_null(ev.internal);
  }
  return text;
}

static inline bool is_stopped(fixture *f, size_t peer) {
  bool full;

  return cmt__send_queue_is_paused(&f->peers[peer].send_queue, &full) && full;
}

static inline bool is_readable(fixture *f) {
  struct pollfd p = {.fd = cmt_mailbox_fd(f->mailbox), .events = POLLIN};

  return poll(&p, 1, 0) == 1;
}

#endif
