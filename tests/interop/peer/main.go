// SPDX-License-Identifier: Apache-2.0

// gopeer is a node on the unmodified p2p package of CometBFT, driven by flags
// and by commands on its standard input.  It reports what happens in one JSON
// object a line on its standard output, and ends at the end of its input.
//
// Commands: "send CHANNEL SIZE SEED" and "try CHANNEL SIZE SEED" (CHANNEL in
// hex) to every peer, "dial ID@HOST:PORT", "drop" all peers, "peers" reports how
// many the switch has, "stop".
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/version"

	stded25519 "crypto/ed25519"
)

func main() {
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gopeer:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	key, err := nodeKey(o.keySeed)
	if err != nil {
		return err
	}
	transport, addr, err := listen(o, key)
	if err != nil {
		return err
	}
	r := newReactor(o)
	sw, err := startSwitch(transport, key, nodeInfo(o, key, addr), r)
	if err != nil {
		return err
	}
	emit("ready", event{"id": key.ID(), "laddr": addr, "version": version.TMCoreSemVer})
	if o.dial != "" {
		dial(sw, o.dial)
	}
	commands(sw, r)
	if err := transport.Close(); err != nil {
		return err
	}
	return sw.Stop()
}

func nodeKey(seed string) (*p2p.NodeKey, error) {
	if seed == "" {
		return &p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}, nil
	}
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != stded25519.SeedSize {
		return nil, errors.New("-key-seed: need 32 bytes in hex")
	}
	return &p2p.NodeKey{PrivKey: ed25519.PrivKey(stded25519.NewKeyFromSeed(raw))}, nil
}

// listen makes a transport that listens, and returns its "HOST:PORT".  The
// transport does not tell which port it got for port 0, so a free one is
// looked up first, again if someone else takes it in between.
func listen(o *options, key *p2p.NodeKey) (*p2p.MultiplexTransport, string, error) {
	if o.laddr == "" {
		const none = "0.0.0.0:0"
		return newTransport(o, key, none), none, nil
	}
	for attempt := 0; ; attempt++ {
		addr, err := freeAddress(strings.TrimPrefix(o.laddr, "tcp://"))
		if err != nil {
			return nil, "", err
		}
		netAddr, err := p2p.NewNetAddressString(p2p.IDAddressString(key.ID(), addr))
		if err != nil {
			return nil, "", err
		}
		transport := newTransport(o, key, addr)
		if err = transport.Listen(*netAddr); err == nil {
			return transport, addr, nil
		}
		if attempt == 10 {
			return nil, "", err
		}
	}
}

func freeAddress(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func newTransport(o *options, key *p2p.NodeKey, addr string) *p2p.MultiplexTransport {
	t := p2p.NewMultiplexTransport(nodeInfo(o, key, addr), *key, o.mconn)
	if !o.allowDuplicateIP { // As a node of CometBFT does.
		p2p.MultiplexTransportConnFilters(p2p.ConnDuplicateIPFilter())(t)
	}
	return t
}

func nodeInfo(o *options, key *p2p.NodeKey, addr string) p2p.DefaultNodeInfo {
	return p2p.DefaultNodeInfo{
		ProtocolVersion: p2p.NewProtocolVersion(version.P2PProtocol, version.BlockProtocol, 0),
		DefaultNodeID:   key.ID(),
		ListenAddr:      "tcp://" + addr,
		Network:         o.network,
		Version:         version.TMCoreSemVer,
		Channels:        o.advertise,
		Moniker:         o.moniker,
		Other:           p2p.DefaultNodeInfoOther{TxIndex: "off"},
	}
}

func startSwitch(t *p2p.MultiplexTransport, key *p2p.NodeKey, info p2p.NodeInfo, r *reactor) (*p2p.Switch, error) {
	cfg := config.DefaultP2PConfig()
	cfg.AllowDuplicateIP = r.options.allowDuplicateIP
	sw := p2p.NewSwitch(cfg, t)
	sw.SetLogger(logger{verbose: r.options.verbose})
	sw.AddReactor("interop", r)
	sw.SetNodeKey(key)
	sw.SetNodeInfo(info)
	return sw, sw.Start()
}

// dial connects in the background; the outcome is a peer or a rejection.
func dial(sw *p2p.Switch, text string) {
	addr, err := p2p.NewNetAddressString(text)
	if err != nil {
		emit("rejected", event{"outbound": true, "text": err.Error()})
		return
	}
	go func() {
		if err := sw.DialPeerWithAddress(addr); err != nil {
			emit("rejected", event{"outbound": true, "text": err.Error()})
		}
	}()
}

// commands obeys the standard input until it ends or says "stop".
func commands(sw *p2p.Switch, r *reactor) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0:
		case words[0] == "stop":
			return
		case words[0] == "dial" && len(words) == 2:
			dial(sw, words[1])
		case words[0] == "peers":
			emit("peers", event{"count": sw.Peers().Size()})
		case words[0] == "drop":
			for _, s := range r.all() {
				sw.StopPeerGracefully(s.peer)
			}
		case (words[0] == "send" || words[0] == "try") && len(words) == 4:
			sendCommand(r, words)
		default:
			emit("error", event{"text": "no such command: " + lines.Text()})
		}
	}
}

// sendCommand sends in the background, so that the next command is read.
func sendCommand(r *reactor, words []string) {
	ch, err1 := strconv.ParseUint(strings.TrimPrefix(words[1], "0x"), 16, 8)
	size, err2 := strconv.Atoi(words[2])
	seed, err3 := strconv.ParseUint(words[3], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil || size < 0 || size > sizeMax {
		emit("error", event{"text": "bad arguments: " + strings.Join(words, " ")})
		return
	}
	data := pattern(seed, byte(ch), size)
	for _, s := range r.all() {
		if !s.peer.IsRunning() { // See reactor.sessions.
			continue
		}
		go func() {
			if words[0] == "try" {
				e := p2p.Envelope{ChannelID: byte(ch), Message: &Raw{data: data}}
				s.reportSent(byte(ch), data, s.peer.TrySend(e))
				return
			}
			s.reportSent(byte(ch), data, s.send(byte(ch), data))
		}()
	}
}
