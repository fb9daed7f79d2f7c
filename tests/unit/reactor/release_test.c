/* SPDX-License-Identifier: Apache-2.0 */

/* Wherever a message or a value ends, its release may call everything, because
   no lock of the library is locked there.  Whole nodes on a loop double. */

#include "node.h"

#include "sys/lock.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  LEN = 1 << 20, /* Several batches of frames, so that a socket delays it. */
  QUEUE = 5,
  REQS = 64,
};

static const uint8_t bytes[LEN];

/* What a release stops besides all that it calls. */
typedef enum stops { STOPS_NOTHING, STOPS_PEER, STOPS_SWITCH, STOPS_END } stops;

typedef struct fixture {
  test_trio t;
  cmt_peer *peer; /* Node a has it. */
  stops what;
  unsigned made, released;
  cmt_send_req reqs[REQS];
  unsigned asked;
  bool dialed;
} fixture;

static void ignore(cmt_err err) { (void)err; }

/* ---- what a release calls ---- */

static void ask_peer(fixture *f, cmt_peer *p) {
  cmt_peer_status status;
  cmt_net_addr at;
  cmt_why why;

  cmt_peer_unref(cmt_peer_ref(p));
  assert_non_null(cmt_peer_id(p));
  assert_non_null(cmt_peer_node_info(p));
  assert_true(cmt_peer_has_channel(p, TEST_CHAT));
  (void)cmt_peer_is_outbound(p);
  (void)cmt_peer_is_persistent(p);
  (void)cmt_peer_env(p);
  cmt_peer_get_remote(p, &at);
  cmt_peer_get_why(p, &why);
  cmt_peer_get_status(p, &status);
  assert_cmt(CMT_OK, cmt_peer_set_value(p, "release", f, NULL));
  assert_ptr_equal(f, cmt_peer_value(p, "release"));
  assert_cmt(CMT_OK, cmt_peer_set_value(p, "release", NULL, NULL));
  assert_cmt(CMT_EPROTO, cmt_peer_explain(p, CMT_EPROTO, "a release says so"));
}

static void use_peer(fixture *f, cmt_peer *p) {
  cmt_buf *msg = cmt_buf_copy(NULL, "late", 4);
  cmt_send_req *req = &f->reqs[f->asked++ % REQS];

  ignore(cmt_peer_try_send_bytes(p, TEST_CHAT, "late", 4));
  *req = (cmt_send_req)CMT_SEND_REQ(0, NULL, NULL);
  if (cmt_peer_send_async(p, TEST_CHAT, cmt_buf_ref(msg), req) != CMT_OK) {
    cmt_buf_unref(msg);
  }
  if (cmt_peer_send(p, TEST_CHAT, msg, 0) != CMT_OK) {
    cmt_buf_unref(msg);
  }
  cmt_peer_pause(p);
  cmt_peer_resume(p);
  if (f->what == STOPS_PEER) {
    cmt_peer_stop(p, CMT_EPROTO, 0);
  }
}

static void use_switch(fixture *f, cmt_switch *s) {
  cmt_switch_status status;
  cmt_peer *peers[4];
  size_t count = cmt_switch_peers(s, peers, 4);
  cmt_node_id id;
  cmt_net_addr at;

  for (size_t i = 0; i < count; i++) {
    cmt_peer_unref(cmt_switch_peer(s, cmt_peer_id(peers[i])));
    cmt_peer_unref(peers[i]);
  }
  (void)cmt_switch_env(s);
  cmt_switch_get_id(s, &id);
  ignore(cmt_switch_get_laddr(s, &at));
  cmt_switch_get_status(s, &status);
  assert_true(cmt_switch_memory_max(s) > 0);
  assert_null(cmt_switch_mailbox(s, "chat"));
  assert_cmt(CMT_OK, cmt_switch_broadcast_bytes(s, TEST_CHAT, "all", 3, NULL));
  if (!f->dialed) {
    f->dialed = true;
    ignore(cmt_switch_dial(s, f->t.c.addr, 0, NULL));
  }
  if (f->what == STOPS_SWITCH) {
    cmt_switch_stop(s, 0);
  }
}

static void call_everything(fixture *f) {
  assert_int_equal(0, cmt__locks_held);
  if (f->peer != NULL) {
    ask_peer(f, f->peer);
    use_peer(f, f->peer);
  }
  if (f->t.a.sw != NULL) {
    use_switch(f, f->t.a.sw);
  }
}

static void on_release(void *arg) {
  fixture *f = arg;

  f->released++;
  call_everything(f);
}

/* ---- messages ---- */

static cmt_buf *adopted_len(fixture *f, size_t len) {
  cmt_buf *b =
    cmt_buf_adopt(NULL, (cmt_bytes){.base = bytes, .len = len}, on_release, f);

  assert_non_null(b);
  f->made++;
  return b;
}

static cmt_buf *adopted(fixture *f) { return adopted_len(f, LEN); }

static void send_adopted(fixture *f, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_cmt(CMT_OK, cmt_peer_try_send(f->peer, TEST_CHAT, adopted(f)));
  }
}

/* A send whose message nobody cancels. */
static void wait_adopted(fixture *f, uint64_t timeout_ns) {
  cmt_send_req *req = &f->reqs[f->asked++ % REQS];

  *req = (cmt_send_req)CMT_SEND_REQ(timeout_ns, NULL, NULL);
  assert_cmt(CMT_OK, cmt_peer_send_async(f->peer, TEST_CHAT, adopted(f), req));
}

static void run_until_idle(fixture *f) {
  test_loop_run_until_idle(f->t.w.loop);
}

/* From now on the network accepts nothing of node a. */
static void dam(fixture *f) {
  test_loop_conn(f->t.w.loop, 0)->dir[TEST_DIALER].cap = 0;
}

static void meet(fixture *f) {
  f->t.a.quiet = f->t.b.quiet = f->t.c.quiet = true;
  f->t.a.parts[0].channels[0].send_queue = QUEUE;
  test_pair(&f->t.w, &f->t.a, &f->t.b);
  test_node_start(&f->t.c);
  f->peer = cmt_peer_ref(test_node_peer(&f->t.a));
}

/* ---- where a message can end ---- */

static void is_cut(fixture *f) {
  send_adopted(f, 3);
  run_until_idle(f);
}

static void queue_up(fixture *f) {
  dam(f);
  send_adopted(f, QUEUE);
  run_until_idle(f);
}

static void its_connection_is_lost(fixture *f) {
  queue_up(f);
  test_conn_cut(test_loop_conn(f->t.w.loop, 0));
  run_until_idle(f);
}

static void the_other_side_hangs_up(fixture *f) {
  queue_up(f);
  cmt_peer_stop(test_node_peer(&f->t.b), CMT_ECANCELED, 0);
  run_until_idle(f);
}

static void its_peer_is_stopped(fixture *f) {
  queue_up(f);
  cmt_peer_stop(f->peer, CMT_ECANCELED, 0);
  run_until_idle(f);
}

static void the_flush_of_a_stop_takes_too_long(fixture *f) {
  queue_up(f);
  cmt_peer_stop(f->peer, CMT_ECANCELED, CMT_SECONDS(1));
  run_until_idle(f);
  test_loop_advance(f->t.w.loop, CMT_SECONDS(2));
}

static void the_switch_stops(fixture *f) {
  queue_up(f);
  cmt_switch_stop(f->t.a.sw, 0);
  run_until_idle(f);
}

static void it_was_not_removed_from_the_queue(fixture *f) {
  send_adopted(f, QUEUE);
  cmt_peer_stop(f->peer, CMT_ECANCELED, 0);
  run_until_idle(f);
}

static void there_is_no_memory_to_queue_it(fixture *f) {
  send_adopted(f, 1);
  f->t.w.env.fail_at = f->t.w.env.allocs;
  run_until_idle(f);
  f->t.w.env.fail_at = SIZE_MAX;
}

static void it_waited_for_room(fixture *f) {
  queue_up(f);
  send_adopted(f, 1);
  for (int i = 0; i < 4; i++) {
    wait_adopted(f, CMT_NEVER);
  }
  run_until_idle(f);
  test_conn_cut(test_loop_conn(f->t.w.loop, 0));
  run_until_idle(f);
}

static void its_time_passed(fixture *f) {
  queue_up(f);
  send_adopted(f, 1);
  wait_adopted(f, 0);
  wait_adopted(f, CMT_SECONDS(1));
  run_until_idle(f);
  test_loop_advance(f->t.w.loop, CMT_SECONDS(2));
  test_conn_cut(test_loop_conn(f->t.w.loop, 0));
  run_until_idle(f);
}

static void a_stop_refuses_what_waits(fixture *f) {
  queue_up(f);
  send_adopted(f, 1);
  wait_adopted(f, CMT_NEVER);
  run_until_idle(f);
  cmt_peer_stop(f->peer, CMT_ECANCELED, 0);
  run_until_idle(f);
}

/* The reference of the call is the last one: nobody has room. */
static void a_broadcast_reaches_nobody(fixture *f) {
  cmt_broadcast counts;

  queue_up(f);
  send_adopted(f, 1);
  assert_cmt(CMT_OK,
             cmt_switch_broadcast(f->t.a.sw, TEST_CHAT, adopted(f), &counts));
  assert_int_equal(1, counts.full);
  test_conn_cut(test_loop_conn(f->t.w.loop, 0));
  run_until_idle(f);
}

static void a_broadcast_ends_with_its_peer(fixture *f) {
  dam(f);
  assert_cmt(CMT_OK,
             cmt_switch_broadcast(f->t.a.sw, TEST_CHAT, adopted(f), NULL));
  run_until_idle(f);
  test_conn_cut(test_loop_conn(f->t.w.loop, 0));
  run_until_idle(f);
}

static void its_send_is_refused(fixture *f) {
  cmt_buf *msg;

  cmt_peer_stop(f->peer, CMT_ECANCELED, 0);
  run_until_idle(f);
  msg = adopted(f);
  assert_cmt(CMT_ECLOSED, cmt_peer_try_send(f->peer, TEST_CHAT, msg));
  cmt_buf_unref(msg);
}

static void (*const places[])(fixture *f) = {
  is_cut,
  its_connection_is_lost,
  the_other_side_hangs_up,
  its_peer_is_stopped,
  the_flush_of_a_stop_takes_too_long,
  the_switch_stops,
  it_was_not_removed_from_the_queue,
  there_is_no_memory_to_queue_it,
  it_waited_for_room,
  its_time_passed,
  a_stop_refuses_what_waits,
  a_broadcast_reaches_nobody,
  a_broadcast_ends_with_its_peer,
  its_send_is_refused,
};

/* ---- */

static fixture *fixture_new(stops what) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  f->what = what;
  test_world_init(&f->t.w);
  test_node_init(&f->t.a, &f->t.w);
  test_node_init(&f->t.b, &f->t.w);
  test_node_init(&f->t.c, &f->t.w);
  return f;
}

static void fixture_delete(fixture *f) {
  test_node *nodes[] = {&f->t.a, &f->t.b, &f->t.c};
  cmt_peer *peer = f->peer;

  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    if (nodes[i]->sw != NULL) {
      test_node_fini(nodes[i]);
    }
  }
  assert_int_equal(f->made, f->released);
  f->peer = NULL;
  cmt_peer_unref(peer);
  test_world_fini(&f->t.w);
  free(f);
}

static void a_release_may_call_everything(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(places); i++) {
    for (int k = 0; k < STOPS_END; k++) {
      fixture *f = fixture_new((stops)k);

      meet(f);
      places[i](f);
      assert_true(f->released > 0);
      fixture_delete(f);
    }
  }
}

/* The peer queued it before any reactor refused it. */
static void send_early(test_part *part, cmt_peer *p) {
  fixture *f = part->arg;

  if (f->peer == NULL) {
    f->peer = cmt_peer_ref(p);
    send_adopted(f, 2);
    wait_adopted(f, CMT_NEVER);
  }
}

static void so_may_one_of_a_peer_that_is_refused(void **state) {
  (void)state;
  for (int k = 0; k < STOPS_END; k++) {
    fixture *f = fixture_new((stops)k);

    f->t.a.parts[0].arg = f;
    f->t.a.parts[0].on_init = send_early;
    f->t.a.parts[0].init_err = CMT_EREACTOR;
    f->t.a.parts[0].channels[0].send_queue = QUEUE;
    test_node_start(&f->t.a);
    test_node_start(&f->t.b);
    test_node_start(&f->t.c);
    test_node_dial(&f->t.a, f->t.b.addr, 0);
    assert_int_equal(3, f->released);
    fixture_delete(f);
  }
}

/* ---- values ---- */

static void on_destroy(void *value) { on_release(value); }

static void so_may_the_destructor_of_a_value(void **state) {
  (void)state;
  for (int k = 0; k < STOPS_END; k++) {
    fixture *f = fixture_new((stops)k);

    meet(f);
    f->made = 2;
    assert_cmt(CMT_OK, cmt_peer_set_value(f->peer, "value", f, on_destroy));
    assert_cmt(CMT_OK, cmt_peer_set_value(f->peer, "value", f, on_destroy));
    assert_int_equal(1, f->released);
    assert_cmt(CMT_OK, cmt_peer_set_value(f->peer, "value", NULL, NULL));
    assert_int_equal(2, f->released);
    run_until_idle(f);
    fixture_delete(f);
  }
}

/* The peer itself is of no use any more then. */
static void on_last(void *value) {
  fixture *f = value;

  assert_int_equal(0, cmt__locks_held);
  f->released++;
  use_switch(f, f->t.a.sw);
}

static void so_may_one_that_goes_with_its_peer(void **state) {
  fixture *f = fixture_new(STOPS_NOTHING);

  (void)state;
  meet(f);
  f->made = 1;
  assert_cmt(CMT_OK, cmt_peer_set_value(f->peer, "value", f, on_last));
  cmt_peer_unref(f->peer);
  f->peer = NULL;
  test_conn_cut(test_loop_conn(f->t.w.loop, 0));
  run_until_idle(f);
  assert_int_equal(1, f->released);
  fixture_delete(f);
}

/* ---- the rule ---- */

static jmp_buf caught;

static void on_panic(void *arg, const char *file, int line, const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  (void)what;
  longjmp(caught, 1);
}

static void code_of_the_application_under_a_lock_is_a_fault(void **state) {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  cmt_env env;
  bool found;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.panic = on_panic;
  cmt__assert_unlocked(&env);
  cmt__lock(&lock);
  found = setjmp(caught) != 0;
  if (!found) {
    cmt__assert_unlocked(&env);
  }
  cmt__unlock(&lock);
  assert_true(found);
  cmt__assert_unlocked(&env);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_release_may_call_everything),
    cmocka_unit_test(so_may_one_of_a_peer_that_is_refused),
    cmocka_unit_test(so_may_the_destructor_of_a_value),
    cmocka_unit_test(so_may_one_that_goes_with_its_peer),
    cmocka_unit_test(code_of_the_application_under_a_lock_is_a_fault),
  };

  return cmocka_run_group_tests_name("release", tests, NULL, NULL);
}
