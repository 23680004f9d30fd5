package database_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestClock: machines whose clocks are five minutes off agree with the database, and with one another.
func TestClock(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		for _, off := range []time.Duration{-5 * time.Minute, 0, 5 * time.Minute} {
			c := database.NewClock(db, func() time.Time { return time.Now().Add(off) }, slog.New(slog.DiscardHandler))
			if got := time.Since(c.Now()) + off; got.Abs() > time.Second {
				t.Errorf("not measured yet: off by %v", got)
			}
			if err := c.Measure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(c.Now()); got.Abs() > 2*time.Second {
				t.Errorf("a clock that is off by %v is off by %v still", off, got)
			}
		}
		c := database.NewClock(db, time.Now, slog.New(slog.DiscardHandler))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Measure(t.Context()); err == nil {
			t.Error("a database that is away told the time")
		}
		if got := time.Since(c.Now()); got.Abs() > time.Second {
			t.Errorf("off by %v", got)
		}
	})
}
