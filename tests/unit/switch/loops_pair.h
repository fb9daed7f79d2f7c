/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LOOPS_PAIR_H
#define CMT_TEST_LOOPS_PAIR_H

/* Two nodes with several loops, for the tests that include this, in virtual
   time.  What each hears from the other is numbered. */

#include "node.h"

#include "switch/session.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 3 };

typedef struct fixture {
  test_world w;
  test_node a, b;
  uint64_t drawn;
  unsigned sent[2], received[2]; /* By the node that hears it. */
  unsigned asked, answered;      /* Sends with a callback. */
} fixture;

static inline unsigned draw(fixture *f, unsigned below) {
  f->drawn = f->drawn * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(f->drawn >> 33) % below;
}

static inline void on_number(test_part *part, cmt_peer *p, uint8_t channel,
                             cmt_buf *msg) {
  fixture *f = part->arg;
  unsigned *received = &f->received[part->node == &f->b];

  (void)p;
  (void)channel;
  assert_int_equal(*received, cmt__load_le32(cmt_buf_bytes(msg).base));
  ++*received;
}

static inline fixture *fixture_new(unsigned loops) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init_loops(&f->w, loops);
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  f->a.parts[0].arg = f;
  f->b.parts[0].arg = f;
  return f;
}

static inline void fixture_delete(fixture *f) {
  if (f->a.sw != NULL) {
    test_node_fini(&f->a);
  }
  if (f->b.sw != NULL) {
    test_node_fini(&f->b);
  }
  test_world_fini(&f->w);
  free(f);
}

static inline int setup(void **state) {
  *state = fixture_new(LOOPS);
  return 0;
}

static inline int teardown(void **state) {
  fixture_delete(*state);
  return 0;
}

static inline void run_until_idle(fixture *f) {
  test_loop_run_until_idle(f->w.loop);
}

static inline size_t loop_of(const test_node *n, const cmt_peer *p) {
  size_t i = 0;

  while (test_loop_base(n->world->loops[i]) != p->link->loop) {
    i++;
  }
  return i;
}

typedef struct question {
  cmt_send_req req;
  fixture *f;
} question;

static inline void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  question *q = arg;

  assert_true(status == CMT_OK || status == CMT_ECLOSED);
  q->f->answered++;
  cmt_buf_unref(msg);
  free(q);
}

static inline bool ask(fixture *f, cmt_peer *p, cmt_buf *msg) {
  question *q = calloc(1, sizeof *q);

  assert_non_null(q);
  q->f = f;
  q->req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, on_answer, q);
  if (cmt_peer_send_async(p, TEST_CHAT, msg, &q->req) != CMT_OK) {
    free(q);
    return false;
  }
  f->asked++;
  return true;
}

/* A numbered message from |n| to its peer, by one of the two ways. */
static inline void send_number(fixture *f, test_node *n) {
  unsigned *sent = &f->sent[n == &f->a];
  size_t len = draw(f, 4) == 0 ? 60000 : 4;
  cmt_peer *p = NULL;
  cmt_buf *msg;
  bool taken;

  if (cmt_switch_peers(n->sw, &p, 1) == 0) {
    return;
  }
  msg = cmt_buf_new(&f->w.env.env, len);
  memset(cmt_buf_data(msg), 7, len);
  cmt__store_le32(cmt_buf_data(msg), *sent);
  taken = draw(f, 2) == 0 ? ask(f, p, msg)
                          : cmt_peer_try_send(p, TEST_CHAT, msg) == CMT_OK;
  *sent += taken;
  if (!taken) {
    cmt_buf_unref(msg);
  }
  cmt_peer_unref(p);
}

static inline void prepare_numbers(fixture *f, uint64_t seed) {
  test_node *nodes[] = {&f->a, &f->b};

  f->drawn = seed;
  f->w.env.seed = seed;
  for (size_t i = 0; i < 2; i++) {
    nodes[i]->quiet = true;
    nodes[i]->parts[0].on_receive = on_number;
    nodes[i]->parts[0].channels[0].send_queue = 5;
  }
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_loop_draw(f->w.loop, seed);
  if (draw(f, 2) == 0) {
    test_loop_defaults(f->w.loop)->cap = 5000 + draw(f, 50000);
    test_loop_defaults(f->w.loop)->read_max = 1 + draw(f, 3000);
  }
}

static inline void assert_balanced(test_node *n) {
  cmt_switch_status s;

  cmt_switch_get_status(n->sw, &s);
  assert_int_equal(s.dialed + s.accepted - s.rejected, s.added);
  assert_int_equal(s.added, s.removed);
  assert_int_equal(0, s.handshakes);
  assert_int_equal(0, s.recv_reserved_bytes);
}

static uint64_t running; /* The seed under way. */

static inline int print_seed(void **state) {
  (void)state;
  if (running != 0) {
    printf("# failed with seed %llu\n", (unsigned long long)running);
  }
  return 0;
}

/* From the dial on both sides send in between the iterations of the loops. */
#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
