package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tokenkeep/tokenkeep/internal/database"
)

// migrateCmd is "tokenkeep migrate".
type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply the migrations that are missing. Safe to run from several machines at once."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations that are missing; exit code 1 where there are any."`
}

type migrateUpCmd struct{ databaseSettings }

// Run migrates.
func (c *migrateUpCmd) Run(t *terminal, sig signals) error {
	return withDatabase(sig.stop, c.databaseSettings.open, func(ctx context.Context, db *database.DB) error {
		applied, err := db.Migrate(ctx)
		for _, name := range applied {
			if _, err := fmt.Fprintln(t.out, "applied", name); err != nil {
				return err
			}
		}
		if err == nil && len(applied) == 0 {
			_, err = fmt.Fprintln(t.out, "the database is up to date")
		}
		return err
	})
}

type migrateStatusCmd struct{ databaseSettings }

// Run changes nothing.
func (c *migrateStatusCmd) Run(t *terminal, sig signals) error {
	return withDatabase(sig.stop, c.openExisting, func(ctx context.Context, db *database.DB) error {
		pending, err := db.Pending(ctx)
		if err != nil {
			return err
		}
		for _, name := range pending {
			if _, err := fmt.Fprintln(t.out, "missing", name); err != nil {
				return err
			}
		}
		if len(pending) > 0 {
			return migrated(ctx, db)
		}
		_, err = fmt.Fprintln(t.out, "the database is up to date")
		return err
	})
}

// withDatabase opens a database, whatever its schema, for f.
func withDatabase(
	ctx context.Context, open func(context.Context, *slog.Logger) (*database.DB, error), f func(context.Context, *database.DB) error,
) error {
	db, err := open(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, db), db.Close())
}
