/* SPDX-License-Identifier: Apache-2.0 */

/* Zones of IPv6 addresses on the production loop, and the ways to name all
   addresses of this machine.  socket() of the library ends up in the one below,
   which can make a system in which bindv6only is 1, or that has no IPv6. */

#include "net/uv/loop_uv.h"
#include "net/uv/loop_uv_impl.h"

#include "loop_user.h"
#include "sockets.h"
#include "test.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static enum { PLAIN, V6ONLY, WITHOUT_IPV6 } system_kind;

int socket(int family, int type, int protocol) {
  int fd, on = 1;

  if (family == AF_INET6 && system_kind == WITHOUT_IPV6) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  fd = (int)syscall(SYS_socket, family, type, protocol);
  if (family == AF_INET6 && system_kind == V6ONLY) {
    assert_int_equal(0,
                     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
  }
  return fd;
}

static int setup(void **state) {
  (void)state;
  system_kind = PLAIN;
  return 0;
}

/* ---- texts ---- */

static const char *loopback_name(void) {
  static char name[IF_NAMESIZE];

  assert_non_null(if_indextoname(1, name)); /* It is always the first. */
  return name;
}

static int to_sockaddr(const char *host, cmt__sockaddr *out) {
  cmt_net_addr a = {.port = 26656};
  socklen_t len = 0;
  int error;

  snprintf(a.host, sizeof a.host, "%s", host);
  error = cmt__uv_sockaddr(&a, out, &len);
  if (error == 0) {
    assert_true(len == sizeof out->in || len == sizeof out->in6);
  }
  return error;
}

static void assert_back(const char *host, const cmt__sockaddr *sa) {
  cmt_net_addr a;

  cmt__uv_net_addr(&sa->any, &a);
  assert_string_equal(host, a.host);
  assert_int_equal(26656, a.port);
}

static void a_zone_is_a_scope_and_back(void **state) {
  char zoned[64];
  cmt__sockaddr sa;

  (void)state;
  snprintf(zoned, sizeof zoned, "fe80::1%%%s", loopback_name());
  assert_int_equal(0, to_sockaddr(zoned, &sa));
  assert_int_equal(1, sa.in6.sin6_scope_id);
  assert_back(zoned, &sa);
}

static void a_number_is_a_zone_too(void **state) {
  char zoned[64];
  cmt__sockaddr sa;

  (void)state;
  assert_int_equal(0, to_sockaddr("fe80::1%1", &sa));
  assert_int_equal(1, sa.in6.sin6_scope_id);
  snprintf(zoned, sizeof zoned, "fe80::1%%%s", loopback_name());
  assert_back(zoned, &sa);
  assert_int_equal(0, to_sockaddr("fe80::1%4294967295", &sa));
  assert_true(sa.in6.sin6_scope_id == UINT32_MAX);
  assert_back("fe80::1%4294967295", &sa); /* No interface has it. */
  assert_int_equal(0, to_sockaddr("fe80::1%0", &sa));
  assert_back("fe80::1", &sa);
  /* The longest text there is. */
  assert_int_equal(
    0, to_sockaddr("fe80:1111:2222:3333:4444:5555:6666:7777%4294967295", &sa));
  assert_back("fe80:1111:2222:3333:4444:5555:6666:7777%4294967295", &sa);
}

static void a_zone_that_is_no_interface_is_distinguished(void **state) {
  cmt__sockaddr sa;

  (void)state;
  assert_int_equal(ENODEV, to_sockaddr("fe80::1%nosuch0", &sa));
  assert_int_equal(ENODEV, to_sockaddr("fe80::1%4294967296", &sa));
  assert_int_equal(ENODEV, to_sockaddr("fe80::1%1x", &sa));
  assert_int_equal(ENODEV, to_sockaddr("fe80::1%-1", &sa));
  assert_int_equal(EINVAL, to_sockaddr("1.2.3.4%lo", &sa));
  assert_int_equal(EINVAL, to_sockaddr("a.name", &sa));
  assert_int_equal(0, to_sockaddr("1.2.3.4", &sa));
  assert_back("1.2.3.4", &sa);
  assert_int_equal(0, to_sockaddr("2001:db8::1", &sa));
  assert_back("2001:db8::1", &sa);
}

/* ---- connections ---- */

typedef struct place {
  test_env env;
  cmt__loop *loop;
  cmt__listener *listener;
  cmt_net_addr at;
  test_users users;
  test_user client;
} place;

static void place_init(place *p, const char *host) {
  cmt_why why;

  memset(p, 0, sizeof *p);
  test_env_init(&p->env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&p->env.env, &p->loop));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(p->loop, 16));
  snprintf(p->at.host, sizeof p->at.host, "%s", host);
  if (cmt__loop_listen(p->loop, &p->at, test_user_accept, &p->users,
                       &p->listener, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  cmt__listener_addr(p->listener, &p->at);
}

static void place_fini(place *p) {
  test_user_close(&p->client);
  for (size_t i = 0; i < TEST_USERS; i++) {
    test_user_close(&p->users.user[i]);
  }
  cmt__listener_close(p->listener);
  cmt__loop_delete(p->loop);
  test_env_fini(&p->env);
}

static bool is_accepted(void *arg) {
  const place *p = arg;

  return p->client.connects > 0 &&
         (p->client.connect_err != CMT_OK || p->users.count > 0);
}

static void assert_reaches(place *p, const char *host) {
  cmt_net_addr to = {.port = p->at.port};

  snprintf(to.host, sizeof to.host, "%s", host);
  test_user_connect(&p->client, p->loop, &to);
  test_user_run(p->loop, is_accepted, p);
  assert_cmt(CMT_OK, p->client.connect_err);
}

static void
all_addresses_are_both_families_where_bindv6only_is_1(void **state) {
  place p;

  (void)state;
  system_kind = V6ONLY;
  place_init(&p, "::");
  assert_reaches(&p, "127.0.0.1");
  place_fini(&p);
}

static void without_ipv6_all_addresses_are_those_of_ipv4(void **state) {
  place p;

  (void)state;
  system_kind = WITHOUT_IPV6;
  place_init(&p, "::");
  assert_string_equal("0.0.0.0", p.at.host);
  assert_reaches(&p, "127.0.0.1");
  place_fini(&p);
}

static cmt_err start_on(const char *laddr, cmt_net_addr *at, cmt_why *why);

/* Whether this machine has an IPv6 address at all. */
static bool has_ipv6(void) {
  cmt_net_addr at;
  cmt_why why;

  return start_on("[::1]:0", &at, &why) == CMT_OK;
}

/* Every machine with IPv6 has this one of the addresses with a zone. */
static void a_zone_can_be_listened_on_and_dialed(void **state) {
  char zoned[64];
  cmt_net_addr at;
  cmt_why why;
  place p;

  (void)state;
  if (!has_ipv6()) {
    assert_cmt(CMT_EIO, start_on("[::1%1]:0", &at, &why));
    return;
  }
  snprintf(zoned, sizeof zoned, "::1%%%s", loopback_name());
  place_init(&p, zoned);
  assert_reaches(&p, zoned);
  place_fini(&p);
}

static void a_zone_that_is_no_interface_cannot_be_dialed(void **state) {
  cmt_net_addr to = {.host = "fe80::1%nosuch0", .port = 1};
  char text[100];
  cmt__tcp *tcp;
  place p;

  (void)state;
  place_init(&p, "127.0.0.1");
  assert_cmt(CMT_EUNREACH, cmt__loop_connect(p.loop, &to, &test_user_callbacks,
                                             &p.client, &tcp));
  assert_string_equal(
    "the address cannot be reached (no such network interface)",
    cmt__loop_fault(CMT_EUNREACH, p.loop->error, text, sizeof text));
  place_fini(&p);
}

/* ---- switches ---- */

static cmt_err start_on(const char *laddr, cmt_net_addr *at, cmt_why *why) {
  cmt_reactor r = {.name = "none"};
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_err err;

  test_switch_options(&o, &r);
  o.laddr = laddr;
  err = cmt_switch_new(&o, &sw, why);
  if (err != CMT_OK) {
    return err;
  }
  err = cmt_switch_start(sw, why);
  if (err == CMT_OK) {
    assert_cmt(CMT_OK, cmt_switch_get_laddr(sw, at));
  }
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  return err;
}

static void every_way_to_name_all_addresses(void **state) {
  static const char *const all[] = {"*:0",       ":0",       "[::]:0",
                                    "tcp://*:0", "tcp://:0", "tcp://[::]:0"};
  cmt_net_addr at;
  cmt_why why;

  (void)state;
  for (int without = 0; without < 2; without++) {
    system_kind = without ? WITHOUT_IPV6 : V6ONLY;
    for (size_t i = 0; i < CMT__COUNT(all); i++) {
      assert_cmt(CMT_OK, start_on(all[i], &at, &why));
      assert_string_equal(without ? "0.0.0.0" : "::", at.host);
      assert_true(at.port != 0);
    }
  }
  assert_cmt(CMT_OK, start_on("tcp://0.0.0.0:0", &at, &why));
  assert_string_equal("0.0.0.0", at.host);
}

static void what_is_no_address_to_listen_on_is_refused(void **state) {
  static const struct {
    const char *laddr, *text;
  } wrong[] = {
    {"::", "address '::': an IPv6 address needs brackets"},
    {"*", "address '*': the port is missing"},
    {"[*]:0", "address '[*]:0': '*' stands for all addresses, on which one can "
              "only listen"},
    {"*.example:0", "address '*.example:0': '*' stands for all addresses, on "
                    "which one can only listen"},
    {"[]:0", "address '[]:0': the host is empty"},
    {"localhost:0", "laddr: localhost is not an IP address"},
  };
  cmt_net_addr at;
  cmt_why why;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(wrong); i++) {
    assert_cmt(CMT_EINVAL, start_on(wrong[i].laddr, &at, &why));
    assert_string_equal(wrong[i].text, why.text);
  }
}

static void a_listener_names_an_unknown_zone(void **state) {
  cmt_net_addr at;
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EIO, start_on("[fe80::1%nosuch0]:0", &at, &why));
  assert_string_equal("cannot listen on [fe80::1%nosuch0]:0: no such network "
                      "interface",
                      why.text);
}

static void a_listener_reports_what_the_system_said(void **state) {
  cmt_net_addr at;
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EIO, start_on("[fe80::1]:0", &at, &why)); /* No zone. */
  if (has_ipv6()) {
    assert_string_equal("cannot listen on [fe80::1]:0: Invalid argument",
                        why.text);
  }
  assert_cmt(CMT_EIO, start_on("192.0.2.1:0", &at, &why));
  assert_string_equal("cannot listen on 192.0.2.1:0: Cannot assign requested "
                      "address",
                      why.text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
  const struct CMUnitTest tests[] = {
    TEST(a_zone_is_a_scope_and_back),
    TEST(a_number_is_a_zone_too),
    TEST(a_zone_that_is_no_interface_is_distinguished),
    TEST(all_addresses_are_both_families_where_bindv6only_is_1),
    TEST(without_ipv6_all_addresses_are_those_of_ipv4),
    TEST(a_zone_can_be_listened_on_and_dialed),
    TEST(a_zone_that_is_no_interface_cannot_be_dialed),
    TEST(every_way_to_name_all_addresses),
    TEST(what_is_no_address_to_listen_on_is_refused),
    TEST(a_listener_names_an_unknown_zone),
    TEST(a_listener_reports_what_the_system_said),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
