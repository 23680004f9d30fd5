package database_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/ent/rule"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	tests := []struct {
		name, url string
		want      error
		says      string
	}{
		{"nothing", "", database.ErrURL, "sqlite:// or postgres://"},
		{"another database", "mysql://root@localhost/x", database.ErrURL, "sqlite:// or postgres://"},
		{"a path alone", "/var/lib/tokenkeep.db", database.ErrURL, "sqlite:// or postgres://"},
		{"no path", "sqlite://", database.ErrURL, "path of a file"},
		{"memory", "sqlite://:memory:", database.ErrURL, "path of a file"},
		{"parameters", "sqlite://x.db?_synchronous=OFF", database.ErrURL, "no parameters"},
		{"a folder", "sqlite://" + folder, nil, "creating the file"},
		{"a malformed server", "postgres://user:hunter2@host:port/db", database.ErrURL, "port"},
		{"no server", "postgres://user:hunter2@localhost/db?host=" + folder, database.ErrUnreachable, "check the host, port, user and password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := database.Open(t.Context(), test.url, database.Options{})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, want it to say %q", err, test.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %q, which shows the password", err)
			}
		})
	}
}

// TestSQLiteSettings looks at what SQLite really does: a setting that it does not know, it ignores.
func TestSQLiteSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "ärger %20.db")
	db := servicetest.OpenDatabase(t, "sqlite://"+path)
	for pragma, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000", "query_only": "0",
	} {
		var got string
		if err := db.SQL().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("the writer's %s: got %q, %v, want %q", pragma, got, err, want)
		}
	}
	for _, pragma := range []string{"synchronous", "foreign_keys", "query_only"} {
		// The table-valued form is a SELECT, so it goes to a reader.
		if got, want := scanOne[int](t, db, "SELECT * FROM pragma_"+pragma), map[string]int{"synchronous": 2, "foreign_keys": 1, "query_only": 1}[pragma]; got != want {
			t.Errorf("a reader's %s: got %d, want %d", pragma, got, want)
		}
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("the mode of %s: got %o, want %o", filepath.Base(name), got, want)
		}
	}
}

func TestSQLiteTightensItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "open.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	openAsIs(t, "sqlite://"+path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 600", info.Mode(), err)
	}
}

func TestPostgresSettings(t *testing.T) {
	db := openAsIs(t, servicetest.EmptyPostgres(t)+"&timezone=Asia/Tokyo")
	for setting, want := range map[string]string{"timezone": "UTC", "plan_cache_mode": "force_custom_plan", "application_name": "tokenkeep"} {
		if got := scanOne[string](t, db, "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
}

func TestPoolIsBounded(t *testing.T) {
	url := servicetest.EmptyPostgres(t)
	for _, test := range []struct{ set, want int }{{0, 20}, {3, 3}} {
		db, err := database.Open(t.Context(), url, database.Options{MaxConns: test.set})
		if err != nil {
			t.Fatal(err)
		}
		if got := db.SQL().Stats().MaxOpenConnections; got != test.want {
			t.Errorf("MaxConns %d: got %d, want %d", test.set, got, test.want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRulesAreActive(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		if _, err := db.Ent.Connection.Query().Count(t.Context()); !errors.Is(err, rule.ErrNoViewer) {
			t.Errorf("reading as nobody: got %v, want %v", err, rule.ErrNoViewer)
		}
		if _, err := db.Ent.Tenant.Delete().Exec(t.Context()); !errors.Is(err, rule.ErrNoViewer) {
			t.Errorf("deleting as nobody: got %v, want %v", err, rule.ErrNoViewer)
		}
	})
}

func TestNowMillis(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		before := time.Now().UnixMilli()
		got := scanOne[int64](t, db, "SELECT "+db.NowMillis())
		// The same machine's clock; a millisecond for rounding.
		if after := time.Now().UnixMilli(); got < before-1 || got > after+1 {
			t.Errorf("got %d, want between %d and %d", got, before, after)
		}
	})
}

func TestPingAfterClose(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url, database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: dialect.SQLite, false: dialect.Postgres}[strings.HasPrefix(url, "sqlite")]; db.Dialect != want {
			t.Errorf("dialect: got %s, want %s", db.Dialect, want)
		}
		if err := errors.Join(db.Ping(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(t.Context()); !errors.Is(err, database.ErrUnreachable) {
			t.Errorf("got %v, want %v", err, database.ErrUnreachable)
		}
	})
}

// scanOne runs a query through ent's client, where statements are routed, and returns its one value.
func scanOne[T any](t *testing.T, db *database.DB, query string, args ...any) T {
	t.Helper()
	v, err := tryScan[T](t.Context(), db, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func tryScan[T any](ctx context.Context, db *database.DB, query string, args ...any) (v T, err error) {
	rows, err := db.Ent.QueryContext(ctx, query, args...)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return v, errors.Join(rows.Err(), errors.New("no row"))
	}
	return v, rows.Scan(&v)
}
