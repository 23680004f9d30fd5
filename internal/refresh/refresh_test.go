package refresh_test

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/refresh"
)

// TestDue: what is due is renewed once, and not before; a renewal moves neither updated_at nor the watchers.
func TestDue(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(5)
		k.want(k.run(), refresh.Done{})
		k.to(all[4].NextRefreshAt.Add(-time.Second))
		k.want(k.run(), refresh.Done{})
		k.Clock.Advance(time.Second)
		k.want(k.run(), refresh.Done{Claimed: 5, Renewed: 5})
		k.want(k.run(), refresh.Done{})
		k.totals(5)
		for _, c := range all {
			row := k.Row(t, c.ID)
			if row.Generation != 2 || !row.UpdatedAt.Equal(c.UpdatedAt) || row.EventSequence != 1 || row.ClaimedUntilMs != nil || !row.NextRefreshAt.After(k.Clock.Now()) {
				t.Errorf("got %+v", row)
			}
			k.read(c.ID, 2)
		}
		if n := k.OAuth.Calls("Refresh"); n != 5 {
			t.Errorf("readers asked the provider %d times", n-5)
		}
	})
}
