// SPDX-License-Identifier: Apache-2.0

// gooracle gives streams and messages to the unmodified packages of CometBFT
// and reports what they made of them.  It reads one case in a JSON object a line
// from its standard input, and writes one verdict a line, in the same order.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"context"
)

// input is a case; which fields it has depends on its kind.
type input struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Stream    string `json:"stream"`
	Ephemeral string `json:"ephemeral"`
	Payload   int    `json:"payload"`
	Channels  []struct {
		ID  byte `json:"id"`
		Max int  `json:"max"`
	} `json:"channels"`
}

// verdict is what was made of a case: one word, and what came out.
type verdict struct {
	Kind    string            `json:"kind"`
	Name    string            `json:"name"`
	Verdict string            `json:"verdict"`
	Out     []string          `json:"out"`
	Fields  map[string]string `json:"fields,omitempty"`
	Text    string            `json:"text"`
}

func main() {
	// Nothing is looked up: names fail at once.
	net.DefaultResolver = &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no resolver here")
		},
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gooracle:", err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		var in input
		if err := json.Unmarshal(line, &in); err != nil {
			return err
		}
		stream, err := hex.DecodeString(in.Stream)
		if err != nil {
			return err
		}
		v, err := judge(&in, stream)
		if err != nil {
			return fmt.Errorf("%s %s: %w", in.Kind, in.Name, err)
		}
		v.Kind, v.Name = in.Kind, in.Name
		if err := out.Encode(v); err != nil {
			return err
		}
	}
}

func judge(in *input, stream []byte) (*verdict, error) {
	switch in.Kind {
	case "node_info":
		return judgeNodeInfo(stream), nil
	case "first message", "second message":
		ephemeral, err := hex.DecodeString(in.Ephemeral)
		if err != nil {
			return nil, err
		}
		return judgeHandshake(in.Kind == "first message", stream, ephemeral), nil
	case "packets":
		return judgePackets(in, stream)
	}
	return nil, errors.New("no such kind")
}
