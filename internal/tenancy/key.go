package tenancy

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// A key is its kind, 256 random bits in 43 characters and a checksum in 6, all letters and digits so that a double click
// takes the whole of it. The checksum is no protection: it tells typing errors, and lets scanners of leaked secrets be
// sure of what they found.
const (
	tenantPrefix   = "tk_"
	operatorPrefix = "tko_"
	randomChars    = 43
	checksumChars  = 6
	// visibleChars is how much of a key is kept and shown to recognize it by; the other 35 characters have 208 bits.
	visibleChars = 11
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newKey makes a key of the kind.
func newKey(prefix string) secret.Text {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand
	body := prefix + base62(new(big.Int).SetBytes(random[:]), randomChars)
	return secret.New(body + checksum(body))
}

// wellFormed reports whether the text is a key of the kind, without saying whose.
func wellFormed(prefix string, key secret.Text) bool {
	text := key.Reveal()
	if len(text) != len(prefix)+randomChars+checksumChars || !strings.HasPrefix(text, prefix) {
		return false
	}
	body, sum := text[:len(text)-checksumChars], text[len(text)-checksumChars:]
	return strings.Trim(body[len(prefix):], alphabet) == "" && sum == checksum(body)
}

// visible is the part of a key that may be shown.
func visible(key secret.Text) string { return key.Reveal()[:visibleChars] }

func checksum(body string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), checksumChars)
}

// base62 writes n with exactly that many digits; there must be enough of them.
func base62(n *big.Int, digits int) string {
	out := make([]byte, digits)
	rest, base, digit := new(big.Int).Set(n), big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := digits - 1; i >= 0; i-- {
		rest.DivMod(rest, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	if rest.Sign() != 0 { // 62^43 > 2^256 and 62^6 > 2^32
		panic(fmt.Sprintf("writing a number in base 62: %d digits are too few", digits))
	}
	return string(out)
}
