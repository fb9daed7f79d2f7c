/* SPDX-License-Identifier: Apache-2.0 */
/* The command: finds the verb in a table and runs it. */

#include "cli/ui/cli.h"
#include "cli/ui/options.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_verb verbs[] = {
  {"init", CLI_INIT, cli_init, "[--home DIR] [OPTION]...",
   "make the home directory of a node\n"
   "\n"
   "Makes config/config.toml, config/genesis.json and config/node_key.json,\n"
   "those that are missing, and changes nothing that is there.  Prints each\n"
   "file, the id of the node and its network."},
  {"key", CLI_KEY, cli_key, "gen|show [FILE] [OPTION]...",
   "make or show a node key\n"
   "\n"
   "gen writes a fresh key to FILE (node_key.json), never over an existing\n"
   "file, and prints its id.  show prints the id of the key in FILE."},
  {"listen", CLI_LISTEN, cli_listen, "--laddr HOST:PORT [OPTION]...",
   "accept peers; store files, print lines, echo\n"
   "\n"
   "Runs until SIGINT or SIGTERM.  Lines are printed and answered with a\n"
   "receipt; files are stored under --out once their hash matched, never\n"
   "over an existing name; other channels echo or discard."},
  {"send", CLI_SEND, cli_send,
   "ID@HOST:PORT [FILE]... [--lines FILE] [OPTION]...",
   "send files and lines to a node that listens\n"
   "\n"
   "Files go one after the other on the first channel with the role files,\n"
   "lines at the same time on the first with the role lines.  Succeeds when\n"
   "the other side has confirmed each hash and answered each line."},
  {"probe", CLI_PROBE, cli_probe, "[ID@]HOST:PORT [OPTION]...",
   "shake hands with any CometBFT node and ping it\n"
   "\n"
   "Prints the node info of the node and the round-trip times.  Without\n"
   "--network it learns network, block version and channels from a first\n"
   "connection."},
  {"node", CLI_RUN_NODE, cli_run_node, "[--home DIR] [OPTION]...",
   "run the peer-to-peer part of a node from its home\n"
   "\n"
   "Finds peers, keeps them and exchanges addresses, with the key, the\n"
   "config.toml and the address book of the home.  Runs until SIGINT or\n"
   "SIGTERM."},
  {"seed", CLI_SEED, cli_seed,
   "[--home DIR]... [--homes DIR] [OPTION]... [start|show-node-id]",
   "serve addresses of nodes, of one chain or many\n"
   "\n"
   "Reaches the nodes that it hears of, and serves those that answer.  Each\n"
   "home is a chain; all have the port and the id of the first one.  Runs\n"
   "until SIGINT or SIGTERM; with show-node-id it prints that id instead.\n"
   "Options may have one dash, as those of tenderseed."},
  {"version", CLI_VERSION, cli_version, "[OPTION]...",
   "print versions of the program and its libraries"},
};

enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

static const cli_verb *find_verb(const char *name) {
  for (size_t i = 0; i < VERB_COUNT; i++) {
    if (strcmp(verbs[i].name, name) == 0) {
      return &verbs[i];
    }
  }
  return NULL;
}

static int print_verbs(int fd) {
  cli_page page;

  cli_page_open(&page);
  fputs("usage: cometp2p VERB [ARGUMENT]...\n\n"
        "The peer-to-peer stack of CometBFT: encrypted, authenticated "
        "connections\nwith channels and priorities.\n\nverbs:\n",
        page.file);
  for (size_t i = 0; i < VERB_COUNT; i++) {
    fprintf(page.file, "  %-8s  %.*s\n", verbs[i].name,
            (int)strcspn(verbs[i].help, "\n"), verbs[i].help);
  }
  fputs("\ncometp2p VERB --help describes each.\n", page.file);
  return cli_page_write(&page, fd);
}

/* A descriptor that is opened later must not take the number of a stream that
   was closed: what is written to the stream would go there.  Its place is held
   by one that fails as the closed stream does. */
static bool hold_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

    if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", mode) != fd) {
      return false;
    }
  }
  return true;
}

/* Without memory for a part of a line of JSON the command ends as without any
   other memory, in place of a line that lacks the part. */
static void *json_alloc(size_t size) { return cli_realloc(NULL, size); }

static bool is_help(const char *word) {
  return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
         strcmp(word, "help") == 0;
}

int main(int argc, char **argv) {
  const cli_verb *verb;
  const char *name = argc > 1 ? argv[1] : "--help";

  /* A reader that closed our output, and a file over the limit, show as
     errors of write(). */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  json_set_alloc_funcs(json_alloc, free);
  if (!hold_streams()) {
    return CLI_FAILED;
  }
  if (argc > 1 && strcmp(name, "--version") == 0) {
    name = "version";
  }
  if (is_help(name) && argc > 2 && find_verb(argv[2]) != NULL) {
    return cli_options_help(find_verb(argv[2]));
  }
  if (is_help(name)) {
    int code = print_verbs(argc > 1 ? STDOUT_FILENO : STDERR_FILENO);

    return argc > 1 ? code : CLI_USAGE;
  }
  verb = find_verb(name);
  if (verb == NULL) {
    char shown[80];

    cmt_text_escape(cmt_bytes_of(name), shown, sizeof shown);
    cli_fail("unknown verb '%s': init, key, listen, send, probe, node, seed or "
             "version "
             "(see cometp2p --help)",
             shown);
    return CLI_USAGE;
  }
  return verb->run(verb, argc - 1, argv + 1);
}
