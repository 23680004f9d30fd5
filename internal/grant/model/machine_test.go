package model_test

import "github.com/tokenkeep/tokenkeep/internal/grant"

// kind is who acts.
type kind uint8

const (
	nobody kind = iota
	refresher
	authorization
	deletion
	rewrap
	restoreVault
	restoreDatabase
	// The sweeper's parts.
	resumer
	eraser
	lander
	revoker
)

// step is the place of an actor in its program: what it does next.
type step uint8

// verdict is what a refresher is about to write of a failed spend.
type verdict struct {
	disconnect bool
	reason     reason
	unanswered uint8
}

// actor is a process that carries one thing out. Its fields are what it has read and what it holds; they die with it.
type actor struct {
	kind kind
	at   step
	// back is where a landing returns to.
	back       step
	connection uint8
	tries      uint8
	row        row
	reserved   head
	now        head
	// hand is the set it was given, sealed as written.
	hand    set
	writing record
	escrow  record
	// away is set once the vault did not answer; inEscrow where the record goes into escrow with the settlement.
	away, inEscrow       bool
	interrupted, durable bool
	refusedForGood       bool
	exists               bool
	unknown, doubt       uint8
	verdict              verdict
	job                  uint8
	// order is how often an erasure had been ordered again when it began.
	order   uint8
	outlook bool
}

// The steps that all machines share; each machine has its own beyond.
const (
	atStart step = iota
	atEnd
	crashed
	// firstStep and above are each machine's own.
	firstStep
)

func (a actor) alive() bool { return a.at != atEnd && a.at != crashed }

// emit is told of every state that may follow, with the words for what happened.
type emit func(what string, s state)

// world is a scenario's constants: the provider, and the decisions under test.
type world struct {
	profile
	decisions
	// contested: an authorization takes what is stored for a consent that may be later than its own.
	contested bool
}

// machine is one step of one actor: it changes the copy it is given and returns where the actor goes on.
type machine struct {
	*world
	s    state
	me   int
	emit emit
}

func (m *machine) actor() *actor { return &m.s.actors[m.me] }

// owner is how this actor signs a lock.
func (m *machine) owner() uint8 { return uint8(m.me) + 1 }

// attemptNumber is what this actor signs a record with.
func (m *machine) attemptNumber() uint8 {
	if k := m.s.actors[m.me].kind; k == authorization || k == resumer {
		return authorizing
	}
	return uint8(m.me) + 1
}

// effect changes world and actor, and says where the actor goes on.
type effect func(s *state, a *actor) step

// certain is a step that nothing can come between.
func (m *machine) certain(what string, f effect) {
	s := m.s
	a := &s.actors[m.me]
	a.at = f(&s, a)
	m.emit(what, s)
}

// read is a call whose failure has no effect; then the actor goes to failed.
func (m *machine) read(what string, f effect, failed step) {
	m.certain(what, f)
	m.fault(what+": no answer", func(_ *state, _ *actor) step { return failed })
}

// change is a call that has an effect. Where no answer comes it may have happened or not; the actor goes to doubt.
func (m *machine) change(what string, f effect, doubt step) {
	m.certain(what, f)
	m.fault(what+": done, but the answer is lost", func(s *state, a *actor) step {
		before, after := *a, *a
		f(s, &after)
		*a = before
		a.away = true
		return doubt
	})
	m.fault(what+": not done, and no answer", func(_ *state, a *actor) step {
		a.away = true
		return doubt
	})
}

// fault is a step that costs one of the faults.
func (m *machine) fault(what string, f effect) {
	if m.s.left.faults == 0 {
		return
	}
	s := m.s
	s.left.faults--
	a := &s.actors[m.me]
	a.at = f(&s, a)
	m.emit(what, s)
}

// take claims a lock; held is false where somebody has it.
func (l *lock) take(owner uint8) (unknown uint8, held bool) {
	if l.owner != 0 && !l.expired {
		return 0, false
	}
	if l.spending != 0 {
		l.unknown = l.spending
	}
	l.owner, l.expired, l.spending = owner, false, 0
	return l.unknown, true
}

// release ends a lock and leaves what is to be remembered; false where somebody else has it.
func (l *lock) release(owner, unknown uint8) bool {
	if l.owner != owner {
		return false
	}
	*l = lock{unknown: unknown}
	return true
}

// write is the vault's check-and-set; false where it does not match.
func (s *state) write(c uint8, r record, cas uint8) bool {
	h := &s.heads[c]
	if h.cas != cas {
		return false
	}
	*h = head{record: r, cas: cas + 1}
	s.stored(c, r)
	return true
}

// stored notes which attempt a generation is of: no two may share one, unless one of them stood still for longer than its
// lock and stored all the same.
func (s *state) stored(c uint8, r record) {
	by := &s.wrote[c][r.generation]
	if *by != 0 && *by != r.attempt && !s.restored() && !s.froze {
		s.wrong = generationReused
	}
	*by = r.attempt
}

// erase destroys a record.
func (s *state) erase(c uint8) {
	if h := &s.heads[c]; h.generation != 0 {
		*h = head{erased: true, cas: h.cas + 1}
	}
}

// rowView is what the service makes of a row that is not there: only a tombstone stops.
func (s *state) rowView(c uint8) grant.RowView {
	v := s.rows[c].view()
	v.Exists = !s.tombstones[c].exists
	return v
}

// refreshed brings a row to a stored set; false where it was deleted.
func (s *state) refreshed(c uint8, r record, escrowed bool) bool {
	row := &s.rows[c]
	if !row.exists {
		return false
	}
	if row.generation < r.generation {
		row.generation, row.escrowed, row.disconnected, row.failure = r.generation, escrowed, false, fine
	}
	return true
}

// inEscrow puts a record into escrow, unless a newer one is there.
func (w *world) inEscrow(s *state, c uint8, r record) {
	if waiting := &s.escrows[c]; waiting.generation == 0 || w.displaces(int64(r.generation), int64(waiting.generation)) {
		*waiting = r
		s.stored(c, r)
	}
}

// enqueue stores a revocation job.
func (s *state) enqueue(copied set) {
	for i := range s.jobs {
		if s.jobs[i].copy == copied {
			return // the same once more, because nobody knew that it was stored
		}
		if s.jobs[i].state == noJob {
			s.jobs[i] = job{state: pending, copy: copied}
			return
		}
	}
	s.wrong = tooManyJobs
}
