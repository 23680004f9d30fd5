package hashicorp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// pepper is the transit key of MAC. Only its first version is used.
const pepper = root + "-pepper"

// MAC implements vault.Vault, with one request. Errors: also vault.ErrDenied; a pepper that is missing is
// vault.ErrUnavailable, because nobody but an operator makes one: another pepper makes all API keys invalid.
func (v *Vault) MAC(ctx context.Context, data []byte) ([]byte, error) {
	mac, err := v.mac(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("computing a MAC: %w", sentinel(err))
	}
	return mac, nil
}

func (v *Vault) mac(ctx context.Context, data []byte) ([]byte, error) {
	var got struct {
		HMAC string `json:"hmac"`
	}
	err := v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit("hmac/" + pepper),
		body: map[string]any{"input": base64.StdEncoding.EncodeToString(data), "algorithm": "sha2-256", "key_version": 1},
	}, &got)
	if err != nil && noKey(err) {
		return nil, fmt.Errorf("%w: the pepper is missing: vault write %s type=hmac key_size=32", vault.ErrUnavailable, v.transit("keys/"+pepper))
	}
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(got.HMAC, "vault:v1:")
	mac, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(mac) != sha256.Size {
		return nil, fmt.Errorf("%w: the answer holds no MAC", vault.ErrUnavailable)
	}
	return mac, nil
}

// CreatePepper makes the key of MAC where there is none, as whoever creates tenant keys. It is for setting Vault up.
func (v *Vault) CreatePepper(ctx context.Context) error {
	err := v.call(ctx, v.keeper, request{
		method: http.MethodPut, path: v.transit("keys/" + pepper), body: map[string]any{"type": "hmac", "key_size": sha256.Size},
	}, nil)
	if err != nil {
		return fmt.Errorf("creating the pepper: %w", sentinel(err))
	}
	return nil
}
