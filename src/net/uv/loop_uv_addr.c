/* SPDX-License-Identifier: Apache-2.0 */

/* Addresses of sockets as text and back. */

#include "loop_uv_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

#include "core/conn/net_addr.h"

#include <cometp2p/node_info.h>

enum { HOST_TEXT_SIZE = INET6_ADDRSTRLEN + IF_NAMESIZE }; /* With '%'. */

/* The scope of a zone: the interface of that name, or else with that number.
   False: there is none. */
static bool zone_scope(const char *zone, uint32_t *out) {
  unsigned long number;
  char *end;

  *out = if_nametoindex(zone);
  if (*out != 0) {
    return true;
  }
  errno = 0;
  number = strtoul(zone, &end, 10);
  *out = (uint32_t)number;
  return errno == 0 && *end == '\0' && zone[0] >= '0' && zone[0] <= '9' &&
         number <= UINT32_MAX;
}

int cmt__uv_sockaddr(const cmt_net_addr *a, cmt__sockaddr *out,
                     socklen_t *len) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                             .sin6_port = htons(a->port)};
  const char *zone = strchr(a->host, '%');
  cmt_net_addr bare = *a;

  memset(out, 0, sizeof *out);
  cmt__net_addr_drop_zone(&bare);
  if (zone == NULL && inet_pton(AF_INET, bare.host, &in.sin_addr) == 1) {
    memcpy(out, &in, sizeof in);
    *len = sizeof in;
    return 0;
  }
  if (inet_pton(AF_INET6, bare.host, &in6.sin6_addr) != 1) {
    return EINVAL;
  }
  if (zone != NULL && !zone_scope(zone + 1, &in6.sin6_scope_id)) {
    return ENODEV;
  }
  memcpy(out, &in6, sizeof in6);
  *len = sizeof in6;
  return 0;
}

/* Appends the zone of |scope|, if it has one. */
static void append_zone(char *host, size_t cap, uint32_t scope) {
  char name[IF_NAMESIZE], zoned[HOST_TEXT_SIZE];
  size_t len = strlen(host);

  if (scope == 0) {
    return;
  }
  if (if_indextoname(scope, name) != NULL) {
    snprintf(host + len, cap - len, "%%%s", name);
    if (cmt__ip_canonical(cmt_bytes_of(host), zoned, sizeof zoned)) {
      return;
    }
  }
  snprintf(host + len, cap - len, "%%%u", scope); /* Whatever its name is. */
}

void cmt__uv_net_addr(const struct sockaddr *sa, cmt_net_addr *out) {
  char host[HOST_TEXT_SIZE] = "";
  struct sockaddr_in in;
  struct sockaddr_in6 in6;

  memset(out, 0, sizeof *out);
  if (sa->sa_family == AF_INET) {
    memcpy(&in, sa, sizeof in);
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    out->port = ntohs(in.sin_port);
  } else if (sa->sa_family == AF_INET6) {
    memcpy(&in6, sa, sizeof in6);
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
    append_zone(host, sizeof host, in6.sin6_scope_id);
    out->port = ntohs(in6.sin6_port);
  }
  (void)cmt__ip_canonical(cmt_bytes_of(host), out->host, sizeof out->host);
}
