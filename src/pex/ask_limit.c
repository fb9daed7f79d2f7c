/* SPDX-License-Identifier: Apache-2.0 */

#include "ask_limit.h"

/* |l|->drops is a ring: the oldest of the last CMT__ASK_DROPS_MAX is the one
   that the next replaces. */
static cmt__ask_verdict drop(cmt__ask_limit *l, uint64_t now_ns) {
  uint64_t *oldest = &l->drops[l->dropped % CMT__ASK_DROPS_MAX];
  bool too_many =
    l->dropped >= CMT__ASK_DROPS_MAX && now_ns < *oldest + CMT__ASK_DROPS_NS;

  *oldest = now_ns;
  l->dropped++;
  return too_many ? CMT__ASK_END : CMT__ASK_DROP;
}

cmt__ask_verdict cmt__ask_request_came(cmt__ask_limit *l, uint64_t now_ns) {
  if (l->held) {
    return drop(l, now_ns);
  }
  if (now_ns < l->answer_ns) {
    l->held = true;
    return CMT__ASK_HOLD;
  }
  l->answer_ns = now_ns + CMT__ASK_GAP_NS;
  return CMT__ASK_ANSWER;
}

void cmt__ask_hold(cmt__ask_limit *l, uint64_t until_ns) {
  l->held = true;
  l->answer_ns = until_ns;
}

uint64_t cmt__ask_due_ns(const cmt__ask_limit *l) {
  return l->held ? l->answer_ns : CMT_NEVER;
}

bool cmt__ask_take_due(cmt__ask_limit *l, uint64_t now_ns) {
  if (!l->held || now_ns < l->answer_ns) {
    return false;
  }
  l->held = false;
  l->answer_ns = now_ns + CMT__ASK_GAP_NS;
  return true;
}

bool cmt__ask_may_ask(const cmt__ask_limit *l, uint64_t now_ns) {
  return !l->outstanding && now_ns >= l->ask_ns;
}

void cmt__ask_asked(cmt__ask_limit *l) { l->outstanding = true; }

bool cmt__ask_list_came(cmt__ask_limit *l, uint64_t now_ns,
                        uint64_t jitter_ns) {
  bool asked = l->outstanding;

  l->outstanding = false;
  l->ask_ns = now_ns + CMT__ASK_GAP_NS + jitter_ns % CMT__ASK_JITTER_NS;
  return asked;
}
