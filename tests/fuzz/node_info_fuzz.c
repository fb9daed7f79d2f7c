/* SPDX-License-Identifier: Apache-2.0 */
/* Node infos: decoding, the checks, and encoding back.  The input is the
   encoded message without its length. */

#include "fuzz.h"

#include <stdlib.h>

#include "core/conn/net_addr.h"
#include "core/conn/node_info.h"

enum { FIELDS = 8 };

static void info_fields(const cmt_node_info *i, cmt_bytes out[FIELDS]) {
  const cmt_bytes fields[FIELDS] = {i->id,       i->listen_addr, i->network,
                                    i->version,  i->channels,    i->moniker,
                                    i->tx_index, i->rpc_address};

  memcpy(out, fields, sizeof fields);
}

static void check_same(const cmt_node_info *a, const cmt_node_info *b) {
  cmt_bytes in_a[FIELDS], in_b[FIELDS];

  info_fields(a, in_a);
  info_fields(b, in_b);
  for (size_t i = 0; i < FIELDS; i++) {
    FUZZ_CHECK(fuzz_same(in_a[i], in_b[i]));
  }
  FUZZ_CHECK(a->protocol_p2p == b->protocol_p2p);
  FUZZ_CHECK(a->protocol_block == b->protocol_block);
  FUZZ_CHECK(a->protocol_app == b->protocol_app);
}

/* Encoded again it is no longer than it came, and has the same content. */
static void check_encode(const cmt_node_info *i) {
  size_t size = cmt__node_info_size(i);
  uint8_t *out = malloc(size);
  cmt__writer w = {.at = out, .end = out + size};
  cmt_node_info back;

  FUZZ_CHECK(out != NULL);
  cmt__node_info_encode(i, &w);
  FUZZ_CHECK(!w.failed && w.at == w.end);
  FUZZ_CHECK(cmt__node_info_decode((cmt_bytes){out, size}, &back));
  check_same(i, &back);
  free(out);
}

static void check_clone(const cmt_node_info *i) {
  fuzz_env e;
  cmt_node_info *copy;

  fuzz_env_init(&e);
  copy = cmt__node_info_clone(&e.env, i);
  FUZZ_CHECK(copy != NULL && e.allocs == 1);
  check_same(i, copy);
  cmt__free(&e.env, copy);
  e.fail_at = e.allocs;
  FUZZ_CHECK(cmt__node_info_clone(&e.env, i) == NULL);
  fuzz_env_fini(&e);
}

static bool is_text(cmt_bytes b) {
  bool solid = false;

  for (size_t i = 0; i < b.len; i++) {
    solid = solid || b.base[i] > 32;
    if (b.base[i] < 32 || b.base[i] > 126) {
      return false;
    }
  }
  return solid;
}

/* What must hold of one that passed, whatever the order of the checks. */
static void check_valid(const cmt_node_info *i) {
  cmt_node_id id;

  FUZZ_CHECK(i->id.len == 40 && cmt__node_id_read(i->id, &id));
  FUZZ_CHECK(i->channels.len <= CMT_NODE_INFO_CHANNELS_MAX);
  FUZZ_CHECK(is_text(i->moniker));
  FUZZ_CHECK(i->version.len == 0 || is_text(i->version));
  FUZZ_CHECK(i->rpc_address.len == 0 || is_text(i->rpc_address));
  for (size_t k = 0; k < i->channels.len; k++) {
    for (size_t j = 0; j < k; j++) {
      FUZZ_CHECK(i->channels.base[k] != i->channels.base[j]);
    }
  }
}

static void check_compatible(const cmt_node_info *i) {
  static const uint8_t ids[] = {0x00, 0x30, 0x31, 0xff};
  const cmt_node_info ours = {
    .protocol_block = 11,
    .network = cmt_bytes_of("test-net"),
    .channels = {.base = ids, .len = sizeof ids},
  };
  cmt_why why;
  cmt_err err = cmt_node_info_compatible(i, &ours, &why);

  if (err != CMT_OK) {
    FUZZ_CHECK(err == CMT_EINCOMPATIBLE || err == CMT_ENETWORK);
    fuzz_check_why(&why, err);
  }
  FUZZ_CHECK(cmt_node_info_compatible(i, i, NULL) == CMT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = fuzz_copy((cmt_bytes){data, size});
  cmt_node_info info;
  cmt_why why;
  cmt_err err;

  if (cmt__node_info_decode((cmt_bytes){copy, size}, &info)) {
    check_encode(&info);
    check_clone(&info);
    check_compatible(&info);
    err = cmt_node_info_validate(&info, &why);
    if (err == CMT_OK) {
      check_valid(&info);
    } else {
      FUZZ_CHECK(err == CMT_ENODEINFO);
      fuzz_check_why(&why, err);
    }
  }
  free(copy);
  return 0;
}
