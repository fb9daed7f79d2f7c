/* SPDX-License-Identifier: Apache-2.0 */

/* Pointers that are NULL, for bans, networks, lists of addresses and what a
   reactor says of a peer; misuse_test.c has the rest of a switch. */

#include "node.h"

#include <cometp2p/cometp2p.h>

static void bans_and_networks_refuse_null(void **state) {
  test_trio *t = *state;
  cmt_switch *sw = t->a.sw;
  cmt_network network;
  cmt_ban ban;
  cmt_why why;

  cmt_ban_init(&ban);
  cmt_network_init(&network);
  assert_cmt(CMT_EINVAL, cmt_ban_set_subject(NULL, "1.2.3.4", &why));
  assert_string_equal("the ban is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_ban_set_subject(&ban, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_ban(NULL, &ban, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_ban(sw, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_unban(NULL, "1.2.3.4", NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_unban(sw, NULL, NULL));
  assert_false(cmt_switch_find_ban(sw, NULL, &ban));
  assert_cmt(CMT_EINVAL, cmt_switch_set_unconditional(NULL, NULL, 0, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_set_unconditional(sw, NULL, 1, NULL));
  assert_cmt(CMT_EINVAL, cmt_admission_answer(NULL, CMT_ADMIT));
  assert_cmt(CMT_EINVAL, cmt_switch_set_network(NULL, &network, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_set_network(sw, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_set_network(sw, &network, NULL));
  assert_false(cmt_switch_remove_network(sw, NULL));
}

static void lists_and_peers_refuse_null(void **state) {
  test_trio *t = *state;
  cmt_peer *p;
  cmt_why why;

  test_pair(&t->w, &t->a, &t->b);
  p = test_node_peer(&t->a);
  assert_cmt(CMT_EINVAL, cmt_switch_dial_list(NULL, "", 0, &why));
  assert_string_equal("the switch is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_switch_dial_list(t->a.sw, NULL, 0, &why));
  assert_string_equal("addrs is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_peer_set_worth(NULL, "tag", 1));
  assert_cmt(CMT_EINVAL, cmt_peer_set_worth(p, NULL, 1));
  assert_cmt(CMT_EIO, cmt_peer_explain(NULL, CMT_EIO, "because"));
}

#define WITH_NODES(test)                                                       \
  cmocka_unit_test_setup_teardown(test, test_trio_setup, test_trio_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    WITH_NODES(bans_and_networks_refuse_null),
    WITH_NODES(lists_and_peers_refuse_null),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
