/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server of the command: its address, its answers, its limits. */

#include "test.h"

#include "cli/roles/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_MAX = 200000 };

typedef struct fixture {
  cli_http *h;
  cli_http_options o;
  uint16_t port;
  pthread_t thread; /* Runs the server. */
  atomic_bool over;
  char seen[256]; /* Path, query and body of the last request. */
  cmt_buf *body;  /* Every answer has it; NULL: 404. */
} fixture;

static int dial(const fixture *f) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_port = htons(f->port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  assert_true(fd >= 0);
  assert_int_equal(0, connect(fd, (struct sockaddr *)&at, sizeof at));
  return fd;
}

static void say(int fd, const char *text) {
  assert_int_equal(strlen(text), write(fd, text, strlen(text)));
}

static cli_http_answer answer(void *arg, const cli_http_request *r) {
  fixture *f = arg;

  snprintf(f->seen, sizeof f->seen, "%s|%s|%.*s", r->path, r->query,
           (int)cmt__min(r->body.len, 64),
           r->body.len > 0 ? (const char *)r->body.base : "");
  return (cli_http_answer){
    .status = 200,
    .type = "text/x-test",
    .body = f->body != NULL ? cmt_buf_ref(f->body) : NULL,
  };
}

static void *server_run(void *arg) {
  fixture *f = arg;

  while (!f->over) {
    struct pollfd polled = {.fd = cli_http_fd(f->h), .events = POLLIN};

    (void)poll(&polled, 1, 10);
    cli_http_run(f->h);
  }
  return NULL;
}

static void start(fixture *f) {
  cmt_why why;

  f->h = cli_http_start(&f->o, &why);
  assert_non_null(f->h);
  assert_int_equal(0, pthread_create(&f->thread, NULL, server_run, f));
  f->port = (uint16_t)strtol(strrchr(cli_http_addr(f->h), ':') + 1, NULL, 10);
  assert_true(f->port > 0);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  f->o = (cli_http_options){
    .addr = "127.0.0.1:0", .what = "--http", .answer = answer, .arg = f};
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  if (f->h != NULL) {
    f->over = true;
    pthread_join(f->thread, NULL);
  }
  cli_http_stop(f->h);
  cmt_buf_unref(f->body);
  free(f);
  return 0;
}

static void body_is(fixture *f, size_t len) {
  cmt_buf_unref(f->body);
  f->body = cmt_buf_new(NULL, len);
  assert_non_null(f->body);
  memset(cmt_buf_data(f->body), 'x', len);
}

/* Reads until the other side closes. */
static char *read_all(int fd) {
  char *text = malloc(TEXT_MAX);
  size_t len = 0;
  ssize_t got;

  assert_non_null(text);
  while ((got = read(fd, text + len, TEXT_MAX - 1 - len)) > 0) {
    len += (size_t)got;
  }
  text[len] = '\0';
  close(fd);
  return text;
}

/* The answer to |request| on a connection of its own. */
static char *ask(const fixture *f, const char *request) {
  int fd = dial(f);

  say(fd, request);
  return read_all(fd);
}

#define CLOSE "Host: x\r\nConnection: close\r\n\r\n"

static void assert_status(char *text, unsigned status) {
  char line[32];

  snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
  assert_memory_equal(line, text, strlen(line));
  free(text);
}

static void path_and_query_reach_the_answer(void **state) {
  fixture *f = *state;
  char *text;

  body_is(f, 3);
  start(f);
  text = ask(f, "GET /a/b?x=1&y=%20 HTTP/1.1\r\n" CLOSE);
  assert_string_equal("/a/b|x=1&y=%20|", f->seen);
  assert_non_null(strstr(text, "Content-Type: text/x-test\r\n"));
  assert_non_null(strstr(text, "Content-Length: 3\r\n"));
  assert_string_equal("xxx", strstr(text, "\r\n\r\n") + 4);
  assert_status(text, 200);
}

static void body_of_a_post_arrives_whole(void **state) {
  fixture *f = *state;

  body_is(f, 1);
  start(f);
  assert_status(
    ask(f, "POST /rpc HTTP/1.1\r\nContent-Length: 7\r\n" CLOSE "{\"a\":1}"),
    200);
  assert_string_equal("/rpc||{\"a\":1}", f->seen);
  assert_status(ask(f, "POST /rpc HTTP/1.1\r\nContent-Length: 0\r\n" CLOSE),
                200);
  assert_string_equal("/rpc||", f->seen);
}

static void long_answers_are_whole(void **state) {
  fixture *f = *state;
  char *text;

  body_is(f, 150000);
  start(f);
  text = ask(f, "GET / HTTP/1.1\r\n" CLOSE);
  assert_int_equal(150000, strlen(strstr(text, "\r\n\r\n") + 4));
  assert_status(text, 200);
  text = ask(f, "HEAD / HTTP/1.1\r\n" CLOSE);
  assert_int_equal(0, strlen(strstr(text, "\r\n\r\n") + 4));
  assert_non_null(strstr(text, "Content-Length: 150000\r\n"));
  assert_status(text, 200);
}

static void without_a_body_there_is_no_page(void **state) {
  fixture *f = *state;
  char *text;

  start(f);
  text = ask(f, "GET /none HTTP/1.1\r\n" CLOSE);
  assert_non_null(strstr(text, "404 page not found"));
  assert_status(text, 404);
}

static void other_methods_are_refused(void **state) {
  fixture *f = *state;
  char *text;

  start(f);
  text = ask(f, "DELETE / HTTP/1.1\r\n" CLOSE);
  assert_non_null(strstr(text, "405 method not allowed\n"));
  assert_non_null(strstr(text, "Allow: GET, HEAD, POST\r\n"));
  assert_status(text, 405);
  assert_string_equal("", f->seen);
}

static void too_much_is_refused(void **state) {
  fixture *f = *state;
  char *request = malloc(TEXT_MAX), *text;
  int len;

  assert_non_null(request);
  body_is(f, 1);
  start(f);
  len = snprintf(request, TEXT_MAX,
                 "POST / HTTP/1.1\r\nContent-Length: %d\r\n" CLOSE,
                 CLI_HTTP_BODY_MAX + 1);
  memset(request + len, 'b', CLI_HTTP_BODY_MAX + 1);
  request[len + CLI_HTTP_BODY_MAX + 1] = '\0';
  text = ask(f, request);
  assert_non_null(strstr(text, "413 request too large\n"));
  assert_status(text, 413);
  len = snprintf(request, TEXT_MAX, "GET /?");
  memset(request + len, 'q', 2000);
  snprintf(request + len + 2000, TEXT_MAX - 2100, " HTTP/1.1\r\n" CLOSE);
  assert_status(ask(f, request), 413);
  assert_string_equal("", f->seen);
  free(request);
}

/* A request that is not complete is in work. */
static void over_the_limit_requests_are_refused(void **state) {
  fixture *f = *state;
  int held[2];
  char *text;

  f->o.requests_max = 2;
  body_is(f, 1);
  start(f);
  for (int i = 0; i < 2; i++) {
    char answered[64];

    held[i] = dial(f);
    say(held[i], "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                 "Expect: 100-continue\r\n\r\n");
    assert_true(read(held[i], answered, sizeof answered) > 0);
    assert_memory_equal("HTTP/1.1 100", answered, 12);
  }
  text = ask(f, "GET / HTTP/1.1\r\n" CLOSE);
  assert_non_null(strstr(text, "\r\n\r\nLimit of concurrent requests reached "
                               "(2), try again later.\n"));
  assert_status(text, 503);
  for (int i = 0; i < 2; i++) {
    say(held[i], "body");
    close(held[i]);
  }
}

static void refused(const char *addr, const char *fault) {
  char expected[256], host[64];
  uint16_t port;
  cmt_why why;

  snprintf(expected, sizeof expected,
           "--http is '%s': %s; allowed is IP:PORT, :PORT or localhost:PORT",
           addr, fault);
  assert_false(cli_http_parse(addr, "--http", host, &port, &why));
  assert_string_equal(expected, why.text);
}

static void addresses_have_these_forms(void **state) {
  static const struct {
    const char *addr, *host;
    uint16_t port;
  } rows[] = {
    {"127.0.0.1:26660", "127.0.0.1", 26660},
    {"tcp://127.0.0.1:1", "127.0.0.1", 1},
    {"http://localhost:80", "127.0.0.1", 80},
    {":26660", "::", 26660},
    {"0.0.0.0:5", "::", 5},
    {"[::1]:5", "::1", 5},
    {"[::]:65535", "::", 65535},
  };
  char host[64];
  uint16_t port;
  cmt_why why;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_true(cli_http_parse(rows[i].addr, "x", host, &port, &why));
    assert_string_equal(rows[i].host, host);
    assert_int_equal(rows[i].port, port);
  }
  refused("127.0.0.1", "there is no port");
  refused("", "there is no port");
  refused("127.0.0.1:65536", "the port is no number up to 65535");
  refused("127.0.0.1:", "the port is no number up to 65535");
  refused("example.org:80", "the host is no IP address");
  refused("1.2.3:80", "the host is no IP address");
}

static void port_in_use_is_reported(void **state) {
  fixture *f = *state;
  cli_http_options o = f->o;
  char addr[32];
  cmt_why why;

  start(f);
  snprintf(addr, sizeof addr, "127.0.0.1:%u", f->port);
  o.addr = addr;
  assert_null(cli_http_start(&o, &why));
  assert_cmt(CMT_EIO, why.err);
  assert_non_null(strstr(why.text, "Address already in use"));
  assert_non_null(strstr(why.text, addr));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What a client calls this machine goes into an address that others dial. */
static void hosts_are_names_or_addresses(void **state) {
  static const struct {
    const char *header, *host;
  } rows[] = {
    {"seed.example.com", "seed.example.com"},
    {"seed.example.com:8080", "seed.example.com"},
    {"192.0.2.1:80", "192.0.2.1"},
    {"[2001:db8::1]:80", "[2001:db8::1]"},
    {"[2001:db8::1]", "[2001:db8::1]"},
    {"a_b-c.example", "a_b-c.example"},
    {NULL, ""},
    {"", ""},
    {":80", ""},
    {"a b", ""},
    {"a,b", ""},
    {"a\nb", ""},
    {"[2001:db8::1", ""},
    {"[x]:80", ""},
    {"user@host", ""},
    {"<b>", ""},
  };
  char host[CLI_HTTP_HOST_SIZE], longest[CLI_HTTP_HOST_SIZE + 1];

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    cli_http_read_host(rows[i].header, host);
    assert_string_equal(rows[i].host, host);
  }
  memset(longest, 'a', CLI_HTTP_HOST_SIZE);
  longest[CLI_HTTP_HOST_SIZE] = '\0';
  cli_http_read_host(longest, host);
  assert_string_equal("", host);
  longest[CLI_HTTP_HOST_SIZE - 1] = '\0';
  cli_http_read_host(longest, host);
  assert_string_equal(longest, host);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(path_and_query_reach_the_answer),
    TEST(body_of_a_post_arrives_whole),
    TEST(long_answers_are_whole),
    TEST(without_a_body_there_is_no_page),
    TEST(other_methods_are_refused),
    TEST(too_much_is_refused),
    TEST(over_the_limit_requests_are_refused),
    TEST(addresses_have_these_forms),
    cmocka_unit_test(hosts_are_names_or_addresses),
    TEST(port_in_use_is_reported),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
