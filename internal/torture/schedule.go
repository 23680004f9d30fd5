package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// action is one thing that is done to the service, its stores, its provider or its users.
type action struct {
	// at is counted from when the schedule begins.
	at   time.Duration
	kind string
	// replica is whom it is done to, for what is done to one.
	replica int
	// lasts is how long it stays so: an outage, a frozen process, the time until a killed one is started again.
	lasts time.Duration
	// count is how many users or requests it takes.
	count int
	// pick seeds what is drawn while it is carried out.
	pick uint64
}

func (a action) String() string {
	return fmt.Sprintf("+%-8s %-20s replica %d, %s, %d of them, pick %d", a.at.Round(time.Millisecond), a.kind, a.replica, a.lasts.Round(time.Millisecond), a.count, a.pick)
}

// What an action needs for itself: two of one sort never overlap in a schedule.
const (
	nothing = iota
	aStore  // the vault or the database as a whole
	aProvider
	aFreeze
)

// kind describes a kind of action for the schedule.
type kind struct {
	name string
	// lone is what it needs for itself.
	lone int
	// min and max bound how long it lasts.
	min, max time.Duration
	// count is the most that it takes at once.
	count int
	// both is set for what a single process over SQLite is put through, too.
	both bool
}

// restart bounds how long a killed process stays away: a service manager starts it again at once.
const awayLeast, awayMost = 200 * time.Millisecond, 3 * time.Second

// kinds are all kinds of actions.
func kinds(o options) []kind {
	all := []kind{
		{name: "kill", min: awayLeast, max: awayMost, both: true},
		{name: "term", min: 0, max: time.Second, both: true},
		{name: "stall", lone: aFreeze, min: time.Second, max: 8 * time.Second, both: true},
		{name: "freeze", lone: aFreeze, min: o.freeze, max: o.freeze + 5*time.Second, both: true},
		{name: "vault-seal", lone: aStore, min: 2 * time.Second, max: 15 * time.Second},
		{name: "vault-restart", lone: aStore, min: 0, max: 3 * time.Second},
		{name: "vault-kill", lone: aStore, min: 0, max: 3 * time.Second},
		{name: "vault-freeze", lone: aStore, min: 2 * time.Second, max: 14 * time.Second},
		{name: "vault-lost-answers", count: 4},
		{name: "vault-lost-writes", count: 4},
		{name: "database-restart", lone: aStore, min: 0, max: 3 * time.Second},
		{name: "database-crash", lone: aStore, min: 0, max: 3 * time.Second},
		{name: "database-cut", min: 0, max: 0},
		{name: "provider-slow", lone: aProvider, min: 3 * time.Second, max: 6 * time.Second, count: 3, both: true},
		{name: "provider-drop", lone: aProvider, min: 2 * time.Second, max: 6 * time.Second, count: 3, both: true},
		{name: "provider-lose", lone: aProvider, min: 2 * time.Second, max: 6 * time.Second, count: 10, both: true},
		{name: "provider-429", lone: aProvider, min: 2 * time.Second, max: 8 * time.Second, count: 50, both: true},
		{name: "provider-500", lone: aProvider, min: 2 * time.Second, max: 8 * time.Second, count: 50, both: true},
		{name: "provider-500-spent", lone: aProvider, min: 2 * time.Second, max: 6 * time.Second, count: 2, both: true},
		{name: "provider-html", lone: aProvider, min: 2 * time.Second, max: 8 * time.Second, count: 50, both: true},
		{name: "provider-truncate", lone: aProvider, min: 2 * time.Second, max: 6 * time.Second, count: 2, both: true},
		{name: "reauthorize", count: 6, both: true},
		{name: "delete", count: 4, both: true},
		{name: "delete-refreshing", count: 4, both: true},
		{name: "end", count: 3, both: true},
		{name: "race", count: 8, both: true},
		{name: "rotate-key", both: true},
	}
	for _, p := range points {
		all = append(all, kind{name: crashPrefix + p.name, min: awayLeast, max: awayMost, count: 6, both: p.both})
	}
	return slices.DeleteFunc(all, func(k kind) bool { return o.mode == modeSQLite && !k.both || !o.wants(k.name) })
}

// wants reports whether -only leaves a kind in.
func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// schedule draws the whole run: every kind once in random order, then all over again, so that a short run has seen
// everything that fits into it.
func schedule(o options) []action {
	dice := rand.New(rand.NewPCG(o.seed, 1)) // #nosec G404 -- a schedule that can be repeated
	all := kinds(o)
	var (
		made []action
		deck []kind
		free = map[int]time.Duration{}
	)
	if len(all) == 0 {
		return nil
	}
	for at := o.every; at < o.duration; at += o.every/2 + time.Duration(dice.Int64N(int64(o.every))) {
		if len(deck) == 0 {
			deck = shuffled(dice, all)
		}
		i := slices.IndexFunc(deck, func(k kind) bool { return k.fits(o, at, free) })
		if i < 0 {
			// Nothing of what is left fits now: it goes on with a new deck, which begins with what was left.
			deck = append(deck, shuffled(dice, all)...)
			if i = slices.IndexFunc(deck, func(k kind) bool { return k.fits(o, at, free) }); i < 0 {
				continue
			}
		}
		a := deal(dice, o, deck[i], at)
		if lone := deck[i].lone; lone != nothing {
			free[lone] = at + a.lasts + pauseAfter(lone, a.lasts)
		}
		deck = slices.Delete(deck, i, i+1)
		made = append(made, a)
	}
	return made
}

// pauseAfter is how long what an action had for itself is left alone afterwards.
func pauseAfter(lone int, lasted time.Duration) time.Duration {
	if lone == aFreeze {
		return max(5*time.Second, lasted)
	}
	return 3 * time.Second
}

// fits reports whether an action of the kind can begin at a time.
func (k kind) fits(o options, at time.Duration, free map[int]time.Duration) bool {
	if k.lone != nothing && at < free[k.lone] {
		return false
	}
	// What lasts long must not outlast the run by much.
	return k.max <= 20*time.Second || at+k.max <= o.duration+o.freeze/2
}

// deal draws an action of a kind.
func deal(dice *rand.Rand, o options, k kind, at time.Duration) action {
	return action{
		at: at, kind: k.name, replica: dice.IntN(o.replicas), lasts: k.min + time.Duration(dice.Int64N(int64(k.max-k.min)+1)),
		count: 1 + dice.IntN(max(k.count, 1)), pick: dice.Uint64(),
	}
}

func shuffled(dice *rand.Rand, all []kind) []kind {
	out := slices.Clone(all)
	dice.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
