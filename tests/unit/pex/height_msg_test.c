/* SPDX-License-Identifier: Apache-2.0 */

/* Heights that messages of blocksync and consensus tell. */

#include "test.h"

#include <stdlib.h>

#include "base/base.h"
#include "pex/height_msg.h"

static int64_t height_of(uint8_t channel, const char *hex) {
  size_t len;
  uint8_t *bytes = test_unhex(hex, &len);
  int64_t height =
    cmt__height_read(channel, (cmt_bytes){.base = bytes, .len = len});

  free(bytes);
  return height;
}

/* messages.json has what nodes of the reference write. */
static void messages_of_nodes_tell_their_height(void **state) {
  static const struct {
    const char *list, *name;
    uint8_t channel;
    int64_t height;
  } rows[] = {
    {"blocksync", "StatusResponse{height 7, base 1}", 0x40, 7},
    {"blocksync", "StatusResponse{0,0}", 0x40, 0},
    {"blocksync", "StatusRequest{}", 0x40, 0},
    {"blocksync", "BlockRequest{5}", 0x40, 0},
    {"blocksync", "NoBlockResponse{300}", 0x40, 0},
    {"consensus",
     "NewRoundStep{height 1, round 0, step 1, seconds 0, last_commit_round "
     "-1}",
     0x20, 0},
  };
  json_t *all = test_vectors("messages.json");

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    const json_t *list = json_object_get(all, rows[i].list), *row;
    size_t at, found = 0;

    json_array_foreach(list, at, row) {
      if (strcmp(test_str(row, "name"), rows[i].name) == 0) {
        assert_int_equal(height_of(rows[i].channel, test_str(row, "bytes")),
                         rows[i].height);
        found++;
      }
    }
    assert_int_equal(found, 1);
  }
  json_decref(all);
}

/* The answers of nodes at heights 38 and 300, docs/PROTOCOL.md 9.6: consensus
   works on the block after the last one. */
static void a_step_is_of_the_next_block(void **state) {
  (void)state;
  assert_int_equal(height_of(0x40, "2a0408261001"), 38);
  assert_int_equal(height_of(0x20, "0a0408271801"), 38);
  assert_int_equal(height_of(0x20, "0a0908ad02180120052801"), 300);
  assert_int_equal(height_of(0x40, "2a0a08ffffffffffffffff7f"), INT64_MAX);
}

/* As the reference decodes: the last member counts, unknown fields and groups
   are skipped. */
static void tolerance_is_that_of_the_reference(void **state) {
  (void)state;
  assert_int_equal(height_of(0x40, "22002a0408071001"), 7);
  assert_int_equal(height_of(0x40, "2a04080710012200"), 0);
  assert_int_equal(height_of(0x40, "2a04080710012a0408081001"), 8);
  assert_int_equal(height_of(0x40, "2a06080710010809"), 9);
  assert_int_equal(height_of(0x40, "f807012a0708071001f80701"), 7);
  assert_int_equal(height_of(0x40, "2a077b0801747c0807"), 0);
  assert_int_equal(height_of(0x40, "2a067b08017c0807"), 7);
}

static void what_no_node_sends_tells_nothing(void **state) {
  static const struct {
    uint8_t channel;
    const char *hex;
  } rows[] = {
    {0x40, ""},                           /* Empty. */
    {0x40, "2a0408071008"},               /* The base is above the height. */
    {0x40, "2a0b08ffffffffffffffffff01"}, /* The height is negative, */
    {0x40, "2a0d080710ffffffffffffffffff01"},     /* or the base. */
    {0x40, "2a04080710"},                         /* It is cut. */
    {0x40, "2a030a0107"},                         /* The height is no number. */
    {0x40, "2807"},                               /* The member is none. */
    {0x40, "00"},                                 /* A field 0. */
    {0x20, "0a0408001801"},                       /* Height 0, */
    {0x20, "0a020827"},                           /* step 0, */
    {0x20, "0a0408271809"},                       /* step 9. */
    {0x20, "0a0f0827180110ffffffffffffffffff01"}, /* Round -1. */
    {0x20, "0a0f0827180128feffffffffffffffff01"}, /* Commit round -2. */
    {0x20, "1204082718010a04082718"},
    {0x21, "0a0408271801"}, /* Another channel. */
    {0x00, "2a0408071001"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(height_of(rows[i].channel, rows[i].hex), 0);
  }
}

static void long_messages_are_others(void **state) {
  static uint8_t bytes[CMT__HEIGHT_MESSAGE_MAX + 1] = {0x2a, 0x02, 0x08, 0x07,
                                                       0xfa, 0x01, 0xf8, 0x1f};
  cmt_bytes msg = {.base = bytes, .len = CMT__HEIGHT_MESSAGE_MAX};

  (void)state;
  assert_int_equal(cmt__height_read(0x40, msg), 7);
  bytes[6] = 0xf9;
  msg.len++;
  assert_int_equal(cmt__height_read(0x40, msg), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_of_nodes_tell_their_height),
    cmocka_unit_test(a_step_is_of_the_next_block),
    cmocka_unit_test(tolerance_is_that_of_the_reference),
    cmocka_unit_test(what_no_node_sends_tells_nothing),
    cmocka_unit_test(long_messages_are_others),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
