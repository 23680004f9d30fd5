package model_test

import "github.com/tokenkeep/tokenkeep/internal/grant"

// A revoker is revoke.go: one due job under the grant's lock.
const (
	revokeRead step = ownSteps + iota
	revokeNoted
	revokeMark
	revokeRenew
	revokeStore
	revokeLook
	revokeSend
	revokeCalling
	revokeEnd
	revokeClose
)

func (m *machine) revokeJob() {
	switch m.actor().at {
	case atStart:
		for i := range m.s.jobs {
			if m.s.jobs[i].state != pending {
				continue
			}
			m.change("claims the grant of a revocation", func(s *state, a *actor) step {
				a.job = uint8(i)
				var held bool
				if a.unknown, held = s.grantLock.take(m.owner()); !held {
					return atEnd
				}
				return revokeRead
			}, atEnd)
			return
		}
	case revokeRead:
		m.read("looks for grants that it would end, too", func(s *state, a *actor) step {
			next := m.spared(s, a, revokeMark)
			if next == revokeMark {
				a.hand, a.interrupted = s.jobs[a.job].copy, s.jobs[a.job].unanswered
				if a.unknown != 0 {
					return revokeNoted
				}
				if !m.byAccess || !m.copyExpired {
					return revokeLook
				}
			}
			return next
		}, revokeClose)
	case revokeNoted:
		m.change("notes that a refresh was never answered", func(s *state, a *actor) step {
			s.jobs[a.job].unanswered, a.interrupted, a.unknown = true, true, 0
			if !m.byAccess || !m.copyExpired {
				return revokeLook
			}
			return revokeMark
		}, revokeClose)
	case revokeMark:
		m.change("notes that its copy is refreshed", func(s *state, a *actor) step {
			s.jobs[a.job].unanswered = true
			return revokeRenew
		}, revokeClose)
	case revokeRenew:
		m.renewCopy()
	case revokeStore:
		m.change("stores the renewed copy", func(s *state, a *actor) step {
			s.jobs[a.job].copy, s.jobs[a.job].unanswered, a.interrupted = a.hand, false, false
			return revokeLook
		}, revokeStore)
	case revokeLook:
		m.read("looks once more", func(s *state, a *actor) step {
			a.outlook = s.attempt.state != notBegun
			return m.spared(s, a, revokeSend)
		}, revokeClose)
	case revokeSend:
		m.certain("sends the revocation", func(_ *state, _ *actor) step { return revokeCalling })
	case revokeCalling:
		m.revokeNow()
	case revokeEnd:
		m.change("ends the job", func(s *state, a *actor) step {
			j := &s.jobs[a.job]
			switch {
			case a.interrupted && (a.refusedForGood || !m.byAccess):
				j.state = jobUnknown
			case !a.refusedForGood:
				j.state = jobRevoked
			default:
				j.state = jobEnded
			}
			j.copy = set{consent: j.copy.consent}
			return revokeClose
		}, revokeClose)
	case revokeClose:
		m.certain("gives the lock up", func(s *state, a *actor) step {
			s.grantLock.release(m.owner(), a.unknown)
			a.hand = set{}
			return atEnd
		})
	}
}

// spared asks the product whether the revocation may be sent.
func (m *machine) spared(s *state, a *actor, then step) step {
	if s.jobs[a.job].state != pending {
		return revokeClose
	}
	o := grant.Others{EndsGrant: m.revokeEnds, Exchanging: s.attempt.unfinished()}
	for _, r := range s.rows {
		if r.exists && !r.disconnected && (!m.consentEnds || r.consent >= s.jobs[a.job].copy.consent) {
			o.Stands = true
		}
	}
	switch m.beforeRevoke(o) {
	case grant.RevokeSkip:
		s.jobs[a.job] = job{state: jobSkipped, copy: set{consent: s.jobs[a.job].copy.consent, token: token{grant: s.jobs[a.job].copy.grant}}}
		return revokeClose
	case grant.RevokeLater:
		return revokeClose
	default:
		return then
	}
}

// renewCopy refreshes the copy's token.
func (m *machine) renewCopy() {
	m.certain("is answered", func(s *state, a *actor) step {
		t, ok := m.profile.refresh(s, a.hand.token)
		if !ok {
			a.refusedForGood = true
			s.jobs[a.job].unanswered = a.interrupted
			return revokeEnd
		}
		a.hand.token = t
		return revokeStore
	})
	unanswered := func(a *actor) step {
		a.interrupted = true
		if a.tries++; a.tries == 1 {
			return revokeRenew
		}
		return revokeClose
	}
	m.fault("the provider commits, the answer is lost", func(s *state, a *actor) step {
		if _, ok := m.profile.refresh(s, a.hand.token); ok {
			m.lose(s, a.hand.grant)
		}
		return unanswered(a)
	})
	m.fault("the request is lost", func(_ *state, a *actor) step { return unanswered(a) })
}

// revokeNow calls the provider.
func (m *machine) revokeNow() {
	send := func(s *state, a *actor) bool {
		protected := a.outlook && s.grants[2].live && a.hand.grant == 1 && s.attempt.state != lost && !s.answerLost[2]
		ok := m.revoke(s, a.hand.token)
		if protected && !s.grants[2].live {
			s.wrong = revokedNewer
		}
		return ok
	}
	m.certain("is answered", func(s *state, a *actor) step {
		a.refusedForGood = !send(s, a)
		return revokeEnd
	})
	m.fault("the answer is lost", func(s *state, a *actor) step {
		send(s, a)
		return revokeClose
	})
	m.fault("the request is lost", func(_ *state, _ *actor) step { return revokeClose })
}
