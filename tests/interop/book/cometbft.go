// SPDX-License-Identifier: Apache-2.0

//go:build !tendermint

package main

import (
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/pex"
)

type addrBook = pex.AddrBook

// newBook is a book that is not strict; |load|: with what is in its file.
func newBook(path string, load bool) addrBook {
	book := pex.NewAddrBook(path, false)
	book.SetLogger(log.NewNopLogger())
	if load {
		if err := book.Start(); err != nil {
			fail(err)
		}
	}
	return book
}

func parse(text string) *p2p.NetAddress {
	addr, err := p2p.NewNetAddressString(text)
	if err != nil {
		fail(err)
	}
	return addr
}
