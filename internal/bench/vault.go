package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// realVault is HashiCorp Vault, a process of its own with its data in files, and a token that its policies apply to.
type realVault struct {
	server *server.Server
	token  string
	// seeded is whether there is what the rows past the service work on.
	seeded bool
}

// vaultPolicy allows everything, and is looked at for each request, as an operator's policy is and root's is not.
const vaultPolicy = `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`

// startVault starts Vault the way that docs/vault.md sets it up. Where this machine has not built it yet, that is done first.
func startVault(ctx context.Context, dir string) (*realVault, error) {
	s, err := server.New(ctx, server.Options{Dir: filepath.Join(dir, "vault")})
	if err != nil {
		return nil, err
	}
	v := &realVault{server: s}
	if v.token, err = v.prepare(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("setting Vault up: %w", err)
	}
	return v, nil
}

func (v *realVault) prepare(ctx context.Context) (token string, err error) {
	c := v.server.Client()
	_, kv := v.server.Mounts()
	if _, err := c.Logical().WriteWithContext(ctx, kv+"/config", map[string]any{"max_versions": 1}); err != nil {
		return "", err
	}
	if err := c.Sys().PutPolicyWithContext(ctx, "bench", vaultPolicy); err != nil {
		return "", err
	}
	made, err := c.Auth().Token().CreateOrphanWithContext(ctx, &api.TokenCreateRequest{Policies: []string{"bench"}, TTL: "12h"})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// settings are the service's.
func (v *realVault) settings() []string {
	return []string{"TOKENKEEP_VAULT=hashicorp", "VAULT_ADDR=" + v.server.Address(), "VAULT_TOKEN=" + v.token}
}

// paths is how many paths and keys the rows past the service use in turn.
const paths = 200

// recordSize is about what a sealed record of Zoom's tokens takes in KV, in bytes.
const recordSize = 2400

// rows ask Vault for what the service asks it for, past the service.
func (v *realVault) rows() []row {
	transit, kv := v.server.Mounts()
	record := fmt.Sprintf(`{"data":{"record":%q}}`, strings.Repeat("r", recordSize))
	return []row{
		v.row("Vault: kv write", http.MethodPut, kv+"/data/bench/%d", `"version"`, record),
		v.row("Vault: kv read", http.MethodGet, kv+"/data/bench/%d", `"record"`, ""),
		v.row("Vault: datakey", http.MethodPut, transit+"/datakey/plaintext/tokenkeep-bench", `"plaintext"`, `{"bits":256}`),
	}
}

// row is one that sends the body to paths made of the format.
func (v *realVault) row(name, method, format, want, body string) row {
	return row{name: name, want: want, direct: func(ctx context.Context, l *load) error {
		l.direct = &direct{method: method, header: http.Header{"X-Vault-Token": {v.token}}}
		for i := range paths {
			path := format
			if strings.Contains(format, "%d") {
				path = fmt.Sprintf(format, i)
			}
			at, err := url.Parse(v.server.Address() + "/v1/" + path)
			if err != nil {
				return err
			}
			l.direct.paths, l.bodies = append(l.direct.paths, at), append(l.bodies, []byte(body))
		}
		return v.seed(ctx)
	}}
}

// seed makes what the rows work on, once.
func (v *realVault) seed(ctx context.Context) error {
	if v.seeded {
		return nil
	}
	v.seeded = true
	transit, kv := v.server.Mounts()
	c := v.server.Client().Logical()
	if _, err := c.WriteWithContext(ctx, transit+"/keys/tokenkeep-bench", map[string]any{"type": "aes256-gcm96"}); err != nil {
		return err
	}
	for i := range paths {
		_, err := c.WriteWithContext(ctx, fmt.Sprintf("%s/data/bench/%d", kv, i), map[string]any{"data": map[string]any{"record": strings.Repeat("r", recordSize)}})
		if err != nil {
			return err
		}
	}
	return nil
}
