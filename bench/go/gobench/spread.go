// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"strings"
	"time"
)

// fans counts on several connections, each to a listener of its own.
func fans(a arguments) error {
	var lists []net.Listener
	var names []string
	for range a.count {
		l, err := listen(a)
		if err != nil {
			return err
		}
		lists = append(lists, l)
		names = append(names, l.Addr().String())
	}
	count := counter{cpu: cpuSeconds()}
	emit(map[string]any{"event": "ready", "laddr": strings.Join(names, ",")})
	var all []*connection
	for _, l := range lists {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		m, err := connect(c, a, oneChannel(a), count.counting(a))
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	for _, m := range all {
		<-m.failed
	}
	count.emit("fans")
	return nil
}

// spread sends each message to all of them.
func spread(a arguments) error {
	ended := make(chan bool, 64)
	var all []*connection
	for _, addr := range addresses(a) {
		one := a
		one.addr = addr
		m, err := dial(one, oneChannel(a), func(*connection, byte, []byte) { ended <- true })
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	count := counter{cpu: cpuSeconds(), first: time.Now()}
	msg, end := make([]byte, a.size), make([]byte, endSize)
	for i := range a.count + 1 {
		if i == a.count {
			msg = end
		}
		for _, m := range all {
			if !m.Send(channelID, msg) {
				return errors.New("a message was refused")
			}
		}
	}
	for range all {
		<-ended
	}
	count.last = time.Now()
	count.messages = int64(a.count * len(all))
	count.bytes = count.messages * int64(a.size)
	count.emit("spread")
	for _, m := range all {
		if err := m.Stop(); err != nil {
			return err
		}
	}
	return nil
}
