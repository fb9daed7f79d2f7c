/* SPDX-License-Identifier: Apache-2.0 */
/* The output of the command beside a slow reader: who is paused, what waits,
   what is counted.  The peers are only names here; the calls that would pause
   and keep them are counted. */

#include "test.h"

#include "cli/ui/backlog.h"
#include "cli/ui/cli.h"
#include "cli/ui/output.h"
#include "cli/ui/pieces.h"
#include "cli/ui/rejections.h"

#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PEERS = 20, MARK = 1000, FLOOR = 100 };

static struct { int pauses, refs; } peers[PEERS];

static cmt_peer *peer(size_t i) { return (cmt_peer *)(void *)&peers[i]; }

static size_t index_of(const cmt_peer *p) {
  return ((size_t)((const char *)p - (const char *)peers)) / sizeof *peers;
}

cmt_peer *__wrap_cmt_peer_ref(cmt_peer *p);
void __wrap_cmt_peer_unref(cmt_peer *p);
void __wrap_cmt_peer_pause(cmt_peer *p);
void __wrap_cmt_peer_resume(cmt_peer *p);

cmt_peer *__wrap_cmt_peer_ref(cmt_peer *p) {
  peers[index_of(p)].refs++;
  return p;
}

void __wrap_cmt_peer_unref(cmt_peer *p) { peers[index_of(p)].refs--; }

void __wrap_cmt_peer_pause(cmt_peer *p) { peers[index_of(p)].pauses++; }

void __wrap_cmt_peer_resume(cmt_peer *p) { peers[index_of(p)].pauses--; }

/* How far the clock is ahead, and how often it was read since. */
static atomic_int ahead_s, looks;
static atomic_bool late; /* The next write comes late. */

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);
bool __real_cli_write_all(int fd, const void *data, size_t len);
bool __wrap_cli_write_all(int fd, const void *data, size_t len);

int __wrap_clock_gettime(clockid_t id, struct timespec *out) {
  int got = __real_clock_gettime(id, out);

  out->tv_sec += ahead_s;
  looks++;
  return got;
}

/* A thread that others kept from running until every deadline had passed, and
   whoever waits for it has looked at the clock. */
bool __wrap_cli_write_all(int fd, const void *data, size_t len) {
  if (atomic_exchange(&late, false)) {
    ahead_s = 3600;
    looks = 0;
    while (looks < 2) {
      sched_yield();
    }
  }
  return __real_cli_write_all(fd, data, len);
}

static int start(void **state) {
  (void)state;
  memset(peers, 0, sizeof peers);
  return 0;
}

/* Nobody is paused any more, and nobody kept. */
static int end(void **state) {
  (void)state;
  for (size_t i = 0; i < PEERS; i++) {
    if (peers[i].pauses != 0 || peers[i].refs != 0) {
      return -1;
    }
  }
  return 0;
}

/* ---- the account ---- */

static void who_holds_most_is_paused(void **state) {
  cli_backlog b = {.mark = MARK, .floor = FLOOR};

  (void)state;
  cli_backlog_add(&b, MARK, peer(0));
  assert_int_equal(0, peers[0].pauses);
  cli_backlog_add(&b, FLOOR, peer(1));
  assert_int_equal(0, peers[1].pauses);
  cli_backlog_add(&b, 1, peer(0));
  assert_int_equal(1, peers[0].pauses);
  cli_backlog_add(&b, 500, peer(0));
  assert_int_equal(1, peers[0].pauses);
  cli_backlog_add(&b, 1, peer(1));
  assert_int_equal(1, peers[1].pauses);
  cli_backlog_fini(&b);
}

static void a_peer_under_its_floor_is_never_paused(void **state) {
  cli_backlog b = {.mark = MARK, .floor = FLOOR};

  (void)state;
  cli_backlog_add(&b, 50 * MARK, peer(0));
  cli_backlog_add(&b, 50 * MARK, NULL);
  for (size_t i = 1; i < PEERS; i++) {
    cli_backlog_add(&b, FLOOR / 2, peer(i));
    cli_backlog_add(&b, FLOOR / 2, peer(i));
    assert_int_equal(0, peers[i].pauses);
  }
  cli_backlog_fini(&b);
}

static void what_is_written_resumes(void **state) {
  cli_backlog b = {.mark = MARK, .floor = FLOOR};

  (void)state;
  cli_backlog_add(&b, 2 * MARK, peer(0));
  cli_backlog_add(&b, 2 * FLOOR, peer(1));
  assert_int_equal(1, peers[0].pauses);
  assert_int_equal(1, peers[1].pauses);
  /* Its own part is down to half of the floor. */
  cli_backlog_sub(&b, FLOOR + FLOOR / 2 - 1, peer(1));
  assert_int_equal(1, peers[1].pauses);
  cli_backlog_sub(&b, 1, peer(1));
  assert_int_equal(0, peers[1].pauses);
  /* Or the whole down to half of the mark. */
  cli_backlog_sub(&b, 2 * MARK + FLOOR / 2 - MARK / 2 - 1, peer(0));
  assert_int_equal(1, peers[0].pauses);
  cli_backlog_sub(&b, 1, peer(0));
  assert_int_equal(0, peers[0].pauses);
  cli_backlog_sub(&b, b.held - b.nobody - FLOOR / 2, peer(0));
  assert_int_equal(0, peers[0].refs);
  cli_backlog_sub(&b, FLOOR / 2, peer(1));
  assert_int_equal(0, b.held);
  cli_backlog_fini(&b);
}

/* Peers that come, leave lines and go cannot each have a floor. */
static void what_a_gone_peer_left_belongs_to_nobody(void **state) {
  cli_backlog b = {.mark = MARK, .floor = FLOOR};

  (void)state;
  cli_backlog_add(&b, 5 * MARK, peer(0));
  cli_backlog_add(&b, 7, peer(1));
  assert_int_equal(0, b.nobody);
  cli_backlog_leave(&b, peer(0));
  cli_backlog_leave(&b, peer(0));
  cli_backlog_leave(&b, peer(2));
  assert_int_equal(5 * MARK, b.nobody);
  cli_backlog_add(&b, 3, peer(0));
  assert_int_equal(5 * MARK + 3, b.nobody);
  cli_backlog_sub(&b, 5 * MARK + 2, peer(0));
  assert_int_equal(1, b.nobody);
  cli_backlog_sub(&b, 1, peer(0));
  assert_int_equal(0, b.nobody);
  assert_int_equal(0, peers[0].refs);
  cli_backlog_sub(&b, 7, peer(1));
  assert_int_equal(0, b.held);
  cli_backlog_fini(&b);
}

/* ---- the stream ---- */

typedef struct stream {
  int near, far;
  cli_waiter wait;
  cli_output *out;
} stream;

static void stream_open(stream *s) {
  int ends[2];

  assert_int_equal(0, pipe(ends));
  s->near = ends[0];
  s->far = ends[1];
  assert_true(cli_waiter_init(&s->wait));
  s->out = cli_output_new(ends[1], &s->wait);
  assert_non_null(s->out);
}

/* Reads the next byte of what |s| writes; blocks. */
static void stream_expect(stream *s, const char *text, size_t len) {
  static char got[1 << 16];

  while (len > 0) {
    size_t want = len < sizeof got ? len : sizeof got;
    ssize_t n = read(s->near, got, want);

    assert_true(n > 0);
    assert_memory_equal(got, text, (size_t)n);
    text += n;
    len -= (size_t)n;
  }
}

static void stream_close(stream *s) {
  while (!cli_output_is_drained(s->out)) {
    cli_waiter_wait(&s->wait, CMT_SECONDS(10));
  }
  assert_int_equal(0, cli_output_waiting(s->out));
  cli_output_delete(s->out);
  close(s->near);
  close(s->far);
  cli_waiter_fini(&s->wait);
}

static char *filled(size_t len, char byte) {
  char *text = malloc(len + 1);

  assert_non_null(text);
  memset(text, byte, len);
  text[len] = '\n';
  return text;
}

static void a_flooding_peer_is_paused_and_nothing_is_lost(void **state) {
  enum { LEN = 100000, LINES = 30 };
  char *text = filled(LEN, 'a');
  stream s;

  (void)state;
  stream_open(&s);
  cli_output_line(s.out, "first", 5, peer(1));
  for (size_t i = 0; i < LINES; i++) {
    cli_output_line(s.out, text, LEN, peer(0));
  }
  assert_int_equal(1, peers[0].pauses);
  assert_true(cli_output_waiting(s.out) > CLI_OUTPUT_MARK);
  assert_true(cli_output_is_slow(s.out));
  cli_output_line(s.out, "last", 4, peer(1));
  assert_int_equal(0, peers[1].pauses);
  stream_expect(&s, "first\n", 6);
  for (size_t i = 0; i < LINES; i++) {
    stream_expect(&s, text, LEN + 1);
  }
  stream_expect(&s, "last\n", 5);
  stream_close(&s);
  assert_int_equal(0, peers[0].pauses);
  free(text);
}

static void lines_of_nobody_are_refused_when_too_many_wait(void **state) {
  enum { LEN = 1 << 16 };
  char *text = filled(LEN, 'b');
  size_t added = 0;
  stream s;

  (void)state;
  stream_open(&s);
  while (cli_output_extra(s.out, text, LEN)) {
    added++;
    assert_true(cli_output_waiting(s.out) <= CLI_OUTPUT_FULL + 2 * (LEN + 1));
  }
  assert_true(cli_output_is_full(s.out));
  /* A peer's line is not refused for it. */
  cli_output_line(s.out, "peer", 4, peer(0));
  assert_int_equal(0, peers[0].pauses);
  for (size_t i = 0; i < added; i++) {
    stream_expect(&s, text, LEN + 1);
  }
  stream_expect(&s, "peer\n", 5);
  assert_false(cli_output_is_full(s.out));
  stream_close(&s);
  free(text);
}

/* The lines of two peers stay in order, whatever their parts look like. */
static void lines_of_several_peers_keep_their_order(void **state) {
  char line[64], *all = NULL;
  size_t len = 0;
  FILE *wanted = open_memstream(&all, &len);
  stream s;

  (void)state;
  stream_open(&s);
  for (unsigned i = 0; i < 5000; i++) {
    unsigned who = i * i % 7 % 3;
    int n = snprintf(line, sizeof line, "%u of %u", i, who);

    fprintf(wanted, "%s\n", line);
    cli_output_begin(s.out, who == 2 ? NULL : peer(who));
    cli_output_piece(s.out, line, (size_t)n / 2);
    cli_output_piece(s.out, line + n / 2, (size_t)(n - n / 2));
    cli_output_end(s.out);
  }
  fclose(wanted);
  stream_expect(&s, all, len);
  stream_close(&s);
  free(all);
}

static void *hurry(void *arg) {
  cli_output_hurry(arg);
  return NULL;
}

/* Each write is a message of this socket.  Between two of them lie some
   milliseconds, however long this thread takes. */
static void lines_soon_after_another_are_written_together(void **state) {
  enum { LINES = 250, APART_US = 200, WRITE_MAX = 64 << 10 };
  static char got[WRITE_MAX];
  size_t lines = 0, writes = 0;
  uint64_t begun_ns, took_ns;
  cli_waiter wait;
  cli_output *o;
  int fds[2];

  (void)state;
  assert_true(cli_waiter_init(&wait));
  assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
  o = cli_output_new(fds[1], &wait);
  assert_non_null(o);
  begun_ns = cli_now_ns();
  for (size_t i = 0; i < LINES; i++) {
    while (cli_now_ns() - begun_ns < i * APART_US * 1000) {
    }
    cli_output_line(o, "", 0, NULL);
  }
  while (lines < LINES) {
    ssize_t n = read(fds[0], got, sizeof got);

    assert_true(n > 0);
    lines += (size_t)n;
    writes++;
  }
  took_ns = cli_now_ns() - begun_ns;
  assert_int_equal(LINES, lines);
  assert_true(writes <= 2 + took_ns / CMT_MILLISECONDS(CLI_OUTPUT_GATHER_MS));
  while (!cli_output_is_drained(o)) {
    cli_waiter_wait(&wait, CMT_SECONDS(10));
  }
  cli_output_delete(o);
  close(fds[0]);
  close(fds[1]);
  cli_waiter_fini(&wait);
}

static void who_waits_for_room_can_be_hurried(void **state) {
  char *text = filled(2 * CLI_OUTPUT_MARK, 'c');
  pthread_t thread;
  stream s;

  (void)state;
  stream_open(&s);
  cli_output_wait(s.out); /* There is room. */
  cli_output_line(s.out, text, 2 * CLI_OUTPUT_MARK, NULL);
  assert_int_equal(0, pthread_create(&thread, NULL, hurry, s.out));
  cli_output_wait(s.out);
  assert_int_equal(0, pthread_join(thread, NULL));
  stream_expect(&s, text, 2 * CLI_OUTPUT_MARK + 1);
  stream_close(&s);
  free(text);
}

static void *read_all(void *arg) {
  stream *s = arg;
  char bytes[4096];
  size_t left = 2 * CLI_OUTPUT_MARK + 1;

  while (left > 0) {
    ssize_t n = read(s->near, bytes, sizeof bytes);

    if (n <= 0) {
      return NULL;
    }
    left -= (size_t)n;
  }
  return s;
}

static void who_waits_for_room_goes_on_when_it_was_read(void **state) {
  char *text = filled(2 * CLI_OUTPUT_MARK, 'd');
  pthread_t thread;
  void *done;
  stream s;

  (void)state;
  stream_open(&s);
  cli_output_line(s.out, text, 2 * CLI_OUTPUT_MARK, NULL);
  assert_int_equal(0, pthread_create(&thread, NULL, read_all, &s));
  cli_output_wait(s.out);
  assert_false(cli_output_is_slow(s.out));
  assert_int_equal(0, pthread_join(thread, &done));
  assert_non_null(done);
  stream_close(&s);
  free(text);
}

/* ---- text in pieces ---- */

/* A reader of JSON reads what is written for |text| as that text. */
static void check_json(const uint8_t *base, size_t len) {
  json_t *whole = json_stringn((const char *)base, len), *got;
  char *line = malloc(6 * len + 8), *shown = malloc(4 * len + 1);
  size_t n = 0;
  stream s;

  assert_true(line != NULL && shown != NULL);
  if (whole == NULL) {
    cmt_text_escape((cmt_bytes){base, len}, shown, 4 * len + 1);
    whole = json_string(shown);
  }
  stream_open(&s);
  cli_output_begin(s.out, NULL);
  cli_put_json_text(s.out, (cmt_bytes){base, len});
  cli_output_end(s.out);
  while (n == 0 || line[n - 1] != '\n') {
    assert_int_equal(1, read(s.near, line + n, 1));
    assert_true(line[n] == '\n' || (line[n] >= ' ' && line[n] <= '~') ||
                line[n] == 0x7f);
    n++;
  }
  got = json_loadb(line, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  assert_true(json_equal(got, whole));
  json_decref(got);
  json_decref(whole);
  stream_close(&s);
  free(line);
  free(shown);
}

/* |unit| over and over, from each place in it, longer than some pieces. */
static void check_repeated(const char *unit) {
  uint8_t text[2100];
  size_t len = strlen(unit);

  for (size_t first = 0; first < len; first++) {
    for (size_t i = 0; i < sizeof text; i++) {
      text[i] = i < first ? 'x' : (uint8_t)unit[(i - first) % len];
    }
    check_json(text, sizeof text);
    check_json(text, 1024);
    check_json(text, 1025);
  }
}

static void a_text_in_pieces_is_the_text(void **state) {
  static const char *const units[] = {
    "a",
    "\x01",
    "\"\\",
    "\xc3\xbc",
    "\xe2\x82\xac",
    "\xf0\x9f\x98\x80",
    "a\xf0\x9f\x98\x80",
    "\xff",
    "\xe2\x82",
    "\x80",
    "\xed\xa0\x80",
  };

  (void)state;
  check_json((const uint8_t *)"", 0);
  check_json((const uint8_t *)"a\0b", 3);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    check_repeated(units[i]);
  }
}

/* ---- rejections ---- */

static void a_few_rejections_of_a_second_are_reported(void **state) {
  cli_rejections r;
  uint64_t before, reported = 0;

  (void)state;
  cli_rejections_init(&r);
  assert_int_equal(CMT_NEVER, cli_rejections_due(&r));
  for (unsigned i = 0; i < 17000; i++) {
    reported += cli_rejections_add(&r, CMT_MILLISECONDS(7) + i, &before);
    assert_int_equal(0, before);
  }
  assert_int_equal(CLI_REJECTIONS_A_SECOND, reported);
  assert_int_equal(CMT_MILLISECONDS(1007), cli_rejections_due(&r));
  assert_int_equal(0, cli_rejections_take(&r, CMT_MILLISECONDS(1007) - 1));
  assert_int_equal(17000 - reported,
                   cli_rejections_take(&r, CMT_MILLISECONDS(1007)));
  assert_int_equal(CMT_NEVER, cli_rejections_due(&r));
  cli_rejections_fini(&r);
}

/* Printed, counted and given back add up, in whatever order. */
static void every_rejection_is_reported_or_counted_once(void **state) {
  cli_rejections r;
  uint64_t now_ns = 1, sum = 0, before, n;

  (void)state;
  cli_rejections_init(&r);
  for (unsigned i = 0; i < 100000; i++) {
    now_ns += i % 1000 * 20000;
    sum += cli_rejections_add(&r, now_ns, &before);
    sum += before;
    if (i % 777 == 0) {
      n = cli_rejections_take(&r, now_ns);
      if (i % 2 == 0) {
        cli_rejections_give_back(&r, n, now_ns);
        assert_true(n == 0 || cli_rejections_due(&r) > now_ns);
      } else {
        sum += n;
      }
    }
  }
  sum += cli_rejections_take(&r, CMT_NEVER);
  assert_int_equal(100000, sum);
  cli_rejections_fini(&r);
}

/* A node that got SIGTERM prints its last line and ends. */
static int print_at_the_end(int fd) {
  static const char line[] = "the last line";
  cli_io io;

  if (dup2(fd, STDOUT_FILENO) < 0 || !cli_io_open(&io, false, CMT_LOG_ERROR)) {
    return 2;
  }
  io.serves = true;
  kill(getpid(), SIGTERM);
  if (!cli_waiter_wait(&io.wait, CMT_NEVER)) {
    return 3;
  }
  late = true;
  cli_output_line(io.out, line, sizeof line - 1, NULL);
  return cli_io_close(&io, 0);
}

static void a_thread_that_is_late_is_no_reader_that_is(void **state) {
  int ends[2], status;
  char text[64];
  pid_t child;
  ssize_t len;

  (void)state;
  assert_int_equal(0, pipe(ends));
  child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    _exit(print_at_the_end(ends[1]));
  }
  close(ends[1]);
  len = read(ends[0], text, sizeof text);
  assert_int_equal(child, waitpid(child, &status, 0));
  assert_int_equal(0, status);
  assert_int_equal(14, len);
  assert_memory_equal("the last line\n", text, 14);
  close(ends[0]);
}

static void counts_have_groups_of_digits(void **state) {
  static const struct {
    uint64_t count;
    const char *text;
  } rows[] = {
    {0, "0"},
    {999, "999"},
    {1000, "1,000"},
    {16998, "16,998"},
    {100000, "100,000"},
    {1234567, "1,234,567"},
    {UINT64_MAX, "18,446,744,073,709,551,615"},
  };
  char text[32];

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    cli_count_text(rows[i].count, text, sizeof text);
    assert_string_equal(rows[i].text, text);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(who_holds_most_is_paused),
    TEST(a_peer_under_its_floor_is_never_paused),
    TEST(what_is_written_resumes),
    TEST(what_a_gone_peer_left_belongs_to_nobody),
    TEST(a_flooding_peer_is_paused_and_nothing_is_lost),
    TEST(lines_of_nobody_are_refused_when_too_many_wait),
    TEST(lines_of_several_peers_keep_their_order),
    TEST(lines_soon_after_another_are_written_together),
    TEST(who_waits_for_room_can_be_hurried),
    TEST(who_waits_for_room_goes_on_when_it_was_read),
    TEST(a_text_in_pieces_is_the_text),
    TEST(a_few_rejections_of_a_second_are_reported),
    TEST(every_rejection_is_reported_or_counted_once),
    TEST(a_thread_that_is_late_is_no_reader_that_is),
    TEST(counts_have_groups_of_digits),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
