/* SPDX-License-Identifier: Apache-2.0 */

/* Files of node keys: every spelling, every refusal, and writing without a
   trace of the secret.  docs/PROTOCOL.md 1.2. */

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/node_key.h"
#include "folder.h"

#define SEED11_ID "10ba682c8ad13513971e8b56881aab8bd702bb80"
#define SEED11_BASE64                                                          \
  "ERERERERERERERERERERERERERERERERERERERERERHQSrIydCu0qzoTaL1GFeTm0CJKtxoBa6" \
  "+FIKMyyXeHNw=="
#define SEED11_FILE                                                            \
  "{\"priv_key\":{\"type\":\"tendermint/PrivKeyEd25519\",\"value\":"           \
  "\"" SEED11_BASE64 "\"}}"

static cmt_node_key *key_of_hex(const char *hex) {
  cmt_node_key *key = NULL;
  size_t len;
  uint8_t *secret = test_unhex(hex, &len);

  assert_int_equal(CMT__NODE_KEY_SECRET, len);
  assert_cmt(CMT_OK, cmt__node_key_from_secret(NULL, secret, &key));
  free(secret);
  return key;
}

static cmt_node_key *key_of_seed11(void) {
  return key_of_hex(
    "1111111111111111111111111111111111111111111111111111111111111111"
    "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737");
}

static void assert_id(const char *expected, const cmt_node_key *key) {
  cmt_node_id id;

  cmt_node_key_get_id(key, &id);
  assert_string_equal(expected, id.text);
}

/* The text |json| in a file gives the key of |secret_hex|. */
static void assert_loads(const test_folder *f, const char *json,
                         const char *secret_hex) {
  cmt_node_key *key = NULL;
  cmt_why why = {.text = "?"};

  test_write_file(f->path, json, strlen(json));
  if (cmt_node_key_load(NULL, f->path, &key, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  test_assert_hex(secret_hex, key->secret, CMT__NODE_KEY_SECRET);
  cmt_node_key_delete(key);
  unlink(f->path);
}

/* The bytes in a file are refused; the reason names it and |fault|. */
static void assert_refused(const test_folder *f, const char *bytes, size_t len,
                           const char *fault) {
  cmt_node_key *key = NULL;
  cmt_why why = {0};
  char expected[600];
  test_env t;

  test_env_init(&t);
  test_write_file(f->path, bytes, len);
  assert_cmt(CMT_EINVAL, cmt_node_key_load(&t.env, f->path, &key, &why));
  assert_null(key);
  assert_cmt(CMT_EINVAL, why.err);
  snprintf(expected, sizeof expected, "key file '%s': %s", f->path, fault);
  assert_string_equal(expected, why.text);
  assert_cmt(CMT_EINVAL, cmt_node_key_load(&t.env, f->path, &key, NULL));
  test_env_fini(&t);
}

static void assert_refused_text(const test_folder *f, const char *text,
                                const char *fault) {
  assert_refused(f, text, strlen(text), fault);
}

static void an_unusable_environment_loads_no_key(void **state) {
  cmt_node_key *key = NULL;
  cmt_why why;
  test_env t;

  (void)state;
  test_env_init(&t);
  t.env.size = 1;
  assert_cmt(CMT_EINVAL, cmt_node_key_load(&t.env, "x", &key, &why));
  assert_string_equal("key file 'x': the environment is not usable", why.text);
  assert_null(key);
}

static void check_identity(const test_folder *f, const json_t *row) {
  const char *secret = test_str(row, "privkey64");
  cmt_node_key *key = key_of_hex(secret);

  assert_id(test_str(row, "node_id"), key);
  test_assert_hex(test_str(row, "pubkey"), cmt__node_key_public(key), 32);
  test_assert_hex(test_str(row, "seed"), key->secret, 32);
  assert_loads(f, test_str(row, "node_key_json"), secret);
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  test_assert_file(f->path, test_str(row, "node_key_json"));
  unlink(f->path);
  cmt_node_key_delete(key);
}

static void check_public_key(const json_t *row) {
  cmt_node_id id;
  size_t len;
  uint8_t *public_key = test_unhex(test_str(row, "pubkey"), &len);

  assert_int_equal(32, len);
  cmt__node_id_of(public_key, &id);
  assert_string_equal(test_str(row, "node_id"), id.text);
  free(public_key);
}

static void identities_are_those_of_the_reference(void **state) {
  json_t *root = test_vectors("identity.json"), *row;
  const json_t *rows = json_object_get(root, "vectors");
  const char *secret = test_str(json_array_get(rows, 3), "privkey64");
  size_t i, used = 0;

  json_array_foreach(rows, i, row) {
    check_identity(*state, row);
    used++;
  }
  json_array_foreach(json_object_get(root, "pubkey_only"), i, row) {
    check_public_key(row);
    used++;
  }
  json_array_foreach(
    json_object_get(root, "historical_node_key_files_same_key"), i, row) {
    assert_loads(*state, test_str(row, "json"), secret);
    printf("# identity.json: file of %s\n", test_str(row, "used_by"));
    used++;
  }
  test_used("identity.json", used, 0, 8);
  json_decref(root);
}

static void the_sample_file_is_written_to_the_byte(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = NULL;
  char path[1024];

  snprintf(path, sizeof path, "%s/vectors/samples/node_key.seed11.json",
           CMT_TESTS_DIR);
  assert_cmt(CMT_OK, cmt_node_key_load(NULL, path, &key, NULL));
  assert_id(SEED11_ID, key);
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  test_assert_file(path, SEED11_FILE);
  test_assert_file(f->path, SEED11_FILE);
  cmt_node_key_delete(key);
}

static void space_order_and_unknown_members_do_not_matter(void **state) {
  const char *hex =
    "1111111111111111111111111111111111111111111111111111111111111111"
    "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737";

  assert_loads(*state,
               "\n{ \"id\" : \"" SEED11_ID "\" , \"n\":[1,{}],\n"
               "\"priv_key\":{\"value\": \"" SEED11_BASE64 "\",\t\"x\":null,"
               "\"type\":\"tendermint/PrivKeyEd25519\" } }\r\n",
               hex);
}

static void strings_may_have_escapes(void **state) {
  const char *hex =
    "1111111111111111111111111111111111111111111111111111111111111111"
    "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737";

  assert_loads(
    *state,
    "{\"x\":\"\\ud83d\\ude00\\u00e9\\b\\f\\n\\r\\t\\\\\\\"\xc3\xa9\","
    "\"n\":[-0.5e+10,0,1E2,true,false,null,[],{}],"
    "\"priv_\\u006bey\":{\"type\":\"tendermint\\/PrivKeyEd25519\","
    "\"value\":\"\\u0045RERERERERERERERERERERERERERERERERERERERERHQSrIy"
    "dCu0qzoTaL1GFeTm0CJKtxoBa6+FIKMyyXeHNw==\"}}",
    hex);
  /* The last one of two counts. */
  assert_loads(*state,
               "{\"priv_key\":7,\"priv_key\":"
               "{\"type\":\"x\",\"type\":"
               "\"tendermint/PrivKeyEd25519\",\"value\":\"" SEED11_BASE64
               "\"}}",
               hex);
}

static void malformed_json_is_refused(void **state) {
  static const char *const texts[] = {
    "x",
    "\"x\"",
    "7",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "[1,]",
    "[1 2]",
    "{a:1}",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":1e}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":tru}",
    "{\"a\":nul",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":\"\\ud83d\"}",
    "{\"a\":\"\\ude00\"}",
    "{\"a\":\"\\ud83d\\u0041\"}",
    "{\"a\":\"\xc0\x80\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"\xf5\x80\x80\x80\"}",
    "{\"a\":\"\xe2\x82\"}",
    "{\"a\":\"",
    "{\"a\":\"\\",
    "{}{}",
    "{} x",
    "[",
    "]",
    "{\"priv_key\":{\"type\"}}",
    "{\"priv_key\":{\"type\":\"x\"}",
  };
  char deep[200];

  for (size_t i = 0; i < CMT__COUNT(texts); i++) {
    assert_refused_text(*state, texts[i], "is not JSON");
  }
  memset(deep, '[', 65);
  memset(deep + 65, ']', 65);
  deep[130] = '\0';
  assert_refused_text(*state, deep, "is not JSON");
  assert_refused(*state, deep + 1, 128, "has no priv_key with a type");
}

static void files_without_a_key_are_refused(void **state) {
  static const char no_type[] = "has no priv_key with a type";

  assert_refused_text(*state, "", "is not JSON");
  assert_refused_text(*state, "{", "is not JSON");
  assert_refused_text(*state, SEED11_FILE "x", "is not JSON");
  assert_refused(*state, "{\"a\":\"\xff\"}", 9, "is not JSON");
  assert_refused_text(*state, "{}", no_type);
  assert_refused_text(*state, "[]", no_type);
  assert_refused_text(*state, "{\"priv_key\":null}", no_type);
  assert_refused_text(*state, "{\"priv_key\":\"x\"}", no_type);
  assert_refused_text(*state, "{\"priv_key\":{\"type\":\"\"}}", no_type);
  assert_refused_text(*state, "{\"priv_key\":{\"type\":7}}", no_type);
}

static void other_types_of_keys_are_refused(void **state) {
  assert_refused_text(*state,
                      "{\"priv_key\":{\"type\":\"tendermint/"
                      "PrivKeySecp256k1\",\"value\":\"" SEED11_BASE64 "\"}}",
                      "the type of its key is 'tendermint/PrivKeySecp256k1'; "
                      "a node key is Ed25519");
  assert_refused_text(*state, "{\"priv_key\":{\"type\":\"a\\u001bb\"}}",
                      "the type of its key is 'a\\x1bb'; "
                      "a node key is Ed25519");
}

static void secrets_that_are_not_64_bytes_are_refused(void **state) {
  static const char *const values[] = {
    "",                                             /* nothing */
    "ERERERERERERERERERERERERERERERERERERERERERE=", /* 32 bytes */
    SEED11_BASE64 "AAAA",                           /* more after the padding */
    "AAAA" SEED11_BASE64,                           /* 67 bytes */
    "ERERERERERERERERERERERERERERERERERERERERERHQSrIydCu0qzoTaL1GFeTm0CJKtxoBa"
    "6+FIKMyyXeH", /* 63 bytes */
    "ERERERERERERERERERERERERERERERERERERERERERHQSrIydCu0qzoTaL1GFeTm0CJKtxoBa"
    "6+FIKMyyXeHNw", /* without its padding */
    "ERERERERERERERERERERERERERERERERERERERERERHQSrIydCu0qzoTaL1GFeTm0CJKtxoBa"
    "6-FIKMyyXeHNw==", /* the URL alphabet */
  };
  char text[400];

  for (size_t i = 0; i < CMT__COUNT(values); i++) {
    snprintf(text, sizeof text,
             "{\"priv_key\":{\"type\":\"tendermint/PrivKeyEd25519\","
             "\"value\":\"%s\"}}",
             values[i]);
    assert_refused_text(*state, text, "value is not the base64 of 64 bytes");
  }
  assert_refused_text(*state,
                      "{\"priv_key\":{\"type\":\"tendermint/PrivKeyEd25519\"}}",
                      "value is not the base64 of 64 bytes");
  assert_refused_text(*state,
                      "{\"priv_key\":{\"type\":\"ed25519\",\"data\":\"0696\"}}",
                      "data is not the hex of 64 bytes");
}

static void a_public_half_of_another_key_is_refused(void **state) {
  char zeros[129] = "";
  char text[300];

  memset(zeros, '0', 128);
  memset(zeros, '1', 64);
  snprintf(text, sizeof text,
           "{\"priv_key\":{\"type\":\"ed25519\",\"data\":\"%s\"}}", zeros);
  assert_refused_text(*state, text,
                      "the public half of its key is not that of the seed");
  memset(zeros + 64, 'a', 64);
  snprintf(text, sizeof text,
           "{\"priv_key\":{\"type\":\"ed25519\",\"data\":\"%s\"}}", zeros);
  assert_refused_text(*state, text,
                      "the public half of its key is not that of the seed");
}

static void a_file_may_have_16_kib_and_no_more(void **state) {
  test_folder *f = *state;
  char *text = malloc(16385);
  cmt_node_key *key = NULL;

  assert_non_null(text);
  memset(text, ' ', 16385);
  memcpy(text, SEED11_FILE, strlen(SEED11_FILE));
  test_write_file(f->path, text, 16384);
  assert_cmt(CMT_OK, cmt_node_key_load(NULL, f->path, &key, NULL));
  cmt_node_key_delete(key);
  key = NULL;
  assert_refused(f, text, 16385, "is larger than 16 KiB");
  free(text);
}

static void assert_unreadable(const char *path, const char *fault) {
  cmt_node_key *key = NULL;
  cmt_why why = {0};
  char expected[600];
  test_env t;

  test_env_init(&t);
  assert_cmt(CMT_EIO, cmt_node_key_load(&t.env, path, &key, &why));
  snprintf(expected, sizeof expected, "key file '%s': %s", path, fault);
  assert_string_equal(expected, why.text);
  test_env_fini(&t);
}

static void what_is_no_file_is_named_in_the_reason(void **state) {
  test_folder *f = *state;

  assert_unreadable(f->path, "No such file or directory");
  assert_unreadable(f->name, "is a directory");
  assert_int_equal(0, mkfifo(f->path, 0600));
  assert_unreadable(f->path, "is not a regular file");
}

static void a_path_is_escaped_in_the_reason(void **state) {
  cmt_node_key *key = NULL;
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EIO, cmt_node_key_load(NULL, "no\nfile\x1b", &key, &why));
  assert_string_equal("key file 'no\\x0afile\\x1b': No such file or directory",
                      why.text);
}

typedef struct log_seen {
  size_t count;
  cmt_log_level level;
  char line[512];
} log_seen;

static void log_to_test(void *arg, cmt_log_level level, const char *module,
                        const char *line) {
  log_seen *seen = arg;

  assert_string_equal("node_key", module);
  seen->count++;
  seen->level = level;
  snprintf(seen->line, sizeof seen->line, "%s", line);
}

/* How many lines the load of a file with |mode| writes to the log. */
static size_t lines_for_mode(const test_folder *f, mode_t mode,
                             log_seen *seen) {
  cmt_node_key *key = NULL;
  test_env t;

  *seen = (log_seen){0};
  test_env_init(&t);
  t.env.log = log_to_test;
  t.env.log_arg = seen;
  test_write_file(f->path, SEED11_FILE, strlen(SEED11_FILE));
  assert_int_equal(0, chmod(f->path, mode));
  assert_cmt(CMT_OK, cmt_node_key_load(&t.env, f->path, &key, NULL));
  cmt_node_key_delete(key);
  test_env_fini(&t);
  return seen->count;
}

static void a_file_that_others_can_read_is_warned_of(void **state) {
  test_folder *f = *state;
  log_seen seen;
  char expected[400];

  assert_int_equal(0, lines_for_mode(f, 0600, &seen));
  assert_int_equal(0, lines_for_mode(f, 0400, &seen));
  assert_int_equal(1, lines_for_mode(f, 0604, &seen));
  assert_int_equal(1, lines_for_mode(f, 0640, &seen));
  assert_int_equal(CMT_LOG_WARN, seen.level);
  snprintf(expected, sizeof expected,
           "key file '%s' can be read by others than its owner (mode 0640)",
           f->path);
  assert_string_equal(expected, seen.line);
}

static void one_that_holds_no_key_is_not(void **state) {
  test_folder *f = *state;
  log_seen seen = {0};
  cmt_node_key *key = NULL;
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = log_to_test;
  env.log_arg = &seen;
  test_write_file(f->path, "no JSON", 7);
  assert_int_equal(0, chmod(f->path, 0644));
  assert_cmt(CMT_EINVAL, cmt_node_key_load(&env, f->path, &key, NULL));
  assert_int_equal(0, seen.count);
}

static void a_file_that_others_can_read_is_refused_by_option(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = NULL;
  char expected[400];
  cmt_why why;

  test_write_file(f->path, SEED11_FILE, strlen(SEED11_FILE));
  assert_int_equal(0, chmod(f->path, 0640));
  assert_cmt(CMT_EIO, cmt_node_key_load_private(NULL, f->path, &key, &why));
  assert_null(key);
  snprintf(expected, sizeof expected,
           "key file '%s': can be read by others than its owner (mode 0640)",
           f->path);
  assert_string_equal(expected, why.text);
  assert_int_equal(0, chmod(f->path, 0600));
  assert_cmt(CMT_OK, cmt_node_key_load_private(NULL, f->path, &key, &why));
  cmt_node_key_delete(key);
}

/* Warned of, and by option refused, with |text|. */
static void assert_open(test_folder *f, const char *text) {
  cmt_node_key *key = NULL;
  char expected[500];
  cmt_why why;
  log_seen seen = {0};
  test_env t;

  test_env_init(&t);
  t.env.log = log_to_test;
  t.env.log_arg = &seen;
  assert_cmt(CMT_OK, cmt_node_key_load(&t.env, f->path, &key, NULL));
  cmt_node_key_delete(key);
  assert_int_equal(1, seen.count);
  snprintf(expected, sizeof expected, "key file '%s' %s", f->path, text);
  assert_string_equal(expected, seen.line);
  assert_cmt(CMT_EIO, cmt_node_key_load_private(&t.env, f->path, &key, &why));
  assert_null(key);
  snprintf(expected, sizeof expected, "key file '%s': %s", f->path, text);
  assert_string_equal(expected, why.text);
  test_env_fini(&t);
}

static void a_file_that_others_can_write_is_refused_by_option(void **state) {
  test_folder *f = *state;

  test_write_file(f->path, SEED11_FILE, strlen(SEED11_FILE));
  assert_int_equal(0, chmod(f->path, 0620));
  assert_open(f, "can be written by others than its owner (mode 0620)");
  assert_int_equal(0, chmod(f->path, 0602));
  assert_open(f, "can be written by others than its owner (mode 0602)");
  assert_int_equal(0, chmod(f->path, 0600));
  assert_int_equal(0, chmod(f->name, 0777));
  assert_open(f, "lies in a folder that others can write (mode 0777)");
  assert_int_equal(0, chmod(f->name, 0770));
  assert_open(f, "lies in a folder that others can write (mode 0770)");
  assert_int_equal(0, chmod(f->name, 01777));
  assert_int_equal(0, lines_for_mode(f, 0600, &(log_seen){0}));
  assert_int_equal(0, chmod(f->name, 0700));
}

/* fstat() of every file returns |stranger| as its owner, unless that is 0. */
static uid_t stranger;

int fstat(int fd, struct stat *st) {
  int done = fstatat(fd, "", st, AT_EMPTY_PATH);

  if (done == 0 && stranger != 0) {
    st->st_uid = stranger;
  }
  return done;
}

static void a_file_of_another_user_is_refused_by_option(void **state) {
  test_folder *f = *state;

  test_write_file(f->path, SEED11_FILE, strlen(SEED11_FILE));
  assert_int_equal(0, chmod(f->path, 0600));
  stranger = geteuid() + 1;
  /* The loads of the helper see the stranger too. */
  {
    char text[80];

    snprintf(text, sizeof text,
             "belongs to user %lu, who is neither us nor root",
             (unsigned long)stranger);
    assert_open(f, text);
  }
  stranger = 0;
}

static void the_key_of_a_validator_is_warned_of(void **state) {
  static const char text[] =
    "{\"address\":\"10BA682C8AD13513971E8B56881AAB8BD702BB80\","
    "\"pub_key\":{\"type\":\"tendermint/PubKeyEd25519\",\"value\":"
    "\"0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc=\"},"
    "\"priv_key\":{\"type\":\"tendermint/PrivKeyEd25519\",\"value\":"
    "\"" SEED11_BASE64 "\"}}";
  test_folder *f = *state;
  cmt_node_key *key = NULL;
  log_seen seen = {0};
  test_env t;

  test_env_init(&t);
  t.env.log = log_to_test;
  t.env.log_arg = &seen;
  test_write_file(f->path, text, strlen(text));
  assert_int_equal(0, chmod(f->path, 0600));
  assert_cmt(CMT_OK, cmt_node_key_load(&t.env, f->path, &key, NULL));
  assert_id(SEED11_ID, key);
  cmt_node_key_delete(key);
  assert_int_equal(1, seen.count);
  assert_int_equal(CMT_LOG_WARN, seen.level);
  assert_non_null(strstr(seen.line, "validator's priv_validator_key.json"));
  test_env_fini(&t);
}

/* ---- memory ---- */

enum {
  NEEDLE = 24,
  CHUNK = 1 << 16,
  MASK = 0x5a,
  SHADOW_MIN = 1 << 28, /* Mappings so large are a sanitizer's own. */
};

/* Whether any memory that can be written contains |needle|, which is masked so
   that it is not found itself. */
static bool memory_has(const uint8_t needle[NEEDLE]) {
  static uint8_t chunk[CHUNK + NEEDLE];
  FILE *maps = fopen("/proc/self/maps", "r");
  int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  unsigned long from, to;
  char line[600], mode[5];
  bool found = false;

  assert_non_null(maps);
  assert_true(mem >= 0);
  while (!found && fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[0] != 'r' ||
        mode[1] != 'w' || to - from > SHADOW_MIN) {
      continue;
    }
    for (unsigned long at = from; !found && at < to; at += CHUNK) {
      ssize_t got = pread(mem, chunk, sizeof chunk, (off_t)at);

      for (ssize_t i = 0; !found && i + NEEDLE <= got; i++) {
        size_t n = 0;

        while (n < NEEDLE && (chunk[i + (ssize_t)n] ^ MASK) == needle[n]) {
          n++;
        }
        found = n == NEEDLE;
      }
      if (got < CHUNK) {
        break;
      }
    }
  }
  memset(chunk, 0, sizeof chunk);
  close(mem);
  fclose(maps);
  return found;
}

/* A fresh key, so that its text lies nowhere in the test. */
static void no_memory_holds_the_text_of_a_loaded_key(void **state) {
  test_folder *f = *state;
  cmt_node_key *key;
  uint8_t needle[NEEDLE];
  int fd;

  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  cmt_node_key_delete(key);
  fd = open(f->path, O_RDONLY | O_CLOEXEC);
  assert_int_equal(NEEDLE, pread(fd, needle, NEEDLE, 70));
  close(fd);
  for (int i = 0; i < NEEDLE; i++) {
    needle[i] ^= MASK;
  }
  assert_cmt(CMT_OK, cmt_node_key_load(NULL, f->path, &key, NULL));
  assert_false(memory_has(needle));
  cmt_node_key_delete(key);
  assert_false(memory_has(needle));
  {
    /* The search finds what is there. */
    volatile uint8_t plain[NEEDLE];

    for (int i = 0; i < NEEDLE; i++) {
      plain[i] = needle[i] ^ MASK;
    }
    assert_true(memory_has(needle));
    memset((void *)(uintptr_t)plain, 0, sizeof plain);
  }
}

/* ---- writing ---- */

static void a_saved_file_is_for_its_owner_only(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = key_of_seed11();
  mode_t before = umask(0277);
  struct stat st;

  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  umask(before);
  assert_int_equal(0, stat(f->path, &st));
  assert_int_equal(0600, st.st_mode & 07777);
  assert_int_equal(1, st.st_nlink);
  cmt_node_key_delete(key);
  assert_int_equal(1, test_folder_empty(f));
}

static void a_file_without_folder_goes_to_the_current_one(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = key_of_seed11();
  char before[1024];

  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(0, chdir(f->name));
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, "file", NULL));
  assert_int_equal(0, chdir(before));
  test_assert_file(f->path, SEED11_FILE);
  cmt_node_key_delete(key);
}

static void assert_exists(const test_folder *f) {
  cmt_node_key *key = key_of_seed11();
  cmt_why why;
  char expected[600];

  assert_cmt(CMT_EEXIST, cmt_node_key_save_new(key, f->path, &why));
  snprintf(expected, sizeof expected, "key file '%s': already exists", f->path);
  assert_string_equal(expected, why.text);
  cmt_node_key_delete(key);
}

static void an_existing_name_is_never_overwritten(void **state) {
  test_folder *f = *state;

  test_write_file(f->path, "precious", 8);
  assert_exists(f);
  test_assert_file(f->path, "precious");
  assert_int_equal(1, test_folder_empty(f));
  assert_int_equal(0, symlink("nowhere", f->path));
  assert_exists(f);
  assert_int_equal(1, test_folder_empty(f));
  assert_int_equal(0, mkdir(f->path, 0700));
  assert_exists(f);
  assert_int_equal(1, test_folder_empty(f));
}

/* An entropy that makes |path| just before it answers 0, then 1, and so on. */
typedef struct late_file {
  const char *path;
  uint64_t answer;
} late_file;

static void late_entropy(void *arg, void *out, size_t len) {
  late_file *late = arg;

  if (late->path != NULL) {
    test_write_file(late->path, "precious", 8);
  }
  assert_int_equal(sizeof late->answer, len);
  memcpy(out, &late->answer, len);
  late->answer++;
}

/* The key of seed 11 with |late| as its entropy. */
static cmt_node_key *key_with_late_entropy(late_file *late) {
  cmt_node_key *plain = key_of_seed11(), *key = NULL;
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.entropy = late_entropy;
  env.entropy_arg = late;
  assert_cmt(CMT_OK, cmt__node_key_from_secret(&env, plain->secret, &key));
  cmt_node_key_delete(plain);
  return key;
}

static void a_name_taken_meanwhile_is_not_overwritten(void **state) {
  test_folder *f = *state;
  late_file late = {.path = f->path};
  cmt_node_key *key = key_with_late_entropy(&late);

  assert_cmt(CMT_EEXIST, cmt_node_key_save_new(key, f->path, NULL));
  test_assert_file(f->path, "precious");
  assert_int_equal(1, test_folder_empty(f));
  cmt_node_key_delete(key);
}

static void a_temporary_name_in_use_is_left_alone(void **state) {
  test_folder *f = *state;
  late_file late = {0};
  cmt_node_key *key = key_with_late_entropy(&late);
  char taken[512];

  snprintf(taken, sizeof taken, "%s/.node_key-0000000000000000.tmp", f->name);
  test_write_file(taken, "other", 5);
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  assert_int_equal(2, late.answer);
  test_assert_file(taken, "other");
  test_assert_file(f->path, SEED11_FILE);
  assert_int_equal(2, test_folder_empty(f));
  cmt_node_key_delete(key);
}

static void a_folder_that_is_missing_is_named(void **state) {
  cmt_node_key *key = key_of_seed11();
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EIO, cmt_node_key_save_new(key, "no/such/folder", &why));
  assert_string_equal("key file 'no/such/folder': No such file or directory",
                      why.text);
  cmt_node_key_delete(key);
}

static void every_failed_allocation_is_reported(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = NULL;
  cmt_why why;
  test_env t;

  test_write_file(f->path, SEED11_FILE, strlen(SEED11_FILE));
  test_env_init(&t);
  for (t.fail_at = 0;; t.fail_at++) {
    cmt_err err;

    t.allocs = 0;
    err = cmt_node_key_load(&t.env, f->path, &key, &why);
    if (t.allocs <= t.fail_at) {
      assert_cmt(CMT_OK, err);
      break;
    }
    assert_int_equal(0, t.live);
    assert_null(key);
    assert_cmt(CMT_ENOMEM, err);
    assert_cmt(CMT_ENOMEM, why.err);
    assert_non_null(strstr(why.text, ": not enough memory"));
  }
  assert_int_equal(2, t.fail_at); /* The text, and the key. */
  assert_int_equal(1, t.live);
  t.allocs = 0;
  t.fail_at = 0;
  unlink(f->path);
  assert_cmt(CMT_ENOMEM, cmt_node_key_save_new(key, f->path, &why));
  assert_int_equal(0, test_folder_empty(f));
  cmt_node_key_delete(key);
  test_env_fini(&t);
}

enum { WATCHED_SIZE = 20000, SMALL = 1000 };

/* An allocator of one large block that looks for the secret's text in what is
   freed of it. */
typedef struct watcher {
  uint8_t block[WATCHED_SIZE];
  size_t len, frees;
  bool leaked;
} watcher;

static void *watched_alloc(void *arg, size_t len) {
  watcher *w = arg;

  if (len <= SMALL) {
    return malloc(len);
  }
  assert_true(len <= sizeof w->block);
  w->len = len;
  return w->block;
}

static void watched_free(void *arg, void *p) {
  watcher *w = arg;

  if (p != w->block) {
    free(p);
    return;
  }
  w->frees++;
  w->leaked = w->leaked || memmem(w->block, w->len, "ERERERER", 8) != NULL;
}

static void the_text_of_a_key_is_wiped_before_it_is_freed(void **state) {
  static _Alignas(16) watcher w;
  test_folder *f = *state;
  cmt_node_key *key = NULL;
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.alloc = watched_alloc;
  env.free = watched_free;
  env.alloc_arg = &w;
  test_write_file(f->path, SEED11_FILE, strlen(SEED11_FILE));
  assert_cmt(CMT_OK, cmt_node_key_load(&env, f->path, &key, NULL));
  assert_int_equal(1, w.frees);
  assert_false(w.leaked);
  test_write_file(f->path, SEED11_FILE "x", strlen(SEED11_FILE) + 1);
  cmt_node_key_delete(key);
  assert_cmt(CMT_EINVAL, cmt_node_key_load(&env, f->path, &key, NULL));
  assert_int_equal(2, w.frees);
  assert_false(w.leaked);
}

#define IN_FOLDER(test)                                                        \
  cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_unusable_environment_loads_no_key),
    IN_FOLDER(identities_are_those_of_the_reference),
    IN_FOLDER(the_sample_file_is_written_to_the_byte),
    IN_FOLDER(space_order_and_unknown_members_do_not_matter),
    IN_FOLDER(strings_may_have_escapes),
    IN_FOLDER(malformed_json_is_refused),
    IN_FOLDER(files_without_a_key_are_refused),
    IN_FOLDER(other_types_of_keys_are_refused),
    IN_FOLDER(secrets_that_are_not_64_bytes_are_refused),
    IN_FOLDER(a_public_half_of_another_key_is_refused),
    IN_FOLDER(a_file_may_have_16_kib_and_no_more),
    IN_FOLDER(what_is_no_file_is_named_in_the_reason),
    cmocka_unit_test(a_path_is_escaped_in_the_reason),
    IN_FOLDER(a_file_that_others_can_read_is_warned_of),
    IN_FOLDER(one_that_holds_no_key_is_not),
    IN_FOLDER(a_file_that_others_can_read_is_refused_by_option),
    IN_FOLDER(a_file_that_others_can_write_is_refused_by_option),
    IN_FOLDER(a_file_of_another_user_is_refused_by_option),
    IN_FOLDER(the_key_of_a_validator_is_warned_of),
    IN_FOLDER(no_memory_holds_the_text_of_a_loaded_key),
    IN_FOLDER(a_saved_file_is_for_its_owner_only),
    IN_FOLDER(a_file_without_folder_goes_to_the_current_one),
    IN_FOLDER(an_existing_name_is_never_overwritten),
    IN_FOLDER(a_name_taken_meanwhile_is_not_overwritten),
    IN_FOLDER(a_temporary_name_in_use_is_left_alone),
    cmocka_unit_test(a_folder_that_is_missing_is_named),
    IN_FOLDER(every_failed_allocation_is_reported),
    IN_FOLDER(the_text_of_a_key_is_wiped_before_it_is_freed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
