package database_test

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestMigrate(t *testing.T) {
	servicetest.EachEmptyDatabase(t, func(t *testing.T, url string) {
		db := openAsIs(t, url)
		pending, err := db.Pending(t.Context())
		if err != nil || len(pending) == 0 || pending[0] != "0001_init.sql" {
			t.Fatalf("pending on an empty database: got %v, %v", pending, err)
		}
		if tables := scanOne[int](t, db, countTables(url)); tables != 0 {
			t.Errorf("asking what is pending made %d tables", tables)
		}
		applied, err := db.Migrate(t.Context())
		if err != nil || strings.Join(applied, " ") != strings.Join(pending, " ") {
			t.Fatalf("migrating: got %v, %v, want %v", applied, err, pending)
		}
		if again, err := db.Migrate(t.Context()); err != nil || len(again) != 0 {
			t.Errorf("migrating again: got %v, %v", again, err)
		}
		if left, err := db.Pending(t.Context()); err != nil || len(left) != 0 {
			t.Errorf("pending afterwards: got %v, %v", left, err)
		}
	})
}

// countTables is a query for the number of tables in a database.
func countTables(url string) string {
	if strings.HasPrefix(url, "sqlite") {
		return "SELECT count(*) FROM sqlite_master"
	}
	return "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
}

// migrateURL tells TestMigrateInProcess which database to migrate.
const migrateURL = "TOKENKEEP_TEST_MIGRATE_URL"

// TestMigrateInProcess is the other processes of TestMigrateTogether.
func TestMigrateInProcess(t *testing.T) {
	url := os.Getenv(migrateURL)
	if url == "" {
		return
	}
	if _, err := io.ReadAll(os.Stdin); err != nil { // until all are told to go
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), url, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	applied, err := db.Migrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left, err := db.Pending(t.Context()); err != nil || len(left) > 0 {
		t.Fatalf("pending after migrating: got %v, %v", left, err)
	}
	for _, name := range applied {
		_, _ = io.WriteString(os.Stdout, "applied "+name+"\n")
	}
}

// TestMigrateTogether starts several processes that migrate a new database at the same time.
func TestMigrateTogether(t *testing.T) {
	servicetest.EachEmptyDatabase(t, func(t *testing.T, url string) {
		const processes = 3
		var running []*exec.Cmd
		var outputs [processes]strings.Builder
		start, release, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		for i := range processes {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMigrateInProcess$", "-test.v")
			cmd.Env = append(os.Environ(), migrateURL+"="+url)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = start, &outputs[i], &outputs[i]
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			running = append(running, cmd)
		}
		_ = start.Close()
		_ = release.Close()
		applied := 0
		for i, cmd := range running {
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, outputs[i].String())
			}
			applied += strings.Count(outputs[i].String(), "applied ")
		}
		db := openAsIs(t, url)
		if want := scanOne[int](t, db, "SELECT count(*) FROM goose_db_version WHERE version_id > 0"); applied != want || want == 0 {
			t.Errorf("the processes applied %d migrations, the database has %d", applied, want)
		}
	})
}
