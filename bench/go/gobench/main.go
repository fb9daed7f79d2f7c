// SPDX-License-Identifier: Apache-2.0

// gobench is the CometBFT side of the benchmark: the verbs of our bench
// programs on the unmodified packages p2p and p2p/conn, over loopback.
// Connections have the default packets and flush throttle, unless -packet says
// otherwise, and rates that the limiter never reaches.
//
// It prints JSON, one object a line; servers begin with their address.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
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
	endSize     = 8
	sendTimeout = 60 * time.Second
)

type arguments struct {
	verb, addr string
	laddr      string
	after      float64
	size       int
	seconds    float64
	count      int
	queue      int
	packet     int
	senders    int
	rounds     int
	delayMs    float64
}

var verbs = map[string]func(arguments) error{
	"recv": recv, "send": send, "flood": flood, "drain": drain,
	"echo": echo, "ping": ping,
	"serve": serve, "load": load, "shares": shares,
	"fans": fans, "spread": spread,
	"hub": hub, "dial": dialMany, "crowd-hub": crowdHub,
}

func main() {
	a := arguments{}
	if len(os.Args) > 1 {
		a.verb = os.Args[1]
	}
	f := flag.NewFlagSet("gobench", flag.ExitOnError)
	f.StringVar(&a.addr, "addr", "", "HOST:PORT of the other side, or several")
	f.StringVar(&a.laddr, "laddr", "127.0.0.1:0", "where a server listens")
	f.Float64Var(&a.after, "after", 0.1, "seconds before the first echo behind bulk")
	f.IntVar(&a.size, "size", 65536, "bytes of a message")
	f.Float64Var(&a.seconds, "seconds", 3, "how long to send")
	f.IntVar(&a.count, "count", 100, "round trips, messages or connections")
	f.IntVar(&a.queue, "queue", 100, "messages that may wait in the channel")
	f.IntVar(&a.packet, "packet", 0, "longest payload of a packet")
	f.IntVar(&a.senders, "senders", 1, "goroutines that send")
	f.IntVar(&a.rounds, "rounds", 10, "broadcasts")
	f.Float64Var(&a.delayMs, "delay-ms", 0, "what the receiver takes for a message")
	run := verbs[a.verb]
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: gobench VERB [flags]")
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

// quantiles are those of the times in microseconds, by percent.
func quantiles(times []time.Duration) map[string]float64 {
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	found := map[string]float64{}
	for _, p := range []float64{0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100} {
		if len(times) > 0 {
			at := times[int(float64(len(times)-1)*p/100)]
			found[fmt.Sprintf("%g", p)] = float64(at.Nanoseconds()) / 1e3
		}
	}
	return found
}

func listen(a arguments) (net.Listener, error) {
	return net.Listen("tcp", a.laddr)
}

// accept prints the address of a fresh listener and takes one connection.
func accept(a arguments) (net.Conn, error) {
	l, err := listen(a)
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

func oneChannel(a arguments) []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{{
		ID: channelID, Priority: 1, SendQueueCapacity: a.queue,
	}}
}

// connConfig has rates that the limiter never reaches.
func connConfig(a arguments) conn.MConnConfig {
	config := conn.DefaultMConnConfig()
	config.SendRate, config.RecvRate = unlimited, unlimited
	if a.packet > 0 {
		config.MaxPacketMsgPayloadSize = a.packet
	}
	return config
}

// connect authenticates |c| and starts the multiplexer on it.
func connect(c net.Conn, a arguments, channels []*conn.ChannelDescriptor,
	receive func(*connection, byte, []byte),
) (*connection, error) {
	secret, err := conn.MakeSecretConnection(c, ed25519.GenPrivKey())
	if err != nil {
		return nil, err
	}
	if a.packet > 0 {
		for _, ch := range channels {
			ch.RecvBufferCapacity = a.packet
		}
	}
	m := &connection{failed: make(chan any, 1)}
	m.MConnection = conn.NewMConnectionWithConfig(secret, channels,
		func(ch byte, msg []byte) { receive(m, ch, msg) },
		func(reason any) { m.failed <- reason }, connConfig(a))
	m.SetLogger(log.NewNopLogger())
	return m, m.Start()
}

func dial(a arguments, channels []*conn.ChannelDescriptor,
	receive func(*connection, byte, []byte),
) (*connection, error) {
	c, err := net.Dial("tcp", a.addr)
	if err != nil {
		return nil, err
	}
	return connect(c, a, channels, receive)
}

func addresses(a arguments) []string { return strings.Split(a.addr, ",") }

// cpuSeconds is the processor time of this process, user and system.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// untilInputEnds waits for the end of the standard input.
func untilInputEnds() {
	one := make([]byte, 1)
	for {
		if n, err := os.Stdin.Read(one); n == 0 || err != nil {
			return
		}
	}
}
