/* SPDX-License-Identifier: Apache-2.0 */

/* A home from its opening to its end.  docs/FILES.md. */

#include "home_impl.h"

#include "base/sized.h"

#include <stdarg.h>
#include <sys/stat.h>

const char *cmt__home_keep(cmt_home *h, const char *format, ...) {
  cmt__home_text *t;
  va_list args;
  int len;

  va_start(args, format);
  len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  t = cmt__alloc(&h->env, sizeof *t + (size_t)len + 1);
  if (t == NULL) {
    return NULL;
  }
  va_start(args, format);
  vsnprintf(t->text, (size_t)len + 1, format, args);
  va_end(args);
  t->next = h->texts;
  h->texts = t;
  return t->text;
}

const char *cmt__home_path(cmt_home *h, const char *name) {
  size_t len = strlen(h->dir);

  if (name[0] == '/') {
    return cmt__home_keep(h, "%s", name);
  }
  return cmt__home_keep(h, "%s%s%s", h->dir,
                        len > 0 && h->dir[len - 1] == '/' ? "" : "/", name);
}

void cmt_home_options_init_sized(cmt_home_options *o, size_t size) {
  cmt_home_options full = {.size = sizeof full};

  cmt__sized_write(o, size, &full, sizeof full);
}

void cmt_home_delete(cmt_home *h) {
  cmt_env env;

  if (h == NULL) {
    return;
  }
  env = h->env;
  cmt__toml_delete(h->config);
  while (h->texts != NULL) {
    cmt__home_text *next = h->texts->next;

    cmt__free(&env, h->texts);
    h->texts = next;
  }
  cmt__free(&env, h->seeds);
  cmt__free(&env, h->persistent_peers);
  cmt__free(&env, h->unconditional);
  cmt__free(&env, h->private);
  cmt__free(&env, h);
}

const cmt_home_settings *cmt_home_get_settings(const cmt_home *h) {
  return &h->settings;
}

cmt_err cmt_home_load_key(const cmt_home *h, cmt_node_key **out, cmt_why *why) {
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && h == NULL) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the home is NULL");
  }
  if (err != CMT_OK) {
    return err;
  }
  return cmt_node_key_load(&h->env, h->settings.node_key_file, out, why);
}

/* The settings that are a value of one key, or a path of the home. */
static void set_settings(cmt_home *h, cmt_home_settings *s) {
  const cmt__home_value *v = h->values;

  s->config_file = h->config_file;
  s->genesis_file = cmt__home_path(h, v[CMT__HOME_GENESIS_FILE].text);
  s->node_key_file = cmt__home_path(h, v[CMT__HOME_NODE_KEY_FILE].text);
  s->addr_book_file = cmt__home_path(h, v[CMT__HOME_ADDR_BOOK_FILE].text);
  s->moniker = v[CMT__HOME_MONIKER].text;
  s->log_level = v[CMT__HOME_LOG_LEVEL].text;
  s->log_json = strcmp(v[CMT__HOME_LOG_FORMAT].text, "json") == 0;
  s->filter_peers = v[CMT__HOME_FILTER_PEERS].flag;
  s->tenderseed = h->flat;
  s->laddr = v[CMT__HOME_LADDR].text;
  s->external_address = v[CMT__HOME_EXTERNAL_ADDRESS].text;
  s->addr_book_strict = v[CMT__HOME_ADDR_BOOK_STRICT].flag;
  s->pex = v[CMT__HOME_PEX].flag;
  s->seed_mode = v[CMT__HOME_SEED_MODE].flag;
  s->allow_duplicate_ip = v[CMT__HOME_DUPLICATE_IP].flag;
  s->max_num_inbound_peers = (uint32_t)v[CMT__HOME_INBOUND].number;
  s->max_num_outbound_peers = (uint32_t)v[CMT__HOME_OUTBOUND].number;
  s->max_packet_msg_payload_size = (uint32_t)v[CMT__HOME_PACKET_PAYLOAD].number;
  s->persistent_peers_max_dial_period_ns = v[CMT__HOME_DIAL_PERIOD].number;
  s->send_rate = v[CMT__HOME_SEND_RATE].number;
  s->recv_rate = v[CMT__HOME_RECV_RATE].number;
  s->prometheus = v[CMT__HOME_PROMETHEUS].flag;
  s->prometheus_listen_addr = v[CMT__HOME_PROMETHEUS_ADDR].text;
  s->prometheus_max_open_connections =
    (uint32_t)v[CMT__HOME_PROMETHEUS_CONNECTIONS].number;
  s->metrics_namespace = v[CMT__HOME_NAMESPACE].text;
  s->rpc_laddr = v[CMT__HOME_RPC_LADDR].text;
  s->seed_min_height = (int64_t)v[CMT__HOME_SEED_MIN_HEIGHT].number;
  s->seed_version = v[CMT__HOME_SEED_VERSION].text;
  s->tx_index = strcmp(v[CMT__HOME_INDEXER].text, "kv") == 0 ||
                strcmp(v[CMT__HOME_INDEXER].text, "psql") == 0;
}

static bool is_same_file(const char *a, const char *b) {
  struct stat of_a, of_b;

  return strcmp(a, b) == 0 ||
         (stat(a, &of_a) == 0 && stat(b, &of_b) == 0 &&
          of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino);
}

/* A save of the book would replace another file of the home. */
static void check_book_file(cmt__home_reading *r) {
  const cmt_home_settings *s = &r->h->settings;
  const char *const others[] = {s->config_file, s->genesis_file,
                                s->node_key_file};
  cmt__home_fault f = {.found = ""};

  for (size_t i = 0; i < CMT__COUNT(others) && r->mistakes == 0; i++) {
    if (is_same_file(s->addr_book_file, others[i])) {
      snprintf(f.allowed, sizeof f.allowed,
               "a file of its own, and no other one of the home");
      cmt__home_refuse(r, CMT__HOME_ADDR_BOOK_FILE, &f);
    }
  }
}

static cmt_err read_home(cmt__home_reading *r) {
  cmt_home_settings *s = &r->h->settings;

  cmt__home_read_config(r);
  if (r->mistakes == 0 && !r->no_memory) {
    cmt__home_find_sources(r);
  }
  if (r->mistakes == 0 && !r->no_memory) {
    cmt__home_check_names(r);
    cmt__home_read_values(r);
    cmt__home_read_lists(r);
  }
  if (r->mistakes > 0 && !r->no_memory) {
    return r->why->err;
  }
  if (!r->no_memory) {
    set_settings(r->h, s);
  }
  if (r->no_memory || s->genesis_file == NULL || s->node_key_file == NULL ||
      s->addr_book_file == NULL) {
    return cmt__why_plain(r->why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  check_book_file(r);
  return r->mistakes > 0 ? r->why->err : CMT_OK;
}

cmt_home *cmt__home_new(const cmt_env *env, const char *dir) {
  cmt_home *h = cmt__alloc_zero(env, sizeof *h);

  if (h == NULL) {
    return NULL;
  }
  h->env = *env;
  h->config_file = "";
  h->settings.size = sizeof h->settings;
  h->dir = cmt__home_keep(h, "%s", dir);
  if (h->dir == NULL) {
    cmt_home_delete(h);
    return NULL;
  }
  return h;
}

cmt_err cmt__home_check_options(const cmt_env *env, const char *dir,
                                cmt_env *out, cmt_why *why) {
  if (dir == NULL || dir[0] == '\0') {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "dir: it is %s",
                    dir == NULL ? "NULL" : "empty");
  }
  if (cmt__env_copy(env, out) != CMT_OK) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "the environment is not usable");
  }
  return CMT_OK;
}

cmt_err cmt_home_open(const cmt_home_options *o, cmt_home **out, cmt_why *why) {
  cmt_home_options options = {.size = sizeof options};
  cmt__home_reading r = {.options = &options};
  cmt_why own;
  cmt_env env;
  cmt_err err;

  err = cmt__out_clear(out, why);
  r.why = why != NULL ? why : &own;
  if (err == CMT_OK) {
    err = cmt__sized_read(&options, sizeof options, o, "cmt_home_options", why);
  }
  if (err == CMT_OK) {
    err = cmt__home_check_options(options.env, options.dir, &env, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  if (options.env_prefix != NULL &&
      strlen(options.env_prefix) > CMT__HOME_PREFIX_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "env_prefix has %zu bytes, allowed are up to %d",
                    strlen(options.env_prefix), CMT__HOME_PREFIX_MAX);
  }
  r.h = cmt__home_new(&env, options.dir);
  if (r.h == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  err = read_home(&r);
  if (err != CMT_OK) {
    cmt_home_delete(r.h);
    return err;
  }
  *out = r.h;
  return CMT_OK;
}
