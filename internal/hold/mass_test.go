package hold_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	enthold "github.com/tokenkeep/tokenkeep/ent/hold"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func of(c *ent.Connection) connection.Selector { return connection.Selector{Connection: &c.ID} }

func seconds(n int) *int { return &n }

// TestMassRefusal: of one app more than a share would end at once. It is held from there on, another app is not concerned,
// and when an operator confirms, they end.
func TestMassRefusal(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		two := k.Tenant(t, "two")
		all, others := k.fleet(k.one, "ada", 8), k.fleet(two, "bob", minimum-1)
		k.refuse()
		k.refusedFor(k.one, all)
		k.want(all, 0, 8-(minimum-1), minimum-1)
		k.refusedFor(two, others)
		k.over(others, "REVOKED")
		h := k.alarm(1)
		if hold.Subject(h.Subject) != hold.OfApp(k.one.App.ID) || h.Reason != "REVOKED" || h.Stopped != 8-(minimum-1) {
			t.Errorf("got %+v", h)
		}
		k.due(k.one, all)
		k.want(all, 0, 8-(minimum-1), minimum-1)
		if _, err := k.Holds.Confirm(k.operator(), h.ID); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(2 * time.Hour) // what it kept ends, however late it comes
		k.attempt(k.Service, k.one, all)
		k.over(all, "REVOKED")
		k.alarm(1)
	})
}

// TestConfirmedForAWhile: what follows a confirmation soon is not held again, what comes later is.
func TestConfirmedForAWhile(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all, more, last := k.fleet(k.one, "ada", 4), k.fleet(k.one, "bob", 4), k.fleet(k.one, "cyd", 4)
		k.refuse()
		k.refusedFor(k.one, all)
		if _, err := k.Holds.Confirm(k.operator(), k.alarm(1).ID); err != nil {
			t.Fatal(err)
		}
		k.refusedFor(k.one, more)
		k.over(more, "REVOKED")
		k.Clock.Advance(time.Hour)
		k.refusedFor(k.one, last)
		k.want(last, 0, 4-(minimum-1), minimum-1)
		k.alarm(2)
	})
}

// TestDismissedAndMended: the provider's mistake is mended, an operator says so, and all that was held recovers.
func TestDismissedAndMended(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 6)
		mend := k.refuse()
		k.refusedFor(k.one, all)
		kept := all[minimum-1:]
		k.want(kept, 0, len(kept), 0)
		mend()
		if seen, err := k.Holds.Dismiss(k.operator(), k.alarm(1).ID); err != nil || seen.State != enthold.StateDISMISSED {
			t.Fatalf("got %+v, %v", seen, err)
		}
		k.due(k.one, kept)
		k.want(kept, len(kept), 0, 0)
		for _, c := range kept {
			if got := k.events(c); !slices.Equal(got, []string{"CONNECTION_CREATED", "CONNECTION_FAILING", "CONNECTION_RECOVERED"}) {
				t.Errorf("got events %v", got)
			}
		}
	})
}

// TestDismissedTooEarly: a refusal after the dismissal must hold anew; it counts as the first.
func TestDismissedTooEarly(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 4)
		k.refuse()
		k.refusedFor(k.one, all)
		kept := all[minimum-1:]
		if _, err := k.Holds.Dismiss(k.operator(), k.alarm(1).ID); err != nil {
			t.Fatal(err)
		}
		k.due(k.one, kept)
		for _, c := range kept {
			row := k.Row(t, c.ID)
			if row.State != "CONNECTED" || row.HeldBy != nil || row.FailureNextAttemptAt.Sub(k.Clock.Now()) != grant.ConfirmDeath {
				t.Errorf("got %+v, want a refusal to be confirmed", row)
			}
		}
		k.Clock.Advance(grant.ConfirmDeath)
		k.attempt(k.Service, k.one, kept)
		k.over(kept, "REVOKED")
		k.alarm(1)
	})
}

// TestUsersWhoLeaveOneByOne are not held, however many they are in the end.
func TestUsersWhoLeaveOneByOne(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 12)
		for i := range all {
			if n, err := k.Zoom.EndGrants(fmt.Sprintf("ada%d", i), servicetest.ClientID, "revoked"); err != nil || n != 1 {
				t.Fatalf("%d grants, %v", n, err)
			}
			k.refusedFor(k.one, all[i:i+1])
			k.over(all[i:i+1], "REVOKED")
			k.Clock.Advance(6 * time.Minute)
		}
		k.alarm(0)
	})
}

// TestSmallApps: fewer than the minimum are never held, even if they are all there are.
func TestSmallApps(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", minimum-1)
		k.refuse()
		k.refusedFor(k.one, all)
		k.over(all, "REVOKED")
		k.alarm(0)
	})
}

// TestProcessesRaise: two processes meet the incident at the same time and raise one hold; no more than the policy allows
// end before it.
func TestProcessesRaise(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 12)
		second := k.Process(t)
		k.file.Share(second)
		k.refuse()
		k.attempt(k.Service, k.one, all)
		k.Clock.Advance(grant.ConfirmDeath + time.Second)
		var group sync.WaitGroup
		for i, c := range all {
			s := []*servicetest.Service{k.Service, second}[i%2]
			group.Go(func() {
				if _, err := s.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: 1, Now: true}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		k.want(all, 0, 12-(minimum-1), minimum-1)
		if h := k.alarm(1); h.Stopped != 12-(minimum-1) {
			t.Errorf("got %+v", h)
		}
	})
}

// TestRestart: a process that begins later keeps to the hold.
func TestRestart(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 5)
		k.refuse()
		k.refusedFor(k.one, all)
		k.Clock.Advance(3 * time.Hour)
		if n := k.watch(); n != 0 {
			t.Error("a hold that keeps connections ended, for nobody had tried them")
		}
		again := k.Process(t)
		k.file.Share(again)
		k.attempt(again, k.one, all)
		k.want(all, 0, 5-(minimum-1), minimum-1)
		k.alarm(1)
	})
}

// TestQuietHold: a hold of an app ends by itself when it has kept nothing for an hour.
func TestQuietHold(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 4)
		mend := k.refuse()
		k.refusedFor(k.one, all)
		mend()
		kept := all[minimum-1:]
		k.due(k.one, kept)
		k.want(kept, len(kept), 0, 0)
		if n := k.watch(); n != 0 {
			t.Error("it ended at once: more may be on their way")
		}
		k.Clock.Advance(time.Hour)
		if n := k.watch(); n != 1 || k.alarm(1).State != enthold.StateENDED || k.logs.count("WARN", "a hold ended by itself") != 1 {
			t.Errorf("ended %d holds: %+v", n, k.holds())
		}
	})
}

// TestOnlyOperators see holds and decide about them.
func TestOnlyOperators(t *testing.T) {
	each(t, nil, func(t *testing.T, k *kit) {
		all := k.fleet(k.one, "ada", 4)
		k.refuse()
		k.refusedFor(k.one, all)
		h := k.alarm(1)
		for name, ctx := range map[string]context.Context{"a tenant's key": k.one.Ctx, "an operator inside a tenant": servicetest.Operator(t, k.one.ID)} {
			if _, err := k.Holds.List(ctx, false); !errs.Is(err, errs.Forbidden) {
				t.Errorf("%s lists: got %v, want FORBIDDEN", name, err)
			}
			if _, err := k.Holds.Confirm(ctx, h.ID); !errs.Is(err, errs.Forbidden) {
				t.Errorf("%s confirms: got %v, want FORBIDDEN", name, err)
			}
			if _, err := k.Holds.Dismiss(ctx, h.ID); !errs.Is(err, errs.Forbidden) {
				t.Errorf("%s dismisses: got %v, want FORBIDDEN", name, err)
			}
		}
		if _, err := k.Holds.List(t.Context(), false); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("nobody lists: got %v, want UNAUTHENTICATED", err)
		}
		if _, err := k.Holds.Confirm(k.operator(), id.New()); !errs.Is(err, errs.NotFound) {
			t.Errorf("got %v, want NOT_FOUND", err)
		}
		if !k.holds()[0].Stands() {
			t.Error("somebody decided")
		}
	})
}
