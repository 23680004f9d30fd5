package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"entgo.io/ent/dialect"
	_ "github.com/mattn/go-sqlite3" // registers "sqlite3"

	"github.com/tokenkeep/tokenkeep/ent"
)

// readerCount is how many connections read from SQLite at once.
const readerCount = 4

// Settings of a connection to SQLite. FULL makes each commit durable: with NORMAL the last ones may go at a loss of power,
// and one of them may be where a rotated refresh token lies.
const (
	sqliteCommon   = "_busy_timeout=5000&_synchronous=FULL&_stmt_cache_size=64&_loc=UTC"
	sqliteWriter   = sqliteCommon + "&_foreign_keys=on&_journal_mode=WAL&_txlock=immediate"
	sqliteReader   = sqliteCommon + "&_foreign_keys=on&_query_only=on&_txlock=deferred"
	sqliteMigrator = sqliteCommon + "&_foreign_keys=off&_journal_mode=WAL&_txlock=immediate"
)

// openSQLite opens the file, which it creates where there is none.
func openSQLite(ctx context.Context, path string, o Options) (*DB, error) {
	if path == "" || strings.ContainsAny(path, "?#") || strings.HasPrefix(path, ":") {
		return nil, fmt.Errorf("%w: sqlite:// takes the path of a file and no parameters (sqlite:///var/lib/tokenkeep/tokenkeep.db)", ErrURL)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	db := &DB{Dialect: dialect.SQLite, path: path, log: o.Logger, signals: newSignals(nil, nil, o.Logger)}
	if db.writer, err = sqlitePool(path, sqliteWriter, 1); err != nil {
		return nil, err
	}
	if db.readers, err = sqlitePool(path, sqliteReader, readerCount); err != nil {
		return nil, errors.Join(err, db.writer.Close())
	}
	// Two processes that open a new file at once may get in each other's way; SQLite does not wait there by itself.
	if err := retry(ctx, db.log, func() error { return db.Ping(ctx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (%s)", err, path), db.Close())
	}
	db.Ent = ent.NewClient(ent.Driver(&router{writer: db.writer, readers: db.readers}))
	return db, nil
}

// sqlitePool makes a pool of connections with the same settings; they stay open.
func sqlitePool(path, settings string, size int) (*sql.DB, error) {
	file := url.URL{Path: filepath.ToSlash(path)}
	pool, err := sql.Open("sqlite3", "file:"+file.EscapedPath()+"?"+settings)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// createPrivate sees to it that the file exists and only its owner reads it. SQLite gives its log the same mode.
func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("creating the file: %w", err)
	}
	info, err := f.Stat()
	// Closed before SQLite opens it: a later close would drop SQLite's locks on the file.
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if info.Mode().Perm()&fs.FileMode(0o077) == 0 {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("others can read the file, and it is not ours to change that: %w", err)
	}
	return nil
}
