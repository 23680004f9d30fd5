package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/deletion"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
)

// tenantCmd is "tokenkeep tenant".
type tenantCmd struct {
	Create tenantCreateCmd `cmd:"" help:"Make a tenant, and print its first API key, which holds every scope and is shown nowhere else."`
	List   tenantListCmd   `cmd:"" help:"List all tenants, the oldest first."`

	RotateKey tenantRotateKeyCmd `cmd:"" help:"Give a tenant's key a new version and re-wrap what is sealed, in the background."`
	Delete    tenantDeleteCmd    `cmd:"" help:"Suspend a tenant at once, revoke its grants, and destroy its key and its rows."`
}

type tenantCreateCmd struct {
	adminSettings
	Name     string   `arg:"" help:"Name for people."`
	Metadata []string `placeholder:"KEY=VALUE" sep:"none" help:"A pair of metadata; may be given again."`
}

// Help is what --help says beside the flags.
func (tenantCreateCmd) Help() string { return adminHelp }

// Run makes the tenant.
func (c *tenantCreateCmd) Run(t *terminal, sig signals) error {
	pairs, err := parsePairs("metadata", c.Metadata)
	if err != nil {
		return err
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		made, key, err := s.tenancy.CreateTenant(ctx, c.Name, pairs)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(t.out, map[string]string{"tenant": id.Tenant.Format(made.ID), "apiKey": key.Reveal()})
		}
		_, err = fmt.Fprintf(t.out, "tenant   %s\nAPI key  %s\n\nThe key holds every scope and is shown this once.\n", id.Tenant.Format(made.ID), key.Reveal())
		return err
	})
}

type tenantListCmd struct{ adminSettings }

// Help is what --help says beside the flags.
func (tenantListCmd) Help() string { return adminHelp }

// batch is how many rows a listing reads at once.
const batch = 500

// Run lists in batches, for there may be very many.
func (c *tenantListCmd) Run(t *terminal, sig signals) error {
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		for after := uuid.Nil; ; {
			found, err := s.db.Ent.Tenant.Query().Where(enttenant.IDGT(after)).Order(enttenant.ByID()).Limit(batch).All(ctx)
			if err != nil {
				return fmt.Errorf("listing tenants: %w", err)
			}
			for _, one := range found {
				if err := c.line(ctx, t, s, one); err != nil {
					return err
				}
				after = one.ID
			}
			if len(found) < batch {
				return nil
			}
		}
	})
}

func (c *tenantListCmd) line(ctx context.Context, t *terminal, s *service, one *ent.Tenant) error {
	if !c.JSON {
		_, err := fmt.Fprintf(t.out, "%s  %s  %-9s  key %-3d  %s\n", id.Tenant.Format(one.ID), stamp(one.CreatedAt), one.State, one.KeyVersion, one.Name)
		return err
	}
	rotation, err := rewrap.Of(ctx, s.db, one.ID)
	if err != nil {
		return err
	}
	ending, err := deletion.Of(ctx, s.db, one.ID)
	if err != nil {
		return err
	}
	return printJSON(t.out, map[string]any{
		"tenant": id.Tenant.Format(one.ID), "name": one.Name, "state": one.State, "metadata": one.Metadata, "createdAt": one.CreatedAt,
		"keyVersion": one.KeyVersion, "rotation": rotation, "deletion": ending,
	})
}

// stamp is a time as listings show it.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }
