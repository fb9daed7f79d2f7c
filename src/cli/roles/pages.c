/* SPDX-License-Identifier: Apache-2.0 */

#include "pages.h"

#include "cli/ui/go_json.h"
#include "rpc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JSON "application/json"
#define PLAIN "text/plain; charset=utf-8"
enum { TIME_SIZE = 96 };
#define LIVE_NS CMT_SECONDS(1800) /* Since the last handshake of ours. */

/* ---- answers ---- */

static cli_http_answer answer(const char *type, const char *text) {
  return (cli_http_answer){
    .status = 200, .type = type, .body = cli_http_body(text)};
}

static cli_http_answer answer_json(json_t *all) {
  char *text = cli_go_json(all, 0);
  cli_http_answer a = answer(JSON, text);

  free(text);
  return a;
}

cli_http_answer cli_pages_metrics(void *station, const cli_http_request *r) {
  cli_station *s = station;
  cmt_metrics **list;
  cmt_buf *page = NULL;
  size_t count = 0;

  (void)r;
  pthread_mutex_lock(&s->lock);
  list = cli_alloc(s->chain_count, sizeof *list);
  for (size_t i = 0; i < s->chain_count; i++) {
    if (s->chains[i]->metrics != NULL) {
      list[count++] = s->chains[i]->metrics;
    }
  }
  pthread_mutex_unlock(&s->lock);
  cmt_ignore(cmt_metrics_page(list, count, &page));
  free(list);
  return (cli_http_answer){
    .status = 200, .type = CMT_METRICS_CONTENT_TYPE, .body = page};
}

/* ---- the book ---- */

/* CometBFT's zero. */
static void time_text(uint64_t ns, char out[TIME_SIZE]) {
  time_t seconds = (time_t)(ns / CMT_SECONDS(1));
  struct tm t;

  if (ns == 0) {
    snprintf(out, TIME_SIZE, "0001-01-01T00:00:00Z");
    return;
  }
  gmtime_r(&seconds, &t);
  snprintf(out, TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%09uZ",
           t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
           t.tm_sec, (unsigned)(ns % CMT_SECONDS(1)));
}

static json_t *addr_json(const cmt_net_addr *a) {
  return json_pack("{s:s, s:s, s:i}", "id", a->id.text, "ip", a->host, "port",
                   (int)a->port);
}

static json_t *entry_json(const cmt_addrbook_entry *e) {
  char attempt[TIME_SIZE], success[TIME_SIZE], ban[TIME_SIZE];
  json_t *buckets = json_array();

  for (size_t i = 0; i < e->bucket_count; i++) {
    json_array_append_new(buckets, json_integer(e->buckets[i]));
  }
  time_text(e->last_attempt_ns, attempt);
  time_text(e->last_success_ns, success);
  time_text(e->last_ban_ns, ban);
  return json_pack("{s:o, s:o, s:o, s:i, s:i, s:s, s:s, s:s}", "addr",
                   addr_json(&e->addr), "src", addr_json(&e->src), "buckets",
                   buckets, "attempts", (int)e->attempts, "bucket_type",
                   (int)e->kind, "last_attempt", attempt, "last_success",
                   success, "last_ban_time", ban);
}

static cmt_addrbook_snapshot *snapshot(const cli_chain *c) {
  cmt_addrbook_snapshot *s;

  return c->pex != NULL && cmt_pex_snapshot_new(c->pex, &s) == CMT_OK ? s
                                                                      : NULL;
}

static cli_http_answer book_page(const cli_station *s, const cli_chain *c) {
  cmt_addrbook_snapshot *book = snapshot(c);
  json_t *addrs = json_array();
  cmt_addrbook_entry e;
  cli_http_answer a;

  (void)s;
  for (size_t i = 0; book != NULL && cmt_addrbook_snapshot_get(book, i, &e);
       i++) {
    json_array_append_new(addrs, entry_json(&e));
  }
  a = answer_json(json_pack(
    "{s:s, s:o}", "key",
    book != NULL ? cmt_addrbook_snapshot_file_key(book) : "", "addrs", addrs));
  cmt_addrbook_snapshot_delete(book);
  return a;
}

/* ---- nodes that answer ---- */

/* The clock may have been put back since. */
static uint64_t apart(uint64_t a_ns, uint64_t b_ns) {
  return a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;
}

/* An answer of the seed may have it, or might have when its proof was younger.
 */
static bool is_live(const cli_chain *c, const cmt_addrbook_entry *e,
                    uint64_t now_ns) {
  const char *version = c->settings->seed_version;

  return e->proven_ns != 0 && e->attempts == 0 &&
         apart(now_ns, e->proven_ns) < LIVE_NS &&
         e->height >= c->settings->seed_min_height &&
         strncmp(e->version, version, strlen(version)) == 0;
}

/* The height only of a node that has reported one. */
static json_t *live_json(const cmt_addrbook_entry *e) {
  char proven[TIME_SIZE], height[TIME_SIZE], text[CMT_NET_ADDR_TEXT_SIZE];
  json_t *all;

  time_text(e->proven_ns, proven);
  time_text(e->height_ns, height);
  cmt_ignore(cmt_net_addr_format(&e->addr, text, sizeof text));
  all = json_pack("{s:s, s:s, s:s}", "addr", text, "version", e->version,
                  "proven", proven);
  if (e->height > 0) {
    json_object_set_new(all, "height", json_integer(e->height));
    json_object_set_new(all, "height_at", json_string(height));
  }
  return all;
}

static cli_http_answer live_page(const cli_station *s, const cli_chain *c) {
  cmt_addrbook_snapshot *book = snapshot(c);
  json_t *list = json_array();
  uint64_t now_ns = cli_utc_ns();
  cmt_addrbook_entry e;

  (void)s;
  for (size_t i = 0; book != NULL && cmt_addrbook_snapshot_get(book, i, &e);
       i++) {
    if (is_live(c, &e, now_ns)) {
      json_array_append_new(list, live_json(&e));
    }
  }
  cmt_addrbook_snapshot_delete(book);
  return answer_json(
    json_pack("{s:s, s:o}", "network", c->network, "peers", list));
}

/* One line as persistent_peers takes it. */
static cli_http_answer live_csv_page(const cli_station *s, const cli_chain *c) {
  cmt_addrbook_snapshot *book = snapshot(c);
  uint64_t now_ns = cli_utc_ns();
  cmt_addrbook_entry e;
  cli_http_answer a;
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);

  (void)s;
  for (size_t i = 0;
       out != NULL && book != NULL && cmt_addrbook_snapshot_get(book, i, &e);
       i++) {
    char one[CMT_NET_ADDR_TEXT_SIZE];

    if (is_live(c, &e, now_ns) &&
        cmt_net_addr_format(&e.addr, one, sizeof one) == CMT_OK) {
      fprintf(out, "%s%s", ftell(out) > 0 ? "," : "", one);
    }
  }
  if (out != NULL) {
    fputc('\n', out);
    (void)fclose(out);
  }
  a = answer(PLAIN, text);
  free(text);
  cmt_addrbook_snapshot_delete(book);
  return a;
}

/* ---- what it is ---- */

/* As CometBFT shows it, which listens on all addresses by "0.0.0.0". */
static const char *listen_addr(const cli_station *s, char *out, size_t cap) {
  const char *external = s->first->settings->external_address;
  cmt_net_addr at = {.host = "0.0.0.0"};
  char text[CMT_NET_ADDR_TEXT_SIZE] = "";

  if (external[0] != '\0') {
    snprintf(out, cap, "%s", external);
    return out;
  }
  cmt_ignore(cmt_switch_get_laddr(s->sw, &at));
  at.id.text[0] = '\0';
  if (strstr(s->first->settings->laddr, "0.0.0.0") != NULL) {
    snprintf(at.host, sizeof at.host, "0.0.0.0");
  }
  cmt_ignore(cmt_net_addr_format(&at, text, sizeof text));
  snprintf(out, cap, "tcp://%s", text);
  return out;
}

static bool is_everywhere(const cmt_net_addr *at) {
  return strcmp(at->host, "0.0.0.0") == 0 || strcmp(at->host, "::") == 0;
}

/* What others put into their list of seeds.  A node that listens on all
   addresses is where its pages are, as far as it knows. */
static cli_http_answer seed_page(const cli_station *s,
                                 const cli_http_request *r) {
  char at[CMT_NET_ADDR_TEXT_SIZE + 16], line[3 * CMT_NET_ADDR_TEXT_SIZE];
  const char *addr = listen_addr(s, at, sizeof at);
  const char *scheme = strstr(addr, "://");
  cmt_net_addr parsed;
  cmt_node_id id;

  addr = scheme != NULL ? scheme + 3 : addr;
  cmt_switch_get_id(s->sw, &id);
  if (r->host[0] != '\0' &&
      cmt_net_addr_parse(addr, CMT_ADDR_NO_ID, &parsed, NULL) == CMT_OK &&
      is_everywhere(&parsed)) {
    snprintf(line, sizeof line, "%s@%s:%u\n", id.text, r->host,
             (unsigned)parsed.port);
  } else {
    snprintf(line, sizeof line, "%s@%s\n", id.text, addr);
  }
  return answer(PLAIN, line);
}

static cli_http_answer health_page(const cli_station *s, const cli_chain *c) {
  (void)s;
  (void)c;
  return answer(PLAIN, "ok\n");
}

static cli_http_answer rpc_page(const cli_station *s, const cli_chain *c,
                                const cli_http_request *r) {
  char at[CMT_NET_ADDR_TEXT_SIZE + 16];
  const cli_rpc rpc = {
    .sw = s->sw,
    .network = c->network,
    .moniker = c->settings->moniker,
    .version = cmt_version(),
    .listen_addr = listen_addr(s, at, sizeof at),
    .external = s->first->settings->external_address,
    .channels = s->reactors[0].channels,
    .channel_count = s->reactors[0].channel_count,
  };

  return cli_rpc_answer(&rpc, r);
}

/* ---- paths ---- */

/* Pages in the forms of CometBFT's RPC have no function here, nor has one that
   depends on the request. */
static const struct {
  const char *path;
  cli_http_answer (*page)(const cli_station *s, const cli_chain *c);
  const char *help;
} pages[] = {
  {"/seed", NULL, "this node as ID@HOST:PORT, for the seeds of others"},
  {"/live_peers", live_page, "nodes that answered in the last 30 minutes"},
  {"/live_peers.csv", live_csv_page,
   "the same in one line, for persistent_peers"},
  {"/addrbook.json", book_page, "the address book"},
  {"/net_info", NULL, "peers, as CometBFT's RPC"},
  {"/status", NULL, "this node, as CometBFT's RPC"},
  {"/health", NULL, "an empty answer, as CometBFT's RPC"},
  {"/healthz", health_page, "ok while it runs"},
};

static void html_text(FILE *out, const char *text) {
  for (; *text != '\0'; text++) {
    if (strchr("<>&\"", *text) != NULL) {
      fprintf(out, "&#%d;", *text);
    } else {
      fputc(*text, out);
    }
  }
}

/* A segment of a path. */
static void html_segment(FILE *out, const char *text) {
  for (; *text != '\0'; text++) {
    if (isalnum((unsigned char)*text) || strchr("-._~", *text) != NULL) {
      fputc(*text, out);
    } else {
      fprintf(out, "%%%02X", (unsigned char)*text);
    }
  }
}

static void index_chains(FILE *out, const cli_station *s) {
  fprintf(out, "<p>All chains:\n<ul>\n");
  for (size_t i = 0; i < s->chain_count; i++) {
    fputs("<li><a href=\"", out);
    html_segment(out, s->chains[i]->network);
    fputs("/\">", out);
    html_text(out, s->chains[i]->network);
    fputs("</a>\n", out);
  }
  fputs("</ul>\n", out);
}

/* The links are relative, so that they hold behind a proxy too.  |inside|: the
   path ends with that of the chain and a slash. */
static void index_write(FILE *out, const cli_station *s, const cli_chain *c,
                        bool inside) {
  fprintf(out, "<!DOCTYPE html>\n<title>cometp2p %s</title>\n<p>Pages of ",
          s->seed ? "seed" : "node");
  html_text(out, c->network);
  fputs(":\n<ul>\n", out);
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
    fputs("<li><a href=\"", out);
    if (!inside) {
      html_segment(out, c->network);
      fputc('/', out);
    }
    fprintf(out, "%s\">%s</a> %s\n", pages[i].path + 1, pages[i].path,
            pages[i].help);
  }
  fputs("</ul>\n", out);
}

/* The list of pages, as the RPC of CometBFT has one; at the root also that of
   the chains. */
static cli_http_answer index_page(cli_station *s, const cli_chain *c,
                                  const char *path, bool root) {
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  cli_http_answer a;

  if (out != NULL) {
    index_write(out, s, c, path[0] == '/');
    pthread_mutex_lock(&s->lock);
    if (root && s->chain_count > 1) {
      index_chains(out, s);
    }
    pthread_mutex_unlock(&s->lock);
    (void)fclose(out);
  }
  a = answer("text/html; charset=utf-8", text);
  free(text);
  return a;
}

/* The chain that the path names, and the rest of it; else the first one. */
static const cli_chain *chain_of(cli_station *s, const char **path) {
  const cli_chain *c = s->first;
  size_t longest = 0;

  pthread_mutex_lock(&s->lock);
  for (size_t i = 0; i < s->chain_count; i++) {
    size_t len = strlen(s->chains[i]->network);

    if (len > longest && strncmp(*path + 1, s->chains[i]->network, len) == 0 &&
        ((*path)[1 + len] == '/' || (*path)[1 + len] == '\0')) {
      c = s->chains[i];
      longest = len;
    }
  }
  *path += longest > 0 ? 1 + longest : 0;
  pthread_mutex_unlock(&s->lock);
  return c;
}

cli_http_answer cli_pages_answer(void *station, const cli_http_request *r) {
  cli_station *s = station;
  cli_http_request inner = *r;
  const cli_chain *c;

  if (inner.path[0] != '/') {
    return (cli_http_answer){.status = 404};
  }
  c = chain_of(s, &inner.path);
  if (inner.path[0] == '\0' ||
      (strcmp(inner.path, "/") == 0 && inner.body.len == 0)) {
    return index_page(s, c, inner.path, inner.path == r->path);
  }
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
    if (pages[i].page != NULL && strcmp(inner.path, pages[i].path) == 0) {
      return pages[i].page(s, c);
    }
  }
  return strcmp(inner.path, "/seed") == 0 ? seed_page(s, r)
                                          : rpc_page(s, c, &inner);
}
