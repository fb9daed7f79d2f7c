// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/cometbft/cometbft/p2p"
	tmp2p "github.com/cometbft/cometbft/proto/tendermint/p2p"
)

// judgeNodeInfo decodes and validates as the transport does.
func judgeNodeInfo(body []byte) *verdict {
	var pb tmp2p.DefaultNodeInfo
	if err := pb.Unmarshal(body); err != nil {
		return &verdict{Verdict: "malformed", Text: err.Error()}
	}
	info, err := p2p.DefaultNodeInfoFromToProto(&pb)
	if err != nil {
		return &verdict{Verdict: "malformed", Text: err.Error()}
	}
	v := &verdict{Verdict: "valid", Fields: fieldsOf(info)}
	if err := info.Validate(); err != nil {
		v.Verdict, v.Text = "invalid", err.Error()
		var lookup p2p.ErrNetAddressLookup
		if errors.As(err, &lookup) {
			v.Verdict = "not resolved"
		}
	}
	return v
}

func fieldsOf(i p2p.DefaultNodeInfo) map[string]string {
	fields := map[string][]byte{
		"id": []byte(i.DefaultNodeID), "listen_addr": []byte(i.ListenAddr),
		"network": []byte(i.Network), "version": []byte(i.Version),
		"channels": i.Channels, "moniker": []byte(i.Moniker),
		"tx_index":    []byte(i.Other.TxIndex),
		"rpc_address": []byte(i.Other.RPCAddress),
	}
	out := map[string]string{
		"p2p":   strconv.FormatUint(i.ProtocolVersion.P2P, 10),
		"block": strconv.FormatUint(i.ProtocolVersion.Block, 10),
		"app":   strconv.FormatUint(i.ProtocolVersion.App, 10),
	}
	for name, bytes := range fields {
		out[name] = hex.EncodeToString(bytes)
	}
	return out
}
