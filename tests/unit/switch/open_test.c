/* SPDX-License-Identifier: Apache-2.0 */

/* The short forms, over real sockets. */

#include "sockets.h"

#define ID "00112233445566778899aabbccddeeff0011223"

static const cmt_channel channels[] = {{.id = 0x51, .priority = 1}};

static cmt_err closed_inside;

static void close_inside(void *arg, cmt_err status) {
  (void)status;
  closed_inside = cmt_switch_close(arg, 0);
}

static void a_switch_is_opened_and_closed(void **state) {
  static const cmt_reactor chat =
    CMT_REACTOR("chat", channels, .delivery = CMT_DELIVER_WORKERS);
  char text[CMT_NET_ADDR_TEXT_SIZE], expected[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;
  cmt_switch *sw;
  cmt_switch_options o;

  (void)state;
  assert_string_equal("chat", chat.name);
  assert_ptr_equal(channels, chat.channels);
  assert_int_equal(1, chat.channel_count);
  assert_int_equal(CMT_DELIVER_WORKERS, chat.delivery);
  test_switch_options(&o, &chat);
  assert_cmt(CMT_OK, cmt_switch_open(&o, &sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr_text(sw, text, sizeof text));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(sw, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, expected, sizeof expected));
  assert_string_equal(expected, text);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
  assert_cmt(CMT_OK, cmt_switch_close(NULL, 0));
}

static void what_cannot_start_is_gone(void **state) {
  static const cmt_reactor chat = {.name = "chat"};
  char text[CMT_NET_ADDR_TEXT_SIZE] = "before";
  cmt_switch *first, *second;
  cmt_switch_options o;
  cmt_why why;

  (void)state;
  test_switch_options(&o, &chat);
  assert_cmt(CMT_OK, cmt_switch_open(&o, &first, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr_text(first, text, sizeof text));
  o.laddr = strchr(text, '@') + 1;
  assert_cmt(CMT_EIO, cmt_switch_open(&o, &second, &why));
  assert_null(second);
  assert_non_null(strstr(why.text, "cannot listen on"));
  o.network = NULL;
  assert_cmt(CMT_EINVAL, cmt_switch_open(&o, &second, &why));
  assert_null(second);
  assert_cmt(CMT_OK, cmt_switch_close(first, 0));
  test_switch_options(&o, &chat);
  o.laddr = NULL;
  assert_cmt(CMT_OK, cmt_switch_open(&o, &first, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_get_laddr_text(first, text, sizeof text));
  assert_string_equal("", text);
  assert_cmt(CMT_OK, cmt_switch_close(first, 0));
}

static void a_list_is_dialed_up_to_its_first_error(void **state) {
  static const cmt_reactor chat = {.name = "chat"};
  char longest[CMT_NET_ADDR_TEXT_SIZE + 1];
  cmt_dial_status list[4];
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw;
  cmt_switch_options o;
  cmt_why why;

  (void)state;
  test_switch_options(&o, &chat);
  test_switch_start(&o, &sw, addr);
  assert_cmt(CMT_OK, cmt_switch_dial_list(sw, "", 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial_list(sw, " ,, ", 0, NULL));
  assert_int_equal(0, cmt_switch_dials(sw, list, 4));
  assert_cmt(CMT_OK, cmt_switch_dial_list(sw,
                                          ID "1@[fe80::1%nowhere]:1, " ID
                                             "2@[fe80::1%nowhere]:1",
                                          CMT_DIAL_PERSISTENT, NULL));
  assert_int_equal(2, cmt_switch_dials(sw, list, 4));
  assert_cmt(CMT_EINVAL,
             cmt_switch_dial_list(
               sw, ID "3@[fe80::1%nowhere]:1,nonsense," ID "4@127.0.0.1:1",
               CMT_DIAL_PERSISTENT, &why));
  assert_non_null(strstr(why.text, "nonsense"));
  assert_int_equal(3, cmt_switch_dials(sw, list, 4));
  assert_cmt(CMT_EINVAL, cmt_switch_dial_list(sw, NULL, 0, &why));
  assert_string_equal("addrs is NULL", why.text);
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  assert_cmt(CMT_EINVAL, cmt_switch_dial_list(sw, longest, 0, &why));
  assert_string_equal("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: 306 bytes, "
                      "an address has at most 305",
                      why.text);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

static void a_switch_is_not_closed_from_inside(void **state) {
  static const cmt_reactor chat = {.name = "chat"};
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_post post = {.cb = close_inside};
  cmt_switch *sw;
  cmt_switch_options o;

  (void)state;
  test_switch_options(&o, &chat);
  test_switch_start(&o, &sw, addr);
  post.arg = sw;
  closed_inside = CMT_OK;
  assert_cmt(CMT_OK, cmt_switch_post(sw, &post));
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
  assert_cmt(CMT_EDEADLK, closed_inside);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_switch_is_opened_and_closed),
    cmocka_unit_test(what_cannot_start_is_gone),
    cmocka_unit_test(a_list_is_dialed_up_to_its_first_error),
    cmocka_unit_test(a_switch_is_not_closed_from_inside),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
