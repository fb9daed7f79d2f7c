/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include "test.h"

uint64_t frames_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void fill_random(uint64_t *state, uint8_t *out, size_t len) {
  for (size_t i = 0; i < len; i++) {
    out[i] = (uint8_t)(frames_random(state) >> 56);
  }
}

/* All bytes zero, all ones, or random. */
static void fill_some(uint64_t *state, uint8_t *out, size_t len) {
  uint64_t kind = frames_random(state) % 4;

  if (kind < 2) {
    memset(out, kind == 0 ? 0 : 0xff, len);
  } else {
    fill_random(state, out, len);
  }
}

void frames_draw(frames *f, size_t count, uint64_t *state) {
  bool one_key = frames_random(state) % 2 == 0;
  uint64_t counter = frames_random(state) >> frames_random(state) % 64;

  for (size_t i = 0; i < count; i++) {
    fill_some(state, f->keys[i], CMT__AEAD_KEY);
    fill_some(state, f->slots[i], CMT_FRAME_PLAIN);
    f->jobs[i] = (cmt__aead_job){
      .key = one_key ? f->keys[0] : f->keys[i],
      .counter = counter + i,
      .slot = f->slots[i],
    };
  }
}

void frames_copy(frames *to, const frames *from) {
  *to = *from;
  for (size_t i = 0; i < FRAMES_MAX; i++) {
    to->jobs[i].slot = to->slots[i];
  }
}

void frames_assert_same(const frames *a, const frames *b, size_t count,
                        const char *what) {
  for (size_t i = 0; i < count; i++) {
    if (a->jobs[i].ok != b->jobs[i].ok ||
        memcmp(a->slots[i], b->slots[i], CMT_FRAME_SLOT) != 0) {
      fail_msg("%s: frame %zu of %zu differs", what, i, count);
    }
  }
}

/* A frame more or less is broken, in one bit. */
static void break_some(frames *f, size_t count, uint64_t *state) {
  for (size_t i = frames_random(state) % 3; i < count; i += 1 + i) {
    uint64_t bit = frames_random(state) % FRAME_BITS;

    f->slots[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
}

void frames_compare(const struct cmt_aead *kernel, size_t wanted) {
  static frames ours, theirs;
  uint64_t random = 0x9e3779b97f4a7c15;
  size_t done = 0;

  while (done < wanted) {
    size_t count = frames_random(&random) % (FRAMES_MAX + 1);

    frames_draw(&ours, count, &random);
    frames_copy(&theirs, &ours);
    kernel->seal(ours.jobs, count);
    cmt__aead_libsodium.seal(theirs.jobs, count);
    frames_assert_same(&ours, &theirs, count, "sealed");
    break_some(&ours, count, &random);
    frames_copy(&theirs, &ours);
    kernel->open(ours.jobs, count);
    cmt__aead_libsodium.open(theirs.jobs, count);
    for (size_t i = 0; i < count; i++) {
      if (!theirs.jobs[i].ok) { /* libsodium wipes such a frame. */
        memcpy(theirs.slots[i], ours.slots[i], CMT_FRAME_SLOT);
      }
    }
    frames_assert_same(&ours, &theirs, count, "opened");
    done += count;
  }
  printf("# %zu frames are as libsodium's\n", done);
}
