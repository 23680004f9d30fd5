package model_test

import "github.com/tokenkeep/tokenkeep/internal/grant"

// A deletion is connection.Delete: copy, bury, erase.
const (
	deleteCopy step = ownSteps + iota
	deleteReconcile
	deleteBury
	deleteErase
	deleteNote
)

func (m *machine) delete() {
	switch m.actor().at {
	case atStart:
		m.read("reads the row", func(s *state, a *actor) step {
			if a.row = s.rows[a.connection]; !a.row.exists {
				return atEnd
			}
			return deleteCopy
		}, atEnd)
	case deleteCopy:
		m.read("copies what is stored", m.copied, atEnd)
	case deleteReconcile:
		m.change("brings the row up to the head", func(s *state, a *actor) step {
			if !s.refreshed(a.connection, a.reserved.record, false) {
				return atEnd
			}
			return deleteBury
		}, atEnd)
	case deleteBury:
		m.change("buries the row", m.buried, atEnd)
	case deleteErase:
		m.change("erases the record", func(s *state, a *actor) step {
			m.eraseSeen(s, a)
			return deleteNote
		}, atEnd)
	case deleteNote:
		m.noteErased()
	default:
		m.shared()
	}
}

// copied is PrepareRevocation: hand is the copy, row.generation what was copied.
func (m *machine) copied(s *state, a *actor) step {
	a.hand = set{}
	if a.row.disconnected {
		return deleteBury
	}
	if e := s.escrows[a.connection]; a.row.escrowed && e.generation >= a.row.generation && e.generation > 0 {
		a.hand, a.row.generation = e.set, e.generation
		return deleteBury
	}
	a.reserved = s.heads[a.connection]
	switch m.beforeSpend(a.row.view(), a.reserved.view()) {
	case grant.StepSpend:
		a.hand = a.reserved.set
	case grant.StepReconcile:
		a.hand, a.row.generation = a.reserved.set, a.reserved.generation
		return deleteReconcile
	default:
		// nothing to revoke with
	}
	return deleteBury
}

// buried is the deletion's transaction.
func (m *machine) buried(s *state, a *actor) step {
	r := s.rows[a.connection]
	if !r.exists {
		return atEnd
	}
	if m.staleCopy(r.view(), int64(a.row.generation)) {
		if a.tries++; a.tries > 2 {
			return atEnd
		}
		return atStart
	}
	s.tombstones[a.connection] = tombstone{exists: true, generation: r.generation}
	s.escrows[a.connection] = record{}
	m.bury(s, a, r)
	s.rows[a.connection] = row{}
	s.deleted = true
	return keepLook
}

// bury forgets what an idle lock remembers and orders the revocation.
func (m *machine) bury(s *state, a *actor, r row) {
	if a.hand != (set{}) {
		s.enqueue(a.hand)
		return
	}
	if l := &s.grantLock; !r.disconnected && l.owner == 0 {
		*l = lock{}
	}
}

// A rewrap reads a record and writes it again, under another key.
const rewrapWrite = ownSteps

func (m *machine) rewrap() {
	switch m.actor().at {
	case atStart:
		m.read("reads the record", func(s *state, a *actor) step {
			if a.reserved = s.heads[a.connection]; a.reserved.generation == 0 {
				return atEnd
			}
			return rewrapWrite
		}, atEnd)
	case rewrapWrite:
		m.change("writes it under the new key", func(s *state, a *actor) step {
			s.write(a.connection, a.reserved.record, a.reserved.cas)
			return atEnd
		}, atEnd)
	}
}

// An eraser is the sweeper's: it destroys what tombstones order destroyed.
const (
	eraseNow step = ownSteps + iota
	eraseNote
)

func (m *machine) sweepErasure() {
	switch m.actor().at {
	case atStart:
		for c := range m.s.tombstones {
			if t := m.s.tombstones[c]; !t.exists || t.erased {
				continue
			}
			m.certain("finds the order of a tombstone", func(_ *state, a *actor) step {
				a.connection = uint8(c)
				return keepLook
			})
			return
		}
	case eraseNow:
		m.change("erases the record", func(s *state, a *actor) step {
			m.eraseSeen(s, a)
			return eraseNote
		}, atEnd)
	case eraseNote:
		m.noteErased()
	default:
		m.shared()
	}
}

// noteErased ends the tombstone's order.
func (m *machine) noteErased() {
	m.change("notes the erasure", func(s *state, a *actor) step {
		s.tombstones[a.connection].note(a.order)
		return atEnd
	}, atEnd)
}

// A lander is the sweeper's: it lands an escrow under the grant's lock.
const (
	landerDrop step = ownSteps + iota
	landerClose
)

func (m *machine) sweepEscrow() {
	switch m.actor().at {
	case atStart:
		for c := range m.s.escrows {
			if m.s.escrows[c].generation == 0 {
				continue
			}
			m.change("claims the grant of an escrow", func(s *state, a *actor) step {
				a.connection, a.back = uint8(c), landerClose
				if !s.rows[c].exists {
					return landerDrop
				}
				var held bool
				if a.unknown, held = s.grantLock.take(m.owner()); !held {
					return atEnd
				}
				return landRead
			}, atEnd)
			return
		}
	case landerDrop:
		m.change("drops the escrow of a deleted connection", func(s *state, a *actor) step {
			s.escrows[a.connection] = record{}
			return atEnd
		}, atEnd)
	case landerClose:
		m.certain("gives the lock up", func(s *state, a *actor) step {
			s.grantLock.release(m.owner(), a.unknown)
			return atEnd
		})
	default:
		m.land()
	}
}

// restore puts a backup from the beginning in the place of a store. Nothing runs meanwhile.
func (m *machine) restore() {
	if m.s.left.restores == 0 {
		return
	}
	what := "the vault is restored from a backup"
	if m.actor().kind == restoreDatabase {
		what = "the database is restored from a backup"
	}
	m.certain(what, func(s *state, a *actor) step {
		s.left.restores--
		for i := range s.actors {
			if b := &s.actors[i]; b.alive() && b.at != atStart {
				b.at, b.hand = crashed, set{}
			}
		}
		s.late = token{}
		old := start(budget{})
		if a.kind == restoreVault {
			s.heads, s.vaultRestored = old.heads, true
		} else {
			s.database, s.dbRestored = old.database, true
		}
		return atEnd
	})
}
