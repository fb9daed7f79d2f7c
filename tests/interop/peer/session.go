// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"sync"
	"time"

	"github.com/cometbft/cometbft/p2p"
)

// session is what this program does with one peer.
type session struct {
	options *options
	peer    p2p.Peer
	id      p2p.ID
	flood   *flood // only with -role flood

	// exclusive is held for reading while a message is queued, and for writing
	// while an empty message is; see send.
	exclusive sync.RWMutex

	lock   sync.Mutex
	wake   *sync.Cond
	closed bool
	echoes map[byte][][]byte // received, to be sent back
	await  map[byte][][]byte // sent, to be compared with what comes back

	sent, sentBytes, echoed, wrong int
	sending                        int // channels whose messages are not all queued
}

func newSession(o *options, p p2p.Peer) *session {
	s := &session{
		options: o, peer: p, id: p.ID(),
		echoes: map[byte][][]byte{}, await: map[byte][][]byte{},
	}
	s.wake = sync.NewCond(&s.lock)
	if o.role == "flood" {
		s.flood = newFlood(s)
	}
	return s
}

// shared lists our channels that the peer has too.
func (s *session) shared() []byte {
	theirs := s.peer.NodeInfo().(p2p.DefaultNodeInfo)
	var ids []byte
	for _, ch := range s.options.channels {
		if theirs.HasChannel(ch.ID) {
			ids = append(ids, ch.ID)
		}
	}
	return ids
}

func (s *session) start() {
	ids := s.shared()
	switch s.options.role {
	case "echo":
		for _, id := range ids {
			go s.echoLoop(id)
		}
	case "send":
		s.lock.Lock()
		s.sending = len(ids)
		s.lock.Unlock()
		for _, id := range ids {
			go s.sendAll(id)
		}
	case "flood":
		s.flood.start(ids)
	}
}

func (s *session) close() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.closed = true
	s.wake.Broadcast()
}

// receive runs on the connection's receive routine and must not wait.
func (s *session) receive(ch byte, data []byte) {
	if s.flood != nil {
		s.flood.receive(ch, data)
		return
	}
	if !s.options.quiet {
		emit("message", event{
			"id": s.id, "channel": ch, "size": len(data), "sha256": sha256Hex(data),
		})
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	switch {
	case s.options.role == "echo":
		s.echoes[ch] = append(s.echoes[ch], data)
		s.wake.Broadcast()
	case s.options.awaitEcho:
		s.compare(ch, data)
	}
}

// compare holds what came back against the oldest message of its channel.
func (s *session) compare(ch byte, data []byte) {
	waiting := s.await[ch]
	if len(waiting) == 0 {
		s.wrong++
		return
	}
	s.await[ch] = waiting[1:]
	if !bytes.Equal(waiting[0], data) {
		s.wrong++
	}
	s.echoed++
	s.reportDone()
}

func (s *session) echoLoop(ch byte) {
	for {
		s.lock.Lock()
		for len(s.echoes[ch]) == 0 && !s.closed {
			s.wake.Wait()
		}
		if s.closed {
			s.lock.Unlock()
			return
		}
		data := s.echoes[ch][0]
		s.echoes[ch] = s.echoes[ch][1:]
		s.lock.Unlock()
		for !s.send(ch, data) && s.peer.IsRunning() {
		}
	}
}

// sendAll goes through the sizes on one channel.
func (s *session) sendAll(ch byte) {
	k := uint64(0)
	for range s.options.count {
		for _, size := range s.options.sizes {
			data := pattern(k, ch, size)
			k++
			s.lock.Lock()
			s.await[ch] = append(s.await[ch], data)
			s.lock.Unlock()
			for !s.send(ch, data) {
				if !s.peer.IsRunning() {
					return
				}
			}
			s.reportSent(ch, data, true)
		}
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.sending--
	s.reportDone()
}

func (s *session) reportSent(ch byte, data []byte, accepted bool) {
	if accepted {
		s.lock.Lock()
		s.sent++
		s.sentBytes += len(data)
		s.lock.Unlock()
	}
	if !s.options.quiet {
		emit("sent", event{
			"id": s.id, "channel": ch, "size": len(data), "accepted": accepted,
			"sha256": sha256Hex(data),
		})
	}
}

// reportDone reports that all is sent and, where asked for, came back.
func (s *session) reportDone() {
	if s.sending > 0 || (s.options.awaitEcho && s.echoed < s.sent) {
		return
	}
	emit("done", event{
		"id": s.id, "role": "send", "messages": s.sent, "bytes": s.sentBytes,
		"echoed": s.echoed, "wrong": s.wrong,
	})
}

// send queues |data|, waiting up to ten seconds as Peer.Send does.
//
// The connection loses an empty message when another channel is chosen before
// it, so an empty message waits for idle queues and is alone until it is gone.
func (s *session) send(ch byte, data []byte) bool {
	e := p2p.Envelope{ChannelID: ch, Message: &Raw{data: data}}
	if len(data) > 0 {
		s.exclusive.RLock()
		defer s.exclusive.RUnlock()
		return s.peer.Send(e)
	}
	s.exclusive.Lock()
	defer s.exclusive.Unlock()
	s.waitIdle()
	ok := s.peer.Send(e)
	s.waitIdle()
	return ok
}

// waitIdle returns when every queue is empty and its last packet was cut.
func (s *session) waitIdle() {
	for s.peer.IsRunning() {
		queued := 0
		for _, ch := range s.peer.Status().Channels {
			queued += ch.SendQueueSize
		}
		if queued == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
