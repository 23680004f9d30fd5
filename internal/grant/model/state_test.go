// Package model_test runs the decisions of package grant through every interleaving of what may happen to one grant.
//
// Mechanism. The world (the provider, the vault, the database) is a small comparable value; whoever acts in it (a refresher,
// an authorization, a deletion, ...) is a machine whose steps are the runner's atomic effects: one database transaction, one
// call of the vault or one of the provider. The explorer goes breadth first through all orders of those steps, lets any
// machine crash between two of them, loses answers before and after they took effect, lets locks run out and restores old
// backups, up to a budget of each. Every state that was seen is kept, so that none is explored twice, and the way to the
// first bad one is the shortest there is. Where nobody can go on the crash is recovered from, as the sweeper and the next
// reader do, and what is left must be right.
//
// Reason. What decides in doubt are the very functions that the service runs (decide*.go): a trace that loses a grant here
// loses one there.
//
// Limit. The runners' order of steps is repeated here by hand; crash_test.go of package grant stops the real ones at the
// same points. One user, two connections at most, and budgets: what takes more faults at once is not seen.
package model_test

import (
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
)

// token is a refresh token: the number of its grant, and its own number in it. Zero is none.
type token struct{ grant, n uint8 }

// set is a token set, in a store or in a process's hands.
type set struct {
	token
	// consent numbers the consents in their order.
	consent uint8
}

// record is what a vault or an escrow holds. Its generation is 0 where there is none.
type record struct {
	generation, attempt uint8
	set
}

// head is the vault's place for a connection's record, with its check-and-set number.
type head struct {
	record
	erased bool
	cas    uint8
}

// view is what the product's decisions see of a head.
func (h head) view() grant.HeadView {
	switch {
	case h.erased:
		return grant.HeadView{State: grant.HeadErased}
	case h.generation == 0:
		return grant.HeadView{State: grant.HeadAbsent}
	default:
		return grant.HeadView{State: grant.HeadPresent, Generation: int64(h.generation), Attempt: attemptID(h.attempt)}
	}
}

// attemptID is the id of an attempt by its number.
func attemptID(n uint8) uuid.UUID { return uuid.UUID{15: n} }

// reason is why a row fails; zero where it does not.
type reason uint8

const (
	fine reason = iota
	revoked
	interrupted
	rolledBack
	missing
	unreachable
)

// row is a connection's row.
type row struct {
	exists, disconnected, escrowed bool
	generation, consent            uint8
	failure                        reason
}

func (r row) view() grant.RowView {
	return grant.RowView{Exists: r.exists, Generation: int64(r.generation)}
}

// tombstone is what remains of a deleted connection's row.
type tombstone struct {
	exists, erased bool
	generation     uint8
	// orders counts how often the erasure was ordered again.
	orders uint8
}

// reorder orders the erasure once more.
func (t *tombstone) reorder() {
	t.erased = false
	t.orders++
}

// note ends the order, unless there is a later one than was known before the erasure.
func (t *tombstone) note(known uint8) {
	if t.orders == known {
		t.erased = true
	}
}

// lock is a row of grant_locks. Its owner is the actor's place plus one.
type lock struct {
	owner             uint8
	expired           bool
	unknown, spending uint8
}

// attemptState is how far an authorization is.
type attemptState uint8

const (
	notBegun attemptState = iota
	sent
	parked
	done
	refused
	lost
)

// attempt is the row of the one authorization.
type attempt struct {
	state  attemptState
	answer set
	// connection is the one that is written.
	connection uint8
}

func (a attempt) unfinished() bool { return a.state == sent || a.state == parked }

// jobState is how far a revocation is.
type jobState uint8

const (
	noJob jobState = iota
	pending
	jobRevoked
	jobEnded // "already ended"
	jobSkipped
	jobUnknown // "unknown: refresh unanswered"
)

// job is a revocation with its sealed copy.
type job struct {
	state jobState
	copy  set
	// unanswered: a refresh of the copy's token was never answered.
	unanswered bool
}

// grantAt is a grant as the provider knows it.
type grantAt struct {
	live bool
	// now is the token that lives, before the one that was rotated away last.
	now, before token
}

// The connections, by their place: the one there is at first, and the one that an authorization makes.
const (
	first = iota
	second
	connections
)

// database is everything that a transaction may change.
type database struct {
	rows       [connections]row
	tombstones [connections]tombstone
	escrows    [connections]record
	// grantLock is that of the user's grants, attemptLock the authorization's own.
	grantLock, attemptLock lock
	attempt                attempt
	jobs                   [3]job
}

// budget is what may still go wrong.
type budget struct{ crashes, faults, freezes, restores uint8 }

// state is the world and all who act in it.
type state struct {
	grants [3]grantAt // by their number; 0 is none
	// late is a token that the provider has received and has not processed, though nobody waits for the answer.
	late  token
	heads [connections]head
	database
	actors [6]actor
	left   budget

	// What the invariants remember. answerLost: the provider committed and the answer reached no store, because it was lost
	// on the way or its process crashed. wrote is which attempt stored a generation.
	answerLost [3]bool
	wrote      [connections][12]uint8
	// froze: a process stood still for longer than its lock.
	vaultRestored, dbRestored bool
	deleted, froze            bool
	wrong                     wrong
}

// restored is true where a backup took the place of a store: what was in it since is gone.
func (s *state) restored() bool { return s.vaultRestored || s.dbRestored }

// firstAttempt and authorizing are the numbers of the attempt that stored the first set and of the authorization; the
// others are the actors' places plus one.
const (
	firstAttempt = 99
	authorizing  = 98
)

// start is a user who is connected.
func start(left budget) state {
	var s state
	s.left = left
	s.grants[1] = grantAt{live: true, now: token{1, 1}}
	s.heads[first] = head{record: record{1, firstAttempt, set{token{1, 1}, 1}}, cas: 1}
	s.wrote[first][1] = firstAttempt
	s.rows[first] = row{exists: true, generation: 1, consent: 1}
	return s
}
