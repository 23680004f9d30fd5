package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// fate is how a user's connection stands at the end.
type fate string

// The fates.
const (
	alive      fate = "connected"  // a refresh has just succeeded, and the credential is the newest that the provider gave
	over       fate = "over"       // the service says that the user must connect again
	deleted    fate = "deleted"    // there is no connection, by the user's wish
	unsettled  fate = "unsettled"  // something still stands in the way
	confirming fate = "confirming" // a refusal that does not count yet
)

// quiesce lets everything recover: it refreshes every connection until each one either works or is over. What is not
// settled within the bound stays unsettled, and is judged so.
func (w *world) quiesce(ctx context.Context) {
	began := time.Now()
	w.say("quiescing: nothing is injected any more; the bound is %s", w.bound)
	w.weather.clear()
	ctx, cancel := context.WithTimeout(ctx, w.bound)
	defer cancel()
	w.reconnected(ctx)
	for round := 0; ctx.Err() == nil; round++ {
		left := w.refreshAll(ctx)
		w.say("round %d: %d connections are not settled", round+1, left)
		if left == 0 {
			break
		}
		if w.forward {
			w.must("moving time forward", w.moveForward(ctx, pastExchange))
			continue
		}
		sleep(ctx, 5*time.Second)
	}
	w.say("recovered in %s", time.Since(began).Round(time.Millisecond))
}

// reconnected waits for the users who are at it.
func (w *world) reconnected(ctx context.Context) {
	for _, u := range w.users {
		for !u.busy.TryLock() {
			sleep(ctx, 20*time.Millisecond)
			if ctx.Err() != nil {
				return
			}
		}
		u.busy.Unlock()
	}
}

// refreshAll goes over all users who are not settled, and returns how many are not yet.
func (w *world) refreshAll(ctx context.Context) (left int) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(8)
	for _, u := range w.users {
		if u.fate == alive || u.fate == over || u.fate == deleted {
			continue
		}
		group.Go(func() error {
			f := w.settleUser(ctx, u)
			mu.Lock()
			defer mu.Unlock()
			u.fate = f
			if f == unsettled || f == confirming {
				left++
			}
			return nil
		})
	}
	_ = group.Wait()
	return left
}

// settleUser refreshes a user's connection, reads it and says how it stands.
func (w *world) settleUser(ctx context.Context, u *user) fate {
	connection := w.current(u)
	if connection == "" {
		return deleted
	}
	r := w.anyReplica()
	var got struct {
		RefreshConnection struct{ Connection connectionView }
	}
	err := r.call(ctx, u.tenant.key, refreshMutation, map[string]any{"id": connection}, &got)
	view := got.RefreshConnection.Connection
	u.ending = fmt.Sprintf("replica %d answers a refresh with %+v, %+v, %v", r.n, view.State, view.Failure, err)
	switch {
	case codeOf(err) == "REAUTHORIZATION_REQUIRED":
		return over
	case codeOf(err) == "NOT_FOUND":
		w.brokeOf(u, "%s is gone, and nobody deleted it", connection)
		return over
	case err != nil:
		return unsettled
	case view.State == "DISCONNECTED":
		return over
	case view.Failure != nil && view.Failure.Class == "REAUTHORIZATION_REQUIRED":
		return confirming
	case view.Failure != nil:
		return unsettled
	}
	a, err := w.read(ctx, r, u, connection, nil)
	if err != nil || a.Credential.Typename != "Credential" {
		u.ending = fmt.Sprintf("replica %d answers a read after a refresh with %s %s, %v", r.n, a.Credential.Typename, a.Credential.Code, err)
		return unsettled
	}
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	s := w.ledger.byAccess[a.Credential.AccessToken]
	if newest := u.grants[len(u.grants)-1].last(); s != newest {
		u.ending = fmt.Sprintf("replica %d serves %s right after a refresh, and the newest is %s", r.n, s, newest)
		return unsettled
	}
	return alive
}

// How far time is moved: past the life of a lock and the confirmation of a refusal, or past all that an exchange whose
// answer never came stands in the way of.
const (
	pastLock     = time.Minute + time.Second
	pastExchange = 10*time.Minute + time.Second
)

// moveForward stops all processes, makes it later for what the database keeps of locks, failures and attempts,
// and starts them again. Processes are drained, so that nobody lives who holds a lock.
func (w *world) moveForward(ctx context.Context, by time.Duration) error {
	var all sync.WaitGroup
	for _, r := range w.replicas {
		all.Go(func() {
			r.turn.Lock()
			r.away = w.windows.open(theDrain, r.n)
			if code := r.down(syscall.SIGTERM); code != 0 {
				w.broke("replica %d ended with status %d after SIGTERM; see %s", r.n, code, r.log)
			}
		})
	}
	all.Wait()
	err := w.shiftTimes(ctx, by)
	for _, r := range w.replicas {
		all.Go(func() {
			defer r.turn.Unlock()
			w.bringUp(r)
			r.away()
		})
	}
	all.Wait()
	return errors.Join(err, ctx.Err())
}
