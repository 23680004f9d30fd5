package metadata

import (
	"crypto/sha256"
	"encoding/binary"
)

// DigestSize is the length of a digest in bytes.
const DigestSize = 16

// Digests returns the digest of a key and the digest of the pair. They are rows of the database: what they are made of
// never changes. A domain keeps the two apart, and a length before each part keeps ("a","bc") apart from ("ab","c").
func Digests(key, value string) (keyDigest, pairDigest []byte) {
	return digest("tokenkeep.metadata.key.1", key), digest("tokenkeep.metadata.pair.1", key, value)
}

func digest(domain string, parts ...string) []byte {
	h := sha256.New()
	for _, part := range append([]string{domain}, parts...) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	return h.Sum(nil)[:DigestSize]
}
