/* SPDX-License-Identifier: Apache-2.0 */

/* Each function counts itself, asks whether it is the one that fails, and calls
   the real one.  What epoll and eventfd are used with is noted, for spurious
   wake-ups and to know the descriptors; the table is under a mutex, which is
   never locked during a call that may wait. */

#include "calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define EXPORT __attribute__((visibility("default")))

enum {
  FDS_MAX = 1024,
  LOOPS_MAX = 8,
  IDLE_MS = 2, /* For so long nothing arrives before the clocks jump. */
};

const char *const pre_call_names[PRE_CALL_COUNT] = {
  [PRE_RECV] = "recv",
  [PRE_SEND] = "send",
  [PRE_ACCEPT] = "accept4",
  [PRE_CONNECT] = "connect",
  [PRE_SOCKET] = "socket",
  [PRE_BIND] = "bind",
  [PRE_LISTEN] = "listen",
  [PRE_SO_ERROR] = "getsockopt(SO_ERROR)",
  [PRE_OPTION] = "setsockopt",
  [PRE_SHUTDOWN] = "shutdown",
  [PRE_EPOLL_WAIT] = "epoll_wait",
  [PRE_EPOLL_ADD] = "epoll_ctl",
  [PRE_EPOLL_NEW] = "epoll_create1",
  [PRE_EVENT_NEW] = "eventfd",
  [PRE_EVENT_READ] = "read of an eventfd",
  [PRE_EVENT_WRITE] = "write to an eventfd",
  [PRE_THREAD] = "pthread_create",
  [PRE_RESOLVE] = "getaddrinfo",
};

/* What a descriptor is to us. */
typedef struct fd_note {
  int epoll; /* The epoll instance that polls it, plus 1; 0: none. */
  struct epoll_event polled;
  bool is_event;
} fd_note;

/* A loop that waits. */
typedef struct waiter {
  int epoll;
  bool waits;
  uint64_t until_ns;
} waiter;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static fd_note notes[FDS_MAX];
static waiter waiters[LOOPS_MAX];
static size_t waiter_count, warped_loops;
static size_t resolving;           /* Threads that a loop has started. */
static _Thread_local bool is_loop; /* This thread waits in epoll_wait(). */
static pre_plan plan;
static void (*on_fault)(void *arg);
static void *on_fault_arg;
static atomic_bool counting, failing;
static atomic_size_t calls[PRE_CALL_COUNT], faults;
static _Atomic uint64_t ahead_ns; /* How far ahead of the system's clock. */

/* ---- reports ---- */

static const char *effect_text(const pre_plan *p) {
  static const char *const texts[] = {
    [PRE_SHORT] = "a byte at most",
    [PRE_END] = "the end of the stream",
    [PRE_SPURIOUS] = "everything is ready",
  };
  const char *name = strerrorname_np(p->error);

  if (texts[p->effect] != NULL) {
    return texts[p->effect];
  }
  if (p->call == PRE_RESOLVE) {
    return gai_strerror(p->error);
  }
  return name != NULL ? name : "no error";
}

const char *pre_plan_text(const pre_plan *p, char *out, size_t cap) {
  snprintf(out, cap, "%s %zu, %zu times: %s%s", pre_call_names[p->call], p->at,
           p->times, effect_text(p),
           p->effect == PRE_AFTER ? ", although it happened" : "");
  return out;
}

_Noreturn void pre_die(const char *what, const char *file, int line) {
  char text[200];

  dprintf(STDERR_FILENO, "%s:%d: %s\nthe plan was: %s\n", file, line, what,
          failing ? pre_plan_text(&plan, text, sizeof text) : "nothing fails");
  _exit(3);
}

static void on_alarm(int signal) {
  (void)signal;
  pre_die("it does not come to its end", __FILE__, __LINE__);
}

void pre_watch(unsigned seconds) {
  signal(SIGALRM, on_alarm);
  alarm(seconds);
}

/* ---- the next of each function ---- */

/* The next function of that name, as the pointer |*out|. */
static void find_next(void *out, const char *name) {
  *(void **)out = dlsym(RTLD_NEXT, name);
  if (*(void **)out == NULL) {
    pre_die(name, __FILE__, __LINE__);
  }
}

#define NEXT(name)                                                             \
  static _Atomic(__typeof__(&name)) found;                                     \
  __typeof__(&name) next = found;                                              \
  if (next == NULL) {                                                          \
    find_next(&next, #name);                                                   \
    found = next;                                                              \
  }

/* ---- the plan ---- */

void pre_begin(const pre_plan *p) {
  is_loop = false; /* The loops of this run may have other threads. */
  for (size_t i = 0; i < PRE_CALL_COUNT; i++) {
    calls[i] = 0;
  }
  faults = 0;
  failing = p != NULL;
  plan = p != NULL ? *p : (pre_plan){.times = 0};
  counting = true;
}

void pre_end(void) {
  counting = false;
  failing = false;
  pre_warp(0);
}

size_t pre_calls(pre_call call) { return calls[call]; }

size_t pre_faults(void) { return faults; }

void pre_on_fault(void (*hook)(void *arg), void *arg) {
  on_fault = hook;
  on_fault_arg = arg;
}

/* Counts a call; true when it is one that fails. */
static bool fails(pre_call call) {
  size_t n;

  if (!counting) {
    return false;
  }
  n = atomic_fetch_add(&calls[call], 1);
  if (!failing || call != plan.call || n < plan.at ||
      n - plan.at >= plan.times) {
    return false;
  }
  faults++;
  if (on_fault != NULL) {
    on_fault(on_fault_arg);
  }
  return true;
}

static int fail(void) {
  errno = plan.error;
  return -1;
}

static bool is_instead(void) { return plan.effect == PRE_INSTEAD; }

/* ---- sockets ---- */

EXPORT ssize_t recv(int fd, void *data, size_t len, int flags) {
  NEXT(recv)
  if (!fails(PRE_RECV)) {
    return next(fd, data, len, flags);
  }
  if (plan.effect == PRE_END) {
    return 0;
  }
  return is_instead() ? fail() : next(fd, data, len < 1 ? len : 1, flags);
}

EXPORT ssize_t send(int fd, const void *data, size_t len, int flags) {
  NEXT(send)
  if (!fails(PRE_SEND)) {
    return next(fd, data, len, flags);
  }
  return is_instead() ? fail() : next(fd, data, len < 1 ? len : 1, flags);
}

EXPORT int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
  int accepted;

  NEXT(accept4)
  if (!fails(PRE_ACCEPT)) {
    return next(fd, from, len, flags);
  }
  if (!is_instead()) {
    accepted = next(fd, from, len, flags);
    if (accepted < 0) {
      return accepted;
    }
    close(accepted);
  }
  return fail();
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t len) {
  NEXT(connect)
  if (!fails(PRE_CONNECT)) {
    return next(fd, to, len);
  }
  if (!is_instead()) {
    (void)next(fd, to, len);
  }
  return fail();
}

EXPORT int socket(int domain, int type, int protocol) {
  NEXT(socket)
  return fails(PRE_SOCKET) ? fail() : next(domain, type, protocol);
}

EXPORT int bind(int fd, const struct sockaddr *at, socklen_t len) {
  NEXT(bind)
  return fails(PRE_BIND) ? fail() : next(fd, at, len);
}

EXPORT int listen(int fd, int backlog) {
  NEXT(listen)
  return fails(PRE_LISTEN) ? fail() : next(fd, backlog);
}

/* The error that is asked for is the outcome of the call, not its failure. */
EXPORT int getsockopt(int fd, int level, int name, void *value,
                      socklen_t *len) {
  int result;

  NEXT(getsockopt)
  result = next(fd, level, name, value, len);
  if (level == SOL_SOCKET && name == SO_ERROR && fails(PRE_SO_ERROR)) {
    *(int *)value = plan.error;
  }
  return result;
}

EXPORT int setsockopt(int fd, int level, int name, const void *value,
                      socklen_t len) {
  NEXT(setsockopt)
  return fails(PRE_OPTION) ? fail() : next(fd, level, name, value, len);
}

EXPORT int shutdown(int fd, int how) {
  NEXT(shutdown)
  return fails(PRE_SHUTDOWN) ? fail() : next(fd, how);
}

/* ---- threads and names ---- */

static void note_resolving(size_t change) {
  pthread_mutex_lock(&mutex);
  resolving += change;
  pthread_mutex_unlock(&mutex);
}

/* A thread that a loop has started: it resolves names, and the clocks do not
   jump while it does. */
typedef struct resolver {
  void *(*run)(void *);
  void *arg;
} resolver;

static void *resolver_run(void *arg) {
  resolver r = *(resolver *)arg;
  void *result;

  free(arg);
  result = r.run(r.arg);
  note_resolving((size_t)-1);
  return result;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg) {
  resolver *r;
  int error;

  NEXT(pthread_create)
  if (fails(PRE_THREAD)) {
    return plan.error;
  }
  r = is_loop ? malloc(sizeof *r) : NULL;
  if (r == NULL) {
    return next(thread, attr, run, arg);
  }
  *r = (resolver){.run = run, .arg = arg};
  note_resolving(1);
  error = next(thread, attr, resolver_run, r);
  if (error != 0) {
    note_resolving((size_t)-1);
    free(r);
  }
  return error;
}

EXPORT int getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **out) {
  NEXT(getaddrinfo)
  return fails(PRE_RESOLVE) ? plan.error : next(host, service, hints, out);
}

/* ---- eventfd ---- */

static bool is_event(int fd) {
  bool is;

  if (fd < 0 || fd >= FDS_MAX) {
    return false;
  }
  pthread_mutex_lock(&mutex);
  is = notes[fd].is_event;
  pthread_mutex_unlock(&mutex);
  return is;
}

EXPORT int eventfd(unsigned count, int flags) {
  int fd;

  NEXT(eventfd)
  if (fails(PRE_EVENT_NEW)) {
    return fail();
  }
  fd = next(count, flags);
  if (fd >= 0 && fd < FDS_MAX) {
    pthread_mutex_lock(&mutex);
    notes[fd].is_event = true;
    pthread_mutex_unlock(&mutex);
  }
  return fd;
}

EXPORT int close(int fd) {
  NEXT(close)
  if (fd >= 0 && fd < FDS_MAX) {
    pthread_mutex_lock(&mutex);
    notes[fd] = (fd_note){.epoll = 0};
    for (size_t i = 0; i < waiter_count; i++) {
      if (waiters[i].epoll == fd) {
        waiters[i] = waiters[--waiter_count];
        break;
      }
    }
    pthread_mutex_unlock(&mutex);
  }
  return next(fd);
}

EXPORT ssize_t read(int fd, void *data, size_t len) {
  NEXT(read)
  return counting && is_event(fd) && fails(PRE_EVENT_READ)
           ? fail()
           : next(fd, data, len);
}

/* A full counter is noted only when it will wake its reader. */
EXPORT ssize_t write(int fd, const void *data, size_t len) {
  NEXT(write)
  if (!counting || !is_event(fd) || !fails(PRE_EVENT_WRITE)) {
    return next(fd, data, len);
  }
  if (!is_instead()) {
    (void)next(fd, data, len);
  }
  return fail();
}

/* ---- epoll ---- */

EXPORT int epoll_create1(int flags) {
  NEXT(epoll_create1)
  return fails(PRE_EPOLL_NEW) ? fail() : next(flags);
}

static void note_polled(int epoll, int op, int fd, struct epoll_event *e) {
  if (fd < 0 || fd >= FDS_MAX) {
    return;
  }
  pthread_mutex_lock(&mutex);
  if (op == EPOLL_CTL_DEL) {
    notes[fd].epoll = 0;
  } else {
    notes[fd].epoll = epoll + 1;
    notes[fd].polled = *e;
  }
  pthread_mutex_unlock(&mutex);
}

/* libuv adds a descriptor for a trial first, and then it has no number. */
EXPORT int epoll_ctl(int epoll, int op, int fd, struct epoll_event *e) {
  int result;

  NEXT(epoll_ctl)
  if (op == EPOLL_CTL_ADD && e->data.fd == -1 && fails(PRE_EPOLL_ADD)) {
    return fail();
  }
  result = next(epoll, op, fd, e);
  if (result == 0) {
    note_polled(epoll, op, fd, e);
  }
  return result;
}

typedef struct wait_call {
  __typeof__(&epoll_pwait) next;
  int epoll;
  struct epoll_event *events;
  int max, timeout;
  const sigset_t *mask;
} wait_call;

static int wait_for(const wait_call *w, int timeout) {
  return w->next(w->epoll, w->events, w->max, timeout, w->mask);
}

static bool has_event(const wait_call *w, int count, int fd) {
  for (int i = 0; i < count; i++) {
    if (w->events[i].data.fd == fd) {
      return true;
    }
  }
  return false;
}

/* Whatever is waited for, besides what is ready. */
static int wait_spurious(const wait_call *w) {
  int count = wait_for(w, 0);

  pthread_mutex_lock(&mutex);
  for (int fd = 0; fd < FDS_MAX && count >= 0 && count < w->max; fd++) {
    if (notes[fd].epoll == w->epoll + 1 && !has_event(w, count, fd)) {
      w->events[count++] = notes[fd].polled;
    }
  }
  pthread_mutex_unlock(&mutex);
  return count;
}

/* ---- the clocks ---- */

EXPORT int clock_gettime(clockid_t clock, struct timespec *out) {
  uint64_t ns;
  int result;

  NEXT(clock_gettime)
  result = next(clock, out);
  if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE) {
    ns = (uint64_t)out->tv_sec * 1000000000 + (uint64_t)out->tv_nsec + ahead_ns;
    out->tv_sec = (time_t)(ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
  }
  return result;
}

uint64_t pre_now(void) {
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void pre_warp(size_t loops) {
  pthread_mutex_lock(&mutex);
  warped_loops = loops;
  pthread_mutex_unlock(&mutex);
}

/* NULL when there are more loops than places. */
static waiter *waiter_of(int epoll) {
  for (size_t i = 0; i < waiter_count; i++) {
    if (waiters[i].epoll == epoll) {
      return &waiters[i];
    }
  }
  if (waiter_count == LOOPS_MAX) {
    return NULL;
  }
  waiters[waiter_count] = (waiter){.epoll = epoll};
  return &waiters[waiter_count++];
}

static void set_waiting(int epoll, bool waits, uint64_t until_ns) {
  waiter *x;

  pthread_mutex_lock(&mutex);
  x = waiter_of(epoll);
  if (x != NULL) {
    x->waits = waits;
    x->until_ns = until_ns;
  }
  pthread_mutex_unlock(&mutex);
}

/* What |fd| has sent has not arrived, as far as it knows.  A busy machine may
   deliver late, and Nagle's algorithm holds bytes back for as long as the other
   side delays its acknowledgement. */
static bool is_sending(int fd) {
  struct tcp_info info = {.tcpi_state = TCP_CLOSE};
  socklen_t len = sizeof info;
  int unacknowledged = 0;

  (void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
  (void)ioctl(fd, SIOCOUTQ, &unacknowledged);
  return info.tcpi_state == TCP_SYN_SENT || unacknowledged > 0;
}

/* Under the mutex. */
static bool any_is_sending(void) {
  for (int fd = 0; fd < FDS_MAX; fd++) {
    if (notes[fd].epoll != 0 && !notes[fd].is_event && is_sending(fd)) {
      return true;
    }
  }
  return false;
}

/* All loops wait, and none of them has been woken.  Under the mutex. */
static bool all_are_idle(const wait_call *w, uint64_t *until_ns) {
  struct epoll_event event;

  *until_ns = UINT64_MAX;
  if (warped_loops == 0 || waiter_count < warped_loops || resolving > 0) {
    return false;
  }
  for (size_t i = 0; i < waiter_count; i++) {
    const waiter *x = &waiters[i];

    if (!x->waits || w->next(x->epoll, &event, 1, 0, NULL) != 0) {
      return false;
    }
    *until_ns = x->until_ns < *until_ns ? x->until_ns : *until_ns;
  }
  return true;
}

/* To the earliest timer of a loop, if there is one. */
static void jump(const wait_call *w) {
  uint64_t until_ns, now_ns;

  pthread_mutex_lock(&mutex);
  now_ns = pre_now();
  if (all_are_idle(w, &until_ns) && until_ns != UINT64_MAX &&
      until_ns > now_ns && !any_is_sending()) {
    ahead_ns += until_ns - now_ns;
  }
  pthread_mutex_unlock(&mutex);
}

static bool is_warped(void) {
  bool warped;

  pthread_mutex_lock(&mutex);
  warped = warped_loops > 0;
  pthread_mutex_unlock(&mutex);
  return warped;
}

static int wait_warped(const wait_call *w) {
  uint64_t until_ns =
    w->timeout < 0 ? UINT64_MAX : pre_now() + (uint64_t)w->timeout * 1000000;
  int count = wait_for(w, 0);

  if (count != 0 || w->timeout == 0) {
    return count;
  }
  set_waiting(w->epoll, true, until_ns);
  do {
    count = wait_for(w, IDLE_MS);
    if (count == 0) {
      jump(w);
    }
  } while (count == 0 && pre_now() < until_ns);
  set_waiting(w->epoll, false, 0);
  return count;
}

static int wait_any(const wait_call *w) {
  if (fails(PRE_EPOLL_WAIT)) {
    return plan.effect == PRE_SPURIOUS ? wait_spurious(w) : fail();
  }
  return is_warped() ? wait_warped(w) : wait_for(w, w->timeout);
}

EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int max,
                       int timeout, const sigset_t *mask) {
  NEXT(epoll_pwait)
  is_loop = true;
  return wait_any(&(wait_call){.next = next,
                               .epoll = epoll,
                               .events = events,
                               .max = max,
                               .timeout = timeout,
                               .mask = mask});
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int max,
                      int timeout) {
  return epoll_pwait(epoll, events, max, timeout, NULL);
}
