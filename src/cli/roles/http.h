/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

/* A small HTTP server, on libmicrohttpd: answers GET, HEAD and POST from what
   the command has ready, on the thread that runs it.  It never waits for a
   loop, and a client that is slow, or one of many, costs a bounded number of
   connections. */

#include "cli/ui/cli.h"

#include <string.h>

typedef struct cli_http cli_http;

typedef struct cli_http_request {
  const char *path;  /* Without the query. */
  const char *query; /* What follows the first '?'; "". */
  cmt_bytes body;    /* What a POST has, at most CLI_HTTP_BODY_MAX bytes. */
  const char *host;  /* What the client calls this machine, a name or an address
                        without a port; "": nothing that could be one. */
} cli_http_request;

enum {
  CLI_HTTP_BODY_MAX = 64 << 10,
  CLI_HTTP_CONNECTIONS_MAX = 64, /* Sockets at one time, */
  CLI_HTTP_PER_IP_MAX = 16,      /* and those of one address. */
  CLI_HTTP_HOST_SIZE = 256,
  CLI_HTTP_IDLE_S = 10, /* A connection that says nothing is closed. */
};

/* The answer.  |body| NULL: the page of a path that does not exist. */
typedef struct cli_http_answer {
  unsigned status;
  const char *type; /* Content type; static. */
  cmt_buf *body;    /* The server drops the reference. */
} cli_http_answer;

typedef struct cli_http_options {
  const char *addr; /* "HOST:PORT" or ":PORT", perhaps with "tcp://" or
                       "http://" before it; HOST is an IP literal or
                       "localhost". */
  const char *what; /* For messages: the key or option that |addr| is of. */
  unsigned requests_max; /* In work at one time; 0: no limit.  Over it 503. */
  /* In cli_http_run(). */
  cli_http_answer (*answer)(void *arg, const cli_http_request *r);
  void *arg;
} cli_http_options;

/* A buffer with |text|; NULL: |text| is, or there is no memory. */
static inline cmt_buf *cli_http_body(const char *text) {
  cmt_buf *body = text != NULL ? cmt_buf_new(NULL, strlen(text)) : NULL;

  if (body != NULL) {
    memcpy(cmt_buf_data(body), text, strlen(text));
  }
  return body;
}

/* Reads the header Host, which may be NULL, for |host| of a request. */
void cli_http_read_host(const char *header, char out[CLI_HTTP_HOST_SIZE]);
/* NULL: |why| states what is wrong with the address, or that it cannot
   listen. */
cli_http *cli_http_start(const cli_http_options *o, cmt_why *why);
/* Readable when cli_http_run() has something to do. */
int cli_http_fd(const cli_http *h);
/* When to run it at the latest; CMT_NEVER: not before its descriptor is
   readable. */
uint64_t cli_http_timeout_ns(const cli_http *h);
void cli_http_run(cli_http *h);
/* Where it listens, "IP:PORT". */
const char *cli_http_addr(const cli_http *h);
/* NULL is fine. */
void cli_http_stop(cli_http *h);

/* Splits |addr| as above into a socket address; false: |why| has the reason. */
bool cli_http_parse(const char *addr, const char *what, char host[64],
                    uint16_t *port, cmt_why *why);

#endif
