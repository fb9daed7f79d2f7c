/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets under valgrind.  Every secret is marked as memory that was never
   written, so that memcheck reports each branch and each address in our code
   that depends on one; the marks spread to all that is computed from them.

   libsodium is not what is looked at here, and what comes out of it is often
   public although it was computed from a secret.  So its calls are wrapped, and
   the wrappers are the complete list of what is let through:

     crypto_scalarmult_base, crypto_scalarmult_ed25519_base
                              the ephemeral public key, which goes out in clear
     crypto_scalarmult        whether their key is of low order; the shared
                              secret itself stays one
     crypto_sign_seed_keypair the public half
     crypto_sign_detached     the signature, which the other side gets
     crypto_sign_verify_detached
                              the verdict; it works on a copy of the challenge
                              that counts as public
     the AEAD                 what was sealed, what was opened, and whether the
                              tag was right
     sodium_memcmp            whether both are equal; it takes the same time

   Without valgrind this program checks nothing, and reports that. */

#include <sodium.h>
#include <valgrind/memcheck.h>

#include "crypto/hkdf.h"
#include "secret_peer.h"

static void mark(const void *p, size_t len) {
  (void)VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

static void release(const void *p, size_t len) {
  (void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

/* A test that would pass whatever happened is none. */
static void assert_marked(const void *p, size_t len) {
  unsigned char bits[64];

  assert_true(len <= sizeof bits);
  if (RUNNING_ON_VALGRIND) {
    unsigned char any = 0;

    assert_int_equal(1, VALGRIND_GET_VBITS(p, bits, len));
    for (size_t i = 0; i < len; i++) {
      any |= bits[i];
    }
    assert_int_not_equal(0, any);
  }
}

/* ---- the wrappers ---- */

int __real_crypto_scalarmult_curve25519_base(unsigned char *q,
                                             const unsigned char *n);
int __wrap_crypto_scalarmult_curve25519_base(unsigned char *q,
                                             const unsigned char *n);
int __wrap_crypto_scalarmult_curve25519_base(unsigned char *q,
                                             const unsigned char *n) {
  int result = __real_crypto_scalarmult_curve25519_base(q, n);

  release(q, 32);
  release(&result, sizeof result);
  return result;
}

int __real_crypto_scalarmult_ed25519_base(unsigned char *q,
                                          const unsigned char *n);
int __wrap_crypto_scalarmult_ed25519_base(unsigned char *q,
                                          const unsigned char *n);
int __wrap_crypto_scalarmult_ed25519_base(unsigned char *q,
                                          const unsigned char *n) {
  unsigned char copy[32];

  memcpy(copy, n, sizeof copy);
  release(copy, sizeof copy); /* It looks whether these are zeros. */
  return __real_crypto_scalarmult_ed25519_base(q, copy);
}

int __real_crypto_scalarmult_curve25519(unsigned char *q,
                                        const unsigned char *n,
                                        const unsigned char *p);
int __wrap_crypto_scalarmult_curve25519(unsigned char *q,
                                        const unsigned char *n,
                                        const unsigned char *p);
int __wrap_crypto_scalarmult_curve25519(unsigned char *q,
                                        const unsigned char *n,
                                        const unsigned char *p) {
  int result = __real_crypto_scalarmult_curve25519(q, n, p);

  release(&result, sizeof result);
  assert_marked(q, 32);
  return result;
}

int __real_crypto_sign_seed_keypair(unsigned char *pk, unsigned char *sk,
                                    const unsigned char *seed);
int __wrap_crypto_sign_seed_keypair(unsigned char *pk, unsigned char *sk,
                                    const unsigned char *seed);
int __wrap_crypto_sign_seed_keypair(unsigned char *pk, unsigned char *sk,
                                    const unsigned char *seed) {
  int result = __real_crypto_sign_seed_keypair(pk, sk, seed);

  release(pk, 32);
  release(sk + 32, 32);
  return result;
}

int __real_crypto_sign_detached(unsigned char *sig, unsigned long long *len,
                                const unsigned char *m, unsigned long long n,
                                const unsigned char *sk);
int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *len,
                                const unsigned char *m, unsigned long long n,
                                const unsigned char *sk);
int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *len,
                                const unsigned char *m, unsigned long long n,
                                const unsigned char *sk) {
  int result = __real_crypto_sign_detached(sig, len, m, n, sk);

  release(sig, 64);
  return result;
}

int __real_crypto_sign_verify_detached(const unsigned char *sig,
                                       const unsigned char *m,
                                       unsigned long long n,
                                       const unsigned char *pk);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig,
                                       const unsigned char *m,
                                       unsigned long long n,
                                       const unsigned char *pk);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig,
                                       const unsigned char *m,
                                       unsigned long long n,
                                       const unsigned char *pk) {
  unsigned char copy[32];

  assert_int_equal(sizeof copy, n);
  memcpy(copy, m, sizeof copy);
  release(copy, sizeof copy);
  return __real_crypto_sign_verify_detached(sig, copy, n, pk);
}

int __real_sodium_memcmp(const void *a, const void *b, size_t len);
int __wrap_sodium_memcmp(const void *a, const void *b, size_t len);
int __wrap_sodium_memcmp(const void *a, const void *b, size_t len) {
  int result = __real_sodium_memcmp(a, b, len);

  release(&result, sizeof result);
  return result;
}

/* The kernel of the environment: keys are marked when they reach it, and no
   result of it is. */
static void kernel_run(void (*run)(cmt__aead_job *, size_t),
                       cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint8_t key[CMT__AEAD_KEY];
    cmt__aead_job job = jobs[i];

    assert_marked(job.key, sizeof key);
    memcpy(key, job.key, sizeof key);
    release(key, sizeof key);
    job.key = key;
    run(&job, 1);
    jobs[i].ok = job.ok;
  }
}

static void kernel_seal(cmt__aead_job *jobs, size_t count) {
  kernel_run(cmt__aead_libsodium.seal, jobs, count);
}

static void kernel_open(cmt__aead_job *jobs, size_t count) {
  kernel_run(cmt__aead_libsodium.open, jobs, count);
}

static const struct cmt_aead kernel = {
  .name = "marked", .seal = kernel_seal, .open = kernel_open};

/* ---- the environment: its entropy is secret ---- */

static void entropy(void *arg, void *out, size_t len) {
  uint8_t *bytes = out, *from = arg;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)(*from + i);
  }
  *from = (uint8_t)(*from + 77);
  mark(out, len);
}

typedef struct fixture {
  test_env t;
  uint8_t seed;
  cmt_node_key *keys[2];
  cmt_secret_conn *sides[2];
} fixture;

static void fixture_init(fixture *f) {
  memset(f, 0, sizeof *f);
  test_env_init(&f->t);
  f->t.env.entropy = entropy;
  f->t.env.entropy_arg = &f->seed;
  f->t.env.aead = &kernel;
  for (size_t i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, cmt_node_key_generate(&f->t.env, &f->keys[i]));
    assert_marked(f->keys[i]->secret, 32);
    assert_cmt(CMT_OK,
               cmt_secret_conn_new(&f->t.env, f->keys[i], &f->sides[i]));
    assert_marked(f->sides[i]->handshake->work->secret, 32);
  }
}

static void fixture_fini(fixture *f) {
  for (size_t i = 0; i < 2; i++) {
    cmt_secret_conn_delete(f->sides[i]);
    cmt_node_key_delete(f->keys[i]);
  }
  test_env_fini(&f->t);
}

/* Gives what |from| has to send to |to|. */
static cmt_err pass_on(cmt_secret_conn *from, cmt_secret_conn *to) {
  cmt_bytes out = cmt_secret_conn_output(from);
  secret_sink sink = {0};
  cmt_err err = secret_feed(to, out, &sink);

  cmt_secret_conn_consume(from, out.len);
  secret_sink_fini(&sink);
  return err;
}

static void fixture_up(fixture *f) {
  for (size_t i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, pass_on(f->sides[i & 1], f->sides[~i & 1]));
  }
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(CMT__SECRET_UP, f->sides[i]->state);
    assert_marked(f->sides[i]->keys->send, 32);
    assert_marked(f->sides[i]->keys->recv, 32);
  }
}

/* What memcheck has found so far. */
static unsigned found(void) { return (unsigned)VALGRIND_COUNT_ERRORS; }

/* ---- tests ---- */

static void a_branch_on_a_secret_is_found(void **state) {
  uint8_t byte[1] = {1};
  volatile bool seen = false;
  unsigned before = found();

  (void)state;
  if (!RUNNING_ON_VALGRIND) {
    skip();
  }
  mark(byte, sizeof byte);
  if (*(volatile uint8_t *)byte == 1) {
    seen = true;
  }
  assert_true(seen);
  assert_int_equal(before + 1, found());
}

static void a_handshake_depends_on_no_secret(void **state) {
  unsigned before = found();
  fixture f;

  (void)state;
  fixture_init(&f);
  fixture_up(&f);
  fixture_fini(&f);
  assert_int_equal(before, found());
}

static void a_stream_depends_on_no_key(void **state) {
  enum { SLOTS = 20 };
  static uint8_t slots[SLOTS * CMT_FRAME_SLOT];
  unsigned before = found();
  secret_sink sink = {0};
  fixture f;

  (void)state;
  fixture_init(&f);
  fixture_up(&f);
  memset(slots, 1, sizeof slots);
  assert_cmt(CMT_OK, cmt_secret_conn_seal(f.sides[0], slots,
                                          (SLOTS - 1) * CMT_FRAME_DATA + 5));
  assert_cmt(CMT_OK,
             secret_feed(f.sides[1], (cmt_bytes){slots, sizeof slots}, &sink));
  assert_int_equal((SLOTS - 1) * CMT_FRAME_DATA + 5, sink.len);
  secret_sink_fini(&sink);
  fixture_fini(&f);
  assert_int_equal(before, found());
}

static void a_refused_peer_depends_on_no_secret(void **state) {
  static const uint8_t low_order[35] = {0x22, 0x0a, 0x20};
  unsigned before = found();
  secret_sink sink = {0};
  fixture f;

  (void)state;
  fixture_init(&f);
  assert_cmt(
    CMT_EAUTH,
    secret_feed(f.sides[0], (cmt_bytes){low_order, sizeof low_order}, &sink));
  assert_cmt(CMT_OK, pass_on(f.sides[0], f.sides[1]));
  fixture_fini(&f);
  assert_int_equal(before, found());
}

/* A key from its file's bytes, and its signature. */
static void a_node_key_depends_on_no_seed(void **state) {
  uint8_t secret[64], public_key[32], seed[32] = {9}, text[32] = {0}, sig[64];
  unsigned before = found();
  cmt_node_key *key = NULL;
  cmt_node_id id;
  test_env t;

  (void)state;
  test_env_init(&t);
  mark(seed, sizeof seed);
  assert_int_equal(0, crypto_sign_seed_keypair(public_key, secret, seed));
  assert_cmt(CMT_OK, cmt__node_key_from_secret(&t.env, secret, &key));
  cmt__node_key_sign(key, text, sig);
  cmt_node_key_get_id(key, &id);
  assert_int_equal(40, strlen(id.text));
  cmt_node_key_delete(key);
  test_env_fini(&t);
  assert_int_equal(before, found());
}

/* Keys and challenge out of a shared secret. */
static void derivation_depends_on_no_secret(void **state) {
  uint8_t recv[32], send[32], lower[32] = {2}, upper[32] = {3};
  cmt__secret_work w = {.dh = {1}};
  unsigned before = found();

  (void)state;
  mark(w.dh, sizeof w.dh);
  cmt__secret_derive(&w, true, recv, send);
  cmt__secret_challenge(&w, lower, upper);
  assert_marked(recv, 32);
  assert_marked(send, 32);
  assert_marked(w.challenge, 32);
  assert_int_equal(before, found());
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_handshake_depends_on_no_secret),
    cmocka_unit_test(a_stream_depends_on_no_key),
    cmocka_unit_test(a_refused_peer_depends_on_no_secret),
    cmocka_unit_test(a_node_key_depends_on_no_seed),
    cmocka_unit_test(derivation_depends_on_no_secret),
    /* The last one: what it finds is what it wants. */
    cmocka_unit_test(a_branch_on_a_secret_is_found),
  };

  if (!RUNNING_ON_VALGRIND) {
    printf("# not under valgrind: nothing is checked\n");
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
