/* SPDX-License-Identifier: Apache-2.0 */

/* Mistakes of the application that end the process: each is made in a child,
   once with a panic hook of the host and once without. */

#include "base/guard.h"
#include "node.h"

#include <cometp2p/cometp2p.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOOKED = 42, SURVIVED = 43 };

/* What a child leaves behind. */
typedef struct last_words {
  char text[2000]; /* What its standard error got. */
  int signal, status;
} last_words;

typedef struct child {
  test_world w;
  test_node a, b;
  bool hooked;
  cmt_log_level logged;
} child;

static void say(const char *text) {
  cmt_ignore(write(STDERR_FILENO, text, strlen(text)) > 0 ? CMT_OK : CMT_EIO);
}

static void panic_hook(void *arg, const char *file, int line,
                       const char *what) {
  (void)arg;
  say(line > 0 && file[0] != '\0' ? "hook: " : "hook without a place: ");
  say(what);
  _exit(HOOKED);
}

/* Buffers stay readable after the last reference, so that a mistake is found
   for sure. */
static void keep(void *arg, void *p) {
  (void)arg;
  (void)p;
}

static void child_init(child *c) {
  test_world_init(&c->w);
  c->w.env.env.free = keep;
  if (c->hooked) {
    c->w.env.env.panic = panic_hook;
  }
}

static cmt_peer *child_peer(child *c, cmt_delivery delivery) {
  child_init(c);
  test_node_init(&c->a, &c->w);
  test_node_init(&c->b, &c->w);
  c->b.parts[0].delivery = delivery;
  test_node_start(&c->b);
  test_node_start(&c->a);
  test_node_dial(&c->a, c->b.addr, 0);
  return test_node_peer(&c->b);
}

/* ---- messages ---- */

static void unref_too_many(child *c) {
  cmt_buf *b;

  child_init(c);
  b = cmt_buf_copy(&c->w.env.env, "abc", 3);
  cmt_buf_unref(b);
  cmt_buf_unref(b);
}

static void ref_of_the_dead(child *c) {
  cmt_buf *b;

  child_init(c);
  b = cmt_buf_new(&c->w.env.env, 0);
  cmt_buf_unref(b);
  cmt_buf_ref(b);
}

/* Frees as an allocator that keeps a list of what is free: in its memory. */
static void free_into_a_list(void *arg, void *p) {
  (void)arg;
  memset(p, 0xa5, 32);
}

static void unref_of_memory_that_is_free(child *c) {
  cmt_env env;
  cmt_buf *b;

  child_init(c);
  env = c->w.env.env;
  env.free = free_into_a_list;
  b = cmt_buf_copy(&env, "abc", 3);
  cmt_buf_unref(b);
  cmt_buf_unref(b);
}

/* ---- keys ---- */

static void delete_too_many(child *c) {
  cmt_node_key *key;

  child_init(c);
  assert_cmt(CMT_OK, cmt_node_key_generate(&c->w.env.env, &key));
  cmt_node_key_delete(key);
  cmt_node_key_delete(key);
}

static void delete_of_memory_that_is_free(child *c) {
  cmt_node_key *key;
  cmt_env env;

  child_init(c);
  env = c->w.env.env;
  env.free = free_into_a_list;
  assert_cmt(CMT_OK, cmt_node_key_generate(&env, &key));
  cmt_node_key_delete(key);
  cmt_node_key_delete(key);
}

/* ---- connections without I/O ---- */

static cmt_conn *child_conn(child *c) {
  static const cmt_channel channel = {.id = 1, .priority = 1};
  cmt_conn_options o;
  cmt_node_key *key;
  cmt_node_info info = {.network = cmt_bytes_of("net"),
                        .version = cmt_bytes_of("1"),
                        .moniker = cmt_bytes_of("m"),
                        .listen_addr = cmt_bytes_of("tcp://0.0.0.0:0")};
  cmt_conn *conn;
  cmt_why why;

  child_init(c);
  assert_cmt(CMT_OK, cmt_node_key_generate(&c->w.env.env, &key));
  cmt_conn_options_init(&o);
  o.env = &c->w.env.env;
  o.key = key;
  o.node_info = &info;
  o.channels = &channel;
  o.channel_count = 1;
  assert_cmt(CMT_OK, cmt_conn_new(&o, 0, &conn, &why));
  return conn;
}

static uint8_t out_bytes[CMT_CONN_WRITE_ROOM];

static void consume_of_a_connection(child *c) {
  cmt_conn *conn = child_conn(c);

  cmt_conn_consume(conn,
                   cmt_conn_write(conn, out_bytes, sizeof out_bytes, 0) + 1, 0);
}

static void consume_of_a_connection_in_parts(child *c) {
  cmt_conn *conn = child_conn(c);
  size_t len = cmt_conn_write(conn, out_bytes, sizeof out_bytes, 0);

  cmt_conn_consume(conn, 1, 0);
  cmt_conn_consume(conn, len, 0);
}

static void write_into_too_little(child *c) {
  cmt_conn *conn = child_conn(c);

  (void)cmt_conn_write(conn, out_bytes, cmt_conn_write_min(conn) - 1, 0);
}

static void stop_without_a_reason(child *c) {
  cmt_conn_stop(child_conn(c), CMT_OK, 0, 0);
}

static cmt_mconn *child_mconn(child *c) {
  static const cmt_channel channel = {.id = 1, .priority = 1};
  cmt_mconn_options o;
  cmt_mconn *m;
  cmt_why why;

  child_init(c);
  cmt_mconn_options_init(&o);
  o.env = &c->w.env.env;
  o.channels = &channel;
  o.channel_count = 1;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &m, &why));
  return m;
}

static void consume_of_a_multiplexer(child *c) {
  cmt_mconn_consume(child_mconn(c), 1, 0);
}

static void consume_of_a_multiplexer_in_parts(child *c) {
  cmt_mconn *m = child_mconn(c);
  size_t len;

  assert_cmt(CMT_OK, cmt_mconn_ping(m));
  len = cmt_mconn_write(m, out_bytes, cmt_mconn_write_min(m), 0);
  cmt_mconn_consume(m, 1, 0);
  cmt_mconn_consume(m, len, 0);
}

static void write_of_a_multiplexer_into_too_little(child *c) {
  cmt_mconn *m = child_mconn(c);

  (void)cmt_mconn_write(m, out_bytes, cmt_mconn_write_min(m) - 1, 0);
}

static void consume_of_a_stream(child *c) {
  cmt_secret_conn *s;
  cmt_node_key *key;

  child_init(c);
  assert_cmt(CMT_OK, cmt_node_key_generate(&c->w.env.env, &key));
  assert_cmt(CMT_OK, cmt_secret_conn_new(&c->w.env.env, key, &s));
  cmt_secret_conn_consume(s, cmt_secret_conn_output(s).len + 1);
}

/* ---- peers ---- */

static void resume_too_many(child *c) {
  cmt_peer *p = child_peer(c, CMT_DELIVER_INLINE);

  cmt_peer_pause(p);
  cmt_peer_resume(p);
  cmt_peer_resume(p);
}

static void unprotect_too_many(child *c) {
  cmt_peer *p = child_peer(c, CMT_DELIVER_INLINE);

  cmt_peer_protect(p);
  cmt_peer_unprotect(p);
  cmt_peer_unprotect(p);
}

static void stop_of_a_peer_without_a_reason(child *c) {
  cmt_peer_stop(child_peer(c, CMT_DELIVER_INLINE), CMT_OK, 0);
}

static void explanation_without_a_reason(child *c) {
  cmt_ignore(
    cmt_peer_explain(child_peer(c, CMT_DELIVER_INLINE), CMT_OK, "because"));
}

static void unref_of_a_peer_in_use(child *c) {
  cmt_peer *p = child_peer(c, CMT_DELIVER_INLINE);

  for (int i = 0; i < 100; i++) {
    cmt_peer_unref(p);
  }
}

static cmt_mailbox *child_mailbox(child *c, cmt_mailbox_event *ev) {
  cmt_mailbox *m;

  (void)child_peer(c, CMT_DELIVER_MAILBOX);
  m = cmt_switch_mailbox(c->b.sw, "chat");
  assert_cmt(CMT_OK, cmt_mailbox_next(m, ev, 0));
  return m;
}

static void done_twice(child *c) {
  cmt_mailbox_event ev;
  cmt_mailbox *m = child_mailbox(c, &ev);

  cmt_mailbox_done(m, &ev);
  cmt_mailbox_done(m, &ev);
}

static void done_twice_by_a_copy(child *c) {
  cmt_mailbox_event ev, copy;
  cmt_mailbox *m = child_mailbox(c, &ev);

  copy = ev;
  cmt_mailbox_done(m, &ev);
  cmt_mailbox_done(m, &copy);
}

/* ---- the children ---- */

typedef struct row {
  void (*mistake)(child *c);
  const char *what;
} row;

static const row rows[] = {
  {unref_too_many, "cmt_buf_unref: one call too many"},
  {unref_of_memory_that_is_free, "cmt_buf_unref: one call too many"},
  {ref_of_the_dead, "cmt_buf_ref: the buffer has no reference left"},
  {delete_too_many, "cmt_node_key_delete: one call too many"},
  {delete_of_memory_that_is_free, "cmt_node_key_delete: one call too many"},
  {consume_of_a_connection, "cmt_conn_consume: more than what was written"},
  {consume_of_a_connection_in_parts,
   "cmt_conn_consume: more than what was written"},
  {write_into_too_little,
   "cmt_conn_write: less room than cmt_conn_write_min()"},
  {stop_without_a_reason, "cmt_conn_stop: the reason is CMT_OK"},
  {consume_of_a_multiplexer, "cmt_mconn_consume: more than what was written"},
  {consume_of_a_multiplexer_in_parts,
   "cmt_mconn_consume: more than what was written"},
  {write_of_a_multiplexer_into_too_little,
   "cmt_mconn_write: less room than cmt_mconn_write_min()"},
  {consume_of_a_stream,
   "cmt_secret_conn_consume: more than the output that was lent"},
  {unprotect_too_many, "cmt_peer_unprotect: one call more than of "
                       "cmt_peer_protect"},
  {resume_too_many, "cmt_peer_resume: one call more than of cmt_peer_pause"},
  {stop_of_a_peer_without_a_reason, "cmt_peer_stop: the reason is CMT_OK"},
  {explanation_without_a_reason, "cmt_peer_explain: the reason is CMT_OK"},
  {unref_of_a_peer_in_use, "cmt_peer_unref: one call too many"},
  {done_twice, "cmt_mailbox_done: the event is done already"},
  {done_twice_by_a_copy, "cmt_mailbox_done: the event is done already"},
};

/* Runs |mistake| in a child and collects what is left of it. */
static void run_child(void (*mistake)(child *c), bool hooked, last_words *out) {
  int ends[2], status;
  size_t len = 0;
  ssize_t got;
  pid_t pid;

  memset(out, 0, sizeof *out);
  assert_int_equal(0, pipe(ends));
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    child *c = calloc(1, sizeof *c);

    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    c->hooked = hooked;
    mistake(c);
    _exit(SURVIVED);
  }
  close(ends[1]);
  while ((got = read(ends[0], out->text + len, sizeof out->text - 1 - len)) >
         0) {
    len += (size_t)got;
  }
  close(ends[0]);
  assert_int_equal(pid, waitpid(pid, &status, 0));
  out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  out->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_has(const char *part, const char *text) {
  if (strstr(text, part) == NULL) {
    fail_msg("no '%s' in '%s'", part, text);
  }
}

static void the_host_hears_of_every_mistake(void **state) {
  last_words last;
  char expected[200];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    run_child(rows[i].mistake, true, &last);
    snprintf(expected, sizeof expected, "hook: %s", rows[i].what);
    assert_string_equal(expected, last.text);
    assert_int_equal(HOOKED, last.status);
  }
}

static void without_a_hook_one_line_is_left(void **state) {
  last_words last;
  const char *end;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    run_child(rows[i].mistake, false, &last);
    assert_int_equal(SIGABRT, last.signal);
    assert_int_equal(0, strncmp(last.text, "cometp2p: panic: ", 17));
    assert_has(".c:", last.text);
    assert_has(rows[i].what, last.text);
    end = strchr(last.text, '\n');
    assert_non_null(end);
    assert_string_equal("\n", end);
  }
}

/* ---- the default hook ---- */

static void log_to_stderr(void *arg, cmt_log_level level, const char *module,
                          const char *line) {
  (void)arg;
  say(level == CMT_LOG_ERROR ? "log error " : "log ");
  say(module);
  say(": ");
  say(line);
  say("\n");
}

static void panic_with_a_log(child *c) {
  (void)c;
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = log_to_stderr;
  cmt__panic(&env, "a.c", 7, "one call too many");
}

static void the_log_hears_it_first(void **state) {
  last_words last;

  (void)state;
  run_child(panic_with_a_log, false, &last);
  assert_string_equal("log error panic: a.c:7: one call too many\n"
                      "cometp2p: panic: a.c:7: one call too many\n",
                      last.text);
  assert_int_equal(SIGABRT, last.signal);
}

static void panic_under_a_lock(child *c) {
  (void)c;
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = log_to_stderr;
  cmt__locks_held = 1;
  cmt__panic(&env, "a.c", 7, "one call too many");
}

/* It might wait for that lock. */
static void the_log_does_not_hear_it_under_a_lock(void **state) {
  last_words last;

  (void)state;
  run_child(panic_under_a_lock, false, &last);
  assert_string_equal("cometp2p: panic: a.c:7: one call too many\n", last.text);
  assert_int_equal(SIGABRT, last.signal);
}

static void log_that_panics(void *arg, cmt_log_level level, const char *module,
                            const char *line) {
  (void)level;
  (void)module;
  (void)line;
  cmt__panic(arg, "log.c", 1, "in the log");
}

static void panic_in_the_log(child *c) {
  cmt_env env;

  (void)c;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = log_that_panics;
  env.log_arg = &env;
  cmt__panic(&env, "a.c", 7, "one call too many");
}

static void a_log_that_panics_itself_ends_it(void **state) {
  last_words last;

  (void)state;
  run_child(panic_in_the_log, false, &last);
  assert_string_equal("cometp2p: panic: log.c:1: in the log\n", last.text);
  assert_int_equal(SIGABRT, last.signal);
}

static void hook_that_returns(void *arg, const char *file, int line,
                              const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  (void)what;
}

static void panic_with_a_weak_hook(child *c) {
  cmt_env env;

  (void)c;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.panic = hook_that_returns;
  cmt__panic(&env, "a.c", 7, "one call too many");
}

static void panic_without_an_environment(child *c) {
  (void)c;
  cmt__panic(NULL, "a.c", 7, "one call too many");
}

/* A line of 511 characters is whole, and a longer one is cut to as many. */
enum { PANIC_LINE = 511 };

static char long_text[3000];

static void panic_of_great_length(child *c) {
  (void)c;
  cmt__panic(NULL, "a.c", 7, long_text);
}

static void a_long_panic_is_cut_and_still_ends(void **state) {
  static const char head[] = "cometp2p: panic: a.c:7: ";
  const size_t whole = PANIC_LINE - strlen(head) - strlen("\n");
  last_words last;

  (void)state;
  for (size_t len = whole - 1; len <= whole + 2; len++) {
    memset(long_text, 0, sizeof long_text);
    memset(long_text, 'x', len);
    run_child(panic_of_great_length, false, &last);
    assert_memory_equal(head, last.text, strlen(head));
    assert_int_equal(cmt__min(len, whole),
                     strspn(last.text + strlen(head), "x"));
    assert_string_equal("\n", last.text + strlen(head) + cmt__min(len, whole));
    assert_int_equal(SIGABRT, last.signal);
  }
}

static void a_panic_always_leaves_a_line(void **state) {
  last_words last;

  (void)state;
  run_child(panic_with_a_weak_hook, false, &last);
  assert_string_equal("cometp2p: panic: a.c:7: one call too many\n", last.text);
  run_child(panic_without_an_environment, false, &last);
  assert_string_equal("cometp2p: panic: a.c:7: one call too many\n", last.text);
  assert_int_equal(SIGABRT, last.signal);
}

/* What a longjmp() out of the hook finds: a mistake in the count of pauses is
   reported without a lock, so the peer can still be used. */
static jmp_buf back;

static void hook_that_jumps(void *arg, const char *file, int line,
                            const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  (void)what;
  longjmp(back, 1);
}

static void no_lock_is_held_while_the_host_hears_it(void **state) {
  static test_world w;
  static test_node a, b;
  cmt_peer_status status;

  (void)state;
  test_world_init(&w);
  w.env.env.panic = hook_that_jumps;
  test_node_init(&a, &w);
  test_node_init(&b, &w);
  test_pair(&w, &a, &b);
  if (setjmp(back) == 0) {
    cmt_peer_resume(test_node_peer(&a));
    fail();
  }
  cmt_peer_get_status(test_node_peer(&a), &status);
  assert_cmt(CMT_OK, test_node_send(&a, TEST_CHAT, "hello"));
  test_node_fini(&a);
  test_node_fini(&b);
  test_world_fini(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_host_hears_of_every_mistake),
    cmocka_unit_test(without_a_hook_one_line_is_left),
    cmocka_unit_test(the_log_hears_it_first),
    cmocka_unit_test(the_log_does_not_hear_it_under_a_lock),
    cmocka_unit_test(a_log_that_panics_itself_ends_it),
    cmocka_unit_test(a_panic_always_leaves_a_line),
    cmocka_unit_test(a_long_panic_is_cut_and_still_ends),
    cmocka_unit_test(no_lock_is_held_while_the_host_hears_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
