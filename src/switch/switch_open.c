/* SPDX-License-Identifier: Apache-2.0 */

/* Short forms of what most programs do with a switch. */

#include "reactor/delivery.h"

#include <cometp2p/switch.h>

cmt_err cmt_switch_open(const cmt_switch_options *o, cmt_switch **out,
                        cmt_why *why) {
  cmt_err err = cmt_switch_new(o, out, why);

  if (err != CMT_OK) {
    return err;
  }
  err = cmt_switch_start(*out, why);
  if (err != CMT_OK) {
    cmt_ignore(cmt_switch_delete(*out));
    *out = NULL;
  }
  return err;
}

cmt_err cmt_switch_close(cmt_switch *s, uint64_t flush_ns) {
  if (cmt__thread_is_loop() || cmt__thread_is_worker()) {
    return CMT_EDEADLK;
  }
  if (s != NULL) {
    cmt_switch_stop(s, flush_ns);
  }
  return cmt_switch_delete(s);
}

cmt_err cmt_switch_get_laddr_text(const cmt_switch *s, char *out, size_t cap) {
  cmt_net_addr at;
  cmt_err err = s != NULL ? cmt_switch_get_laddr(s, &at) : CMT_EINVAL;

  if (out != NULL && cap > 0) {
    out[0] = '\0';
  }
  return err == CMT_OK ? cmt_net_addr_format(&at, out, cap) : err;
}

cmt_err cmt_switch_dial_list(cmt_switch *s, const char *addrs, unsigned flags,
                             cmt_why *why) {
  static const char blank[] = " \t\r\n,";
  cmt_err err = CMT_OK;

  if (s == NULL || addrs == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s is NULL",
                    s == NULL ? "the switch" : "addrs");
  }
  addrs += strspn(addrs, blank);
  while (err == CMT_OK && *addrs != '\0') {
    char one[CMT_NET_ADDR_TEXT_SIZE];
    size_t len = strcspn(addrs, blank);

    if (len >= sizeof one) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "%.40s...: %zu bytes, an address has at most %zu", addrs,
                      len, sizeof one - 1);
    }
    memcpy(one, addrs, len);
    one[len] = '\0';
    err = cmt_switch_dial(s, one, flags, why);
    addrs += len;
    addrs += strspn(addrs, blank);
  }
  return err;
}
