/* SPDX-License-Identifier: Apache-2.0 */

/* Metrics: what is counted, and the page. */

#include "node.h"

#include "ops/families.h"
#include "ops/page.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct fixture {
  test_trio *t;
  cmt_metrics *m;
  cmt_metrics_options o;
  char *page;
} fixture;

static void make(fixture *f) {
  cmt_why why;

  assert_cmt(CMT_OK, cmt_metrics_new(&f->o, &f->m, &why));
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  void *trio;

  assert_non_null(f);
  if (test_trio_setup(&trio) != 0) {
    return -1;
  }
  f->t = trio;
  cmt_metrics_options_init(&f->o);
  f->o.env = &f->t->w.env.env;
  f->o.chain_id = "chain-1";
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  void *trio = f->t;

  free(f->page);
  cmt_metrics_delete(f->m);
  free(f);
  return test_trio_teardown(&trio);
}

/* The page of |list| without the lines of the process. */
static const char *page_of(fixture *f, cmt_metrics *const *list, size_t count) {
  cmt_buf *b;
  char *end;

  free(f->page);
  assert_cmt(CMT_OK, cmt_metrics_page(list, count, &b));
  f->page = strndup((const char *)cmt_buf_bytes(b).base, cmt_buf_bytes(b).len);
  cmt_buf_unref(b);
  assert_non_null(f->page);
  assert_int_equal('\n', f->page[strlen(f->page) - 1]);
  end = strstr(f->page, "# HELP process_");
  assert_non_null(end);
  *end = '\0';
  return f->page;
}

static const char *page(fixture *f) { return page_of(f, &f->m, 1); }

/* The page has the |line|. */
static void assert_line(fixture *f, const char *line) {
  char text[512];

  snprintf(text, sizeof text, "\n%s\n", line);
  if (strstr(page(f), text) == NULL) {
    fail_msg("no line %s in\n%s", line, f->page);
  }
}

static size_t lines_with(const char *text, const char *part) {
  size_t count = 0;

  for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
    count++;
  }
  return count;
}

/* ---- what is reported ---- */

static void nothing_is_there_before_its_first_value(void **state) {
  fixture *f = *state;

  make(f);
  assert_string_equal("", page(f));
}

static void each_type_has_its_lines(void **state) {
  fixture *f = *state;

  make(f);
  cmt_metrics_set(f->m, CMT_METRIC_BOOK_ENTRIES, 1, 7);
  cmt_metrics_set(f->m, CMT_METRIC_BOOK_ENTRIES, 1, 5);
  cmt_metrics_set(f->m, CMT_METRIC_BOOK_PROVEN, 0, 0);
  cmt_metrics_add(f->m, CMT_METRIC_PEX_EVENTS, CMT_METRIC_PEX_HELD, 2);
  cmt_metrics_add(f->m, CMT_METRIC_PEX_EVENTS, CMT_METRIC_PEX_HELD, 1);
  cmt_metrics_set(f->m, CMT_METRIC_SEED_VERIFIED, 0, 975);
  assert_string_equal(
    "# HELP cometp2p_addrbook_entries Addresses of the book by their bucket.\n"
    "# TYPE cometp2p_addrbook_entries gauge\n"
    "cometp2p_addrbook_entries{bucket=\"old\",chain_id=\"chain-1\"} 5\n"
    "# HELP cometp2p_addrbook_proven Addresses that a handshake of ours "
    "reached.\n"
    "# TYPE cometp2p_addrbook_proven gauge\n"
    "cometp2p_addrbook_proven{chain_id=\"chain-1\"} 0\n"
    "# HELP cometp2p_pex_events_total Requests and answers of peer exchange.\n"
    "# TYPE cometp2p_pex_events_total counter\n"
    "cometp2p_pex_events_total{chain_id=\"chain-1\",event=\"held\"} 3\n"
    "# HELP cometp2p_seed_verified_ratio Share of the book that was reached in "
    "the last 30 minutes.\n"
    "# TYPE cometp2p_seed_verified_ratio gauge\n"
    "cometp2p_seed_verified_ratio{chain_id=\"chain-1\"} 0.975\n",
    page(f));
}

static void every_fate_has_its_name(void **state) {
  static const char *const names[] = {
    "added",    "known",    "invalid", "unroutable", "private",
    "banned",   "full",     "ignored", "self",       "wrong_network",
    "wrong_id", "promoted", "demoted", "replaced"};
  fixture *f = *state;

  make(f);
  for (unsigned i = 0; i < CMT__COUNT(names); i++) {
    char line[120];

    cmt_metrics_add(f->m, CMT_METRIC_PEX_ADDRESSES, i, i + 1);
    snprintf(line, sizeof line,
             "cometp2p_pex_addresses_total{chain_id=\"chain-1\",fate=\"%s\"} "
             "%u",
             names[i], i + 1);
    assert_line(f, line);
  }
  cmt_metrics_add(f->m, CMT_METRIC_PEX_ADDRESSES, CMT__COUNT(names), 1);
  assert_int_equal(CMT__COUNT(names),
                   lines_with(page(f), "cometp2p_pex_addresses_total{"));
}

static void histogram_sums_up(void **state) {
  fixture *f = *state;

  make(f);
  cmt_metrics_observe(f->m, CMT_METRIC_SEED_PROOF_AGE, 0, CMT_SECONDS(60));
  cmt_metrics_observe(f->m, CMT_METRIC_SEED_PROOF_AGE, 0, CMT_SECONDS(60) + 1);
  cmt_metrics_observe(f->m, CMT_METRIC_SEED_PROOF_AGE, 0, CMT_SECONDS(7200));
#define AGE "cometp2p_seed_proof_age_seconds"
  assert_line(f, AGE "_bucket{chain_id=\"chain-1\",le=\"60\"} 1");
  assert_line(f, AGE "_bucket{chain_id=\"chain-1\",le=\"120\"} 2");
  assert_line(f, AGE "_bucket{chain_id=\"chain-1\",le=\"1800\"} 2");
  assert_line(f, AGE "_bucket{chain_id=\"chain-1\",le=\"+Inf\"} 3");
  assert_line(f, AGE "_sum{chain_id=\"chain-1\"} 7320.000000001");
  assert_line(f, AGE "_count{chain_id=\"chain-1\"} 3");
}

static void what_no_family_has_is_ignored(void **state) {
  fixture *f = *state;

  make(f);
  cmt_metrics_set(f->m, CMT_METRIC_BOOK_ENTRIES, 2, 7);
  cmt_metrics_add(f->m, CMT_METRIC_BOOK_ENTRIES, 0, 7);
  cmt_metrics_set(f->m, CMT_METRIC_PEX_EVENTS, 0, 7);
  cmt_metrics_observe(f->m, CMT_METRIC_PEX_EVENTS, 0, 7);
  cmt_metrics_add(f->m, CMT_METRICS, 0, 7);
  cmt_metrics_add(NULL, CMT_METRIC_PEX_EVENTS, 0, 7);
  assert_string_equal("", page(f));
}

static void chains_share_a_family(void **state) {
  fixture *f = *state;
  cmt_metrics *list[3];
  const char *text;

  make(f);
  list[0] = f->m;
  f->o.chain_id = "chain-\"2\"\\\n";
  assert_cmt(CMT_OK, cmt_metrics_new(&f->o, &list[1], NULL));
  f->o.name_space = ""; /* There are names without one in Go. */
  assert_cmt(CMT_OK, cmt_metrics_new(&f->o, &list[2], NULL));
  for (size_t i = 0; i < 3; i++) {
    cmt_metrics_message(list[i], 0x00,
                        (cmt_bytes){(const uint8_t *)"\x0a\x00", 2}, false);
    cmt_metrics_add(list[i], CMT_METRIC_SEED_SERVED, 0, i);
  }
  text = page_of(f, list, 3);
  assert_int_equal(1,
                   lines_with(text, "# TYPE cometp2p_seed_addresses_served"));
  assert_int_equal(
    1, lines_with(text, "# TYPE cometbft_p2p_message_receive_bytes_total"));
  assert_int_equal(1,
                   lines_with(text, "# TYPE p2p_message_receive_bytes_total"));
  assert_non_null(strstr(text, "served_total{chain_id=\"chain-1\"} 0\n"));
  assert_non_null(
    strstr(text, "served_total{chain_id=\"chain-\\\"2\\\"\\\\\\n\"} 1\n"));
  cmt_metrics_delete(list[1]);
  cmt_metrics_delete(list[2]);
}

static void messages_are_counted_by_their_type(void **state) {
  static const struct {
    uint8_t channel, first;
    const char *type;
  } rows[] = {
    {0x00, 0x0a, "p2p_PexRequest"},
    {0x00, 0x12, "p2p_PexAddrs"},
    {0x20, 0x0a, "consensus_NewRoundStep"},
    {0x22, 0x32, "consensus_Vote"},
    {0x23, 0x4a, "consensus_VoteSetBits"},
    {0x30, 0x0a, "mempool_Txs"},
    {0x40, 0x2a, "blocksync_StatusResponse"},
    {0x61, 0x22, "statesync_ChunkResponse"},
    {0x61, 0x2a, "other"},
    {0x7f, 0x0a, "other"},
  };
  fixture *f = *state;
  char line[256];

  make(f);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_bytes msg = {.base = &rows[i].first, .len = 1};

    for (size_t n = 0; n <= i; n++) {
      cmt_metrics_message(f->m, rows[i].channel, msg, true);
    }
    if (strcmp(rows[i].type, "other") != 0) {
      snprintf(line, sizeof line,
               "cometbft_p2p_message_send_bytes_total{chain_id=\"chain-1\","
               "message_type=\"%s\"} %zu",
               rows[i].type, i + 1);
      assert_line(f, line);
    }
  }
  assert_line(f, "cometbft_p2p_message_send_bytes_total{chain_id=\"chain-1\","
                 "message_type=\"other\"} 19");
  cmt_metrics_message(f->m, 0x00, (cmt_bytes){0}, true);
}

/* Each row of |cmt__message_type| is a value of the label. */
static void every_type_has_its_name(void **state) {
  const cmt__label *l = &cmt__families[CMT__METRIC_MESSAGES_SENT].labels[0];
  unsigned seen = 0;

  (void)state;
  for (unsigned channel = 0; channel < 256; channel++) {
    for (unsigned field = 1; field < 16; field++) {
      const uint8_t first = (uint8_t)(field << 3 | 2);
      unsigned at = cmt__message_type((uint8_t)channel,
                                      (cmt_bytes){.base = &first, .len = 1});

      assert_in_range(at, 0, l->count - 1);
      assert_non_null(l->values[at]);
      seen += at == l->count - 1 ? 0 : 1;
    }
  }
  assert_int_equal(4 * 10 + 2 + 1 + 1 + 5 + 2 * 4, seen);
}

static void every_outcome_has_its_name(void **state) {
  static const struct {
    cmt_err err;
    cmt_stage stage;
    const char *name;
  } rows[] = {
    {CMT_OK, CMT_STAGE_UP, "peer"},
    {CMT_OK, CMT_STAGE_NODE_INFO, "felt"},
    {CMT_ERESOLVE, CMT_STAGE_TRANSPORT, "dns"},
    {CMT_EREFUSED, CMT_STAGE_TRANSPORT, "refused"},
    {CMT_EUNREACH, CMT_STAGE_TRANSPORT, "unreachable"},
    {CMT_EDIAL, CMT_STAGE_TRANSPORT, "connect_timeout"},
    {CMT_EHANDSHAKE, CMT_STAGE_SECRET_CONNECTION, "silent"},
    {CMT_EHANDSHAKE, CMT_STAGE_NODE_INFO, "info_timeout"},
    {CMT_EEOF, CMT_STAGE_SECRET_CONNECTION, "closed_first"},
    {CMT_ERESET, CMT_STAGE_NODE_INFO, "closed_after"},
    {CMT_EPROTO, CMT_STAGE_SECRET_CONNECTION, "not_comet"},
    {CMT_EPROTO, CMT_STAGE_NODE_INFO, "bad_info"},
    {CMT_ENODEINFO, CMT_STAGE_NODE_INFO, "bad_info"},
    {CMT_EAUTH, CMT_STAGE_SECRET_CONNECTION, "auth"},
    {CMT_EWRONGID, CMT_STAGE_SECRET_CONNECTION, "wrong_id"},
    {CMT_ENETWORK, CMT_STAGE_NODE_INFO, "wrong_network"},
    {CMT_EINCOMPATIBLE, CMT_STAGE_NODE_INFO, "incompatible"},
    {CMT_ESELF, CMT_STAGE_NODE_INFO, "self"},
    {CMT_EDUPLICATE, CMT_STAGE_FILTER, "duplicate"},
    {CMT_ELIMIT, CMT_STAGE_FILTER, "limit"},
    {CMT_EBANNED, CMT_STAGE_FILTER, "banned"},
    {CMT_EFILTER, CMT_STAGE_FILTER, "filter"},
    {CMT_ECANCELED, CMT_STAGE_TRANSPORT, "stopped"},
    {CMT_ENOMEM, CMT_STAGE_TRANSPORT, "other"},
  };
  const cmt__label *l = &cmt__families[CMT__METRIC_CONNECTIONS].labels[1];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    const cmt_why why = {.err = rows[i].err, .stage = rows[i].stage};

    assert_string_equal(rows[i].name, l->values[cmt__outcome_of(&why)]);
  }
}

static void parts_of_dials_are_timed(void **state) {
  const cmt_dial_outcome o = {.size = sizeof o,
                              .connect_ns = CMT_MILLISECONDS(5),
                              .secret_ns = CMT_MILLISECONDS(1500)};
  fixture *f = *state;

  make(f);
  cmt_metrics_dialed(f->m, &o);
#define SHAKE "cometp2p_handshake_seconds"
  assert_line(f, SHAKE
              "_bucket{chain_id=\"chain-1\",le=\"0.005\",stage=\"connect\"} 1");
  assert_line(f, SHAKE
              "_bucket{chain_id=\"chain-1\",le=\"1\",stage=\"secret\"} 0");
  assert_line(f, SHAKE
              "_bucket{chain_id=\"chain-1\",le=\"2.5\",stage=\"secret\"} 1");
  assert_line(f, SHAKE "_sum{chain_id=\"chain-1\",stage=\"secret\"} 1.5");
  assert_null(strstr(f->page, "node_info"));
}

/* A dial that made a peer is counted with that. */
static void feelers_are_counted(void **state) {
  const cmt_dial_outcome peer = {.size = sizeof peer,
                                 .why = {CMT_OK, CMT_STAGE_UP, ""}};
  const cmt_dial_outcome felt = {.size = sizeof felt,
                                 .why = {CMT_OK, CMT_STAGE_NODE_INFO, ""}};
  fixture *f = *state;

  make(f);
  cmt_metrics_dialed(f->m, &peer);
  assert_null(strstr(page(f), "cometp2p_connections_total"));
  cmt_metrics_dialed(f->m, &felt);
  assert_line(f, "cometp2p_connections_total{chain_id=\"chain-1\","
                 "direction=\"outbound\",outcome=\"felt\"} 1");
  assert_null(strstr(f->page, "outcome=\"peer\""));
}

/* ---- what a switch is asked for ---- */

static void watch(fixture *f, test_node *n) {
  f->o.sw = n->sw;
  f->o.chain_id = "test-net";
  make(f);
}

static void peers_and_their_ends_are_counted(void **state) {
  fixture *f = *state;
  cmt_node_id id;

  test_node_start(&f->t->a);
  test_node_start(&f->t->b);
  watch(f, &f->t->b);
  assert_null(strstr(page(f), "cometbft_p2p_peers"));
  test_node_dial(&f->t->a, f->t->b.addr, CMT_DIAL_PERSISTENT);
  assert_line(f, "cometbft_p2p_peers{chain_id=\"test-net\"} 1");
  assert_line(f, "cometp2p_peers{chain_id=\"test-net\",direction=\"inbound\","
                 "kind=\"ordinary\"} 1");
  assert_line(f, "cometp2p_peers{chain_id=\"test-net\",direction=\"outbound\","
                 "kind=\"persistent\"} 0");
  id = *cmt_peer_id(test_node_peer(&f->t->b));
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->t->b.sw, &id, 1, NULL));
  assert_line(f, "cometbft_p2p_peers{chain_id=\"test-net\"} 1");
  assert_line(f, "cometp2p_peers{chain_id=\"test-net\",direction=\"inbound\","
                 "kind=\"ordinary\"} 0");
  assert_line(f, "cometp2p_peers{chain_id=\"test-net\",direction=\"inbound\","
                 "kind=\"unconditional\"} 1");
  assert_line(f, "cometp2p_handshakes{chain_id=\"test-net\"} 0");
  cmt_metrics_added(f->m, test_node_peer(&f->t->b));
  assert_line(f, "cometp2p_connections_total{chain_id=\"test-net\","
                 "direction=\"inbound\",outcome=\"peer\"} 1");
  cmt_peer_stop(test_node_peer(&f->t->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->t->w.loop);
  assert_line(f, "cometbft_p2p_peers{chain_id=\"test-net\"} 0");
  assert_line(f, "cometp2p_disconnects_total{chain_id=\"test-net\","
                 "reason=\"eof\",side=\"them\"} 1");
}

static void rejections_are_counted_by_outcome(void **state) {
  fixture *f = *state;
  const cmt_rejection r = {
    .size = sizeof r, .outbound = true, .why = {.err = CMT_EREFUSED}};

  make(f);
  cmt_metrics_rejected(f->m, &r);
  cmt_metrics_rejected(f->m, &r);
  assert_line(f, "cometp2p_connections_total{chain_id=\"chain-1\","
                 "direction=\"outbound\",outcome=\"refused\"} 2");
}

static void round_trips_have_their_median(void **state) {
  fixture *f = *state;

  test_node_start(&f->t->a);
  f->t->b.options.ping_interval_ns = CMT_SECONDS(10);
  f->t->b.options.pong_timeout_ns = CMT_SECONDS(5);
  test_node_start(&f->t->b);
  watch(f, &f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  assert_null(strstr(page(f), "round_trip"));
  test_loop_advance(f->t->w.loop, CMT_SECONDS(11));
  assert_int_equal(3, lines_with(page(f), "\ncometp2p_round_trip_seconds{"));
}

static void send_waits_are_of_who_was_sent_something(void **state) {
  fixture *f = *state;

  test_node_start(&f->t->a);
  test_node_start(&f->t->b);
  watch(f, &f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  assert_null(strstr(page(f), "send_wait_seconds"));
  assert_line(f, "cometp2p_dropped_messages_total{chain_id=\"test-net\"} 0");
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->t->b),
                                             TEST_CHAT, "x", 1));
  test_loop_run_until_idle(f->t->w.loop);
  assert_int_equal(3, lines_with(page(f), "\ncometp2p_send_wait_seconds{"));
}

/* The series of the page, as in the vectors: "labels" of each name. */
static void assert_as_in_vectors(const char *text, const json_t *family) {
  const json_t *labels = json_object_get(family, "labels");
  char name[128], expected[256] = "{", found[256] = "{";
  const char *at;

  snprintf(name, sizeof name, "\n# TYPE cometbft_p2p_%s %s\n",
           test_str(family, "name"), test_str(family, "type"));
  assert_non_null(strstr(text, name));
  snprintf(name, sizeof name, "\ncometbft_p2p_%s{", test_str(family, "name"));
  at = strstr(text, name);
  assert_non_null(at);
  at += strlen(name);
  for (size_t i = 0; i < json_array_size(labels); i++) {
    snprintf(expected + strlen(expected), sizeof expected - strlen(expected),
             "%s ", json_string_value(json_array_get(labels, i)));
  }
  while (*at != '}') {
    size_t len = strcspn(at, "=");

    snprintf(found + strlen(found), sizeof found - strlen(found), "%.*s ",
             (int)len, at);
    at = strchr(at + len + 2, '"') + 1;
    at += *at == ',';
  }
  assert_string_equal(expected, found);
}

static void names_types_and_labels_are_those_of_cometbft(void **state) {
  json_t *root = test_vectors("metrics.json");
  json_t *families = json_object_get(root, "families");
  fixture *f = *state;
  size_t checked = 0;
  const char *text;

  test_node_start(&f->t->a);
  test_node_start(&f->t->b);
  f->o.per_peer = true;
  watch(f, &f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  assert_cmt(CMT_OK, test_node_send(&f->t->b, TEST_CHAT, "x"));
  assert_cmt(CMT_OK, test_node_send(&f->t->a, TEST_CHAT, "x"));
  test_loop_run_until_idle(f->t->w.loop);
  cmt_metrics_message(f->m, 0, (cmt_bytes){(const uint8_t *)"\x0a", 1}, true);
  cmt_metrics_message(f->m, 0, (cmt_bytes){(const uint8_t *)"\x0a", 1}, false);
  text = page(f);
  for (size_t i = 0; i < json_array_size(families); i++) {
    const json_t *family = json_array_get(families, i);

    if (json_array_size(json_object_get(family, "seen_on")) > 0) {
      assert_as_in_vectors(text, family);
      checked++;
    }
  }
  assert_int_equal(7, checked);
  assert_non_null(
    strstr(text, "{chID=\"0x51\",chain_id=\"test-net\",peer_id="));
  json_decref(root);
}

static size_t series_count(const char *text) {
  return lines_with(text, "\n") - 2 * lines_with(text, "# TYPE ");
}

static void series_do_not_grow_with_peers(void **state) {
  fixture *f = *state;
  size_t before;

  test_node_start(&f->t->a);
  test_node_start(&f->t->b);
  test_node_start(&f->t->c);
  watch(f, &f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  before = series_count(page(f));
  test_node_dial(&f->t->c, f->t->b.addr, 0);
  assert_line(f, "cometbft_p2p_peers{chain_id=\"test-net\"} 2");
  assert_int_equal(before, series_count(f->page));
}

/* Every series of every family at once. */
static void series_are_at_most_400(void **state) {
  size_t all = 8; /* The process. */

  (void)state;
  for (unsigned i = 0; i < CMT__METRICS; i++) {
    const cmt__family *f = &cmt__families[i];

    all += (size_t)cmt__family_series(f) *
           (f->type == CMT__HISTOGRAM ? cmt__family_values(f) + 1 : 1);
  }
  printf("# %zu series of families that are reported\n", all);
  assert_in_range(all, 100, 300);
}

static void a_chain_has_its_own_peers(void **state) {
  fixture *f = *state;

  test_node_start(&f->t->a);
  test_node_start(&f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  f->o.sw = f->t->b.sw;
  f->o.any_network = true;
  f->o.chain_id = "test-net2";
  make(f);
  assert_null(strstr(page(f), "cometbft_p2p_peers"));
  assert_null(strstr(f->page, "cometp2p_handshakes"));
  cmt_metrics_delete(f->m);
  f->o.chain_id = "test-net";
  make(f);
  assert_line(f, "cometbft_p2p_peers{chain_id=\"test-net\"} 1");
}

/* ---- the process, and mistakes ---- */

static void process_has_what_dashboards_ask_for(void **state) {
  static const char *const names[] = {
    "process_cpu_seconds_total ",    "process_resident_memory_bytes ",
    "process_start_time_seconds ",   "process_open_fds ",
    "process_virtual_memory_bytes ", "process_max_fds "};
  fixture *f = *state;
  cmt_buf *b;
  char *text;

  make(f);
  assert_cmt(CMT_OK, cmt_metrics_page(&f->m, 1, &b));
  text = strndup((const char *)cmt_buf_bytes(b).base, cmt_buf_bytes(b).len);
  cmt_buf_unref(b);
  for (size_t i = 0; i < CMT__COUNT(names); i++) {
    char line[64];
    const char *at;

    snprintf(line, sizeof line, "\n%s", names[i]);
    at = strstr(text, line);
    assert_non_null(at);
    if (strstr(line, "cpu") == NULL) {
      assert_true(strtod(at + strlen(line), NULL) > 1);
    }
  }
  free(text);
}

static void numbers_have_no_zeros_at_their_end(void **state) {
  static const struct {
    uint64_t value, unit;
    const char *text;
  } rows[] = {
    {0, 1000, "0"},
    {5, 1000, "0.005"},
    {2500, 1000, "2.5"},
    {1, 1000000000, "0.000000001"},
    {UINT64_MAX, 1, "18446744073709551615"},
    {UINT64_MAX, 1000000000, "18446744073.709551615"},
    {250, 100, "2.5"},
  };
  char text[48];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__page_number(text, sizeof text, rows[i].value, rows[i].unit);
    assert_string_equal(rows[i].text, text);
  }
}

static void refused(fixture *f, const char *text) {
  cmt_metrics *m;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_metrics_new(&f->o, &m, &why));
  assert_string_equal(text, why.text);
  assert_null(m);
}

static void wrong_options_are_named(void **state) {
  fixture *f = *state;
  cmt_buf *b;

  f->o.chain_id = "";
  refused(f, "chain_id is not set");
  f->o.chain_id = NULL;
  refused(f, "chain_id is not set");
  f->o.chain_id = "c";
  f->o.name_space = "a-b";
  refused(f, "name_space is 'a-b', allowed are letters, digits and '_', of "
             "which the first is no digit");
  f->o.name_space = NULL;
  make(f);
  assert_cmt(CMT_EINVAL, cmt_metrics_page(NULL, 1, &b));
  assert_cmt(CMT_EINVAL, cmt_metrics_page(&f->m, 0, &b));
  assert_cmt(CMT_EINVAL, cmt_metrics_page(&f->m, 1, NULL));
}

static void any_allocation_may_fail(void **state) {
  fixture *f = *state;
  test_env *env = &f->t->w.env;
  cmt_err err = CMT_ENOMEM;
  size_t fails;
  cmt_buf *b;

  test_node_start(&f->t->a);
  test_node_start(&f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  f->o.per_peer = true;
  f->o.sw = f->t->b.sw;
  for (fails = 0; err != CMT_OK; fails++) {
    env->fail_at = env->allocs + fails;
    err = cmt_metrics_new(&f->o, &f->m, NULL);
  }
  assert_int_equal(4, fails);
  /* Without memory for peers a page is there without them. */
  for (fails = 0; env->allocs > env->fail_at || fails == 0; fails++) {
    env->fail_at = env->allocs + fails;
    if (cmt_metrics_page(&f->m, 1, &b) == CMT_OK) {
      cmt_buf_unref(b);
    }
  }
  env->fail_at = SIZE_MAX;
  assert_in_range(fails, 4, 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(nothing_is_there_before_its_first_value),
    TEST(each_type_has_its_lines),
    TEST(every_fate_has_its_name),
    TEST(histogram_sums_up),
    TEST(what_no_family_has_is_ignored),
    TEST(chains_share_a_family),
    TEST(messages_are_counted_by_their_type),
    TEST(every_type_has_its_name),
    TEST(every_outcome_has_its_name),
    TEST(parts_of_dials_are_timed),
    TEST(feelers_are_counted),
    TEST(peers_and_their_ends_are_counted),
    TEST(rejections_are_counted_by_outcome),
    TEST(round_trips_have_their_median),
    TEST(send_waits_are_of_who_was_sent_something),
    TEST(names_types_and_labels_are_those_of_cometbft),
    TEST(series_do_not_grow_with_peers),
    TEST(series_are_at_most_400),
    TEST(a_chain_has_its_own_peers),
    TEST(process_has_what_dashboards_ask_for),
    TEST(numbers_have_no_zeros_at_their_end),
    TEST(wrong_options_are_named),
    TEST(any_allocation_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
