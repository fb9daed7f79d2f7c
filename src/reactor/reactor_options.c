/* SPDX-License-Identifier: Apache-2.0 */
#include "reactor_options.h"

#include "base/sized.h"

#define TOTAL_DEFAULT ((size_t)128 << 20)

static cmt_err delivery_check(const cmt_reactor *r, cmt_why *why) {
  if ((unsigned)r->delivery <= CMT_DELIVER_MAILBOX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "reactor %s: delivery is %d, allowed is 0 to %d", r->name,
                  (int)r->delivery, CMT_DELIVER_MAILBOX);
}

static cmt_err threads_fill(cmt_reactor *r, cmt_why *why) {
  if (r->threads > CMT_THREADS_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor %s: threads is %u, allowed is 0 to %d", r->name,
                    r->threads, CMT_THREADS_MAX);
  }
  r->threads = r->threads != 0 ? r->threads : 1;
  return CMT_OK;
}

static cmt_err reserved_check(const cmt_reactor *r, cmt_why *why) {
  if (cmt__reserved_are_zero(r->reserved, CMT__COUNT(r->reserved))) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "reactor %s: a field is set that this version of the library "
                  "does not have",
                  r->name);
}

cmt_err cmt__reactor_options_fill(cmt_reactor *r, cmt_why *why) {
  cmt_err err = delivery_check(r, why);

  if (err == CMT_OK) {
    err = threads_fill(r, why);
  }
  if (err == CMT_OK) {
    err = reserved_check(r, why);
  }
  if (r->recv_queue_bytes_total == 0) {
    r->recv_queue_bytes_total = TOTAL_DEFAULT;
  }
  return err;
}
