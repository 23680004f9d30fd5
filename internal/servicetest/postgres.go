package servicetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/postgrestest"
)

// server is the PostgreSQL of this process. It goes when the process does.
var server = sync.OnceValues(func() (*postgres, error) {
	ctx := context.Background()
	c, err := postgrestest.New(ctx, postgrestest.Options{})
	if err != nil {
		return nil, err
	}
	admin, err := database.Open(ctx, c.URL("postgres"), database.Options{MaxConns: 4})
	if err != nil {
		return nil, err
	}
	return &postgres{cluster: c, admin: admin}, nil
})

// postgres is the cluster and a connection to it.
type postgres struct {
	cluster *postgrestest.Cluster
	admin   *database.DB
	made    atomic.Int64
	// template is made by the first who needs it: the tests of the migrations do without.
	template sync.Once
	failed   error
}

// Postgres returns the URL of a new, migrated PostgreSQL database.
func Postgres(t testing.TB) string {
	t.Helper()
	p := running(t)
	if p.template.Do(func() { p.failed = p.makeTemplate() }); p.failed != nil {
		t.Fatal(p.failed)
	}
	return p.create(t, migratedTemplate)
}

// EmptyPostgres returns the URL of a new PostgreSQL database without tables.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return running(t).create(t, "template1")
}

// migratedTemplate is the database that others are copies of.
const migratedTemplate = "tokenkeep_template"

// running returns the server or ends the test.
func running(t testing.TB) *postgres {
	t.Helper()
	p, err := server()
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	return p
}

// create makes a database that lasts as long as the test.
func (p *postgres) create(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", p.made.Add(1))
	if _, err := p.admin.SQL().ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	t.Cleanup(func() {
		if _, err := p.admin.SQL().ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return p.cluster.URL(name)
}

// makeTemplate migrates the database that others are copies of.
func (p *postgres) makeTemplate() error {
	ctx := context.Background()
	if _, err := p.admin.SQL().ExecContext(ctx, "CREATE DATABASE "+migratedTemplate); err != nil {
		return err
	}
	return migrate(ctx, p.cluster.URL(migratedTemplate))
}

// migrate brings the schema of a database up to date and lets go of it.
func migrate(ctx context.Context, url string) error {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	if _, err := db.Migrate(ctx); err != nil {
		_ = db.Close()
		return err
	}
	return db.Close()
}
