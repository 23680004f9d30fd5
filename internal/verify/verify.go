// Package verify compares what the database and the vault hold, both ways, and mends what may be mended after a restore.
//
// Mechanism: tenant by tenant, in batches in the order of ids, rows are held against records and records against rows;
// escrows, parked answers, revocation jobs, tombstones and indexed metadata are looked at as well. What looks wrong is
// looked at again under the grant's lock, so that a service that runs beside never shows up as a fault; a repair happens
// under that lock, and looks again inside its transaction. What to call a finding is a pure function (diagnose.go).
//
// Reason: database and vault are backed up and restored apart from one another, and after a restore each may know of
// token sets that the other does not.
//
// Limit: nothing is spent, so a token that was rotated after a backup is found only by its generation. Records of a
// tenant whose row is gone are not found: the vault lists by tenant. What a row alone knew (subject, metadata,
// capabilities) does not come back with it.
package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// batch is how many rows or records are held in memory.
const batch = 200

// passing is how long a state may last that the service ends by itself.
const passing = time.Minute

// Options configure a Verifier.
type Options struct {
	DB          *database.DB
	Vault       vault.Vault
	Connections *connection.Service
	// Repair mends what may be mended; false only looks.
	Repair bool
	// Report gets each finding as it is made; an error ends the run. Nil drops them.
	Report func(Finding) error
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Summary counts what a run looked at and what it found.
type Summary struct {
	Tenants     int `json:"tenants"`
	Connections int `json:"connections"`
	Records     int `json:"records"`
	Findings    int `json:"findings"`
	// Repaired are those of the findings that were mended.
	Repaired int `json:"repaired"`
}

// Left is how many findings remain.
func (s Summary) Left() int { return s.Findings - s.Repaired }

// Verifier is one run; it is not for concurrent use.
type Verifier struct {
	Options
	keeper  *grant.Keeper
	summary Summary
}

// New returns a Verifier.
func New(o Options) *Verifier {
	if o.Report == nil {
		o.Report = func(Finding) error { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{Options: o, keeper: o.Connections.Keeper()}
}

// Run verifies one tenant, or all of them where only is uuid.Nil. The caller is an operator who acts in no tenant.
// Errors: FORBIDDEN, UNAUTHENTICATED, NOT_FOUND (no such tenant), VAULT_UNAVAILABLE; what was mended until then is mended.
func (v *Verifier) Run(ctx context.Context, only uuid.UUID) (Summary, error) {
	switch viewer := tenant.FromContext(ctx); {
	case viewer == nil:
		return Summary{}, errs.New(errs.Unauthenticated, "nobody is signed in")
	case !viewer.IsOperator || viewer.Tenant != uuid.Nil:
		return Summary{}, errs.New(errs.Forbidden, "only an operator may verify")
	}
	if only != uuid.Nil {
		return v.one(ctx, only)
	}
	for after := uuid.Nil; ; {
		found, err := v.DB.Ent.Tenant.Query().Where(enttenant.IDGT(after)).Order(enttenant.ByID()).Limit(batch).All(ctx)
		if err != nil {
			return v.summary, fmt.Errorf("listing tenants: %w", err)
		}
		for _, t := range found {
			if err := v.tenant(ctx, t.ID); err != nil {
				return v.summary, err
			}
			after = t.ID
		}
		if len(found) < batch {
			return v.summary, nil
		}
	}
}

func (v *Verifier) one(ctx context.Context, only uuid.UUID) (Summary, error) {
	_, err := v.DB.Ent.Tenant.Get(ctx, only)
	if ent.IsNotFound(err) {
		return Summary{}, errs.New(errs.NotFound, "there is no such tenant")
	}
	if err != nil {
		return Summary{}, fmt.Errorf("reading a tenant: %w", err)
	}
	err = v.tenant(ctx, only)
	return v.summary, err
}

// tenant verifies one. What waits for the vault goes first, so that rows are compared with what is newest.
func (v *Verifier) tenant(ctx context.Context, u uuid.UUID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.summary.Tenants++
	inside := tenant.NewContext(ctx, &tenant.Viewer{Tenant: u, IsOperator: true})
	_, err := v.Vault.KeyInfo(inside, u)
	if errors.Is(err, vault.ErrNoKey) {
		return v.report(inside, Finding{Kind: TenantKeyMissing, Object: id.Tenant.Format(u)})
	}
	if err != nil {
		return fmt.Errorf("reading a tenant's key: %w", err)
	}
	for _, pass := range []func(context.Context) error{
		v.tombstones, v.attempts, v.revocations, v.escrows, v.rows, v.records,
	} {
		if err := pass(inside); err != nil {
			return err
		}
	}
	return nil
}

// found has a finding mended where that is wanted, and reports it.
func (v *Verifier) found(ctx context.Context, f Finding, mend func(context.Context) error) error {
	if v.Repair {
		err := mend(ctx)
		if err != nil && !errors.Is(err, grant.ErrBusy) {
			return fmt.Errorf("repairing %s: %w", f.Object, err)
		}
		f.Repaired = err == nil
	}
	return v.report(ctx, f)
}

// report counts a finding and passes it on.
func (v *Verifier) report(ctx context.Context, f Finding) error {
	f.Tenant = id.Tenant.Format(tenant.FromContext(ctx).Tenant)
	v.summary.Findings++
	if f.Repaired {
		v.summary.Repaired++
	}
	if err := v.Report(f.described()); err != nil {
		return fmt.Errorf("reporting a finding: %w", err)
	}
	return nil
}
