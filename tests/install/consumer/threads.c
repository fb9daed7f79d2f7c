/* SPDX-License-Identifier: Apache-2.0 */

/* Two nodes of one process, for ThreadSanitizer: messages of several threads go
   through the installed library and the system's libuv.  With an argument two
   threads also race for a number of their own. */

#include <cometp2p/cometp2p.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { CHANNEL = 0x30, THREADS = 3, MESSAGES = 400 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static cmt_peer *peer;
static unsigned received;
static unsigned raced;

static void add_peer(void *self, cmt_peer *p) {
  (void)self;
  pthread_mutex_lock(&lock);
  if (peer == NULL) {
    peer = cmt_peer_ref(p);
  }
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  (void)self;
  (void)p;
  (void)channel;
  pthread_mutex_lock(&lock);
  received += cmt_buf_bytes(msg).base[0] == 'm';
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return CMT_OK;
}

static void *send_all(void *arg) {
  (void)arg;
  for (int i = 0; i < MESSAGES; i++) {
    if (cmt_peer_send_bytes(peer, CHANNEL, "message", 7, CMT_SEND_TIMEOUT) !=
        CMT_OK) {
      break;
    }
  }
  return NULL;
}

static void *race(void *arg) {
  (void)arg;
  raced++;
  return NULL;
}

static cmt_switch *node(void (*on_peer)(void *self, cmt_peer *p)) {
  static const cmt_channel channels[] = {
    {.id = CHANNEL, .priority = 1, .send_queue = 10}};
  const cmt_reactor reactor = {.name = "messages",
                               .channels = channels,
                               .channel_count = 1,
                               .delivery = CMT_DELIVER_WORKERS,
                               .add_peer = on_peer,
                               .receive = receive};
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.loops = 2;
  o.reactors = &reactor;
  o.reactor_count = 1;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    printf("%s\n", why.text);
    return NULL;
  }
  return sw;
}

static void run_threads(void *(*run)(void *arg)) {
  pthread_t threads[THREADS];

  for (int i = 0; i < THREADS; i++) {
    pthread_create(&threads[i], NULL, run, NULL);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
}

int main(int argc, char **argv) {
  cmt_switch *a = node(add_peer), *b = node(NULL);
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  (void)argv;
  if (a == NULL || b == NULL || cmt_switch_get_laddr(a, &at) != CMT_OK) {
    return 1;
  }
  /* A name, so that libuv's own threads have work. */
  snprintf(text, sizeof text, "%s@localhost:%u", at.id.text, at.port);
  if (cmt_switch_dial(b, text, 0, NULL) != CMT_OK) {
    return 1;
  }
  pthread_mutex_lock(&lock);
  while (peer == NULL) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
  run_threads(send_all);
  pthread_mutex_lock(&lock);
  while (received < THREADS * MESSAGES) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
  if (argc > 1) {
    run_threads(race);
  }
  cmt_peer_unref(peer);
  if (cmt_switch_delete(b) != CMT_OK || cmt_switch_delete(a) != CMT_OK) {
    return 1;
  }
  printf("ok\n");
  return 0;
}
