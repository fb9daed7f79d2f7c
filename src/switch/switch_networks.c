/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as the application sets them. */

#include "state.h"

#include "base/sized.h"
#include "core/conn/conn.h"

void cmt_network_init_sized(cmt_network *n, size_t size) {
  const cmt_network defaults = {.size = sizeof defaults};

  cmt__sized_write(n, size, &defaults, sizeof defaults);
}

static cmt_err refuse(cmt_why *why, const char *text) {
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", text);
}

static cmt_err name_check(const char *name, cmt_why *why) {
  char quoted[64];

  if (name == NULL || name[0] == '\0') {
    return refuse(why, "name is not set: it is the chain id of the network");
  }
  if (strlen(name) > CMT_NETWORK_NAME_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "name: %s has %zu bytes, allowed are 1 to %d",
                    cmt__quote(cmt_bytes_of(name), quoted, sizeof quoted),
                    strlen(name), CMT_NETWORK_NAME_MAX);
  }
  return CMT_OK;
}

static cmt_err channels_check(const cmt_switch *s, const cmt_network *n,
                              cmt_why *why) {
  const cmt__reactor_list *r = &s->setup.reactors;

  if (n->channel_count > 0 && n->channels == NULL) {
    return refuse(why, "channel_count is set and channels is not");
  }
  for (size_t i = 0; i < n->channel_count; i++) {
    cmt_bytes ours = {.base = r->channel_ids, .len = r->channel_count};
    cmt_bytes before = {.base = n->channels, .len = i};

    if (!cmt__has_channel(ours, n->channels[i]) ||
        cmt__has_channel(before, n->channels[i])) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "channels: 0x%02x is %s", n->channels[i],
                      cmt__has_channel(ours, n->channels[i])
                        ? "there twice"
                        : "no channel of a reactor");
    }
  }
  return CMT_OK;
}

/* All that a connection could find wrong with it. */
static cmt_err announced_check(cmt_switch *s, const cmt__network *x,
                               cmt_why *why) {
  uint8_t channels[CMT_CHANNELS_MAX];
  cmt_conn_options o;
  cmt_node_info info;
  cmt_err err;

  cmt__lock(&s->lock); /* The address may be that of a port just picked. */
  cmt__setup_conn_options(&s->setup, &s->env, &info, &o);
  cmt__network_announce(x, NULL, &info, channels);
  err = cmt__conn_options_check(&o, s->setup.group, why);
  cmt__unlock(&s->lock);
  return err;
}

static cmt_err network_make(cmt_switch *s, const cmt_network *given,
                            cmt__network **out, cmt_why *why) {
  cmt_network full;
  cmt_err err;

  cmt_network_init(&full);
  err = cmt__sized_read(&full, sizeof full, given, "network", why);
  if (err == CMT_OK && !cmt__is_bool(&full.mirror)) {
    err = refuse(why, "mirror is neither true nor false: use the init macro");
  }
  if (err == CMT_OK) {
    err = name_check(full.name, why);
  }
  if (err == CMT_OK) {
    err = channels_check(s, &full, why);
  }
  if (err == CMT_OK) {
    *out = cmt__network_new(&s->env, &full);
    err = *out != NULL ? announced_check(s, *out, why)
                       : cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  return err;
}

static cmt_err put(cmt__networks *n, cmt__network *x, cmt_why *why) {
  cmt_err err = cmt__networks_put(n, x);

  return err == CMT_ELIMIT
           ? cmt__why(why, err, CMT_STAGE_TRANSPORT,
                      "there are %d networks, as many as can be",
                      CMT_NETWORKS_MAX)
           : cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
}

cmt_err cmt_switch_set_network(cmt_switch *s, const cmt_network *n,
                               cmt_why *why) {
  cmt__network *x = NULL;
  cmt_err err;

  if (s == NULL) {
    return refuse(why, "the switch is NULL");
  }
  err = network_make(s, n, &x, why);
  if (err == CMT_OK) {
    err = put(&s->networks, x, why);
  }
  if (err != CMT_OK) {
    cmt__network_unref(&s->networks, x);
  }
  return err;
}

bool cmt_switch_remove_network(cmt_switch *s, const char *name) {
  return s != NULL && name != NULL && cmt__networks_remove(&s->networks, name);
}

size_t cmt_switch_networks(cmt_switch *s, char (*out)[CMT_NETWORK_NAME_MAX + 1],
                           size_t cap) {
  return s != NULL ? cmt__networks_names(&s->networks, out, cap) : 0;
}
