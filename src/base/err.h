/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ERR_H
#define CMT__ERR_H

/* Indices for tables by error.  No public table is indexed by error, since
   later versions have more errors. */

#include <cometp2p/err.h>

enum {
/* How many values cmt_err has. */
#define CMT_X_(name_, value_, class_, text_) +1
  CMT__ERR_COUNT = 0 CMT_ERR_MAP(CMT_X_)
#undef CMT_X_
};

/* The place of |e| in CMT_ERR_MAP, from 0; CMT__ERR_COUNT for a value that is
   not of cmt_err. */
size_t cmt__err_index(cmt_err e);

/* The error at |index|, which is less than CMT__ERR_COUNT. */
cmt_err cmt__err_at(size_t index);

#endif
