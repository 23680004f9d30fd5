package tenancy

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// hashDomain keeps API keys apart from whatever else is hashed under the vault's pepper. It is part of every hash in the
// database and never changes.
const hashDomain = "tokenkeep.apikey.1\x00"

// hasher turns keys into the hashes that the database keeps. The hashes of keys that have proved valid are remembered,
// so that a vault across a network is not asked once per request; whether a key is valid is never remembered.
type hasher struct {
	vault vault.Vault
	mu    sync.Mutex
	known map[[sha256.Size]byte]remembered
}

// remembered is what needs no vault the next time.
type remembered struct {
	hash []byte
	// proof is the digest of the row whose seal was checked.
	proof [sha256.Size]byte
}

// maxKnown bounds the memory to a few megabytes.
const maxKnown = 1 << 15

// hash returns HMAC-SHA256 of the key under the vault's pepper.
func (h *hasher) hash(ctx context.Context, key secret.Text) ([]byte, error) {
	h.mu.Lock()
	known, ok := h.known[digestOf(key)]
	h.mu.Unlock()
	if ok {
		return known.hash, nil
	}
	hash, err := h.vault.MAC(ctx, []byte(hashDomain+key.Reveal()))
	if err != nil {
		return nil, fromVault("hashing an API key", err)
	}
	return hash, nil
}

// proved reports whether the row with this proof was found intact before.
func (h *hasher) proved(key secret.Text, proof [sha256.Size]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.known[digestOf(key)]
	return ok && known.proof == proof
}

// remember keeps the hash of a key that proved valid and the proof of its row; where there is no room, one that chance
// picks gives way.
func (h *hasher) remember(key secret.Text, hash []byte, proof [sha256.Size]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[[sha256.Size]byte]remembered{}
	}
	for other := range h.known {
		if len(h.known) < maxKnown {
			break
		}
		delete(h.known, other)
	}
	h.known[digestOf(key)] = remembered{hash: hash, proof: proof}
}

// forget drops a key that is not valid any more, so that it takes the way of one that never was.
func (h *hasher) forget(key secret.Text) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, digestOf(key))
}

func digestOf(key secret.Text) [sha256.Size]byte { return sha256.Sum256([]byte(key.Reveal())) }
