/* SPDX-License-Identifier: Apache-2.0 */

/* A program with one thread and one poll(): everything that the switch reports
   comes out of a mailbox, and no callback runs on another thread.

     poll_mailbox [ID@HOST:PORT]...

   Each line of the standard input goes to all peers, as soon as there is one.
   A beat goes to them each 200 ms.  "/flood N" sends N numbered lines, at most
   100 in a row.  The end of the input ends the program when all is sent;
   "/quit" ends it at once. */

#include <cometp2p/cometp2p.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  TALK = 0x51,
  BATCH = 16,
  PEERS_MAX = 80,
  SLICE = 100,
  REQUESTS = 4 * PEERS_MAX,
};

#define BEAT CMT_MILLISECONDS(200)

typedef struct program {
  cmt_switch *sw;
  cmt_mailbox *box;
  cmt_timer timer;     /* None of these has a callback, */
  cmt_post next_slice; /* so what comes of them are events. */
  cmt_send_req requests[REQUESTS];
  cmt_send_req *unused[REQUESTS];
  size_t unused_count, peers;
  unsigned beats, flood, flood_sent;
  bool input_ended, stopping, ended;
  char input[1000];
  size_t input_len;
} program;

/* Whether a line can go to all peers that there may be. */
static bool has_room(const program *x) { return x->unused_count >= PEERS_MAX; }

/* Queues the text, or has it wait for room; CMT_EVENT_SENT reports the end. */
static void queue(program *x, cmt_peer *p, const char *text) {
  const cmt_send_req fresh = CMT_SEND_REQ(CMT_NEVER, NULL, NULL);
  cmt_send_req *req = x->unused[x->unused_count - 1];
  cmt_buf *msg = cmt_buf_copy(cmt_switch_env(x->sw), text, strlen(text));

  *req = fresh;
  req->arg = req; /* The event has it. */
  if (msg != NULL && cmt_peer_send_async(p, TALK, msg, req) == CMT_OK) {
    x->unused_count--;
  } else {
    cmt_buf_unref(msg); /* The peer is gone; its event comes. */
  }
}

static void say(program *x, const char *text) {
  cmt_peer *peers[PEERS_MAX];
  size_t count = cmt_switch_peers(x->sw, peers, PEERS_MAX);

  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    queue(x, peers[i], text);
    cmt_peer_unref(peers[i]);
  }
}

/* Sends the next lines of a flood.  A post brings the rest when there is room,
   so that other events are served between two slices. */
static void send_slice(program *x) {
  char text[40];

  for (int i = 0; i < SLICE && x->flood > 0 && has_room(x); i++) {
    snprintf(text, sizeof text, "flood %u", x->flood_sent++);
    say(x, text);
    x->flood--;
  }
  if (x->flood > 0 && has_room(x)) {
    cmt_ignore(cmt_switch_post(x->sw, &x->next_slice));
  }
}

static void on_line(program *x, const char *line) {
  if (strcmp(line, "/quit") == 0) {
    /* What waits is dropped, and nobody has to receive events any more. */
    cmt_mailbox_close(x->box);
    x->stopping = true;
  } else if (strncmp(line, "/flood ", 7) == 0) {
    x->flood = (unsigned)strtoul(line + 7, NULL, 10);
    x->flood_sent = 0;
    send_slice(x);
  } else {
    say(x, line);
  }
}

/* Handles the lines that were read, as far as there is room and a peer. */
static void take_lines(program *x) {
  char *line = x->input, *end;

  while (!x->stopping && x->flood == 0 && has_room(x) &&
         (end = strchr(line, '\n')) != NULL &&
         (x->peers > 0 || line[0] == '/')) {
    *end = '\0';
    on_line(x, line);
    line = end + 1;
  }
  x->input_len -= (size_t)(line - x->input);
  memmove(x->input, line, x->input_len + 1);
}

static bool wants_input(const program *x) {
  return !x->input_ended && !x->stopping && strchr(x->input, '\n') == NULL;
}

static void on_input(program *x) {
  ssize_t got;

  if (x->input_len == sizeof x->input - 1) {
    x->input_len = 0; /* Nobody types such a line. */
  }
  got = read(STDIN_FILENO, x->input + x->input_len,
             sizeof x->input - 1 - x->input_len);
  if (got <= 0) {
    x->input_ended = true;
  } else {
    x->input_len += (size_t)got;
    x->input[x->input_len] = '\0';
  }
}

/* What peers have not received yet is flushed; an event reports the end of
   each. */
static void stop_when_all_is_sent(program *x) {
  if (x->input_ended && !x->stopping && x->flood == 0 &&
      x->unused_count == REQUESTS) {
    x->stopping = true;
    cmt_switch_timer_cancel(x->sw, &x->timer);
    cmt_switch_stop(x->sw, CMT_SECONDS(5));
  }
}

static void on_message(const cmt_mailbox_event *ev) {
  char text[4000];

  cmt_text_escape(cmt_buf_bytes(ev->msg), text, sizeof text);
  printf("%.8s: %s\n", cmt_peer_id(ev->peer)->text, text);
}

static void on_sent(program *x, const cmt_mailbox_event *ev) {
  if (ev->reason != CMT_OK) {
    printf("not sent to %.8s: %s\n", cmt_peer_id(ev->peer)->text,
           cmt_err_text(ev->reason));
  }
  x->unused[x->unused_count++] = ev->arg;
  if (x->flood > 0 && has_room(x)) {
    cmt_ignore(cmt_switch_post(x->sw, &x->next_slice));
  }
}

static void on_timer(program *x, cmt_err status) {
  char text[40];

  if (status == CMT_OK && !x->stopping) {
    snprintf(text, sizeof text, "beat %u", x->beats++);
    /* A peer without room goes without this beat. */
    cmt_switch_broadcast_bytes(x->sw, TALK, text, strlen(text), NULL);
    cmt_ignore(cmt_switch_timer(x->sw, &x->timer, BEAT));
  }
}

static void on_event(program *x, const cmt_mailbox_event *ev) {
  switch (ev->kind) {
  case CMT_EVENT_PEER_UP:
    x->peers++;
    printf("%.8s is here\n", cmt_peer_id(ev->peer)->text);
    break;
  case CMT_EVENT_MESSAGE:
    on_message(ev);
    break;
  case CMT_EVENT_PEER_GONE:
    x->peers--;
    printf("%.8s is gone: %s\n", cmt_peer_id(ev->peer)->text,
           cmt_err_text(ev->reason));
    break;
  case CMT_EVENT_REJECTED:
    printf("no peer at %s: %s\n", ev->rejection->remote,
           ev->rejection->why.text);
    break;
  case CMT_EVENT_OUTCOME:
    printf("attempt %llu at %s: %s\n", (unsigned long long)ev->outcome->attempt,
           ev->outcome->remote, cmt_err_text(ev->reason));
    break;
  case CMT_EVENT_SENT:
    on_sent(x, ev);
    break;
  case CMT_EVENT_TIMER:
    on_timer(x, ev->reason);
    break;
  case CMT_EVENT_POST:
    if (ev->reason == CMT_OK) {
      send_slice(x);
    }
    break;
  }
}

/* Takes what is there, several events in one call.  They are of different
   peers, and each is done before its peer has another. */
static void take_events(program *x) {
  cmt_mailbox_event events[BATCH];
  size_t count;
  cmt_err err;

  while ((count = cmt_mailbox_next_many(x->box, events, BATCH, 0)) > 0) {
    for (size_t i = 0; i < count; i++) {
      on_event(x, &events[i]);
      cmt_mailbox_done(x->box, &events[i]);
    }
  }
  err = cmt_mailbox_next(x->box, &events[0], 0);
  if (err == CMT_OK) { /* It came in this moment. */
    on_event(x, &events[0]);
    cmt_mailbox_done(x->box, &events[0]);
  }
  x->ended = err == CMT_ECLOSED; /* Nothing will come any more. */
}

static void run(program *x) {
  while (!x->ended) {
    struct pollfd fds[] = {
      {.fd = cmt_mailbox_fd(x->box), .events = POLLIN},
      {.fd = wants_input(x) ? STDIN_FILENO : -1, .events = POLLIN},
    };

    (void)poll(fds, 2, -1);
    if (fds[1].revents != 0) {
      on_input(x);
    }
    if (fds[0].revents != 0) {
      take_events(x);
    }
    take_lines(x);
    stop_when_all_is_sent(x);
  }
}

static bool start(program *x, cmt_why *why) {
  static const cmt_channel channels[] = {{.id = TALK, .priority = 1}};
  static const cmt_reactor talk =
    CMT_REACTOR("talk", channels, .delivery = CMT_DELIVER_MAILBOX);
  char address[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;

  cmt_switch_options_init(&o);
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &talk;
  o.reactor_count = 1;
  o.event_reactor = "talk"; /* What has no callback comes there, too. */
  if (cmt_switch_open(&o, &x->sw, why) != CMT_OK) {
    return false;
  }
  x->box = cmt_switch_mailbox(x->sw, "talk");
  if (cmt_switch_get_laddr_text(x->sw, address, sizeof address) == CMT_OK) {
    printf("others join with: poll_mailbox %s\n", address);
  }
  return cmt_switch_timer(x->sw, &x->timer, BEAT) == CMT_OK;
}

int main(int argc, char **argv) {
  static program x;
  cmt_why why;

  for (size_t i = 0; i < REQUESTS; i++) {
    x.unused[x.unused_count++] = &x.requests[i];
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!start(&x, &why)) {
    fprintf(stderr, "poll_mailbox: %s\n", why.text);
    return 1;
  }
  for (int i = 1; i < argc; i++) {
    if (cmt_switch_dial(x.sw, argv[i], CMT_DIAL_PERSISTENT, &why) != CMT_OK) {
      fprintf(stderr, "poll_mailbox: %s\n", why.text);
    }
  }
  run(&x);
  if (cmt_switch_delete(x.sw) != CMT_OK) {
    return 1;
  }
  printf("ended after %u beats\n", x.beats);
  return 0;
}
