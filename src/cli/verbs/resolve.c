/* SPDX-License-Identifier: Apache-2.0 */
/* getaddrinfo() cannot be interrupted, so it runs in a detached thread; when
   the caller does not wait any more, the thread itself frees what both
   shared. */

#include "resolve.h"

#include "cli/ui/cli.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct lookup {
  pthread_mutex_t lock;
  int done_fd;
  char host[256], port[8];
  bool done, left; /* The thread ended; the caller did. */
  int err;
  struct addrinfo *list;
} lookup;

static void lookup_free(lookup *l) {
  if (l->list != NULL) {
    freeaddrinfo(l->list);
  }
  close(l->done_fd);
  pthread_mutex_destroy(&l->lock);
  free(l);
}

static void *lookup_run(void *arg) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  lookup *l = arg;
  struct addrinfo *list = NULL;
  int err = getaddrinfo(l->host, l->port, &hints, &list);
  uint64_t one = 1;
  bool left;

  pthread_mutex_lock(&l->lock);
  l->err = err;
  l->list = list;
  l->done = true;
  left = l->left;
  if (write(l->done_fd, &one, sizeof one) != sizeof one) {
    l->err = EAI_SYSTEM;
  }
  pthread_mutex_unlock(&l->lock);
  if (left) {
    lookup_free(l);
  }
  return NULL;
}

static lookup *lookup_start(const cmt_net_addr *addr) {
  lookup *l = cli_alloc(1, sizeof *l);
  pthread_attr_t attr;
  pthread_t thread;
  int err;

  pthread_mutex_init(&l->lock, NULL);
  l->done_fd = eventfd(0, EFD_CLOEXEC);
  snprintf(l->host, sizeof l->host, "%s", addr->host);
  snprintf(l->port, sizeof l->port, "%u", addr->port);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  err = pthread_create(&thread, &attr, lookup_run, l);
  pthread_attr_destroy(&attr);
  if (err != 0) {
    lookup_free(l);
    return NULL;
  }
  return l;
}

/* The numeric text of |a|. */
static void address_text(cli_address *a) {
  cmt_net_addr addr = {0};
  char port[8];

  if (getnameinfo((const struct sockaddr *)&a->storage, a->len, addr.host,
                  sizeof addr.host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return;
  }
  addr.port = (uint16_t)strtoul(port, NULL, 10);
  if (cmt_net_addr_format(&addr, a->text, sizeof a->text) != CMT_OK) {
    a->text[0] = '\0';
  }
}

/* The scope of a zone, which is the name of an interface or a number. */
static bool zone_scope(const char *zone, uint32_t *out) {
  unsigned long number;
  char *end;

  *out = if_nametoindex(zone);
  if (*out != 0 || *zone < '0' || *zone > '9') {
    return *out != 0;
  }
  number = strtoul(zone, &end, 10);
  *out = (uint32_t)number;
  return *end == '\0' && number <= UINT32_MAX;
}

/* Writes an IP literal to |out|, which is for one.  The resolver of the system
   does not accept a zone for every address.  False: |addr| has a name. */
static bool take_literal(const cmt_net_addr *addr, cli_address *out,
                         const char **fault) {
  struct sockaddr_in in = {.sin_family = AF_INET,
                           .sin_port = htons(addr->port)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                             .sin6_port = htons(addr->port)};
  cmt_net_addr bare = *addr;
  char *zone = strchr(bare.host, '%');

  *out = (cli_address){.len = sizeof in};
  bare.id.text[0] = '\0';
  if (cmt_net_addr_format(&bare, out->text, sizeof out->text) != CMT_OK) {
    return false;
  }
  if (zone != NULL) {
    *zone++ = '\0';
  }
  if (inet_pton(AF_INET, bare.host, &in.sin_addr) == 1) {
    memcpy(&out->storage, &in, sizeof in);
    return true;
  }
  if (inet_pton(AF_INET6, bare.host, &in6.sin6_addr) != 1) {
    return false;
  }
  if (zone != NULL && !zone_scope(zone, &in6.sin6_scope_id)) {
    *fault = "no such network interface";
  }
  out->len = sizeof in6;
  memcpy(&out->storage, &in6, sizeof in6);
  return true;
}

static size_t copy_list(const struct addrinfo *list, cli_address *out) {
  size_t count = 0;

  for (; list != NULL && count < CLI_ADDRESSES_MAX; list = list->ai_next) {
    if (list->ai_addrlen > sizeof out->storage) {
      continue;
    }
    memset(&out[count], 0, sizeof out[count]);
    memcpy(&out[count].storage, list->ai_addr, list->ai_addrlen);
    out[count].len = list->ai_addrlen;
    address_text(&out[count]);
    count++;
  }
  return count;
}

static void resolve_why(cmt_why *why, const char *host, const char *text) {
  *why = (cmt_why){.err = CMT_ERESOLVE, .stage = CMT_STAGE_TRANSPORT};
  snprintf(why->text, sizeof why->text, "cannot resolve %.180s: %s", host,
           text);
}

/* Asks the system's resolver for a name, as cli_resolve(). */
static size_t resolve_name(const cmt_net_addr *addr, cli_waiter *wait,
                           uint64_t timeout_ns, cli_address *out,
                           cmt_why *why) {
  uint64_t now_ns = cli_now_ns();
  uint64_t until_ns = now_ns + timeout_ns;
  lookup *l = lookup_start(addr);
  size_t count = 0;
  short ready = 0;
  bool done;

  if (l == NULL) {
    resolve_why(why, addr->host, "no thread");
    return 0;
  }
  while (ready == 0 && !wait->interrupted && now_ns < until_ns) {
    cli_waiter_wait_fd(wait, until_ns - now_ns, l->done_fd, POLLIN, &ready);
    now_ns = cli_now_ns();
  }
  pthread_mutex_lock(&l->lock);
  done = l->done;
  l->left = true;
  pthread_mutex_unlock(&l->lock);
  if (!done && wait->interrupted) {
    *why = (cmt_why){.err = CMT_ECANCELED, .stage = CMT_STAGE_TRANSPORT};
    snprintf(why->text, sizeof why->text, "interrupted");
    return 0;
  }
  if (!done) {
    resolve_why(why, addr->host, "no answer in time");
    return 0;
  }
  count = l->err == 0 ? copy_list(l->list, out) : 0;
  if (count == 0) {
    resolve_why(why, addr->host,
                l->err == 0 ? "no address" : gai_strerror(l->err));
  }
  lookup_free(l);
  return count;
}

size_t cli_resolve(const cmt_net_addr *addr, cli_waiter *wait,
                   uint64_t timeout_ns, cli_address *out, cmt_why *why) {
  const char *fault = NULL;

  if (!take_literal(addr, out, &fault)) {
    return resolve_name(addr, wait, timeout_ns, out, why);
  }
  if (fault != NULL) {
    resolve_why(why, addr->host, fault);
  }
  return fault == NULL;
}
