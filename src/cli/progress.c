/* SPDX-License-Identifier: Apache-2.0 */
/* The rate is that between now and the oldest of the last CLI_PROGRESS_SAMPLES
   looks, some three seconds: steady enough to read, quick enough to be true. */

#include "progress.h"

#include "events.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, LINE_SIZE = 256 };

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

static int terminal_width(void) {
  struct winsize size;

  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return 80;
  }
  return size.ws_col;
}

static size_t add(char *line, size_t len, const char *text) {
  size_t left = LINE_SIZE - len;
  int n = snprintf(line + len, left, "%s", text);

  return (size_t)n < left ? len + (size_t)n : LINE_SIZE - 1;
}

static size_t add_bar(char *line, size_t len, const cli_file_event *e) {
  double part = e->size == 0 ? 1 : (double)e->done / (double)e->size;
  int full = (int)(part * BAR_WIDTH);
  char text[LINE_SIZE], done[32], rate[32];

  cli_size_text((double)e->done, done, sizeof done);
  cli_size_text(e->rate, rate, sizeof rate);
  snprintf(text, sizeof text, "%.24s [%.*s%.*s] %3d%% %s %s/s", e->file, full,
           "########################", BAR_WIDTH - full,
           "                        ", (int)(part * 100), done, rate);
  len = add(line, len, text);
  if (e->eta_s >= 0) {
    snprintf(text, sizeof text, " eta %.0f s", e->eta_s);
    len = add(line, len, text);
  }
  return len;
}

static void show_bar(cli_progress *p, const cli_file_event *e,
                     const cli_liner_status *lines) {
  char line[LINE_SIZE] = "", text[64];
  size_t len = e == NULL ? 0 : add_bar(line, 0, e);
  size_t width = (size_t)terminal_width() - 1;

  if (lines != NULL && lines->answered > 0) {
    snprintf(text, sizeof text, "%s%llu lines, %.3f ms", len == 0 ? "" : " | ",
             (unsigned long long)lines->answered, (double)lines->last_ns / 1e6);
    len = add(line, len, text);
  }
  if (len > width) {
    line[width] = '\0';
  }
  cli_output_status(p->io->out, line);
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
    cli_event_progress(p->io, &event);
  }
  if (!p->io->json && cli_output_is_terminal(p->io->out)) {
    show_bar(p, has_file ? &event : NULL, lines);
  }
}

void cli_progress_clear(cli_progress *p) { cli_output_status(p->io->out, ""); }
