/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_PEX_WORLD_H
#define CMT_TEST_PEX_WORLD_H

/* Nodes with peer exchange on a loop double, and a node by hand that sends what
   a test wants on channel 0x00. */

#include "node.h"

#include <cometp2p/admission.h>
#include <cometp2p/pex.h>

#include <stdlib.h>

#define UTC CMT_SECONDS(1800000000)

typedef struct pex_node {
  test_world *world;
  cmt_addrbook *book;
  cmt_pex_options o;
  cmt_pex *pex;
  cmt_switch *sw;
  char laddr[32];
  char addr[CMT_NET_ADDR_TEXT_SIZE];
} pex_node;

static inline uint64_t pex_now(void *arg) {
  return cmt__loop_now(test_loop_base(((test_world *)arg)->loop));
}

static inline uint64_t pex_utc(void *arg) { return UTC + pex_now(arg); }

/* A node at |ip|, whose options may still be changed. */
static inline void pex_node_init(pex_node *n, test_world *w, const char *ip) {
  cmt_addrbook_options b;

  memset(n, 0, sizeof *n);
  n->world = w;
  snprintf(n->laddr, sizeof n->laddr, "%s:26656", ip);
  cmt_addrbook_options_init(&b);
  b.env = &w->env.env;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &n->book, NULL));
  cmt_pex_options_init(&n->o);
  n->o.env = &w->env.env;
  n->o.book = n->book;
  n->o.now = pex_now;
  n->o.utc = pex_utc;
  n->o.clock_arg = w;
  n->o.feeler_ns = CMT_NEVER;
}

/* The exchange is there. */
static inline void pex_node_start_made(pex_node *n) {
  cmt_switch_options o;
  cmt_reactor r;
  cmt_why why;

  cmt_pex_get_reactor(n->pex, &r);
  cmt_switch_options_init(&o);
  o.env = &n->world->env.env;
  o.loops = n->world->loop_count;
  o.network = "test-net";
  o.laddr = n->laddr;
  o.reactors = &r;
  o.reactor_count = 1;
  assert_cmt(CMT_OK, test_world_switch(n->world, &o, &n->sw, &why));
  assert_cmt(CMT_OK, cmt_switch_start(n->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr_text(n->sw, n->addr, sizeof n->addr));
}

static inline void pex_node_start(pex_node *n) {
  cmt_why why;

  if (cmt_pex_new(&n->o, &n->pex, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  pex_node_start_made(n);
}

static inline void pex_node_fini(pex_node *n) {
  if (n->sw != NULL) {
    cmt_switch_stop(n->sw, 0);
    test_loop_run_until_idle(n->world->loop);
    assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  }
  cmt_pex_delete(n->pex);
  cmt_addrbook_delete(n->book);
  memset(n, 0, sizeof *n);
}

static inline size_t pex_peers(const pex_node *n) {
  return cmt_switch_peers(n->sw, NULL, 0);
}

static inline cmt_pex_status pex_status(const pex_node *n) {
  cmt_pex_status st;

  cmt_pex_get_status(n->pex, &st);
  return st;
}

/* A node by hand at 5.2.0.1, whose options may still be changed. */
static inline void pex_other_init(test_node *n, test_world *w) {
  test_node_init(n, w);
  n->options.laddr = "5.2.0.1:26656";
  n->quiet = true;
  test_part_channel(&n->parts[0], (cmt_channel){.id = 0, .priority = 1});
}

/* It dials |to|. */
static inline void pex_other_dial(test_node *n, const pex_node *to) {
  test_loop_set_source(to->world->loop, "5.2.0.1");
  test_node_start(n);
  test_node_dial(n, to->addr, 0);
}

/* Adds |text| to the book, as reported by itself. */
static inline void pex_know(pex_node *n, const char *text) {
  cmt_net_addr a;

  assert_cmt(CMT_OK, cmt_net_addr_parse(text, 0, &a, NULL));
  assert_cmt(CMT_OK, cmt_addrbook_add(n->book, &a, &a, pex_utc(n->world)));
}

#endif
