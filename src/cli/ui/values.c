/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of values: numbers, sizes, durations, channels.  Each parser
   accepts the whole text or nothing. */

#include "options.h"

#include <stdio.h>
#include <string.h>

enum { SPEC_SIZE = 128, SPEC_PARTS = 4 };

static int digit_value(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* Reads the digits at |*text| and moves it behind them. */
static bool take_digits(const char **text, unsigned base, uint64_t *out) {
  const char *t = *text;
  uint64_t value = 0;

  while (digit_value(*t) < (int)base) {
    uint64_t digit = (uint64_t)digit_value(*t++);

    if (value > (UINT64_MAX - digit) / base) {
      return false;
    }
    value = value * base + digit;
  }
  if (t == *text) {
    return false;
  }
  *text = t;
  *out = value;
  return true;
}

bool cli_parse_number(const char *text, uint64_t min, uint64_t max,
                      uint64_t *out) {
  unsigned base = 10;
  uint64_t value;

  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    text += 2;
    base = 16;
  }
  if (!take_digits(&text, base, &value) || *text != '\0' || value < min ||
      value > max) {
    return false;
  }
  *out = value;
  return true;
}

typedef struct unit {
  const char *name;
  uint64_t factor;
} unit;

static bool parse_unit(const char *text, const unit *units, size_t count,
                       uint64_t *out) {
  uint64_t value;

  if (!take_digits(&text, 10, &value)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    if (strcmp(text, units[i].name) == 0) {
      *out = value * units[i].factor;
      return value <= UINT64_MAX / units[i].factor;
    }
  }
  return false;
}

bool cli_parse_size(const char *text, uint64_t min, uint64_t max,
                    uint64_t *out) {
  static const unit units[] = {
    {"", 1},        {"k", 1 << 10},   {"K", 1 << 10},   {"KiB", 1 << 10},
    {"m", 1 << 20}, {"M", 1 << 20},   {"MiB", 1 << 20}, {"g", 1 << 30},
    {"G", 1 << 30}, {"GiB", 1 << 30},
  };
  uint64_t value;

  if (!parse_unit(text, units, sizeof units / sizeof *units, &value) ||
      value < min || value > max) {
    return false;
  }
  *out = value;
  return true;
}

bool cli_parse_duration(const char *text, uint64_t *out_ns) {
  static const unit units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", CMT_MILLISECONDS(1)},
    {"s", CMT_SECONDS(1)},
    {"m", CMT_SECONDS(60)},
    {"h", CMT_SECONDS(3600)},
  };
  uint64_t value;

  /* No longer than thirty days, so that sums with an instant stay small. */
  if (!parse_unit(text, units, sizeof units / sizeof *units, &value) ||
      value > CMT_SECONDS(2592000)) {
    return false;
  }
  *out_ns = value;
  return true;
}

static bool channel_fault(cli_options *o, const char *allowed) {
  snprintf(o->fault, sizeof o->fault, "%s", allowed);
  return false;
}

static bool parse_role(const char *text, cli_role *out) {
  static const struct {
    const char *name;
    cli_role role;
  } roles[] = {{"files", CLI_ROLE_FILES},
               {"lines", CLI_ROLE_LINES},
               {"echo", CLI_ROLE_ECHO},
               {"discard", CLI_ROLE_DISCARD}};

  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
    if (strcmp(text, roles[i].name) == 0) {
      *out = roles[i].role;
      return true;
    }
  }
  return false;
}

static bool channel_numbers(cli_options *o, char *const *parts, size_t count,
                            cmt_channel *c) {
  uint64_t value;

  if (!cli_parse_number(parts[0], 0, UINT8_MAX, &value)) {
    return channel_fault(o, "the id is 0 to 255, decimal or hex (0x40)");
  }
  c->id = (uint8_t)value;
  c->priority = 1;
  c->send_queue = CLI_QUEUE_DEFAULT;
  c->recv_message_max = CMT_MESSAGE_DEFAULT;
  if (count > 1) {
    if (!cli_parse_number(parts[1], 1, CMT_PRIORITY_MAX, &value)) {
      return channel_fault(o, "the priority is 1 to 65535");
    }
    c->priority = (uint32_t)value;
  }
  if (count > 2) {
    if (!cli_parse_number(parts[2], 1, CMT_SEND_QUEUE_MAX, &value)) {
      return channel_fault(o, "the queue is 1 to 1000000 messages");
    }
    c->send_queue = (uint32_t)value;
  }
  if (count > 3) {
    if (!cli_parse_size(parts[3], 1, CMT_MESSAGE_MAX, &value)) {
      return channel_fault(o, "the largest message is 1 to 1 GiB");
    }
    c->recv_message_max = value;
  }
  return true;
}

static bool channel_fits(cli_options *o, const cmt_channel *c, cli_role role) {
  for (size_t i = 0; i < o->channel_count; i++) {
    if (o->channels[i].id == c->id) {
      return channel_fault(o, "this id is used twice");
    }
  }
  if (o->channel_count == CMT_CHANNELS_MAX) {
    return channel_fault(o, "at most 16 channels");
  }
  if (role == CLI_ROLE_FILES && c->recv_message_max < CLI_FILES_MESSAGE_MIN) {
    return channel_fault(o, "the role files needs messages of 512 bytes");
  }
  if (role == CLI_ROLE_LINES && c->recv_message_max < CLI_LINES_MESSAGE_MIN) {
    return channel_fault(o, "the role lines needs messages of 16 bytes");
  }
  if (role == CLI_ROLE_LINES && c->recv_message_max > CLI_LINES_MESSAGE_MAX) {
    return channel_fault(o, "the role lines has messages of at most 65545 "
                            "bytes, a line of 64 KiB");
  }
  return true;
}

bool cli_parse_channel(cli_options *o, const char *spec) {
  static const char form[] =
    "a channel is ID[:PRIORITY[:QUEUE[:MAX_MESSAGE]]][=files|lines|echo|"
    "discard]";
  char text[SPEC_SIZE], *parts[SPEC_PARTS], *next, *role_name;
  cmt_channel c = {0};
  cli_role role = CLI_ROLE_NONE;
  size_t count = 0;

  if (strlen(spec) >= sizeof text) {
    return channel_fault(o, form);
  }
  memcpy(text, spec, strlen(spec) + 1);
  role_name = strchr(text, '=');
  if (role_name != NULL) {
    *role_name++ = '\0';
    if (!parse_role(role_name, &role)) {
      return channel_fault(o, "the role is files, lines, echo or discard");
    }
  }
  for (next = text; next != NULL; count++) {
    if (count == SPEC_PARTS) {
      return channel_fault(o, form);
    }
    parts[count] = strsep(&next, ":");
  }
  if (!channel_numbers(o, parts, count, &c)) {
    return false;
  }
  if (role == CLI_ROLE_LINES && count < SPEC_PARTS) {
    c.recv_message_max = CLI_LINES_MESSAGE_MAX;
  }
  if (!channel_fits(o, &c, role)) {
    return false;
  }
  o->roles[o->channel_count] = role;
  o->channels[o->channel_count++] = c;
  return true;
}
