package embedded

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"

	"github.com/mattn/go-sqlite3"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

const (
	pageSize = 4096
	// format is the version of the schema below.
	format = 1
)

// schema: meta holds the file's own secrets, state the number of the last commit and the sum over all rows.
// A keyset or a record that is NULL was destroyed on purpose. The MACs come before the long columns, so that summing
// them up does not read those.
const schema = `
CREATE TABLE meta (
	id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, root_check BLOB NOT NULL, secrets BLOB NOT NULL
);
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, sum BLOB NOT NULL, mac BLOB NOT NULL);
CREATE TABLE keysets (
	tenant BLOB PRIMARY KEY, mac BLOB NOT NULL, latest INTEGER NOT NULL, min INTEGER NOT NULL, keyset BLOB
) WITHOUT ROWID;
CREATE TABLE records (
	tenant BLOB NOT NULL, connection BLOB NOT NULL, mac BLOB NOT NULL, cas INTEGER NOT NULL, record BLOB,
	PRIMARY KEY (tenant, connection)
) WITHOUT ROWID;
`

// connector opens connections to one file without registering a driver.
type connector struct{ dsn string }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return &sqlite3.SQLiteDriver{} }

// openPools returns the one writer and the readers; connections are made when they are first used.
func openPools(path string, maxBytes int64) (writer, readers *sql.DB) {
	common := "_busy_timeout=5000&_stmt_cache_size=32"
	writer = sql.OpenDB(limited{connector{dsn(path, common+"&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_secure_delete=on")}, maxBytes})
	writer.SetMaxOpenConns(1)
	readers = sql.OpenDB(connector{dsn(path, common+"&_query_only=1")})
	readers.SetMaxOpenConns(4)
	readers.SetMaxIdleConns(4)
	return writer, readers
}

func dsn(path, query string) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String()
}

// checkDurable makes sure that SQLite took the settings on which durability rests: it drops WAL without an error where
// the file system cannot share memory. Errors: vault.ErrUnavailable.
func (v *Vault) checkDurable(ctx context.Context) error {
	var journal string
	var synchronous int
	err := v.writer.QueryRowContext(ctx, `SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous`).
		Scan(&journal, &synchronous)
	if err != nil {
		return storeError(err)
	}
	if journal != "wal" || synchronous != 2 {
		return fmt.Errorf("%w: this file system allows journal mode %q and synchronous %d only; put the vault on a local disk", vault.ErrUnavailable, journal, synchronous)
	}
	return nil
}

// limited bounds the file on every connection it makes.
type limited struct {
	connector
	maxBytes int64
}

func (l limited) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := l.connector.Connect(ctx)
	if err != nil || l.maxBytes == 0 {
		return c, err
	}
	_, err = c.(*sqlite3.SQLiteConn).Exec(fmt.Sprintf("PRAGMA max_page_count = %d", max(1, l.maxBytes/pageSize)), nil)
	return c, err
}
