/* SPDX-License-Identifier: Apache-2.0 */

/* Links with little to send, whose batches are sealed together behind other
   tasks of the iteration: how many frames a kernel gets at a time, and what
   happens when a link ends among others. */

#include "hostile.h"

#include "crypto/aead.h"
#include "switch/session.h"

enum { CROWD = 40, LANES = 16, BULK = 0x52 };

typedef test_trio fixture;

/* ---- a kernel that counts ---- */

static size_t lists, frames, longest;

static void count_seal(cmt__aead_job *jobs, size_t count) {
  lists++;
  frames += count;
  longest = cmt__max(longest, count);
  cmt__aead_libsodium.seal(jobs, count);
}

static void count_open(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
}

static const struct cmt_aead counting = {
  .name = "counting", .seal = count_seal, .open = count_open};

static void count_from_zero(void) {
  lists = 0;
  frames = 0;
  longest = 0;
}

/* ---- the crowd ---- */

/* |crowd| are the peers of B, whose frames are sealed by the kernel above. */
static void come(fixture *f, hostile *crowd) {
  f->w.env.env.aead = &counting;
  f->b.quiet = true;
  f->b.options.inbound_peers_max = CROWD;
  f->b.options.inbound_peers_per_ip_max = CROWD;
  test_part_channel(&f->b.parts[0],
                    (cmt_channel){.id = BULK, .priority = 1, .send_queue = 9});
  test_node_start(&f->b);
  f->w.env.env.aead = &cmt__aead_libsodium; /* For the crowd. */
  memset(crowd, 0, CROWD * sizeof *crowd);
  for (size_t i = 0; i < CROWD; i++) {
    hostile_dial(&crowd[i], f->w.loop, f->b.addr);
    crowd[i].channels = (cmt_bytes){(const uint8_t *)"\x51\x52", 2};
    test_loop_run_until_idle(f->w.loop);
    assert_true(crowd[i].up && !crowd[i].ended);
    crowd[i].received = 0;
  }
  (void)test_node_log(&f->b);
  count_from_zero();
}

static void leave(hostile *crowd) {
  for (size_t i = 0; i < CROWD; i++) {
    hostile_fini(&crowd[i]);
  }
}

static void broadcast(fixture *f, uint8_t channel, size_t len) {
  static const uint8_t bytes[65536];
  cmt_broadcast counts;

  assert_cmt(CMT_OK,
             cmt_switch_broadcast_bytes(f->b.sw, channel, bytes, len, &counts));
  assert_int_equal(CROWD, counts.queued);
}

static cmt__link *link_at(fixture *f, size_t i) {
  cmt__session *s = f->b.sw->sessions;

  while (i-- > 0) {
    s = s->next;
  }
  return &s->link;
}

/* How many of the crowd are connected, and got something. */
static size_t served(const hostile *crowd) {
  size_t count = 0;

  for (size_t i = 0; i < CROWD; i++) {
    count += crowd[i].received > 0 && !crowd[i].ended;
  }
  return count;
}

/* ---- how many at a time ---- */

static void a_frame_of_each_link_fills_the_lanes(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  come(f, crowd);
  broadcast(f, TEST_CHAT, 900);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(CROWD, frames);
  assert_int_equal(CROWD, served(crowd));
  if (f->w.loop_count == 1) { /* With several each has a part of the links. */
    assert_int_equal(LANES, longest);
    assert_int_equal((CROWD + LANES - 1) / LANES, lists);
  }
  leave(crowd);
}

/* Each fills the lanes alone, and its batch goes out at once. */
static void links_with_much_to_send_do_not_wait(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  come(f, crowd);
  broadcast(f, BULK, 20000);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(CROWD * 20, frames);
  assert_int_equal(CROWD * 2, lists); /* 16 and 4. */
  assert_int_equal(CROWD, served(crowd));
  leave(crowd);
}

static void several_messages_of_each_share_its_frames(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  come(f, crowd);
  for (size_t i = 0; i < 3; i++) {
    broadcast(f, BULK, 900);
    broadcast(f, TEST_CHAT, 900);
    test_loop_run_until_idle(f->w.loop);
  }
  assert_int_equal(CROWD, served(crowd));
  for (size_t i = 0; i < CROWD; i++) {
    assert_int_equal(3 * 2 * CMT_FRAME_SLOT, crowd[i].received);
  }
  leave(crowd);
}

/* ---- a link that ends among others ---- */

/* The first of all, two among them and the last. */
static const size_t which[] = {0, 1, 20, CROWD - 1};
/* These are places among those that wait when all have run; the others have
   written. */
static const size_t which_waits[] = {0, 1, 5, CROWD - CMT__LAST_MAX - 1};

static fixture *begin_again(void **state, hostile crowd[CROWD]) {
  leave(crowd);
  test_trio_teardown(state);
  test_trio_setup(state);
  return *state;
}

/* A task behind those of the links. */
typedef struct ender {
  cmt__post post;
  cmt__task task;
  cmt__loop *loop;
  fixture *f;
  size_t at; /* Which one of the links that wait for others ends. */
} ender;

/* The one at |at| of those that wait. */
static cmt__link *waiting_at(fixture *f, size_t at) {
  for (size_t i = 0;; i++) {
    cmt__link *l = link_at(f, i);

    if (l->writes.next != NULL && at-- == 0) {
      return l;
    }
  }
}

static void on_end_task(cmt__task *t) {
  ender *e = (ender *)((char *)t - offsetof(ender, task));
  cmt_why why;

  cmt__why_plain(&why, CMT_ESTALLED, CMT_STAGE_UP);
  cmt__link_stop(waiting_at(e->f, e->at), &why);
}

static void on_end_post(cmt__post *p) {
  ender *e = (ender *)((char *)p - offsetof(ender, post));

  cmt__loop_defer(e->loop, &e->task);
}

static void one_that_ends_before_it_is_sealed_is_left_out(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  if (f->w.loop_count > 1) {
    return; /* The links are on other loops. */
  }
  for (size_t i = 0; i < CMT__COUNT(which_waits); i++) {
    ender e = {.post = {.cb = on_end_post},
               .task = {.cb = on_end_task},
               .f = f,
               .at = which_waits[i]};

    come(f, crowd);
    e.loop = test_loop_base(f->w.loop);
    broadcast(f, TEST_CHAT, 900);
    cmt__loop_post(e.loop, &e.post);
    test_loop_run_until_idle(f->w.loop);
    assert_string_equal("remove chat CMT_ESTALLED\n", test_node_log(&f->b));
    assert_int_equal(CROWD - 1, frames);
    assert_int_equal(CROWD - 1, served(crowd));
    f = begin_again(state, crowd);
  }
}

/* |part->arg| is the link of another peer. */
static void on_remove(test_part *part, cmt_peer *p) {
  cmt_why why;

  (void)p;
  part->on_remove = NULL;
  cmt__why_plain(&why, CMT_ESTALLED, CMT_STAGE_UP);
  cmt__link_stop(part->arg, &why);
}

/* Its write fails, and the end of it ends another, whose batch has been
   written. */
static void one_whose_write_fails_ends_another(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  if (f->w.loop_count > 1) {
    return; /* The links are on other loops. */
  }
  for (size_t i = 0; i < CMT__COUNT(which); i++) {
    come(f, crowd);
    f->b.parts[0].on_remove = on_remove;
    f->b.parts[0].arg = link_at(f, which[i]);
    test_loop_fail(f->w.loop, TEST_CALL_WRITE,
                   test_loop_calls(f->w.loop, TEST_CALL_WRITE) + 5, CMT_ERESET);
    broadcast(f, TEST_CHAT, 900);
    test_loop_run_until_idle(f->w.loop);
    test_loop_advance(f->w.loop, CMT_SECONDS(2)); /* It reads to the end. */
    assert_int_equal(CROWD, frames);
    assert_int_equal(CROWD - 2, served(crowd));
    assert_string_equal("remove chat CMT_ERESET\nremove chat CMT_ESTALLED\n",
                        test_node_log(&f->b));
    f = begin_again(state, crowd);
  }
}

/* Sockets that take a part of a batch, or nothing of it. */
static void a_short_write_holds_up_no_other(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  come(f, crowd);
  for (size_t i = 0; i < CROWD; i += 3) {
    test_dir *way = &test_loop_conn(f->w.loop, i)->dir[TEST_ACCEPTOR];

    way->stalled = true;
    way->cap = way->in_flight + i * 20;
  }
  broadcast(f, TEST_CHAT, 900);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(CROWD - (CROWD + 2) / 3, served(crowd));
  for (size_t i = 0; i < CROWD; i += 3) {
    test_dir *way = &test_loop_conn(f->w.loop, i)->dir[TEST_ACCEPTOR];

    way->cap = SIZE_MAX;
    way->stalled = false;
  }
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(CROWD, served(crowd));
  assert_int_equal(CROWD, frames);
  leave(crowd);
}

#define TOGETHER_TEST(f)                                                       \
  cmocka_unit_test_setup_teardown(f, test_trio_setup, test_trio_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TOGETHER_TEST(a_frame_of_each_link_fills_the_lanes),
    TOGETHER_TEST(links_with_much_to_send_do_not_wait),
    TOGETHER_TEST(several_messages_of_each_share_its_frames),
    TOGETHER_TEST(one_that_ends_before_it_is_sealed_is_left_out),
    TOGETHER_TEST(one_whose_write_fails_ends_another),
    TOGETHER_TEST(a_short_write_holds_up_no_other),
  };

  return cmocka_run_group_tests_name("link_together", tests, NULL, NULL);
}
