// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"
)

// counter sums up what one side of a bulk run moved.
type counter struct {
	messages, bytes int64
	first, last     time.Time
	cpu             float64
}

func (c *counter) add(size int) {
	c.last = time.Now()
	if c.messages == 0 {
		c.first = c.last
	}
	c.messages++
	c.bytes += int64(size)
}

func (c *counter) emit(role string) {
	emit(map[string]any{
		"event": "result", "role": role, "messages": c.messages, "bytes": c.bytes,
		"seconds": c.last.Sub(c.first).Seconds(), "cpu_seconds": cpuSeconds() - c.cpu,
	})
}

// recv counts until the end marker, which it sends back.
func recv(a arguments) error {
	c, err := accept()
	if err != nil {
		return err
	}
	count := counter{cpu: cpuSeconds()}
	done := make(chan bool, 1)
	m, err := connect(c, a.queue, func(m *connection, msg []byte) {
		if len(msg) == endSize {
			done <- m.Send(channelID, make([]byte, endSize))
			return
		}
		count.add(len(msg))
	})
	if err != nil {
		return err
	}
	select {
	case ok := <-done:
		if !ok {
			return errors.New("cannot answer the end")
		}
	case reason := <-m.failed:
		return fmt.Errorf("connection lost: %v", reason)
	}
	<-m.failed // The sender closes once it has the answer.
	count.emit("recv")
	return nil
}

// send keeps the channel full for a while and waits until all has arrived.
func send(a arguments) error {
	done := make(chan bool, 1)
	m, err := dial(a, func(*connection, []byte) { done <- true })
	if err != nil {
		return err
	}
	count := counter{cpu: cpuSeconds()}
	msg := make([]byte, a.size)
	end := time.Now().Add(time.Duration(a.seconds * float64(time.Second)))
	for time.Now().Before(end) {
		if !m.Send(channelID, msg) {
			return errors.New("a message was refused")
		}
		count.add(len(msg))
	}
	if !m.Send(channelID, make([]byte, endSize)) {
		return errors.New("the end was refused")
	}
	select {
	case <-done:
		count.last = time.Now()
	case reason := <-m.failed:
		return fmt.Errorf("connection lost: %v", reason)
	}
	count.emit("send")
	return m.Stop()
}
