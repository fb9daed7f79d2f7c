// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	stded25519 "crypto/ed25519"
	crand "crypto/rand"
	"io"
	"strings"
	"sync"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
)

// tape is a connection whose other side says what is on it and then nothing
// more, and whose own words go nowhere.
type tape struct {
	lock  sync.Mutex
	in    *bytes.Reader
	ended bool // its end was read
}

func (t *tape) Read(p []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	n, err := t.in.Read(p)
	t.ended = t.ended || err == io.EOF
	return n, err
}

func (t *tape) Write(p []byte) (int, error) { return len(p), nil }
func (t *tape) Close() error                { return nil }

// nodeKey is that of the side under test: its seed is 32 times 0x11.
func nodeKey(seed byte) ed25519.PrivKey {
	return ed25519.PrivKey(stded25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
}

// judgeHandshake makes a secret connection whose ephemeral key is known, so
// that the stream can hold a right answer to it.
func judgeHandshake(first bool, stream, ephemeral []byte) *verdict {
	random := crand.Reader
	crand.Reader = bytes.NewReader(ephemeral)
	defer func() { crand.Reader = random }()

	t := &tape{in: bytes.NewReader(stream)}
	sc, err := conn.MakeSecretConnection(t, nodeKey(0x11))
	if err == nil {
		id := string(p2p.PubKeyToID(sc.RemotePubKey()))
		return &verdict{Verdict: "up", Out: []string{id}}
	}
	v := &verdict{Verdict: "refused", Text: err.Error()}
	if first && strings.Contains(v.Text, "decrypt") {
		// Its keys are made: what follows on the tape is no frame of theirs.
		v.Verdict = "keys"
	} else if t.ended {
		v.Verdict = "end of stream"
	}
	return v
}
