package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const interrupted = "REFRESH_INTERRUPTED"

// judge stops the service and compares what it believed with what is so.
func (w *world) judge(ctx context.Context) error {
	w.stopAll()
	db, err := w.lookUp(ctx)
	if err != nil {
		return fmt.Errorf("looking into the database: %w", err)
	}
	w.link()
	b := w.weighAll(db)
	count := func(f func()) int {
		before := len(w.broken)
		f()
		return len(w.broken) - before
	}
	r := &w.readings
	w.say("reads: %d, of them %d answered with a credential, %d refused for now, %d told to connect again, %d not connected, %d failed",
		r.reads.Load(), r.fresh.Load(), r.refused.Load(), r.dead.Load(), r.gone.Load(), r.failed.Load())
	fates := map[fate]int{}
	for _, u := range w.users {
		fates[u.fate]++
	}
	w.say("fates: %v", fates)
	w.say("account: %s", b)
	w.say("         at most %d could be unanswered by what was injected", b.injected)
	type check struct {
		name string
		n    int
	}
	checks := []check{
		{"connections not settled within the bound", count(w.judgeUnsettled)},
		{"healthy connections reported dead", count(w.judgeDeaths)},
		{"lost answers under another name than " + interrupted, count(func() { w.judgeNames(db) })},
		{"dead connections reported alive", count(func() { w.judgeAlive(db) })},
		{"refreshes of one grant in flight at once", count(w.judgeOverlaps)},
		{"reads refused though a valid token was stored", count(w.judgeRefusals)},
		{"left over in the database", count(func() { w.judgeLeftOver(db) })},
		{"findings of tokenkeep verify", count(func() { w.verify(ctx) })},
		{"secrets in logs", count(w.judgeLogs)},
	}
	for _, c := range checks {
		w.say("%6d  %s", c.n, c.name)
	}
	w.mu.Lock()
	broken, about := slices.Clone(w.broken), slices.Clone(w.about)
	w.mu.Unlock()
	if len(broken) == 0 {
		w.say("every promise was kept; this repeats the schedule: %s", w.options)
		return nil
	}
	for _, u := range about[:min(len(about), 10)] {
		w.history(ctx, u)
	}
	w.say("%d promises were not kept; this repeats the schedule: %s", len(broken), w.options)
	for _, line := range broken {
		w.say("BROKEN: %s", line)
	}
	return fmt.Errorf("%w: %d times", errBroken, len(broken))
}

// stopAll drains all processes.
func (w *world) stopAll() {
	var all sync.WaitGroup
	for _, r := range w.replicas {
		all.Go(func() {
			if code := r.down(syscall.SIGTERM); code != 0 {
				w.broke("replica %d ended with status %d after SIGTERM; see %s", r.n, code, r.log)
			}
		})
	}
	all.Wait()
}

// judgeUnsettled finds what has not recovered.
func (w *world) judgeUnsettled() {
	for _, u := range w.users {
		if u.fate != alive && u.fate != over && u.fate != deleted {
			w.brokeOf(u, "%s is %s: %s", u.connection, u.fate, u.ending)
		}
	}
}

// judgeDeaths looks for a reason for every death that a reader was told of.
func (w *world) judgeDeaths() {
	told := map[*user]bool{}
	for _, d := range w.readings.deaths {
		if why := w.whyDead(d); why != "" && !told[d.user] {
			told[d.user] = true
			w.brokeOf(d.user, "replica %d says at %s that %s is dead (%s), and %s", d.replica, stamp(d.ended), d.connection, d.reason, why)
		}
	}
}

// whyDead is what is wrong with a death; empty where it was one.
func (w *world) whyDead(d death) string {
	u := d.user
	if at, begun := u.deleting[d.connection]; begun && at.Before(d.ended) {
		return ""
	}
	var g *grantTrack
	for _, one := range u.grants {
		if !one.acknowledged.IsZero() && one.acknowledged.Before(d.began) {
			g = one
		}
	}
	switch {
	case g == nil:
		return ""
	case !g.ended.IsZero() && g.ended.Before(d.ended):
		return ""
	}
	var last *tokenSet
	for _, s := range g.sets {
		if s.committed.Before(d.ended) {
			last = s
		}
	}
	switch {
	case last == nil || last.stored() || w.cause(last) == "":
		return "the provider's ledger says that it lives"
	case d.reason != interrupted:
		return "its last answer was lost, which has a name of its own"
	}
	return ""
}

// judgeNames finds connections whose last answer was lost and that are not called so.
func (w *world) judgeNames(db stored) {
	for _, u := range w.users {
		row := db.rows[u.connection]
		if u.fate != over || row == nil || len(u.grants) == 0 {
			continue
		}
		g := u.grants[len(u.grants)-1]
		switch {
		case !g.ended.IsZero():
		case g.last().stored() || w.cause(g.last()) == "":
			w.brokeOf(u, "%s is %s %s, and the provider's ledger says that it lives", u.connection, row.state, row.reason)
		case row.reason != interrupted && g.last().n > 1:
			w.brokeOf(u, "%s is %s %s, and its last answer was lost (%s)", u.connection, row.state, row.reason, w.cause(g.last()))
		}
	}
}

// judgeAlive compares what the service calls connected with the emulator's ledger.
func (w *world) judgeAlive(db stored) {
	living := map[string]int{}
	for _, g := range w.sim.Ledger().Grants {
		if g.Status == zoomsim.GrantLive {
			living[g.Email]++
		}
	}
	for _, row := range db.rows {
		if !row.deleted && row.state == "CONNECTED" && row.reason == "" && living[row.email] == 0 {
			w.broke("%s of %s is connected, and no grant of his lives", row.id, row.email)
		}
	}
	for _, u := range w.users {
		if n := len(u.grants); u.fate == alive && living[u.email] != 1 || n == 0 && living[u.email] > 0 {
			w.brokeOf(u, "%d grants live, and the connection is %s", living[u.email], u.fate)
		}
	}
}

func (w *world) judgeOverlaps() {
	for _, o := range w.ledger.overlaps {
		w.broke("%s", o)
	}
}

// judgeRefusals looks for a reason for every read that got no credential.
func (w *world) judgeRefusals() {
	told := map[*user]bool{}
	for _, f := range w.readings.refusals {
		if why := w.whyRefused(f); why != "" && !told[f.user] {
			told[f.user] = true
			w.brokeOf(f.user, "replica %d refuses %s from %s to %s (%s), and %s", f.replica, f.connection, stamp(f.began), stamp(f.ended), f.as, why)
		}
	}
}

// margin is how much longer than asked for a token must live for a refusal to be wrong: clocks are read at different times.
const margin = 2 * time.Second

// whyRefused is what is wrong with a refusal; empty where it was in order.
func (w *world) whyRefused(f refusal) string {
	u := f.user
	if at, begun := u.deleting[f.connection]; begun && at.Before(f.ended) {
		return ""
	}
	if w.windows.cover(f.replica, f.began, f.ended) {
		return ""
	}
	if f.as == "NotConnected" {
		return "nobody deleted it"
	}
	want := time.Minute
	if f.ttl != nil {
		want = time.Duration(*f.ttl) * time.Second
	}
	want = min(want, u.life/2) + margin
	if k := f.known; k.set != nil && k.connection == f.connection && k.at.Before(f.began) && k.expires.Sub(f.ended) >= want {
		if g := k.set.grant; g.ended.IsZero() || g.ended.After(f.ended) {
			return fmt.Sprintf("version %d, which was served at %s, lives until %s", k.version, stamp(k.at), stamp(k.expires))
		}
	}
	if v := f.view; v != nil && v.State == "CONNECTED" && v.AccessTokenExpiresAt != nil && v.AccessTokenExpiresAt.Sub(f.ended) >= want {
		return fmt.Sprintf("its row says that version %d lives until %s", v.CredentialVersion, stamp(*v.AccessTokenExpiresAt))
	}
	return ""
}

// judgeLeftOver finds what should have been cleared away.
func (w *world) judgeLeftOver(db stored) {
	for what, n := range map[string]int{"escrows": db.escrows, "unfinished attempts": db.attempts} {
		if n > 0 {
			w.broke("%d %s are left over", n, what)
		}
	}
	w.say("%d revocations are still to be made; %d locks of processes that died wait to be cleared away", db.jobs, db.locks)
	for _, u := range w.users {
		if row := db.rows[u.connection]; u.connection != "" && (row == nil || row.deleted) {
			w.brokeOf(u, "%s has no row, and nobody deleted it", u.connection)
		}
		for deleted := range u.deleted {
			if row := db.rows[deleted]; row != nil && !row.deleted {
				w.brokeOf(u, "%s has a row, and its deletion was acknowledged", deleted)
			}
		}
	}
}

// verify has the program compare database and vault.
func (w *world) verify(ctx context.Context) {
	out, err := w.command(ctx, "", "verify")
	if err != nil {
		w.broke("tokenkeep verify: %v\n%s", err, out)
	}
}

// uuidOf is a connection's id as the vault's paths have it.
func uuidOf(connection string) string {
	u, err := id.Connection.Parse(connection)
	if err != nil {
		return ""
	}
	return u.String()
}
