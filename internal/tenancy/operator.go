package tenancy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// ErrOperatorKey says that the operator key's file does not hold one.
var ErrOperatorKey = errors.New("no operator key")

// OperatorKey recognizes the operator. It holds an HMAC under a key of this process, so that neither the text nor anything
// comparable elsewhere stays in memory, and the time of a comparison says nothing. The zero value recognizes nobody.
type OperatorKey struct{ pepper, sum []byte }

// NewOperatorKey takes an operator key. Errors: ErrOperatorKey.
func NewOperatorKey(key secret.Text) (OperatorKey, error) {
	if !wellFormed(operatorPrefix, key) {
		return OperatorKey{}, fmt.Errorf("%w: it must be %s and %d letters and digits, as `tokenkeep operatorkey create` makes them",
			ErrOperatorKey, operatorPrefix, randomChars+checksumChars)
	}
	pepper := make([]byte, sha256.Size)
	_, _ = rand.Read(pepper) // never fails: crypto/rand
	return OperatorKey{pepper: pepper, sum: sum(pepper, key)}, nil
}

// Matches reports whether the presented text is the operator's key. The zero value has no sum, which no text's equals.
func (k OperatorKey) Matches(presented secret.Text) bool {
	return hmac.Equal(k.sum, sum(k.pepper, presented))
}

func sum(pepper []byte, key secret.Text) []byte {
	h := hmac.New(sha256.New, pepper)
	_, _ = h.Write([]byte(key.Reveal()))
	return h.Sum(nil)
}

// LoadOperatorKey reads the key from a file. Errors: ErrOperatorKey, and those of reading, with the file's name.
func LoadOperatorKey(path string) (OperatorKey, error) {
	key, err := ReadOperatorKey(path)
	if err != nil {
		return OperatorKey{}, err
	}
	return NewOperatorKey(key)
}

// ReadOperatorKey returns the text of a key file, for those who must show it. Errors as LoadOperatorKey.
func ReadOperatorKey(path string) (secret.Text, error) {
	const most = 1 << 10
	file, err := os.Open(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the operator key: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the operator key: %w", err)
	}
	key := secret.New(strings.TrimSpace(string(text)))
	if _, err := NewOperatorKey(key); err != nil {
		return secret.Text{}, fmt.Errorf("reading the operator key from %s: %w", path, err)
	}
	return key, nil
}

// CreateOperatorKey makes a key and a file that only its owner reads. It never replaces a file. Errors: os.ErrExist and
// those of writing; a file that could not be written whole is removed.
func CreateOperatorKey(path string) (secret.Text, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return secret.Text{}, fmt.Errorf("creating the operator key: %w", err)
	}
	key := newKey(operatorPrefix)
	_, err = file.WriteString(key.Reveal() + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return secret.Text{}, errors.Join(fmt.Errorf("creating the operator key: %w", err), os.Remove(path))
	}
	return key, nil
}
