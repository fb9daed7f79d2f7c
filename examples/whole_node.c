/* SPDX-License-Identifier: Apache-2.0 */
/* A node that lives among others: whole_node [-b BOOK] [SEED...]

   It keeps its address book in the file BOOK, finds peers by itself, and prints
   the page of its metrics for each line of input, until that ends.  A program
   would serve the page where Prometheus asks for it. */
#include <cometp2p/cometp2p.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The switch has one loop, and all below but main() and page_print() is called
   on it. */
typedef struct node {
  cmt_switch *sw;
  cmt_addrbook_file *file;
  cmt_pex *pex;
  cmt_metrics *metrics;
  cmt_timer timer;
  cmt_pex_status counted; /* What the metrics have. */
  cmt_addrbook_file_status saved;
} node;

static uint64_t utc_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * CMT_SECONDS(1) + (uint64_t)now.tv_nsec;
}

/* ---- what happens, for the metrics ---- */

static void add_peer(void *self, cmt_peer *p) {
  cmt_metrics_added(((node *)self)->metrics, p);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  cmt_metrics_rejected(((node *)arg)->metrics, r);
}

static void on_dialed(void *arg, const cmt_dial_outcome *o) {
  cmt_metrics_dialed(((node *)arg)->metrics, o);
}

static void on_sent(void *arg, uint8_t channel, cmt_bytes msg) {
  cmt_metrics_message(((node *)arg)->metrics, channel, msg, true);
}

/* ---- each second: what is read from a status, and the file ---- */

static void count_pex(node *n) {
  cmt_pex_status now;

  cmt_pex_get_status(n->pex, &now);
  cmt_metrics_add(n->metrics, CMT_METRIC_PEX_EVENTS, CMT_METRIC_PEX_ASKED,
                  now.requests_sent - n->counted.requests_sent);
  cmt_metrics_add(n->metrics, CMT_METRIC_PEX_EVENTS, CMT_METRIC_PEX_ANSWERED,
                  now.answers_received - n->counted.answers_received);
  for (unsigned i = 0; i < CMT_ADDRBOOK_FATES; i++) {
    cmt_metrics_add(n->metrics, CMT_METRIC_PEX_ADDRESSES, i,
                    now.fates[i] - n->counted.fates[i]);
  }
  n->counted = now;
}

static void count_book(node *n) {
  cmt_addrbook_file_status file;
  cmt_addrbook_status book;

  cmt_addrbook_get_status(cmt_addrbook_file_book(n->file), &book);
  cmt_metrics_set(n->metrics, CMT_METRIC_BOOK_ENTRIES, 0, book.new_entries);
  cmt_metrics_set(n->metrics, CMT_METRIC_BOOK_ENTRIES, 1, book.old_entries);
  cmt_metrics_set(n->metrics, CMT_METRIC_BOOK_PROVEN, 0, book.proven);
  cmt_addrbook_file_get_status(n->file, &file);
  cmt_metrics_add(n->metrics, CMT_METRIC_BOOK_SAVES, 0,
                  file.saves - n->saved.saves);
  cmt_metrics_add(n->metrics, CMT_METRIC_BOOK_SAVES, 1,
                  file.failures - n->saved.failures);
  n->saved = file;
}

static void on_second(void *arg, cmt_err status) {
  node *n = arg;

  if (status != CMT_OK) {
    return; /* The switch ends. */
  }
  count_pex(n);
  count_book(n);
  if (cmt_addrbook_file_is_due(n->file, utc_ns())) {
    cmt_ignore(cmt_addrbook_file_save_begin(n->file, utc_ns()));
  }
  cmt_ignore(cmt_switch_timer(n->sw, &n->timer, CMT_SECONDS(1)));
}

/* ---- from the start to the end ---- */

static cmt_err book_open(node *n, const char *path, cmt_why *why) {
  cmt_addrbook_options o;

  cmt_addrbook_options_init(&o);
  o.allow_unroutable = true; /* All on one machine: a public node does not. */
  return cmt_addrbook_file_open(path, &o, utc_ns(), &n->file, why);
}

static cmt_err pex_open(node *n, const char *seeds, cmt_why *why) {
  cmt_pex_options o;

  cmt_pex_options_init(&o);
  o.book = cmt_addrbook_file_book(n->file);
  o.seeds = seeds;
  o.on_dialed = on_dialed;
  o.dialed_arg = n;
  o.on_sent = on_sent;
  o.sent_arg = n;
  return cmt_pex_new(&o, &n->pex, why);
}

/* The metrics ask the switch, whose callbacks count in them: so they are made
   before the switch starts. */
static cmt_err start(node *n, cmt_why *why) {
  cmt_reactor reactors[2] = {{.name = "talk", .self = n, .add_peer = add_peer}};
  const cmt_switch_options o = {.size = sizeof o,
                                .network = "my-net",
                                .laddr = "127.0.0.1:0",
                                .reactors = reactors,
                                .reactor_count = 2,
                                .on_rejected = on_rejected,
                                .arg = n};
  cmt_metrics_options m;
  cmt_err err;

  cmt_pex_get_reactor(n->pex, &reactors[1]);
  err = cmt_switch_new(&o, &n->sw, why);
  if (err == CMT_OK) {
    cmt_metrics_options_init(&m);
    m.chain_id = "my-net";
    m.sw = n->sw;
    err = cmt_metrics_new(&m, &n->metrics, why);
  }
  if (err == CMT_OK) {
    err = cmt_switch_start(n->sw, why);
  }
  return err == CMT_OK ? cmt_switch_timer(n->sw, &n->timer, CMT_SECONDS(1))
                       : err;
}

static void page_print(node *n) {
  cmt_buf *page;

  if (cmt_metrics_page(&n->metrics, 1, &page) == CMT_OK) {
    cmt_bytes text = cmt_buf_bytes(page);

    fwrite(text.base, 1, text.len, stdout);
    fflush(stdout);
    cmt_buf_unref(page);
  }
}

/* The exchange ends after its switch, and the book is saved after both. */
static int end(node *n, int status, cmt_why *why) {
  if (n->sw != NULL) {
    cmt_ignore(cmt_switch_close(n->sw, CMT_SECONDS(2)));
  }
  cmt_pex_delete(n->pex);
  if (n->file != NULL && status == 0 &&
      cmt_addrbook_file_save(n->file, utc_ns(), why) != CMT_OK) {
    status = 1;
  }
  cmt_addrbook_file_close(n->file);
  cmt_metrics_delete(n->metrics);
  if (status != 0) {
    fprintf(stderr, "whole_node: %s\n", why->text);
  }
  return status;
}

int main(int argc, char **argv) {
  node n = {.timer = {.cb = on_second, .arg = &n}};
  const char *path = "addrbook.json";
  char seeds[4096] = "", line[80];
  char address[CMT_NET_ADDR_TEXT_SIZE];
  cmt_why why = {.text = "it cannot start"}; /* Calls without one fail, too. */

  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "-b") == 0 && i + 1 < argc) {
      path = argv[++i];
    } else {
      snprintf(seeds + strlen(seeds), sizeof seeds - strlen(seeds), "%s,",
               argv[i]);
    }
  }
  if (book_open(&n, path, &why) != CMT_OK ||
      pex_open(&n, seeds, &why) != CMT_OK || start(&n, &why) != CMT_OK ||
      cmt_switch_get_laddr_text(n.sw, address, sizeof address) != CMT_OK) {
    return end(&n, 1, &why);
  }
  printf("listening at %s\n", address);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    page_print(&n);
  }
  return end(&n, 0, &why);
}
