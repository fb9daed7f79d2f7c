/* SPDX-License-Identifier: Apache-2.0 */

#include "reactor_list.h"

#include "core/mux/conn_group.h"
#include "peer/peer.h"
#include "reactor_options.h"

/* ---- making ---- */

/* Whether the reactor at |index| has a name of its own. */
static cmt_err name_check(const cmt_reactor *reactors, size_t index,
                          cmt_why *why) {
  const char *name = reactors[index].name;

  if (name == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor %zu has no name", index);
  }
  for (size_t i = 0; i < index; i++) {
    if (strcmp(reactors[i].name, name) == 0) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "two reactors are named %s", name);
    }
  }
  return CMT_OK;
}

/* Adds the channels of the reactor |r|, which lies in the list. */
static cmt_err channels_add(cmt__reactor_list *rs, const cmt_reactor *r,
                            cmt_why *why) {
  if (r->channel_count > 0 && r->channels == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor %s: channel_count is %zu and channels is NULL",
                    r->name, r->channel_count);
  }
  if (r->channel_count == 0 && r->channels != NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor %s: channels is set and channel_count is 0",
                    r->name);
  }
  if (r->channel_count > CMT_CHANNELS_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor %s: channel_count is %zu, allowed is 0 to %d",
                    r->name, r->channel_count, CMT_CHANNELS_MAX);
  }
  for (size_t i = 0; i < r->channel_count; i++) {
    const cmt_channel *c = &r->channels[i];
    const cmt_reactor *owner = rs->owners[c->id];

    if (owner == r) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "reactor %s claims channel 0x%02x twice", r->name, c->id);
    }
    if (owner != NULL) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "reactors %s and %s both claim channel 0x%02x",
                      owner->name, r->name, c->id);
    }
    if (rs->channel_count == CMT_CHANNELS_MAX) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "the reactors claim more than %d channels",
                      CMT_CHANNELS_MAX);
    }
    rs->owners[c->id] = r;
    rs->channel_ids[rs->channel_count] = c->id;
    rs->channels[rs->channel_count++] = cmt__channel_defaults(c);
  }
  return CMT_OK;
}

cmt_err cmt__reactor_list_init(cmt__reactor_list *rs, const cmt_env *env,
                               const cmt_reactor *reactors, size_t count,
                               cmt_why *why) {
  if (count > 0 && reactors == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor_count is set and reactors is not");
  }
  if (count == 0 && reactors != NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactors is set and reactor_count is not");
  }
  if (count > CMT_REACTORS_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "reactor_count is %zu, allowed is 0 to %d", count,
                    CMT_REACTORS_MAX);
  }
  rs->list = cmt__alloc(env, count * sizeof *rs->list);
  if (rs->list == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  for (size_t i = 0; i < count; i++) {
    cmt_err err = name_check(reactors, i, why);

    rs->list[i] = reactors[i];
    rs->count = i + 1;
    if (err == CMT_OK) {
      err = cmt__reactor_options_fill(&rs->list[i], why);
    }
    if (err == CMT_OK) {
      err = channels_add(rs, &rs->list[i], why);
    }
    if (err != CMT_OK) {
      return err;
    }
  }
  return CMT_OK;
}

void cmt__reactor_list_fini(cmt__reactor_list *rs, const cmt_env *env) {
  CMT_ASSERT(env, rs->started == 0);
  cmt__free(env, rs->list);
}

/* ---- of the switch ---- */

cmt_err cmt__reactor_list_start(cmt__reactor_list *rs, cmt_switch *s,
                                cmt_why *why) {
  for (size_t i = 0; i < rs->count; i++) {
    const cmt_reactor *r = &rs->list[i];
    cmt_err err = r->start != NULL ? r->start(r->self, s) : CMT_OK;

    if (err != CMT_OK) {
      return cmt__why(why, err, CMT_STAGE_TRANSPORT,
                      "reactor %s cannot start: %s", r->name,
                      cmt_err_text(err));
    }
    rs->started = i + 1;
  }
  return CMT_OK;
}

void cmt__reactor_list_stop(cmt__reactor_list *rs, cmt__callback_timer *timer) {
  while (rs->started > 0) {
    const cmt_reactor *r = &rs->list[--rs->started];

    if (r->stop != NULL) {
      cmt__callback_begin(timer, r->name, -1);
      r->stop(r->self);
      cmt__callback_end(timer);
    }
  }
}

/* ---- of a peer ---- */

/* A stop of the peer inside of init_peer refuses it, as an error does. */
static cmt_err init_peer(const cmt_reactor *r, cmt__callback_timer *timer,
                         cmt_peer *p, bool *known) {
  cmt_err err = CMT_OK;
  cmt__send_queue_stop stop;

  if (r->init_peer != NULL) {
    cmt__callback_begin(timer, r->name, -1);
    err = r->init_peer(r->self, p);
    cmt__callback_end(timer);
  }
  stop = cmt__send_queue_take_stop(&p->send_queue);
  *known = err == CMT_OK;
  return err == CMT_OK && stop.wanted ? stop.reason : err;
}

size_t cmt__reactor_list_init_peer(const cmt__reactor_list *rs,
                                   cmt__callback_timer *timer, cmt_peer *p,
                                   cmt_why *why) {
  why->err = CMT_OK;
  for (size_t i = 0; i < rs->count; i++) {
    const cmt_reactor *r = &rs->list[i];
    bool known;
    cmt_err err = init_peer(r, timer, p, &known);

    if (err != CMT_OK) {
      cmt__why(why, err, CMT_STAGE_FILTER, "reactor %s refused the peer: %s",
               r->name, cmt_err_text(err));
      return known ? i + 1 : i;
    }
  }
  return rs->count;
}
