/* SPDX-License-Identifier: Apache-2.0 */
#include "mconn_pull.h"

#include "test.h"

void assert_mconn_err(const cmt_mconn *m, cmt_err err) {
  cmt_why why;

  cmt_mconn_get_why(m, &why);
  assert_cmt(err, why.err);
  assert_int_equal(err != CMT_OK, cmt_mconn_has_ended(m));
}

void assert_mconn_tick(cmt_mconn *m, uint64_t now_ns, cmt_err err) {
  cmt_mconn_tick(m, now_ns);
  assert_mconn_err(m, err);
}

void assert_mconn_end(cmt_mconn *m, cmt_err err) {
  cmt_mconn_event e;

  assert_true(cmt_mconn_next_event(m, &e));
  assert_int_equal(CMT_MCONN_END, e.kind);
  assert_cmt(err, e.err);
  assert_mconn_err(m, err);
  assert_false(cmt_mconn_next_event(m, &e));
}
