/* SPDX-License-Identifier: Apache-2.0 */

#include "places.h"

#include "cli/ui/cli.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_FIRST = 16 };

/* ---- rows ---- */

static size_t home_of(const cli_places *p, const void *chain, const char *of) {
  uint8_t text[sizeof chain + CLI_PLACE_SIZE], sum[crypto_shorthash_BYTES];
  size_t len = strlen(of), home;

  _Static_assert(sizeof p->key == crypto_shorthash_KEYBYTES, "the key");
  memcpy(text, &chain, sizeof chain);
  memcpy(text + sizeof chain, of, len);
  crypto_shorthash(sum, text, sizeof chain + len, p->key);
  memcpy(&home, sum, sizeof home);
  return home & (p->cap - 1);
}

/* Where the number of the row stands, or 0 if there is none; |cap| is not 0. */
static uint32_t *find_link(const cli_places *p, const void *chain,
                           const char *of) {
  uint32_t *link = &p->heads[home_of(p, chain, of)];

  while (*link != 0 && (p->rows[*link - 1].chain != chain ||
                        strcmp(p->rows[*link - 1].of, of) != 0)) {
    link = &p->rows[*link - 1].next;
  }
  return link;
}

static uint32_t count_of(const cli_places *p, const void *chain,
                         const char *of) {
  uint32_t number = p->cap > 0 ? *find_link(p, chain, of) : 0;

  return number != 0 ? p->rows[number - 1].count : 0;
}

static void grow(cli_places *p) {
  if (p->cap == 0) {
    randombytes_buf(p->key, sizeof p->key);
  }
  p->cap = p->cap > 0 ? 2 * p->cap : ROWS_FIRST;
  p->rows = cli_realloc(p->rows, p->cap * sizeof *p->rows);
  p->heads = cli_realloc(p->heads, p->cap * sizeof *p->heads);
  memset(p->heads, 0, p->cap * sizeof *p->heads);
  for (size_t i = 0; i < p->count; i++) {
    p->rows[i].next = 0;
    *find_link(p, p->rows[i].chain, p->rows[i].of) = (uint32_t)i + 1;
  }
}

static void add(cli_places *p, const void *chain, const char *of) {
  uint32_t *link;

  if (p->count == p->cap) {
    grow(p);
  }
  link = find_link(p, chain, of);
  if (*link == 0) {
    *link = (uint32_t)++p->count;
    p->rows[*link - 1] = (cli_places_row){.chain = chain};
    snprintf(p->rows[*link - 1].of, CLI_PLACE_SIZE, "%s", of);
  }
  p->rows[*link - 1].count++;
}

/* The last row moves into the place of one that has no peer any more. */
static void drop(cli_places *p, const void *chain, const char *of) {
  uint32_t *link = p->cap > 0 ? find_link(p, chain, of) : NULL;
  const cli_places_row *last;
  uint32_t number;

  if (link == NULL || *link == 0 || --p->rows[*link - 1].count > 0) {
    return;
  }
  number = *link;
  *link = p->rows[number - 1].next;
  last = &p->rows[p->count - 1];
  if (number != p->count) {
    *find_link(p, last->chain, last->of) = number;
    p->rows[number - 1] = *last;
  }
  p->count--;
}

/* ---- peers ---- */

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
  free(p->heads);
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
         (who->host[0] == '\0' || count_of(p, who->chain, who->host) == 0);
}
