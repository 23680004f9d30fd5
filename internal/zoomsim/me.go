package zoomsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// meScopes are the granular and classic scopes of which any one opens GET /v2/users/me.
func meScopes() []string {
	return []string{
		"user:read:user", "user:read:user:admin", "user:read:user:master",
		"user:read", "user:read:admin", "user:write", "user:write:admin", "user_profile",
	}
}

// me serves GET /v2/users/me.
func (s *Server) me(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, refusal := s.state.bearerGrant(c.request, s.now())
	if refusal != nil {
		return *refusal
	}
	if !slices.ContainsFunc(meScopes(), func(scope string) bool { return slices.Contains(g.scopes, scope) }) {
		return missingScopes("user:read:user", "user:read:user:admin")
	}
	return jsonAnswer(http.StatusOK, newProfile(s.state.users[g.userID]))
}

// bearerGrant returns the grant whose usable access token r carries, or Zoom's refusal: code 124 in all cases, with
// texts that differ.
func (st *state) bearerGrant(r *http.Request, now time.Time) (*grant, *answer) {
	message := "Invalid access token."
	t, known := st.access[digestOf(bearer(r))]
	switch {
	case known && t.usable(now):
		return t.grant, nil
	case known && !t.dead && t.grant.ended.IsZero():
		message = "Access token is expired."
	case !known && r.URL.Query().Has("access_token"):
		message = "Invalid access token, this access token is not supported as query parameter string."
	}
	a := restRefusal(http.StatusUnauthorized, 124, message)
	return nil, &a
}

// missingScopes refuses a token without any of the alternatives.
func missingScopes(alternatives ...string) answer {
	list := strings.Join(alternatives, ", ")
	return restRefusal(http.StatusBadRequest, 4711, "Invalid access token, does not contain scopes:["+list+"].")
}
