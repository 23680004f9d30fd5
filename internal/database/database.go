// Package database opens SQLite or PostgreSQL, keeps the schema up to date and runs short transactions.
//
// Mechanism: a URL chooses the database, and everything above works on ent alone. SQLite has one connection that writes,
// with immediate transactions and an fsync for each commit, and four that read; a small driver sends each statement to
// where it belongs. PostgreSQL plans every execution anew, since a generic plan makes a metadata filter thousands of times
// slower. Times are UTC on both, whatever the zone of the machine. The schema comes from numbered SQL files, one folder
// per database, which only ever go forward.
//
// Limits: Tx repeats its function after a conflict, so the function must have no effect but on its transaction; and
// nothing here keeps a transaction short: never call a provider or a vault in one.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/ent"
	_ "github.com/tokenkeep/tokenkeep/ent/runtime" // the rules of ent/rule are silently absent without it
)

// DB is an open database.
type DB struct {
	// Ent is the client for everything outside of transactions.
	Ent *ent.Client
	// Dialect is dialect.SQLite or dialect.Postgres.
	Dialect string

	writer *sql.DB
	// readers is nil on PostgreSQL, whose connections do both.
	readers *sql.DB
	// together is nil on SQLite.
	together *together
	// path is SQLite's file.
	path    string
	log     *slog.Logger
	signals *signals
}

// Options are what Open needs beside the URL. The zero value works.
type Options struct {
	// Logger gets retries and migrations; nil discards.
	Logger *slog.Logger
	// MaxConns is the most connections to PostgreSQL, beside two that look up callers and one that listens; zero means 20. SQLite always has one writer and four readers.
	MaxConns int
}

// Open opens the database of a URL: "sqlite:///absolute/path.db", "sqlite://relative.db" or "postgres://...". It reaches the
// database and leaves the schema alone: see Migrate and Pending. Errors: ErrURL, ErrUnreachable.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	scheme, rest, _ := strings.Cut(url, "://")
	var db *DB
	var err error
	switch scheme {
	case "sqlite":
		db, err = openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, url, o)
	default:
		err = fmt.Errorf("%w: it must begin with sqlite:// or postgres:// (sqlite:///var/lib/tokenkeep/tokenkeep.db, postgres://user@host/database)", ErrURL)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return db, nil
}

// Ping asks every part of the database for an answer. Errors: ErrUnreachable.
func (db *DB) Ping(ctx context.Context) error {
	err := db.writer.PingContext(ctx)
	if err == nil && db.readers != nil {
		err = db.readers.PingContext(ctx)
	}
	if err == nil && db.together != nil {
		err = db.together.pool.PingContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// Close waits for what is running and closes all connections. The writer goes last: it tidies SQLite's log away.
func (db *DB) Close() error {
	db.signals.close()
	var err error
	if db.readers != nil {
		err = db.readers.Close()
	}
	if db.together != nil {
		err = db.together.pool.Close()
	}
	return errors.Join(err, db.writer.Close())
}

// SQL is the connection pool that writes, past ent and its rules: for tests and tools.
func (db *DB) SQL() *sql.DB { return db.writer }

// NowMillis is an SQL expression: the database's clock, in milliseconds since 1970, as a 64-bit integer. Replicas compare
// times by it, never by their own clocks. On PostgreSQL it moves on within a transaction.
func (db *DB) NowMillis() string {
	if db.Dialect == dialect.Postgres {
		return "(extract(epoch from clock_timestamp()) * 1000)::bigint"
	}
	return "CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)"
}
