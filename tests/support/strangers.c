/* SPDX-License-Identifier: Apache-2.0 */
#include "strangers.h"

#include "core/secret/secret_conn.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static void on_connect(void *arg, cmt_err err) {
  stranger *st = arg;
  const strangers *c = st->crowd;
  size_t taken, len = 0;

  assert_cmt(CMT_OK, err);
  switch (c->say) {
  case STRANGERS_NOTHING:
    break;
  case STRANGERS_HALF_A_KEY:
    len = sizeof c->key / 2;
    break;
  case STRANGERS_A_KEY:
    len = sizeof c->key;
    break;
  }
  if (cmt__tcp_write(st->tcp, c->key, len, &taken) != CMT_OK) {
    st->ended = true;
  }
}

static void on_read(void *arg, uint8_t *data, size_t len) {
  (void)arg;
  (void)data;
  (void)len;
}

static void on_end(void *arg, cmt_err err) {
  (void)err;
  ((stranger *)arg)->ended = true;
}

static void on_writable(void *arg) { (void)arg; }

static const cmt__tcp_callbacks callbacks = {.on_connect = on_connect,
                                             .on_read = on_read,
                                             .on_end = on_end,
                                             .on_writable = on_writable};

static void source_text(const strangers *c, size_t i, char *out, size_t cap) {
  switch (c->from) {
  case STRANGERS_ONE_ADDRESS:
    snprintf(out, cap, "10.66.0.1");
    break;
  case STRANGERS_ONE_NETWORK:
    snprintf(out, cap, "10.66.0.%zu", i % 254 + 1);
    break;
  case STRANGERS_ONE_V6_NETWORK:
    snprintf(out, cap, "2001:db8:66:1::%zx", i + 1);
    break;
  case STRANGERS_ANYWHERE:
    snprintf(out, cap, "11.%zu.%zu.1", i / 256, i % 256);
    break;
  case STRANGERS_ANYWHERE_V6:
    snprintf(out, cap, "2001:db8:66:%zx::1", i + 1);
    break;
  }
}

static void stranger_dial(strangers *c, size_t i) {
  stranger *st = &c->list[i];
  char source[64];

  st->crowd = c;
  source_text(c, i, source, sizeof source);
  test_loop_set_source(c->loop, source);
  assert_cmt(CMT_OK, cmt__loop_connect(test_loop_base(c->loop), &c->to,
                                       &callbacks, st, &st->tcp));
  cmt__tcp_read(st->tcp, true);
}

void strangers_init(strangers *c, test_loop *loop, const char *addr,
                    size_t cap) {
  static const uint8_t secret[32] = {1, 2, 3};
  uint8_t public_key[32];

  c->loop = loop;
  c->cap = cap;
  c->count = 0;
  c->begin_ns = cmt__loop_now(test_loop_base(loop));
  c->list = calloc(cap, sizeof *c->list);
  assert_non_null(c->list);
  assert_cmt(CMT_OK, cmt_net_addr_parse(addr, 0, &c->to, NULL));
  assert_int_equal(0, crypto_scalarmult_curve25519_base(public_key, secret));
  cmt__secret_write_key(public_key, c->key);
}

void strangers_come(strangers *c) {
  uint64_t ns = cmt__loop_now(test_loop_base(c->loop)) - c->begin_ns;
  uint64_t due = ns * c->a_second / CMT_SECONDS(1);

  while (c->count < due && c->count < c->cap) {
    stranger_dial(c, c->count++);
  }
}

size_t strangers_left(const strangers *c) {
  size_t left = 0;

  for (size_t i = 0; i < c->count; i++) {
    left += !c->list[i].ended;
  }
  return left;
}

void strangers_fini(strangers *c) {
  for (size_t i = 0; i < c->count; i++) {
    cmt__tcp_close(c->list[i].tcp);
  }
  free(c->list);
  c->list = NULL;
}
