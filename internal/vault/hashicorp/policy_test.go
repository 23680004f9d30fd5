package hashicorp_test

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

var policyBlock = regexp.MustCompile("(?s)`(tokenkeep[a-z-]*)`:\n\n```hcl\n(.*?)```")

// documentedPolicies writes the policies of docs/vault.md and returns options that log in under exactly those.
func documentedPolicies(t *testing.T, s *server.Server) hashicorp.Options {
	t.Helper()
	found := policiesOf(t)
	o := rootOptions(s)
	for name, login := range map[string]*hashicorp.Login{"tokenkeep": &o.Login, "tokenkeep-keys": &o.KeyLogin} {
		s.Policy(t, name, found[name])
		*login = tokenLogin(s.NewToken(t, 0, name))
	}
	return o
}

// documentedMover logs in as the copy between vaults does: with all three policies.
func documentedMover(t *testing.T, s *server.Server) hashicorp.Options {
	t.Helper()
	found := policiesOf(t)
	names := []string{"tokenkeep", "tokenkeep-keys", "tokenkeep-mover"}
	for _, name := range names {
		s.Policy(t, name, found[name])
	}
	o := rootOptions(s)
	o.Login = tokenLogin(s.NewToken(t, 0, names...))
	return o
}

// policiesOf are the policies of docs/vault.md by name.
func policiesOf(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, block := range policyBlock.FindAllStringSubmatch(string(text), -1) {
		found[block[1]] = block[2]
	}
	for _, name := range []string{"tokenkeep", "tokenkeep-keys", "tokenkeep-mover"} {
		if found[name] == "" {
			t.Fatalf("docs/vault.md has no policy %s", name)
		}
	}
	return found
}

// TestConformanceUnderDocumentedPolicies runs the suite with the two roles of docs/vault.md.
func TestConformanceUnderDocumentedPolicies(t *testing.T) {
	s := server.Start(t, server.Options{})
	o := documentedPolicies(t, s)
	vaulttest.Run(t, func(t *testing.T) vaulttest.Instance {
		in := newBench(t, s, o).instance()
		in.Child = nil // a child logs in with one token
		return in
	})
	v := openVault(t, o)
	if err := v.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDocumentedPoliciesAreNarrow tries what neither role is allowed.
func TestDocumentedPoliciesAreNarrow(t *testing.T) {
	s := server.Start(t, server.Options{})
	o := documentedPolicies(t, s)
	ref := newRef(t, openVault(t, o))
	service, keys := o, o
	service.KeyLogin, keys.Login, keys.KeyLogin = hashicorp.Login{}, o.KeyLogin, hashicorp.Login{}

	v := openVault(t, service)
	write(t, v, ref, 1, 0)
	r, _ := head(t, v, ref)
	wantError(t, "the service creating a key", v.CreateKey(t.Context(), uuid.New()), vault.ErrDenied)
	wantError(t, "the service destroying a key", v.DestroyKey(t.Context(), ref.Tenant), vault.ErrDenied)

	k := openVault(t, keys)
	_, _, err := k.ReadRecord(t.Context(), ref)
	wantError(t, "the keys role reading a record", err, vault.ErrDenied)
	_, err = k.UnwrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{r.Key})
	wantError(t, "the keys role unwrapping", err, vault.ErrDenied)
	_, err = k.MAC(t.Context(), []byte("x"))
	wantError(t, "the keys role hashing", err, vault.ErrDenied)

	tenantKey := "transit/keys/tokenkeep-" + ref.Tenant.String()
	for _, c := range []struct {
		login  hashicorp.Login
		method string
		path   string
		data   map[string]any
	}{
		{o.Login, "write", "transit/encrypt/tokenkeep-" + uuid.NewString(), map[string]any{"plaintext": "aGFsbG8="}},
		{o.Login, "write", tenantKey + "/config", map[string]any{"deletion_allowed": true}},
		{o.Login, "write", tenantKey + "/config", map[string]any{"exportable": true}},
		{o.Login, "write", "transit/keys/tokenkeep-pepper/rotate", nil},
		{o.Login, "write", "transit/keys/tokenkeep-pepper/config", map[string]any{"min_decryption_version": 1}},
		{o.Login, "read", "transit/export/encryption-key/tokenkeep-" + ref.Tenant.String(), nil},
		{o.Login, "read", "transit/backup/tokenkeep-" + ref.Tenant.String(), nil},
		{o.Login, "write", "secret/data/tokenkeep/tenants/" + ref.Tenant.String(), map[string]any{"data": map[string]any{"key": "live"}}},
		{o.Login, "write", kvPath(s, "metadata", ref), map[string]any{"delete_version_after": "1s"}},
		{o.Login, "read", "secret/data/other", nil},
		{o.KeyLogin, "write", tenantKey + "/rotate", nil},
		{o.KeyLogin, "write", "transit/keys/tokenkeep-" + uuid.NewString(), map[string]any{"type": "aes256-gcm96", "exportable": true}},
		{o.KeyLogin, "write", "transit/keys/tokenkeep-pepper/config", map[string]any{"deletion_allowed": true}},
		{o.KeyLogin, "read", "transit/keys/tokenkeep-pepper", nil},
	} {
		wantRefused(t, s, c.login, c.method, c.path, c.data)
	}
}

// wantRefused fails unless Vault refuses a login's token what it asks.
func wantRefused(t *testing.T, s *server.Server, login hashicorp.Login, method, path string, data map[string]any) {
	t.Helper()
	c, err := s.Client().Clone()
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(login.Token.Reveal())
	if method == "read" {
		_, err = c.Logical().ReadWithContext(t.Context(), path)
	} else {
		_, err = c.Logical().WriteWithContext(t.Context(), path, data)
	}
	if status := statusOf(err); status != 403 {
		t.Errorf("%s %s %v: got status %d (%v), want 403", method, path, data, status, err)
	}
}

// statusOf is the status of Vault's answer, 0 where there is none or it is a success.
func statusOf(err error) int {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}
