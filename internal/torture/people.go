package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// toUsers does something to a few users at once.
func (w *world) toUsers(ctx context.Context, a action) string {
	dice := rand.New(rand.NewPCG(a.pick, 5)) // #nosec G404 -- choices that can be repeated
	var done sync.WaitGroup
	var n int
	for _, u := range w.some(dice, a.count) {
		if !u.busy.TryLock() {
			continue
		}
		n++
		done.Go(func() {
			defer u.busy.Unlock()
			ctx, cancel := context.WithTimeout(w.background, w.bound)
			defer cancel()
			if err := w.to(ctx, a.kind, u); err != nil && w.background.Err() == nil {
				w.broke("%s of %s: %v", a.kind, u.email, err)
			}
		})
	}
	done.Wait()
	return fmt.Sprintf("%d users", n)
}

// to does one thing to one user; busy is held.
func (w *world) to(ctx context.Context, what string, u *user) error {
	switch what {
	case "reauthorize":
		w.note(u, "consents again, though nobody asked him to")
		return w.authorize(ctx, u)
	case "delete":
		return w.deleteAndConnect(ctx, u, false)
	case "delete-refreshing":
		return w.deleteAndConnect(ctx, u, true)
	case "end":
		w.endAtProvider(u)
	case "race":
		w.race(ctx, u)
	}
	return nil
}

// endAtProvider has the user remove the app from his account.
func (w *world) endAtProvider(u *user) {
	w.spending.Lock()
	defer w.spending.Unlock()
	_, err := w.sim.EndGrants(u.email, u.tenant.clientID, "removed_by_user")
	w.must("ending a grant", err)
	w.ledger.end(u, "the user", time.Now())
	w.note(u, "removes the app from his account")
}

// race has every replica refresh one connection at the same time, twice.
func (w *world) race(ctx context.Context, u *user) {
	connection := w.current(u)
	if connection == "" {
		return
	}
	var all sync.WaitGroup
	for range 2 {
		for _, r := range w.replicas {
			all.Go(func() {
				_ = r.call(ctx, u.tenant.key, refreshMutation, map[string]any{"id": connection}, nil)
			})
		}
	}
	all.Wait()
}

// deleteAndConnect deletes a user's connection and, for most users, makes a new one.
func (w *world) deleteAndConnect(ctx context.Context, u *user, refreshing bool) error {
	connection := w.current(u)
	if connection == "" {
		return w.authorize(ctx, u)
	}
	var beside sync.WaitGroup
	if refreshing {
		for _, r := range w.replicas {
			beside.Go(func() {
				_ = r.call(ctx, u.tenant.key, refreshMutation, map[string]any{"id": connection}, nil)
			})
		}
		sleep(ctx, time.Duration(rand.IntN(30))*time.Millisecond) // #nosec G404 -- a moment within a refresh
	}
	err := w.remove(ctx, u, connection)
	beside.Wait()
	if err != nil || u.n%7 == 0 {
		return err
	}
	return w.authorize(ctx, u)
}

// remove deletes a connection and insists until that is acknowledged.
func (w *world) remove(ctx context.Context, u *user, connection string) error {
	w.ledger.mu.Lock()
	if _, begun := u.deleting[connection]; !begun {
		u.deleting[connection] = time.Now()
	}
	u.connection, u.wants = "", time.Time{}
	w.ledger.mu.Unlock()
	for {
		r := w.alive(ctx)
		if r == nil {
			sleep(ctx, 500*time.Millisecond)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		err := r.call(ctx, u.tenant.key, deleteMutation, map[string]any{"id": connection}, nil)
		if err == nil || codeOf(err) == "NOT_FOUND" {
			w.note(u, "replica %d acknowledges the deletion of %s (%v)", r.n, connection, err)
			w.ledger.mu.Lock()
			u.deleted[connection] = time.Now()
			w.ledger.mu.Unlock()
			return nil
		}
		w.note(u, "deleting %s at replica %d: %v; it is repeated", connection, r.n, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		sleep(ctx, 500*time.Millisecond)
	}
}

// rotate rotates a tenant's key.
func (w *world) rotate(ctx context.Context, a action) string {
	t := w.tenants[int(a.pick%uint64(len(w.tenants)))]
	r := w.alive(ctx)
	if r == nil {
		return "left out: no replica is there"
	}
	if err := r.call(ctx, w.operator, rotateMutation, map[string]any{"id": t.id}, nil); err != nil {
		return fmt.Sprintf("tenant %d: %v", t.n, err)
	}
	return fmt.Sprintf("tenant %d", t.n)
}

// revoked notes that a revocation of the service's ended a user's grants. One that ended the grant of a connection which
// nobody deleted is a loss.
func (w *world) revoked(s *tokenSet, replica int) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	u, now := s.grant.user, time.Now()
	if u.connection != "" && s.grant == u.grants[len(u.grants)-1] {
		w.brokeOf(u, "replica %d revokes %s, the grant of %s, which nobody deleted", replica, s, u.connection)
	}
	u.endGrants(fmt.Sprintf("a revocation of replica %d", replica), now)
	u.said = append(u.said, fmt.Sprintf("%s replica %d revokes %s", stamp(now), replica, s))
}
