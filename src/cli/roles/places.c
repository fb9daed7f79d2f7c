/* SPDX-License-Identifier: Apache-2.0 */

#include "places.h"

#include "cli/ui/cli.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_FIRST = 16 };

/* NULL: it has no peer. */
static cli_places_row *find(const cli_places *p, const void *chain,
                            const char *of) {
  for (size_t i = 0; i < p->count; i++) {
    if (p->rows[i].chain == chain && strcmp(p->rows[i].of, of) == 0) {
      return &p->rows[i];
    }
  }
  return NULL;
}

static uint32_t count_of(const cli_places *p, const void *chain,
                         const char *of) {
  const cli_places_row *row = find(p, chain, of);

  return row != NULL ? row->count : 0;
}

static cli_places_row *append(cli_places *p, const void *chain,
                              const char *of) {
  cli_places_row *row;

  if (p->count == p->cap) {
    p->cap = p->cap > 0 ? 2 * p->cap : ROWS_FIRST;
    p->rows = cli_realloc(p->rows, p->cap * sizeof *p->rows);
  }
  row = &p->rows[p->count++];
  *row = (cli_places_row){.chain = chain};
  snprintf(row->of, sizeof row->of, "%s", of);
  return row;
}

static void add(cli_places *p, const void *chain, const char *of) {
  cli_places_row *row = find(p, chain, of);

  row = row != NULL ? row : append(p, chain, of);
  row->count++;
}

static void drop(cli_places *p, const void *chain, const char *of) {
  cli_places_row *row = find(p, chain, of);

  if (row != NULL && --row->count == 0) {
    *row = p->rows[--p->count];
  }
}

/* Changes all rows that a peer counts in. */
static void each(cli_places *p, const cli_place *who,
                 void (*change)(cli_places *p, const void *chain,
                                const char *of)) {
  change(p, who->chain, "");
  if (who->group[0] != '\0') {
    change(p, who->chain, who->group);
  }
  if (who->host[0] != '\0') {
    change(p, who->chain, who->host);
  }
}

void cli_places_fini(cli_places *p) {
  free(p->rows);
  *p = (cli_places){.rows = NULL};
}

void cli_places_take(cli_places *p, const cli_place *who) { each(p, who, add); }

void cli_places_leave(cli_places *p, const cli_place *who) {
  each(p, who, drop);
}

uint32_t cli_places_count(const cli_places *p, const void *chain) {
  return count_of(p, chain, "");
}

bool cli_places_have(const cli_places *p, const cli_place *who, uint32_t most) {
  uint32_t of_group = most / 2 + most % 2;

  return cli_places_count(p, who->chain) < most &&
         (who->group[0] == '\0' ||
          count_of(p, who->chain, who->group) < of_group) &&
         (who->host[0] == '\0' || find(p, who->chain, who->host) == NULL);
}
