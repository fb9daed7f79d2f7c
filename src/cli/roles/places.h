/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

/* Who has the places for inbound peers of a seed.  Each chain has as many as
   its home says; one address group has half of them at most, and one host may
   be restricted to one.  Only one thread uses a list. */

#include <cometp2p/addrbook.h>

enum { CLI_PLACE_SIZE = 48 }; /* The name of a group or of a host. */

/* Inbound peers that a chain has of one group or host; "": of all. */
typedef struct cli_places_row {
  const void *chain;
  char of[CLI_PLACE_SIZE];
  uint32_t count;
  uint32_t next; /* The next row with its hash, as in |heads|. */
} cli_places_row;

/* Rows lie dense, and a table of hashes finds them: there are thousands, and
   every inbound peer looks for three, three times. */
typedef struct cli_places {
  cli_places_row *rows;
  uint32_t *heads;   /* Numbers of rows from 1; 0: none has the hash. */
  size_t count, cap; /* As many rows as heads, a power of two or 0. */
  uint8_t key[16];   /* The key of the hash: whoever has a /48 chooses hosts. */
} cli_places;

/* A peer that wants a place, or has one. */
typedef struct cli_place {
  const void *chain;
  char group[CLI_PLACE_SIZE]; /* ""; it is of none that has a limit. */
  char host[CLI_PLACE_SIZE];  /* "": it may have any number of peers.  No group
                                 has its name. */
} cli_place;

void cli_places_fini(cli_places *p);
void cli_places_take(cli_places *p, const cli_place *who);
void cli_places_leave(cli_places *p, const cli_place *who);
/* How many the chain has. */
uint32_t cli_places_count(const cli_places *p, const void *chain);
/* Whether |who|, who has none, may have one of |most|. */
bool cli_places_have(const cli_places *p, const cli_place *who, uint32_t most);

#endif
