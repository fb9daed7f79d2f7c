/* SPDX-License-Identifier: Apache-2.0 */
/* Replays recorded sessions with CometBFT: every byte of ours and every event
   must come out as they were, with the bytes of the other side cut at any
   point. */

#include "session.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct replay {
  cmt_conn *conn;
  json_t *steps;
  size_t at;      /* The next step. */
  size_t in_done; /* Bytes of the other side so far. */
  size_t split;   /* Input is cut after this many of them; 0: after each. */
} replay;

/* The next step, which must have the key |name|. */
static json_t *expect_step(replay *r, const char *name) {
  json_t *step = json_array_get(r->steps, r->at);

  if (step == NULL || json_object_get(step, name) == NULL) {
    char *text = step ? json_dumps(step, 0) : NULL;
    fail_msg("split %zu: got '%s', recorded %.200s", r->split, name,
             text ? text : "the end");
  }
  r->at++;
  return step;
}

static void check_output(replay *r, uint64_t at) {
  cmt_bytes out;

  while ((out = cmt_conn_output(r->conn, SIZE_MAX, at)).len > 0) {
    json_t *step = expect_step(r, "out");

    test_assert_hex(test_str(step, "out"), out.base, out.len);
    cmt_conn_consume(r->conn, out.len, at);
  }
}

static void check_events(replay *r) {
  char text[SESSION_TEXT];
  cmt_conn_event e;

  while (cmt_conn_next_event(r->conn, &e)) {
    session_event_text(&e, text);
    assert_string_equal(test_str(expect_step(r, "event"), "event"), text);
  }
}

static void feed(replay *r, uint8_t *data, size_t len, uint64_t at) {
  while (len > 0) {
    size_t n = len;

    if (r->split == 0) {
      n = 1;
    } else if (r->in_done < r->split && r->split - r->in_done < len) {
      n = r->split - r->in_done;
    }
    assert_cmt(CMT_OK, cmt_conn_recv(r->conn, data, n, at));
    check_events(r);
    data += n;
    len -= n;
    r->in_done += n;
    if (len > 0) {
      check_output(r, at);
    }
  }
}

/* Does what the application did, or feeds what the network brought. */
static void act(replay *r, const json_t *step) {
  uint64_t at = (uint64_t)json_integer_value(json_object_get(step, "at"));
  const json_t *send = json_object_get(step, "send");

  r->at++;
  if (json_object_get(step, "in") != NULL) {
    size_t len;
    uint8_t *data = test_unhex(test_str(step, "in"), &len);

    feed(r, data, len, at);
    free(data);
  } else if (send != NULL) {
    size_t size = (size_t)json_integer_value(json_object_get(step, "size"));
    uint8_t fill = (uint8_t)json_integer_value(json_object_get(step, "fill"));

    assert_cmt(CMT_OK,
               cmt_conn_try_send(r->conn, (uint8_t)json_integer_value(send),
                                 session_message(size, fill)));
  } else if (json_object_get(step, "ping") != NULL) {
    assert_cmt(CMT_OK, cmt_conn_ping(r->conn));
  } else {
    assert_non_null(json_object_get(step, "stop"));
    cmt_conn_stop(r->conn, CMT_ECANCELED, 0, at);
    check_events(r);
  }
}

/* Runs the whole session; the bytes of the other side in all. */
static size_t run(const session_keys *keys, json_t *steps, size_t split) {
  replay r = {.steps = steps, .split = split};
  cmt_why why;

  assert_cmt(CMT_OK, session_conn_new(keys, &r.conn, &why));
  while (r.at < json_array_size(steps)) {
    const json_t *step = json_array_get(steps, r.at);

    if (json_object_get(step, "out") != NULL) {
      check_output(&r,
                   (uint64_t)json_integer_value(json_object_get(step, "at")));
      if (step == json_array_get(steps, r.at)) {
        fail_msg("split %zu: step %zu: output is missing", split, r.at);
      }
    } else {
      act(&r, step);
    }
  }
  cmt_conn_delete(r.conn);
  return r.in_done;
}

static void test_session(void **state) {
  json_t *root = test_vectors(*state);
  json_t *steps = json_object_get(root, "steps");
  session_keys keys;
  size_t total;

  assert_true(session_keys_init(&keys, test_str(root, "node_key_seed"),
                                test_str(root, "ephemeral")));
  total = run(&keys, steps, SIZE_MAX);
  run(&keys, steps, 0);
  for (size_t split = 1; split < total; split++) {
    run(&keys, steps, split);
  }
  printf("# %s: replayed whole, byte by byte and cut at each of %zu points\n",
         (const char *)*state, total - 1);
  session_keys_fini(&keys);
  json_decref(root);
}

int main(void) {
  static char v0_38_25[] = "session_v0.38.25.json";
  const struct CMUnitTest tests[] = {
    {"a recorded session with CometBFT v0.38.25", test_session, NULL, NULL,
     v0_38_25},
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
