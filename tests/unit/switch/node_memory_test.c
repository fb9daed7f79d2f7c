/* SPDX-License-Identifier: Apache-2.0 */

/* A small scenario, once for each allocation it makes, with that one failing,
   or that one and all after it: every dial and accept still has its one
   outcome, every reactor sees as many remove_peer as it should, and nothing is
   left allocated. */

#include "node.h"

#include <stdio.h>

enum { LARGE = 300000, MAILBOXES = 2, FIRST_MAIL = 0x61 };

typedef struct calls {
  unsigned inits, removes;
} calls;

typedef struct scenario {
  test_world w;
  test_node a, b;
  calls seen[2];       /* By node. */
  unsigned ups, gones; /* Events of the mailboxes of |b|. */
  bool whole;          /* Everything happened. */
} scenario;

static void count_init(test_part *part, cmt_peer *p) {
  (void)p;
  ((calls *)part->arg)->inits++;
}

static void count_remove(test_part *part, cmt_peer *p) {
  (void)p;
  ((calls *)part->arg)->removes++;
}

static void node_prepare(scenario *s, test_node *n, int index) {
  test_node_init(n, &s->w);
  n->quiet = true;
  n->options.laddr = index == 0 ? NULL : "10.0.0.2:26656";
  n->parts[0].on_init = count_init;
  n->parts[0].on_remove = count_remove;
  n->parts[0].arg = &s->seen[index];
  n->parts[0].channels[0].send_queue = 100;
}

/* Two reactors more. */
static void mailboxes_prepare(test_node *n, cmt_delivery delivery) {
  static const char *const names[MAILBOXES] = {"second", "third"};

  for (uint8_t i = 0; i < MAILBOXES; i++) {
    test_part *part = test_node_part(n, names[i]);

    part->delivery = delivery;
    test_part_channel(part, (cmt_channel){.id = (uint8_t)(FIRST_MAIL + i),
                                          .priority = 1,
                                          .send_queue = 20});
  }
}

/* Receives all events of |b|. */
static void mailboxes_take(scenario *s) {
  for (size_t i = 1; i < s->b.part_count; i++) {
    cmt_mailbox *m = cmt_switch_mailbox(s->b.sw, s->b.parts[i].name);
    cmt_mailbox_event ev;

    while (cmt_mailbox_next(m, &ev, 0) == CMT_OK) {
      s->ups += ev.kind == CMT_EVENT_PEER_UP;
      s->gones += ev.kind == CMT_EVENT_PEER_GONE;
      cmt_mailbox_done(m, &ev);
      test_loop_run_until_idle(s->w.loop);
    }
  }
}

static bool node_start(test_node *n) {
  cmt_why why;

  if (test_node_new(n, &why) != CMT_OK) {
    assert_cmt(CMT_ENOMEM, why.err);
    return false;
  }
  if (cmt_switch_start(n->sw, &why) != CMT_OK) {
    assert_cmt(CMT_ENOMEM, why.err);
    assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
    n->sw = NULL;
    return false;
  }
  return true;
}

/* Sends, with short writes on the way, until the other side has all. */
static void talk(scenario *s, cmt_peer *p) {
  test_conn *conn = test_loop_conn(s->w.loop, 0);

  conn->dir[TEST_DIALER].cap = 100000;
  for (int i = 0; i < 10; i++) {
    cmt_buf *b = cmt_buf_new(&s->w.env.env, LARGE);

    if (b != NULL) {
      memset(cmt_buf_data(b), i, LARGE);
      if (cmt_peer_try_send(p, TEST_CHAT, b) != CMT_OK) {
        cmt_buf_unref(b);
      }
    }
  }
  for (uint8_t i = 0; i < 10 && s->b.part_count > 1; i++) {
    (void)!cmt_peer_try_send_bytes(p, (uint8_t)(FIRST_MAIL + i % MAILBOXES),
                                   "mail", 4);
  }
  test_loop_run_until_idle(s->w.loop);
  mailboxes_take(s);
}

static void meet(scenario *s) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_node_id id;
  cmt_switch_status status;
  cmt_peer *p;

  cmt_switch_get_id(s->b.sw, &id);
  snprintf(addr, sizeof addr, "%s@10.0.0.2:26656", id.text);
  if (cmt_switch_dial(s->a.sw, addr, 0, NULL) != CMT_OK) {
    return;
  }
  test_loop_run_until_idle(s->w.loop);
  p = cmt_switch_peer(s->a.sw, &id);
  cmt_switch_get_status(s->a.sw, &status);
  assert_int_equal(1, status.added + status.rejected);
  cmt_switch_get_status(s->b.sw, &status);
  assert_int_equal(status.accepted, status.added + status.rejected);
  if (p != NULL) {
    talk(s, p);
    s->whole = cmt_switch_peers(s->b.sw, NULL, 0) == 1;
    cmt_peer_unref(p);
  }
}

/* |fail| SIZE_MAX: nothing fails.  Returns how many allocations there were. */
static size_t run(scenario *s, bool mailboxes, size_t fail) {
  bool a, b;
  size_t allocs;

  memset(s, 0, sizeof *s);
  test_world_init(&s->w);
  node_prepare(s, &s->a, 0);
  node_prepare(s, &s->b, 1);
  if (mailboxes) {
    mailboxes_prepare(&s->a, CMT_DELIVER_INLINE);
    mailboxes_prepare(&s->b, CMT_DELIVER_MAILBOX);
  }
  allocs = s->w.env.allocs;
  s->w.env.fail_at = fail == SIZE_MAX ? SIZE_MAX : allocs + fail;
  a = node_start(&s->a);
  b = node_start(&s->b);
  if (a && b) {
    meet(s);
  }
  s->w.env.fail_at = SIZE_MAX;
  allocs = s->w.env.allocs - allocs;
  if (a) {
    test_node_fini(&s->a);
  }
  if (b) {
    cmt_switch_stop(s->b.sw, 0);
    test_loop_run_until_idle(s->w.loop);
    mailboxes_take(s);
    test_node_fini(&s->b);
  }
  assert_true(s->ups <= s->gones && s->gones <= MAILBOXES);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(s->seen[i].inits, s->seen[i].removes);
  }
  test_world_fini(&s->w); /* Fails when anything is still allocated. */
  return allocs;
}

static void fail_each(bool mailboxes) {
  scenario *s = calloc(1, sizeof *s);
  size_t count;

  assert_non_null(s);
  count = run(s, mailboxes, SIZE_MAX);
  assert_true(s->whole && s->ups == (mailboxes ? MAILBOXES : 0));
  printf("# %zu allocations\n", count);
  for (size_t i = 0; i < count; i++) {
    run(s, mailboxes, i);
  }
  free(s);
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  fail_each(false);
}

static void any_allocation_may_fail_with_mailboxes(void **state) {
  (void)state;
  fail_each(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(any_allocation_may_fail),
    TEST_SHORTAGE(any_allocation_may_fail),
    cmocka_unit_test(any_allocation_may_fail_with_mailboxes),
    TEST_SHORTAGE(any_allocation_may_fail_with_mailboxes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
