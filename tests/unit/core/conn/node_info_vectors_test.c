/* SPDX-License-Identifier: Apache-2.0 */

/* Node infos compared with what the reference sends and accepts.
   docs/PROTOCOL.md section 3. */

#include "node_infos.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t number(const json_t *fields, const char *key) {
  return (uint64_t)json_integer_value(json_object_get(fields, key));
}

static void check_message(const json_t *row) {
  const json_t *f = json_object_get(row, "fields");
  const char *proto = test_str(row, "proto");
  cmt_node_info expected, found;
  uint8_t *memory, *channels;
  size_t channel_count, len;

  channels = test_unhex(test_str(f, "channels"), &channel_count);
  expected = (cmt_node_info){
    .protocol_p2p = number(f, "p2p"),
    .protocol_block = number(f, "block"),
    .protocol_app = number(f, "app"),
    .id = cmt_bytes_of(test_str(f, "id")),
    .listen_addr = cmt_bytes_of(test_str(f, "listen_addr")),
    .network = cmt_bytes_of(test_str(f, "network")),
    .version = cmt_bytes_of(test_str(f, "version")),
    .channels = {.base = channels, .len = channel_count},
    .moniker = cmt_bytes_of(test_str(f, "moniker")),
    .tx_index = cmt_bytes_of(test_str(f, "tx_index")),
    .rpc_address = cmt_bytes_of(test_str(f, "rpc_address")),
  };
  assert_node_info_bytes(proto, &expected);
  memory = test_unhex(proto, &len);
  assert_true(
    cmt__node_info_decode((cmt_bytes){.base = memory, .len = len}, &found));
  assert_same_node_info(&expected, &found);
  free(memory);
  free(channels);
}

static void messages_are_those_of_the_reference(void **state) {
  json_t *root = test_vectors("messages.json");
  json_t *rows = json_object_get(root, "node_info"), *row;
  size_t i, used = 0;

  (void)state;
  json_array_foreach(rows, i, row) {
    check_message(row);
    used++;
  }
  test_used("messages.json node_info", used, 0, 2);
  json_decref(root);
}

/* The node that judged the vectors. */
static cmt_node_info reference(void) {
  return (cmt_node_info){
    .protocol_block = 11,
    .network = cmt_bytes_of("test-net"),
    .channels = {.base = (const uint8_t *)"\x00\x30\x31\xff", .len = 4},
  };
}

/* Rows that the connection decides, before or after the checks here. */
static bool is_of_connection(const char *name) {
  return strcmp(name, "nodeinfo 10241 bytes") == 0 ||
         strcmp(name, "id of another key") == 0;
}

/* What the checks of this source return for the message |hex| with its
   prefix. */
static cmt_err verdict(const char *hex, cmt_why *why) {
  cmt_node_info ours = reference(), theirs;
  size_t len;
  uint8_t *sent = test_unhex(hex, &len);
  uint64_t body_len = 0;
  int prefix = cmt__read_prefix(sent, len, &body_len);
  cmt_err err;

  assert_true(prefix > 0);
  assert_int_equal(len, (size_t)prefix + body_len);
  assert_true(cmt__node_info_decode(
    (cmt_bytes){.base = sent + prefix, .len = body_len}, &theirs));
  err = cmt_node_info_validate(&theirs, why);
  if (err == CMT_OK) {
    err = cmt_node_info_compatible(&theirs, &ours, why);
  }
  free(sent);
  return err;
}

static void check_row(const json_t *row, const char *name) {
  bool accepted = json_is_true(json_object_get(row, "accepted"));
  const char *reason = test_str(row, "reason");
  cmt_why why = {.text = "accepted"};
  cmt_err expected = CMT_OK, found = verdict(test_str(row, "sent"), &why);

  if (!accepted) {
    expected = strstr(reason, "incompatible") == NULL ? CMT_ENODEINFO
               : strstr(reason, "network") != NULL    ? CMT_ENETWORK
                                                      : CMT_EINCOMPATIBLE;
  }
  assert_cmt(expected, found);
  printf("# nodeinfo_validation.json: %s: %s\n", name, why.text);
}

/* What the connection refuses has nothing wrong here. */
static void check_row_of_connection(const json_t *row, const char *name) {
  const json_t *sent = json_object_get(row, "sent");

  if (json_is_string(sent)) {
    assert_cmt(CMT_OK, verdict(json_string_value(sent), NULL));
  }
  printf("# nodeinfo_validation.json: %s: in conn_test\n", name);
}

static void node_infos_are_judged_as_in_the_reference(void **state) {
  json_t *root = test_vectors("nodeinfo_validation.json");
  json_t *rows = json_object_get(root, "vectors"), *row;
  size_t i, used = 0, intended = 0;

  (void)state;
  json_array_foreach(rows, i, row) {
    const char *name = test_str(row, "name");

    if (is_of_connection(name)) {
      check_row_of_connection(row, name);
      used++;
    } else if (strcmp(name, "listen 'nosuchhost.invalid:1'") == 0) {
      assert_cmt(CMT_OK, verdict(test_str(row, "sent"), NULL));
      printf("# nodeinfo_validation.json: %s: accepted, intended difference: "
             "only its syntax is checked\n",
             name);
      intended++;
    } else {
      check_row(row, name);
      used++;
    }
  }
  test_used("nodeinfo_validation.json", used, intended, 30);
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_are_those_of_the_reference),
    cmocka_unit_test(node_infos_are_judged_as_in_the_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
