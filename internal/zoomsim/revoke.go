package zoomsim

import (
	"net/http"
	"time"
)

// revoke serves POST /oauth/revoke: a living access or refresh token ends every grant of its user and client.
//
// Inferred: that a refresh token may be passed, that the user's whole grant ends, and the answer for a token that is
// unknown, dead or another client's.
func (s *Server) revoke(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, refusal := s.state.authenticate(c)
	if refusal != nil {
		return *refusal
	}
	value := c.form.Get("token")
	if value == "" {
		return missingToken()
	}
	now := s.now()
	g := s.state.grantOfLiving(value, now)
	if g == nil || g.clientID != client.ID {
		return invalidToken()
	}
	s.state.endGrants(g.userID, g.clientID, EndedByRevoke, now)
	s.state.totals.Revocations++
	return jsonAnswer(http.StatusOK, map[string]string{"status": "success"})
}

// grantOfLiving returns the grant of a token that would be accepted at now, or nil.
func (st *state) grantOfLiving(token string, now time.Time) *grant {
	value := digestOf(token)
	if t, ok := st.access[value]; ok && t.usable(now) {
		return t.grant
	}
	if t, ok := st.refresh[value]; ok && t.grant.refresh == value && t.grant.alive(now) {
		return t.grant
	}
	return nil
}
