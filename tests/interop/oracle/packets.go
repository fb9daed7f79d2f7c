// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p/conn"
)

const verdictTime = 20 * time.Second

// line is one end of a connection of two pipes, so that either direction can
// end alone.
type line struct {
	r *io.PipeReader
	w *io.PipeWriter

	lock  sync.Mutex
	ended bool // the end of the other side was read
}

func newLine() (*line, *line) {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	return &line{r: r1, w: w2}, &line{r: r2, w: w1}
}

func (l *line) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if err == io.EOF {
		l.lock.Lock()
		l.ended = true
		l.lock.Unlock()
	}
	return n, err
}

func (l *line) hasEnded() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.ended
}

func (l *line) Write(p []byte) (int, error)      { return l.w.Write(p) }
func (l *line) Close() error                     { l.r.Close(); return l.w.Close() }
func (l *line) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (l *line) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (l *line) SetDeadline(time.Time) error      { return nil }
func (l *line) SetReadDeadline(time.Time) error  { return nil }
func (l *line) SetWriteDeadline(time.Time) error { return nil }

// secretPair makes a secret connection over both ends of a line.
func secretPair(a, b *line) (*conn.SecretConnection, *conn.SecretConnection, error) {
	type made struct {
		sc  *conn.SecretConnection
		err error
	}
	done := make(chan made, 1)
	go func() {
		sc, err := conn.MakeSecretConnection(b, nodeKey(0x22))
		done <- made{sc, err}
	}()
	first, err := conn.MakeSecretConnection(a, nodeKey(0x11))
	second := <-done
	return first, second.sc, errors.Join(err, second.err)
}

// judgePackets gives the stream to a multiplexer over a secret connection.
func judgePackets(in *input, stream []byte) (*verdict, error) {
	ours, theirs := newLine()
	server, client, err := secretPair(ours, theirs)
	if err != nil {
		return nil, err
	}
	v := &verdict{Out: []string{}}
	failed := make(chan error, 1)
	receive := func(ch byte, msg []byte) {
		sum := sha256.Sum256(msg)
		v.Out = append(v.Out, fmt.Sprintf("%02x %d %s", ch, len(msg), hex.EncodeToString(sum[:])))
	}
	fail := func(r any) {
		err, ok := r.(error)
		if !ok {
			err = fmt.Errorf("%v", r)
		}
		failed <- err
	}
	m := conn.NewMConnectionWithConfig(server, descriptors(in), receive, fail, config(in))
	m.SetLogger(log.NewNopLogger())
	if err := m.Start(); err != nil {
		return nil, err
	}
	// Whatever it answers is read, or it could not go on.
	go func() { _, _ = io.Copy(io.Discard, client) }()
	go func() {
		if len(stream) > 0 {
			_, _ = client.Write(stream)
		}
		theirs.w.Close()
	}()
	select {
	case err = <-failed:
	case <-time.After(verdictTime):
		return nil, errors.New("no verdict in time")
	}
	v.Verdict, v.Text = "refused", err.Error()
	if ours.hasEnded() {
		v.Verdict = "end of stream"
	}
	return v, theirs.Close()
}

func descriptors(in *input) []*conn.ChannelDescriptor {
	var out []*conn.ChannelDescriptor
	for _, c := range in.Channels {
		out = append(out, &conn.ChannelDescriptor{
			ID: c.ID, Priority: 1, RecvMessageCapacity: c.Max,
		})
	}
	return out
}

func config(in *input) conn.MConnConfig {
	c := conn.DefaultMConnConfig()
	c.RecvRate, c.SendRate = 1<<40, 1<<40
	c.MaxPacketMsgPayloadSize = in.Payload
	return c
}
