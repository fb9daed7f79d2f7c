/* SPDX-License-Identifier: Apache-2.0 */

/* The command line: that of the Go node, but for -key, which names a file
   instead of a seed, and without -advertise, since the switch of this library
   never reports a channel that it lacks.  Rates are accepted and ignored: this
   side has no limiter. */

#include "interop_peer.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

options opts = {
  .laddr = "127.0.0.1:0",
  .network = "cometp2p",
  .moniker = "interop_peer",
  .count = 1,
  .flood_ns = CMT_SECONDS(10),
  .flood_size = 65536,
};

static void usage_error(const char *flag, const char *text) {
  fprintf(stderr, "interop_peer: -%s: cannot use \"%s\"\n", flag, text);
  exit(2);
}

bool number_parse(const char *text, uint64_t max, uint64_t *out) {
  char *end;
  unsigned long long value;

  errno = 0;
  value = strtoull(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || *text == '-' ||
      value > max) {
    return false;
  }
  *out = value;
  return true;
}

bool channel_parse(const char *text, uint8_t *out) {
  char *end;
  unsigned long value = strtoul(text, &end, 16);

  if (end == text || *end != '\0' || value > 255) {
    return false;
  }
  *out = (uint8_t)value;
  return true;
}

static bool duration_parse(const char *text, uint64_t *out_ns) {
  char *unit;
  double value = strtod(text, &unit);
  double scale = 0;

  if (strcmp(unit, "s") == 0) {
    scale = 1e9;
  } else if (strcmp(unit, "ms") == 0) {
    scale = 1e6;
  }
  *out_ns = (uint64_t)(value * scale);
  return unit != text && scale > 0 && value >= 0;
}

/* ID:PRIORITY:QUEUE:MAX_MESSAGE, all but the id optional. */
static bool channel_spec_parse(char *spec, cmt_channel *out) {
  uint64_t numbers[3] = {1, 10, CMT_MESSAGE_DEFAULT};
  char *rest = NULL;
  char *part = strtok_r(spec, ":", &rest);

  if (part == NULL || !channel_parse(part, &out->id)) {
    return false;
  }
  for (size_t i = 0; (part = strtok_r(NULL, ":", &rest)) != NULL; i++) {
    if (i == 3 || !number_parse(part, CMT_MESSAGE_MAX, &numbers[i])) {
      return false;
    }
  }
  out->priority = (uint32_t)numbers[0];
  out->send_queue = (uint32_t)numbers[1];
  out->recv_message_max = (size_t)numbers[2];
  out->send_message_max = CMT_MESSAGE_DEFAULT;
  return true;
}

static bool channels_parse(const char *list) {
  char *copy = strdup(list);
  char *rest = NULL;
  bool fine = copy != NULL;

  opts.channel_count = 0;
  for (char *spec = fine ? strtok_r(copy, ",", &rest) : NULL; spec != NULL;
       spec = strtok_r(NULL, ",", &rest)) {
    fine = fine && opts.channel_count < CMT_CHANNELS_MAX &&
           channel_spec_parse(spec, &opts.channels[opts.channel_count++]);
    if (!fine) {
      break;
    }
  }
  free(copy);
  return fine;
}

static bool sizes_parse(const char *list) {
  char *copy = strdup(list);
  char *rest = NULL;
  bool fine = copy != NULL;

  opts.size_count = 0;
  for (char *text = fine ? strtok_r(copy, ",", &rest) : NULL;
       fine && text != NULL; text = strtok_r(NULL, ",", &rest)) {
    uint64_t size = 0;

    fine =
      opts.size_count < SIZES_MAX && number_parse(text, SIZE_MAX_BYTES, &size);
    if (fine) {
      opts.sizes[opts.size_count++] = (size_t)size;
    }
  }
  free(copy);
  return fine && opts.size_count > 0;
}

static bool role_parse(const char *text) {
  static const char *const names[] = {"discard", "echo", "send", "flood"};

  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(text, names[i]) == 0) {
      opts.role = (role)i;
      return true;
    }
  }
  return false;
}

static const char *without_scheme(const char *addr) {
  const char *mark = strstr(addr, "://");

  return mark == NULL ? addr : mark + 3;
}

enum {
  FLAG_LADDR = 1,
  FLAG_DIAL,
  FLAG_NETWORK,
  FLAG_MONIKER,
  FLAG_KEY,
  FLAG_CHANNELS,
  FLAG_ROLE,
  FLAG_SIZES,
  FLAG_COUNT,
  FLAG_AWAIT,
  FLAG_QUIET,
  FLAG_VERBOSE,
  FLAG_FLOOD_SECONDS,
  FLAG_FLOOD_SIZE,
  FLAG_PING,
  FLAG_PONG,
  FLAG_FLUSH,
  FLAG_PACKET,
  FLAG_SLEEP,
  FLAG_IGNORED,
};

static const struct option flags[] = {
  {"laddr", required_argument, NULL, FLAG_LADDR},
  {"dial", required_argument, NULL, FLAG_DIAL},
  {"network", required_argument, NULL, FLAG_NETWORK},
  {"moniker", required_argument, NULL, FLAG_MONIKER},
  {"key", required_argument, NULL, FLAG_KEY},
  {"channels", required_argument, NULL, FLAG_CHANNELS},
  {"role", required_argument, NULL, FLAG_ROLE},
  {"sizes", required_argument, NULL, FLAG_SIZES},
  {"count", required_argument, NULL, FLAG_COUNT},
  {"await-echo", no_argument, NULL, FLAG_AWAIT},
  {"quiet", no_argument, NULL, FLAG_QUIET},
  {"verbose", no_argument, NULL, FLAG_VERBOSE},
  {"flood-seconds", required_argument, NULL, FLAG_FLOOD_SECONDS},
  {"flood-size", required_argument, NULL, FLAG_FLOOD_SIZE},
  {"ping-interval", required_argument, NULL, FLAG_PING},
  {"pong-timeout", required_argument, NULL, FLAG_PONG},
  {"flush-throttle", required_argument, NULL, FLAG_FLUSH},
  {"max-packet", required_argument, NULL, FLAG_PACKET},
  {"sleep", required_argument, NULL, FLAG_SLEEP},
  {"send-rate", required_argument, NULL, FLAG_IGNORED},
  {"recv-rate", required_argument, NULL, FLAG_IGNORED},
  {"json", no_argument, NULL, FLAG_IGNORED},
  {NULL, 0, NULL, 0},
};

/* Flags whose value is a number in a range. */
static bool number_flag(int flag, const char *text) {
  uint64_t value = 0;

  switch (flag) {
  case FLAG_COUNT:
    return number_parse(text, 1000000, &opts.count);
  case FLAG_FLOOD_SECONDS:
    if (!number_parse(text, 100000, &value)) {
      return false;
    }
    opts.flood_ns = CMT_SECONDS(value);
    return true;
  case FLAG_FLOOD_SIZE:
    if (!number_parse(text, SIZE_MAX_BYTES, &value)) {
      return false;
    }
    opts.flood_size = (size_t)value;
    return value > 2 * FLOOD_HEADER;
  case FLAG_PACKET:
    if (!number_parse(text, CMT_PACKET_PAYLOAD_MAX, &value)) {
      return false;
    }
    opts.packet_payload_max = (uint32_t)value;
    return value > 0;
  default:
    return false;
  }
}

static bool flag_set(int flag, char *text) {
  switch (flag) {
  case FLAG_LADDR:
    opts.laddr = *text == '\0' ? NULL : without_scheme(text);
    return true;
  case FLAG_DIAL:
    opts.dial = text;
    return true;
  case FLAG_NETWORK:
    opts.network = text;
    return true;
  case FLAG_MONIKER:
    opts.moniker = text;
    return true;
  case FLAG_KEY:
    opts.key_file = text;
    return true;
  case FLAG_CHANNELS:
    return channels_parse(text);
  case FLAG_ROLE:
    return role_parse(text);
  case FLAG_SIZES:
    return sizes_parse(text);
  case FLAG_AWAIT:
    opts.await_echo = true;
    return true;
  case FLAG_QUIET:
    opts.quiet = true;
    return true;
  case FLAG_VERBOSE:
    opts.verbose = true;
    return true;
  case FLAG_PING:
    return duration_parse(text, &opts.ping_interval_ns);
  case FLAG_PONG:
    return duration_parse(text, &opts.pong_timeout_ns);
  case FLAG_FLUSH:
    return duration_parse(text, &opts.flush_throttle_ns);
  case FLAG_SLEEP:
    return duration_parse(text, &opts.sleep_ns);
  case FLAG_IGNORED:
    return true;
  default:
    return number_flag(flag, text);
  }
}

void options_parse(int argc, char **argv) {
  int index = 0;
  int flag;

  channels_parse("40:1:10,50:10:10,81:5:10");
  sizes_parse("0,1,1023,1024,1025,65536,4000000");
  while ((flag = getopt_long_only(argc, argv, "", flags, &index)) != -1) {
    if (flag == '?') {
      exit(2);
    }
    if (!flag_set(flag, optarg)) {
      usage_error(flags[index].name, optarg);
    }
  }
  if (optind < argc) {
    usage_error("", argv[optind]);
  }
}
