/* SPDX-License-Identifier: Apache-2.0 */

/* Calls that take long, and who runs them.

   Design notes.  A loop keeps as many of its costly calls as a rate allows and
   runs one of them in an iteration.  Those over the rate that would have to
   wait for another go to helpers: other loops, each of which runs one in an
   iteration as well, and threads.  Without another it is done sooner at home:
   to wake a thread can take longer than the call.  A helper has at most
   CMT__HELPER_CALLS at one time, so what was handed out and cannot be cancelled
   any more is bounded, however many calls come and are given up. What no helper
   has room for waits at home, first come, first served: the loop runs the first
   in each iteration, and a helper that returns a call gets the one behind that.
   A loop with helpers helps no other.

   |helper| and the counts belong to the home loop.  A call belongs to the
   thread that runs it until the post that returns it. */

#include "loop.h"

#include "base/rate.h"

enum { BURSTS_PER_S = 10 }; /* The burst is what comes in that part. */

typedef struct cmt__helper {
  cmt__loop *loop; /* NULL: the threads. */
  unsigned out;    /* Calls that it has, */
  unsigned out_max;
} cmt__helper;

struct cmt__help {
  cmt__rate rate;
  unsigned threads;
  size_t count;
  cmt__helper helpers[];
};

static void append(cmt__loop *l, cmt__costly *c) {
  cmt__costly *head = &l->costly;

  c->prev = head->prev;
  c->next = head;
  head->prev->next = c;
  head->prev = c;
  cmt__loop_defer(l, &l->costly_due);
}

static void take_out(cmt__costly *c) {
  c->prev->next = c->next;
  c->next->prev = c->prev;
  c->next = NULL;
}

/* ---- helpers ---- */

static void on_arrival(cmt__post *p) {
  cmt__costly *c = (cmt__costly *)((char *)p - offsetof(cmt__costly, post));

  append(c->helper->loop, c);
}

/* False: it cannot have |c|, nor any other. */
static bool hand_over(cmt__loop *l, cmt__helper *h, cmt__costly *c) {
  h->out++;
  c->helper = h;
  if (h->loop != NULL) {
    c->post = (cmt__post){.cb = on_arrival};
    cmt__loop_post(h->loop, &c->post);
    return true;
  }
  if (l->ops->costly != NULL && l->ops->costly(l, c, l->help->threads)) {
    return true;
  }
  h->out--;
  h->out_max = 0;
  c->helper = NULL;
  return false;
}

/* The helper that has the fewest of those that have room; NULL: none has. */
static cmt__helper *helper_find(struct cmt__help *help) {
  cmt__helper *best = NULL;

  for (size_t i = 0; i < help->count; i++) {
    cmt__helper *h = &help->helpers[i];

    if (h->out < h->out_max && (best == NULL || h->out < best->out)) {
      best = h;
    }
  }
  return best;
}

static bool is_over_rate(const cmt__loop *l) {
  return !cmt__rate_is_open(&l->help->rate, l->now_ns);
}

/* True: a helper has |c|. */
static bool help_take(cmt__loop *l, cmt__costly *c) {
  cmt__helper *h;

  if (l->help == NULL) {
    return false;
  }
  if (!is_over_rate(l)) {
    cmt__rate_charge(&l->help->rate, 1, l->now_ns);
    return false;
  }
  if (l->costly.next == &l->costly) {
    return false; /* This iteration runs it, and nobody has to be woken. */
  }
  h = helper_find(l->help);
  return h != NULL && hand_over(l, h, c);
}

/* The first that waits behind the one that this iteration runs; or NULL. */
static cmt__costly *waits_next(cmt__loop *l) {
  cmt__costly *c = l->costly.next->next;

  return l->costly.next != &l->costly && c != &l->costly ? c : NULL;
}

static void on_return(cmt__post *p) {
  cmt__costly *c = (cmt__costly *)((char *)p - offsetof(cmt__costly, post));
  cmt__loop *l = c->home;
  cmt__helper *h = c->helper;
  cmt__costly *next = waits_next(l);

  h->out--;
  c->helper = NULL;
  if (next != NULL && is_over_rate(l)) {
    take_out(next);
    if (!hand_over(l, h, next)) {
      append(l, next);
    }
  }
  c->done(c);
}

void cmt__costly_return(cmt__costly *c) {
  c->post = (cmt__post){.cb = on_return};
  cmt__loop_post(c->home, &c->post);
}

cmt_err cmt__loop_set_help(cmt__loop *l, const cmt__help_options *o) {
  size_t count = o->loop_count + (o->threads > 0);
  struct cmt__help *help;

  cmt__free(&l->env, l->help);
  l->help = NULL;
  if (count == 0) {
    return CMT_OK;
  }
  help = cmt__alloc_zero(&l->env, sizeof *help + count * sizeof *help->helpers);
  if (help == NULL) {
    return CMT_ENOMEM;
  }
  cmt__rate_init(&help->rate, o->rate, o->rate / BURSTS_PER_S + 1, l->now_ns);
  help->threads = o->threads;
  help->count = count;
  for (size_t i = 0; i < o->loop_count; i++) {
    help->helpers[i] =
      (cmt__helper){.loop = o->loops[i], .out_max = CMT__HELPER_CALLS};
  }
  if (o->threads > 0) {
    help->helpers[o->loop_count].out_max = o->threads * CMT__HELPER_CALLS;
  }
  l->help = help;
  return CMT_OK;
}

/* ---- the loop ---- */

void cmt__costly_run(cmt__loop *l) {
  cmt__costly *c = l->costly.next;

  if (c == &l->costly) {
    return;
  }
  take_out(c);
  c->run(c);
  if (c->home == l) {
    c->done(c);
  } else {
    cmt__costly_return(c);
  }
}

void cmt__loop_defer_costly(cmt__loop *l, cmt__costly *c) {
  if (c->next != NULL || c->helper != NULL) {
    return;
  }
  c->home = l;
  if (!help_take(l, c)) {
    append(l, c);
  }
}

bool cmt__loop_cancel_costly(cmt__loop *l, cmt__costly *c) {
  CMT_ASSERT(&l->env, c->home == l);
  if (c->helper != NULL) {
    return false;
  }
  if (c->next != NULL) {
    take_out(c);
  }
  return true;
}
