/* SPDX-License-Identifier: Apache-2.0 */

/* A switch that a home configures, on sockets: 0.0.0.0 is IPv6 too, as with a
   node in Go. */

#include "home_user.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whether a socket of |family| exists here. */
static bool has_family(int family) {
  struct sockaddr_in6 at = {.sin6_family = AF_INET6,
                            .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool has =
    fd >= 0 && (family == AF_INET ||
                bind(fd, (const struct sockaddr *)&at, sizeof at) == 0);

  if (fd >= 0) {
    close(fd);
  }
  return has;
}

/* The port on loopback of |family| accepts a connection. */
static bool accepts(int family, uint16_t port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET,
                           .sin_port = htons(port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                            .sin6_port = htons(port),
                            .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int failed = family == AF_INET
                 ? connect(fd, (const struct sockaddr *)&v4, sizeof v4)
                 : connect(fd, (const struct sockaddr *)&v6, sizeof v6);

  close(fd);
  return failed == 0;
}

static void all_addresses_are_reached_by_both_families(void **state) {
  test_home *t = *state;
  cmt_switch_options o;
  cmt_net_addr at;
  cmt_switch *sw;

  test_home_opens(t, "[p2p]\nladdr = \"tcp://0.0.0.0:0\"\n");
  cmt_switch_options_init(&o);
  cmt_home_set_switch(t->h, &o);
  o.network = "test";
  assert_cmt(CMT_OK, cmt_switch_open(&o, &sw, &t->why));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(sw, &at));
  assert_true(at.port != 0);
  assert_true(accepts(AF_INET, at.port));
  if (has_family(AF_INET6)) {
    assert_true(accepts(AF_INET6, at.port));
  }
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_home_setup, test_home_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(all_addresses_are_reached_by_both_families),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
