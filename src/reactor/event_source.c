/* SPDX-License-Identifier: Apache-2.0 */
#include "event_source.h"

void cmt__event_sources_add(cmt__event_sources *ss, const cmt_env *env,
                            cmt__event_source *s) {
  CMT_ASSERT(env, ss->count < CMT__EVENT_SOURCES_MAX);
  ss->list[ss->count++] = s;
}

void cmt__event_sources_take(cmt__event_sources *ss, cmt_mailbox_event *out) {
  cmt__event_source *s;

  do {
    s = ss->list[ss->next];
    ss->next = (ss->next + 1) % ss->count;
  } while (s->count == 0);
  *out = (cmt_mailbox_event){.size = sizeof *out, .internal = s, .source = s};
  s->count--;
  ss->events--;
  s->take(s, out);
}

bool cmt__event_sources_have(const cmt__event_sources *ss,
                             const cmt__event_source *s) {
  size_t i = 0;

  while (i < ss->count && ss->list[i] != s) {
    i++;
  }
  return i < ss->count;
}
