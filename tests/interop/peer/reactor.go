// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
)

// reactor owns all channels of this program and plays its role on each peer.
type reactor struct {
	p2p.BaseReactor
	options *options
	slept   sync.Once

	// sessions may have one more with an id than there are peers: the switch
	// can call InitPeer for a connection that it then refuses, and tells
	// nobody.
	lock     sync.Mutex
	sessions map[p2p.Peer]*session
}

func newReactor(o *options) *reactor {
	r := &reactor{options: o, sessions: map[p2p.Peer]*session{}}
	r.BaseReactor = *p2p.NewBaseReactor("interop", r)
	return r
}

func (r *reactor) GetChannels() []*p2p.ChannelDescriptor { return r.options.channels }

// InitPeer runs before any traffic, so Receive always finds a session.
func (r *reactor) InitPeer(p p2p.Peer) p2p.Peer {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.sessions[p] = newSession(r.options, p)
	return p
}

func (r *reactor) AddPeer(p p2p.Peer) {
	// CometBFT's own encoder, so that the numbers are strings as in its RPC.
	info, err := cmtjson.Marshal(p.NodeInfo().(p2p.DefaultNodeInfo))
	if err != nil {
		panic(err)
	}
	emit("peer_added", event{
		"id": p.ID(), "outbound": p.IsOutbound(), "remote": p.RemoteAddr().String(),
		"node_info": json.RawMessage(info),
	})
	if s := r.session(p); s != nil {
		s.start()
	}
}

func (r *reactor) RemovePeer(p p2p.Peer, reason any) {
	r.lock.Lock()
	s := r.sessions[p]
	delete(r.sessions, p)
	r.lock.Unlock()
	if s != nil {
		s.close()
	}
	text := ""
	if reason != nil {
		text = fmt.Sprint(reason)
	}
	emit("peer_removed", event{"id": p.ID(), "reason": text})
}

func (r *reactor) Receive(e p2p.Envelope) {
	r.slept.Do(func() { time.Sleep(r.options.sleep) })
	if s := r.session(e.Src); s != nil {
		s.receive(e.ChannelID, e.Message.(*Raw).data)
	}
}

func (r *reactor) session(p p2p.Peer) *session {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.sessions[p]
}

// all returns the sessions of now.
func (r *reactor) all() []*session {
	r.lock.Lock()
	defer r.lock.Unlock()
	var list []*session
	for _, s := range r.sessions {
		list = append(list, s)
	}
	return list
}
