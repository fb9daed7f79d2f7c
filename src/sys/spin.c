/* SPDX-License-Identifier: Apache-2.0 */
#include "spin.h"

#include "base/base.h"
#include "processors.h"

#include <cometp2p/err.h>
#include <time.h>

enum {
  PAUSES = 16,    /* Between two looks at the clock. */
  SKIPS_MAX = 63, /* So at least each 64th wait finds out whether it pays. */
  NEVER = 255,    /* There is one processor. */
};

static void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

static uint64_t spin_now_ns(void) {
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  return CMT_SECONDS(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

bool cmt__spin_is_due(cmt__spin *s) {
  if (s->skip == 0) {
    return true;
  }
  if (s->skip != NEVER) {
    s->skip--;
  }
  return false;
}

void cmt__spin_note(cmt__spin *s, bool paid) {
  if (paid) {
    s->skips = 0;
  } else if (s->skips == 0 && cmt__processors() == 1) {
    s->skips = NEVER;
  } else {
    s->skips = (uint8_t)cmt__min(2 * s->skips + 1u, SKIPS_MAX);
  }
  s->skip = s->skips;
}

uint64_t cmt__spin_end_ns(uint64_t max_ns) {
  return spin_now_ns() + cmt__min64(max_ns, CMT__SPIN_NS);
}

bool cmt__spin_while(const atomic_uint *word, unsigned value, uint64_t end_ns) {
  do {
    for (int i = 0; i < PAUSES; i++) {
      if (atomic_load_explicit(word, memory_order_acquire) != value) {
        return true;
      }
      spin_pause();
    }
  } while (spin_now_ns() < end_ns);
  return atomic_load_explicit(word, memory_order_acquire) != value;
}
