package hashicorp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// ExportPepper implements vault.Movable. Transit gives out only keys that are marked as exportable, a mark that cannot be
// taken off again: it is set here, in the vault that is being left.
func (v *Vault) ExportPepper(ctx context.Context) (secret.Bytes, error) {
	pepper, err := v.exportPepper(ctx)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("exporting the pepper: %w", sentinel(err))
	}
	return pepper, nil
}

func (v *Vault) exportPepper(ctx context.Context) (secret.Bytes, error) {
	err := v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit("keys/" + pepper + "/config"), body: map[string]bool{"exportable": true},
	}, nil)
	if err != nil {
		return secret.Bytes{}, err
	}
	var got struct {
		Keys map[string]string `json:"keys"`
	}
	if err := v.call(ctx, v.service, request{method: http.MethodGet, path: v.transit("export/hmac-key/" + pepper + "/1"), head: true}, &got); err != nil {
		return secret.Bytes{}, err
	}
	key, err := base64.StdEncoding.DecodeString(got.Keys["1"])
	if err != nil || len(key) == 0 {
		return secret.Bytes{}, fmt.Errorf("%w: the answer holds no key", vault.ErrUnavailable)
	}
	return secret.NewBytes(key), nil
}

// ImportPepper implements vault.Movable: the pepper travels under a key of its own (AES-KWP, RFC 5649), and that one under
// transit's wrapping key (RSA-OAEP), as transit's import wants it.
func (v *Vault) ImportPepper(ctx context.Context, key secret.Bytes) error {
	if err := v.importPepper(ctx, key); err != nil {
		return fmt.Errorf("importing the pepper: %w", sentinel(err))
	}
	return nil
}

func (v *Vault) importPepper(ctx context.Context, key secret.Bytes) error {
	var wrapping struct {
		PublicKey string `json:"public_key"`
	}
	if err := v.call(ctx, v.service, request{method: http.MethodGet, path: v.transit("wrapping_key")}, &wrapping); err != nil {
		return err
	}
	wrapped, err := wrapForImport(wrapping.PublicKey, key)
	if err != nil {
		return err
	}
	err = v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit("keys/" + pepper + "/import"), once: true,
		body: map[string]any{"type": "hmac", "hash_function": "SHA256", "ciphertext": base64.StdEncoding.EncodeToString(wrapped)},
	}, nil)
	if e, ok := asAnswer(err); ok && e.says("existing key") {
		if v.hashesWith(ctx, key) {
			return nil
		}
		name := v.transit("keys/" + pepper)
		return fmt.Errorf("%w: %s exists and is another; where no Tokenkeep uses it, delete it and try again: vault write %s/config deletion_allowed=true && vault delete %s",
			vault.ErrPepper, name, name, name)
	}
	return err
}

// hashesWith reports whether MAC's key is this one.
func (v *Vault) hashesWith(ctx context.Context, key secret.Bytes) bool {
	probe := []byte("import")
	got, err := v.mac(ctx, probe)
	h := hmac.New(sha256.New, key.Reveal())
	h.Write(probe)
	return err == nil && hmac.Equal(got, h.Sum(nil))
}

// wrapForImport wraps key material for transit's import. Errors: vault.ErrUnavailable (no public key that we know),
// vault.ErrInvalid (key material that AES-KWP does not take: 16 bytes to 4 KiB).
func wrapForImport(publicKey string, key secret.Bytes) ([]byte, error) {
	to, err := parseRSA(publicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: transit's wrapping key: %w", vault.ErrUnavailable, err)
	}
	ephemeral := make([]byte, 32)
	_, _ = rand.Read(ephemeral) // never fails
	kwp, err := subtle.NewKWP(ephemeral)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrInvalid, err)
	}
	wrapped, err := kwp.Wrap(key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrInvalid, err)
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, to, ephemeral, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
	}
	return append(sealed, wrapped...), nil
}

func parseRSA(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T", parsed)
	}
	return key, nil
}
