package model_test

import "fmt"

// wrong is what a step found that must never be; it stays in the state.
type wrong uint8

const (
	nothingWrong wrong = iota
	generationReused
	twoSpends
	spentOld
	revokedNewer
	tooManyJobs
)

func (w wrong) String() string {
	return [...]string{"", "two attempts stored the same generation", "two spends of one grant are in flight",
		"a token is spent though a newer one is stored", "a revocation ended a newer grant that it could have seen",
		"the model has too few jobs"}[w]
}

// watchSpend looks at a spend that begins.
func (m *machine) watchSpend(s *state) {
	me := s.actors[m.me]
	for i, other := range s.actors {
		if i != m.me && other.kind == refresher && other.at == refreshCalling && other.reserved.grant == me.reserved.grant {
			s.wrong = twoSpends
		}
	}
	newest := s.heads[me.connection].record
	if e := s.escrows[me.connection]; e.generation > newest.generation {
		newest = e
	}
	// A process that stood still for longer than its lock can store while another one spends: nobody can prevent that.
	if newest.grant == me.reserved.grant && newest.n > me.reserved.n && !s.froze {
		s.wrong = spentOld
	}
}

// lose notes that the provider's answer is gone, unless the token that lives can be had some other way.
func (w *world) lose(s *state, g uint8) {
	if s.grants[g].live && !w.reachable(s, g) {
		s.answerLost[g] = true
	}
}

// reachable reports whether something stored opens the grant: a head, an escrow, a parked answer, a job's copy.
func (w *world) reachable(s *state, g uint8) bool {
	for c := range s.heads {
		if h := s.heads[c]; h.generation > 0 && h.grant == g && w.opens(s, h.token) {
			return true
		}
		if e := s.escrows[c]; e.generation > 0 && e.grant == g && w.opens(s, e.token) {
			return true
		}
	}
	if t := s.attempt.answer.token; s.attempt.state == parked && t.grant == g && w.opens(s, t) {
		return true
	}
	for _, j := range s.jobs {
		if j.state == pending && j.copy.grant == g && (w.byAccess && !w.copyExpired || w.opens(s, j.copy.token)) {
			return true
		}
	}
	return false
}

// inHand reports whether a process holds the answer and is on its way to store it.
func (w *world) inHand(s *state, g uint8) bool {
	for _, a := range s.actors {
		if a.alive() && a.hand.grant == g && w.opens(s, a.hand.token) {
			return true
		}
	}
	return false
}

// replaced reports whether a grant gave way to a newer consent of the same user, or stands beside one because a
// revocation would have ended that, too. Its end is the provider's affair.
func (s *state) replaced(g uint8) bool {
	if g != 1 {
		return false
	}
	for c := range s.heads {
		if s.heads[c].consent > 1 || s.escrows[c].consent > 1 || s.rows[c].consent > 1 {
			return true
		}
	}
	for _, j := range s.jobs {
		if j.state == jobSkipped && j.copy.grant == g || j.state != noJob && j.copy.consent > 1 {
			return true
		}
	}
	return s.attempt.state == done
}

// always are the invariants of every state.
func (w *world) always(s *state) error {
	if s.wrong != nothingWrong {
		return fmt.Errorf("%s", s.wrong)
	}
	for g := uint8(1); g <= 2; g++ {
		if s.grants[g].live && !s.answerLost[g] && !s.replaced(g) && !s.restored() && !w.reachable(s, g) && !w.inHand(s, g) {
			return fmt.Errorf("grant %d lives and nothing that is stored reaches it", g)
		}
	}
	if s.deleted && s.rows[first].exists && !s.dbRestored {
		return fmt.Errorf("a deleted connection is back")
	}
	for c, r := range s.rows {
		h := s.heads[c]
		if r.exists && r.disconnected && h.generation == r.generation && w.opens(s, h.token) {
			return fmt.Errorf("connection %d is DISCONNECTED and its grant lives in the vault", c)
		}
		if e := s.escrows[c]; r.exists && r.disconnected && e.generation == r.generation && w.opens(s, e.token) {
			return fmt.Errorf("connection %d is DISCONNECTED and its grant lives in escrow", c)
		}
	}
	return nil
}

// atRest are the invariants of a state that was recovered and in which nothing is left to do.
func (w *world) atRest(s *state) error {
	if err := w.always(s); err != nil {
		return err
	}
	for c := range s.rows {
		if err := w.rowAtRest(s, c); err != nil {
			return err
		}
	}
	for g := uint8(1); g <= 2; g++ {
		if err := w.grantAtRest(s, g); err != nil {
			return err
		}
	}
	if s.attempt.unfinished() {
		return fmt.Errorf("the authorization was never finished")
	}
	return nil
}

// rowAtRest demands that row and head agree, and that a row which is connected lives.
func (w *world) rowAtRest(s *state, c int) error {
	r, h, e := s.rows[c], s.heads[c], s.escrows[c]
	switch {
	case e.generation > 0:
		return fmt.Errorf("the escrow of connection %d was never landed", c)
	case !r.exists && s.tombstones[c].exists && h.generation > 0 && !s.vaultRestored:
		return fmt.Errorf("the record of connection %d, which was deleted, is still in the vault", c)
	case !r.exists || r.disconnected:
		return nil
	case h.generation != r.generation:
		return fmt.Errorf("connection %d is CONNECTED with generation %d, the vault has %d", c, r.generation, h.generation)
	case !w.opens(s, h.token):
		return fmt.Errorf("connection %d is CONNECTED and what is stored does not live", c)
	default:
		return nil
	}
}

// grantAtRest demands that a grant which lives belongs to a connection, or that its loss is known by its name.
func (w *world) grantAtRest(s *state, g uint8) error {
	if !s.grants[g].live || s.replaced(g) || s.restored() {
		return nil
	}
	for c, r := range s.rows {
		if r.exists && !r.disconnected && s.heads[c].grant == g {
			return nil
		}
	}
	for _, j := range s.jobs {
		if j.state == pending && j.copy.grant == g {
			return nil
		}
	}
	if !s.answerLost[g] {
		return fmt.Errorf("grant %d lives and no connection has it", g)
	}
	return w.named(s, g)
}

// named demands that the loss of a grant whose last answer was lost has its name.
func (*world) named(s *state, g uint8) error {
	if s.attempt.state == lost && g == 2 {
		return nil
	}
	for _, j := range s.jobs {
		if j.state == jobUnknown {
			return nil
		}
	}
	for _, r := range s.rows {
		if r.exists && r.disconnected && r.failure != interrupted {
			return fmt.Errorf("an answer was lost and the row blames something else")
		}
	}
	for _, j := range s.jobs {
		if j.state == jobRevoked || j.state == jobEnded {
			return fmt.Errorf("an answer was lost, its grant lives on, and the revocation says that it ended")
		}
	}
	return nil
}
