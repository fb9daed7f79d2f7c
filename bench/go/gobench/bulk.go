// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// counter sums up what one side of a bulk run moved.
type counter struct {
	messages, bytes int64
	first, last     time.Time
	cpu             float64
	lock            sync.Mutex
}

func (c *counter) add(size int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.last = time.Now()
	if c.messages == 0 {
		c.first = c.last
	}
	c.messages++
	c.bytes += int64(size)
}

// counting is a receiver that counts and sends the end marker back.
func (c *counter) counting(a arguments) func(*connection, byte, []byte) {
	return func(m *connection, _ byte, msg []byte) {
		if len(msg) == endSize {
			m.Send(channelID, make([]byte, endSize))
			return
		}
		c.add(len(msg))
		delay(a)
	}
}

func (c *counter) emit(role string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	emit(map[string]any{
		"event": "result", "role": role, "messages": c.messages, "bytes": c.bytes,
		"seconds": c.last.Sub(c.first).Seconds(), "cpu_seconds": cpuSeconds() - c.cpu,
	})
}

func delay(a arguments) {
	if a.delayMs > 0 {
		time.Sleep(time.Duration(a.delayMs * float64(time.Millisecond)))
	}
}

// recv counts until the sender closes.
func recv(a arguments) error {
	c, err := accept(a)
	if err != nil {
		return err
	}
	count := counter{cpu: cpuSeconds()}
	m, err := connect(c, a, oneChannel(a), count.counting(a))
	if err != nil {
		return err
	}
	<-m.failed // The sender closes once it has the answer.
	count.emit("recv")
	return nil
}

// sendFromAll keeps the channel full with all goroutines, for the time or the
// number of messages; it returns how many were sent.
func sendFromAll(m *connection, a arguments, count int64, until time.Time) int64 {
	msg := make([]byte, a.size)
	var sent, taken atomic.Int64
	var all sync.WaitGroup
	for range a.senders {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(until) && taken.Add(1) <= count &&
				m.Send(channelID, msg) {
				sent.Add(1)
			}
		}()
	}
	all.Wait()
	return sent.Load()
}

func sendBulk(a arguments, messages int64, wait time.Duration, drains bool) error {
	done := make(chan bool, 1)
	m, err := dial(a, oneChannel(a), func(*connection, byte, []byte) { done <- true })
	if err != nil {
		return err
	}
	count := counter{cpu: cpuSeconds(), first: time.Now()}
	count.messages = sendFromAll(m, a, messages, count.first.Add(wait))
	count.bytes = count.messages * int64(a.size)
	if drains {
		if !m.Send(channelID, make([]byte, endSize)) {
			return errors.New("the end was refused")
		}
		select {
		case <-done:
		case reason := <-m.failed:
			return fmt.Errorf("connection lost: %v", reason)
		}
	}
	count.last = time.Now()
	count.emit(a.verb)
	return m.Stop()
}

func duration(a arguments) time.Duration {
	return time.Duration(a.seconds * float64(time.Second))
}

// send keeps the channel full for a while and waits until all has arrived.
func send(a arguments) error { return sendBulk(a, math.MaxInt64, duration(a), true) }

// flood does the same and leaves at once.
func flood(a arguments) error { return sendBulk(a, math.MaxInt64, duration(a), false) }

// drain sends a number of messages and waits until all have arrived.
func drain(a arguments) error { return sendBulk(a, int64(a.count), sendTimeout, true) }
