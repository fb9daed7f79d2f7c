# SPDX-License-Identifier: Apache-2.0
"""init: new homes, homes that are there, and which home it is."""

import json
import os
import shutil

from e2e import *

SAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../vectors/samples")
FILES = ["config/config.toml", "config/genesis.json", "config/node_key.json"]
SEED = "1" * 40 + "@127.0.0.1:1"


def init(*args, **variables):
    """Runs the verb with these variables alone; the code and both outputs."""
    names = {"CMTHOME", "TMHOME", "CMT_HOME"}
    env = {name: value for name, value in os.environ.items()
           if name not in names and not name.startswith("CMT_")}
    return run("init", *args, env={**env, **variables})


def content(home):
    found = {}
    for folder, _, names in os.walk(home):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, home)] = file.read()
    return found


def new_home(folder):
    home = os.path.join(folder, "a home")
    code, out, err = init("--home", home)
    equal((code, err), (0, ""))
    lines = [line.split(None, 1) for line in out.splitlines()]
    equal(lines[:3], [["made", os.path.join(home, name)] for name in FILES])
    equal([lines[3][0], lines[4][0]], ["id", "network"])
    equal(sorted(os.listdir(home)), ["config", "data"])
    before = content(home)
    equal(sorted(before), FILES)
    equal(json.loads(before[FILES[1]])["chain_id"], lines[4][1])
    equal(run("key", "show", os.path.join(home, FILES[2]))[1].strip(),
          lines[3][1])
    code, out, err = init("--home", home, "--json")
    equal((code, err), (0, ""))
    equal(json.loads(out), {
        "event": "home", "id": lines[3][1], "network": lines[4][1], "made": [],
        "found": [os.path.join(home, name) for name in FILES]})
    equal(content(home), before, "nothing is written twice")


def with_values(folder):
    home = os.path.join(folder, "h")
    code, out, err = init("--home", home, "--chain-id", "chain-1", "--moniker",
                          "m", "--seeds", SEED)
    equal((code, err), (0, ""))
    check(out.endswith("network  chain-1\n"), out)
    text = content(home)[FILES[0]].decode()
    check('moniker = "m"\n' in text and f'seeds = "{SEED}"\n' in text, text)
    code, out, err = init("--home", home, "--chain-id", "chain-2")
    equal((code, out, err),
          (1, "", "cometp2p: --chain-id 'chain-2': the home has the network "
                  "'chain-1'\n"))


def homes_of_nodes(folder):
    """The files of each release stay as they are, and nobody is warned."""
    for version in ("0.34.35", "0.38.25", "0.40.0", "1.0.1"):
        home = os.path.join(folder, version)
        os.makedirs(os.path.join(home, "config"))
        shutil.copy(os.path.join(SAMPLES, f"config.v{version}.toml"),
                    os.path.join(home, FILES[0]))
        shutil.copy(os.path.join(SAMPLES, "node_key.seed11.json"),
                    os.path.join(home, FILES[2]))
        os.chmod(os.path.join(home, FILES[2]), 0o600)
        before = content(home)
        code, out, err = init("--home", home)
        equal((code, err), (0, ""), version)
        check("id       10ba682c8ad13513971e8b56881aab8bd702bb80\n" in out, out)
        after = content(home)
        equal({name: after[name] for name in before}, before, version)


def homes_of_others(folder):
    """One of tenderseed and one of a daemon of the SDK: nothing is made but what
    lacks."""
    flat = os.path.join(folder, "tenderseed")
    daemon = os.path.join(folder, "gaia")
    for home in (flat, daemon):
        os.makedirs(os.path.join(home, "config"))
        os.makedirs(os.path.join(home, "data"))
        shutil.copy(os.path.join(SAMPLES, "node_key.seed11.json"),
                    os.path.join(home, FILES[2]))
        os.chmod(os.path.join(home, FILES[2]), 0o600)
    shutil.copy(os.path.join(SAMPLES, "config.v0.38.25.toml"),
                os.path.join(daemon, FILES[0]))
    texts = {
        os.path.join(flat, FILES[0]):
            'laddr = "tcp://0.0.0.0:26656"\nchain_id = "flat-1"\n'
            'node_key_file = "config/node_key.json"\n'
            'addr_book_file = "data/addrbook.json"\naddr_book_strict = true\n'
            f'max_num_inbound_peers = 1000\nseeds = "{SEED}"\n',
        os.path.join(flat, "data/addrbook.json"): '{"key":"00","addrs":[]}',
        os.path.join(daemon, "config/app.toml"): "minimum-gas-prices = \"\"\n",
        os.path.join(daemon, "config/client.toml"): 'chain-id = "other-1"\n',
        os.path.join(daemon, FILES[1]):
            '{"app_name":"gaiad","app_state":{"a":[{"chain_id":"inner"}]},'
            '"app_version":"1","chain_id":"gaia-1","initial_height":1}',
    }
    for path, text in texts.items():
        with open(path, "w") as file:
            file.write(text)
    for home, network in ((flat, "flat-1"), (daemon, "gaia-1")):
        before = content(home)
        code, out, err = init("--home", home, "--json")
        equal((code, err), (0, ""), home)
        found = json.loads(out)
        equal((found["made"], found["network"], found["id"]),
              ([], network, "10ba682c8ad13513971e8b56881aab8bd702bb80"), home)
        equal(content(home), before, home)


def chain_of_a_daemon(folder):
    """Without a genesis the id is that of client.toml, which a new genesis
    would hide; one without an id gives way to it."""
    for text, network in (('chain-id = "theta-1"\n', "theta-1"),
                          ('chain-id = ""\n', "given-1")):
        home = os.path.join(folder, network)
        os.makedirs(os.path.join(home, "config"))
        with open(os.path.join(home, "config/client.toml"), "w") as file:
            file.write(text)
        code, out, err = init("--home", home, "--json",
                              *(["--chain-id", network] * (network[0] == "g")))
        equal((code, err, json.loads(out)["network"]), (0, "", network))
        equal(FILES[1] in content(home), network == "given-1")
    before = content(home)
    equal(init("--home", home, "--chain-id", "x")[0], 1)
    equal(content(home), before)


def where_variables_say(folder):
    """Files are made where a daemon with these variables looks."""
    home, key = (os.path.join(folder, name) for name in ("h", "key.json"))
    code, out, err = init("--home", home, "--env-prefix", "gaiad",
                          CMT_GENESIS_FILE="data/genesis.json",
                          GAIAD_NODE_KEY_FILE=key)
    equal((code, err), (0, ""))
    equal(sorted(content(home)), [FILES[0], "data/genesis.json"])
    check(f"id       {run('key', 'show', key)[1]}" in out, out)


def nothing_by_mistake(folder):
    """What is wrong is found before anything is made."""
    for name, text, args, variables in (
            ("a", None, [], {"CMT_P2P_LADDR": "nowhere"}),
            ("b", "= 1\n", [], {}),
            ("c", 'chain_id = "c"\nseeds = ""\n', ["--chain-id", "d"], {}),
            ("d", 'node_key_file = "config/config.toml"\n', [], {}),
            ("e", '[p2p]\naddr_book_file = "config/node_key.json"\n', [], {})):
        home = os.path.join(folder, name)
        if text is not None:
            os.makedirs(os.path.join(home, "config"))
            with open(os.path.join(home, FILES[0]), "w") as file:
                file.write(text)
        code, out, err = init("--home", home, *args, **variables)
        equal((code, out, err.count("\n")), (1, "", 1), err)
        equal(os.path.exists(home), text is not None, name)
        equal((os.listdir(home) if text is not None else ["config"]),
              ["config"], name)
        equal(content(home), {} if text is None else {FILES[0]: text.encode()})


def which_home(folder):
    def made(*args, **variables):
        code, out, err = init(*args, "--json", **variables)
        equal(code, 0, err)
        path = json.loads(out)["made"][0]
        home = path[len(folder) + 1:-len(FILES[0]) - 1]
        shutil.rmtree(os.path.join(folder, home))
        return home, err

    a, b, c = (os.path.join(folder, name) for name in "abc")
    equal(made("--home", a, CMTHOME=b, HOME=folder), ("a", ""))
    equal(made(CMTHOME=b, TMHOME=c, HOME=folder), ("b", ""))
    equal(made(TMHOME=c, HOME=folder),
          ("c", "cometp2p: the variable TMHOME is deprecated: use CMTHOME or "
                "--home\n"))
    equal(made(CMT_HOME=a, HOME=folder), (".cometbft", ""))
    equal(made(CMTHOME="", HOME=folder), (".cometbft", ""))
    code, out, err = init(HOME="")
    equal((code, out, err.count("\n")), (1, "", 1))
    equal(err, "cometp2p: neither --home nor one of the variables CMTHOME and "
               "HOME says where the home is\n")


def mistakes(folder):
    """Each has one line with its place, and none is hidden by another."""
    home = os.path.join(folder, "h")
    equal(init("--home", home)[0], 0)
    path = os.path.join(home, FILES[0])
    with open(path, "a") as file:
        file.write("name_space = 1\n")
    lines = open(path).read().count("\n")
    code, out, err = init("--home", home)
    equal((code, err),
          (0, f"cometp2p: {path}:{lines}: instrumentation.name_space is not "
              "known and has no effect; did you mean "
              "instrumentation.namespace?\n"))
    code, out, err = init("--home", home, CMT_P2P_PEX="maybe")
    check(err.endswith("cometp2p: variable CMT_P2P_PEX is 'maybe', allowed is "
                       "true or false\n") and code == 1, err)
    code, out, err = init("--home", home, "--env-prefix", "GAIAD",
                          GAIAD_P2P_PEX="maybe")
    check("variable GAIAD_P2P_PEX is 'maybe'" in err and code == 1, err)
    code, out, err = init("--home", os.path.join(path, "x"))
    equal((code, out, err),
          (1, "", f"cometp2p: cannot make '{path}/x': Not a directory\n"))


Tap().main([
    ("init makes a home once", new_home),
    ("init takes a chain id, a name and seeds", with_values),
    ("homes of CometBFT are completed and not changed", homes_of_nodes),
    ("homes of tenderseed and of daemons are read and not changed",
     homes_of_others),
    ("the chain of a daemon", chain_of_a_daemon),
    ("variables say where files are", where_variables_say),
    ("a mistake makes nothing", nothing_by_mistake),
    ("--home, CMTHOME, TMHOME, then ~/.cometbft", which_home),
    ("mistakes are named with their place", mistakes),
])
