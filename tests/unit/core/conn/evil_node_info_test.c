/* SPDX-License-Identifier: Apache-2.0 */
/* A peer whose key or node info is wrong: every check of docs/PROTOCOL.md 3.3,
   with the connection as the side of the lower ephemeral key and as the other.
   Each prints a line of its own. */
#include "evil.h"

/* Which field of a good node info is replaced. */
typedef enum field {
  NOTHING,
  ID,
  LISTEN_ADDR,
  NETWORK,
  VERSION,
  CHANNELS,
  MONIKER,
  TX_INDEX,
  RPC_ADDRESS,
} field;

typedef struct info_row {
  const char *check, *name;
  field field;
  cmt_bytes value;
  cmt_err err;      /* CMT_OK: accepted. */
  const char *text; /* How the reason begins. */
  uint64_t block;   /* 0: 11. */
} info_row;

#define B(text)                                                                \
  { (const uint8_t *)(text), sizeof(text) - 1 }
#define BAD .err = CMT_ENODEINFO

static const info_row info_rows[] = {
  {.check = "3", .name = "a good node info"},
  {.check = "3.1", .name = "id missing", ID, B(" "), BAD, "id is ' '"},
  {.check = "3.1",
   .name = "id of 39 digits",
   ID,
   B("1325b850c2871916eae203f0efc3c8987f64e5e"),
   BAD,
   "id is '1325"},
  {.check = "3.1",
   .name = "id that is no hex",
   ID,
   B("1325b850c2871916eae203f0efc3c8987f64e5eg"),
   BAD,
   "id is '1325"},
  {.check = "3.1",
   .name = "no listen_addr",
   LISTEN_ADDR,
   B(""),
   BAD,
   "listen_addr is empty"},
  {.check = "3.1",
   .name = "no host",
   LISTEN_ADDR,
   B("tcp://:26656"),
   BAD,
   "listen_addr is 'tcp://:26656'"},
  {.check = "3.1",
   .name = "no port",
   LISTEN_ADDR,
   B("1.2.3.4"),
   BAD,
   "listen_addr is '1.2.3.4'"},
  {.check = "3.1",
   .name = "port 65536",
   LISTEN_ADDR,
   B("1.2.3.4:65536"),
   BAD,
   "listen_addr is '1.2.3.4:65536'"},
  {.check = "3.1",
   .name = "an id in front",
   LISTEN_ADDR,
   B("a@1.2.3.4:5"),
   BAD,
   "listen_addr is 'a@1.2.3.4:5'"},
  {.check = "3.1",
   .name = "a control character",
   LISTEN_ADDR,
   B("1.2.3.4:5\n"),
   BAD,
   "listen_addr is '1.2.3.4:5\\x0a'"},
  {.check = "3.1",
   .name = "unspecified address, port 0",
   LISTEN_ADDR,
   B("tcp://0.0.0.0:0")},
  {.check = "3.1",
   .name = "a host name, not resolved",
   LISTEN_ADDR,
   B("nosuchhost.invalid:1")},
  {.check = "3.2",
   .name = "tab in version",
   VERSION,
   B("a\tb"),
   BAD,
   "version is 'a\\x09b'"},
  {.check = "3.2",
   .name = "version of spaces",
   VERSION,
   B("  "),
   BAD,
   "version is '  '"},
  {.check = "3.2", .name = "no version", VERSION, B("")},
  {.check = "3.3",
   .name = "17 channels",
   CHANNELS,
   B("\x30\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"),
   BAD,
   "channels has 17 entries"},
  {.check = "3.3",
   .name = "16 channels",
   CHANNELS,
   B("\x30\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f")},
  {.check = "3.3",
   .name = "a channel twice",
   CHANNELS,
   B("\x30\x31\x30"),
   BAD,
   "channels has 0x30 twice"},
  {.check = "3.4",
   .name = "no moniker",
   MONIKER,
   B(""),
   BAD,
   "moniker is empty"},
  {.check = "3.4",
   .name = "moniker of a space",
   MONIKER,
   B(" "),
   BAD,
   "moniker is ' '"},
  {.check = "3.4",
   .name = "moniker in UTF-8",
   MONIKER,
   B("\xc3\xa9"),
   BAD,
   "moniker is '\\xc3\\xa9'"},
  {.check = "3.4",
   .name = "moniker with an escape",
   MONIKER,
   B("\x1b[31mred"),
   BAD,
   "moniker is '\\x1b[31mred'"},
  {.check = "3.4",
   .name = "moniker with NUL",
   MONIKER,
   B("a\0b"),
   BAD,
   "moniker is 'a\\x00b'"},
  {.check = "3.5",
   .name = "tx_index yes",
   TX_INDEX,
   B("yes"),
   BAD,
   "tx_index is 'yes'"},
  {.check = "3.5",
   .name = "tx_index ON",
   TX_INDEX,
   B("ON"),
   BAD,
   "tx_index is 'ON'"},
  {.check = "3.5", .name = "no tx_index", TX_INDEX, B("")},
  {.check = "3.6",
   .name = "rpc_address of spaces",
   RPC_ADDRESS,
   B("   "),
   BAD,
   "rpc_address is '   '"},
  {.check = "3.6",
   .name = "rpc_address with DEL",
   RPC_ADDRESS,
   B("a\x7f"),
   BAD,
   "rpc_address is 'a\\x7f'"},
  {.check = "4",
   .name = "id of another key",
   ID,
   B("0000000000000000000000000000000000000000"),
   CMT_EAUTH,
   "the node info says id 0000000000000000000000000000000000000000, the key "
   "says 1325b850c2871916eae203f0efc3c8987f64e5e3"},
  {.check = "4",
   .name = "id in upper case",
   ID,
   B("1325B850C2871916EAE203F0EFC3C8987F64E5E3"),
   CMT_EAUTH,
   "the node info says id 1325B850"},
  {.check = "4",
   .name = "the connection's own id",
   ID,
   B("10ba682c8ad13513971e8b56881aab8bd702bb80"),
   CMT_EAUTH,
   "the node info says id 10ba682c"},
  {.check = "6",
   .name = "another block version",
   .err = CMT_EINCOMPATIBLE,
   .text = "block version differs: theirs 10, ours 11",
   .block = 10},
  {.check = "6",
   .name = "another network",
   NETWORK,
   B("test-net2"),
   CMT_ENETWORK,
   "network differs: theirs 'test-net2', ours 'test-net'"},
  {.check = "6",
   .name = "no network",
   NETWORK,
   B(""),
   CMT_ENETWORK,
   "network differs: theirs '', ours 'test-net'"},
  {.check = "6",
   .name = "no common channel",
   CHANNELS,
   B("\x40\x20"),
   CMT_EINCOMPATIBLE,
   "no common channel: theirs 4020, ours 003031ff"},
  {.check = "6",
   .name = "no channels",
   CHANNELS,
   B(""),
   CMT_EINCOMPATIBLE,
   "no common channel: theirs none, ours 003031ff"},
};

static cmt_bytes *info_field(cmt_node_info *i, field f) {
  cmt_bytes *const fields[] = {
    NULL,         &i->id,      &i->listen_addr, &i->network,     &i->version,
    &i->channels, &i->moniker, &i->tx_index,    &i->rpc_address,
  };
  return fields[f];
}

/* Sends |info| on a connection that has got so far. */
static void info_give(conn_peer *f, const cmt_node_info *info, bool least) {
  uint8_t out[512];

  evil_init(f, least);
  conn_peer_start(f);
  conn_peer_hello(f);
  conn_peer_auth(f);
  conn_peer_send(
    f, (cmt_bytes){out, conn_peer_write_info(f, info, out, sizeof out)});
}

static void info_expected(cmt_err err, char *out, size_t cap) {
  if (err == CMT_OK) {
    snprintf(out, cap, "info up");
  } else {
    snprintf(out, cap, "info %s(node_info)", cmt_err_name(err));
  }
}

static void run_info_row(const info_row *row, bool least) {
  cmt_node_info info = conn_peer_info;
  char expected[64], part[32];
  conn_peer f;

  if (row->field != NOTHING) {
    *info_field(&info, row->field) = row->value;
  }
  info.protocol_block = row->block > 0 ? row->block : 11;
  info_give(&f, &info, least);
  info_expected(row->err, expected, sizeof expected);
  snprintf(part, sizeof part, "3.3 check %s", row->check);
  evil_row_done(part, least, row->name, f.events, expected);
  if (row->text != NULL) {
    f.why.text[cmt__min(strlen(row->text), strlen(f.why.text))] = '\0';
    assert_string_equal(row->text, f.why.text);
  }
  conn_peer_fini(&f);
}

static void every_check_of_a_node_info(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(info_rows); i++) {
    run_info_row(&info_rows[i], true);
    run_info_row(&info_rows[i], false);
  }
}

/* Everything from one check on is wrong: the earliest is reported. */
static void checks_are_in_their_order(void **state) {
  static const struct {
    field field;
    cmt_bytes value;
    cmt_err err;
    const char *begins;
  } order[] = {
    {LISTEN_ADDR, B(""), BAD, "listen_addr"},
    {VERSION, B("\t"), BAD, "version"},
    {CHANNELS, B("\x40\x40"), BAD, "channels"},
    {MONIKER, B(""), BAD, "moniker"},
    {TX_INDEX, B("x"), BAD, "tx_index"},
    {RPC_ADDRESS, B("\t"), BAD, "rpc_address"},
    {ID, B("0000000000000000000000000000000000000000"), CMT_EAUTH,
     "the node info says id"},
    {NOTHING, B(""), CMT_EINCOMPATIBLE, "block version"},
    {NETWORK, B("other"), CMT_ENETWORK, "network"},
  };

  (void)state;
  for (size_t first = 0; first < CMT__COUNT(order); first++) {
    cmt_node_info info = conn_peer_info;
    char expected[64];
    conn_peer f;

    for (size_t i = first; i < CMT__COUNT(order); i++) {
      if (order[i].field == NOTHING) {
        info.protocol_block = 9;
      } else {
        *info_field(&info, order[i].field) = order[i].value;
      }
    }
    info_give(&f, &info, first % 2);
    info_expected(order[first].err, expected, sizeof expected);
    evil_row_done("3.3 order", first % 2, order[first].begins, f.events,
                  expected);
    assert_memory_equal(order[first].begins, f.why.text,
                        strlen(order[first].begins));
    conn_peer_fini(&f);
  }
}

/* The bytes of check 2: a delimited node info that decodes, within 3 s. */
static const struct {
  const char *name, *hex, *events;
} byte_rows[] = {
  {"silence", "", "CMT_EHANDSHAKE(node_info)"},
  {"half a length", "80", "CMT_EHANDSHAKE(node_info)"},
  {"half a node info", "6b0a0608", "CMT_EHANDSHAKE(node_info)"},
  {"length 10241", "8150", "CMT_EPROTO(node_info)"},
  {"length 10240, then nothing", "8050", "CMT_EHANDSHAKE(node_info)"},
  {"length of eleven bytes", "8080808080808080808001", "CMT_EPROTO(node_info)"},
  {"length 2^64 - 1", "ffffffffffffffffff01", "CMT_EPROTO(node_info)"},
  {"field number 0", "020001", "CMT_EPROTO(node_info)"},
  {"id with wire type 0", "021001", "CMT_EPROTO(node_info)"},
  {"channels with wire type 0", "023001", "CMT_EPROTO(node_info)"},
  {"protocol_version with wire type 0", "020801", "CMT_EPROTO(node_info)"},
  {"truncated field", "021205", "CMT_EPROTO(node_info)"},
  {"truncated field inside other", "0442020a05", "CMT_EPROTO(node_info)"},
  {"zero length", "00", "info CMT_ENODEINFO(node_info)"},
  {"unknown field only", "027801", "info CMT_ENODEINFO(node_info)"},
};

static void every_malformed_node_info(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(byte_rows); i++) {
    for (int least = 1; least >= 0; least--) {
      conn_peer f;

      evil_init(&f, least);
      conn_peer_start(&f);
      conn_peer_hello(&f);
      conn_peer_auth(&f);
      conn_peer_send_hex(&f, byte_rows[i].hex);
      if (f.why.err == CMT_OK) {
        evil_wait(&f);
      }
      evil_row_done("3.3 check 2", least, byte_rows[i].name, f.events,
                    byte_rows[i].events);
      conn_peer_fini(&f);
    }
  }
}

static void wrong_dialed_id(void **state) {
  const cmt_node_id id = {.text = "0000000000000000000000000000000000000000"};

  (void)state;
  for (int least = 1; least >= 0; least--) {
    conn_peer f;

    evil_init(&f, least);
    f.o.expect_id = &id;
    conn_peer_start(&f);
    conn_peer_hello(&f);
    conn_peer_auth(&f);
    evil_row_done("3.3 check 1", least, "another id than dialed", f.events,
                  "CMT_EWRONGID(secret_connection)");
    assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
    conn_peer_fini(&f);
  }
}

static void own_key(void **state) {
  uint8_t ours[32];

  (void)state;
  memset(ours, 0x11, sizeof ours);
  for (int least = 1; least >= 0; least--) {
    conn_peer f;

    conn_peer_init(&f, least);
    secret_peer_init(&f.peer, least ? secret_eph_high : secret_eph_low, ours);
    conn_peer_start(&f);
    conn_peer_hello(&f);
    conn_peer_auth(&f);
    conn_peer_send_info(&f);
    evil_row_done("3.3 check 5", least, "our own key", f.events,
                  "info CMT_ESELF(node_info)");
    conn_peer_fini(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(wrong_dialed_id),
    cmocka_unit_test(every_malformed_node_info),
    cmocka_unit_test(every_check_of_a_node_info),
    cmocka_unit_test(checks_are_in_their_order),
    cmocka_unit_test(own_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
