/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOOP_H
#define CMT__LOOP_H

/* The event loop as the layers above it see it: one small interface with
   several implementations: loop_uv for production, doubles for tests, a
   simulator with virtual time.

   Everything here but cmt__loop_post(), cmt__loop_stop() and
   cmt__listener_dropped() belongs to the thread that runs the loop (or to any
   one thread while no thread runs it); a tcp can move from one loop to another.
   Callbacks come from inside the run, never from inside a call of this
   interface; after an object was closed or a timer was stopped none comes. */

#include "base/base.h"
#include "sys/tcp_kernel.h"

#include <cometp2p/net_addr.h>
#include <stdatomic.h>

typedef struct cmt__loop cmt__loop;
typedef struct cmt__tcp cmt__tcp;
typedef struct cmt__listener cmt__listener;
typedef struct cmt__resolve cmt__resolve;

/* A timer, embedded in its owner, zeroed but for |cb| at first. */
typedef struct cmt__timer {
  uint64_t at_ns;
  size_t slot; /* Its place in the heap, from 1; 0 when not set. */
  void (*cb)(struct cmt__timer *t);
} cmt__timer;

/* A call from any thread, embedded in its owner, zeroed but for |cb|.  Posting
   it again before it ran does nothing; it may be posted again once |cb| was
   entered. */
typedef struct cmt__post {
  struct cmt__post *next;
  atomic_bool queued;
  void (*cb)(struct cmt__post *p);
} cmt__post;

/* A call at the end of the current iteration, after all its other callbacks
   and before the loop may block.  Embedded, zeroed but for |cb|. */
typedef struct cmt__task {
  struct cmt__task *next, *prev; /* |next| is NULL when not due. */
  void (*cb)(struct cmt__task *t);
} cmt__task;

/* A call that takes long, in two halves: |run| on any thread, then |done| on
   the loop that it was deferred on.  Embedded, zeroed but for the two. */
typedef struct cmt__costly {
  void (*run)(struct cmt__costly *c);
  void (*done)(struct cmt__costly *c);
  struct cmt__costly *next, *prev; /* |next| is NULL when no loop has it due. */
  cmt__loop *home;
  struct cmt__helper *helper; /* Who has it; NULL: |home|. */
  cmt__post post;             /* On its way to a helper, and back. */
} cmt__costly;

/* A place among the calls behind all tasks of an iteration.  Embedded, zeroed
   at first. */
typedef struct cmt__last {
  struct cmt__last *next; /* NULL when not due. */
} cmt__last;

typedef struct cmt__tcp_callbacks {
  /* Runs once, for a tcp of cmt__loop_connect(): CMT_OK, CMT_EREFUSED,
     CMT_EUNREACH, CMT_ERESET, CMT_EIO.  Close it after a failure. */
  void (*on_connect)(void *arg, cmt_err err);
  /* |len| > 0 bytes, lent for the call and free to be changed. */
  void (*on_read)(void *arg, uint8_t *data, size_t len);
  /* Runs once: CMT_EEOF, CMT_ERESET, or another reason why nothing more can be
     read.  Everything that arrived before was passed to on_read. */
  void (*on_end)(void *arg, cmt_err err);
  /* Runs once after a cmt__tcp_write() that wrote less than all: there is
     room. */
  void (*on_writable)(void *arg);
  /* Runs once after cmt__tcp_detach(): the loop has released the socket. */
  void (*on_detached)(void *arg);
} cmt__tcp_callbacks;

typedef void (*cmt__accept_cb)(void *arg, cmt__tcp *tcp);

/* |addrs| is empty when |err| is not CMT_OK (CMT_ERESOLVE, CMT_ENOMEM). */
typedef void (*cmt__resolve_cb)(void *arg, cmt_err err,
                                const cmt_net_addr *addrs, size_t count);

enum {
  CMT__READ_MAX = 65536, /* Bytes of one on_read. */
  CMT__READ_ITERATION_MAX =
    262144,              /* Bytes that one tcp reads in an iteration. */
  CMT__ACCEPTS_MAX = 64, /* Connections that a listener accepts in an iteration,
                            so that accepted ones are served meanwhile. */
  CMT__UNSENT_FIRST = 32768, /* cmt__tcp_unsent_max() at first. */
  CMT__RESOLVE_MAX = 32      /* Addresses that a resolve reports. */
};

/* So many may be due behind tasks: what they need still is in the cache. */
enum { CMT__LAST_MAX = 32 };

/* Takes what is due with cmt__loop_take_last(), at least one. */
typedef void (*cmt__last_cb)(cmt__loop *l);

typedef struct cmt__loop_ops {
  void (*run)(cmt__loop *l);
  void (*stop)(cmt__loop *l);
  void (*post)(cmt__loop *l, cmt__post *p);
  /* The earliest timer or the due tasks have changed. */
  void (*rearm)(cmt__loop *l);
  cmt_err (*listen)(cmt__loop *l, const cmt_net_addr *at, cmt__accept_cb cb,
                    void *arg, cmt__listener **out, cmt_why *why);
  void (*listener_addr)(const cmt__listener *ls, cmt_net_addr *out);
  uint64_t (*listener_dropped)(const cmt__listener *ls);
  void (*listener_close)(cmt__listener *ls);
  cmt_err (*connect)(cmt__loop *l, const cmt_net_addr *to,
                     const cmt__tcp_callbacks *cbs, void *arg, cmt__tcp **out);
  void (*tcp_start)(cmt__tcp *t, const cmt__tcp_callbacks *cbs, void *arg);
  void (*tcp_read)(cmt__tcp *t, bool on);
  cmt_err (*tcp_write)(cmt__tcp *t, const uint8_t *data, size_t len,
                       size_t *written);
  void (*tcp_shutdown)(cmt__tcp *t);
  void (*tcp_remote)(const cmt__tcp *t, cmt_net_addr *out);
  void (*tcp_close)(cmt__tcp *t);
  /* NULL: nothing is known, or nothing can be changed. */
  bool (*tcp_info)(const cmt__tcp *t, cmt__tcp_info *out);
  void (*tcp_unsent_max)(cmt__tcp *t, size_t max);
  size_t (*tcp_unread)(const cmt__tcp *t);
  void (*tcp_give_up)(cmt__tcp *t, uint64_t after_ns);
  void (*tcp_congestion)(cmt__tcp *t, const char *name);
  int (*congestion_check)(cmt__loop *l, const char *name);
  /* Has |c| run on one of |threads| threads beside the loop, then returned by
     cmt__costly_return().  False: there is none, and nothing happens.  NULL:
     there never is one. */
  bool (*costly)(cmt__loop *l, cmt__costly *c, unsigned threads);
  void (*tcp_detach)(cmt__tcp *t);
  cmt_err (*tcp_attach)(cmt__tcp *t, cmt__loop *l);
  cmt_err (*resolve)(cmt__loop *l, const char *host, uint16_t port,
                     cmt__resolve_cb cb, void *arg, cmt__resolve **out);
  void (*resolve_cancel)(cmt__resolve *r);
  void (*delete)(cmt__loop *l);
} cmt__loop_ops;

/* The part that all implementations share: the first member of each. */
struct cmt__loop {
  const cmt__loop_ops *ops;
  cmt_env env;
  uint64_t now_ns; /* Latched by the implementation; never runs backwards. */
  /* When the last poll began; 0: the implementation polls before every instant
     at which something is due. */
  uint64_t polled_ns;
  cmt__timer **heap;
  size_t heap_count, heap_cap, reserved;
  cmt__task tasks;      /* Head of a circular list: due at the end of this
                           iteration. */
  cmt__task running;    /* Head of a circular list: those of them that are left
                           while they run. */
  cmt__costly costly;   /* Head of a circular list: each iteration runs one. */
  cmt__task costly_due; /* Due while there are some. */
  struct cmt__help *help; /* Who runs others of them; NULL: nobody. */
  cmt__last last;         /* Head of a circular list: due behind the tasks, */
  cmt__last *last_end;    /* and the last of them, or the head. */
  size_t last_count;      /* How many there are. */
  cmt__last_cb last_cb;   /* What takes them. */
  uint8_t *scratch;       /* CMT__SCRATCH bytes, for one use at a time. */
  /* The errno behind the last failure that it reported, or the error of
     getaddrinfo(), which is negative; 0: unknown. */
  int error;
  void *user; /* For the owner of the loop. */
};

/* Room for 256 frames, which a link seals before it writes. */
enum { CMT__SCRATCH = 256 * 1044 };

/* For implementations. */
CMT_NODISCARD cmt_err cmt__loop_init(cmt__loop *l, const cmt__loop_ops *ops,
                                     const cmt_env *env);
void cmt__loop_fini(cmt__loop *l);
/* When the earliest timer is due; CMT_NEVER without one. */
uint64_t cmt__loop_next_timer(const cmt__loop *l);
/* Runs the timers that are due at cmt__loop_polled(), the earliest first: data
   that arrived before a deadline are handled before it, however late both
   are. */
void cmt__loop_run_timers(cmt__loop *l);
/* Runs the tasks that were due when it was called; true when more are due
   now, so the loop must not block. */
bool cmt__loop_run_tasks(cmt__loop *l);

/* Runs the first of the costly calls. */
void cmt__costly_run(cmt__loop *l);
/* Any thread: |c| was run by a helper. */
void cmt__costly_return(cmt__costly *c);

/* For users. */

/* Describes a failure: in the words of the system for CMT_EIO and CMT_EUNREACH
   when |error| is an errno, those of the resolver for CMT_ERESOLVE, else the
   text of |err|.  Lies in |out|, or is static. */
const char *cmt__loop_fault(cmt_err err, int error, char *out, size_t cap);

static inline uint64_t cmt__loop_now(const cmt__loop *l) { return l->now_ns; }

/* The instant of the last poll: all that had arrived by then was passed to its
   owner, except what a bound on reading has left.  A later deadline does not
   count as passed, whatever the time is: after a delay the sockets are read
   first. */
static inline uint64_t cmt__loop_polled(const cmt__loop *l) {
  return l->polled_ns != 0 ? l->polled_ns : l->now_ns;
}

/* Another loop has seen |now_ns|, and events of that time arrive here. */
static inline void cmt__loop_catch_up(cmt__loop *l, uint64_t now_ns) {
  l->now_ns = cmt__max64(l->now_ns, now_ns);
}

/* Sets or moves |t|; CMT_NEVER stops it.  Cannot fail once room was made for
   it with cmt__loop_reserve_timers(). */
void cmt__loop_timer(cmt__loop *l, cmt__timer *t, uint64_t at_ns);
/* Makes room for |count| more timers that may be set at one time, besides those
   of earlier calls: several owners may share a loop. */
CMT_NODISCARD cmt_err cmt__loop_reserve_timers(cmt__loop *l, size_t count);
/* Releases the room of timers that are not set and will not be. */
void cmt__loop_release_timers(cmt__loop *l, size_t count);

void cmt__loop_defer(cmt__loop *l, cmt__task *t); /* Does nothing when
                                                     |t| is due
                                                     already. */
/* As cmt__loop_defer(), for calls that take long: an iteration runs one of
   them, in the order in which they came, before its other tasks, and helpers
   may run others. */
void cmt__loop_defer_costly(cmt__loop *l, cmt__costly *c);
/* False: a helper has |c|, which stays where it is until |done|. */
CMT_NODISCARD bool cmt__loop_cancel_costly(cmt__loop *l, cmt__costly *c);
void cmt__loop_defer_cancel(cmt__loop *l, cmt__task *t); /* Not due: fine. */
/* Makes |t| due behind other tasks of this iteration, so that what several
   tasks have left is done in one go: |cb| runs when CMT__LAST_MAX are due, and
   behind the last task until it has taken all.  Only a task may call this, and
   |cb| is the same in all calls. */
void cmt__loop_defer_last(cmt__loop *l, cmt__last *t, cmt__last_cb cb);
/* Asked by a task: true when another one is still to run in this iteration, or
   has made something due behind them. */
static inline bool cmt__loop_has_others(const cmt__loop *l) {
  return l->running.next != &l->running || l->last.next != &l->last;
}
/* The next one that is due, which it is no more; NULL: there is none. */
cmt__last *cmt__loop_take_last(cmt__loop *l);
void cmt__loop_cancel_last(cmt__loop *l, cmt__last *t); /* Not due: fine. */
static inline bool cmt__loop_is_deferred(const cmt__task *t) {
  return t->next != NULL;
}

/* Who else runs costly calls. */
typedef struct cmt__help_options {
  /* Other loops, which outlive the calls of this one. */
  cmt__loop *const *loops;
  size_t loop_count;
  unsigned threads; /* Threads beside the loop, started when needed. */
  /* Calls a second that the loop keeps for itself; helpers have those over it,
     and the loop again what is too much for them. */
  uint64_t rate;
} cmt__help_options;

enum {
  /* Calls that a thread or a loop has at one time, so that it need not wait for
     the next. */
  CMT__HELPER_CALLS = 4,
};

/* Replaces the helpers of |l|, which have no call.  CMT_ENOMEM: it has none. */
CMT_NODISCARD cmt_err cmt__loop_set_help(cmt__loop *l,
                                         const cmt__help_options *o);

/* Runs until cmt__loop_stop(), on the calling thread. */
static inline void cmt__loop_run(cmt__loop *l) { l->ops->run(l); }
/* Makes the run return after the current iteration.  Any thread. */
static inline void cmt__loop_stop(cmt__loop *l) { l->ops->stop(l); }
/* Any thread. */
static inline void cmt__loop_post(cmt__loop *l, cmt__post *p) {
  l->ops->post(l, p);
}
/* Frees the loop: every tcp, listener and resolve was closed before. */
static inline void cmt__loop_delete(cmt__loop *l) { l->ops->delete (l); }

/* Listens on an IP literal of this machine; port 0 picks a free one.  "::"
   accepts IPv4 as well, whatever the default of the system is, and is "0.0.0.0"
   where there is no IPv6.  Each connection is passed to |cb|, which starts or
   closes it before it returns. Running out of descriptors never ends accepting:
   unless cmt__listener_on_short() finds one, waiting connections are closed and
   counted.  CMT_EIO: |why| reads "cannot listen on A: reason". */
CMT_NODISCARD static inline cmt_err
cmt__loop_listen(cmt__loop *l, const cmt_net_addr *at, cmt__accept_cb cb,
                 void *arg, cmt__listener **out, cmt_why *why) {
  return l->ops->listen(l, at, cb, arg, out, why);
}

/* Connects to an IP literal.  |cbs| and |arg| outlive the tcp.  CMT_OK: the
   outcome comes as on_connect; reading is off until cmt__tcp_read().
   CMT_EINVAL: not a literal; CMT_EIO: no socket;
   CMT_EUNREACH: its zone is no interface; CMT_ENOMEM: none comes. */
CMT_NODISCARD static inline cmt_err
cmt__loop_connect(cmt__loop *l, const cmt_net_addr *to,
                  const cmt__tcp_callbacks *cbs, void *arg, cmt__tcp **out) {
  return l->ops->connect(l, to, cbs, arg, out);
}

/* Resolves |host|, at most CMT__RESOLVE_MAX addresses; an IP literal gives
   itself.  The outcome comes as |cb|, once, unless cancelled before.
   CMT_ENOMEM, or CMT_EIO without a thread for it: none comes. */
CMT_NODISCARD static inline cmt_err
cmt__loop_resolve(cmt__loop *l, const char *host, uint16_t port,
                  cmt__resolve_cb cb, void *arg, cmt__resolve **out) {
  return l->ops->resolve(l, host, port, cb, arg, out);
}

/* What becomes of a connection for which there is no descriptor. */
typedef enum cmt__short {
  CMT__SHORT_NONE,  /* It is accepted with a reserve, closed and counted. */
  CMT__SHORT_GIVEN, /* Another one was closed: it is accepted. */
  CMT__SHORT_WAIT,  /* It waits for the next iteration. */
} cmt__short;

/* Each object that the loop hands out begins with this. */
struct cmt__tcp {
  cmt__loop *loop;
  size_t read_max; /* Bytes of one on_read; 0: CMT__READ_MAX. */
};
struct cmt__listener {
  cmt__loop *loop;
  unsigned accepts_max;              /* In an iteration; 0: CMT__ACCEPTS_MAX. */
  cmt__short (*on_short)(void *arg); /* See cmt__listener_on_short(). */
};
struct cmt__resolve {
  cmt__loop *loop;
};

/* Fetches into the cache what a write needs. */
static inline void cmt__tcp_fetch(const cmt__tcp *t) { cmt__fetch(t, 64); }

/* Gives an accepted tcp its callbacks; reading is off. */
static inline void cmt__tcp_start(cmt__tcp *t, const cmt__tcp_callbacks *cbs,
                                  void *arg) {
  t->loop->ops->tcp_start(t, cbs, arg);
}
/* Turns on_read and on_end on or off. */
static inline void cmt__tcp_read(cmt__tcp *t, bool on) {
  t->loop->ops->tcp_read(t, on);
}
/* Bounds later on_reads to |max| bytes; 0: to CMT__READ_MAX. */
static inline void cmt__tcp_read_max(cmt__tcp *t, size_t max) {
  t->read_max = max;
}
/* For implementations: how much of |left| the next read may use. */
static inline size_t cmt__tcp_read_room(const cmt__tcp *t, size_t left) {
  size_t room = cmt__min(left, CMT__READ_MAX);

  return t->read_max > 0 ? cmt__min(room, t->read_max) : room;
}
/* Makes one write call.  |*written| of |len| bytes were written; when that is
   less, on_writable comes once.  CMT_ERESET, CMT_EUNREACH or CMT_EIO: nothing
   more can be written. */
CMT_NODISCARD static inline cmt_err
cmt__tcp_write(cmt__tcp *t, const uint8_t *data, size_t len, size_t *written) {
  return t->loop->ops->tcp_write(t, data, len, written);
}
/* Sends EOF after what was written. */
static inline void cmt__tcp_shutdown(cmt__tcp *t) {
  t->loop->ops->tcp_shutdown(t);
}
static inline void cmt__tcp_remote(const cmt__tcp *t, cmt_net_addr *out) {
  t->loop->ops->tcp_remote(t, out);
}
/* False: the system reports nothing. */
CMT_NODISCARD static inline bool cmt__tcp_info_get(const cmt__tcp *t,
                                                   cmt__tcp_info *out) {
  return t->loop->ops->tcp_info != NULL && t->loop->ops->tcp_info(t, out);
}
/* Makes writes short while more than |max| bytes are written and not sent;
   on_writable comes when half of it is left. */
static inline void cmt__tcp_unsent_max(cmt__tcp *t, size_t max) {
  if (t->loop->ops->tcp_unsent_max != NULL) {
    t->loop->ops->tcp_unsent_max(t, max);
  }
}
/* Bytes that have come and were not read. */
static inline size_t cmt__tcp_unread(const cmt__tcp *t) {
  return t->loop->ops->tcp_unread != NULL ? t->loop->ops->tcp_unread(t) : 0;
}
/* Makes the system end the connection with ETIMEDOUT when the other side
   acknowledges nothing for |after_ns|; 0: after the default of the system. */
static inline void cmt__tcp_give_up(cmt__tcp *t, uint64_t after_ns) {
  if (t->loop->ops->tcp_give_up != NULL) {
    t->loop->ops->tcp_give_up(t, after_ns);
  }
}
/* 0 when cmt__tcp_congestion() can set the one of that name, else an errno:
   ENOENT, there is none; EPERM, only a privileged process may. */
static inline int cmt__loop_congestion_check(cmt__loop *l, const char *name) {
  return l->ops->congestion_check != NULL ? l->ops->congestion_check(l, name)
                                          : 0;
}
/* Changes the congestion control to |name|, which was checked. */
static inline void cmt__tcp_congestion(cmt__tcp *t, const char *name) {
  if (t->loop->ops->tcp_congestion != NULL) {
    t->loop->ops->tcp_congestion(t, name);
  }
}
/* Closes at once; |t| is gone for its user. */
static inline void cmt__tcp_close(cmt__tcp *t) { t->loop->ops->tcp_close(t); }
/* Removes the connected |t| from its loop, not in one of its own callbacks.  Of
   those only on_detached still comes, as the last one on that loop. */
static inline void cmt__tcp_detach(cmt__tcp *t) { t->loop->ops->tcp_detach(t); }
/* Puts a |t| that was detached on |l|, where all goes on as it was: it is read
   if it was, and on_writable is owed if it was.  CMT_EIO, CMT_ENOMEM: |l|
   cannot accept it, and it was closed. */
CMT_NODISCARD static inline cmt_err cmt__tcp_attach(cmt__tcp *t, cmt__loop *l) {
  return l->ops->tcp_attach(t, l);
}
/* Bounds the connections that it accepts in an iteration; 0: to
 CMT__ACCEPTS_MAX. */
static inline void cmt__listener_accepts_max(cmt__listener *ls, unsigned max) {
  ls->accepts_max = max;
}
/* For implementations: how many it may accept in an iteration. */
static inline unsigned cmt__listener_room(const cmt__listener *ls) {
  return ls->accepts_max > 0 ? ls->accepts_max : CMT__ACCEPTS_MAX;
}
/* |on_short| is called with the |arg| of the listener when there is no
   descriptor for a connection that waits. */
static inline void cmt__listener_on_short(cmt__listener *ls,
                                          cmt__short (*on_short)(void *arg)) {
  ls->on_short = on_short;
}
static inline void cmt__listener_addr(const cmt__listener *ls,
                                      cmt_net_addr *out) {
  ls->loop->ops->listener_addr(ls, out);
}
/* Connections closed for lack of descriptors or memory.  Any thread, as long as
   the listener is not closed. */
static inline uint64_t cmt__listener_dropped(const cmt__listener *ls) {
  return ls->loop->ops->listener_dropped(ls);
}
static inline void cmt__listener_close(cmt__listener *ls) {
  ls->loop->ops->listener_close(ls);
}
static inline void cmt__resolve_cancel(cmt__resolve *r) {
  r->loop->ops->resolve_cancel(r);
}

#endif
