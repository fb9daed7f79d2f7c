/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__EVENT_SOURCE_H
#define CMT__EVENT_SOURCE_H

/* Sources: events of a mailbox that are of no peer's inbox, and wait elsewhere
   until they are taken.  All of it is under the lock of the mailbox but |done|.
 */

#include "base/base.h"

#include <cometp2p/reactor.h>

typedef struct cmt__event_source {
  size_t count; /* Events that wait. */
  /* Moves the first one to |out|, which is empty. */
  void (*take)(struct cmt__event_source *s, cmt_mailbox_event *out);
  /* Without the lock, or NULL: the event is done, but for its message. */
  void (*done)(struct cmt__event_source *s, cmt_mailbox_event *ev);
} cmt__event_source;

enum { CMT__EVENT_SOURCES_MAX = 5 };

/* The sources of a mailbox. */
typedef struct cmt__event_sources {
  cmt__event_source *list[CMT__EVENT_SOURCES_MAX];
  size_t count, next; /* The source that is asked first. */
  size_t events;      /* Their number over all of them. */
} cmt__event_sources;

void cmt__event_sources_add(cmt__event_sources *ss, const cmt_env *env,
                            cmt__event_source *s);
/* Takes an event, of which there must be one: the first of the next source that
   has any. */
void cmt__event_sources_take(cmt__event_sources *ss, cmt_mailbox_event *out);
bool cmt__event_sources_have(const cmt__event_sources *ss,
                             const cmt__event_source *s);

#endif
