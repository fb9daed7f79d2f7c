// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/libs/protoio"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	tmp2p "github.com/cometbft/cometbft/proto/tendermint/p2p"
	"github.com/cosmos/gogoproto/proto"
)

const (
	network       = "bench-crowd"
	broadcastSize = 1024
	messages      = 11 // Of each member of the crowd, one on each channel.
)

var crowdChannels = []byte{
	0x00, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x38, 0x40, 0x60, 0x61,
}

func nodeInfo(id p2p.ID, addr string) p2p.DefaultNodeInfo {
	return p2p.DefaultNodeInfo{
		ProtocolVersion: p2p.NewProtocolVersion(8, 11, 0), DefaultNodeID: id,
		ListenAddr: addr, Network: network, Version: "bench", Channels: crowdChannels,
		Moniker: "bench", Other: p2p.DefaultNodeInfoOther{TxIndex: "off"},
	}
}

// startSwitch starts a switch with one reactor that takes |count| peers, with
// rates that its limiter never reaches; its address is in a "ready" line.
func startSwitch(a arguments, count int) (*p2p.Switch, *crowd, error) {
	key := p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}
	mconn := connConfig(a)
	l, err := listen(a)
	if err != nil {
		return nil, nil, err
	}
	addr := p2p.NewNetAddress(key.ID(), l.Addr())
	if err = l.Close(); err != nil {
		return nil, nil, err
	}
	info := nodeInfo(key.ID(), addr.DialString())
	transport := p2p.NewMultiplexTransport(info, key, mconn)
	p2p.MultiplexTransportMaxIncomingConnections(count)(transport)
	if err = transport.Listen(*addr); err != nil {
		return nil, nil, err
	}
	config := config.DefaultP2PConfig()
	config.AllowDuplicateIP = true
	config.MaxNumInboundPeers = count
	r := &crowd{}
	r.BaseReactor = *p2p.NewBaseReactor("crowd", r)
	sw := p2p.NewSwitch(config, transport)
	sw.SetLogger(log.NewNopLogger())
	sw.AddReactor("crowd", r)
	sw.SetNodeKey(&key)
	sw.SetNodeInfo(info)
	if err = sw.Start(); err != nil {
		return nil, nil, err
	}
	emit(map[string]any{"event": "ready", "laddr": addr.String()})
	return sw, r, nil
}

// hub is a switch until its input ends.
func hub(a arguments) error {
	sw, _, err := startSwitch(a, math.MaxInt16)
	if err != nil {
		return err
	}
	untilInputEnds()
	emit(map[string]any{"event": "result", "role": "hub", "cpu_seconds": cpuSeconds()})
	return sw.Stop()
}

// handshake is what a node does before a connection is a peer.
func handshake(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	key := p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}
	secret, err := conn.MakeSecretConnection(c, key.PrivKey)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		info := nodeInfo(key.ID(), "127.0.0.1:26656")
		_, err := protoio.NewDelimitedWriter(secret).WriteMsg(info.ToProto())
		sent <- err
	}()
	theirs := new(tmp2p.DefaultNodeInfo)
	_, err = protoio.NewDelimitedReader(secret, p2p.MaxNodeInfoSize()).ReadMsg(theirs)
	if err != nil {
		return err
	}
	info, err := p2p.DefaultNodeInfoFromToProto(theirs)
	if err != nil {
		return err
	}
	return errors.Join(info.Validate(), <-sent)
}

// dialMany counts whole handshakes, -count at a time.
func dialMany(a arguments) error {
	_, addr, _ := strings.Cut(a.addr, "@")
	var done atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, a.count)
	start := time.Now()
	until := start.Add(duration(a))
	for range a.count {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(until) {
				if err := handshake(addr); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		}()
	}
	all.Wait()
	emit(map[string]any{
		"event": "result", "role": "dial", "handshakes": done.Load(),
		"seconds": time.Since(start).Seconds(),
	})
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// bytesMessage is a message of any bytes, as the package p2p wants messages.
type bytesMessage struct{ data []byte }

func (m *bytesMessage) Reset()                   { m.data = nil }
func (m *bytesMessage) String() string           { return "bytes" }
func (*bytesMessage) ProtoMessage()              {}
func (m *bytesMessage) Marshal() ([]byte, error) { return m.data, nil }
func (m *bytesMessage) Unmarshal(b []byte) error { m.data = append([]byte{}, b...); return nil }
func (m *bytesMessage) Unwrap() (proto.Message, error) {
	return m, nil
}
func (m *bytesMessage) Wrap() proto.Message { return m }

// crowd returns each message of its peers.
type crowd struct {
	p2p.BaseReactor
	received atomic.Int64
	lock     sync.Mutex
	peers    []p2p.Peer // All that ever came.
}

func (r *crowd) AddPeer(p p2p.Peer) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.peers = append(r.peers, p)
}

func (*crowd) GetChannels() []*conn.ChannelDescriptor {
	var all []*conn.ChannelDescriptor
	for _, id := range crowdChannels {
		all = append(all, &conn.ChannelDescriptor{
			ID: id, Priority: 5, SendQueueCapacity: 100, MessageType: &bytesMessage{},
		})
	}
	return all
}

func (r *crowd) Receive(e p2p.Envelope) {
	r.received.Add(1)
	e.Src.TrySend(p2p.Envelope{ChannelID: e.ChannelID, Message: e.Message})
}

// crowdHub is a switch that broadcasts to -count peers, once all have come, and
// tells the processor time that it took for each.
func crowdHub(a arguments) error {
	sw, r, err := startSwitch(a, a.count)
	if err != nil {
		return err
	}
	for r.received.Load() < int64(a.count*messages) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // They become idle.
	cpu := cpuSeconds()
	for range a.rounds {
		r.broadcast()
	}
	emit(map[string]any{
		"event": "result", "role": "crowd-hub",
		"broadcast_ns_per_peer": (cpuSeconds() - cpu) / float64(a.rounds*a.count) * 1e9,
	})
	return sw.Stop()
}

// broadcast queues one message for each peer, and waits until all are flushed.
func (r *crowd) broadcast() {
	msg := &bytesMessage{data: make([]byte, broadcastSize)}
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, p := range r.peers {
		p.TrySend(p2p.Envelope{ChannelID: channelID, Message: msg})
	}
	time.Sleep(200*time.Millisecond + time.Duration(len(r.peers))*20*time.Microsecond)
}
