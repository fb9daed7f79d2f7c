/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of peer exchange: what is written, what is read, and what a message
   that is wrong leads to.  tests/vectors/pex.json has what complete nodes did.
 */

#include "test.h"

#include <sodium.h>
#include <stdlib.h>

#include "pex/pex_msg.h"

#define ID "0000000000000000000000000000000000000001"

/* What became of a message: the words of the vectors. */
static const char *outcome_of(cmt__pex_kind kind) {
  switch (kind) {
  case CMT__PEX_MALFORMED:
    return "closed";
  case CMT__PEX_BAD_ENTRY:
    return "closed, banned";
  case CMT__PEX_REQUEST:
  case CMT__PEX_ADDRS:
    break;
  }
  return "kept";
}

static cmt__pex_kind read_copy(const uint8_t *data, size_t len,
                               cmt__pex_addrs *list) {
  const char *fault = NULL;
  cmt__pex_kind kind =
    cmt__pex_read((cmt_bytes){.base = data, .len = len}, list, &fault);

  if (kind == CMT__PEX_MALFORMED || kind == CMT__PEX_BAD_ENTRY) {
    assert_non_null(fault);
  }
  return kind;
}

/* ---- vectors ---- */

/* An id that is empty is none. */
static cmt_buf *list_of(const cmt_net_addr *addrs, size_t count) {
  cmt__book_addr *read = calloc(count + 1, sizeof *read);
  const cmt__book_addr **each = calloc(count + 1, sizeof *each);
  cmt_buf *b;

  assert_non_null(read);
  assert_non_null(each);
  for (size_t i = 0; i < count; i++) {
    assert_cmt(CMT_OK, cmt__book_addr_read(&addrs[i], true, &read[i]));
    each[i] = &read[i];
  }
  b = cmt__pex_new_addrs(NULL, each, count);
  free(each);
  free(read);
  return b;
}

static cmt_buf *written(const json_t *row) {
  const json_t *entry = json_object_get(row, "entry");
  const char *from = test_str(row, "name") + strlen("from ");
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr addr;

  snprintf(text, sizeof text, "%s@%s",
           json_string_value(json_array_get(entry, 0)), from);
  assert_cmt(CMT_OK, cmt_net_addr_parse(text, 0, &addr, NULL));
  assert_string_equal(json_string_value(json_array_get(entry, 1)), addr.host);
  return list_of(&addr, 1);
}

static void assert_buf(const char *hex, cmt_buf *b) {
  assert_non_null(b);
  test_assert_hex(hex, cmt_buf_bytes(b).base, cmt_buf_bytes(b).len);
  cmt_buf_unref(b);
}

static cmt_buf *two_and_one_without_an_id(void) {
  const cmt_net_addr addrs[] = {
    {.id.text = "0000000000000000000000000000000000000001",
     .host = "1.1.1.1",
     .port = 1},
    {.host = "3.3.3.3", .port = 3},
    {.id.text = "0000000000000000000000000000000000000002",
     .host = "2.2.2.2",
     .port = 2},
  };

  return list_of(addrs, CMT__COUNT(addrs));
}

/* |count| addresses as the vectors number them. */
static cmt_buf *numbered(size_t count, unsigned first, unsigned net) {
  cmt_net_addr *addrs = calloc(count, sizeof *addrs);
  cmt_buf *b;

  assert_non_null(addrs);
  for (unsigned i = 0; i < count; i++) {
    snprintf(addrs[i].id.text, sizeof addrs[i].id.text, "%040x", first + i);
    snprintf(addrs[i].host, sizeof addrs[i].host, "127.%u.%u.%u", net, i / 100,
             i % 100 + 1);
    addrs[i].port = 1;
  }
  b = list_of(addrs, count);
  free(addrs);
  return b;
}

static void what_is_written_is_what_the_reference_writes(void **state) {
  json_t *root = test_vectors("pex.json");
  json_t *rows = json_object_get(root, "written");
  size_t used = 0, i;
  json_t *row;

  (void)state;
  json_array_foreach(rows, i, row) {
    const char *name = test_str(row, "name");

    used++;
    if (strcmp(name, "request") == 0) {
      assert_buf(test_str(row, "bytes"), cmt__pex_new_request(NULL));
    } else if (strcmp(name, "empty list") == 0) {
      assert_buf(test_str(row, "bytes"), cmt__pex_new_addrs(NULL, NULL, 0));
    } else if (strcmp(name, "two, one nil between") == 0) {
      assert_buf(test_str(row, "bytes"), two_and_one_without_an_id());
    } else if (json_object_get(row, "entry") != NULL) {
      assert_buf(test_str(row, "bytes"), written(row));
    } else {
      used--; /* The longest list is known by its length alone. */
    }
  }
  test_used("written", used, 1, json_array_size(rows));
  json_decref(root);
}

static void an_entry_parses_as_in_the_reference(void **state) {
  json_t *root = test_vectors("pex.json");
  json_t *rows = json_object_get(root, "entries");
  size_t i;
  json_t *row;

  (void)state;
  json_array_foreach(rows, i, row) {
    const json_t *ip = json_object_get(row, "ip");
    cmt_bytes text = {.base = (const uint8_t *)json_string_value(ip),
                      .len = json_string_length(ip)};
    bool parses = json_is_true(json_object_get(row, "parses"));
    cmt_net_addr out = {.host = ""};

    if (json_integer_value(json_object_get(row, "port")) > 65535) {
      continue; /* Among the answers. */
    }
    if (cmt__pex_ip(text, &out) != parses) {
      fail_msg("\"%s\" %s", json_string_value(ip),
               parses ? "does not parse" : "parses");
    }
    if (json_object_get(row, "text") != NULL) {
      assert_string_equal(test_str(row, "text"), out.host);
    }
  }
  json_decref(root);
}

/* An id in upper case is kept in lower case here, which is the id of the same
   20 bytes; the reference stores it as it is and never connects it. */
static void assert_stored(const char *name, const json_t *stored,
                          cmt__pex_addrs *list) {
  char before[CMT_NET_ADDR_TEXT_SIZE] = "";
  cmt_net_addr got;
  size_t found = 0;

  while (cmt__pex_next(list, &got)) {
    const json_t *entry = json_array_get(stored, found);

    if (strcmp(got.id.text, before) == 0) {
      continue; /* A second address of an id: the book decides. */
    }
    snprintf(before, sizeof before, "%s", got.id.text);
    if (strcmp(got.host, "0.0.0.0") == 0) {
      continue; /* The book refuses it. */
    }
    if (entry == NULL) {
      fail_msg("%s: more entries than %zu", name, found);
    }
    if (strcasecmp(json_string_value(json_array_get(entry, 0)), got.id.text) !=
        0) {
      fail_msg("%s: id %s", name, got.id.text);
    }
    assert_string_equal(json_string_value(json_array_get(entry, 1)), got.host);
    assert_int_equal(json_integer_value(json_array_get(entry, 2)), got.port);
    found++;
  }
  if (found != json_array_size(stored)) {
    fail_msg("%s: %zu of %zu entries", name, found, json_array_size(stored));
  }
}

static void check_bytes(const json_t *row) {
  const char *name = test_str(row, "name");
  size_t len;
  uint8_t *data = test_unhex(test_str(row, "bytes"), &len);
  cmt__pex_addrs list = {0};
  cmt__pex_kind kind = read_copy(data, len, &list);

  if (strcmp(test_str(row, "outcome"), outcome_of(kind)) != 0) {
    fail_msg("%s: %s", name, outcome_of(kind));
  }
  if (kind == CMT__PEX_ADDRS) {
    assert_stored(name, json_object_get(row, "stored"), &list);
  }
  free(data);
}

static void assert_digest(const char *expected, cmt_bytes b) {
  uint8_t digest[crypto_hash_sha256_BYTES];

  crypto_hash_sha256(digest, b.base, b.len);
  test_assert_hex(expected, digest, sizeof digest);
}

/* The lists of numbered addresses are not of our writing: they have more
   entries than a list of ours. */
static cmt_buf *long_list(size_t count, unsigned first, unsigned net) {
  uint8_t *out = malloc(CMT__PEX_MESSAGE_MAX + 100), *at = out + 4;
  cmt_buf *b;

  assert_non_null(out);
  for (unsigned i = 0; i < count; i++) {
    char id[41], ip[16];
    int ip_len =
      snprintf(ip, sizeof ip, "127.%u.%u.%u", net, i / 100, i % 100 + 1);

    snprintf(id, sizeof id, "%040x", first + i);
    *at++ = 0x0a;
    *at++ = (uint8_t)(46 + ip_len);
    *at++ = 0x0a;
    *at++ = 40;
    memcpy(at, id, 40);
    at += 40;
    *at++ = 0x12;
    *at++ = (uint8_t)ip_len;
    memcpy(at, ip, (size_t)ip_len);
    at += ip_len;
    *at++ = 0x18;
    *at++ = 1;
  }
  out[0] = 0x12;
  out[1] = (uint8_t)((at - out - 4) & 0x7f) | 0x80;
  out[2] = (uint8_t)((at - out - 4) >> 7 & 0x7f) | 0x80;
  out[3] = (uint8_t)((at - out - 4) >> 14);
  if (out[3] == 0) { /* Two bytes of length. */
    out[2] &= 0x7f;
    memmove(out + 3, out + 4, (size_t)(at - out - 4));
    at--;
  }
  b = cmt_buf_copy(NULL, out, (size_t)(at - out));
  free(out);
  return b;
}

static void check_long(const json_t *row) {
  size_t count = strcmp(test_str(row, "name"), "251 entries") == 0 ? 251 : 1000;
  cmt_buf *b =
    long_list(count, count == 251 ? 1000 : 2000, count == 251 ? 1 : 2);
  cmt_bytes bytes = cmt_buf_bytes(b);
  cmt__pex_addrs list = {0};
  cmt_net_addr addr;
  size_t entries = 0;

  assert_int_equal(json_integer_value(json_object_get(row, "size")), bytes.len);
  assert_digest(test_str(row, "sha256"), bytes);
  assert_int_equal(CMT__PEX_ADDRS, read_copy(bytes.base, bytes.len, &list));
  while (cmt__pex_next(&list, &addr)) {
    entries++;
  }
  assert_int_equal(CMT__PEX_ADDRS_MAX, entries);
  cmt_buf_unref(b);
}

/* A list of exactly |len| bytes, which an unknown field fills. */
static void check_length(const json_t *row) {
  size_t len = (size_t)json_integer_value(json_object_get(row, "size"));
  uint8_t *data = calloc(1, len);
  cmt__pex_addrs list;
  size_t fill = len - 6;

  assert_non_null(data);
  memcpy(data, "\x12\x00\x22", 3);
  data[3] = (uint8_t)(fill & 0x7f) | 0x80;
  data[4] = (uint8_t)(fill >> 7 & 0x7f) | 0x80;
  data[5] = (uint8_t)(fill >> 14);
  assert_string_equal(test_str(row, "outcome"),
                      outcome_of(read_copy(data, len, &list)));
  free(data);
}

static void each_answer_has_the_outcome_of_complete_nodes(void **state) {
  json_t *root = test_vectors("pex.json");
  json_t *rows = json_object_get(root, "answers");
  size_t used = 0, i;
  json_t *row;

  (void)state;
  json_array_foreach(rows, i, row) {
    if (json_object_get(row, "bytes") != NULL) {
      check_bytes(row);
    } else if (json_object_get(row, "entries") != NULL) {
      check_long(row);
    } else {
      check_length(row);
    }
    used++;
  }
  test_used("answers", used, 0, json_array_size(rows));
  json_decref(root);
}

/* ---- what is not in the vectors ---- */

static void a_list_of_ours_has_at_most_250_entries(void **state) {
  cmt_buf *b = numbered(300, 1, 1);
  cmt__pex_addrs list = {0};
  cmt_net_addr addr;
  size_t entries = 0;

  (void)state;
  assert_int_equal(CMT__PEX_ADDRS, read_copy(cmt_buf_bytes(b).base,
                                             cmt_buf_bytes(b).len, &list));
  while (cmt__pex_next(&list, &addr)) {
    entries++;
  }
  assert_int_equal(250, entries);
  cmt_buf_unref(b);
}

/* Ids of all digits, the shortest and the longest literals, ports of each
   size. */
static void what_is_written_is_read_as_the_same(void **state) {
  const cmt_net_addr addrs[] = {
    {.id.text = ID, .host = "1.2.3.4", .port = 0},
    {.id.text = "0123456789abcdef0f1e2d3c4b5a69788796a5b4",
     .host = "255.255.255.255",
     .port = 1},
    {.id.text = "ffffffffffffffffffffffffffffffffffffffff",
     .host = "::",
     .port = 127},
    {.id.text = "9a9a9a9a9a9a9a9a9a9aa9a9a9a9a9a9a9a9a9a9",
     .host = "1111:2222:3333:4444:5555:6666:7777:8888",
     .port = 128},
    {.id.text = ID, .host = "2a01::ffff:0:1", .port = 16383},
    {.id.text = ID, .host = "0.0.0.0", .port = 16384},
    {.id.text = ID, .host = "10.20.30.40", .port = 65535},
  };
  cmt_buf *b = list_of(addrs, CMT__COUNT(addrs));
  cmt__pex_addrs list = {0};
  cmt_net_addr addr;

  (void)state;
  assert_int_equal(CMT__PEX_ADDRS, read_copy(cmt_buf_bytes(b).base,
                                             cmt_buf_bytes(b).len, &list));
  for (size_t i = 0; i < CMT__COUNT(addrs); i++) {
    assert_true(cmt__pex_next(&list, &addr));
    assert_string_equal(addrs[i].id.text, addr.id.text);
    assert_string_equal(addrs[i].host, addr.host);
    assert_int_equal(addrs[i].port, addr.port);
  }
  assert_false(cmt__pex_next(&list, &addr));
  cmt_buf_unref(b);
}

static void entries_that_no_id_has_count_too(void **state) {
  uint8_t data[3 + 300 * 6], *at = data;
  cmt__pex_addrs list = {0};
  cmt_net_addr addr;

  (void)state;
  *at++ = 0x12;
  *at++ = (uint8_t)((300 * 6) & 0x7f) | 0x80;
  *at++ = (uint8_t)((300 * 6) >> 7);
  for (int i = 0; i < 300; i++) {
    memcpy(at, "\x0a\x04\x12\x02::", 6);
    at += 6;
  }
  assert_int_equal(CMT__PEX_ADDRS, read_copy(data, sizeof data, &list));
  assert_false(cmt__pex_next(&list, &addr));
  assert_int_equal(CMT__PEX_ADDRS_MAX, list.looked_at);
}

static void a_replaced_list_must_decode(void **state) {
  static const struct {
    const char *bytes;
    cmt__pex_kind kind;
  } rows[] = {
    {"12020a00"
     "1200",
     CMT__PEX_ADDRS}, /* The bad entry is replaced. */
    {"12020a01"
     "1200",
     CMT__PEX_MALFORMED},
    {"1200"
     "12020a00",
     CMT__PEX_BAD_ENTRY},
    {"12020a00"
     "0a00",
     CMT__PEX_REQUEST},
    {"0a0107"
     "1200",
     CMT__PEX_MALFORMED}, /* Field 0 of a request. */
    {"0a021a00", CMT__PEX_REQUEST},
    {"1b1c"
     "0a00",
     CMT__PEX_REQUEST}, /* A group. */
    {"1b"
     "0a00",
     CMT__PEX_MALFORMED},
    {"1c"
     "0a00",
     CMT__PEX_MALFORMED},
    {"0200", CMT__PEX_MALFORMED},
    {"22ffffffffffffffffff01", CMT__PEX_MALFORMED},
    {"12030a01ff", CMT__PEX_MALFORMED},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__pex_addrs list;
    size_t len;
    uint8_t *data = test_unhex(rows[i].bytes, &len);

    if (read_copy(data, len, &list) != rows[i].kind) {
      fail_msg("%s", rows[i].bytes);
    }
    free(data);
  }
}

static void each_fault_has_its_text(void **state) {
  static const struct {
    const char *bytes, *fault;
  } rows[] = {
    {"", "the message has neither a request nor a list"},
    {"1001", "the message does not decode"},
    {"0a0107", "the request does not decode"},
    {"120108", "the list does not decode"},
    {"12030a0108", "an entry does not decode"},
    {"12020a00", "an entry has no IP address"},
    {"120a0a0812023a3a18808004", "an entry has a port over 65535"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__pex_addrs list;
    const char *fault = "";
    size_t len;
    uint8_t *data = test_unhex(rows[i].bytes, &len);

    (void)cmt__pex_read((cmt_bytes){.base = data, .len = len}, &list, &fault);
    assert_string_equal(rows[i].fault, fault);
    free(data);
  }
}

static void a_long_message_is_not_read(void **state) {
  uint8_t *data = calloc(1, CMT__PEX_MESSAGE_MAX + 1);
  cmt__pex_addrs list;
  const char *fault;

  (void)state;
  assert_int_equal(
    CMT__PEX_MALFORMED,
    cmt__pex_read((cmt_bytes){data, CMT__PEX_MESSAGE_MAX + 1}, &list, &fault));
  assert_string_equal("the message has more than 64000 bytes", fault);
  free(data);
}

static void nothing_is_written_without_memory(void **state) {
  test_env t;

  (void)state;
  test_env_init(&t);
  t.fail_at = 0;
  assert_null(cmt__pex_new_request(&t.env));
  t.fail_at = t.allocs;
  assert_null(cmt__pex_new_addrs(&t.env, NULL, 0));
  test_env_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written_is_what_the_reference_writes),
    cmocka_unit_test(an_entry_parses_as_in_the_reference),
    cmocka_unit_test(each_answer_has_the_outcome_of_complete_nodes),
    cmocka_unit_test(a_list_of_ours_has_at_most_250_entries),
    cmocka_unit_test(what_is_written_is_read_as_the_same),
    cmocka_unit_test(entries_that_no_id_has_count_too),
    cmocka_unit_test(a_replaced_list_must_decode),
    cmocka_unit_test(each_fault_has_its_text),
    cmocka_unit_test(a_long_message_is_not_read),
    cmocka_unit_test(nothing_is_written_without_memory),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
