/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of a secret connection: finished and sealed where their plaintext
   lies, and opened where their bytes lie. */

#include "secret_conn_impl.h"

#include <sodium.h>

#include "base/trace.h"

enum { BATCH = 16 }; /* Frames per call of the kernel. */

/* ---- sealing ---- */

/* Writes the header and the zero padding of |slot|, which has |n| bytes. */
static void slot_finish(uint8_t *slot, size_t n) {
  cmt__store_le32(slot, (uint32_t)n);
  memset(slot + CMT_FRAME_HEADER + n, 0, CMT_FRAME_DATA - n);
}

void cmt__seals_end(cmt__seals *seals) {
  if (seals->count > 0) {
    seals->aead->seal(seals->jobs, seals->count);
    seals->count = 0;
  }
}

/* Seals |count| finished slots; the counter is known to suffice. */
static void slots_seal(cmt_secret_conn *s, uint8_t *slots, size_t count,
                       cmt__seals *seals) {
  if (seals->aead != s->pool->env.aead) {
    cmt__seals_end(seals);
    seals->aead = s->pool->env.aead;
  }
  for (size_t i = 0; i < count; i++) {
    seals->jobs[seals->count++] = (cmt__aead_job){
      .key = s->keys->send,
      .counter = s->send_counter++,
      .slot = slots + i * CMT_FRAME_SLOT,
    };
    if (seals->count == CMT__SEALS_MAX) {
      cmt__seals_end(seals);
    }
  }
}

void cmt__secret_frame_seal(cmt_secret_conn *s, uint8_t *slot, size_t n) {
  cmt__seals seals;

  slot_finish(slot, n);
  cmt__seals_begin(&seals);
  slots_seal(s, slot, 1, &seals);
  cmt__seals_end(&seals);
}

cmt_err cmt__secret_conn_seal(cmt_secret_conn *s, uint8_t *slots, size_t len,
                              cmt__seals *seals) {
  size_t count = len / CMT_FRAME_DATA, rest = len % CMT_FRAME_DATA;

  if (s->end_err != CMT_OK) {
    return CMT_ECLOSED;
  }
  if (s->state != CMT__SECRET_UP || len == 0 || slots == NULL) {
    return CMT_EINVAL;
  }
  if (count + (rest > 0) > UINT64_MAX - s->send_counter) {
    cmt__secret_conn_fail(s, CMT_ENONCE);
    return CMT_ENONCE;
  }
  for (size_t i = 0; i < count; i++) {
    slot_finish(slots + i * CMT_FRAME_SLOT, CMT_FRAME_DATA);
  }
  if (rest > 0) {
    slot_finish(slots + count * CMT_FRAME_SLOT, rest);
    count++;
  }
  slots_seal(s, slots, count, seals);
  return CMT_OK;
}

cmt_err cmt_secret_conn_seal(cmt_secret_conn *s, uint8_t *slots, size_t len) {
  cmt__seals seals;
  cmt_err err;

  if (s == NULL) {
    return CMT_EINVAL;
  }
  cmt__seals_begin(&seals);
  err = cmt__secret_conn_seal(s, slots, len, &seals);
  cmt__seals_end(&seals);
  return err;
}

/* ---- opening ---- */

/* Keeps the frame that the input's end cuts. */
static cmt_err tail_keep(cmt_secret_conn *s) {
  if (s->input_len == 0) {
    return CMT_EAGAIN;
  }
  if (s->scratch == NULL) {
    s->scratch = cmt__alloc(&s->pool->env, CMT_FRAME_SLOT);
    if (s->scratch == NULL) {
      return CMT_ENOMEM;
    }
  }
  memcpy(s->scratch + s->scratch_len, s->input, s->input_len);
  s->scratch_len += (uint32_t)s->input_len;
  s->input_len = 0;
  return CMT_EAGAIN;
}

/* Points |batch| at whole frames.  CMT_EAGAIN: there is none. */
static cmt_err batch_find(cmt_secret_conn *s) {
  size_t lacks = CMT_FRAME_SLOT - s->scratch_len;

  if (s->input_len < lacks) {
    return tail_keep(s);
  }
  if (s->recv_counter == UINT64_MAX) {
    return CMT_ENONCE;
  }
  if (s->scratch_len > 0) {
    memcpy(s->scratch + s->scratch_len, s->input, lacks);
    s->scratch_len = 0;
    s->input += lacks;
    s->input_len -= lacks;
    s->batch = s->scratch;
    s->batch_len = 1;
    return CMT_OK;
  }
  s->batch = s->input;
  s->batch_len = (uint32_t)cmt__min(s->input_len / CMT_FRAME_SLOT, BATCH);
  s->batch_len =
    (uint32_t)cmt__min64(s->batch_len, UINT64_MAX - s->recv_counter);
  s->input += s->batch_len * CMT_FRAME_SLOT;
  s->input_len -= s->batch_len * CMT_FRAME_SLOT;
  return CMT_OK;
}

static cmt_err batch_open(cmt_secret_conn *s) {
  cmt__aead_job jobs[BATCH];
  cmt_err err = batch_find(s);

  if (err != CMT_OK) {
    return err;
  }
  for (size_t i = 0; i < s->batch_len; i++) {
    jobs[i] = (cmt__aead_job){
      .key = s->keys->recv,
      .counter = s->recv_counter++,
      .slot = s->batch + i * CMT_FRAME_SLOT,
    };
  }
  s->pool->env.aead->open(jobs, s->batch_len);
  CMT__TRACE(CMT__TRACE_OPEN, s->batch_len, 0);
  s->batch_ok = 0;
  for (size_t i = 0; i < s->batch_len; i++) {
    s->batch_ok |= (uint32_t)jobs[i].ok << i;
  }
  return CMT_OK;
}

cmt_err cmt__secret_frame_next(cmt_secret_conn *s, cmt_bytes *data) {
  cmt_err err = s->batch_len == 0 ? batch_open(s) : CMT_OK;
  const uint8_t *slot = s->batch;
  uint32_t n;

  if (err != CMT_OK) {
    return err;
  }
  if ((s->batch_ok & 1) == 0) {
    return CMT_EAUTH;
  }
  s->batch += CMT_FRAME_SLOT;
  s->batch_len--;
  s->batch_ok >>= 1;
  /* The other side chose this length and has proved only that it knows the
     key. */
  n = cmt__load_le32(slot);
  if (n > CMT_FRAME_DATA) {
    return CMT_EPROTO;
  }
  s->empty_frames += n == 0;
  *data = (cmt_bytes){.base = slot + CMT_FRAME_HEADER, .len = n};
  return CMT_OK;
}

uint64_t cmt_secret_conn_empty_frames(cmt_secret_conn *s) {
  uint64_t count = s->empty_frames;

  s->empty_frames = 0;
  return count;
}

void cmt__secret_scratch_free(cmt_secret_conn *s) {
  if (s->scratch != NULL) {
    sodium_memzero(s->scratch, CMT_FRAME_SLOT);
    cmt__free(&s->pool->env, s->scratch);
    s->scratch = NULL;
  }
}

void cmt__secret_conn_trim(cmt_secret_conn *s) {
  if (s->scratch_len == 0 && s->batch_len == 0) {
    cmt__secret_scratch_free(s);
  }
}
