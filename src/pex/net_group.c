/* SPDX-License-Identifier: Apache-2.0 */

/* Classes and groups, by a table of prefixes for each family.  IPv4 lies in
   ::ffff:0:0/96. */

#include "net_group.h"

typedef enum net_class {
  NET_PRIVATE,  /* RFC 1918, 3927, 4193, 4843, 4862. */
  NET_LOCAL,    /* 127/8, 0/8, ::1 */
  NET_INVALID,  /* 0.0.0.0, ::, 255.255.255.255, RFC 3849. */
  NET_WITH_IP4, /* IPv4 in the last four bytes: RFC 6052, 6145. */
  NET_6TO4,     /* IPv4 in bytes 2 to 5. */
  NET_TEREDO,   /* IPv4 in the last four bytes, inverted. */
  NET_ONION,    /* OnionCat. */
  NET_HE,       /* he.net, which gives /36 to its customers. */
} net_class;

typedef struct ip4_prefix {
  net_class class;
  uint8_t bits;
  uint32_t value;
} ip4_prefix;

typedef struct ip6_prefix {
  net_class class;
  uint8_t bits;
  uint8_t bytes[16];
} ip6_prefix;

enum { IP4_AT = 12, IP6_GROUP_BITS = 32, HE_GROUP_BITS = 36 };

/* An answer of a seed looks up hundreds of addresses. */
static const ip4_prefix ip4_prefixes[] = {
  {NET_PRIVATE, 8, 0x0a000000},  {NET_PRIVATE, 12, 0xac100000},
  {NET_PRIVATE, 16, 0xc0a80000}, {NET_PRIVATE, 16, 0xa9fe0000},
  {NET_LOCAL, 8, 0x7f000000},    {NET_LOCAL, 8, 0},
  {NET_INVALID, 32, 0},          {NET_INVALID, 32, 0xffffffff},
};

static const ip6_prefix ip6_prefixes[] = {
  {NET_PRIVATE, 7, {0xfc}},
  {NET_PRIVATE, 28, {0x20, 0x01, 0x00, 0x10}},
  {NET_PRIVATE, 64, {0xfe, 0x80}},
  {NET_LOCAL, 128, {[15] = 1}},
  {NET_INVALID, 128, {0}},
  {NET_INVALID, 32, {0x20, 0x01, 0x0d, 0xb8}},
  {NET_WITH_IP4, 96, {0x00, 0x64, 0xff, 0x9b}},
  {NET_WITH_IP4, 96, {[8] = 0xff, [9] = 0xff}},
  {NET_6TO4, 16, {0x20, 0x02}},
  {NET_TEREDO, 32, {0x20, 0x01}},
  {NET_ONION, 48, {0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43}},
  {NET_HE, 32, {0x20, 0x01, 0x04, 0x70}},
};

/* Classes in a set, a bit for each. */
static unsigned bit_of(net_class class) { return 1u << class; }

static bool is_ip4_of(const uint8_t *bytes, unsigned classes) {
  uint32_t value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                   (uint32_t)bytes[2] << 8 | bytes[3];

  for (size_t i = 0; i < CMT__COUNT(ip4_prefixes); i++) {
    const ip4_prefix *p = &ip4_prefixes[i];

    if ((value ^ p->value) >> (32 - p->bits) == 0 &&
        (bit_of(p->class) & classes) != 0) {
      return true;
    }
  }
  return false;
}

/* Whether |ip| is of one of the classes. */
static bool is_any_of(const cmt__ip *ip, unsigned classes) {
  if (cmt__ip_is_v4(ip)) {
    return is_ip4_of(ip->bytes + IP4_AT, classes);
  }
  for (size_t i = 0; i < CMT__COUNT(ip6_prefixes); i++) {
    const ip6_prefix *p = &ip6_prefixes[i];
    cmt__ip prefix;

    if ((bit_of(p->class) & classes) == 0) {
      continue;
    }
    prefix = cmt__ip_prefix(ip, p->bits);
    if (memcmp(prefix.bytes, p->bytes, sizeof prefix.bytes) == 0) {
      return true;
    }
  }
  return false;
}

static bool is_of(const cmt__ip *ip, net_class class) {
  return is_any_of(ip, bit_of(class));
}

bool cmt__ip_is_valid(const cmt__ip *ip) { return !is_of(ip, NET_INVALID); }

bool cmt__ip_is_routable(const cmt__ip *ip) {
  return !is_any_of(ip, bit_of(NET_INVALID) | bit_of(NET_PRIVATE) |
                          bit_of(NET_LOCAL));
}

/* The first two bytes of an address of IPv4, each changed by |inverted|. */
static void write_ip4(const uint8_t *ip4, uint8_t inverted,
                      char out[CMT__GROUP_SIZE]) {
  snprintf(out, CMT__GROUP_SIZE, "%u.%u.0.0", (unsigned)(ip4[0] ^ inverted),
           (unsigned)(ip4[1] ^ inverted));
}

static void write_ip6(const cmt__ip *ip, char out[CMT__GROUP_SIZE]) {
  cmt__ip group =
    cmt__ip_prefix(ip, is_of(ip, NET_HE) ? HE_GROUP_BITS : IP6_GROUP_BITS);

  cmt__ip_write(&group, out);
}

void cmt__ip_group(const cmt__ip *ip, bool strict, bool has_id,
                   char out[CMT__GROUP_SIZE]) {
  if (strict && is_of(ip, NET_LOCAL)) {
    snprintf(out, CMT__GROUP_SIZE, "local");
  } else if (strict && !(has_id && cmt__ip_is_routable(ip))) {
    snprintf(out, CMT__GROUP_SIZE, "unroutable");
  } else if (cmt__ip_is_v4(ip) || is_of(ip, NET_WITH_IP4)) {
    write_ip4(ip->bytes + IP4_AT, 0, out);
  } else if (is_of(ip, NET_6TO4)) {
    write_ip4(ip->bytes + 2, 0, out);
  } else if (is_of(ip, NET_TEREDO)) {
    write_ip4(ip->bytes + IP4_AT, 0xff, out);
  } else if (is_of(ip, NET_ONION)) {
    snprintf(out, CMT__GROUP_SIZE, "tor:%u", ip->bytes[6] & 15u);
  } else {
    write_ip6(ip, out);
  }
}
