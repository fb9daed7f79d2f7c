/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd reports a request by its address, then by its headers, by each
   part of its body, and once more when it is to be answered; at last that it is
   over.  A slot is the request from the first to the last of these calls. */

#include "http.h"

#include "cli/ui/options.h"
#include "http_library.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cli_http {
  cli_http_options options;
  struct MHD_Daemon *daemon;
  char addr[80];
  unsigned requests; /* In work. */
};

enum { QUERY_MAX = 1024 };

static const cli_http_library *mhd; /* Since the first server. */

typedef struct slot {
  cli_http *server;
  bool begun;    /* Its headers were reported. */
  bool refused;  /* There were too many. */
  bool too_long; /* Its body or its query. */
  char query[QUERY_MAX];
  uint8_t *body;
  size_t len;
} slot;

/* ---- the address ---- */

static cmt_err refuse(cmt_why *why, const char *what, const char *addr,
                      const char *text) {
  *why = (cmt_why){.err = CMT_EINVAL, .stage = CMT_STAGE_TRANSPORT};
  snprintf(why->text, sizeof why->text,
           "%s is '%.64s': %s; allowed is IP:PORT, :PORT or localhost:PORT",
           what, addr, text);
  return CMT_EINVAL;
}

static const char *scheme_skip(const char *addr) {
  static const char *const schemes[] = {"tcp://", "http://"};

  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    if (strncmp(addr, schemes[i], strlen(schemes[i])) == 0) {
      return addr + strlen(schemes[i]);
    }
  }
  return addr;
}

bool cli_http_parse(const char *addr, const char *what, char host[64],
                    uint16_t *port, cmt_why *why) {
  const char *at = scheme_skip(addr), *colon = strrchr(at, ':');
  size_t len = colon != NULL ? (size_t)(colon - at) : 0;
  uint8_t bytes[16];
  uint64_t number;

  if (colon == NULL) {
    return refuse(why, what, addr, "there is no port") == CMT_OK;
  }
  if (!cli_parse_number(colon + 1, 0, UINT16_MAX, &number)) {
    return refuse(why, what, addr, "the port is no number up to 65535") ==
           CMT_OK;
  }
  if (len >= 2 && at[0] == '[' && at[len - 1] == ']') {
    at++;
    len -= 2;
  }
  snprintf(host, 64, "%.*s", (int)len, at);
  if (strcmp(host, "localhost") == 0) {
    snprintf(host, 64, "127.0.0.1");
  } else if (len == 0 || strcmp(host, "0.0.0.0") == 0) {
    snprintf(host, 64, "::"); /* Both families, as Go listens. */
  }
  if (len >= 64 || (inet_pton(AF_INET, host, bytes) != 1 &&
                    inet_pton(AF_INET6, host, bytes) != 1)) {
    return refuse(why, what, addr, "the host is no IP address") == CMT_OK;
  }
  *port = (uint16_t)number;
  return true;
}

/* ---- requests ---- */

#define PLAIN "text/plain; charset=utf-8"

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status,
                                   const char *type, const char *text) {
  struct MHD_Response *r = mhd->create_response_from_buffer(
    strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  enum MHD_Result result = MHD_NO;

  if (r != NULL) {
    (void)mhd->add_response_header(r, "Content-Type", type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
      (void)mhd->add_response_header(r, "Allow", "GET, HEAD, POST");
    }
    result = mhd->queue_response(c, status, r);
    mhd->destroy_response(r);
  }
  return result;
}

static void body_free(void *body) { cmt_buf_unref(body); }

static ssize_t body_read(void *body, uint64_t at, char *out, size_t max) {
  cmt_bytes all = cmt_buf_bytes(body);
  size_t left = at < all.len ? all.len - (size_t)at : 0;
  size_t len = left < max ? left : max;

  if (len == 0) {
    return MHD_CONTENT_READER_END_OF_STREAM;
  }
  memcpy(out, all.base + at, len);
  return (ssize_t)len;
}

/* The body is read from where it is, and dropped with the response. */
static enum MHD_Result answer_body(struct MHD_Connection *c,
                                   const cli_http_answer *a) {
  struct MHD_Response *r = mhd->create_response_from_callback(
    cmt_buf_bytes(a->body).len, 64 << 10, body_read, a->body, body_free);
  enum MHD_Result result = MHD_NO;

  if (r == NULL) {
    cmt_buf_unref(a->body);
    return MHD_NO;
  }
  (void)mhd->add_response_header(r, "Content-Type", a->type);
  result = mhd->queue_response(c, a->status, r);
  mhd->destroy_response(r);
  return result;
}

static enum MHD_Result answer_refused(struct MHD_Connection *c, const slot *s) {
  char text[96];

  snprintf(text, sizeof text,
           "Limit of concurrent requests reached (%u), try again later.\n",
           s->server->options.requests_max);
  return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, PLAIN, text);
}

/* Only letters, digits and a few signs, as names and addresses have them. */
void cli_http_read_host(const char *header, char out[CLI_HTTP_HOST_SIZE]) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  bool bracket = header != NULL && header[0] == '[';
  size_t len = header == NULL ? 0
               : bracket ? 1 + strspn(header + 1, "0123456789abcdefABCDEF:.")
                         : strspn(header, allowed);

  out[0] = '\0';
  if (bracket && header[len] != ']') {
    return;
  }
  len += bracket;
  if (len > 0 && len < CLI_HTTP_HOST_SIZE &&
      (header[len] == '\0' || header[len] == ':')) {
    memcpy(out, header, len);
    out[len] = '\0';
  }
}

static enum MHD_Result request_answer(struct MHD_Connection *c,
                                      const char *path, const slot *s) {
  const cli_http_options *o = &s->server->options;
  char host[CLI_HTTP_HOST_SIZE];
  const cli_http_request r = {
    .path = path,
    .query = s->query,
    .body = {.base = s->body, .len = s->len},
    .host = host,
  };
  cli_http_answer a;

  if (s->refused) {
    return answer_refused(c, s);
  }
  if (s->too_long) {
    return answer_text(c, MHD_HTTP_CONTENT_TOO_LARGE, PLAIN,
                       "413 request too large\n");
  }
  cli_http_read_host(
    mhd->lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST),
    host);
  a = o->answer(o->arg, &r);
  return a.body != NULL
           ? answer_body(c, &a)
           : answer_text(c, MHD_HTTP_NOT_FOUND, PLAIN, "404 page not found\n");
}

static void body_add(slot *s, const char *data, size_t len) {
  uint8_t *body =
    len <= CLI_HTTP_BODY_MAX - s->len ? realloc(s->body, s->len + len) : NULL;

  if (body == NULL) {
    s->too_long = true;
    return;
  }
  memcpy(body + s->len, data, len);
  s->body = body;
  s->len += len;
}

static bool is_allowed(const char *method) {
  return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
         strcmp(method, "POST") == 0;
}

/* The types of libmicrohttpd's callbacks. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *len, void **slot_at) {
  slot *s = *slot_at;

  (void)arg;
  (void)version;
  if (s == NULL) {
    return MHD_NO; /* There was no memory for it. */
  }
  if (!is_allowed(method)) {
    return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, PLAIN,
                       "405 method not allowed\n");
  }
  if (*len > 0) {
    body_add(s, data, *len);
    *len = 0;
    return MHD_YES;
  }
  if (s->body == NULL && !s->too_long && !s->begun) {
    s->begun = true; /* These are the headers; a body may follow. */
    return MHD_YES;
  }
  return request_answer(c, url, s);
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *c) {
  cli_http *h = arg;
  slot *s = calloc(1, sizeof *s);
  const char *query = strchr(uri, '?');

  (void)c;
  if (s == NULL) {
    return NULL;
  }
  s->server = h;
  s->refused =
    h->options.requests_max > 0 && h->requests >= h->options.requests_max;
  h->requests++;
  if (query != NULL) {
    int size = snprintf(s->query, sizeof s->query, "%s", query + 1);

    s->too_long = size < 0 || (size_t)size >= sizeof s->query;
  }
  return s;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **slot_at,
                         enum MHD_RequestTerminationCode code) {
  cli_http *h = arg;
  slot *s = *slot_at;

  (void)c;
  (void)code;
  if (s != NULL) {
    h->requests--;
    free(s->body);
    free(s);
    *slot_at = NULL;
  }
}

/* ---- the server ---- */

/* What libmicrohttpd would print concerns clients that break the protocol. */
static void on_log(void *arg, const char *format, va_list args) {
  (void)arg;
  (void)format;
  (void)args;
}

static socklen_t address_fill(const char *host, uint16_t port,
                              struct sockaddr_storage *out) {
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
  struct sockaddr_in *four = (struct sockaddr_in *)out;

  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    return sizeof *four;
  }
  (void)inet_pton(AF_INET6, host, &six->sin6_addr);
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  return sizeof *six;
}

/* A listening socket, so that the reason of a failure is known; -1: errno. */
static int listen_at(const char *host, uint16_t port) {
  struct sockaddr_storage at;
  socklen_t len = address_fill(host, port, &at);
  int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1, off = 0;

  if (fd < 0) {
    return -1;
  }
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.ss_family == AF_INET6) {
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (bind(fd, (struct sockaddr *)&at, len) != 0 ||
      listen(fd, CLI_HTTP_CONNECTIONS_MAX) != 0) {
    int error = errno;

    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

static void address_text(int fd, char *out, size_t cap) {
  struct sockaddr_storage at;
  socklen_t len = sizeof at;
  char host[64] = "?";
  uint16_t port = 0;

  if (getsockname(fd, (struct sockaddr *)&at, &len) == 0) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&at;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&at;
    bool is_six = at.ss_family == AF_INET6;

    port = ntohs(is_six ? six->sin6_port : four->sin_port);
    inet_ntop(at.ss_family,
              is_six ? (const void *)&six->sin6_addr : &four->sin_addr, host,
              sizeof host);
  }
  snprintf(out, cap, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
           port);
}

static struct MHD_Daemon *daemon_start(cli_http *h, int fd) {
  return mhd->start_daemon(
    MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h,
    MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_CONNECTION_LIMIT,
    (unsigned)CLI_HTTP_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
    (unsigned)CLI_HTTP_PER_IP_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
    (unsigned)CLI_HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
    (size_t)(32 << 10), MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
    MHD_OPTION_END);
}

/* The pointer does not change any more: servers use it on their threads. */
static bool library_open(cmt_why *why) {
  if (mhd == NULL) {
    mhd = cli_http_library_load(why);
  }
  return mhd != NULL;
}

cli_http *cli_http_start(const cli_http_options *o, cmt_why *why) {
  char host[64];
  uint16_t port;
  cli_http *h;
  int fd;

  if (!cli_http_parse(o->addr, o->what, host, &port, why) ||
      !library_open(why)) {
    return NULL;
  }
  h = calloc(1, sizeof *h);
  fd = h != NULL ? listen_at(host, port) : -1;
  if (fd >= 0) {
    h->options = *o;
    address_text(fd, h->addr, sizeof h->addr);
    h->daemon = daemon_start(h, fd);
  }
  if (fd < 0 || h->daemon == NULL) {
    *why = (cmt_why){.err = h == NULL ? CMT_ENOMEM : CMT_EIO};
    snprintf(why->text, sizeof why->text, "%s: cannot listen at %.64s: %s",
             o->what, o->addr, strerror(errno));
    if (fd >= 0) {
      close(fd);
    }
    free(h);
    return NULL;
  }
  return h;
}

int cli_http_fd(const cli_http *h) {
  const union MHD_DaemonInfo *info =
    mhd->get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);

  return info->epoll_fd;
}

uint64_t cli_http_timeout_ns(const cli_http *h) {
  MHD_UNSIGNED_LONG_LONG ms;

  return mhd->get_timeout(h->daemon, &ms) == MHD_YES ? CMT_MILLISECONDS(ms)
                                                     : CMT_NEVER;
}

void cli_http_run(cli_http *h) { (void)mhd->run(h->daemon); }

const char *cli_http_addr(const cli_http *h) { return h->addr; }

void cli_http_stop(cli_http *h) {
  if (h != NULL) {
    mhd->stop_daemon(h->daemon);
    free(h);
  }
}
