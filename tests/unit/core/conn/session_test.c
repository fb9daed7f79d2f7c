/* SPDX-License-Identifier: Apache-2.0 */
/* Replays recorded sessions with CometBFT: every byte of ours and every event
   must come out as they were, with the bytes of the other side cut at any
   point. */

#include "session.h"
#include "test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* Where in one step of the other side's bytes our output comes depends on how
   they are cut, so bytes of ours and events are two sequences of their own;
   both must be complete before the application acts again. */
typedef struct replay {
  cmt_conn *conn;
  json_t *steps;
  size_t next_event, next_out; /* The steps to come of these kinds. */
  size_t out_done;             /* Hex digits of |next_out| that came. */
  size_t in_done;              /* Bytes of the other side so far. */
  size_t split; /* Input is cut after this many of them; 0: after each. */
} replay;

/* Moves |*at| to the next step with the key |name|, or to the end. */
static const char *find_step(const replay *r, const char *name, size_t *at) {
  for (; *at < json_array_size(r->steps); (*at)++) {
    const json_t *text = json_object_get(json_array_get(r->steps, *at), name);

    if (text != NULL) {
      return json_string_value(text);
    }
  }
  return NULL;
}

/* Compares |hex| with what is recorded from |out_done| on. */
static void check_bytes(replay *r, const char *hex) {
  while (*hex != '\0') {
    const char *want = find_step(r, "out", &r->next_out);
    size_t n;

    if (want == NULL) {
      fail_msg("split %zu: more output than recorded", r->split);
    }
    want += r->out_done;
    n = cmt__min(strlen(want), strlen(hex));
    if (memcmp(want, hex, n) != 0) {
      fail_msg("split %zu: other output than recorded", r->split);
    }
    hex += n;
    r->out_done += n;
    if (want[n] == '\0') {
      r->next_out++;
      r->out_done = 0;
    }
  }
}

static void check_output(replay *r, uint64_t at) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  static char hex[2 * sizeof out + 1];
  size_t len;

  while ((len = cmt_conn_write(r->conn, out, sizeof out, at)) > 0) {
    sodium_bin2hex(hex, sizeof hex, out, len);
    check_bytes(r, hex);
    cmt_conn_consume(r->conn, len, at);
  }
}

static void check_events(replay *r) {
  char text[SESSION_TEXT];
  cmt_conn_event e;

  while (cmt_conn_next_event(r->conn, &e)) {
    const char *want = find_step(r, "event", &r->next_event);

    session_event_text(r->conn, &e, text);
    if (want == NULL || strcmp(want, text) != 0) {
      fail_msg("split %zu: got '%s', recorded '%s'", r->split, text,
               want ? want : "nothing");
    }
    r->next_event++;
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
    check_output(r, at);
  }
}

static uint64_t step_at(const json_t *step) {
  return (uint64_t)json_integer_value(json_object_get(step, "at"));
}

/* Does what the application did, or feeds what the network brought. */
static void act(replay *r, const json_t *step) {
  uint64_t at = step_at(step);
  const json_t *send = json_object_get(step, "send");

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
                                 session_message(size, fill), at));
  } else if (json_object_get(step, "ping") != NULL) {
    assert_cmt(CMT_OK, cmt_conn_ping(r->conn, at));
  } else {
    assert_non_null(json_object_get(step, "stop"));
    cmt_conn_stop(r->conn, CMT_ECANCELED, 0, at);
    check_events(r);
  }
}

/* Everything that is recorded before step |at| has come, and nothing else. */
static void check_complete(replay *r, size_t at) {
  (void)find_step(r, "out", &r->next_out);
  (void)find_step(r, "event", &r->next_event);
  if (r->next_out < at || r->next_event < at || r->out_done != 0) {
    fail_msg("split %zu: step %zu: output or an event is missing", r->split,
             at);
  }
}

/* Runs the whole session; the bytes of the other side in all. */
static size_t run(const session_keys *keys, json_t *steps, size_t split) {
  replay r = {.steps = steps, .split = split};
  cmt_why why;

  assert_cmt(CMT_OK, session_conn_new(keys, &r.conn, &why));
  check_output(&r, 0);
  for (size_t i = 0; i < json_array_size(steps); i++) {
    const json_t *step = json_array_get(steps, i);

    if (json_object_get(step, "out") != NULL) {
      check_output(&r, step_at(step));
    } else if (json_object_get(step, "event") == NULL) {
      check_complete(&r, i);
      act(&r, step);
    }
  }
  check_complete(&r, json_array_size(steps));
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
