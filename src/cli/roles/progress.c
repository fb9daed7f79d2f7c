/* SPDX-License-Identifier: Apache-2.0 */
/* The rate is that between now and the oldest of the last CLI_PROGRESS_SAMPLES
   looks, some three seconds: steady enough to read, quick enough to be true. */

#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, BAR_MIN = 8 };

static double sample_rate(cli_progress *p, uint64_t now_ns, uint64_t bytes) {
  size_t oldest =
    p->count < CLI_PROGRESS_SAMPLES ? 0 : p->count % CLI_PROGRESS_SAMPLES;
  double rate = 0;

  if (p->count > 0 && now_ns > p->samples[oldest].at_ns) {
    rate = (double)(bytes - p->samples[oldest].bytes) * 1e9 /
           (double)(now_ns - p->samples[oldest].at_ns);
  }
  p->samples[p->count % CLI_PROGRESS_SAMPLES].at_ns = now_ns;
  p->samples[p->count % CLI_PROGRESS_SAMPLES].bytes = bytes;
  p->count++;
  return rate;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* How much of it is done, from 0 to 1. */
static double file_part(const cli_file_event *e) {
  return e->size == 0 ? 1 : (double)e->done / (double)e->size;
}

static size_t terminal_width(void) {
  struct winsize size;

  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return 80;
  }
  return size.ws_col;
}

/* What stands right of the bar; its length. */
static size_t state_text(const cli_file_event *e, const cli_liner_status *lines,
                         char *out) {
  bool answered = lines != NULL && lines->answered > 0;
  char done[32], rate[32], eta[32] = "", trip[32] = "";

  out[0] = '\0';
  if (answered) {
    snprintf(trip, sizeof trip, "%.3f ms", (double)lines->last_ns / 1e6);
  }
  if (e == NULL && answered) {
    snprintf(out, CLI_PROGRESS_SIZE, "%llu lines, %s",
             (unsigned long long)lines->answered, trip);
  }
  if (e == NULL) {
    return strlen(out);
  }
  cli_size_text((double)e->done, done, sizeof done);
  cli_size_text(e->rate, rate, sizeof rate);
  if (e->eta_s >= 0) {
    snprintf(eta, sizeof eta, " eta %.0f s", e->eta_s);
  }
  snprintf(out, CLI_PROGRESS_SIZE, "%3d%% %s %s/s%s%s%s",
           (int)(100 * file_part(e)), done, rate, eta,
           answered ? " | line " : "", trip);
  return strlen(out);
}

int cli_progress_line(const cli_file_event *e, const cli_liner_status *lines,
                      size_t width, char *out) {
  char state[CLI_PROGRESS_SIZE];
  size_t len = state_text(e, lines, state);
  size_t left = width > len ? width - len : 0;
  size_t name, bar, full;

  if (e == NULL || left < 4) {
    return snprintf(out, CLI_PROGRESS_SIZE, "%.*s", (int)width, state);
  }
  name = least(strlen(e->file), least(BAR_WIDTH, left / 2));
  left -= name + 1;
  if (left < BAR_MIN + 3) {
    return snprintf(out, CLI_PROGRESS_SIZE, "%.*s %s", (int)name, e->file,
                    state);
  }
  bar = least(BAR_WIDTH, left - 3);
  full = (size_t)(file_part(e) * (double)bar);
  return snprintf(out, CLI_PROGRESS_SIZE, "%.*s [%.*s%*s] %s", (int)name,
                  e->file, (int)full, "########################",
                  (int)(bar - full), "", state);
}

void cli_progress_show(cli_progress *p, const cli_sender_status *files,
                       const cli_liner_status *lines) {
  uint64_t now_ns = cli_now_ns();
  bool has_file = files != NULL && files->name[0] != '\0';
  cli_file_event event = {0};

  if (now_ns < p->next_ns) {
    return;
  }
  p->next_ns = now_ns + CMT_MILLISECONDS(100);
  if (has_file) {
    if (strcmp(p->name, files->name) != 0 || files->acked == 0) {
      memcpy(p->name, files->name, sizeof p->name);
      p->count = 0;
    }
    event = (cli_file_event){
      .id = p->id,
      .file = files->name,
      .done = files->acked,
      .size = files->size,
      .rate = sample_rate(p, now_ns, files->acked),
    };
    event.eta_s =
      event.rate > 0 ? (double)(files->size - files->acked) / event.rate : -1;
    /* A line that is not read is out of date when the next one comes. */
    if (!cli_output_is_slow(p->io->out)) {
      cli_event_progress(p->io, &event, NULL);
    }
  }
  if (!p->io->json && cli_output_is_terminal(p->io->out)) {
    char line[CLI_PROGRESS_SIZE];

    cli_progress_line(has_file ? &event : NULL, lines, terminal_width() - 1,
                      line);
    cli_output_status(p->io->out, line);
  }
}

void cli_progress_clear(cli_progress *p) { cli_output_status(p->io->out, ""); }
