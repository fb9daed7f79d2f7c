/* SPDX-License-Identifier: Apache-2.0 */

/* A story of two nodes on the loop double, once for each call of the loop
   interface, each time that it is made, and each error: that call fails with
   that error.  However it goes, a connection that ends reports the error as its
   reason, each attempt has one outcome, and the persistent dial brings the
   peers back and all messages across.  The story: a dial by a name with two
   addresses, of which the second is the right one; messages both ways, more
   than the network accepts at once; the other side ends the peer and is dialed
   again; both stop. */

#include "node.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  MESSAGES = 6, /* Messages of each side over each connection. */
  FLIGHT_MAX = 6000,
  THREADS = 1, /* For most of the operations of the handshakes. */
};

#define LIMIT_NS CMT_SECONDS(60)

typedef struct side {
  test_node node;
  cmt_peer *peer; /* Lent. */
  unsigned inits, adds, removes;
  unsigned adds_seen;          /* When the present step began. */
  unsigned accepted, received; /* Over the connection that is up. */
} side;

typedef struct story {
  test_world w;
  side sides[2]; /* TEST_DIALER, TEST_ACCEPTOR. */
  char dialed[CMT_NET_ADDR_TEXT_SIZE];
  size_t calls[TEST_CALL_COUNT];
  bool fired, live; /* The fault came, and met a connection in use. */
  int at;           /* The side that it came to. */
  bool broken;      /* Memory lacked for a start or a dial. */
  unsigned ends[2]; /* Rejections and removals by side, */
  unsigned ends_by[2][CMT__ERR_COUNT]; /* and by reason. */
} story;

static const char *const call_names[] = {
  [TEST_CALL_LISTEN] = "listen",
  [TEST_CALL_RESOLVE] = "resolve",
  [TEST_CALL_ON_RESOLVED] = "on_resolved",
  [TEST_CALL_CONNECT] = "connect",
  [TEST_CALL_ON_CONNECT] = "on_connect",
  [TEST_CALL_WRITE] = "write",
  [TEST_CALL_READ] = "read",
  [TEST_CALL_ON_END] = "on_end",
};

/* ---- what the nodes do ---- */

static size_t message_len(unsigned index) { return (index * 1777u) % 5000; }

static void on_init(test_part *part, cmt_peer *p) {
  (void)p;
  ((side *)part->arg)->inits++;
}

static void on_add(test_part *part, cmt_peer *p) {
  static const uint8_t zeros[5000];
  side *s = part->arg;
  uint8_t text[sizeof zeros];

  assert_null(s->peer);
  s->peer = p;
  s->adds++;
  s->accepted = 0;
  s->received = 0;
  for (unsigned i = 0; i < MESSAGES; i++) {
    memset(text, (int)s->accepted, sizeof text);
    if (cmt_peer_try_send_bytes(p, TEST_CHAT, text, message_len(s->accepted)) ==
        CMT_OK) {
      s->accepted++;
    }
  }
}

static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  side *s = part->arg;
  cmt_bytes b = cmt_buf_bytes(msg);

  (void)p;
  assert_int_equal(TEST_CHAT, channel);
  assert_int_equal(message_len(s->received), b.len);
  if (b.len > 0) {
    assert_int_equal(s->received, b.base[0]);
    assert_int_equal(s->received, b.base[b.len - 1]);
  }
  s->received++;
}

static void on_remove(test_part *part, cmt_peer *p) {
  side *s = part->arg;

  if (s->peer == p) {
    s->peer = NULL;
  }
  s->removes++;
}

/* ---- the story ---- */

static void prepare(story *x, int index) {
  side *s = &x->sides[index];
  test_part *part;

  test_node_init(&s->node, &x->w);
  part = &s->node.parts[0];
  s->node.quiet = true;
  s->node.options.handshake_threads = THREADS;
  s->node.options.handshake_offload_rate = 1;
  s->node.options.laddr = index == TEST_ACCEPTOR ? "10.0.0.2:26656" : NULL;
  part->channels[0].send_queue = MESSAGES;
  part->on_init = on_init;
  part->on_add = on_add;
  part->on_receive = on_receive;
  part->on_remove = on_remove;
  part->arg = s;
}

static bool start(story *x, int index) {
  test_node *n = &x->sides[index].node;
  cmt_why why;

  if (test_node_new(n, &why) != CMT_OK) {
    assert_cmt(CMT_ENOMEM, why.err);
    n->sw = NULL;
    return false;
  }
  if (cmt_switch_start(n->sw, &why) != CMT_OK) {
    assert_cmt(CMT_ENOMEM, why.err);
    return false;
  }
  return true;
}

/* Both have all that the other one's last add_peer has queued. */
static bool is_across(void *arg) {
  const story *x = arg;
  const side *a = &x->sides[TEST_DIALER], *b = &x->sides[TEST_ACCEPTOR];

  return a->peer != NULL && b->peer != NULL && a->adds > a->adds_seen &&
         b->adds > b->adds_seen && a->received == b->accepted &&
         b->received == a->accepted;
}

/* An error for which the dialer gives up is answered with a new dial. */
static bool has_given_up(story *x) {
  const side *a = &x->sides[TEST_DIALER];

  return a->node.sw->dial_count == 0 && a->node.sw->requests == NULL;
}

static bool is_across_or_given_up(void *arg) {
  return is_across(arg) || has_given_up(arg);
}

static void dial(story *x) {
  cmt_err err = cmt_switch_dial(x->sides[TEST_DIALER].node.sw, x->dialed,
                                CMT_DIAL_PERSISTENT, NULL);

  if (err != CMT_OK) {
    assert_cmt(CMT_ENOMEM, err);
    x->broken = true;
  }
}

static void go_on(story *x) {
  for (int i = 0; i < 2 && !x->broken; i++) {
    test_loop_run_until(x->w.loop, is_across_or_given_up, x, LIMIT_NS);
    if (is_across(x)) {
      return;
    }
    dial(x);
  }
  assert_true(x->broken || is_across(x));
}

static bool are_finished(void *arg) {
  const story *x = arg;

  return cmt__switch_is_finished(x->sides[0].node.sw) &&
         cmt__switch_is_finished(x->sides[1].node.sw);
}

static void meet_and_part(story *x) {
  side *a = &x->sides[TEST_DIALER], *b = &x->sides[TEST_ACCEPTOR];
  cmt_node_id id;

  cmt_switch_get_id(b->node.sw, &id);
  snprintf(x->dialed, sizeof x->dialed, "%s@b.example:26656", id.text);
  dial(x);
  go_on(x);
  if (!x->broken) {
    a->adds_seen = a->adds;
    b->adds_seen = b->adds;
    cmt_peer_stop(b->peer, CMT_ECANCELED, CMT_SECONDS(1));
    go_on(x);
  }
  cmt_switch_stop(a->node.sw, CMT_SECONDS(1));
  cmt_switch_stop(b->node.sw, CMT_SECONDS(1));
  test_loop_run_until(x->w.loop, are_finished, x, CMT_SECONDS(5));
}

/* Before the switch goes. */
static void take_stock(story *x, int index) {
  side *s = &x->sides[index];
  cmt_switch_status st;

  cmt_switch_get_status(s->node.sw, &st);
  assert_int_equal(0, st.handshakes);
  assert_int_equal(st.added, st.removed);
  assert_int_equal(s->adds, st.added);
  assert_int_equal(s->inits, s->removes);
  if (index == TEST_ACCEPTOR || x->w.env.fail_at == SIZE_MAX) {
    assert_int_equal(st.accepted + st.dialed, st.added + st.rejected);
  } else { /* Without memory a dial is rejected before it is one. */
    assert_in_range(st.added + st.rejected, st.dialed,
                    st.dialed + 1 + x->w.env.shortage);
  }
  for (size_t i = 0; i < CMT__ERR_COUNT; i++) {
    cmt_reason_counts by = test_reason(s->node.sw, cmt__err_at(i));

    x->ends_by[index][i] = (unsigned)by.rejected + (unsigned)by.removed;
    x->ends[index] += x->ends_by[index][i];
  }
  assert_null(s->peer);
}

static void on_fault(void *arg, int at) {
  story *x = arg;
  const side *s = &x->sides[at];

  assert_false(x->fired);
  x->fired = true;
  x->at = at;
  x->live = s->peer != NULL || s->node.sw->handshakes > 0;
}

static story *story_new(void) {
  story *x = calloc(1, sizeof *x);

  assert_non_null(x);
  test_world_init(&x->w);
  test_loop_defaults(x->w.loop)->cap = FLIGHT_MAX;
  test_loop_set_host(x->w.loop, "b.example", "10.0.0.1,10.0.0.2");
  test_loop_on_fault(x->w.loop, on_fault, x);
  prepare(x, TEST_DIALER);
  prepare(x, TEST_ACCEPTOR);
  return x;
}

static void story_run(story *x) {
  bool ok = start(x, TEST_ACCEPTOR) && start(x, TEST_DIALER);

  if (ok) {
    meet_and_part(x);
  }
  for (int i = 0; i < 2; i++) {
    test_node *n = &x->sides[i].node;

    if (ok) {
      take_stock(x, i);
    }
    if (n->sw != NULL) {
      test_node_fini(n);
    }
  }
  for (int i = 0; i < TEST_CALL_COUNT; i++) {
    x->calls[i] = test_loop_calls(x->w.loop, (test_call)i);
  }
}

static void story_delete(story *x) {
  test_world_fini(&x->w); /* Fails when anything is still allocated. */
  free(x);
}

/* ---- the faults ---- */

static story *calm;    /* Without a fault. */
static char plan[100]; /* What is to fail; empty between two stories. */

static int print_plan(void **state) {
  (void)state;
  if (plan[0] != '\0') {
    print_error("in the story where %s\n", plan);
    plan[0] = '\0';
  }
  return 0;
}

static int run_calm(void **state) {
  (void)state;
  calm = story_new();
  story_run(calm);
  assert_int_equal(2, calm->sides[TEST_DIALER].adds);
  return 0;
}

static int forget_calm(void **state) {
  (void)state;
  story_delete(calm);
  return 0;
}

/* The first of the two addresses is refused anyway; the second dial begins
   where the first one met the node. */
static bool is_survived(const story *x, test_call call, size_t at) {
  if (call == TEST_CALL_CONNECT || call == TEST_CALL_ON_CONNECT) {
    return at == 0;
  }
  return !x->live;
}

static void check(const story *x, test_call call, size_t at, cmt_err err) {
  size_t i = cmt__err_index(err);
  bool survived = is_survived(x, call, at);
  bool replaces = call == TEST_CALL_ON_END; /* Another end, always an EOF. */
  unsigned by = calm->ends_by[x->at][i];
  unsigned all = calm->ends[x->at];

  if (!survived) {
    by += replaces && err == CMT_EEOF ? 0 : 1;
    all += replaces ? 0 : 1;
  }
  if (x->ends_by[x->at][i] != by) {
    fail_msg("%u ends with this error, not %u", x->ends_by[x->at][i], by);
  }
  if (x->ends[x->at] != all) {
    fail_msg("%u ends instead of %u", x->ends[x->at], all);
  }
  if (x->ends[1 - x->at] > calm->ends[1 - x->at] + 1) {
    fail_msg("the other side has %u ends", x->ends[1 - x->at]);
  }
}

static void run(test_call call, size_t at, cmt_err err) {
  story *x = story_new();

  snprintf(plan, sizeof plan, "%s %zu fails with %s", call_names[call], at,
           cmt_err_name(err));
  test_loop_fail(x->w.loop, call, at, err);
  story_run(x);
  assert_true(x->fired);
  check(x, call, at, err);
  story_delete(x);
  plan[0] = '\0';
}

static void sweep(test_call call) {
  size_t runs = 0;

  for (size_t at = 0; at < calm->calls[call]; at++) {
    for (size_t e = 1; e < CMT__ERR_COUNT; e++) {
      run(call, at, cmt__err_at(e));
      runs++;
    }
  }
  printf("# %s: %zu calls, %zu runs\n", call_names[call], calm->calls[call],
         runs);
  assert_true(runs > 0);
}

static void any_resolve_may_fail(void **state) {
  (void)state;
  sweep(TEST_CALL_RESOLVE);
}

static void any_answer_to_a_resolve_may_be_an_error(void **state) {
  (void)state;
  sweep(TEST_CALL_ON_RESOLVED);
}

static void any_connect_may_fail(void **state) {
  (void)state;
  sweep(TEST_CALL_CONNECT);
}

static void any_outcome_of_a_connect_may_be_an_error(void **state) {
  (void)state;
  sweep(TEST_CALL_ON_CONNECT);
}

static void any_write_may_fail(void **state) {
  (void)state;
  sweep(TEST_CALL_WRITE);
}

static void any_read_may_fail(void **state) {
  (void)state;
  sweep(TEST_CALL_READ);
}

static void any_end_may_have_any_reason(void **state) {
  (void)state;
  sweep(TEST_CALL_ON_END);
}

/* Then nothing was started, and nothing has to be stopped. */
static void a_listen_that_fails_is_the_error_of_the_start(void **state) {
  (void)state;
  for (size_t e = 1; e < CMT__ERR_COUNT; e++) {
    cmt_err err = cmt__err_at(e);
    story *x = story_new();
    test_node *n = &x->sides[TEST_ACCEPTOR].node;
    char text[256];
    cmt_why why;

    test_loop_fail(x->w.loop, TEST_CALL_LISTEN, 0, err);
    assert_cmt(CMT_OK, test_node_new(n, NULL));
    assert_cmt(err, cmt_switch_start(n->sw, &why));
    assert_cmt(err, why.err);
    snprintf(text, sizeof text, "cannot listen on 10.0.0.2:26656: %s",
             cmt_err_text(err));
    assert_string_equal(text, why.text);
    assert_string_equal("", test_node_log(n));
    assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
    story_delete(x);
  }
}

static void fail_allocations(size_t more) {
  size_t count = calm->w.env.allocs;

  for (size_t i = 0; i < count; i++) {
    story *x = story_new();

    snprintf(plan, sizeof plan, "allocation %zu fails, and %zu after it", i,
             more);
    x->w.env.fail_at = i;
    x->w.env.shortage = more;
    story_run(x);
    story_delete(x);
    plan[0] = '\0';
  }
  printf("# %zu allocations\n", count);
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  fail_allocations(0);
}

/* The dial goes on until memory is there again. */
static void allocations_may_fail_for_a_while(void **state) {
  (void)state;
  for (size_t more = 1; more < 10; more = 3 * more + 1) {
    fail_allocations(more);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, print_plan)
  const struct CMUnitTest tests[] = {
    TEST(a_listen_that_fails_is_the_error_of_the_start),
    TEST(any_resolve_may_fail),
    TEST(any_answer_to_a_resolve_may_be_an_error),
    TEST(any_connect_may_fail),
    TEST(any_outcome_of_a_connect_may_be_an_error),
    TEST(any_write_may_fail),
    TEST(any_read_may_fail),
    TEST(any_end_may_have_any_reason),
    TEST(any_allocation_may_fail),
    TEST(allocations_may_fail_for_a_while),
  };
#undef TEST

  return cmocka_run_group_tests_name("loop_faults", tests, run_calm,
                                     forget_calm);
}
