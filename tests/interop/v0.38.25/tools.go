// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools keeps in go.mod and go.sum what no package here imports: the
// complete node, which "./dev interop --long" builds from the same module, and
// the imports of peer, a link that the go command does not follow by itself.
package tools

import (
	_ "github.com/cometbft/cometbft/cmd/cometbft"
	_ "github.com/cometbft/cometbft/p2p"
	_ "github.com/cosmos/gogoproto/proto"
)
