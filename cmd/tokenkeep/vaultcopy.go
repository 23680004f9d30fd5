package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
)

// vaultCopyCmd is "tokenkeep vault copy".
type vaultCopyCmd struct {
	adminSettings
	Prepare  bool          `help:"Make the target ready for a service that knows both vaults; moves nothing."`
	TurnBack bool          `help:"With --prepare: turn an unfinished move round. Stop every process of Tokenkeep first."`
	Verify   bool          `help:"Move nothing; say whether anything is left to move."`
	Pause    time.Duration `hidden:"" default:"60s"`
}

// Help is what --help says beside the flags.
func (vaultCopyCmd) Help() string {
	return `TOKENKEEP_VAULT names the vault that is moved into, TOKENKEEP_VAULT_FROM the other one; each has the settings it always has. The
service goes on all the time:

  1. tokenkeep vault copy --prepare    carries the key of API keys' hashes, and makes the tenants' keys
  2. restart every process of the service with both vaults set
  3. tokenkeep vault copy              moves everything, and verifies
  4. restart every process without TOKENKEEP_VAULT_FROM

It may be ended at any point and run again. A process that knows only the old vault while the copy runs says that the vault is not
available for what has moved; it loses nothing. Exit code 0 says that nothing is left. docs/vault.md tells more.`
}

// Run prepares, moves or verifies.
func (c *vaultCopyCmd) Run(t *terminal, sig signals) error {
	if err := c.check(); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	db, err := c.openMigrated(sig.stop, log)
	if err != nil {
		return err
	}
	v, err := c.openPair(sig.stop, log)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	copier := rewrap.NewCopy(rewrap.CopyOptions{DB: db, Vault: v, Lock: c.Pause, Logger: newLogger(t.err, slog.LevelWarn, "text"),
		Report: func(p rewrap.CopyProgress) { c.progress(t, p) }})
	err = c.work(sig.stop, t, copier)
	if errors.Is(err, vault.ErrDenied) {
		err = fmt.Errorf("%w: the copy logs in with the policies tokenkeep, tokenkeep-keys and tokenkeep-mover of docs/vault.md", err)
	}
	return errors.Join(err, v.Close(), db.Close())
}

func (c *vaultCopyCmd) check() error {
	switch {
	case c.VaultFrom == "":
		return missing("vault-from", "TOKENKEEP_VAULT_FROM", "the vault that is being left, embedded or hashicorp; TOKENKEEP_VAULT is the one that is moved into")
	case c.TurnBack && !c.Prepare:
		return errors.New("--turn-back goes with --prepare: stop every process of Tokenkeep, exchange TOKENKEEP_VAULT and TOKENKEEP_VAULT_FROM, and run tokenkeep vault copy --prepare --turn-back")
	case c.Prepare && c.Verify:
		return errors.New("--prepare and --verify are two steps: leave one of them out")
	default:
		return c.vaultSettings.check()
	}
}

func (c *vaultCopyCmd) work(ctx context.Context, t *terminal, copier *rewrap.Copy) error {
	if c.Prepare {
		if err := copier.Prepare(ctx, c.TurnBack); err != nil {
			return err
		}
		_, err := fmt.Fprintf(t.out, "prepared: restart every process of the service with TOKENKEEP_VAULT=%s and TOKENKEEP_VAULT_FROM=%s, then run tokenkeep vault copy\n", c.Vault, c.VaultFrom)
		return err
	}
	if !c.Verify {
		if _, err := copier.Run(ctx); err != nil {
			return err
		}
	}
	found, err := copier.Verify(ctx, func(f rewrap.CopyFinding) error { return c.line(t, f) })
	if err != nil {
		return err
	}
	return c.end(ctx, t, copier, found)
}

// line prints a finding.
func (c *vaultCopyCmd) line(t *terminal, f rewrap.CopyFinding) error {
	if c.JSON {
		return printJSON(t.out, f)
	}
	_, err := fmt.Fprintf(t.out, "%s  %s  %s\n", f.Tenant, f.Object, f.Says)
	return err
}

// errLeft ends a copy or a verification that found something.
var errLeft = errors.New("the source cannot be left yet")

// end prints the summary, declares a copy that left nothing finished, and says what comes next.
func (c *vaultCopyCmd) end(ctx context.Context, t *terminal, copier *rewrap.Copy, found rewrap.CopyVerified) error {
	var err error
	if c.JSON {
		err = printJSON(t.out, map[string]rewrap.CopyVerified{"summary": found})
	} else {
		_, err = fmt.Fprintf(t.out, "%d tenants, %d connections, %d records in the source, %d values in the database: %d findings, %d dead before\n",
			found.Tenants, found.Connections, found.Slots, found.Values, found.Findings, found.Dead)
	}
	if err != nil {
		return err
	}
	if found.Findings > 0 {
		return fmt.Errorf("%w: %d findings", errLeft, found.Findings)
	}
	if c.Verify {
		return nil
	}
	if err := copier.Finish(ctx); err != nil {
		return err
	}
	if c.JSON {
		return nil
	}
	_, err = fmt.Fprintf(t.out, "everything is in %s: restart every process of the service without TOKENKEEP_VAULT_FROM. %s holds notes only; keep it until that is done\n", c.Vault, c.VaultFrom)
	return err
}

// progress prints how far the copy is, to standard error.
func (*vaultCopyCmd) progress(t *terminal, p rewrap.CopyProgress) {
	text := fmt.Sprintf("pass %d: %d of %d tenants, %d records and %d values moved", p.Pass, p.Tenants, p.All, p.Records, p.Values)
	if p.Waiting {
		text += "; the next pass begins when whatever began before has ended"
	}
	_, _ = fmt.Fprintln(t.err, text)
}

// openPair opens both vaults, whatever they say of themselves. Preparing makes the embedded one where it is moved into.
func (c *vaultCopyCmd) openPair(ctx context.Context, log *slog.Logger) (*moving.Vault, error) {
	if !exists(c.VaultFile) && (c.VaultFrom == "embedded" || !c.Prepare) {
		return nil, fmt.Errorf("there is no vault at %s: correct TOKENKEEP_VAULT_FILE, or begin with tokenkeep vault copy --prepare", c.VaultFile)
	}
	h, err := c.hashicorpSettings.open(ctx, log, false)
	if err != nil {
		return nil, err
	}
	e, err := c.openEmbedded(ctx)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if c.Vault == "embedded" {
		return moving.New(h, e), nil
	}
	return moving.New(e, h), nil
}

// openMoving opens both vaults for a service that is moving from one to the other. Both must be there: which way a move goes is
// asked of them.
func (s vaultSettings) openMoving(ctx context.Context, db *database.DB, log *slog.Logger) (vault.Vault, error) {
	from, err := s.openKind(ctx, s.VaultFrom, db, log, false)
	if err != nil {
		return nil, err
	}
	to, err := s.openKind(ctx, s.Vault, db, log, false)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	v := moving.New(from, to)
	if err := v.Check(ctx); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}
