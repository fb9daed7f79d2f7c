// SPDX-License-Identifier: Apache-2.0

// gobench is the CometBFT side of the benchmark: one multiplexed connection of
// the unmodified package p2p/conn over loopback, with default packets, the
// default flush throttle and rates that its limiter never reaches.
//
//	gobench recv                        counts what one sender sends
//	gobench send -addr A -size N -seconds S
//	gobench echo                        returns each message
//	gobench ping -addr A -size N -count C   round trips, one at a time
//
// Each prints JSON, one object a line; recv and echo begin with their address.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p/conn"
)

const (
	channelID = byte(0x40)
	unlimited = int64(1) << 40
	// endSize is the size of the message that ends a run; others are larger.
	endSize = 8
)

type arguments struct {
	verb, addr string
	size       int
	seconds    float64
	count      int
	queue      int
}

func main() {
	a := arguments{}
	if len(os.Args) > 1 {
		a.verb = os.Args[1]
	}
	f := flag.NewFlagSet("gobench", flag.ExitOnError)
	f.StringVar(&a.addr, "addr", "", "HOST:PORT of the other side")
	f.IntVar(&a.size, "size", 65536, "bytes of a message")
	f.Float64Var(&a.seconds, "seconds", 3, "how long to send")
	f.IntVar(&a.count, "count", 100, "round trips")
	f.IntVar(&a.queue, "queue", 100, "messages that may wait in the channel")
	verbs := map[string]func(arguments) error{
		"recv": recv, "send": send, "echo": echo, "ping": ping,
	}
	run := verbs[a.verb]
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: gobench recv|send|echo|ping [flags]")
		os.Exit(2)
	}
	err := f.Parse(os.Args[2:])
	if err == nil && a.size <= endSize {
		err = fmt.Errorf("-size must be over %d", endSize)
	}
	if err == nil {
		err = run(a)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gobench:", err)
		os.Exit(1)
	}
}

func emit(fields map[string]any) {
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// accept prints the address of a fresh listener and takes one connection.
func accept() (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	emit(map[string]any{"event": "ready", "laddr": l.Addr().String()})
	return l.Accept()
}

// connection is a started multiplexed connection; failed gets its end.
type connection struct {
	*conn.MConnection
	failed chan any
}

// connect authenticates |c| and starts the multiplexer on it.
func connect(c net.Conn, queue int, receive func(*connection, []byte)) (*connection, error) {
	secret, err := conn.MakeSecretConnection(c, ed25519.GenPrivKey())
	if err != nil {
		return nil, err
	}
	config := conn.DefaultMConnConfig()
	config.SendRate = unlimited
	config.RecvRate = unlimited
	channels := []*conn.ChannelDescriptor{{
		ID: channelID, Priority: 1, SendQueueCapacity: queue,
	}}
	m := &connection{failed: make(chan any, 1)}
	m.MConnection = conn.NewMConnectionWithConfig(secret, channels,
		func(_ byte, msg []byte) { receive(m, msg) },
		func(reason any) { m.failed <- reason }, config)
	m.SetLogger(log.NewNopLogger())
	return m, m.Start()
}

func dial(a arguments, receive func(*connection, []byte)) (*connection, error) {
	c, err := net.Dial("tcp", a.addr)
	if err != nil {
		return nil, err
	}
	return connect(c, a.queue, receive)
}

// cpuSeconds is the processor time of this process, user and system.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
