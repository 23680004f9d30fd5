package connection_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestClocksFiveMinutesOff: of two processes one has a clock that is five minutes ahead, the other one that is five minutes
// behind. What either obtains, neither hands out when it has expired, nor renews while it lives.
func TestClocksFiveMinutesOff(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		var passed atomic.Int64
		at := func(off time.Duration) *servicetest.Service {
			return k.ProcessAt(t, func(db *database.DB) func() time.Time {
				c := database.NewClock(db, func() time.Time { return time.Now().Add(off + time.Duration(passed.Load())) }, slog.New(slog.DiscardHandler))
				if err := c.Measure(t.Context()); err != nil {
					t.Fatal(err)
				}
				return c.Now
			})
		}
		pass := func(d time.Duration) {
			passed.Add(int64(d))
			k.Clock.Advance(d) // the provider's clock
		}
		ahead, behind := at(5*time.Minute), at(-5*time.Minute)
		read := func(s *servicetest.Service, c connection.Selector, version int64) {
			t.Helper()
			r, err := s.Connections.Credential(k.one.Ctx, c, nil)
			if err != nil {
				t.Fatal(err)
			}
			k.served(r, version)
		}
		c := ahead.Connect(t, k.one, user)
		of := connection.Selector{Connection: &c.ID}
		version := int64(1)
		for range 3 {
			for _, s := range [][2]*servicetest.Service{{ahead, behind}, {behind, ahead}} {
				pass(3599*time.Second - 2*time.Minute) // two minutes are left
				read(s[0], of, version)
				read(s[1], of, version)
				pass(time.Minute + 15*time.Second)
				version++
				read(s[0], of, version)
				read(s[1], of, version)
				for _, p := range s {
					if row, err := p.Connections.ReportUnauthorized(k.one.Ctx, c.ID, version); err != nil || row.Generation != version {
						t.Fatalf("reported at once: got %+v, %v", row, err)
					}
				}
			}
		}
		k.totals(1, 6)
	})
}
