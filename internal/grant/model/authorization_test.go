package model_test

import "github.com/tokenkeep/tokenkeep/internal/grant"

// An authorization is authorize.go and finish.go: note the code, exchange it, park the answer, learn whose it is, and
// store it under the grant's lock. Whoever resumes it starts from what is parked.
const (
	authorizeExchange step = ownSteps + iota
	authorizeCalling
	authorizePark
	authorizeLose
	authorizeIdentify
	authorizeRefuse
	authorizeClaim
	authorizeExisting
	authorizeAim
	authorizeReserve
	authorizeCompare
	authorizeSettle
	authorizeUnwrite
	authorizeUnerase
	authorizeUnerased
	authorizeClose
	resumeOpen
)

func (m *machine) authorize() {
	switch m.actor().at {
	case atStart:
		m.change("notes the code", func(s *state, a *actor) step {
			s.attemptLock = lock{owner: m.owner()}
			s.attempt = attempt{state: sent, connection: second}
			return authorizeExchange
		}, authorizeClose)
	case authorizeExchange:
		m.certain("sends the code", func(_ *state, _ *actor) step { return authorizeCalling })
	case authorizeCalling:
		m.certain("gets an answer", func(s *state, a *actor) step {
			a.hand = m.consent(s)
			return authorizePark
		})
		m.fault("the provider commits, the answer is lost", func(s *state, a *actor) step {
			m.lose(s, m.consent(s).grant)
			return authorizeLose
		})
		m.fault("the request is lost", func(_ *state, _ *actor) step { return authorizeLose })
	case authorizePark:
		m.change("parks the answer", func(s *state, a *actor) step {
			s.attempt.state, s.attempt.answer = parked, a.hand
			return authorizeIdentify
		}, authorizePark)
	default:
		m.finish()
	}
}

// resume is the sweeper, or the caller who repeats the code.
func (m *machine) resume() {
	switch m.actor().at {
	case atStart:
		if !m.s.attempt.unfinished() || m.s.attemptLock.owner != 0 && !m.s.attemptLock.expired {
			return
		}
		m.change("takes the attempt over", func(s *state, a *actor) step {
			s.attemptLock = lock{owner: m.owner()}
			if s.attempt.state == sent {
				return authorizeLose
			}
			return resumeOpen
		}, atEnd)
	case resumeOpen:
		m.read("opens the parked answer and looks for it in the vault", func(s *state, a *actor) step {
			a.hand, a.connection = s.attempt.answer, s.attempt.connection
			if h := s.heads[a.connection]; m.showsConsent(h.view(), attemptID(authorizing), h.consent == a.hand.consent) {
				a.hand, a.durable = h.set, true
			}
			return authorizeIdentify
		}, authorizeClose)
	default:
		m.finish()
	}
}

// finish is what both have in common.
func (m *machine) finish() {
	switch m.actor().at {
	case authorizeLose:
		m.change("calls the attempt lost", func(s *state, _ *actor) step {
			if s.attempt.state == sent || m.actor().kind == authorization && s.attempt.state == parked {
				s.attempt.state, s.attempt.answer = lost, set{}
			}
			return authorizeClose
		}, authorizeClose)
	case authorizeIdentify:
		m.read("asks whose grant it is", func(s *state, a *actor) step {
			if !a.durable && !s.grants[a.hand.grant].live {
				return authorizeRefuse
			}
			return authorizeClaim
		}, authorizeClose)
	case authorizeRefuse:
		m.change("refuses the attempt", func(s *state, _ *actor) step {
			if s.attempt.unfinished() {
				s.attempt.state, s.attempt.answer = refused, set{}
			}
			return authorizeClose
		}, authorizeClose)
	case authorizeClaim:
		m.claimGrant(authorizeExisting, authorizeClose)
	case authorizeExisting:
		m.read("looks for the user's connection", func(s *state, a *actor) step {
			a.exists = false
			for c := range s.rows {
				if s.rows[c].exists {
					a.connection, a.exists, a.row = uint8(c), true, s.rows[c]
				}
			}
			if !a.exists {
				a.connection, a.row = second, row{}
			}
			return authorizeAim
		}, authorizeClose)
	case authorizeAim:
		m.change("notes which connection it writes", func(s *state, a *actor) step {
			if before := &s.tombstones[s.attempt.connection]; s.attempt.connection != a.connection {
				before.reorder()
			}
			if s.attempt.unfinished() {
				s.attempt.connection = a.connection
			}
			a.back = authorizeReserve
			return landRead
		}, authorizeClose)
	case authorizeReserve:
		m.read("reads the head", m.aimed, authorizeClose)
	case authorizeCompare:
		m.read("tries both sets", m.compared, authorizeClose)
	case authorizeSettle:
		m.change("settles", m.authorized, authorizeSettle)
		m.giveUpAuthorization()
	case authorizeUnwrite:
		m.change("orders the erasure of what it wrote", func(s *state, a *actor) step {
			s.tombstones[a.connection].reorder()
			return keepLook
		}, authorizeClose)
	case authorizeUnerase:
		m.change("erases it", func(s *state, a *actor) step {
			m.eraseSeen(s, a)
			return authorizeUnerased
		}, authorizeExisting)
	case authorizeUnerased:
		m.change("notes the erasure", func(s *state, a *actor) step {
			s.tombstones[a.connection].note(a.order)
			return authorizeExisting
		}, authorizeExisting)
	case authorizeClose:
		m.certain("gives its locks up", func(s *state, a *actor) step {
			s.grantLock.release(m.owner(), a.unknown)
			s.attemptLock.release(m.owner(), 0)
			a.hand = set{}
			return atEnd
		})
	default:
		m.shared()
	}
}

// claimGrant waits for the grant's lock.
func (m *machine) claimGrant(then, failed step) {
	if l := m.s.grantLock; l.owner == 0 || l.expired {
		m.change("claims the grant", func(s *state, a *actor) step {
			a.unknown, _ = s.grantLock.take(m.owner())
			return then
		}, failed)
		return
	}
	m.fault("waits too long for the grant", func(_ *state, _ *actor) step { return failed })
}

// aimed decides what follows the reading of the head.
func (m *machine) aimed(s *state, a *actor) step {
	a.reserved = s.heads[a.connection]
	if a.reserved.view().State != grant.HeadPresent || a.reserved.generation < a.row.generation {
		return m.overwrites(a)
	}
	same := a.reserved.consent == a.hand.consent
	switch m.beforeStore(grant.StoredConsent{
		SameConsent: same, SameToken: a.reserved.token == a.hand.token, Mine: a.reserved.attempt == authorizing, Contested: m.contested,
	}) {
	case grant.StoreStays:
		return m.stays(a)
	case grant.StoreCompare:
		return authorizeCompare
	default:
		return m.overwrites(a)
	}
}

// stays settles what is stored.
func (m *machine) stays(a *actor) step {
	a.writing, a.inEscrow = a.reserved.record, false
	return authorizeSettle
}

// overwrites seals the answer above everything stored.
func (m *machine) overwrites(a *actor) step {
	a.writing = record{uint8(m.nextGeneration(a.row.view(), a.reserved.view())), authorizing, a.hand}
	return commitWrite
}

// afterAuthorizing is where an authorization goes on after its commit. One that renews and goes into escrow leaves a
// generation to whoever lost the lock and wrote all the same.
func (m *machine) afterAuthorizing(a *actor, d grant.DoubtStep) step {
	switch d {
	case grant.DoubtAnew:
		return authorizeUnwrite
	case grant.DoubtCompare:
		return authorizeReserve
	}
	if a.inEscrow && a.exists {
		a.writing.generation++
	}
	return authorizeSettle
}

// compared asks the provider with both sets.
func (m *machine) compared(s *state, a *actor) step {
	tried := func(t set) grant.Tried {
		if s.grants[t.grant].live {
			return grant.TriedWorks
		}
		return grant.TriedRefused
	}
	switch m.afterComparison(grant.Comparison{
		Stored: tried(a.reserved.set), Mine: tried(a.hand), Later: a.hand.consent >= a.reserved.consent, EndsOlder: m.consentEnds,
	}) {
	case grant.CompareStays:
		return m.stays(a)
	case grant.CompareOverwrite:
		return m.overwrites(a)
	default:
		return authorizeClose
	}
}

// authorized writes connection, attempt and lock in one transaction.
func (m *machine) authorized(s *state, a *actor) step {
	r := &s.rows[a.connection]
	switch {
	case s.grantLock.owner != m.owner() && !m.unfenced, !s.attempt.unfinished(), !a.exists && r.exists:
		return authorizeClose
	case a.exists && !r.exists:
		return authorizeUnwrite
	}
	s.grantLock.release(m.owner(), uint8(m.stillUnanswered(int64(a.writing.generation), int64(a.unknown))))
	if a.inEscrow {
		m.world.inEscrow(s, a.connection, a.writing)
	}
	if !r.exists {
		*r = row{exists: true}
	}
	s.refreshed(a.connection, a.writing, a.inEscrow)
	r.consent = a.writing.consent
	s.attempt = attempt{state: done, connection: a.connection}
	return authorizeClose
}

// giveUpAuthorization ends the patience of a settlement: the answer stays parked.
func (m *machine) giveUpAuthorization() {
	if a := m.actor(); a.away && !a.inEscrow {
		m.fault("gives the settlement up", func(_ *state, _ *actor) step { return authorizeClose })
	}
}
