/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of wire profiles: what each of its tables must have, whatever
   the profile. */
#include "core/wire/parser.h"
#include "core/wire/wire.h"

#include "test.h"

/* Walks all profiles; none behind the first number that has none. */
static const cmt__wire *profile(int i) { return cmt__wire_of((cmt_wire)i); }

static int profile_count(void) {
  int count = 0;

  while (profile(count) != NULL) {
    count++;
  }
  return count;
}

static void each_number_of_the_enum_has_a_profile(void **state) {
  (void)state;
  assert_int_equal(2, profile_count());
  assert_null(profile(-1));
  assert_ptr_not_equal(profile(CMT_WIRE_COMETBFT), profile(CMT_WIRE_LEGACY));
}

static void a_profile_has_all_that_is_called_without_a_look(void **state) {
  (void)state;
  for (int i = 0; i < profile_count(); i++) {
    const cmt__wire *w = profile(i);

    assert_true(w->msg_size && w->write_msg && w->limit && w->decode);
    assert_true(w->header && w->opens && w->pings);
    assert_true(w->pings->deadline && w->pings->tick && w->pings->ping_came);
    assert_true((w->pings->state_size > 0) == (w->pings->start != NULL));
    assert_true(w->parting.len > 0 && w->pings->ping.len > 0 &&
                w->pings->pong.len > 0);
  }
}

/* Reads |in| with |w|: the error, or CMT_EAGAIN when all of it is fine. */
static cmt_err read_with(const cmt__wire *w, cmt_bytes in, uint8_t *unknown) {
  cmt__packet_parser p;
  cmt__packet k;
  cmt_err err;

  cmt__packet_parser_init(&p, w, 1024);
  while ((err = cmt__packet_next(&p, NULL, &in, &k)) == CMT_OK) {
  }
  *unknown = p.unknown;
  cmt__packet_parser_fini(&p, NULL);
  return err;
}

/* |w| reads what it wrote, and knows it by its first byte. */
static void check_own(const cmt__wire *w, cmt_bytes in) {
  uint8_t unknown;

  assert_true(w->opens(in.base[0]));
  assert_cmt(CMT_EAGAIN, read_with(w, in, &unknown));
  assert_int_equal(0, unknown);
}

/* Everybody else refuses |in| of |w|, and recognizes it as that of another. */
static void check_foreign(const cmt__wire *w, cmt_bytes in) {
  for (int i = 0; i < profile_count(); i++) {
    uint8_t unknown;

    if (profile(i) == w) {
      continue;
    }
    assert_cmt(CMT_EPROTO, read_with(profile(i), in, &unknown));
    assert_true(
      cmt__wire_is_foreign(profile(i), unknown != 0 ? unknown : in.base[0]));
  }
}

static void a_profile_reads_what_it_writes_and_no_other_does(void **state) {
  static const uint8_t data[1024];
  static const size_t lengths[] = {1, 2, 100, 127, 128, 1000, 1024};
  uint8_t out[1100];

  (void)state;
  for (int i = 0; i < profile_count(); i++) {
    const cmt__wire *w = profile(i);

    check_own(w, w->pings->ping);
    check_own(w, w->parting);
    check_foreign(w, w->pings->ping);
    check_foreign(w, w->parting);
    for (size_t l = 0; l < CMT__COUNT(lengths); l++) {
      cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);

      w->write_msg(&r, 0x30, true, (cmt_bytes){data, lengths[l]});
      check_own(w, (cmt_bytes){out, r.len});
      check_foreign(w, (cmt_bytes){out, r.len});
    }
  }
}

static void a_first_byte_belongs_to_one_profile_at_most(void **state) {
  (void)state;
  for (int byte = 0; byte < 256; byte++) {
    int count = 0;

    for (int i = 0; i < profile_count(); i++) {
      count += profile(i)->opens((uint8_t)byte);
      assert_true(!profile(i)->opens((uint8_t)byte) ||
                  !cmt__wire_is_foreign(profile(i), (uint8_t)byte));
    }
    assert_in_range(count, 0, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_number_of_the_enum_has_a_profile),
    cmocka_unit_test(a_profile_has_all_that_is_called_without_a_look),
    cmocka_unit_test(a_profile_reads_what_it_writes_and_no_other_does),
    cmocka_unit_test(a_first_byte_belongs_to_one_profile_at_most),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
