package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	entkey "github.com/tokenkeep/tokenkeep/ent/apikey"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// apikeyCmd is "tokenkeep apikey".
type apikeyCmd struct {
	Create apikeyCreateCmd `cmd:"" help:"Make an API key of a tenant and print it; it is shown nowhere else."`
	List   apikeyListCmd   `cmd:"" help:"List the API keys of a tenant, the oldest first: never the keys themselves."`
	Revoke apikeyRevokeCmd `cmd:"" help:"End an API key, from the next request on."`
}

type apikeyCreateCmd struct {
	adminSettings
	Tenant    string        `placeholder:"ten_..." help:"The tenant."`
	Name      string        `placeholder:"NAME" help:"Name for people."`
	Scope     []string      `placeholder:"SCOPE" help:"CONNECTIONS_READ, CONNECTIONS_WRITE or APPS_WRITE; may be given again, or several with commas."`
	ExpiresIn time.Duration `placeholder:"DURATION" help:"How long the key lives, such as 720h; left out, until it is revoked."`
}

// Help is what --help says beside the flags.
func (apikeyCreateCmd) Help() string {
	return adminHelp + `

An operator cannot give CREDENTIALS_READ or TENANT_ADMIN, for he reads no tenant's credentials: a key with TENANT_ADMIN,
such as the one that came with the tenant, makes such keys with the mutation createAPIKey.`
}

// Run makes the key.
func (c *apikeyCreateCmd) Run(t *terminal, sig signals) error {
	in := tenancy.CreateKeyInput{Name: c.Name}
	for _, scope := range c.Scope {
		in.Scopes = append(in.Scopes, tenant.Scope(strings.ToUpper(scope)))
	}
	if c.ExpiresIn != 0 {
		end := time.Now().Add(c.ExpiresIn)
		in.ExpiresAt = &end
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		ctx, err := s.inside(ctx, c.Tenant)
		if err != nil {
			return err
		}
		made, text, err := s.tenancy.CreateKey(ctx, in)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(t.out, map[string]string{"key": id.Key.Format(made.ID), "apiKey": text.Reveal()})
		}
		_, err = fmt.Fprintf(t.out, "key      %s\nAPI key  %s\n\nIt is shown this once.\n", id.Key.Format(made.ID), text.Reveal())
		return err
	})
}

type apikeyListCmd struct {
	adminSettings
	Tenant string `placeholder:"ten_..." help:"The tenant."`
}

// Help is what --help says beside the flags.
func (apikeyListCmd) Help() string { return adminHelp }

// Run lists the keys.
func (c *apikeyListCmd) Run(t *terminal, sig signals) error {
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		ctx, err := s.inside(ctx, c.Tenant)
		if err != nil {
			return err
		}
		found, err := s.db.Ent.APIKey.Query().Order(entkey.ByID()).All(ctx)
		if err != nil {
			return fmt.Errorf("listing API keys: %w", err)
		}
		for _, one := range found {
			if err := c.line(t, one); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *apikeyListCmd) line(t *terminal, one *ent.APIKey) error {
	if c.JSON {
		return printJSON(t.out, map[string]any{
			"key": id.Key.Format(one.ID), "prefix": one.Prefix, "name": one.Name, "scopes": one.Scopes, "createdAt": one.CreatedAt,
			"expiresAt": one.ExpiresAt, "lastUsedAt": one.LastUsedAt, "revokedAt": one.RevokedAt,
		})
	}
	_, err := fmt.Fprintf(t.out, "%s  %s...  %s  %-8s  %s  %s\n", id.Key.Format(one.ID), one.Prefix, stamp(one.CreatedAt), condition(one), one.Name, strings.Join(one.Scopes, ","))
	return err
}

// condition is whether a key opens anything.
func condition(k *ent.APIKey) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked"
	case k.ExpiresAt != nil && !time.Now().Before(*k.ExpiresAt):
		return "expired"
	default:
		return "valid"
	}
}

type apikeyRevokeCmd struct {
	adminSettings
	Tenant string `placeholder:"ten_..." help:"The tenant."`
	Key    string `arg:"" placeholder:"key_..." help:"The key's id."`
}

// Help is what --help says beside the flags.
func (apikeyRevokeCmd) Help() string { return adminHelp }

// Run ends the key.
func (c *apikeyRevokeCmd) Run(t *terminal, sig signals) error {
	u, err := parseID("key", id.Key, c.Key)
	if err != nil {
		return err
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		ctx, err := s.inside(ctx, c.Tenant)
		if err != nil {
			return err
		}
		one, err := s.tenancy.RevokeKey(ctx, u)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(t.out, map[string]any{"key": id.Key.Format(one.ID), "revokedAt": one.RevokedAt})
		}
		_, err = fmt.Fprintf(t.out, "%s is revoked\n", id.Key.Format(one.ID))
		return err
	})
}
