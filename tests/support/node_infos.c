/* SPDX-License-Identifier: Apache-2.0 */
#include "node_infos.h"

#include <stdlib.h>

void assert_bytes(cmt_bytes expected, cmt_bytes found) {
  assert_int_equal(expected.len, found.len);
  if (expected.len > 0) {
    assert_memory_equal(expected.base, found.base, expected.len);
  }
}

void assert_same_node_info(const cmt_node_info *a, const cmt_node_info *b) {
  assert_true(a->protocol_p2p == b->protocol_p2p);
  assert_true(a->protocol_block == b->protocol_block);
  assert_true(a->protocol_app == b->protocol_app);
  assert_bytes(a->id, b->id);
  assert_bytes(a->listen_addr, b->listen_addr);
  assert_bytes(a->network, b->network);
  assert_bytes(a->version, b->version);
  assert_bytes(a->channels, b->channels);
  assert_bytes(a->moniker, b->moniker);
  assert_bytes(a->tx_index, b->tx_index);
  assert_bytes(a->rpc_address, b->rpc_address);
}

void assert_node_info_bytes(const char *hex, const cmt_node_info *i) {
  size_t size = cmt__node_info_size(i);
  uint8_t *out = malloc(size);
  cmt__writer w = {.at = out, .end = out + size};

  assert_non_null(out);
  cmt__node_info_encode(i, &w);
  assert_false(w.failed);
  assert_ptr_equal(w.end, w.at);
  test_assert_hex(hex, out, size);
  free(out);
}
