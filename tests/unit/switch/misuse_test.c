/* SPDX-License-Identifier: Apache-2.0 */

/* Wrong arguments of every kind: structs that nobody filled in, sizes of other
   versions, counts without lists, pointers that are NULL, flags that nobody
   knows.  Each is refused, by name where there is a reason, and nothing is left
   behind. */

#include "node.h"

#include <cometp2p/cometp2p.h>
#include <cometp2p/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Room behind a struct for those of later versions; no more is read. */
enum { LATER = 64 };

typedef union any_options {
  size_t size;
  cmt_switch_options sw;
  cmt_conn_options conn;
  cmt_mconn_options mconn;
  uint8_t bytes[sizeof(cmt_switch_options) + LATER];
} any_options;

static const cmt_channel channel = {.id = 1, .priority = 1};
static const cmt_reactor reactor = {
  .name = "r", .channels = &channel, .channel_count = 1};
static const uint8_t moniker[] = "m";
static const cmt_node_info info = {.moniker = {moniker, 1}};
static cmt_node_key *key;
static test_env env;

/* ---- constructors with options ---- */

typedef struct maker {
  const char *name;
  size_t size;
  void (*init)(any_options *o, size_t size);
  void (*fill)(any_options *o); /* So that it would work. */
  cmt_err (*make)(const any_options *o, void **out, cmt_why *why);
  void (*drop)(void *made);
} maker;

static void switch_init(any_options *o, size_t size) {
  cmt_switch_options_init_sized((void *)o, size);
}

static void switch_fill(any_options *o) {
  o->sw.env = &env.env;
  o->sw.network = "net";
  o->sw.reactors = &reactor;
  o->sw.reactor_count = 1;
}

static cmt_err switch_make(const any_options *o, void **out, cmt_why *why) {
  return cmt_switch_new(o != NULL ? &o->sw : NULL, (cmt_switch **)out, why);
}

static void switch_drop(void *made) {
  assert_cmt(CMT_OK, cmt_switch_delete(made));
}

static void conn_init(any_options *o, size_t size) {
  cmt_conn_options_init_sized((void *)o, size);
}

static void conn_fill(any_options *o) {
  o->conn.env = &env.env;
  o->conn.key = key;
  o->conn.node_info = &info;
  o->conn.channels = &channel;
  o->conn.channel_count = 1;
}

static cmt_err conn_make(const any_options *o, void **out, cmt_why *why) {
  return cmt_conn_new(o != NULL ? &o->conn : NULL, 0, (cmt_conn **)out, why);
}

static void conn_drop(void *made) { cmt_conn_delete(made); }

static void mconn_init(any_options *o, size_t size) {
  cmt_mconn_options_init_sized((void *)o, size);
}

static void mconn_fill(any_options *o) {
  o->mconn.env = &env.env;
  o->mconn.channels = &channel;
  o->mconn.channel_count = 1;
}

static cmt_err mconn_make(const any_options *o, void **out, cmt_why *why) {
  return cmt_mconn_new(o != NULL ? &o->mconn : NULL, 0, (cmt_mconn **)out, why);
}

static void mconn_drop(void *made) { cmt_mconn_delete(made); }

static const maker makers[] = {
  {"switch", sizeof(cmt_switch_options), switch_init, switch_fill, switch_make,
   switch_drop},
  {"conn", sizeof(cmt_conn_options), conn_init, conn_fill, conn_make,
   conn_drop},
  {"mconn", sizeof(cmt_mconn_options), mconn_init, mconn_fill, mconn_make,
   mconn_drop},
};

static void *const untouched = (void *)&env;

/* Refused, with a reason that has |text|, without a trace. */
static void assert_refused(const maker *m, const any_options *o,
                           const char *text) {
  void *made = untouched;
  cmt_why why = {0};

  assert_cmt(CMT_EINVAL, m->make(o, &made, &why));
  assert_null(made);
  assert_cmt(CMT_EINVAL, why.err);
  if (strstr(why.text, text) == NULL) {
    fail_msg("%s: no '%s' in '%s'", m->name, text, why.text);
  }
  made = untouched;
  assert_cmt(CMT_EINVAL, m->make(o, &made, NULL));
  assert_null(made);
  assert_int_equal(0, env.live);
}

static void assert_made(const maker *m, const any_options *o) {
  void *made = NULL;
  cmt_why why = {0};

  if (m->make(o, &made, &why) != CMT_OK) {
    fail_msg("%s: %s", m->name, why.text);
  }
  assert_non_null(made);
  m->drop(made);
  assert_int_equal(0, env.live);
}

static void filled(const maker *m, any_options *o) {
  memset(o, 0, sizeof *o);
  m->init(o, m->size);
  m->fill(o);
}

static void what_nobody_filled_in_is_refused(void **state) {
  static const uint8_t bytes[] = {0x00, 0xa5, 0xff, 0x5a, 0x01};
  any_options o;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    for (size_t b = 0; b < CMT__COUNT(bytes); b++) {
      memset(&o, bytes[b], sizeof o);
      assert_refused(&makers[i], &o, "options of an unknown size");
    }
    assert_refused(&makers[i], NULL, "NULL");
  }
}

static void without_a_place_for_the_object_nothing_is_made(void **state) {
  any_options o;
  cmt_why why = {0};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    filled(&makers[i], &o);
    assert_cmt(CMT_EINVAL, makers[i].make(&o, NULL, &why));
    assert_string_equal("out: NULL", why.text);
    assert_int_equal(0, env.live);
  }
}

static void sizes_that_no_version_has_are_refused(void **state) {
  const size_t sizes[] = {0, 1, 4, 8, 9, 1 << 20, SIZE_MAX / 2, SIZE_MAX - 7};
  any_options o;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    for (size_t s = 0; s < CMT__COUNT(sizes); s++) {
      filled(&makers[i], &o);
      o.size = sizes[s];
      assert_refused(&makers[i], &o, "options of an unknown size");
    }
    for (size_t less = 1; less < sizeof(size_t); less++) {
      filled(&makers[i], &o);
      o.size -= less;
      assert_refused(&makers[i], &o, "options of an unknown size");
    }
  }
}

/* Every prefix of a struct either has all that is needed, or what is missing
   is named; what lies behind it is never looked at. */
static void a_struct_of_an_older_version_has_its_fields(void **state) {
  any_options o;
  void *made;
  cmt_why why;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    const maker *m = &makers[i];

    for (size_t size = 16; size <= m->size; size += 8) {
      filled(m, &o);
      memset(o.bytes + size, 0xa5, sizeof o - size);
      o.size = size;
      made = NULL;
      if (m->make(&o, &made, &why) == CMT_OK) {
        m->drop(made);
      } else {
        assert_cmt(CMT_EINVAL, why.err);
        assert_null(strstr(why.text, "unknown size"));
        assert_null(made);
      }
      assert_int_equal(0, env.live);
    }
    filled(m, &o);
    memset(o.bytes + m->size - 8, 0xa5, 8);
    o.size = m->size - 8;
    assert_made(m, &o);
  }
}

static void a_struct_of_a_later_version_may_set_nothing_unknown(void **state) {
  any_options o;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    const maker *m = &makers[i];

    filled(m, &o);
    o.size = m->size + LATER;
    assert_made(m, &o);
    o.bytes[m->size + LATER - 1] = 1;
    if (m->size + LATER <= sizeof o) {
      assert_refused(m, &o,
                     ": a field is set that this version of the library does "
                     "not have, at byte ");
    }
  }
}

static void an_init_writes_only_what_there_is(void **state) {
  any_options o, whole;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    const maker *m = &makers[i];

    m->init(&whole, m->size);
    for (size_t size = 0; size <= m->size + LATER && size <= sizeof o; size++) {
      memset(&o, 0xee, sizeof o);
      m->init(&o, size);
      for (size_t at = size; at < sizeof o; at++) {
        assert_int_equal(0xee, o.bytes[at]);
      }
      if (size > 8 && size % 8 == 0) {
        assert_int_equal(size, o.size);
        assert_memory_equal(whole.bytes + 8, o.bytes + 8,
                            (size < m->size ? size : m->size) - 8);
      } else if (size >= 8) {
        assert_int_equal(0, o.size);
      }
    }
    m->init(NULL, m->size);
    memset(&o, 0xee, sizeof o);
    m->init(&o, SIZE_MAX);
    assert_int_equal(0, o.size);
    assert_int_equal(0xee, o.bytes[8]);
  }
}

/* ---- environments ---- */

static void an_environment_that_nobody_filled_in_is_refused(void **state) {
  static const uint8_t bytes[] = {0x00, 0xa5, 0xff};
  uint8_t data[4] = {0};
  cmt_env bad;
  any_options o;
  cmt_secret_conn *s;
  cmt_node_key *made;

  (void)state;
  for (size_t b = 0; b < CMT__COUNT(bytes); b++) {
    memset(&bad, bytes[b], sizeof bad);
    for (size_t i = 0; i < CMT__COUNT(makers); i++) {
      filled(&makers[i], &o);
      /* It is the second field of each of them. */
      memcpy(o.bytes + 8, &(const cmt_env *){&bad}, sizeof(cmt_env *));
      assert_refused(&makers[i], &o, "env");
    }
    s = untouched;
    assert_cmt(CMT_EINVAL, cmt_secret_conn_new(&bad, key, &s));
    assert_null(s);
    made = untouched;
    assert_cmt(CMT_EINVAL, cmt_node_key_generate(&bad, &made));
    assert_null(made);
    made = untouched;
    assert_cmt(CMT_EINVAL, cmt_node_key_load(&bad, "x", &made, NULL));
    assert_null(made);
    made = untouched;
    assert_cmt(CMT_EINVAL, cmt_node_key_load_private(&bad, "x", &made, NULL));
    assert_null(made);
    assert_null(cmt_buf_new(&bad, 4));
    assert_null(cmt_buf_copy(&bad, data, 4));
    assert_null(cmt_buf_adopt(&bad, (cmt_bytes){data, 4}, NULL, NULL));
    assert_string_equal("none", cmt_env_aead(&bad));
  }
}

static void an_environment_of_an_older_version_has_its_hooks(void **state) {
  cmt_env older, copy;

  (void)state;
  older = env.env;
  older.size = offsetof(cmt_env, panic);
  memset((uint8_t *)&older + older.size, 0xa5, sizeof older - older.size);
  assert_cmt(CMT_OK, cmt__env_copy(&older, &copy));
  assert_int_equal(sizeof copy, copy.size);
  assert_ptr_equal(env.env.alloc, copy.alloc);
  assert_non_null(copy.panic);
  assert_non_null(copy.aead);
  assert_ptr_equal(cmt__env_system.secret_alloc, copy.secret_alloc);
  assert_ptr_equal(cmt__env_system.secret_free, copy.secret_free);
  assert_ptr_equal(cmt__env_system.secret_protect, copy.secret_protect);
  older.size = offsetof(cmt_env, alloc_arg);
  assert_cmt(CMT_EINVAL, cmt__env_copy(&older, &copy));
}

static void an_environment_of_a_later_version_has_its_hooks(void **state) {
  struct {
    cmt_env env;
    uint64_t more[2], guard;
  } later = {.guard = 7};
  const size_t size = sizeof later.env + sizeof later.more;
  cmt_node_key *made;
  cmt_env copy;
  cmt_buf *b;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init_sized(&later.env, size));
  assert_int_equal(size, later.env.size);
  assert_int_equal(0, later.more[0] | later.more[1]);
  assert_int_equal(7, later.guard);
  later.env.alloc = env.env.alloc;
  later.env.free = env.env.free;
  later.env.alloc_arg = env.env.alloc_arg;
  assert_cmt(CMT_OK, cmt__env_copy(&later.env, &copy));
  assert_int_equal(sizeof copy, copy.size);
  assert_ptr_equal(env.env.alloc, copy.alloc);
  assert_cmt(CMT_OK, cmt_node_key_generate(&later.env, &made));
  cmt_node_key_delete(made);
  b = cmt_buf_copy(&later.env, "x", 1);
  assert_non_null(b);
  cmt_buf_unref(b);
  later.more[1] = 1; /* A field that this version does not have. */
  assert_cmt(CMT_EINVAL, cmt__env_copy(&later.env, &copy));
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(&later.env, &made));
  assert_null(cmt_buf_copy(&later.env, "x", 1));
}

/* The memory for secrets came last: an environment without it makes keys, and
   messages too. */
static void
an_environment_without_secret_memory_uses_that_of_the_system(void **state) {
  cmt_env older = env.env;
  size_t live = env.live;
  cmt_node_key *made;
  cmt_buf *b;

  (void)state;
  older.size = offsetof(cmt_env, secret_alloc);
  memset((uint8_t *)&older + older.size, 0xa5, sizeof older - older.size);
  assert_cmt(CMT_OK, cmt_node_key_generate(&older, &made));
  b = cmt_buf_copy(&older, "x", 1);
  assert_non_null(b);
  assert_int_equal(live + 2, env.live);
  cmt_buf_unref(b);
  cmt_node_key_delete(made);
  assert_int_equal(live, env.live);
}

static void an_environment_with_half_of_secret_memory_is_refused(void **state) {
  cmt_env half = env.env;
  cmt_node_key *made;

  (void)state;
  half.secret_alloc = NULL;
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(&half, &made));
  half = env.env;
  half.secret_free = NULL;
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(&half, &made));
  half = env.env;
  half.secret_protect = NULL;
  assert_cmt(CMT_OK, cmt_node_key_generate(&half, &made));
  cmt_node_key_delete(made);
}

/* ---- counts, enums and flags ---- */

typedef struct change {
  const char *maker;
  void (*change)(any_options *o);
  const char *text;
} change;

static void no_reactors(any_options *o) { o->sw.reactors = NULL; }
static void no_count(any_options *o) { o->sw.reactor_count = 0; }
static void huge_count(any_options *o) { o->sw.reactor_count = SIZE_MAX / 64; }
static void switch_wire(any_options *o) { o->sw.wire = (cmt_wire)0xa5a5; }
static void no_network(any_options *o) { o->sw.network = NULL; }

static cmt_reactor changed;

static void reactor_no_channels(any_options *o) {
  changed = reactor;
  changed.channels = NULL;
  o->sw.reactors = &changed;
}

static void reactor_no_count(any_options *o) {
  changed = reactor;
  changed.channel_count = 0;
  o->sw.reactors = &changed;
}

static void reactor_huge_count(any_options *o) {
  changed = reactor;
  changed.channel_count = SIZE_MAX;
  o->sw.reactors = &changed;
}

static void reactor_no_name(any_options *o) {
  changed = reactor;
  changed.name = NULL;
  o->sw.reactors = &changed;
}

static void reactor_delivery(any_options *o) {
  changed = reactor;
  changed.delivery = (cmt_delivery)0xa5;
  o->sw.reactors = &changed;
}

static void reactor_reserved(any_options *o) {
  changed = reactor;
  changed.reserved[CMT__COUNT(changed.reserved) - 1] = 1;
  o->sw.reactors = &changed;
}

static void conn_no_channels(any_options *o) { o->conn.channels = NULL; }
static void conn_no_count(any_options *o) { o->conn.channel_count = 0; }
static void conn_huge(any_options *o) { o->conn.channel_count = SIZE_MAX; }
static void conn_no_key(any_options *o) { o->conn.key = NULL; }
static void conn_no_info(any_options *o) { o->conn.node_info = NULL; }
static void conn_wire(any_options *o) { o->conn.wire = (cmt_wire)-1; }

static void conn_flag(any_options *o) {
  memset(&o->conn.any_network, 0xa5, sizeof o->conn.any_network);
}

static void mconn_no_channels(any_options *o) { o->mconn.channels = NULL; }
static void mconn_no_count(any_options *o) { o->mconn.channel_count = 0; }
static void mconn_huge(any_options *o) { o->mconn.channel_count = SIZE_MAX; }
static void mconn_wire(any_options *o) { o->mconn.wire = (cmt_wire)7; }

static cmt_channel changed_channel;

static void mconn_traffic(any_options *o) {
  changed_channel = channel;
  changed_channel.traffic = (cmt_traffic)0xa5a5a5;
  o->mconn.channels = &changed_channel;
}

static void mconn_on_full(any_options *o) {
  changed_channel = channel;
  changed_channel.on_full = (cmt_on_full)0xffffffff;
  o->mconn.channels = &changed_channel;
}

static void mconn_reserved(any_options *o) {
  changed_channel = channel;
  changed_channel.reserved[0] = UINT64_C(1) << 63;
  o->mconn.channels = &changed_channel;
}

static const change changes[] = {
  {"switch", no_reactors, "reactor_count is set and reactors is not"},
  {"switch", no_count, "reactors is set and reactor_count is not"},
  {"switch", huge_count, "reactor_count is"},
  {"switch", switch_wire, "wire is"},
  {"switch", no_network, "network is not set"},
  {"switch", reactor_no_channels,
   "reactor r: channel_count is 1 and channels is NULL"},
  {"switch", reactor_no_count,
   "reactor r: channels is set and channel_count is 0"},
  {"switch", reactor_huge_count, "reactor r: channel_count is"},
  {"switch", reactor_no_name, "reactor 0 has no name"},
  {"switch", reactor_delivery, "delivery is 165"},
  {"switch", reactor_reserved,
   "reactor r: a field is set that this version of the library does not have"},
  {"conn", conn_no_channels, "channel_count is 1 and channels is NULL"},
  {"conn", conn_no_count, "channels is set and channel_count is 0"},
  {"conn", conn_huge, "channels, allowed are 16"},
  {"conn", conn_no_key, "key is not set"},
  {"conn", conn_no_info, "node_info is not set"},
  {"conn", conn_wire, "wire is -1"},
  {"conn", conn_flag, "any_network is neither true nor false"},
  {"mconn", mconn_no_channels, "channel_count is 1 and channels is NULL"},
  {"mconn", mconn_no_count, "channels is set and channel_count is 0"},
  {"mconn", mconn_huge, "channels, allowed are 16"},
  {"mconn", mconn_wire, "wire is 7"},
  {"mconn", mconn_traffic, "traffic is"},
  {"mconn", mconn_on_full, "on_full is"},
  {"mconn", mconn_reserved,
   "channel 0x01: a field is set that this version of the library does not "
   "have"},
};

static const maker *maker_of(const char *name) {
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    if (strcmp(makers[i].name, name) == 0) {
      return &makers[i];
    }
  }
  return NULL;
}

static void counts_enums_and_flags_are_refused_by_name(void **state) {
  any_options o;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(makers); i++) {
    filled(&makers[i], &o);
    assert_made(&makers[i], &o);
  }
  for (size_t i = 0; i < CMT__COUNT(changes); i++) {
    const maker *m = maker_of(changes[i].maker);

    filled(m, &o);
    changes[i].change(&o);
    assert_refused(m, &o, changes[i].text);
  }
}

/* ---- our own node info ---- */

typedef struct field {
  const char *name;
  size_t at; /* In a cmt_node_info. */
  const char *text;
} field;

static void a_node_info_that_nobody_accepts_is_refused(void **state) {
  static const field fields[] = {
    {"moniker", offsetof(cmt_node_info, moniker), ""},
    {"moniker", offsetof(cmt_node_info, moniker), "   "},
    {"moniker", offsetof(cmt_node_info, moniker), "a\nb"},
    {"moniker", offsetof(cmt_node_info, moniker), "\xc3\xa9"},
    {"moniker", offsetof(cmt_node_info, moniker), "a\x7f"},
    {"version", offsetof(cmt_node_info, version), "a\tb"},
    {"version", offsetof(cmt_node_info, version), " "},
    {"rpc_address", offsetof(cmt_node_info, rpc_address), "\x01"},
    {"tx_index", offsetof(cmt_node_info, tx_index), "yes"},
    {"listen_addr", offsetof(cmt_node_info, listen_addr), "nonsense"},
    {"listen_addr", offsetof(cmt_node_info, listen_addr), "1.2.3.4:99999"},
    {"id is '0123456789012345678901234567890123456789', that of the key is ",
     offsetof(cmt_node_info, id), "0123456789012345678901234567890123456789"},
    {"id", offsetof(cmt_node_info, id), "x"},
    {"channels", offsetof(cmt_node_info, channels), "\x01\x01"},
    {"channels", offsetof(cmt_node_info, channels), "abcdefghijklmnopq"},
  };
  const maker *m = maker_of("conn");
  cmt_node_info own;
  any_options o;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(fields); i++) {
    cmt_bytes value = cmt_bytes_of(fields[i].text);

    own = info;
    memcpy((uint8_t *)&own + fields[i].at, &value, sizeof value);
    filled(m, &o);
    o.conn.node_info = &own;
    assert_refused(m, &o, fields[i].name);
    value = (cmt_bytes){.base = NULL, .len = 5};
    memcpy((uint8_t *)&own + fields[i].at, &value, sizeof value);
    assert_refused(m, &o, ": its length is 5 and its base is NULL");
  }
}

static void the_texts_of_a_switch_are_those_of_its_node_info(void **state) {
  const maker *m = maker_of("switch");
  any_options o;

  (void)state;
  filled(m, &o);
  o.sw.moniker = "";
  assert_refused(m, &o, "moniker");
  filled(m, &o);
  o.sw.moniker = "\x1b[2J";
  assert_refused(m, &o, "moniker");
  filled(m, &o);
  o.sw.version = "1\n";
  assert_refused(m, &o, "version");
  filled(m, &o);
  o.sw.external_address = "no port";
  assert_refused(m, &o, "listen_addr");
}

static char long_text[11000];

static void a_node_info_that_is_too_long_is_refused(void **state) {
  any_options o;

  (void)state;
  memset(long_text, 'x', sizeof long_text - 1);
  filled(maker_of("switch"), &o);
  o.sw.moniker = long_text;
  assert_refused(maker_of("switch"), &o, "node info takes");
  filled(maker_of("switch"), &o);
  o.sw.network = long_text;
  assert_refused(maker_of("switch"), &o, "node info takes");
}

/* ---- pointers that are NULL ---- */

static void functions_without_an_object_refuse_null(void **state) {
  cmt_net_addr addr;
  cmt_node_id id;
  cmt_node_info own = info;
  cmt_secret_conn *s = untouched;
  cmt_node_key *made = untouched;
  cmt_buf *b;
  cmt_why why;
  char text[8];

  (void)state;
  assert_cmt(CMT_EINVAL, cmt_env_init_sized(NULL, sizeof(cmt_env)));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_new(&env.env, NULL, &s));
  assert_null(s);
  assert_cmt(CMT_EINVAL, cmt_secret_conn_new(&env.env, key, NULL));
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_node_key_load(NULL, NULL, &made, &why));
  assert_string_equal("the path of the key file is NULL", why.text);
  assert_null(made);
  assert_cmt(CMT_EINVAL, cmt_node_key_load(NULL, "x", NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_node_key_load_private(NULL, NULL, &made, NULL));
  assert_cmt(CMT_EINVAL, cmt_node_key_load_private(NULL, "x", NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_node_key_save_new(NULL, "x", &why));
  assert_cmt(CMT_EINVAL, cmt_node_key_save_new(key, NULL, &why));
  cmt_node_key_get_id(NULL, &id);
  assert_string_equal("", id.text);
  cmt_node_key_get_id(key, NULL);
  cmt_node_key_delete(NULL);
  assert_cmt(CMT_EINVAL, cmt_net_addr_parse(NULL, 0, &addr, &why));
  assert_cmt(CMT_EINVAL, cmt_net_addr_parse("1.2.3.4:5", 0, NULL, &why));
  assert_cmt(CMT_EINVAL, cmt_net_addr_format(NULL, text, sizeof text));
  assert_cmt(CMT_EINVAL, cmt_node_info_validate(NULL, &why));
  assert_cmt(CMT_EINVAL, cmt_node_info_compatible(NULL, &own, &why));
  assert_cmt(CMT_EINVAL, cmt_node_info_compatible(&own, NULL, &why));
  assert_null(cmt_buf_copy(&env.env, NULL, 1));
  assert_null(cmt_buf_adopt(&env.env, (cmt_bytes){NULL, 1}, NULL, NULL));
  b = cmt_buf_copy(&env.env, NULL, 0);
  assert_non_null(b);
  cmt_buf_unref(b);
  assert_null(cmt_buf_ref(NULL));
  assert_null(cmt_buf_data(NULL));
  assert_int_equal(0, cmt_buf_bytes(NULL).len);
  cmt_buf_unref(NULL);
  assert_int_equal(3, cmt_text_escape(cmt_bytes_of("abc"), NULL, 9));
  assert_int_equal(0, cmt_text_escape((cmt_bytes){NULL, 3}, text, 8));
  assert_int_equal(0, cmt_libraries(NULL, 9) == 0);
}

static void parts_without_io_refuse_null(void **state) {
  cmt_secret_conn_event secret_event;
  cmt_mconn_event event;
  any_options o;
  cmt_mconn *m;
  cmt_conn *c;
  cmt_secret_conn *s;

  (void)state;
  filled(maker_of("mconn"), &o);
  assert_cmt(CMT_OK, cmt_mconn_new(&o.mconn, 0, &m, NULL));
  assert_cmt(CMT_EINVAL, cmt_mconn_try_send(m, 1, NULL));
  assert_cmt(CMT_EINVAL, cmt_mconn_try_send(NULL, 1, NULL));
  assert_cmt(CMT_EINVAL, cmt_mconn_recv(m, NULL, 1, 0));
  assert_cmt(CMT_OK, cmt_mconn_recv(m, NULL, 0, 0));
  assert_false(cmt_mconn_next_event_sized(m, NULL, sizeof event));
  assert_false(cmt_mconn_next_event_sized(m, &event, 0));
  assert_false(cmt_mconn_next_event_sized(m, &event, SIZE_MAX));
  assert_int_equal(1, cmt_mconn_get_status(m, NULL, 5));
  cmt_mconn_delete(m);
  assert_cmt(CMT_EINVAL, cmt_mconn_recv(NULL, NULL, 0, 0));
  assert_false(cmt_mconn_next_event(NULL, &event));
  assert_cmt(CMT_EINVAL, cmt_mconn_ping(NULL));
  filled(maker_of("conn"), &o);
  assert_cmt(CMT_OK, cmt_conn_new(&o.conn, 0, &c, NULL));
  assert_cmt(CMT_EINVAL, cmt_conn_try_send(c, 1, NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_conn_try_send(NULL, 1, NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_conn_recv(c, NULL, 1, 0));
  assert_false(cmt_conn_next_event_sized(c, NULL, sizeof(cmt_conn_event)));
  cmt_conn_delete(c);
  assert_cmt(CMT_EINVAL, cmt_conn_recv(NULL, NULL, 0, 0));
  assert_cmt(CMT_EINVAL, cmt_conn_ping(NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_conn_keep(NULL));
  assert_cmt(CMT_EINVAL, cmt_conn_standby(NULL, 0));
  assert_cmt(CMT_OK, cmt_secret_conn_new(&env.env, key, &s));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(s, NULL, 1));
  assert_false(cmt_secret_conn_next_event_sized(s, NULL, sizeof secret_event));
  assert_false(cmt_secret_conn_next_event_sized(s, &secret_event, SIZE_MAX));
  assert_false(cmt_secret_conn_next_event(s, &secret_event));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_seal(s, NULL, 1));
  cmt_secret_conn_delete(s);
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(NULL, NULL, 0));
  assert_false(cmt_secret_conn_next_event(NULL, &secret_event));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_seal(NULL, NULL, 1));
}

static void peers_and_switches_refuse_null(void **state) {
  test_trio *t = *state;
  cmt_broadcast counts;
  cmt_mailbox_event event;
  cmt_peer *p;
  cmt_why why;

  test_pair(&t->w, &t->a, &t->b);
  p = test_node_peer(&t->a);
  assert_cmt(CMT_EINVAL, cmt_peer_try_send(p, TEST_CHAT, NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_try_send(NULL, TEST_CHAT, NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_send_async(p, TEST_CHAT, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_send_cancel(p, NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_send_cancel(NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_send(p, TEST_CHAT, NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_peer_try_send_bytes(p, TEST_CHAT, NULL, 1));
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, TEST_CHAT, NULL, 0));
  assert_cmt(CMT_EINVAL,
             cmt_peer_send_bytes(p, TEST_CHAT, NULL, 1, CMT_SEND_TIMEOUT));
  assert_cmt(CMT_EINVAL, cmt_peer_set_value(p, NULL, p, NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_set_value(NULL, "key", p, NULL));
  assert_null(cmt_peer_value(p, NULL));
  cmt_peer_get_remote(p, NULL);
  cmt_peer_get_why(p, NULL);
  cmt_peer_get_status_sized(p, NULL, sizeof(cmt_peer_status));
  cmt_peer_unref(NULL);
  assert_cmt(CMT_EINVAL, cmt_switch_dial(t->a.sw, NULL, 0, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_dial(NULL, t->b.addr, 0, NULL));
  assert_null(cmt_switch_mailbox(t->a.sw, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_broadcast(t->a.sw, TEST_CHAT, NULL, NULL));
  assert_cmt(CMT_EINVAL,
             cmt_switch_broadcast_bytes(t->a.sw, TEST_CHAT, NULL, 1, &counts));
  assert_cmt(CMT_EINVAL, cmt_switch_broadcast(NULL, TEST_CHAT, NULL, NULL));
  assert_cmt(CMT_EINVAL,
             cmt_switch_broadcast_bytes(NULL, TEST_CHAT, "x", 1, &counts));
  assert_int_equal(1, cmt_switch_peers(t->a.sw, NULL, 9));
  assert_null(cmt_switch_peer(t->a.sw, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_get_laddr(t->a.sw, NULL));
  cmt_switch_get_id(t->a.sw, NULL);
  cmt_switch_get_status_sized(t->a.sw, NULL, sizeof(cmt_switch_status));
  assert_cmt(CMT_EINVAL, cmt_switch_start(NULL, &why));
  assert_string_equal("the switch is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_switch_run_on(NULL, NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt_mailbox_next(NULL, &event, 0));
}

static void a_request_that_nobody_set_is_refused(void **state) {
  test_trio *t = *state;
  cmt_send_req req = {.timeout_ns = CMT_NEVER};
  struct {
    cmt_send_req req;
    uint64_t more;
  } later = {CMT_SEND_REQ(CMT_NEVER, NULL, NULL), 1};
  cmt_buf *msg = cmt_buf_new(NULL, 1);
  cmt_peer *p;

  assert_non_null(msg);
  *cmt_buf_data(msg) = 'x';
  test_pair(&t->w, &t->a, &t->b);
  p = test_node_peer(&t->a);
  assert_cmt(CMT_EINVAL, cmt_peer_send_async(p, TEST_CHAT, msg, &req));
  assert_cmt(CMT_EINVAL, cmt_peer_send_cancel(p, &req));
  req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, NULL, NULL);
  req.size--;
  assert_cmt(CMT_EINVAL, cmt_peer_send_async(p, TEST_CHAT, msg, &req));
  req.size = SIZE_MAX - 7;
  assert_cmt(CMT_EINVAL, cmt_peer_send_async(p, TEST_CHAT, msg, &req));
  later.req.size = sizeof later;
  assert_cmt(CMT_EINVAL, cmt_peer_send_async(p, TEST_CHAT, msg, &later.req));
  later.more = 0; /* Without a field that this version does not have. */
  assert_cmt(CMT_OK, cmt_peer_send_async(p, TEST_CHAT, msg, &later.req));
  assert_cmt(CMT_EALREADY, cmt_peer_send_cancel(p, &later.req));
}

/* ---- statuses of other versions ---- */

static void a_status_has_the_size_of_the_caller(void **state) {
  test_trio *t = *state;
  uint8_t bytes[sizeof(cmt_switch_status) + sizeof(cmt_peer_status) + LATER];
  size_t size;

  test_pair(&t->w, &t->a, &t->b);
  for (size = 0; size < sizeof bytes; size++) {
    memset(bytes, 0xee, sizeof bytes);
    cmt_switch_get_status_sized(t->a.sw, (void *)bytes, size);
    cmt_peer_get_status_sized(test_node_peer(&t->a), (void *)bytes, size);
    for (size_t at = size; at < sizeof bytes; at++) {
      assert_int_equal(0xee, bytes[at]);
    }
  }
}

/* ---- flags, and calls at the wrong time ---- */

static void flags_that_nobody_knows_are_refused(void **state) {
  test_trio *t = *state;
  cmt_net_addr addr;
  cmt_why why;

  test_pair(&t->w, &t->a, &t->b);
  for (unsigned bit = 0; bit < 32; bit++) {
    unsigned flag = 1U << bit;

    if (flag > CMT_DIAL_UNCONDITIONAL) {
      assert_cmt(CMT_EINVAL, cmt_switch_dial(t->b.sw, t->a.addr, flag, NULL));
      assert_cmt(CMT_EINVAL, cmt_switch_dial(t->b.sw, t->a.addr,
                                             flag | CMT_DIAL_PERSISTENT, NULL));
    }
    if (flag > CMT_ADDR_LISTEN) {
      assert_cmt(CMT_EINVAL, cmt_net_addr_parse(t->a.addr, flag, &addr, &why));
      assert_non_null(strstr(why.text, "address: flags are 0x"));
    }
  }
}

static void a_switch_that_was_stopped_does_not_start(void **state) {
  cmt_switch *sw;
  any_options o;
  cmt_why why;

  (void)state;
  filled(maker_of("switch"), &o);
  assert_cmt(CMT_OK, cmt_switch_new(&o.sw, &sw, NULL));
  cmt_switch_stop(sw, 0);
  assert_cmt(CMT_ECLOSED, cmt_switch_start(sw, &why));
  assert_cmt(CMT_ECLOSED, why.err);
  assert_string_equal("the switch was stopped before its start", why.text);
  assert_cmt(CMT_ECLOSED, cmt_switch_run_on(sw, (struct uv_loop_s *)&o, &why));
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  assert_int_equal(0, env.live);
}

static void a_switch_starts_once(void **state) {
  cmt_switch *sw;
  any_options o;
  cmt_why why;

  (void)state;
  filled(maker_of("switch"), &o);
  o.sw.env = NULL;
  assert_cmt(CMT_OK, cmt_switch_new(&o.sw, &sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(sw, &why));
  assert_cmt(CMT_EINVAL, cmt_switch_start(sw, &why));
  cmt_switch_stop(sw, 0);
  assert_cmt(CMT_EINVAL, cmt_switch_start(sw, &why));
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

static void with_a_mailbox(any_options *o, cmt_reactor *r) {
  filled(maker_of("switch"), o);
  *r = (cmt_reactor){.name = "box",
                     .channels = &channel,
                     .channel_count = 1,
                     .delivery = CMT_DELIVER_MAILBOX};
  o->sw.reactors = r;
  o->sw.reactor_count = 1;
}

static cmt_err never(void *self, cmt_switch *sw) {
  (void)self;
  (void)sw;
  return CMT_EREACTOR;
}

/* Nothing comes from a switch that never starts, and a thread that receives its
   events must not wait for that. */
static void readers_of_events_learn_that_there_is_no_start(void **state) {
  cmt_mailbox *mailbox;
  cmt_mailbox_event event;
  cmt_reactor r;
  cmt_switch *sw;
  any_options o;

  (void)state;
  for (int fails = 0; fails < 2; fails++) {
    with_a_mailbox(&o, &r);
    r.start = never;
    assert_cmt(CMT_OK, cmt_switch_new(&o.sw, &sw, NULL));
    mailbox = cmt_switch_mailbox(sw, "box");
    assert_cmt(CMT_ETIMEDOUT, cmt_mailbox_next(mailbox, &event, 0));
    if (fails != 0) {
      assert_cmt(CMT_EREACTOR, cmt_switch_start(sw, NULL));
    } else {
      cmt_switch_stop(sw, CMT_NEVER);
    }
    assert_cmt(CMT_ECLOSED, cmt_mailbox_next(mailbox, &event, CMT_NEVER));
    assert_cmt(CMT_OK, cmt_switch_delete(sw));
    assert_int_equal(0, env.live);
  }
}

/* ---- a key that goes early ---- */

static void a_key_lives_as_long_as_whoever_uses_it(void **state) {
  test_trio *t = *state;
  cmt_node_id id, theirs;
  cmt_node_key *own;

  assert_cmt(CMT_OK, cmt_node_key_generate(&t->w.env.env, &own));
  cmt_node_key_get_id(own, &id);
  t->a.options.key = own;
  assert_cmt(CMT_OK, test_node_new(&t->a, NULL));
  cmt_node_key_delete(own);
  test_node_start(&t->b);
  assert_cmt(CMT_OK, cmt_switch_start(t->a.sw, NULL));
  test_node_dial(&t->a, t->b.addr, 0);
  theirs = *cmt_peer_id(test_node_peer(&t->b));
  assert_string_equal(id.text, theirs.text);
}

static void a_key_may_go_in_the_middle_of_a_handshake(void **state) {
  cmt_secret_conn *s;
  cmt_node_key *own;
  any_options o;
  cmt_conn *c;

  (void)state;
  assert_cmt(CMT_OK, cmt_node_key_generate(&env.env, &own));
  filled(maker_of("conn"), &o);
  o.conn.key = own;
  assert_cmt(CMT_OK, cmt_conn_new(&o.conn, 0, &c, NULL));
  assert_cmt(CMT_OK, cmt_secret_conn_new(&env.env, own, &s));
  cmt_node_key_delete(own);
  cmt_secret_conn_delete(s);
  cmt_conn_delete(c);
  assert_int_equal(0, env.live);
}

static int setup(void **state) {
  (void)state;
  test_env_init(&env);
  return cmt_node_key_generate(NULL, &key) == CMT_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  cmt_node_key_delete(key);
  return 0;
}

#define WITH_NODES(test)                                                       \
  cmocka_unit_test_setup_teardown(test, test_trio_setup, test_trio_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_nobody_filled_in_is_refused),
    cmocka_unit_test(without_a_place_for_the_object_nothing_is_made),
    cmocka_unit_test(sizes_that_no_version_has_are_refused),
    cmocka_unit_test(a_struct_of_an_older_version_has_its_fields),
    cmocka_unit_test(a_struct_of_a_later_version_may_set_nothing_unknown),
    cmocka_unit_test(an_init_writes_only_what_there_is),
    cmocka_unit_test(an_environment_that_nobody_filled_in_is_refused),
    cmocka_unit_test(an_environment_of_an_older_version_has_its_hooks),
    cmocka_unit_test(an_environment_of_a_later_version_has_its_hooks),
    cmocka_unit_test(
      an_environment_without_secret_memory_uses_that_of_the_system),
    cmocka_unit_test(an_environment_with_half_of_secret_memory_is_refused),
    cmocka_unit_test(counts_enums_and_flags_are_refused_by_name),
    cmocka_unit_test(a_node_info_that_nobody_accepts_is_refused),
    cmocka_unit_test(the_texts_of_a_switch_are_those_of_its_node_info),
    cmocka_unit_test(a_node_info_that_is_too_long_is_refused),
    cmocka_unit_test(functions_without_an_object_refuse_null),
    cmocka_unit_test(parts_without_io_refuse_null),
    WITH_NODES(peers_and_switches_refuse_null),
    WITH_NODES(a_request_that_nobody_set_is_refused),
    WITH_NODES(a_status_has_the_size_of_the_caller),
    WITH_NODES(flags_that_nobody_knows_are_refused),
    cmocka_unit_test(a_switch_that_was_stopped_does_not_start),
    cmocka_unit_test(a_switch_starts_once),
    cmocka_unit_test(readers_of_events_learn_that_there_is_no_start),
    WITH_NODES(a_key_lives_as_long_as_whoever_uses_it),
    cmocka_unit_test(a_key_may_go_in_the_middle_of_a_handshake),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
