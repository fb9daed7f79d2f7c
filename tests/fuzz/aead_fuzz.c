/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernels of this build that run on this processor, against the one
   on libsodium: the same sealed frames, the same verdict for each frame when
   some were changed, and nothing decrypted of what is refused. */

#include "crypto/aead.h"
#include "fuzz.h"
#include "sys/kernels.h"

#include <cometp2p/secret_conn.h>
#include <sodium.h>

enum { JOBS_MAX = 40 };

typedef struct batch {
  cmt__aead_job jobs[JOBS_MAX];
  uint8_t keys[JOBS_MAX][CMT__AEAD_KEY];
  uint8_t slots[JOBS_MAX][CMT_FRAME_SLOT];
  size_t count;
} batch;

static uint64_t draw_counter(fuzz_input *in) {
  uint8_t bytes[8] = {0};
  cmt_bytes drawn = fuzz_take(in, fuzz_byte(in) % 9);

  memcpy(bytes, drawn.base, drawn.len);
  return cmt__load_le64(bytes);
}

/* One byte over and over, then some bytes of the input anywhere. */
static void draw_bytes(fuzz_input *in, uint8_t *out, size_t len) {
  cmt_bytes drawn;
  size_t at;

  memset(out, fuzz_byte(in), len);
  at = fuzz_u16(in) % len;
  drawn = fuzz_take(in, cmt__min(fuzz_byte(in), len - at));
  memcpy(out + at, drawn.base, drawn.len);
}

static void batch_draw(batch *b, fuzz_input *in) {
  bool one_key = fuzz_byte(in) & 1;
  uint64_t counter = draw_counter(in);

  b->count = fuzz_byte(in) % (JOBS_MAX + 1);
  for (size_t i = 0; i < b->count; i++) {
    draw_bytes(in, b->keys[i], CMT__AEAD_KEY);
    draw_bytes(in, b->slots[i], CMT_FRAME_PLAIN);
    b->jobs[i] = (cmt__aead_job){
      .key = one_key ? b->keys[0] : b->keys[i],
      .counter = counter + i,
      .slot = b->slots[i],
    };
  }
}

static void batch_copy(batch *to, const batch *from) {
  *to = *from;
  for (size_t i = 0; i < to->count; i++) {
    to->jobs[i].slot = to->slots[i];
  }
}

static void batch_break(batch *b, fuzz_input *in) {
  size_t breaks = b->count > 0 ? fuzz_byte(in) % 8 : 0;

  for (size_t i = 0; i < breaks; i++) {
    size_t job = fuzz_byte(in) % b->count;

    b->slots[job][fuzz_u16(in) % CMT_FRAME_SLOT] ^= fuzz_byte(in);
  }
}

static void check_sealed(const batch *a, const batch *b) {
  for (size_t i = 0; i < a->count; i++) {
    FUZZ_CHECK(memcmp(a->slots[i], b->slots[i], CMT_FRAME_SLOT) == 0);
  }
}

/* A refused frame stays as it came, or is wiped. */
static bool is_closed(const uint8_t *slot, const uint8_t *sealed) {
  return memcmp(slot, sealed, CMT_FRAME_PLAIN) == 0 ||
         sodium_is_zero(slot, CMT_FRAME_PLAIN);
}

static void check_opened(const batch *a, const batch *b, const batch *sealed) {
  for (size_t i = 0; i < a->count; i++) {
    FUZZ_CHECK(a->jobs[i].ok == b->jobs[i].ok);
    if (b->jobs[i].ok) {
      FUZZ_CHECK(memcmp(a->slots[i], b->slots[i], CMT_FRAME_PLAIN) == 0);
    } else {
      FUZZ_CHECK(is_closed(a->slots[i], sealed->slots[i]));
    }
  }
}

static void compare(const struct cmt_aead *kernel, const batch *plain,
                    fuzz_input in) {
  static batch ours, theirs, sealed;
  const struct cmt_aead *libsodium = &cmt__aead_libsodium;

  batch_copy(&ours, plain);
  batch_copy(&theirs, plain);
  kernel->seal(ours.jobs, ours.count);
  libsodium->seal(theirs.jobs, theirs.count);
  check_sealed(&ours, &theirs);
  batch_break(&ours, &in);
  batch_copy(&theirs, &ours);
  batch_copy(&sealed, &ours);
  kernel->open(ours.jobs, ours.count);
  libsodium->open(theirs.jobs, theirs.count);
  check_opened(&ours, &theirs, &sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static batch plain;
  const cmt__kernels *all = &cmt__kernels_built_in;
  fuzz_input in = {data, size};

  FUZZ_CHECK(sodium_init() >= 0);
  batch_draw(&plain, &in);
  for (size_t i = 0; i < all->count; i++) {
    const struct cmt_aead *kernel = all->entries[i].aead;

    if (kernel->runs_here == NULL || kernel->runs_here()) {
      compare(kernel, &plain, in);
    }
  }
  return 0;
}
