/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

/* The events that a verb prints on standard output, as JSON or for a person.
   |p| is the peer that causes the line and is paused while nobody reads; NULL:
   none is. */

#include "cli.h"

typedef struct cli_failure {
  const char *id;   /* NULL: none. */
  const char *file; /* Escaped; NULL: none. */
  cmt_err err;
  const char *text;
} cli_failure;

typedef struct cli_file_event {
  const char *id;   /* NULL: none. */
  const char *file; /* Escaped. */
  uint64_t done, size;
  double rate, eta_s, seconds; /* |eta_s| under 0: not known. */
  const char *hash;            /* Hex. */
} cli_file_event;

typedef struct cli_message_event {
  const char *id;
  uint8_t channel;
  size_t size;
  const char *hash;
} cli_message_event;

typedef struct cli_summary_event {
  uint64_t files, bytes, lines, answered;
  double seconds;
  double p50_ms, p99_ms; /* Under 0: no line was answered. */
} cli_summary_event;

void cli_event_ready(cli_io *io, const cmt_net_addr *laddr);
void cli_event_peer_added(cli_io *io, cmt_peer *p);
void cli_event_peer_removed(cli_io *io, const cmt_peer *p, const cmt_why *why);
/* Strangers may cause it as often as they like.  False: too much output waits,
   and it was not printed; the same applies to cli_event_more_rejected(). */
bool cli_event_rejected(cli_io *io, const cmt_rejection *r, bool inferred);
/* |count| more were rejected. */
bool cli_event_more_rejected(cli_io *io, uint64_t count);
void cli_event_message(cli_io *io, const cli_message_event *e, cmt_peer *p);
void cli_event_line(cli_io *io, cmt_bytes text, cmt_peer *p);
void cli_event_receipt(cli_io *io, uint64_t seq, double rtt_ms, cmt_peer *p);
void cli_event_progress(cli_io *io, const cli_file_event *e, cmt_peer *p);
void cli_event_done(cli_io *io, const cli_file_event *e, cmt_peer *p);
void cli_event_error(cli_io *io, const cli_failure *f, cmt_peer *p);
/* cli_event_error() for a verb that fails by it: also a line on standard
   error. */
void cli_report_error(cli_io *io, const cli_failure *f, cmt_peer *p);
void cli_event_summary(cli_io *io, const cli_summary_event *e);

/* A JSON string of |text|, which is short, that any reader takes: as it is when
   it is UTF-8, escaped when not. */
struct json_t *cli_json_text(cmt_bytes text);

/* Prints |line| in one piece and releases it. */
void cli_print_json(cli_io *io, struct json_t *line, cmt_peer *p);

#endif
