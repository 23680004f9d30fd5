package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

const (
	// dataKeySize is the length of a data key in bytes: AES-256.
	dataKeySize = 32
	// overhead is what a ciphertext has beside the plaintext, in bytes: format, nonce, tag.
	overhead = 1 + 12 + 16
)

// encrypt returns format byte, random nonce, AES-256-GCM ciphertext and tag.
func encrypt(key secret.Bytes, plaintext, data []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{formatV1}, nil, plaintext, data), nil
}

// decrypt undoes encrypt. Whatever is wrong, it says ErrCorrupt and no more.
func decrypt(key secret.Bytes, ciphertext, data []byte) (secret.Bytes, error) {
	if len(ciphertext) < overhead || ciphertext[0] != formatV1 {
		return secret.Bytes{}, fmt.Errorf("%w: unknown format", ErrCorrupt)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	plaintext, err := aead.Open(nil, nil, ciphertext[1:], data)
	if err != nil {
		return secret.Bytes{}, ErrCorrupt
	}
	return secret.NewBytes(plaintext), nil
}

func newAEAD(key secret.Bytes) (cipher.AEAD, error) {
	if key.Len() != dataKeySize {
		return nil, fmt.Errorf("%w: data key of %d bytes, not %d", ErrInvalid, key.Len(), dataKeySize)
	}
	block, err := aes.NewCipher(key.Reveal())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
