package interop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// issued returns every code and token that the server ever issued.
func (s *server) issued(t *testing.T) []string {
	t.Helper()
	var all []string
	if err := json.Unmarshal(s.control(t, http.MethodGet, "issued"), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// grantsOf returns the grants that a client holds of an account, by id.
func (s *server) grantsOf(t *testing.T, client, account string) map[string]heldGrant {
	t.Helper()
	grants := s.ledger(t).Grants
	maps.DeleteFunc(grants, func(_ string, g heldGrant) bool { return g.Client != client || g.Account != account })
	return grants
}

// grantOf returns the one grant that a client holds of an account.
func (s *server) grantOf(t *testing.T, client, account string) (id string, held heldGrant) {
	t.Helper()
	grants := s.grantsOf(t, client, account)
	if len(grants) != 1 {
		t.Fatalf("the server holds %d grants of %s for %s, want 1", len(grants), account, client)
	}
	id = slices.Collect(maps.Keys(grants))[0]
	return id, grants[id]
}

// live returns the refresh tokens that were not used yet.
func (g heldGrant) live() []heldToken {
	return slices.DeleteFunc(slices.Clone(g.RefreshTokens), func(r heldToken) bool { return r.Used })
}

// setLife sets how long access tokens issued from now on live.
func (s *server) setLife(t *testing.T, life time.Duration) {
	t.Helper()
	s.control(t, http.MethodPost, fmt.Sprintf("life?seconds=%d", int(life.Seconds())))
}

// revoke ends a grant, as its user does in an account's settings.
func (s *server) revoke(t *testing.T, grant string) {
	t.Helper()
	s.control(t, http.MethodPost, "revoke?grant="+url.QueryEscape(grant))
}
