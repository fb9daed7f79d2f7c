// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
)

// unlimited is a rate that the limiter never reaches.
const unlimited = int64(1) << 40

type options struct {
	laddr, dial, network, moniker, keySeed string
	role                                   string
	channels                               []*p2p.ChannelDescriptor
	advertise                              []byte
	sizes                                  []int
	count                                  int
	awaitEcho, quiet, verbose              bool
	allowDuplicateIP                       bool
	sleep                                  time.Duration
	floodSeconds                           float64
	floodSize                              int
	mconn                                  conn.MConnConfig
}

func parseOptions(args []string) (*options, error) {
	o := &options{mconn: conn.DefaultMConnConfig()}
	var channels, advertise, sizes string
	f := flag.NewFlagSet("gopeer", flag.ContinueOnError)
	f.StringVar(&o.laddr, "laddr", "tcp://127.0.0.1:0", "address to listen on; empty: do not listen")
	f.StringVar(&o.dial, "dial", "", "ID@HOST:PORT to dial")
	f.StringVar(&o.network, "network", "cometp2p", "network name")
	f.StringVar(&o.moniker, "moniker", "gopeer", "moniker")
	f.StringVar(&o.keySeed, "key-seed", "", "32 bytes in hex: the seed of the node key")
	f.StringVar(&channels, "channels", "40:1:10,50:10:10,81:5:10", "ID:PRIORITY:QUEUE:MAX_MESSAGE,...; ids in hex")
	f.StringVar(&advertise, "advertise", "", "channel ids in hex that the node info lists; default: those of -channels")
	f.StringVar(&o.role, "role", "discard", "echo, discard, send or flood")
	f.StringVar(&sizes, "sizes", "0,1,1023,1024,1025,65536,4000000", "with -role send: one message of each size on each channel")
	f.IntVar(&o.count, "count", 1, "with -role send: how often to go through the sizes")
	f.BoolVar(&o.awaitEcho, "await-echo", false, "with -role send: compare what comes back")
	f.BoolVar(&o.allowDuplicateIP, "allow-duplicate-ip", true, "accept a second connection from an IP address")
	f.DurationVar(&o.sleep, "sleep", 0, "how long the first message is in the reactor")
	f.BoolVar(&o.quiet, "quiet", false, "no event for each message")
	f.BoolVar(&o.verbose, "verbose", false, "log to stderr")
	f.Float64Var(&o.floodSeconds, "flood-seconds", 10, "with -role flood: how long")
	f.IntVar(&o.floodSize, "flood-size", 65536, "with -role flood: size of a message")
	f.DurationVar(&o.mconn.PingInterval, "ping-interval", o.mconn.PingInterval, "time between pings")
	f.DurationVar(&o.mconn.PongTimeout, "pong-timeout", o.mconn.PongTimeout, "longest wait for a pong")
	f.DurationVar(&o.mconn.FlushThrottle, "flush-throttle", o.mconn.FlushThrottle, "time between flushes")
	f.IntVar(&o.mconn.MaxPacketMsgPayloadSize, "max-packet", o.mconn.MaxPacketMsgPayloadSize, "payload bytes of a packet")
	f.Int64Var(&o.mconn.SendRate, "send-rate", unlimited, "bytes per second")
	f.Int64Var(&o.mconn.RecvRate, "recv-rate", unlimited, "bytes per second")
	f.Bool("json", true, "ignored: the output is always JSON")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, o.finish(channels, advertise, sizes)
}

// finish parses the lists and checks the rest.
func (o *options) finish(channels, advertise, sizes string) (err error) {
	if o.channels, err = parseChannels(channels); err != nil {
		return err
	}
	if o.advertise, err = hex.DecodeString(advertise); err != nil {
		return fmt.Errorf("-advertise: %w", err)
	}
	if advertise == "" {
		for _, ch := range o.channels {
			o.advertise = append(o.advertise, ch.ID)
		}
	}
	for _, text := range strings.Split(sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 0 || size > sizeMax {
			return fmt.Errorf("-sizes: %q is no size", text)
		}
		o.sizes = append(o.sizes, size)
	}
	switch {
	case o.role != "echo" && o.role != "discard" && o.role != "send" && o.role != "flood":
		return fmt.Errorf("-role: no role %q", o.role)
	case o.floodSize < 2*floodHeader+1 || o.floodSize > sizeMax:
		return fmt.Errorf("-flood-size: %d is out of range", o.floodSize)
	case o.mconn.PongTimeout >= o.mconn.PingInterval:
		return fmt.Errorf("-pong-timeout must be shorter than -ping-interval")
	}
	return nil
}

func parseChannels(list string) ([]*p2p.ChannelDescriptor, error) {
	var channels []*p2p.ChannelDescriptor
	for _, spec := range strings.Split(list, ",") {
		parts := strings.Split(spec, ":")
		id, err := strconv.ParseUint(strings.TrimPrefix(parts[0], "0x"), 16, 8)
		if err != nil || len(parts) > 4 {
			return nil, fmt.Errorf("-channels: %q is no channel", spec)
		}
		numbers := []int{1, 10, 22020096}
		for i, text := range parts[1:] {
			if numbers[i], err = strconv.Atoi(text); err != nil || numbers[i] < 1 {
				return nil, fmt.Errorf("-channels: %q is no channel", spec)
			}
		}
		channels = append(channels, &p2p.ChannelDescriptor{
			ID: byte(id), Priority: numbers[0], SendQueueCapacity: numbers[1],
			RecvMessageCapacity: numbers[2], MessageType: &Raw{},
		})
	}
	return channels, nil
}

func (o *options) floodTime() time.Duration {
	return time.Duration(o.floodSeconds * float64(time.Second))
}
