/* SPDX-License-Identifier: Apache-2.0 */

/* The files of proto/ against messages that CometBFT wrote: recorded ones of a
   complete node, and ones with every field, of its generated code. */

#include "test.h"

#include <blocksync.pb-c.h>
#include <consensus.pb-c.h>
#include <mempool.pb-c.h>
#include <pex.pb-c.h>
#include <sodium.h>
#include <statesync.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <types.pb-c.h>

enum { COUNTS_MAX = 64 };

/* The type of a channel's messages. */
typedef struct channel_type {
  uint8_t first, last;
  const ProtobufCMessageDescriptor *type;
} channel_type;

static const channel_type types[] = {
  {0x00, 0x00, &cometbft__pex__message__descriptor},
  {0x20, 0x23, &cometbft__consensus__message__descriptor},
  {0x30, 0x30, &cometbft__mempool__message__descriptor},
  {0x38, 0x38, &cometbft__types__evidence_list__descriptor},
  {0x40, 0x40, &cometbft__blocksync__message__descriptor},
  {0x60, 0x61, &cometbft__statesync__message__descriptor},
};

/* How many messages of each kind came; a kind is a member of a union. */
typedef struct count {
  const ProtobufCMessageDescriptor *type;
  const char *member;
  unsigned n;
} count;

static count counts[COUNTS_MAX];
static size_t count_len;

static void counts_init(void) {
  count_len = 0;
  for (size_t i = 0; i < CMT__COUNT(types); i++) {
    const ProtobufCMessageDescriptor *d = types[i].type;

    for (unsigned k = 0; k < d->n_fields; k++) {
      assert_true(count_len < COUNTS_MAX);
      counts[count_len++] = (count){.type = d, .member = d->fields[k].name};
    }
  }
}

static void counts_add(const ProtobufCMessageDescriptor *type,
                       const char *member) {
  for (size_t i = 0; i < count_len; i++) {
    if (counts[i].type == type && strcmp(counts[i].member, member) == 0) {
      counts[i].n++;
      return;
    }
  }
  fail_msg("no kind %s of %s", member, type->name);
}

static void counts_print(const char *file) {
  for (size_t i = 0; i < count_len; i++) {
    if (counts[i].n > 0) {
      printf("# %s: %3u %s %s\n", file, counts[i].n, counts[i].type->name,
             counts[i].member);
    }
  }
}

static const ProtobufCMessageDescriptor *type_of(long long channel) {
  for (size_t i = 0; i < CMT__COUNT(types); i++) {
    if (types[i].first <= channel && channel <= types[i].last) {
      return types[i].type;
    }
  }
  fail_msg("no type for channel %lld", channel);
  return NULL;
}

/* ---- whatever the message is ---- */

static bool field_is_there(const ProtobufCMessage *m,
                           const ProtobufCFieldDescriptor *f) {
  const char *base = (const char *)m;

  if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
    return *(const uint32_t *)(const void *)(base + f->quantifier_offset) ==
           f->id;
  }
  return f->label != PROTOBUF_C_LABEL_REPEATED;
}

/* All fields are known, of this message and of those in it. */
static void assert_all_known(const ProtobufCMessage *m) {
  for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
    const void *member = (const char *)m + f->offset;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
      continue;
    }
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
      ProtobufCMessage *const *list = *(ProtobufCMessage *const *const *)member;
      size_t n =
        *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);

      for (size_t k = 0; k < n; k++) {
        assert_all_known(list[k]);
      }
    } else if (field_is_there(m, f) &&
               *(ProtobufCMessage *const *)member != NULL) {
      assert_all_known(*(ProtobufCMessage *const *)member);
    }
  }
  if (m->n_unknown_fields != 0) {
    fail_msg("%s has a field %u that is not in proto/", m->descriptor->name,
             m->unknown_fields[0].tag);
  }
}

/* Unpacks |in|, which must be known to the last field and pack to itself. */
static ProtobufCMessage *read_back(const ProtobufCMessageDescriptor *type,
                                   const uint8_t *in, size_t len) {
  ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, len, in);
  uint8_t *out;

  if (m == NULL) {
    fail_msg("no %s", type->name);
  }
  assert_all_known(m);
  assert_int_equal(len, protobuf_c_message_get_packed_size(m));
  out = malloc(len + 1);
  assert_non_null(out);
  assert_int_equal(len, protobuf_c_message_pack(m, out));
  assert_memory_equal(in, out, len);
  free(out);
  return m;
}

/* The member of the union that |m| is, or its one field. */
static const char *kind_of(const ProtobufCMessage *m) {
  const ProtobufCMessageDescriptor *d = m->descriptor;

  for (unsigned i = 0; i < d->n_fields; i++) {
    if (field_is_there(m, &d->fields[i]) || d->n_fields == 1) {
      return d->fields[i].name;
    }
  }
  fail_msg("%s is empty", d->name);
  return NULL;
}

/* ---- recorded messages ---- */

typedef void (*visitor)(const ProtobufCMessage *m);

static void every_message(const char *file, size_t least, visitor visit) {
  json_t *root = test_vectors(file);
  json_t *messages = json_object_get(root, "messages"), *row;
  size_t i;

  assert_true(json_array_size(messages) >= least);
  counts_init();
  json_array_foreach(messages, i, row) {
    const ProtobufCMessageDescriptor *type =
      type_of(json_integer_value(json_object_get(row, "channel")));
    size_t len;
    uint8_t *in = test_unhex(test_str(row, "bytes"), &len);
    ProtobufCMessage *m = read_back(type, in, len);

    counts_add(type, kind_of(m));
    if (visit != NULL) {
      visit(m);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    free(in);
  }
  counts_print(file);
  json_decref(root);
}

static unsigned count_of(const ProtobufCMessageDescriptor *type,
                         const char *member) {
  for (size_t i = 0; i < count_len; i++) {
    if (counts[i].type == type && strcmp(counts[i].member, member) == 0) {
      return counts[i].n;
    }
  }
  return 0;
}

static void recorded_messages_pack_to_themselves(void **state) {
  static const char *const consensus[] = {
    "new_round_step", "new_valid_block", "proposal",       "block_part",
    "vote",           "has_vote",        "vote_set_maj23", "vote_set_bits"};
  static const char *const blocksync[] = {"no_block_response", "block_response",
                                          "status_response"};

  (void)state;
  every_message("chain_v0.38.25.json", 50, NULL);
  for (size_t i = 0; i < CMT__COUNT(consensus); i++) {
    assert_true(
      count_of(&cometbft__consensus__message__descriptor, consensus[i]) > 0);
  }
  for (size_t i = 0; i < CMT__COUNT(blocksync); i++) {
    assert_true(
      count_of(&cometbft__blocksync__message__descriptor, blocksync[i]) > 0);
  }
  assert_true(count_of(&cometbft__mempool__message__descriptor, "txs") > 0);
}

static void messages_of_every_kind_pack_to_themselves(void **state) {
  (void)state;
  every_message("chain_written.json", 100, NULL);
  for (size_t i = 0; i < count_len; i++) {
    if (counts[i].n == 0) {
      fail_msg("no message %s of %s", counts[i].member, counts[i].type->name);
    }
  }
}

/* ---- what stands in them ---- */

/* How often there was something to look at, for each member. */
static unsigned blocks, parts, votes, steps, txs;

static void look_at_block(const Cometbft__Types__Block *b) {
  assert_int_equal(11, b->header->version->block);
  assert_int_equal(1, b->header->version->app);
  assert_memory_equal("test-chain-", b->header->chain_id, 11);
  assert_true(b->header->height >= 1);
  assert_true(b->header->time->seconds > 1700000000);
  assert_int_equal(20, b->header->proposer_address.len);
  assert_int_equal(b->header->height - 1, b->last_commit->height);
  assert_int_equal(0, b->evidence->n_evidence);
  if (b->header->height > 1) {
    const Cometbft__Types__CommitSig *sig = b->last_commit->signatures[0];

    assert_int_equal(COMETBFT__TYPES__BLOCK_ID_FLAG__COMMIT,
                     sig->block_id_flag);
    assert_int_equal(64, sig->signature.len);
    assert_memory_equal(b->header->last_block_id->hash.data,
                        b->last_commit->block_id->hash.data, 32);
  }
  blocks++;
}

/* A leaf of the tree is hashed behind a zero.  All blocks here are of one
   part, which so is the block. */
static void look_at_part(const Cometbft__Types__Part *part) {
  uint8_t hash[crypto_hash_sha256_BYTES], zero = 0;
  crypto_hash_sha256_state s;
  ProtobufCMessage *m;

  assert_int_equal(1, part->proof->total);
  crypto_hash_sha256_init(&s);
  crypto_hash_sha256_update(&s, &zero, 1);
  crypto_hash_sha256_update(&s, part->bytes.data, part->bytes.len);
  crypto_hash_sha256_final(&s, hash);
  assert_int_equal(sizeof hash, part->proof->leaf_hash.len);
  assert_memory_equal(hash, part->proof->leaf_hash.data, sizeof hash);
  m = read_back(&cometbft__types__block__descriptor, part->bytes.data,
                part->bytes.len);
  look_at_block((const Cometbft__Types__Block *)m);
  protobuf_c_message_free_unpacked(m, NULL);
  parts++;
}

static void look_at_vote(const Cometbft__Types__Vote *v) {
  assert_true(v->type == COMETBFT__TYPES__SIGNED_TYPE__PREVOTE ||
              v->type == COMETBFT__TYPES__SIGNED_TYPE__PRECOMMIT);
  assert_true(v->height >= 1);
  assert_int_equal(20, v->validator_address.len);
  assert_int_equal(64, v->signature.len);
  votes++;
}

static void look_at_consensus(const Cometbft__Consensus__Message *m) {
  if (m->sum_case == COMETBFT__CONSENSUS__MESSAGE__SUM_NEW_ROUND_STEP) {
    assert_true(m->new_round_step->height >= 1);
    assert_in_range(m->new_round_step->step, 1, 8);
    assert_int_equal(m->new_round_step->height == 1 ? -1 : 0,
                     m->new_round_step->last_commit_round);
    steps++;
  } else if (m->sum_case == COMETBFT__CONSENSUS__MESSAGE__SUM_BLOCK_PART) {
    look_at_part(m->block_part->part);
  } else if (m->sum_case == COMETBFT__CONSENSUS__MESSAGE__SUM_VOTE) {
    look_at_vote(m->vote->vote);
  } else if (m->sum_case == COMETBFT__CONSENSUS__MESSAGE__SUM_PROPOSAL) {
    const Cometbft__Types__Proposal *p = m->proposal->proposal;

    assert_int_equal(COMETBFT__TYPES__SIGNED_TYPE__PROPOSAL, p->type);
    assert_int_equal(-1, p->pol_round);
    assert_int_equal(1, p->block_id->part_set_header->total);
  }
}

static void look_at_blocksync(const Cometbft__Blocksync__Message *m) {
  if (m->sum_case == COMETBFT__BLOCKSYNC__MESSAGE__SUM_STATUS_RESPONSE) {
    assert_int_equal(m->status_response->height > 0,
                     m->status_response->base_height);
  } else if (m->sum_case ==
             COMETBFT__BLOCKSYNC__MESSAGE__SUM_NO_BLOCK_RESPONSE) {
    assert_int_equal(INT64_C(1) << 40, m->no_block_response->height);
  } else if (m->sum_case == COMETBFT__BLOCKSYNC__MESSAGE__SUM_BLOCK_RESPONSE) {
    const Cometbft__Types__ExtendedCommit *c = m->block_response->ext_commit;

    look_at_block(m->block_response->block);
    /* Votes have extensions from height 2 on there. */
    if (m->block_response->block->header->height > 1) {
      assert_int_equal(64, c->extended_signatures[0]->extension_signature.len);
    }
  }
}

static void look_at_mempool(const Cometbft__Mempool__Message *m) {
  const ProtobufCBinaryData *tx = m->txs->txs;

  assert_int_equal(1, m->txs->n_txs);
  if (tx->len == 3) {
    assert_memory_equal("a=1", tx->data, 3);
  } else {
    assert_int_equal(304, tx->len);
    assert_memory_equal("key=vvv", tx->data, 7);
  }
  txs++;
}

static void look(const ProtobufCMessage *m) {
  if (m->descriptor == &cometbft__consensus__message__descriptor) {
    look_at_consensus((const Cometbft__Consensus__Message *)m);
  } else if (m->descriptor == &cometbft__blocksync__message__descriptor) {
    look_at_blocksync((const Cometbft__Blocksync__Message *)m);
  } else if (m->descriptor == &cometbft__mempool__message__descriptor) {
    look_at_mempool((const Cometbft__Mempool__Message *)m);
  }
}

static void the_fields_of_recorded_messages_have_their_meaning(void **state) {
  (void)state;
  every_message("chain_v0.38.25.json", 50, look);
  assert_true(blocks >= 4 && parts >= 2 && votes >= 2 && steps >= 10);
  assert_int_equal(2, txs);
}

/* ---- what several versions write ---- */

/* The snapshots are of heights 120, 110 and so on down, of 12, 11 and so on
   chunks. */
static unsigned snapshots;

static void look_at_snapshot(const ProtobufCMessage *m) {
  const Cometbft__Statesync__Message *s =
    (const Cometbft__Statesync__Message *)m;

  if (m->descriptor == &cometbft__statesync__message__descriptor) {
    const Cometbft__Statesync__SnapshotsResponse *r = s->snapshots_response;

    assert_int_equal(120 - 10 * snapshots, r->height);
    assert_int_equal(3, r->format);
    assert_int_equal(12 - snapshots, r->chunks);
    assert_int_equal(32, r->hash.len);
    assert_int_equal(4, r->metadata.len);
    assert_memory_equal("meta", r->metadata.data, 4);
    snapshots++;
  }
}

static void messages_of_several_versions_pack_to_themselves(void **state) {
  (void)state;
  every_message("chain_versions.json", 15, look_at_snapshot);
  assert_int_equal(10, snapshots);
}

/* ---- single messages ---- */

static void single_messages_pack_to_themselves(void **state) {
  static const char *const names[] = {"pex", "mempool", "blocksync",
                                      "consensus"};
  static const uint8_t channels[] = {0x00, 0x30, 0x40, 0x20};
  json_t *root = test_vectors("messages.json"), *row;
  size_t k;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(names); i++) {
    assert_true(json_array_size(json_object_get(root, names[i])) > 0);
    json_array_foreach(json_object_get(root, names[i]), k, row) {
      size_t len;
      uint8_t *in = test_unhex(test_str(row, "bytes"), &len);

      protobuf_c_message_free_unpacked(read_back(type_of(channels[i]), in, len),
                                       NULL);
      free(in);
    }
  }
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(recorded_messages_pack_to_themselves),
    cmocka_unit_test(the_fields_of_recorded_messages_have_their_meaning),
    cmocka_unit_test(messages_of_every_kind_pack_to_themselves),
    cmocka_unit_test(messages_of_several_versions_pack_to_themselves),
    cmocka_unit_test(single_messages_pack_to_themselves),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
