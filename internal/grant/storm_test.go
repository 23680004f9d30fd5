package grant_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// storm is a random run: two processes connect, refresh, read, renew and delete a few users' connections while vault,
// provider and identity fail at random. Nobody leaves: whatever is called dead at the end was lost in the one window, and
// is named so.
type storm struct {
	*kit
	mu    sync.Mutex
	rng   *rand.Rand
	users []string
	calm  atomic.Bool
	// drops counts the answers to refreshes that were taken away after the provider had rotated.
	drops atomic.Int64
}

// TestStorm repeats with GRANTTEST_SEED.
func TestStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("GRANTTEST_SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("GRANTTEST_SEED: %v", err)
		}
		seed = parsed
	}
	t.Logf("repeat with GRANTTEST_SEED=%d", seed)
	budgets := grant.Budgets{Provider: 10 * time.Second, Commit: 20 * time.Millisecond, Claim: 20 * time.Second}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		s := &storm{kit: k, rng: rand.New(rand.NewPCG(seed, 1)), users: []string{"ada", "bob", "cyd"}}
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		for _, p := range processes {
			s.shake(p)
		}
		for _, u := range s.users {
			_, _, _ = k.create(k.Service, k.Consent(t, u))
		}
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() {
				for range 40 {
					s.step(processes[i%2])
				}
			})
		}
		group.Wait()
		s.calm.Store(true)
		s.settle()
		for _, u := range s.users {
			s.check(u)
		}
		if l := k.Zoom.Ledger().Totals; l.Duplicates != 0 || l.MaxConcurrentRefreshes > 1 {
			t.Errorf("got %+v", l)
		}
		t.Logf("%d answers were dropped, the provider says %+v", s.drops.Load(), k.Zoom.Ledger().Totals)
	})
}

// chance is true once in n.
func (s *storm) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n) == 0
}

func (s *storm) user() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[s.rng.IntN(len(s.users))]
}

// shake makes a process fail at random until the storm is over.
func (s *storm) shake(p *servicetest.Service) {
	sometimes := func(n int, err error) servicetest.Hook {
		return func(context.Context) error {
			if !s.calm.Load() && s.chance(n) {
				return err
			}
			return nil
		}
	}
	for _, method := range []string{"ReadRecord", "WriteRecord", "EraseRecord", "NewDataKey", "UnwrapDataKeys"} {
		p.Vault.Before(method, sometimes(12, vault.ErrUnavailable))
		p.Vault.After(method, sometimes(12, vault.ErrUnavailable))
	}
	p.OAuth.Before("Refresh", sometimes(8, &oauth.Error{Outcome: oauth.Unknown}))
	p.OAuth.After("Refresh", func(context.Context) error {
		if !s.calm.Load() && s.chance(15) {
			s.drops.Add(1)
			return &oauth.Error{Outcome: oauth.Unknown}
		}
		return nil
	})
	p.OAuth.Before("Exchange", sometimes(8, errUnsent))
	p.OAuth.Before("Revoke", sometimes(4, &oauth.Error{Outcome: oauth.Unavailable}))
	p.ZoomAPI.Before("Me", sometimes(4, &zoom.Error{Kind: zoom.KindUnavailable}))
}

// step does one random thing; what it answers does not matter.
func (s *storm) step(p *servicetest.Service) {
	ctx, user := s.one.Ctx, s.user()
	s.Clock.Advance(time.Second)
	row := s.find(user)
	switch {
	case row == nil, s.chance(6):
		code := s.Consent(s.t, user)
		for range 3 { // as a caller who got no answer
			if _, _, err := s.create(p, code); err == nil {
				return
			}
		}
	case s.chance(12):
		_ = p.Connections.Delete(ctx, row.ID)
	case s.chance(8):
		_, _ = grant.NewSweeper(p.Connections.Keeper(), 0).RunOnce(s.t.Context())
	case s.chance(3):
		_, _ = p.Connections.Keeper().Open(ctx, row)
	default:
		_, _ = p.Connections.Keeper().Refresh(ctx, row.ID, grant.Wanted{IfGeneration: row.Generation, Now: s.chance(2)})
	}
}

// find is the user's connection; nil where there is none.
func (s *storm) find(user string) *ent.Connection {
	u, _ := s.Zoom.User(user)
	row, err := s.DB.Ent.Connection.Query().Where(connection.ExternalUserID(u.ID)).Only(s.all())
	if err != nil && !ent.IsNotFound(err) {
		s.t.Errorf("reading: %v", err)
	}
	return row
}

// settle lets everything come to its end.
func (s *storm) settle() {
	for range 4 {
		s.Clock.Advance(20 * time.Minute)
		s.sweep()
		for _, u := range s.users {
			if row := s.find(u); row != nil && row.State == connection.StateCONNECTED {
				if _, err := s.refresh(row); err != nil && !errors.Is(err, grant.ErrGone) {
					s.t.Errorf("refreshing %s: %v", u, err)
				}
			}
		}
	}
	s.escrowed(0)
	if n := s.Locks(s.t); n != 0 {
		s.t.Errorf("%d locks are left", n)
	}
}

// check compares what is believed of a user with what is so.
func (s *storm) check(user string) {
	row, grants := s.find(user), s.Ledger(user)
	newest := grants[len(grants)-1]
	name := fmt.Sprintf("%s: %v", user, s.history(row))
	switch {
	case row == nil:
		if newest.Status == zoomsim.GrantLive {
			s.t.Errorf("%s was deleted and lives at the provider", name)
		}
	case row.State == connection.StateCONNECTED && row.FailureClass == "":
		s.reachableAs(user, row)
	case row.FailureReason != grant.ReasonInterrupted || s.drops.Load() == 0:
		s.t.Errorf("%s is %s for %s (%s): nobody left", name, row.State, row.FailureReason, row.FailureMessage)
	}
}

func (s *storm) history(row *ent.Connection) []string {
	if row == nil {
		return nil
	}
	return s.events(row.ID)
}
