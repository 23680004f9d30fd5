package hashicorp_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// TestMoverPolicy does what a copy between vaults does, under exactly the documented policies.
func TestMoverPolicy(t *testing.T) {
	s := server.Start(t, server.Options{NoPepper: true})
	v := openVault(t, documentedMover(t, s))
	ref := newRef(t, v)

	pepper := secret.NewBytes(bytes.Repeat([]byte{9}, 32))
	for range 2 { // importing what is there does nothing
		if err := v.ImportPepper(t.Context(), pepper); err != nil {
			t.Fatal(err)
		}
	}
	h := hmac.New(sha256.New, pepper.Reveal())
	h.Write([]byte("a key"))
	if got, err := v.MAC(t.Context(), []byte("a key")); err != nil || !bytes.Equal(got, h.Sum(nil)) {
		t.Errorf("the MAC is not the imported pepper's: %v", err)
	}
	wantError(t, "importing another", v.ImportPepper(t.Context(), secret.NewBytes(bytes.Repeat([]byte{8}, 32))), vault.ErrPepper)
	if got, err := v.ExportPepper(t.Context()); err != nil || !got.Equal(pepper) {
		t.Errorf("exporting what was imported: %v", err)
	}

	// What WrapDataKeys wraps is like what transit wraps itself.
	keys := make([]secret.Bytes, 501)
	for i := range keys {
		keys[i] = secret.NewBytes(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16))
	}
	wrapped, err := v.WrapDataKeys(t.Context(), ref.Tenant, keys)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openVault(t, documentedMover(t, s)).UnwrapDataKeys(t.Context(), ref.Tenant, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if !got[i].Equal(keys[i]) || !v.Wraps(wrapped[i]) {
			t.Fatalf("data key %d is another one", i)
		}
	}
	_, err = v.WrapDataKeys(t.Context(), uuid.New(), keys[:1])
	wantError(t, "wrapping for a tenant without a key", err, vault.ErrNoKey)
	_, err = v.WrapDataKeys(t.Context(), ref.Tenant, []secret.Bytes{secret.NewBytes([]byte("short"))})
	wantError(t, "wrapping what is no data key", err, vault.ErrInvalid)
}

// TestMoverPolicyIsNarrow tries what the mover's policy by itself does not allow, and the three together neither.
func TestMoverPolicyIsNarrow(t *testing.T) {
	s := server.Start(t, server.Options{})
	o := documentedMover(t, s)
	ref := newRef(t, openVault(t, o))
	alone := tokenLogin(s.NewToken(t, 0, "tokenkeep-mover"))
	all := o.Login
	tenantKey := "transit/keys/tokenkeep-" + ref.Tenant.String()
	for _, c := range []struct {
		login        hashicorp.Login
		method, path string
		data         map[string]any
	}{
		{alone, "read", kvPath(s, "data", ref), nil},
		{alone, "write", "transit/decrypt/tokenkeep-" + ref.Tenant.String(), map[string]any{"ciphertext": "vault:v1:AAAA"}},
		{alone, "write", "transit/encrypt/tokenkeep-" + uuid.NewString(), map[string]any{"plaintext": "aGFsbG8="}},
		{alone, "write", tenantKey + "/config", map[string]any{"exportable": true}},
		{alone, "write", "transit/keys/tokenkeep-" + uuid.NewString() + "/import", map[string]any{"type": "aes256-gcm96", "ciphertext": "AAAA"}},
		{alone, "read", "transit/export/encryption-key/tokenkeep-" + ref.Tenant.String(), nil},
		{all, "write", "transit/encrypt/tokenkeep-" + uuid.NewString(), map[string]any{"plaintext": "aGFsbG8="}},
		{all, "write", tenantKey + "/config", map[string]any{"exportable": true}},
		{all, "read", "transit/export/encryption-key/tokenkeep-" + ref.Tenant.String(), nil},
		{all, "read", "transit/export/hmac-key/tokenkeep-" + ref.Tenant.String(), nil},
		{all, "write", "transit/keys/tokenkeep-pepper/config", map[string]any{"deletion_allowed": true}},
		{all, "write", "transit/keys/tokenkeep-pepper/rotate", nil},
		{all, "read", "transit/backup/tokenkeep-pepper", nil},
	} {
		wantRefused(t, s, c.login, c.method, c.path, c.data)
	}
}

// TestForeignKeys sees that what the embedded vault wrapped is not taken for spoilt.
func TestForeignKeys(t *testing.T) {
	v := openVault(t, rootOptions(sharedServer(t)))
	ref := newRef(t, v)
	foreign := vault.WrappedKey{Version: 1, Bytes: append([]byte{1, 0, 0, 0, 1}, make([]byte, 60)...)}
	if v.Wraps(foreign) {
		t.Error("it takes it for its own")
	}
	_, err := v.UnwrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{foreign})
	wantError(t, "unwrapping", err, vault.ErrForeign)
	_, err = v.RewrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{foreign})
	wantError(t, "re-wrapping", err, vault.ErrForeign)
}
