// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
	"time"
)

// flood saturates every channel with numbered messages for a while and holds
// those of the other side, which does the same, against their numbers.
type flood struct {
	session *session
	started time.Time

	lock                  sync.Mutex
	sent, received        map[string]uint64
	sentBytes, recvBytes  uint64
	lost, wrong, refused  uint64
	endsOut, endsIn, goal int
}

func newFlood(s *session) *flood {
	return &flood{
		session: s, started: time.Now(), goal: -1,
		sent: map[string]uint64{}, received: map[string]uint64{},
	}
}

func channelKey(ch byte) string { return fmt.Sprintf("%02x", ch) }

func (f *flood) start(ids []byte) {
	f.lock.Lock()
	f.goal = len(ids)
	f.lock.Unlock()
	for _, id := range ids {
		go f.sendLoop(id)
	}
}

// sendLoop fills one channel until the time is over, then sends the end.
func (f *flood) sendLoop(ch byte) {
	s := f.session
	end := f.started.Add(s.options.floodTime())
	k := uint64(0)
	for time.Now().Before(end) && s.peer.IsRunning() {
		data := floodMessage(k, ch, s.options.floodSize)
		if !f.send(ch, data) {
			return
		}
		k++
	}
	if !f.send(ch, floodEnd(k)) {
		return
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.endsOut++
	f.sent[channelKey(ch)] = k
	f.reportDone()
}

// send retries, and counts, what the peer refuses while it runs.
func (f *flood) send(ch byte, data []byte) bool {
	for !f.session.send(ch, data) {
		if !f.session.peer.IsRunning() {
			return false
		}
		f.lock.Lock()
		f.refused++
		f.lock.Unlock()
	}
	f.lock.Lock()
	f.sentBytes += uint64(len(data))
	f.lock.Unlock()
	return true
}

func (f *flood) receive(ch byte, data []byte) {
	k, end, ok := floodNumber(data, ch)
	f.lock.Lock()
	defer f.lock.Unlock()
	f.recvBytes += uint64(len(data))
	key := channelKey(ch)
	if !ok {
		f.wrong++
	}
	if k != f.received[key] {
		f.lost++
	}
	if end {
		f.endsIn++
		f.reportDone()
		return
	}
	f.received[key] = k + 1
}

// reportDone tells the result once both sides have ended on every channel.
func (f *flood) reportDone() {
	if f.endsOut != f.goal || f.endsIn != f.goal {
		return
	}
	emit("done", event{
		"id": f.session.id, "role": "flood", "sent": f.sent, "received": f.received,
		"sent_bytes": f.sentBytes, "received_bytes": f.recvBytes, "lost": f.lost,
		"wrong": f.wrong, "refused": f.refused, "seconds": time.Since(f.started).Seconds(),
	})
}
