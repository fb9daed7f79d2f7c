/* SPDX-License-Identifier: Apache-2.0 */
/* A node that finds its peers by itself: find_peers [-n NETWORK] [SEED...]

   It knows nobody but the seeds, and prints who comes and goes, until Enter.
   Without a seed it waits for others, which may name it as their seed. */
#include <cometp2p/cometp2p.h>
#include <stdio.h>
#include <string.h>

static void add_peer(void *self, cmt_peer *p) {
  (void)self;
  printf("%s %.8s\n", cmt_peer_is_outbound(p) ? "found" : "found by",
         cmt_peer_id(p)->text);
  fflush(stdout);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  printf("lost %.8s: %s\n", cmt_peer_id(p)->text, cmt_err_text(reason));
  fflush(stdout);
}

static cmt_err open_book(cmt_addrbook **book) {
  cmt_addrbook_options o;

  cmt_addrbook_options_init(&o);
  o.allow_unroutable = true; /* All on one machine: a public node does not. */
  return cmt_addrbook_new(&o, book, NULL);
}

static cmt_err open_pex(cmt_addrbook *book, const char *seeds, cmt_pex **pex) {
  cmt_pex_options o;
  cmt_why why;
  cmt_err err;

  cmt_pex_options_init(&o);
  o.book = book;
  o.seeds = seeds;
  err = cmt_pex_new(&o, pex, &why);
  if (err != CMT_OK) {
    fprintf(stderr, "find_peers: %s\n", why.text);
  }
  return err;
}

static int run(const char *network, const cmt_reactor *reactors, cmt_pex *pex) {
  const cmt_switch_options o = {.size = sizeof o,
                                .network = network,
                                .laddr = "127.0.0.1:0",
                                .reactors = reactors,
                                .reactor_count = 2};
  char address[CMT_NET_ADDR_TEXT_SIZE];
  cmt_pex_status status;
  cmt_switch *sw;

  if (cmt_switch_open(&o, &sw, NULL) != CMT_OK ||
      cmt_switch_get_laddr_text(sw, address, sizeof address) != CMT_OK) {
    return 1;
  }
  printf("listening at %s\n", address);
  fflush(stdout);
  (void)getchar();
  cmt_pex_get_status(pex, &status);
  printf("%d peers, %d addresses learned\n", (int)status.peers,
         (int)status.addrs_new);
  return cmt_switch_close(sw, CMT_SECONDS(2)) == CMT_OK ? 0 : 1;
}

int main(int argc, char **argv) {
  /* The exchange is the first one: it has each peer before it is printed. */
  cmt_reactor reactors[2] = {
    [1] = {.name = "talk", .add_peer = add_peer, .remove_peer = remove_peer}};
  char seeds[4096] = "";
  cmt_addrbook *book = NULL;
  cmt_pex *pex = NULL;
  const char *network = "my-net";
  int status = 1, first = 1;

  if (argc > 2 && strcmp(argv[1], "-n") == 0) {
    network = argv[2];
    first = 3;
  }
  for (int i = first; i < argc; i++) {
    snprintf(seeds + strlen(seeds), sizeof seeds - strlen(seeds), "%s,",
             argv[i]);
  }
  if (open_book(&book) == CMT_OK && open_pex(book, seeds, &pex) == CMT_OK) {
    cmt_pex_get_reactor(pex, &reactors[0]);
    status = run(network, reactors, pex);
  }
  cmt_pex_delete(pex);
  cmt_addrbook_delete(book);
  return status;
}
