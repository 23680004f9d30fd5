package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"entgo.io/ent/dialect"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrations are the numbered files that make the schema, one folder for each database. The test
// TestMigrationsMatchSchema writes new ones: see its comment.
//
//go:embed migrations/*/*.sql
var migrations embed.FS

// versionTable is where goose notes what it has applied.
const versionTable = "goose_db_version"

// lockSeconds is how long a migration waits for another process that migrates the same database.
const lockSeconds = 300

// Migrate applies the migrations that are missing, each in a transaction, and returns their names. It is safe when several
// processes start at once: one migrates, the others wait and find nothing left to do.
func (db *DB) Migrate(ctx context.Context) (applied []string, err error) {
	pending, err := db.Pending(ctx)
	switch {
	case err != nil || len(pending) == 0:
		return nil, err
	case db.Dialect == dialect.Postgres:
		applied, err = db.migratePostgres(ctx)
	default:
		applied, err = db.migrateSQLite(ctx)
	}
	if err != nil {
		return applied, fmt.Errorf("migrating the database: %w", err)
	}
	return applied, nil
}

// migratePostgres migrates under an advisory lock.
func (db *DB) migratePostgres(ctx context.Context) ([]string, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockSeconds))
	if err != nil {
		return nil, err
	}
	return db.up(ctx, db.writer, goose.DialectPostgres, goose.WithSessionLocker(locker))
}

// migrateSQLite migrates over a connection of its own, on which foreign keys are off: a migration that rebuilds a table
// drops the old one, and with foreign keys on that would delete what points to it. They are checked afterwards.
//
// SQLite has no lock to hold across transactions. But each migration is one immediate transaction, so of two processes
// one applies it and the other fails without a trace; that one looks again for what is left.
func (db *DB) migrateSQLite(ctx context.Context) (applied []string, err error) {
	pool, err := sqlitePool(db.path, sqliteMigrator, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	for {
		before, err := db.Pending(ctx)
		if err != nil || len(before) == 0 {
			return applied, err
		}
		names, err := db.up(ctx, pool, goose.DialectSQLite3)
		applied = append(applied, names...)
		if err == nil {
			return applied, checkForeignKeys(ctx, pool)
		}
		if after, e := db.Pending(ctx); e != nil || len(after) == len(before) {
			return applied, errors.Join(err, e)
		}
	}
}

// checkForeignKeys fails where a row points to none.
func checkForeignKeys(ctx context.Context, pool *sql.DB) error {
	var table string
	err := pool.QueryRowContext(ctx, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`).Scan(&table)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("checking foreign keys: %w", err)
	}
	return fmt.Errorf("after migrating, rows of %s point to rows that do not exist", table)
}

// up applies what is missing.
func (db *DB) up(ctx context.Context, pool *sql.DB, d goose.Dialect, o ...goose.ProviderOption) ([]string, error) {
	files, err := db.files()
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(d, pool, files, append(o, goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))...)
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		results = partial.Applied
	}
	var applied []string
	for _, r := range results {
		applied = append(applied, path.Base(r.Source.Path))
		db.log.InfoContext(ctx, "migrated the database", "migration", path.Base(r.Source.Path), "duration", r.Duration)
	}
	return applied, err
}

// files is the folder of this database's migrations.
func (db *DB) files() (fs.FS, error) {
	folder := "sqlite"
	if db.Dialect == dialect.Postgres {
		folder = "postgres"
	}
	return fs.Sub(migrations, "migrations/"+folder)
}

// Pending returns the names of the migrations that are missing; none means that the schema is up to date. It writes
// nothing.
func (db *DB) Pending(ctx context.Context) ([]string, error) {
	files, err := db.files()
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	done, err := db.versions(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading which migrations the database has: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		v, err := goose.NumericComponent(name)
		return err == nil && slices.Contains(done, v)
	}), nil
}

// versions returns the numbers of the applied migrations.
func (db *DB) versions(ctx context.Context) ([]int64, error) {
	exists := "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1)"
	if db.Dialect == dialect.Postgres {
		exists = "SELECT to_regclass($1) IS NOT NULL"
	}
	var found bool
	if err := db.writer.QueryRowContext(ctx, exists, versionTable).Scan(&found); err != nil || !found {
		return nil, err
	}
	rows, err := db.writer.QueryContext(ctx, "SELECT version_id FROM "+versionTable+" WHERE is_applied")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var done []int64
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		done = append(done, v)
	}
	return done, rows.Err()
}
