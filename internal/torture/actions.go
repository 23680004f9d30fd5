package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

// play carries the schedule out. Actions overlap: each is begun at its time, whatever is still under way.
func (w *world) play(ctx context.Context) {
	plan := schedule(w.options)
	w.say("the schedule has %d actions in %s", len(plan), w.duration)
	began := time.Now()
	playing, stop := context.WithCancel(ctx)
	defer stop()
	var under sync.WaitGroup
	under.Go(func() { w.reconnect(playing, &under) })
	for _, a := range plan {
		sleep(ctx, time.Until(began.Add(a.at)))
		if ctx.Err() != nil {
			break
		}
		under.Go(func() { w.act(ctx, a) })
	}
	sleep(ctx, time.Until(began.Add(w.duration)))
	stop()
	w.say("no more actions are begun; those under way end")
	ended := make(chan struct{})
	go func() {
		under.Wait()
		w.lures.Wait()
		close(ended)
	}()
	// A user who consents may wait for a lock that a dead process holds.
	for w.forward && !within(ended, 5*time.Second) && ctx.Err() == nil {
		w.must("moving time forward", w.moveForward(ctx, pastLock))
	}
	<-ended
}

// act carries one action out and says how it ended.
func (w *world) act(ctx context.Context, a action) {
	began := time.Now()
	said := w.perform(ctx, a)
	w.say("%s: %s (%s)", a, said, time.Since(began).Round(time.Millisecond))
}

func (w *world) perform(ctx context.Context, a action) string {
	r := w.replicas[a.replica]
	switch a.kind {
	case "kill":
		return w.crash(ctx, r, a.lasts)
	case "term":
		return w.restart(ctx, r, a.lasts)
	case "stall", "freeze":
		return w.freeze(ctx, r, a.lasts)
	case "vault-seal", "vault-restart", "vault-kill", "vault-freeze":
		return w.vaultAway(ctx, a)
	case "vault-lost-answers":
		r.vault.loseAnswers.Store(int64(a.count))
		return "the next writes of records land behind a 502"
	case "vault-lost-writes":
		r.vault.loseWrites.Store(int64(a.count))
		return "the next writes of records are cut"
	case "database-restart", "database-crash":
		return w.databaseAway(ctx, a)
	case "database-cut":
		end := w.windows.open(theDatabase, a.replica)
		defer end()
		return fmt.Sprintf("%d connections are cut", r.database.cut())
	case "reauthorize", "delete", "delete-refreshing", "end", "race":
		return w.toUsers(ctx, a)
	case "rotate-key":
		return w.rotate(ctx, a)
	}
	if at, ok := strings.CutPrefix(a.kind, crashPrefix); ok {
		return w.crashAt(ctx, r, at, a)
	}
	return w.provider(ctx, a)
}

// crash kills a process and starts it again.
func (w *world) crash(ctx context.Context, r *replica, away time.Duration) string {
	if !r.turn.TryLock() {
		return "left out: something else is done to this replica"
	}
	defer r.turn.Unlock()
	w.killAndStart(ctx, r, away)
	return "killed and started again"
}

// killAndStart needs the replica's turn.
func (w *world) killAndStart(ctx context.Context, r *replica, away time.Duration) {
	end := w.windows.open(theProcess, r.n)
	defer end()
	r.down(syscall.SIGKILL)
	sleep(ctx, away)
	w.bringUp(r)
}

// bringUp starts the process again, also when the run is being ended.
func (w *world) bringUp(r *replica) {
	ctx, cancel := context.WithTimeout(w.background, 5*time.Minute)
	defer cancel()
	if err := r.up(ctx); err != nil && w.background.Err() == nil {
		w.broke("replica %d does not start: %v; see %s", r.n, err, r.log)
	}
}

// restart ends a process as a service manager does, and starts it again: it must lose nothing.
func (w *world) restart(ctx context.Context, r *replica, away time.Duration) string {
	if !r.turn.TryLock() {
		return "left out: something else is done to this replica"
	}
	defer r.turn.Unlock()
	end := w.windows.open(theDrain, r.n)
	defer end()
	if code := r.down(syscall.SIGTERM); code != 0 {
		w.broke("replica %d ended with status %d after SIGTERM; see %s", r.n, code, r.log)
	}
	sleep(ctx, away)
	w.bringUp(r)
	return "drained and started again"
}

// freeze stops a process in its tracks and lets it go on.
func (w *world) freeze(ctx context.Context, r *replica, lasts time.Duration) string {
	if !r.turn.TryLock() {
		return "left out: something else is done to this replica"
	}
	defer r.turn.Unlock()
	p := r.current()
	if p == nil {
		return "left out: it does not run"
	}
	end := w.windows.open(theProcess, r.n)
	defer end()
	p.signal(syscall.SIGSTOP)
	sleep(ctx, lasts)
	p.signal(syscall.SIGCONT)
	r.awaitReady(w.background, p)
	return "stood still and went on"
}

// crashAt kills a process at a point of the protocol.
func (w *world) crashAt(ctx context.Context, r *replica, at string, a action) string {
	if !r.turn.TryLock() {
		return "left out: something else is done to this replica"
	}
	defer r.turn.Unlock()
	dice := rand.New(rand.NewPCG(a.pick, 4)) // #nosec G404 -- choices that can be repeated
	t := newTrap(at, dice.IntN(4) == 0)
	r.traps.armed.Store(t)
	// Somebody has to come by: users whose connections are refreshed now, or who consent.
	lured, gone := context.WithCancel(ctx)
	for _, u := range w.some(dice, a.count) {
		w.lures.Go(func() { w.lure(lured, r, u, at) })
	}
	hit := t.await(10 * time.Second)
	if hit {
		sleep(ctx, time.Duration(dice.Int64N(int64(3*time.Millisecond))))
		end := w.windows.open(theProcess, r.n)
		r.down(syscall.SIGKILL)
		t.release()
		sleep(ctx, a.lasts)
		w.bringUp(r)
		end()
	}
	t.release()
	gone()
	if !hit {
		return "not reached"
	}
	return "killed while " + t.what + " was held"
}

// lure makes a replica do what leads to a point.
func (w *world) lure(ctx context.Context, r *replica, u *user, at string) {
	if at == atExchanged || at == atParking {
		w.again(u)
		return
	}
	if connection := w.current(u); connection != "" {
		_ = r.call(ctx, u.tenant.key, refreshMutation, map[string]any{"id": connection}, nil)
	}
}

// some draws users.
func (w *world) some(dice *rand.Rand, n int) []*user {
	out := make([]*user, 0, n)
	for _, i := range dice.Perm(len(w.users))[:min(n, len(w.users))] {
		out = append(out, w.users[i])
	}
	return out
}

// provider gives the provider a fault for a while.
func (w *world) provider(ctx context.Context, a action) string {
	w.weather.set(a.kind, a.count, a.pick)
	sleep(ctx, a.lasts)
	w.weather.mu.Lock()
	taken := a.count - w.weather.left
	w.weather.mu.Unlock()
	w.weather.clear()
	return fmt.Sprintf("%d requests were taken", taken)
}
