/* SPDX-License-Identifier: Apache-2.0 */

/* A service of files: bulk data beside urgent control messages.

     file_service serve FOLDER HOST:PORT [BYTES_PER_SECOND]
     file_service get ID@HOST:PORT NAME OUT

   "get" dials again when the connection breaks, and goes on where it was; so
   does another "get" of the same file.  Meanwhile it measures round trips of
   control messages, which do not wait for the data.

   The messages of REQUEST are lines of text:

     get NAME          to the server
     file SIZE VERSION from it; or: no REASON
     from OFFSET       to the server, which begins there
     got OFFSET        to the server: so much is written

   A message of DATA is an offset and the bytes there.  The server has at most
   WINDOW bytes on their way.  That is less than half of the queue of a slow
   receiver, so its connection is always read, and control messages pass. */

#define _POSIX_C_SOURCE 200809L /* stat(), fseeko() and ftello() */

#include <cometp2p/cometp2p.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  CONTROL = 0x60,
  REQUEST = 0x61,
  DATA = 0x62,
  LINE_MAX_LEN = 300,
  HEADER = 8, /* The offset, little-endian. */
  CHUNK = 65536,
  WINDOW = 64 * CHUNK,
  ACK = 8 * CHUNK,
};

static const cmt_channel control_channels[] = {
  {.id = CONTROL,
   .priority = 10,
   .traffic = CMT_TRAFFIC_URGENT,
   .recv_message_max = 16},
};
static const cmt_channel file_channels[] = {
  {.id = REQUEST, .priority = 5, .recv_message_max = LINE_MAX_LEN},
  {.id = DATA,
   .priority = 1,
   .send_queue = WINDOW / CHUNK,
   .recv_message_max = HEADER + CHUNK,
   .recv_queue_bytes = 3 * WINDOW},
};

static cmt_err send_line(cmt_peer *p, const char *line) {
  return cmt_peer_send_bytes(p, REQUEST, line, strlen(line), CMT_SEND_TIMEOUT);
}

/* A message as a C string of at most LINE_MAX_LEN bytes. */
static void line_of(cmt_buf *msg, char *line) {
  cmt_bytes b = cmt_buf_bytes(msg);

  memcpy(line, b.base, b.len);
  line[b.len] = '\0';
}

/* ---- the server ---- */

typedef struct transfer {
  FILE *file;
  uint64_t size, sent, acked, most; /* The most that was on its way. */
} transfer;

static const char *folder;

static void transfer_free(void *arg) {
  transfer *t = arg;

  if (t->file != NULL) {
    fclose(t->file);
  }
  free(t);
}

static cmt_err serve_init_peer(void *self, cmt_peer *p) {
  transfer *t = calloc(1, sizeof *t);
  cmt_err err;

  (void)self;
  if (t == NULL) {
    return CMT_ENOMEM;
  }
  err = cmt_peer_set_value(p, "transfer", t, transfer_free);
  if (err != CMT_OK) {
    free(t);
  }
  return err;
}

static cmt_err send_chunk(cmt_peer *p, transfer *t) {
  uint64_t left = t->size - t->sent;
  size_t len = left < CHUNK ? (size_t)left : CHUNK;
  cmt_buf *msg = cmt_buf_new(cmt_peer_env(p), HEADER + len);
  uint8_t *out;
  cmt_err err;

  if (msg == NULL) {
    return CMT_ENOMEM;
  }
  out = cmt_buf_data(msg);
  for (int i = 0; i < HEADER; i++) {
    out[i] = (uint8_t)(t->sent >> 8 * i);
  }
  if (fread(out + HEADER, 1, len, t->file) != len) {
    cmt_buf_unref(msg);
    return cmt_peer_explain(p, CMT_EREACTOR, "the file became shorter");
  }
  /* The window leaves room in the queue.  Other peers may have used up the
     memory that all share; then this waits. */
  err = cmt_peer_send(p, DATA, msg, CMT_NEVER);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
    return err;
  }
  t->sent += len;
  return CMT_OK;
}

static cmt_err send_window(cmt_peer *p, transfer *t) {
  cmt_err err = CMT_OK;

  while (err == CMT_OK && t->sent < t->size && t->sent - t->acked < WINDOW) {
    err = send_chunk(p, t);
    if (t->sent - t->acked > t->most) {
      t->most = t->sent - t->acked;
    }
  }
  return err == CMT_ECLOSED ? CMT_OK : err; /* remove_peer follows. */
}

/* Names with a slash, or a dot before them, are not served. */
static cmt_err open_file(cmt_peer *p, transfer *t, const char *name) {
  char path[1000], line[LINE_MAX_LEN];
  struct stat st;

  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (t->file != NULL) {
    fclose(t->file);
    t->file = NULL;
  }
  if (strchr(name, '/') != NULL || name[0] == '.' || stat(path, &st) != 0 ||
      !S_ISREG(st.st_mode) || (t->file = fopen(path, "rb")) == NULL) {
    return send_line(p, "no such file");
  }
  t->size = (uint64_t)st.st_size;
  t->sent = t->acked = t->size; /* Nothing is sent before "from". */
  snprintf(line, sizeof line, "file %" PRIu64 " %" PRIx64 "%" PRIx64, t->size,
           (uint64_t)st.st_mtime, (uint64_t)st.st_ino);
  return send_line(p, line);
}

static cmt_err serve_receive(void *self, cmt_peer *p, uint8_t channel,
                             cmt_buf *msg) {
  transfer *t = cmt_peer_value(p, "transfer");
  char line[LINE_MAX_LEN + 1];
  uint64_t offset;

  (void)self;
  if (channel != REQUEST) {
    return cmt_peer_explain(p, CMT_EPROTO, "data for a server");
  }
  line_of(msg, line);
  if (strncmp(line, "get ", 4) == 0) {
    return open_file(p, t, line + 4);
  }
  if (sscanf(line, "from %" SCNu64, &offset) == 1 && t->file != NULL &&
      offset <= t->size && fseeko(t->file, (off_t)offset, SEEK_SET) == 0) {
    t->sent = t->acked = offset;
    return send_window(p, t);
  }
  if (sscanf(line, "got %" SCNu64, &offset) == 1 && offset >= t->acked &&
      offset <= t->sent) {
    t->acked = offset;
    return send_window(p, t);
  }
  return cmt_peer_explain(p, CMT_EPROTO, "no such request");
}

static void serve_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  const transfer *t = cmt_peer_value(p, "transfer");

  (void)self;
  printf("%.8s is gone at %" PRIu64 " of %" PRIu64 ", most on its way %" PRIu64
         ": %s\n",
         cmt_peer_id(p)->text, t->acked, t->size, t->most,
         cmt_err_text(reason));
}

/* On the loop, and so at once whatever the disk does. */
static cmt_err echo(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  (void)self;
  cmt_ignore(cmt_peer_try_send_bytes(p, channel, cmt_buf_bytes(msg).base,
                                     cmt_buf_bytes(msg).len));
  return CMT_OK;
}

/* The key is kept, so that clients find the same id after a restart. */
static cmt_node_key *server_key(cmt_why *why) {
  cmt_node_key *key = NULL;
  char path[1000];

  snprintf(path, sizeof path, "%s/.node_key.json", folder);
  if (access(path, F_OK) == 0) {
    return cmt_node_key_load(NULL, path, &key, why) == CMT_OK ? key : NULL;
  }
  snprintf(why->text, sizeof why->text, "no key");
  if (cmt_node_key_generate(NULL, &key) == CMT_OK &&
      cmt_node_key_save_new(key, path, why) != CMT_OK) {
    cmt_node_key_delete(key);
    key = NULL;
  }
  return key;
}

static int serve(const char *laddr, uint64_t rate) {
  const cmt_reactor reactors[] = {
    CMT_REACTOR("control", control_channels, .receive = echo),
    CMT_REACTOR("files", file_channels, .delivery = CMT_DELIVER_WORKERS,
                .threads = 4, .init_peer = serve_init_peer,
                .receive = serve_receive, .remove_peer = serve_remove_peer),
  };
  char address[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  cmt_node_key *key;
  cmt_switch *sw;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.network = "files";
  o.laddr = laddr;
  o.reactors = reactors;
  o.reactor_count = 2;
  o.send_rate = rate;
  o.key = key = server_key(&why);
  if (key == NULL || cmt_switch_open(&o, &sw, &why) != CMT_OK) {
    fprintf(stderr, "file_service: %s\n", why.text);
    cmt_node_key_delete(key);
    return 1;
  }
  cmt_node_key_delete(key); /* The switch has its own reference. */
  if (cmt_switch_get_laddr_text(sw, address, sizeof address) == CMT_OK) {
    printf("serving at %s\n", address);
  }
  while (getchar() != EOF) {
  }
  return cmt_switch_close(sw, CMT_SECONDS(2)) == CMT_OK ? 0 : 1;
}

/* ---- the client ---- */

/* Each part is used by one thread: the worker of "files", or the first loop. */
static struct {
  const char *name, *out;
  char part[1000];
  FILE *file;
  uint64_t size, written, acked;
  sem_t done;
  bool ended, failed;

  cmt_switch *sw;
  cmt_timer timer;
  cmt_peer *server;
  uint64_t ping_ns, longest_ns, trips;
} client;

static void finish(bool failed) {
  if (!client.ended) {
    client.ended = true;
    client.failed = failed;
    sem_post(&client.done);
  }
}

static void get_add_peer(void *self, cmt_peer *p) {
  char line[LINE_MAX_LEN];

  (void)self;
  snprintf(line, sizeof line, "get %s", client.name);
  cmt_ignore(send_line(p, line)); /* An end of the peer is reported below. */
}

static void get_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  (void)p;
  if (client.file != NULL) {
    fclose(client.file);
    client.file = NULL;
  }
  if (!client.ended) {
    printf("the connection broke at %" PRIu64 ": %s\n", client.written,
           cmt_err_text(reason));
  }
}

static cmt_err save_file(void) {
  int err = fclose(client.file);

  client.file = NULL;
  if (err != 0 || rename(client.part, client.out) != 0) {
    perror(client.out);
    finish(true);
    return CMT_EREACTOR;
  }
  finish(false);
  return CMT_OK;
}

/* The part of a file has its version in its name, so one that has changed is
   fetched from its beginning. */
static cmt_err begin_file(cmt_peer *p, const char *version) {
  char line[LINE_MAX_LEN];
  off_t at;

  snprintf(client.part, sizeof client.part, "%s.%s.part", client.out, version);
  client.file = fopen(client.part, "ab");
  if (client.file == NULL || fseeko(client.file, 0, SEEK_END) != 0 ||
      (at = ftello(client.file)) < 0) {
    perror(client.part);
    finish(true);
    return CMT_EREACTOR;
  }
  client.written = client.acked = (uint64_t)at;
  printf("%s: %" PRIu64 " of %" PRIu64 " bytes are here\n", client.name,
         client.written, client.size);
  if (client.written == client.size) {
    return save_file();
  }
  snprintf(line, sizeof line, "from %" PRIu64, client.written);
  return send_line(p, line);
}

static cmt_err get_line(cmt_peer *p, cmt_buf *msg) {
  char line[LINE_MAX_LEN + 1], version[41], text[200];

  line_of(msg, line);
  if (client.file == NULL && sscanf(line, "file %" SCNu64 " %40[0-9a-f]",
                                    &client.size, version) == 2) {
    return begin_file(p, version);
  }
  cmt_text_escape(cmt_buf_bytes(msg), text, sizeof text);
  fprintf(stderr, "file_service: the server says: %s\n", text);
  finish(true);
  return CMT_OK;
}

static cmt_err get_data(cmt_peer *p, cmt_buf *msg) {
  cmt_bytes b = cmt_buf_bytes(msg);
  char line[LINE_MAX_LEN];
  uint64_t offset = 0;

  for (int i = 0; i < HEADER && b.len > HEADER; i++) {
    offset |= (uint64_t)b.base[i] << 8 * i;
  }
  if (client.file == NULL || b.len <= HEADER || offset != client.written ||
      b.len - HEADER > client.size - offset) {
    return cmt_peer_explain(p, CMT_EPROTO, "data that are not the next ones");
  }
  if (fwrite(b.base + HEADER, 1, b.len - HEADER, client.file) !=
      b.len - HEADER) {
    perror(client.part);
    finish(true);
    return CMT_EREACTOR;
  }
  client.written += b.len - HEADER;
  if (client.written - client.acked >= ACK || client.written == client.size) {
    client.acked = client.written;
    snprintf(line, sizeof line, "got %" PRIu64, client.acked);
    cmt_ignore(send_line(p, line)); /* Nobody waits for it who is gone. */
  }
  return client.written == client.size ? save_file() : CMT_OK;
}

static cmt_err get_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  (void)self;
  if (client.ended) {
    return CMT_OK;
  }
  return channel == DATA ? get_data(p, msg) : get_line(p, msg);
}

static uint64_t now_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return CMT_SECONDS(t.tv_sec) + (uint64_t)t.tv_nsec;
}

/* The reactor "control" is inline, so its functions and the timer are on the
   first loop, and never at one time. */
static void on_timer(void *arg, cmt_err status) {
  (void)arg;
  if (status == CMT_OK && client.server != NULL) {
    client.ping_ns = now_ns();
    cmt_ignore(cmt_peer_try_send_bytes(client.server, CONTROL, "ping", 4));
  }
}

static void control_add_peer(void *self, cmt_peer *p) {
  (void)self;
  client.server = cmt_peer_ref(p);
  cmt_ignore(cmt_switch_timer(client.sw, &client.timer, 0));
}

static void control_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  (void)reason;
  client.server = NULL;
  cmt_peer_unref(p);
}

static cmt_err control_receive(void *self, cmt_peer *p, uint8_t channel,
                               cmt_buf *msg) {
  uint64_t took_ns = now_ns() - client.ping_ns;

  (void)self;
  (void)p;
  (void)channel;
  (void)msg;
  client.trips++;
  if (took_ns > client.longest_ns) {
    client.longest_ns = took_ns;
  }
  cmt_ignore(cmt_switch_timer(client.sw, &client.timer, CMT_MILLISECONDS(20)));
  return CMT_OK;
}

/* Soon again at first, and then less and less often. */
static cmt_err dial(const char *addr, cmt_why *why) {
  cmt_dial_options o;

  cmt_dial_options_init(&o);
  o.persistent = true;
  o.retry_delay_ns = CMT_MILLISECONDS(100);
  o.retry_jitter_ns = CMT_MILLISECONDS(100);
  o.retry_factor_percent = 200;
  o.retry_delay_max_ns = CMT_SECONDS(60);
  return cmt_switch_dial_new(client.sw, addr, &o, NULL, why);
}

static int get(const char *addr) {
  const cmt_reactor reactors[] = {
    CMT_REACTOR("control", control_channels, .add_peer = control_add_peer,
                .receive = control_receive, .remove_peer = control_remove_peer),
    CMT_REACTOR("files", file_channels, .delivery = CMT_DELIVER_WORKERS,
                .add_peer = get_add_peer, .receive = get_receive,
                .remove_peer = get_remove_peer),
  };
  static cmt_log_level level = CMT_LOG_INFO; /* Dials that fail, and why. */
  cmt_switch_options o;
  cmt_env env;
  cmt_why why;

  client.timer.cb = on_timer;
  sem_init(&client.done, 0, 0);
  cmt_switch_options_init(&o);
  if (cmt_env_init(&env) != CMT_OK) {
    return 1;
  }
  env.log = cmt_log_stderr;
  env.log_arg = &level;
  o.env = &env;
  o.network = "files";
  o.reactors = reactors;
  o.reactor_count = 2;
  if (cmt_switch_open(&o, &client.sw, &why) != CMT_OK) {
    fprintf(stderr, "file_service: %s\n", why.text);
    return 1;
  }
  if (dial(addr, &why) == CMT_OK) {
    sem_wait(&client.done);
  } else {
    fprintf(stderr, "file_service: %s\n", why.text);
    client.failed = true;
  }
  cmt_ignore(cmt_switch_close(client.sw, CMT_SECONDS(1)));
  if (!client.failed) {
    printf("%s: %" PRIu64 " bytes; %" PRIu64
           " control round trips beside them, the longest %.1f ms\n",
           client.name, client.size, client.trips,
           (double)client.longest_ns / 1e6);
  }
  return client.failed ? 1 : 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc >= 4 && argc <= 5 && strcmp(argv[1], "serve") == 0) {
    folder = argv[2];
    return serve(argv[3], argc == 5 ? strtoull(argv[4], NULL, 10) : 0);
  }
  if (argc == 5 && strcmp(argv[1], "get") == 0) {
    client.name = argv[3];
    client.out = argv[4];
    return get(argv[2]);
  }
  fprintf(stderr, "usage: file_service serve FOLDER HOST:PORT [RATE]\n"
                  "       file_service get ID@HOST:PORT NAME OUT\n");
  return 2;
}
