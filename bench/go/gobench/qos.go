// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/p2p/conn"
)

const (
	echoChannel = byte(0x41)
	echoSize    = 256
	echoGap     = 2 * time.Millisecond
	sharedFirst = byte(0x50)
	shareQueue  = 64
	settling    = 100 * time.Millisecond
)

var priorities = []int{1, 3, 10, 30, 100}

func qosChannels() []*conn.ChannelDescriptor {
	all := []*conn.ChannelDescriptor{
		{ID: channelID, Priority: 1, SendQueueCapacity: 4},
		{ID: echoChannel, Priority: 10, SendQueueCapacity: 100},
	}
	for i, priority := range priorities {
		all = append(all, &conn.ChannelDescriptor{
			ID: sharedFirst + byte(i), Priority: priority, SendQueueCapacity: shareQueue,
		})
	}
	return all
}

// serve counts bulk and the bytes of each shared channel, and returns echoes.
func serve(a arguments) error {
	c, err := accept(a)
	if err != nil {
		return err
	}
	var lock sync.Mutex
	bulk := counter{cpu: cpuSeconds()}
	shared := make([]int64, len(priorities))
	var first time.Time
	m, err := connect(c, a, qosChannels(), func(m *connection, ch byte, msg []byte) {
		lock.Lock()
		defer lock.Unlock()
		switch {
		case ch == channelID:
			bulk.add(len(msg))
		case ch == echoChannel:
			m.TrySend(ch, slices.Clone(msg))
		default:
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			// All channels are full in between.
			if since := now.Sub(first); since > settling && since < duration(a) {
				shared[ch-sharedFirst] += int64(len(msg))
			}
		}
	})
	if err != nil {
		return err
	}
	<-m.failed
	lock.Lock()
	defer lock.Unlock()
	var pairs [][2]int64
	for i, priority := range priorities {
		pairs = append(pairs, [2]int64{int64(priority), shared[i]})
	}
	emit(map[string]any{
		"event": "result", "role": "serve", "bytes": bulk.bytes,
		"seconds": bulk.last.Sub(bulk.first).Seconds(), "shares": pairs,
	})
	return nil
}

func keepFull(m *connection, ch byte, size int) {
	msg := make([]byte, size)
	for m.Send(ch, msg) {
	}
}

// load measures round trips at priority 10 while priority 1 is always full.
func load(a arguments) error {
	back := make(chan bool, 1)
	m, err := dial(a, qosChannels(), func(*connection, byte, []byte) { back <- true })
	if err != nil {
		return err
	}
	until := time.Now().Add(duration(a))
	go keepFull(m, channelID, a.size)
	time.Sleep(time.Duration(a.after * float64(time.Second))) // Until the link is full.
	var times []time.Duration
	msg := make([]byte, echoSize)
	for a.count > 0 && time.Now().Before(until) {
		start := time.Now()
		if !m.TrySend(echoChannel, msg) {
			return fmt.Errorf("an echo was refused")
		}
		select {
		case <-back:
			times = append(times, time.Since(start))
		case reason := <-m.failed:
			return fmt.Errorf("connection lost: %v", reason)
		}
		time.Sleep(echoGap)
	}
	time.Sleep(time.Until(until))
	emit(map[string]any{
		"event": "result", "role": "load", "count": len(times),
		"quantiles_us": quantiles(times),
	})
	return m.Stop()
}

// shares keeps channels of all priorities full.
func shares(a arguments) error {
	m, err := dial(a, qosChannels(), func(*connection, byte, []byte) {})
	if err != nil {
		return err
	}
	for i := range priorities {
		go keepFull(m, sharedFirst+byte(i), a.size)
	}
	time.Sleep(duration(a) + 2*settling) // A little longer than the server counts.
	emit(map[string]any{"event": "result", "role": "shares"})
	return m.Stop()
}
