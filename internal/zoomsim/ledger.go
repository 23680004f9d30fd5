package zoomsim

import (
	"strings"
	"time"
)

// The two states of a grant in the ledger.
const (
	GrantLive  = "live"
	GrantEnded = "ended"
)

// Ledger tells what became of every grant, so that what a service believes can be compared with what is so.
type Ledger struct {
	// Grants are all grants ever issued, in the order of their exchange.
	Grants []LedgerGrant `json:"grants"`
	Totals Totals        `json:"totals"`
}

// LedgerGrant is one exchanged code and all the tokens that followed from it.
type LedgerGrant struct {
	ID        string `json:"grant_id"`
	ClientID  string `json:"client_id"`
	UserID    string `json:"user_id"`
	AccountID string `json:"account_id"`
	Email     string `json:"email"`
	Scope     string `json:"scope"` // space-separated
	// Status is GrantLive while the newest refresh token can be spent.
	Status      string `json:"status"`
	EndedReason string `json:"ended_reason,omitempty"`
	// Generation is that of the newest refresh token: 1 from the exchange, +1 per rotation.
	Generation int `json:"generation"`
	Exchanges  int `json:"exchanges"`
	Rotations  int `json:"rotations"`
	// RefusedRefreshes counts requests with a refresh token of this grant that were answered invalid_grant.
	RefusedRefreshes int `json:"refused_refreshes"`
	// MaxConcurrentRefreshes is the most refresh requests of this grant that were ever in flight together.
	MaxConcurrentRefreshes int       `json:"max_concurrent_refreshes"`
	IssuedAt               time.Time `json:"issued_at"`
	RotatedAt              time.Time `json:"rotated_at,omitzero"`
	EndedAt                time.Time `json:"ended_at,omitzero"`
	RefreshExpiresAt       time.Time `json:"refresh_token_expires_at"`
	AccessExpiresAt        time.Time `json:"access_token_expires_at"`
	// The newest tokens, alive or not, as hex SHA-256 of their text.
	RefreshTokenSHA256 string `json:"refresh_token_sha256"`
	AccessTokenSHA256  string `json:"access_token_sha256"`
}

// Totals count over all clients and users.
type Totals struct {
	Exchanges int `json:"exchanges"`
	Rotations int `json:"rotations"`
	// RefusedRefreshes counts refresh requests of authenticated clients that were answered with an error, also those
	// whose token was never issued here.
	RefusedRefreshes int `json:"refused_refreshes"`
	// Revocations counts successful calls of the revoke endpoint.
	Revocations int `json:"revocations"`
	// Duplicates counts how often a spent code was presented.
	Duplicates int `json:"duplicates"`
	// MaxConcurrentRefreshes is the largest of the grants' numbers; above 1, somebody refreshed without a lock.
	MaxConcurrentRefreshes int `json:"max_concurrent_refreshes"`
}

// Ledger returns a consistent snapshot: no request is half in it.
func (s *Server) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.ledger(s.now())
}

func (st *state) ledger(now time.Time) Ledger {
	l := Ledger{Grants: make([]LedgerGrant, 0, len(st.grants)), Totals: st.totals}
	for _, g := range st.grants {
		l.Grants = append(l.Grants, g.entry(st.users[g.userID], now))
		l.Totals.MaxConcurrentRefreshes = max(l.Totals.MaxConcurrentRefreshes, g.maxInFlight)
	}
	return l
}

func (g *grant) entry(u *User, now time.Time) LedgerGrant {
	newest := g.access[len(g.access)-1]
	e := LedgerGrant{
		ID: g.id, ClientID: g.clientID, UserID: u.ID, AccountID: u.AccountID, Email: u.Email,
		Scope: strings.Join(g.scopes, " "), Status: GrantLive,
		Generation: g.generation, Exchanges: g.exchanges, Rotations: g.rotations,
		RefusedRefreshes: g.refused, MaxConcurrentRefreshes: g.maxInFlight,
		IssuedAt: g.issued, RotatedAt: g.rotated,
		RefreshExpiresAt: g.refreshExpires, AccessExpiresAt: newest.expires,
		RefreshTokenSHA256: string(g.refresh), AccessTokenSHA256: string(newest.digest),
	}
	switch {
	case !g.ended.IsZero():
		e.Status, e.EndedReason, e.EndedAt = GrantEnded, g.endedReason, g.ended
	case !g.alive(now):
		e.Status, e.EndedReason, e.EndedAt = GrantEnded, EndedByExpiry, g.refreshExpires
	}
	return e
}
