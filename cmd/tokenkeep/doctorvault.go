package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// vaultPatience bounds what the doctor waits for an answer of HashiCorp Vault.
const vaultPatience = 10 * time.Second

// vaultChecks are the doctor's checks of the vault, whichever it is, and of both where everything is being moved.
func (c *doctorCmd) vaultChecks() []check {
	var all []check
	if c.Vault == "hashicorp" || c.VaultFrom == "hashicorp" {
		all = append(all, c.checkVaultSettings, c.checkVaultAnswers, c.checkVaultLogin, c.checkVaultEngines, c.checkVaultPolicy)
	}
	if c.Vault != "hashicorp" || c.VaultFrom != "" && c.VaultFrom != "hashicorp" {
		all = append(all, c.checkRootKey, c.checkVault)
	}
	return append(all, c.checkMove)
}

// checkMove sees that the vault may be used alone, or with the other one.
func (c *doctorCmd) checkMove(ctx context.Context, p *patient) (string, error) {
	if p.db == nil || c.vaultSettings.check() != nil {
		return "", fmt.Errorf("what the vault says of itself: %w", errSkipped)
	}
	if c.VaultFrom == "" && c.Vault == "embedded" && !exists(c.VaultFile) {
		if migrated(ctx, p.db) != nil || c.guard(ctx, p.db) != nil {
			return "", fmt.Errorf("what the vault says of itself: %w", errSkipped)
		}
		return "nothing is being moved: there is no vault yet", nil
	}
	v, err := c.vaultSettings.open(ctx, p.db, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	if err := v.Close(); err != nil {
		return "", err
	}
	if c.VaultFrom != "" {
		return fmt.Sprintf("everything is being moved from %s to %s; tokenkeep vault copy does it and says when TOKENKEEP_VAULT_FROM can go", c.VaultFrom, c.Vault), nil
	}
	return "the vault is whole: nothing is being moved", nil
}

func (c *doctorCmd) checkVaultSettings(context.Context, *patient) (string, error) {
	if err := c.hashicorpSettings.check(); err != nil {
		return "", err
	}
	return "HashiCorp Vault is at " + c.Addr + ", login by " + c.ways()[0], nil
}

// checkVaultAnswers asks without a login: reachable, initialised, unsealed.
func (c *doctorCmd) checkVaultAnswers(ctx context.Context, p *patient) (string, error) {
	if c.hashicorpSettings.check() != nil {
		return "", fmt.Errorf("HashiCorp Vault: %w", errSkipped)
	}
	health, err := c.vaultHealth(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("HashiCorp Vault does not answer at %s: %w: correct VAULT_ADDR, or start it; VAULT_ADDR=%s vault status must answer", c.Addr, err, c.Addr)
	case !health.Initialized:
		return "", fmt.Errorf("HashiCorp Vault at %s is not initialised: VAULT_ADDR=%s vault operator init", c.Addr, c.Addr)
	case health.Sealed:
		return "", fmt.Errorf("HashiCorp Vault at %s is sealed: VAULT_ADDR=%s vault operator unseal", c.Addr, c.Addr)
	}
	p.answers = true
	return "HashiCorp Vault " + health.Version + " answers and is unsealed", nil
}

// vaultHealth asks a node about itself; a standby's answer is as good as the active node's.
func (c *doctorCmd) vaultHealth(ctx context.Context) (*api.HealthResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	client, release, err := c.client()
	if err != nil {
		return nil, err
	}
	defer release()
	return client.Sys().HealthWithContext(ctx)
}

// checkVaultLogin leaves the vault open for the checks after it.
func (c *doctorCmd) checkVaultLogin(ctx context.Context, p *patient) (string, error) {
	if !p.answers {
		return "", fmt.Errorf("the login: %w", errSkipped)
	}
	v, err := c.hashicorpSettings.open(ctx, slog.New(slog.DiscardHandler), false)
	if err != nil {
		return "", err
	}
	p.vault = v
	return "HashiCorp Vault lets us in", nil
}

// checkVaultEngines is what /readyz asks, too: mounts of the right kind, the pepper, a value in KV.
func (c *doctorCmd) checkVaultEngines(ctx context.Context, p *patient) (string, error) {
	if p.vault == nil {
		return "", fmt.Errorf("the engines: %w", errSkipped)
	}
	if err := p.vault.Health(ctx); err != nil {
		return "", fmt.Errorf("%w\n  both engines are needed, and a policy that reaches them:\n    vault secrets enable -path=%s transit\n    vault secrets enable -path=%s -version=2 kv\n    %s\n    %s",
			err, c.TransitMount, c.KVMount, c.line("transit/hmac/tokenkeep-pepper", "update"), c.line("kv/data/tokenkeep/*", "create", "read", "update"))
	}
	return "transit, KV version 2 and the pepper are there", nil
}

// line is a line of a policy; the path begins with "transit/" or "kv/", which stand for the mounts.
func (c *doctorCmd) line(path string, capabilities ...string) string {
	engine, below, _ := strings.Cut(path, "/")
	mount := c.KVMount
	if engine == "transit" {
		mount = c.TransitMount
	}
	return fmt.Sprintf(`path "%s/%s" { capabilities = ["%s"] }`, mount, below, strings.Join(capabilities, `", "`))
}

// ability is something the service must be allowed to do, and the line of a policy that allows it.
type ability struct {
	what, line string
	try        func(context.Context) error
}

// checkVaultPolicy tries everything once, for a tenant that nobody has, and cleans up behind itself.
func (c *doctorCmd) checkVaultPolicy(ctx context.Context, p *patient) (string, error) {
	if p.vault == nil {
		return "", fmt.Errorf("the policy: %w", errSkipped)
	}
	var failed []error
	for _, a := range c.abilities(p.vault) {
		if err := a.try(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w\n    %s", a.what, err, a.line))
		}
	}
	if len(failed) > 0 {
		return "", fmt.Errorf("the policy does not allow all that is needed; the lines that do:\n  %w", errors.Join(failed...))
	}
	return "the policy allows all that is needed", nil
}

// abilities are in the order in which a tenant lives.
func (c *doctorCmd) abilities(v vault.Vault) []ability {
	scratch := vault.Ref{Tenant: id.New(), Connection: id.New()}
	key, records := "transit/keys/tokenkeep-*", "kv/data/tokenkeep/*"
	var data vault.DataKey
	return []ability{
		{"making a tenant's key", c.line(key, "create", "read", "update", "delete"), func(ctx context.Context) error { return v.CreateKey(ctx, scratch.Tenant) }},
		{"taking a data key", c.line("transit/datakey/plaintext/tokenkeep-*", "update"), func(ctx context.Context) (err error) {
			data, err = v.NewDataKey(ctx, scratch.Tenant)
			return err
		}},
		{"opening a data key", c.line("transit/decrypt/tokenkeep-*", "update"), func(ctx context.Context) error {
			_, err := v.UnwrapDataKeys(ctx, scratch.Tenant, []vault.WrappedKey{data.Wrapped})
			return err
		}},
		{"writing a record", c.line(records, "create", "read", "update"), func(ctx context.Context) error { return writeScratch(ctx, v, data, scratch) }},
		{"reading a record", c.line(records, "create", "read", "update"), func(ctx context.Context) error {
			_, _, err := v.ReadRecord(ctx, scratch)
			return err
		}},
		{"listing records", c.line("kv/metadata/tokenkeep/*", "list", "create", "update"), func(ctx context.Context) error {
			_, err := v.ListRecords(ctx, scratch.Tenant, uuid.Nil, 1)
			return err
		}},
		{"erasing a record", c.line(records, "create", "read", "update"), func(ctx context.Context) error { return v.EraseRecord(ctx, scratch) }},
		{"rotating a tenant's key", c.line(key+"/rotate", "update"), func(ctx context.Context) error {
			_, err := v.RotateKey(ctx, scratch.Tenant)
			return err
		}},
		{"re-wrapping a data key", c.line("transit/rewrap/tokenkeep-*", "update"), func(ctx context.Context) error {
			_, err := v.RewrapDataKeys(ctx, scratch.Tenant, []vault.WrappedKey{data.Wrapped})
			return err
		}},
		{"raising a key's minimum version", c.line(key+"/config", "update") + "\n    " + c.line(key+"/trim", "update"), func(ctx context.Context) error {
			return v.SetMinVersion(ctx, scratch.Tenant, 2)
		}},
		{"destroying a tenant's key", c.line(key, "create", "read", "update", "delete"), func(ctx context.Context) error { return v.DestroyKey(ctx, scratch.Tenant) }},
	}
}

// writeScratch seals and writes something that is no token.
func writeScratch(ctx context.Context, v vault.Vault, data vault.DataKey, at vault.Ref) error {
	record, err := vault.SealRecord(data, at, vault.Header{Generation: 1, Attempt: id.New(), Origin: "doctor"}, secret.NewBytes([]byte("doctor")))
	if err != nil {
		return err
	}
	_, err = v.WriteRecord(ctx, at, record, 0)
	return err
}
