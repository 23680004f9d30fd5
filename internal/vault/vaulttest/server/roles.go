package server

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Write writes under a path as root and returns the answer's data.
func (s *Server) Write(t testing.TB, path string, data map[string]any) map[string]any {
	t.Helper()
	got, err := s.client.Logical().WriteWithContext(t.Context(), path, data)
	if err != nil {
		t.Fatal(err)
	}
	if got == nil {
		return nil
	}
	return got.Data
}

// Policy writes a policy.
func (s *Server) Policy(t testing.TB, name, rules string) {
	t.Helper()
	if err := s.client.Sys().PutPolicyWithContext(t.Context(), name, rules); err != nil {
		t.Fatalf("policy %s: %v", name, err)
	}
}

// NewToken makes a token with policies that ends after ttl (zero means after a day).
func (s *Server) NewToken(t testing.TB, ttl time.Duration, policies ...string) string {
	t.Helper()
	request := &api.TokenCreateRequest{Policies: policies}
	if ttl > 0 {
		request.TTL = ttl.String()
	}
	got, err := s.client.Auth().Token().CreateOrphanWithContext(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return got.Auth.ClientToken
}

// Revoke ends a token.
func (s *Server) Revoke(t testing.TB, token string) {
	t.Helper()
	if err := s.client.Auth().Token().RevokeOrphanWithContext(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

// EnableAuth mounts a way to log in.
func (s *Server) EnableAuth(t testing.TB, mount, kind string) {
	t.Helper()
	if err := s.client.Sys().EnableAuthWithOptionsWithContext(t.Context(), mount, &api.EnableAuthOptions{Type: kind}); err != nil {
		t.Fatal(err)
	}
}

// AppRole makes a role at a mount and returns its role id. Settings are those of Vault's API.
func (s *Server) AppRole(t testing.TB, mount, name string, settings map[string]any) (roleID string) {
	t.Helper()
	path := "auth/" + mount + "/role/" + name
	s.Write(t, path, settings)
	got, err := s.client.Logical().ReadWithContext(t.Context(), path+"/role-id")
	if err != nil {
		t.Fatal(err)
	}
	return got.Data["role_id"].(string)
}

// SecretID makes a secret id of a role.
func (s *Server) SecretID(t testing.TB, mount, name string) string {
	t.Helper()
	return s.Write(t, "auth/"+mount+"/role/"+name+"/secret-id", nil)["secret_id"].(string)
}

// WrappedSecretID makes a secret id of a role and returns a token that it can be unwrapped with, once.
func (s *Server) WrappedSecretID(t testing.TB, mount, name string) string {
	t.Helper()
	c, err := s.client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(s.token)
	c.SetWrappingLookupFunc(func(string, string) string { return "5m" })
	got, err := c.Logical().WriteWithContext(t.Context(), "auth/"+mount+"/role/"+name+"/secret-id", nil)
	if err != nil {
		t.Fatal(err)
	}
	return got.WrapInfo.Token
}
