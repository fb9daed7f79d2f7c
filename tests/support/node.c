/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>

static void note(test_node *n, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));

static void note(test_node *n, const char *fmt, ...) {
  va_list args;
  int len;

  va_start(args, fmt);
  len = vsnprintf(n->log + n->log_len, sizeof n->log - n->log_len, fmt, args);
  va_end(args);
  if (len < 0 || (size_t)len >= sizeof n->log - n->log_len) {
    fail_msg("the log of a node is full");
  }
  n->log_len += (size_t)len;
}

static cmt_err on_start(void *self, cmt_switch *sw) {
  test_part *part = self;

  (void)sw;
  note(part->node, "start %s\n", part->name);
  return part->start_err;
}

static cmt_err on_init(void *self, cmt_peer *p) {
  test_part *part = self;

  note(part->node, "init %s\n", part->name);
  if (part->on_init != NULL) {
    part->on_init(part, p);
  }
  return part->init_err;
}

static void on_add(void *self, cmt_peer *p) {
  test_part *part = self;

  note(part->node, "add %s %s\n", part->name,
       cmt_peer_is_outbound(p) ? "outbound" : "inbound");
  if (part->on_add != NULL) {
    part->on_add(part, p);
  }
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  test_part *part = self;
  cmt_bytes b = cmt_buf_bytes(msg);

  if (!part->node->quiet) {
    note(part->node, "receive %s %02x %.*s\n", part->name, channel,
         b.len < 64 ? (int)b.len : 64, b.len > 0 ? (const char *)b.base : "");
  }
  if (part->on_receive != NULL) {
    part->on_receive(part, p, channel, msg);
  }
  return part->receive_err;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  test_part *part = self;
  cmt_why why;

  cmt_peer_get_why(p, &why);
  assert_cmt(reason, why.err);
  note(part->node, "remove %s %s\n", part->name, cmt_err_name(reason));
  if (part->on_remove != NULL) {
    part->on_remove(part, p);
  }
}

static void on_stop(void *self) {
  test_part *part = self;

  note(part->node, "stop %s\n", part->name);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  test_node *n = arg;

  note(n, "rejected %s %s %s%s\n", r->outbound ? "outbound" : "inbound",
       cmt_stage_name(r->why.stage), cmt_err_name(r->why.err),
       r->redials ? " redials" : "");
  n->why = r->why;
  snprintf(n->remote, sizeof n->remote, "%s", r->remote);
  snprintf(n->dialed, sizeof n->dialed, "%s", r->dialed ? r->dialed : "");
  n->blamed = r->id != NULL ? *r->id : (cmt_node_id){.text = ""};
}

void test_world_init_loops(test_world *w, unsigned loops) {
  assert_in_range(loops, 1, TEST_LOOPS_MAX);
  test_env_init(&w->env);
  w->loop = test_loop_new(&w->env.env);
  w->loops[0] = w->loop;
  w->loop_count = loops;
  for (unsigned i = 1; i < loops; i++) {
    w->loops[i] = test_loop_new_beside(w->loop);
  }
}

void test_world_init(test_world *w) { test_world_init_loops(w, test_loops()); }

cmt_err test_world_switch(test_world *w, const cmt_switch_options *o,
                          cmt_switch **out, cmt_why *why) {
  cmt__loop *loops[TEST_LOOPS_MAX];

  for (unsigned i = 0; i < w->loop_count; i++) {
    loops[i] = test_loop_base(w->loops[i]);
  }
  return cmt__switch_new_on_each(o, loops, out, why);
}

void test_world_fini(test_world *w) {
  for (unsigned i = w->loop_count; i > 0; i--) {
    cmt__loop_delete(test_loop_base(w->loops[i - 1]));
  }
  test_env_fini(&w->env);
}

void test_node_init(test_node *n, test_world *w) {
  memset(n, 0, sizeof *n);
  n->world = w;
  cmt_switch_options_init(&n->options);
  n->options.env = &w->env.env;
  n->options.loops = w->loop_count;
  n->options.network = "test-net";
  n->options.laddr = "127.0.0.1:0";
  n->options.on_rejected = on_rejected;
  n->options.arg = n;
  test_part_channel(
    test_node_part(n, "chat"),
    (cmt_channel){.id = TEST_CHAT, .priority = 1, .send_queue = 1});
}

test_part *test_node_part(test_node *n, const char *name) {
  test_part *part = &n->parts[n->part_count++];

  assert_true(n->part_count <= TEST_PARTS_MAX);
  part->node = n;
  part->name = name;
  return part;
}

void test_part_channel(test_part *part, cmt_channel channel) {
  assert_true(part->channel_count < CMT_CHANNELS_MAX);
  part->channels[part->channel_count++] = channel;
}

cmt_err test_node_new(test_node *n, cmt_why *why) {
  for (size_t i = 0; i < n->part_count; i++) {
    test_part *part = &n->parts[i];

    n->reactors[i] =
      (cmt_reactor){.name = part->name,
                    .channels = part->channel_count > 0 ? part->channels : NULL,
                    .channel_count = part->channel_count,
                    .delivery = part->delivery,
                    .recv_queue_bytes_total = part->recv_queue_bytes_total,
                    .self = part,
                    .start = on_start,
                    .init_peer = on_init,
                    .add_peer = on_add,
                    .receive = on_receive,
                    .remove_peer = on_remove,
                    .stop = on_stop};
  }
  n->options.reactors = n->reactors;
  n->options.reactor_count = n->part_count;
  return test_world_switch(n->world, &n->options, &n->sw, why);
}

void test_node_start(test_node *n) {
  cmt_net_addr at;

  assert_cmt(CMT_OK, test_node_new(n, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(n->sw, NULL));
  if (cmt_switch_get_laddr(n->sw, &at) == CMT_OK) {
    assert_cmt(CMT_OK, cmt_net_addr_format(&at, n->addr, sizeof n->addr));
  }
  (void)test_node_log(n);
}

void test_node_dial(test_node *n, const char *addr, unsigned flags) {
  assert_cmt(CMT_OK, cmt_switch_dial(n->sw, addr, flags, NULL));
  test_loop_run_until_idle(n->world->loop);
}

cmt_peer *test_node_peer(test_node *n) {
  cmt_peer *p = NULL;

  assert_int_equal(1, cmt_switch_peers(n->sw, &p, 1));
  cmt_peer_unref(p); /* The switch has it. */
  return p;
}

cmt_reason_counts test_reason(cmt_switch *sw, cmt_err err) {
  cmt_reason_counts all[CMT__ERR_COUNT], none = {.reason = err};
  size_t count = cmt_switch_reasons(sw, all, CMT__ERR_COUNT);

  assert_in_range(count, 0, CMT__ERR_COUNT);
  for (size_t i = 0; i < count; i++) {
    if (all[i].reason == err) {
      return all[i];
    }
  }
  return none;
}

cmt_err test_node_send(test_node *n, uint8_t channel, const char *text) {
  return cmt_peer_try_send_bytes(test_node_peer(n), channel, text,
                                 strlen(text));
}

const char *test_node_log(test_node *n) {
  memcpy(n->taken, n->log, n->log_len + 1);
  n->log_len = 0;
  n->log[0] = '\0';
  return n->taken;
}

void test_node_fini(test_node *n) {
  cmt_switch_stop(n->sw, 0);
  test_loop_run_until_idle(n->world->loop);
  if (n->sw->started) {
    assert_true(cmt__switch_is_finished(n->sw));
  }
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  n->sw = NULL;
}

void test_pair(test_world *w, test_node *dialer, test_node *acceptor) {
  assert_ptr_equal(w, dialer->world);
  test_node_start(acceptor);
  test_node_start(dialer);
  test_node_dial(dialer, acceptor->addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(dialer));
  assert_string_equal("init chat\nadd chat inbound\n", test_node_log(acceptor));
}

int test_trio_setup(void **state) {
  test_trio *t = calloc(1, sizeof *t);

  assert_non_null(t);
  test_world_init(&t->w);
  test_node_init(&t->a, &t->w);
  test_node_init(&t->b, &t->w);
  test_node_init(&t->c, &t->w);
  *state = t;
  return 0;
}

int test_trio_teardown(void **state) {
  test_trio *t = *state;
  test_node *nodes[] = {&t->a, &t->b, &t->c};

  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    if (nodes[i]->sw != NULL) {
      test_node_fini(nodes[i]);
    }
  }
  test_world_fini(&t->w);
  free(t);
  return 0;
}

void test_wake_up_late(cmt__post *post) {
  cmt_peer_pause(((test_late_wake_up *)post)->peer);
}
