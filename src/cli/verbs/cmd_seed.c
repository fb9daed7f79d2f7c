/* SPDX-License-Identifier: Apache-2.0 */
/* node and seed: run the peer-to-peer part of a node from its home, or serve
   the addresses of any number of chains from theirs. */

#include "cli/roles/station.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* How often --homes is looked at. */
#define LOOK_NS CMT_SECONDS(2)

/* The folders to serve. */
typedef struct dirs {
  char **list;
  size_t count;
} dirs;

static void dirs_add(dirs *d, const char *dir) {
  d->list = cli_realloc(d->list, (d->count + 1) * sizeof *d->list);
  d->list[d->count++] = cli_copy(dir);
}

static void dirs_fini(dirs *d) {
  for (size_t i = 0; i < d->count; i++) {
    free(d->list[i]);
  }
  free(d->list);
}

/* A folder is a home as soon as it has its key and a configuration. */
static bool is_home(const char *dir) {
  static const char *const files[] = {"config/node_key.json",
                                      "config/config.toml"};
  char path[4096];
  struct stat at;

  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    int len = snprintf(path, sizeof path, "%s/%s", dir, files[i]);

    if (len < 0 || (size_t)len >= sizeof path || stat(path, &at) != 0) {
      return false;
    }
  }
  return true;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds the homes in |parent|, in the order of their names.  False: |why| has
   the reason in its text. */
static bool dirs_look(dirs *d, const char *parent, cmt_why *why) {
  DIR *folder = opendir(parent);
  size_t first = d->count;
  struct dirent *entry;

  if (folder == NULL) {
    snprintf(why->text, sizeof why->text, "--homes '%s': %s", parent,
             strerror(errno));
    return false;
  }
  while ((entry = readdir(folder)) != NULL) {
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
    if (entry->d_name[0] != '.' && is_home(path)) {
      dirs_add(d, path);
    }
  }
  (void)closedir(folder);
  if (d->count > first) {
    qsort(d->list + first, d->count - first, sizeof *d->list, by_name);
  }
  return true;
}

static bool dirs_fill(cli_options *o, dirs *d) {
  cmt_why why;

  for (size_t i = 0; i < o->home_count; i++) {
    dirs_add(d, o->homes[i]);
  }
  if (o->homes_dir != NULL && !dirs_look(d, o->homes_dir, &why)) {
    cli_fail("%s", why.text);
    return false;
  }
  if (d->count == 0 && o->homes_dir != NULL) {
    cli_fail("--homes '%s': no folder in it has config/node_key.json and "
             "config/config.toml",
             o->homes_dir);
    return false;
  }
  if (d->count == 0) {
    const char *dir = cli_home_dir(o);

    if (dir == NULL) {
      return false;
    }
    dirs_add(d, dir);
  }
  return true;
}

/* Homes that have come or changed. */
static void look_again(cli_station *s, const char *parent) {
  dirs now = {NULL, 0};
  cmt_why why;
  bool well = dirs_look(&now, parent, &why);

  cli_station_fault(s, parent, well ? NULL : why.text);
  if (well) {
    cli_station_review(s);
    for (size_t i = 0; i < now.count; i++) {
      if (!cli_station_knows(s, now.list[i])) {
        cli_station_add(s, now.list[i]);
      }
    }
  }
  dirs_fini(&now);
}

static bool deny_again(cli_station *s, const cli_options *o) {
  cmt_why why;

  if (o->deny == NULL) {
    return false;
  }
  if (!cli_station_deny(s, &why)) {
    CLI_LOG(&s->log, CMT_LOG_ERROR, "main", "Failed to read the deny list",
            {"err", why.text, 0});
    return false;
  }
  CLI_LOG(&s->log, CMT_LOG_INFO, "main", "Read the deny list",
          {"file", o->deny, 0}, {"count", NULL, (int64_t)s->deny.count});
  return true;
}

/* Until a signal ends it; SIGHUP reads the list of --deny again. */
static void serve(cli_station *s, const cli_options *o, cli_io *io) {
  bool forget = false;

  while (true) {
    uint64_t wait_ns = o->homes_dir != NULL || forget ? LOOK_NS : CMT_NEVER;
    cmt_why why;

    if (cli_station_serve(s, wait_ns)) {
      if (io->wait.signal != SIGHUP) {
        return;
      }
      cli_waiter_forget(&io->wait);
      forget = deny_again(s, o) || forget;
      continue;
    }
    if (forget) {
      forget = !cli_station_forget(s, &why);
    }
    if (o->homes_dir != NULL) {
      look_again(s, o->homes_dir);
    }
  }
}

/* The lower of the two limits on descriptors is there for programs that call
   select(). */
static void raise_descriptors(void) {
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
      limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static int station_run(cli_station *s, const cli_options *o, cli_io *io,
                       const dirs *d) {
  int code = CLI_FAILED;

  raise_descriptors();
  if (cli_station_open(s, o, io, d->list, d->count)) {
    code = CLI_OK;
    serve(s, o, io);
  }
  return cli_station_close(s, code);
}

/* What tenderseed calls its two verbs. */
static bool is_word(const cli_options *o, const char *word) {
  return o->arg_count == 1 && strcmp(o->args[0], word) == 0;
}

static int show_id(const cli_options *o, const cmt_home *h, const char *dir) {
  cmt_node_key *key;
  cmt_why why;
  int code;

  if (cmt_home_load_key(h, &key, &why) != CMT_OK) {
    cli_home_explain(dir, &why);
    return cli_fail("%s", why.text);
  }
  code = cli_home_print_id(o, key, cmt_home_get_settings(h)->node_key_file);
  cmt_node_key_delete(key);
  return code;
}

/* Shows the id of the first home. */
static int show_node_id(cli_options *o) {
  dirs d = {NULL, 0};
  int code = CLI_FAILED;
  cmt_env env;
  cmt_home *h;
  cmt_why why;

  if (!dirs_fill(o, &d)) {
    return CLI_FAILED;
  }
  if (cli_home_env(o, &env, &why) == CMT_OK &&
      cli_home_open(o, &env, d.list[0], &h, &why) == CMT_OK) {
    code = show_id(o, h, d.list[0]);
    cmt_home_delete(h);
  } else {
    cli_fail("%s", why.text);
  }
  dirs_fini(&d);
  return code;
}

static int run(cli_options *o, bool seed) {
  cli_station *s;
  dirs d = {NULL, 0};
  cli_io io;
  int code = CLI_FAILED;

  if (seed && is_word(o, "show-node-id")) {
    return show_node_id(o);
  }
  if (o->arg_count > 0 && !(seed && is_word(o, "start"))) {
    return cli_options_usage(o, seed
                                  ? "it takes start or show-node-id, or neither"
                                  : "it takes no arguments");
  }
  if (!seed && (o->home_count > 1 || o->homes_dir != NULL)) {
    return cli_options_usage(o, "a node has one home; a seed may have several");
  }
  if (!cli_io_open(&io, false, o->log_level)) {
    return CLI_FAILED;
  }
  io.serves = true;
  if (dirs_fill(o, &d)) {
    s = cli_alloc(1, sizeof *s);
    s->seed = seed;
    code = station_run(s, o, &io, &d);
    free(s);
  }
  dirs_fini(&d);
  return cli_io_close(&io, code);
}

static int verb_run(const cli_verb *verb, int argc, char **argv, bool seed) {
  cli_options o;
  int code = cli_options_parse(&o, verb, argc, argv);

  if (code == -1) {
    code = run(&o, seed);
    cli_options_fini(&o);
  }
  return code;
}

int cli_run_node(const cli_verb *verb, int argc, char **argv) {
  return verb_run(verb, argc, argv, false);
}

int cli_seed(const cli_verb *verb, int argc, char **argv) {
  return verb_run(verb, argc, argv, true);
}
