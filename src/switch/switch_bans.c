/* SPDX-License-Identifier: Apache-2.0 */

/* Bans as the application sees them, and what they end. */

#include "switch.h"

#include "base/mark.h"
#include "base/sized.h"
#include "dialer.h"
#include "session.h"

/* ---- for the application ---- */

/* The loop ends what is covered now, and begins what waited. */
static void bans_changed(cmt_switch *s) {
  cmt__lock(&s->lock);
  s->bans_changed = true;
  cmt__switch_wake(s);
  cmt__unlock(&s->lock);
}

static cmt_err refuse(cmt_err err, cmt_why *why) {
  return cmt__why(why, err, CMT_STAGE_TRANSPORT, "%s",
                  err == CMT_ELIMIT ? "all bans end later, and there are as "
                                      "many as can be"
                                    : cmt_err_text(err));
}

cmt_err cmt_switch_ban(cmt_switch *s, const cmt_ban *b, cmt_why *why) {
  cmt__ban_key key;
  cmt_ban full;
  cmt_err err;

  cmt_ban_init(&full);
  if (s == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the switch is NULL");
  }
  err = cmt__sized_read(&full, sizeof full, b, "ban", why);
  if (err != CMT_OK) {
    return err;
  }
  full.subject[sizeof full.subject - 1] = '\0';
  err = cmt__ban_parse(full.subject, &key, why);
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__bans_put(&s->bans, &key, full.duration_ns);
  if (err != CMT_OK) {
    return refuse(err, why);
  }
  bans_changed(s);
  return CMT_OK;
}

cmt_err cmt_switch_unban(cmt_switch *s, const char *subject, cmt_why *why) {
  cmt__ban_key key;
  cmt_err err;

  if (s == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the switch is NULL");
  }
  err = cmt__ban_parse(subject, &key, why);
  if (err == CMT_OK) {
    cmt__bans_remove(&s->bans, &key);
    bans_changed(s);
  }
  return err;
}

size_t cmt_switch_bans_sized(cmt_switch *s, cmt_ban *out, size_t cap,
                             size_t size) {
  return cmt__bans_list(&s->bans, out, cap, size);
}

bool cmt_switch_find_ban_sized(cmt_switch *s, const cmt_net_addr *a,
                               cmt_ban *out, size_t size) {
  return a != NULL && cmt__bans_find(&s->bans, a, out, size);
}

/* ---- on the first loop ---- */

static void list_end(cmt__session *first) {
  cmt__session *next;
  cmt__ban ban;
  cmt_why why;

  for (cmt__session *x = first; x != NULL; x = next) {
    next = x->next;
    if ((x->pending || x->peer != NULL) && cmt__session_is_banned(x, &ban)) {
      CMT__MARK(ban_ends_connection);
      cmt__ban_why(&ban, x->peer != NULL ? CMT_STAGE_UP : CMT_STAGE_FILTER,
                   &why);
      cmt__session_end(x, &why);
    }
  }
}

static void sessions_end(cmt_switch *s) {
  list_end(s->sessions);
  list_end(s->pending);
}

static void bans_update(cmt_switch *s) {
  uint64_t next_ns = cmt__bans_update(&s->bans, cmt__loop_now(s->loop));

  cmt__loop_timer(s->loop, &s->bans_timer, next_ns);
}

static void on_timer(cmt__timer *t) {
  bans_update((cmt_switch *)((char *)t - offsetof(cmt_switch, bans_timer)));
}

cmt_err cmt__switch_bans_start(cmt_switch *s, cmt_why *why) {
  cmt_err err = cmt__loop_reserve_timers(s->loop, 1);

  s->bans_timer.cb = on_timer;
  s->has_bans_timer = err == CMT_OK;
  return err == CMT_OK ? err : cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
}

void cmt__switch_bans_apply(cmt_switch *s) {
  if (!s->closing) {
    bans_update(s);
    cmt__dialer_bans_changed(s);
    sessions_end(s);
  }
}

void cmt__switch_bans_stop(cmt_switch *s) {
  if (s->has_bans_timer) {
    cmt__loop_timer(s->loop, &s->bans_timer, CMT_NEVER);
    cmt__loop_release_timers(s->loop, 1);
    s->has_bans_timer = false;
  }
}
