/* SPDX-License-Identifier: Apache-2.0 */
#include "station_servers.h"

#include "node.h"
#include "pages.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool server_watch(cli_station *s, const cli_http *h) {
  struct epoll_event ev = {.events = EPOLLIN};

  return h == NULL ||
         epoll_ctl(s->servers_fd, EPOLL_CTL_ADD, cli_http_fd(h), &ev) == 0;
}

static bool servers_watch(cli_station *s, cmt_why *why) {
  s->servers_fd = epoll_create1(EPOLL_CLOEXEC);
  if (s->servers_fd >= 0 && server_watch(s, s->metrics_server) &&
      server_watch(s, s->pages_server)) {
    return true;
  }
  snprintf(why->text, sizeof why->text, "epoll: %s", strerror(errno));
  return false;
}

bool cli_station_start_servers(cli_station *s, cmt_why *why) {
  const cmt_home_settings *set = s->first->settings;
  const cli_http_options metrics = {
    .addr = set->prometheus_listen_addr,
    .what = "prometheus_listen_addr",
    .requests_max = set->prometheus_max_open_connections,
    .answer = cli_pages_metrics,
    .arg = s,
  };
  const cli_http_options pages = {
    .addr = s->options->http,
    .what = "--http",
    .answer = cli_pages_answer,
    .arg = s,
  };

  if (set->prometheus && set->prometheus_listen_addr[0] != '\0') {
    s->metrics_server = cli_http_start(&metrics, why);
    if (s->metrics_server == NULL) {
      return false;
    }
  }
  if (s->options->http != NULL) {
    s->pages_server = cli_http_start(&pages, why);
    if (s->pages_server == NULL) {
      return false;
    }
  }
  return servers_watch(s, why);
}

static uint64_t server_timeout_ns(const cli_http *h, uint64_t timeout_ns) {
  uint64_t own_ns = h != NULL ? cli_http_timeout_ns(h) : CMT_NEVER;

  return own_ns < timeout_ns ? own_ns : timeout_ns;
}

static void server_run(cli_http *h) {
  if (h != NULL) {
    cli_http_run(h);
  }
}

void cli_station_stop_servers(cli_station *s) {
  cli_http_stop(s->metrics_server);
  cli_http_stop(s->pages_server);
  if (s->servers_fd >= 0) {
    close(s->servers_fd);
  }
}

bool cli_station_serve(cli_station *s, uint64_t timeout_ns) {
  uint64_t end_ns =
    timeout_ns == CMT_NEVER ? CMT_NEVER : cli_now_ns() + timeout_ns;
  uint64_t now_ns = cli_now_ns();

  while (now_ns < end_ns) {
    uint64_t left_ns = end_ns == CMT_NEVER ? CMT_NEVER : end_ns - now_ns;
    short ready;

    left_ns = server_timeout_ns(s->metrics_server, left_ns);
    left_ns = server_timeout_ns(s->pages_server, left_ns);
    if (cli_waiter_wait_fd(&s->io->wait, left_ns, s->servers_fd, POLLIN,
                           &ready)) {
      return true;
    }
    server_run(s->metrics_server);
    server_run(s->pages_server);
    now_ns = cli_now_ns();
  }
  return false;
}
