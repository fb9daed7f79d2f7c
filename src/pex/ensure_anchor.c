/* SPDX-License-Identifier: Apache-2.0 */

#include "ensure_anchor.h"

#include <string.h>

#include "ensure_dial.h"

static bool group_is_in(const cmt__ensure *e, const cmt_net_addr *list,
                        size_t count, const char *group) {
  char other[CMT_ADDRBOOK_GROUP_SIZE];

  for (size_t i = 0; i < count; i++) {
    cmt__ensure_group(e, &list[i], other);
    if (strcmp(group, other) == 0) {
      return true;
    }
  }
  return false;
}

/* The oldest one whose group is not in the list yet. */
static const cmt__ensure_peer *
next_anchor(const cmt__ensure *e, const cmt_net_addr *list, size_t count) {
  const cmt__ensure_peer *found = NULL;

  for (const cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (p->outbound && !p->seed && !p->listed &&
        (found == NULL || p->up_ns < found->up_ns) &&
        !group_is_in(e, list, count, p->group)) {
      found = p;
    }
  }
  return found;
}

void cmt__ensure_keep_anchors(cmt__ensure *e, size_t least) {
  cmt_net_addr list[CMT_ADDRBOOK_ANCHORS_MAX];
  size_t count = 0;

  while (!e->o.seed && count < CMT_ADDRBOOK_ANCHORS_MAX) {
    const cmt__ensure_peer *p = next_anchor(e, list, count);

    if (p == NULL) {
      break;
    }
    list[count++] = p->at;
  }
  if (count > 0 && count >= least) {
    memcpy(e->kept, list, count * sizeof *list);
    e->kept_count = count;
    cmt_addrbook_set_anchors(e->o.book, list, count);
  }
}

size_t cmt__ensure_anchors(cmt__ensure *e, cmt_net_addr *out, size_t cap) {
  cmt__ensure_keep_anchors(e, 1);
  for (size_t i = 0; i < e->kept_count && i < cap; i++) {
    out[i] = e->kept[i];
  }
  return e->kept_count;
}
