package refresh_test

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/refresh"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestPostgresCrash: the server goes down while refreshes are spent, and comes back. What was spent is stored, what was
// claimed is done, each refresh token is spent once.
func TestPostgresCrash(t *testing.T) {
	t.Parallel()
	server := servicetest.OwnPostgres(t)
	s := servicetest.New(t, server.URL, servicetest.Options{})
	k := &kit{Service: s, t: t, one: s.Tenant(t, "one")}
	const n, under = 12, 4
	all := k.connect(n)
	gate := servicetest.NewGate()
	k.OAuth.Before("Refresh", gate.Hook)
	k.to(*all[n-1].NextRefreshAt)
	scheduler := k.on(s, refresh.Options{Workers: under})
	first := make(chan refresh.Done, 1)
	go func() {
		did, _ := scheduler.RunOnce(t.Context()) // may fail, for the server is away
		first <- did
	}()
	for range under {
		<-gate.Arrived
	}
	server.Stop()
	if _, err := k.on(s, refresh.Options{}).RunOnce(t.Context()); err == nil {
		t.Error("a round without a database went well")
	}
	gate.Open()
	server.Start()
	renewed := (<-first).Renewed
	for range 50 {
		if renewed == n {
			break
		}
		k.Clock.Advance(15 * time.Second)
		did, err := scheduler.RunOnce(t.Context())
		if err != nil {
			t.Logf("a round failed: %v", err)
		}
		renewed += did.Renewed
	}
	for _, c := range all {
		if row := k.Row(t, c.ID); row.Generation != 2 || row.FailureClass != "" || row.State != c.State {
			t.Errorf("got %+v", row)
		}
	}
	k.totals(n)
}
