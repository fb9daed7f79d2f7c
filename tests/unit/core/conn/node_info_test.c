/* SPDX-License-Identifier: Apache-2.0 */

/* Node infos: bytes, checks in their order with their reasons, and what fits
   what.  docs/PROTOCOL.md section 3. */

#include "node_infos.h"

#include <stdlib.h>

#define ID "1325b850c2871916eae203f0efc3c8987f64e5e3"

static cmt_node_info sample(void) {
  return (cmt_node_info){
    .protocol_p2p = 8,
    .protocol_block = 11,
    .protocol_app = 1,
    .id = cmt_bytes_of(ID),
    .listen_addr = cmt_bytes_of("tcp://127.0.0.1:27656"),
    .network = cmt_bytes_of("test-net"),
    .version = cmt_bytes_of("0.38.2"),
    .channels = {.base = (const uint8_t *)"\x00\x30\x31\xff", .len = 4},
    .moniker = cmt_bytes_of("oracle"),
    .tx_index = cmt_bytes_of("on"),
    .rpc_address = cmt_bytes_of("tcp://127.0.0.1:26657"),
  };
}

/* Decodes |hex|; the bytes behind |out| are |*memory|, for free(). */
static bool decode_hex(const char *hex, cmt_node_info *out, uint8_t **memory) {
  size_t len;

  *memory = test_unhex(hex, &len);
  return cmt__node_info_decode((cmt_bytes){.base = *memory, .len = len}, out);
}

static void embedded_messages_are_written_when_empty(void **state) {
  cmt_node_info i = {0};

  (void)state;
  assert_node_info_bytes("0a004200", &i);
}

static void no_bytes_are_an_empty_node_info(void **state) {
  cmt_node_info zero = {0}, found = sample();

  (void)state;
  assert_true(cmt__node_info_decode((cmt_bytes){0}, &found));
  assert_same_node_info(&zero, &found);
}

static void the_last_of_a_repeated_field_wins(void **state) {
  cmt_node_info found;
  uint8_t *memory;

  (void)state;
  assert_true(decode_hex("3a01613a0162", &found, &memory));
  assert_bytes(cmt_bytes_of("b"), found.moniker);
  free(memory);
  assert_true(decode_hex("3a01613a00", &found, &memory));
  assert_int_equal(0, found.moniker.len);
  free(memory);
}

static void a_repeated_embedded_message_fills_the_same_struct(void **state) {
  cmt_node_info found;
  uint8_t *memory;

  (void)state;
  assert_true(decode_hex("0a020808"
                         "0a02100b"
                         "42040a026f6e"
                         "4203120178",
                         &found, &memory));
  assert_true(found.protocol_p2p == 8);
  assert_true(found.protocol_block == 11);
  assert_true(found.protocol_app == 0);
  assert_bytes(cmt_bytes_of("on"), found.tx_index);
  assert_bytes(cmt_bytes_of("x"), found.rpc_address);
  free(memory);
}

static void unknown_fields_are_skipped_at_every_level(void **state) {
  cmt_node_info found;
  uint8_t *memory;

  (void)state;
  assert_true(decode_hex("4801520161"
                         "5d00000000"
                         "63080164"
                         "0a0620010808280a"
                         "3a0162",
                         &found, &memory));
  assert_true(found.protocol_p2p == 8);
  assert_bytes(cmt_bytes_of("b"), found.moniker);
  free(memory);
}

static void malformed_bytes_are_refused(void **state) {
  static const char *const wrong[] = {
    "0a",                             /* no length */
    "0a0108",                         /* no value inside */
    "0801",                           /* 1 as varint */
    "0a020a00",                       /* p2p as bytes */
    "1001",                           /* id as varint */
    "3d00000000",                     /* moniker as fixed32 */
    "33",                             /* channels as an open group */
    "4001",                           /* other as varint */
    "42020801",                       /* tx_index as varint */
    "42021001",                       /* rpc_address as varint */
    "0001",                           /* field 0 */
    "42020001",                       /* field 0 inside */
    "3a0561",                         /* too short */
    "3a01613c",                       /* the end of no group */
    "0a0d08ffffffffffffffffffffff01", /* a varint of 12 bytes */
  };
  cmt_node_info found;
  uint8_t *memory;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(wrong); i++) {
    if (decode_hex(wrong[i], &found, &memory)) {
      fail_msg("%s was decoded", wrong[i]);
    }
    free(memory);
  }
}

static void every_cut_is_refused_or_decodes_in_bounds(void **state) {
  cmt_node_info i = sample(), found;
  uint8_t out[256];
  cmt__writer w = {.at = out, .end = out + sizeof out};
  size_t size = cmt__node_info_size(&i);

  (void)state;
  cmt__node_info_encode(&i, &w);
  for (size_t len = 0; len < size; len++) {
    uint8_t *cut = malloc(len > 0 ? len : 1);

    memcpy(cut, out, len);
    if (cmt__node_info_decode((cmt_bytes){.base = cut, .len = len}, &found)) {
      assert_true(found.moniker.len == 0 || found.moniker.len == 6);
      assert_int_equal(0, found.rpc_address.len);
    }
    free(cut);
  }
}

static void a_clone_is_one_block_of_its_own(void **state) {
  cmt_node_info i = sample(), *copy;
  char moniker[] = "mine";
  test_env t;

  (void)state;
  test_env_init(&t);
  i.moniker = cmt_bytes_of(moniker);
  i.tx_index = (cmt_bytes){0};
  copy = cmt__node_info_clone(&t.env, &i);
  assert_non_null(copy);
  assert_int_equal(1, t.allocs);
  assert_same_node_info(&i, copy);
  moniker[0] = 'x';
  assert_bytes(cmt_bytes_of("mine"), copy->moniker);
  cmt__free(&t.env, copy);
  test_env_fini(&t);
}

static void a_clone_without_memory_is_none(void **state) {
  cmt_node_info i = sample();
  test_env t;

  (void)state;
  test_env_init(&t);
  t.fail_at = 0;
  assert_null(cmt__node_info_clone(&t.env, &i));
  test_env_fini(&t);
}

static void bytes_of_a_text_leave_out_its_nul(void **state) {
  (void)state;
  assert_int_equal(3, cmt_bytes_of("abc").len);
  assert_int_equal(0, cmt_bytes_of("").len);
  assert_int_equal(0, cmt_bytes_of(NULL).len);
}

static void assert_valid(const cmt_node_info *i) {
  cmt_why why = {.text = "?"};

  if (cmt_node_info_validate(i, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
}

static void assert_invalid(const cmt_node_info *i, const char *text) {
  cmt_why why = {0};

  assert_cmt(CMT_ENODEINFO, cmt_node_info_validate(i, &why));
  assert_cmt(CMT_ENODEINFO, why.err);
  assert_int_equal(CMT_STAGE_NODE_INFO, why.stage);
  assert_string_equal(text, why.text);
  assert_cmt(CMT_ENODEINFO, cmt_node_info_validate(i, NULL));
}

static void the_sample_is_valid(void **state) {
  cmt_node_info i = sample();

  (void)state;
  assert_valid(&i);
  assert_cmt(CMT_OK, cmt_node_info_validate(&i, NULL));
}

static void a_node_that_does_not_listen_is_valid(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.listen_addr = cmt_bytes_of("tcp://0.0.0.0:0");
  assert_valid(&i);
}

static void ids_are_40_hex_digits(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.id = (cmt_bytes){0};
  assert_invalid(&i, "id is empty; allowed is 40 hex digits");
  i.id = cmt_bytes_of("0\n");
  assert_invalid(&i, "id is '0\\x0a'; allowed is 40 hex digits");
}

static void listen_addresses_are_checked_for_syntax(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.listen_addr = (cmt_bytes){0};
  assert_invalid(&i, "listen_addr is empty; the port is missing");
  i.listen_addr = cmt_bytes_of("tcp://:26656");
  assert_invalid(&i, "listen_addr is 'tcp://:26656'; the host is empty");
  i.listen_addr = cmt_bytes_of("a@b:1");
  assert_invalid(&i,
                 "listen_addr is 'a@b:1'; there is an id where none belongs");
  i.listen_addr = cmt_bytes_of("name.example:1");
  assert_valid(&i);
}

static void versions_are_empty_or_printable(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.version = (cmt_bytes){0};
  assert_valid(&i);
  i.version = cmt_bytes_of("a\tb");
  assert_invalid(&i, "version is 'a\\x09b'; allowed is nothing, or printable "
                     "ASCII characters, not only spaces");
  i.version = cmt_bytes_of("  ");
  assert_invalid(&i, "version is '  '; allowed is nothing, or printable "
                     "ASCII characters, not only spaces");
}

static void channels_are_at_most_16_and_distinct(void **state) {
  uint8_t channels[17];
  cmt_node_info i = sample();

  (void)state;
  for (uint8_t c = 0; c < 17; c++) {
    channels[c] = c;
  }
  i.channels = (cmt_bytes){.base = channels, .len = 16};
  assert_valid(&i);
  i.channels.len = 17;
  assert_invalid(&i, "channels has 17 entries; allowed is at most 16");
  channels[15] = 3;
  i.channels.len = 16;
  assert_invalid(&i, "channels has 0x03 twice; allowed is once");
  i.channels.len = 0;
  assert_valid(&i);
}

static void monikers_are_printable_and_not_empty(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.moniker = (cmt_bytes){0};
  assert_invalid(&i, "moniker is empty; allowed is 1 or more printable ASCII "
                     "characters, not only spaces");
  i.moniker = cmt_bytes_of(" ");
  assert_invalid(&i, "moniker is ' '; allowed is 1 or more printable ASCII "
                     "characters, not only spaces");
  i.moniker = cmt_bytes_of("\x7f");
  assert_invalid(&i, "moniker is '\\x7f'; allowed is 1 or more printable "
                     "ASCII characters, not only spaces");
  i.moniker = cmt_bytes_of("~ !");
  assert_valid(&i);
}

static void tx_indexes_are_on_off_or_empty(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.tx_index = cmt_bytes_of("off");
  assert_valid(&i);
  i.tx_index = (cmt_bytes){0};
  assert_valid(&i);
  i.tx_index = cmt_bytes_of("On");
  assert_invalid(&i, "tx_index is 'On'; allowed is nothing, 'on' or 'off'");
}

static void rpc_addresses_are_empty_or_printable(void **state) {
  cmt_node_info i = sample();

  (void)state;
  i.rpc_address = cmt_bytes_of("not an address");
  assert_valid(&i);
  i.rpc_address = (cmt_bytes){0};
  assert_valid(&i);
  i.rpc_address = cmt_bytes_of("   ");
  assert_invalid(&i, "rpc_address is '   '; allowed is nothing, or printable "
                     "ASCII characters, not only spaces");
}

static void checks_come_in_their_order(void **state) {
  cmt_node_info i = {.version = cmt_bytes_of("\t"),
                     .channels = {.base = (const uint8_t *)"\1\1", .len = 2},
                     .tx_index = cmt_bytes_of("x"),
                     .rpc_address = cmt_bytes_of("\t")};
  cmt_why why;
  static const char *const order[] = {
    "id ",      "listen_addr ", "version ",    "channels",
    "moniker ", "tx_index ",    "rpc_address "};

  (void)state;
  for (size_t step = 0; step < CMT__COUNT(order); step++) {
    assert_cmt(CMT_ENODEINFO, cmt_node_info_validate(&i, &why));
    assert_memory_equal(order[step], why.text, strlen(order[step]));
    switch (step) {
    case 0:
      i.id = cmt_bytes_of(ID);
      break;
    case 1:
      i.listen_addr = cmt_bytes_of("h:1");
      break;
    case 2:
      i.version = (cmt_bytes){0};
      break;
    case 3:
      i.channels.len = 1;
      break;
    case 4:
      i.moniker = cmt_bytes_of("m");
      break;
    case 5:
      i.tx_index = (cmt_bytes){0};
      break;
    default:
      break;
    }
  }
}

static void a_long_text_of_a_peer_is_cut_in_the_reason(void **state) {
  static uint8_t text[9000];
  cmt_node_info i = sample();
  cmt_why why;

  (void)state;
  i.moniker = (cmt_bytes){.base = text, .len = sizeof text};
  assert_cmt(CMT_ENODEINFO, cmt_node_info_validate(&i, &why));
  assert_non_null(strstr(why.text, "\\x00...'; allowed is 1 or more"));
  assert_non_null(strstr(why.text, "not only spaces"));
}

static void assert_differs(cmt_err err, const cmt_node_info *theirs,
                           const cmt_node_info *ours, const char *text) {
  cmt_why why = {0};

  assert_cmt(err, cmt_node_info_compatible(theirs, ours, &why));
  assert_cmt(err, why.err);
  assert_int_equal(CMT_STAGE_NODE_INFO, why.stage);
  assert_string_equal(text, why.text);
  assert_cmt(err, cmt_node_info_compatible(theirs, ours, NULL));
}

static void assert_incompatible(const cmt_node_info *theirs,
                                const cmt_node_info *ours, const char *text) {
  assert_differs(CMT_EINCOMPATIBLE, theirs, ours, text);
}

static void block_versions_have_to_be_equal(void **state) {
  cmt_node_info theirs = sample(), ours = sample();

  (void)state;
  theirs.protocol_block = UINT64_MAX;
  theirs.network = cmt_bytes_of("other");
  assert_incompatible(&theirs, &ours,
                      "block version differs: theirs 18446744073709551615, "
                      "ours 11");
}

static void networks_have_to_be_equal(void **state) {
  cmt_node_info theirs = sample(), ours = sample();

  (void)state;
  theirs.network = cmt_bytes_of("test-net2");
  theirs.channels.len = 0;
  assert_differs(CMT_ENETWORK, &theirs, &ours,
                 "network differs: theirs 'test-net2', ours 'test-net'");
  theirs.network = cmt_bytes_of("\x1b[2J");
  assert_differs(CMT_ENETWORK, &theirs, &ours,
                 "network differs: theirs '\\x1b[2J', ours 'test-net'");
  theirs.network = (cmt_bytes){0};
  assert_differs(CMT_ENETWORK, &theirs, &ours,
                 "network differs: theirs '', ours 'test-net'");
}

static void a_common_channel_is_needed_unless_we_have_none(void **state) {
  cmt_node_info theirs = sample(), ours = sample();

  (void)state;
  theirs.channels = cmt_bytes_of("\x40\x20");
  assert_incompatible(&theirs, &ours,
                      "no common channel: theirs 4020, ours 003031ff");
  theirs.channels = (cmt_bytes){0};
  assert_incompatible(&theirs, &ours,
                      "no common channel: theirs none, ours 003031ff");
  ours.channels = (cmt_bytes){0};
  assert_cmt(CMT_OK, cmt_node_info_compatible(&theirs, &ours, NULL));
  theirs.channels = ours.channels = cmt_bytes_of("\x40\x20");
  theirs.channels = cmt_bytes_of("\x20");
  assert_cmt(CMT_OK, cmt_node_info_compatible(&theirs, &ours, NULL));
}

static void other_fields_may_differ(void **state) {
  cmt_node_info theirs = sample(), ours = sample();

  (void)state;
  theirs.protocol_p2p = 9;
  theirs.protocol_app = 77;
  theirs.version = cmt_bytes_of("1.0.1");
  assert_cmt(CMT_OK, cmt_node_info_compatible(&theirs, &ours, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(embedded_messages_are_written_when_empty),
    cmocka_unit_test(no_bytes_are_an_empty_node_info),
    cmocka_unit_test(the_last_of_a_repeated_field_wins),
    cmocka_unit_test(a_repeated_embedded_message_fills_the_same_struct),
    cmocka_unit_test(unknown_fields_are_skipped_at_every_level),
    cmocka_unit_test(malformed_bytes_are_refused),
    cmocka_unit_test(every_cut_is_refused_or_decodes_in_bounds),
    cmocka_unit_test(a_clone_is_one_block_of_its_own),
    cmocka_unit_test(a_clone_without_memory_is_none),
    cmocka_unit_test(bytes_of_a_text_leave_out_its_nul),
    cmocka_unit_test(the_sample_is_valid),
    cmocka_unit_test(a_node_that_does_not_listen_is_valid),
    cmocka_unit_test(ids_are_40_hex_digits),
    cmocka_unit_test(listen_addresses_are_checked_for_syntax),
    cmocka_unit_test(versions_are_empty_or_printable),
    cmocka_unit_test(channels_are_at_most_16_and_distinct),
    cmocka_unit_test(monikers_are_printable_and_not_empty),
    cmocka_unit_test(tx_indexes_are_on_off_or_empty),
    cmocka_unit_test(rpc_addresses_are_empty_or_printable),
    cmocka_unit_test(checks_come_in_their_order),
    cmocka_unit_test(a_long_text_of_a_peer_is_cut_in_the_reason),
    cmocka_unit_test(block_versions_have_to_be_equal),
    cmocka_unit_test(networks_have_to_be_equal),
    cmocka_unit_test(a_common_channel_is_needed_unless_we_have_none),
    cmocka_unit_test(other_fields_may_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
