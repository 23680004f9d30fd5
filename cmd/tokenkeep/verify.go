package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/verify"
)

// verifyCmd is "tokenkeep verify".
type verifyCmd struct {
	appSettings
	Repair bool   `help:"Mend what can be mended, and say so line by line."`
	Tenant string `placeholder:"ten_..." help:"Only this tenant."`

	ConfirmRollback bool `help:"Confirm that there is no newer vault: connections whose tokens were rolled back or lost may end, and their users must connect again. Does nothing else."`
}

// Help is what --help says beside the flags.
func (verifyCmd) Help() string {
	return `Compares what the database and the vault hold, both ways: after one of them was restored from a backup, and whenever in
doubt. Each line is a finding: what is wrong, and what --repair does about it. Exit code 0 where all agrees or was mended,
1 where something is left.

` + adminHelp + `

It may run beside a service: what looks wrong is looked at again under the grant's lock, and mended under it. No token is
spent. After a restore of the vault run it before the service is started again.

While a vault is older than the database, the connections concerned are held: none of them ends before an operator says
--confirm-rollback, or the newer vault is back. That binds --repair, too: where a hold stands, or so many records are missing
that it raises one (TOKENKEEP_HOLD_MINIMUM within TOKENKEEP_HOLD_WINDOW), it ends no connection and says so.`
}

// errFindings ends a run that left something; the lines above it say what.
var errFindings = errors.New("database and vault disagree")

// Run verifies and says what it found.
func (c *verifyCmd) Run(t *terminal, sig signals) error {
	only := uuid.Nil
	if c.Tenant != "" {
		var err error
		if only, err = parseID("tenant", id.Tenant, c.Tenant); err != nil {
			return err
		}
	}
	if c.ConfirmRollback {
		return c.confirm(t, sig)
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		v := verify.New(verify.Options{DB: s.db, Vault: s.vault, Connections: s.connections, Repair: c.Repair,
			Report: func(f verify.Finding) error { return c.line(t, f) }})
		summary, err := v.Run(ctx, only)
		// What a repair has begun is carried through before the stores are closed.
		drained := s.connections.Drain(sig.force)
		if err := errors.Join(err, drained); err != nil {
			return err
		}
		return c.end(t, summary)
	})
}

// confirm ends the hold that a rolled back store raised.
func (c *verifyCmd) confirm(t *terminal, sig signals) error {
	if c.Repair || c.Tenant != "" {
		return errors.New("--confirm-rollback is for the whole fleet and mends nothing by itself: give it alone")
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		h, err := s.holds.ConfirmRollback(ctx)
		if err != nil {
			return err
		}
		return c.printHold(t, h)
	})
}

// line prints a finding.
func (c *verifyCmd) line(t *terminal, f verify.Finding) error {
	if c.JSON {
		return printJSON(t.out, f)
	}
	remedy := f.Remedy
	switch {
	case f.Repaired:
		remedy = "repaired: " + remedy
	case f.Held:
		remedy = "not repaired: " + remedy
	case f.Mendable && c.Repair:
		remedy = "not repaired, it is in use: run verify --repair again"
	case f.Mendable:
		remedy = "with --repair: " + remedy
	}
	generations := ""
	if f.Stored > 0 || f.Row > 0 {
		generations = fmt.Sprintf(" (generation %d stored, %d in the row)", f.Stored, f.Row)
	}
	_, err := fmt.Fprintf(t.out, "%s  %s  %s%s: %s; %s\n", f.Tenant, f.Object, f.Kind, generations, f.Says, remedy)
	return err
}

// end prints the summary and decides the exit code.
func (c *verifyCmd) end(t *terminal, s verify.Summary) error {
	var err error
	if c.JSON {
		err = printJSON(t.out, map[string]verify.Summary{"summary": s})
	} else {
		_, err = fmt.Fprintf(t.out, "%d tenants, %d connections, %d records: %d findings, %d of them repaired\n",
			s.Tenants, s.Connections, s.Records, s.Findings, s.Repaired)
	}
	if err == nil && s.Left() > 0 {
		return fmt.Errorf("%w: %d findings are left", errFindings, s.Left())
	}
	return err
}
