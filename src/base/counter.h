/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__COUNTER_H
#define CMT__COUNTER_H

/* Numbers that one thread changes and any thread may read at any time.  Since
   only one thread changes them, no locked operation is needed. */

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t cmt__counter;
typedef _Atomic uint32_t cmt__counter32;

static inline uint64_t cmt__counter_get(const cmt__counter *c) {
  return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void cmt__counter_set(cmt__counter *c, uint64_t value) {
  atomic_store_explicit(c, value, memory_order_relaxed);
}

static inline void cmt__counter_add(cmt__counter *c, uint64_t more) {
  cmt__counter_set(c, cmt__counter_get(c) + more);
}

static inline uint32_t cmt__counter32_get(const cmt__counter32 *c) {
  return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void cmt__counter32_set(cmt__counter32 *c, uint32_t value) {
  atomic_store_explicit(c, value, memory_order_relaxed);
}

/* For numbers that belong together: whoever acquires a number that was released
   sees all that its thread had set before. */
static inline uint64_t cmt__counter_acquire(const cmt__counter *c) {
  return atomic_load_explicit(c, memory_order_acquire);
}

static inline void cmt__counter_release(cmt__counter *c, uint64_t value) {
  atomic_store_explicit(c, value, memory_order_release);
}

static inline uint32_t cmt__counter32_acquire(const cmt__counter32 *c) {
  return atomic_load_explicit(c, memory_order_acquire);
}

static inline void cmt__counter32_release(cmt__counter32 *c, uint32_t value) {
  atomic_store_explicit(c, value, memory_order_release);
}

#endif
