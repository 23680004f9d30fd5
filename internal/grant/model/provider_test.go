package model_test

import "github.com/tokenkeep/tokenkeep/internal/provider"

// profile is how a provider behaves.
type profile struct {
	name                    string
	reuse                   provider.ReuseBehaviour
	consentEnds, revokeEnds bool
	// byAccess: it revokes by access token; copyExpired: a job's copy of that has expired, so that it is refreshed first.
	byAccess, copyExpired bool
}

var profiles = []profile{
	{name: "a used token is refused, a consent ends the older grant", reuse: provider.ReuseDead, consentEnds: true, revokeEnds: true, byAccess: true},
	{name: "the same, revoked with an expired copy", reuse: provider.ReuseDead, consentEnds: true, revokeEnds: true, byAccess: true, copyExpired: true},
	{name: "a used token is answered again", reuse: provider.ReuseWindow, revokeEnds: true},
	{name: "a used token revokes the family", reuse: provider.ReuseRevokesFamily},
}

// refresh is what the provider does with a refresh token; ok is false where it refuses.
func (p profile) refresh(s *state, t token) (answer token, ok bool) {
	g := &s.grants[t.grant]
	switch {
	case !g.live:
		return token{}, false
	case t == g.now:
		g.before, g.now = t, token{t.grant, t.n + 1}
		return g.now, true
	case p.reuse == provider.ReuseWindow && t == g.before:
		return g.now, true
	case p.reuse == provider.ReuseRevokesFamily:
		g.live = false
	}
	return token{}, false
}

// consent is what the provider does with a code.
func (p profile) consent(s *state) set {
	if p.consentEnds {
		s.grants[1].live = false
	}
	s.grants[2] = grantAt{live: true, now: token{2, 1}}
	return set{token{2, 1}, 2}
}

// revoke is what the provider does with a token that is to be revoked; ok is false where it refuses. A refresh token that
// is not valid any more is acknowledged (RFC 7009 2.2), and nothing happens.
func (p profile) revoke(s *state, t token) (ok bool) {
	g := &s.grants[t.grant]
	if !p.byAccess && !p.opens(s, t) {
		return true
	}
	if !g.live {
		return !p.byAccess
	}
	g.live = false
	if p.revokeEnds {
		for i := range s.grants {
			s.grants[i].live = false
		}
	}
	return true
}

// opens reports whether a token would still be answered: its grant can be reached with it.
func (p profile) opens(s *state, t token) bool {
	g := s.grants[t.grant]
	return g.live && (t == g.now || p.reuse == provider.ReuseWindow && t == g.before)
}
