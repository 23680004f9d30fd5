package hold_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	enthold "github.com/tokenkeep/tokenkeep/ent/hold"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// rolledBack connects users, refreshes them once, and puts the vault back to before. newest puts back the right one.
func (k *kit) rolledBack(n int) (all []*ent.Connection, newest func()) {
	k.t.Helper()
	all = k.fleet(k.one, "ada", n)
	older := k.file.BackUp(k.t)
	k.attempt(k.Service, k.one, all)
	newest = k.file.BackUp(k.t)
	older()
	return all, newest
}

// refusals fails unless the provider refused that many refresh tokens.
func (k *kit) refusals(want int) {
	k.t.Helper()
	if got := k.Zoom.Ledger().Totals.RefusedRefreshes; got != want {
		k.t.Errorf("the provider refused %d refresh tokens, want %d", got, want)
	}
}

// TestAStandingHoldIsNamedAgain: whoever raised it may have died before it said so. Each process names the holds that stand when
// it starts, and every hour.
func TestAStandingHoldIsNamedAgain(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all, _ := k.rolledBack(1)
		k.attempt(k.Service, k.one, all)
		seen := k.alarm(1)
		w := hold.NewWatcher(k.Holds, 0)
		named := func(want int) {
			t.Helper()
			if _, err := w.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := k.logs.count("ERROR", "a hold stands"); got != want || want > 0 && k.logs.count("ERROR", "hold="+hold.Name(seen.Hold)) != want+1 {
				t.Errorf("the hold was named %d times, want %d", got, want)
			}
		}
		named(1)
		k.Clock.Advance(59 * time.Minute)
		named(1)
		k.Clock.Advance(time.Minute)
		named(2)
		if _, err := k.Holds.ConfirmRollback(k.operator()); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(2 * time.Hour)
		named(2)
	})
}

// TestRolledBackVault: none of the fleet ends, one alarm is raised, each token is tried once; and when the right vault is
// back everything works again, with nothing lost.
func TestRolledBackVault(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all, newest := k.rolledBack(5)
		k.attempt(k.Service, k.one, all)
		k.want(all, 0, 5, 0)
		h := k.alarm(1)
		if hold.Subject(h.Subject) != hold.Fleet || h.Reason != "STORE_ROLLED_BACK" || h.Stopped != 5 || h.Kept != 5 || !h.Stands() {
			t.Errorf("got %+v", h)
		}
		k.due(k.one, all)
		k.attempt(k.Service, k.one, all)
		k.want(all, 0, 5, 0)
		k.refusals(5)
		if n := k.watch(); n != 0 {
			t.Error("the hold ended while it keeps something")
		}
		if h = k.alarm(1); h.Stopped != 5 {
			t.Errorf("five connections were counted as %d", h.Stopped)
		}

		newest()
		before := k.Zoom.Ledger().Totals.Rotations
		for _, c := range all { // nobody waits for the next attempt: what was to blame is put right
			result, err := k.Connections.Credential(k.one.Ctx, of(c), seconds(30*60))
			if err != nil || result.Credential == nil || result.Credential.Version != 3 {
				t.Fatalf("got %+v, %v", result, err)
			}
			if got := k.events(c); !slices.Equal(got, []string{"CONNECTION_CREATED", "CONNECTION_FAILING", "CONNECTION_RECOVERED"}) {
				t.Errorf("got events %v", got)
			}
		}
		k.want(all, 5, 0, 0)
		k.refusals(5)
		if got := k.Zoom.Ledger().Totals.Rotations; got != before+5 {
			t.Errorf("%d rotations, want %d", got, before+5)
		}
		if n := k.watch(); n != 1 || k.alarm(1).State != enthold.StateENDED || k.logs.count("WARN", "a hold ended by itself") != 1 {
			t.Errorf("the hold did not end: %+v", k.alarm(1))
		}
	})
}

// TestConfirmedRollback: when an operator confirms, each ends by its next attempt, and its tenant is told once. What is
// stored after that is another matter.
func TestConfirmedRollback(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all, _ := k.rolledBack(5)
		k.attempt(k.Service, k.one, all[:4]) // the last one is found later
		if _, err := k.Holds.ConfirmRollback(k.one.Ctx); !errs.Is(err, errs.Forbidden) {
			t.Errorf("a tenant's key: got %v, want FORBIDDEN", err)
		}
		k.want(all[:4], 0, 4, 0)
		seen, err := k.Holds.ConfirmRollback(k.operator())
		if err != nil || seen.State != enthold.StateCONFIRMED || seen.DecidedBy != "operator" || seen.Kept != 4 {
			t.Fatalf("got %+v, %v", seen, err)
		}
		if _, err := k.Holds.ConfirmRollback(k.operator()); !errs.Is(err, errs.NotFound) {
			t.Errorf("again: got %v, want NOT_FOUND", err)
		}
		if _, err := k.Holds.Dismiss(k.operator(), seen.ID); !errs.Is(err, errs.Conflict) {
			t.Errorf("dismissing what was confirmed: got %v, want CONFLICT", err)
		}
		k.Clock.Advance(7 * 24 * time.Hour)
		k.attempt(k.Service, k.one, all)
		k.over(all, "STORE_ROLLED_BACK")
		k.refusals(5) // the first four are not sent again
		k.alarm(1)

		later := k.fleet(k.one, "bob", 1)
		older := k.file.BackUp(t)
		k.attempt(k.Service, k.one, later)
		older()
		k.attempt(k.Service, k.one, later)
		k.want(later, 0, 1, 0)
		k.alarm(2)
	})
}

// TestRolledBackTokensThatMustNotBeSent: where a late token may cost the grant it is not sent before an operator has
// confirmed that there is no newer vault.
func TestRolledBackTokensThatMustNotBeSent(t *testing.T) {
	for _, reuse := range []provider.ReuseBehaviour{provider.ReuseRevokesFamily, provider.ReuseWindow} {
		t.Run(string(reuse), func(t *testing.T) {
			each(t, func(p *provider.Provider) { p.Reuse = reuse }, func(t *testing.T, k *kit) {
				all, newest := k.rolledBack(2)
				k.OAuth.Before("Refresh", servicetest.Fail(errors.New("it was sent")))
				k.attempt(k.Service, k.one, all)
				k.due(k.one, all)
				k.want(all, 0, 2, 0)
				k.alarm(1)
				k.OAuth.Before("Refresh", nil)

				older := k.file.BackUp(t)
				newest()
				k.attempt(k.Service, k.one, all[:1])
				k.want(all, 1, 1, 0)
				older()
				if _, err := k.Holds.ConfirmRollback(k.operator()); err != nil {
					t.Fatal(err)
				}
				k.due(k.one, all[1:])
				k.over(all[1:], "STORE_ROLLED_BACK")
				k.refusals(1)
			})
		})
	}
}

// TestDismissedRollback: where the vault is still the old one after all, another hold is raised.
func TestDismissedRollback(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all, _ := k.rolledBack(2)
		k.attempt(k.Service, k.one, all)
		if _, err := k.Holds.Dismiss(k.operator(), k.alarm(1).ID); err != nil {
			t.Fatal(err)
		}
		k.due(k.one, all)
		k.want(all, 0, 2, 0)
		k.refusals(2)
		if h := k.alarm(2); h.Stopped != 2 {
			t.Errorf("got %+v", h)
		}
	})
}

// TestEmptyVault: records that are gone for many are the same incident.
func TestEmptyVault(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		before := k.file.BackUp(t)
		all := k.fleet(k.one, "ada", 6)
		newest := k.file.BackUp(t)
		before()
		k.attempt(k.Service, k.one, all)
		k.want(all, 0, 6-(minimum-1), minimum-1)
		if h := k.alarm(1); hold.Subject(h.Subject) != hold.Fleet || h.Reason != "RECORD_MISSING" {
			t.Errorf("got %+v", h)
		}
		newest()
		kept := all[minimum-1:]
		k.due(k.one, kept)
		k.want(kept, len(kept), 0, 0)
		if n := k.watch(); n != 1 {
			t.Error("the hold did not end")
		}
	})
}

// TestConfirmedLoss: what is lost for good ends when the same confirmation is given.
func TestConfirmedLoss(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		before := k.file.BackUp(t)
		all := k.fleet(k.one, "ada", 5)
		before()
		k.attempt(k.Service, k.one, all)
		if _, err := k.Holds.ConfirmRollback(k.operator()); err != nil {
			t.Fatal(err)
		}
		k.due(k.one, all)
		k.over(all, "RECORD_MISSING")
	})
}
