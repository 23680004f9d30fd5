package realvault_test

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	vaultserver "github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// TestTokensEndWhileServing has tokens that live for two seconds and can be renewed for four, and revokes some in between:
// refreshes and reads go on without one that fails.
func TestTokensEndWhileServing(t *testing.T) {
	t.Parallel()
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		shared := servicetest.SharedVault(t)
		shared.TokenLife(t, 2*time.Second, 4*time.Second)
		server, counter := shared.Watched(t)
		w := newWorld(t, url, server)
		alice := w.Connect(t, w.one, "alice")
		counter.Take()
		logins, renewals, generation := 0, 0, int64(1)
		began := time.Now()
		for revoked := false; time.Since(began) < 9*time.Second; generation++ {
			if !revoked && time.Since(began) > 5*time.Second {
				revoked = true
				server.RevokeTokens(t)
			}
			out, err := w.Connections.Keeper().Refresh(w.one.Ctx, alice.ID, grant.Wanted{IfGeneration: generation})
			if err != nil || out.Verdict != nil || out.Generation != generation+1 {
				t.Fatalf("after %v: got generation %d, %+v, %v", time.Since(began), out.Generation, out.Verdict, err)
			}
			if _, err := w.Connections.Keeper().Open(w.one.Ctx, w.Row(t, alice.ID)); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			passed := counter.Take()
			logins += vaultserver.Matching(passed, "/login")
			renewals += vaultserver.Matching(passed, "renew-self")
		}
		t.Logf("%d refreshes, %d logins and %d renewals", generation-1, logins, renewals)
		if logins < 3 || renewals < 2 {
			t.Errorf("got %d logins and %d renewals, want both roles to have done both", logins, renewals)
		}
		w.untouched(alice, generation)
		w.judged("alice", alice, generation)
	})
}
