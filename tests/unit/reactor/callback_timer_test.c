/* SPDX-License-Identifier: Apache-2.0 */

/* Whose function runs on a loop, and that one which takes long is reported: for
   each kind of function that the application has there. */

#include "node.h"

#include "reactor/callback_timer.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOW_NS CMT_MILLISECONDS(100)

/* ---- the limit ---- */

static void count_slow(void *arg) { ++*(unsigned *)arg; }

static void more_than_a_tenth_of_a_second_is_slow(void **state) {
  unsigned slow = 0;
  cmt_env env = {.log = NULL};
  cmt__callback_timer t = {.env = &env, .on_slow = count_slow, .arg = &slow};

  (void)state;
  for (unsigned more = 0; more < 2; more++) {
    uint64_t now_ns;

    do { /* Until no tick of the clock came between. */
      slow = 0;
      now_ns = cmt__clock_coarse_ns();
      cmt__callback_begin(&t, "it", -1);
      t.began_ns = now_ns - SLOW_NS - more;
      cmt__callback_end(&t);
    } while (cmt__clock_coarse_ns() != now_ns);
    assert_int_equal(more, slow);
    assert_null(cmt__callback_running(&t));
  }
}

/* ---- each function ---- */

typedef struct side {
  cmt_switch *sw;
  cmt_reactor reactor;
  char called[256], logged[1024];
} side;

static void append(char *text, size_t cap, const char *more) {
  size_t len = strlen(text);

  snprintf(text + len, cap - len, "%s\n", more);
}

/* Inside of a function that runs as |who|: it takes long. */
static void run_as(side *s, const char *who, const char *what) {
  cmt__callback_timer *t = &s->sw->threads[0].delivery.callbacks;

  assert_non_null(cmt__callback_running(t));
  assert_string_equal(who, cmt__callback_running(t));
  t->began_ns = cmt__clock_coarse_ns() - SLOW_NS - 1;
  append(s->called, sizeof s->called, what);
}

static cmt_err on_init(void *self, cmt_peer *p) {
  (void)p;
  run_as(self, "chat", "init_peer");
  return CMT_OK;
}

static void on_add(void *self, cmt_peer *p) {
  (void)p;
  run_as(self, "chat", "add_peer");
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  run_as(self, "chat", "receive");
  return CMT_OK;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  (void)p;
  (void)reason;
  run_as(self, "chat", "remove_peer");
}

static void on_stop(void *self) { run_as(self, "chat", "stop"); }

static cmt_verdict on_address(void *arg, const cmt_newcomer *who,
                              const cmt_admission *request) {
  (void)request;
  run_as(arg, who->id == NULL ? "filter_addr" : "filter_peer",
         who->id == NULL ? "filter_addr" : "filter_peer");
  return CMT_ADMIT;
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  (void)r;
  run_as(arg, "on_rejected", "on_rejected");
}

static void on_outcome(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  (void)dial;
  (void)o;
  run_as(arg, "on_outcome", "on_outcome");
}

static void on_timer(void *arg, cmt_err status) {
  (void)status;
  run_as(arg, "a timer", "timer");
}

static void on_post(void *arg, cmt_err status) {
  (void)status;
  run_as(arg, "a post", "post");
}

/* Only lines about callbacks that took long; their times are cut off. */
static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  static const char words[] = " blocked the loop for ";
  side *s = arg;
  const char *held = strstr(line, words);
  char text[128];

  (void)level;
  (void)module;
  if (held != NULL) {
    const char *ms = held + sizeof words - 1;

    assert_true(strtoul(ms, NULL, 10) >= 100);
    ms += strspn(ms, "0123456789");
    assert_memory_equal(" ms", ms, 3);
    snprintf(text, sizeof text, "%.*s%s", (int)(held - line), line, ms + 3);
    append(s->logged, sizeof s->logged, text);
  }
}

static const cmt_channel channel = {.id = TEST_CHAT, .priority = 1};

static void start(test_world *w, side *s) {
  cmt_switch_options o;
  cmt_env env = w->env.env;

  env.log = on_log;
  env.log_arg = s;
  s->reactor = (cmt_reactor){.name = "chat",
                             .channels = &channel,
                             .channel_count = 1,
                             .self = s,
                             .init_peer = on_init,
                             .add_peer = on_add,
                             .receive = on_receive,
                             .remove_peer = on_remove,
                             .stop = on_stop};
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = "test-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &s->reactor;
  o.reactor_count = 1;
  o.filter_addr = on_address;
  o.filter_peer = on_address;
  o.filter_arg = s;
  o.on_rejected = on_rejected;
  o.arg = s;
  assert_cmt(CMT_OK, test_world_switch(w, &o, &s->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(s->sw, NULL));
  test_loop_run_until_idle(w->loop);
}

static void dial(side *from, const char *at) {
  cmt_dial_options o;

  cmt_dial_options_init(&o);
  o.persistent = false;
  o.on_outcome = on_outcome;
  o.arg = from;
  assert_cmt(CMT_OK, cmt_switch_dial_new(from->sw, at, &o, NULL, NULL));
}

static void assert_called(side *s, const char *called, const char *logged) {
  cmt_switch_status status;
  unsigned lines = 0;

  assert_string_equal(called, s->called);
  assert_string_equal(logged, s->logged);
  for (const char *at = logged; *at != '\0'; at++) {
    lines += *at == '\n';
  }
  cmt_switch_get_status(s->sw, &status);
  assert_int_equal(lines, status.slow_callbacks);
}

static void end(side *s) { assert_cmt(CMT_OK, cmt_switch_delete(s->sw)); }

static void whoever_takes_long_is_named(void **state) {
  test_world w;
  side a = {.sw = NULL}, b = {.sw = NULL};
  cmt_timer timer = {.cb = on_timer, .arg = &a};
  cmt_post post = {.cb = on_post, .arg = &a};
  char at[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr addr;
  cmt_peer *p;

  (void)state;
  test_world_init_loops(&w, 1);
  start(&w, &a);
  start(&w, &b);
  assert_cmt(CMT_OK, cmt_switch_timer(a.sw, &timer, 0));
  test_loop_run_until_idle(w.loop);
  assert_cmt(CMT_OK, cmt_switch_post(a.sw, &post));
  test_loop_run_until_idle(w.loop);
  assert_cmt(CMT_OK, cmt_switch_get_laddr(b.sw, &addr));
  addr.port++;
  assert_cmt(CMT_OK, cmt_net_addr_format(&addr, at, sizeof at));
  dial(&a, at);
  test_loop_run_until_idle(w.loop);
  addr.port--;
  assert_cmt(CMT_OK, cmt_net_addr_format(&addr, at, sizeof at));
  dial(&a, at);
  test_loop_run_until_idle(w.loop);
  assert_int_equal(1, cmt_switch_peers(a.sw, &p, 1));
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, TEST_CHAT, "1", 1));
  cmt_peer_unref(p);
  test_loop_run_until_idle(w.loop);
  cmt_switch_stop(a.sw, 0);
  test_loop_run_until_idle(w.loop);
  cmt_switch_stop(b.sw, 0);
  test_loop_run_until_idle(w.loop);
  assert_called(&a,
                "timer\npost\non_rejected\non_outcome\nfilter_peer\n"
                "init_peer\non_outcome\nadd_peer\nremove_peer\nstop\n",
                "a timer\na post\non_rejected\non_outcome\nfilter_peer\n"
                "chat\non_outcome\nchat\nchat\nchat\n");
  assert_called(&b,
                "filter_addr\nfilter_peer\ninit_peer\nadd_peer\nreceive\n"
                "remove_peer\nstop\n",
                "filter_addr\nfilter_peer\nchat\nchat\n"
                "chat with a message on channel 0x51\nchat\nchat\n");
  end(&a);
  end(&b);
  test_world_fini(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(more_than_a_tenth_of_a_second_is_slow),
    cmocka_unit_test(whoever_takes_long_is_named),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
