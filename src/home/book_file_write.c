/* SPDX-License-Identifier: Apache-2.0 */

/* Writes the two files of an address book: addrbook.json byte for byte as Go's
   encoding/json with tabs, and the one beside it with an entry in a line. */

#include "book_file.h"
#include "rfc3339.h"

#include <sodium.h>

/* The text of an address; its id is empty when there is none. */
typedef struct addr_text {
  cmt_node_id id;
  char host[CMT__IP_TEXT_SIZE];
} addr_text;

static addr_text text_of(const cmt__book_addr *a) {
  static const uint8_t none[BOOK_ID] = {0};
  addr_text t = {.id.text = ""};

  if (memcmp(a->id, none, sizeof none) != 0) {
    cmt__book_id_write(a->id, &t.id);
  }
  cmt__ip_write(&a->at.ip, t.host);
  return t;
}

static void add_text(cmt__temp_file *out, const char *text) {
  cmt__temp_file_add(out, text, strlen(text));
}

static void add_addr(cmt__temp_file *out, const char *name,
                     const cmt__book_addr *a) {
  addr_text t = text_of(a);

  cmt__temp_file_addf(
    out,
    "\t\t\t\"%s\": {\n\t\t\t\t\"id\": \"%s\",\n"
    "\t\t\t\t\"ip\": \"%s\",\n\t\t\t\t\"port\": %u\n\t\t\t},\n",
    name, t.id.text, t.host, (unsigned)a->at.port);
}

static void add_entry(cmt__temp_file *out, const cmt__book_entry *e) {
  char attempt[CMT__TIME_TEXT_SIZE], success[CMT__TIME_TEXT_SIZE],
    ban[CMT__TIME_TEXT_SIZE];

  cmt__time_write(e->last_attempt_ns, attempt);
  cmt__time_write(e->last_success_ns, success);
  cmt__time_write(e->last_ban_ns, ban);
  add_text(out, "\t\t{\n");
  add_addr(out, "addr", &e->addr);
  add_addr(out, "src", &e->src);
  add_text(out, "\t\t\t\"buckets\": [\n");
  for (size_t i = 0; i < e->bucket_count; i++) {
    cmt__temp_file_addf(out, "\t\t\t\t%u%s\n",
                        e->buckets[i] - (e->old ? BOOK_NEW_BUCKETS : 0u),
                        i + 1 < e->bucket_count ? "," : "");
  }
  cmt__temp_file_addf(out,
                      "\t\t\t],\n\t\t\t\"attempts\": %u,\n"
                      "\t\t\t\"bucket_type\": %d,\n"
                      "\t\t\t\"last_attempt\": \"%s\",\n"
                      "\t\t\t\"last_success\": \"%s\",\n"
                      "\t\t\t\"last_ban_time\": \"%s\"\n\t\t}",
                      (unsigned)e->attempts, e->old ? 2 : 1, attempt, success,
                      ban);
}

/* Writes |in|, which is printable ASCII, as the content of a JSON string. */
static void add_string(cmt__temp_file *out, const char *in) {
  for (; *in != '\0'; in++) {
    cmt__temp_file_addf(out, *in == '"' || *in == '\\' ? "\\%c" : "%c", *in);
  }
}

void cmt__book_main_write(const cmt_addrbook_snapshot *s, cmt__temp_file *out) {
  add_text(out, "{\n\t\"key\": \"");
  add_string(out, s->file_key);
  add_text(out, "\",\n\t\"addrs\": [");
  for (size_t i = 0; i < s->count; i++) {
    add_text(out, i == 0 ? "\n" : ",\n");
    add_entry(out, &s->entries[i]);
  }
  add_text(out, s->count > 0 ? "\n\t]\n}" : "]\n}");
}

/* ---- beside it ---- */

/* A share or a count in millionths, so that no locale writes its point. */
static unsigned long long millionths(float v) {
  return v > 0 && v < 1e9f ? (unsigned long long)((double)v * 1e6 + 0.5) : 0;
}

static void add_windows(cmt__temp_file *out, const cmt__book_entry *e) {
  char tried[CMT__TIME_TEXT_SIZE];

  if (e->tried_ns == 0) {
    return;
  }
  cmt__time_write(e->tried_ns, tried);
  cmt__temp_file_addf(out, ",\"tried\":\"%s\",\"windows\":[", tried);
  for (size_t i = 0; i < CMT_ADDRBOOK_WINDOWS; i++) {
    const cmt__book_window *w = &e->windows[i];

    cmt__temp_file_addf(out, "%s%llu,%llu", i > 0 ? "," : "",
                        millionths(w->count), millionths(w->success));
  }
  add_text(out, "]");
}

static void add_others(cmt__temp_file *out, const cmt__book_entry *e) {
  if (e->other_count == 0) {
    return;
  }
  add_text(out, ",\"others\":[");
  for (size_t i = 0; i < e->other_count; i++) {
    char host[CMT__IP_TEXT_SIZE];

    cmt__ip_write(&e->others[i].ip, host);
    cmt__temp_file_addf(out, "%s{\"ip\":\"%s\",\"port\":%u}", i > 0 ? "," : "",
                        host, (unsigned)e->others[i].port);
  }
  add_text(out, "]");
}

static bool has_more(const cmt__book_entry *e) {
  return e->proven_ns != 0 || e->tried_ns != 0 || e->other_count > 0 ||
         e->height != 0 || e->version[0] != '\0';
}

static void add_more(cmt__temp_file *out, const cmt__book_entry *e) {
  addr_text t = text_of(&e->addr);
  char time[CMT__TIME_TEXT_SIZE];

  cmt__temp_file_addf(out, "  {\"id\":\"%s\",\"ip\":\"%s\",\"port\":%u",
                      t.id.text, t.host, (unsigned)e->addr.at.port);
  if (e->proven_ns != 0) {
    cmt__time_write(e->proven_ns, time);
    cmt__temp_file_addf(out, ",\"proven\":\"%s\"", time);
  }
  if (e->height != 0) {
    cmt__temp_file_addf(out, ",\"height\":%lld", (long long)e->height);
  }
  if (e->height_s != 0) {
    cmt__time_write(CMT_SECONDS(e->height_s), time);
    cmt__temp_file_addf(out, ",\"height_at\":\"%s\"", time);
  }
  if (e->version[0] != '\0') {
    add_text(out, ",\"version\":\"");
    add_string(out, e->version);
    add_text(out, "\"");
  }
  add_windows(out, e);
  add_others(out, e);
  add_text(out, "}");
}

static void add_ban(cmt__temp_file *out, const cmt__book_ban *ban) {
  cmt__book_addr addr = {.at = ban->at};
  char end[CMT__TIME_TEXT_SIZE];
  addr_text t;

  memcpy(addr.id, ban->id, sizeof addr.id);
  t = text_of(&addr);
  cmt__time_write(ban->end_ns, end);
  cmt__temp_file_addf(out, "  {\"id\":\"%s\",\"kind\":%u,\"until\":\"%s\"",
                      t.id.text, (unsigned)ban->kind, end);
  if (ban->kind == CMT_ADDRBOOK_WRONG_ID) {
    cmt__temp_file_addf(out, ",\"ip\":\"%s\",\"port\":%u", t.host,
                        (unsigned)ban->at.port);
  }
  add_text(out, "}");
}

static void add_anchor(cmt__temp_file *out, const cmt__book_addr *a) {
  addr_text t = text_of(a);

  cmt__temp_file_addf(out, "  {\"id\":\"%s\",\"ip\":\"%s\",\"port\":%u}",
                      t.id.text, t.host, (unsigned)a->at.port);
}

void cmt__book_side_write(const cmt_addrbook_snapshot *s, cmt__temp_file *out) {
  char key[2 * CMT__HIGHWAY_KEY_SIZE + 1];
  const char *before = "\n";

  sodium_bin2hex(key, sizeof key, s->hash_key, sizeof s->hash_key);
  cmt__temp_file_addf(out, "{\n \"hash_key\":\"%s\",\n \"entries\":[", key);
  sodium_memzero(key, sizeof key);
  for (size_t i = 0; i < s->count; i++) {
    if (has_more(&s->entries[i])) {
      add_text(out, before);
      add_more(out, &s->entries[i]);
      before = ",\n";
    }
  }
  add_text(out, "],\n \"bans\":[");
  for (size_t i = 0; i < s->ban_count; i++) {
    add_text(out, i == 0 ? "\n" : ",\n");
    add_ban(out, &s->bans[i]);
  }
  add_text(out, "],\n \"anchors\":[");
  for (size_t i = 0; i < s->anchors.count; i++) {
    add_text(out, i == 0 ? "\n" : ",\n");
    add_anchor(out, &s->anchors.list[i]);
  }
  add_text(out, "]\n}\n");
}
