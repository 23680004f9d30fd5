package embedded

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// rootKeySize is the length of a root key in bytes.
const rootKeySize = 32

// LoadRootKey reads a root key: 64 hexadecimal digits, or base64 of 32 bytes (either alphabet, padded or not), with
// white space around it. The file must be readable by its owner alone. The errors say what to do and never quote the
// file's content.
func LoadRootKey(path string) (secret.Bytes, error) {
	info, err := os.Stat(path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("reading the root key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret.Bytes{}, fmt.Errorf("reading the root key: %s may be read by others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("reading the root key: %w", err)
	}
	key, err := parseRootKey(bytes.TrimSpace(text))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("reading the root key: %s %w", path, err)
	}
	return secret.NewBytes(key), nil
}

func parseRootKey(text []byte) ([]byte, error) {
	var key []byte
	if len(text) == hex.EncodedLen(rootKeySize) {
		key, _ = hex.DecodeString(string(text))
	} else {
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(string(bytes.TrimRight(text, "=")))
		key, _ = base64.RawStdEncoding.DecodeString(standard)
	}
	if len(key) != rootKeySize {
		return nil, errors.New("must hold 64 hexadecimal digits or base64 of 32 bytes; openssl rand -hex 32 makes such a key")
	}
	if bytes.Count(key, key[:1]) == rootKeySize {
		return nil, errors.New("holds one byte 32 times, which is no key; openssl rand -hex 32 makes one")
	}
	return key, nil
}

// CreateRootKey writes a new random root key to a file that must not exist, with mode 0600, durably.
func CreateRootKey(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating a root key: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(randomBytes(rootKeySize)) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close(), syncFolder(path)); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("creating a root key: %w", err)
	}
	return nil
}

// deriveKeys makes the keys for their several uses from the root key. Errors: vault.ErrInvalid.
func deriveKeys(root secret.Bytes) (rootKeys, error) {
	if root.Len() != rootKeySize {
		return rootKeys{}, fmt.Errorf("%w: a root key of %d bytes, not %d", vault.ErrInvalid, root.Len(), rootKeySize)
	}
	wrap, err := hkdf.Key(sha256.New, root.Reveal(), nil, "tokenkeep embedded vault: wrap", 32)
	if err != nil {
		return rootKeys{}, err
	}
	check, err := hkdf.Key(sha256.New, root.Reveal(), nil, "tokenkeep embedded vault: check", 32)
	if err != nil {
		return rootKeys{}, err
	}
	aead, err := subtle.NewAESGCM(wrap)
	return rootKeys{wrap: aead, check: check}, err
}

func hmacSHA256(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	return b
}
