package model_test

import (
	"time"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

// A refresher is refresh.go: claim, land, reserve, mark, call, commit, settle.
const (
	refreshRow step = firstStep + iota
	refreshReserve
	refreshReconcile
	refreshMark
	refreshSend
	refreshCalling
	refreshPeek
	refreshLook
	refreshFail
	refreshSettle
	refreshSettleUnfenced
	refreshAdopt
	refreshAdoptRow
	refreshDiscard
	refreshClose

	// Landing an escrow (escrow.go) and committing (commit.go) are shared with other machines.
	landRead
	landPeek
	landWrite
	landDrop
	landCheck
	landErase
	landErased
	commitWrite
	commitPeek
	commitRow
	keepLook
	keepOrder

	ownSteps // of the other machines
)

func (m *machine) refresh() {
	switch m.actor().at {
	case atStart:
		m.change("claims the grant", func(s *state, a *actor) step {
			if !s.rows[a.connection].exists {
				return atEnd
			}
			unknown, held := s.grantLock.take(m.owner())
			if !held {
				return atEnd
			}
			a.unknown, a.back = unknown, refreshReserve
			return refreshRow
		}, atEnd)
	case refreshRow:
		m.read("reads the row", func(s *state, a *actor) step {
			a.row = s.rows[a.connection]
			if !a.row.exists {
				return refreshClose
			}
			if m.landsLate {
				return refreshReserve
			}
			return landRead
		}, refreshClose)
	case refreshReserve:
		m.read("reads the head", m.reserved, refreshClose)
	case refreshReconcile:
		m.change("brings the row up to the head", func(s *state, a *actor) step {
			s.refreshed(a.connection, a.reserved.record, false)
			return refreshClose
		}, refreshClose)
	case refreshMark:
		m.change("marks the spend", func(s *state, a *actor) step {
			l := &s.grantLock
			if l.owner != m.owner() || l.expired || !s.rows[a.connection].exists {
				return refreshClose
			}
			l.spending = a.row.generation
			return refreshSend
		}, refreshClose)
	case refreshSend:
		m.certain("sends the token", func(s *state, a *actor) step {
			a.doubt = a.row.generation
			m.watchSpend(s)
			return refreshCalling
		})
	case refreshCalling:
		m.call()
	case refreshPeek:
		m.read("looks whether the head moved", func(s *state, a *actor) step {
			a.now = s.heads[a.connection]
			if m.headMoved(a.reserved.view(), a.now.view()) {
				return refreshAdopt
			}
			return refreshLook
		}, refreshClose)
	case refreshLook:
		m.read("looks for codes in exchange and judges", m.judged, refreshClose)
	case refreshFail:
		m.change("settles the failure", m.failed, refreshClose)
	case refreshSettle:
		m.change("settles", m.settled(true), refreshSettle)
		m.giveUp()
	case refreshSettleUnfenced:
		m.change("settles without the lock", m.settled(false), refreshSettleUnfenced)
		m.giveUp()
	case refreshAdopt:
		m.read("reads the newer set", func(s *state, a *actor) step {
			a.now = s.heads[a.connection]
			if a.now.view().State != grant.HeadPresent {
				return refreshClose
			}
			a.doubt, a.unknown = 0, 0
			return refreshAdoptRow
		}, refreshClose)
	case refreshAdoptRow:
		m.change("brings the row up to the newer set", func(s *state, a *actor) step {
			s.refreshed(a.connection, a.now.record, false)
			return refreshClose
		}, refreshClose)
	case refreshDiscard:
		m.change("orders the revocation of its answer", func(s *state, a *actor) step {
			s.enqueue(a.hand)
			s.tombstones[a.connection].reorder()
			a.hand, a.doubt = set{}, 0
			return refreshClose
		}, refreshDiscard)
	case refreshClose:
		m.certain("gives the lock up", func(s *state, a *actor) step {
			s.grantLock.release(m.owner(), max(a.doubt, a.unknown))
			held := a.hand
			if a.hand = (set{}); held.grant != 0 && !m.inHand(s, held.grant) {
				m.lose(s, held.grant) // a settlement that was given up, and a deletion destroyed what it had written
			}
			return atEnd
		})
	default:
		m.shared()
	}
}

// reserved decides what follows the reading of the head.
func (m *machine) reserved(s *state, a *actor) step {
	a.reserved = s.heads[a.connection]
	what := m.beforeSpend(a.row.view(), a.reserved.view())
	a.interrupted = m.recall(what, a.row.view(), int64(a.unknown))
	if !a.interrupted {
		a.unknown = 0
	}
	switch {
	case what == grant.StepReconcile:
		return refreshReconcile
	case what == grant.StepStop, a.row.disconnected:
		return refreshClose
	case what == grant.StepMissing, what == grant.StepUnreadable:
		v := m.verdictOnLoss(what)
		a.verdict = verdict{disconnect: v.Disconnect, reason: reasonOf(v)}
		return refreshFail
	default:
		if m.spendsCached && a.reserved.n > 1 {
			a.reserved.n--
		}
		return refreshMark
	}
}

// call is the provider's call, which nobody cancels.
func (m *machine) call() {
	m.certain("is answered", func(s *state, a *actor) step {
		t, ok := m.profile.refresh(s, a.reserved.token)
		if !ok {
			return m.failing(a, oauth.GrantDead)
		}
		a.hand = set{t, a.reserved.consent}
		next := m.nextGeneration(a.row.view(), a.reserved.view())
		a.writing = record{uint8(next), m.attemptNumber(), a.hand}
		return commitWrite
	})
	m.fault("the provider commits, the answer is lost", func(s *state, a *actor) step {
		if _, ok := m.profile.refresh(s, a.reserved.token); ok {
			m.lose(s, a.reserved.grant)
		}
		return m.unanswered(a)
	})
	m.fault("the request is lost", func(_ *state, a *actor) step { return m.unanswered(a) })
	if m.s.late == (token{}) {
		m.fault("the provider is too slow, and will process it later", func(s *state, a *actor) step {
			s.late = a.reserved.token
			return m.unanswered(a)
		})
	}
	m.fault("the provider is down", func(_ *state, a *actor) step { return m.failing(a, oauth.Unavailable) })
}

// unanswered tries an unknown outcome once more at once, where the provider allows for that.
func (m *machine) unanswered(a *actor) step {
	a.interrupted = true
	if a.tries++; a.tries == 1 && m.retryAtOnce(m.reuse, &oauth.Error{Outcome: oauth.Unknown}) {
		return refreshMark
	}
	return m.failing(a, oauth.Unknown)
}

// failing goes on to the judgement of a failed call.
func (m *machine) failing(a *actor, outcome oauth.Outcome) step {
	if !a.interrupted {
		a.doubt = 0
	}
	a.refusedForGood = outcome == oauth.GrantDead
	return refreshPeek
}

// now is when everything is judged: a failure in the row is always older than ConfirmDeath, the worst case.
var now = time.Unix(1_800_000_000, 0).UTC()

// judged asks the product for the verdict.
func (m *machine) judged(s *state, a *actor) step {
	f := grant.FailedSpend{
		Err: &oauth.Error{Outcome: oauth.Unavailable}, Now: now, RolledBack: a.reserved.generation < a.row.generation,
		Interrupted: a.interrupted, ExchangeInFlight: s.attempt.unfinished(),
	}
	if a.refusedForGood {
		f.Err = &oauth.Error{Outcome: oauth.GrantDead}
	}
	if r := a.row.failure; r == revoked || r == interrupted || r == rolledBack {
		f.RefusedSince = now.Add(-grant.ConfirmDeath)
	}
	v := m.judge(f)
	a.verdict = verdict{v.Disconnect, reasonOf(v), uint8(m.world.unanswered(f, v, int64(a.row.generation)))}
	return refreshFail
}

// reasonOf is the reason of a verdict.
func reasonOf(v grant.Verdict) reason {
	switch v.Reason {
	case grant.ReasonInterrupted:
		return interrupted
	case grant.ReasonRolledBack:
		return rolledBack
	case grant.ReasonMissing:
		return missing
	case string(oauth.ReasonRevoked):
		return revoked
	default:
		return unreachable
	}
}

// failed settles a verdict on the generation that was reserved.
func (m *machine) failed(s *state, a *actor) step {
	r, v := &s.rows[a.connection], a.verdict
	if r.exists && r.generation > a.row.generation && !m.unfenced {
		if !s.grantLock.release(m.owner(), 0) {
			return refreshClose
		}
		return atEnd
	}
	if !r.exists || (!s.grantLock.release(m.owner(), v.unanswered) && !m.unfenced) {
		return refreshClose
	}
	if !r.disconnected {
		r.disconnected, r.failure = v.disconnect, v.reason
	}
	return atEnd
}

// settled writes lock, escrow and row in one transaction.
func (m *machine) settled(fenced bool) effect {
	return func(s *state, a *actor) step {
		if !s.rows[a.connection].exists {
			return refreshDiscard
		}
		if fenced && !s.grantLock.release(m.owner(), 0) {
			return refreshSettleUnfenced
		}
		if a.inEscrow {
			m.world.inEscrow(s, a.connection, a.writing)
		}
		s.refreshed(a.connection, a.writing, a.inEscrow)
		a.hand = set{}
		return atEnd
	}
}

// giveUp ends the patience of a settlement whose record is in the vault.
func (m *machine) giveUp() {
	if a := m.actor(); a.away && !a.inEscrow {
		m.fault("gives the settlement up", func(_ *state, a *actor) step { return refreshClose })
	}
}

// afterCommit is where a refresher goes on.
func (m *machine) afterCommit(a *actor, d grant.DoubtStep) step {
	switch d {
	case grant.DoubtAdopt:
		a.hand = set{}
		return refreshAdopt
	case grant.DoubtRevoke:
		return refreshDiscard
	default:
		return refreshSettle
	}
}
