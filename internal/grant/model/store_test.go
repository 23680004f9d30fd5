package model_test

import "github.com/tokenkeep/tokenkeep/internal/grant"

// shared are the steps of landing an escrow and of committing a record.
func (m *machine) shared() {
	switch at := m.actor().at; {
	case at >= keepLook:
		m.keep()
	case at >= commitWrite:
		m.commit()
	default:
		m.land()
	}
}

// failedLanding is where an actor goes that cannot land an escrow.
func (m *machine) failedLanding(gone bool) step {
	switch a := m.actor(); a.kind {
	case refresher:
		return refreshClose
	case authorization, resumer:
		if gone && a.exists {
			return authorizeUnwrite
		}
		return authorizeClose
	default:
		return landerClose
	}
}

// land is escrow.go.
func (m *machine) land() {
	failed := m.failedLanding(false)
	switch m.actor().at {
	case landRead:
		m.read("looks into the escrow", func(s *state, a *actor) step {
			if a.escrow = s.escrows[a.connection]; a.escrow.generation == 0 {
				return a.back
			}
			return landPeek
		}, failed)
	case landPeek:
		m.read("compares the escrow with the head", func(s *state, a *actor) step {
			a.now = s.heads[a.connection]
			if m.lands(int64(a.escrow.generation), a.now.view()) {
				return landWrite
			}
			return landDrop
		}, failed)
	case landWrite:
		m.change("writes the escrow into the vault", func(s *state, a *actor) step {
			if !s.write(a.connection, a.escrow, a.now.cas) {
				return landPeek
			}
			return landDrop
		}, failed)
	case landDrop:
		m.change("drops the escrow", func(s *state, a *actor) step {
			if waiting := &s.escrows[a.connection]; waiting.generation == a.escrow.generation && waiting.attempt == a.escrow.attempt {
				*waiting = record{}
				s.rows[a.connection].escrowed = false
			}
			return landCheck
		}, failed)
	case landCheck:
		m.read("looks whether the connection is still there", func(s *state, a *actor) step {
			if s.rowView(a.connection).Exists {
				return a.back
			}
			return landErase
		}, failed)
	case landErase:
		m.change("erases what it landed", func(s *state, a *actor) step {
			s.erase(a.connection)
			return m.failedLanding(true)
		}, failed)
	}
}

// commit is commit.go.
func (m *machine) commit() {
	switch m.actor().at {
	case commitWrite:
		m.change("writes the record", func(s *state, a *actor) step {
			if !s.write(a.connection, a.writing, a.reserved.cas) {
				return commitPeek
			}
			return m.committed(s, a, grant.DoubtDone)
		}, commitPeek)
	case commitPeek:
		m.certain("reads the head in doubt", func(s *state, a *actor) step {
			a.now = s.heads[a.connection]
			return commitRow
		})
		if m.actor().away {
			m.certain("the vault stays away, the record goes into escrow", func(s *state, a *actor) step {
				a.inEscrow = true
				return m.committed(s, a, grant.DoubtDone)
			})
		}
	case commitRow:
		m.certain("reads the row in doubt", func(s *state, a *actor) step {
			return m.resolved(s, a, s.rowView(a.connection))
		})
		m.fault("reads the row in doubt: no answer", func(s *state, a *actor) step {
			return m.resolved(s, a, grant.RowView{Exists: true})
		})
	}
}

// resolved does what AfterDoubt says.
func (m *machine) resolved(s *state, a *actor, r grant.RowView) step {
	role := grant.RoleRefresh
	if a.kind != refresher {
		role = grant.RoleAuthorization
	}
	d := m.afterDoubt(a.reserved.view(), attemptID(a.writing.attempt), role, r, a.now.view())
	if d == grant.DoubtRewrite {
		a.reserved.cas = a.now.cas
		return commitWrite
	}
	return m.committed(s, a, d)
}

// committed goes on after a commit.
func (m *machine) committed(_ *state, a *actor, d grant.DoubtStep) step {
	if a.kind == refresher {
		return m.afterCommit(a, d)
	}
	return m.afterAuthorizing(a, d)
}

// keep is keepUncopied of revoke.go, before every erasure.
func (m *machine) keep() {
	erase, failed := atEnd, atEnd
	switch m.actor().kind {
	case deletion:
		erase = deleteErase
	case eraser:
		erase = eraseNow
	default:
		erase, failed = authorizeUnerase, authorizeExisting
	}
	switch m.actor().at {
	case keepLook:
		m.read("looks for a set newer than the copy", func(s *state, a *actor) step {
			a.now, a.order = s.heads[a.connection], s.tombstones[a.connection].orders
			if a.now.generation <= s.tombstones[a.connection].generation || a.now.attempt == authorizing {
				return erase
			}
			return keepOrder
		}, failed)
	case keepOrder:
		m.change("orders the revocation of the newer set", func(s *state, a *actor) step {
			s.enqueue(a.now.set)
			return erase
		}, failed)
	}
}

// eraseSeen destroys the record. What came between the look and this, of a process that died since, is gone: that is the
// other window, and the lock's mark names it.
func (m *machine) eraseSeen(s *state, a *actor) {
	h := s.heads[a.connection]
	s.erase(a.connection)
	if h.generation != a.now.generation && !m.inHand(s, h.grant) {
		m.lose(s, h.grant)
	}
}
