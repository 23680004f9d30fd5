package postgrestest_test

import (
	"os"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/postgrestest"
)

func TestACrashKeepsWhatWasAcknowledged(t *testing.T) {
	c, err := postgrestest.New(t.Context(), postgrestest.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	do(t, c, "CREATE TABLE kept (n int)")
	for n, stop := range []func() error{c.Crash, c.Stop} {
		do(t, c, "INSERT INTO kept VALUES (1)")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := database.Open(t.Context(), c.URL("postgres"), database.Options{}); err == nil {
			t.Error("a stopped server answers")
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		db, err := database.Open(t.Context(), c.URL("postgres"), database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM kept").Scan(&got); err != nil || got != n+1 {
			t.Errorf("got %d rows, %v; want %d", got, err, n+1)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("the server's files are still there: %v", err)
	}
}

func do(t *testing.T, c *postgrestest.Cluster, statement string) {
	t.Helper()
	db, err := database.Open(t.Context(), c.URL("postgres"), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
