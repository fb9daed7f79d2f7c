/* SPDX-License-Identifier: Apache-2.0 */
/* Signals arrive through a descriptor, so that no code runs in a handler and
   the main thread sees them in the order of everything else.  A wake-up stays
   until one wait has seen it. */

#include "wait.h"

#include <cometp2p/err.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool is_ignored(int number) {
  struct sigaction now;

  return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

bool cli_waiter_init(cli_waiter *w) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  sigset_t set;

  sigemptyset(&set);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (!is_ignored(numbers[i])) {
      sigaddset(&set, numbers[i]);
    }
  }
  if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
    return false;
  }
  w->interrupted = false;
  w->signal = 0;
  w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return w->signal_fd >= 0 && w->event_fd >= 0;
}

void cli_waiter_fini(cli_waiter *w) {
  close(w->signal_fd);
  close(w->event_fd);
}

void cli_waiter_wake(const cli_waiter *w) {
  uint64_t one = 1;

  /* Fails only when the count is at its top, and then it is readable. */
  if (write(w->event_fd, &one, sizeof one) != sizeof one) {
    return;
  }
}

void cli_waiter_forget(cli_waiter *w) {
  w->interrupted = false;
  w->signal = 0;
}

static bool take_signal(cli_waiter *w) {
  struct signalfd_siginfo info;

  if (read(w->signal_fd, &info, sizeof info) != sizeof info) {
    return false;
  }
  if (!w->interrupted) {
    w->signal = (int)info.ssi_signo;
  }
  w->interrupted = true;
  return true;
}

static int poll_timeout_ms(uint64_t timeout_ns) {
  uint64_t ms;

  if (timeout_ns == CMT_NEVER) {
    return -1;
  }
  ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
  return ms > 3600000 ? 3600000 : (int)ms;
}

bool cli_waiter_wait_fd(cli_waiter *w, uint64_t timeout_ns, int fd,
                        short events, short *ready) {
  struct pollfd polled[3] = {
    {.fd = w->signal_fd, .events = POLLIN},
    {.fd = w->event_fd, .events = POLLIN},
    {.fd = fd, .events = events},
  };
  uint64_t count;

  *ready = 0;
  if (poll(polled, 3, poll_timeout_ms(timeout_ns)) <= 0) {
    return false;
  }
  if (polled[1].revents != 0 &&
      read(w->event_fd, &count, sizeof count) != sizeof count) {
    /* Another wait consumed it; nothing is lost. */
    count = 0;
  }
  *ready = polled[2].revents;
  return polled[0].revents != 0 && take_signal(w);
}

bool cli_waiter_wait(cli_waiter *w, uint64_t timeout_ns) {
  short ready;

  return cli_waiter_wait_fd(w, timeout_ns, -1, 0, &ready);
}

void cli_waiter_die(const cli_waiter *w) {
  sigset_t set;

  signal(w->signal, SIG_DFL);
  sigemptyset(&set);
  sigaddset(&set, w->signal);
  /* It may arrive as soon as it is not blocked. */
  if (raise(w->signal) == 0) {
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  }
}
