package servicetest

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/postgrestest"
)

// Restartable is a PostgreSQL server that a test has for itself, to stop and start.
type Restartable struct {
	// URL names a migrated database in it.
	URL string

	t       testing.TB
	cluster *postgrestest.Cluster
}

// OwnPostgres starts a server that lasts as long as the test. What was committed outlives a crash of it.
func OwnPostgres(t testing.TB) *Restartable {
	t.Helper()
	c, err := postgrestest.New(t.Context(), postgrestest.Options{Durable: true})
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	r := &Restartable{URL: c.URL("postgres"), t: t, cluster: c}
	if err := migrate(t.Context(), r.URL); err != nil {
		t.Fatal(err)
	}
	return r
}

// Stop ends the server as a crash does: connections are cut, and nothing is finished.
func (r *Restartable) Stop() { r.must(r.cluster.Crash()) }

// Start starts it again and waits until it accepts connections.
func (r *Restartable) Start() { r.must(r.cluster.Start()) }

func (r *Restartable) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}
