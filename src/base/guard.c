/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

_Thread_local unsigned cmt__locks_held
  __attribute__((tls_model("initial-exec")));
