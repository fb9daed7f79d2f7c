/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernels that run on this machine, by the number of frames that they
   get at a time:

     bench_aead

   One line of JSON for each: nanoseconds of processor time for a frame, the
   least of many runs. */

#include "crypto/aead.h"
#include "sys/kernels.h"

#include <cometp2p/secret_conn.h>
#include <stdio.h>
#include <time.h>

enum { FRAMES = 64, RUNS = 200 };

typedef void operation(cmt__aead_job *jobs, size_t count);

static uint8_t key[CMT__AEAD_KEY];
static uint8_t slots[FRAMES][CMT_FRAME_SLOT];

static double now_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* All frames once, |count| at a time. */
static double run(operation *op, size_t count) {
  cmt__aead_job jobs[FRAMES];
  double begin;

  for (size_t i = 0; i < FRAMES; i++) {
    jobs[i] = (cmt__aead_job){.key = key, .counter = i, .slot = slots[i]};
  }
  begin = now_ns();
  for (size_t i = 0; i < FRAMES; i += count) {
    op(jobs + i, count);
  }
  return (now_ns() - begin) / FRAMES;
}

static void bench(const struct cmt_aead *aead, size_t count) {
  double seal = 1e12, open = 1e12;

  for (int i = 0; i < RUNS; i++) {
    double sealed = run(aead->seal, count), opened = run(aead->open, count);

    seal = sealed < seal ? sealed : seal;
    open = opened < open ? opened : open;
  }
  printf("{\"bench\":\"aead\",\"kernel\":\"%s\",\"at_a_time\":%zu,"
         "\"seal_ns\":%.0f,\"open_ns\":%.0f}\n",
         aead->name, count, seal, open);
}

int main(void) {
  const cmt__kernels *all = &cmt__kernels_built_in;

  for (size_t i = 0; i < all->count; i++) {
    const char *name = all->entries[i].aead->name;
    cmt_env env;

    if (cmt_env_init(&env) == CMT_OK &&
        cmt_env_set_aead(&env, name) == CMT_OK) {
      for (size_t count = 1; count <= FRAMES; count *= 2) {
        bench(env.aead, count);
      }
    }
  }
  return 0;
}
