/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what a trace notes in memory until the end of the run.  The file has
   records of four 64-bit words: instant, point, and the two that belong to the
   point; see base/trace.h.  Point 100 is a message that was asked for. */

#include "bench_trace.h"

#ifdef CMT_TRACE

#include "base/trace.h"
#include "bench.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECORDS_MAX = 8 << 20, POINT_ASK = 100 };

typedef struct record {
  uint64_t at_ns, point, a, b;
} record;

static record *records;
static _Atomic size_t count; /* Two threads note. */

static void note_at(uint64_t at_ns, uint64_t point, uint64_t a, uint64_t b) {
  size_t i = atomic_fetch_add(&count, 1);

  if (i < RECORDS_MAX) {
    records[i] = (record){.at_ns = at_ns, .point = point, .a = a, .b = b};
  }
}

static void note(cmt__trace_point point, uint64_t a, uint64_t b) {
  note_at(bench_now_ns(), point, a, b);
}

void bench_trace_start(void) {
  records = calloc(RECORDS_MAX, sizeof *records);
  if (records == NULL) {
    exit(1);
  }
  cmt__trace_note = note;
}

void bench_trace_ask(uint64_t at_ns) { note_at(at_ns, POINT_ASK, 0, 0); }

void bench_trace_write(const char *path) {
  size_t n = atomic_load(&count);
  FILE *f = path != NULL ? fopen(path, "wb") : NULL;

  if (f != NULL) {
    fwrite(records, sizeof *records, n < RECORDS_MAX ? n : RECORDS_MAX, f);
    fclose(f);
  }
}

#else

void bench_trace_start(void) {}

void bench_trace_ask(uint64_t at_ns) { (void)at_ns; }

void bench_trace_write(const char *path) { (void)path; }

#endif
