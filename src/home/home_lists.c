/* SPDX-License-Identifier: Apache-2.0 */

/* The lists of addresses and ids. */

#include "home_impl.h"

#include "core/conn/net_addr.h"

#include "home_checks.h"

#include <cometp2p/addrbook.h>
#include <cometp2p/pex.h>

static size_t item_count(const char *text) {
  cmt_bytes rest = cmt_bytes_of(text), item;
  size_t count = 0;

  while (cmt__home_item(&rest, &item)) {
    count++;
  }
  return count;
}

/* An array for the items of |id|; NULL: there are none, or the allocation
   failed. */
static void *array_for(cmt__home_reading *r, cmt__home_key_id id, size_t size) {
  size_t count = item_count(r->h->values[id].text);
  void *array = count > 0 ? cmt__alloc_zero(&r->h->env, count * size) : NULL;

  r->no_memory = r->no_memory || (count > 0 && array == NULL);
  return array;
}

static void warn_item(const cmt__home_reading *r, cmt__home_key_id id,
                      cmt_bytes item, const char *fault) {
  char place[200], shown[100];

  cmt__home_place(r, id, place, sizeof place);
  cmt__home_warn(r->h, "%s has '%s', which is left out: %s", place,
                 cmt__quote(item, shown, sizeof shown), fault);
}

static bool addr_same(const cmt_net_addr *a, const cmt_net_addr *b) {
  return cmt_node_id_equal(&a->id, &b->id) && strcmp(a->host, b->host) == 0 &&
         a->port == b->port;
}

/* Adds |addr| to |array|, if it is not there. */
static void addr_add(cmt_net_addr *array, size_t *count,
                     const cmt_net_addr *addr) {
  for (size_t i = 0; i < *count; i++) {
    if (addr_same(&array[i], addr)) {
      return;
    }
  }
  array[(*count)++] = *addr;
}

static cmt_net_addr *read_addrs(cmt__home_reading *r, cmt__home_key_id id,
                                size_t *count) {
  cmt_net_addr *array = array_for(r, id, sizeof *array), addr;
  cmt_bytes rest = cmt_bytes_of(r->h->values[id].text), item;

  *count = 0;
  while (array != NULL && cmt__home_item(&rest, &item)) {
    const char *fault = cmt__net_addr_read(item, 0, &addr);

    if (fault == NULL) {
      addr_add(array, count, &addr);
    } else {
      warn_item(r, id, item, fault);
    }
  }
  return array;
}

static cmt_node_id *read_ids(cmt__home_reading *r, cmt__home_key_id id,
                             size_t *count) {
  cmt_node_id *array = array_for(r, id, sizeof *array);
  cmt_bytes rest = cmt_bytes_of(r->h->values[id].text), item;

  *count = 0;
  while (array != NULL && cmt__home_item(&rest, &item)) {
    if (cmt__home_read_id(item, &array[*count])) {
      (*count)++;
    } else {
      warn_item(r, id, item, "it is not an id of 40 hex digits");
    }
  }
  return array;
}

/* Refuses the list |id|, of which |count| items are left without those that it
   repeats or that are none, when these are more than |most|. */
static void refuse_long(cmt__home_reading *r, cmt__home_key_id id, size_t count,
                        size_t most, const char *kind) {
  cmt__home_fault f = {.found = ""};

  if (count > most &&
      !cmt__home_check_length(r->h->values[id].text, most, kind, &f)) {
    cmt__home_refuse(r, id, &f);
  }
}

/* What peer exchange takes: without it a list may have any length. */
static void check_lengths(cmt__home_reading *r) {
  const cmt_home_settings *s = &r->h->settings;

  if (r->h->values[CMT__HOME_PEX].flag) {
    refuse_long(r, CMT__HOME_SEEDS, s->seed_count, CMT_PEX_SEEDS_MAX,
                "addresses");
    refuse_long(r, CMT__HOME_PERSISTENT_PEERS, s->persistent_peer_count,
                CMT_PEX_LISTED_MAX, "addresses");
    refuse_long(r, CMT__HOME_PRIVATE, s->private_peer_id_count,
                CMT_ADDRBOOK_IDS_MAX, "ids");
  }
}

void cmt__home_read_lists(cmt__home_reading *r) {
  cmt_home *h = r->h;
  cmt_home_settings *s = &h->settings;
  cmt__home_fault f = {.found = ""};

  if (h->values[CMT__HOME_PEX].flag &&
      !cmt__home_check_addresses(&h->values[CMT__HOME_SEEDS], &f)) {
    cmt__home_refuse(r, CMT__HOME_SEEDS, &f);
  }
  if (r->mistakes > 0) {
    return;
  }
  h->seeds = read_addrs(r, CMT__HOME_SEEDS, &s->seed_count);
  h->persistent_peers =
    read_addrs(r, CMT__HOME_PERSISTENT_PEERS, &s->persistent_peer_count);
  h->unconditional =
    read_ids(r, CMT__HOME_UNCONDITIONAL, &s->unconditional_peer_id_count);
  h->private = read_ids(r, CMT__HOME_PRIVATE, &s->private_peer_id_count);
  s->seeds = s->seed_count > 0 ? h->seeds : NULL;
  s->persistent_peers =
    s->persistent_peer_count > 0 ? h->persistent_peers : NULL;
  s->unconditional_peer_ids =
    s->unconditional_peer_id_count > 0 ? h->unconditional : NULL;
  s->private_peer_ids = s->private_peer_id_count > 0 ? h->private : NULL;
  check_lengths(r);
}
