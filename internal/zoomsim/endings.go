package zoomsim

import (
	"cmp"
	"fmt"
	"slices"
)

// EndGrant ends one grant, as the removal of the app by its user would. An empty reason means EndedByControl.
// A grant that has ended already keeps its reason. The error is ErrNotFound.
func (s *Server) EndGrant(id, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.state.grants, func(g *grant) bool { return g.id == id })
	if i < 0 {
		return fmt.Errorf("%w: grant %q", ErrNotFound, id)
	}
	now := s.now()
	if g := s.state.grants[i]; g.alive(now) {
		g.end(cmp.Or(reason, EndedByControl), now)
	}
	return nil
}

// EndGrants ends the live grants of a user (id, e-mail address or bare name) and a client id and returns how many there
// were. An empty user or client stands for any; both empty is everything. The error is ErrNotFound for a user or client
// that does not exist.
func (s *Server) EndGrants(user, client, reason string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	userID, err := s.state.resolve(user, client)
	if err != nil {
		return 0, err
	}
	return s.state.endGrants(userID, client, cmp.Or(reason, EndedByControl), s.now()), nil
}

// ExpireAccessTokens makes the usable access tokens of a user and client expire now and returns how many there were.
// Their refresh tokens stay. Arguments and errors are those of EndGrants.
func (s *Server) ExpireAccessTokens(user, client string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	userID, err := s.state.resolve(user, client)
	if err != nil {
		return 0, err
	}
	return s.state.expireAccess(userID, client, s.now()), nil
}

// resolve returns the id of the user and checks that the client exists; both may be empty.
func (st *state) resolve(user, client string) (userID string, err error) {
	if _, ok := st.clients[client]; client != "" && !ok {
		return "", fmt.Errorf("%w: client %q", ErrNotFound, client)
	}
	if user == "" {
		return "", nil
	}
	u, ok := st.findUser(user)
	if !ok {
		return "", fmt.Errorf("%w: user %q", ErrNotFound, user)
	}
	return u.ID, nil
}
