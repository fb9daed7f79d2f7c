/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__REACTOR_OPTIONS_H
#define CMT__REACTOR_OPTIONS_H

#include "base/base.h"

#include <cometp2p/reactor.h>

/* Puts the defaults in place of what is 0 in |r|, a copy of the application's
   reactor, and checks it; all but the name and the channels, which are checked
   against those of the other reactors. */
CMT_NODISCARD cmt_err cmt__reactor_options_fill(cmt_reactor *r, cmt_why *why);

#endif
