/* SPDX-License-Identifier: Apache-2.0 */
/* Each event has one function with two forms.  JSON is ASCII on one line;
   what a peer sent is escaped for people. */

#include "events.h"

#include "pieces.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  SHORT_ID = 8,
  LINE_SIZE = 2048,
  JSON_FORM = JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12)
};

json_t *cli_json_text(cmt_bytes text) {
  json_t *out =
    json_stringn(text.len == 0 ? "" : (const char *)text.base, text.len);
  size_t cap;
  char *shown;

  if (out != NULL) {
    return out;
  }
  cap = 4 * text.len + 1;
  shown = cli_alloc(cap, 1);
  cmt_text_escape(text, shown, cap);
  out = json_string(shown);
  free(shown);
  return out;
}

void cli_print_json(cli_io *io, json_t *line, cmt_peer *p) {
  char *text = line == NULL ? NULL : json_dumps(line, JSON_FORM);

  if (text == NULL) {
    cli_io_error(io, "out of memory for a line of output");
  } else {
    cli_output_line(io->out, text, strlen(text), p);
  }
  free(text);
  json_decref(line);
}

static void print_text(cli_io *io, cmt_peer *p, const char *format, ...)
  __attribute__((format(printf, 3, 4)));

static void print_text(cli_io *io, cmt_peer *p, const char *format, ...) {
  char line[LINE_SIZE];
  va_list args;

  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  cli_output_line(io->out, line, strlen(line), p);
}

/* Three decimals are enough for milliseconds and seconds. */
static json_t *json_rounded(double value) {
  double scaled = value * 1000 + 0.5;

  if (scaled >= 0 && scaled < 9e15) {
    value = (double)(uint64_t)scaled / 1000;
  }
  return json_real(value);
}

static json_t *json_known(double value) {
  return value < 0 ? json_null() : json_rounded(value);
}

static json_t *json_optional(const char *text) {
  return text == NULL ? json_null() : json_string(text);
}

static const char *shown(cmt_bytes text, char *out, size_t cap) {
  cmt_text_escape(text, out, cap);
  return out;
}

void cli_event_ready(cli_io *io, const cmt_net_addr *laddr) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr bare = *laddr;

  if (!io->json) {
    if (cmt_net_addr_format(laddr, text, sizeof text) == CMT_OK) {
      print_text(io, NULL, "listening on %s", text);
    }
    return;
  }
  bare.id.text[0] = '\0';
  if (cmt_net_addr_format(&bare, text, sizeof text) == CMT_OK) {
    cli_print_json(io,
                   json_pack("{s:s, s:s, s:s}", "event", "ready", "id",
                             laddr->id.text, "laddr", text),
                   NULL);
  }
}

/* "IP:PORT" of |p|. */
static void remote_text(const cmt_peer *p, char *out, size_t cap) {
  cmt_net_addr remote;

  cmt_peer_get_remote(p, &remote);
  remote.id.text[0] = '\0';
  if (cmt_net_addr_format(&remote, out, cap) != CMT_OK) {
    out[0] = '\0';
  }
}

static json_t *json_hex(cmt_bytes bytes) {
  char *text = cli_alloc(2 * bytes.len + 1, 1);
  json_t *out;

  for (size_t i = 0; i < bytes.len; i++) {
    snprintf(text + 2 * i, 3, "%02X", bytes.base[i]);
  }
  out = json_string(text);
  free(text);
  return out;
}

void cli_event_peer_added(cli_io *io, cmt_peer *p) {
  const cmt_node_info *info = cmt_peer_node_info(p);
  char remote[CMT_NET_ADDR_TEXT_SIZE], moniker[200], version[100];

  remote_text(p, remote, sizeof remote);
  if (!io->json) {
    print_text(io, NULL, "peer %s %s %s: %s, version %s", cmt_peer_id(p)->text,
               cmt_peer_is_outbound(p) ? "dialed at" : "came from", remote,
               shown(info->moniker, moniker, sizeof moniker),
               shown(info->version, version, sizeof version));
    return;
  }
  cli_print_json(io,
                 json_pack("{s:s, s:s, s:b, s:s, s:o, s:o, s:o, s:o}", "event",
                           "peer_added", "id", cmt_peer_id(p)->text, "outbound",
                           cmt_peer_is_outbound(p), "remote", remote, "moniker",
                           cli_json_text(info->moniker), "network",
                           cli_json_text(info->network), "version",
                           cli_json_text(info->version), "channels",
                           json_hex(info->channels)),
                 NULL);
}

void cli_event_peer_removed(cli_io *io, const cmt_peer *p, const cmt_why *why) {
  char reason[32];

  if (!io->json) {
    print_text(io, NULL, "peer %s is gone: %s", cmt_peer_id(p)->text,
               why->text);
    return;
  }
  cli_reason(why->err, reason, sizeof reason);
  cli_print_json(io,
                 json_pack("{s:s, s:s, s:s, s:s, s:s}", "event", "peer_removed",
                           "id", cmt_peer_id(p)->text, "class",
                           cmt_err_class_name(cmt_err_class_of(why->err)),
                           "reason", reason, "text", why->text),
                 NULL);
}

/* Before a connection there is only what was dialed; its id is no part of the
   field. */
static const char *remote_of(const cmt_rejection *r) {
  const char *at = strchr(r->remote, '@');

  return at == NULL ? r->remote : at + 1;
}

static json_t *rejected_json(const cmt_rejection *r, bool inferred) {
  char reason[32];
  json_t *line;

  cli_reason(r->why.err, reason, sizeof reason);
  line = json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "event", "rejected",
                   "remote", remote_of(r), "outbound", r->outbound, "stage",
                   cmt_stage_name(r->why.stage), "class",
                   cmt_err_class_name(cmt_err_class_of(r->why.err)), "reason",
                   reason, "text", r->why.text);
  if (r->id != NULL) {
    json_object_set_new(line, "id", json_string(r->id->text));
  }
  if (r->dialed != NULL) {
    json_object_set_new(line, "dialed", json_string(r->dialed));
  }
  if (inferred) {
    json_object_set_new(line, "inferred", json_true());
  }
  return line;
}

/* Whether |line|, which is released, was printed. */
static bool extra_json(cli_io *io, json_t *line) {
  char *text = json_dumps(line, JSON_FORM);
  bool printed = text != NULL && cli_output_extra(io->out, text, strlen(text));

  free(text);
  json_decref(line);
  return printed;
}

bool cli_event_rejected(cli_io *io, const cmt_rejection *r, bool inferred) {
  char text[LINE_SIZE];

  if (io->json) {
    return extra_json(io, rejected_json(r, inferred));
  }
  snprintf(text, sizeof text, "rejected %s %s: %s",
           r->outbound ? "dial to" : "connection from", r->remote, r->why.text);
  return cli_output_extra(io->out, text, strlen(text));
}

bool cli_event_more_rejected(cli_io *io, uint64_t count) {
  char text[64], digits[32];

  if (io->json) {
    return extra_json(io, json_pack("{s:s, s:I}", "event", "rejected_unseen",
                                    "count", (json_int_t)count));
  }
  cli_count_text(count, digits, sizeof digits);
  snprintf(text, sizeof text, "and %s more rejected", digits);
  return cli_output_extra(io->out, text, strlen(text));
}

void cli_event_message(cli_io *io, const cli_message_event *e, cmt_peer *p) {
  if (!io->json) {
    print_text(io, p, "%.*s: message of %zu bytes on channel 0x%02x", SHORT_ID,
               e->id, e->size, e->channel);
    return;
  }
  cli_print_json(io,
                 json_pack("{s:s, s:s, s:i, s:I, s:s}", "event", "message",
                           "id", e->id, "channel", (int)e->channel, "size",
                           (json_int_t)e->size, "sha256", e->hash),
                 p);
}

void cli_event_line(cli_io *io, cmt_bytes text, cmt_peer *p) {
  const char *id = cmt_peer_id(p)->text;
  char begin[128];

  snprintf(
    begin, sizeof begin,
    io->json ? "{\"event\":\"line\",\"id\":\"%s\",\"text\":" : "%.8s: ", id);
  cli_output_begin(io->out, p);
  cli_output_piece(io->out, begin, strlen(begin));
  if (io->json) {
    cli_put_json_text(io->out, text);
    cli_output_piece(io->out, "}", 1);
  } else {
    cli_put_escaped(io->out, text);
  }
  cli_output_end(io->out);
}

void cli_event_receipt(cli_io *io, uint64_t seq, double rtt_ms, cmt_peer *p) {
  if (io->json) {
    cli_print_json(io,
                   json_pack("{s:s, s:I, s:o}", "event", "receipt", "seq",
                             (json_int_t)seq, "rtt_ms", json_rounded(rtt_ms)),
                   p);
  }
}

void cli_event_progress(cli_io *io, const cli_file_event *e, cmt_peer *p) {
  json_t *line;

  if (!io->json) {
    return;
  }
  line =
    json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "event", "progress", "file",
              e->file, "sent", (json_int_t)e->done, "size", (json_int_t)e->size,
              "rate", json_rounded(e->rate), "eta_s", json_known(e->eta_s));
  if (e->id != NULL) {
    json_object_set_new(line, "id", json_string(e->id));
  }
  cli_print_json(io, line, p);
}

void cli_event_done(cli_io *io, const cli_file_event *e, cmt_peer *p) {
  char size[32], rate[32];
  json_t *line;

  if (!io->json) {
    cli_size_text((double)e->size, size, sizeof size);
    cli_size_text(e->seconds > 0 ? (double)e->size / e->seconds : 0, rate,
                  sizeof rate);
    print_text(io, p, "%s: %s in %.2f s (%s/s), sha256 %s", e->file, size,
               e->seconds, rate, e->hash);
    return;
  }
  line = json_pack("{s:s, s:s, s:I, s:s, s:o}", "event", "done", "file",
                   e->file, "size", (json_int_t)e->size, "sha256", e->hash,
                   "seconds", json_rounded(e->seconds));
  if (e->id != NULL) {
    json_object_set_new(line, "id", json_string(e->id));
  }
  cli_print_json(io, line, p);
}

static void error_text(cli_io *io, const cli_failure *f, cmt_peer *p) {
  if (!cli_output_is_broken(io->out)) {
    cli_io_error_of(io, p, "%s%s%s", f->file == NULL ? "" : f->file,
                    f->file == NULL ? "" : ": ", f->text);
  }
}

void cli_event_error(cli_io *io, const cli_failure *f, cmt_peer *p) {
  char reason[32];

  if (!io->json) {
    error_text(io, f, p);
    return;
  }
  cli_reason(f->err, reason, sizeof reason);
  cli_print_json(io,
                 json_pack("{s:s, s:o, s:o, s:s, s:s, s:s}", "event", "error",
                           "id", json_optional(f->id), "file",
                           json_optional(f->file), "class",
                           cmt_err_class_name(cmt_err_class_of(f->err)),
                           "reason", reason, "text", f->text),
                 p);
}

void cli_report_error(cli_io *io, const cli_failure *f, cmt_peer *p) {
  cli_event_error(io, f, p);
  if (io->json) {
    error_text(io, f, p);
  }
}

static void summary_text(cli_io *io, const cli_summary_event *e) {
  char size[32], times[96] = "";

  if (e->files > 0) {
    cli_size_text((double)e->bytes, size, sizeof size);
    print_text(io, NULL, "%llu file%s, %s in %.2f s",
               (unsigned long long)e->files, e->files == 1 ? "" : "s", size,
               e->seconds);
  }
  if (e->answered > 0) {
    snprintf(times, sizeof times, ", round trip p50 %.3f ms, p99 %.3f ms",
             e->p50_ms, e->p99_ms);
  }
  if (e->lines > 0) {
    print_text(io, NULL, "%llu line%s sent, %llu answered%s",
               (unsigned long long)e->lines, e->lines == 1 ? "" : "s",
               (unsigned long long)e->answered, times);
  }
}

void cli_event_summary(cli_io *io, const cli_summary_event *e) {
  if (!io->json) {
    summary_text(io, e);
    return;
  }
  cli_print_json(
    io,
    json_pack("{s:s, s:I, s:I, s:o, s:I, s:I, s:o, s:o}", "event", "summary",
              "files", (json_int_t)e->files, "bytes", (json_int_t)e->bytes,
              "seconds", json_rounded(e->seconds), "lines",
              (json_int_t)e->lines, "answered", (json_int_t)e->answered,
              "p50_ms", json_known(e->p50_ms), "p99_ms", json_known(e->p99_ms)),
    NULL);
}
