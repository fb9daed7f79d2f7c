/* SPDX-License-Identifier: Apache-2.0 */

/* Pointers that are NULL, and structs of other sizes, for address books, peer
   exchange, homes and metrics: each call that can say so refuses them, and no
   other one reads what is not there.  misuse_test.c has those of a switch. */

#include "test.h"

#include <cometp2p/addrbook_file.h>
#include <cometp2p/home.h>
#include <cometp2p/metrics.h>
#include <cometp2p/pex.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW CMT_SECONDS(1700000000)

typedef struct fixture {
  test_env env;
  cmt_addrbook *book;
  cmt_net_addr addr; /* The book has it. */
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  cmt_addrbook_options o;

  assert_non_null(f);
  test_env_init(&f->env);
  cmt_addrbook_options_init(&o);
  o.env = &f->env.env;
  assert_cmt(CMT_OK, cmt_addrbook_new(&o, &f->book, NULL));
  assert_cmt(CMT_OK, cmt_net_addr_parse(
                       "10ba682c8ad13513971e8b56881aab8bd702bb80@8.8.4.4:26656",
                       0, &f->addr, NULL));
  assert_cmt(CMT_OK, cmt_addrbook_add(f->book, &f->addr, &f->addr, NOW));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt_addrbook_delete(f->book);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

static void calls_of_a_book_refuse_null(void **state) {
  const fixture *f = *state;
  const cmt_net_addr *a = &f->addr;
  cmt_addrbook *b = f->book;
  cmt_addrbook_snapshot *s = (void *)b;
  cmt_addrbook_entry e = {.size = sizeof e};
  cmt_addrbook_proof proof;
  cmt_addrbook_ban ban;
  cmt_net_addr out;

  cmt_addrbook_proof_init(&proof);
  cmt_addrbook_ban_init(&ban);
  assert_cmt(CMT_EINVAL, cmt_addrbook_new(NULL, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_addrbook_set_private(NULL, NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_addrbook_set_private(b, NULL, 1));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add(NULL, a, a, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add(b, NULL, a, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add(b, a, NULL, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add_claimed(NULL, a, a, &out, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add_claimed(b, NULL, a, &out, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add_claimed(b, a, NULL, &out, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_add_claimed(b, a, a, NULL, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_proved(NULL, &proof, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_proved(b, NULL, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_proved(b, &proof, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_next_test(NULL, &out, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_next_test(b, NULL, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_bar(NULL, &ban, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_bar(b, NULL, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_pick(NULL, 50, &out));
  assert_cmt(CMT_EINVAL, cmt_addrbook_pick(b, 100, NULL));
  assert_cmt(CMT_EINVAL, cmt_addrbook_pick(b, 101, &out));
  assert_cmt(CMT_EINVAL, cmt_addrbook_restore(NULL, &e));
  assert_cmt(CMT_EINVAL, cmt_addrbook_restore(b, NULL));
  assert_cmt(CMT_EINVAL, cmt_addrbook_snapshot_new(b, NULL));
  assert_cmt(CMT_EINVAL, cmt_addrbook_snapshot_new(NULL, &s));
  assert_null(s);
}

/* Calls that return no error. */
static void a_book_does_nothing_with_null(void **state) {
  const fixture *f = *state;
  cmt_addrbook *b = f->book;
  cmt_addrbook_entry e = {.size = sizeof e};

  assert_false(cmt_addrbook_is_own(b, NULL));
  assert_false(cmt_addrbook_is_private(b, NULL));
  assert_false(cmt_addrbook_has(b, NULL));
  assert_false(cmt_addrbook_is_barred(b, NULL, NOW));
  assert_false(cmt_addrbook_get(b, NULL, &e));
  assert_int_equal(0, cmt_addrbook_unbar(b, NULL));
  assert_int_equal(0, cmt_addrbook_add_answer(b, NULL, 1, &f->addr, NOW));
  assert_int_equal(0, cmt_addrbook_add_answer(b, &f->addr, 1, NULL, NOW));
  assert_int_equal(0, cmt_addrbook_select(b, NULL, NULL, 5, NOW));
  assert_int_equal(0, cmt_addrbook_due(b, 1, NULL, 0, NOW));
  cmt_addrbook_group(b, &f->addr, NULL);
  cmt_addrbook_attempt(b, NULL, NOW);
  cmt_addrbook_failed(b, NULL, NOW);
  cmt_addrbook_good(b, NULL, NOW);
  cmt_addrbook_set_height(b, NULL, 5, NOW);
  cmt_addrbook_remove(b, NULL);
  cmt_addrbook_set_anchors(b, &f->addr, 1);
  assert_int_equal(1, cmt_addrbook_anchors(b, NULL, 5));
  cmt_addrbook_set_anchors(b, NULL, 1);
  assert_int_equal(0, cmt_addrbook_anchors(b, NULL, 0));
  assert_true(cmt_addrbook_has(b, &f->addr.id));
}

/* The second call finds on the stack what the first one had there. */
static void a_smaller_struct_has_the_defaults(void **state) {
  const fixture *f = *state;
  cmt_net_addr other = f->addr;
  cmt_addrbook_proof proof;
  cmt_addrbook_entry e;
  cmt_addrbook_ban ban;

  other.id.text[0] = 'f';
  cmt_addrbook_proof_init(&proof);
  proof.addr = &f->addr;
  proof.version = "0.38.0";
  proof.height = 5;
  assert_cmt(CMT_OK, cmt_addrbook_proved(f->book, &proof, NOW));
  proof.addr = &other;
  proof.size = offsetof(cmt_addrbook_proof, version);
  assert_cmt(CMT_OK, cmt_addrbook_proved(f->book, &proof, NOW));
  assert_true(cmt_addrbook_get(f->book, &other.id, &e));
  assert_string_equal("", e.version);
  assert_int_equal(0, e.height);
  cmt_addrbook_ban_init(&ban);
  ban.kind = CMT_ADDRBOOK_WRONG_NETWORK;
  ban.addr = f->addr;
  ban.end_ns = NOW + 1;
  assert_cmt(CMT_OK, cmt_addrbook_bar(f->book, &ban, NOW));
  ban.size = offsetof(cmt_addrbook_ban, addr) + sizeof ban.size -
             offsetof(cmt_addrbook_ban, addr) % sizeof ban.size;
  assert_cmt(CMT_EINVAL, cmt_addrbook_bar(f->book, &ban, NOW));
}

static void a_host_without_its_end_is_no_address(void **state) {
  const fixture *f = *state;
  cmt_net_addr claimed, dial;

  memset(&claimed, 'a', sizeof claimed); /* No end behind it, either. */
  claimed.id = f->addr.id;
  assert_cmt(CMT_EAGAIN,
             cmt_addrbook_add_claimed(f->book, &claimed, &f->addr, &dial, NOW));
  assert_string_equal(f->addr.host, dial.host);
}

static void calls_of_an_exchange_refuse_null(void **state) {
  const fixture *f = *state;
  cmt_addrbook_snapshot *s = (void *)f->book;
  cmt_pex_options o;
  cmt_pex *p;
  cmt_why why;

  cmt_pex_options_init(&o);
  o.env = &f->env.env;
  o.book = f->book;
  assert_cmt(CMT_EINVAL, cmt_pex_new(&o, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_pex_new(NULL, &p, NULL));
  assert_cmt(CMT_OK, cmt_pex_new(&o, &p, NULL));
  assert_cmt(CMT_EINVAL, cmt_pex_join(p, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_pex_join(NULL, p, NULL));
  assert_cmt(CMT_EINVAL, cmt_pex_set_seeds(NULL, "", &why));
  assert_string_equal("the exchange is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_pex_set_persistent_peers(NULL, "", NULL));
  assert_cmt(CMT_OK, cmt_pex_set_seeds(p, NULL, NULL));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(p, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_pex_set_private(NULL, NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_pex_set_private(p, NULL, 1));
  assert_cmt(CMT_EINVAL, cmt_pex_snapshot_new(p, NULL));
  assert_cmt(CMT_EINVAL, cmt_pex_snapshot_new(NULL, &s));
  assert_null(s);
  cmt_pex_delete(p);
}

static void files_of_a_book_refuse_null(void **state) {
  fixture *f = *state;
  cmt_addrbook_options o;
  cmt_addrbook_file *file = (void *)f;
  cmt_why why;

  cmt_addrbook_options_init(&o);
  o.env = &f->env.env;
  assert_cmt(CMT_EINVAL, cmt_addrbook_file_open(NULL, &o, NOW, &file, NULL));
  assert_null(file);
  assert_cmt(CMT_EINVAL, cmt_addrbook_file_open("x", &o, NOW, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_addrbook_file_save_begin(NULL, NOW));
  assert_cmt(CMT_EINVAL, cmt_addrbook_file_wait(NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_addrbook_file_save(NULL, NOW, &why));
  assert_string_equal("the address book is NULL", why.text);
}

static void calls_of_a_home_refuse_null(void **state) {
  fixture *f = *state;
  cmt_home_options o;
  cmt_home *h = (void *)f;
  const char *network = "x";
  cmt_node_key *key = (void *)f;
  cmt_why why;

  cmt_home_options_init(&o);
  o.env = &f->env.env;
  o.dir = "/";
  assert_cmt(CMT_EINVAL, cmt_home_open(NULL, &h, NULL));
  assert_null(h);
  assert_cmt(CMT_EINVAL, cmt_home_open(&o, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_home_init(NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_home_load_chain_id(NULL, &network, &why));
  assert_string_equal("the home is NULL", why.text);
  assert_null(network);
  assert_cmt(CMT_EINVAL, cmt_home_load_key(NULL, &key, &why));
  assert_string_equal("the home is NULL", why.text);
  assert_null(key);
  assert_cmt(CMT_OK, cmt_home_open(&o, &h, NULL));
  assert_cmt(CMT_EINVAL, cmt_home_load_chain_id(h, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_home_load_key(h, NULL, NULL));
  cmt_home_delete(h);
}

static void calls_of_metrics_refuse_null(void **state) {
  const fixture *f = *state;
  cmt_metrics_options o;
  cmt_metrics *list[2] = {NULL, NULL};
  cmt_buf *page = NULL;

  cmt_metrics_options_init(&o);
  o.env = &f->env.env;
  assert_cmt(CMT_EINVAL, cmt_metrics_new(NULL, &list[0], NULL));
  assert_cmt(CMT_EINVAL, cmt_metrics_new(&o, &list[0], NULL));
  o.chain_id = "chain-1";
  assert_cmt(CMT_EINVAL, cmt_metrics_new(&o, NULL, NULL));
  assert_cmt(CMT_OK, cmt_metrics_new(&o, &list[0], NULL));
  assert_cmt(CMT_EINVAL, cmt_metrics_page(NULL, 1, &page));
  assert_cmt(CMT_EINVAL, cmt_metrics_page(list, 0, &page));
  assert_cmt(CMT_EINVAL, cmt_metrics_page(list, 2, &page));
  assert_cmt(CMT_EINVAL, cmt_metrics_page(list, 1, NULL));
  assert_null(page);
  cmt_metrics_delete(list[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(calls_of_a_book_refuse_null),
    TEST(a_book_does_nothing_with_null),
    TEST(a_smaller_struct_has_the_defaults),
    TEST(a_host_without_its_end_is_no_address),
    TEST(calls_of_an_exchange_refuse_null),
    TEST(files_of_a_book_refuse_null),
    TEST(calls_of_a_home_refuse_null),
    TEST(calls_of_metrics_refuse_null),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
