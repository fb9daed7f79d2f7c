/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <malloc.h>
#include <stdlib.h>

#include <cometp2p/secret_conn.h>

#include "crypto/aead.h"

void fuzz_fail(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
  abort();
}

uint8_t fuzz_byte(fuzz_input *in) {
  if (in->left == 0) {
    return 0;
  }
  in->left--;
  return *in->at++;
}

uint32_t fuzz_u16(fuzz_input *in) {
  uint32_t low = fuzz_byte(in);

  return low | (uint32_t)fuzz_byte(in) << 8;
}

cmt_bytes fuzz_take(fuzz_input *in, size_t len) {
  cmt_bytes out = {.base = in->at, .len = cmt__min(len, in->left)};

  if (out.len > 0) {
    in->at += out.len;
    in->left -= out.len;
  }
  return out;
}

uint8_t *fuzz_copy(cmt_bytes b) {
  uint8_t *copy = malloc(b.len);

  FUZZ_CHECK(copy != NULL || b.len == 0);
  if (b.len > 0) {
    memcpy(copy, b.base, b.len);
  }
  return copy;
}

static void *env_alloc(void *arg, size_t len) {
  fuzz_env *e = arg;
  void *p;

  FUZZ_CHECK(len > 0);
  if (e->allocs++ == e->fail_at) {
    e->failed = true;
    return NULL;
  }
  p = malloc(len);
  FUZZ_CHECK(p != NULL);
  e->live++;
  e->live_bytes += malloc_usable_size(p);
  return p;
}

static void env_free(void *arg, void *p) {
  fuzz_env *e = arg;

  FUZZ_CHECK(p != NULL && e->live > 0);
  e->live--;
  e->live_bytes -= malloc_usable_size(p);
  free(p);
}

static void env_entropy(void *arg, void *out, size_t len) {
  const fuzz_env *e = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = e->entropy[i % sizeof e->entropy];
  }
}

static void env_panic(void *arg, const char *file, int line, const char *what) {
  (void)arg;
  fuzz_fail(file, line, what);
}

void fuzz_env_init(fuzz_env *e) {
  static cmt_env defaults;

  if (defaults.size == 0) {
    FUZZ_CHECK(cmt_env_init(&defaults) == CMT_OK);
  }
  *e = (fuzz_env){.env = defaults, .fail_at = SIZE_MAX};
  e->env.alloc = env_alloc;
  e->env.free = env_free;
  e->env.alloc_arg = e;
  e->env.entropy = env_entropy;
  e->env.entropy_arg = e;
  e->env.panic = env_panic;
}

void fuzz_env_fini(fuzz_env *e) {
  FUZZ_CHECK(e->live == 0 && e->live_bytes == 0);
}

static const uint8_t null_tag[CMT__AEAD_TAG];

static void null_seal(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    memset(jobs[i].slot + CMT_FRAME_PLAIN, 0, sizeof null_tag);
  }
}

static void null_open(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    jobs[i].ok =
      memcmp(jobs[i].slot + CMT_FRAME_PLAIN, null_tag, sizeof null_tag) == 0;
  }
}

const struct cmt_aead fuzz_null_aead = {
  .name = "null", .seal = null_seal, .open = null_open};

bool fuzz_same(cmt_bytes a, cmt_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

void fuzz_check_why(const cmt_why *why, cmt_err err) {
  size_t len = strnlen(why->text, sizeof why->text);

  FUZZ_CHECK(why->err == err);
  FUZZ_CHECK(why->stage <= CMT_STAGE_UP);
  FUZZ_CHECK(strcmp(cmt_err_name(err), "CMT_E?") != 0);
  FUZZ_CHECK(cmt_err_text(err)[0] != '\0');
  FUZZ_CHECK(cmt_err_class_name(cmt_err_class_of(err))[0] != '\0');
  FUZZ_CHECK(cmt_stage_name(why->stage)[0] != '\0');
  FUZZ_CHECK(len > 0 && len < sizeof why->text);
  for (size_t i = 0; i < len; i++) {
    FUZZ_CHECK(why->text[i] >= 32 && why->text[i] <= 126);
  }
}
