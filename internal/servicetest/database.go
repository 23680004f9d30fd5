package servicetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/database"
)

// migratedSQLite is the content of a migrated, closed SQLite file.
var migratedSQLite = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "tklite")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "template.db")
	if err := migrate(context.Background(), "sqlite://"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// SQLite returns the URL of a new, migrated SQLite database in the test's folder.
func SQLite(t testing.TB) string {
	t.Helper()
	content, err := migratedSQLite()
	if err != nil {
		t.Fatalf("migrating SQLite: %v", err)
	}
	path := filepath.Join(t.TempDir(), "tokenkeep.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + path
}

// EmptySQLite returns the URL of an SQLite database that does not exist yet.
func EmptySQLite(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "tokenkeep.db")
}

// EachDatabase runs f as subtests "sqlite" and "postgres", each with a new, migrated database.
func EachDatabase(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// EachStore runs f on each database with each vault: "sqlite", "postgres" with an embedded one, "sqlite on Vault" and
// "postgres on Vault" with a real server, which all tests of the binary share.
func EachStore(t *testing.T, f func(t *testing.T, url string, o Options)) {
	t.Helper()
	EachDatabase(t, func(t *testing.T, url string) { f(t, url, Options{}) })
	t.Run("sqlite on Vault", func(t *testing.T) { f(t, SQLite(t), SharedVault(t).Rest()) })
	t.Run("postgres on Vault", func(t *testing.T) { f(t, Postgres(t), SharedVault(t).Rest()) })
}

// EachEmptyDatabase is EachDatabase with databases that have no tables.
func EachEmptyDatabase(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, EmptySQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, EmptyPostgres(t)) })
}

// OpenDatabase opens a database for the length of the test and migrates it where it is not.
func OpenDatabase(t testing.TB, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}
