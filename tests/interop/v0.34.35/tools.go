// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools keeps in go.mod and go.sum what no package here imports: the
// complete node, which "./dev interop" builds from the same module, and the
// imports of book, a link that the go command does not follow by itself.
package tools

import (
	_ "github.com/tendermint/tendermint/cmd/cometbft"
	_ "github.com/tendermint/tendermint/libs/log"
	_ "github.com/tendermint/tendermint/p2p/pex"
)
