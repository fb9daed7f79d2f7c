// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// echo returns each message until the other side closes.
func echo(a arguments) error {
	c, err := accept(a)
	if err != nil {
		return err
	}
	m, err := connect(c, a, oneChannel(a), func(m *connection, ch byte, msg []byte) {
		m.Send(ch, slices.Clone(msg))
	})
	if err != nil {
		return err
	}
	<-m.failed
	return nil
}

// ping measures round trips on an otherwise idle connection.
func ping(a arguments) error {
	if a.count < 1 {
		return errors.New("-count must be positive")
	}
	back := make(chan int, 1)
	m, err := dial(a, oneChannel(a), func(_ *connection, _ byte, msg []byte) { back <- len(msg) })
	if err != nil {
		return err
	}
	cpu := cpuSeconds()
	msg := make([]byte, a.size)
	var times []time.Duration
	for range a.count {
		start := time.Now()
		if !m.Send(channelID, msg) {
			return errors.New("a message was refused")
		}
		select {
		case size := <-back:
			if size != a.size {
				return fmt.Errorf("sent %d bytes, %d came back", a.size, size)
			}
		case reason := <-m.failed:
			return fmt.Errorf("connection lost: %v", reason)
		}
		times = append(times, time.Since(start))
	}
	emit(map[string]any{
		"event": "result", "role": "ping", "count": a.count, "size": a.size,
		"quantiles_us": quantiles(times), "cpu_seconds": cpuSeconds() - cpu,
	})
	return m.Stop()
}
