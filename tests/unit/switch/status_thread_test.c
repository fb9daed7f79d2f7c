/* SPDX-License-Identifier: Apache-2.0 */

/* A status that is read while its numbers change: those of one report belong
   together. */

#include "node.h"
#include "packets.h"

#include "core/mux/channel.h"

#include <pthread.h>
#include <stdatomic.h>

/* Reads that find another number than the one before, so that both threads were
   at work, and all reads at least. */
enum { CHANGES = 300, READS = 100000 };

typedef struct reader {
  uint64_t (*read)(struct reader *r); /* A number that only grows. */
  const cmt_peer *peer;
  const cmt__channels *channels;
  atomic_bool done;
  unsigned wrong; /* Reports whose numbers do not belong together. */
} reader;

static void *read_often(void *arg) {
  reader *r = arg;
  uint64_t before = 0;

  for (unsigned changes = 0, reads = 0; changes < CHANGES || reads < READS;
       reads++) {
    uint64_t now = r->read(r);

    changes += now != before;
    before = now;
  }
  atomic_store(&r->done, true);
  return NULL;
}

/* ---- a peer ---- */

static uint64_t read_peer(reader *r) {
  cmt_peer_status s;

  cmt_peer_get_status(r->peer, &s);
  r->wrong += s.rtt_last_ns != s.rtt_min_ns || s.rtt_last_ns != s.pongs_recv ||
              s.rtt_last_ns != s.sent_bytes || s.rtt_last_ns != s.recv_bytes ||
              s.rtt_last_ns != s.write_calls || s.rtt_last_ns != s.read_calls ||
              s.rtt_last_ns != s.read_paused_ns;
  return s.rtt_last_ns;
}

static void count_to(cmt_peer *p, uint64_t number) {
  cmt__link *l = p->link;

  l->rtt_last_ns = number;
  l->rtt_min_ns = number;
  l->pongs_recv = number;
  l->sent_bytes = number;
  l->recv_bytes = number;
  l->write_calls = number;
  l->read_calls = number;
  l->paused_ns = number;
  cmt__peer_count(p);
}

static void the_numbers_of_a_peer_are_of_one_iteration(void **state) {
  test_trio *t = *state;
  reader r = {.read = read_peer};
  pthread_t thread;
  cmt_peer *p;

  test_pair(&t->w, &t->a, &t->b);
  p = test_node_peer(&t->a);
  r.peer = p;
  count_to(p, 0);
  assert_int_equal(0, pthread_create(&thread, NULL, read_often, &r));
  for (uint64_t i = 1; !atomic_load(&r.done); i++) {
    count_to(p, i);
  }
  pthread_join(thread, NULL);
  assert_int_equal(0, r.wrong);
}

/* ---- a channel ---- */

static uint64_t read_channel(reader *r) {
  cmt_channel_status s;

  cmt__channel_get_status(r->channels, 0, &s);
  r->wrong += s.wait_last_ns > s.wait_max_ns;
  return s.wait_last_ns;
}

/* A message that waits until |now_ns|. */
static void wait_until(cmt__channels *cs, cmt_buf *msg, uint64_t now_ns) {
  uint8_t out[64];
  cmt__batch batch = cmt__batch_plain(NULL, out, sizeof out);

  assert_cmt(CMT_OK, cmt__channel_queue(cs, 0, cmt_buf_ref(msg)));
  cs->now_ns = now_ns;
  cmt__channels_fill(cs, &batch);
}

/* Each message waits longer than all before. */
static void the_last_message_waited_no_longer_than_the_longest(void **state) {
  static const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_buf *msg = cmt_buf_copy(NULL, "x", 1);
  cmt_conn_group_options o = cmt__conn_group_options(NULL, list, 1);
  reader r = {.read = read_channel};
  cmt_conn_group *group;
  cmt__channels cs;
  pthread_t thread;

  (void)state;
  assert_non_null(msg);
  assert_cmt(CMT_OK, cmt_conn_group_new(&o, 0, &group, NULL));
  assert_cmt(CMT_OK, cmt__channels_init(&cs, group, test_wire()));
  cs.payload_max = 1024;
  r.channels = &cs;
  assert_int_equal(0, pthread_create(&thread, NULL, read_often, &r));
  for (uint64_t i = 1; !atomic_load(&r.done); i++) {
    wait_until(&cs, msg, cs.now_ns + i * 1000);
  }
  pthread_join(thread, NULL);
  assert_int_equal(0, r.wrong);
  cmt__channels_fini(&cs);
  cmt__conn_group_unref(group);
  cmt_buf_unref(msg);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(the_numbers_of_a_peer_are_of_one_iteration,
                                    test_trio_setup, test_trio_teardown),
    cmocka_unit_test(the_last_message_waited_no_longer_than_the_longest),
  };

  return cmocka_run_group_tests_name("status_thread", tests, NULL, NULL);
}
