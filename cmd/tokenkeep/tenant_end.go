package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

type tenantRotateKeyCmd struct {
	adminSettings
	Tenant   string `arg:"" optional:"" placeholder:"ten_..." help:"The tenant's id."`
	Operator bool   `help:"The operator's key instead, under which the secrets of shared apps are sealed."`
	Wait     bool   `help:"Wait until the older versions are unusable, and do the work where no service does; a minute at least."`
}

// Help is what --help says beside the flags.
func (tenantRotateKeyCmd) Help() string {
	return adminHelp + `

New secrets are sealed under the new version at once. What is sealed already is re-wrapped by the running service; "tokenkeep
tenant list --json" shows how far that is. The older versions are made unusable when nothing is left under them.`
}

// Run rotates the key.
func (c *tenantRotateKeyCmd) Run(t *terminal, sig signals) error {
	u, err := c.whose()
	if err != nil {
		return err
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		version, err := c.rotate(ctx, s, u)
		if err != nil {
			return err
		}
		if c.Wait {
			if err := waitForRewrap(ctx, s, u); err != nil {
				return err
			}
		}
		if c.JSON {
			return printJSON(t.out, map[string]any{"tenant": id.Tenant.Format(u), "keyVersion": version, "done": c.Wait})
		}
		what := "is re-wrapped in the background"
		if c.Wait {
			what = "is re-wrapped, and the older versions are unusable"
		}
		_, err = fmt.Fprintf(t.out, "the key is at version %d; what was sealed before %s\n", version, what)
		return err
	})
}

// whose is the tenant that was named, or the operator.
func (c *tenantRotateKeyCmd) whose() (uuid.UUID, error) {
	switch {
	case c.Operator && c.Tenant != "":
		return uuid.Nil, errors.New("the key is a tenant's or the operator's: give an id or --operator, not both")
	case c.Operator:
		return tenant.Operator, nil
	case c.Tenant == "":
		return uuid.Nil, errors.New("whose key is it? Give a tenant's id, or --operator for the key of shared apps")
	default:
		return parseID("tenant", id.Tenant, c.Tenant)
	}
}

func (c *tenantRotateKeyCmd) rotate(ctx context.Context, s *service, u uuid.UUID) (int, error) {
	if !c.Operator {
		row, err := s.tenancy.RotateKey(ctx, u)
		if err != nil {
			return 0, err
		}
		return row.KeyVersion, nil
	}
	if err := s.tenancy.RotateOperatorKey(ctx); err != nil {
		return 0, err
	}
	info, err := s.vault.KeyInfo(ctx, u)
	if err != nil {
		return 0, fmt.Errorf("reading the key's version: %w", err)
	}
	return info.Latest, nil
}

// waitForRewrap does rounds of re-wrapping, taking turns with a service that does too, until this one is over.
func waitForRewrap(ctx context.Context, s *service, u uuid.UUID) error {
	for {
		did, err := s.rewrapper.RunOnce(ctx)
		if err != nil {
			return err
		}
		p, err := rewrap.Of(ctx, s.db, u)
		if err != nil {
			return err
		}
		if p == nil || p.FinishedAt != nil {
			return nil
		}
		rest := s.rewrapper.Pause
		if did.Rounds == 0 {
			rest = time.Second
		}
		if err := sleep(ctx, rest); err != nil {
			return fmt.Errorf("waiting for the re-wrap, which the service goes on with: %w", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type tenantDeleteCmd struct {
	adminSettings
	Tenant      string `arg:"" placeholder:"ten_..." help:"The tenant's id."`
	Immediately bool   `help:"Destroy the key without revoking anything: the grants live on at the providers."`
	Yes         bool   `help:"Do not ask."`
}

// Help is what --help says beside the flags.
func (tenantDeleteCmd) Help() string {
	return adminHelp + `

The tenant's API keys stop at once. The rest is done by the running service: it revokes the grants at the providers, for
ten minutes at most, then destroys the tenant's key, after which nothing of the tenant can be opened, in backups neither,
and deletes its rows. The operator's audit trail keeps how many grants were left unrevoked.`
}

// Run deletes the tenant.
func (c *tenantDeleteCmd) Run(t *terminal, sig signals) error {
	u, err := parseID("tenant", id.Tenant, c.Tenant)
	if err != nil {
		return err
	}
	if err := c.confirm(t); err != nil {
		return err
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		if err := s.tenancy.DeleteTenant(ctx, u, c.Immediately); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(t.out, map[string]string{"deleted": id.Tenant.Format(u)})
		}
		_, err := fmt.Fprintf(t.out, "%s is suspended; the service deletes the rest\n", id.Tenant.Format(u))
		return err
	})
}

// confirm lets somebody type the tenant's id again.
func (c *tenantDeleteCmd) confirm(t *terminal) error {
	if c.Yes {
		return nil
	}
	if _, err := fmt.Fprintf(t.err, "Everything of %s is destroyed for good. Type its id to go on: ", c.Tenant); err != nil {
		return err
	}
	line, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && line == "" || strings.TrimSpace(line) != c.Tenant {
		return errors.New("nothing was deleted: the id was not typed; --yes leaves the question out")
	}
	return nil
}
