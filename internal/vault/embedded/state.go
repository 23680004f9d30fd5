package embedded

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// state is what every commit brings up to date: its number, and the sum over all rows.
type state struct {
	seq int64
	sum sum
}

// sum adds up the MACs of all rows modulo 2^256: the order does not matter and a row can be taken out again.
type sum [4]uint64

func (s *sum) add(leaf [32]byte) {
	var carry uint64
	for i := 3; i >= 0; i-- {
		s[i], carry = bits.Add64(s[i], binary.BigEndian.Uint64(leaf[8*i:]), carry)
	}
}

func (s *sum) remove(leaf [32]byte) {
	var borrow uint64
	for i := 3; i >= 0; i-- {
		s[i], borrow = bits.Sub64(s[i], binary.BigEndian.Uint64(leaf[8*i:]), borrow)
	}
}

func (s sum) bytes() []byte {
	var out []byte
	for _, word := range s {
		out = binary.BigEndian.AppendUint64(out, word)
	}
	return out
}

// parseSum undoes bytes; false where the length is wrong.
func parseSum(b []byte) (sum, bool) {
	var s sum
	if len(b) != 32 {
		return s, false
	}
	for i := range s {
		s[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return s, true
}

// authenticator makes the MACs of rows and state under the file's own key.
type authenticator struct{ key secret.Bytes }

// mac is HMAC-SHA256 over label and fields, each preceded by its length.
func (a authenticator) mac(label string, fields ...[]byte) []byte {
	h := hmac.New(sha256.New, a.key.Reveal())
	for _, f := range append([][]byte{[]byte(label)}, fields...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
		h.Write(f)
	}
	return h.Sum(nil)
}

// leaf is what a row contributes to the sum: its table, its key and its MAC.
func (a authenticator) leaf(table string, key, mac []byte) [32]byte {
	return [32]byte(a.mac("leaf", []byte(table), key, mac))
}

func (a authenticator) state(s state) []byte { return a.mac("state", number(s.seq), s.sum.bytes()) }

// number encodes an integer for a MAC.
func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// optional encodes a column that may be NULL, so that NULL and empty differ.
func optional(b []byte) []byte {
	if b == nil {
		return []byte{0}
	}
	return append([]byte{1}, b...)
}
