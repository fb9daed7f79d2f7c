// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools keeps in go.mod and go.sum what no package here imports: the
// complete node, which "./dev interop" builds from the same module, and the
// imports of book, a link that the go command does not follow by itself.
package tools

import (
	_ "github.com/cometbft/cometbft/cmd/cometbft"
	_ "github.com/cometbft/cometbft/libs/log"
	_ "github.com/cometbft/cometbft/p2p/pex"
)
