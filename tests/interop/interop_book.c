/* SPDX-License-Identifier: Apache-2.0 */
/* Our address book beside CometBFT's, on the public headers:

     interop_book make FOLDER SEED COUNT   random books FOLDER/N.json
     interop_book keep FOLDER COUNT        loads each of them, and writes it
   again

   Both print how many entries each book has. */

#include <cometp2p/cometp2p.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_NS CMT_SECONDS(1795000000)

static uint64_t state;

static uint32_t draw(uint32_t below) {
  state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(state >> 33) % below;
}

static cmt_net_addr random_addr(void) {
  cmt_net_addr a = {.port = (uint16_t)draw(65536)};

  for (size_t i = 0; i < 40; i += 8) {
    snprintf(a.id.text + i, sizeof a.id.text - i, "%08x", draw(0x7fffffff));
  }
  if (draw(5) == 0) {
    snprintf(a.host, sizeof a.host, "2a01:%x::%x", draw(30), draw(60000));
  } else {
    snprintf(a.host, sizeof a.host, "%u.%u.%u.%u", 130 + draw(30), draw(20),
             draw(256), draw(256));
  }
  return a;
}

static cmt_addrbook_file *open_book(const char *folder, unsigned number) {
  cmt_addrbook_options o;
  cmt_addrbook_file *f;
  char path[1000];
  cmt_why why;

  snprintf(path, sizeof path, "%s/%u.json", folder, number);
  cmt_addrbook_options_init(&o);
  o.allow_unroutable = true;
  if (cmt_addrbook_file_open(path, &o, NOW_NS, &f, &why) != CMT_OK) {
    fprintf(stderr, "%s\n", why.text);
    exit(1);
  }
  return f;
}

static void save(cmt_addrbook_file *f, unsigned number) {
  cmt_addrbook_status status;
  cmt_why why;

  if (cmt_addrbook_file_save(f, NOW_NS, &why) != CMT_OK) {
    fprintf(stderr, "%s\n", why.text);
    exit(1);
  }
  cmt_addrbook_get_status(cmt_addrbook_file_book(f), &status);
  printf("%u.json %zu\n", number, status.entries);
  cmt_addrbook_file_close(f);
}

static void one_call(cmt_addrbook *b, const cmt_net_addr *a, uint64_t now_ns) {
  cmt_addrbook_proof p;
  cmt_net_addr src;

  switch (draw(8)) {
  case 0:
    cmt_addrbook_failed(b, &a->id, now_ns);
    break;
  case 1:
    cmt_addrbook_proof_init(&p);
    p.addr = a;
    cmt_ignore(cmt_addrbook_proved(b, &p, now_ns));
    cmt_addrbook_good(b, &a->id, now_ns);
    break;
  default:
    src = random_addr();
    cmt_ignore(cmt_addrbook_add(b, a, &src, now_ns));
  }
}

static void make_book(const char *folder, unsigned number) {
  static cmt_net_addr addrs[300];
  cmt_addrbook_file *f = open_book(folder, number);
  uint32_t count = draw(300);

  for (uint32_t i = 0; i < count; i++) {
    addrs[i] = random_addr();
  }
  for (uint32_t i = 0; i < 3 * count; i++) {
    one_call(cmt_addrbook_file_book(f), &addrs[draw(count)],
             NOW_NS + draw(1000000000) * UINT64_C(1000));
  }
  save(f, number);
}

int main(int argc, char **argv) {
  bool make = argc == 5 && strcmp(argv[1], "make") == 0;
  bool keep = argc == 4 && strcmp(argv[1], "keep") == 0;
  unsigned long count;

  if (!make && !keep) {
    fprintf(stderr, "usage: interop_book make FOLDER SEED COUNT | "
                    "keep FOLDER COUNT\n");
    return 2;
  }
  count = strtoul(argv[argc - 1], NULL, 10);
  for (unsigned i = 0; i < count; i++) {
    if (make) {
      state = strtoull(argv[3], NULL, 10) + i;
      make_book(argv[2], i);
    } else {
      save(open_book(argv[2], i), i);
    }
  }
  return 0;
}
