// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/cosmos/gogoproto/proto"
)

// Raw is a message whose encoding is exactly its bytes.  The switch asks every
// channel for a message type; with this one any bytes, also none, go over the
// wire and come back as they are.
type Raw struct {
	data []byte
}

var _ proto.Message = (*Raw)(nil)

func (m *Raw) Reset()         { m.data = nil }
func (m *Raw) String() string { return "raw" }
func (*Raw) ProtoMessage()    {}

// Marshal lends the bytes: whoever sends a Raw must not change them.
func (m *Raw) Marshal() ([]byte, error) { return m.data, nil }

// Unmarshal copies, since the connection reuses its buffer.
func (m *Raw) Unmarshal(data []byte) error {
	m.data = append([]byte{}, data...)
	return nil
}

// XXX_Merge makes proto.Clone work without reflection.
func (m *Raw) XXX_Merge(src proto.Message) {
	m.data = append([]byte{}, src.(*Raw).data...)
}

// sizeMax is the longest message whose content this program can make.
const sizeMax = 32 << 20

// patternTable holds byte j of the content with offset 0, which is 31*j; its
// period is 256, so every content is a part of it.
var patternTable = func() []byte {
	table := make([]byte, sizeMax+256)
	for j := range table {
		table[j] = byte(j * 31)
	}
	return table
}()

// pattern is the content of message |k| on channel |ch|: byte i is
// (i*31 + k*7 + ch) & 0xff.  The bytes are shared and must not be changed.
func pattern(k uint64, ch byte, size int) []byte {
	const inverse = 223 // 31*223 is 1 modulo 256
	start := int(byte(k*7+uint64(ch)) * inverse)
	return patternTable[start : start+size : start+size]
}

// Flood messages begin with their number; floodEnd announces that no more
// follow, and how many there were.
const floodHeader = 8

func floodMessage(k uint64, ch byte, size int) []byte {
	data := binary.LittleEndian.AppendUint64(make([]byte, 0, size), k)
	return append(data, pattern(k, ch, size-floodHeader)...)
}

func floodEnd(count uint64) []byte {
	data := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	return binary.LittleEndian.AppendUint64(data, count)
}

// floodNumber returns the number of a flood message, or for an end the count.
func floodNumber(data []byte, ch byte) (k uint64, end, ok bool) {
	if len(data) < floodHeader {
		return 0, false, false
	}
	k = binary.LittleEndian.Uint64(data)
	if k == math.MaxUint64 {
		if len(data) != 2*floodHeader {
			return 0, true, false
		}
		return binary.LittleEndian.Uint64(data[floodHeader:]), true, true
	}
	rest := data[floodHeader:]
	return k, false, len(rest) <= sizeMax && bytes.Equal(rest, pattern(k, ch, len(rest)))
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
