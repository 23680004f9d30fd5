package refresh_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestReadersOfConnectionsInUseNeverWait: over a day of expiries no reader meets an expired token, so none asks the
// provider.
func TestReadersOfConnectionsInUseNeverWait(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	eachWith(t, servicetest.Options{}, func(t *testing.T, k *kit) {
		all, noted := k.connect(3), k.NotedUses()
		byReaders := 0
		for passed := time.Duration(0); passed < 24*time.Hour; {
			step := time.Minute + time.Duration(dice.IntN(int(2*time.Minute)))
			k.Clock.Advance(step)
			passed += step
			k.run()
			before := k.OAuth.Calls("Refresh")
			for _, c := range all {
				row := k.Row(t, c.ID)
				k.read(c.ID, row.Generation)
				if row.LastUsedAt == nil || k.Clock.Now().Sub(*row.LastUsedAt) >= 5*time.Minute {
					<-noted
				}
			}
			byReaders += k.OAuth.Calls("Refresh") - before
		}
		if byReaders != 0 {
			t.Errorf("readers waited for the provider %d times", byReaders)
		}
		if l := k.Zoom.Ledger().Totals; l.Rotations < 3*24 || l.Rotations > 3*27 || l.MaxConcurrentRefreshes > 1 {
			t.Errorf("got %+v, want about one rotation per life of a token", l)
		}
	})
}

// TestMonths: idle connections live for a year on few refreshes, one that wakes up waits once and is in use then, and no
// token is spent twice in its life without cause.
func TestMonths(t *testing.T) {
	const day = 24 * time.Hour
	k := local(t, servicetest.Options{Jitter: rand.New(rand.NewPCG(5, 6)).Float64})
	all := k.connect(4)
	spends := map[uuid.UUID][]time.Time{}
	note := func() {
		for _, c := range all {
			if row := k.Row(t, c.ID); int(row.Generation-1) > len(spends[c.ID]) {
				if n := int(row.Generation - 1); n != len(spends[c.ID])+1 {
					t.Fatalf("%d spends in one step, want one", n-len(spends[c.ID]))
				}
				spends[c.ID] = append(spends[c.ID], k.Clock.Now())
			}
		}
	}
	for passed := time.Duration(0); passed < 365*day; passed += 6 * time.Hour {
		k.Clock.Advance(6 * time.Hour)
		k.run()
		note()
	}
	for _, c := range all {
		// At most four lives of a token in which the consent counts as a use, then one each 45 to 60 days.
		if n := len(spends[c.ID]); n < 365/60 || n > 365/45+2 {
			t.Errorf("%d spends in a year: %v", n, spends[c.ID])
		}
		for i := 2; i < len(spends[c.ID]); i++ {
			if gap := spends[c.ID][i].Sub(spends[c.ID][i-1]); gap < 45*day-6*time.Hour || gap > 60*day+6*time.Hour {
				t.Errorf("spends %v apart", gap)
			}
		}
	}
	for _, g := range k.Zoom.Ledger().Grants {
		if g.Status != zoomsim.GrantLive {
			t.Errorf("a grant ended: %s", g.EndedReason)
		}
	}

	noted := k.NotedUses()
	woken, asked := all[0], k.OAuth.Calls("Refresh")
	k.read(woken.ID, k.Row(t, woken.ID).Generation+1) // its token had ended: refreshed on demand, once
	if n := k.OAuth.Calls("Refresh") - asked; n != 1 {
		t.Errorf("the first reader asked %d times", n)
	}
	<-noted // that it was used
	<-noted // and that it is due sooner
	if row := k.Row(t, woken.ID); row.NextRefreshAt.After(*row.AccessTokenExpiresAt) {
		t.Errorf("due at %v, after the token's end at %v, though it is in use", row.NextRefreshAt, row.AccessTokenExpiresAt)
	}
	k.Clock.Advance(56 * time.Minute)
	k.run()
	before := k.OAuth.Calls("Refresh")
	k.read(woken.ID, k.Row(t, woken.ID).Generation)
	if k.OAuth.Calls("Refresh") != before {
		t.Error("the second reader waited")
	}
}
