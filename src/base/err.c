/* SPDX-License-Identifier: Apache-2.0 */

/* Names, texts and classes of errors, all from CMT_ERR_MAP, so that none can
   be forgotten.  Nothing here keeps state. */

#include "err.h"

const char *cmt_err_name(cmt_err e) {
  switch (e) {
#define CMT_X_(name, value, cls, text)                                         \
  case name:                                                                   \
    return #name;
    CMT_ERR_MAP(CMT_X_)
#undef CMT_X_
  default:
    return "CMT_E?";
  }
}

const char *cmt_err_text(cmt_err e) {
  switch (e) {
#define CMT_X_(name, value, cls, text)                                         \
  case name:                                                                   \
    return text;
    CMT_ERR_MAP(CMT_X_)
#undef CMT_X_
  default:
    return "unknown error";
  }
}

static const cmt_err all[] = {
#define CMT_X_(name, value, cls, text) name,
  CMT_ERR_MAP(CMT_X_)
#undef CMT_X_
};

size_t cmt__err_index(cmt_err e) {
  size_t i = 0;

  while (i < CMT__ERR_COUNT && all[i] != e) {
    i++;
  }
  return i;
}

cmt_err cmt__err_at(size_t index) {
  return index < CMT__ERR_COUNT ? all[index] : CMT_EINVAL;
}

cmt_err_class cmt_err_class_of(cmt_err e) {
  switch (e) {
#define CMT_X_(name, value, cls, text)                                         \
  case name:                                                                   \
    return CMT_CLASS_##cls;
    CMT_ERR_MAP(CMT_X_)
#undef CMT_X_
  default:
    return CMT_CLASS_CALLER;
  }
}

const char *cmt_err_class_name(cmt_err_class c) {
  switch (c) {
  case CMT_CLASS_OK:
    return "ok";
  case CMT_CLASS_RETRY:
    return "retry";
  case CMT_CLASS_CALLER:
    return "caller";
  case CMT_CLASS_LOCAL:
    return "local";
  case CMT_CLASS_LINK:
    return "link";
  case CMT_CLASS_PEER:
    return "peer";
  default:
    return "?";
  }
}

const char *cmt_stage_name(cmt_stage s) {
  switch (s) {
  case CMT_STAGE_TRANSPORT:
    return "transport";
  case CMT_STAGE_SECRET_CONNECTION:
    return "secret_connection";
  case CMT_STAGE_NODE_INFO:
    return "node_info";
  case CMT_STAGE_FILTER:
    return "filter";
  case CMT_STAGE_UP:
    return "up";
  default:
    return "?";
  }
}
