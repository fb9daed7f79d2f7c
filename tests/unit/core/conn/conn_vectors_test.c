/* SPDX-License-Identifier: Apache-2.0 */
/* Whole connections against what was seen of CometBFT: every packet case and
   every node info, in both roles. */
#include "conn_peer.h"

#include <stdlib.h>

/* The bytes of hex that may end in "... (1037 bytes)": zeros follow then. */
static uint8_t *bytes_described(const char *text, size_t *len) {
  char *hex = strdup(text), *dots = strstr(hex, "...");
  uint8_t *shown, *out;
  size_t shown_len;

  *len = dots != NULL ? strtoul(dots + 5, NULL, 10) : strlen(hex) / 2;
  if (dots != NULL) {
    *dots = '\0';
    assert_memory_equal("... (", text + (dots - hex), 5);
  }
  shown = test_unhex(hex, &shown_len);
  assert_true(shown_len <= *len);
  out = calloc(1, *len + 1);
  memcpy(out, shown, shown_len);
  free(shown);
  free(hex);
  return out;
}

/* ---- packets ---- */

/* Where we differ on purpose. */
static const struct {
  const char *name, *why;
} packet_differences[] = {
  {"undecodable message",
   "what a message means is the application's: it is delivered"},
};

/* What ends the connection in the rows where it does not survive. */
static const struct {
  const char *name;
  const char *end;
} packet_ends[] = {
  {"only unknown field", "CMT_EPROTO(up)"},
  {"channel 305", "CMT_EUNKNOWNCHANNEL(up)"},
  {"1035 byte packet (data 1025, eof)", "CMT_EPROTO(up)"},
  {"1035 byte packet (data 1027, no eof)", "CMT_EPROTO(up)"},
  {"message one over receive capacity 5000", "CMT_EMSGSIZE(up)"},
};

static const char *packet_difference(const char *name) {
  for (size_t i = 0; i < CMT__COUNT(packet_differences); i++) {
    if (strcmp(packet_differences[i].name, name) == 0) {
      return packet_differences[i].why;
    }
  }
  return NULL;
}

static void packet_writes(conn_peer *f, const json_t *row) {
  const json_t *write;
  size_t i;

  json_array_foreach(json_object_get(row, "writes"), i, write) {
    const char *how = json_string_value(json_array_get(write, 0));
    size_t len;
    uint8_t *bytes =
      bytes_described(json_string_value(json_array_get(write, 1)), &len);

    if (strcmp(how, "frame") == 0) {
      conn_peer_frame(f, (cmt_bytes){bytes, len});
    } else {
      assert_string_equal("bytes", how);
      conn_peer_send(f, (cmt_bytes){bytes, len});
    }
    free(bytes);
  }
}

static void assert_replies(conn_peer *f, const json_t *replies,
                           const char *name) {
  const json_t *reply;
  cmt_bytes body;
  size_t i;

  json_array_foreach(replies, i, reply) {
    size_t len;
    uint8_t *bytes = bytes_described(json_string_value(reply), &len);

    if (!conn_peer_next_packet(f, &body)) {
      fail_msg("%s: reply %zu is missing", name, i);
    }
    if (body.len != len || memcmp(body.base, bytes, len) != 0) {
      fail_msg("%s: reply %zu is another one", name, i);
    }
    free(bytes);
  }
  /* Its first byte is 3, as that of a legacy message. */
  if (strcmp(name, "only unknown field") == 0) {
    assert_true(conn_peer_next_packet(f, &body)); /* A parting ping. */
  }
  if (conn_peer_next_packet(f, &body)) {
    fail_msg("%s: more replies than %zu", name, i);
  }
}

/* The number of messages that were delivered, from the words of events. */
static size_t delivered(const conn_peer *f) {
  size_t count = 0;

  for (const char *at = f->events; (at = strchr(at, '.')) != NULL; at++) {
    count++;
  }
  return count;
}

static void assert_packet_end(const conn_peer *f, const char *name) {
  char end[64];

  snprintf(end, sizeof end, "%s(%s)", cmt_err_name(f->why.err),
           cmt_stage_name(f->why.stage));
  for (size_t i = 0; i < CMT__COUNT(packet_ends); i++) {
    if (strcmp(packet_ends[i].name, name) == 0) {
      assert_string_equal(packet_ends[i].end, end);
      assert_int_equal(CMT_CLASS_PEER, cmt_err_class_of(f->why.err));
      return;
    }
  }
  fail_msg("%s: ended with %s", name, end);
}

/* True when the row is met, false when we differ on purpose. */
static bool run_packet_row(const json_t *row, bool least) {
  const char *name = test_str(row, "name");
  const char *difference = packet_difference(name);
  conn_peer f;

  conn_peer_init(&f, least);
  f.o.recv_packet_payload_max = 1024;
  f.echo = true;
  conn_peer_start(&f);
  conn_peer_up(&f);
  packet_writes(&f, row);
  if (difference != NULL) {
    assert_int_equal(1, delivered(&f));
    assert_cmt(CMT_OK, f.why.err);
  } else {
    bool survives = json_is_true(json_object_get(row, "connection_survives"));

    assert_int_equal(survives, f.why.err == CMT_OK);
    assert_int_equal(json_array_size(json_object_get(row, "delivered")),
                     delivered(&f));
    assert_replies(&f, json_object_get(row, "replies"), name);
    if (!survives) {
      assert_packet_end(&f, name);
    }
  }
  conn_peer_fini(&f);
  return difference == NULL;
}

static void every_packet_case(void **state) {
  json_t *root = test_vectors("mconn_behaviour.json"), *row;
  json_t *rows = json_object_get(root, "vectors");
  size_t i, used = 0, intended = 0;

  (void)state;
  json_array_foreach(rows, i, row) {
    bool met = run_packet_row(row, true);

    assert_int_equal(met, run_packet_row(row, false));
    if (met) {
      used++;
    } else {
      const char *name = test_str(row, "name");

      intended++;
      print_message("# intended difference: %s: %s\n", name,
                    packet_difference(name));
    }
  }
  test_used("mconn_behaviour.json", used, intended, json_array_size(rows));
  assert_int_equal(19, used + intended);
  assert_int_equal(CMT__COUNT(packet_differences), intended);
  json_decref(root);
}

/* ---- node infos ---- */

static const struct {
  const char *name, *why;
} info_differences[] = {
  {"listen 'nosuchhost.invalid:1'",
   "names in a node info are checked for syntax and never resolved"},
};

static const char *info_difference(const char *name) {
  for (size_t i = 0; i < CMT__COUNT(info_differences); i++) {
    if (strcmp(info_differences[i].name, name) == 0) {
      return info_differences[i].why;
    }
  }
  return NULL;
}

/* Our events for what CometBFT reports of a node info that it refuses. */
static const char *info_events(const char *reason) {
  static const struct {
    const char *there, *here;
  } table[] = {
    {"\"invalid NodeInfo:", "info CMT_ENODEINFO(node_info)"},
    {"\"incompatible: peer is on a different network",
     "info CMT_ENETWORK(node_info)"},
    {"\"incompatible:", "info CMT_EINCOMPATIBLE(node_info)"},
    {"\"auth failure: conn.ID", "info CMT_EAUTH(node_info)"},
    {"\"auth failure: handshake failed: message exceeds",
     "CMT_EPROTO(node_info)"},
  };

  for (size_t i = 0; i < CMT__COUNT(table); i++) {
    if (strncmp(reason, table[i].there, strlen(table[i].there)) == 0) {
      return table[i].here;
    }
  }
  fail_msg("no answer for: %s", reason);
  return NULL;
}

/* The node info of |row|; the one of 10241 bytes is built. */
static uint8_t *info_bytes(const conn_peer *f, const json_t *row, size_t *len) {
  static uint8_t moniker[9900];
  cmt_node_info info = conn_peer_info;
  uint8_t *out;

  if (!json_is_null(json_object_get(row, "sent"))) {
    return test_unhex(test_str(row, "sent"), len);
  }
  out = malloc(10243);
  memset(moniker, 'm', sizeof moniker);
  info.moniker = (cmt_bytes){moniker, sizeof moniker};
  info.rpc_address = (cmt_bytes){moniker, 130};
  *len = conn_peer_write_info(f, &info, out, 10243);
  /* What the first try lacks of 10243 bytes, the last field gives. */
  info.rpc_address.len += 10243 - *len;
  *len = conn_peer_write_info(f, &info, out, 10243);
  return out;
}

static bool run_info_row(const json_t *row, bool least) {
  const char *name = test_str(row, "name");
  bool intended = info_difference(name) != NULL;
  bool accepted = json_is_true(json_object_get(row, "accepted")) || intended;
  const char *expected =
    accepted ? "info up" : info_events(test_str(row, "reason"));
  uint8_t *bytes;
  size_t len;
  conn_peer f;

  conn_peer_init(&f, least);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  bytes = info_bytes(&f, row, &len);
  assert_int_equal(json_integer_value(json_object_get(row, "sent_len")), len);
  conn_peer_send(&f, (cmt_bytes){bytes, len});
  if (strcmp(f.events, expected) != 0) {
    fail_msg("%s: '%s' instead of '%s'", name, f.events, expected);
  }
  free(bytes);
  conn_peer_fini(&f);
  return !intended;
}

static void every_node_info(void **state) {
  json_t *root = test_vectors("nodeinfo_validation.json"), *row;
  json_t *rows = json_object_get(root, "vectors");
  size_t i, used = 0, intended = 0;

  (void)state;
  json_array_foreach(rows, i, row) {
    bool met = run_info_row(row, true);

    assert_int_equal(met, run_info_row(row, false));
    if (met) {
      used++;
    } else {
      const char *name = test_str(row, "name");

      intended++;
      print_message("# intended difference: %s: %s\n", name,
                    info_difference(name));
    }
  }
  test_used("nodeinfo_validation.json", used, intended, json_array_size(rows));
  assert_int_equal(30, used + intended);
  assert_int_equal(CMT__COUNT(info_differences), intended);
  json_decref(root);
}

/* ---- our own node info ---- */

/* What we send of ourselves is what CometBFT sends with the same fields. */
static void own_node_info_is_byte_identical(void **state) {
  json_t *root = test_vectors("messages.json");
  const json_t *row = json_array_get(json_object_get(root, "node_info"), 0);
  const json_t *fields = json_object_get(row, "fields");
  cmt_node_info info = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .protocol_app = 1,
    .listen_addr = cmt_bytes_of(test_str(fields, "listen_addr")),
    .network = cmt_bytes_of(test_str(fields, "network")),
    .version = cmt_bytes_of(test_str(fields, "version")),
    .moniker = cmt_bytes_of(test_str(fields, "moniker")),
    .tx_index = cmt_bytes_of(test_str(fields, "tx_index")),
    .rpc_address = cmt_bytes_of(test_str(fields, "rpc_address")),
  };
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.node_info = &info;
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  test_assert_hex(test_str(row, "delimited"), f.plain.bytes, f.plain.len);
  conn_peer_fini(&f);
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_packet_case),
    cmocka_unit_test(every_node_info),
    cmocka_unit_test(own_node_info_is_byte_identical),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
