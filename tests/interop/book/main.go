// SPDX-License-Identifier: Apache-2.0

// Program gobook is the address book of CometBFT itself:
//
//	gobook make FOLDER SEED COUNT   random books FOLDER/N.json
//	gobook keep FOLDER              loads each of them, and writes it again
//
// Both print how many entries each book has.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strconv"
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// randomAddr draws an address of a few networks, so that groups meet.
func randomAddr(r *rand.Rand) string {
	id := make([]byte, 20)
	r.Read(id)
	if r.Intn(5) == 0 {
		return fmt.Sprintf("%x@[2a01:%x::%x]:%d", id, r.Intn(30), r.Intn(60000), r.Intn(65536))
	}
	return fmt.Sprintf("%x@%d.%d.%d.%d:%d", id, 130+r.Intn(30), r.Intn(20), r.Intn(256),
		r.Intn(256), r.Intn(65536))
}

// fill does with the book what a node does.
func fill(book addrBook, r *rand.Rand) {
	texts := []string{}
	for i := r.Intn(300); i > 0; i-- {
		texts = append(texts, randomAddr(r))
	}
	for i := 3 * len(texts); i > 0; i-- {
		addr := parse(texts[r.Intn(len(texts))])
		switch r.Intn(8) {
		case 0:
			book.MarkAttempt(addr)
		case 1:
			book.MarkGood(addr.ID)
		default:
			_ = book.AddAddress(addr, parse(randomAddr(r)))
		}
	}
}

func makeBooks(folder string, seed int64, count int) {
	for i := 0; i < count; i++ {
		path := filepath.Join(folder, strconv.Itoa(i)+".json")
		book := newBook(path, false)
		fill(book, rand.New(rand.NewSource(seed+int64(i))))
		book.Save()
		fmt.Println(filepath.Base(path), book.Size())
	}
}

func keepBooks(folder string) {
	paths, err := filepath.Glob(filepath.Join(folder, "[0-9]*.json"))
	if err != nil {
		fail(err)
	}
	sort.Strings(paths)
	for _, path := range paths {
		book := newBook(path, true)
		book.Save()
		fmt.Println(filepath.Base(path), book.Size())
		if err := book.Stop(); err != nil {
			fail(err)
		}
	}
}

func main() {
	switch {
	case len(os.Args) == 5 && os.Args[1] == "make":
		seed, err := strconv.ParseInt(os.Args[3], 10, 64)
		if err != nil {
			fail(err)
		}
		count, err := strconv.Atoi(os.Args[4])
		if err != nil {
			fail(err)
		}
		makeBooks(os.Args[2], seed, count)
	case len(os.Args) == 3 && os.Args[1] == "keep":
		keepBooks(os.Args[2])
	default:
		fail(fmt.Errorf("usage: gobook make FOLDER SEED COUNT | keep FOLDER"))
	}
}
