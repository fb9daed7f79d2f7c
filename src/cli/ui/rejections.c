/* SPDX-License-Identifier: Apache-2.0 */
/* Every rejection is either printed by itself or in exactly one count, so that
   the lines and the counts add up. */

#include "rejections.h"

void cli_rejections_init(cli_rejections *r) {
  *r = (cli_rejections){0};
  pthread_mutex_init(&r->lock, NULL);
}

void cli_rejections_fini(cli_rejections *r) { pthread_mutex_destroy(&r->lock); }

static uint64_t end_of_second(const cli_rejections *r) {
  return r->begin_ns + CMT_SECONDS(1);
}

static uint64_t take_all(cli_rejections *r) {
  uint64_t more = r->more;

  r->more = 0;
  return more;
}

bool cli_rejections_add(cli_rejections *r, uint64_t now_ns, uint64_t *before) {
  bool prints;

  *before = 0;
  pthread_mutex_lock(&r->lock);
  if (r->printed == 0 || now_ns >= end_of_second(r)) {
    *before = take_all(r);
    r->begin_ns = now_ns;
    r->printed = 0;
  }
  prints = r->printed < CLI_REJECTIONS_A_SECOND;
  if (prints) {
    r->printed++;
  } else {
    r->more++;
  }
  pthread_mutex_unlock(&r->lock);
  return prints;
}

void cli_rejections_give_back(cli_rejections *r, uint64_t count,
                              uint64_t now_ns) {
  pthread_mutex_lock(&r->lock);
  r->more += count;
  r->begin_ns = now_ns;
  r->printed = CLI_REJECTIONS_A_SECOND;
  pthread_mutex_unlock(&r->lock);
}

uint64_t cli_rejections_due(cli_rejections *r) {
  uint64_t due_ns;

  pthread_mutex_lock(&r->lock);
  due_ns = r->more == 0 ? CMT_NEVER : end_of_second(r);
  pthread_mutex_unlock(&r->lock);
  return due_ns;
}

uint64_t cli_rejections_take(cli_rejections *r, uint64_t now_ns) {
  uint64_t more = 0;

  pthread_mutex_lock(&r->lock);
  if (now_ns >= end_of_second(r)) {
    more = take_all(r);
  }
  pthread_mutex_unlock(&r->lock);
  return more;
}
