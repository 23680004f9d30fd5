package database_test

import (
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"text/template"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	atlasschema "ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"ariga.io/atlas/sql/sqltool"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/migrate"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

var (
	write = flag.String("write", "", "write the migration that is missing, under this name")
	fresh = flag.Bool("fresh", false, "with -write: remove all migrations first")
)

// content of a migration: what goose reads, and no way back, which nobody should take with data in the tables.
const content = `-- +goose Up
{{ range .Changes }}{{ with .Comment }}-- {{ println . }}{{ end }}{{ printf "%s;\n" .Cmd }}{{ end }}`

// TestMigrationsMatchSchema fails when the migrations do not lead to what ent/schema describes, on either database. To
// write the next migration, on both:
//
//	go test ./internal/database -run TestMigrationsMatchSchema -write what_changes
//
// and to begin anew, as long as no release has the old ones, with: -write init -fresh
func TestMigrationsMatchSchema(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		pool, err := sql.Open("sqlite3", "file:"+uuid.NewString()+"?mode=memory&cache=shared&_fk=1")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = pool.Close() }()
		compare(t, "sqlite", entsql.OpenDB(dialect.SQLite, pool))
	})
	t.Run("postgres", func(t *testing.T) {
		pool, err := sql.Open("pgx", servicetest.EmptyPostgres(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = pool.Close() }()
		compare(t, "postgres", entsql.OpenDB(dialect.Postgres, pool))
	})
}

// compare replays the migrations of a folder on an empty database and asks ent what is missing.
func compare(t *testing.T, name string, drv dialect.Driver) {
	t.Helper()
	folder := filepath.Join("migrations", name)
	if *fresh && *write != "" {
		for _, old := range sqlFiles(t, folder) {
			remove(t, old)
		}
	}
	number := fmt.Sprintf("%04d", len(sqlFiles(t, folder))+1)
	dir := replayable(t, folder)
	err := migrate.NewSchema(drv).NamedDiff(t.Context(), *write,
		schema.WithDir(dir), schema.WithFormatter(numbered(t, number)), schema.WithMigrationMode(schema.ModeReplay),
		schema.WithDropColumn(true), schema.WithDropIndex(true), schema.WithErrNoPlan(true))
	if errors.Is(err, atlas.ErrNoPlan) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range sqlFiles(t, dir.Path()) {
		if filepath.Base(made)[:len(number)] != number {
			continue
		}
		text := read(t, made)
		if *write == "" {
			t.Fatalf("the schema needs a migration of %s; see the comment of this test:\n%s", name, text)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(made)), append(bytes.TrimRight(text, "\n"), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// replayable copies the migrations to where ent may keep its checksums and what it writes.
func replayable(t *testing.T, folder string) *sqltool.GooseDir {
	t.Helper()
	copied := t.TempDir()
	for _, path := range sqlFiles(t, folder) {
		if err := os.WriteFile(filepath.Join(copied, filepath.Base(path)), read(t, path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := sqltool.NewGooseDir(copied)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := dir.Checksum()
	if err != nil {
		t.Fatal(err)
	}
	if err := atlas.WriteSumFile(dir, sum); err != nil {
		t.Fatal(err)
	}
	return dir
}

// numbered writes migrations named by a number.
func numbered(t *testing.T, number string) atlas.Formatter {
	t.Helper()
	f, err := atlas.NewTemplateFormatter(
		template.Must(template.New("").Parse(number+"_{{ with .Name }}{{ . }}{{ else }}missing{{ end }}.sql")),
		template.Must(template.New("").Parse(content)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sqlFiles(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestMigratedMatchesSchema compares a database that Migrate made with one that ent made.
func TestMigratedMatchesSchema(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		compareMade(t, servicetest.EmptySQLite(t), servicetest.EmptySQLite(t), "main", func(pool *sql.DB) (atlas.Driver, error) { return sqlite.Open(pool) })
	})
	t.Run("postgres", func(t *testing.T) {
		compareMade(t, servicetest.EmptyPostgres(t), servicetest.EmptyPostgres(t), "public", func(pool *sql.DB) (atlas.Driver, error) { return postgres.Open(pool) })
	})
}

// compareMade compares the tables of two databases that were made in the two ways.
func compareMade(t *testing.T, migratedURL, createdURL, name string, open func(*sql.DB) (atlas.Driver, error)) {
	t.Helper()
	created := openAsIs(t, createdURL)
	if err := migrate.NewSchema(entsql.OpenDB(created.Dialect, created.SQL())).Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := inspect(t, servicetest.OpenDatabase(t, migratedURL), name, open)
	want, drv := inspect(t, created, name, open)
	changes, err := drv.SchemaDiff(got, want)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) > 0 {
		t.Errorf("ent would still change %d things: %+v", len(changes), changes)
	}
	if len(want.Tables) != len(migrate.Tables) {
		t.Errorf("got %d tables, want %d: the comparison is empty", len(want.Tables), len(migrate.Tables))
	}
}

// inspect reads the tables of a database, but for the one that notes the migrations.
func inspect(t *testing.T, db *database.DB, name string, open func(*sql.DB) (atlas.Driver, error)) (*atlasschema.Schema, atlas.Driver) {
	t.Helper()
	drv, err := open(db.SQL())
	if err != nil {
		t.Fatal(err)
	}
	s, err := drv.InspectSchema(t.Context(), name, &atlasschema.InspectOptions{Exclude: []string{"goose_db_version*", "sqlite_sequence"}})
	if err != nil {
		t.Fatal(err)
	}
	return s, drv
}

// openAsIs opens a database and leaves its schema alone.
func openAsIs(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
