package realvault_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	vaultserver "github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// countClaims has the database note each claim of a grant lock.
func (w *world) countClaims() {
	w.t.Helper()
	statements := []string{
		`CREATE TABLE claims (n INTEGER)`,
		`CREATE TRIGGER count_claims AFTER INSERT ON grant_locks BEGIN INSERT INTO claims VALUES (1); END`,
	}
	if w.DB.Dialect == dialect.Postgres {
		statements = []string{
			`CREATE TABLE claims (n INTEGER)`,
			`CREATE FUNCTION count_claim() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO claims VALUES (1); RETURN NEW; END'`,
			`CREATE TRIGGER count_claims AFTER INSERT ON grant_locks FOR EACH ROW EXECUTE FUNCTION count_claim()`,
		}
	}
	for _, s := range statements {
		if _, err := w.DB.SQL().ExecContext(w.t.Context(), s); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestClaimsPauseOnce seals Vault under many readers and refreshes of many connections: the few that were under way find
// out, and nobody else takes a lock or sends Vault anything but a probe now and then.
func TestClaimsPauseOnce(t *testing.T) {
	t.Parallel()
	const connections, rounds, atOnce = 20, 100, 8
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		server, counter := servicetest.OwnVault(t).Watched(t)
		w := newWorld(t, url, server)
		w.countClaims()
		var all []*ent.Connection
		for i := range connections {
			all = append(all, w.Connect(t, w.one, fmt.Sprintf("user%d", i)))
		}
		w.Clock.Advance(2 * time.Hour)
		claimed := w.count("claims")
		if claimed == 0 {
			t.Fatal("claims are not counted")
		}
		server.Seal(t)
		counter.Take()
		began := time.Now()
		var work sync.WaitGroup
		next := make(chan *ent.Connection)
		for range atOnce {
			work.Go(func() {
				for c := range next {
					if r := reads(t, w.Service, w.one, c); r.Unavailable == nil || r.Unavailable.Code != "VAULT_UNAVAILABLE" {
						t.Errorf("reading: got %+v", r)
					}
					if _, err := w.Connections.Keeper().Refresh(w.one.Ctx, c.ID, grant.Wanted{IfGeneration: 1}); !errs.Is(err, errs.VaultUnavailable) {
						t.Errorf("refreshing: got %v", err)
					}
				}
			})
		}
		for range rounds {
			for _, c := range all {
				next <- c
			}
		}
		close(next)
		work.Wait()
		took, passed := time.Since(began), counter.Take()
		probes := vaultserver.Matching(passed, "sys/health")
		requests, claims := len(passed)-probes, w.count("claims")-claimed
		t.Logf("%d reads and %d refreshes in %v: %d claims, %d requests, %d probes", connections*rounds, connections*rounds, took, claims, requests, probes)
		// Each of those at once may have tried thrice before the first had found out; probes are at least 50 ms apart.
		if most := 2 + int(took/(50*time.Millisecond)); claims > atOnce || requests > 3*atOnce || probes > most {
			t.Errorf("got %d claims, %d requests and %d probes, want at most %d, %d and %d", claims, requests, probes, atOnce, 3*atOnce, most)
		}
		server.Unseal(t)
		w.AwaitVault(t)
		for i, c := range all {
			if r := reads(t, w.Service, w.one, c); r.Credential == nil || r.Credential.Version != 2 {
				t.Errorf("afterwards: got %+v", r)
			}
			w.untouched(c, 2)
			w.judged(fmt.Sprintf("user%d", i), c, 2)
		}
	})
}
