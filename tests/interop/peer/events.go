// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/cometbft/cometbft/libs/log"
)

// event is one JSON object on one line of the standard output.
type event map[string]any

var emitLock sync.Mutex

// emit writes |e| with one write call, so that a reader sees it at once.
func emit(name string, e event) {
	if e == nil {
		e = event{}
	}
	e["event"] = name
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	emitLock.Lock()
	defer emitLock.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(1)
	}
}

// wireEvents are log lines of the connection that nothing else reports.
var wireEvents = map[string]string{
	"Send Ping":    "ping_sent",
	"Receive Pong": "pong_received",
	"Receive Ping": "ping_received",
	"Send Pong":    "pong_sent",
}

// rejections are log lines of the switch for connections that became no peer.
var rejections = map[string]bool{
	"Inbound Peer rejected": true,
	"Ignoring inbound connection: already have enough inbound peers": true,
	"Ignoring inbound connection: error while adding peer":           true,
}

// logger turns the few log lines that tell something new into events.
type logger struct {
	verbose bool
}

var _ log.Logger = logger{}

func (l logger) Debug(msg string, _ ...any) {
	if name, ok := wireEvents[msg]; ok {
		emit(name, nil)
	}
}

func (l logger) Info(msg string, keyvals ...any) {
	if rejections[msg] {
		emit("rejected", event{"outbound": false, "text": errorOf(msg, keyvals)})
	}
	l.print(msg, keyvals)
}

// Warn is part of the interface since v0.40.0.
func (l logger) Warn(msg string, keyvals ...any) { l.print(msg, keyvals) }

func (l logger) Error(msg string, keyvals ...any) { l.print(msg, keyvals) }

func (l logger) With(...any) log.Logger { return l }

func (l logger) print(msg string, keyvals []any) {
	if l.verbose {
		fmt.Fprintln(os.Stderr, append([]any{msg}, keyvals...)...)
	}
}

// errorOf returns the value of the key "err", or |msg| without one.
func errorOf(msg string, keyvals []any) string {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == "err" {
			return fmt.Sprint(keyvals[i+1])
		}
	}
	return msg
}
