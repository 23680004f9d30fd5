package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// balance is the account of all sets that the provider ever handed out.
type balance struct {
	exchanges, rotations int
	// held are sets that the service holds and that work; superseded were stored and came to an end.
	held, superseded int
	// renewed were parked answers of an authorization that a refresh took the place of before anything was settled.
	renewed int
	// unanswered were handed out and never stored; injected are the sets of which the harness knows a cause why that may be.
	unanswered, injected int
	// causes are those of the unanswered sets.
	causes map[string]int
}

func (b balance) String() string {
	text := fmt.Sprintf("%d exchanges + %d rotations = %d held + %d superseded + %d renewed while parked + %d unanswered",
		b.exchanges, b.rotations, b.held, b.superseded, b.renewed, b.unanswered)
	for _, cause := range slices.Sorted(maps.Keys(b.causes)) {
		text += fmt.Sprintf("\n            %4d  %s", b.causes[cause], cause)
	}
	return text
}

// persistence is how long after the provider's answer a process may still be at storing it, while stores are away.
const persistence = 3 * time.Minute

// cause is why a set may never have been stored, by the harness's doing; empty where there is no reason.
func (w *world) cause(s *tokenSet) string {
	if s.lost != "" {
		return s.lost
	}
	until := s.durable
	if until.IsZero() {
		until = s.committed.Add(persistence)
	}
	if len(w.windows.process(s.to, s.committed, until)) > 0 {
		return "its process was killed or stood still before it was durable"
	}
	u := s.grant.user
	for _, at := range u.deleting {
		if s.grant.was(at) && at.Before(s.committed.Add(time.Minute)) {
			return "its connection was deleted" // a revocation that comes late renews what it revokes, and keeps it with its job
		}
	}
	if s.grant.acknowledged.IsZero() && s.grant != u.grants[len(u.grants)-1] {
		return "a newer consent came before it was taken in"
	}
	return ""
}

// was reports whether it was the newest of its user's grants at a time.
func (g *grantTrack) was(at time.Time) bool {
	next := g.n // they are counted from 1
	return g.sets[0].committed.Before(at) && (next == len(g.user.grants) || g.user.grants[next].sets[0].committed.After(at))
}

// link matches the records that the vault acknowledged with the sets: each generation holds the newest set that its replica
// had been given by then.
func (w *world) link() {
	for _, u := range w.users {
		for _, connection := range u.all {
			for _, r := range w.ledger.records[uuidOf(connection)] {
				if s := u.newestBy(r); s != nil {
					s.durable, s.generation = r.at, r.generation
				}
			}
		}
	}
}

// newestBy is the newest set without a record that was handed out before a record was written. A refresh stores what its
// own process was given; an authorization may be finished by another process than began it.
func (u *user) newestBy(r record) *tokenSet {
	for i := len(u.grants) - 1; i >= 0; i-- {
		sets := u.grants[i].sets
		for j := len(sets) - 1; j >= 0; j-- {
			s := sets[j]
			if s.committed.After(r.at) || !s.durable.IsZero() || s.lost != "" {
				continue
			}
			if r.refresh && s.n > 1 && s.to == r.replica || !r.refresh && sets[0].durable.IsZero() {
				return s
			}
		}
	}
	return nil
}

// weigh adds up a user's sets and generations, and finds sets that vanished without a cause.
func (w *world) weigh(u *user, db stored, b *balance) {
	var sets []*tokenSet
	renewable := 0
	for _, g := range u.grants {
		sets = append(sets, g.sets...)
		if len(g.sets) > 1 && (g.acknowledged.IsZero() || g.acknowledged.After(g.sets[1].committed)) {
			renewable += len(g.sets) - 1
		}
	}
	var generations int64
	for _, row := range db.rows {
		if row.email == u.email || slices.Contains(u.all, row.id) {
			generations += row.generation + w.beyond(row)
		}
	}
	var causes []string
	for _, s := range sets {
		if s.stored() {
			continue
		}
		if cause := w.cause(s); cause != "" {
			causes = append(causes, cause)
		}
	}
	b.injected += len(causes)
	if u.fate == alive {
		b.held++
		generations--
	}
	b.superseded += int(generations)
	missing := len(sets) - int(generations)
	if u.fate == alive {
		missing--
	}
	switch {
	case missing < 0:
		w.brokeOf(u, "the provider gave %d sets of tokens and %d were stored", len(sets), len(sets)-missing)
	case missing > len(causes)+renewable:
		w.brokeOf(u, "of %d sets of tokens %d were never stored, and there is a cause for %d only", len(sets), missing, len(causes))
	}
	lost := min(max(missing, 0), len(causes))
	b.unanswered += lost
	b.renewed += max(missing, 0) - lost
	for _, cause := range causes[:lost] {
		b.causes[cause]++
	}
}

// beyond counts the records that the vault got for a connection which was deleted before its row could follow: they were
// stored, and erased with the rest.
func (w *world) beyond(row *rowView) (n int64) {
	for _, r := range w.ledger.records[uuidOf(row.id)] {
		if row.deleted && r.generation > row.generation {
			n++
		}
	}
	return n
}

// weighAll makes the account. It ends with the emulator's own totals.
func (w *world) weighAll(db stored) balance {
	b := balance{causes: map[string]int{}}
	for _, u := range w.users {
		w.weigh(u, db, &b)
	}
	b.exchanges, b.rotations = w.ledger.exchanges, w.ledger.rotations
	totals := w.sim.Ledger().Totals
	if totals.Exchanges != b.exchanges || totals.Rotations != b.rotations {
		w.broke("the harness: it saw %d exchanges and %d rotations pass by, the emulator made %d and %d", b.exchanges, b.rotations, totals.Exchanges, totals.Rotations)
	}
	if got := b.held + b.superseded + b.renewed + b.unanswered; got != b.exchanges+b.rotations {
		w.broke("the account does not add up: %s", strings.ReplaceAll(b.String(), "\n", ";"))
	}
	return b
}
