package grant_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// windows are those that were told of.
type windows struct {
	mu    sync.Mutex
	kinds []string
	last  time.Duration
}

func (w *windows) closed(what string, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kinds, w.last = append(w.kinds, what), after
}

// TestWindow: each answer that became durable is told of once, with a time that neither leaves the store's call out nor
// takes in the provider's.
func TestWindow(t *testing.T) {
	w := &windows{}
	const commit = 100 * time.Millisecond
	s := servicetest.New(t, servicetest.SQLite(t), servicetest.Options{
		Durable: w.closed, Budgets: &grant.Budgets{Provider: 10 * time.Second, Commit: commit, Claim: 10 * time.Second},
	})
	one := s.Tenant(t, "one")
	want := func(n int, what string, atLeast, atMost time.Duration) {
		t.Helper()
		if len(w.kinds) != n || w.kinds[n-1] != what || w.last < atLeast || w.last > atMost {
			t.Fatalf("got %v, the last after %v; want %d, the last a %s after %v to %v", w.kinds, w.last, n, what, atLeast, atMost)
		}
	}
	c := s.Connect(t, one, "ada")
	want(1, "exchange", 1, time.Minute)

	var answered time.Time
	s.OAuth.After("Refresh", func(context.Context) error { answered = time.Now(); return nil })
	if _, err := s.Connections.Refresh(one.Ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	want(2, "refresh", 1, time.Since(answered))

	s.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
	if _, err := s.Connections.Refresh(one.Ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	want(3, "refresh", commit, time.Minute) // the escrow's, after the vault was tried for its time
}
